//! Group descriptors: where each group's inode table is, and how much of it is in use.
//!
//! Source: kernel documentation, `ext4/group_descr` and `ext4/blockgroup` (`meta_bg`, `flex_bg`).

use super::Disk;
use super::bytes::{joined, le16, le32, length, part};
use super::checksum::{crc16, crc32c};
use super::error::FileSystemError;

/// One group of blocks and inodes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    /// The block its inode table begins at.
    pub(super) table: u64,
    /// The block of its inode bitmap.
    pub(super) bitmap: u64,
    /// Inodes at the end of the table that were never used; their bytes may be anything.
    pub(super) unused: u32,
    /// Inodes that are free, those among them.
    pub(super) free: u32,
    /// What is wrong with it.
    pub(super) fault: Option<&'static str>,
}

/// The bytes of the descriptors that are read at once.
const PIECE: u64 = 1 << 20;

impl Disk {
    /// Reads all descriptors. One that is broken spoils its group only.
    pub(super) fn read_groups(&mut self) -> Result<(), FileSystemError> {
        let size = u64::from(self.superblock.descriptor_size);
        let count = self.superblock.groups();
        let mut groups = Vec::new();
        let mut at = 0;
        while at < count {
            // Without `meta_bg` all descriptors follow one another. With it each block of them is somewhere else.
            let block = at.saturating_mul(size) / self.block_size();
            let moved = self.superblock.features.meta_bg() && block >= u64::from(self.superblock.first_meta_bg);
            let most = if moved { self.block_size() } else { PIECE } / size.max(1);
            let mut here = most.min(count.saturating_sub(at)).max(1);
            if !moved && self.superblock.features.meta_bg() {
                let before = u64::from(self.superblock.first_meta_bg).saturating_mul(self.block_size() / size.max(1));
                here = here.min(before.saturating_sub(at)).max(1);
            }
            let offset = if moved {
                self.moved_descriptors(block).saturating_mul(self.block_size())
            } else {
                // After the superblock, which is at byte 1,024.
                (1024 / self.block_size())
                    .saturating_add(1)
                    .saturating_mul(self.block_size())
                    .saturating_add(at.saturating_mul(size))
            };
            let bytes = length(here.saturating_mul(size))
                .and_then(|length| self.bytes(offset, length, || "the group descriptors".to_owned()))
                .map_err(|error| FileSystemError::Read { what: "group descriptors", error })?;
            for descriptor in bytes.chunks_exact(usize::from(self.superblock.descriptor_size)) {
                groups.push(self.group(groups.len() as u64, descriptor));
            }
            at = at.saturating_add(here);
        }
        self.groups = groups;
        Ok(())
    }

    /// The block that holds this block of descriptors, which lies in the first of the groups it describes.
    fn moved_descriptors(&self, block: u64) -> u64 {
        let superblock = &self.superblock;
        let group = block.saturating_mul(self.block_size() / u64::from(superblock.descriptor_size.max(1)));
        let start = group.saturating_mul(superblock.blocks_per_group.into()).saturating_add(superblock.first_data_block.into());
        // With blocks of 1 KiB and bigalloc the superblock is in block 1 of group 0, which begins at block 0.
        let shifted = block == 0 && superblock.block_size == 1024 && superblock.first_data_block == 0;
        start.saturating_add(u64::from(superblock.has_copy(group))).saturating_add(u64::from(shifted))
    }

    fn group(&self, number: u64, descriptor: &[u8]) -> Group {
        let superblock = &self.superblock;
        let wide = superblock.descriptor_size >= 64;
        let high = |at| if wide { le32(descriptor, at) } else { 0 };
        let half = |low, high: usize| {
            let upper = if wide { le16(descriptor, high) } else { 0 };
            u32::from(upper) << 16 | u32::from(le16(descriptor, low))
        };
        let table = joined(le32(descriptor, 0x8), high(0x28));
        let bitmap = joined(le32(descriptor, 0x4), high(0x24));
        let checked = superblock.features.metadata_csum() || superblock.features.uninit_bg();
        let uninitialised = le16(descriptor, 0x12) & 0x1 != 0;
        let per_group = superblock.inodes_per_group;
        let unused = match (checked, uninitialised) {
            (false, _) => 0,
            (true, true) => per_group,
            (true, false) => half(0x1c, 0x32).min(per_group),
        };
        let free = half(0xe, 0x2e).min(per_group);
        let blocks = u64::from(per_group).saturating_mul(superblock.inode_size.into()).div_ceil(self.block_size());
        let fault = if checked && self.descriptor_checksum(number, descriptor) != le16(descriptor, 0x1e) {
            Some("the checksum of its descriptor is wrong")
        } else if table <= u64::from(superblock.first_data_block) || table.saturating_add(blocks) > superblock.blocks {
            Some("its inode table is outside the file system")
        } else {
            None
        };
        Group { table, bitmap, unused, free, fault }
    }

    #[allow(clippy::cast_possible_truncation, reason = "groups are at most 2^20, and of the checksum the low half is kept")]
    fn descriptor_checksum(&self, number: u64, descriptor: &[u8]) -> u16 {
        let group = (number as u32).to_le_bytes();
        let (before, after) = (part(descriptor, 0, 0x1e), descriptor.get(0x20..).unwrap_or_default());
        if self.superblock.features.metadata_csum() {
            let checksum = crc32c(crc32c(self.superblock.seed, &group), before);
            return crc32c(crc32c(checksum, &[0, 0]), after) as u16;
        }
        crc16(crc16(crc16(crc16(!0, &self.superblock.uuid), &group), before), after)
    }
}
