//! The first block of the journal.

use std::io;

use super::super::bytes::{be32, broken, byte, part};
use super::super::checksum::crc32c;
use super::MAGIC;

/// Fast-commit blocks if the journal does not say how many (`JBD2_DEFAULT_FAST_COMMIT_BLOCKS`).
const FAST_BLOCKS: u32 = 256;
/// Blocks that a journal has at least (`JBD2_MIN_JOURNAL_BLOCKS`).
const FEWEST: u32 = 1024;

/// The largest log that is replayed, in blocks: twice the largest that `mke2fs` makes by itself, 1 GiB in blocks of 1 KiB. Each
/// that is replayed takes some 40 bytes of memory.
const MOST: u32 = 2 << 20;

const REVOKE: u32 = 0x1;
const WIDE: u32 = 0x2;
const ASYNC_COMMIT: u32 = 0x4;
const CHECKSUM_2: u32 = 0x8;
const CHECKSUM_3: u32 = 0x10;
const FAST_COMMIT: u32 = 0x20;

/// What the journal says of itself.
pub(super) struct JournalSuperblock {
    /// The first block of the log.
    pub(super) first: u32,
    /// The block after the last one of the log.
    pub(super) last: u32,
    /// Blocks after that, for fast commits.
    pub(super) fast_blocks: u32,
    /// The number of the first transaction.
    pub(super) sequence: u32,
    /// The block where it begins; 0 if there is none.
    pub(super) start: u32,
    /// Start value of the checksums of blocks.
    pub(super) seed: u32,
    /// Whether whole transactions have a checksum (the first way, compatible).
    pub(super) sums_transactions: bool,
    incompatible: u32,
}

impl JournalSuperblock {
    /// Reads it from the first block of a journal of so many blocks.
    pub(super) fn parse(block: &[u8], block_size: u64, blocks: u64) -> io::Result<Self> {
        let version = be32(block, 4);
        if be32(block, 0) != MAGIC || !matches!(version, 3 | 4) {
            return Err(broken("the journal does not begin with a superblock of its own"));
        }
        // Version 1 has no features.
        let word = |at| if version == 4 { be32(block, at) } else { 0 };
        let incompatible = word(0x28);
        let unknown = incompatible & !(REVOKE | WIDE | ASYNC_COMMIT | CHECKSUM_2 | CHECKSUM_3 | FAST_COMMIT);
        if unknown != 0 {
            return Err(broken(format!("the journal uses unknown features ({unknown:#x})")));
        }
        let checked = incompatible & (CHECKSUM_2 | CHECKSUM_3);
        let sums_transactions = word(0x24) & 1 != 0;
        if checked == CHECKSUM_2 | CHECKSUM_3 || checked != 0 && sums_transactions {
            return Err(broken("the journal says that it has checksums of two kinds"));
        }
        if checked != 0 {
            if byte(block, 0x50) != 4 {
                return Err(broken(format!("the journal uses checksums of the unknown kind {}", byte(block, 0x50))));
            }
            let sum = crc32c(crc32c(crc32c(!0, part(block, 0, 0xfc)), &[0; 4]), part(block, 0x100, 0x300));
            if sum != be32(block, 0xfc) {
                return Err(broken("the checksum of the journal's superblock is wrong"));
            }
        }
        if u64::from(be32(block, 0xc)) != block_size {
            return Err(broken(format!("the journal has blocks of {} bytes", be32(block, 0xc))));
        }
        let (length, first, start) = (be32(block, 0x10), be32(block, 0x14), be32(block, 0x1c));
        let fast = match (incompatible & FAST_COMMIT != 0, word(0x54)) {
            (false, _) => 0,
            (true, 0) => FAST_BLOCKS,
            (true, count) => count,
        };
        // As Linux: where there is no room for them, there are none.
        let fast = if length.saturating_sub(fast) < FEWEST { 0 } else { fast };
        let last = length.saturating_sub(fast);
        if u64::from(length) > blocks || first == 0 || first >= last || start != 0 && !(first..last).contains(&start) {
            let what =
                format!("the journal of {blocks} blocks says that its log is in blocks {first} to {last} and begins at {start}");
            return Err(broken(what));
        }
        if last > MOST {
            return Err(broken(format!("a log of {last} blocks is longer than the {MOST} that are replayed")));
        }
        Ok(Self {
            first,
            last,
            fast_blocks: fast,
            sequence: be32(block, 0x18),
            start,
            seed: crc32c(!0, part(block, 0x30, 16)),
            sums_transactions,
            incompatible,
        })
    }

    /// Whether blocks have checksums.
    pub(super) fn sums_blocks(&self) -> bool {
        self.incompatible & (CHECKSUM_2 | CHECKSUM_3) != 0
    }

    /// Whether tags have the form of version 3.
    pub(super) fn long_tags(&self) -> bool {
        self.incompatible & CHECKSUM_3 != 0
    }

    /// Whether block numbers have 64 bits.
    pub(super) fn wide(&self) -> bool {
        self.incompatible & WIDE != 0
    }

    /// Whether a commit may have been written before what it commits.
    pub(super) fn commits_early(&self) -> bool {
        self.incompatible & ASYNC_COMMIT != 0
    }

    /// Bytes of a tag, without the UUID that may follow it. Source: Linux's `journal_tag_bytes`.
    pub(super) fn tag_length(&self) -> usize {
        match (self.long_tags(), self.sums_blocks(), self.wide()) {
            (true, ..) => 16,
            (false, true, true) => 14,
            (false, true, false) => 10,
            (false, false, true) => 12,
            (false, false, false) => 8,
        }
    }

    /// The block after this one in the log, which is a ring.
    pub(super) fn after(&self, block: u32, steps: u32) -> u32 {
        let next = u64::from(block).saturating_add(steps.into());
        let round = u64::from(self.last.saturating_sub(self.first)).max(1);
        let next = if next >= u64::from(self.last) {
            u64::from(self.first).saturating_add((next - u64::from(self.last)) % round)
        } else {
            next
        };
        u32::try_from(next).unwrap_or(self.first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(version: u32, fields: &[(usize, u32)]) -> Vec<u8> {
        let mut block = vec![0; 1024];
        let usual = [(0, MAGIC), (4, version), (0xc, 1024), (0x10, 4096), (0x14, 1), (0x18, 7), (0x1c, 9)];
        for &(at, value) in usual.iter().chain(fields) {
            block[at..at + 4].copy_from_slice(&value.to_be_bytes());
        }
        block
    }

    fn refused(fields: &[(usize, u32)]) -> String {
        JournalSuperblock::parse(&block(4, fields), 1024, 4096).err().unwrap().to_string()
    }

    #[test]
    fn tags_have_the_length_of_their_features() {
        let length = |incompatible| {
            JournalSuperblock { incompatible, ..JournalSuperblock::parse(&block(3, &[]), 1024, 4096).unwrap() }.tag_length()
        };
        assert_eq!([0, WIDE, CHECKSUM_2, WIDE | CHECKSUM_2, CHECKSUM_3].map(length), [8, 12, 10, 14, 16]);
    }

    #[test]
    fn the_log_is_a_ring_without_the_blocks_of_fast_commits() {
        let journal = JournalSuperblock::parse(&block(4, &[(0x28, FAST_COMMIT), (0x54, 96)]), 1024, 4096).unwrap();
        assert_eq!((journal.first, journal.last, journal.fast_blocks), (1, 4000, 96));
        assert_eq!((journal.after(3999, 1), journal.after(3998, 1), journal.after(3990, 12)), (1, 3999, 3));
    }

    #[test]
    fn a_journal_that_contradicts_itself_is_refused() {
        assert_eq!(refused(&[(0x28, 0x40)]), "the journal uses unknown features (0x40)");
        assert!(refused(&[(0x28, CHECKSUM_2 | CHECKSUM_3)]).contains("two kinds"));
        assert!(refused(&[(0x28, CHECKSUM_3), (0x50, 4 << 24)]).contains("checksum of the journal's superblock is wrong"));
        assert!(refused(&[(0x10, 4097)]).contains("4096 blocks"));
        assert!(refused(&[(0x1c, 4096)]).contains("begins at 4096"));
        assert_eq!(refused(&[(0xc, 4096)]), "the journal has blocks of 4096 bytes");
    }
}
