//! The journal (jbd2): what was written last, replayed in memory.
//!
//! Source: kernel documentation, `ext4/journal`; where that is silent, the three passes of Linux's `fs/jbd2/recovery.c`. The
//! device is never written: the blocks that a replay would write are read from the journal instead.

mod blocks;
mod overlay;
mod replay;
mod superblock;

use std::io;
use std::sync::Arc;

use super::Disk;
use super::bytes::{be32, broken};
use crate::image::FileKind;
use blocks::Blocks;
pub(super) use overlay::Overlay;
use superblock::JournalSuperblock;

/// The first four bytes of every block of a journal that is not data.
const MAGIC: u32 = 0xc03b_3998;

/// What became of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Log {
    /// Nothing was in it, or there is none.
    Clean,
    /// It was replayed.
    Replayed {
        /// How many transactions were complete.
        transactions: u64,
        /// How many blocks are now as the journal has them.
        blocks: u64,
    },
    /// It has changes that cannot be replayed, and why.
    Unusable(String),
}

impl std::fmt::Display for Log {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Clean => out.write_str("clean"),
            Self::Replayed { transactions, blocks } => write!(out, "replayed {transactions} transactions, {blocks} blocks"),
            Self::Unusable(why) => write!(out, "cannot be replayed: {why}"),
        }
    }
}

/// Replays the journal of a file system that needs it: gives the device as it would be afterwards, if that is another.
pub(super) fn replay(disk: &Disk) -> io::Result<(Option<Overlay>, Log)> {
    let superblock = &disk.superblock;
    if !superblock.features.journal() {
        return Err(broken("it is said to need recovery, and has no journal"));
    }
    if superblock.journal_inode == 0 {
        let device = superblock.journal_device;
        return Err(broken(format!("its journal is on another device, {}:{}", device >> 8 & 0xfff, device & 0xff)));
    }
    let inode = disk.any_inode(superblock.journal_inode.into())?;
    if inode.kind() != Some(FileKind::File) || inode.inline() || inode.encrypted() {
        return Err(broken("the inode of its journal is no plain file"));
    }
    let blocks = Blocks::new(disk, &inode)?;
    let journal = JournalSuperblock::parse(&blocks.read(disk, 0)?, disk.block_size(), blocks.len())?;
    if journal.start == 0 {
        return Ok((None, Log::Clean));
    }
    let outcome = replay::read(disk, &blocks, &journal)?;
    if journal.fast_blocks > 0 {
        let first = blocks.read(disk, u64::from(journal.last).saturating_add(1))?;
        // A fast commit begins with a record of its own, and counts only right after the last full one. Those before it are left
        // over.
        let tag = [9, 0, 8, 0];
        let expected = outcome.next.to_le_bytes();
        if first.get(..4) == Some(&tag) && first.get(8..12) == Some(&expected) {
            return Err(broken("it has fast commits (fast_commit) after its last transaction, which are not supported"));
        }
    }
    let log = Log::Replayed { transactions: outcome.transactions, blocks: outcome.blocks.len() as u64 };
    if outcome.blocks.is_empty() {
        return Ok((None, log));
    }
    let overlay = Overlay::new(Arc::clone(&disk.device), disk.block_size(), outcome.blocks);
    Ok((Some(overlay), log))
}

/// Whether a block begins as those of the journal do.
fn is_marked(block: &[u8]) -> bool {
    be32(block, 0) == MAGIC
}
