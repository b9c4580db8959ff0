//! Values in blocks of their own.

use std::io;

use crate::source::filesystem::xfs::bytes::{Within, broken, part, u32_at};
use crate::source::filesystem::xfs::disk::{Disk, REMOTE};
use crate::source::filesystem::xfs::extents;
use crate::source::filesystem::xfs::inode::Fork;

/// What stands at the beginning of every block in v5.
const HEADER: usize = 56;

/// A value of `length` bytes, at most 64 KiB, that begins at a block of the fork.
pub(super) fn read(disk: &Disk, fork: &Fork<'_>, block: u32, length: u32) -> io::Result<Vec<u8>> {
    let length = length as usize;
    let mut value = Vec::with_capacity(length);
    let mut at = u64::from(block);
    while value.len() < length {
        piece(disk, fork, at, length, &mut value).within(|| format!("block {at} of the value"))?;
        at += 1;
    }
    Ok(value)
}

fn piece(disk: &Disk, fork: &Fork<'_>, at: u64, length: usize, value: &mut Vec<u8>) -> io::Result<()> {
    let extent = extents::find(disk, fork, at)?.ok_or_else(|| broken("it is a hole"))?;
    let place = disk.place(extent.block + (at - extent.offset), 1)?;
    let bytes = disk.read(place, 1 << disk.superblock.block_log)?;
    let left = length - value.len();
    if !disk.superblock.is_v5() {
        value.extend_from_slice(part(&bytes, 0, left.min(bytes.len()))?);
        return Ok(());
    }
    disk.verify(&bytes, &REMOTE, place, fork.inode)?;
    let says = u32_at(&bytes, 8)? as usize;
    let fits = part(&bytes, 0, 4)? == b"XARM" && u32_at(&bytes, 4)? as usize == value.len();
    if !fits || says == 0 || says > left {
        return Err(broken("there is no value of an attribute where it should be"));
    }
    value.extend_from_slice(part(&bytes, HEADER, says)?);
    Ok(())
}
