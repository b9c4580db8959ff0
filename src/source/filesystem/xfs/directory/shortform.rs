//! Directories so small that they fit their inode.

use std::io;
use std::ops::ControlFlow;

use super::Entry;
use crate::source::filesystem::xfs::bytes::{Within, broken, part, u8_at, u32_at, u64_at};
use crate::source::filesystem::xfs::disk::Disk;
use crate::source::filesystem::xfs::inode::Fork;

/// Shows the entries of a directory of `size` bytes.
pub(super) fn entries(
    disk: &Disk,
    fork: &Fork<'_>,
    size: u64,
    each: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>,
) -> io::Result<()> {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let bytes = part(fork.bytes, 0, size).within(|| "its size does not fit in the inode")?;
    // Inode numbers have 64 bits if one of them needs it, otherwise 32.
    let (count, wide) = (u8_at(bytes, 0)?, u8_at(bytes, 1)? != 0);
    let width = if wide { 8 } else { 4 };
    let kind = usize::from(disk.superblock.features.has_ftype());
    let mut at = 2 + width;
    for _ in 0..count {
        let length = usize::from(u8_at(bytes, at)?);
        // A length, two bytes that serve `telldir`, the name, the kind, the inode.
        let name = part(bytes, at + 3, length)?;
        let number = at + 3 + length + kind;
        let inode = if wide { u64_at(bytes, number)? } else { u64::from(u32_at(bytes, number)?) };
        at = number + width;
        if name == b"." || name == b".." {
            return Err(broken("it holds an entry for itself"));
        }
        if each(Entry { name, inode }).is_break() {
            return Ok(());
        }
    }
    Ok(())
}
