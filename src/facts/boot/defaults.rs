//! `/etc/default/grub` and its folder: what the next `grub.cfg` is made from.

use super::{glob, read};
use crate::facts::Fact;
use crate::image::Rootfs;
use crate::path::ImagePath;
use crate::syntax::shell_assignments::parse;

/// The arguments of the next `grub.cfg`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defaults {
    /// Of every entry (`GRUB_CMDLINE_LINUX`).
    pub all: Vec<String>,
    /// Of every entry but those for recovery (`GRUB_CMDLINE_LINUX_DEFAULT`).
    pub normal: Vec<String>,
    /// Whether there are no entries for recovery (`GRUB_DISABLE_RECOVERY=true`).
    pub no_recovery: bool,
    /// A place whose value is computed, so that the arguments are not known.
    pub computed: Option<(ImagePath, u32)>,
    /// The file, and the line that last said something of the arguments.
    pub place: (ImagePath, u32),
}

impl Defaults {
    /// Reads the script and the parts it reads after itself (Debian: `/etc/default/grub.d/*.cfg`), as far as they are plain.
    pub(super) fn gather(root: Rootfs<'_>) -> Fact<Option<Self>> {
        let first = ImagePath::new("/etc/default/grub");
        let Some(content) = read(root, &first)? else { return Ok(None) };
        let mut defaults =
            Self { all: Vec::new(), normal: Vec::new(), no_recovery: false, computed: None, place: (first.clone(), 1) };
        let mut files = vec![(first, content)];
        for path in glob(root, "/etc/default/grub.d/*.cfg")? {
            if let Some(content) = read(root, &path)? {
                files.push((path, content));
            }
        }
        for (path, content) in files {
            for assignment in parse(&content) {
                let list = match assignment.name.as_str() {
                    "GRUB_CMDLINE_LINUX" => &mut defaults.all,
                    "GRUB_CMDLINE_LINUX_DEFAULT" => &mut defaults.normal,
                    "GRUB_DISABLE_RECOVERY" => {
                        defaults.no_recovery = assignment.value.as_deref() == Some("true");
                        continue;
                    }
                    _ => continue,
                };
                defaults.place = (path.clone(), assignment.line);
                let Some(value) = assignment.value else {
                    defaults.computed = Some(defaults.place.clone());
                    continue;
                };
                if !assignment.adds {
                    list.clear();
                }
                list.extend(value.split_ascii_whitespace().map(str::to_owned));
            }
        }
        Ok(Some(defaults))
    }

    /// The lists of arguments that entries will have: normal ones, and those for recovery if there are any.
    #[must_use]
    pub fn lists(&self) -> Vec<Vec<String>> {
        let normal = self.all.iter().chain(&self.normal).cloned().collect();
        if self.no_recovery { vec![normal] } else { vec![normal, self.all.clone()] }
    }
}
