//! Rules for the ports that are open.

use schemars::JsonSchema;
use serde::Deserialize;

use super::loopback::RulesOf;
use super::nftables::in_force;
use super::{either, ipv6_is_off, known, loaded, saved};
use crate::check::{Kind, unknown};
use crate::facts::firewall::Listener;
use crate::facts::{FactId, Facts, Firewall, Needs, Unreadable};
use crate::finding::{Evidence, Outcome};
use crate::syntax::packet_rule::{Action, PacketRule};

/// Each port that is open to the network has a rule that names it. Which are open, a running kernel lists; of an image it is known from the
/// SSH server and the sockets that systemd opens. Where other services start that might open more, a person has to look.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OpenPorts {
    /// Whose rules are asked.
    pub tool: RulesOf,
}

impl Kind for OpenPorts {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Firewall);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let firewall = facts.firewall()?;
        Ok(either(self.judge(firewall)))
    }
}

impl OpenPorts {
    fn judge(&self, firewall: &Firewall) -> Result<Outcome, Outcome> {
        let versions: &[u8] = match self.tool {
            RulesOf::Iptables => &[4],
            RulesOf::Ip6tables => &[6],
            RulesOf::Nftables | RulesOf::Ufw => &[4, 6],
        };
        let off = ipv6_is_off(firewall)?;
        if let (RulesOf::Ip6tables, Some(pass)) = (self.tool, &off) {
            return Ok(pass.clone());
        }
        let mut missing = Vec::new();
        let mut covered = Vec::new();
        let ports = known(&firewall.ports)?;
        for &version in versions.iter().filter(|&&version| version == 4 || off.is_none()) {
            let rules = self.rules(firewall, version)?;
            for listener in ports.known.iter().filter(|listener| listener.version.is_none_or(|own| own == version)) {
                let evidence = place(listener);
                if rules.iter().any(|rule| names(rule, listener)) {
                    covered.push(evidence);
                } else {
                    missing.push(evidence.expected(format!("a rule for this port (IPv{version})")));
                }
            }
        }
        Ok(if !missing.is_empty() {
            Outcome::fail(missing)
        } else if ports.undecided.is_empty() {
            Outcome::pass(covered)
        } else {
            let reason = format!(
                "the ports known have rules; whether these services open others is for a person to see: {}",
                ports.undecided.join(", ")
            );
            Outcome::manual(reason, covered)
        })
    }

    /// Every rule for packets that arrive.
    fn rules<'f>(&self, firewall: &'f Firewall, version: u8) -> Result<Vec<&'f PacketRule>, Outcome> {
        Ok(match self.tool {
            RulesOf::Nftables => {
                let (_, ruleset) = in_force(firewall)?;
                let tables = ruleset.tables.iter().filter(|((family, _), _)| family.sees(version));
                let rules = tables.flat_map(|(_, table)| table.chains.values()).flat_map(|chain| &chain.rules);
                rules.filter(|rule| rule.version.is_none_or(|own| own == version)).collect()
            }
            RulesOf::Iptables | RulesOf::Ip6tables => {
                let filter = loaded(saved(firewall, version)?)?;
                let chains = filter.chains.iter().filter(|chain| !matches!(chain.name.as_str(), "OUTPUT" | "FORWARD"));
                chains.flat_map(|chain| &chain.rules).collect()
            }
            RulesOf::Ufw => {
                let ufw = known(&firewall.ufw)?;
                super::started(&ufw.loader)?;
                if !ufw.is_active() {
                    return Err(super::ufw::off(ufw));
                }
                // Without rules of its own, ufw lets nothing of version 6 through but loopback.
                let rules = known(if version == 4 { &ufw.v4 } else { &ufw.v6 })?;
                rules.doubt().map_or(Ok(()), |doubt| Err(unknown(&doubt)))?;
                rules.arriving().collect()
            }
        })
    }
}

fn place(listener: &Listener) -> Evidence {
    Evidence::at(&listener.path).line_opt(listener.line).found(format!("port {} of {} is open", listener.port, listener.protocol))
}

/// Whether a rule decides on packets to this port.
fn names(rule: &PacketRule, listener: &Listener) -> bool {
    let decides = !matches!(rule.action, Action::Continue | Action::Return);
    decides && rule.ports.as_ref().is_some_and(|ports| ports.include(listener.protocol, listener.port))
}
