//! The superblock: how large everything is, and which features change how it is read.
//!
//! Layout and rules as in the kernel's documentation "XFS Filesystem Disk Structures", chapter "Allocation Groups".

use super::bytes::{checksum, crc_at, part, u8_at, u16_at, u32_at, u64_at, uuid_at};
use super::error::FileSystemError;
use super::features::{self, Features};

/// The largest sector (32 KiB) that the format knows: what has to be read to see the whole superblock.
pub(super) const MAX_SECTOR: usize = 32 * 1024;
/// The largest block of the format; a directory block may be as large, and never larger.
pub(super) const MAX_BLOCK_LOG: u8 = 16;
/// Where the checksum lies.
const CRC: usize = 224;
/// Allocation groups are at least 16 MiB, save in tiny file systems; the kernel refuses less than this many blocks.
const MIN_GROUP_BLOCKS: u32 = 64;
/// Allocation groups are less than 1 TiB; so their block numbers have at most 31 bits (with 512-byte blocks).
const MAX_GROUP_BLOCK_LOG: u8 = 31;

/// Geometry and identity.
#[derive(Debug, Clone)]
pub(super) struct Superblock {
    pub(super) block_size: u32,
    pub(super) block_log: u8,
    pub(super) blocks: u64,
    /// As people know it (`blkid`), and as fstab names it.
    pub(super) uuid: [u8; 16],
    /// What metadata carries: the first UUID the file system had.
    pub(super) metadata_uuid: [u8; 16],
    pub(super) root: u64,
    pub(super) group_blocks: u32,
    pub(super) group_block_log: u8,
    pub(super) groups: u32,
    pub(super) sector_size: u16,
    pub(super) inode_size: u16,
    pub(super) inode_log: u8,
    /// Inodes in a block, as a power of two.
    pub(super) inodes_log: u8,
    pub(super) label: Vec<u8>,
    /// A directory block, in bytes.
    pub(super) directory_block_size: u32,
    /// Where the log begins, as a block number; 0 if it lies on another device.
    pub(super) log_start: u64,
    pub(super) log_blocks: u32,
    pub(super) features: Features,
}

impl Superblock {
    /// Reads the superblock. `verified`: whether its checksum must hold; the log changes it without making a new one.
    pub(super) fn parse(bytes: &[u8], verified: bool) -> Result<Self, FileSystemError> {
        if bytes.get(..4) != Some(b"XFSB") {
            return Err(FileSystemError::NotXfs);
        }
        let sector_size = u16_at(bytes, 102)?;
        if !sector_size.is_power_of_two() || sector_size < 512 || usize::from(sector_size) > MAX_SECTOR {
            return Err(wrong(format!("a sector of {sector_size} bytes")));
        }
        let features = Features::parse(bytes)?;
        if features.version == 5 && verified {
            let sector = part(bytes, 0, usize::from(sector_size))?;
            let (stored, computed) = (crc_at(sector, CRC)?, checksum(sector, CRC)?);
            if stored != computed {
                return Err(wrong(format!("its checksum is {stored:#010x}, its bytes have {computed:#010x}")));
            }
        }
        features.refuse()?;
        if u8_at(bytes, 126)? != 0 {
            return Err(wrong("mkfs did not finish it".to_owned()));
        }
        if u64_at(bytes, 16)? != 0 || u64_at(bytes, 24)? != 0 {
            return Err(FileSystemError::Feature("a real-time subvolume".to_owned()));
        }
        let uuid = uuid_at(bytes, 32)?;
        let metadata_uuid = if features.has_incompat(features::INCOMPAT_META_UUID) { uuid_at(bytes, 248)? } else { uuid };
        let (block_log, directory_block_log) = (u8_at(bytes, 120)?, u8_at(bytes, 192)?);
        if !(9..=MAX_BLOCK_LOG).contains(&block_log) || directory_block_log > MAX_BLOCK_LOG - block_log {
            return Err(wrong(format!("blocks of 2^{block_log} bytes, directory blocks of 2^{directory_block_log} blocks")));
        }
        let label = part(bytes, 108, 12)?;
        let superblock = Self {
            block_size: u32_at(bytes, 4)?,
            block_log,
            blocks: u64_at(bytes, 8)?,
            uuid,
            metadata_uuid,
            root: u64_at(bytes, 56)?,
            group_blocks: u32_at(bytes, 84)?,
            group_block_log: u8_at(bytes, 124)?,
            groups: u32_at(bytes, 88)?,
            sector_size,
            inode_size: u16_at(bytes, 104)?,
            inode_log: u8_at(bytes, 122)?,
            inodes_log: u8_at(bytes, 123)?,
            label: label.split(|&byte| byte == 0).next().unwrap_or_default().to_vec(),
            directory_block_size: 1 << (block_log + directory_block_log),
            log_start: u64_at(bytes, 48)?,
            log_blocks: u32_at(bytes, 96)?,
            features,
        };
        superblock.check()?;
        Ok(superblock)
    }

    /// What every later computation relies on.
    fn check(&self) -> Result<(), FileSystemError> {
        let wants = |holds: bool, what: &str| if holds { Ok(()) } else { Err(wrong(what.to_owned())) };
        wants(self.block_size == 1 << self.block_log, "block size and its logarithm differ")?;
        wants(u32::from(self.sector_size) <= self.block_size, "a sector is larger than a block")?;
        wants((8..=11).contains(&self.inode_log), "inodes are neither 256, 512, 1024 nor 2048 bytes")?;
        wants(self.inode_size == 1 << self.inode_log, "inode size and its logarithm differ")?;
        wants(self.features.version != 5 || self.inode_log >= 9, "inodes of 256 bytes in version 5")?;
        wants(self.block_log.checked_sub(self.inode_log) == Some(self.inodes_log), "inodes per block do not fit")?;
        wants(self.group_blocks >= MIN_GROUP_BLOCKS, "allocation groups of less than 64 blocks")?;
        wants(
            self.group_block_log <= MAX_GROUP_BLOCK_LOG
                && self.group_block_log > 0
                && u64::from(self.group_blocks) <= 1 << self.group_block_log
                && u64::from(self.group_blocks) > 1 << (self.group_block_log - 1),
            "allocation group size and its logarithm differ",
        )?;
        // An allocation group number and a block, then an inode in it, share 64 bits.
        wants(self.groups > 0, "no allocation groups")?;
        let most = u64::from(self.groups) * u64::from(self.group_blocks);
        let least = u64::from(self.groups - 1) * u64::from(self.group_blocks);
        wants(self.blocks <= most && self.blocks > least, "its size does not fit its allocation groups")?;
        wants(self.blocks.checked_mul(u64::from(self.block_size)).is_some(), "its size has more than 64 bits")?;
        wants(self.group_of_inode(self.root).is_some(), "its root directory lies outside of it")
    }

    /// How many blocks an allocation group has: the last may be shorter.
    pub(super) fn blocks_of_group(&self, group: u32) -> u64 {
        let whole = u64::from(self.group_blocks);
        self.blocks.saturating_sub(u64::from(group) * whole).min(whole)
    }

    /// Where an allocation group begins, in bytes.
    pub(super) fn group_offset(&self, group: u32) -> u64 {
        (u64::from(group) * u64::from(self.group_blocks)) << self.block_log
    }

    /// Where a block begins, in bytes, if `count` blocks from it lie in its allocation group.
    pub(super) fn block_offset(&self, block: u64, count: u64) -> Option<u64> {
        let group = u32::try_from(block >> self.group_block_log).ok().filter(|&group| group < self.groups)?;
        let inside = block & ((1 << self.group_block_log) - 1);
        let end = inside.checked_add(count)?;
        (end <= self.blocks_of_group(group)).then(|| self.group_offset(group) + (inside << self.block_log))
    }

    /// The allocation group of an inode and its number there.
    pub(super) fn group_of_inode(&self, inode: u64) -> Option<(u32, u64)> {
        let bits = self.group_block_log + self.inodes_log;
        let group = u32::try_from(inode >> bits).ok().filter(|&group| group < self.groups)?;
        let inside = inode & ((1 << bits) - 1);
        ((inside >> self.inodes_log) < self.blocks_of_group(group)).then_some((group, inside))
    }

    /// The number of an inode by its allocation group.
    pub(super) fn inode_number(&self, group: u32, inside: u64) -> u64 {
        (u64::from(group) << (self.group_block_log + self.inodes_log)) | inside
    }

    /// Where an inode lies, in bytes.
    pub(super) fn inode_offset(&self, inode: u64) -> Option<u64> {
        let (group, inside) = self.group_of_inode(inode)?;
        Some(self.group_offset(group) + (inside << self.inode_log))
    }

    /// Its size in bytes.
    pub(super) fn size(&self) -> u64 {
        self.blocks << self.block_log
    }

    /// Whether metadata carries checksums and says where it belongs.
    pub(super) fn is_v5(&self) -> bool {
        self.features.version == 5
    }
}

fn wrong(what: String) -> FileSystemError {
    FileSystemError::Superblock(what)
}
