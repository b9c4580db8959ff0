//! What the log says that blocks hold, in front of the device.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use crate::source::device::BlockDevice;

/// The unit of the log, and of what lies over the device.
pub(super) const SECTOR: u64 = 512;
/// The same as a length in memory.
pub(super) const SECTOR_LENGTH: usize = 512;
type Sector = [u8; SECTOR_LENGTH];
/// At most so much is kept in memory: a log holds up to 2 GiB, but no more than a quarter of that can be in front of the device, and
/// what machines leave behind is far less.
const MAX_SECTORS: usize = 1 << 20;

/// Sectors that were replayed, over the device.
pub(in crate::source::filesystem::xfs) struct Overlay {
    device: Arc<dyn BlockDevice>,
    sectors: BTreeMap<u64, Box<Sector>>,
    /// New inodes that nobody wrote to yet, by where they begin.
    fresh: BTreeMap<u64, Fresh>,
}

/// Inodes that were made, all free: their place is known, their bytes follow from it.
#[derive(Debug, Clone)]
pub(super) struct Fresh {
    /// Where they end, in bytes.
    pub(super) end: u64,
    /// How large each is.
    pub(super) inode_size: u64,
    /// The first bytes of each.
    pub(super) template: Vec<u8>,
}

impl Overlay {
    pub(super) fn new(device: Arc<dyn BlockDevice>) -> Self {
        Self { device, sectors: BTreeMap::new(), fresh: BTreeMap::new() }
    }

    /// Whether some of these bytes are not the device's.
    pub(in crate::source::filesystem::xfs) fn touches(&self, offset: u64, length: u64) -> bool {
        let Some(end) = offset.checked_add(length) else { return false };
        self.sectors.range(offset / SECTOR..end.div_ceil(SECTOR)).next().is_some() || self.fresh_in(offset, end).next().is_some()
    }

    fn fresh_in(&self, offset: u64, end: u64) -> impl Iterator<Item = (u64, &Fresh)> {
        let before = self.fresh.range(..offset).next_back().filter(move |(_, fresh)| fresh.end > offset);
        before.into_iter().chain(self.fresh.range(offset..end)).map(|(&begin, fresh)| (begin, fresh))
    }

    /// Puts bytes over the device.
    ///
    /// # Errors
    /// `OutOfMemory` beyond the limit; otherwise what the device says of the sectors that are not covered wholly.
    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut at = offset;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (number, inside) = (at / SECTOR, usize::try_from(at % SECTOR).unwrap_or_default());
            let length = rest.len().min(SECTOR_LENGTH - inside);
            let (piece, after) = rest.split_at(length);
            if !self.sectors.contains_key(&number) {
                if self.sectors.len() >= MAX_SECTORS {
                    let what = "more than 512 MiB of blocks in it";
                    return Err(io::Error::new(io::ErrorKind::OutOfMemory, what));
                }
                let mut sector = Box::new([0; SECTOR_LENGTH]);
                self.read_at(number * SECTOR, &mut *sector)?;
                self.sectors.insert(number, sector);
            }
            if let Some(target) = self.sectors.get_mut(&number).and_then(|sector| sector.get_mut(inside..inside + length)) {
                target.copy_from_slice(piece);
            }
            at += length as u64;
            rest = after;
        }
        Ok(())
    }

    /// Notes that new inodes lie here; what was written over the place before is forgotten.
    pub(super) fn refresh(&mut self, begin: u64, fresh: Fresh) {
        let covered: Vec<u64> =
            self.sectors.range(begin / SECTOR..fresh.end.div_ceil(SECTOR)).map(|(&number, _)| number).collect();
        for number in covered {
            self.sectors.remove(&number);
        }
        let overlapped: Vec<u64> = self.fresh_in(begin, fresh.end).map(|(begin, _)| begin).collect();
        for begin in overlapped {
            self.fresh.remove(&begin);
        }
        self.fresh.insert(begin, fresh);
    }
}

impl BlockDevice for Overlay {
    fn len(&self) -> u64 {
        self.device.len()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.device.read_at(offset, buffer)?;
        let end = offset.saturating_add(buffer.len() as u64);
        for (begin, fresh) in self.fresh_in(offset, end) {
            fresh.lay(begin, offset, buffer);
        }
        for (&number, sector) in self.sectors.range(offset / SECTOR..end.div_ceil(SECTOR)) {
            lay(number * SECTOR, &**sector, offset, buffer);
        }
        Ok(())
    }

    fn prefetch(&self, ranges: &[Range<u64>]) {
        self.device.prefetch(ranges);
    }
}

/// Lays bytes that begin at `begin` over a buffer that begins at `offset`, where they meet.
fn lay(begin: u64, bytes: &[u8], offset: u64, buffer: &mut [u8]) {
    let from = begin.max(offset);
    let to = (begin + bytes.len() as u64).min(offset + buffer.len() as u64);
    if from >= to {
        return;
    }
    let range = |base: u64| usize::try_from(from - base).unwrap_or(usize::MAX)..usize::try_from(to - base).unwrap_or(usize::MAX);
    if let (Some(source), Some(target)) = (bytes.get(range(begin)), buffer.get_mut(range(offset))) {
        target.copy_from_slice(source);
    }
}

impl Fresh {
    /// Lays the inodes over a buffer that begins at `offset`.
    fn lay(&self, begin: u64, offset: u64, buffer: &mut [u8]) {
        let end = self.end.min(offset + buffer.len() as u64);
        let blank = vec![0; usize::try_from(self.inode_size).unwrap_or_default()];
        // The inode in whose middle the buffer begins.
        let skipped = offset.saturating_sub(begin) / self.inode_size.max(1);
        let mut at = begin + skipped * self.inode_size;
        while at < end && self.inode_size > 0 {
            lay(at, &blank, offset, buffer);
            lay(at, &self.template, offset, buffer);
            at += self.inode_size;
        }
    }
}
