//! A block of directory entries.

use std::io;
use std::ops::ControlFlow;

use super::Entry;
use crate::source::filesystem::xfs::bytes::{Within, broken, part, u8_at, u16_at, u32_at, u64_at};
use crate::source::filesystem::xfs::disk::Disk;

/// Marks a piece without an entry, where the inode number of one would begin.
const UNUSED: u16 = 0xffff;
/// An inode number, the length of a name, and two bytes at the end that say where the entry begins.
const AROUND_NAME: usize = 8 + 1 + 2;

/// Where the entries begin and end.
fn bounds(disk: &Disk, bytes: &[u8]) -> io::Result<(usize, usize)> {
    let v5 = disk.superblock.is_v5();
    let magic = part(bytes, 0, 4)?;
    let begin = if v5 { 64 } else { 16 };
    if magic == if v5 { b"XDD3" } else { b"XD2D" } {
        return Ok((begin, bytes.len()));
    }
    if magic != if v5 { b"XDB3" } else { b"XD2B" } {
        return Err(broken(format_args!("it has the unknown magic {:#x}", u32_at(bytes, 0)?)));
    }
    // The only block of its directory has the index at its end: entries of eight bytes, and after them how many.
    let tail = bytes.len().saturating_sub(8);
    let index = usize::try_from(u32_at(bytes, tail)?).ok().and_then(|count| count.checked_mul(8));
    let end = index.and_then(|length| tail.checked_sub(length)).filter(|&end| end >= begin);
    end.map(|end| (begin, end)).ok_or_else(|| broken("its index is larger than the block"))
}

/// Shows every entry of a block.
pub(super) fn entries(
    disk: &Disk,
    bytes: &[u8],
    each: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>,
) -> io::Result<ControlFlow<()>> {
    let (begin, end) = bounds(disk, bytes)?;
    let mut at = begin;
    while at < end {
        if u16_at(bytes, at)? == UNUSED {
            let length = usize::from(u16_at(bytes, at + 2)?);
            // A block of 64 KiB cannot be all unused, so the length fits.
            if length < 8 || length % 8 != 0 || at + length > end {
                return Err(broken(format_args!("an unused piece of {length} bytes at {at}")));
            }
            at += length;
            continue;
        }
        let (found, length) = read(disk, bytes, at, end)?;
        if each(found).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        at += length;
    }
    Ok(ControlFlow::Continue(()))
}

/// The entry at an address that the index gave.
pub(super) fn entry<'a>(disk: &Disk, bytes: &'a [u8], at: usize) -> io::Result<Entry<'a>> {
    let (begin, end) = bounds(disk, bytes)?;
    if at < begin || at >= end || u16_at(bytes, at)? == UNUSED {
        return Err(broken(format_args!("its index names byte {at}, where no entry is")));
    }
    read(disk, bytes, at, end).map(|(entry, _)| entry)
}

/// An entry and its length.
fn read<'a>(disk: &Disk, bytes: &'a [u8], at: usize, end: usize) -> io::Result<(Entry<'a>, usize)> {
    let entry = || {
        let length = usize::from(u8_at(bytes, at + 8)?);
        let kind = usize::from(disk.superblock.features.has_ftype());
        let whole = (AROUND_NAME + length + kind).next_multiple_of(8);
        if length == 0 || at + whole > end || usize::from(u16_at(bytes, at + whole - 2)?) != at {
            return Err(broken("it is no entry"));
        }
        Ok((Entry { name: part(bytes, at + 9, length)?, inode: u64_at(bytes, at)? }, whole))
    };
    entry().within(|| format!("the entry at byte {at}"))
}
