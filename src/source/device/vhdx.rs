//! VHDX, the format of Hyper-V: fixed and dynamic (Microsoft, MS-VHDX). All numbers are little-endian.
//!
//! An own reader: `vhdx-core` has one cursor for all threads, and holds the whole block table in memory.

use std::io;

use super::cache::{Cache, Table};
use super::fields::{array, guid, le16, le32, le64, slice};
use super::mapped::{self, Mapped, Place};
use super::{BlockDevice, Device, broken, unsupported};

/// How a VHDX file begins.
pub(super) const MAGIC: &[u8] = b"vhdxfile";

const HEADERS: [u64; 2] = [64 << 10, 128 << 10];
const REGIONS: [u64; 2] = [192 << 10, 256 << 10];
const REGION_TABLE: usize = 64 << 10;
/// Most entries of a region or metadata table (MS-VHDX 2.2.3.1, 2.6.1.1).
const MOST_ENTRIES: u16 = 2047;
const BAT: &str = "2dc27766-f623-4200-9d64-115e9bfd4a08";
const METADATA: &str = "8b7ca206-4790-4b9a-b8fe-575f050f886e";
const FILE_PARAMETERS: &str = "caa16737-fa36-4d43-b3b6-33f0aa44e76b";
const DISK_SIZE: &str = "2fa54224-cd1b-4876-b211-5dbed83bf4b8";
const DISK_ID: &str = "beca12ab-b2e6-4523-93ef-c309e000c746";
const LOGICAL_SECTOR: &str = "8141bf1d-a96f-4709-ba47-f233a8faab5f";
const PHYSICAL_SECTOR: &str = "cda348c7-445d-4471-9cc9-e9885251c556";
/// As large as a disk may be: 64 TiB.
const LARGEST: u64 = 64 << 40;
/// Pages of the block table held in memory: those of 1 TiB and more at the usual block size.
const TABLES: usize = 1 << 20;

/// An opened VHDX.
pub(super) struct Vhdx {
    file: Device,
    size: u64,
    /// Bytes of a block.
    block: u64,
    /// After so many blocks the table has an entry for their bitmap.
    chunk: u64,
    /// Where the block table is, and its bytes.
    bat: (u64, u64),
    tables: Cache,
}

/// What the metadata say.
#[derive(Default)]
struct Items {
    block: Option<u32>,
    parent: bool,
    size: Option<u64>,
    sector: Option<u32>,
}

impl Vhdx {
    pub(super) fn open(file: Device) -> io::Result<Self> {
        refuse_log(&file)?;
        let (mut bat, mut metadata) = (None, None);
        for (id, offset, length, required) in regions(&file)? {
            match &*id {
                BAT => bat = Some((offset, length)),
                METADATA => metadata = Some((offset, length)),
                _ if required => return Err(unsupported(format!("VHDX: needs a region that is not known here ({id})"))),
                _ => {}
            }
        }
        let missing = |what: &str| broken(format!("VHDX: it has no {what}"));
        let items = items(&file, metadata.ok_or_else(|| missing("metadata"))?)?;
        if items.parent {
            return Err(unsupported(
                "VHDX: a differencing disk, which holds only what changed since its parent: merge them first",
            ));
        }
        let block = u64::from(items.block.ok_or_else(|| missing("block size"))?);
        let sector = u64::from(items.sector.ok_or_else(|| missing("sector size"))?);
        let size = items.size.ok_or_else(|| missing("disk size"))?;
        if !block.is_power_of_two() || !(1 << 20..=256 << 20).contains(&block) || !matches!(sector, 512 | 4096) || size > LARGEST
        {
            return Err(broken(format!("VHDX: a disk of {size} bytes in blocks of {block} bytes and sectors of {sector} bytes")));
        }
        let chunk = (1 << 23) * sector / block;
        let bat = bat.ok_or_else(|| missing("block table"))?;
        let blocks = size.div_ceil(block);
        let entries = blocks + blocks.saturating_sub(1) / chunk;
        if entries * 8 > bat.1 {
            return Err(broken(format!("VHDX: a block table of {} bytes; a disk of {size} bytes needs {}", bat.1, entries * 8)));
        }
        Ok(Self { file, size, block, chunk, bat, tables: Cache::new(TABLES) })
    }
}

/// The current header is the sound one with the higher number. A log that was not replayed means that tables are not up to date.
fn refuse_log(file: &Device) -> io::Result<()> {
    let mut current: Option<(u64, [u8; 16])> = None;
    for at in HEADERS {
        let mut header = vec![0; 4096];
        file.read_at(at, &mut header)?;
        if header.starts_with(b"head") && sum_holds(&mut header)? {
            if le16(&header, 66)? != 1 {
                return Err(unsupported(format!("VHDX: version {}; 1 is read", le16(&header, 66)?)));
            }
            let sequence = le64(&header, 8)?;
            if current.is_none_or(|(other, _)| sequence > other) {
                current = Some((sequence, array(&header, 48)?));
            }
        }
    }
    match current {
        None => Err(broken("VHDX: neither of its headers is sound (checksum)")),
        Some((_, log)) if log != [0; 16] => Err(unsupported(
            "VHDX: it was not closed, and its log holds changes that are not in its tables yet: attach it once in Hyper-V (Mount-VHD), \
             or run qemu-img check -r all on a copy",
        )),
        Some(_) => Ok(()),
    }
}

/// CRC-32C over a structure whose checksum, at its fifth byte, counts as zero.
fn sum_holds(bytes: &mut [u8]) -> io::Result<bool> {
    let stored = le32(bytes, 4)?;
    if let Some(own) = bytes.get_mut(4..8) {
        own.fill(0);
    }
    Ok(crc32c::crc32c(bytes) == stored)
}

/// Name, offset, length of each region, and whether one has to know it.
fn regions(file: &Device) -> io::Result<Vec<(String, u64, u64, bool)>> {
    for at in REGIONS {
        let mut table = vec![0; REGION_TABLE];
        file.read_at(at, &mut table)?;
        if !table.starts_with(b"regi") || !sum_holds(&mut table)? {
            continue;
        }
        let entries = le32(&table, 8)?.min(u32::from(MOST_ENTRIES)) as usize;
        let region = |number: usize| {
            let entry = slice(&table, 16 + number * 32, 32)?;
            Ok((guid(array(entry, 0)?), le64(entry, 16)?, u64::from(le32(entry, 24)?), le32(entry, 28)? & 1 != 0))
        };
        return (0..entries).map(region).collect();
    }
    Err(broken("VHDX: neither of its region tables is sound (checksum)"))
}

fn items(file: &Device, (start, length): (u64, u64)) -> io::Result<Items> {
    let mut table = vec![0; REGION_TABLE];
    file.read_at(start, &mut table)?;
    let entries = le16(&table, 10)?;
    if !table.starts_with(b"metadata") || entries > MOST_ENTRIES {
        return Err(broken(format!("VHDX: no metadata at byte {start}")));
    }
    let mut items = Items::default();
    for number in 0..usize::from(entries) {
        let entry = slice(&table, 32 + number * 32, 32)?;
        let (id, at, flags) = (guid(array(entry, 0)?), u64::from(le32(entry, 16)?), le32(entry, 24)?);
        let mut value = [0; 8];
        if at.saturating_add(8) > length {
            return Err(broken(format!("VHDX: metadata at byte {at} of {length}")));
        }
        file.read_at(start.saturating_add(at), &mut value)?;
        match &*id {
            FILE_PARAMETERS => {
                items.block = Some(le32(&value, 0)?);
                items.parent = le32(&value, 4)? & 2 != 0;
            }
            DISK_SIZE => items.size = Some(u64::from_le_bytes(value)),
            LOGICAL_SECTOR => items.sector = Some(le32(&value, 0)?),
            DISK_ID | PHYSICAL_SECTOR => {}
            // Bit 2: not to be read by who does not know it.
            _ if flags & 4 != 0 => return Err(unsupported(format!("VHDX: needs metadata that are not known here ({id})"))),
            _ => {}
        }
    }
    Ok(items)
}

impl Mapped for Vhdx {
    fn length(&self) -> u64 {
        self.size
    }

    fn place(&self, offset: u64) -> io::Result<(Place<'_>, u64)> {
        let number = offset / self.block;
        let inside = offset % self.block;
        let rest = self.block - inside;
        let table = Table { device: &*self.file, file: 0, start: self.bat.0, length: self.bat.1 };
        let (page, at) = self.tables.page(table, (number + number / self.chunk) * 8)?;
        let entry = le64(&page, at)?;
        // PAYLOAD_BLOCK_*: not present, undefined, zero and unmapped read as zeros where there is no parent.
        match entry & 7 {
            0..=3 => Ok((Place::Zero, rest)),
            6 => {
                let start = (entry & !0xf_ffff).checked_add(inside);
                let start = start.ok_or_else(|| broken(format!("VHDX: the block of byte {offset} is beyond every file")))?;
                Ok((Place::At(&*self.file, start), rest))
            }
            state => Err(broken(format!("VHDX: the block of byte {offset} is in state {state}"))),
        }
    }
}

impl BlockDevice for Vhdx {
    fn len(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        mapped::read(self, offset, buffer)
    }
}
