//! `auditd.conf(5)`.

use super::{Fact, Facts, Unreadable};
use crate::path::ImagePath;
use crate::syntax::auditd_conf::{Setting, parse};

/// Where auditd writes if nothing is set.
const LOG_FILE: &str = "/var/log/audit/audit.log";

/// The configuration of auditd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auditd {
    /// The file.
    pub path: ImagePath,
    /// The first line that keeps auditd from starting.
    pub refused: Option<Unreadable>,
    settings: Vec<Setting>,
}

impl Auditd {
    /// The value of a setting and its line; the last of its name counts (auditd-config.c takes them in order).
    #[must_use]
    pub fn setting(&self, key: &str) -> Option<(&str, u32)> {
        let found = self.settings.iter().rev().find(|setting| setting.key.eq_ignore_ascii_case(key));
        found.map(|setting| (setting.value.as_str(), setting.line))
    }

    /// The file it writes; those it has turned over have a dot and a number behind.
    #[must_use]
    pub fn log_file(&self) -> ImagePath {
        ImagePath::new(self.setting("log_file").map_or(LOG_FILE, |(path, _)| path))
    }

    /// The group that may read the logs, by name or number: root if nothing is set.
    #[must_use]
    pub fn log_group(&self) -> &str {
        self.setting("log_group").map_or("root", |(group, _)| group)
    }
}

pub(super) fn gather(facts: &Facts<'_>) -> Fact<Auditd> {
    let path = ImagePath::new("/etc/audit/auditd.conf");
    match facts.root().read(&path) {
        Ok(content) => {
            let config = parse(&content);
            let refused = config.refused.map(|(line, why)| Unreadable::at_line(&path, line, why));
            Ok(Auditd { settings: config.settings, refused, path })
        }
        // Without its file auditd takes what is built in.
        Err(error) if error.is_absent() => Ok(Auditd { path, refused: None, settings: Vec::new() }),
        Err(error) => Err(Unreadable::reading(&path, &error)),
    }
}
