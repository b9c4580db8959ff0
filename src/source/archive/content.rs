//! Content that is kept in memory, because the stream it came from is over or costs much to read again.

use std::io::{self, Read};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_to_vec_with_limit;

use super::bytes::{fill, invalid};

/// What is compressed, and later decompressed, at once.
const PIECE: usize = 64 << 10;
/// A piece below this gains nothing.
const SMALL: usize = 512;

/// How much all layers of an image together may make this program remember. Everything counts where it is made, so that no order of
/// reading gets round it.
#[derive(Debug, Default)]
pub(super) struct Budget {
    entries: AtomicU64,
    text: AtomicU64,
    extra: AtomicU64,
    kept: AtomicU64,
}

impl Budget {
    /// Entries. The largest images have some hundred thousand; one costs 150 bytes with its name.
    const ENTRIES: u64 = 2_000_000;
    /// Bytes of names and targets of links, as far as they differ from the entry before.
    const TEXT: u64 = 128 << 20;
    /// Bytes of extended attributes and maps of sparse files. Labels of SELinux repeat and count once.
    const EXTRA: u64 = 32 << 20;
    /// Bytes of content in memory, compressed. The configuration and the package lists of a server have some 5 MiB so, a large rpm
    /// database 20.
    const KEPT: u64 = 40 << 20;

    fn add(counter: &AtomicU64, more: u64, limit: u64, what: &str) -> io::Result<()> {
        if counter.fetch_add(more, Relaxed).saturating_add(more) > limit {
            return Err(invalid(format!("more than the limit of {limit} {what}")));
        }
        Ok(())
    }

    pub(super) fn entry(&self) -> io::Result<()> {
        Self::add(&self.entries, 1, Self::ENTRIES, "entries")
    }

    pub(super) fn text(&self, bytes: usize) -> io::Result<()> {
        Self::add(&self.text, bytes as u64, Self::TEXT, "bytes of names")
    }

    pub(super) fn extra(&self, bytes: u64) -> io::Result<()> {
        Self::add(&self.extra, bytes, Self::EXTRA, "bytes of attributes")
    }

    /// Bytes of content that are kept now.
    pub(super) fn kept(&self) -> u64 {
        self.kept.load(Relaxed)
    }

    fn keep(&self, bytes: usize) -> bool {
        let fits = Self::add(&self.kept, bytes as u64, Self::KEPT, "").is_ok();
        if !fits {
            self.kept.fetch_sub(bytes as u64, Relaxed);
        }
        fits
    }
}

/// The stored content of one file.
pub(super) struct Content(Box<[Piece]>);

enum Piece {
    Plain(Box<[u8]>),
    Deflated(Box<[u8]>),
}

impl Content {
    /// Keeps what the reader gives; nothing where that is more than may be kept.
    pub(super) fn keep(input: &mut dyn Read, stored: u64, budget: &Budget) -> io::Result<Option<Self>> {
        let (mut pieces, mut spent, mut read) = (Vec::new(), 0, 0);
        while read < stored {
            let size = usize::try_from(stored - read).unwrap_or(PIECE).min(PIECE);
            let mut plain = vec![0; size];
            if fill(input, &mut plain)? < size {
                // Who reads on finds out where the archive ends.
                return Ok(None);
            }
            read += size as u64;
            let deflated = if size < SMALL { None } else { Some(compress_to_vec(&plain, 1)) };
            let piece = match deflated.filter(|deflated| deflated.len() < size) {
                Some(deflated) => Piece::Deflated(deflated.into_boxed_slice()),
                None => Piece::Plain(plain.into_boxed_slice()),
            };
            let size = piece.len();
            if !budget.keep(size) {
                budget.kept.fetch_sub(spent, Relaxed);
                return Ok(None);
            }
            spent += size as u64;
            pieces.push(piece);
        }
        Ok(Some(Self(pieces.into_boxed_slice())))
    }

    pub(super) fn reader(&self) -> Box<dyn Read + Send + '_> {
        Box::new(Reader { pieces: self.0.iter(), plain: Vec::new(), at: 0 })
    }
}

impl Piece {
    fn len(&self) -> usize {
        match self {
            Self::Plain(bytes) | Self::Deflated(bytes) => bytes.len(),
        }
    }
}

struct Reader<'c> {
    pieces: std::slice::Iter<'c, Piece>,
    plain: Vec<u8>,
    at: usize,
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.plain.len() {
            self.at = 0;
            self.plain = match self.pieces.next() {
                None => return Ok(0),
                Some(Piece::Plain(bytes)) => bytes.to_vec(),
                Some(Piece::Deflated(bytes)) => {
                    decompress_to_vec_with_limit(bytes, PIECE).map_err(|_| invalid("kept content that is broken"))?
                }
            };
        }
        let mut rest = self.plain.get(self.at..).unwrap_or_default();
        let count = rest.read(buffer)?;
        self.at += count;
        Ok(count)
    }
}
