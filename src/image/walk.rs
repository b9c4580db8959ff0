//! One walk over the whole tree: who is asked, and what was not reached.

use std::io;

use super::{FileKind, Image, Metadata};
use crate::path::ImagePath;

/// Is shown every entry of the tree. Asked from several threads at once.
pub trait Visitor: Sync {
    /// Whether the path of this entry is worth building. Called for every entry, so it has to be quick: its attributes can be asked
    /// for, but each question costs as much as having found it.
    fn wants(&self, name: &[u8], metadata: &Metadata, attributes: Attributes<'_>) -> bool;

    /// An entry that was wanted.
    fn found(&self, path: &ImagePath, metadata: &Metadata);
}

/// Gives one extended attribute of the entry at hand, as [`Image::xattr`].
pub type Attributes<'a> = &'a dyn Fn(&str) -> io::Result<Option<Vec<u8>>>;

/// What a walk saw and what it did not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Entries visited, the root among them.
    pub entries: u64,
    /// Places that belong to the image and could not be read, sorted; at most [`Coverage::MAX_GAPS`] are kept.
    pub gaps: Vec<Gap>,
    /// How many such places there were in truth.
    pub gaps_total: u64,
    /// Mount points that do not belong to the image (pseudo, network and FUSE file systems), sorted.
    pub foreign: Vec<ImagePath>,
    /// Mount points of local file systems, which were entered, sorted. A backend without mounts has none.
    pub mounts: Vec<ImagePath>,
}

/// A place that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gap {
    /// Where.
    pub path: ImagePath,
    /// Why.
    pub reason: String,
}

impl Coverage {
    /// More gaps than this are counted, not kept: each makes the same findings unknown.
    pub const MAX_GAPS: usize = 100;

    /// Notes a place that could not be read.
    pub fn miss(&mut self, path: ImagePath, reason: impl Into<String>) {
        self.gaps_total += 1;
        self.gaps.push(Gap { path, reason: reason.into() });
        if self.gaps.len() > 2 * Self::MAX_GAPS {
            self.settle();
        }
    }

    /// Joins what two workers saw.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.entries += other.entries;
        self.gaps_total += other.gaps_total;
        self.gaps.extend(other.gaps);
        self.foreign.extend(other.foreign);
        self.mounts.extend(other.mounts);
        self.settle();
        self
    }

    /// Sorts, so that the result does not depend on who came first, and cuts to the first [`Coverage::MAX_GAPS`].
    pub fn settle(&mut self) {
        self.gaps.sort();
        self.gaps.truncate(Self::MAX_GAPS);
        self.foreign.sort();
        self.mounts.sort();
    }
}

/// The plain walk: one directory after another, through [`Image::read_dir`] and [`Image::metadata`].
pub fn walk_by_directories<I: Image + ?Sized>(image: &I, visitor: &dyn Visitor) -> Coverage {
    let mut coverage = Coverage::default();
    let mut waiting = vec![ImagePath::root()];
    while let Some(path) = waiting.pop() {
        let metadata = match image.metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) => {
                coverage.miss(path, error.to_string());
                continue;
            }
        };
        coverage.entries += 1;
        if visitor.wants(path.file_name(), &metadata, &|name| image.xattr(&path, name)) {
            visitor.found(&path, &metadata);
        }
        if metadata.kind == FileKind::Directory {
            match image.read_dir(&path) {
                Ok(names) => waiting.extend(names.iter().map(|name| path.join(name))),
                Err(error) => coverage.miss(path, error.to_string()),
            }
        }
    }
    coverage.settle();
    coverage
}
