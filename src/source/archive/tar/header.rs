//! One header block of a tar archive: V7, ustar (POSIX.1-1988) and GNU (`tar/basics` in the manual of GNU tar, "Basic Tar Format").

use std::io;

use super::super::bytes::invalid;

/// A block. Headers have this size, and content is filled up to a multiple of it.
pub(in super::super) const BLOCK: usize = 512;

/// Segments of a sparse file, by offset and length.
type Segments = Vec<(u64, u64)>;

/// A header block whose checksum holds.
pub(super) struct Header<'b>(&'b [u8; BLOCK]);

impl<'b> Header<'b> {
    /// Nothing if the checksum does not hold: the sum of all bytes, the checksum itself taken as blanks. Some old programs summed
    /// signed bytes.
    pub(super) fn new(block: &'b [u8; BLOCK]) -> Option<Self> {
        let header = Self(block);
        let told = number(header.field(148..156)).ok()?;
        let (field, blanks) = (header.field(148..156), 8 * i64::from(b' '));
        let unsigned = |bytes: &[u8]| bytes.iter().map(|&byte| u32::from(byte)).sum::<u32>();
        let signed = |bytes: &[u8]| bytes.iter().map(|&byte| i32::from(byte.cast_signed())).sum::<i32>();
        let is_right = told == i64::from(unsigned(block) - unsigned(field)) + blanks
            || told == i64::from(signed(block) - signed(field)) + blanks;
        is_right.then_some(header)
    }

    fn field(&self, range: std::ops::Range<usize>) -> &'b [u8] {
        self.0.get(range).unwrap_or_default()
    }

    pub(super) fn kind(&self) -> u8 {
        self.0.get(156).copied().unwrap_or_default()
    }

    /// Whether the fields behind the link's target are those of POSIX.
    fn is_ustar(&self) -> bool {
        self.field(257..263) == b"ustar\0"
    }

    /// The name, with the prefix of ustar before it.
    pub(super) fn name(&self) -> Vec<u8> {
        let name = text(self.field(0..100));
        let prefix = if self.is_ustar() { text(self.field(345..500)) } else { b"" };
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }

    pub(super) fn link(&self) -> &'b [u8] {
        text(self.field(157..257))
    }

    pub(super) fn mode(&self) -> io::Result<u32> {
        number(self.field(100..108)).and_then(|mode| Ok(narrow("mode", mode)? & 0o7777))
    }

    pub(super) fn uid(&self) -> io::Result<u32> {
        number(self.field(108..116)).and_then(|uid| narrow("owner", uid))
    }

    pub(super) fn gid(&self) -> io::Result<u32> {
        number(self.field(116..124)).and_then(|gid| narrow("group", gid))
    }

    pub(super) fn size(&self) -> io::Result<u64> {
        let size = number(self.field(124..136))?;
        u64::try_from(size).map_err(|_| invalid(format!("a size of {size} bytes")))
    }

    pub(super) fn mtime(&self) -> io::Result<i64> {
        number(self.field(136..148))
    }

    /// The segments of an old GNU sparse file in this header, whether more blocks of them follow, and its real size.
    pub(super) fn sparse(&self) -> io::Result<(Segments, bool, u64)> {
        let size = u64::try_from(number(self.field(483..495))?).map_err(|_| invalid("a sparse file of a size below nothing"))?;
        Ok((segments(self.field(386..482))?, self.field(482..483) != b"\0", size))
    }
}

/// The segments of a sparse file in fields of 12 bytes each: offset and length, until an empty one.
pub(super) fn segments(fields: &[u8]) -> io::Result<Segments> {
    let mut found = Vec::new();
    for pair in fields.chunks_exact(24) {
        let (offset, length) = pair.split_at(12);
        if offset.first() == Some(&0) {
            break;
        }
        let wrong = |_| invalid("a segment of a sparse file before its beginning");
        found.push((u64::try_from(number(offset)?).map_err(wrong)?, u64::try_from(number(length)?).map_err(wrong)?));
    }
    Ok(found)
}

/// What is before the first NUL.
pub(super) fn text(field: &[u8]) -> &[u8] {
    field.split(|&byte| byte == 0).next().unwrap_or_default()
}

fn narrow(what: &str, value: i64) -> io::Result<u32> {
    u32::try_from(value).map_err(|_| invalid(format!("the number {value} as {what}")))
}

/// A number: octal digits between blanks and NULs, or, where the highest bit is set, all the rest as one number of two's complement
/// (GNU's base-256). Nothing at all is zero.
fn number(field: &[u8]) -> io::Result<i64> {
    let wrong = || invalid(format!("'{}' where a number belongs", crate::path::printable(text(field))));
    match field.split_first() {
        Some((&first, rest)) if first & 0x80 != 0 => {
            // Bit 6 is the sign.
            let start = i64::from(first & 0x3f) - if first & 0x40 == 0 { 0 } else { 64 };
            let value = rest.iter().try_fold(start, |value, &byte| value.checked_mul(256)?.checked_add(i64::from(byte)));
            value.ok_or_else(|| invalid("a number of more than 63 bits"))
        }
        _ => {
            let digits = text(field).trim_ascii();
            let octal = |value: i64, &digit: &u8| {
                let digit = (b'0'..=b'7').contains(&digit).then(|| i64::from(digit - b'0'))?;
                value.checked_mul(8)?.checked_add(digit)
            };
            digits.iter().try_fold(0, octal).ok_or_else(wrong)
        }
    }
}
