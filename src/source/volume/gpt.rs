//! The GUID partition table (UEFI specification, section 5.3), with sectors of 512 or 4,096 bytes.

use std::io;

use super::lvm::crc32;
use super::mbr::{MOST_PARTITIONS, Partition, Table};
use crate::path::printable;
use crate::source::device::fields::{array, guid, le16, le32, le64, size, slice};
use crate::source::device::{BlockDevice, Device, broken};

const MARK: &[u8] = b"EFI PART";
/// 128 entries of 128 bytes are usual; this is 8,192 of them.
const LARGEST_TABLE: u64 = 1 << 20;

/// A header that is sound.
struct Header {
    /// Where it says that the other one is.
    other: u64,
    /// Sector of the table.
    table: u64,
    entries: u32,
    entry: u32,
    sum: u32,
}

/// Reads the table, if there is one. Of both copies the first that is sound counts.
///
/// # Errors
/// `InvalidData` if there are headers, and neither with its table is sound.
pub(super) fn read(device: &Device) -> io::Result<Option<(Table, u64)>> {
    let mut wrong = Vec::new();
    for sector in [512, 4096] {
        let last = (device.len() / sector).saturating_sub(1);
        let mut tried = vec![1];
        let mut other = last;
        for copy in ["first", "backup"] {
            let at = if copy == "first" { 1 } else { other };
            if copy == "backup" {
                if tried.contains(&at) {
                    continue;
                }
                tried.push(at);
            }
            let found = header(&**device, sector, at).and_then(|header| {
                let Some(header) = header else { return Ok(None) };
                if copy == "first" {
                    other = header.other;
                }
                table(&**device, sector, &header).map(|table| Some((table, header)))
            });
            match found {
                Ok(Some((mut table, header))) => {
                    if copy == "first" && header.other > last {
                        let end = device.len();
                        table.notes.push(format!(
                            "its backup should be at byte {}, the disk ends at byte {end}: cut off, what was kept beyond cannot be read",
                            header.other.saturating_mul(sector)
                        ));
                    }
                    for wrong in wrong {
                        table.notes.push(format!("{wrong}; the {copy} table is used"));
                    }
                    return Ok(Some((table, sector)));
                }
                Ok(None) => {}
                Err(error) => wrong.push(format!("the {copy} table: {error}")),
            }
        }
    }
    if wrong.is_empty() { Ok(None) } else { Err(broken(format!("GPT: {}", wrong.join("; ")))) }
}

fn header(device: &dyn BlockDevice, sector: u64, at: u64) -> io::Result<Option<Header>> {
    let mut bytes = vec![0; size(sector)?];
    let Some(offset) = at.checked_mul(sector).filter(|offset| offset.checked_add(sector).is_some_and(|end| end <= device.len()))
    else {
        return Ok(None);
    };
    device.read_at(offset, &mut bytes)?;
    if !bytes.starts_with(MARK) {
        return Ok(None);
    }
    let length = le32(&bytes, 12)? as usize;
    if length < 92 || length as u64 > sector {
        return Err(broken(format!("a header of {length} bytes")));
    }
    let sum = le32(&bytes, 16)?;
    if let Some(own) = bytes.get_mut(16..20) {
        own.fill(0);
    }
    if !crc32(!0, slice(&bytes, 0, length)?) != sum {
        return Err(broken(format!("the header in sector {at} is not sound (checksum)")));
    }
    if le64(&bytes, 24)? != at {
        return Err(broken(format!("the header in sector {at} says that it is in sector {}", le64(&bytes, 24)?)));
    }
    Ok(Some(Header {
        other: le64(&bytes, 32)?,
        table: le64(&bytes, 72)?,
        entries: le32(&bytes, 80)?,
        entry: le32(&bytes, 84)?,
        sum: le32(&bytes, 88)?,
    }))
}

fn table(device: &dyn BlockDevice, sector: u64, header: &Header) -> io::Result<Table> {
    let length = u64::from(header.entries) * u64::from(header.entry);
    if header.entry < 128 || !header.entry.is_multiple_of(8) || length > LARGEST_TABLE {
        return Err(broken(format!("a table of {} entries of {} bytes", header.entries, header.entry)));
    }
    let mut bytes = vec![0; size(length)?];
    let at = header.table.checked_mul(sector).ok_or_else(|| broken("a table beyond every disk"))?;
    device.read_at(at, &mut bytes)?;
    if !crc32(!0, &bytes) != header.sum {
        return Err(broken(format!("the entries at byte {at} are not sound (checksum)")));
    }
    let mut table = Table::default();
    for (entry, number) in bytes.chunks_exact(header.entry as usize).zip(1..) {
        if array::<16>(entry, 0)? == [0; 16] {
            continue;
        }
        if table.partitions.len() >= MOST_PARTITIONS {
            table.notes.push(format!("more than {MOST_PARTITIONS} partitions: the others are not looked at"));
            break;
        }
        let (first, last) = (le64(entry, 32)?, le64(entry, 40)?);
        let start = first.checked_mul(sector);
        let len = last.checked_sub(first).and_then(|sectors| sectors.checked_add(1)?.checked_mul(sector));
        let (Some(start), Some(len)) = (start, len) else {
            table.notes.push(format!("partition {number} from sector {first} to {last} is impossible"));
            continue;
        };
        let uuid = Some(guid(array(entry, 16)?));
        table.partitions.push(Partition { number, start, len, uuid, name: name(slice(entry, 56, 72)?)? });
    }
    Ok(table)
}

/// A name in UTF-16, up to its padding.
fn name(bytes: &[u8]) -> io::Result<Option<String>> {
    let units = bytes.chunks_exact(2).map(|unit| le16(unit, 0)).collect::<io::Result<Vec<_>>>()?;
    let text = String::from_utf16_lossy(units.split(|&unit| unit == 0).next().unwrap_or_default());
    Ok((!text.is_empty()).then(|| printable(text.as_bytes())))
}
