//! Benchmarks: which controls a document has, and which rules answer each of them.

mod beside;
mod layer;
mod load;
mod select;
pub mod shipped;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

pub use beside::{BesideError, beside};
pub use layer::{Change, Drop, Dropped, Given};
pub use load::{MAX_LAYERS, Open, is_file_name, no_files, read_benchmark};
pub use select::{Choice, SelectError, Selected, SelectedControl, select};

use crate::check::{Applies, OsSelector};
use crate::finding::{BesideInfo, LayerChange, Severity};

/// A document with numbered controls, mapped to rules.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Benchmark {
    /// Its id: lower case words joined by `-`.
    pub id: String,
    /// Its name.
    pub title: String,
    /// The version of the document.
    pub version: String,
    /// The benchmark it tailors: the id of a shipped one, or a TOML file, relative to this one. What is not said here is as it is there.
    pub extends: Option<String>,
    /// The systems it is written for; nothing if for any.
    pub applies: Option<OsSelector>,
    /// The profiles it knows, the usual one first.
    #[serde(default = "server")]
    pub profiles: Vec<String>,
    /// The controls of the document, in its order: all of them.
    #[serde(default)]
    pub control: Vec<Control>,
    /// Controls of the extended benchmark that are not asked for here.
    #[serde(default)]
    pub drop: Vec<Drop>,
    /// Controls of the extended benchmark that are asked for otherwise here.
    #[serde(default)]
    pub change: Vec<Change>,
    /// What layers have changed in the document, the furthest layer first.
    #[serde(skip)]
    pub changes: Vec<LayerChange>,
    /// Those that are judged in the same scan; their controls are among the controls.
    #[serde(skip)]
    pub beside: Vec<BesideInfo>,
}

fn server() -> Vec<String> {
    vec!["server".into()]
}

/// One control of a document.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Control {
    /// Its number or name in the document.
    pub id: String,
    /// What it asks for, in our own words.
    pub title: String,
    /// Its level: `1`, or by profile `{ server = 1, workstation = 2 }`. A profile that is not named does not have the control.
    pub level: Level,
    /// Where it is one of several ways to do the same: the images that go this way. On others it is not applicable; its rules are judged and shown
    /// all the same. Another control has to ask that one way is gone.
    pub applies: Option<Applies>,
    /// The rules that answer it, all of which have to pass. None: not automated (see `manual`).
    #[serde(default)]
    pub rules: Vec<RuleUse>,
    /// What a person has to look at, where the control is for a person to judge.
    pub manual: Option<String>,
    /// Why it is there, where a benchmark that extends another adds it: shown in every report.
    pub reason: Option<String>,
    /// Who dropped it, if a layer did. It has no rules then.
    #[serde(skip)]
    pub dropped: Option<Dropped>,
    /// The benchmark it comes from, if that is another than the one it is part of.
    #[serde(skip)]
    pub origin: Option<String>,
    /// The benchmark that is judged beside and has it, if it is none of the main one.
    #[serde(skip)]
    pub beside: Option<String>,
    /// What layers give to its rules, the furthest layer first.
    #[serde(skip)]
    pub given: Vec<Given>,
}

impl Control {
    /// The values that a rule has here: those of the document, then those of each layer.
    #[must_use]
    pub fn values(&self, used: &RuleUse) -> BTreeMap<String, Value> {
        let mut values = used.values();
        for given in self.given.iter().filter_map(|given| given.with.get(used.id())) {
            values.extend(given.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        values
    }
}

/// The level of a control.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Level {
    /// The same in every profile.
    Same(u8),
    /// By profile.
    ByProfile(BTreeMap<String, u8>),
}

impl Level {
    /// The level in a profile, if the profile has the control.
    #[must_use]
    pub fn of(&self, profile: &str) -> Option<u8> {
        match self {
            Self::Same(level) => Some(*level),
            Self::ByProfile(levels) => levels.get(profile).copied(),
        }
    }
}

/// A rule that answers a control: its id, or a table with values for its parameters.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum RuleUse {
    /// With the defaults of its parameters.
    Plain(String),
    /// With values of the document.
    With(RuleWith),
}

/// A rule with values of the document.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RuleWith {
    /// The rule's id.
    pub id: String,
    /// Values for its parameters.
    #[serde(default)]
    pub with: BTreeMap<String, Value>,
    /// How much it matters here, where that differs from the rule.
    pub severity: Option<Severity>,
}

impl RuleUse {
    /// The rule's id.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Plain(id) => id,
            Self::With(with) => &with.id,
        }
    }

    /// The values of the document.
    #[must_use]
    pub fn values(&self) -> BTreeMap<String, Value> {
        match self {
            Self::Plain(_) => BTreeMap::new(),
            Self::With(with) => with.with.clone(),
        }
    }
}
