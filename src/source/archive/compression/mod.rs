//! Compressed streams, recognised by their first bytes and read within limits.
//!
//! Exactly one compression is undone: what is inside of it is an archive or nothing that is read. Each decoder checks the checksums
//! of its format and reads every member, stream or frame that follows.

mod again;
mod bzip2;
mod gzip;
mod xz;
mod zstd;

use std::io::{self, Read};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

pub(super) use again::Again;
pub(super) use gzip::Marks;

use super::bytes::invalid;

/// How far back a stream may refer, which is memory: `xz -9` and `zstd -19 --long=26` look back this far.
const WINDOW: u64 = 64 << 20;

/// A compression that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// The .xz format 1.2.
    Xz,
    /// bzip2.
    Bzip2,
}

impl Compression {
    /// The compression of a stream that begins with these bytes; ten are enough.
    #[must_use]
    pub fn of(start: &[u8]) -> Option<Self> {
        match start {
            [0x1f, 0x8b, 8, ..] => Some(Self::Gzip),
            // A frame, or a skippable one; pzstd begins with those.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, ..]
            | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, 0x38, 0x50, 0x90, ..] => Some(Self::Bzip2),
            _ => None,
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
        }
    }
}

/// How much may come out of a compressed stream.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Bytes in all. The largest images there are (those of machine learning) have some 30 GiB.
    pub total: u64,
    /// Times what went in. A root file system comes to 2 to 5, one full of zeros to 20.
    pub ratio: u64,
    /// Before the ratio is asked for: a single file of zeros is large and no bomb.
    pub free: u64,
}

impl Bounds {
    /// The usual ones: three minutes of gzip at worst, and that only from 320 MiB of it.
    pub const USUAL: Self = Self { total: 64 << 30, ratio: 200, free: 256 << 20 };
}

/// What a compressed stream holds.
pub(super) fn decoder<'r>(
    compression: Compression,
    input: Box<dyn Read + Send + 'r>,
    bounds: Bounds,
    marks: Option<Arc<Mutex<Marks>>>,
) -> Box<dyn Read + Send + 'r> {
    let read = Arc::new(AtomicU64::new(0));
    let input = Box::new(Counted { input, read: Arc::clone(&read) });
    let output: Box<dyn Read + Send + 'r> = match compression {
        Compression::Gzip => Box::new(gzip::Gzip::new(input, marks)),
        Compression::Zstd => Box::new(zstd::Zstd::new(input)),
        Compression::Bzip2 => Box::new(bzip2::Bzip2::new(input)),
        Compression::Xz => Box::new(xz::Xz::new(input)),
    };
    Box::new(Bounded { output, compression, read, written: 0, bounds })
}

/// Counts what goes in.
struct Counted<'r> {
    input: Box<dyn Read + Send + 'r>,
    read: Arc<AtomicU64>,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.read.fetch_add(count as u64, Relaxed);
        Ok(count)
    }
}

/// Stops where more comes out than may.
struct Bounded<'r> {
    output: Box<dyn Read + Send + 'r>,
    compression: Compression,
    read: Arc<AtomicU64>,
    written: u64,
    bounds: Bounds,
}

impl Read for Bounded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (name, read) = (self.compression.name(), || self.read.load(Relaxed));
        let count = self.output.read(buffer)?;
        self.written = self.written.saturating_add(count as u64);
        let Bounds { total, ratio, free } = self.bounds;
        if self.written > total {
            return Err(invalid(format!("after {} bytes of {name}: more than the limit of {total} bytes comes out", read())));
        }
        if self.written > free && self.written / ratio > read() {
            let reason =
                format!("after {} bytes of {name}: {} bytes come out, beyond the limit of {ratio} times", read(), self.written);
            return Err(invalid(reason));
        }
        Ok(count)
    }
}
