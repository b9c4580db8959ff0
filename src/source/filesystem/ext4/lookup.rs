//! One name in a directory: by its hash where the directory has an index.
//!
//! Source: kernel documentation, `ext4/directory` (hash tree directories).

use std::io;
use std::ops::ControlFlow;

use super::Disk;
use super::bytes::{broken, byte, le16, le32, part};
use super::directory::{entries, index_at};
use super::hash::Hasher;
use super::inode::Inode;

/// Bytes of a directory in which a name is looked for from the beginning to the end, over a million names: larger ones need an
/// index, or somebody who reads a thousand paths would read them a thousand times.
const WITHOUT_INDEX: u64 = 64 << 20;
/// The longest name there is.
const NAME: usize = 255;

impl Disk {
    /// The inode of a name. In a directory that does not regard case the name has to be as it is stored all the same; in an
    /// encrypted one it is the name that [`names`](Self::names) shows.
    pub(super) fn find(&self, inode: &Inode<'_>, name: &[u8]) -> io::Result<Option<u64>> {
        if name.is_empty() || name.len() > NAME {
            return Ok(None);
        }
        // Hashes of names without case, and of encrypted ones, are not those of the names that are asked for.
        if inode.indexed() && !inode.inline() && !inode.encrypted() && !inode.casefold() {
            match self.find_by_hash(inode, name) {
                // As Linux does it with an index that makes no sense. What cannot be read is noticed here as well.
                Err(_) | Ok(Answer::Unusable) => {}
                Ok(Answer::Absent) => return Ok(None),
                Ok(Answer::Found(number)) => return Ok(Some(number)),
            }
        }
        if inode.size() > WITHOUT_INDEX {
            return Err(broken(format!(
                "directory {}: it has {} bytes and no index that can be used",
                inode.number,
                inode.size()
            )));
        }
        let mut found = None;
        let result = self.names(inode, &mut |other, number| {
            if other != name {
                return ControlFlow::Continue(());
            }
            found = Some(number);
            ControlFlow::Break(())
        });
        match found {
            Some(number) => Ok(Some(number)),
            None => result.map(|()| None),
        }
    }

    fn find_by_hash(&self, inode: &Inode<'_>, name: &[u8]) -> io::Result<Answer> {
        let root = self.directory_block(inode, 0)?;
        let levels = byte(&root, 0x1e);
        let most = if self.superblock.features.large_dir() { 2 } else { 1 };
        // The length of what describes the index, and flags of which none is known.
        let sound = byte(&root, 0x1d) == 8 && byte(&root, 0x1f) & 1 == 0 && levels <= most;
        let Some(hasher) = Hasher::new(byte(&root, 0x1c), &self.superblock.hash).filter(|_| sound) else {
            return Ok(Answer::Unusable);
        };
        let (hash, _) = hasher.hash(name);
        // Every block is looked at once at most, unless the index leads round.
        let mut budget = inode.size().div_ceil(self.block_size()).saturating_add(1);
        // Blocks to look at, the next one last, with the levels of the index below them.
        let mut waiting = Vec::new();
        candidates(&root, 0x20, hash, levels, &mut waiting)?;
        while let Some((number, level)) = waiting.pop() {
            budget = budget.checked_sub(1).ok_or_else(|| broken(format!("directory {}: its index leads round", inode.number)))?;
            let block = self.directory_block(inode, number)?;
            let at = index_at(inode, &block, number);
            match (level, at) {
                (0, None) => {
                    let mut found = None;
                    let result = entries(&block, &mut |other, number| {
                        if other != name {
                            return ControlFlow::Continue(());
                        }
                        found = Some(number);
                        ControlFlow::Break(())
                    });
                    if let Some(number) = found {
                        return Ok(Answer::Found(number));
                    }
                    let _ = result.map_err(|what| broken(format!("directory {}: {what} in its block {number}", inode.number)))?;
                }
                (1.., Some(at)) => candidates(&block, at, hash, level.saturating_sub(1), &mut waiting)?,
                _ => return Ok(Answer::Unusable),
            }
        }
        Ok(Answer::Absent)
    }
}

enum Answer {
    Found(u64),
    Absent,
    /// There is no index that is understood.
    Unusable,
}

/// The blocks below a node of the index that may have this hash: the last that begins at or below it, and those after it that
/// begin with the same, because names of equal hash may fill more than one.
fn candidates(node: &[u8], at: usize, hash: u32, level: u8, waiting: &mut Vec<(u64, u8)>) -> io::Result<()> {
    let (limit, count) = (usize::from(le16(node, at)), usize::from(le16(node, at.saturating_add(2))));
    let fits = at.saturating_add(limit.saturating_mul(8)) <= node.len();
    if count == 0 || count > limit || !fits {
        return Err(broken(format!("an index of {count} entries where {limit} fit")));
    }
    let entries = part(node, at, count.saturating_mul(8));
    // The first has no hash: count and limit stand in its place, and it begins at zero.
    let hash_of = |index: usize| if index == 0 { 0 } else { le32(entries, index.saturating_mul(8)) };
    let after = (1..count).find(|&index| hash_of(index) > hash).unwrap_or(count);
    let from = (after.saturating_sub(1)..count).take_while(|&index| index < after || hash_of(index) & !1 == hash);
    let mut blocks: Vec<_> =
        from.map(|index| (u64::from(le32(entries, index.saturating_mul(8).saturating_add(4)) & 0x0fff_ffff), level)).collect();
    blocks.reverse();
    waiting.append(&mut blocks);
    Ok(())
}
