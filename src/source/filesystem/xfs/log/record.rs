//! Records of the log: a header, and operations after it.
//!
//! Layout as in "XFS Filesystem Disk Structures", chapter "Journaling Log". The first word of each sector is kept in the header, for
//! its place is taken by the round.

use std::io;

use super::overlay::{SECTOR, SECTOR_LENGTH};
use super::ring::{MAGIC, Ring, sectors};
use crate::source::filesystem::xfs::bytes::{broken, crc_at, part, u32_at, u64_at, uuid_at};
use crate::source::filesystem::xfs::disk::Disk;

/// The largest record of the format (`XLOG_MAX_RECORD_BSIZE`).
pub(super) const MAX_RECORD: u32 = 256 * 1024;
/// A header has the first words of so many bytes; longer records have more headers.
const PER_HEADER: u32 = 32 * 1024;
/// What of the header its checksum covers: as a 64-bit machine and as a 32-bit x86 lays the structure out.
const COVERED: [usize; 2] = [328, 324];
/// The same of the headers after the first.
const COVERED_MORE: usize = 260;
const CHECKSUM: usize = 32;
/// Written by a little-endian machine; the kernel replays no other on one, either.
const LITTLE_ENDIAN: u32 = 1;

/// The header of a record.
#[derive(Debug, Clone)]
pub(super) struct Header {
    /// Where it begins.
    pub(super) at: u64,
    /// How long the operations are, in bytes.
    pub(super) length: u32,
    /// The log sequence number of the record: its round and where it begins.
    pub(super) lsn: u64,
    /// Where the oldest record was that was still needed.
    pub(super) tail: u64,
    pub(super) operations: u32,
    /// How many sectors the headers take.
    pub(super) headers: u64,
    format: u32,
    uuid: [u8; 16],
    checksum: u32,
}

impl Header {
    /// Reads the header at a sector; nothing if no record begins there.
    pub(super) fn parse(at: u64, sector: &[u8], v2: bool) -> io::Result<Option<Self>> {
        if u32_at(sector, 0)? != MAGIC {
            return Ok(None);
        }
        let version = u32_at(sector, 8)?;
        let (length, size) = (u32_at(sector, 12)?, u32_at(sector, 320)?);
        if version == 0 || version & !3 != 0 || length == 0 || length > MAX_RECORD {
            return Err(broken(format_args!("the record at sector {at} has version {version} and {length} bytes")));
        }
        // The headers follow the size that records may have, which mkfs once left smaller than the only record it wrote.
        let headers = if v2 && version & 2 != 0 { size.clamp(1, MAX_RECORD).div_ceil(PER_HEADER) } else { 1 };
        Ok(Some(Self {
            at,
            length,
            lsn: u64_at(sector, 16)?,
            tail: u64_at(sector, 24)?,
            operations: u32_at(sector, 40)?,
            headers: u64::from(headers),
            format: u32_at(sector, 300)?,
            uuid: uuid_at(sector, 304)?,
            checksum: crc_at(sector, CHECKSUM)?,
        }))
    }

    /// How many sectors the record takes, its headers among them.
    pub(super) fn sectors(&self) -> u64 {
        self.headers + u64::from(self.length).div_ceil(SECTOR)
    }

    /// Whether this machine, and this file system, wrote it.
    pub(super) fn belongs(&self, disk: &Disk) -> io::Result<()> {
        if self.format != LITTLE_ENDIAN {
            return Err(broken(format_args!("it was written by a machine of another byte order (format {})", self.format)));
        }
        if self.uuid != disk.superblock.uuid {
            return Err(broken("it belongs to another file system"));
        }
        Ok(())
    }
}

/// Why a record cannot be used.
pub(super) enum Trouble {
    /// It was not written whole, or broke later.
    Torn,
    /// It could not be read.
    Unreadable(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error)
    }
}

/// Reads a record whole and gives its operations, with the first words back in their places.
pub(super) fn operations(ring: &Ring<'_>, disk: &Disk, header: &Header) -> Result<Vec<u8>, Trouble> {
    let bytes = ring.read(header.at, header.sectors())?;
    let headers = usize::try_from(header.headers * SECTOR).map_err(broken)?;
    let length = header.length as usize;
    let mut operations = part(&bytes, headers, length)?.to_vec();
    // Version 4 made no checksums at first; then the field is zero.
    if (header.checksum != 0 || disk.superblock.is_v5()) && !is_whole(&bytes, &operations, header)? {
        return Err(Trouble::Torn);
    }
    let per = u64::from(PER_HEADER) / SECTOR;
    for (at, target) in operations.chunks_mut(SECTOR_LENGTH).enumerate() {
        let at = at as u64;
        // The words of the first header stand at 44; those of the others after their round.
        let begin = if at < per { 44 } else { (at / per) * SECTOR + 4 };
        let word = usize::try_from(begin + at % per * 4).map_err(broken)?;
        if at / per >= header.headers {
            return Err(Trouble::Torn);
        }
        let word = part(&bytes, word, 4)?;
        if let Some(first) = target.get_mut(..4) {
            first.copy_from_slice(word);
        }
    }
    Ok(operations)
}

fn is_whole(bytes: &[u8], operations: &[u8], header: &Header) -> io::Result<bool> {
    for covered in COVERED {
        let before = crc32c::crc32c(part(bytes, 0, CHECKSUM)?);
        let mut sum = crc32c::crc32c_append(before, &[0; 4]);
        sum = crc32c::crc32c_append(sum, part(bytes, CHECKSUM + 4, covered - CHECKSUM - 4)?);
        // As many headers as the record needs, not as many as there are.
        let needed = u64::from(header.length.div_ceil(PER_HEADER)).min(header.headers);
        for (_, sector) in sectors(bytes).take(usize::try_from(needed).map_err(broken)?).skip(1) {
            sum = crc32c::crc32c_append(sum, part(sector, 0, COVERED_MORE)?);
        }
        if crc32c::crc32c_append(sum, operations) == header.checksum {
            return Ok(true);
        }
    }
    Ok(false)
}
