//! Targets of links: in the inode, or in blocks of their own.
//!
//! Layout as in "XFS Filesystem Disk Structures", chapter "Symbolic Links".

use std::io;
use std::ops::ControlFlow;

use super::bytes::{broken, part, u32_at};
use super::disk::{Disk, REMOTE};
use super::extents;
use super::inode::{Format, Inode};

/// The longest target that the kernel writes.
const MAX_TARGET: u64 = 1024;
/// What stands before a piece of the target in v5.
const HEADER: usize = 56;

pub(super) fn target(disk: &Disk, inode: &Inode) -> io::Result<Vec<u8>> {
    let size = inode.metadata.size;
    if size == 0 || size > MAX_TARGET {
        return Err(broken(format_args!("the target of the link has {size} bytes")));
    }
    let target = if inode.format == Format::Local { inode.local()? } else { remote(disk, inode)? };
    if target.contains(&0) {
        return Err(broken("the target of the link contains a zero byte"));
    }
    Ok(target)
}

/// A target in blocks: each run of them begins with a header of its own.
fn remote(disk: &Disk, inode: &Inode) -> io::Result<Vec<u8>> {
    let length = usize::try_from(inode.metadata.size).map_err(broken)?;
    let mut target = Vec::with_capacity(length);
    let log = disk.superblock.block_log;
    extents::visit(disk, &inode.data()?, 0, &mut |extent| {
        let place = disk.place(extent.block, extent.count)?;
        // No more than what a whole target needs: with 512-byte blocks and headers three.
        let run = usize::try_from(extent.count.min(4) << log).map_err(broken)?;
        let bytes = disk.read(place, run)?;
        let left = length - target.len();
        if disk.superblock.is_v5() {
            disk.verify(&bytes, &REMOTE, place, inode.number)?;
            let says = usize::try_from(u32_at(&bytes, 8)?).map_err(broken)?;
            if part(&bytes, 0, 4)? != b"XSLM" || usize::try_from(u32_at(&bytes, 4)?).ok() != Some(target.len()) || says > left {
                return Err(broken("there is no target of a link where it should be"));
            }
            target.extend_from_slice(part(&bytes, HEADER, says)?);
        } else {
            target.extend_from_slice(part(&bytes, 0, left.min(bytes.len()))?);
        }
        Ok(if target.len() < length { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    if target.len() < length {
        return Err(broken("the target of the link is cut off"));
    }
    Ok(target)
}
