//! gzip (RFC 1952), member after member, with marks from which reading can begin again.
//!
//! A mark is the whole state of the decompressor with the 32 KiB that it may refer to: what has to be read again for a single file is
//! then never more than the distance of two marks.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use crc32fast::Hasher;
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};

use super::super::bytes::{fill, invalid};

/// What is read at once.
const INPUT: usize = 64 << 10;
/// What is decompressed at once; a power of two, because it is written round and round.
const OUTPUT: usize = 128 << 10;
/// How far DEFLATE refers back (RFC 1951).
const WINDOW: usize = 32 << 10;
/// The longest name or comment in a header that is passed over: `NAME_MAX` of all systems is below it.
const HEADER_TEXT: usize = 64 << 10;

/// A place in the stream from which reading can begin.
#[derive(Clone)]
pub(in super::super) struct Mark {
    /// Where it is in what was decompressed.
    pub(super) offset: u64,
    /// Where the compressed bytes go on.
    pub(super) input: u64,
    inflate: Box<DecompressorOxide>,
    window: Box<[u8]>,
    crc: Hasher,
    length: u32,
}

/// The marks of a stream, set while it is read for the first time.
pub(in super::super) struct Marks {
    pub(super) all: Vec<Mark>,
    every: u64,
}

impl Marks {
    /// The first distance: a tenth of a second of decompression.
    const EVERY: u64 = 16 << 20;
    /// More marks than these (each has 43 KiB) and every second is given up: a stream of any length costs below 3 MiB.
    const MOST: usize = 64;

    pub(in super::super) const fn new() -> Self {
        Self { all: Vec::new(), every: Self::EVERY }
    }

    fn is_due(&self, offset: u64) -> bool {
        offset >= self.all.last().map_or(0, |last| last.offset).saturating_add(self.every)
    }

    fn set(&mut self, mark: Mark) {
        self.all.push(mark);
        if self.all.len() > Self::MOST {
            let mut odd = false;
            self.all.retain(|_| {
                odd = !odd;
                !odd
            });
            self.every = self.every.saturating_mul(2);
        }
    }
}

#[derive(PartialEq)]
enum At {
    Header,
    Body,
    End,
}

/// A reader of what a gzip stream holds.
pub(super) struct Gzip<'r> {
    input: Box<dyn Read + Send + 'r>,
    buffer: Vec<u8>,
    from: usize,
    to: usize,
    /// Where `from` is in the compressed stream.
    position: u64,
    inflate: Box<DecompressorOxide>,
    window: Vec<u8>,
    write: usize,
    ready: std::ops::Range<usize>,
    crc: Hasher,
    length: u32,
    offset: u64,
    members: u64,
    at: At,
    marks: Option<Arc<Mutex<Marks>>>,
}

impl<'r> Gzip<'r> {
    pub(super) fn new(input: Box<dyn Read + Send + 'r>, marks: Option<Arc<Mutex<Marks>>>) -> Self {
        Self {
            input,
            buffer: vec![0; INPUT],
            from: 0,
            to: 0,
            position: 0,
            inflate: Box::default(),
            window: vec![0; OUTPUT],
            write: 0,
            ready: 0..0,
            crc: Hasher::new(),
            length: 0,
            offset: 0,
            members: 0,
            at: At::Header,
            marks,
        }
    }

    /// Goes on from a mark; `input` begins where the mark says.
    pub(super) fn resume(input: Box<dyn Read + Send + 'r>, mark: &Mark) -> Self {
        let mut new = Self::new(input, None);
        new.position = mark.input;
        new.inflate.clone_from(&mark.inflate);
        if let Some(start) = new.window.get_mut(..mark.window.len()) {
            start.copy_from_slice(&mark.window);
        }
        new.write = mark.window.len();
        new.crc = mark.crc.clone();
        new.length = mark.length;
        new.offset = mark.offset;
        new.members = 1;
        new.at = At::Body;
        new
    }

    fn cut(&self, inside: &str) -> io::Error {
        let reason = format!(
            "the gzip stream ends at byte {}, inside {inside}; {} bytes of its content came before",
            self.position, self.offset
        );
        io::Error::new(io::ErrorKind::UnexpectedEof, reason)
    }

    fn broken(&self, reason: &str) -> io::Error {
        invalid(format!("gzip, at byte {}: {reason}", self.position))
    }

    /// Whether there is input, after reading more where there was none.
    fn more(&mut self) -> io::Result<bool> {
        if self.from >= self.to {
            self.from = 0;
            self.to = 0;
            self.to = fill(&mut self.input, &mut self.buffer)?;
        }
        Ok(self.from < self.to)
    }

    fn byte(&mut self) -> io::Result<Option<u8>> {
        if !self.more()? {
            return Ok(None);
        }
        let byte = self.buffer.get(self.from).copied();
        self.from += 1;
        self.position += 1;
        Ok(byte)
    }

    fn number<const N: usize>(&mut self, inside: &str) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        for byte in &mut bytes {
            *byte = self.byte()?.ok_or_else(|| self.cut(inside))?;
        }
        Ok(bytes)
    }

    /// Reads the header of a member (section 2.3). False at the end of the stream.
    fn header(&mut self) -> io::Result<bool> {
        let mut first = self.byte()?;
        while self.members > 0 && first == Some(0) {
            // Zeros after the last member fill up a block on a tape; `gzip` passes over them too.
            first = self.byte()?;
        }
        let Some(first) = first else {
            return if self.members > 0 { Ok(false) } else { Err(self.cut("its first header")) };
        };
        let [second, method, flags, ..] = self.number::<9>("a header")?;
        if [first, second] != [0x1f, 0x8b] {
            return Err(self.broken("what follows a member is no gzip"));
        }
        if method != 8 || flags & 0b1110_0000 != 0 {
            return Err(self.broken("a method or a flag that RFC 1952 does not know"));
        }
        if flags & 4 != 0 {
            let extra = u16::from_le_bytes(self.number("a header")?);
            for _ in 0..extra {
                self.number::<1>("a header")?;
            }
        }
        for flag in [8, 16] {
            if flags & flag != 0 {
                let mut length = 0;
                while self.number::<1>("a header")? != [0] {
                    length += 1;
                    if length > HEADER_TEXT {
                        return Err(self.broken(&format!("a name longer than the limit of {HEADER_TEXT} bytes")));
                    }
                }
            }
        }
        if flags & 2 != 0 {
            self.number::<2>("a header")?;
        }
        self.members += 1;
        *self.inflate = DecompressorOxide::new();
        self.crc = Hasher::new();
        self.length = 0;
        Ok(true)
    }

    /// Decompresses until something is ready or the member is over.
    fn body(&mut self) -> io::Result<()> {
        let more = self.more()?;
        let input = self.buffer.get(self.from..self.to).unwrap_or_default();
        let flags = if more { inflate_flags::TINFL_FLAG_HAS_MORE_INPUT } else { 0 };
        let (status, read, written) = decompress(&mut self.inflate, input, &mut self.window, self.write, flags);
        self.from += read;
        self.position += read as u64;
        self.ready = self.write..self.write + written;
        let fresh = self.window.get(self.ready.clone()).unwrap_or_default();
        self.crc.update(fresh);
        #[allow(clippy::cast_possible_truncation, reason = "the size is kept modulo 2^32 (section 2.3.1)")]
        let written_32 = written as u32;
        self.length = self.length.wrapping_add(written_32);
        self.offset += written as u64;
        self.write = (self.write + written) % OUTPUT;
        match status {
            TINFLStatus::Done => {
                let crc = u32::from_le_bytes(self.number("a checksum")?);
                let length = u32::from_le_bytes(self.number("a size")?);
                if crc != self.crc.clone().finalize() || length != self.length {
                    return Err(self.broken("the checksum or the size of a member does not hold"));
                }
                self.at = At::Header;
            }
            TINFLStatus::HasMoreOutput => self.mark(),
            TINFLStatus::NeedsMoreInput => {}
            TINFLStatus::FailedCannotMakeProgress => return Err(self.cut("a member")),
            _ => return Err(self.broken("the compressed data makes no sense")),
        }
        Ok(())
    }

    /// Sets a mark where one is due.
    fn mark(&mut self) {
        let Some(marks) = &self.marks else { return };
        let mut marks = marks.lock().unwrap_or_else(PoisonError::into_inner);
        if !marks.is_due(self.offset) {
            return;
        }
        // The last 32 KiB that were written, in order, across the end of the buffer.
        let start = (self.write + OUTPUT - WINDOW) % OUTPUT;
        let window = self.window.iter().cycle().skip(start).take(WINDOW).copied().collect();
        marks.set(Mark {
            offset: self.offset,
            input: self.position,
            inflate: self.inflate.clone(),
            window,
            crc: self.crc.clone(),
            length: self.length,
        });
    }
}

impl Read for Gzip<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.ready.is_empty() {
            match self.at {
                At::Header => self.at = if self.header()? { At::Body } else { At::End },
                At::Body => self.body()?,
                At::End => return Ok(0),
            }
        }
        let mut ready = self.window.get(self.ready.clone()).unwrap_or_default();
        let count = ready.read(buffer)?;
        self.ready.start += count;
        Ok(count)
    }
}
