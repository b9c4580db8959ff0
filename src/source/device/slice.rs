//! A part of another device: a partition.

use std::io;
use std::ops::Range;

use super::{BlockDevice, Device, broken, within};

/// A range of another device, as a device.
///
/// The range may reach beyond the end of a disk that was cut off: what is there is read, and the rest is an error that names the
/// byte of the disk.
pub struct Slice {
    device: Device,
    start: u64,
    len: u64,
}

impl Slice {
    /// `len` bytes of `device` from `start`.
    ///
    /// # Errors
    /// `InvalidData` if there is no such range of any device.
    pub fn new(device: Device, start: u64, len: u64) -> io::Result<Self> {
        match start.checked_add(len) {
            Some(_) => Ok(Self { device, start, len }),
            None => Err(broken(format!("{len} bytes from byte {start} are beyond every disk"))),
        }
    }
}

impl BlockDevice for Slice {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        within(offset, buffer.len(), self.len)?;
        let at = self.start.saturating_add(offset);
        self.device.read_at(at, buffer).map_err(|error| cut_off(error, at, self.device.len()))
    }

    fn prefetch(&self, ranges: &[Range<u64>]) {
        let end = self.start.saturating_add(self.len);
        let shift = |at: u64| self.start.saturating_add(at).min(end);
        let ranges: Vec<_> = ranges.iter().map(|range| shift(range.start)..shift(range.end)).collect();
        self.device.prefetch(&ranges);
    }
}

/// Says of a read beyond the end of what holds a device that this is cut off, and where.
pub(super) fn cut_off(error: io::Error, at: u64, end: u64) -> io::Error {
    // What is already explained by a device below stays as it is.
    if error.kind() != io::ErrorKind::UnexpectedEof
        || error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<CutOff>)
    {
        return error;
    }
    io::Error::new(io::ErrorKind::UnexpectedEof, CutOff { at, end })
}

/// A place that lies beyond the end of what should hold it.
#[derive(Debug, thiserror::Error)]
#[error("kept at byte {at} of a disk or file that is cut off at byte {end}: only what is kept before that can be trusted")]
struct CutOff {
    at: u64,
    end: u64,
}

#[cfg(test)]
mod tests {
    use super::super::MemoryDevice;
    use super::*;

    #[test]
    fn a_partition_of_a_disk_that_was_cut_off_is_read_as_far_as_it_goes() {
        let partition = Slice::new(MemoryDevice::shared((0..100).collect::<Vec<u8>>()), 40, 100).unwrap();
        assert_eq!(partition.len(), 100);
        let mut four = [0; 4];
        partition.read_at(56, &mut four).unwrap();
        assert_eq!(four, [96, 97, 98, 99]);
        let error = partition.read_at(57, &mut four).unwrap_err().to_string();
        assert!(error.contains("byte 97 of") && error.contains("cut off at byte 100"), "{error}");
        let error = partition.read_at(98, &mut four).unwrap_err().to_string();
        assert!(error.contains("the end, which is at byte 100"), "{error}");
        assert!(Slice::new(MemoryDevice::shared([]), u64::MAX, 2).is_err());
    }
}
