//! systemd-journald as it is configured: `journald.conf(5)`, and where `systemd-journal-upload` sends it (`journal-upload.conf(5)`).
//!
//! The main file is the first of those in `/etc/systemd`, `/run/systemd`, `/usr/local/lib/systemd` and `/usr/lib/systemd`; drop-ins of
//! all four follow it in the order of their file names, and of two with one name the one in the earlier directory counts. A later
//! assignment wins. One that cannot be read as its setting needs is passed over: what came before stays in force.

use std::collections::BTreeMap;

use super::{Fact, Facts, Unreadable};
use crate::image::Rootfs;
use crate::path::ImagePath;
use crate::syntax::systemd_unit;

/// journald and its uploader as they are configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journald {
    /// `journald.conf`.
    pub journal: Settings,
    /// `journal-upload.conf`.
    pub upload: Settings,
    /// Whether `/var/log/journal` is there: `Storage=auto` writes to it then, and keeps everything in `/run` otherwise.
    pub directory: bool,
    /// Whether this distribution's journald forwards to syslog unless told otherwise: Debian and Ubuntu patch it so, upstream has not
    /// done it since version 216.
    forwards_by_default: bool,
}

/// The assignments of one configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// The last valid assignment of each name.
    values: BTreeMap<String, Assigned>,
    /// Every valid assignment, in order.
    every: Vec<(String, Assigned)>,
    /// Assignments that are passed over because of their value.
    pub invalid: Vec<Unreadable>,
    /// The files that were read, in order.
    pub files: Vec<ImagePath>,
    /// Where systemd stops reading a file.
    pub broken: Vec<Unreadable>,
}

/// A value and where it was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assigned {
    /// The value; booleans are `yes` or `no`.
    pub text: String,
    /// As a number: bytes, seconds or a count.
    pub number: Option<i64>,
    /// Where, unless the built-in default counts.
    pub place: Option<(ImagePath, u32)>,
    /// Why it is this one.
    pub because: Option<String>,
}

/// Where systemd looks for the main file and `NAME.d`, the first first.
const FOLDERS: [&str; 4] = ["/etc/systemd", "/run/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd"];

/// Drop-ins of one configuration.
const MAX_FILES: usize = 1_000;

/// What a setting of journald takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Boolean,
    /// A boolean, or the size from which on objects are compressed.
    Compress,
    Storage,
    Size,
    Time,
    Count,
    Text,
}

/// Settings of journald, what they take, and their built-in defaults (`journald-server.c`, version 252; of sizes that depend on the
/// file system there is none).
const KNOWN: [(&str, Takes, &str); 27] = [
    ("Storage", Takes::Storage, "auto"),
    ("Compress", Takes::Compress, "yes"),
    ("Seal", Takes::Boolean, "yes"),
    ("ReadKMsg", Takes::Boolean, "yes"),
    ("ForwardToSyslog", Takes::Boolean, "no"),
    ("ForwardToKMsg", Takes::Boolean, "no"),
    ("ForwardToConsole", Takes::Boolean, "no"),
    ("ForwardToWall", Takes::Boolean, "yes"),
    ("SystemMaxUse", Takes::Size, ""),
    ("SystemKeepFree", Takes::Size, ""),
    ("SystemMaxFileSize", Takes::Size, ""),
    ("SystemMaxFiles", Takes::Count, "100"),
    ("RuntimeMaxUse", Takes::Size, ""),
    ("RuntimeKeepFree", Takes::Size, ""),
    ("RuntimeMaxFileSize", Takes::Size, ""),
    ("RuntimeMaxFiles", Takes::Count, "100"),
    ("MaxRetentionSec", Takes::Time, "0"),
    ("MaxFileSec", Takes::Time, "1month"),
    ("SyncIntervalSec", Takes::Time, "5m"),
    ("RateLimitIntervalSec", Takes::Time, "30s"),
    ("RateLimitBurst", Takes::Count, "10000"),
    ("LineMax", Takes::Size, "48K"),
    ("SplitMode", Takes::Text, "uid"),
    ("MaxLevelStore", Takes::Text, "debug"),
    ("MaxLevelSyslog", Takes::Text, "debug"),
    ("TTYPath", Takes::Text, "/dev/console"),
    ("Audit", Takes::Boolean, "yes"),
];

impl Journald {
    /// What a setting of journald comes to; nothing for one without a default that is not set.
    #[must_use]
    pub fn effective(&self, option: &str) -> Option<Assigned> {
        let default = || {
            let (_, takes, default) = KNOWN.iter().find(|(name, ..)| *name == option)?;
            let forwards = option == "ForwardToSyslog" && self.forwards_by_default;
            let default = if forwards { "yes" } else { default };
            let (text, number) = takes.read(default).filter(|_| !default.is_empty())?;
            let whose = if forwards { "this distribution's" } else { "systemd's" };
            Some(Assigned { text, number, place: None, because: Some(format!("{option} is not set, so {whose} default counts")) })
        };
        self.journal.get(option).cloned().or_else(default)
    }

    /// Where the journal is kept: `Storage=` with `auto` made plain.
    #[must_use]
    pub fn storage(&self) -> Option<Assigned> {
        let mut storage = self.effective("Storage")?;
        if storage.text == "auto" {
            let (text, why) = if self.directory { ("persistent", "is") } else { ("volatile", "is not") };
            storage.text = text.into();
            storage.because = Some(format!("Storage=auto, and /var/log/journal {why} there"));
        }
        Some(storage)
    }
}

impl Settings {
    /// The last valid assignment of a name.
    #[must_use]
    pub fn get(&self, option: &str) -> Option<&Assigned> {
        self.values.get(option)
    }

    /// All valid assignments of a name, in order, for settings whose lines add up.
    pub fn every(&self, option: &str) -> impl Iterator<Item = &Assigned> {
        self.every.iter().filter(move |(name, _)| name == option).map(|(_, assigned)| assigned)
    }
}

impl Takes {
    /// A value as text and number; nothing if systemd does not take it.
    fn read(self, value: &str) -> Option<(String, Option<i64>)> {
        let text = |text: &str| (text.to_owned(), None);
        match self {
            Self::Boolean => boolean(value).map(text),
            // 1 would be a size, and is taken for a boolean with a warning.
            Self::Compress if value.is_empty() => Some(text("yes")),
            Self::Compress => boolean(value).map(text).or_else(|| read_size(value).map(|bytes| ("yes".to_owned(), Some(bytes)))),
            Self::Storage => ["volatile", "persistent", "auto", "none"].contains(&value).then(|| text(value)),
            Self::Size => read_size(value).map(|bytes| (value.to_owned(), Some(bytes))),
            Self::Time => seconds(value).map(|seconds| (value.to_owned(), Some(seconds))),
            Self::Count => value.parse::<u32>().ok().map(|count| (value.to_owned(), Some(i64::from(count)))),
            Self::Text => Some(text(value)),
        }
    }
}

/// `parse_boolean()`, any case.
fn boolean(value: &str) -> Option<&'static str> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "yes" | "y" | "true" | "t" | "on" => Some("yes"),
        "0" | "no" | "n" | "false" | "f" | "off" => Some("no"),
        _ => None,
    }
}

/// `parse_size()` with base 1024, without fractions.
pub(super) fn read_size(value: &str) -> Option<i64> {
    let digits = value.trim_start_matches(|digit: char| digit.is_ascii_digit());
    let number: i64 = value.get(..value.len() - digits.len())?.parse().ok()?;
    let power = match digits.trim() {
        "" | "B" => 0,
        "K" => 1,
        "M" => 2,
        "G" => 3,
        "T" => 4,
        "P" => 5,
        "E" => 6,
        _ => return None,
    };
    number.checked_mul(1_i64.checked_shl(10 * power)?)
}

/// `parse_sec()`: numbers with units, added up; a number alone is seconds.
fn seconds(value: &str) -> Option<i64> {
    let mut rest = value.trim();
    let mut total = 0_i64;
    if rest == "infinity" {
        return Some(i64::MAX);
    }
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.chars().take_while(char::is_ascii_digit).count();
        let (number, after) = rest.split_at_checked(digits)?;
        let after = after.trim_start();
        let letters = after.chars().take_while(char::is_ascii_alphabetic).count();
        let (unit, after) = after.split_at_checked(letters)?;
        let factor = match unit {
            "" | "s" | "sec" | "second" | "seconds" => 1,
            "m" | "min" | "minute" | "minutes" => 60,
            "h" | "hr" | "hour" | "hours" => 3_600,
            "d" | "day" | "days" => 86_400,
            "w" | "week" | "weeks" => 604_800,
            "M" | "month" | "months" => 2_629_800,
            "y" | "year" | "years" => 31_557_600,
            "ms" | "msec" | "us" | "usec" => 0,
            _ => return None,
        };
        total = total.checked_add(number.parse::<i64>().ok()?.checked_mul(factor)?)?;
        rest = after.trim_start();
    }
    Some(total)
}

pub(super) fn gather(facts: &Facts<'_>) -> Fact<Journald> {
    let root = facts.root();
    let directory = ImagePath::new("/var/log/journal");
    let debian = |os: &super::Os| os.id == "debian" || os.like.iter().any(|like| like == "debian");
    Ok(Journald {
        journal: read_systemd(root, "journald.conf", "Journal", &|key, value| {
            KNOWN.iter().find(|(name, ..)| *name == key).map_or(Takes::Text, |(_, takes, _)| *takes).read(value)
        })?,
        upload: read_systemd(root, "journal-upload.conf", "Upload", &|_, value| Takes::Text.read(value))?,
        directory: root.exists(&directory).map_err(|error| Unreadable::reading(&directory, &error))?,
        forwards_by_default: facts.os().is_ok_and(debian),
    })
}

pub(super) type Reading<'r> = &'r dyn Fn(&str, &str) -> Option<(String, Option<i64>)>;

/// Reads a configuration of systemd: the main file and all drop-ins.
pub(super) fn read_systemd(root: Rootfs<'_>, name: &str, section: &str, reading: Reading<'_>) -> Fact<Settings> {
    let mut found = Settings::default();
    for folder in FOLDERS {
        if found.add(root, &ImagePath::new(folder).join(name), section, reading)? {
            break;
        }
    }
    let mut drop_ins: BTreeMap<Vec<u8>, ImagePath> = BTreeMap::new();
    for folder in FOLDERS.into_iter().rev() {
        let pattern = format!("{folder}/{name}.d/*.conf");
        let paths = root.glob(&pattern).map_err(|error| Unreadable::at(&ImagePath::new(&pattern), error.to_string()))?;
        drop_ins.extend(paths.into_iter().map(|path| (path.file_name().to_vec(), path)));
    }
    if drop_ins.len() > MAX_FILES {
        return Err(Unreadable::at(&ImagePath::new(name), format!("more than {MAX_FILES} drop-ins")));
    }
    for path in drop_ins.values() {
        found.add(root, path, section, reading)?;
    }
    Ok(found)
}

impl Settings {
    /// Adds a file; false where there is none. A link to `/dev/null` is an empty file.
    fn add(&mut self, root: Rootfs<'_>, path: &ImagePath, section: &str, reading: Reading<'_>) -> Fact<bool> {
        let content = match root.read_link(path) {
            Ok(Some(target)) if target == b"/dev/null" => Vec::new(),
            _ => match root.read(path) {
                Ok(content) => content,
                Err(error) if error.is_absent() => return Ok(false),
                Err(error) => return Err(Unreadable::reading(path, &error)),
            },
        };
        let file = systemd_unit::parse(&content);
        self.files.push(path.clone());
        self.broken.extend(file.broken.map(|broken| Unreadable::at_line(path, broken.line, broken.reason)));
        for setting in file.settings.into_iter().filter(|setting| setting.section == section) {
            let shown = |text: &str| crate::path::printable(text.as_bytes());
            if let Some((text, number)) = reading(&setting.key, &setting.value) {
                let place = Some((path.clone(), setting.line));
                let assigned = Assigned { text: shown(&text), number, place, because: None };
                self.every.push((setting.key.clone(), assigned.clone()));
                self.values.insert(setting.key, assigned);
            } else {
                let what = format!("{} does not take '{}'", shown(&setting.key), shown(&setting.value));
                self.invalid.push(Unreadable::at_line(path, setting.line, what));
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{FactId, Needs, Target};
    use super::*;
    use crate::image::MemoryImage;

    fn journald(image: &MemoryImage) -> Journald {
        let target = Target::image(Rootfs::new(image), jiff::civil::date(2026, 1, 1));
        Facts::gather(target, |_, needs: &mut Needs| needs.fact(FactId::Journald)).journald().unwrap().clone()
    }

    fn text(image: &MemoryImage, option: &str) -> Option<String> {
        journald(image).effective(option).map(|found| found.text)
    }

    const MAIN: &str = "/etc/systemd/journald.conf";

    #[test]
    fn drop_ins_win_by_their_names_whatever_their_directory() {
        let image = MemoryImage::new()
            .file(MAIN, "[Journal]\nStorage=none\nCompress=no\n")
            .file("/usr/lib/systemd/journald.conf.d/90-vendor.conf", "[Journal]\nStorage=volatile\n")
            .file("/etc/systemd/journald.conf.d/10-ours.conf", "[Journal]\nStorage=persistent\n");
        let found = journald(&image).effective("Storage").unwrap();
        assert_eq!(found.text, "volatile");
        assert_eq!(found.place.unwrap().1, 2);
        assert_eq!(text(&image, "Compress").as_deref(), Some("no"));
    }

    #[test]
    fn a_drop_in_of_the_same_name_hides_the_vendors() {
        let image = MemoryImage::new().file("/usr/lib/systemd/journald.conf.d/a.conf", "[Journal]\nStorage=volatile\n");
        assert_eq!(text(&image, "Storage").as_deref(), Some("volatile"));
        let image = image.link("/etc/systemd/journald.conf.d/a.conf", "/dev/null");
        assert_eq!(text(&image, "Storage").as_deref(), Some("auto"));
    }

    #[test]
    fn a_value_in_quotes_is_none_and_what_came_before_stays() {
        let image =
            MemoryImage::new().file(MAIN, "[Journal]\nForwardToSyslog=yes\nForwardToSyslog=\"no\"\nStorage = persistent \n");
        assert_eq!(text(&image, "ForwardToSyslog").as_deref(), Some("yes"));
        assert_eq!(text(&image, "Storage").as_deref(), Some("persistent"));
        assert_eq!(journald(&image).journal.invalid[0].line, Some(3));
    }

    #[test]
    fn another_section_does_not_count() {
        let image = MemoryImage::new().file(MAIN, "Storage=none\n[Upload]\nStorage=none\n");
        assert_eq!(text(&image, "Storage").as_deref(), Some("auto"));
    }

    #[test]
    fn forwarding_to_syslog_is_debians_default() {
        assert_eq!(text(&MemoryImage::new(), "ForwardToSyslog").as_deref(), Some("no"));
        let debian = MemoryImage::new().file("/etc/os-release", "ID=ubuntu\nID_LIKE=debian\n");
        assert_eq!(text(&debian, "ForwardToSyslog").as_deref(), Some("yes"));
    }

    #[test]
    fn automatic_storage_depends_on_the_directory() {
        assert_eq!(journald(&MemoryImage::new()).storage().unwrap().text, "volatile");
        assert_eq!(journald(&MemoryImage::new().directory("/var/log/journal")).storage().unwrap().text, "persistent");
    }

    #[test]
    fn sizes_and_times_are_numbers() {
        let image = MemoryImage::new().file(MAIN, "[Journal]\nSystemMaxUse=1G\nMaxFileSec=1week 2d\nCompress=512\nLineMax=x\n");
        let number = |option: &str| journald(&image).effective(option).and_then(|found| found.number);
        assert_eq!((number("SystemMaxUse"), number("MaxFileSec")), (Some(1 << 30), Some(777_600)));
        assert_eq!((number("Compress"), number("LineMax"), number("RuntimeMaxUse")), (Some(512), Some(48 << 10), None));
    }
}
