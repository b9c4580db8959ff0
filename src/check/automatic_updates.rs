//! Updates that install themselves.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Kind;
use crate::facts::{FactId, Facts, Needs, Unreadable};
use crate::finding::{Evidence, Outcome};

/// Whether the machine installs updates by itself: what has to be set, installed and started for that is all there, or something of it is not.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AutomaticUpdates {
    /// What it should do.
    pub wanted: Wanted,
}

/// What the policy wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Wanted {
    /// Install updates.
    On,
    /// Leave that to new images.
    Off,
}

impl Kind for AutomaticUpdates {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Updates);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let updates = facts.updates()?;
        let expected =
            if self.wanted == Wanted::On { "updates that install themselves" } else { "no updates that install themselves" };
        let judged = updates.updaters.iter().map(|updater| {
            let evidence = Evidence::at(&updater.path).line_opt(updater.line).found(&updater.found).expected(expected);
            Outcome::decide(updater.on == (self.wanted == Wanted::On), vec![evidence])
        });
        Ok(if self.wanted == Wanted::On { Outcome::any(judged) } else { Outcome::all(judged) })
    }
}
