//! authselect: which profile makes the stacks of PAM, and whether they are still its own (`authselect(8)`).

use std::collections::BTreeSet;

use super::{Fact, Facts, Unreadable};
use crate::image::{FileKind, ReadError, Rootfs};
use crate::path::{ImagePath, printable};

/// authselect as it was last applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authselect {
    /// The profile, with its line; nothing where none was ever selected.
    pub profile: Option<(String, u32)>,
    /// Features switched on.
    pub features: BTreeSet<String>,
    /// The stacks in `/etc/pam.d` that are not authselect's, with what they are instead.
    pub foreign: Vec<(ImagePath, String)>,
    /// The profile's own stacks that were there to read, as they are written, by name.
    pub stacks: Vec<(ImagePath, Fact<String>)>,
}

/// What it remembers.
const CONFIG: &str = "/etc/authselect/authselect.conf";
/// The stacks it makes.
const STACKS: [&str; 5] = ["fingerprint-auth", "password-auth", "postlogin", "smartcard-auth", "system-auth"];

pub(super) fn gather(facts: &Facts<'_>) -> Fact<Authselect> {
    let root = facts.root();
    let config = ImagePath::new(CONFIG);
    let content = match root.read(&config) {
        Ok(content) => content,
        Err(error) if error.is_absent() => Vec::new(),
        Err(error) => return Err(Unreadable::reading(&config, &error)),
    };
    // authselect_config_read: the first line is the profile, each further one a feature; comments do not count.
    let lines = (1..).zip(content.split(|&byte| byte == b'\n')).map(|(number, line)| (number, printable(line.trim_ascii())));
    let mut lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let profile = lines.next().map(|(number, name)| (name, number));
    let features = lines.map(|(_, feature)| feature).collect();
    let stacks = profile.as_ref().map(|(name, _)| stacks(root, name)).unwrap_or_default();
    Ok(Authselect { profile, features, foreign: foreign(root)?, stacks })
}

/// The stacks that are no links to authselect's.
fn foreign(root: Rootfs<'_>) -> Fact<Vec<(ImagePath, String)>> {
    let mut found = Vec::new();
    for name in STACKS {
        let path = ImagePath::new("/etc/pam.d").join(name);
        let wanted = ImagePath::new("/etc/authselect").join(name);
        let what = match root.resolve(&path) {
            Ok(resolved) if resolved.path == wanted && resolved.metadata.kind == FileKind::File => continue,
            Ok(resolved) if resolved.links.is_empty() => "a file of its own".to_owned(),
            Ok(resolved) => format!("a link to {}", resolved.path),
            Err(ReadError::NotFound) => "nothing".to_owned(),
            Err(ReadError::Dangling) => "a link to nothing".to_owned(),
            Err(error) => return Err(Unreadable::reading(&path, &error)),
        };
        found.push((path, what));
    }
    Ok(found)
}

/// The files of a profile: an administrator's own, a vendor's, one of the package.
fn stacks(root: Rootfs<'_>, profile: &str) -> Vec<(ImagePath, Fact<String>)> {
    if profile.split('/').any(|part| part == "..") {
        return Vec::new();
    }
    let folders = match profile.strip_prefix("custom/") {
        Some(name) => vec![format!("/etc/authselect/custom/{name}")],
        None => vec![format!("/usr/share/authselect/vendor/{profile}"), format!("/usr/share/authselect/default/{profile}")],
    };
    let folders: Vec<ImagePath> = folders.iter().map(ImagePath::new).collect();
    let Some(folder) = folders.iter().find(|folder| root.exists(folder).unwrap_or(false)) else { return Vec::new() };
    let mut found = Vec::new();
    for path in ["password-auth", "system-auth"].map(|name| folder.join(name)) {
        let text = match root.read(&path) {
            Ok(content) => Ok(String::from_utf8_lossy(&content).into_owned()),
            Err(error) => Err(Unreadable::reading(&path, &error)),
        };
        found.push((path, text));
    }
    found
}

impl Authselect {
    /// Where the profile is written down.
    #[must_use]
    pub fn path() -> ImagePath {
        ImagePath::new(CONFIG)
    }
}

/// The line in which a profile's stack names a module, if one does. What features switch on counts: whether it is in force is what the
/// stacks themselves say.
#[must_use]
pub fn names_module(text: &str, module: &str) -> Option<u32> {
    let names = |line: &str| {
        let mut words = line.split_whitespace();
        !line.trim_start().starts_with('#') && words.any(|word| word == module || word.rsplit('/').next() == Some(module))
    };
    (1..).zip(text.lines()).find(|(_, line)| names(line)).map(|(number, _)| number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Target;
    use crate::image::MemoryImage;

    fn authselect(image: &MemoryImage) -> Authselect {
        gather(&Facts::none(Target::image(Rootfs::new(image), jiff::civil::date(2026, 1, 1)))).unwrap()
    }

    #[test]
    fn profile_features_and_links() {
        let image = MemoryImage::new().file(CONFIG, "# c\ncustom/x\nwith-faillock\n");
        let image = STACKS.iter().fold(image, |image, name| {
            let own = format!("/etc/authselect/{name}");
            image.file(&own, "").link(&format!("/etc/pam.d/{name}"), &own)
        });
        let found = authselect(&image);
        assert_eq!(found.profile, Some(("custom/x".to_owned(), 2)));
        assert!(found.features.contains("with-faillock") && found.foreign.is_empty() && found.stacks.is_empty());
        let found = authselect(&image.file("/etc/pam.d/system-auth", "auth required pam_unix.so\n"));
        assert_eq!(found.foreign, [(ImagePath::new("/etc/pam.d/system-auth"), "a file of its own".to_owned())]);
    }

    #[test]
    fn a_profile_that_climbs_out_has_no_stacks() {
        let image = MemoryImage::new().file(CONFIG, "custom/../../x\n").file("/etc/x/system-auth", "");
        assert!(authselect(&image).stacks.is_empty());
    }

    #[test]
    fn a_comment_names_no_module() {
        assert_eq!(names_module("# pam_unix.so\nauth required pam_unix.so {include if \"x\"}\n", "pam_unix.so"), Some(2));
        assert_eq!(names_module("auth required pam_unix.sox\n", "pam_unix.so"), None);
    }
}
