//! Where the bytes of an archive come from, and how they are read a second time.

use std::io::{self, Read};
use std::sync::Arc;

use crate::source::device::BlockDevice;

/// Bytes that can be read from an offset on, as often as somebody asks.
pub(super) trait Bytes: Send + Sync {
    /// A reader of everything from `offset` on.
    ///
    /// # Errors
    /// `Unsupported` where the bytes were a stream that is over; otherwise what the layer below says.
    fn reader(self: Arc<Self>, offset: u64) -> io::Result<Box<dyn Read + Send>>;

    /// Whether nothing can be read again.
    fn is_gone(&self) -> bool {
        false
    }

    /// Whether any offset costs the same.
    fn is_direct(&self) -> bool {
        false
    }
}

/// A file or a device: any offset costs the same.
pub(super) struct Disk(pub(super) Arc<dyn BlockDevice>);

impl Bytes for Disk {
    fn reader(self: Arc<Self>, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(Cursor { device: Arc::clone(&self.0), offset }))
    }

    fn is_direct(&self) -> bool {
        true
    }
}

/// A part of other bytes: a layer inside an archive.
pub(super) struct Window {
    pub(super) below: Arc<dyn Bytes>,
    pub(super) start: u64,
    pub(super) len: u64,
}

impl Bytes for Window {
    fn reader(self: Arc<Self>, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        let start = self.start.checked_add(offset).ok_or_else(|| invalid("an offset beyond the largest number"))?;
        Ok(Box::new(Arc::clone(&self.below).reader(start)?.take(self.len.saturating_sub(offset))))
    }

    fn is_gone(&self) -> bool {
        self.below.is_gone()
    }

    fn is_direct(&self) -> bool {
        self.below.is_direct()
    }
}

/// A stream that was read once, such as standard input.
pub(super) struct Gone;

impl Bytes for Gone {
    fn reader(self: Arc<Self>, _: u64) -> io::Result<Box<dyn Read + Send>> {
        let reason = "its content was not kept while the stream was read; give the archive as a file";
        Err(io::Error::new(io::ErrorKind::Unsupported, reason))
    }

    fn is_gone(&self) -> bool {
        true
    }
}

/// Reads a device from an offset on.
pub(super) struct Cursor {
    pub(super) device: Arc<dyn BlockDevice>,
    pub(super) offset: u64,
}

impl Read for Cursor {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.device.len().saturating_sub(self.offset);
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let Some(part) = buffer.get_mut(..count) else { return Ok(0) };
        self.device.read_at(self.offset, part)?;
        self.offset += count as u64;
        Ok(count)
    }
}

/// A stream read forwards, of which much is passed over.
pub(super) trait Forward: Read {
    /// Passes over this many bytes; less only at the end. Says how many there were.
    fn pass(&mut self, bytes: u64) -> io::Result<u64>;
}

/// A stream that has to be read to pass over it.
pub(super) struct Stream<'r>(pub(super) &'r mut (dyn Read + Send));

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Forward for Stream<'_> {
    fn pass(&mut self, bytes: u64) -> io::Result<u64> {
        io::copy(&mut self.0.take(bytes), &mut io::sink())
    }
}

/// How much is read at once on the way through a file that is not compressed: small files and their headers come together, and of
/// large ones nothing but the end is read.
const AHEAD: usize = 16 << 10;

/// A device of which only what is looked at is read.
pub(super) struct Leaping {
    cursor: Cursor,
    buffer: Vec<u8>,
    at: usize,
}

impl Leaping {
    pub(super) fn new(device: Arc<dyn BlockDevice>) -> Self {
        Self { cursor: Cursor { device, offset: 0 }, buffer: Vec::new(), at: 0 }
    }
}

impl Read for Leaping {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.buffer.len() {
            if buffer.len() >= AHEAD {
                return self.cursor.read(buffer);
            }
            self.at = 0;
            self.buffer.resize(AHEAD, 0);
            let count = self.cursor.read(&mut self.buffer)?;
            self.buffer.truncate(count);
        }
        let mut rest = self.buffer.get(self.at..).unwrap_or_default();
        let count = rest.read(buffer)?;
        self.at += count;
        Ok(count)
    }
}

impl Forward for Leaping {
    fn pass(&mut self, bytes: u64) -> io::Result<u64> {
        let buffered = (self.buffer.len().saturating_sub(self.at) as u64).min(bytes);
        self.at += usize::try_from(buffered).unwrap_or(0);
        let beyond = (bytes - buffered).min(self.cursor.device.len().saturating_sub(self.cursor.offset));
        self.cursor.offset += beyond;
        Ok(buffered + beyond)
    }
}

/// An error of what is in an archive.
pub(super) fn invalid(reason: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.into())
}

/// Fills a buffer as far as the stream goes.
pub(super) fn fill(input: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match input.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
