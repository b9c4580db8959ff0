//! The superblock: the first 1,024 bytes after the first 1,024 bytes.
//!
//! Source: kernel documentation, `ext4/super`; what is refused, Linux refuses to mount.

use super::bytes::{byte, joined, le16, le32, part};
use super::checksum::crc32c;
use super::error::FileSystemError;
use super::features::Features;
use crate::path::printable;

/// Where it is.
pub(super) const AT: u64 = 1024;
/// How long it is.
pub(super) const LENGTH: usize = 1024;

/// Groups beyond this are refused: 128 TiB in blocks of 4 KiB, twice the largest volume of EC2. Each takes 32 bytes of memory.
const GROUPS: u64 = 1 << 20;

/// The directory hash of an index, by the number it is stored under, and where its seed and signedness come from.
#[derive(Debug, Clone, Copy)]
pub(super) struct HashSetup {
    pub(super) seed: [u32; 4],
    /// Whether names were hashed as unsigned characters when their index does not say.
    pub(super) unsigned: bool,
}

/// What the superblock says, checked as far as it can be by itself.
#[derive(Debug, Clone)]
pub(super) struct Superblock {
    pub(super) features: Features,
    /// Bytes of a block: 1 KiB to 64 KiB.
    pub(super) block_size: u32,
    /// Bytes of a cluster, the unit of allocation: a block without `bigalloc`.
    pub(super) cluster_size: u64,
    pub(super) blocks: u64,
    pub(super) first_data_block: u32,
    pub(super) blocks_per_group: u32,
    pub(super) inodes: u32,
    pub(super) inodes_per_group: u32,
    pub(super) inode_size: u16,
    /// The first inode that is nobody's in particular.
    pub(super) first_inode: u32,
    pub(super) descriptor_size: u16,
    pub(super) first_meta_bg: u32,
    pub(super) backup_groups: [u32; 2],
    /// The start value of all checksums of metadata.
    pub(super) seed: u32,
    pub(super) hash: HashSetup,
    pub(super) journal_inode: u32,
    pub(super) journal_device: u32,
    pub(super) uuid: [u8; 16],
    pub(super) label: Vec<u8>,
    pub(super) last_mounted: Vec<u8>,
    /// Whether errors were noted in it that no fsck has looked at.
    pub(super) has_errors: bool,
}

impl Superblock {
    /// Whether these bytes, the first 2 KiB of a device, look like an ext2, ext3 or ext4 file system.
    pub(super) fn recognise(start: &[u8]) -> bool {
        part(start, 1024 + 0x38, 2) == [0x53, 0xef]
    }

    /// Reads it from its 1,024 bytes.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, FileSystemError> {
        if bytes.len() < LENGTH || le16(bytes, 0x38) != 0xef53 {
            return Err(FileSystemError::NotExt);
        }
        let original = le32(bytes, 0x4c) == 0;
        let word = |at| if original { 0 } else { le32(bytes, at) };
        let features = Features { compatible: word(0x5c), incompatible: word(0x60), read_only: word(0x64) };
        // Before anything else: what is not understood may have moved it.
        features.refuse()?;
        if features.metadata_csum() {
            if byte(bytes, 0x175) != 1 {
                return Err(wrong(format!("it uses checksums of the unknown kind {}", byte(bytes, 0x175))));
            }
            if crc32c(!0, part(bytes, 0, 0x3fc)) != le32(bytes, 0x3fc) {
                return Err(wrong("its checksum is wrong"));
            }
        }
        let uuid = part(bytes, 0x68, 16).try_into().unwrap_or([0; 16]);
        let high = |at| if features.wide() { le32(bytes, at) } else { 0 };
        let shift = le32(bytes, 0x18);
        let block_size =
            1024_u32.checked_shl(shift).filter(|_| shift <= 6).ok_or_else(|| wrong(format!("blocks of 2^{shift} KiB")))?;
        let cluster = if features.bigalloc() { le32(bytes, 0x1c) } else { shift };
        let cluster_size = 1024_u64.checked_shl(cluster).filter(|_| (shift..=30).contains(&cluster));
        let superblock = Self {
            features,
            block_size,
            cluster_size: cluster_size.ok_or_else(|| wrong(format!("clusters of 2^{cluster} KiB")))?,
            blocks: joined(le32(bytes, 0x4), high(0x150)),
            first_data_block: le32(bytes, 0x14),
            blocks_per_group: le32(bytes, 0x20),
            inodes: le32(bytes, 0x0),
            inodes_per_group: le32(bytes, 0x28),
            inode_size: if original { 128 } else { le16(bytes, 0x58) },
            first_inode: if original { 11 } else { le32(bytes, 0x54) },
            descriptor_size: if features.wide() { le16(bytes, 0xfe) } else { 32 },
            first_meta_bg: le32(bytes, 0x104),
            backup_groups: [le32(bytes, 0x24c), le32(bytes, 0x250)],
            seed: if features.csum_seed() { le32(bytes, 0x270) } else { crc32c(!0, &uuid) },
            hash: HashSetup { seed: [0xec, 0xf0, 0xf4, 0xf8].map(|at| le32(bytes, at)), unsigned: le32(bytes, 0x160) & 0x2 != 0 },
            journal_inode: le32(bytes, 0xe0),
            journal_device: le32(bytes, 0xe4),
            uuid,
            label: text(part(bytes, 0x78, 16)),
            last_mounted: text(part(bytes, 0x88, 64)),
            has_errors: le16(bytes, 0x3a) & 0x2 != 0,
        };
        superblock.check()?;
        Ok(superblock)
    }

    /// Whether its numbers fit together.
    fn check(&self) -> Result<(), FileSystemError> {
        let bits = self.block_size.saturating_mul(8);
        if !self.inode_size.is_power_of_two() || self.inode_size < 128 || u32::from(self.inode_size) > self.block_size {
            return Err(wrong(format!("inodes of {} bytes", self.inode_size)));
        }
        let smallest = if self.features.wide() { 64 } else { 32 };
        if !self.descriptor_size.is_power_of_two() || !(smallest..=1024).contains(&self.descriptor_size) {
            return Err(wrong(format!("group descriptors of {} bytes", self.descriptor_size)));
        }
        if self.blocks_per_group == 0 || self.blocks_per_group > bits.saturating_mul(self.blocks_per_cluster()) {
            return Err(wrong(format!("{} blocks in a group", self.blocks_per_group)));
        }
        if self.inodes_per_group == 0 || self.inodes_per_group > bits {
            return Err(wrong(format!("{} inodes in a group", self.inodes_per_group)));
        }
        if u64::from(self.first_data_block) >= self.blocks {
            return Err(wrong(format!("the first data block is {} of {}", self.first_data_block, self.blocks)));
        }
        let groups = self.groups();
        if groups > GROUPS {
            return Err(wrong(format!("{groups} groups, more than the {GROUPS} that are read")));
        }
        if u64::from(self.inodes) != groups.saturating_mul(self.inodes_per_group.into()) {
            return Err(wrong(format!("{} inodes in {groups} groups of {}", self.inodes, self.inodes_per_group)));
        }
        if self.first_inode < 11 {
            return Err(wrong(format!("the first inode for files is {}", self.first_inode)));
        }
        Ok(())
    }

    fn blocks_per_cluster(&self) -> u32 {
        u32::try_from(self.cluster_size / u64::from(self.block_size.max(1))).unwrap_or(u32::MAX)
    }

    /// How many groups there are.
    pub(super) fn groups(&self) -> u64 {
        self.blocks.saturating_sub(self.first_data_block.into()).div_ceil(u64::from(self.blocks_per_group.max(1)))
    }

    /// Whether a group begins with a copy of the superblock.
    pub(super) fn has_copy(&self, group: u64) -> bool {
        if group == 0 {
            return true;
        }
        if self.features.sparse_super2() {
            return self.backup_groups.iter().any(|&backup| u64::from(backup) == group);
        }
        let power =
            |base: u64| std::iter::successors(Some(base), |at| at.checked_mul(base)).find(|&at| at >= group) == Some(group);
        group == 1 || !self.features.sparse_super() || [3, 5, 7].into_iter().any(power)
    }

    /// How many bytes the file system has by its own account.
    pub(super) fn length(&self) -> u64 {
        self.blocks.saturating_mul(self.block_size.into())
    }

    /// The name people know the format by: what the driver would have to be at least.
    pub(super) fn kind(&self) -> &'static str {
        // ext3 is ext2 with a journal; the rest came with ext4. `dir_index`, `resize_inode` and the like were there before.
        let ext4 = self.features.incompatible & !0x1e != 0 || self.features.read_only & !0x7 != 0;
        if ext4 {
            "ext4"
        } else if self.features.journal() {
            "ext3"
        } else {
            "ext2"
        }
    }
}

/// A text that ends with a zero, or with its field.
fn text(field: &[u8]) -> Vec<u8> {
    field.split(|&byte| byte == 0).next().unwrap_or_default().to_vec()
}

/// The UUID as people write it.
pub(super) fn uuid(bytes: &[u8; 16]) -> String {
    let mut out = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        out.push_str(&format!("{byte:02x}"));
    }
    out
}

fn wrong(what: impl AsRef<str>) -> FileSystemError {
    FileSystemError::Superblock(printable(what.as_ref().as_bytes()))
}
