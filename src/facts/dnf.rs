//! DNF and its repositories: `dnf.conf(5)`.

use std::collections::BTreeMap;

use super::{Fact, Facts, Unreadable};
use crate::image::{ReadError, Rootfs};
use crate::path::{ImagePath, printable};
use crate::syntax::dnf_conf::{File, parse};

/// DNF as it is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dnf {
    /// The main file.
    pub path: ImagePath,
    main: BTreeMap<String, DnfSetting>,
    /// Every repository, switched on or off, in the order in which they are read.
    pub repositories: Vec<Repository>,
    /// Files of repositories that could not be read.
    pub broken: Vec<Unreadable>,
}

/// A repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// Its name.
    pub id: String,
    /// Where it begins.
    pub place: (ImagePath, u32),
    settings: BTreeMap<String, DnfSetting>,
}

/// A setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnfSetting {
    /// The value; booleans as `true` and `false`.
    pub value: String,
    /// Where it is set; nothing where it is built in.
    pub place: Option<(ImagePath, u32)>,
}

/// Booleans and what they are where nothing sets them (`dnf.conf(5)`; libdnf's `ConfigMain.cpp`).
const BOOLEANS: [(&str, &str); 8] = [
    ("gpgcheck", "false"),
    ("repo_gpgcheck", "false"),
    ("localpkg_gpgcheck", "false"),
    ("install_weak_deps", "true"),
    ("sslverify", "true"),
    ("best", "false"),
    ("clean_requirements_on_remove", "true"),
    ("enabled", "true"),
];
/// Where repositories are looked for unless `reposdir` says otherwise.
const FOLDERS: [&str; 3] = ["/etc/yum.repos.d", "/etc/yum/repos.d", "/etc/distro.repos.d"];

pub(super) fn gather(facts: &Facts<'_>) -> Fact<Dnf> {
    let root = facts.root();
    // dnf of a system without /etc/dnf is yum, whose file is a link to dnf's elsewhere.
    let mut found = None;
    for path in ["/etc/dnf/dnf.conf", "/etc/yum.conf"].map(ImagePath::new) {
        if let Some(file) = read(root, &path)? {
            found = Some((path, file));
            break;
        }
    }
    let (path, file) = found.unwrap_or_else(|| (ImagePath::new("/etc/dnf/dnf.conf"), File::default()));
    let mut dnf = Dnf { main: settings(&path, &file, "main"), path, repositories: Vec::new(), broken: Vec::new() };
    let main_path = dnf.path.clone();
    dnf.take(&main_path, &file);
    let folders: Vec<ImagePath> = match dnf.main.get("reposdir") {
        Some(setting) => {
            setting.value.split([',', ' ', '\n']).filter(|folder| folder.starts_with('/')).map(ImagePath::new).collect()
        }
        None => FOLDERS.map(ImagePath::new).to_vec(),
    };
    for folder in folders {
        let names = match root.read_dir(&folder) {
            Ok(names) => names,
            Err(error) if error.is_absent() => continue,
            Err(error) => return Err(Unreadable::reading(&folder, &error)),
        };
        for path in names.iter().filter(|name| name.ends_with(b".repo")).map(|name| folder.join(name)) {
            match read(root, &path) {
                Ok(Some(file)) => dnf.take(&path, &file),
                Ok(None) => {}
                Err(unreadable) => dnf.broken.push(unreadable),
            }
        }
    }
    Ok(dnf)
}

fn read(root: Rootfs<'_>, path: &ImagePath) -> Fact<Option<File>> {
    match root.read(path) {
        Ok(content) => match parse(&content) {
            Ok(file) => Ok(Some(file)),
            Err(refused) => Err(Unreadable::at_line(path, refused.line, refused.to_string())),
        },
        Err(ReadError::Kind { .. }) => Ok(None),
        Err(error) if error.is_absent() => Ok(None),
        Err(error) => Err(Unreadable::reading(path, &error)),
    }
}

/// The settings of a section. A boolean that is none is warned of and left as it was.
fn settings(path: &ImagePath, file: &File, section: &str) -> BTreeMap<String, DnfSetting> {
    let mut found = BTreeMap::new();
    for setting in file.settings.iter().filter(|setting| setting.section == section) {
        let value = if BOOLEANS.iter().any(|(name, _)| *name == setting.key) {
            match setting.value.to_ascii_lowercase().as_str() {
                "1" | "yes" | "true" | "on" => "true".to_owned(),
                "0" | "no" | "false" | "off" => "false".to_owned(),
                _ => continue,
            }
        } else {
            printable(setting.value.as_bytes())
        };
        let place = Some((path.clone(), setting.line));
        found.insert(setting.key.clone(), DnfSetting { value, place });
    }
    found
}

impl Dnf {
    /// Adds the repositories of a file: every section but `main`.
    fn take(&mut self, path: &ImagePath, file: &File) {
        for (id, line) in file.sections.iter().filter(|(id, _)| id != "main") {
            let repository = Repository { id: id.clone(), place: (path.clone(), *line), settings: settings(path, file, id) };
            // Of a section that stands twice in a file its settings are one.
            if !self.repositories.iter().any(|other| other.id == *id && other.place.0 == *path) {
                self.repositories.push(repository);
            }
        }
    }

    /// A setting of `[main]`, or what is built in.
    #[must_use]
    pub fn option(&self, name: &str) -> Option<DnfSetting> {
        let built_in = || BOOLEANS.iter().find(|(known, _)| *known == name);
        self.main
            .get(name)
            .cloned()
            .or_else(|| built_in().map(|(_, value)| DnfSetting { value: (*value).to_owned(), place: None }))
    }

    /// A setting of a repository; of those that it takes over, that of `[main]`.
    #[must_use]
    pub fn of_repository(&self, repository: &Repository, name: &str) -> Option<DnfSetting> {
        repository.settings.get(name).cloned().or_else(|| self.option(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Target;
    use crate::image::MemoryImage;

    fn dnf(image: &MemoryImage) -> Dnf {
        gather(&Facts::none(Target::image(Rootfs::new(image), jiff::civil::date(2026, 1, 1)))).unwrap()
    }

    #[test]
    fn a_repository_takes_over_what_it_does_not_say() {
        let image = MemoryImage::new().file("/etc/dnf/dnf.conf", "[main]\ngpgcheck=1\n");
        let image =
            image.file("/etc/yum.repos.d/a.repo", "[a]\nname=A\n[b]\ngpgcheck=Off\n").file("/etc/yum.repos.d/a.bak", "[c]\n");
        let dnf = dnf(&image);
        let values: Vec<_> =
            (dnf.repositories.iter()).map(|one| (one.id.as_str(), dnf.of_repository(one, "gpgcheck").unwrap().value)).collect();
        assert_eq!(values, [("a", "true".to_owned()), ("b", "false".to_owned())]);
    }

    #[test]
    fn a_value_that_is_no_boolean_leaves_what_is_built_in() {
        let image = MemoryImage::new().file("/etc/yum.conf", "[main]\ngpgcheck=maybe\ninstall_weak_deps=0\n");
        assert_eq!(dnf(&image).option("gpgcheck").unwrap().value, "false");
        assert_eq!(dnf(&image).option("install_weak_deps").unwrap().value, "false");
        assert_eq!(dnf(&image).option("nothing"), None);
    }

    #[test]
    fn reposdir_replaces_the_folders() {
        let image = MemoryImage::new().file("/etc/dnf/dnf.conf", "[main]\nreposdir=/srv/r, /srv/s\n[own]\n");
        let image = image.file("/etc/yum.repos.d/a.repo", "[a]\n").file("/srv/s/b.repo", "[b]\n").file("/srv/r/c.repo", "x\n");
        let dnf = dnf(&image);
        assert_eq!(dnf.repositories.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["own", "b"]);
        assert_eq!(dnf.broken.len(), 1);
    }
}
