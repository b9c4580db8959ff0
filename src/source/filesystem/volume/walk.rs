//! The walk in bulk: the inode tables in one pass, then every directory once.
//!
//! Directories are read wave by wave from the root, the directories of a wave in the order of their inodes (which is that of the
//! disk, as near as a file system tells) and by several threads. A name finds its metadata in the table; a path is built only for
//! what somebody wants.

use std::collections::HashMap;
use std::io;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use super::table::Table;
use super::{impossible, is_name, named};
use crate::image::{Coverage, FileKind, Metadata, Visitor};
use crate::path::ImagePath;
use crate::source::filesystem::FileSystem;

/// Bytes of a path beyond which a directory is not entered: 32 times what Linux takes in one call. As in a walk over a mounted
/// tree.
const LONGEST_PATH: usize = 128 << 10;
/// Bytes of all directories together, some hundred million names. More is no tree but directories that share their blocks.
const DIRECTORIES: u64 = 4 << 30;

const SECOND_PARENT: &str = "another path leads to the same directory, which is read only there";
const TOO_DEEP: &str = "the path is longer than 128 KiB";
const TOO_MUCH: &str = "the directories read before it have 4 GiB, more than any tree needs";

/// Walks a file system from its root. Equal to [`walk_by_directories`](crate::image::walk_by_directories), but that a directory
/// may have any number of names, that what comes before the broken part of a directory is visited, and that it always ends.
pub(super) fn walk(system: &dyn FileSystem, visitor: &dyn Visitor) -> Coverage {
    let root = system.root();
    let metadata = match system.metadata(root).map_err(|error| named(root, error)) {
        Ok(metadata) => metadata,
        Err(error) => {
            let mut coverage = Coverage::default();
            coverage.miss(ImagePath::root(), error.to_string());
            return coverage;
        }
    };
    let mut walk = Walk {
        system,
        visitor,
        table: Table::read(system),
        directories: Vec::new(),
        claims: Mutex::default(),
        entries: AtomicU64::new(1),
        gaps: Mutex::default(),
    };
    if visitor.wants(b"", &metadata, &|name| system.xattr(root, name).map_err(|error| named(root, error))) {
        visitor.found(&ImagePath::root(), &metadata);
    }
    walk.from(root, metadata.size);
    let mut coverage = walk.gaps.into_inner().unwrap_or_else(PoisonError::into_inner);
    coverage.entries = walk.entries.into_inner();
    coverage.settle();
    coverage
}

/// A directory by its place in the tree.
struct Directory {
    inode: u64,
    /// Its size in bytes.
    size: u64,
    /// The number of the directory it stands in; that of the root is its own.
    parent: u32,
    /// Bytes of the whole path.
    length: u32,
    name: Box<[u8]>,
}

struct Walk<'w> {
    system: &'w dyn FileSystem,
    visitor: &'w dyn Visitor,
    table: Table,
    /// Every directory that was reached, parents first.
    directories: Vec<Directory>,
    /// Directory inode → the number of the directory where it belongs, the lowest of those that name it.
    claims: Mutex<HashMap<u64, u32>>,
    entries: AtomicU64,
    gaps: Mutex<Coverage>,
}

impl Walk<'_> {
    fn from(&mut self, root: u64, size: u64) {
        self.claim(root, 0);
        self.directories.push(Directory { inode: root, size, parent: 0, length: 0, name: Box::default() });
        let (mut start, mut bytes) = (0, 0_u64);
        while start < self.directories.len() {
            let wave = start..self.directories.len();
            start = wave.end;
            let this = &*self;
            let mut below: Vec<Directory> = wave.into_par_iter().flat_map_iter(|number| this.directory(number)).collect();
            below.sort_unstable_by_key(|directory| (directory.inode, directory.parent));
            for directory in below {
                let claimed = self.claims.get_mut().unwrap_or_else(PoisonError::into_inner).get(&directory.inode).copied();
                bytes = bytes.saturating_add(directory.size);
                let reason = if claimed != Some(directory.parent) {
                    SECOND_PARENT
                } else if directory.length as usize > LONGEST_PATH {
                    TOO_DEEP
                } else if bytes > DIRECTORIES || u32::try_from(self.directories.len()).is_err() {
                    TOO_MUCH
                } else {
                    self.directories.push(directory);
                    continue;
                };
                self.miss(self.path(directory.parent).join(&directory.name), reason);
            }
        }
    }

    /// Visits the names in one directory, and gives the directories among them.
    fn directory(&self, number: usize) -> Vec<Directory> {
        let mut below = Vec::new();
        let Some((parent, at)) = u32::try_from(number).ok().zip(self.directories.get(number)) else { return below };
        let (mut entries, mut gaps) = (0_u64, 0_usize);
        let mut path = None;
        let mut miss = |name: Option<&[u8]>, reason: &str| {
            gaps += 1;
            // However many there are: no more are shown for the whole tree.
            if gaps > Coverage::MAX_GAPS {
                self.gaps.lock().unwrap_or_else(PoisonError::into_inner).gaps_total += 1;
            } else {
                let path = path.get_or_insert_with(|| self.path(parent));
                self.miss(name.map_or_else(|| path.clone(), |name| path.join(name)), reason);
            }
        };
        let (mut found_in, mut last) = (None, 0);
        let result = self.system.entries(at.inode, &mut |name, inode| {
            if !is_name(name) {
                miss(None, &impossible(name).to_string());
                return ControlFlow::Continue(());
            }
            let metadata = match self.metadata(inode, &mut last) {
                Ok(metadata) => metadata,
                Err(error) => {
                    miss(Some(name), &error.to_string());
                    return ControlFlow::Continue(());
                }
            };
            entries += 1;
            if self.visitor.wants(name, &metadata, &|attribute| self.xattr(inode, attribute)) {
                let path = found_in.get_or_insert_with(|| self.path(parent));
                self.visitor.found(&path.join(name), &metadata);
            }
            if metadata.kind == FileKind::Directory {
                if self.claim(inode, parent) {
                    let length = u32::try_from(name.len()).unwrap_or(u32::MAX).saturating_add(1).saturating_add(at.length);
                    below.push(Directory { inode, size: metadata.size, parent, length, name: name.into() });
                } else {
                    // Not by `miss`: whether this is seen here or at the end of the wave must make no difference.
                    self.miss(self.path(parent).join(name), SECOND_PARENT);
                }
            }
            ControlFlow::Continue(())
        });
        if let Err(error) = result {
            miss(None, &named(at.inode, error).to_string());
        }
        self.entries.fetch_add(entries, Ordering::Relaxed);
        below
    }

    fn xattr(&self, inode: u64, name: &str) -> io::Result<Option<Vec<u8>>> {
        self.system.xattr(inode, name).map_err(|error| named(inode, error))
    }

    fn metadata(&self, inode: u64, last: &mut usize) -> io::Result<Metadata> {
        self.table.get(inode, last).map_or_else(|| self.system.metadata(inode).map_err(|error| named(inode, error)), Ok)
    }

    /// Whether a directory belongs below this parent as far as is known yet: the first in the order of numbers has it, whichever
    /// thread comes first. It is so for good when the wave is over; later waves have higher numbers.
    fn claim(&self, inode: u64, parent: u32) -> bool {
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        let first = claims.get(&inode).is_none_or(|&before| parent < before);
        if first {
            claims.insert(inode, parent);
        }
        first
    }

    /// The path of a directory. Parents have lower numbers, so this ends.
    fn path(&self, number: u32) -> ImagePath {
        let mut names = Vec::new();
        let mut at = number;
        while let Some(directory) = self.directories.get(at as usize).filter(|_| at > 0) {
            names.push(&*directory.name);
            at = directory.parent;
        }
        let mut path = Vec::new();
        for name in names.iter().rev() {
            path.push(b'/');
            path.extend_from_slice(name);
        }
        ImagePath::new(path)
    }

    fn miss(&self, path: ImagePath, reason: &str) {
        self.gaps.lock().unwrap_or_else(PoisonError::into_inner).miss(path, reason);
    }
}
