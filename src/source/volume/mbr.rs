//! The partition table of PCs, with logical partitions in chains of further tables.

use std::collections::BTreeSet;
use std::io;

use crate::source::device::fields::{le16, le32, size, slice};
use crate::source::device::{BlockDevice, Device};

/// The kernel's own bound of partitions of a disk (`DISK_MAX_PARTS`).
pub(super) const MOST_PARTITIONS: usize = 256;
/// In an empty table only this type says that a GPT is meant.
const PROTECTIVE: u8 = 0xee;

/// A partition, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Partition {
    pub(super) number: u32,
    pub(super) start: u64,
    pub(super) len: u64,
    pub(super) uuid: Option<String>,
    pub(super) name: Option<String>,
}

/// A table and what is odd about it.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) partitions: Vec<Partition>,
    pub(super) notes: Vec<String>,
}

/// A row of a table: type, first sector and number of sectors.
#[derive(Clone, Copy)]
struct Row {
    kind: u8,
    first: u64,
    sectors: u64,
}

impl Row {
    const fn extended(self) -> bool {
        matches!(self.kind, 0x05 | 0x0f | 0x85)
    }

    const fn used(self) -> bool {
        self.kind != 0 && self.sectors != 0
    }
}

/// What the first sector of a disk says.
pub(super) enum First {
    /// It is no partition table.
    None,
    /// It stands for a GPT.
    Protective,
    /// It is a table.
    Table,
}

/// Whether the first sector is a partition table, as the kernel judges it.
pub(super) fn first(device: &Device) -> io::Result<First> {
    let Some((rows, sector)) = rows(&**device, 0)? else { return Ok(First::None) };
    if rows.iter().any(|row| row.kind == PROTECTIVE) {
        return Ok(First::Protective);
    }
    // Else it is a boot sector of something: each row begins with 0x80 (active) or 0.
    let flags = (0..4).all(|row| sector.get(446 + row * 16).is_some_and(|flag| matches!(flag, 0 | 0x80)));
    Ok(if flags && rows.iter().any(|row| row.used() && row.first > 0) { First::Table } else { First::None })
}

/// Reads the table of a disk with sectors of this size.
pub(super) fn read(device: &Device, sector: u64) -> io::Result<Table> {
    let mut table = Table::default();
    let Some((rows, bytes)) = rows(&**device, 0)? else { return Ok(table) };
    let signature = le32(&bytes, 440)?;
    let uuid = |number: u32| (signature != 0).then(|| format!("{signature:08x}-{number:02x}"));
    for (row, number) in rows.iter().zip(1..) {
        if row.used() && !row.extended() {
            table.add(number, row.first, row.sectors, sector, uuid(number));
        }
    }
    let mut number = 5;
    for extended in rows.iter().filter(|row| row.used() && row.extended()) {
        let mut seen = BTreeSet::new();
        let mut at = extended.first;
        loop {
            if !seen.insert(at) {
                table.notes.push(format!("the logical partitions lead back to sector {at}: those after it are not looked for"));
                break;
            }
            if table.partitions.len() >= MOST_PARTITIONS || seen.len() > MOST_PARTITIONS {
                table.notes.push(format!("more than {MOST_PARTITIONS} partitions: the others are not looked for"));
                break;
            }
            let Some(offset) = at.checked_mul(sector) else { break };
            let rows = match self::rows(&**device, offset) {
                Ok(Some((rows, _))) => rows,
                Ok(None) => {
                    table.notes.push(format!("at sector {at} should be a table of logical partitions, and is none"));
                    break;
                }
                Err(error) => {
                    table.notes.push(format!("the table of logical partitions at sector {at}: {error}"));
                    break;
                }
            };
            // The first row is the partition, counted from here; the second leads on, counted from the first table of the chain.
            if let Some(row) = rows.iter().find(|row| row.used() && !row.extended()) {
                table.add(number, at.saturating_add(row.first), row.sectors, sector, uuid(number));
                number += 1;
            }
            match rows.iter().find(|row| row.used() && row.extended()) {
                Some(next) => at = extended.first.saturating_add(next.first),
                None => break,
            }
        }
    }
    Ok(table)
}

impl Table {
    fn add(&mut self, number: u32, first: u64, sectors: u64, sector: u64, uuid: Option<String>) {
        match (first.checked_mul(sector), sectors.checked_mul(sector)) {
            (Some(start), Some(len)) if start.checked_add(len).is_some() => {
                self.partitions.push(Partition { number, start, len, uuid, name: None });
            }
            _ => self.notes.push(format!("partition {number} is beyond every disk")),
        }
    }
}

fn rows(device: &dyn BlockDevice, at: u64) -> io::Result<Option<(Vec<Row>, Vec<u8>)>> {
    let mut bytes = vec![0; size(512)?];
    if at == 0 && device.len() < 512 {
        return Ok(None);
    }
    device.read_at(at, &mut bytes)?;
    if le16(&bytes, 510)? != 0xaa55 {
        return Ok(None);
    }
    let mut rows = Vec::with_capacity(4);
    for number in 0..4 {
        let row = slice(&bytes, 446 + number * 16, 16)?;
        let kind = row.get(4).copied().unwrap_or_default();
        rows.push(Row { kind, first: le32(row, 8)?.into(), sectors: le32(row, 12)?.into() });
    }
    Ok(Some((rows, bytes)))
}
