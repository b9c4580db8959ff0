//! The kernel that boots if nobody chooses.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Kind;
use super::tree::Yes;
use crate::facts::{FactId, Facts, Needs, Unreadable};
use crate::finding::{Evidence, Outcome};

/// The kernel that boots by default.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DefaultKernel {
    /// It is the newest of those installed (`true`), by the order of the image's package manager.
    pub newest: Yes,
}

impl Kind for DefaultKernel {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::DefaultKernel);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let kernel = facts.default_kernel()?;
        Ok({
            let evidence = Evidence::at(&kernel.path).line_opt(kernel.line).found(format!("boots {}", kernel.version));
            Outcome::decide(kernel.is_newest(), vec![evidence.expected(format!("{}, the newest in /boot", kernel.newest))])
        })
    }
}
