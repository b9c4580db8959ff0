//! The profile of authselect.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Kind, unknown};
use crate::facts::{Authselect as Fact, FactId, Facts, Needs, Unreadable, authselect_names_module};
use crate::finding::{Evidence, Outcome};

/// Which profile authselect made the stacks of PAM from, and whether they are still its own.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Authselect {
    /// Whether the stacks in `/etc/pam.d` have to be links to those that authselect made.
    pub linked: Option<bool>,
    /// Whether the profile has to be one of the administrator's own, `custom/…`.
    pub custom: Option<bool>,
    /// Modules that the profile's `system-auth` and `password-auth` both name, always or with a feature.
    pub modules: Option<Vec<String>>,
}

impl Kind for Authselect {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Authselect);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let found = facts.authselect()?;
        let mut outcomes = Vec::new();
        if let Some(wanted) = self.linked {
            let mut seen: Vec<Evidence> = (found.foreign.iter())
                .map(|(path, what)| Evidence::at(path).found(what).expected("a link to what authselect made"))
                .collect();
            if seen.is_empty() {
                seen.push(Evidence::at(&Fact::path()).found("every stack is a link to what authselect made"));
            }
            outcomes.push(Outcome::decide(found.foreign.is_empty() == wanted, seen));
        }
        let name = found.profile.as_ref().map_or("no profile", |(name, _)| name.as_str());
        let place = Evidence::at(&Fact::path()).line_opt(found.profile.as_ref().map(|(_, line)| *line)).found(name);
        if let Some(wanted) = self.custom {
            let words = if wanted { "a profile custom/…" } else { "a profile of the package" };
            let met = found.profile.is_some() && name.starts_with("custom/") == wanted;
            outcomes.push(Outcome::decide(met, vec![place.clone().expected(words)]));
        }
        for module in self.modules.iter().flatten() {
            if found.stacks.is_empty() {
                outcomes.push(Outcome::fail(vec![place.clone().expected(format!("a profile with {module}"))]));
            }
            outcomes.extend(found.stacks.iter().map(|(path, text)| match text {
                Err(unreadable) => unknown(unreadable),
                Ok(text) => {
                    let line = authselect_names_module(text, module);
                    let found = if line.is_some() { module.clone() } else { format!("no {module}") };
                    Outcome::decide(line.is_some(), vec![Evidence::at(path).line_opt(line).found(found).expected(module)])
                }
            }));
        }
        Ok(Outcome::all(outcomes))
    }

    fn flaw(&self) -> Option<String> {
        let nothing = self.linked.is_none() && self.custom.is_none() && self.modules.as_ref().is_none_or(Vec::is_empty);
        nothing.then(|| "it asks nothing: linked, custom, modules".into())
    }
}
