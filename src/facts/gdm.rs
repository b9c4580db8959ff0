//! The configuration of the GNOME display manager (`gdm-settings-desktop-backend.c`): one key file, whose place is compiled in.

use super::{Fact, Facts, Unreadable};
use crate::path::ImagePath;
use crate::syntax::key_file::{Setting, parse};

/// GDM as it is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gdm {
    /// The file.
    pub path: ImagePath,
    settings: Vec<Setting>,
}

impl Gdm {
    /// The value of a key in a group and its line; the last counts.
    #[must_use]
    pub fn setting(&self, group: &str, key: &str) -> Option<(&str, u32)> {
        let found = self.settings.iter().rev().find(|setting| setting.group == group && setting.key == key);
        found.map(|setting| (setting.value.as_str(), setting.line))
    }
}

pub(super) fn gather(facts: &Facts<'_>) -> Fact<Gdm> {
    let os = facts.os()?;
    let is = |id: &str| os.id == id || os.like.iter().any(|like| like == id);
    // Ubuntu's package is Debian's but for the name of the file.
    let path = ImagePath::new(if is("ubuntu") {
        "/etc/gdm3/custom.conf"
    } else if is("debian") {
        "/etc/gdm3/daemon.conf"
    } else {
        "/etc/gdm/custom.conf"
    });
    match facts.root().read(&path) {
        Ok(content) => match parse(&content) {
            Ok(settings) => Ok(Gdm { path, settings }),
            Err(refused) => Err(Unreadable::at_line(&path, refused.line, refused.to_string())),
        },
        Err(error) if error.is_absent() => Ok(Gdm { path, settings: Vec::new() }),
        Err(error) => Err(Unreadable::reading(&path, &error)),
    }
}
