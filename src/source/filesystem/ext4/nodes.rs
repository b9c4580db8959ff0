//! Blocks of extent trees and block maps that were read lately: a large file is read piece by piece, each through the same tree.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes that are kept; when they are full, it starts anew. A tree of a file of a gigabyte in pieces of 128 KiB fits.
const KEPT: usize = 1 << 20;

/// Inode and block.
type Key = (u64, u64);

/// The nodes and how many bytes they have.
type Kept = (HashMap<Key, Arc<[u8]>>, usize);

/// Nodes by the inode they belong to (their checksum is valid for no other) and their block.
#[derive(Default)]
pub(super) struct Nodes(Mutex<Kept>);

impl Nodes {
    pub(super) fn get(&self, key: Key) -> Option<Arc<[u8]>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.get(&key).cloned()
    }

    pub(super) fn keep(&self, key: Key, node: Arc<[u8]>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.1.saturating_add(node.len()) > KEPT {
            *kept = (HashMap::new(), 0);
        }
        kept.1 = kept.1.saturating_add(node.len());
        kept.0.insert(key, node);
    }
}
