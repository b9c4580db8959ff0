//! Rules: a requirement stated once, as data, with its own examples.

mod example;
mod instance;
mod load;
mod schema;
pub mod shipped;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

pub use example::{Example, FileSpec, Verdict};
pub use instance::{Instance, InstanceError};
pub use load::read_pack;
pub use schema::{rules_schema, with_params};

use crate::check::Applies;
use crate::finding::{Fix, RuleInfo, Severity};

/// A requirement on an image.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rule {
    /// Names the requirement: lower case words joined by `-`.
    pub id: String,
    /// A sentence that is true when the rule passes.
    pub title: String,
    /// How much it matters.
    pub severity: Severity,
    /// Why it matters.
    #[serde(default)]
    pub why: String,
    /// How to mend it.
    #[serde(default)]
    pub fix: Fix,
    /// Which images it is about. Selects only: the condition itself never hides here.
    pub applies: Option<Applies>,
    /// Parameters with their defaults; used in the check as `{ param = "name" }`.
    #[serde(default)]
    pub params: BTreeMap<String, serde_json::Value>,
    /// The condition. Kept as it is written until the parameters have their values: see [`Instance`].
    #[schemars(with = "crate::check::Check")]
    pub check: serde_json::Value,
    /// Why the plain text-line check is used, where it is.
    pub line_check_because: Option<String>,
    /// Names of the same requirement elsewhere (`ComplianceAsCode` rule names).
    #[serde(default)]
    pub same_as: Vec<String>,
    /// Images with the verdict they must get: at least one passes and one fails.
    #[serde(default)]
    pub example: Vec<Example>,
}

impl Rule {
    /// What a report needs to know of it.
    #[must_use]
    pub fn info(&self) -> RuleInfo {
        RuleInfo {
            title: self.title.clone(),
            severity: self.severity,
            why: self.why.clone(),
            fix: self.fix.clone(),
            references: BTreeMap::new(),
        }
    }
}
