//! VHD, the format of Virtual PC and Azure: fixed and dynamic (Microsoft, "Virtual Hard Disk Image Format Specification"). All
//! numbers are big-endian.
//!
//! An own reader: `vhd-core` has one cursor for all threads and holds the whole block table in memory, whatever its size claims to be.

use std::io;

use super::cache::{Cache, Table};
use super::fields::{array, be32, be64};
use super::mapped::{self, Mapped, Place};
use super::{BlockDevice, Device, broken, unsupported};

const COOKIE: &[u8] = b"conectix";
const FOOTER: u64 = 512;
const SECTOR: u64 = 512;
/// "Not used", in the block table.
const NOWHERE: u32 = u32::MAX;
/// Pages of the block table held in memory: those of 128 GiB and more.
const TABLES: usize = 1 << 20;
/// 2 MiB is usual; no tool makes more than this.
const LARGEST_BLOCK: u64 = 256 << 20;

/// An opened VHD.
pub(super) struct Vhd {
    file: Device,
    size: u64,
    dynamic: Option<Dynamic>,
    notes: Vec<String>,
}

/// The blocks of one that grows.
struct Dynamic {
    /// Bytes of a block.
    block: u64,
    /// Bytes before a block's data that tell which of its sectors were written. They are not looked at, as QEMU does: what was never
    /// written is zero there.
    bitmap: u64,
    /// Where the block table is, and its entries.
    table: u64,
    entries: u32,
    tables: Cache,
}

/// Whether a file begins or ends as a VHD does.
pub(super) fn is(head: &[u8], file: &Device) -> io::Result<bool> {
    Ok(head.starts_with(COOKIE) || last(file)?.is_some())
}

/// The footer at the end, if there is a sound one. It may lack its last byte (before Virtual PC 2004).
fn last(file: &Device) -> io::Result<Option<[u8; 512]>> {
    for length in [FOOTER, FOOTER - 1] {
        let Some(at) = file.len().checked_sub(length) else { continue };
        let mut footer = [0; 512];
        let (bytes, _) = footer.split_at_mut(if length == FOOTER { 512 } else { 511 });
        file.read_at(at, bytes)?;
        if footer.starts_with(COOKIE) && sum_holds(&footer, 64)? {
            return Ok(Some(footer));
        }
    }
    Ok(None)
}

/// The checksum is the complement of the sum of all bytes but its own four.
fn sum_holds(bytes: &[u8], at: usize) -> io::Result<bool> {
    let own: [u8; 4] = array(bytes, at)?;
    let sum = |bytes: &[u8]| bytes.iter().fold(0_u32, |sum, &byte| sum.wrapping_add(u32::from(byte)));
    Ok(!sum(bytes).wrapping_sub(sum(&own)) == u32::from_be_bytes(own))
}

impl Vhd {
    pub(super) fn open(file: Device) -> io::Result<Self> {
        let mut notes = Vec::new();
        let footer = if let Some(footer) = last(&file)? {
            footer
        } else {
            let mut first = [0; 512];
            file.read_at(0, &mut first)?;
            if !sum_holds(&first, 64)? {
                return Err(broken("VHD: neither the footer nor its copy at the start is sound (checksum)"));
            }
            notes.push(format!("its footer is missing: the file is cut off at byte {}, or was not closed", file.len()));
            first
        };
        let size = be64(&footer, 48)?;
        match be32(&footer, 60)? {
            2 => {
                if size > file.len() {
                    notes.push(format!("its disk has {size} bytes, the file only {}", file.len()));
                }
                Ok(Self { file, size, dynamic: None, notes })
            }
            3 => {
                let dynamic = Dynamic::open(&file, be64(&footer, 16)?, size)?;
                Ok(Self { file, size, dynamic: Some(dynamic), notes })
            }
            4 => Err(unsupported("VHD: a differencing disk, which holds only what changed since its parent: merge them first")),
            other => Err(unsupported(format!("VHD: disk type {other}; fixed (2) and dynamic (3) are read"))),
        }
    }

    pub(super) fn notes(&self) -> &[String] {
        &self.notes
    }
}

impl Dynamic {
    fn open(file: &Device, at: u64, size: u64) -> io::Result<Self> {
        let mut header = [0; 1024];
        file.read_at(at, &mut header)?;
        if !header.starts_with(b"cxsparse") || !sum_holds(&header, 36)? {
            return Err(broken(format!("VHD: the header at byte {at} is not sound (checksum)")));
        }
        let (table, entries, block) = (be64(&header, 16)?, be32(&header, 28)?, u64::from(be32(&header, 32)?));
        if !block.is_power_of_two() || !(SECTOR..=LARGEST_BLOCK).contains(&block) {
            return Err(broken(format!("VHD: blocks of {block} bytes")));
        }
        if size.div_ceil(block) > u64::from(entries) {
            return Err(broken(format!("VHD: {entries} blocks of {block} bytes are too few for a disk of {size} bytes")));
        }
        let bitmap = (block / SECTOR).div_ceil(8).next_multiple_of(SECTOR);
        Ok(Self { block, bitmap, table, entries, tables: Cache::new(TABLES) })
    }
}

impl Mapped for Vhd {
    fn length(&self) -> u64 {
        self.size
    }

    fn place(&self, offset: u64) -> io::Result<(Place<'_>, u64)> {
        let Some(dynamic) = &self.dynamic else {
            return Ok((Place::At(&*self.file, offset), self.size - offset));
        };
        let inside = offset % dynamic.block;
        let rest = dynamic.block - inside;
        let table = Table { device: &*self.file, file: 0, start: dynamic.table, length: u64::from(dynamic.entries) * 4 };
        let (page, at) = dynamic.tables.page(table, offset / dynamic.block * 4)?;
        let start = be32(&page, at)?;
        if start == NOWHERE {
            return Ok((Place::Zero, rest));
        }
        Ok((Place::At(&*self.file, u64::from(start) * SECTOR + dynamic.bitmap + inside), rest))
    }
}

impl BlockDevice for Vhd {
    fn len(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        mapped::read(self, offset, buffer)
    }
}
