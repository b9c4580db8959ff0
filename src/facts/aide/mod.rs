//! What AIDE compares: its configuration with all it includes, groups of attributes expanded, and the database it compares with.
//!
//! Of several rules for one path the one with the longest plain folder in front counts, and there the first; what is excluded anywhere is not
//! looked at (`check_node_for_match` in seltree.c). Links are not followed: a rule about `/sbin/x` sees nothing where `/sbin` is one.

mod attributes;
mod read;

use std::collections::{BTreeMap, BTreeSet};

use regex::bytes::{Regex, RegexBuilder};

use super::{Fact, Facts, Unreadable};
use crate::path::ImagePath;
use crate::syntax::aide::Selects;

/// Where distributions put the file: Debian, Red Hat.
const CONFIGS: [&str; 2] = ["/etc/aide/aide.conf", "/etc/aide.conf"];

/// A regular expression that needs more than this is none of a real configuration.
const MAX_REGEX: usize = 128 << 10;

/// AIDE's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aide {
    /// The file; the first place it may have where there is none.
    pub path: ImagePath,
    /// Whether it is there.
    pub present: bool,
    /// Its rules in order.
    pub rules: Vec<AideRule>,
    /// The first line that AIDE refuses: it does not run then.
    pub refused: Option<Unreadable>,
    /// What is not known: programs whose output is read, conditions on the running machine, files that cannot be read.
    pub doubts: Vec<Unreadable>,
    options: BTreeMap<String, (String, ImagePath, u32)>,
}

/// A rule with its variables put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AideRule {
    /// The file.
    pub path: ImagePath,
    /// The line, from 1.
    pub line: u32,
    /// How it selects.
    pub selects: Selects,
    /// The regular expression.
    pub pattern: String,
    /// Kinds of files it is limited to.
    pub restriction: Option<String>,
    /// What is recorded, groups expanded.
    pub attributes: BTreeSet<String>,
}

pub(super) fn gather(facts: &Facts<'_>) -> Fact<Aide> {
    let root = facts.root();
    for path in CONFIGS.map(ImagePath::new) {
        if root.exists(&path).map_err(|error| Unreadable::reading(&path, &error))? {
            return read::read(root, &path);
        }
    }
    let [path, _] = CONFIGS.map(ImagePath::new);
    let (rules, doubts, options) = (Vec::new(), Vec::new(), BTreeMap::new());
    Ok(Aide { path, present: false, rules, refused: None, doubts, options })
}

impl Aide {
    /// The database that is compared with, as it is written, and where; the first of its lines counts.
    #[must_use]
    pub fn database(&self) -> Option<(&str, &ImagePath, u32)> {
        let found = self.options.get("database_in").or_else(|| self.options.get("database"));
        found.map(|(value, path, line)| (value.as_str(), path, *line))
    }

    /// The rule that counts for a file.
    ///
    /// # Errors
    /// A regular expression that would have to be tried and cannot be.
    pub fn rule_for(&self, file: &ImagePath) -> Result<Option<&AideRule>, Unreadable> {
        let mut best: Option<(bool, usize, &AideRule)> = None;
        for rule in &self.rules {
            let node = rule.folder();
            if !(node == b"/" || file.as_bytes().strip_prefix(node).is_some_and(|rest| rest.starts_with(b"/"))) {
                continue;
            }
            if rule.selects == Selects::Not {
                if rule.takes_files() && rule.fits_above(file)? {
                    return Ok(None);
                }
                continue;
            }
            let alone = rule.selects == Selects::Alone;
            if alone && file.parent().is_none_or(|parent| parent.as_bytes() != node) {
                continue;
            }
            let better = best.is_none_or(|(known_alone, length, _)| (alone, node.len()) > (known_alone, length));
            if better && rule.takes_files() && rule.regex()?.is_match(file.as_bytes()) {
                best = Some((alone, node.len(), rule));
            }
        }
        Ok(best.map(|(.., rule)| rule))
    }
}

impl AideRule {
    /// The hash sums it records, sorted.
    pub fn hashes(&self) -> impl Iterator<Item = &str> {
        self.attributes.iter().map(String::as_str).filter(|name| attributes::is_hash(name))
    }

    /// The plain folder in front of the pattern, under which AIDE keeps the rule (`strrxtok`).
    fn folder(&self) -> &[u8] {
        let plain = self.pattern.find(['\\', '.', '*', '+', '?', '[', '(', '{', '|', '^', '$']).unwrap_or(self.pattern.len());
        let plain = self.pattern.get(..plain).unwrap_or_default();
        match plain.rfind('/') {
            Some(0) | None => b"/",
            Some(at) => plain.get(..at).unwrap_or("/").as_bytes(),
        }
    }

    /// Whether it is about ordinary files. A kind of file system is not known here, and taken for another one.
    fn takes_files(&self) -> bool {
        self.restriction.as_ref().is_none_or(|kinds| kinds == "0" || kinds.split(',').any(|kind| kind == "f"))
    }

    fn regex(&self) -> Result<Regex, Unreadable> {
        let end = if self.selects == Selects::Alone { "$" } else { "" };
        let built = RegexBuilder::new(&format!("^(?:{}){end}", self.pattern)).size_limit(MAX_REGEX).build();
        built.map_err(|_| Unreadable::at_line(&self.path, self.line, "its regular expression cannot be tried"))
    }

    /// Whether it fits a path or a folder above it.
    fn fits_above(&self, file: &ImagePath) -> Result<bool, Unreadable> {
        let regex = self.regex()?;
        let mut path = Some(file.clone());
        while let Some(one) = path {
            if regex.is_match(one.as_bytes()) {
                return Ok(true);
            }
            path = one.parent();
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Target;
    use crate::image::{MemoryImage, Rootfs};

    fn aide(image: &MemoryImage) -> Aide {
        gather(&Facts::none(Target::image(Rootfs::new(image), jiff::civil::date(2026, 1, 1)))).unwrap()
    }

    fn of(text: &str) -> Aide {
        aide(&MemoryImage::new().file("/etc/aide.conf", text))
    }

    fn line_for(aide: &Aide, path: &str) -> Option<u32> {
        aide.rule_for(&ImagePath::new(path)).unwrap().map(|rule| rule.line)
    }

    #[test]
    fn the_longest_folder_wins_and_there_the_first() {
        let found = of("/ p\n/usr/sbin/.* u\n/usr/sbin/auditctl$ p+sha512\n/usr i\n=/usr/sbin/aide$ m\n");
        assert_eq!(line_for(&found, "/usr/sbin/auditctl"), Some(2), "both lie in /usr/sbin, and this stands first");
        assert_eq!(line_for(&found, "/usr/sbin/aide"), Some(5), "what is meant alone comes before");
        assert_eq!(line_for(&found, "/usr/bin/x"), Some(1), "/usr is kept under /");
        assert_eq!(line_for(&of("/usr/s p\n"), "/usr/sbin/x"), Some(1), "patterns are open at their end");
    }

    #[test]
    fn what_is_excluded_anywhere_is_not_looked_at() {
        assert_eq!(line_for(&of("/usr/sbin/auditctl p\n!/usr/sbin$\n"), "/usr/sbin/auditctl"), None);
        assert_eq!(line_for(&of("/usr/sbin/auditctl p\n!/usr/sbin d\n"), "/usr/sbin/auditctl"), Some(1));
        assert_eq!(line_for(&of("/usr/sbin/auditctl d p\n"), "/usr/sbin/auditctl"), None);
    }

    #[test]
    fn groups_are_expanded_in_their_order() {
        let found = of("A = p+u\nB = A-u+H\n/x B\n");
        let names: Vec<&str> = found.rules[0].attributes.iter().map(String::as_str).collect();
        assert!(names.contains(&"sha512") && names.contains(&"p") && !names.contains(&"u"), "{names:?}");
        assert!(of("/x p+sha5122\n").refused.is_some());
    }

    #[test]
    fn includes_variables_and_conditions() {
        let image = MemoryImage::new()
            .file("/etc/aide/aide.conf", "@@define DBDIR /var/lib/aide\n@@ifdef DBDIR\ndatabase_in=file:@@{DBDIR}/a\n@@else\ndatabase_in=file:/b\n@@endif\n@@include /etc/aide/conf.d ^[a-z]+$\n")
            .file("/etc/aide/conf.d/ours", "database_in=file:/late\n/x p\n")
            .file("/etc/aide/conf.d/ours.bak", "/y p\n");
        let found = aide(&image);
        assert_eq!(found.database().map(|(value, _, line)| (value, line)), Some(("file:/var/lib/aide/a", 3)));
        assert_eq!(found.rules.len(), 1);
        assert_eq!(found.refused, None);
    }

    #[test]
    fn a_circle_ends() {
        let image = MemoryImage::new().file("/etc/aide.conf", "@@include /etc/aide.conf\n/x p\n");
        assert!(aide(&image).refused.is_some());
    }
}
