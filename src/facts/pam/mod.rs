//! The stacks of PAM as libpam would build them, and what its modules read from files of their own.
//!
//! `include` takes the lines of one kind from another file, `@include` all of them; a `substack` is a stack of its own. A module that
//! no result of the modules before it leads to (jumped over, or behind a `requisite pam_deny.so`) does not count.

mod options;
mod stack;

use std::collections::BTreeMap;

pub use options::ModuleOption;
use options::OptionFiles;
pub use stack::{Stack, Step};

use super::{Fact, Facts, Unreadable};
use crate::image::ReadError;
use crate::path::{ImagePath, printable};
use crate::syntax::pam::{Line, Management, parse};

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

pub(super) fn gather(facts: &Facts<'_>) -> Fact<Pam> {
    let root = facts.root();
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
                Err(error) => Err(Unreadable::reading(&path, &error)),
            };
            services.entry(printable(&name)).or_insert(Service { path, lines });
        }
    }
    if services.is_empty() {
        return Err(Unreadable::at(&ImagePath::new("/etc/pam.d"), "there are no PAM service files"));
    }
    Ok(Pam { services, options: OptionFiles::gather(root) })
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
