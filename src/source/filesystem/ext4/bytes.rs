//! Numbers in bytes. Little-endian is the file system's own order; its journal is big-endian.
//!
//! A field beyond the end of the bytes reads as zero: the length of every structure is checked where it is cut out.

use std::io;

/// The bytes from `at` on, `length` of them; fewer than that if there are not as many.
pub(super) fn part(bytes: &[u8], at: usize, length: usize) -> &[u8] {
    let rest = bytes.get(at..).unwrap_or_default();
    rest.get(..length).unwrap_or(rest)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    part(bytes, at, N).try_into().unwrap_or([0; N])
}

/// One byte.
pub(super) fn byte(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or(0)
}

/// Two bytes, little-endian.
pub(super) fn le16(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array(bytes, at))
}

/// Four bytes, little-endian.
pub(super) fn le32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(bytes, at))
}

/// Two fields of a number that grew: the low 32 bits, and the bits above them.
pub(super) fn joined(low: u32, high: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

/// Two bytes, big-endian.
pub(super) fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(array(bytes, at))
}

/// Four bytes, big-endian.
pub(super) fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(array(bytes, at))
}

/// Eight bytes, big-endian.
pub(super) fn be64(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(array(bytes, at))
}

/// A length in memory, if there can be one.
pub(super) fn length(bytes: u64) -> io::Result<usize> {
    usize::try_from(bytes).map_err(|_| broken(format!("{bytes} bytes are more than this machine can hold")))
}

/// Something in the image that contradicts itself or its format.
pub(super) fn broken(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}
