//! APT: its configuration (`apt.conf(5)`) and its archives (`sources.list(5)`).

use std::collections::BTreeMap;

use super::{Fact, Facts, Unreadable};
use crate::image::{ReadError, Rootfs};
use crate::path::ImagePath;
use crate::syntax::apt_conf;
use crate::syntax::apt_sources::{self, Archive, is_true};

/// APT as it is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Apt {
    /// Values by full name in small letters. A file that cannot be read leaves them all unknown.
    options: Fact<BTreeMap<String, AptSetting>>,
    /// Every archive in use.
    pub archives: Vec<(ImagePath, Archive)>,
    /// Lists of archives that could not be read.
    pub broken: Vec<Unreadable>,
}

/// A setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AptSetting {
    /// The value; booleans that we know as `true` and `false`.
    pub value: String,
    /// Where it is set; nothing where it is built in.
    pub place: Option<(ImagePath, u32)>,
}

/// Booleans and what they are where nothing sets them (`apt.conf(5)`, `pkgInitConfig`).
const BOOLEANS: [(&str, bool); 6] = [
    ("apt::install-recommends", true),
    ("apt::install-suggests", false),
    ("apt::get::allowunauthenticated", false),
    ("acquire::allowinsecurerepositories", false),
    ("acquire::allowweakrepositories", false),
    ("acquire::allowdowngradetoinsecurerepositories", false),
];

pub(super) fn gather(facts: &Facts<'_>) -> Fact<Apt> {
    let root = facts.root();
    let mut apt = Apt { options: options(root), archives: Vec::new(), broken: Vec::new() };
    apt.take(root, &ImagePath::new("/etc/apt/sources.list"), &apt_sources::parse_list);
    for path in parts(root, "/etc/apt/sources.list.d", &["list", "sources"])? {
        if path.as_bytes().ends_with(b".list") {
            apt.take(root, &path, &apt_sources::parse_list);
        } else {
            apt.take(root, &path, &apt_sources::parse_stanzas);
        }
    }
    Ok(apt)
}

/// Everything that is set, in the order in which apt reads: the folder by name, then the file.
fn options(root: Rootfs<'_>) -> Fact<BTreeMap<String, AptSetting>> {
    let mut found = BTreeMap::new();
    let mut files = parts(root, "/etc/apt/apt.conf.d", &["", "conf"])?;
    files.push(ImagePath::new("/etc/apt/apt.conf"));
    for path in files {
        read(root, &path, &mut found)?;
    }
    Ok(found)
}

fn read(root: Rootfs<'_>, path: &ImagePath, found: &mut BTreeMap<String, AptSetting>) -> Fact<()> {
    let content = match root.read(path) {
        Ok(content) => content,
        Err(ReadError::Kind { .. }) => return Ok(()),
        Err(error) if error.is_absent() => return Ok(()),
        Err(error) => return Err(Unreadable::reading(path, &error)),
    };
    let includes = |line: &&[u8]| line.trim_ascii_start().starts_with(b"#include");
    if let Some(index) = content.split(|&byte| byte == b'\n').position(|line| includes(&line)) {
        let line = u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1);
        return Err(Unreadable::at_line(path, line, "what a file includes is not followed"));
    }
    for setting in apt_conf::parse(&content) {
        if let Some(value) = setting.value {
            found.insert(setting.name, AptSetting { value, place: Some((path.clone(), setting.line)) });
        } else {
            let below = format!("{}::", setting.name);
            found.retain(|other, _| *other != setting.name && !other.starts_with(&below));
        }
    }
    Ok(())
}

/// The files of a folder that count, by name: of one of these endings (`""` is none), without characters that backups have
/// (`GetListOfFilesInDir`).
fn parts(root: Rootfs<'_>, folder: &str, endings: &[&str]) -> Fact<Vec<ImagePath>> {
    let folder = ImagePath::new(folder);
    let names = match root.read_dir(&folder) {
        Ok(names) => names,
        Err(error) if error.is_absent() => return Ok(Vec::new()),
        Err(error) => return Err(Unreadable::reading(&folder, &error)),
    };
    let counts = |name: &[u8]| {
        let ending = name.iter().rposition(|&byte| byte == b'.').and_then(|dot| name.get(dot + 1..)).unwrap_or_default();
        !name.starts_with(b".")
            && endings.iter().any(|wanted| wanted.as_bytes() == ending)
            && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_-:.".contains(byte))
    };
    Ok(names.iter().filter(|name| counts(name)).map(|name| folder.join(name)).collect())
}

type Parse = dyn Fn(&[u8]) -> Result<Vec<Archive>, apt_sources::Refused>;

impl Apt {
    fn take(&mut self, root: Rootfs<'_>, path: &ImagePath, parse: &Parse) {
        let content = match root.read(path) {
            Ok(content) => content,
            Err(ReadError::Kind { .. }) => return,
            Err(error) if error.is_absent() => return,
            Err(error) => return self.broken.push(Unreadable::reading(path, &error)),
        };
        match parse(&content) {
            Ok(archives) => self.archives.extend(archives.into_iter().map(|archive| (path.clone(), archive))),
            Err(refused) => self.broken.push(Unreadable::at_line(path, refused.line, refused.to_string())),
        }
    }

    /// An option, or what is built in.
    ///
    /// # Errors
    /// A file that cannot be read, or includes another.
    pub fn option(&self, name: &str) -> Fact<Option<AptSetting>> {
        let name = name.to_ascii_lowercase();
        let set = self.options.as_ref().map_err(Clone::clone)?.get(&name);
        let built_in = BOOLEANS.iter().find(|(known, _)| *known == name);
        Ok(match (set, built_in) {
            (Some(setting), Some((_, default))) => {
                Some(AptSetting { value: is_true(&setting.value, *default).to_string(), place: setting.place.clone() })
            }
            (None, Some((_, default))) => Some(AptSetting { value: default.to_string(), place: None }),
            (set, None) => set.cloned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Target;
    use crate::image::MemoryImage;

    fn apt(image: &MemoryImage) -> Apt {
        gather(&Facts::none(Target::image(Rootfs::new(image), jiff::civil::date(2026, 1, 1)))).unwrap()
    }

    fn recommends(image: &MemoryImage) -> String {
        apt(image).option("APT::Install-Recommends").unwrap().unwrap().value
    }

    #[test]
    fn the_file_counts_after_its_folder_and_backups_never() {
        let image = MemoryImage::new().file("/etc/apt/apt.conf.d/60-x", "APT::Install-Recommends \"0\";\n");
        assert_eq!(recommends(&MemoryImage::new()), "true");
        assert_eq!(recommends(&image), "false");
        let backups = image.file("/etc/apt/apt.conf.d/70-x.bak", "APT::Install-Recommends 1;\n");
        let backups = backups.file("/etc/apt/apt.conf.d/70-x~", "APT::Install-Recommends 1;\n");
        assert_eq!(recommends(&backups), "false");
        assert_eq!(recommends(&backups.file("/etc/apt/apt.conf", "apt { install-recommends yes; };\n")), "true");
    }

    #[test]
    fn clearing_and_including() {
        let image = MemoryImage::new().file("/etc/apt/apt.conf.d/10", "APT::Install-Recommends off;\n");
        assert_eq!(recommends(&image.clone().file("/etc/apt/apt.conf", "#clear APT;\n")), "true");
        let circle = image.file("/etc/apt/apt.conf", "#include \"apt.conf\";\n");
        assert!(apt(&circle).option("x").is_err());
    }

    #[test]
    fn archives_of_both_kinds() {
        let image = MemoryImage::new().file("/etc/apt/sources.list", "deb http://a b\n");
        let image = image
            .file("/etc/apt/sources.list.d/x.sources", "Types: deb\nURIs: http://c\n")
            .file("/etc/apt/sources.list.d/y.list", "x\n");
        let apt = apt(&image.file("/etc/apt/sources.list.d/z.list.save", "deb http://d e\n"));
        assert_eq!((apt.archives.len(), apt.broken.len()), (2, 1));
    }
}
