//! What all inodes say of themselves, small enough to be kept for one walk.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::image::{FileKind, Metadata};
use crate::source::filesystem::FileSystem;

/// Inodes that are kept, 160 MiB: a root file system has some hundred thousand. Those of a larger one that find no place are read
/// one by one when a name leads to them.
const KEPT: usize = 4 << 20;
/// Lists that are filled side by side, so that threads seldom wait for one another.
const LISTS: usize = 32;
/// Inodes between two marks: a search looks at the marks, which stay in the processor's cache, and then at these.
const BETWEEN: usize = 64;

/// An inode in 40 bytes.
#[derive(Clone, Copy)]
struct Row {
    inode: u64,
    size: u64,
    mtime: i64,
    uid: u32,
    gid: u32,
    nlink: u32,
    mode: u16,
    kind: FileKind,
}

impl Row {
    /// Nothing for what does not fit, which no file system has.
    fn new(inode: u64, metadata: &Metadata) -> Option<Self> {
        let Metadata { kind, mode, uid, gid, size, nlink, mtime } = *metadata;
        Some(Self { inode, size, mtime, uid, gid, nlink: u32::try_from(nlink).ok()?, mode: u16::try_from(mode).ok()?, kind })
    }

    fn metadata(&self) -> Metadata {
        let Self { kind, uid, gid, size, mtime, .. } = *self;
        Metadata { kind, mode: self.mode.into(), uid, gid, size, nlink: self.nlink.into(), mtime }
    }
}

/// The inodes in use, by number.
pub(super) struct Table {
    rows: Vec<Row>,
    /// Every [`BETWEEN`]th number.
    marks: Vec<u64>,
}

impl Table {
    /// Reads them all. What cannot be read is left out: who asks for it asks the file system, which says why.
    pub(super) fn read(system: &dyn FileSystem) -> Self {
        let lists: [Mutex<Vec<Row>>; LISTS] = std::array::from_fn(|_| Mutex::default());
        let kept = AtomicUsize::new(0);
        system.inodes(&|inode, metadata: io::Result<Metadata>| {
            let Some(row) = metadata.ok().and_then(|metadata| Row::new(inode, &metadata)) else { return };
            if kept.fetch_add(1, Ordering::Relaxed) < KEPT {
                let own = rayon::current_thread_index().unwrap_or(0) % LISTS;
                if let Some(list) = lists.get(own) {
                    list.lock().unwrap_or_else(PoisonError::into_inner).push(row);
                }
            }
        });
        let mut lists = lists.map(|list| list.into_inner().unwrap_or_else(PoisonError::into_inner));
        let count: usize = lists.iter().map(Vec::len).sum();
        lists.sort_by_key(Vec::len);
        let mut largest_first = lists.into_iter().rev();
        let mut rows = largest_first.next().unwrap_or_default();
        rows.reserve_exact(count.saturating_sub(rows.len()));
        largest_first.for_each(|list| rows.extend(list));
        // Stable, because it makes use of the order that is there already.
        rows.sort_by_key(|row| row.inode);
        let marks = rows.iter().step_by(BETWEEN).map(|row| row.inode).collect();
        Self { rows, marks }
    }

    /// What this inode says of itself. The one after the last that was found is tried first: files that were made together have
    /// numbers in a row.
    pub(super) fn get(&self, inode: u64, last: &mut usize) -> Option<Metadata> {
        let next = last.saturating_add(1);
        let found = match self.rows.get(next) {
            Some(row) if row.inode == inode => next,
            _ => self.position(inode)?,
        };
        *last = found;
        self.rows.get(found).map(Row::metadata)
    }

    fn position(&self, inode: u64) -> Option<usize> {
        let after = self.marks.partition_point(|&mark| mark <= inode);
        let start = after.checked_sub(1)?.checked_mul(BETWEEN)?;
        let end = start.saturating_add(BETWEEN).min(self.rows.len());
        let rows = self.rows.get(start..end)?;
        rows.binary_search_by_key(&inode, |row| row.inode).ok()?.checked_add(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inode_takes_no_more_than_40_bytes() {
        assert_eq!(size_of::<Row>(), 40);
    }
}
