//! What `sudo` allows, and how: `sudoers(5)` with everything it includes.
//!
//! Options are set in the order of the lines, whoever they are for; those of commands come after all others
//! (`update_defaults` in `plugins/sudoers/defaults.c`). Rules that a directory service holds are not in the image and not known here.

mod effective;
mod files;
mod options;

use std::sync::Arc;

pub use effective::InForce;
pub use options::is_option;

use super::{Fact, Facts, Unreadable};
use crate::path::{ImagePath, printable};
use crate::syntax::sudoers::{Defaults, Entry, Grant, Operation, Scope, Tag};
use options::BuiltIn;

/// What sudo reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sudo {
    /// Options in the order in which they are set.
    settings: Vec<Setting>,
    /// Everything that is allowed or forbidden, in order.
    pub grants: Vec<Permission>,
    /// What sudo passes over: entries with mistakes, files that are not as safe as they have to be.
    pub ignored: Vec<Unreadable>,
    built_in: BuiltIn,
}

/// One option.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Setting {
    path: ImagePath,
    line: u32,
    /// For whom, in words; nothing where it is for everybody.
    scope: Option<Arc<str>>,
    /// Whether it is for commands, whose options are set last.
    of_command: bool,
    name: String,
    operation: Operation,
}

/// One command of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// The file.
    pub path: ImagePath,
    /// What it says.
    pub grant: Grant,
}

impl Permission {
    /// The users it is for, as they are written, made safe to show.
    pub fn users(&self) -> impl Iterator<Item = String> {
        self.grant.users.iter().map(|user| printable(user.to_string().as_bytes()))
    }

    /// The line of a tag in force.
    #[must_use]
    pub fn tag(&self, tag: Tag) -> Option<u32> {
        self.grant.tags.iter().find(|(found, _)| *found == tag).map(|(_, line)| *line)
    }
}

impl Sudo {
    /// The file that everything begins with.
    pub const PATH: &'static str = "/etc/sudoers";
}

pub(super) fn gather(facts: &Facts<'_>) -> Fact<Sudo> {
    let built_in = BuiltIn::of(facts);
    let read = files::read(facts.root())?;
    if let (Some(version), Some(first)) = (built_in.before_recovery(), read.ignored.iter().find(|ignored| ignored.line.is_some()))
    {
        let reason = format!("sudo {version} does not work with a mistake in its rules");
        return Err(Unreadable { reason, ..first.clone() });
    }
    let mut sudo = Sudo { settings: Vec::new(), grants: Vec::new(), ignored: read.ignored, built_in };
    for (path, entry) in read.entries {
        match entry {
            Entry::Defaults(defaults) => sudo.set(&path, defaults),
            Entry::Grant(grant) => sudo.grants.push(Permission { path, grant }),
            Entry::Alias(_) | Entry::Include { .. } | Entry::Broken { .. } => {}
        }
    }
    Ok(sudo)
}

impl Sudo {
    fn set(&mut self, path: &ImagePath, defaults: Defaults) {
        let (of_command, scope) = (matches!(defaults.scope, Scope::Commands(_)), words(&defaults.scope).map(Arc::from));
        self.settings.extend(defaults.settings.into_iter().map(|setting| Setting {
            path: path.clone(),
            line: setting.line,
            scope: scope.clone(),
            of_command,
            name: setting.name,
            operation: setting.operation,
        }));
    }
}

fn words(scope: &Scope) -> Option<String> {
    fn list(all: &[impl ToString]) -> String {
        printable(all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ").as_bytes())
    }
    match scope {
        Scope::All => None,
        Scope::Users(users) => Some(format!("for {}", list(users))),
        Scope::Runas(users) => Some(format!("as {}", list(users))),
        Scope::Hosts(hosts) => Some(format!("on {}", list(hosts))),
        Scope::Commands(commands) => Some(format!("for the command {}", list(commands))),
    }
}

#[cfg(test)]
mod tests;
