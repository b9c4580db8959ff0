//! Directories that were gone through before: paths share their beginnings.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Directories that are remembered: those on the way to what an image's facts read are some hundred. With the longest names it is
/// a megabyte; when it is full, it starts anew.
const REMEMBERED: usize = 4096;

/// Directory and name → inode, bounded.
#[derive(Default)]
pub(super) struct Ways(Mutex<Known>);

#[derive(Default)]
struct Known {
    below: HashMap<u64, HashMap<Box<[u8]>, u64>>,
    count: usize,
}

impl Ways {
    /// Where this name in this directory leads, if that is known.
    pub(super) fn get(&self, directory: u64, name: &[u8]) -> Option<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).below.get(&directory)?.get(name).copied()
    }

    /// Remembers where it leads.
    pub(super) fn keep(&self, directory: u64, name: &[u8], inode: u64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.count >= REMEMBERED {
            *known = Known::default();
        }
        if known.below.entry(directory).or_default().insert(name.into(), inode).is_none() {
            known.count += 1;
        }
    }
}
