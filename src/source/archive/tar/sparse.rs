//! Sparse files: which parts of a file are in the archive, and a reader that puts the holes back.

use std::io::{self, Read};

use super::super::bytes::invalid;

/// Segments one file may have. A database of 64 GiB with every second page missing is beyond it, and no image holds one.
const MOST: usize = 100_000;

/// The parts of a file that are stored, by offset and length, in order.
#[derive(Default, Clone, Debug, PartialEq, Eq, Hash)]
pub(in super::super) struct Map(Vec<(u64, u64)>);

impl Map {
    /// Adds a part behind those before.
    pub(super) fn push(&mut self, offset: u64, length: u64) -> io::Result<()> {
        let end = self.0.last().map_or(0, |(offset, length)| offset + length);
        if offset < end || offset.checked_add(length).is_none() {
            return Err(invalid("segments of a sparse file that overlap or wrap round"));
        }
        if self.0.len() >= MOST {
            return Err(invalid(format!("a sparse file of more than the limit of {MOST} segments")));
        }
        self.0.push((offset, length));
        Ok(())
    }

    /// Whether exactly this much is stored, and nothing of it beyond the end.
    pub(super) fn check(&self, stored: u64, size: u64) -> io::Result<()> {
        let end = self.0.last().map_or(0, |(offset, length)| offset + length);
        let sum = self.stored();
        if sum != stored || end > size || i64::try_from(size).is_err() {
            return Err(invalid(format!(
                "a sparse file of {size} bytes whose segments end at {end} and have {sum} of {stored} bytes"
            )));
        }
        Ok(())
    }

    /// How much is stored.
    pub(in super::super) fn stored(&self) -> u64 {
        self.0.iter().map(|(_, length)| length).sum()
    }

    /// The bytes of memory it costs.
    pub(in super::super) fn cost(&self) -> u64 {
        16 * self.0.len() as u64
    }

    /// The whole file, out of what is stored.
    pub(in super::super) fn reader<'m>(&'m self, stored: Box<dyn Read + Send + 'm>, size: u64) -> Box<dyn Read + Send + 'm> {
        Box::new(Filled { stored, parts: self.0.iter(), part: None, at: 0, size })
    }
}

/// A number of decimal digits.
pub(super) fn decimal(digits: &[u8]) -> io::Result<u64> {
    let add = |value: u64, &digit: &u8| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    };
    let value = digits.iter().try_fold(0, add).filter(|_| !digits.is_empty());
    value.ok_or_else(|| {
        invalid(format!("'{}' where a number belongs", crate::path::printable(digits.get(..40).unwrap_or(digits))))
    })
}

/// Puts zeros where nothing is stored.
struct Filled<'m> {
    stored: Box<dyn Read + Send + 'm>,
    parts: std::slice::Iter<'m, (u64, u64)>,
    part: Option<(u64, u64)>,
    at: u64,
    size: u64,
}

impl Read for Filled<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.part.is_none_or(|(offset, length)| offset + length <= self.at) {
            match self.parts.next() {
                Some(part) => self.part = Some(*part),
                None => break,
            }
        }
        let (until, is_stored) = match self.part {
            Some((offset, _)) if self.at < offset => (offset, false),
            Some((offset, length)) if self.at < offset + length => (offset + length, true),
            _ => (self.size, false),
        };
        let left = usize::try_from(until.saturating_sub(self.at)).unwrap_or(usize::MAX).min(buffer.len());
        let part = buffer.get_mut(..left).unwrap_or_default();
        let count = if is_stored {
            self.stored.read(part)?
        } else {
            part.fill(0);
            left
        };
        if is_stored && count == 0 && left > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += count as u64;
        Ok(count)
    }
}
