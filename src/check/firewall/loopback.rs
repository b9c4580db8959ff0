//! Traffic of the machine with itself.

use schemars::JsonSchema;
use serde::Deserialize;

use super::nftables::in_force;
use super::{TOO_MUCH, either, ipv6_is_off, known, loaded, saved};
use crate::check::{Kind, unknown};
use crate::facts::firewall::{Chains, Fate, Nftables, Packets, Way};
use crate::facts::{FactId, Facts, Firewall, Needs, Unreadable};
use crate::finding::{Evidence, Outcome};
use crate::path::ImagePath;
use crate::syntax::packet_rule::PacketRule;

/// What comes through the loopback interface is let through, and what comes from outside under an address of the machine itself
/// (`127.0.0.0/8`, `::1`) is thrown away by a rule that names it. iptables and ufw let through what leaves through loopback as well.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LoopbackTraffic {
    /// Whose rules are asked.
    pub tool: RulesOf,
}

/// A set of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RulesOf {
    /// What nftables.service loads, for both versions of the Internet Protocol.
    Nftables,
    /// Saved rules of version 4.
    Iptables,
    /// Saved rules of version 6.
    Ip6tables,
    /// The rules of ufw, for both versions.
    Ufw,
}

impl Kind for LoopbackTraffic {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Firewall);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let firewall = facts.firewall()?;
        Ok(either(match self.tool {
            RulesOf::Nftables => nftables(firewall),
            RulesOf::Iptables => iptables(firewall, 4),
            RulesOf::Ip6tables => iptables(firewall, 6),
            RulesOf::Ufw => ufw(firewall),
        }))
    }
}

/// A chain that packets begin in, and where its rules lie.
struct Begin<'c> {
    chains: Chains<'c>,
    name: &'c str,
    place: Box<dyn Fn(&PacketRule) -> Evidence + 'c>,
    /// Where a rule that is missing would be.
    home: ImagePath,
}

impl Begin<'_> {
    fn fate(&self, packets: Packets) -> Fate<'_> {
        packets.through(&self.chains, self.name)
    }

    /// That a rule lets loopback through.
    fn passes(&self, version: u8, way: Way) -> Outcome {
        let words = if way == Way::ToLoopback { "to" } else { "from" };
        let expected = format!("a rule that lets through what comes {words} the loopback interface (IPv{version})");
        match self.fate(Packets { version, way, from_loopback: true, others: false }) {
            Fate::Accepted(rule) => Outcome::pass(vec![(self.place)(rule).found("let through").expected(expected)]),
            Fate::Dropped(rule) => Outcome::fail(vec![(self.place)(rule).found("a rule that throws it away").expected(expected)]),
            Fate::Undecided => Outcome::fail(vec![Evidence::at(&self.home).found("no such rule").expected(expected)]),
            Fate::TooMuch => Outcome::unknown(TOO_MUCH, vec![Evidence::at(&self.home)]),
        }
    }

    /// That a rule of its own throws away what comes from outside under an address of loopback.
    fn refuses(&self, version: u8) -> Outcome {
        let network = if version == 4 { "127.0.0.0/8" } else { "::1" };
        let expected = format!("a rule that throws away what comes from {network} through other interfaces");
        match self.fate(Packets { version, way: Way::FromOutside, from_loopback: true, others: false }) {
            Fate::Dropped(rule) if rule.source.is_some() => {
                Outcome::pass(vec![(self.place)(rule).found("thrown away").expected(expected)])
            }
            Fate::Dropped(rule) => {
                let because = "what other rules let through before goes by it";
                let place = (self.place)(rule).found("thrown away with everything else only");
                Outcome::fail(vec![place.expected(expected).because(because)])
            }
            Fate::Accepted(rule) => {
                Outcome::fail(vec![(self.place)(rule).found("let through by this rule before any other").expected(expected)])
            }
            Fate::Undecided => Outcome::fail(vec![Evidence::at(&self.home).found("no such rule").expected(expected)]),
            Fate::TooMuch => Outcome::unknown(TOO_MUCH, vec![Evidence::at(&self.home)]),
        }
    }
}

fn nftables(firewall: &Firewall) -> Result<Outcome, Outcome> {
    let (nftables, ruleset) = in_force(firewall)?;
    let mut outcomes = Vec::new();
    for version in [4, 6] {
        if version == 6 && ipv6_is_off(firewall)?.is_some() {
            continue;
        }
        let begins: Vec<Begin<'_>> = Nftables::at_hook(ruleset, "input", version)
            .map(|(table, name, chain, _)| Begin {
                chains: Nftables::rules(table),
                name,
                place: Box::new(|rule| Evidence::at(&nftables.path(rule.file)).line(rule.line)),
                home: nftables.path(chain.file),
            })
            .collect();
        if begins.is_empty() {
            let found = format!("no chain at hook input for version {version} of the Internet Protocol");
            outcomes.push(Outcome::fail(vec![Evidence::at(&nftables.path(0)).found(found).expected("rules for loopback")]));
            continue;
        }
        // A packet has to be let through by every chain at the hook, and one that throws it away is enough.
        let passes = begins.iter().map(|begin| begin.passes(version, Way::FromLoopback));
        let thrown = begins.iter().any(|begin| {
            matches!(
                begin.fate(Packets { version, way: Way::FromLoopback, from_loopback: true, others: false }),
                Fate::Dropped(_)
            )
        });
        outcomes.push(if thrown { Outcome::all(passes) } else { Outcome::any(passes) });
        outcomes.push(Outcome::any(begins.iter().map(|begin| begin.refuses(version))));
    }
    Ok(Outcome::all(outcomes))
}

fn iptables(firewall: &Firewall, version: u8) -> Result<Outcome, Outcome> {
    if version == 6
        && let Some(pass) = ipv6_is_off(firewall)?
    {
        return Ok(pass);
    }
    let saved = saved(firewall, version)?;
    let filter = loaded(saved)?;
    let chains: Chains<'_> = filter.chains.iter().map(|chain| (chain.name.as_str(), chain.rules.as_slice())).collect();
    let begin = |name| Begin {
        chains: chains.clone(),
        name,
        place: Box::new(|rule: &PacketRule| Evidence::at(&saved.path).line(rule.line)),
        home: saved.path.clone(),
    };
    let (input, output) = (begin("INPUT"), begin("OUTPUT"));
    let outcomes =
        vec![input.passes(version, Way::FromLoopback), output.passes(version, Way::ToLoopback), input.refuses(version)];
    Ok(Outcome::all(outcomes))
}

fn ufw(firewall: &Firewall) -> Result<Outcome, Outcome> {
    let ufw = known(&firewall.ufw)?;
    super::started(&ufw.loader)?;
    if !ufw.is_active() {
        return Err(super::ufw::off(ufw));
    }
    let mut outcomes = Vec::new();
    for (version, rules) in [(4, &ufw.v4), (6, &ufw.v6)] {
        if version == 6 && ipv6_is_off(firewall)?.is_some() {
            continue;
        }
        let rules = known(rules)?;
        if let Some(doubt) = rules.doubt() {
            outcomes.push(unknown(&doubt));
            continue;
        }
        let begin = |name| Begin {
            chains: rules.chains(),
            name,
            place: Box::new(|rule: &PacketRule| Evidence::at(&rules.path(rule)).line(rule.line)),
            home: ImagePath::new(if version == 4 { "/etc/ufw/user.rules" } else { "/etc/ufw/user6.rules" }),
        };
        let input = begin("INPUT");
        outcomes.push(input.passes(version, Way::FromLoopback));
        outcomes.push(begin("OUTPUT").passes(version, Way::ToLoopback));
        if version == 4 || ufw.handles_ipv6() {
            outcomes.push(input.refuses(version));
        }
    }
    Ok(Outcome::all(outcomes))
}
