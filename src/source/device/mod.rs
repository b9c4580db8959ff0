//! Bytes by offset: what a disk, a disk file in a container format, a partition or a logical volume is to a reader above it.

pub(in crate::source) mod cache;
mod compressed;
mod container;
mod counted;
pub(crate) mod fields;
mod file;
#[cfg(test)]
pub(in crate::source) mod fixtures;
pub(in crate::source) mod mapped;
mod memory;
mod qcow2;
mod siblings;
mod slice;
#[cfg(test)]
mod tests;
mod vhd;
mod vhdx;
mod vmdk;

use std::io;
use std::ops::Range;
use std::sync::Arc;

pub use container::{Disk, Format, Layer};
pub use counted::{Counted, Counts};
pub use file::FileDevice;
pub use memory::MemoryDevice;
pub use siblings::{Folder, NoSiblings, Siblings};
pub use slice::Slice;

/// A device that several readers share: a disk, its partitions and their volumes.
pub type Device = Arc<dyn BlockDevice>;

/// A disk, or a part of one: bytes that are read by their offset, and never written.
pub trait BlockDevice: Send + Sync {
    /// Its size in bytes.
    fn len(&self) -> u64;

    /// Whether it holds nothing.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills the whole buffer with what is at `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` if that reaches beyond the end; `InvalidData` if the container that holds it is broken there; otherwise what
    /// the system said.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// A hint that these ranges are read next: nothing for a file, one wave of requests for a network.
    fn prefetch(&self, _ranges: &[Range<u64>]) {}
}

/// What a reader says of bytes that cannot be what they claim to be.
pub(crate) fn broken(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

/// What a reader says of a thing that is sound as far as anybody knows, but that it does not read.
pub(crate) fn unsupported(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, what.into())
}

/// Whether `length` bytes from `offset` lie within the first `end`.
///
/// # Errors
/// `UnexpectedEof` with all three numbers.
fn within(offset: u64, length: usize, end: u64) -> io::Result<()> {
    match offset.checked_add(length as u64) {
        Some(last) if last <= end => Ok(()),
        _ => {
            let what = format!("{length} bytes at byte {offset} reach beyond the end, which is at byte {end}");
            Err(io::Error::new(io::ErrorKind::UnexpectedEof, what))
        }
    }
}
