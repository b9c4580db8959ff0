//! Inodes: found by number, checked, and what they say.
//!
//! Source: kernel documentation, `ext4/inodes` and `ext4/inode_table`.

use std::borrow::Cow;
use std::io;

use super::Disk;
use super::bytes::{broken, byte, joined, le16, le32, part};
use super::checksum::crc32c;
use super::features::Features;
use crate::image::{FileKind, Metadata};

/// The root directory.
pub(super) const ROOT: u64 = 2;

/// Inode flags.
const INDEX: u32 = 0x1000;
const ENCRYPT: u32 = 0x800;
const HUGE: u32 = 0x4_0000;
const EXTENTS: u32 = 0x8_0000;
const EA_INODE: u32 = 0x20_0000;
const INLINE: u32 = 0x1000_0000;
const CASEFOLD: u32 = 0x4000_0000;

/// A moment, as nanoseconds after a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Seconds since 1970; before it, negative.
    pub seconds: i64,
    /// Nanoseconds after that second.
    pub nanoseconds: u32,
}

/// The times of an inode, as `statx(2)` names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// Last read.
    pub accessed: Moment,
    /// Last change of the inode.
    pub changed: Moment,
    /// Last change of the content.
    pub modified: Moment,
    /// When it was made, where the inode has room for it.
    pub created: Option<Moment>,
}

/// An inode as its bytes; at least 128, and exactly as many as the superblock says.
pub(super) struct Inode<'b> {
    pub(super) number: u64,
    pub(super) raw: Cow<'b, [u8]>,
    /// Start value of the checksums of everything that belongs to it.
    pub(super) seed: u32,
    features: Features,
}

impl Inode<'_> {
    pub(super) fn mode(&self) -> u16 {
        le16(&self.raw, 0x0)
    }

    pub(super) fn kind(&self) -> Option<FileKind> {
        FileKind::from_mode(self.mode().into())
    }

    pub(super) fn links(&self) -> u16 {
        le16(&self.raw, 0x1a)
    }

    /// Bytes of its content. The upper half means something else in directories, unless they may be large.
    pub(super) fn size(&self) -> u64 {
        let long = self.features.large_dir() || self.kind() == Some(FileKind::File);
        joined(le32(&self.raw, 0x4), if long { le32(&self.raw, 0x6c) } else { 0 })
    }

    fn flag(&self, flag: u32) -> bool {
        le32(&self.raw, 0x20) & flag != 0
    }

    /// Whether its blocks are listed as extents.
    pub(super) fn extents(&self) -> bool {
        self.flag(EXTENTS)
    }

    /// Whether its content is in the inode itself.
    pub(super) fn inline(&self) -> bool {
        self.flag(INLINE)
    }

    /// Whether its content, or the names in it, are encrypted.
    pub(super) fn encrypted(&self) -> bool {
        self.flag(ENCRYPT)
    }

    /// Whether the directory has a hash index.
    pub(super) fn indexed(&self) -> bool {
        self.flag(INDEX) && self.features.dir_index()
    }

    /// Whether names in it are looked up without regard to case.
    pub(super) fn casefold(&self) -> bool {
        self.flag(CASEFOLD)
    }

    /// Whether it is no file but the value of an extended attribute.
    pub(super) fn is_value(&self) -> bool {
        self.flag(EA_INODE)
    }

    pub(super) fn generation(&self) -> u32 {
        le32(&self.raw, 0x64)
    }

    /// The 60 bytes that say where its content is, or are it.
    pub(super) fn map(&self) -> &[u8] {
        part(&self.raw, 0x28, 60)
    }

    /// The block of its extended attributes; 0 if it has none.
    pub(super) fn attributes(&self) -> u64 {
        joined(le32(&self.raw, 0x68), if self.features.wide() { le16(&self.raw, 0x76).into() } else { 0 })
    }

    /// What it occupies, in units of 512 bytes, or of blocks for a huge file.
    fn occupied(&self) -> (u64, bool) {
        if !self.features.huge_file() {
            return (le32(&self.raw, 0x1c).into(), false);
        }
        (joined(le32(&self.raw, 0x1c), le16(&self.raw, 0x74).into()), self.flag(HUGE))
    }

    /// Whether the target of a link is in the inode: it has no block of its own. Source: Linux's `ext4_inode_is_fast_symlink`.
    pub(super) fn is_short_link(&self, cluster_size: u64) -> bool {
        let (units, blocks) = self.occupied();
        let attributes = if self.attributes() == 0 { 0 } else { cluster_size / 512 };
        !self.extents() && !self.inline() && self.size() < 60 && !blocks && units == attributes
    }

    /// Bytes after the first 128 that have a meaning.
    fn extra(&self) -> usize {
        if self.raw.len() > 128 { le16(&self.raw, 0x80).into() } else { 0 }
    }

    /// What follows the fields: extended attributes.
    pub(super) fn tail(&self) -> &[u8] {
        let start = 128_usize.saturating_add(self.extra());
        if self.extra() == 0 { &[] } else { self.raw.get(start..).unwrap_or_default() }
    }

    /// The first `length` bytes of a field after byte 128, if the inode has it.
    fn extended(&self, at: usize) -> Option<u32> {
        let fits = at.saturating_add(4) <= 128_usize.saturating_add(self.extra());
        (fits && at.saturating_add(4) <= self.raw.len()).then(|| le32(&self.raw, at))
    }

    /// A time: 32 bits with a sign, two more bits above them, and nanoseconds.
    fn moment(&self, at: usize, extra: usize) -> Moment {
        let extra = self.extended(extra).unwrap_or(0);
        let seconds = i64::from(le32(&self.raw, at).cast_signed()).saturating_add(i64::from(extra & 3) << 32);
        Moment { seconds, nanoseconds: extra >> 2 }
    }

    pub(super) fn times(&self) -> Times {
        Times {
            accessed: self.moment(0x8, 0x8c),
            changed: self.moment(0xc, 0x84),
            modified: self.moment(0x10, 0x88),
            created: self.extended(0x90).map(|_| self.moment(0x90, 0x94)),
        }
    }

    /// The number of a device, major and minor.
    pub(super) fn device(&self) -> Option<(u32, u32)> {
        if !matches!(self.kind(), Some(FileKind::CharDevice | FileKind::BlockDevice)) {
            return None;
        }
        let (old, new) = (le32(self.map(), 0), le32(self.map(), 4));
        Some(if old == 0 { (new >> 8 & 0xfff, new & 0xff | new >> 12 & 0xf_ff00) } else { (old >> 8 & 0xff, old & 0xff) })
    }

    /// What the rest of karat wants to know of it.
    pub(super) fn metadata(&self) -> io::Result<Metadata> {
        let Some(kind) = self.kind() else {
            return Err(broken(format!("inode {}: its mode {:o} is of no kind of file", self.number, self.mode())));
        };
        if self.size() > i64::MAX.cast_unsigned() {
            return Err(broken(format!("inode {}: a size of {} bytes is not possible", self.number, self.size())));
        }
        let id = |low, high| u32::from(le16(&self.raw, high)) << 16 | u32::from(le16(&self.raw, low));
        Ok(Metadata {
            kind,
            mode: u32::from(self.mode()) & 0o7777,
            uid: id(0x2, 0x78),
            gid: id(0x18, 0x7a),
            size: self.size(),
            nlink: self.links().into(),
            mtime: self.moment(0x10, 0x88).seconds,
        })
    }

    /// Whether its checksum is right, or it has none.
    fn is_intact(&self) -> bool {
        if !self.features.metadata_csum() {
            return true;
        }
        let raw = &*self.raw;
        // The checksum is that of the inode with zeros in its place: two bytes here, and two more if they are among the further
        // fields.
        let mut around: [u8; 16] = part(raw, 0x78, 16).try_into().unwrap_or_default();
        let (short, wide) = (raw.len() <= 128, self.extra() >= 4);
        let mut stored = u32::from(le16(raw, 0x7c));
        around[4..6].fill(0);
        if wide {
            stored |= u32::from(le16(raw, 0x82)) << 16;
            around[10..12].fill(0);
        }
        let checksum = crc32c(self.seed, part(raw, 0, 0x78));
        if short {
            let last = [0x78, 0x79, 0x7a, 0x7b, 0x7c, 0x7d, 0x7e, 0x7f]
                .map(|at| if matches!(at, 0x7c | 0x7d) { 0 } else { byte(raw, at) });
            return crc32c(checksum, &last) & 0xffff == stored;
        }
        let checksum = crc32c(crc32c(checksum, &around), raw.get(0x88..).unwrap_or_default());
        if wide { checksum == stored } else { checksum & 0xffff == stored }
    }
}

impl Disk {
    /// Makes an inode of its bytes, checked. `NotFound` if it is free.
    pub(super) fn inode_of<'b>(&self, number: u64, raw: Cow<'b, [u8]>) -> io::Result<Inode<'b>> {
        let features = self.superblock.features;
        let mut inode = Inode { number, raw, seed: 0, features };
        let free = || io::Error::new(io::ErrorKind::NotFound, format!("inode {number} is not in use"));
        if inode.links() == 0 && inode.mode() == 0 && inode.raw.iter().all(|&byte| byte == 0) {
            return Err(free());
        }
        if features.metadata_csum() {
            let own = u64::from(inode.generation()) << 32 | number & 0xffff_ffff;
            inode.seed = crc32c(self.superblock.seed, &own.to_le_bytes());
            if !inode.is_intact() {
                return Err(broken(format!("inode {number}: its checksum is wrong")));
            }
        }
        if inode.links() == 0 {
            return Err(free());
        }
        let extra = inode.extra();
        if !extra.is_multiple_of(4) || 128_usize.saturating_add(extra) > inode.raw.len().max(128) {
            return Err(broken(format!("inode {number}: it has {extra} bytes of further fields, more than fit")));
        }
        Ok(inode)
    }

    /// Where an inode's bytes are on the device.
    fn place(&self, number: u64) -> io::Result<u64> {
        let none = || io::Error::new(io::ErrorKind::NotFound, format!("there is no inode {number}"));
        let index = number.checked_sub(1).filter(|_| number <= self.superblock.inodes.into()).ok_or_else(none)?;
        let per_group = u64::from(self.superblock.inodes_per_group.max(1));
        let (group, index) = (index / per_group, index % per_group);
        let found = usize::try_from(group).ok().and_then(|at| self.groups.get(at)).ok_or_else(none)?;
        if let Some(fault) = found.fault {
            return Err(broken(format!("inode {number} is in group {group}: {fault}")));
        }
        let table = found.table.saturating_mul(self.block_size());
        Ok(table.saturating_add(index.saturating_mul(self.superblock.inode_size.into())))
    }

    /// Reads any inode, also those that are the file system's own.
    pub(super) fn any_inode(&self, number: u64) -> io::Result<Inode<'static>> {
        let size = self.superblock.inode_size.into();
        let raw = self.bytes(self.place(number)?, size, || format!("inode {number}"))?;
        self.inode_of(number, Cow::Owned(raw))
    }

    /// Reads an inode that a name may lead to.
    pub(super) fn inode(&self, number: u64) -> io::Result<Inode<'static>> {
        if !self.is_public(number) {
            return Err(broken(format!("inode {number} belongs to the file system itself; no name may lead to it")));
        }
        let inode = self.any_inode(number)?;
        if inode.is_value() {
            return Err(broken(format!("inode {number} is the value of an extended attribute; no name may lead to it")));
        }
        Ok(inode)
    }

    /// Whether a name may lead to this inode.
    pub(super) fn is_public(&self, number: u64) -> bool {
        number == ROOT || number == 0 || number >= self.superblock.first_inode.into()
    }
}
