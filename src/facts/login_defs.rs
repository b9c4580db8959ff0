//! What shadow-utils gives to new accounts: `login.defs(5)` and the defaults of `useradd(8)`.

use std::collections::BTreeMap;

use super::{Fact, Facts, Unreadable};
use crate::path::{ImagePath, printable};
use crate::syntax::login_defs::{self as syntax, Setting};

/// The settings in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoginDefs {
    /// `login.defs` by name: the last line of a name wins.
    settings: BTreeMap<String, Value>,
}

/// The defaults of `useradd` in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UseraddDefaults {
    settings: BTreeMap<String, Value>,
}

/// A value and its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// As it is written, made safe to show.
    pub text: String,
    /// As a number, where it is one that shadow-utils takes: not below -1.
    pub number: Option<i64>,
    /// Its line, from 1.
    pub line: u32,
}

/// What a setting comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// The value in force, where there is one.
    pub text: Option<String>,
    /// As a number.
    pub number: Option<i64>,
    /// The line that set it, from 1; nothing where the built-in default counts.
    pub line: Option<u32>,
    /// Why it is this one.
    pub because: Option<String>,
}

/// Built into shadow-utils where `login.defs` is silent (`lib/getdef.c` and its callers; the same from 4.8 to 4.17). A number of -1
/// means that there is no limit.
const DEFAULTS: [(&str, &str); 14] = [
    ("PASS_MAX_DAYS", "-1"),
    ("PASS_MIN_DAYS", "-1"),
    ("PASS_WARN_AGE", "-1"),
    ("UID_MIN", "1000"),
    ("UID_MAX", "60000"),
    ("GID_MIN", "1000"),
    ("GID_MAX", "60000"),
    ("SYS_UID_MIN", "101"),
    ("SYS_GID_MIN", "101"),
    ("ENCRYPT_METHOD", "DES"),
    ("UMASK", "022"),
    ("USERGROUPS_ENAB", "no"),
    ("CREATE_HOME", "no"),
    ("LOGIN_RETRIES", "3"),
];

/// The settings that shadow-utils reads as numbers: what cannot be read as one there leaves the default in force.
const NUMBERS: [&str; 15] = [
    "PASS_MAX_DAYS",
    "PASS_MIN_DAYS",
    "PASS_WARN_AGE",
    "UID_MIN",
    "UID_MAX",
    "GID_MIN",
    "GID_MAX",
    "SYS_UID_MIN",
    "SYS_GID_MIN",
    "SYS_UID_MAX",
    "SYS_GID_MAX",
    "UMASK",
    "HOME_MODE",
    "LOGIN_RETRIES",
    "LOGIN_TIMEOUT",
];

/// Built into `useradd` (`src/useradd.c`).
const USERADD: [(&str, &str); 3] = [("INACTIVE", "-1"), ("GROUP", "100"), ("HOME", "/home")];

impl LoginDefs {
    /// The file.
    pub const PATH: &'static str = "/etc/login.defs";

    /// What a setting comes to.
    #[must_use]
    pub fn effective(&self, key: &str) -> Effective {
        effective(&self.settings, &DEFAULTS, key, NUMBERS.contains(&key))
    }

    /// A setting as a number.
    #[must_use]
    pub fn number(&self, key: &str) -> Option<i64> {
        self.effective(key).number
    }
}

impl UseraddDefaults {
    /// The file.
    pub const PATH: &'static str = "/etc/default/useradd";

    /// What a setting comes to.
    #[must_use]
    pub fn effective(&self, key: &str) -> Effective {
        effective(&self.settings, &USERADD, key, key == "INACTIVE")
    }
}

fn effective(settings: &BTreeMap<String, Value>, defaults: &[(&str, &str)], key: &str, numeric: bool) -> Effective {
    let default = defaults.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
    let built_in = |line, because: String| Effective {
        text: default.map(str::to_owned),
        number: default.and_then(|value| syntax::number(value.as_bytes())),
        line,
        because: Some(because),
    };
    match settings.get(key) {
        Some(value) if numeric && value.number.is_none() => {
            built_in(Some(value.line), format!("'{}' is no number that shadow-utils takes, so its default counts", value.text))
        }
        Some(value) => Effective { text: Some(value.text.clone()), number: value.number, line: Some(value.line), because: None },
        None => built_in(None, "not set, so the default that is built in counts".to_owned()),
    }
}

pub(super) fn gather(facts: &Facts<'_>) -> Fact<LoginDefs> {
    read(facts, LoginDefs::PATH, syntax::parse).map(|settings| LoginDefs { settings })
}

pub(super) fn gather_useradd(facts: &Facts<'_>) -> Fact<UseraddDefaults> {
    read(facts, UseraddDefaults::PATH, syntax::parse_useradd).map(|settings| UseraddDefaults { settings })
}

fn read(facts: &Facts<'_>, path: &str, parse: fn(&[u8]) -> Vec<Setting<'_>>) -> Fact<BTreeMap<String, Value>> {
    let path = ImagePath::new(path);
    let content = match facts.root().read(&path) {
        Ok(content) => content,
        Err(error) if error.is_absent() => return Ok(BTreeMap::new()),
        Err(error) => return Err(Unreadable::reading(&path, &error)),
    };
    let value = |setting: &Setting<'_>| {
        let number = syntax::number(setting.value).filter(|&number| number >= -1);
        (printable(setting.key), Value { text: printable(setting.value), number, line: setting.line })
    };
    Ok(parse(&content).iter().map(value).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Target;
    use crate::image::{MemoryImage, Rootfs};

    fn effective(content: &str, key: &str) -> Effective {
        let image = MemoryImage::new().file(LoginDefs::PATH, content);
        let facts = Facts::none(Target::image(Rootfs::new(&image), jiff::civil::date(2026, 1, 1)));
        gather(&facts).unwrap().effective(key)
    }

    #[test]
    fn the_last_of_a_name_wins() {
        let found = effective("PASS_MAX_DAYS 365\nPASS_MAX_DAYS 99999\n", "PASS_MAX_DAYS");
        assert_eq!((found.number, found.line), (Some(99999), Some(2)));
    }

    #[test]
    fn a_comment_behind_a_number_brings_the_default_back() {
        let found = effective("PASS_MAX_DAYS 365 # a year\n", "PASS_MAX_DAYS");
        assert_eq!((found.number, found.line), (Some(-1), Some(1)));
        assert!(found.because.unwrap().contains("no number"));
    }

    #[test]
    fn what_is_not_set_has_the_built_in_value() {
        assert_eq!(effective("", "ENCRYPT_METHOD").text.as_deref(), Some("DES"));
        assert_eq!(effective("", "UMASK").number, Some(0o22));
        assert_eq!(effective("", "NO_SUCH_THING").text, None);
    }
}
