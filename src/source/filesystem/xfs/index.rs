//! The hash index of directories and attributes: nodes that lead to leaves, leaves that lead to names.
//!
//! Layout as in "XFS Filesystem Disk Structures", chapters "Directories" and "Extended Attributes". Both use the same nodes.

use std::io;
use std::ops::ControlFlow;

use super::bytes::{Within, broken, part, u16_at, u32_at};
use super::content;
use super::disk::{Disk, INDEX};
use super::inode::Fork;

/// The kernel's own limit to the depth of these trees.
const MAX_DEPTH: usize = 5;
/// Names with the same hash may fill several leaves, which are chained. This many leaves hold more than a million names in the
/// smallest blocks; a longer chain goes in circles.
const MAX_CHAIN: usize = 1 << 16;
const NODE_V4: u16 = 0xfebe;
const NODE_V5: u16 = 0x3ebe;

/// What the leaves of an index look like.
pub(super) struct Shape {
    /// The magic numbers of its leaves, in v4 and in v5.
    pub(super) leaves: &'static [u16],
    /// How long the header of a leaf is, in v4 and in v5.
    pub(super) header: (usize, usize),
    /// Where the index begins, in blocks of the file.
    pub(super) root: u64,
    /// How large its blocks are, in bytes.
    pub(super) block: u32,
}

/// Is shown a leaf, and in it an entry with the hash looked for.
pub(super) type Each<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> io::Result<ControlFlow<()>>;

/// Shows every entry with this hash.
pub(super) fn search(disk: &Disk, fork: &Fork<'_>, shape: &Shape, hash: u32, each: Each<'_>) -> io::Result<()> {
    let mut at = shape.root;
    for _ in 0..MAX_DEPTH {
        let bytes = load(disk, fork, shape, at)?;
        let magic = u16_at(&bytes, 8)?;
        if magic != NODE_V4 && magic != NODE_V5 {
            return leaves(disk, fork, shape, bytes, hash, each);
        }
        // The count lies where it does in leaves; the level follows it.
        let (count_at, entries_at) = if disk.superblock.is_v5() { (56, 64) } else { (12, 16) };
        let entries = part(&bytes, entries_at, usize::from(u16_at(&bytes, count_at)?) * 8)?;
        // Each entry has the highest hash of what is below it.
        let Some(entry) = entries.get(first_not_below(entries, hash)?..).and_then(|rest| rest.first_chunk::<8>()) else {
            return Ok(());
        };
        at = u64::from(u32_at(entry, 4)?);
    }
    Err(broken("its index is deeper than it can be"))
}

fn load(disk: &Disk, fork: &Fork<'_>, shape: &Shape, at: u64) -> io::Result<Vec<u8>> {
    content::block(disk, fork, at, shape.block, &INDEX)
        .and_then(|bytes| bytes.ok_or_else(|| broken("it is a hole")))
        .within(|| format!("index block {at}"))
}

fn leaves(disk: &Disk, fork: &Fork<'_>, shape: &Shape, first: Vec<u8>, hash: u32, each: Each<'_>) -> io::Result<()> {
    let mut bytes = first;
    for _ in 0..MAX_CHAIN {
        let magic = u16_at(&bytes, 8)?;
        if !shape.leaves.contains(&magic) {
            return Err(broken(format_args!("an index block has the unknown magic {magic:#x}")));
        }
        let v5 = disk.superblock.is_v5();
        let count = usize::from(u16_at(&bytes, if v5 { 56 } else { 12 })?);
        let entries = part(&bytes, if v5 { shape.header.1 } else { shape.header.0 }, count * 8)?;
        let rest = entries.get(first_not_below(entries, hash)?..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(());
        }
        for entry in rest.chunks_exact(8) {
            if u32_at(entry, 0)? != hash {
                return Ok(());
            }
            if each(&bytes, entry)?.is_break() {
                return Ok(());
            }
        }
        // The leaf ends with our hash: the next may go on with it.
        match u32_at(&bytes, 0)? {
            0 => return Ok(()),
            next => bytes = load(disk, fork, shape, u64::from(next))?,
        }
    }
    Err(broken("its index has a chain of leaves that goes in circles"))
}

/// Where the first entry begins whose hash is not below this one. Entries are sorted; if they are not, names are not found, in the
/// kernel as well.
fn first_not_below(entries: &[u8], hash: u32) -> io::Result<usize> {
    let (mut low, mut high) = (0, entries.len() / 8);
    while low < high {
        let middle = usize::midpoint(low, high);
        if u32_at(entries, middle * 8)? < hash {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low * 8)
}

/// The hash of a name, over its bytes as `fold` gives them: four bytes at a time, seven bits apart.
pub(super) fn hash(name: &[u8], fold: fn(u8) -> u8) -> u32 {
    // Rotating by seven a byte is the same as the format's rotation by 28 every four.
    name.iter().fold(0_u32, |hash, &byte| hash.rotate_left(7) ^ u32::from(fold(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_xfs() {
        // As `xfs_db -c "hash etc"` says.
        assert_eq!(hash(b"etc", |byte| byte), 0x0019_7a63);
        assert_eq!(hash(b"lost+found", |byte| byte), 0x021a_a60c);
        assert_eq!(hash(b"averyveryverylongname.conf", |byte| byte), 0xbb7c_ea43);
    }
}
