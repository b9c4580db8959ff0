//! Allocation groups: which inodes are in use, from the inode B-tree of each.
//!
//! Layout as in "XFS Filesystem Disk Structures", chapters "Allocation Groups" and "Inode B+trees". The tree of free inodes
//! (`finobt`) says nothing more.

use std::io;

use super::bytes::{Within, broken, part, u16_at, u32_at, u64_at, uuid_at};
use super::disk::{Disk, GROUP_BTREE};

/// Where the checksum of an AGI lies.
const AGI_CHECKSUM: usize = 312;
/// With two pointers a block at the least, 31 bits of block numbers make no deeper tree.
const MAX_LEVELS: u32 = 31;
const HEADER_V4: usize = 16;
const HEADER_V5: usize = 56;
const RECORD: usize = 16;
/// Inodes come in chunks of so many.
pub(super) const CHUNK: u64 = 64;
/// A bit of the hole mask stands for so many inodes.
const PER_HOLE: u32 = 4;

/// A chunk of 64 inodes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunk {
    /// The first, by its number in the allocation group.
    pub(super) first: u64,
    /// Which are in use: the lowest bit is the first.
    pub(super) used: u64,
}

/// Shows the chunks of an allocation group in their order.
///
/// # Errors
/// `InvalidData` if the tree is broken. What was shown before stands.
pub(super) fn chunks(disk: &Disk, group: u32, each: &mut dyn FnMut(Chunk)) -> io::Result<()> {
    let (root, levels) = read_header(disk, group).within(|| "inode header")?;
    let mut tree = Tree { disk, group, reached: 0, each };
    tree.block(root, levels - 1).within(|| "inode tree")
}

/// The root of the inode tree and how many levels it has.
fn read_header(disk: &Disk, group: u32) -> io::Result<(u32, u32)> {
    let superblock = &disk.superblock;
    let sector = u64::from(superblock.sector_size);
    let offset = superblock.group_offset(group) + 2 * sector;
    let bytes = disk.read(offset, usize::from(superblock.sector_size))?;
    if part(&bytes, 0, 4)? != b"XAGI" || u32_at(&bytes, 4)? != 1 {
        return Err(broken("it is none"));
    }
    disk.verify_checksum(&bytes, AGI_CHECKSUM, offset)?;
    if superblock.is_v5() && uuid_at(&bytes, 296)? != superblock.metadata_uuid {
        return Err(broken("it carries the UUID of another file system"));
    }
    let (number, length) = (u32_at(&bytes, 8)?, u32_at(&bytes, 12)?);
    if number != group || u64::from(length) != superblock.blocks_of_group(group) {
        return Err(broken(format_args!("it says that it is of group {number} with {length} blocks")));
    }
    let (root, levels) = (u32_at(&bytes, 20)?, u32_at(&bytes, 24)?);
    if levels == 0 || levels > MAX_LEVELS {
        return Err(broken(format_args!("its inode tree has {levels} levels")));
    }
    Ok((root, levels))
}

struct Tree<'a> {
    disk: &'a Disk,
    group: u32,
    /// The first inode that the next chunk may begin with: so chunks never overlap, and a tree with a loop in it is found out.
    reached: u64,
    each: &'a mut dyn FnMut(Chunk),
}

impl Tree<'_> {
    fn block(&mut self, block: u32, level: u32) -> io::Result<()> {
        let superblock = &self.disk.superblock;
        if u64::from(block) >= superblock.blocks_of_group(self.group) {
            return Err(broken(format_args!("block {block:#x} lies outside of its group")));
        }
        let number = (u64::from(self.group) << superblock.group_block_log) | u64::from(block);
        let bytes = self.disk.block(number, &GROUP_BTREE, u64::from(self.group))?;
        let (magic, header): (&[u8], _) = if superblock.is_v5() { (b"IAB3", HEADER_V5) } else { (b"IABT", HEADER_V4) };
        let (says, count) = (u32::from(u16_at(&bytes, 4)?), usize::from(u16_at(&bytes, 6)?));
        if part(&bytes, 0, 4)? != magic || says != level {
            return Err(broken(format_args!("block {block:#x} is no block of level {level}")));
        }
        if level == 0 {
            let records = part(&bytes, header, count * RECORD).within(|| format!("block {block:#x}"))?;
            return records.chunks_exact(RECORD).try_for_each(|record| self.record(record));
        }
        // Keys of four bytes, pointers of four bytes; room for as many of each as fit.
        let room = bytes.len().saturating_sub(header) / 8;
        if count == 0 || count > room {
            return Err(broken(format_args!("block {block:#x} has {count} keys")));
        }
        let pointers = part(&bytes, header + room * 4, count * 4)?;
        self.ask(pointers);
        for pointer in pointers.chunks_exact(4) {
            let before = self.reached;
            self.block(u32_at(pointer, 0)?, level - 1)?;
            if self.reached == before {
                return Err(broken(format_args!("block {block:#x} leads to an empty block")));
            }
        }
        Ok(())
    }

    /// Asks for all blocks below a node at once.
    fn ask(&self, pointers: &[u8]) {
        let superblock = &self.disk.superblock;
        let start = superblock.group_offset(self.group);
        let ranges = pointers.chunks_exact(4).filter_map(|pointer| {
            let block = u64::from(u32_at(pointer, 0).ok()?);
            let begin = start + (block << superblock.block_log);
            (block < superblock.blocks_of_group(self.group)).then(|| begin..begin + u64::from(superblock.block_size))
        });
        self.disk.prefetch(&ranges.collect::<Vec<_>>());
    }

    fn record(&mut self, record: &[u8]) -> io::Result<()> {
        let superblock = &self.disk.superblock;
        let first = u64::from(u32_at(record, 0)?);
        let free = u64_at(record, 8)?;
        // With sparse inodes half of the old counter became a mask of what was never allocated.
        let holes = if superblock.features.has_sparse_inodes() { u16_at(record, 4)? } else { 0 };
        let hole = (1_u64 << PER_HOLE) - 1;
        let absent = (0..16_u32).filter(|bit| holes >> bit & 1 != 0).fold(0, |mask, bit| mask | hole << (bit * PER_HOLE));
        let end = first + CHUNK;
        let inodes = superblock.blocks_of_group(self.group) << superblock.inodes_log;
        // The last chunk of a group may reach beyond its end if that part is a hole.
        let last = (0..CHUNK).rev().find(|bit| absent >> bit & 1 == 0).map_or(0, |bit| bit + 1);
        if first < self.reached || first + last > inodes {
            return Err(broken(format_args!("the chunk of inode {first} overlaps another, or the end of its group")));
        }
        self.reached = end;
        (self.each)(Chunk { first, used: !free & !absent });
        Ok(())
    }
}
