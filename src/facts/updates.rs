//! Whether the machine installs updates by itself.
//!
//! apt: `APT::Periodic` as `/usr/lib/apt/apt.systemd.daily` reads it, the timers that start that, and `unattended-upgrades`. dnf: the timers of
//! `dnf-automatic(8)` and what `automatic.conf` has them do. `yum-cron` likewise.

use std::collections::BTreeMap;

use regex::RegexBuilder;

use super::packages::{Family, State};
use super::units::Start;
use super::{Fact, Facts, Unreadable};
use crate::image::Rootfs;
use crate::path::ImagePath;
use crate::syntax::apt_conf;

/// A way to install updates, and what decides whether it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Updater {
    /// Whether it installs updates.
    pub on: bool,
    /// What decides it, in words that are safe to show.
    pub found: String,
    /// Where.
    pub path: ImagePath,
    /// The line, where one decides it.
    pub line: Option<u32>,
}

/// Every way there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Updates {
    /// At least one, if only to say that there is none.
    pub updaters: Vec<Updater>,
}

pub(super) fn gather(facts: &Facts<'_>) -> Fact<Updates> {
    let family = facts.packages()?.family;
    let updaters = match family {
        Family::Dpkg => vec![apt(facts)?],
        Family::Rpm => dnf(facts)?,
        Family::Apk => Vec::new(),
    };
    if !updaters.is_empty() {
        return Ok(Updates { updaters });
    }
    let path = facts.packages()?.database.clone();
    let found = "no program that installs updates is installed".to_owned();
    Ok(Updates { updaters: vec![Updater { on: false, found, path, line: None }] })
}

fn is_installed(facts: &Facts<'_>, name: &str) -> Fact<bool> {
    Ok(facts.packages()?.named(name).any(|package| package.state == State::Installed))
}

fn starts(facts: &Facts<'_>, unit: &str) -> Fact<bool> {
    let units = facts.units()?;
    Ok(units.exists(unit)? && matches!(units.starts(unit)?, Start::AtBoot(_)))
}

fn apt(facts: &Facts<'_>) -> Fact<Updater> {
    let database = facts.packages()?.database.clone();
    let settings = Apt::read(facts.root())?;
    let main = ImagePath::new("/etc/apt/apt.conf.d");
    let off = |found: &str, path: &ImagePath, line| Updater { on: false, found: found.to_owned(), path: path.clone(), line };
    if !is_installed(facts, "unattended-upgrades")? {
        return Ok(off("unattended-upgrades is not installed", &database, None));
    }
    if let Some((path, line, value)) = settings.get("enable")
        && is_never(value)
    {
        return Ok(off("APT::Periodic::Enable switches all of it off", path, Some(*line)));
    }
    for (name, words) in [
        ("update-package-lists", "the lists of packages are never fetched (APT::Periodic::Update-Package-Lists)"),
        ("unattended-upgrade", "updates are never installed (APT::Periodic::Unattended-Upgrade)"),
    ] {
        match settings.get(name) {
            Some((_, _, value)) if !is_never(value) => {}
            Some((path, line, _)) => return Ok(off(words, path, Some(*line))),
            None => return Ok(off(words, &main, None)),
        }
    }
    for timer in ["apt-daily.timer", "apt-daily-upgrade.timer"] {
        if !starts(facts, timer)? {
            let path = facts.units()?.mask(timer)?.unwrap_or_else(|| ImagePath::new("/etc/systemd/system").join(timer));
            return Ok(off(&format!("{timer} does not start"), &path, None));
        }
    }
    if let Some((path, line, words)) = settings.withheld()? {
        return Ok(off(words, path, Some(line)));
    }
    let place = settings.get("unattended-upgrade").map(|(path, line, _)| (path.clone(), Some(*line)));
    let (path, line) = place.unwrap_or((main, None));
    Ok(Updater { on: true, found: "unattended-upgrades installs updates".to_owned(), path, line })
}

/// Whether an interval of `APT::Periodic` means never: a number without one that counts. `always` is no number and means at every run.
fn is_never(value: &str) -> bool {
    let value = value.trim().trim_end_matches(['s', 'm', 'h', 'd']);
    value.is_empty() || value.parse::<u64>() == Ok(0)
}

/// Where something is set, and to what.
type Placed = (ImagePath, u32, String);

/// What decides on updates.
#[derive(Default)]
struct Apt {
    /// `APT::Periodic` by name without that; the last of a name counts.
    periodic: BTreeMap<String, Placed>,
    /// The lists of `Unattended-Upgrade` by name without that.
    lists: BTreeMap<&'static str, Vec<Placed>>,
    /// Where the origins were cleared last.
    cleared: Option<(ImagePath, u32)>,
}

/// From where unattended-upgrades takes packages, and which it leaves alone.
const LISTS: [&str; 3] = ["allowed-origins", "origins-pattern", "package-blacklist"];

/// Names of packages that no two patterns of a real list fit: what fits all of them is taken to fit every name.
const SAMPLES: [&str; 5] = ["0ad", "libc6", "linux-image-amd64", "openssl", "zlib1g"];

/// A pattern of names is short; one that needs more than this is none of a real list.
const MAX_REGEX: usize = 128 << 10;

impl Apt {
    /// The files in the order apt reads them: those of the folder by name, then the main one (`apt.conf(5)`). Names with other endings than
    /// `.conf` are passed over.
    fn read(root: Rootfs<'_>) -> Fact<Self> {
        let folder = ImagePath::new("/etc/apt/apt.conf.d");
        let counts = |name: &[u8]| {
            let plain = name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(byte));
            let ending = memchr::memrchr(b'.', name).map(|dot| name.get(dot..).unwrap_or_default());
            plain && !name.starts_with(b".") && ending.is_none_or(|ending| ending == b".conf")
        };
        let names = match root.read_dir(&folder) {
            Ok(names) => names,
            Err(error) if error.is_absent() => Vec::new(),
            Err(error) => return Err(Unreadable::reading(&folder, &error)),
        };
        let mut files: Vec<ImagePath> = names.iter().filter(|name| counts(name)).map(|name| folder.join(name)).collect();
        files.push(ImagePath::new("/etc/apt/apt.conf"));
        let mut found = Self::default();
        for path in files {
            let Some(content) = read(root, &path)? else { continue };
            for setting in apt_conf::parse(&content) {
                found.take(&path, setting);
            }
        }
        Ok(found)
    }

    fn take(&mut self, path: &ImagePath, apt_conf::Setting { line, name, value }: apt_conf::Setting) {
        if let Some(list) =
            name.strip_prefix("unattended-upgrade::").and_then(|name| LISTS.into_iter().find(|list| *list == name))
        {
            if let Some(value) = value {
                self.lists.entry(list).or_default().push((path.clone(), line, value));
            } else {
                self.lists.remove(list);
                if list != "package-blacklist" {
                    self.cleared = Some((path.clone(), line));
                }
            }
        } else if name == "unattended-upgrade" && value.is_none() {
            self.lists.clear();
            self.cleared = Some((path.clone(), line));
        } else if name == "apt::periodic" && value.is_none() {
            self.periodic.clear();
        } else if let Some(name) = name.strip_prefix("apt::periodic::") {
            match value {
                Some(value) => self.periodic.insert(name.to_owned(), (path.clone(), line, value)),
                None => self.periodic.remove(name),
            };
        }
    }

    fn get(&self, name: &str) -> Option<&Placed> {
        self.periodic.get(name)
    }

    fn list(&self, name: &str) -> &[Placed] {
        self.lists.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// What keeps unattended-upgrades from installing anything: every name is left alone, or no origin with security updates is left after
    /// they were cleared. A pattern of names is tried from the beginning of the name on (`re.match`).
    fn withheld(&self) -> Fact<Option<(&ImagePath, u32, &'static str)>> {
        for (path, line, pattern) in self.list("package-blacklist") {
            let built = RegexBuilder::new(&format!("^(?:{pattern})")).size_limit(MAX_REGEX).build();
            let regex = built.map_err(|_| Unreadable::at_line(path, *line, "its regular expression cannot be tried"))?;
            if SAMPLES.iter().all(|name| regex.is_match(name)) {
                return Ok(Some((path, *line, "no package is ever updated (Unattended-Upgrade::Package-Blacklist)")));
            }
        }
        let mut origins = self.list("allowed-origins").iter().chain(self.list("origins-pattern"));
        match &self.cleared {
            Some((path, line)) if !origins.any(|(_, _, origin)| has_security(origin)) => {
                Ok(Some((path, *line, "no origin with security updates is left (Unattended-Upgrade::Origins-Pattern)")))
            }
            _ => Ok(None),
        }
    }
}

/// Whether an origin has security updates: it says so, or names whose they are and nothing more.
fn has_security(origin: &str) -> bool {
    let whose = |part: &str| matches!(part.trim().split_once('='), Some((key, _)) if ["o", "origin"].contains(&key.trim()));
    origin.to_ascii_lowercase().contains("security") || origin.split(',').all(whose)
}

/// Timers, whether they install whatever the configuration says, and the configuration.
const TIMERS: [(&str, &str, bool, &str); 4] = [
    ("dnf-automatic", "dnf-automatic-install.timer", true, "/etc/dnf/automatic.conf"),
    ("dnf-automatic", "dnf-automatic.timer", false, "/etc/dnf/automatic.conf"),
    ("dnf5-plugin-automatic", "dnf5-automatic.timer", false, "/etc/dnf/automatic.conf"),
    ("yum-cron", "yum-cron.service", false, "/etc/yum/yum-cron.conf"),
];

fn dnf(facts: &Facts<'_>) -> Fact<Vec<Updater>> {
    let mut all = Vec::new();
    for (package, timer, installs, config) in TIMERS {
        if !is_installed(facts, package)? {
            continue;
        }
        let path = ImagePath::new(config);
        if !starts(facts, timer)? {
            let path = ImagePath::new("/etc/systemd/system").join(timer);
            all.push(Updater { on: false, found: format!("{timer} does not start"), path, line: None });
            continue;
        }
        if installs {
            all.push(Updater { on: true, found: format!("{timer} installs updates"), path, line: None });
            continue;
        }
        let (line, on) = match read(facts.root(), &path)? {
            Some(content) => apply_updates(&content),
            None => (None, false),
        };
        let found =
            format!("{timer} {}", if on { "installs updates" } else { "only fetches or tells of updates (apply_updates)" });
        all.push(Updater { on, found, path, line });
    }
    Ok(all)
}

/// `apply_updates` of `[commands]`: off where it is not set. Words as `ConfigParser` and dnf take them.
fn apply_updates(content: &[u8]) -> (Option<u32>, bool) {
    let (mut section, mut said) = (String::new(), (None, false));
    for (line, text) in (1..).zip(content.split(|&byte| byte == b'\n')) {
        let text = String::from_utf8_lossy(text);
        let text = text.trim();
        if let Some(name) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name.clone_into(&mut section);
        } else if section == "commands"
            && let Some((key, value)) = text.split_once(['=', ':'])
            && key.trim().eq_ignore_ascii_case("apply_updates")
        {
            said = (Some(line), matches!(value.trim().to_ascii_lowercase().as_str(), "yes" | "true" | "1" | "on"));
        }
    }
    said
}

fn read(root: Rootfs<'_>, path: &ImagePath) -> Fact<Option<Vec<u8>>> {
    match root.read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.is_absent() => Ok(None),
        Err(error) => Err(Unreadable::reading(path, &error)),
    }
}
