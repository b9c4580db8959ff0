//! Numbers in a structure that was read from a disk, little-endian (`le`) or big-endian (`be`), by their offset in it.

use std::io;

use super::broken;

/// `N` bytes at `at`.
///
/// # Errors
/// `InvalidData` if the structure is shorter than that.
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> io::Result<[u8; N]> {
    bytes.get(at..).and_then(<[u8]>::first_chunk).copied().ok_or_else(|| short(bytes.len(), at, N))
}

/// `length` bytes at `at`.
///
/// # Errors
/// As `array`.
pub(crate) fn slice(bytes: &[u8], at: usize, length: usize) -> io::Result<&[u8]> {
    let end = at.checked_add(length).ok_or_else(|| short(bytes.len(), at, length))?;
    bytes.get(at..end).ok_or_else(|| short(bytes.len(), at, length))
}

fn short(have: usize, at: usize, need: usize) -> io::Error {
    broken(format!("a structure of {have} bytes is cut off: {need} bytes at {at} are missing"))
}

/// An unsigned 16-bit number.
///
/// # Errors
/// As `array`, as all that follow.
pub(crate) fn le16(bytes: &[u8], at: usize) -> io::Result<u16> {
    array(bytes, at).map(u16::from_le_bytes)
}

/// An unsigned 32-bit number.
pub(crate) fn le32(bytes: &[u8], at: usize) -> io::Result<u32> {
    array(bytes, at).map(u32::from_le_bytes)
}

/// An unsigned 64-bit number.
pub(crate) fn le64(bytes: &[u8], at: usize) -> io::Result<u64> {
    array(bytes, at).map(u64::from_le_bytes)
}

/// An unsigned 16-bit number, the high byte first.
pub(crate) fn be16(bytes: &[u8], at: usize) -> io::Result<u16> {
    array(bytes, at).map(u16::from_be_bytes)
}

/// An unsigned 32-bit number, the high byte first.
pub(crate) fn be32(bytes: &[u8], at: usize) -> io::Result<u32> {
    array(bytes, at).map(u32::from_be_bytes)
}

/// An unsigned 64-bit number, the high byte first.
pub(crate) fn be64(bytes: &[u8], at: usize) -> io::Result<u64> {
    array(bytes, at).map(u64::from_be_bytes)
}

/// A size that has to fit into memory's address space.
///
/// # Errors
/// `InvalidData`; only a 32-bit machine says so.
pub(crate) fn size(bytes: u64) -> io::Result<usize> {
    usize::try_from(bytes).map_err(|_| broken(format!("{bytes} bytes are more than this machine can hold")))
}

/// A UUID as `blkid` writes it: lower case, in groups.
pub(crate) fn uuid(bytes: [u8; 16]) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        let _ = write!(out, "{byte:02x}");
    }
    out
}

/// The same for a GUID, whose first three groups are little-endian (UEFI, appendix A).
pub(crate) fn guid(bytes: [u8; 16]) -> String {
    const ORDER: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    let turned = ORDER.map(|from| bytes.get(from).copied().unwrap_or_default());
    uuid(turned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_beyond_the_structure_is_an_error() {
        assert_eq!(le32(&[1, 0, 0, 0], 0).unwrap(), 1);
        assert_eq!(be16(&[1, 2], 0).unwrap(), 0x102);
        assert!(le32(&[1, 0, 0, 0], 1).is_err());
        assert!(le64(&[0; 8], usize::MAX).is_err());
        assert!(slice(&[0; 8], 4, usize::MAX).is_err());
    }

    #[test]
    fn the_guid_of_an_efi_partition_is_written_as_in_the_specification() {
        let bytes = [0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b];
        assert_eq!(guid(bytes), "c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
    }
}
