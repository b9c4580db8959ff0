//! Changes of blocks: pieces of 128 bytes, by a bitmap.

use std::collections::BTreeMap;
use std::io;

use super::overlay::{Fresh, Overlay, SECTOR};
use super::transaction::{Item, le16, le32, le64};
use crate::source::device::BlockDevice as _;
use crate::source::filesystem::xfs::bytes::{broken, part, u16_at, u32_at, u64_at};
use crate::source::filesystem::xfs::disk::Disk;

/// A bit of the map stands for so many bytes.
const PIECE: usize = 128;
/// A buffer of inodes, of which only the list of unlinked ones is replayed from it.
const INODES: u16 = 0x1;
/// The block was freed: what the log said of it before does not count.
const CANCEL: u16 = 0x2;
/// Buffers of quotas, which no answer depends on.
const QUOTAS: u16 = 0x1c;
/// The largest buffer: a directory block, or a cluster of inodes.
const MAX_LENGTH: usize = 64 * 1024;
/// Where an inode keeps the next unlinked one.
const NEXT_UNLINKED: usize = 96;

/// The description of a changed block.
pub(super) struct Buffer<'a> {
    item: &'a Item,
    flags: u16,
    /// How long it is, in sectors.
    length: u64,
    /// Its first sector.
    at: u64,
}

impl<'a> Buffer<'a> {
    pub(super) fn parse(item: &'a Item) -> io::Result<Self> {
        let format = item.region(0)?;
        let (length, at) = (u64::from(le16(format, 6)?), le64(format, 8)?);
        // A megabyte more than any device has sectors is no place.
        if at > u64::MAX / SECTOR - (1 << 20) {
            return Err(broken(format_args!("a block at the impossible sector {at}")));
        }
        Ok(Self { item, flags: le16(format, 4)?, length, at })
    }

    pub(super) fn is_cancel(&self) -> bool {
        self.flags & CANCEL != 0
    }

    pub(super) fn is_inodes(&self) -> bool {
        self.flags & INODES != 0
    }

    fn key(&self) -> (u64, u64) {
        (self.at, self.length)
    }

    /// Puts the changes over the device, unless what is there is newer.
    pub(super) fn replay(&self, disk: &Disk, overlay: &mut Overlay, lsn: u64) -> io::Result<()> {
        let length = usize::try_from(self.length * SECTOR).unwrap_or(usize::MAX);
        let offset = self.at * SECTOR;
        if length == 0 || length > MAX_LENGTH || offset + length as u64 > overlay.len() {
            return Err(broken(format_args!("a block of {length} bytes at byte {offset}, which is outside")));
        }
        if self.flags & QUOTAS != 0 {
            return Ok(());
        }
        let mut start = vec![0; length.min(512)];
        overlay.read_at(offset, &mut start)?;
        if written_at(disk, &start)?.is_some_and(|there| there != 0 && there >= lsn) {
            return Ok(());
        }
        self.pieces(length, &mut |at, bytes| {
            if self.is_inodes() { unlinked(disk, offset, at, bytes, overlay) } else { overlay.write(offset + at as u64, bytes) }
        })
    }

    /// Shows the logged pieces: where in the buffer, and what.
    fn pieces(&self, length: usize, each: &mut dyn FnMut(usize, &[u8]) -> io::Result<()>) -> io::Result<()> {
        let format = self.item.region(0)?;
        let words = le32(format, 16)? as usize;
        if words > MAX_LENGTH / PIECE / 32 + 1 {
            return Err(broken(format_args!("a map of {words} words")));
        }
        let bit =
            |at: usize| -> io::Result<bool> { Ok(at < words * 32 && le32(format, 20 + at / 32 * 4)? >> (at % 32) & 1 != 0) };
        let (mut at, mut region) = (0, 1);
        while at < words * 32 {
            if !bit(at)? {
                at += 1;
                continue;
            }
            // Bits that stand together may still have been logged in several regions.
            let bytes = self.item.region(region)?;
            let mut count = 0;
            while (count + 1) * PIECE <= bytes.len() && bit(at + count)? {
                count += 1;
            }
            if count == 0 || (at + count) * PIECE > length {
                return Err(broken(format_args!("a change at piece {at} of a block of {length} bytes")));
            }
            each(at * PIECE, part(bytes, 0, count * PIECE)?)?;
            at += count;
            region += 1;
        }
        Ok(())
    }
}

/// Of a changed buffer of inodes: only where the list of unlinked ones goes on.
fn unlinked(disk: &Disk, offset: u64, at: usize, bytes: &[u8], overlay: &mut Overlay) -> io::Result<()> {
    let size = usize::from(disk.superblock.inode_size);
    let first = at.saturating_sub(NEXT_UNLINKED).next_multiple_of(size) + NEXT_UNLINKED;
    for place in (first..at + bytes.len()).step_by(size).filter(|&place| place >= at) {
        overlay.write(offset + place as u64, part(bytes, place - at, 4)?)?;
    }
    Ok(())
}

/// The sequence number in a v5 block, if it is one of this file system that has any. As `xlog_recover_get_buf_lsn` of the kernel.
fn written_at(disk: &Disk, bytes: &[u8]) -> io::Result<Option<u64>> {
    if !disk.superblock.is_v5() {
        return Ok(None);
    }
    let places = match part(bytes, 0, 4)? {
        b"AB3B" | b"AB3C" | b"ABTB" | b"ABTC" | b"RMB3" | b"R3FC" | b"FIB3" | b"FIBT" | b"IAB3" | b"IABT" => Some((24, 32)),
        b"BMA3" | b"BMAP" => Some((32, 40)),
        b"XAGF" => Some((208, 64)),
        b"XAFL" => Some((24, 8)),
        b"XAGI" => Some((320, 296)),
        b"XSLM" => Some((48, 16)),
        b"XDB3" | b"XDD3" | b"XDF3" => Some((16, 24)),
        b"XFSB" => {
            let moved = disk.superblock.uuid != disk.superblock.metadata_uuid;
            Some((240, if moved { 248 } else { 32 }))
        }
        // Values of attributes are written past the log.
        b"XARM" => None,
        _ => match u16_at(bytes, 8)? {
            0x3df1 | 0x3dff | 0x3bee | 0x3ebe => Some((24, 32)),
            _ => None,
        },
    };
    let Some((lsn, uuid)) = places else { return Ok(None) };
    if part(bytes, uuid, 16)? != disk.superblock.metadata_uuid {
        return Ok(None);
    }
    u64_at(bytes, lsn).map(Some)
}

/// Blocks that were freed, and how often.
#[derive(Default)]
pub(super) struct Cancelled {
    counts: BTreeMap<(u64, u64), u32>,
}

impl Cancelled {
    pub(super) fn note(&mut self, buffer: &Buffer<'_>) {
        *self.counts.entry(buffer.key()).or_default() += 1;
    }

    /// One of the times is over: after the last, what the log says counts again.
    pub(super) fn pass(&mut self, buffer: &Buffer<'_>) {
        if let Some(count) = self.counts.get_mut(&buffer.key()) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&buffer.key());
            }
        }
    }

    pub(super) fn holds(&self, buffer: &Buffer<'_>) -> bool {
        self.holds_place(buffer.at, buffer.length)
    }

    pub(super) fn holds_place(&self, at: u64, length: u64) -> bool {
        self.counts.contains_key(&(at, length))
    }

    /// Whether any freed block begins within these sectors.
    fn holds_any(&self, at: u64, length: u64) -> bool {
        self.counts.range((at, 0)..(at.saturating_add(length), 0)).next().is_some()
    }
}

/// New inodes, all free. The description is big-endian, unlike all others.
pub(super) fn create(item: &Item, disk: &Disk, cancelled: &Cancelled, overlay: &mut Overlay) -> io::Result<()> {
    let format = item.region(0)?;
    let (group, block, count) = (u32_at(format, 4)?, u32_at(format, 8)?, u32_at(format, 12)?);
    let (size, blocks) = (u64::from(u32_at(format, 16)?), u64::from(u32_at(format, 20)?));
    let superblock = &disk.superblock;
    let number = (u64::from(group) << superblock.group_block_log) | u64::from(block);
    let fits = size == u64::from(superblock.inode_size) && u64::from(count) * size == blocks << superblock.block_log;
    if !fits || blocks == 0 || u64::from(block) >= u64::from(superblock.group_blocks) {
        return Err(broken(format_args!("{count} new inodes of {size} bytes in {blocks} blocks at block {number:#x}")));
    }
    let begin = disk.place(number, blocks)?;
    let end = begin + (blocks << superblock.block_log);
    if cancelled.holds_any(begin / SECTOR, (end - begin) / SECTOR) {
        return Ok(());
    }
    // A free inode: its magic and version, the generation, and no next unlinked one. Its number is not needed to see that it is free.
    let mut template = vec![0; 100];
    let generation = part(format, 24, 4)?;
    for (at, bytes) in [(0, b"IN".as_slice()), (4, &[3]), (92, generation), (NEXT_UNLINKED, &[0xff; 4])] {
        if let Some(target) = template.get_mut(at..at + bytes.len()) {
            target.copy_from_slice(bytes);
        }
    }
    overlay.refresh(begin, Fresh { end, inode_size: size, template });
    Ok(())
}
