//! Work that was announced in the log and not done: the kernel does it after the replay.
//!
//! Freed space, and the maps of who owns which block, change nothing that a reader sees. An extent that was to be moved, two files that
//! were to be exchanged, and an attribute that was to be set do: of these inodes the content, or the attributes, are not known.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::transaction::{Item, le32, le64};

const MAP: u16 = 0x1244;
const ATTRIBUTE: u16 = 0x1246;
const EXCHANGE: u16 = 0x1248;
/// Announced here, done in the next number: freed extents, reverse map, reference counts, and the three above.
const ANNOUNCED: [u16; 6] = [0x1236, 0x1240, 0x1242, MAP, ATTRIBUTE, EXCHANGE];
/// Operations on attributes that only change who a file's parents are.
const PARENTS: [u32; 3] = [4, 5, 6];

/// Inodes of which not everything is known.
#[derive(Debug, Default)]
pub(in crate::source::filesystem::xfs) struct Unfinished {
    /// Their content, or names, or target.
    pub(in crate::source::filesystem::xfs) content: BTreeSet<u64>,
    pub(in crate::source::filesystem::xfs) attributes: BTreeSet<u64>,
}

#[derive(Default)]
pub(super) struct Intents {
    open: BTreeMap<(u16, u64), Unfinished>,
}

impl Intents {
    /// Takes an item; says whether it was one of these.
    pub(super) fn take(&mut self, item: &Item) -> io::Result<bool> {
        let kind = item.kind();
        if ANNOUNCED.contains(&kind) {
            let format = item.region(0)?;
            self.open.insert((kind, le64(format, 8)?), touched(kind, format)?);
            return Ok(true);
        }
        let announced = kind.wrapping_sub(1);
        if ANNOUNCED.contains(&announced) {
            self.open.remove(&(announced, le64(item.region(0)?, 8)?));
            return Ok(true);
        }
        Ok(false)
    }

    /// How many were not done, and what they touch.
    pub(super) fn finish(self) -> (usize, Unfinished) {
        let count = self.open.len();
        let mut all = Unfinished::default();
        for (_, mut one) in self.open {
            all.content.append(&mut one.content);
            all.attributes.append(&mut one.attributes);
        }
        (count, all)
    }
}

fn touched(kind: u16, format: &[u8]) -> io::Result<Unfinished> {
    let mut found = Unfinished::default();
    match kind {
        MAP => {
            found.content.insert(le64(format, 16)?);
        }
        EXCHANGE => {
            for inode in [le64(format, 16)?, le64(format, 24)?] {
                found.content.insert(inode);
                found.attributes.insert(inode);
            }
        }
        // The lowest byte is the operation.
        ATTRIBUTE if !PARENTS.contains(&(le32(format, 24)? & 0xff)) => {
            found.attributes.insert(le64(format, 16)?);
        }
        _ => {}
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An announcement, or that it was done: its kind, its number, and words of 64 bits.
    fn item(kind: u16, words: &[u64]) -> Item {
        let mut item = Item::default();
        let mut region = kind.to_le_bytes().to_vec();
        region.extend_from_slice(&[1, 0, 1, 0, 0, 0]);
        words.iter().for_each(|word| region.extend_from_slice(&word.to_le_bytes()));
        item.regions.push(region);
        item
    }

    #[test]
    fn what_was_announced_and_done_leaves_nothing_in_doubt() {
        let mut intents = Intents::default();
        assert!(intents.take(&item(MAP, &[7, 131, 0, 0])).unwrap());
        assert!(intents.take(&item(MAP + 1, &[7])).unwrap());
        let (count, unfinished) = intents.finish();
        assert_eq!(count, 0);
        assert!(unfinished.content.is_empty() && unfinished.attributes.is_empty());
    }

    #[test]
    fn what_was_announced_and_not_done_leaves_its_inodes_in_doubt() {
        let mut intents = Intents::default();
        // Freed extents change nothing that is read.
        assert!(intents.take(&item(0x1236, &[1, 99, 1])).unwrap());
        assert!(intents.take(&item(MAP, &[2, 131, 0, 0])).unwrap());
        assert!(intents.take(&item(ATTRIBUTE, &[3, 132, 1, 0])).unwrap());
        // A parent pointer.
        assert!(intents.take(&item(ATTRIBUTE, &[4, 133, 4, 0])).unwrap());
        assert!(intents.take(&item(EXCHANGE, &[5, 134, 135, 0])).unwrap());
        assert!(!intents.take(&item(0x123d, &[5])).unwrap(), "a quota is no announcement");
        let (count, unfinished) = intents.finish();
        assert_eq!(count, 5);
        assert_eq!(unfinished.content.into_iter().collect::<Vec<_>>(), [131, 134, 135]);
        assert_eq!(unfinished.attributes.into_iter().collect::<Vec<_>>(), [132, 134, 135]);
    }
}
