//! `/etc/selinux/config`, as libselinux reads it.

use super::{Fact, Facts, Unreadable};
use crate::path::{ImagePath, printable};

/// What SELinux is told to do at boot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SeLinux {
    /// `enforcing`, `permissive` or `disabled`, with its line: the first line that begins with `SELINUX=` and one of these.
    pub mode: Option<(String, u32)>,
    /// The policy, with its line: the last `SELINUXTYPE=`.
    pub policy: Option<(String, u32)>,
}

/// The file.
pub(crate) const CONFIG: &str = "/etc/selinux/config";

/// Reads as `selinux_getenforcemode` and `init_selinux_config` of libselinux do (`selinux_config.c`): the mode without white space before its
/// name and the first that is one, the policy with white space and the last.
pub(super) fn gather(facts: &Facts<'_>) -> Fact<SeLinux> {
    let path = ImagePath::new(CONFIG);
    let content = match facts.root().read(&path) {
        Ok(content) => content,
        Err(error) if error.is_absent() => return Ok(SeLinux::default()),
        Err(error) => return Err(Unreadable::reading(&path, &error)),
    };
    let mut found = SeLinux::default();
    for (number, line) in (1..).zip(content.split(|&byte| byte == b'\n')) {
        if let Some(value) = line.strip_prefix(b"SELINUX=") {
            let value = printable(value).trim().to_ascii_lowercase();
            let mode = ["enforcing", "permissive", "disabled"].into_iter().find(|mode| value.starts_with(mode));
            if let (Some(mode), None) = (mode, &found.mode) {
                found.mode = Some((mode.to_owned(), number));
            }
        }
        let trimmed = line.trim_ascii();
        if let Some((key, value)) = trimmed.split_at_checked(b"SELINUXTYPE=".len())
            && key.eq_ignore_ascii_case(b"SELINUXTYPE=")
        {
            found.policy = Some((printable(value.trim_ascii()), number));
        }
    }
    Ok(found)
}
