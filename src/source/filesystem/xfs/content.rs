//! What a fork holds: bytes of a file, and blocks of a directory or an attribute index that may lie in pieces.

use std::io;
use std::ops::ControlFlow;

use super::bytes::{Within, broken};
use super::disk::{Disk, Identity};
use super::extents::{self, Extent};
use super::inode::{Fork, Inode};

/// Reads of a regular file what is at `offset`: fewer bytes than asked for only at its end.
pub(super) fn read(disk: &Disk, inode: &Inode, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let left = usize::try_from(inode.metadata.size.saturating_sub(offset)).unwrap_or(usize::MAX);
    let wanted = buffer.len().min(left);
    let Some(buffer) = buffer.get_mut(..wanted) else { return Ok(0) };
    if wanted == 0 {
        return Ok(0);
    }
    buffer.fill(0);
    let log = disk.superblock.block_log;
    let end = offset + wanted as u64;
    extents::visit(disk, &inode.data()?, offset >> log, &mut |extent| {
        // File offsets have 54 bits, and blocks up to 16: the last block that a size of 63 bits reaches is this.
        if extent.offset > (end - 1) >> log {
            return Ok(ControlFlow::Break(()));
        }
        fill(disk, extent, offset, buffer).within(|| format!("content at file block {}", extent.offset))?;
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(wanted)
}

/// Puts what of an extent belongs into a buffer that begins at `offset` of the file.
fn fill(disk: &Disk, extent: Extent, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
    if extent.unwritten {
        return Ok(());
    }
    let log = disk.superblock.block_log;
    let begin = u128::from(extent.offset) << log;
    let end = u128::from(extent.end()) << log;
    let (first, last) = (u128::from(offset), u128::from(offset) + buffer.len() as u128);
    let (from, to) = (begin.max(first), end.min(last));
    if from >= to {
        return Ok(());
    }
    let place = disk.place(extent.block, extent.count)?;
    let skipped = u64::try_from(from - begin).map_err(|_| broken("it lies beyond 64 bits"))?;
    let range = usize::try_from(from - first).ok().zip(usize::try_from(to - first).ok());
    let target = range.and_then(|(from, to)| buffer.get_mut(from..to)).ok_or_else(|| broken("it lies outside"))?;
    disk.read_into(place + skipped, target)
}

/// A block of a directory or an attribute index, as large as `size`; where its first byte lies is part of its identity. Nothing if
/// its first block is a hole.
pub(super) fn block(disk: &Disk, fork: &Fork<'_>, offset: u64, size: u32, identity: &Identity) -> io::Result<Option<Vec<u8>>> {
    let Some(first) = extents::find(disk, fork, offset)? else { return Ok(None) };
    block_from(disk, fork, first, offset, size, identity).map(Some)
}

/// The same, if the extent is known that holds its first block.
pub(super) fn block_from(
    disk: &Disk,
    fork: &Fork<'_>,
    first: Extent,
    offset: u64,
    size: u32,
    identity: &Identity,
) -> io::Result<Vec<u8>> {
    let count = u64::from(size) >> disk.superblock.block_log;
    let skipped = offset.checked_sub(first.offset).ok_or_else(|| broken("it begins with a hole"))?;
    let place = disk.place(first.block + skipped, 1)?;
    let bytes = if first.end() >= offset + count {
        let bytes = disk.read(place, size as usize)?;
        disk.verify_checksum(&bytes, identity.checksum, place)?;
        bytes
    } else {
        let (bytes, replayed) = gather(disk, fork, offset, count)?;
        if !replayed {
            disk.verify_checksum(&bytes, identity.checksum, place)?;
        }
        bytes
    };
    disk.verify_identity(&bytes, identity, place, fork.inode)?;
    Ok(bytes)
}

/// Reads blocks of a fork that do not lie together, and says whether some of it comes from the log.
fn gather(disk: &Disk, fork: &Fork<'_>, offset: u64, count: u64) -> io::Result<(Vec<u8>, bool)> {
    let log = disk.superblock.block_log;
    // At most 64 KiB: a directory block.
    let mut bytes = vec![0; usize::try_from(count << log).map_err(broken)?];
    let (mut covered, mut replayed, begin) = (offset, false, offset << log);
    extents::visit(disk, fork, offset, &mut |extent| {
        if extent.offset > covered || extent.unwritten {
            return Err(broken(format_args!("file block {covered} is a hole within a directory block")));
        }
        fill(disk, extent, begin, &mut bytes)?;
        replayed |= disk.is_replayed(disk.place(extent.block, extent.count)?, extent.count << log);
        covered = extent.end();
        Ok(if covered >= offset + count { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    if covered < offset + count {
        return Err(broken(format_args!("file block {covered} is a hole within a directory block")));
    }
    Ok((bytes, replayed))
}
