//! `auditd.conf(5)`.

use super::{Fact, Facts, Unreadable};
use crate::path::ImagePath;
use crate::syntax::key_value::{Setting, parse};

/// The configuration of auditd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auditd {
    /// The file.
    pub path: ImagePath,
    settings: Vec<Setting>,
}

impl Auditd {
    /// The value of a setting and its line; the last of its name counts (auditd-config.c takes them in order).
    #[must_use]
    pub fn setting(&self, key: &str) -> Option<(&str, u32)> {
        let found = self.settings.iter().rev().find(|setting| setting.key.eq_ignore_ascii_case(key));
        found.map(|setting| (setting.value.as_str(), setting.line))
    }
}

pub(super) fn gather(facts: &Facts<'_>) -> Fact<Auditd> {
    let path = ImagePath::new("/etc/audit/auditd.conf");
    match facts.root().read(&path) {
        Ok(content) => Ok(Auditd { settings: parse(&content), path }),
        // auditd does not start without its file: nothing is set.
        Err(error) if error.is_absent() => Ok(Auditd { path, settings: Vec::new() }),
        Err(error) => Err(Unreadable::reading(&path, &error)),
    }
}
