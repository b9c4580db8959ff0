//! The log's own blocks: sectors of 512 bytes in a circle, each stamped with the round in which it was written.

use std::io;

use super::overlay::{SECTOR, SECTOR_LENGTH};
use crate::source::filesystem::xfs::bytes::{broken, part, u32_at};
use crate::source::filesystem::xfs::disk::Disk;

/// The first word of a sector that begins a record; all others begin with their round.
pub(super) const MAGIC: u32 = 0xfeed_babe;
/// A log has less than 2 GiB (`XFS_MAX_LOG_BYTES`).
const MAX_SECTORS: u64 = (1 << 31) / SECTOR;

/// The log as sectors.
pub(super) struct Ring<'a> {
    disk: &'a Disk,
    start: u64,
    /// How many sectors it has.
    pub(super) length: u64,
}

impl<'a> Ring<'a> {
    pub(super) fn new(disk: &'a Disk) -> io::Result<Self> {
        let superblock = &disk.superblock;
        let blocks = u64::from(superblock.log_blocks);
        let start = disk.place(superblock.log_start, blocks)?;
        let length = (blocks << superblock.block_log) / SECTOR;
        if length == 0 || length > MAX_SECTORS {
            return Err(broken(format_args!("it has {blocks} blocks")));
        }
        Ok(Self { disk, start, length })
    }

    /// A sector further on in the circle.
    pub(super) fn after(&self, at: u64, sectors: u64) -> u64 {
        (at + sectors) % self.length
    }

    /// How many sectors lie from one to the other.
    pub(super) fn distance(&self, from: u64, to: u64) -> u64 {
        (to + self.length - from) % self.length
    }

    /// Reads sectors, round the end if need be; no more than a record has.
    pub(super) fn read(&self, at: u64, sectors: u64) -> io::Result<Vec<u8>> {
        let first = sectors.min(self.length.saturating_sub(at));
        let mut bytes = self.piece(at, first)?;
        if first < sectors {
            bytes.extend_from_slice(&self.piece(0, sectors - first)?);
        }
        Ok(bytes)
    }

    fn piece(&self, at: u64, sectors: u64) -> io::Result<Vec<u8>> {
        if at.checked_add(sectors).is_none_or(|end| end > self.length) {
            return Err(broken(format_args!("sector {at} of the log, {sectors} of them, lies outside")));
        }
        self.disk.read(self.start + at * SECTOR, usize::try_from(sectors * SECTOR).map_err(broken)?)
    }

    /// The round in which a sector was written; 0 if never.
    pub(super) fn round(&self, at: u64) -> io::Result<u32> {
        round_of(&self.read(at, 1)?)
    }

    /// Asks for sectors that are read soon.
    pub(super) fn prefetch(&self, from: u64, sectors: u64) {
        let first = sectors.min(self.length.saturating_sub(from));
        let range = |at: u64, count: u64| self.start + at * SECTOR..self.start + (at + count) * SECTOR;
        if first == sectors {
            self.disk.prefetch(&[range(from, first)]);
        } else {
            self.disk.prefetch(&[range(from, first), range(0, (sectors - first).min(from))]);
        }
    }
}

/// The round of a sector: its first word, or the second where a record begins.
pub(super) fn round_of(sector: &[u8]) -> io::Result<u32> {
    match u32_at(sector, 0)? {
        MAGIC => u32_at(sector, 4),
        round => Ok(round),
    }
}

/// The sectors of a run, with their index.
pub(super) fn sectors(bytes: &[u8]) -> impl DoubleEndedIterator<Item = (u64, &[u8])> + ExactSizeIterator {
    bytes.chunks_exact(SECTOR_LENGTH).enumerate().map(|(at, sector)| (at as u64, sector))
}

/// One sector of a run.
pub(super) fn sector(bytes: &[u8], at: u64) -> io::Result<&[u8]> {
    let begin = at.checked_mul(SECTOR).and_then(|begin| usize::try_from(begin).ok()).ok_or_else(|| broken("too far"))?;
    part(bytes, begin, SECTOR_LENGTH)
}
