//! Tables and chains of nftables.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{ALL_PASS, TOO_MUCH, either, ipv6_is_off, known, of_others, refusal, started};
use crate::check::{Kind, Names, unknown};
use crate::facts::firewall::{Fate, Nftables, Tool};
use crate::facts::{FactId, Facts, Firewall, Needs, Unreadable};
use crate::finding::{Evidence, Outcome, Status};
use crate::path::ImagePath;
use crate::syntax::nftables::{Family, Ruleset};
use crate::syntax::packet_rule::PacketRule;

/// A table of nftables is there after boot: one that `nftables.service` loads, or `inet firewalld` where firewalld starts with nftables beneath
/// it. It counts in one of these families.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NftablesTable {
    /// The families: `inet`, `ip`, `ip6`, `arp`, `bridge`, `netdev`.
    pub family: Names,
}

/// Chains of nftables that get packets from a hook, and of the type `filter`, for each version of the Internet Protocol that is not off.
/// Where firewalld starts with nftables beneath it, it makes such chains for `input`, `forward` and `output`; they let through what none of its
/// rules decides on.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NftablesChains {
    /// The hooks, each of which needs a chain.
    pub hooks: Vec<String>,
    /// `true`: one chain at each of the hooks throws away what no rule decides on (`policy drop`), and no rule of it lets
    /// everything through before.
    #[serde(default)]
    pub drop: bool,
    /// `true`: one chain at each of the hooks has rules, or throws away what none decides on.
    #[serde(default)]
    pub rules: bool,
}

impl Kind for NftablesTable {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Firewall);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let firewall = facts.firewall()?;
        Ok(either(self.judge(firewall)))
    }

    fn flaw(&self) -> Option<String> {
        let wrong = self.family.0.iter().find(|family| Family::named(family).is_none())?;
        Some(format!("'{wrong}' is no family; known: inet, ip, ip6, arp, bridge, netdev"))
    }
}

impl NftablesTable {
    fn judge(&self, firewall: &Firewall) -> Result<Outcome, Outcome> {
        let expected = format!("a table of the family {}", self.family.0.join(" or "));
        if let Some(place) = of_firewalld(firewall)?
            && self.family.0.iter().any(|family| family == Family::Inet.name())
        {
            return Ok(Outcome::pass(vec![place.found("table inet firewalld")]));
        }
        let (nftables, ruleset) = in_force(firewall)?;
        let fits = |family: Family| self.family.0.iter().any(|wanted| wanted == family.name());
        let (right, wrong): (Vec<_>, Vec<_>) = ruleset.tables.iter().partition(|((family, _), _)| fits(*family));
        let shown = if right.is_empty() { &wrong } else { &right };
        let mut evidence: Vec<Evidence> = Vec::new();
        for ((family, name), table) in shown {
            let place = Evidence::at(&nftables.path(table.file)).line(table.line);
            evidence.push(place.found(format!("table {} {name}", family.name())).expected(&expected));
        }
        if evidence.is_empty() {
            evidence.push(Evidence::at(&nftables.path(0)).found("no table").expected(&expected));
        }
        Ok(Outcome::decide(!right.is_empty(), evidence))
    }
}

impl Kind for NftablesChains {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Firewall);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let firewall = facts.firewall()?;
        let hooks = self.hooks.iter().map(|hook| either(self.judge(firewall, hook)));
        Ok(Outcome::all(hooks))
    }

    fn flaw(&self) -> Option<String> {
        let known = ["ingress", "prerouting", "input", "forward", "output", "postrouting"];
        let wrong = self.hooks.iter().find(|hook| !known.contains(&hook.as_str()));
        match wrong {
            Some(wrong) => Some(format!("'{wrong}' is no hook; known: {}", known.join(", "))),
            None => self.hooks.is_empty().then(|| "an empty list of hooks checks nothing".into()),
        }
    }
}

impl NftablesChains {
    fn judge(&self, firewall: &Firewall, hook: &str) -> Result<Outcome, Outcome> {
        if !self.drop
            && matches!(hook, "input" | "forward" | "output")
            && let Some(place) = of_firewalld(firewall)?
        {
            return Ok(Outcome::pass(vec![place.found(format!("the chain filter_{} of firewalld", hook.to_uppercase()))]));
        }
        let (nftables, ruleset) = in_force(firewall)?;
        let mut outcomes = vec![self.of_version(nftables, ruleset, hook, 4)];
        let of_6 = self.of_version(nftables, ruleset, hook, 6);
        // Most tables see both versions: said once.
        let same = outcomes.contains(&of_6);
        if !same && (of_6.status == Status::Pass || ipv6_is_off(firewall)?.is_none()) {
            outcomes.push(of_6);
        }
        Ok(Outcome::all(outcomes))
    }

    fn of_version(&self, nftables: &Nftables, ruleset: &Ruleset, hook: &str, version: u8) -> Outcome {
        let mut expected = format!("a chain of type filter at hook {hook}");
        for (asked, words) in [(self.drop, " with policy drop"), (self.rules, " with rules")] {
            expected.push_str(if asked { words } else { "" });
        }
        let mut met = false;
        let mut evidence = Vec::new();
        for (table, name, chain, base) in Nftables::at_hook(ruleset, hook, version) {
            if self.drop && base.drops {
                let place = |rule: &PacketRule| Evidence::at(&nftables.path(rule.file)).line(rule.line);
                match of_others(&Nftables::rules(table), name, hook, version) {
                    Fate::Accepted(rule) => {
                        evidence.push((false, place(rule).found(ALL_PASS).expected(&expected)));
                        continue;
                    }
                    Fate::TooMuch => {
                        let place = Evidence::at(&nftables.path(base.file)).line(base.line);
                        return Outcome::unknown(TOO_MUCH, vec![place.expected(&expected)]);
                    }
                    Fate::Dropped(_) | Fate::Undecided => {}
                }
            }
            let fits = (!self.drop || base.drops) && (!self.rules || base.drops || !chain.rules.is_empty());
            met |= fits;
            let policy = if base.drops { "drop" } else { "accept" };
            let found = format!("chain {name} with policy {policy} and {} rules", chain.rules.len());
            evidence.push((fits, Evidence::at(&nftables.path(base.file)).line(base.line).found(found).expected(&expected)));
        }
        // One chain that drops is enough: what it drops, no other one brings back.
        evidence.retain(|(fits, _)| *fits == met);
        if evidence.is_empty() {
            let found = format!("no chain at hook {hook} for version {version} of the Internet Protocol");
            evidence.push((false, Evidence::at(&nftables.path(0)).found(found).expected(&expected)));
        }
        Outcome::decide(met, evidence.into_iter().map(|(_, evidence)| evidence).collect())
    }
}

/// The rules that nftables.service loads; otherwise the failure.
pub(super) fn in_force(firewall: &Firewall) -> Result<(&Nftables, &Ruleset), Outcome> {
    let nftables = known(&firewall.nftables)?;
    started(&nftables.loader)?;
    match &nftables.ruleset {
        Ok(ruleset) => Ok((nftables, ruleset)),
        Err(why) => Err(refusal(why)),
    }
}

/// Where it is said that firewalld makes a table of nftables, if it does.
fn of_firewalld(firewall: &Firewall) -> Result<Option<Evidence>, Outcome> {
    if !firewall.uses(Tool::Firewalld).map_err(|error| unknown(&error))? {
        return Ok(None);
    }
    let firewalld = known(&firewall.firewalld)?;
    let beneath = firewalld.value("FirewallBackend").to_ascii_lowercase();
    let line = firewalld.setting("FirewallBackend").map(|setting| setting.line);
    let place = Evidence::at(&ImagePath::new(crate::facts::firewall::Firewalld::CONF)).line_opt(line);
    // What it does not know, it takes for its default.
    Ok((beneath != "iptables").then_some(place))
}
