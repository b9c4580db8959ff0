//! Directories: in the inode, in one block, or in many blocks with an index.
//!
//! Layout as in "XFS Filesystem Disk Structures", chapter "Directories".

mod block;
mod shortform;

use std::io;
use std::ops::{ControlFlow, Range};

use super::bytes::{Within, broken, u32_at};
use super::content;
use super::disk::{DIRECTORY, Disk};
use super::extents::{self, Extent};
use super::index::{self, Shape};
use super::inode::{Fork, Format, Inode};
use crate::image::FileKind;

/// Where the index begins in the directory's own address space, in bytes: entries are below.
const INDEX_AT: u64 = 1 << 35;
/// Leaves of the index: the only one (`LEAF1`) and one of many (`LEAFN`), in v4 and v5.
const LEAVES: [u16; 4] = [0xd2f1, 0xd2ff, 0x3df1, 0x3dff];
/// An entry that was removed keeps its place in the index with this address.
const REMOVED: u32 = 0;
/// Directory blocks are asked for in waves of so many extents.
const WAVE: usize = 256;

/// A name and the inode it leads to.
type Each<'a> = &'a mut dyn FnMut(&[u8], u64) -> ControlFlow<()>;

/// Shows every name but `.` and `..`. A broken block does not hide the names in the others: the first error is given at the end.
pub(super) fn entries(disk: &Disk, inode: &Inode, each: Each<'_>) -> io::Result<()> {
    let fork = opened(inode)?;
    let mut trouble = Ok(());
    let mut stopped = false;
    let mut checked = |entry: Entry<'_>| match entry.check() {
        Ok(false) => ControlFlow::Continue(()),
        Ok(true) => {
            let flow = each(entry.name, entry.inode);
            stopped |= flow.is_break();
            flow
        }
        Err(error) => {
            keep(&mut trouble, error);
            ControlFlow::Continue(())
        }
    };
    if fork.format == Format::Local {
        shortform::entries(disk, &fork, inode.metadata.size, &mut checked)?;
        return trouble;
    }
    let mut unread = Ok(());
    blocks(disk, &fork, &mut |bytes| {
        let shown = bytes.and_then(|bytes| block::entries(disk, &bytes, &mut checked));
        match shown {
            Ok(flow) => flow,
            Err(error) => {
                keep(&mut unread, error);
                ControlFlow::Continue(())
            }
        }
    })?;
    if stopped { Ok(()) } else { unread.and(trouble) }
}

fn keep(first: &mut io::Result<()>, error: io::Error) {
    if first.is_ok() {
        *first = Err(error);
    }
}

/// The inode of a name, through the index.
pub(super) fn lookup(disk: &Disk, inode: &Inode, name: &[u8]) -> io::Result<Option<u64>> {
    let fork = opened(inode)?;
    let ignores_case = disk.superblock.features.ignores_case();
    let fold: fn(u8) -> u8 = if ignores_case { fold } else { |byte| byte };
    let mut found = Found { name, fold, exact: None, alike: None };
    let log = disk.superblock.block_log;
    let shape = Shape { leaves: &LEAVES, header: (16, 64), root: INDEX_AT >> log, block: disk.superblock.directory_block_size };
    if fork.format == Format::Local {
        shortform::entries(disk, &fork, inode.metadata.size, &mut |entry| found.take(&entry))?;
    } else if extents::find(disk, &fork, shape.root)?.is_none() {
        // Without an index it is a single block, which has its own; but reading it all costs no more.
        if let Some(bytes) = content::block(disk, &fork, 0, shape.block, &DIRECTORY).within(|| "directory block 0")? {
            let _ = block::entries(disk, &bytes, &mut |entry| found.take(&entry)).within(|| "directory block 0")?;
        }
    } else {
        let blocks = u64::from(shape.block) >> log;
        index::search(disk, &fork, &shape, index::hash(name, fold), &mut |_, entry| {
            let address = u32_at(entry, 4)?;
            if address == REMOVED {
                return Ok(ControlFlow::Continue(()));
            }
            // In units of eight bytes.
            let address = u64::from(address) * 8;
            let number = address / u64::from(shape.block);
            let bytes = content::block(disk, &fork, number * blocks, shape.block, &DIRECTORY)
                .and_then(|bytes| bytes.ok_or_else(|| broken("its index leads into a hole")))
                .within(|| format!("directory block {number}"))?;
            let at = usize::try_from(address % u64::from(shape.block)).map_err(broken)?;
            block::entry(disk, &bytes, at).map(|entry| found.take(&entry))
        })?;
    }
    Ok(found.exact.or(found.alike))
}

/// The fork of what must be a directory.
fn opened(inode: &Inode) -> io::Result<Fork<'_>> {
    if inode.metadata.kind != FileKind::Directory {
        return Err(io::Error::new(io::ErrorKind::NotADirectory, "it is no directory"));
    }
    inode.data()
}

/// Where the data blocks of a directory lie, to be asked for early.
pub(super) fn places(disk: &Disk, fork: &Fork<'_>, limit: usize) -> io::Result<Vec<Range<u64>>> {
    let mut ranges = Vec::new();
    extents::visit(disk, fork, 0, &mut |extent| {
        let begin = disk.place(extent.block, extent.count)?;
        ranges.push(begin..begin + (extent.count << disk.superblock.block_log));
        Ok(if ranges.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    Ok(ranges)
}

/// Shows every block that holds entries.
fn blocks(disk: &Disk, fork: &Fork<'_>, each: &mut dyn FnMut(io::Result<Vec<u8>>) -> ControlFlow<()>) -> io::Result<()> {
    let superblock = &disk.superblock;
    let (size, log) = (superblock.directory_block_size, superblock.block_log);
    let (per, end) = (u64::from(size) >> log, INDEX_AT >> log);
    // A directory has no more blocks than the file system: more means that extents name the same blocks again and again.
    let mut left = superblock.blocks;
    let mut next = 0;
    let mut wave = Vec::new();
    let mut show = |wave: &mut Vec<Extent>| -> io::Result<ControlFlow<()>> {
        if wave.len() > 1 {
            let ranges = wave.iter().filter_map(|extent| {
                let begin = superblock.block_offset(extent.block, extent.count)?;
                Some(begin..begin + (extent.count << log))
            });
            disk.prefetch(&ranges.collect::<Vec<_>>());
        }
        for extent in wave.drain(..) {
            left = left.checked_sub(extent.count).ok_or_else(|| broken("it has more blocks than the file system"))?;
            let mut at = (extent.offset - extent.offset % per).max(next);
            while at < extent.end().min(end) {
                let bytes = content::block_from(disk, fork, extent, at, size, &DIRECTORY);
                if each(bytes.within(|| format!("directory block {}", at / per))).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
                at += per;
            }
            next = at;
        }
        Ok(ControlFlow::Continue(()))
    };
    let mut stopped = false;
    extents::visit(disk, fork, 0, &mut |extent| {
        if extent.offset >= end {
            return Ok(ControlFlow::Break(()));
        }
        wave.push(extent);
        if wave.len() < WAVE {
            return Ok(ControlFlow::Continue(()));
        }
        let flow = show(&mut wave)?;
        stopped = flow.is_break();
        Ok(flow)
    })?;
    if !stopped {
        let _ = show(&mut wave)?;
    }
    Ok(())
}

/// An entry as it stands.
pub(super) struct Entry<'a> {
    name: &'a [u8],
    inode: u64,
}

impl Entry<'_> {
    /// Whether it is one to show: not the directory itself or its parent.
    ///
    /// # Errors
    /// `InvalidData` if no system call could have made the name.
    fn check(&self) -> io::Result<bool> {
        if self.name == b"." || self.name == b".." {
            return Ok(false);
        }
        if self.name.is_empty() || self.name.iter().any(|&byte| byte == b'/' || byte == 0) {
            return Err(broken(format_args!("the impossible name {:?}", String::from_utf8_lossy(self.name))));
        }
        Ok(true)
    }
}

/// What a lookup found: the name itself, or where case does not matter one like it.
struct Found<'a> {
    name: &'a [u8],
    fold: fn(u8) -> u8,
    exact: Option<u64>,
    alike: Option<u64>,
}

impl Found<'_> {
    fn take(&mut self, entry: &Entry<'_>) -> ControlFlow<()> {
        if entry.name == self.name {
            self.exact = Some(entry.inode);
            return ControlFlow::Break(());
        }
        let same = || entry.name.iter().zip(self.name).all(|(&one, &other)| (self.fold)(one) == (self.fold)(other));
        if self.alike.is_none() && entry.name.len() == self.name.len() && same() {
            self.alike = Some(entry.inode);
        }
        ControlFlow::Continue(())
    }
}

/// Upper case to lower, in Latin-1 as the kernel does for `ascii-ci` (its `xfs_ascii_ci_xfrm`).
fn fold(byte: u8) -> u8 {
    match byte {
        b'A'..=b'Z' | 0xc0..=0xd6 | 0xd8..=0xde => byte + 32,
        _ => byte,
    }
}
