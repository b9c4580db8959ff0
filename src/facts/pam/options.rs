//! Settings that modules read from files of their own.

use std::collections::BTreeMap;

use crate::facts::{Fact, Unreadable};
use crate::image::Rootfs;
use crate::path::ImagePath;
use crate::syntax::key_value;

use super::Step;

/// The files of each module, in the order they are read: a later value replaces an earlier one.
const FILES: [(&str, &[&str]); 3] = [
    // pwquality.conf(5): the folder is read first, so the main file has the last word.
    ("pam_pwquality.so", &["/etc/security/pwquality.conf.d/*.conf", "/etc/security/pwquality.conf"]),
    ("pam_faillock.so", &["/etc/security/faillock.conf"]),
    ("pam_pwhistory.so", &["/etc/security/pwhistory.conf"]),
];

/// What a module does where nothing sets an option: pwquality.conf(5), faillock.conf(5), `pam_pwhistory(8)`. The credits are left out: at their
/// default of 0 they ask for nothing, so that "not set" says it better.
const DEFAULTS: [(&str, &str, &str); 14] = [
    ("pam_pwquality.so", "difok", "1"),
    ("pam_pwquality.so", "minlen", "8"),
    ("pam_pwquality.so", "minclass", "0"),
    ("pam_pwquality.so", "maxrepeat", "0"),
    ("pam_pwquality.so", "maxsequence", "0"),
    ("pam_pwquality.so", "dictcheck", "1"),
    ("pam_pwquality.so", "enforcing", "1"),
    ("pam_pwquality.so", "retry", "1"),
    ("pam_faillock.so", "deny", "3"),
    ("pam_faillock.so", "unlock_time", "600"),
    ("pam_faillock.so", "fail_interval", "900"),
    ("pam_faillock.so", "dir", "/var/run/faillock"),
    ("pam_pwhistory.so", "remember", "10"),
    ("pam_pwhistory.so", "retry", "1"),
];

/// Where an option's value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleOption {
    /// The value; empty for a word alone.
    pub value: String,
    /// The file, and its line.
    pub place: Option<(ImagePath, u32)>,
}

/// The settings of every module's files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct OptionFiles(BTreeMap<String, Fact<BTreeMap<String, ModuleOption>>>);

impl OptionFiles {
    pub(super) fn gather(root: Rootfs<'_>) -> Self {
        Self(FILES.iter().map(|(module, patterns)| ((*module).to_owned(), read(root, patterns))).collect())
    }

    /// The value of an option for one line of a stack: its own argument, else the module's files, else what the module does by itself.
    ///
    /// # Errors
    /// A file of the module that could not be read.
    pub(super) fn value(&self, step: &Step, option: &str) -> Fact<Option<ModuleOption>> {
        let module = step.module.name();
        if let Some(value) = step.argument(option) {
            return Ok(Some(ModuleOption { value: value.to_owned(), place: Some((step.path.clone(), step.module.line)) }));
        }
        if let Some(files) = self.0.get(module)
            && let Some(found) = files.as_ref().map_err(Clone::clone)?.get(option)
        {
            return Ok(Some(found.clone()));
        }
        let default = DEFAULTS.iter().find(|(known, name, _)| *known == module && *name == option);
        Ok(default.map(|(_, _, value)| ModuleOption { value: (*value).to_owned(), place: None }))
    }
}

fn read(root: Rootfs<'_>, patterns: &[&str]) -> Fact<BTreeMap<String, ModuleOption>> {
    let mut values = BTreeMap::new();
    for pattern in patterns {
        let paths = root.glob(pattern).map_err(|error| Unreadable::at(&ImagePath::new(pattern), error.to_string()))?;
        for path in paths {
            let content = match root.read(&path) {
                Err(error) if error.is_absent() => continue,
                other => other.map_err(|error| Unreadable::reading(&path, &error))?,
            };
            for setting in key_value::parse(&content) {
                values.insert(setting.key, ModuleOption { value: setting.value, place: Some((path.clone(), setting.line)) });
            }
        }
    }
    Ok(values)
}
