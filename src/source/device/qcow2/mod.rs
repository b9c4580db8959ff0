//! qcow2, the format of QEMU: versions 2 and 3, compressed clusters (zlib, zstd), extended L2 entries, backing files and external
//! data files (QEMU, `docs/interop/qcow2.txt`). Reference counts and snapshots are not needed to read the current state.
//!
//! An own reader: `qcow2-core` has one cursor for all threads and reads neither zstd, extended L2 entries nor backing files.

mod header;
#[cfg(test)]
mod tests;

use std::io;

use super::cache::{Cache, Table};
use super::compressed::{inflate, unzstd};
use super::fields::{be64, size};
use super::mapped::{self, Mapped, Place};
use super::{BlockDevice, Device, broken};
use header::Header;
pub(super) use header::MAGIC;

/// Bits 9 to 55 of an entry: where a table or cluster is.
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
/// Bit 62 of an L2 entry: the cluster is compressed.
const COMPRESSED: u64 = 1 << 62;
/// Bit 63: used by nobody else.
const COPIED: u64 = 1 << 63;
/// L2 tables held in memory: those of 32 GiB at the usual cluster size.
const TABLES: usize = 4 << 20;
/// Unpacked clusters held in memory: 128 of the usual size, four of the largest.
const CLUSTERS: usize = 8 << 20;

/// An opened qcow2 file, which says what it needs before it can be read.
pub(super) struct Qcow2 {
    header: Header,
    file: Device,
    /// Where its clusters are: the same file, mostly.
    data: Device,
    backing: Option<Device>,
    tables: Cache,
    clusters: Cache,
}

impl Qcow2 {
    /// Opens a file that has `above` others above it. The deeper it is, the less is held of it: a chain is an attacker's to make.
    pub(super) fn open(file: Device, above: usize) -> io::Result<Self> {
        let header = Header::read(&*file)?;
        let data = Device::clone(&file);
        let cache = |most: usize| Cache::new(most / (above + 1));
        Ok(Self { header, file, data, backing: None, tables: cache(TABLES), clusters: cache(CLUSTERS) })
    }

    /// The name of the file that holds its data, if that is another one.
    pub(super) fn data_file(&self) -> Option<&[u8]> {
        self.header.data_file.as_deref()
    }

    /// The name of the file below it, and whether that is known to be raw.
    pub(super) fn backing_file(&self) -> Option<(&[u8], bool)> {
        self.header.backing.as_ref().map(|(name, raw)| (&**name, *raw))
    }

    pub(super) fn notes(&self) -> &[String] {
        &self.header.notes
    }

    #[must_use]
    pub(super) fn with_data(self, data: Device) -> Self {
        Self { data, ..self }
    }

    #[must_use]
    pub(super) fn with_backing(self, backing: Device) -> Self {
        Self { backing: Some(backing), ..self }
    }

    /// What is not here is in the file below, as far as that reaches.
    fn below(&self, offset: u64, length: u64) -> (Place<'_>, u64) {
        match &self.backing {
            Some(backing) if offset < backing.len() => (Place::At(&**backing, offset), length.min(backing.len() - offset)),
            _ => (Place::Zero, length),
        }
    }

    /// The L2 entry of a byte of the disk, and its bitmap of parts if it has one.
    fn entry(&self, offset: u64) -> io::Result<Option<(u64, u64)>> {
        let number = offset >> self.header.cluster_bits;
        let entries = self.header.cluster() / self.header.entry();
        // Known apart from an L2 table that somebody puts in the same place.
        let l1 = Table { device: &*self.file, file: 1, start: self.header.l1.0, length: u64::from(self.header.l1.1) * 8 };
        let (page, at) = self.tables.page(l1, number / entries * 8)?;
        let table = be64(&page, at)?;
        if table & OFFSET == 0 {
            return Ok(None);
        }
        let start = table & OFFSET;
        if !start.is_multiple_of(self.header.cluster()) {
            return Err(broken(format!(
                "qcow2: the L2 table for byte {offset} is at byte {start}, not at the start of a cluster"
            )));
        }
        let table = Table { device: &*self.file, file: 0, start, length: self.header.cluster() };
        let cut = |error| super::slice::cut_off(error, start, self.file.len());
        let (page, at) = self.tables.page(table, number % entries * self.header.entry()).map_err(cut)?;
        let bitmap = if self.header.extended { be64(&page, at + 8)? } else { 0 };
        Ok(Some((be64(&page, at)?, bitmap)))
    }

    fn unpack(&self, offset: u64, entry: u64) -> io::Result<Place<'_>> {
        if self.header.data_file.is_some() {
            return Err(broken("qcow2: a compressed cluster beside an external data file"));
        }
        let inside = offset % self.header.cluster();
        // Offset and number of further sectors share the entry (specification, "Compressed Clusters Descriptor").
        let split = 62 - (self.header.cluster_bits - 8);
        let start = entry & ((1 << split) - 1);
        let sectors = (entry & !(COPIED | COMPRESSED)) >> split;
        let length = ((sectors + 1) * 512 - start % 512).min(self.file.len().saturating_sub(start));
        if length == 0 {
            let end = self.file.len();
            return Err(super::slice::cut_off(io::ErrorKind::UnexpectedEof.into(), start, end));
        }
        let cluster = self.clusters.get((0, start), &mut || {
            // At most twice a cluster, by the number of bits for it.
            let mut packed = vec![0; size(length)?];
            self.file.read_at(start, &mut packed)?;
            let mut cluster = vec![0; size(self.header.cluster())?];
            let unpacked = if self.header.zstd { unzstd(&packed, &mut cluster) } else { inflate(&packed, false, &mut cluster) };
            unpacked.map_err(|error| broken(format!("qcow2: the cluster of byte {offset}, packed at byte {start}: {error}")))?;
            Ok(cluster)
        })?;
        Ok(Place::Held(cluster, size(inside)?))
    }

    /// Where a part of a cluster is (specification, "Extended L2 Entries"), and how far the same holds of the parts after it.
    fn part(&self, offset: u64, host: u64, bitmap: u64) -> io::Result<(Place<'_>, u64)> {
        let size = self.header.cluster() / 32;
        let inside = offset % self.header.cluster();
        let first = inside / size;
        let state = |part: u64| (bitmap >> part & 1, bitmap >> (part + 32) & 1);
        let mut last = first + 1;
        while last < 32 && state(last) == state(first) {
            last += 1;
        }
        let length = last * size - inside;
        match state(first) {
            (0, 0) => Ok(self.below(offset, length)),
            (1, 0) if host == 0 && self.header.data_file.is_none() => {
                Err(broken(format!("qcow2: the cluster of byte {offset} is nowhere")))
            }
            (1, 0) => Ok((Place::At(&*self.data, host + inside), length)),
            (0, _) => Ok((Place::Zero, length)),
            _ => Err(broken(format!("qcow2: a part of the cluster of byte {offset} is both kept and zero"))),
        }
    }
}

impl Mapped for Qcow2 {
    fn length(&self) -> u64 {
        self.header.size
    }

    fn place(&self, offset: u64) -> io::Result<(Place<'_>, u64)> {
        let inside = offset % self.header.cluster();
        let rest = self.header.cluster() - inside;
        let Some((entry, bitmap)) = self.entry(offset)? else { return Ok(self.below(offset, rest)) };
        if entry & COMPRESSED != 0 {
            return Ok((self.unpack(offset, entry)?, rest));
        }
        let host = entry & OFFSET;
        if !host.is_multiple_of(self.header.cluster()) {
            return Err(broken(format!("qcow2: the cluster of byte {offset} is at byte {host}, not at the start of a cluster")));
        }
        if self.header.extended {
            return self.part(offset, host, bitmap);
        }
        if self.header.zeros && entry & 1 != 0 {
            return Ok((Place::Zero, rest));
        }
        // In a file of its own the first cluster may be at 0; then only this bit tells it from none.
        if host == 0 && !(self.header.data_file.is_some() && entry & COPIED != 0) {
            return Ok(self.below(offset, rest));
        }
        Ok((Place::At(&*self.data, host + inside), rest))
    }
}

impl BlockDevice for Qcow2 {
    fn len(&self) -> u64 {
        self.header.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        mapped::read(self, offset, buffer)
    }
}
