//! Settings that modules read from files of their own.

use std::collections::BTreeMap;

use crate::facts::packages::Family;
use crate::facts::{Fact, Facts, Unreadable};
use crate::image::{ReadError, Rootfs};
use crate::path::ImagePath;
use crate::syntax::key_value;
use crate::syntax::pam::Line;

use super::hash;
use super::history;
use super::{Service, Step};

/// `pam_pwquality(8)`.
const PWQUALITY: &str = "pam_pwquality.so";
/// `pam_faillock(8)`.
const FAILLOCK: &str = "pam_faillock.so";
/// `pam_pwhistory(8)`.
const PWHISTORY: &str = "pam_pwhistory.so";

/// libpwquality knows no other file (`PWQUALITY_DEFAULT_CFGFILE`), and reads the folder beside it first.
const PWQUALITY_FILE: &str = "/etc/security/pwquality.conf";
/// Where a module reads its settings that has no `conf=`.
const FILES: [(&str, &str); 2] = [(FAILLOCK, "/etc/security/faillock.conf"), (PWHISTORY, "/etc/security/pwhistory.conf")];

/// Files named by `conf=`: nobody has more than one or two of them.
const MAX_FILES: usize = 64;
/// A longer line ends reading (`PWQSETTINGS_MAX_LINELEN`).
const MAX_PWQUALITY_LINE: usize = 1023;

/// What libpwquality knows, in any case (`s_map` in `settings.c`): a number, a text, or a switch that any value turns on.
const NUMBERS: [&str; 16] = [
    "difok",
    "minlen",
    "dcredit",
    "ucredit",
    "lcredit",
    "ocredit",
    "minclass",
    "maxrepeat",
    "maxclassrepeat",
    "maxsequence",
    "gecoscheck",
    "dictcheck",
    "usercheck",
    "usersubstr",
    "enforcing",
    "retry",
];
const TEXTS: [&str; 2] = ["badwords", "dictpath"];
const SWITCHES: [&str; 2] = ["enforce_for_root", "local_users_only"];

/// What a module does where nothing sets an option: pwquality.conf(5), faillock.conf(5), `pam_pwhistory(8)`. The credits are left out: at their
/// default of 0 they ask for nothing, so that "not set" says it better.
const DEFAULTS: [(&str, &str, &str); 15] = [
    (PWQUALITY, "difok", "1"),
    (PWQUALITY, "minlen", "8"),
    (PWQUALITY, "minclass", "0"),
    (PWQUALITY, "maxrepeat", "0"),
    (PWQUALITY, "maxsequence", "0"),
    (PWQUALITY, "dictcheck", "1"),
    (PWQUALITY, "enforcing", "1"),
    (PWQUALITY, "retry", "1"),
    (FAILLOCK, "deny", "3"),
    (FAILLOCK, "unlock_time", "600"),
    (FAILLOCK, "fail_interval", "900"),
    (FAILLOCK, "dir", "/var/run/faillock"),
    (PWHISTORY, "remember", "10"),
    (PWHISTORY, "retry", "1"),
    (PWHISTORY, "file", "/etc/security/opasswd"),
];

/// Where an option's value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleOption {
    /// The value; empty for a word alone.
    pub value: String,
    /// The file, and its line; where reading ended too early, the line that ended it.
    pub place: Option<(ImagePath, u32)>,
    /// Why it is this one, where that needs saying.
    pub because: Option<String>,
}

/// What one file, or one folder with its file, comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Settings {
    values: BTreeMap<String, ModuleOption>,
    /// The line at which reading ended, and why.
    ended: Option<(ImagePath, u32, String)>,
    /// Whether there is no such file.
    missing: bool,
}

/// The settings of every module's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OptionFiles {
    pwquality: Fact<Settings>,
    /// By module and file: that which is built in, and those named by `conf=`.
    named: BTreeMap<(&'static str, String), Fact<Settings>>,
    /// Whether `pam_pwhistory` knows `conf=`, `file=` and a file of its own.
    history_has_files: Fact<bool>,
}

impl OptionFiles {
    #[cfg(test)]
    pub(super) fn default() -> Self {
        Self { pwquality: Ok(Settings::default()), named: BTreeMap::new(), history_has_files: Ok(true) }
    }

    pub(super) fn gather(facts: &Facts<'_>, services: &BTreeMap<String, Service>) -> Self {
        let root = facts.root();
        let mut files: Vec<(&'static str, String)> = FILES.iter().map(|&(module, path)| (module, path.to_owned())).collect();
        let lines = services.values().filter_map(|service| service.lines.as_ref().ok()).flatten();
        let (mut asks_history, modules) =
            (false, lines.filter_map(|line| if let Line::Module(module) = line { Some(module) } else { None }));
        for module in modules {
            asks_history |= module.name() == PWHISTORY;
            let Some((known, _)) = FILES.iter().find(|(known, _)| *known == module.name()) else { continue };
            for path in module.arguments.iter().filter_map(|argument| argument.strip_prefix("conf=")) {
                let file = (*known, path.to_owned());
                if files.len() < MAX_FILES && !files.contains(&file) {
                    files.push(file);
                }
            }
        }
        let dpkg = facts.packages().ok().filter(|packages| packages.family == Family::Dpkg);
        let version = dpkg.and_then(|packages| Some(packages.named("libpam-modules").next()?.version.clone()));
        Self {
            pwquality: pwquality(root),
            named: files.into_iter().map(|(module, path)| ((module, path.clone()), named(root, module, &path))).collect(),
            history_has_files: if asks_history { history::has_files(root, version.as_deref()) } else { Ok(true) },
        }
    }

    /// The value of an option for one line of a stack: its own argument, else the module's files, else what the module does by itself.
    /// `hash` of `pam_unix` is the last argument that names an algorithm.
    ///
    /// # Errors
    /// A file of the module that could not be read.
    pub(super) fn value(&self, step: &Step, option: &str) -> Fact<Option<ModuleOption>> {
        let module = step.module.name();
        let here = |value: String| ModuleOption { value, place: Some((step.path.clone(), step.module.line)), because: None };
        if module == "pam_unix.so" && option == "hash" {
            return Ok(hash::last(&step.module.arguments).map(|name| here(name.to_owned())));
        }
        let has_files = module != PWHISTORY || *self.history_has_files.as_ref().map_err(Clone::clone)?;
        if (has_files || option != "file")
            && let Some(value) = argument(step, option)
        {
            return Ok(Some(here(value)));
        }
        let settings = match module {
            PWQUALITY => Some(&self.pwquality),
            _ if has_files => {
                let built_in = FILES.iter().find(|(known, _)| *known == module).map(|&(known, path)| (known, path.to_owned()));
                let file = built_in.map(|(known, path)| (known, step.argument("conf").map_or(path, str::to_owned)));
                match file {
                    Some(file) => {
                        let too_many = || {
                            Unreadable::at_line(
                                &step.path,
                                step.module.line,
                                format!("more than {MAX_FILES} files are named by conf="),
                            )
                        };
                        Some(self.named.get(&file).ok_or_else(too_many)?)
                    }
                    None => None,
                }
            }
            _ => None,
        };
        let mut because = (!has_files && step.argument("conf").is_none())
            .then(|| format!("nothing in this line sets {option}, and this release of the module reads no pwhistory.conf"));
        let mut place = None;
        if let Some(settings) = settings {
            let settings = settings.as_ref().map_err(Clone::clone)?;
            if let Some(found) = settings.values.get(option) {
                return Ok(Some(found.clone()));
            }
            // Without the file that `conf=` names, pam_faillock gives up before it has looked at anything.
            if settings.missing && module == FAILLOCK && step.argument("conf").is_some() {
                return Ok(None);
            }
            if let Some((path, line, why)) = &settings.ended {
                place = Some((path.clone(), *line));
                because = Some(format!("{why}, so nothing behind it is read, and no file after this one"));
            }
        }
        let default = DEFAULTS.iter().find(|(known, name, _)| *known == module && *name == option);
        Ok(default.map(|(_, _, value)| ModuleOption { value: (*value).to_owned(), place, because }))
    }
}

/// The value of an argument, if the module takes it; the last that it takes counts.
fn argument(step: &Step, option: &str) -> Option<String> {
    let any_case = match step.module.name() {
        PWQUALITY | PWHISTORY => true,
        FAILLOCK => false,
        _ => return step.argument(option).map(str::to_owned),
    };
    step.module.arguments.iter().rev().find_map(|argument| {
        let (name, value) = argument.split_once('=').map_or((argument.as_str(), None), |(name, value)| (name, Some(value)));
        if !(name == option || any_case && name.eq_ignore_ascii_case(option)) {
            return None;
        }
        match (step.module.name(), value) {
            // `strtol`: what is no number is 0.
            (PWHISTORY, Some(value)) if matches!(option, "remember" | "retry") => {
                Some(number(value).unwrap_or_else(|| "0".into()))
            }
            // A word that only fits as a whole.
            (PWHISTORY, Some(_)) if option == "enforce_for_root" => None,
            (module, value) => taken(module, option, value.unwrap_or_default()).ok(),
        }
    })
}

/// The number at the beginning of a text, as `sscanf` and `strtol` take it.
fn number(text: &str) -> Option<String> {
    let text = text.trim_start();
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let end = digits.find(|sign: char| !sign.is_ascii_digit()).unwrap_or(digits.len());
    (end > 0).then(|| text.get(..text.len() - digits.len() + end).unwrap_or_default().trim_start_matches('+').to_owned())
}

/// What a module makes of a setting, or why it does not take it.
fn taken(module: &str, name: &str, value: &str) -> Result<String, String> {
    let no_number = || format!("'{value}' is no number for {name}");
    match module {
        PWQUALITY if NUMBERS.contains(&name) => {
            let number: i64 = value.trim_start().parse().map_err(|_| no_number())?;
            // `INT_MAX` and `INT_MIN` themselves are refused too.
            if number >= i64::from(i32::MAX) || number <= i64::from(i32::MIN) {
                return Err(no_number());
            }
            Ok(match name {
                "minlen" => number.max(6),
                "minclass" => number.min(4),
                _ => number,
            }
            .to_string())
        }
        PWQUALITY if TEXTS.contains(&name) => Ok(value.to_owned()),
        PWQUALITY if SWITCHES.contains(&name) => Ok(String::new()),
        PWQUALITY => Err(format!("libpwquality knows no setting {name}")),
        FAILLOCK | PWHISTORY => match name {
            "unlock_time" | "root_unlock_time" if value == "never" => Ok(value.to_owned()),
            "deny" | "fail_interval" | "unlock_time" | "root_unlock_time" | "remember" | "retry" => {
                number(value).ok_or_else(no_number)
            }
            "dir" | "file" if !value.starts_with('/') => Err(format!("'{value}' is not absolute")),
            "dir" | "file" | "admin_group" => Ok(value.to_owned()),
            _ => Ok(String::new()),
        },
        _ => Ok(value.to_owned()),
    }
}

/// The folder by name, then the file; the first mistake ends it all, and what was read before stays (`pwquality_read_config`).
fn pwquality(root: Rootfs<'_>) -> Fact<Settings> {
    let mut settings = Settings::default();
    let folder = ImagePath::new(format!("{PWQUALITY_FILE}.d"));
    let mut paths: Vec<ImagePath> = match root.read_dir(&folder) {
        // The first `.conf` in a name has to be its end; a dot in front is no matter.
        Ok(names) => names
            .iter()
            .filter(|name| memchr::memmem::find(name, b".conf") == name.len().checked_sub(5))
            .map(|name| folder.join(name))
            .collect(),
        Err(error) if error.is_absent() => Vec::new(),
        Err(ReadError::Kind { .. }) => Vec::new(),
        Err(error) => return Err(Unreadable::reading(&folder, &error)),
    };
    paths.push(ImagePath::new(PWQUALITY_FILE));
    for path in paths {
        let content = match root.read(&path) {
            Err(error) if error.is_absent() => continue,
            Err(ReadError::Kind { .. }) => continue,
            other => other.map_err(|error| Unreadable::reading(&path, &error))?,
        };
        let too_long = (1_u32..).zip(content.split(|&byte| byte == b'\n')).find(|(_, line)| line.len() >= MAX_PWQUALITY_LINE);
        let last = too_long.map_or(u32::MAX, |(line, _)| line);
        for setting in key_value::parse(&content).into_iter().take_while(|setting| setting.line < last) {
            let name = setting.key.to_ascii_lowercase();
            match taken(PWQUALITY, &name, &setting.value) {
                Ok(value) => {
                    let place = Some((path.clone(), setting.line));
                    settings.values.insert(name, ModuleOption { value, place, because: None });
                }
                Err(why) => {
                    settings.ended = Some((path, setting.line, why));
                    return Ok(settings);
                }
            }
        }
        if last != u32::MAX {
            settings.ended = Some((path, last, "the line is too long for libpwquality".to_owned()));
            return Ok(settings);
        }
    }
    Ok(settings)
}

/// The file of `pam_faillock`, in which the last line of a name counts, or of `pam_pwhistory`, in which the first does and names may be
/// in any case (`pam_modutil_search_key`). What they do not know is logged and left out.
fn named(root: Rootfs<'_>, module: &'static str, path: &str) -> Fact<Settings> {
    let path = ImagePath::new(path);
    let content = match root.read(&path) {
        Err(error) if error.is_absent() => return Ok(Settings { missing: true, ..Settings::default() }),
        // Such as /dev/null: nothing is in it.
        Err(ReadError::Kind { .. }) => return Ok(Settings::default()),
        other => other.map_err(|error| Unreadable::reading(&path, &error))?,
    };
    let mut values = BTreeMap::new();
    let mut refused = Vec::new();
    for setting in key_value::parse(&content) {
        let first = module == PWHISTORY;
        let name = if first { setting.key.to_ascii_lowercase() } else { setting.key };
        if first && (values.contains_key(&name) || refused.contains(&name)) {
            continue;
        }
        match taken(module, &name, &setting.value) {
            Ok(value) => {
                values.insert(name, ModuleOption { value, place: Some((path.clone(), setting.line)), because: None });
            }
            Err(_) => refused.push(name),
        }
    }
    Ok(Settings { values, ended: None, missing: false })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::MemoryImage;

    fn value(image: &MemoryImage, option: &str) -> (Option<String>, Option<u32>) {
        let settings = pwquality(Rootfs::new(image)).unwrap();
        (settings.values.get(option).map(|found| found.value.clone()), settings.ended.map(|(_, line, _)| line))
    }

    #[test]
    fn a_setting_that_libpwquality_does_not_know_ends_reading() {
        let image = MemoryImage::new().file(PWQUALITY_FILE, "difok = 2\nfoo = 1\nminlen = 14\n");
        assert_eq!(value(&image, "minlen"), (None, Some(2)));
        assert_eq!(value(&image, "difok"), (Some("2".into()), Some(2)));
        let image = image.file("/etc/security/pwquality.conf.d/.a.conf", "minclass = four\n");
        assert_eq!(value(&image, "difok"), (None, Some(1)));
    }

    #[test]
    fn names_in_any_case_and_files_by_their_ending() {
        let image = MemoryImage::new()
            .file(PWQUALITY_FILE, "MinLen 20\nenforce_for_root = 0\n")
            .file("/etc/security/pwquality.conf.d/a.conf.b.conf", "foo\n")
            .file("/etc/security/pwquality.conf.d/b.conf~", "foo\n");
        assert_eq!(value(&image, "minlen"), (Some("20".into()), None));
        assert_eq!(value(&image, "enforce_for_root"), (Some(String::new()), None));
    }

    #[test]
    fn a_line_without_end_ends_reading() {
        let image = MemoryImage::new().file(PWQUALITY_FILE, format!("#{}\nminlen = 14\n", "x".repeat(1_100)));
        assert_eq!(value(&image, "minlen"), (None, Some(1)));
    }

    #[test]
    fn the_last_line_counts_for_faillock_and_the_first_for_pwhistory() {
        let image =
            MemoryImage::new().file("/f", "deny = 9\nfoo\ndeny = 4x\ndeny = x\n").file("/h", "Remember = 3\nremember = 24\n");
        let get =
            |module, path, name: &str| named(Rootfs::new(&image), module, path).unwrap().values.get(name).cloned().unwrap().value;
        assert_eq!((get(FAILLOCK, "/f", "deny"), get(PWHISTORY, "/h", "remember")), ("4".into(), "3".into()));
    }
}
