//! All inodes in one pass: the tables in large pieces, by several threads.

use std::borrow::Cow;
use std::io;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};

use super::Disk;
use super::bytes::{joined, le16, le32, length, part};
use super::inode::{Inode, ROOT};
use crate::image::{FileKind, Metadata};

/// Bytes of an inode table that are read at once.
const PIECE: u64 = 1 << 20;
/// Bytes of a table that nobody uses, beyond which its bitmap is read first: that costs one request and one block.
const WASTE: u64 = 256 << 10;
/// Bytes of a table that are left out when none of their inodes is in use. Less would make more requests than it saves.
const LEFT_OUT: u64 = 32 << 10;
/// Pieces of directories that are announced to the device; each takes 16 bytes of memory.
const ANNOUNCED: usize = 1 << 20;

/// Inodes in a row of one group.
struct Piece {
    /// The number of the first.
    first: u64,
    count: u64,
    /// Where it is on the device.
    at: u64,
}

/// Is shown every inode.
pub(super) type Each<'e> = &'e (dyn Fn(u64, io::Result<Metadata>) + Sync);

impl Disk {
    /// Shows every inode that is in use and that a name may lead to.
    pub(super) fn all_inodes(&self, each: Each<'_>) {
        let pieces = self.pieces();
        let size = u64::from(self.superblock.inode_size);
        let ranges: Vec<_> =
            pieces.iter().map(|piece| piece.at..piece.at.saturating_add(piece.count.saturating_mul(size))).collect();
        self.device.prefetch(&ranges);
        let directories = Mutex::new(Vec::new());
        pieces.par_iter().for_each_init(Vec::new, |buffer, piece| {
            let found = self.piece(piece, buffer, each);
            let mut directories = directories.lock().unwrap_or_else(PoisonError::into_inner);
            let room = ANNOUNCED.saturating_sub(directories.len());
            directories.extend(found.into_iter().take(room));
        });
        // Names are what is read next, by whoever asked for all inodes.
        self.device.prefetch(&directories.into_inner().unwrap_or_else(PoisonError::into_inner));
    }

    /// Cuts the parts of all tables that are in use into pieces.
    fn pieces(&self) -> Vec<Piece> {
        let size = u64::from(self.superblock.inode_size.max(1));
        let per_group = u64::from(self.superblock.inodes_per_group);
        let sparse = |used: u64, in_use: u64| used.saturating_sub(in_use).saturating_mul(size) > WASTE;
        let mut groups = Vec::new();
        for (number, group) in (0_u64..).zip(&self.groups) {
            let used = per_group.saturating_sub(group.unused.into());
            let in_use = per_group.saturating_sub(group.free.into());
            if group.fault.is_none() && used > 0 {
                groups.push((number, group, used, sparse(used, in_use)));
            }
        }
        let block = self.block_size();
        let bitmap = |at: u64| at.saturating_mul(block)..at.saturating_mul(block).saturating_add(per_group.div_ceil(8));
        let bitmaps: Vec<_> = groups.iter().filter(|group| group.3).map(|group| bitmap(group.1.bitmap)).collect();
        self.device.prefetch(&bitmaps);
        let parts = groups.par_iter().flat_map_iter(|&(number, group, used, sparse)| {
            let table = group.table.saturating_mul(block);
            // Whatever is wrong with a bitmap, the table is what counts.
            let bits = (sparse && self.are_blocks(group.bitmap, 1))
                .then(|| self.bytes(bitmap(group.bitmap).start, length(per_group.div_ceil(8)).ok()?, String::new).ok())
                .flatten();
            let ranges = match bits {
                Some(bits) => in_use(&bits, used, (LEFT_OUT / size).max(8)),
                None => std::iter::once(0..used).collect(),
            };
            let most = (PIECE / size).max(1);
            ranges.into_iter().flat_map(move |range| {
                let starts = (range.start..range.end).step_by(usize::try_from(most).unwrap_or(usize::MAX));
                starts.map(move |start| Piece {
                    first: number.saturating_mul(per_group).saturating_add(start).saturating_add(1),
                    count: range.end.min(start.saturating_add(most)).saturating_sub(start),
                    at: table.saturating_add(start.saturating_mul(size)),
                })
            })
        });
        let mut pieces: Vec<_> = parts.collect();
        pieces.sort_unstable_by_key(|piece| piece.at);
        pieces
    }

    /// Shows the inodes of one piece, and gives the ranges that directories among them begin with.
    fn piece(&self, piece: &Piece, buffer: &mut Vec<u8>, each: Each<'_>) -> Vec<Range<u64>> {
        let size = usize::from(self.superblock.inode_size);
        let mut directories = Vec::new();
        let read = length(piece.count.saturating_mul(size as u64)).and_then(|length| {
            buffer.resize(length, 0);
            self.fill(piece.at, buffer, || "an inode table".to_owned())
        });
        if read.is_err() {
            // One at a time, so that those before the end of a truncated image are seen, and each of the others is an error of
            // its own.
            for number in piece.first..piece.first.saturating_add(piece.count) {
                if self.is_public(number) {
                    Self::show(number, self.inode(number), each);
                }
            }
            return directories;
        }
        for (number, raw) in (piece.first..).zip(buffer.chunks_exact(size)) {
            // Free inodes are most of many tables: no need to have a look at all of their bytes. One that only looks free because
            // it is broken is found when a name leads to it.
            if le16(raw, 0x1a) == 0 || number < self.superblock.first_inode.into() && number != ROOT {
                continue;
            }
            let inode = self.inode_of(number, Cow::Borrowed(raw));
            if let Ok(inode) = &inode {
                if inode.is_value() {
                    continue;
                }
                directories.extend(self.first_run(inode));
            }
            Self::show(number, inode, each);
        }
        directories
    }

    fn show(number: u64, inode: io::Result<Inode<'_>>, each: Each<'_>) {
        match inode.and_then(|inode| inode.metadata()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => each(number, result),
        }
    }

    /// Where the first run of a directory is, if the inode says so itself.
    fn first_run(&self, inode: &Inode<'_>) -> Option<Range<u64>> {
        if inode.kind() != Some(FileKind::Directory) || inode.inline() {
            return None;
        }
        let map = inode.map();
        let (start, blocks) = match (inode.extents(), le16(map, 6)) {
            (true, 0) => (joined(le32(map, 20), le16(map, 18).into()), u64::from(le16(map, 16))),
            // The node of the tree that comes first.
            (true, _) => (joined(le32(map, 16), le16(map, 20).into()), 1),
            (false, _) => (le32(map, 0).into(), 1),
        };
        let blocks = blocks.min(inode.size().div_ceil(self.block_size()));
        let start = self.are_blocks(start, blocks).then(|| start.saturating_mul(self.block_size()))?;
        Some(start..start.saturating_add(blocks.saturating_mul(self.block_size())))
    }
}

/// The ranges of inodes in which a bitmap has any, in steps.
fn in_use(bits: &[u8], used: u64, step: u64) -> Vec<Range<u64>> {
    let mut ranges: Vec<Range<u64>> = Vec::new();
    let mut at = 0;
    while at < used {
        let end = used.min(at.saturating_add(step));
        let (from, to) = (usize::try_from(at / 8).unwrap_or(usize::MAX), usize::try_from(end.div_ceil(8)).unwrap_or(usize::MAX));
        if part(bits, from, to.saturating_sub(from)).iter().any(|&bits| bits != 0) {
            match ranges.last_mut().filter(|last| last.end == at) {
                Some(last) => last.end = end,
                None => ranges.push(at..end),
            }
        }
        at = end;
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_bitmap_says_is_free_is_left_out_in_steps() {
        let mut bits = [0; 128];
        bits[0] = 0x7;
        bits[17] = 0x80;
        bits[32] = 1;
        assert_eq!(in_use(&bits, 1000, 128), std::slice::from_ref(&(0..384)));
        bits[17] = 0;
        assert_eq!(in_use(&bits, 1000, 128), [0..128, 256..384]);
        assert_eq!(in_use(&bits, 200, 128), std::slice::from_ref(&(0..128)));
    }
}
