//! A bounded memory of pieces that were read before: tables, and clusters that were unpacked.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::fields::size;
use super::{BlockDevice, broken};

/// How much of a table is read at once: what a file system's own block is, mostly.
const PAGE: u64 = 4 << 10;

/// What a piece is known by: which table or file, and which part of it.
pub(in crate::source) type Key = (u64, u64);

/// The pieces used last, up to a number of bytes.
pub(in crate::source) struct Cache {
    most: usize,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    /// When each was used last, and its bytes.
    pieces: BTreeMap<Key, (u64, Arc<[u8]>)>,
    /// Which was used when.
    used: BTreeMap<u64, Key>,
    bytes: usize,
    clock: u64,
}

impl Cache {
    /// Holds at most this many bytes, and the last piece in any case.
    pub(in crate::source) fn new(most: usize) -> Self {
        Self { most, held: Mutex::default() }
    }

    /// The piece of this key, made if it is not held. Two threads may make the same piece: nobody waits for another's reading.
    pub(in crate::source) fn get(&self, key: Key, make: &mut dyn FnMut() -> io::Result<Vec<u8>>) -> io::Result<Arc<[u8]>> {
        if let Some(found) = self.held.lock().unwrap_or_else(PoisonError::into_inner).find(key) {
            return Ok(found);
        }
        let made: Arc<[u8]> = make()?.into();
        self.held.lock().unwrap_or_else(PoisonError::into_inner).keep(key, &made, self.most);
        Ok(made)
    }

    /// The page that holds byte `at` of a table of `length` bytes at `start`, and where in that page it is.
    pub(in crate::source) fn page(&self, table: Table<'_>, at: u64) -> io::Result<(Arc<[u8]>, usize)> {
        let from = at - at % PAGE;
        let length = table.length.saturating_sub(from).min(PAGE);
        if at >= table.length {
            return Err(broken(format!("entry at byte {at} of a table of {} bytes", table.length)));
        }
        let offset = table.start.checked_add(from).ok_or_else(|| broken("a table beyond every file"))?;
        let page = self.get((table.file, offset), &mut || {
            let mut bytes = vec![0; size(length)?];
            table.device.read_at(offset, &mut bytes)?;
            Ok(bytes)
        })?;
        Ok((page, size(at - from)?))
    }
}

/// A table in a file.
#[derive(Clone, Copy)]
pub(in crate::source) struct Table<'d> {
    /// What holds it.
    pub(in crate::source) device: &'d dyn BlockDevice,
    /// The number of that file among those that share the cache.
    pub(in crate::source) file: u64,
    /// Where it starts.
    pub(in crate::source) start: u64,
    /// How many bytes it has.
    pub(in crate::source) length: u64,
}

impl Held {
    fn find(&mut self, key: Key) -> Option<Arc<[u8]>> {
        self.clock += 1;
        let (used, bytes) = self.pieces.get_mut(&key)?;
        self.used.remove(used);
        *used = self.clock;
        self.used.insert(self.clock, key);
        Some(Arc::clone(bytes))
    }

    fn keep(&mut self, key: Key, bytes: &Arc<[u8]>, most: usize) {
        self.clock += 1;
        self.used.insert(self.clock, key);
        self.bytes += bytes.len();
        if let Some((used, old)) = self.pieces.insert(key, (self.clock, Arc::clone(bytes))) {
            self.used.remove(&used);
            self.bytes -= old.len();
        }
        while self.bytes > most && self.pieces.len() > 1 {
            let Some((_, oldest)) = self.used.pop_first() else { break };
            if let Some((_, old)) = self.pieces.remove(&oldest) {
                self.bytes -= old.len();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_piece_used_longest_ago_goes_first_and_the_bound_holds() {
        let cache = Cache::new(30);
        let made = std::cell::RefCell::new(Vec::new());
        let get = |key| {
            let mut make = || {
                made.borrow_mut().push(key);
                Ok(vec![0; 10])
            };
            cache.get((0, key), &mut make).unwrap();
        };
        [1, 2, 3, 1, 4, 1, 3, 2].into_iter().for_each(get);
        assert_eq!(*made.borrow(), [1, 2, 3, 4, 2]);
        let held = cache.held.lock().unwrap();
        assert_eq!((held.bytes, held.pieces.len(), held.used.len()), (30, 3, 3));
    }
}
