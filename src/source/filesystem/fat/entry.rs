//! The entries of a directory of FAT, with long names (Microsoft's specification, section 7; the kernel's `fs/fat/dir.c` for how a
//! short name is shown: `shortname=mixed`).

use std::io;

use crate::path::printable;
use crate::source::device::broken;
use crate::source::device::fields::{array, le16, le32, slice};

const READ_ONLY: u8 = 0x01;
const LABEL: u8 = 0x08;
const DIRECTORY: u8 = 0x10;
/// All of read-only, hidden, system and label: a piece of a long name.
const LONG: u8 = 0x0f;
/// A long name has at most 20 pieces of 13 letters.
const MOST_PIECES: usize = 20;
/// Letters above 127 of the codepage 437, which the kernel takes for short names.
const CODEPAGE: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";

/// A file or directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    pub(super) directory: bool,
    pub(super) read_only: bool,
    /// Its first cluster; 0 for nothing, and for the root.
    pub(super) first: u32,
    pub(super) size: u64,
    pub(super) mtime: i64,
}

/// A long name that is being put together: what its short name has to sum up to, and its pieces from the end.
struct Long {
    sum: u8,
    left: usize,
    units: Vec<u16>,
}

/// Reads all entries of a directory, without `.` and `..`.
pub(super) fn read(directory: &[u8], wide: bool) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut long: Option<Long> = None;
    for raw in directory.chunks_exact(32) {
        let [first] = array::<1>(raw, 0)?;
        let [attributes] = array::<1>(raw, 11)?;
        match first {
            0 => break,
            0xe5 => {
                long = None;
                continue;
            }
            _ => {}
        }
        if attributes & 0x3f == LONG {
            long = piece(long.take(), raw)?;
            continue;
        }
        let long = long.take();
        if attributes & LABEL != 0 {
            continue;
        }
        let short: [u8; 11] = array(raw, 0)?;
        if short == *b".          " || short == *b"..         " {
            continue;
        }
        let sum = short.iter().fold(0_u8, |sum, &byte| sum.rotate_right(1).wrapping_add(byte));
        let name = match long.filter(|long| long.left == 0 && long.sum == sum).as_ref().and_then(whole) {
            Some(name) => name,
            None => short_name(short, array::<1>(raw, 12)?),
        };
        if name.is_empty() || name.iter().any(|byte| matches!(byte, 0 | b'/')) || name == b"." || name == b".." {
            return Err(broken(format!("FAT: a directory has the impossible name '{}'", printable(&name))));
        }
        let high = if wide { u32::from(le16(raw, 20)?) << 16 } else { 0 };
        entries.push(Entry {
            name,
            directory: attributes & DIRECTORY != 0,
            read_only: attributes & READ_ONLY != 0,
            first: high | u32::from(le16(raw, 26)?),
            size: le32(raw, 28)?.into(),
            mtime: seconds(le16(raw, 24)?, le16(raw, 22)?),
        });
    }
    Ok(entries)
}

/// One piece of a long name. They come from the last to the first, the last one marked.
fn piece(long: Option<Long>, raw: &[u8]) -> io::Result<Option<Long>> {
    let [order] = array::<1>(raw, 0)?;
    let [sum] = array::<1>(raw, 13)?;
    let number = usize::from(order & 0x1f);
    if number == 0 || number > MOST_PIECES {
        return Ok(None);
    }
    let mut long = match long {
        _ if order & 0x40 != 0 => Long { sum, left: number, units: Vec::new() },
        Some(long) if long.left == number && long.sum == sum => long,
        _ => return Ok(None),
    };
    let letters = [slice(raw, 1, 10)?, slice(raw, 14, 12)?, slice(raw, 28, 4)?].concat();
    let mut units = letters.chunks_exact(2).map(|unit| le16(unit, 0)).collect::<io::Result<Vec<_>>>()?;
    units.append(&mut long.units);
    Ok(Some(Long { left: number - 1, units, ..long }))
}

/// A long name up to its padding. None if it is no text at all: then the short one serves.
fn whole(long: &Long) -> Option<Vec<u8>> {
    let units = long.units.split(|&unit| unit == 0).next()?;
    String::from_utf16(units).ok().filter(|name| !name.is_empty()).map(String::into_bytes)
}

/// A name of 8 and 3 letters; bits 3 and 4 of its flags say that either is in lower case.
fn short_name(short: [u8; 11], [flags]: [u8; 1]) -> Vec<u8> {
    let (base, extension) = short.split_at(8);
    let text = |part: &[u8], lower: bool| {
        let letters = part.iter().enumerate().map(|(at, &byte)| {
            // The letter that marks what is deleted is written as another.
            let byte = if at == 0 && byte == 5 { 0xe5 } else { byte };
            match byte {
                0..=127 => char::from(if lower { byte.to_ascii_lowercase() } else { byte }),
                _ => CODEPAGE.chars().nth(usize::from(byte - 128)).unwrap_or('?'),
            }
        });
        letters.collect::<String>().trim_end_matches(' ').to_owned()
    };
    let mut name = text(base, flags & 0x08 != 0);
    let extension = text(extension, flags & 0x10 != 0);
    if !extension.is_empty() {
        name.push('.');
        name.push_str(&extension);
    }
    name.into_bytes()
}

/// Seconds since 1970 of a date and time of FAT, which know no zone: taken as UTC.
fn seconds(date: u16, time: u16) -> i64 {
    let (year, month, day) = (i64::from(date >> 9) + 1980, i64::from(date >> 5 & 15).clamp(1, 12), i64::from(date & 31).max(1));
    // Days of the civil calendar, the year beginning with March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 719_469;
    let (hours, minutes, pairs) = (i64::from(time >> 11), i64::from(time >> 5 & 63), i64::from(time & 31));
    days * 86_400 + hours * 3600 + minutes * 60 + pairs * 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_count_from_1970() {
        assert_eq!(seconds(1 << 5 | 1, 0), 315_532_800);
        assert_eq!(seconds(0x585d, 0xbf7d), 1_709_251_198);
        assert_eq!(seconds(0, 0), 315_532_800);
        assert_eq!(CODEPAGE.chars().count(), 128);
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        let mut raw = *b"A/B     TXT\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
        assert!(read(&raw, true).unwrap_err().to_string().contains("impossible name 'A/B.TXT'"));
        raw[1] = b'_';
        assert_eq!(read(&raw, true).unwrap()[0].name, b"A_B.TXT");
        raw[12] = 0x18;
        assert_eq!(read(&raw, true).unwrap()[0].name, b"a_b.txt");
        raw[0] = 5;
        assert_eq!(read(&raw, true).unwrap()[0].name, "σ_b.txt".as_bytes());
    }
}
