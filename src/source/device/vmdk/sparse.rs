//! The sparse file of a VMDK: hosted sparse and stream-optimised (VMware, "Virtual Disk Format 5.0", "Hosted Sparse Extents").

use std::io;
use std::sync::Arc;

use super::super::cache::{Cache, Table};
use super::super::compressed::inflate;
use super::super::fields::{le16, le32, le64, size, slice};
use super::super::mapped::Place;
use super::super::slice::cut_off;
use super::super::{Device, broken, unsupported};
use super::descriptor::SECTOR;

/// How it begins.
pub(super) const MAGIC: &[u8] = b"KDMV";
/// The directory is at the end, behind the data.
const AT_END: u64 = u64::MAX;
/// Grains are 64 KiB everywhere; 2 MiB is more than any tool makes.
const LARGEST_GRAIN: u64 = (2 << 20) / SECTOR;
/// The format's own number of entries of a grain table, and its most.
const MOST_PER_TABLE: u32 = 512;
/// Grain tables of a disk, in all its files: 32 MiB each at the usual sizes, 128 TiB in all.
pub(super) const MOST_TABLES: u64 = 4 << 20;
/// Packed data that grow a little are still kept packed.
const SLACK: u64 = 4 << 10;
/// A descriptor of a thousand extents is shorter.
pub(super) const LONGEST_DESCRIPTOR: u64 = 4 << 20;

/// An opened sparse file.
pub(super) struct Sparse {
    file: Device,
    /// Its number among the disk's, for the cache they share.
    number: u64,
    /// Size in sectors.
    pub(super) sectors: u64,
    /// Sectors of a grain.
    grain: u64,
    /// Grains of a table.
    per_table: u64,
    /// Whether entry 1 means a grain of zeros.
    zeroed: bool,
    /// Whether grains are compressed.
    packed: bool,
    /// Sector of each grain table.
    directory: Vec<u32>,
    /// Whether it was written to when it was copied, or never closed.
    pub(super) unclean: bool,
}

impl Sparse {
    /// Opens a file of which the disk uses `wanted` sectors at most, with that many tables left of [`MOST_TABLES`].
    pub(super) fn open(file: Device, number: u64, wanted: u64, left: &mut u64) -> io::Result<Self> {
        let mut header = vec![0; 512];
        file.read_at(0, &mut header)?;
        if !header.starts_with(MAGIC) {
            return Err(broken("VMDK: a sparse extent that does not begin as one"));
        }
        let version = le32(&header, 4)?;
        if !(1..=3).contains(&version) {
            return Err(unsupported(format!("VMDK: version {version} of the sparse format; 1 to 3 are read")));
        }
        let unclean = header.get(72) == Some(&1);
        if le64(&header, 56)? == AT_END {
            header = footer(&file)?;
        }
        let flags = le32(&header, 8)?;
        let (sectors, grain, per_table) = (le64(&header, 12)?, le64(&header, 20)?, le32(&header, 44)?);
        if !grain.is_power_of_two() || !(8..=LARGEST_GRAIN).contains(&grain) || per_table == 0 || per_table > MOST_PER_TABLE {
            return Err(broken(format!("VMDK: grains of {grain} sectors, {per_table} of them in a table")));
        }
        let packed = match (flags >> 16 & 1, le16(&header, 77)?) {
            (0, _) => false,
            (_, 1) => true,
            (_, other) => return Err(unsupported(format!("VMDK: compression {other}; deflate (1) is read"))),
        };
        let tables = sectors.min(wanted).div_ceil(grain).div_ceil(u64::from(per_table));
        let none_left = || broken(format!("VMDK: a disk of {sectors} sectors needs {tables} grain tables"));
        *left = left.checked_sub(tables).ok_or_else(none_left)?;
        let start = le64(&header, 56)?.checked_mul(SECTOR).ok_or_else(|| broken("VMDK: a grain directory beyond every file"))?;
        if start.checked_add(tables * 4).is_none_or(|end| end > file.len()) {
            return Err(cut_off(io::ErrorKind::UnexpectedEof.into(), start, file.len()));
        }
        let mut directory = vec![0; size(tables * 4)?];
        file.read_at(start, &mut directory)?;
        let directory = directory.chunks_exact(4).map(|entry| le32(entry, 0)).collect::<io::Result<_>>()?;
        let zeroed = flags & 4 != 0;
        Ok(Self { file, number, sectors, grain, per_table: per_table.into(), zeroed, packed, directory, unclean })
    }

    /// Where a byte of this piece is kept, and how far that goes.
    pub(super) fn place(&self, offset: u64, tables: &Cache, grains: &Cache) -> io::Result<(Place<'_>, u64)> {
        let grain = self.grain * SECTOR;
        let number = offset / grain;
        let inside = offset % grain;
        let rest = grain - inside;
        let table = usize::try_from(number / self.per_table).ok().and_then(|index| self.directory.get(index));
        let table = *table.ok_or_else(|| broken(format!("VMDK: byte {offset} is beyond the grain directory")))?;
        if table == 0 {
            return Ok((Place::Zero, rest));
        }
        let start = u64::from(table) * SECTOR;
        let table = Table { device: &*self.file, file: self.number, start, length: self.per_table * 4 };
        let (page, at) =
            tables.page(table, number % self.per_table * 4).map_err(|error| cut_off(error, start, self.file.len()))?;
        match le32(&page, at)? {
            0 => Ok((Place::Zero, rest)),
            1 if self.zeroed => Ok((Place::Zero, rest)),
            sector if self.packed => {
                let bytes =
                    grains.get((self.number, u64::from(sector)), &mut || self.unpack(number, u64::from(sector) * SECTOR))?;
                Ok((Place::Held(Arc::clone(&bytes), size(inside)?), rest))
            }
            sector => Ok((Place::At(&*self.file, u64::from(sector) * SECTOR + inside), rest)),
        }
    }

    /// A grain of a stream: its first sector in the disk, how many bytes it was packed to, and those.
    fn unpack(&self, number: u64, start: u64) -> io::Result<Vec<u8>> {
        let grain = self.grain * SECTOR;
        let mut marker = [0; 12];
        self.file.read_at(start, &mut marker).map_err(|error| cut_off(error, start, self.file.len()))?;
        let (first, length) = (le64(&marker, 0)?, u64::from(le32(&marker, 8)?));
        // The grain that ends the disk may be shorter than a grain, packed as it is.
        if first != number * self.grain || length == 0 || length > 2 * grain + SLACK {
            return Err(broken(format!(
                "VMDK: at byte {start} is no grain of sector {} (but {first}, {length} bytes)",
                number * self.grain
            )));
        }
        let mut packed = vec![0; size(length)?];
        self.file.read_at(start + 12, &mut packed).map_err(|error| cut_off(error, start + 12, self.file.len()))?;
        let mut bytes = vec![0; size(grain)?];
        let real = (self.sectors - first.min(self.sectors)).min(self.grain) * SECTOR;
        // The last grain is packed whole by some tools and cut by others.
        let whole = inflate(&packed, true, &mut bytes);
        let whole = if whole.is_err() && real < grain {
            bytes.truncate(size(real)?);
            let cut = inflate(&packed, true, &mut bytes);
            bytes.resize(size(grain)?, 0);
            cut
        } else {
            whole
        };
        whole.map_err(|error| broken(format!("VMDK: the grain at byte {start}: {error}")))?;
        Ok(bytes)
    }
}

/// The descriptor that is embedded in a sparse file; empty if there is none, which some files have room for all the same.
pub(super) fn descriptor(file: &Device) -> io::Result<Vec<u8>> {
    let mut header = [0; 512];
    file.read_at(0, &mut header)?;
    let header = &header[..];
    let (at, sectors) = (le64(header, 28)?, le64(header, 36)?);
    if at == 0 || sectors == 0 {
        return Ok(Vec::new());
    }
    let length = sectors.saturating_mul(SECTOR);
    if length > LONGEST_DESCRIPTOR {
        return Err(broken(format!("VMDK: a descriptor of {sectors} sectors")));
    }
    let start = at.checked_mul(SECTOR).ok_or_else(|| broken("VMDK: a descriptor beyond every file"))?;
    if start.checked_add(length).is_none_or(|end| end > file.len()) {
        return Err(cut_off(io::ErrorKind::UnexpectedEof.into(), start, file.len()));
    }
    let mut text = vec![0; size(length)?];
    file.read_at(start, &mut text)?;
    text.truncate(text.iter().position(|&byte| byte == 0).unwrap_or(text.len()));
    Ok(text)
}

/// The header that ends a stream: two sectors before its end, because a marker of the end follows.
fn footer(file: &Device) -> io::Result<Vec<u8>> {
    let lost = || {
        let what = format!(
            "VMDK: the index of a stream-optimised disk is at its end, and the file ends at byte {} without it: cut off, nothing of it can be read",
            file.len()
        );
        io::Error::new(io::ErrorKind::UnexpectedEof, what)
    };
    let mut footer = vec![0; 512];
    file.read_at(file.len().checked_sub(1024).ok_or_else(lost)?, &mut footer)?;
    // The marker before it says its kind; what counts is that it is a header again, and knows where the directory is.
    if slice(&footer, 0, 4)? != MAGIC || le64(&footer, 56)? == AT_END {
        return Err(lost());
    }
    Ok(footer)
}
