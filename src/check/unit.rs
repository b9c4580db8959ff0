//! Units of systemd: there or not, enabled, masked, started.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Kind, Names, unknown};
use crate::facts::units::{Enablement, Init, OnDemand, Start, Units};
use crate::facts::{FactId, Facts, Needs, Unreadable};
use crate::finding::{Evidence, Outcome};
use crate::path::{ImagePath, printable};

/// A unit of systemd, as it will be once the image has booted: links, masks, aliases, drop-ins, scripts of System V and the presets of a
/// first boot are taken into account. A name without a type is a service.
///
/// Of several names, what has to be so (`true`) has to be so of one of them, and what must not be (`false`) must not be of any: the
/// same service has different names on different systems. A unit that is not there is neither enabled nor started nor masked. On a running machine
/// what starts has to be running as well, and what does not start must not be.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Unit {
    /// Names of the unit. Other names (aliases) of the same unit are found by themselves.
    pub name: Names,
    /// Units that do not count, under any of their names.
    pub except: Option<Names>,
    /// Whether there is such a unit, masked or not.
    pub exists: Option<bool>,
    /// Whether it is enabled. `false`: nor does anything else start it, at boot or on demand: another unit, a socket, a timer, a path, the
    /// system bus, a device.
    pub enabled: Option<bool>,
    /// Whether it is masked, so that nothing can start it.
    pub masked: Option<bool>,
    /// Whether it starts: at boot, or by a socket, timer or path that is there from boot on. `true`: and no condition that the files of
    /// the image decide keeps it from running. `false`: nor by the system bus or a device.
    pub starts: Option<bool>,
    /// What `systemctl is-enabled` says is one of these, for every one of the names.
    pub state: Option<Vec<Enablement>>,
    /// Whether it has processes now; not applicable to an image that is not running.
    pub running: Option<bool>,
}

impl Kind for Unit {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Units);
    }

    fn evaluate(&self, facts: &Facts<'_>) -> Outcome {
        let units = match facts.units() {
            Ok(units) => units,
            Err(unreadable) => return unknown(&unreadable),
        };
        if let Init::Other(what) = units.init {
            return Outcome::unknown(format!("the image boots with {what}, whose services are not known"), Vec::new());
        }
        let names = self.names(units);
        let asks: [(Option<bool>, Ask); 5] = [
            (self.exists, exists),
            (self.masked, masked),
            (self.enabled, enabled),
            (self.starts, starts),
            (self.running, running),
        ];
        let asked = |wanted: bool| asks.iter().filter(move |(ask, _)| *ask == Some(wanted)).map(|(_, ask)| ask);
        let all_of = |name: &String, wanted: bool| {
            Outcome::all(asked(wanted).map(|ask| ask(units, name, wanted).unwrap_or_else(|why| unknown(&why))).collect())
        };
        let mut outcomes = Vec::new();
        if asked(true).next().is_some() {
            outcomes.push(positive(units, names.iter().map(|name| all_of(name, true)).collect()));
        }
        if asked(false).next().is_some() {
            outcomes.push(Outcome::all(names.iter().map(|name| all_of(name, false)).collect()));
        }
        if let Some(wanted) = &self.state {
            outcomes.extend(names.iter().map(|name| state(units, name, wanted).unwrap_or_else(|why| unknown(&why))));
        }
        if names.is_empty() {
            return Outcome::not_applicable("every unit that is named is left out");
        }
        Outcome::all(outcomes)
    }

    fn flaw(&self) -> Option<String> {
        let asks = [self.exists, self.enabled, self.masked, self.starts, self.running];
        if asks.iter().all(Option::is_none) && self.state.is_none() {
            Some("it asks nothing of the unit; known: exists, enabled, masked, starts, state, running".into())
        } else if self.state.as_ref().is_some_and(Vec::is_empty) {
            Some("an empty list of states can never hold".into())
        } else if self.name.0.iter().any(|name| name.is_empty() || name.contains(['/', ' ', '*'])) {
            Some("a name of a unit has no blanks, no slashes and no patterns: cron.service".into())
        } else {
            None
        }
    }
}

/// Whether something is so of one unit.
type Ask = fn(&Units, &str, bool) -> Result<Outcome, Unreadable>;

impl Unit {
    /// The names that count, each unit once.
    fn names(&self, units: &Units) -> Vec<String> {
        let left_out: Vec<String> = self.except.iter().flat_map(|names| &names.0).map(|name| units.own_name(name)).collect();
        let mut seen = Vec::new();
        for name in &self.name.0 {
            let own = units.own_name(name);
            // A masked name has no other; its own is then the one to show.
            if !left_out.contains(&own) && !seen.contains(&own) {
                seen.push(own);
            }
        }
        seen
    }
}

/// One of the names is enough; of those that fail, units that are not there say the least.
fn positive(units: &Units, outcomes: Vec<Outcome>) -> Outcome {
    let combined = Outcome::any(outcomes);
    if units.init == Init::None && combined.status == crate::finding::Status::Fail {
        return combined.because("there is no init system here: no service starts");
    }
    combined
}

fn expected(name: &str, wanted: bool, what: &str) -> String {
    format!("{} {}{what}", printable(name.as_bytes()), if wanted { "" } else { "not " })
}

/// Where a unit is or would be.
fn place(units: &Units, name: &str) -> Result<Evidence, Unreadable> {
    let path = units.file(name)?.unwrap_or_else(|| ImagePath::new("/etc/systemd/system").join(name));
    Ok(Evidence::at(&path))
}

fn exists(units: &Units, name: &str, wanted: bool) -> Result<Outcome, Unreadable> {
    let there = units.exists(name)?;
    let found = if there { "a unit" } else { "no such unit" };
    Ok(Outcome::decide(there == wanted, vec![place(units, name)?.found(found).expected(expected(name, wanted, "there"))]))
}

fn masked(units: &Units, name: &str, wanted: bool) -> Result<Outcome, Unreadable> {
    let mask = units.mask(name)?;
    let found = if mask.is_some() { "masked" } else { "not masked" };
    Ok(Outcome::decide(
        mask.is_some() == wanted,
        vec![place(units, name)?.found(found).expected(expected(name, wanted, "masked"))],
    ))
}

fn enabled(units: &Units, name: &str, wanted: bool) -> Result<Outcome, Unreadable> {
    let state = units.state(name)?;
    let is_enabled = match state.kind {
        Enablement::Enabled | Enablement::EnabledRuntime => true,
        // A script is enabled where a run level has a link to it.
        Enablement::Generated => matches!(units.starts(name)?, Start::AtBoot(_)),
        _ => false,
    };
    let place = match &state.path {
        Some(path) => Evidence::at(path).line_opt(state.line),
        None => place(units, name)?,
    };
    let mut evidence = place.found(state.kind.name()).expected(expected(name, wanted, "enabled"));
    evidence.because.clone_from(&state.because);
    if wanted || is_enabled {
        return Ok(Outcome::decide(is_enabled == wanted, vec![evidence]));
    }
    // What is not enabled itself may still be started.
    let outcome = starts(units, name, false)?;
    Ok(if outcome.status == crate::finding::Status::Pass { Outcome::pass(vec![evidence]) } else { outcome })
}

fn starts(units: &Units, name: &str, wanted: bool) -> Result<Outcome, Unreadable> {
    let start = units.starts(name)?;
    let (met, found, steps) = match &start {
        Start::AtBoot(steps) => (wanted, "started at boot".to_owned(), steps.as_slice()),
        Start::OnDemand(how, steps) => (wanted && how.is_armed(), format!("started by {}", words(*how)), steps.as_slice()),
        Start::No => (!wanted, if units.mask(name)?.is_some() { "masked".to_owned() } else { "not started".to_owned() }, &[][..]),
    };
    let at = steps.iter().rev().find_map(|step| step.via.place());
    let place = match at {
        Some((path, line)) => Evidence::at(path).line_opt(line),
        None => place(units, name)?,
    };
    let mut evidence = place.found(found).expected(expected(name, wanted, "started"));
    if !steps.is_empty() {
        evidence.because = Some(steps.iter().map(crate::facts::units::Step::words).collect::<Vec<_>>().join(", "));
    }
    if let Some(condition) = units.unmet_condition(name)?.filter(|_| !steps.is_empty()) {
        let unmet = Evidence::at(&condition.path).line(condition.line).found(&condition.text);
        let unmet = unmet.expected("a condition that is met").because("the unit is passed over at boot");
        // A file is soon there: what only a condition keeps from running counts as started where it must not be.
        if wanted {
            return Ok(Outcome::fail(vec![unmet]));
        }
        return Ok(Outcome::decide(met, vec![evidence, unmet.expected("")]));
    }
    let now = units.is_running(name).or_else(|why| if steps.is_empty() && !wanted { Ok(None) } else { Err(why) })?;
    let is_daemon = name.ends_with(".service") && !is_oneshot(units, name)?;
    match now {
        Some(now) if met && is_daemon && now != wanted && !matches!(start, Start::OnDemand(..)) => {
            let found = if now { "running" } else { "not running" };
            let evidence = evidence
                .found(found)
                .because(format!("{} by configuration, but {found} now", if wanted { "started" } else { "not started" }));
            Ok(Outcome::fail(vec![evidence]))
        }
        _ => Ok(Outcome::decide(met, vec![evidence])),
    }
}

fn is_oneshot(units: &Units, name: &str) -> Result<bool, Unreadable> {
    Ok(units.property(name, "Service", "Type")?.last().is_some_and(|value| value.text == "oneshot"))
}

fn running(units: &Units, name: &str, wanted: bool) -> Result<Outcome, Unreadable> {
    let Some(now) = units.is_running(name)? else {
        return Ok(Outcome::not_applicable("what runs is known of a running machine only"));
    };
    let found = if now { "running" } else { "not running" };
    Ok(Outcome::decide(now == wanted, vec![place(units, name)?.found(found).expected(expected(name, wanted, "running"))]))
}

fn state(units: &Units, name: &str, wanted: &[Enablement]) -> Result<Outcome, Unreadable> {
    let state = units.state(name)?;
    let place = match &state.path {
        Some(path) => Evidence::at(path).line_opt(state.line),
        None => place(units, name)?,
    };
    let words = wanted.iter().map(|state| state.name()).collect::<Vec<_>>().join(" or ");
    let mut evidence = place.found(state.kind.name()).expected(format!("{} {words}", printable(name.as_bytes())));
    evidence.because.clone_from(&state.because);
    Ok(Outcome::decide(wanted.contains(&state.kind), vec![evidence]))
}

fn words(how: OnDemand) -> &'static str {
    match how {
        OnDemand::Socket => "a socket",
        OnDemand::Timer => "a timer",
        OnDemand::Path => "a watched path",
        OnDemand::Bus => "the system bus",
        OnDemand::Device => "a device",
    }
}
