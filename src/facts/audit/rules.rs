//! The rules in force after loading, and what they cover.

use std::collections::BTreeMap;

use super::filters::{answers, covers};
use super::taken::{Events, Recorded};
use crate::facts::Unreadable;
use crate::image::{FileKind, Rootfs};
use crate::path::ImagePath;
use crate::syntax::audit_rules::{Line, Rule};

/// One rule in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRule {
    /// The file.
    pub path: ImagePath,
    /// The line, from 1.
    pub line: u32,
    /// What it asks for.
    pub rule: Rule,
    /// What it watches, links followed as the kernel does when the rule is loaded; and whether that is a directory.
    pub watched: Option<(ImagePath, bool)>,
}

/// The rules in force and the controls set with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRules {
    /// The rules in the order the kernel has them.
    pub rules: Vec<AuditRule>,
    /// Controls by name without dashes (`e`, `b`, `f`): value and place.
    pub controls: BTreeMap<String, (String, ImagePath, u32)>,
    /// What auditctl refuses: loading ends there where the file is read as it stands (unless `-c` or `-i` comes before).
    pub broken: Vec<Unreadable>,
    /// The file or folder they come from.
    pub place: ImagePath,
    /// What the file that augenrules writes has to do with the folder it merges.
    pub generated: Generated,
    /// Whether `-c` comes before every rule, so that none is lost to another's mistake.
    pub continues: Option<(ImagePath, u32)>,
}

/// How `/etc/audit/audit.rules` stands to what augenrules would write now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Generated {
    /// Nothing is merged: the file is read as it stands.
    Unused,
    /// It is not there yet.
    Missing,
    /// It says the same.
    Current,
    /// It says something else.
    Stale {
        /// The first line of the file that differs; nothing where the file ends too early.
        line: Option<u32>,
        /// What stands there.
        found: String,
        /// What augenrules would write, with its place; nothing where the file has too much.
        expected: Option<(String, ImagePath, u32)>,
    },
}

impl AuditRules {
    /// Loads lines as auditctl does, after augenrules put the controls in their places if it merged them.
    pub(super) fn load(root: Rootfs<'_>, lines: Vec<(ImagePath, u32, Line)>, generated: Generated, place: ImagePath) -> Self {
        let merged = generated != Generated::Unused;
        let (rules, controls, broken) = (Vec::new(), BTreeMap::new(), Vec::new());
        let mut loaded = Self { rules, controls, broken, place, generated, continues: None };
        for (path, line, said) in lines {
            let goes_on = loaded.controls.contains_key("c") || loaded.controls.contains_key("i");
            // Locked: the kernel refuses what comes after `-e 2`. Merged, `-e` is always last.
            let locked = !merged && loaded.controls.get("e").is_some_and(|(value, ..)| value == "2");
            if locked || (!goes_on && !loaded.broken.is_empty()) {
                continue;
            }
            match said {
                // augenrules writes one -D before everything else.
                Line::DeleteAll if merged => {}
                Line::DeleteAll => loaded.rules.clear(),
                Line::Control { name, value } => {
                    if name == "c" && loaded.rules.is_empty() && loaded.broken.is_empty() {
                        loaded.continues.get_or_insert_with(|| (path.clone(), line));
                    }
                    loaded.controls.insert(name, (value, path, line));
                }
                Line::Broken(why) => {
                    loaded.broken.push(Unreadable::at_line(&path, line, format!("auditctl stops at this line: {why}")));
                }
                Line::Rule(rule) => loaded.add(root, path, line, rule),
            }
        }
        // Merged, `-e` comes last: where loading ends before, it is not reached.
        if merged && !loaded.broken.is_empty() && !loaded.controls.contains_key("c") && !loaded.controls.contains_key("i") {
            loaded.controls.remove("e");
        }
        loaded
    }

    fn add(&mut self, root: Rootfs<'_>, path: ImagePath, line: u32, rule: Rule) {
        let watched = rule.path.as_ref().map(|watched| {
            let watched = ImagePath::new(watched);
            match root.resolve(&watched) {
                Ok(found) => (found.path, found.metadata.kind == FileKind::Directory),
                Err(_) => (watched, rule.tree || rule.path.as_ref().is_some_and(|path| path.ends_with(b"/"))),
            }
        });
        if rule.deletes {
            let same = |known: &AuditRule| Rule { deletes: true, ..known.rule.clone() } == rule;
            self.rules.retain(|known| !same(known));
            return;
        }
        let at = if rule.first { 0 } else { self.rules.len() };
        self.rules.insert(at, AuditRule { path, line, rule, watched });
    }

    /// The line that switches auditing off (`-e 0`).
    #[must_use]
    pub fn off(&self) -> Option<(&ImagePath, u32)> {
        self.controls.get("e").filter(|(value, ..)| value == "0").map(|(_, path, line)| (path, *line))
    }

    /// Whether every access of `perms` to a path is recorded, on the path itself or a directory above it, on one architecture.
    #[must_use]
    pub fn watching(&self, path: &ImagePath, perms: &str, arch: &str) -> Recorded<'_> {
        let by = self.recording().filter(|known| {
            let Some((watched, directory)) = &known.watched else { return false };
            let there = watched == path || (*directory && path.is_within(watched));
            let all = known.rule.perm.as_ref().is_none_or(|has| perms.chars().all(|perm| has.contains(perm)));
            let here = known.rule.arch.as_ref().is_none_or(|has| has == arch);
            there && all && here && any_call(&known.rule) && covers(&known.rule.filters, &[])
        });
        self.recorded(by, Events { arch: Some(arch), syscall: None, path: Some(path), perms, filters: &[] })
    }

    /// Whether a system call on this architecture is recorded under these filters or wider ones.
    #[must_use]
    pub fn calling(&self, syscall: &str, arch: &str, filters: &[String]) -> Recorded<'_> {
        let by = self.recording().filter(|known| {
            let rule = &known.rule;
            // Without an arch the names are looked up in the kernel's own table, and in the other one their numbers mean other calls.
            let here =
                rule.arch.as_deref().is_none_or(|has| has == arch) && (rule.arch.is_some() || any_call(rule) || arch == "b64");
            rule.path.is_none()
                && rule.perm.is_none()
                && here
                && (any_call(rule) || rule.syscalls.iter().any(|name| name == syscall))
                && answers(&rule.filters, filters)
        });
        self.recorded(by, Events { arch: Some(arch), syscall: Some(syscall), path: None, perms: "", filters })
    }

    /// Whether the execution of a program is recorded under these filters or wider ones, by its own path or a directory above.
    #[must_use]
    pub fn executing(&self, program: &ImagePath, filters: &[String]) -> Recorded<'_> {
        let by = self.recording().filter(|known| {
            let there = known
                .watched
                .as_ref()
                .is_some_and(|(watched, directory)| watched == program || *directory && program.is_within(watched));
            let runs = known.rule.perm.as_ref().is_none_or(|perm| perm.contains('x'));
            let called = any_call(&known.rule) || known.rule.syscalls.iter().any(|name| name == "execve");
            there && runs && called && answers(&known.rule.filters, filters)
        });
        self.recorded(by, Events { arch: None, syscall: None, path: Some(program), perms: "x", filters })
    }

    fn recording(&self) -> impl Iterator<Item = &AuditRule> {
        self.rules.iter().filter(|known| known.rule.always && known.rule.list == "exit")
    }

    /// Why a rule that stands in a file may not be in force: what auditctl stopped at.
    #[must_use]
    pub fn stopped_at(&self) -> Option<String> {
        self.broken.first().map(ToString::to_string)
    }
}

/// Whether a rule is about every system call: it says so, or names none.
fn any_call(rule: &Rule) -> bool {
    rule.syscalls.is_empty() || rule.syscalls.iter().any(|name| name == "all")
}
