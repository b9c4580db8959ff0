//! What has AIDE compare from time to time: jobs of cron and timers of systemd, and the configuration that each of them makes it read.
//!
//! Only the program that is started counts, and only where it is in the image. Debian's `aide` has no configuration built in and stops
//! without `--config`; its wrappers name `/etc/aide/aide.conf`. Red Hat's has `/etc/aide.conf` built in.

use super::command_line::{Started, started};
use super::{CONFIGS, Fact, Unreadable};
use crate::facts::packages::Family;
use crate::facts::units::{Init, Start};
use crate::facts::{CronJob, Facts, command};
use crate::image::{FileKind, Rootfs};
use crate::path::{ImagePath, printable};
use crate::syntax::shell_assignments;

/// Something that has AIDE compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AideJob {
    /// The table, script or timer.
    pub path: ImagePath,
    /// The line of a table, from 1.
    pub line: Option<u32>,
    /// How often.
    pub often: Often,
    /// What it is, in words that are safe to show; for an idle one why it compares nothing.
    pub found: String,
    /// Whether it never compares anything.
    pub idle: bool,
    /// The configuration it makes AIDE read, where that is known.
    pub config: Option<ImagePath>,
}

/// How often a job runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Often {
    /// The most days between two runs of cron.
    Days(u32),
    /// At boot alone.
    Boot,
    /// As a timer says.
    Timer,
}

/// Bytes of the program that are searched for the name of a configuration: the largest build has about two megabytes.
const MAX_PROGRAM: u64 = 4 << 20;

/// The header alone of a program for 64 bits (`elf(5)`). What is no larger is the model of a program, as trees for tests have, and tells nothing.
const MAX_MODEL: u64 = 64;

/// Folders of a search path; no real one has so many.
const MAX_FOLDERS: usize = 64;

/// Where systemd looks for a program (`systemd.service(5)`), and where AIDE is asked for its configuration.
const SEARCHED: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What Debian's wrappers read before they start.
const DEFAULTS: &str = "/etc/default/aide";

/// Everything that has AIDE compare, and what could not be found out about others.
pub(super) fn gather(facts: &Facts<'_>) -> (Vec<AideJob>, Vec<Unreadable>) {
    let (mut jobs, mut doubts) = (Vec::new(), Vec::new());
    match timers(facts) {
        Ok(found) => jobs.extend(found),
        Err(doubt) => doubts.push(doubt),
    }
    match facts.cron() {
        Ok(cron) => {
            doubts.extend(cron.doubts.iter().cloned());
            for job in &cron.jobs {
                match of_cron(facts, job) {
                    Ok(found) => jobs.extend(found),
                    Err(doubt) => doubts.push(doubt),
                }
            }
        }
        Err(doubt) => doubts.push(doubt),
    }
    (jobs, doubts)
}

fn of_cron(facts: &Facts<'_>, job: &CronJob) -> Fact<Option<AideJob>> {
    let text = if job.line.is_some() { before_percent(&job.runs) } else { job.runs.clone() };
    let often = job.days.map_or(Often::Boot, Often::Days);
    let words = match job.days {
        Some(days) => format!("up to {days} days between two runs"),
        None => "runs at boot alone".to_owned(),
    };
    let mut last = None;
    for start in started(text.as_bytes()) {
        let (idle, found, config) = match outcome(facts, &start, &job.search)? {
            _ if job.yields_to_systemd && facts.units()?.init == Init::Systemd => {
                (true, "leaves its work to systemd where that runs".to_owned(), None)
            }
            Ok(config) => (false, words.clone(), config),
            Err(why) => (true, why, None),
        };
        let found = AideJob { path: job.path.clone(), line: job.line, often, found, idle, config };
        if !idle {
            return Ok(Some(found));
        }
        last.get_or_insert(found);
    }
    Ok(last)
}

/// What cron hands to the shell: all before the first `%` that is not escaped (`crontab(5)`).
fn before_percent(command: &str) -> String {
    let mut text = String::new();
    let mut signs = command.chars().peekable();
    while let Some(sign) = signs.next() {
        match sign {
            '%' => break,
            '\\' if signs.peek() == Some(&'%') => {
                text.push('%');
                signs.next();
            }
            _ => text.push(sign),
        }
    }
    text
}

/// Timers that run AIDE, and those that by their name should.
fn timers(facts: &Facts<'_>) -> Fact<Vec<AideJob>> {
    let units = facts.units()?;
    let mut jobs = Vec::new();
    for (timer, stem) in units.known_names().filter_map(|name| Some((name, name.strip_suffix(".timer")?))) {
        let set = units.property(timer, "Timer", "Unit")?;
        let service = set.last().map_or_else(|| format!("{stem}.service"), |value| value.text.clone());
        let mut result = None;
        for line in units.property(&service, "Service", "ExecStart")?.iter().filter(|line| line.text.contains("aide")) {
            let words = command::program(&command::words(facts, &service, line)?).1;
            let words: Vec<String> = words.iter().map(|word| String::from_utf8_lossy(&word.text).into_owned()).collect();
            for start in super::command_line::of_words(&words) {
                let next = outcome(facts, &start, SEARCHED)?;
                if result.as_ref().is_none_or(|known: &Result<_, String>| known.is_err()) {
                    result = Some(next);
                }
            }
        }
        if result.is_none() && !timer.contains("aide") {
            continue;
        }
        let starts = match units.starts(timer)? {
            Start::AtBoot(_) => true,
            Start::OnDemand(kind, _) => kind.is_armed(),
            Start::No => false,
        };
        let (idle, found, config) = match (starts, result) {
            (false, _) => (true, format!("{timer} does not run"), None),
            (true, None) => (true, format!("{timer} runs, but {service} does not run AIDE or is masked"), None),
            (true, Some(Err(why))) => (true, format!("{timer} runs {service}, but {why}"), None),
            (true, Some(Ok(config))) => (false, format!("{timer} runs {service}"), config),
        };
        let path = units.file(timer)?.unwrap_or_else(|| ImagePath::new("/etc/systemd/system"));
        jobs.push(AideJob { path, line: None, often: Often::Timer, found: printable(found.as_bytes()), idle, config });
    }
    Ok(jobs)
}

/// Which configuration a start makes AIDE read, or why it compares nothing.
fn outcome(facts: &Facts<'_>, start: &Started, search: &str) -> Fact<Result<Option<ImagePath>, String>> {
    let root = facts.root();
    let missing = |what: &str| Ok(Err(format!("there is no program {}", printable(what.as_bytes()))));
    let Some(program) = program(root, &start.program, search)? else { return missing(&start.program) };
    let (binary, named) = if start.is_wrapper() {
        let Some(binary) = self::program(root, "aide", SEARCHED)? else { return missing("aide") };
        (binary, Some(wrapped(root)?))
    } else if start.compares() {
        (program, start.config().map(ImagePath::new))
    } else {
        return Ok(Err("AIDE is started, and not to compare".to_owned()));
    };
    if named.is_none() && start.config().is_some_and(|path| !path.starts_with('/')) {
        return Ok(Err("the configuration has no full name".to_owned()));
    }
    let named = if is_model(root, &binary)? {
        return Ok(Ok(named));
    } else if let Some(named) = named {
        named
    } else if let Some(built_in) = built_in(root, &binary)? {
        built_in
    } else {
        return Ok(Err("no configuration is named (--config), and none is built in".to_owned()));
    };
    if root.exists(&named).map_err(|error| Unreadable::reading(&named, &error))? {
        Ok(Ok(Some(named)))
    } else {
        Ok(Err(format!("its configuration {named} does not exist")))
    }
}

/// The configuration of Debian's wrappers: `CONFIG` of their settings.
fn wrapped(root: Rootfs<'_>) -> Fact<ImagePath> {
    let path = ImagePath::new(DEFAULTS);
    let usual = || ImagePath::new("/etc/aide/aide.conf");
    let content = match root.read(&path) {
        Ok(content) => content,
        Err(error) if error.is_absent() => return Ok(usual()),
        Err(error) => return Err(Unreadable::reading(&path, &error)),
    };
    match shell_assignments::parse(&content).into_iter().rfind(|set| set.name == "CONFIG") {
        None => Ok(usual()),
        Some(set) => match set.value.filter(|value| value.starts_with('/') && !set.adds) {
            Some(value) => Ok(ImagePath::new(value)),
            None => Err(Unreadable::at_line(&path, set.line, "CONFIG is computed")),
        },
    }
}

/// The file that is started, links followed: a program whose own name is AIDE's too.
fn program(root: Rootfs<'_>, word: &str, search: &str) -> Fact<Option<ImagePath>> {
    let places: Vec<ImagePath> = if word.starts_with('/') {
        vec![ImagePath::new(word)]
    } else if word.contains('/') {
        Vec::new()
    } else {
        let folders = search.split(':').filter(|folder| folder.starts_with('/')).take(MAX_FOLDERS);
        folders.map(|folder| ImagePath::new(folder).join(word)).collect()
    };
    for place in places {
        match root.resolve(&place) {
            Ok(found) if found.metadata.kind == FileKind::File && found.metadata.mode & 0o111 != 0 => {
                let name = found.path.file_name();
                return Ok((name.starts_with(b"aide") || name == b"dailyaidecheck").then_some(found.path));
            }
            Ok(_) => {}
            Err(error) if error.is_absent() => {}
            Err(error) => return Err(Unreadable::reading(&place, &error)),
        }
    }
    Ok(None)
}

fn is_model(root: Rootfs<'_>, binary: &ImagePath) -> Fact<bool> {
    let found = root.resolve(binary).map_err(|error| Unreadable::reading(binary, &error))?;
    Ok(found.metadata.size <= MAX_MODEL)
}

/// The configuration whose name is in the program.
fn built_in(root: Rootfs<'_>, binary: &ImagePath) -> Fact<Option<ImagePath>> {
    let content = root.read_start(binary, MAX_PROGRAM).map_err(|error| Unreadable::reading(binary, &error))?;
    let found = CONFIGS.into_iter().find(|name| memchr::memmem::find(&content, name.as_bytes()).is_some());
    if found.is_none() && content.len() as u64 == MAX_PROGRAM {
        return Err(Unreadable::at(binary, format!("more than {MAX_PROGRAM} bytes, in which a configuration may be named")));
    }
    Ok(found.map(ImagePath::new))
}

/// The configuration that counts: that of the first job that compares, else what is built into the program, else the distribution's.
pub(super) fn configuration(facts: &Facts<'_>, jobs: &[AideJob]) -> Fact<ImagePath> {
    if let Some(config) = jobs.iter().find_map(|job| job.config.clone()) {
        return Ok(config);
    }
    let root = facts.root();
    let [debian, red_hat] = CONFIGS.map(ImagePath::new);
    if let Some(binary) = program(root, "aide", SEARCHED)? {
        if !is_model(root, &binary)?
            && let Some(built_in) = built_in(root, &binary)?
        {
            return Ok(built_in);
        }
        match facts.packages().map(|packages| packages.family) {
            Ok(Family::Dpkg) => return Ok(debian),
            Ok(Family::Rpm) => return Ok(red_hat),
            _ => {}
        }
    }
    for path in [&debian, &red_hat] {
        if root.exists(path).map_err(|error| Unreadable::reading(path, &error))? {
            return Ok(path.clone());
        }
    }
    Ok(debian)
}
