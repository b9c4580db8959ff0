//! Names, each kept once, and an index that finds numbers by what they stand for.

use std::hash::{BuildHasher, RandomState};
use std::io;

use super::super::bytes::invalid;
use super::super::layer::{NONE, index};

/// A table of numbers, found through a hash of what they stand for: five bytes for each, and nothing of the key. The hash
/// is seeded anew in every run, so that no archive can be made whose names meet in one place.
pub(super) struct Index {
    slots: Vec<u32>,
    used: usize,
    seed: RandomState,
}

impl Index {
    pub(super) fn new() -> Self {
        Self { slots: vec![NONE; 64], used: 0, seed: RandomState::new() }
    }

    pub(super) fn hash(&self, key: impl std::hash::Hash) -> u64 {
        self.seed.hash_one(key)
    }

    /// The slots from the hash's own on, round the whole table.
    fn places(&self, hash: u64) -> impl Iterator<Item = usize> + use<> {
        let count = self.slots.len();
        let start = usize::try_from(hash % count as u64).unwrap_or(0);
        (start..count).chain(0..start)
    }

    pub(super) fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        for place in self.places(hash) {
            match self.slots.get(place) {
                None | Some(&NONE) => return None,
                Some(&number) if is_it(number) => return Some(number),
                Some(_) => {}
            }
        }
        None
    }

    /// Adds a number that is not there; `hash_of` gives the hashes of those that are.
    pub(super) fn add(&mut self, hash: u64, number: u32, hash_of: impl Fn(&Self, u32) -> u64) {
        if (self.used + 1) * 5 > self.slots.len() * 4 {
            let larger = vec![NONE; self.slots.len() * 2];
            let before = std::mem::replace(&mut self.slots, larger);
            for number in before.into_iter().filter(|&number| number != NONE) {
                let hash = hash_of(self, number);
                self.put(hash, number);
            }
        }
        self.used += 1;
        self.put(hash, number);
    }

    fn put(&mut self, hash: u64, number: u32) {
        for place in self.places(hash) {
            if let Some(slot) = self.slots.get_mut(place)
                && *slot == NONE
            {
                *slot = number;
                return;
            }
        }
    }
}

/// Names by number.
pub(super) struct Names {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    index: Index,
}

impl Names {
    pub(super) fn new() -> Self {
        Self { bytes: Vec::new(), ends: Vec::new(), index: Index::new() }
    }

    pub(super) fn get(&self, number: u32) -> &[u8] {
        let number = number as usize;
        let start = number.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |&end| end as usize);
        let end = self.ends.get(number).map_or(start, |&end| end as usize);
        self.bytes.get(start..end).unwrap_or_default()
    }

    pub(super) fn find(&self, name: &[u8]) -> Option<u32> {
        self.index.find(self.index.hash(name), |number| self.get(number) == name)
    }

    /// The number of a name, a new one if it was not there.
    pub(super) fn add(&mut self, name: &[u8]) -> io::Result<u32> {
        if let Some(number) = self.find(name) {
            return Ok(number);
        }
        let number = index(self.ends.len());
        self.bytes.extend_from_slice(name);
        self.ends.push(u32::try_from(self.bytes.len()).map_err(|_| invalid("more than 4 GiB of names"))?);
        let hash = self.index.hash(name);
        let (bytes, ends) = (&self.bytes, &self.ends);
        self.index.add(hash, number, |index, number| {
            let number = number as usize;
            let start = number.checked_sub(1).and_then(|before| ends.get(before)).map_or(0, |&end| end as usize);
            let end = ends.get(number).map_or(start, |&end| end as usize);
            index.hash(bytes.get(start..end).unwrap_or_default())
        });
        Ok(number)
    }

    /// Gives back what was reserved for more.
    pub(super) fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
        self.ends.shrink_to_fit();
    }
}
