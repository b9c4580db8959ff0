//! Saved rules of iptables.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{ALL_PASS, TOO_MUCH, either, ipv6_is_off, loaded, of_others, saved};
use crate::check::{Kind, unknown};
use crate::facts::firewall::{Chains, Fate};
use crate::facts::{FactId, Facts, Firewall, Needs, Unreadable};
use crate::finding::{Evidence, Outcome};
use crate::path::ImagePath;

/// What happens to packets that no rule of iptables decides on, as it is loaded at boot. A policy that drops counts only where no rule lets
/// everything through before. Where version 6 of the Internet Protocol is off, nothing has
/// to be said of it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct IptablesPolicy {
    /// The version of the Internet Protocol: 4 (iptables) or 6 (ip6tables).
    pub version: u8,
    /// The chains of the table `filter`.
    pub chains: Vec<String>,
    /// The policy they must have: `DROP` or `ACCEPT`.
    pub policy: String,
}

/// Whether saved rules of iptables are loaded at boot, of either version of the Internet Protocol. A running kernel says itself whether it has tables of
/// the older kind.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct IptablesRules {
    /// Whether they have to be, or must not be.
    pub loaded: bool,
}

impl Kind for IptablesPolicy {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Firewall);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let firewall = facts.firewall()?;
        Ok(either(self.judge(firewall)))
    }

    fn flaw(&self) -> Option<String> {
        if !matches!(self.version, 4 | 6) {
            Some("the version is 4 or 6".into())
        } else if self.chains.is_empty() {
            Some("an empty list of chains checks nothing".into())
        } else {
            (!matches!(self.policy.as_str(), "DROP" | "ACCEPT")).then(|| "a policy is DROP or ACCEPT".into())
        }
    }
}

impl IptablesPolicy {
    fn judge(&self, firewall: &Firewall) -> Result<Outcome, Outcome> {
        if self.version == 6
            && let Some(pass) = ipv6_is_off(firewall)?
        {
            return Ok(pass);
        }
        let saved = saved(firewall, self.version)?;
        let filter = loaded(saved)?;
        let chains: Chains<'_> = filter.chains.iter().map(|chain| (chain.name.as_str(), chain.rules.as_slice())).collect();
        let of_chain = |name: &String| {
            let policy = filter.chains.iter().find(|chain| chain.name == *name).and_then(|chain| chain.policy.as_ref());
            // The kernel starts with ACCEPT.
            let (found, line) = policy.map_or(("ACCEPT", filter.line), |(policy, line)| (policy.as_str(), *line));
            let place = Evidence::at(&saved.path).line(line).found(format!("{name} {found}"));
            let place = place.expected(format!("{name} {}", self.policy));
            if found == self.policy && found == "DROP" {
                match of_others(&chains, name, name, self.version) {
                    Fate::Accepted(rule) => {
                        let place = Evidence::at(&saved.path).line(rule.line).found(ALL_PASS);
                        return Outcome::fail(vec![place.expected(format!("{name} {}", self.policy))]);
                    }
                    Fate::TooMuch => return Outcome::unknown(TOO_MUCH, vec![place]),
                    Fate::Dropped(_) | Fate::Undecided => {}
                }
            }
            Outcome::decide(found == self.policy, vec![place])
        };
        Ok(Outcome::all(self.chains.iter().map(of_chain)))
    }
}

impl Kind for IptablesRules {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Firewall);
        needs.running("/proc/net/ip*_tables_names");
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let firewall = facts.firewall()?;
        let expected = if self.loaded { "rules that are loaded at boot" } else { "no rules that are loaded at boot" };
        let mut outcomes = Vec::new();
        for version in [4, 6] {
            let saved = match saved(firewall, version) {
                Ok(saved) => saved,
                Err(outcome) => return Ok(outcome),
            };
            let loaded = saved.loader.starts && saved.tables > 0;
            let found = if loaded { format!("{} tables", saved.tables) } else { "nothing that is loaded".to_owned() };
            outcomes
                .push(Outcome::decide(loaded == self.loaded, vec![Evidence::at(&saved.path).found(found).expected(expected)]));
        }
        match facts.running_contents("/proc/net/ip*_tables_names") {
            Some(Ok(files)) => {
                for file in files {
                    let names = match &file.content {
                        Ok(content) => String::from_utf8_lossy(content).split_whitespace().collect::<Vec<_>>().join(", "),
                        Err(unreadable) => return Ok(unknown(unreadable)),
                    };
                    let found = if names.is_empty() { "no tables".to_owned() } else { format!("the tables {names}") };
                    let place = Evidence::at(&ImagePath::new(file.path.as_bytes())).found(found).expected(expected);
                    outcomes.push(Outcome::decide(names.is_empty() != self.loaded, vec![place]));
                }
            }
            Some(Err(unreadable)) => outcomes.push(unknown(&unreadable)),
            None => {}
        }
        // Loaded: of one version is enough. Not loaded: of neither.
        Ok(if self.loaded { Outcome::any(outcomes) } else { Outcome::all(outcomes) })
    }
}
