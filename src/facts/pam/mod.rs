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
    Ok(services)
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
        self.services.keys().map(String::as_str).filter(move |name| !left_behind(name))
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
        let others = self.services.iter().filter(|(other, _)| *other != name);
        others.filter_map(|(_, service)| service.lines.as_ref().ok()).flatten().any(|line| {
            let included = match line {
                Line::IncludeAll { service, .. } => service,
                Line::Module(module) if matches!(module.control, Control::Include | Control::Substack) => &module.module,
                Line::Module(_) | Line::Broken { .. } => return false,
            };
            included.rsplit('/').next() == Some(name)
        })
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
}
