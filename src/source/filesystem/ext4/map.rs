//! Where the blocks of a file are: extent trees, and the block maps of ext2 and ext3.
//!
//! Source: kernel documentation, `ext4/ifork` and `ext4/blockmap`.

use std::io;
use std::sync::Arc;

use super::Disk;
use super::bytes::{broken, joined, le16, le32, part};
use super::checksum::crc32c;
use super::inode::Inode;

/// Levels of an extent tree below the inode: with the smallest blocks it takes five for the largest file.
const DEPTH: u16 = 5;

/// Blocks of a file that lie one after another on the device, or that are not there and read as zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// The first of them on the device; nothing for a hole.
    pub(super) start: Option<u64>,
    /// How many; at least one.
    pub(super) blocks: u64,
}

/// The blocks of an extent, and whether they were ever written: above 2^15 they are only allocated, and read as zeros.
fn length_of(extent: &[u8]) -> (u64, bool) {
    let length = u64::from(le16(extent, 4));
    length.checked_sub(0x8000).filter(|&unwritten| unwritten > 0).map_or((length, true), |unwritten| (unwritten, false))
}

impl Disk {
    /// The run of blocks that begins with this block of a file.
    pub(super) fn run(&self, inode: &Inode<'_>, block: u64) -> io::Result<Run> {
        if inode.extents() { self.extent(inode, block) } else { self.mapped(inode, block) }
    }

    fn extent(&self, inode: &Inode<'_>, block: u64) -> io::Result<Run> {
        let wrong = |what: &str| broken(format!("inode {}: its extent tree is broken: {what}", inode.number));
        // Where what this part of the tree covers ends.
        let mut end = u64::MAX;
        let mut node: Option<Arc<[u8]>> = None;
        let mut expected = None;
        loop {
            let bytes = node.as_deref().unwrap_or(inode.map());
            let depth = le16(bytes, 6);
            if le16(bytes, 0) != 0xf30a {
                return Err(wrong("a node does not begin with 0xF30A"));
            }
            if depth > DEPTH || expected.is_some_and(|expected| depth != expected) {
                return Err(wrong("a node is at the wrong depth"));
            }
            let count = usize::from(le16(bytes, 2));
            if count > usize::from(le16(bytes, 4)) || count > bytes.len().saturating_sub(12) / 12 {
                return Err(wrong("a node has more entries than fit"));
            }
            let entries = part(bytes, 12, count.saturating_mul(12)).chunks_exact(12);
            let mut found: Option<&[u8]> = None;
            for entry in entries {
                let first = u64::from(le32(entry, 0));
                if let Some(before) = found {
                    // What an extent covers, and of an index at least its first block.
                    let covered = if depth == 0 { length_of(before).0 } else { 1 };
                    if u64::from(le32(before, 0)).saturating_add(covered.max(1)) > first {
                        return Err(wrong("its entries overlap or are not in order"));
                    }
                }
                if first > block {
                    end = end.min(first);
                    break;
                }
                found = Some(entry);
            }
            let hole = Run { start: None, blocks: end.saturating_sub(block).max(1) };
            let Some(entry) = found else { return Ok(hole) };
            if depth == 0 {
                let (length, written) = length_of(entry);
                let skipped = block.saturating_sub(le32(entry, 0).into());
                let Some(left) = length.checked_sub(skipped).filter(|&left| left > 0) else { return Ok(hole) };
                let start = joined(le32(entry, 8), le16(entry, 6).into()).saturating_add(skipped);
                if !self.are_blocks(start, left) {
                    return Err(wrong("an extent is outside the file system"));
                }
                return Ok(Run { start: written.then_some(start), blocks: left.min(hole.blocks) });
            }
            let child = joined(le32(entry, 4), le16(entry, 8).into());
            expected = depth.checked_sub(1);
            node = Some(self.node(inode, child, true)?);
        }
    }

    /// Whether these blocks are inside the file system.
    pub(super) fn are_blocks(&self, start: u64, count: u64) -> bool {
        start > u64::from(self.superblock.first_data_block)
            && start.checked_add(count).is_some_and(|end| end <= self.superblock.blocks)
    }

    /// A block map: 12 blocks, then one to three levels of blocks full of block numbers.
    fn mapped(&self, inode: &Inode<'_>, block: u64) -> io::Result<Run> {
        let per_block = self.block_size() / 4;
        let beyond = || broken(format!("inode {}: block {block} is more than a block map can hold", inode.number));
        let mut index = block;
        if index < 12 {
            return self.pointed(inode, part(inode.map(), 0, 48), index);
        }
        index = index.saturating_sub(12);
        let mut covered = per_block;
        let mut slot = 12_usize;
        while index >= covered {
            index = index.saturating_sub(covered);
            covered = covered.checked_mul(per_block).ok_or_else(beyond)?;
            slot = slot.checked_add(1).filter(|&slot| slot < 15).ok_or_else(beyond)?;
        }
        let mut pointer = le32(inode.map(), slot.saturating_mul(4));
        loop {
            if pointer == 0 {
                return Ok(Run { start: None, blocks: covered.saturating_sub(index).max(1) });
            }
            let node = self.node(inode, pointer.into(), false)?;
            covered /= per_block;
            if covered <= 1 {
                return self.pointed(inode, &node, index);
            }
            let at = usize::try_from((index / covered).saturating_mul(4)).unwrap_or(usize::MAX);
            pointer = le32(&node, at);
            index %= covered;
        }
    }

    /// The run that begins at one of these block numbers.
    fn pointed(&self, inode: &Inode<'_>, pointers: &[u8], index: u64) -> io::Result<Run> {
        let at = usize::try_from(index.saturating_mul(4)).unwrap_or(usize::MAX);
        let mut rest = pointers.get(at..).unwrap_or_default().chunks_exact(4).map(|pointer| u64::from(le32(pointer, 0)));
        let first = rest.next().unwrap_or(0);
        if first == 0 {
            return Ok(Run { start: None, blocks: 1 + rest.take_while(|&next| next == 0).count() as u64 });
        }
        let following = rest.zip(first.saturating_add(1)..).take_while(|(next, expected)| next == expected).count() as u64;
        let blocks = following.saturating_add(1);
        if !self.are_blocks(first, blocks) {
            return Err(broken(format!("inode {}: its block {first} is outside the file system", inode.number)));
        }
        Ok(Run { start: Some(first), blocks })
    }

    /// A block of an extent tree or block map, checked; from memory if it was read lately.
    fn node(&self, inode: &Inode<'_>, block: u64, extents: bool) -> io::Result<Arc<[u8]>> {
        let key = (inode.number, block);
        if let Some(node) = self.nodes.get(key) {
            return Ok(node);
        }
        let what = if extents { "extents" } else { "block map" };
        if !self.are_blocks(block, 1) {
            return Err(broken(format!("inode {}: block {block} of its {what} is outside the file system", inode.number)));
        }
        let bytes = self.block(block, || format!("block {block}, of the {what} of inode {}", inode.number))?;
        if extents && self.superblock.features.metadata_csum() {
            // The checksum stands after the last entry there could be.
            let end = usize::from(le16(&bytes, 4)).saturating_mul(12).saturating_add(12);
            let intact = end.saturating_add(4) <= bytes.len() && crc32c(inode.seed, part(&bytes, 0, end)) == le32(&bytes, end);
            if !intact {
                return Err(broken(format!("inode {}: the checksum of its extents in block {block} is wrong", inode.number)));
            }
        }
        let node: Arc<[u8]> = bytes.into();
        self.nodes.keep(key, node.clone());
        Ok(node)
    }
}
