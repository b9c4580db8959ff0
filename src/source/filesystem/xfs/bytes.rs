//! Big-endian numbers out of bytes that nobody checked before.

use std::fmt::Display;
use std::io;

/// An error that says what of the image is broken.
pub(super) fn broken(what: impl Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_string())
}

#[cold]
fn short(at: usize, length: usize) -> io::Error {
    broken(format_args!("it ends before byte {}", at.saturating_add(length)))
}

/// `length` bytes at `at`.
///
/// # Errors
/// `InvalidData` if they reach beyond the end.
#[inline]
pub(super) fn part(bytes: &[u8], at: usize, length: usize) -> io::Result<&[u8]> {
    at.checked_add(length).and_then(|end| bytes.get(at..end)).ok_or_else(|| short(at, length))
}

#[inline]
fn array<const N: usize>(bytes: &[u8], at: usize) -> io::Result<[u8; N]> {
    bytes.get(at..).and_then(|rest| rest.first_chunk::<N>()).copied().ok_or_else(|| short(at, N))
}

#[inline]
pub(super) fn u8_at(bytes: &[u8], at: usize) -> io::Result<u8> {
    bytes.get(at).copied().ok_or_else(|| short(at, 1))
}

#[inline]
pub(super) fn u16_at(bytes: &[u8], at: usize) -> io::Result<u16> {
    array(bytes, at).map(u16::from_be_bytes)
}

#[inline]
pub(super) fn u32_at(bytes: &[u8], at: usize) -> io::Result<u32> {
    array(bytes, at).map(u32::from_be_bytes)
}

#[inline]
pub(super) fn u64_at(bytes: &[u8], at: usize) -> io::Result<u64> {
    array(bytes, at).map(u64::from_be_bytes)
}

/// A UUID: sixteen bytes as they stand.
#[inline]
pub(super) fn uuid_at(bytes: &[u8], at: usize) -> io::Result<[u8; 16]> {
    array(bytes, at)
}

/// A checksum: the one thing XFS stores little-endian.
#[inline]
pub(super) fn crc_at(bytes: &[u8], at: usize) -> io::Result<u32> {
    array(bytes, at).map(u32::from_le_bytes)
}

/// CRC-32C of the bytes with the four at `hole` taken as zero, which is how every checksum of XFS that lies inside what it covers is
/// made (kernel documentation, `xfs-self-describing-metadata`).
#[inline]
pub(super) fn checksum(bytes: &[u8], hole: usize) -> io::Result<u32> {
    let before = bytes.get(..hole).ok_or_else(|| short(hole, 0))?;
    let after = hole.checked_add(4).and_then(|end| bytes.get(end..)).ok_or_else(|| short(hole, 4))?;
    Ok(crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(before), &[0; 4]), after))
}

/// Says of an error where it was met, and keeps its kind.
pub(super) trait Within<T> {
    fn within<D: Display>(self, place: impl FnOnce() -> D) -> io::Result<T>;
}

impl<T> Within<T> for io::Result<T> {
    #[inline]
    fn within<D: Display>(self, place: impl FnOnce() -> D) -> Self {
        self.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", place())))
    }
}
