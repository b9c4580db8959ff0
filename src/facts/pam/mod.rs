//! The stacks of PAM as libpam would build them, and what its modules read from files of their own.
//!
//! `include` takes the lines of one kind from another file, `@include` all of them; a `substack` is a stack of its own. A module that
//! no result of the modules before it leads to (jumped over, or behind a `requisite pam_deny.so`) does not count.

mod flow;
mod hash;
mod history;
mod options;
mod situation;
mod stack;

use std::collections::{BTreeMap, BTreeSet};

pub use flow::Way;
pub use options::ModuleOption;
use options::OptionFiles;
pub use situation::Situation;
pub use stack::{Stack, Step};

use super::{Fact, Facts, Unreadable};
use crate::image::{ReadError, Rootfs};
use crate::path::{ImagePath, printable};
use crate::syntax::pam::{Control, Line, Management, parse};

/// Every service file, and the configuration files of modules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pam {
    services: BTreeMap<String, Service>,
    /// Files of modules by module name.
    options: OptionFiles,
}

/// One service file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Service {
    path: ImagePath,
    lines: Fact<Vec<Line>>,
}

/// Where service files lie; the first folder that has one wins (`pam.conf(5)`).
const FOLDERS: [&str; 3] = ["/etc/pam.d", "/usr/local/lib/pam.d", "/usr/lib/pam.d"];

/// Files that others include by a path. Nobody has more than a few.
const MAX_INCLUDED: usize = 200;

/// How names end that package managers, `pam-auth-update(8)` and people give to an older or newer version of a file: no program asks for them.
const ENDINGS: [&str; 14] = [
    ".dpkg-old",
    ".dpkg-dist",
    ".dpkg-new",
    ".dpkg-bak",
    ".dpkg-tmp",
    ".ucf-old",
    ".ucf-new",
    ".ucf-dist",
    ".pam-old",
    ".rpmsave",
    ".rpmnew",
    ".rpmorig",
    ".bak",
    ".orig",
];

pub(super) fn gather(facts: &Facts<'_>) -> Fact<Pam> {
    let services = services(facts.root())?;
    let options = OptionFiles::gather(facts, &services);
    Ok(Pam { services, options })
}

fn services(root: Rootfs<'_>) -> Fact<BTreeMap<String, Service>> {
    let mut services = BTreeMap::new();
    for folder in FOLDERS.map(ImagePath::new) {
        let names = match root.read_dir(&folder) {
            Ok(names) => names,
            Err(error) if error.is_absent() => continue,
            Err(error) => return Err(Unreadable::reading(&folder, &error)),
        };
        for name in names {
            let path = folder.join(&name);
            let lines = match root.read(&path) {
                Ok(content) => Ok(parse(&content)),
                Err(ReadError::Kind { .. }) => continue,
                // A link that leads nowhere is no file: libpam looks into the next folder.
                Err(error) if error.is_absent() => continue,
                Err(error) => Err(Unreadable::reading(&path, &error)),
            };
            services.entry(printable(&name)).or_insert(Service { path, lines });
        }
    }
    if services.is_empty() {
        return Err(Unreadable::at(&ImagePath::new("/etc/pam.d"), "there are no PAM service files"));
    }
    add_included(root, &mut services)?;
    Ok(services)
}

/// Adds the files that others include by a path, under that path: an absolute one as it is, another below the folders
/// (`_pam_open_config_file()`). None of these is a service that a program would ask for.
fn add_included(root: Rootfs<'_>, services: &mut BTreeMap<String, Service>) -> Fact<()> {
    let mut waiting: Vec<String> = services.values().flat_map(Service::includes).filter(|name| name.contains('/')).collect();
    let mut added = 0;
    while let Some(name) = waiting.pop() {
        if services.contains_key(&name) {
            continue;
        }
        let places = if name.starts_with('/') {
            vec![ImagePath::new(&name)]
        } else {
            FOLDERS.iter().map(|folder| ImagePath::new(folder).join(name.as_bytes())).collect()
        };
        for path in places {
            let lines = match root.read(&path) {
                Ok(content) => Ok(parse(&content)),
                Err(error) if error.is_absent() => continue,
                Err(error) => Err(Unreadable::reading(&path, &error)),
            };
            added += 1;
            if added > MAX_INCLUDED {
                return Err(Unreadable::at(&path, format!("more than {MAX_INCLUDED} files are included by their path")));
            }
            let service = Service { path, lines };
            waiting.extend(service.includes().filter(|name| name.contains('/')));
            services.insert(name, service);
            break;
        }
    }
    Ok(())
}

impl Service {
    /// The names of the files that it includes, as written.
    fn includes(&self) -> impl Iterator<Item = String> {
        let lines = self.lines.as_ref().ok();
        lines.into_iter().flatten().filter_map(|line| match line {
            Line::IncludeAll { service, .. } => Some(service.clone()),
            Line::Module(module) if matches!(module.control, Control::Include | Control::Substack) => Some(module.module.clone()),
            Line::Module(_) | Line::Broken { .. } => None,
        })
    }
}

impl Pam {
    /// Whether there is a service file of this name.
    #[must_use]
    pub fn has(&self, service: &str) -> bool {
        self.services.contains_key(service)
    }

    /// The stack of a service for one kind; nothing if there is no such service file.
    #[must_use]
    pub fn stack(&self, service: &str, management: Management) -> Option<Fact<Stack>> {
        self.has(service).then(|| Stack::build(self, service, management))
    }

    /// Every service that some program may ask for, by name: all files but those that an editor or a package manager left behind.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let left_behind = |name: &str| name.ends_with('~') || ENDINGS.iter().any(|ending| name.ends_with(ending));
        self.services.keys().map(String::as_str).filter(move |name| !left_behind(name) && !name.contains('/'))
    }

    /// The values that lines of a module give to an argument, in all services and whatever is reached, each once.
    #[must_use]
    pub fn arguments(&self, module: &str, name: &str) -> BTreeSet<String> {
        let lines = self.services.values().filter_map(|service| service.lines.as_ref().ok()).flatten();
        let arguments = lines.filter_map(|line| match line {
            Line::Module(line) if line.name() == module => Some(&line.arguments),
            _ => None,
        });
        let values = arguments.flatten().filter_map(|argument| argument.strip_prefix(name)?.strip_prefix('='));
        values.map(str::to_owned).collect()
    }

    /// Whether another service takes lines from this one, so that it need not be complete by itself.
    #[must_use]
    pub fn is_included(&self, name: &str) -> bool {
        let mut others = self.services.iter().filter(|(other, _)| *other != name);
        let is = |included: String| match included.rsplit_once('/') {
            Some((folder, file)) => file == name && FOLDERS.contains(&folder),
            None => included == name,
        };
        others.any(|(_, service)| service.includes().any(is))
    }

    /// The value of an option for one line of a stack: its own argument, else the module's files, else what the module does by itself.
    ///
    /// # Errors
    /// A file of the module that could not be read.
    pub fn option(&self, step: &Step, name: &str) -> Fact<Option<ModuleOption>> {
        self.options.value(step, name)
    }

    fn service(&self, name: &str) -> Option<&Service> {
        self.services.get(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The stacks of an image, without the files of modules.
    pub(super) fn pam(root: Rootfs<'_>) -> Pam {
        Pam { services: services(root).unwrap(), options: OptionFiles::default() }
    }

    #[test]
    fn what_is_included_by_a_path_is_that_file_and_no_service() {
        let image = crate::image::MemoryImage::new()
            .file("/etc/pam.d/su", "@include /opt/auth\n@include sub/more\n")
            .file("/etc/pam.d/auth", "auth required pam_deny.so\n")
            .file("/etc/pam.d/sub/more", "auth required pam_unix.so\n")
            .file("/opt/auth", "auth sufficient pam_permit.so\n@include /opt/auth\n");
        let found = pam(Rootfs::new(&image));
        assert_eq!(found.names().collect::<Vec<_>>(), ["auth", "su"]);
        assert!(!found.is_included("auth"));
        // The file includes itself: libpam gives up, and so do we.
        assert!(found.stack("su", Management::Auth).unwrap().is_err());
        let image = image.file("/opt/auth", "auth sufficient pam_permit.so\n");
        let stack = pam(Rootfs::new(&image)).stack("su", Management::Auth).unwrap().unwrap();
        let modules: Vec<String> = stack.steps.iter().map(|step| format!("{} {}", step.path, step.module.name())).collect();
        assert_eq!(modules, ["/opt/auth pam_permit.so", "/etc/pam.d/sub/more pam_unix.so"]);
        let image = image.file("/etc/pam.d/login", "@include /opt/gone\n");
        assert!(pam(Rootfs::new(&image)).stack("login", Management::Auth).unwrap().is_err());
    }
}
