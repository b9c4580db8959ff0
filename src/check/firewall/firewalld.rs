//! Settings and zones of firewalld.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{either, ipv6_is_off, known, started};
use crate::check::matcher::matched;
use crate::check::{Kind, Observed};
use crate::facts::firewall::{Firewalld, PlacedZone};
use crate::facts::{FactId, Facts, Firewall, Needs, Unreadable};
use crate::finding::{Evidence, Outcome};
use crate::path::ImagePath;
use crate::syntax::firewalld::RichRule;
use crate::syntax::packet_rule::Network;

matched! {
    /// A setting of `firewalld.conf(5)`, written or built in.
    pub struct FirewalldSetting {
        /// Its name, such as `DefaultZone`.
        pub key: String,
    }
}

/// What the zones of firewalld do, where it starts at boot.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FirewalldZones {
    /// The loopback interface is in this zone, which lets everything through.
    pub loopback_in: Option<String>,
    /// Rich rules of this zone throw away what comes from an address of loopback and goes to another one, for each version of the Internet
    /// Protocol that is not off.
    pub loopback_guarded_in: Option<String>,
    /// `true`: no zone that packets from outside go through lets everything through: the default one, those with interfaces or
    /// sources, those that network profiles name.
    #[serde(default)]
    pub refuse: bool,
}

impl Kind for FirewalldSetting {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Firewall);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let firewalld = match known(&facts.firewall()?.firewalld) {
            Ok(firewalld) => firewalld,
            Err(outcome) => return Ok(outcome),
        };
        let place = Evidence::at(&ImagePath::new(Firewalld::CONF));
        Ok(match (firewalld.setting(&self.key), Firewalld::default_of(&self.key)) {
            (Some(setting), _) => self.matcher().judge(Some(&Observed::new(&setting.value)), place.line(setting.line)),
            (None, default) => {
                let place = place.because("not set: built into firewalld");
                self.matcher().judge(default.map(Observed::new).as_ref(), place)
            }
        })
    }

    fn flaw(&self) -> Option<String> {
        let unheard_of =
            || Firewalld::default_of(&self.key).is_none().then(|| format!("firewalld has no setting '{}'", self.key));
        self.matcher().flaw().or_else(unheard_of)
    }
}

impl Kind for FirewalldZones {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Firewall);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let firewall = facts.firewall()?;
        Ok(either(self.judge(firewall)))
    }

    fn flaw(&self) -> Option<String> {
        (self.loopback_in.is_none() && self.loopback_guarded_in.is_none() && !self.refuse)
            .then(|| "it asks nothing of the zones; known: loopback-in, loopback-guarded-in, refuse".into())
    }
}

impl FirewalldZones {
    fn judge(&self, firewall: &Firewall) -> Result<Outcome, Outcome> {
        let firewalld = known(&firewall.firewalld)?;
        started(&firewalld.loader)?;
        let mut outcomes = Vec::new();
        if let Some(name) = &self.loopback_in {
            outcomes.push(zone(firewalld, name).map_or_else(|outcome| outcome, has_loopback));
        }
        if let Some(name) = &self.loopback_guarded_in {
            let both = ipv6_is_off(firewall)?.is_none();
            outcomes.push(zone(firewalld, name).map_or_else(|outcome| outcome, |placed| is_guarded(placed, both)));
        }
        if self.refuse {
            outcomes
                .extend(firewalld.active().into_iter().map(|name| zone(firewalld, name).map_or_else(|outcome| outcome, refuses)));
        }
        Ok(Outcome::all(outcomes))
    }
}

fn zone<'f>(firewalld: &'f Firewalld, name: &str) -> Result<&'f PlacedZone, Outcome> {
    firewalld.zones.get(name).ok_or_else(|| {
        let path = ImagePath::new("/etc/firewalld/zones").join(format!("{name}.xml"));
        Outcome::fail(vec![Evidence::at(&path).found("no such zone").expected("a zone that firewalld knows")])
    })
}

/// A file in `/etc` that firewalld refuses leaves the package's own in force.
fn with_refused(mut evidence: Evidence, placed: &PlacedZone) -> Evidence {
    if let Some((path, line, reason)) = &placed.refused {
        evidence = evidence.because(format!("firewalld refuses {path}:{line}: {reason}"));
    }
    evidence
}

fn has_loopback(placed: &PlacedZone) -> Outcome {
    let expected = "the interface lo in a zone that lets everything through";
    let lo = placed.zone.interfaces.iter().find(|(name, _)| name == "lo");
    let target = placed.zone.target.as_deref().unwrap_or("default");
    let line = lo.map_or(placed.zone.line, |(_, line)| *line);
    let found = format!("{} in a zone with target {target}", if lo.is_some() { "lo" } else { "no interface lo" });
    let evidence = with_refused(Evidence::at(&placed.path).line(line).found(found).expected(expected), placed);
    Outcome::decide(lo.is_some() && target == "ACCEPT", vec![evidence])
}

fn is_guarded(placed: &PlacedZone, both: bool) -> Outcome {
    let [own4, own6] = Network::LOOPBACK;
    let families = [("ipv4", own4, true), ("ipv6", own6, both)];
    let outcomes = families.into_iter().filter(|(.., asked)| *asked).map(|(family, own, _)| {
        let expected = format!("a rich rule that throws away what comes from {} and goes elsewhere", own.address);
        let guards = |rule: &&RichRule| {
            let is_own =
                |text: &str| Network::parse(text).is_some_and(|network| network.meets(&own) && network.length >= own.length);
            rule.family.as_deref().is_none_or(|named| named == family)
                && !rule.narrowed
                && matches!(rule.action.as_deref(), Some("drop" | "reject"))
                && rule.source.as_ref().is_some_and(|(address, except)| !except && is_own(address))
                && rule.destination.as_ref().is_some_and(|(address, except)| *except && is_own(address))
        };
        let place = Evidence::at(&placed.path).expected(expected);
        if let Some(rule) = placed.zone.rules.iter().find(guards) {
            return Outcome::pass(vec![place.line(rule.line).found("such a rule")]);
        }
        let found = format!("{} rich rules, none of them", placed.zone.rules.len());
        Outcome::fail(vec![with_refused(place.line(placed.zone.line).found(found), placed)])
    });
    Outcome::all(outcomes)
}

fn refuses(placed: &PlacedZone) -> Outcome {
    let target = placed.zone.target.as_deref().unwrap_or("default");
    let place = Evidence::at(&placed.path).line(placed.zone.line).found(format!("target {target}"));
    let place = place.expected("a target that refuses what no rule lets through");
    Outcome::decide(target != "ACCEPT", vec![with_refused(place, placed)])
}
