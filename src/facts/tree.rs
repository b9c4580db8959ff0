//! The whole tree, walked once for all checks that ask about it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use super::Facts;
use crate::image::{Coverage, FileKind, Metadata, Rootfs, Visitor};
use crate::path::ImagePath;

/// A predicate over the metadata of an entry. Two checks that ask the same share one.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Selector {
    /// Kinds of entries; all if empty.
    pub kinds: BTreeSet<FileKind>,
    /// At least one of these mode bits is set; no matter if 0.
    pub mode_any: u32,
    /// None of these mode bits is set.
    pub mode_none: u32,
    /// The owner is none of these.
    pub uid_outside: Option<BTreeSet<u32>>,
    /// The group is none of these.
    pub gid_outside: Option<BTreeSet<u32>>,
    /// A regular file that somebody may execute and that carries file capabilities.
    pub capability: bool,
    /// Subtrees that do not count, the path itself included.
    pub except: BTreeSet<ImagePath>,
}

impl Selector {
    /// Whether the metadata fits; paths and attributes are looked at later.
    fn fits(&self, metadata: &Metadata) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&metadata.kind))
            && (self.mode_any == 0 || metadata.mode & self.mode_any != 0)
            && metadata.mode & self.mode_none == 0
            && self.uid_outside.as_ref().is_none_or(|known| !known.contains(&metadata.uid))
            && self.gid_outside.as_ref().is_none_or(|known| !known.contains(&metadata.gid))
            && (!self.capability || (metadata.kind == FileKind::File && metadata.mode & 0o111 != 0))
    }
}

/// What a selector matched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TreeMatches {
    /// The first [`TreeMatches::MAX`] paths by order of bytes.
    pub found: BTreeMap<ImagePath, Metadata>,
    /// How many there were in truth.
    pub total: u64,
    /// Entries whose attributes could not be read, so that it is not known whether they match.
    pub unknown: BTreeMap<ImagePath, String>,
}

impl TreeMatches {
    /// More matches than this are counted and not kept, so that memory does not grow with the tree.
    pub const MAX: usize = 1_000;

    fn add(&mut self, path: &ImagePath, metadata: &Metadata) {
        self.total += 1;
        self.found.insert(path.clone(), *metadata);
        if self.found.len() > Self::MAX {
            self.found.pop_last();
        }
    }

    fn doubt(&mut self, path: &ImagePath, reason: String) {
        self.unknown.insert(path.clone(), reason);
        if self.unknown.len() > Self::MAX {
            self.unknown.pop_last();
        }
    }
}

/// What the walk found for each selector, and what it could not reach.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TreeFact {
    matches: BTreeMap<Selector, TreeMatches>,
    /// What the walk saw and missed.
    pub coverage: Coverage,
}

impl TreeFact {
    /// What this selector matched; nothing if no check asked.
    #[must_use]
    pub fn matches(&self, selector: &Selector) -> Option<&TreeMatches> {
        self.matches.get(selector)
    }

    /// Joins a later walk, for selectors that followed from an earlier one.
    pub(super) fn extend(&mut self, later: Self) {
        self.matches.extend(later.matches);
        self.coverage = later.coverage;
    }
}

/// Walks the tree once for all these selectors.
pub(super) fn gather(facts: &Facts<'_>, selectors: &BTreeSet<Selector>) -> TreeFact {
    let root = facts.root();
    let hunt = Hunt { root, wanted: selectors.iter().map(|selector| (selector, Mutex::default())).collect() };
    let coverage = root.walk(&hunt);
    let matches = hunt
        .wanted
        .into_iter()
        .map(|(selector, matches)| (selector.clone(), matches.into_inner().unwrap_or_else(PoisonError::into_inner)));
    TreeFact { matches: matches.collect(), coverage }
}

struct Hunt<'s> {
    root: Rootfs<'s>,
    wanted: Vec<(&'s Selector, Mutex<TreeMatches>)>,
}

impl Visitor for Hunt<'_> {
    fn wants(&self, _name: &[u8], metadata: &Metadata) -> bool {
        self.wanted.iter().any(|(selector, _)| selector.fits(metadata))
    }

    fn found(&self, path: &ImagePath, metadata: &Metadata) {
        for (selector, matches) in &self.wanted {
            if !selector.fits(metadata) || selector.except.iter().any(|base| path.is_within(base)) {
                continue;
            }
            let carries = if selector.capability { self.root.xattr(path, "security.capability") } else { Ok(Some(Vec::new())) };
            let mut matches = matches.lock().unwrap_or_else(PoisonError::into_inner);
            match carries {
                Ok(Some(_)) => matches.add(path, metadata),
                Ok(None) => {}
                Err(error) => matches.doubt(path, error.to_string()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Target;
    use crate::image::{Entry, MemoryImage};

    fn world_writable(image: &MemoryImage) -> TreeMatches {
        let selector =
            Selector { kinds: [FileKind::File].into(), mode_any: 0o002, except: ["/proc".into()].into(), ..Selector::default() };
        let facts = Facts::none(Target::image(Rootfs::new(image), jiff::civil::date(2026, 1, 1)));
        gather(&facts, &[selector.clone()].into()).matches(&selector).unwrap().clone()
    }

    fn open_to_all() -> Entry {
        let mut entry = Entry::new(FileKind::File, "");
        entry.metadata.mode = 0o666;
        entry
    }

    #[test]
    fn matches_are_found_anywhere_but_in_what_is_excepted() {
        let image = MemoryImage::new().with("/srv/a", open_to_all()).with("/proc/b", open_to_all()).file("/c", "");
        assert_eq!(world_writable(&image).found.keys().map(ToString::to_string).collect::<Vec<_>>(), ["/srv/a"]);
    }

    #[test]
    fn beyond_the_limit_the_first_are_kept_and_all_are_counted() {
        let mut image = MemoryImage::new();
        for number in 0..TreeMatches::MAX + 5 {
            image.insert(ImagePath::new(format!("/d/{number:05}")), open_to_all());
        }
        let matches = world_writable(&image);
        assert_eq!((matches.total, matches.found.len()), (1_005, TreeMatches::MAX));
        assert!(!matches.found.contains_key(&ImagePath::new("/d/01004")));
    }
}
