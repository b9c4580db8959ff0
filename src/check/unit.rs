//! Units of systemd: there or not, enabled, masked, started.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Kind, Names, unknown};
use crate::facts::units::{Enablement, Init, OnDemand, Start, Units};
use crate::facts::{FactId, Facts, Needs, Unreadable};
use crate::finding::{Evidence, Outcome, Status};
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
    /// The program that it starts is one of these, as a path: `/usr/sbin/auditd`. `/sbin`, `/bin` and `/lib` are those of `/usr`. A program that does
    /// nothing, such as `/bin/true`, fails; with any other one, a script around it for example, it is not known what runs. Together with
    /// `starts = true` only; what a script of System V starts is not asked.
    pub runs: Option<Names>,
    /// What `systemctl is-enabled` says is one of these, for every one of the names.
    pub state: Option<Vec<Enablement>>,
    /// Whether it has processes now; not applicable to an image that is not running.
    pub running: Option<bool>,
}

impl Kind for Unit {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Units);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let units = facts.units()?;
        if let Init::Other(what) = units.init {
            return Ok(Outcome::unknown(format!("the image boots with {what}, whose services are not known"), Vec::new()));
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
            let mut found: Vec<Outcome> =
                asked(wanted).map(|ask| ask(units, name, wanted).unwrap_or_else(|why| unknown(&why))).collect();
            // What does not start runs nothing, and says so already.
            if let Some(programs) = self.runs.as_ref().filter(|_| wanted && found.iter().all(|one| one.status == Status::Pass)) {
                found.push(runs(units, name, programs).unwrap_or_else(|why| unknown(&why)));
            }
            Outcome::all(found)
        };
        let mut outcomes = Vec::new();
        if asked(true).next().is_some() {
            outcomes.push(positive(units, names.iter().map(|name| all_of(name, true)).collect()));
        }
        if asked(false).next().is_some() {
            outcomes.push(Outcome::all(names.iter().map(|name| all_of(name, false))));
        }
        if let Some(wanted) = &self.state {
            outcomes.extend(names.iter().map(|name| state(units, name, wanted).unwrap_or_else(|why| unknown(&why))));
        }
        if names.is_empty() {
            return Ok(Outcome::not_applicable("every unit that is named is left out"));
        }
        Ok(Outcome::all(outcomes))
    }

    fn flaw(&self) -> Option<String> {
        let asks = [self.exists, self.enabled, self.masked, self.starts, self.running];
        if asks.iter().all(Option::is_none) && self.state.is_none() {
            Some("it asks nothing of the unit; known: exists, enabled, masked, starts, state, running".into())
        } else if self.state.as_ref().is_some_and(Vec::is_empty) {
            Some("an empty list of states can never hold".into())
        } else if self.name.0.iter().any(|name| name.is_empty() || name.contains(['/', ' ', '*'])) {
            Some("a name of a unit has no blanks, no slashes and no patterns: cron.service".into())
        } else if self.runs.as_ref().is_some_and(|runs| runs.0.iter().any(|path| !path.starts_with('/'))) {
            Some("'runs' names programs by their whole path: /usr/sbin/auditd".into())
        } else if self.runs.is_some() && self.starts != Some(true) {
            Some("'runs' goes with 'starts = true': what does not start runs nothing".into())
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
    if units.init == Init::None && combined.status == Status::Fail {
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
    Ok(if outcome.status == Status::Pass { Outcome::pass(vec![evidence]) } else { outcome })
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
    if wanted
        && met
        && let Some(hindrance) = units.hindrance(name)?
    {
        let place = Evidence::at(&hindrance.path).line_opt(hindrance.line).found(&hindrance.found);
        let place = place.expected(expected(name, true, "started")).because(hindrance.because);
        if hindrance.certain {
            return Ok(Outcome::fail(vec![place]));
        }
        return Ok(Outcome::unknown(format!("{}: {}", hindrance.found, hindrance.because), vec![place]));
    }
    // What fails by configuration fails, whatever runs; what is right by configuration has to be so now as well.
    let is_daemon = name.ends_with(".service") && !is_oneshot(units, name)?;
    if !met || !is_daemon || matches!(start, Start::OnDemand(..)) {
        return Ok(Outcome::decide(met, vec![evidence]));
    }
    match units.is_running(name)? {
        Some(now) if now != wanted => {
            let found = if now { "running" } else { "not running" };
            let configured = if wanted { "started" } else { "not started" };
            let because = format!("{configured} by configuration, but {found} now");
            Ok(Outcome::fail(vec![evidence.found(found).because(because)]))
        }
        _ => Ok(Outcome::pass(vec![evidence])),
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

/// Programs that do nothing, whatever they are given.
const IDLE: [&str; 4] = ["true", "false", "echo", "sleep"];

/// Whether the program that a unit starts is one of these.
fn runs(units: &Units, name: &str, programs: &Names) -> Result<Outcome, Unreadable> {
    let commands = units.property(name, "Service", "ExecStart")?;
    let expected = format!("{} running {}", printable(name.as_bytes()), programs.0.join(" or "));
    let mut evidence = Vec::new();
    let mut is_idle = true;
    for command in &commands {
        let program = program(&command.text);
        let place = Evidence::at(&command.path).line(command.line).found(&command.text).expected(expected.clone());
        if programs.0.iter().any(|wanted| is_same(wanted, &program)) {
            return Ok(Outcome::pass(vec![place]));
        }
        is_idle &= IDLE.iter().any(|idle| ImagePath::new(&program).file_name() == idle.as_bytes());
        evidence.push(place.because("another program starts in its place"));
    }
    Ok(match commands.first() {
        // A generator makes the unit from a script, and what that starts is not followed.
        None => Outcome::pass(vec![place(units, name)?.found("no command of its own")]),
        Some(_) if is_idle => Outcome::fail(evidence),
        Some(first) => {
            let why = format!("what {} runs is not followed", printable(program(&first.text).as_bytes()));
            Outcome::unknown(why, evidence)
        }
    })
}

/// The program of a command, without the characters before it and without quotes (`systemd.service(5)`).
fn program(command: &str) -> String {
    let text = command.trim_start_matches(['@', '-', ':', '+', '!', '|']);
    match text.chars().next().filter(|quote| matches!(quote, '"' | '\'')) {
        Some(quote) => text.split(quote).nth(1).unwrap_or_default().to_owned(),
        None => text.split_ascii_whitespace().next().unwrap_or_default().to_owned(),
    }
}

/// Whether two paths are of one program where `/bin`, `/sbin` and `/lib` are links into `/usr`; a name alone is looked up in the directories of
/// programs.
fn is_same(wanted: &str, program: &str) -> bool {
    let merged = |path: &str| {
        let path = path.strip_prefix("/usr").unwrap_or(path);
        path.strip_prefix("/sbin/").map_or_else(|| path.to_owned(), |name| format!("/bin/{name}"))
    };
    let program = if program.contains('/') { program.to_owned() } else { format!("/bin/{program}") };
    merged(wanted) == merged(&program)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Target;
    use crate::finding::Status;
    use crate::image::{MemoryImage, Rootfs};

    const GROUP: &str = "/sys/fs/cgroup/system.slice/a.service/cgroup.events";

    fn base() -> MemoryImage {
        MemoryImage::new()
            .file("/etc/machine-id", "0123456789abcdef0123456789abcdef")
            .link("/usr/lib/systemd/system/default.target", "multi-user.target")
            .file("/usr/lib/systemd/system/multi-user.target", "[Unit]\nDescription=m\n")
            .file("/usr/lib/systemd/system/a.service", "[Service]\nExecStart=/x\n[Install]\nWantedBy=multi-user.target\n")
    }

    fn enabled_base() -> MemoryImage {
        base().link("/etc/systemd/system/multi-user.target.wants/a.service", "/usr/lib/systemd/system/a.service")
    }

    fn judged(toml: &str, image: &MemoryImage, running: Option<&MemoryImage>) -> Outcome {
        let check: Unit = toml::from_str(toml).unwrap();
        assert_eq!(check.flaw(), None);
        let mut target = Target::image(Rootfs::new(image), jiff::civil::date(2026, 1, 1));
        target.running = running.map(|running| Rootfs::new(running));
        let facts = Facts::gather(target, |facts, needs| check.needs(facts, needs));
        check.evaluate(&facts)
    }

    #[test]
    fn what_is_right_by_configuration_has_to_be_so_now() {
        let on = MemoryImage::new().file(GROUP, "populated 1\n");
        let off = MemoryImage::new().file(GROUP, "populated 0\n");
        for (image, wanted, running, status) in [
            (enabled_base(), true, &on, Status::Pass),
            (enabled_base(), true, &off, Status::Fail),
            (base(), false, &off, Status::Pass),
            (base(), false, &on, Status::Fail),
        ] {
            assert_eq!(judged(&format!("name = 'a'\nstarts = {wanted}"), &image, Some(running)).status, status);
        }
    }

    #[test]
    fn where_what_runs_is_not_known_configuration_alone_can_fail_but_not_pass() {
        let none = MemoryImage::new();
        let booted = |image: MemoryImage| image.directory("/run/systemd/system");
        for (image, wanted, status) in [
            (booted(base()), true, Status::Fail),
            (booted(enabled_base()), false, Status::Fail),
            (booted(enabled_base()), true, Status::Unknown),
            (booted(base()), false, Status::Unknown),
        ] {
            assert_eq!(judged(&format!("name = 'a'\nstarts = {wanted}"), &image, Some(&none)).status, status);
        }
    }

    #[test]
    fn of_several_names_one_is_enough_to_be_wanted_and_one_too_many_to_be_refused() {
        let image = enabled_base();
        assert_eq!(judged("name = ['gone', 'a']\nstarts = true", &image, None).status, Status::Pass);
        assert_eq!(judged("name = ['gone', 'a']\nenabled = false", &image, None).status, Status::Fail);
        assert_eq!(judged("name = ['gone', 'a']\nexcept = 'a'\nenabled = false", &image, None).status, Status::Pass);
    }

    #[test]
    fn the_state_as_systemctl_writes_it() {
        assert_eq!(judged("name = 'a'\nstate = ['disabled', 'masked']", &base(), None).status, Status::Pass);
        assert_eq!(judged("name = 'a'\nstate = ['disabled', 'masked']", &enabled_base(), None).status, Status::Fail);
    }

    #[test]
    fn without_an_init_system_nothing_starts_and_with_another_nothing_is_known() {
        let container = MemoryImage::new();
        let outcome = judged("name = 'a'\nstarts = true", &container, None);
        assert_eq!(outcome.status, Status::Fail);
        assert!(outcome.reason.unwrap().contains("no init system"));
        assert_eq!(judged("name = 'a'\nenabled = false", &container, None).status, Status::Pass);
        let other = MemoryImage::new().file("/sbin/openrc", "x");
        assert_eq!(judged("name = 'a'\nenabled = false", &other, None).status, Status::Unknown);
    }

    #[test]
    fn a_unit_that_starts_another_program_does_not_run_the_daemon() {
        let with = |command: &str| {
            let image = enabled_base()
                .file("/usr/sbin/ad", "x")
                .file("/opt/start", "x")
                .file("/usr/bin/true", "x")
                .file("/bin/true", "x");
            let image = image.file("/sbin/ad", "x").file("/usr/bin/ad", "x");
            image.file("/etc/systemd/system/a.service.d/x.conf", format!("[Service]\nExecStart=\nExecStart={command}\n"))
        };
        for (command, status) in [
            ("/usr/sbin/ad -n", Status::Pass),
            ("@-!/sbin/ad ad", Status::Pass),
            ("\"/usr/bin/ad\" -n", Status::Pass),
            ("/bin/true", Status::Fail),
            ("-/usr/bin/true /usr/sbin/ad", Status::Fail),
            ("/opt/start", Status::Unknown),
            ("/opt/start /usr/sbin/ad", Status::Unknown),
        ] {
            let outcome = judged("name = 'a'\nstarts = true\nruns = '/usr/sbin/ad'", &with(command), None);
            assert_eq!(outcome.status, status, "{command} {outcome:?}");
        }
        let wrong = |text: &str| toml::from_str::<Unit>(text).unwrap().flaw().is_some();
        assert!(wrong("name = 'a'\nstarts = true\nruns = 'ad'"));
        assert!(wrong("name = 'a'\nenabled = true\nruns = '/usr/sbin/ad'"));
    }

    #[test]
    fn what_runs_is_no_question_to_an_image() {
        assert_eq!(judged("name = 'a'\nrunning = true", &base(), None).status, Status::NotApplicable);
    }
}
