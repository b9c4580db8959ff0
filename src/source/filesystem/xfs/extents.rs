//! Where the content of a fork lies: a list of extents in the inode, or a B-tree of them.
//!
//! Layout as in "XFS Filesystem Disk Structures", chapter "Data Extents".

use std::io;
use std::ops::ControlFlow;

use super::bytes::{Within, broken, part, u16_at, u32_at, u64_at};
use super::disk::{Disk, FILE_BTREE};
use super::inode::{Fork, Format};

/// A record: sixteen bytes on the disk, everywhere.
const RECORD: usize = 16;
/// No B-tree of a format that counts blocks in 54 bits is deeper, with at least two keys a node and 512-byte blocks as little as 29.
const MAX_LEVELS: u16 = 16;
const HEADER_V4: usize = 24;
const HEADER_V5: usize = 72;

/// A run of blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// Where it belongs in the file, in blocks.
    pub(super) offset: u64,
    /// Where it lies, as a block number.
    pub(super) block: u64,
    pub(super) count: u64,
    /// Reserved, never written: reads as zeroes.
    pub(super) unwritten: bool,
}

impl Extent {
    fn parse(record: &[u8]) -> io::Result<Self> {
        let (high, low) = (u64_at(record, 0)?, u64_at(record, 8)?);
        Ok(Self {
            unwritten: high >> 63 != 0,
            offset: (high >> 9) & ((1 << 54) - 1),
            block: ((high & 0x1ff) << 43) | (low >> 21),
            count: low & ((1 << 21) - 1),
        })
    }

    /// Where it ends in the file, in blocks.
    pub(super) fn end(&self) -> u64 {
        self.offset + self.count
    }
}

/// Is shown one extent after another.
pub(super) type Each<'a> = &'a mut dyn FnMut(Extent) -> io::Result<ControlFlow<()>>;

/// Shows the extents that end after `from` (in blocks), in their order, until `each` has enough.
///
/// # Errors
/// `InvalidData` if an extent lies outside the file system, or before the one that came before it: so a tree with a loop in it is
/// found out, and no block of it is read twice.
pub(super) fn visit(disk: &Disk, fork: &Fork<'_>, from: u64, each: Each<'_>) -> io::Result<()> {
    let mut walk = Walk { disk, inode: fork.inode, from, reached: 0, each };
    match fork.format {
        Format::Extents => {
            let count = usize::try_from(fork.extents).unwrap_or(usize::MAX);
            let records = part(fork.bytes, 0, count.saturating_mul(RECORD)).within(|| "more extents than fit the inode")?;
            walk.records(records).map(drop)
        }
        Format::Tree => {
            let (level, count) = (u16_at(fork.bytes, 0)?, usize::from(u16_at(fork.bytes, 2)?));
            let room = fork.bytes.len().saturating_sub(4) / RECORD;
            if level == 0 || level > MAX_LEVELS || count == 0 || count > room {
                return Err(broken(format_args!("its extent tree has level {level} with {count} keys")));
            }
            walk.children(part(fork.bytes, 4, count * 8)?, part(fork.bytes, 4 + room * 8, count * 8)?, level).map(drop)
        }
        Format::Local | Format::Device => Err(broken("its fork has no extents")),
    }
}

struct Walk<'a> {
    disk: &'a Disk,
    inode: u64,
    from: u64,
    /// Where the last extent ended: the next must not begin before.
    reached: u64,
    each: Each<'a>,
}

impl Walk<'_> {
    fn records(&mut self, records: &[u8]) -> io::Result<ControlFlow<()>> {
        for record in records.chunks_exact(RECORD) {
            let extent = Extent::parse(record)?;
            if extent.count == 0 || extent.offset < self.reached {
                return Err(broken(format_args!("the extent at file block {} overlaps or is empty", extent.offset)));
            }
            self.disk.place(extent.block, extent.count)?;
            self.reached = extent.end();
            if extent.end() > self.from && (self.each)(extent)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The blocks below a node. A key is where the first extent below it begins.
    fn children(&mut self, keys: &[u8], pointers: &[u8], level: u16) -> io::Result<ControlFlow<()>> {
        let mut next = keys.chunks_exact(8).skip(1);
        for pointer in pointers.chunks_exact(8) {
            let end = next.next().map_or(Ok(u64::MAX), |key| u64_at(key, 0))?;
            if end > self.from && self.block(u64_at(pointer, 0)?, level - 1)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn block(&mut self, block: u64, level: u16) -> io::Result<ControlFlow<()>> {
        let bytes = self.disk.block(block, &FILE_BTREE, self.inode).within(|| "extent tree")?;
        let v5 = self.disk.superblock.is_v5();
        let (magic, header): (&[u8], _) = if v5 { (b"BMA3", HEADER_V5) } else { (b"BMAP", HEADER_V4) };
        let (says, count) = (u16_at(&bytes, 4)?, usize::from(u16_at(&bytes, 6)?));
        if part(&bytes, 0, 4)? != magic || says != level {
            let magic = u32_at(&bytes, 0)?;
            return Err(broken(format_args!("extent tree: block {block:#x} is no block of level {level} (magic {magic:#x})")));
        }
        let room = bytes.len().saturating_sub(header) / RECORD;
        if count == 0 || count > room {
            return Err(broken(format_args!("extent tree: block {block:#x} has {count} records")));
        }
        if level == 0 {
            return self.records(part(&bytes, header, count * RECORD)?);
        }
        self.children(part(&bytes, header, count * 8)?, part(&bytes, header + room * 8, count * 8)?, level)
    }
}

/// The extent that holds a block of the file, if that is no hole.
pub(super) fn find(disk: &Disk, fork: &Fork<'_>, offset: u64) -> io::Result<Option<Extent>> {
    let mut found = None;
    visit(disk, fork, offset, &mut |extent| {
        found = Some(extent).filter(|extent| extent.offset <= offset);
        Ok(ControlFlow::Break(()))
    })?;
    Ok(found)
}
