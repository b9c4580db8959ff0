//! The log: finds where it ends, what is revoked, and which blocks it has.
//!
//! Does what the passes of Linux's `fs/jbd2/recovery.c` do, with everything bounded by the length of the log.

use std::collections::{BTreeMap, HashMap};
use std::io;

use super::super::Disk;
use super::super::bytes::{be16, be32, be64, broken, joined, part};
use super::super::checksum::{crc32_be, crc32c};
use super::blocks::Blocks;
use super::is_marked;
use super::overlay::Replayed;
use super::superblock::JournalSuperblock;

const DESCRIPTOR: u32 = 1;
const COMMIT: u32 = 2;
const REVOKE: u32 = 5;

/// Bytes at the end of a descriptor or revocation block for its checksum.
const TAIL: usize = 4;

/// Blocks that may be revoked, each some 30 bytes of memory: twice as many as may be replayed.
const REVOKED: usize = 4 << 20;

/// Flags of a tag.
const ESCAPED: u16 = 1;
const SAME_UUID: u16 = 2;
const LAST: u16 = 8;

/// What the log comes to.
pub(super) struct Outcome {
    pub(super) transactions: u64,
    /// The number of the transaction that would be next.
    pub(super) next: u32,
    /// By block, each once.
    pub(super) blocks: Vec<Replayed>,
}

/// Reads the whole log.
pub(super) fn read(disk: &Disk, blocks: &Blocks, journal: &JournalSuperblock) -> io::Result<Outcome> {
    let mut log = Reader { disk, blocks, journal, found: Vec::new() };
    let end = log.scan()?;
    log.found.retain(|found| is_before(found.sequence, end));
    let revoked = log.revoked()?;
    let blocks = log.replayed(&revoked)?;
    Ok(Outcome { transactions: u64::from(end.wrapping_sub(journal.sequence)), next: end, blocks })
}

/// Numbers of transactions go round.
fn is_before(one: u32, other: u32) -> bool {
    one.wrapping_sub(other).cast_signed() < 0
}

/// A block of the log that lists others.
struct Found {
    sequence: u32,
    at: u32,
    revokes: bool,
}

/// One entry of a descriptor.
struct Tag {
    block: u64,
    flags: u16,
    checksum: u32,
}

struct Reader<'r> {
    disk: &'r Disk,
    blocks: &'r Blocks,
    journal: &'r JournalSuperblock,
    found: Vec<Found>,
}

impl Reader<'_> {
    fn block(&self, at: u32) -> io::Result<Vec<u8>> {
        self.blocks.read(self.disk, at.into())
    }

    /// The first pass: from transaction to transaction, as long as each has its commit. Gives the number after the last.
    fn scan(&mut self) -> io::Result<u32> {
        let journal = self.journal;
        let (mut sequence, mut at) = (journal.sequence, journal.start);
        let mut steps = journal.last.saturating_sub(journal.first);
        // A checksum of this transaction is wrong: either it is left over from a time before, or the journal is damaged.
        let mut doubtful = false;
        let mut time = 0;
        let mut sum = !0;
        // A commit with a wrong checksum, where commits may come early: all before it counts, if nothing comes after it.
        let mut failed = None;
        loop {
            let block = self.block(at)?;
            let here = at;
            if !is_marked(&block) || be32(&block, 8) != sequence {
                break;
            }
            let mut passed = 1_u32;
            match be32(&block, 4) {
                DESCRIPTOR => {
                    doubtful |= !self.is_intact(&block);
                    let tags = u32::try_from(self.tags(&block).len()).unwrap_or(u32::MAX);
                    if journal.sums_transactions && !doubtful && failed.is_none() {
                        sum = crc32_be(sum, &block);
                        for number in 1..=tags.min(steps) {
                            sum = crc32_be(sum, &self.block(journal.after(at, number))?);
                        }
                    }
                    passed = passed.saturating_add(tags);
                    self.found.push(Found { sequence, at: here, revokes: false });
                }
                REVOKE => {
                    doubtful |= !self.is_intact(&block);
                    self.found.push(Found { sequence, at: here, revokes: true });
                }
                COMMIT => {
                    let committed = be64(&block, 0x30);
                    if doubtful && committed >= time {
                        return Err(broken(format!("a checksum in transaction {sequence} is wrong")));
                    }
                    if doubtful {
                        break;
                    }
                    // Linux does not mount what is left of such a journal either (`jbd2_journal_load`).
                    let corrupt = |number: u32| Err(broken(format!("transaction {number} is corrupt: its checksum is wrong")));
                    if let Some(failed) = failed.filter(|_| journal.sums_transactions) {
                        return corrupt(failed);
                    }
                    if !self.is_committed(&block, sum) {
                        if committed < time {
                            break;
                        }
                        if !journal.commits_early() {
                            return corrupt(sequence);
                        }
                        failed.get_or_insert(sequence);
                    }
                    sum = !0;
                    time = committed;
                    sequence = sequence.wrapping_add(1);
                }
                _ => break,
            }
            at = journal.after(at, passed);
            match steps.checked_sub(passed) {
                Some(left) if left > 0 => steps = left,
                // All of the ring was gone through.
                Some(_) => break,
                None => return Err(broken(format!("transaction {sequence} is longer than the log"))),
            }
        }
        Ok(failed.unwrap_or(sequence))
    }

    /// Whether the checksum of a descriptor or revocation block is right, or it has none.
    fn is_intact(&self, block: &[u8]) -> bool {
        let tail = block.len().saturating_sub(TAIL);
        !self.journal.sums_blocks() || crc32c(crc32c(self.journal.seed, part(block, 0, tail)), &[0; TAIL]) == be32(block, tail)
    }

    /// Whether a commit is valid, if it says: for its own block, or (the first way) for all blocks of its transaction.
    fn is_committed(&self, block: &[u8], sum: u32) -> bool {
        let stored = be32(block, 0x10);
        if self.journal.sums_transactions {
            // The kind of checksum and its length: CRC-32, or none at all.
            return match part(block, 0xc, 2) {
                [1, 4] => stored == sum,
                [0, 0] => stored == 0,
                _ => false,
            };
        }
        let rest = block.get(0x14..).unwrap_or_default();
        !self.journal.sums_blocks() || crc32c(crc32c(crc32c(self.journal.seed, part(block, 0, 0x10)), &[0; 4]), rest) == stored
    }

    /// What a descriptor lists.
    fn tags(&self, block: &[u8]) -> Vec<Tag> {
        let length = self.journal.tag_length();
        let end = block.len().saturating_sub(if self.journal.sums_blocks() { TAIL } else { 0 });
        let mut tags = Vec::new();
        let mut at = 12_usize;
        while at.saturating_add(length) <= end {
            let flags = be16(block, at.saturating_add(6));
            let high = if self.journal.wide() { be32(block, at.saturating_add(8)) } else { 0 };
            let checksum = if self.journal.long_tags() {
                be32(block, at.saturating_add(12))
            } else {
                be16(block, at.saturating_add(4)).into()
            };
            tags.push(Tag { block: joined(be32(block, at), high), flags, checksum });
            at = at.saturating_add(length).saturating_add(if flags & SAME_UUID == 0 { 16 } else { 0 });
            if flags & LAST != 0 {
                break;
            }
        }
        tags
    }

    /// The second pass: blocks that are not to be replayed from transactions up to a number.
    fn revoked(&self) -> io::Result<HashMap<u64, u32>> {
        let mut revoked = HashMap::new();
        let width = if self.journal.wide() { 8 } else { 4 };
        for found in self.found.iter().filter(|found| found.revokes) {
            let block = self.block(found.at)?;
            let room = block.len().saturating_sub(if self.journal.sums_blocks() { TAIL } else { 0 });
            let end = usize::try_from(be32(&block, 12)).unwrap_or(usize::MAX);
            if end > room {
                return Err(broken(format!("transaction {} revokes more blocks than fit", found.sequence)));
            }
            for record in part(&block, 16, end.saturating_sub(16)).chunks_exact(width) {
                let number = if width == 8 { be64(record, 0) } else { be32(record, 0).into() };
                if revoked.len() >= REVOKED {
                    return Err(broken(format!("the journal revokes more than {REVOKED} blocks")));
                }
                let last = revoked.entry(number).or_insert(found.sequence);
                if is_before(*last, found.sequence) {
                    *last = found.sequence;
                }
            }
        }
        Ok(revoked)
    }

    /// The third pass: the blocks as the last transaction that has them left them.
    fn replayed(&self, revoked: &HashMap<u64, u32>) -> io::Result<Vec<Replayed>> {
        let mut replayed = BTreeMap::new();
        for found in self.found.iter().filter(|found| !found.revokes) {
            let descriptor = self.block(found.at)?;
            if !self.is_intact(&descriptor) {
                return Err(broken(format!("the checksum of a descriptor in transaction {} is wrong", found.sequence)));
            }
            for (tag, number) in self.tags(&descriptor).into_iter().zip(1..) {
                let at = self.journal.after(found.at, number);
                if revoked.get(&tag.block).is_some_and(|&last| !is_before(last, found.sequence)) {
                    continue;
                }
                if tag.block >= self.disk.superblock.blocks {
                    let what = format!("transaction {} has block {}, which the file system does not", found.sequence, tag.block);
                    return Err(broken(what));
                }
                self.check(&tag, at, found.sequence)?;
                let from = self.blocks.place(at.into())?;
                replayed.insert(tag.block, Replayed { block: tag.block, from, escaped: tag.flags & ESCAPED != 0 });
            }
        }
        Ok(replayed.into_values().collect())
    }

    /// Verifies the checksum of a block of data.
    fn check(&self, tag: &Tag, at: u32, sequence: u32) -> io::Result<()> {
        if !self.journal.sums_blocks() {
            return Ok(());
        }
        let sum = crc32c(crc32c(self.journal.seed, &sequence.to_be_bytes()), &self.block(at)?);
        let sum = if self.journal.long_tags() { sum } else { sum & 0xffff };
        if sum == tag.checksum {
            return Ok(());
        }
        Err(broken(format!("the checksum of block {} in transaction {sequence} is wrong", tag.block)))
    }
}
