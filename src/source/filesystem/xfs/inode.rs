//! Inodes: versions 1 and 2 (v4 file systems) and 3 (v5), each with a data fork and perhaps an attribute fork.
//!
//! Layout as in "XFS Filesystem Disk Structures", chapter "On-disk Inode".

use std::io;

use super::bytes::{Within, broken, part, u8_at, u16_at, u32_at, u64_at, uuid_at};
use super::disk::Disk;
use crate::image::{FileKind, Metadata};

/// Where the checksum of a version 3 inode lies.
pub(super) const CHECKSUM: usize = 100;
/// Where the forks begin: after the inode core of versions 1 and 2, and after that of version 3.
const CORE_V2: usize = 100;
const CORE_V3: usize = 176;

const FLAG_REALTIME: u16 = 0x1;
const FLAG2_BIGTIME: u64 = 1 << 3;
const FLAG2_NREXT64: u64 = 1 << 4;
/// `bigtime` counts nanoseconds from the earliest time a 32-bit counter of seconds can say.
const BIGTIME_EPOCH: i64 = -(1 << 31);
/// Sizes are signed 64-bit numbers in the kernel.
const MAX_SIZE: u64 = i64::MAX as u64;

/// How a fork keeps its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// A device number.
    Device,
    /// The content itself.
    Local,
    /// A list of extents.
    Extents,
    /// The root of a B-tree of extents.
    Tree,
}

impl Format {
    fn parse(value: u8) -> io::Result<Self> {
        Ok(match value {
            0 => Self::Device,
            1 => Self::Local,
            2 => Self::Extents,
            3 => Self::Tree,
            other => return Err(broken(format_args!("its fork has the unknown format {other}"))),
        })
    }
}

/// An inode with its bytes.
pub(super) struct Inode {
    pub(super) number: u64,
    pub(super) metadata: Metadata,
    pub(super) format: Format,
    bytes: Vec<u8>,
}

/// A fork as it stands in its inode.
pub(super) struct Fork<'a> {
    /// Whose.
    pub(super) inode: u64,
    pub(super) format: Format,
    pub(super) bytes: &'a [u8],
    /// How many extents the inode says it has.
    pub(super) extents: u64,
}

/// Verifies the bytes of an inode, which were read from `offset`, and says what it is; nothing if it is free.
pub(super) fn parse(disk: &Disk, number: u64, offset: u64, bytes: &[u8]) -> io::Result<Option<Metadata>> {
    let superblock = &disk.superblock;
    if part(bytes, 0, 2)? != b"IN" {
        return Err(broken("there is no inode where it should be"));
    }
    let version = u8_at(bytes, 4)?;
    disk.verify_checksum(bytes, CHECKSUM, offset)?;
    if superblock.is_v5() && version != 3 || !superblock.is_v5() && version != 1 && version != 2 {
        return Err(broken(format_args!("it has version {version}")));
    }
    let mode = u32::from(u16_at(bytes, 2)?);
    if mode == 0 {
        return Ok(None);
    }
    if superblock.is_v5() {
        let says = u64_at(bytes, 152)?;
        if says != number {
            return Err(broken(format_args!("it says that it is inode {says}")));
        }
        if uuid_at(bytes, 160)? != superblock.metadata_uuid {
            return Err(broken("it carries the UUID of another file system"));
        }
    }
    let kind = FileKind::from_mode(mode).ok_or_else(|| broken(format_args!("its mode {mode:o} is of no known kind")))?;
    let size = u64_at(bytes, 56)?;
    if size > MAX_SIZE {
        return Err(broken(format_args!("its size {size} is impossible")));
    }
    let nlink = if version == 1 { u32::from(u16_at(bytes, 6)?) } else { u32_at(bytes, 16)? };
    let mtime = if flags2(bytes)? & FLAG2_BIGTIME == 0 {
        // Seconds, then nanoseconds: two signed 32-bit numbers.
        i64::from(u32_at(bytes, 40)?.cast_signed())
    } else {
        // A 64-bit count of nanoseconds has less than 2^35 seconds.
        i64::try_from(u64_at(bytes, 40)? / 1_000_000_000).unwrap_or(i64::MAX).saturating_add(BIGTIME_EPOCH)
    };
    Ok(Some(Metadata {
        kind,
        mode: mode & 0o7777,
        uid: u32_at(bytes, 8)?,
        gid: u32_at(bytes, 12)?,
        size,
        nlink: u64::from(nlink),
        mtime,
    }))
}

impl Inode {
    /// Reads an inode by its number.
    ///
    /// # Errors
    /// `NotFound` if it is free or lies outside; `InvalidData` if it is broken.
    pub(super) fn read(disk: &Disk, number: u64) -> io::Result<Self> {
        let read = || {
            let absent = |what: &str| io::Error::new(io::ErrorKind::NotFound, what);
            let offset = disk.superblock.inode_offset(number).ok_or_else(|| absent("there is no such inode"))?;
            let bytes = disk.read(offset, usize::from(disk.superblock.inode_size))?;
            let metadata = parse(disk, number, offset, &bytes)?.ok_or_else(|| absent("it is free"))?;
            let format = Format::parse(u8_at(&bytes, 5)?)?;
            Ok(Self { number, metadata, format, bytes })
        };
        read().within(|| format!("inode {number}"))
    }

    /// The content: of a file, a directory or a link.
    pub(super) fn data(&self) -> io::Result<Fork<'_>> {
        data(self.number, &self.bytes)
    }

    /// The attributes, if there is room for any.
    pub(super) fn attributes(&self) -> io::Result<Option<Fork<'_>>> {
        let bytes = &*self.bytes;
        let offset = attribute_offset(bytes)?;
        if offset == 0 {
            return Ok(None);
        }
        let rest = bytes.get(core(bytes) + offset..).ok_or_else(|| broken("its attribute fork lies outside"))?;
        let extents = if has_wide_counters(bytes)? { u64::from(u32_at(bytes, 76)?) } else { u64::from(u16_at(bytes, 80)?) };
        Ok(Some(Fork { inode: self.number, format: Format::parse(u8_at(bytes, 83)?)?, bytes: rest, extents }))
    }

    /// Whether its content lies on the real-time device.
    pub(super) fn is_realtime(&self) -> bool {
        u16_at(&self.bytes, 90).is_ok_and(|flags| flags & FLAG_REALTIME != 0) && self.metadata.kind == FileKind::File
    }

    /// The content, if it is kept in the inode: as many bytes as its size says.
    pub(super) fn local(&self) -> io::Result<Vec<u8>> {
        let fork = self.data()?;
        let length = usize::try_from(self.metadata.size).unwrap_or(usize::MAX);
        part(fork.bytes, 0, length).map(<[u8]>::to_vec).within(|| "its size does not fit in the inode")
    }
}

/// How long the part before the forks is.
fn core(bytes: &[u8]) -> usize {
    if bytes.get(4) == Some(&3) { CORE_V3 } else { CORE_V2 }
}

fn flags2(bytes: &[u8]) -> io::Result<u64> {
    if core(bytes) == CORE_V3 { u64_at(bytes, 120) } else { Ok(0) }
}

fn has_wide_counters(bytes: &[u8]) -> io::Result<bool> {
    Ok(flags2(bytes)? & FLAG2_NREXT64 != 0)
}

/// Where the attribute fork begins within the part for forks; 0 if there is none.
fn attribute_offset(bytes: &[u8]) -> io::Result<usize> {
    Ok(usize::from(u8_at(bytes, 82)?) * 8)
}

/// The data fork of an inode that was verified.
pub(super) fn data(inode: u64, bytes: &[u8]) -> io::Result<Fork<'_>> {
    let begin = core(bytes);
    let end = match attribute_offset(bytes)? {
        0 => bytes.len(),
        offset => begin + offset,
    };
    let fork = part(bytes, begin, end.saturating_sub(begin)).within(|| "its attribute fork lies outside")?;
    let extents = if has_wide_counters(bytes)? { u64_at(bytes, 24)? } else { u64::from(u32_at(bytes, 76)?) };
    Ok(Fork { inode, format: Format::parse(u8_at(bytes, 5)?)?, bytes: fork, extents })
}
