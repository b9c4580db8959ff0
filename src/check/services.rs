//! Lists of services, as organisations have them.

use schemars::JsonSchema;
use serde::Deserialize;

use super::unit::Unit;
use super::{Kind, Names};
use crate::facts::{Facts, Needs, Unreadable};
use crate::finding::Outcome;

/// Each of these services starts, or none of them does; a service that is not there does not. Names are judged one by one, as the check of a unit does.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Services {
    /// The names of units; one without a type is a service.
    pub each: Names,
    /// Whether they have to start (`true`) or must not (`false`).
    pub starts: bool,
}

impl Services {
    fn units(&self) -> impl Iterator<Item = Unit> {
        self.each.0.iter().map(|name| Unit {
            name: Names(vec![name.clone()]),
            except: None,
            exists: None,
            enabled: None,
            masked: None,
            starts: Some(self.starts),
            state: None,
            running: None,
            runs: None,
        })
    }
}

impl Kind for Services {
    fn needs(&self, facts: &Facts<'_>, needs: &mut Needs) {
        self.units().for_each(|unit| unit.needs(facts, needs));
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        Ok(Outcome::all(self.units().map(|unit| unit.evaluate(facts))))
    }
}
