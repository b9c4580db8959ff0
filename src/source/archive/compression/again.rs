//! A compressed stream read a second time, for the few files whose content was not kept.

use std::io::{self, Read};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};

use super::super::bytes::{Bytes, invalid};
use super::gzip::{Gzip, Marks};
use super::{Bounds, Compression, decoder};

/// How often the whole stream may be decompressed again in all; a scan that reads more than a few large files beyond those kept has
/// been led there by the image.
const TIMES: u64 = 16;
/// What may be decompressed again in any case: small streams cost nothing.
const FREE: u64 = 4 << 30;

/// What a compressed stream holds, from any offset on.
///
/// gzip goes on from the mark before; the other formats begin from the start. A reader that is done is kept: who asks next for
/// something behind it, reads on.
pub(in super::super) struct Again {
    below: Arc<dyn Bytes>,
    compression: Compression,
    bounds: Bounds,
    marks: Arc<Mutex<Marks>>,
    /// Bytes it holds.
    len: AtomicU64,
    spent: AtomicU64,
    waiting: Mutex<Option<Place>>,
}

struct Place {
    offset: u64,
    reader: Box<dyn Read + Send>,
}

impl Again {
    /// Over the compressed bytes. The marks are those that the first reading sets.
    pub(in super::super) fn new(
        below: Arc<dyn Bytes>,
        compression: Compression,
        bounds: Bounds,
        marks: Arc<Mutex<Marks>>,
    ) -> Self {
        Self { below, compression, bounds, marks, len: 0.into(), spent: 0.into(), waiting: Mutex::new(None) }
    }

    /// Says how much the stream holds, once that is known.
    pub(in super::super) fn holds(&self, len: u64) {
        self.len.store(len, Relaxed);
    }

    fn spend(&self, bytes: u64) -> io::Result<()> {
        let limit = FREE.saturating_add(self.len.load(Relaxed).saturating_mul(TIMES));
        if self.spent.fetch_add(bytes, Relaxed).saturating_add(bytes) > limit {
            return Err(invalid(format!("more than the limit of {limit} bytes would be decompressed a second time")));
        }
        Ok(())
    }

    /// A reader at or before `offset`: the one that waits, the nearest mark, or the start.
    fn place(&self, offset: u64) -> io::Result<Place> {
        let marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let mark = marks.all.iter().rev().find(|mark| mark.offset <= offset);
        let nearest = mark.map_or(0, |mark| mark.offset);
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(place) = waiting.filter(|place| (nearest..=offset).contains(&place.offset)) {
            return Ok(place);
        }
        if let Some(mark) = mark {
            let reader = Gzip::resume(Arc::clone(&self.below).reader(mark.input)?, mark);
            return Ok(Place { offset: mark.offset, reader: Box::new(reader) });
        }
        let reader = decoder(self.compression, Arc::clone(&self.below).reader(0)?, self.bounds, None);
        Ok(Place { offset: 0, reader })
    }
}

impl Bytes for Again {
    fn reader(self: Arc<Self>, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        let mut place = self.place(offset)?;
        let between = offset - place.offset;
        self.spend(between)?;
        let passed = io::copy(&mut (&mut place.reader).take(between), &mut io::sink())?;
        if passed < between {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("the {} stream changed", self.compression.name())));
        }
        place.offset = offset;
        Ok(Box::new(Reader { again: self, place: Some(place) }))
    }

    fn is_gone(&self) -> bool {
        self.below.is_gone()
    }
}

/// Reads on, and leaves its place to the next when it is done.
struct Reader {
    again: Arc<Again>,
    place: Option<Place>,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(place) = &mut self.place else { return Ok(0) };
        match place.reader.read(buffer) {
            Ok(count) => {
                place.offset += count as u64;
                self.again.spend(count as u64)?;
                Ok(count)
            }
            Err(error) => {
                self.place = None;
                Err(error)
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            *self.again.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Some(place);
        }
    }
}
