//! The label of a physical volume, and its metadata areas (`lvm2/lib/label/label.h`, `lib/format_text/layout.h`). Numbers are
//! little-endian.

use std::io;

use super::{crc32, dashed};
use crate::source::device::fields::{le32, le64, size, slice};
use crate::source::device::{BlockDevice, Device, broken};

/// What LVM's checksums start from.
const START: u32 = 0xf597_a6cf;
/// A label is in one of the first four sectors.
const SECTORS: u64 = 4;
const SECTOR: usize = 512;
const AREA_MARK: &[u8] = b" LVM2 x[5A%r0N*>";
/// The first sector of a metadata area is its header; the text goes round in what follows.
const AREA_HEADER: u64 = 512;
/// An area is 1 MiB by default, and has to have room for two texts; this is what thousands of volumes need.
const LONGEST_TEXT: u64 = 2 << 20;
/// LVM makes at most two areas.
const MOST_AREAS: usize = 8;

/// A physical volume.
pub(in crate::source::volume) struct Physical {
    /// Its identifier.
    pub(in crate::source::volume) id: String,
    /// Its bytes.
    pub(in crate::source::volume) device: Device,
    /// The text in its metadata area; none if it has no area, and relies on others of its group.
    pub(in crate::source::volume) text: Option<Vec<u8>>,
    /// What is wrong with an area.
    pub(in crate::source::volume) notes: Vec<String>,
}

impl Physical {
    /// Reads the label of a device that was recognised as a physical volume.
    ///
    /// # Errors
    /// `InvalidData` if its label is not sound.
    pub(in crate::source::volume) fn read(device: &Device) -> io::Result<Self> {
        let mut head = vec![0; size((SECTORS * SECTOR as u64).min(device.len()))?];
        device.read_at(0, &mut head)?;
        let label = head.chunks_exact(SECTOR).find(|sector| sector.starts_with(b"LABELONE"));
        let label = label.ok_or_else(|| broken("LVM: no label"))?;
        if crc32(START, slice(label, 20, SECTOR - 20)?) != le32(label, 16)? {
            return Err(broken("LVM: the label is not sound (checksum)"));
        }
        let header = le32(label, 20)? as usize;
        let id = dashed(slice(label, header, 32)?);
        let mut physical = Self { id, device: Device::clone(device), text: None, notes: Vec::new() };
        // Where data are, and after an empty entry, where metadata are: offset and size each.
        let mut at = header.saturating_add(40);
        while le64(label, at)? != 0 {
            at += 16;
        }
        at += 16;
        for _ in 0..MOST_AREAS {
            let (start, length) = (le64(label, at)?, le64(label, at + 8)?);
            if start == 0 {
                break;
            }
            at += 16;
            match area(&**device, start, length) {
                // Both areas hold the same; the first that is sound will do.
                Ok(Some(text)) if physical.text.is_none() => physical.text = Some(text),
                Ok(_) => {}
                Err(error) => physical.notes.push(format!("LVM: the metadata area at byte {start}: {error}")),
            }
        }
        Ok(physical)
    }
}

/// The text in an area that is in use; none if there is none in it, as in a volume of no group.
fn area(device: &dyn BlockDevice, start: u64, length: u64) -> io::Result<Option<Vec<u8>>> {
    let mut header = vec![0; size(AREA_HEADER)?];
    device.read_at(start, &mut header)?;
    if slice(&header, 4, 16)? != AREA_MARK || crc32(START, slice(&header, 4, SECTOR - 4)?) != le32(&header, 0)? {
        return Err(broken("not sound (checksum)"));
    }
    let length = if length == 0 { le64(&header, 32)? } else { length };
    let (offset, text, sum, flags) = (le64(&header, 40)?, le64(&header, 48)?, le32(&header, 56)?, le32(&header, 60)?);
    // Bit 0: to be ignored, in favour of other volumes' areas.
    if offset == 0 || flags & 1 != 0 {
        return Ok(None);
    }
    if text > LONGEST_TEXT || offset < AREA_HEADER || offset >= length || text > length - AREA_HEADER {
        return Err(broken(format!("a text of {text} bytes at byte {offset} of {length}")));
    }
    let first = text.min(length - offset);
    let mut bytes = vec![0; size(text)?];
    let (before, after) = bytes.split_at_mut(size(first)?);
    let at = |offset: u64| start.checked_add(offset).ok_or_else(|| broken("beyond every disk"));
    device.read_at(at(offset)?, before)?;
    if !after.is_empty() {
        device.read_at(at(AREA_HEADER)?, after)?;
    }
    if crc32(START, &bytes) != sum {
        return Err(broken("its text is not sound (checksum)"));
    }
    Ok(Some(bytes))
}
