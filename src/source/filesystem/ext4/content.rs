//! What is in a file, and where a link leads.

use std::io;

use super::Disk;
use super::bytes::{broken, length, part};
use super::inode::Inode;
use crate::image::FileKind;

/// Bytes of the target of a link that Linux still follows (`PATH_MAX`, with its final zero).
const TARGET: u64 = 4096;

impl Disk {
    /// Reads of an inode's content what is at `offset`. Fewer bytes than asked for only at its end.
    pub(super) fn content(&self, inode: &Inode<'_>, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let left = inode.size().saturating_sub(offset);
        let count = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let Some(mut rest) = buffer.get_mut(..count).filter(|wanted| !wanted.is_empty()) else { return Ok(0) };
        if inode.inline() {
            let content = self.inline(inode)?;
            let from = usize::try_from(offset).ok().and_then(|at| content.get(at..)).unwrap_or_default();
            let there = from.len().min(count);
            let (stored, beyond) = rest.split_at_mut(there);
            stored.copy_from_slice(from.get(..there).unwrap_or_default());
            // As the kernel: what the size promises and nobody stored is zeros.
            beyond.fill(0);
            return Ok(count);
        }
        let block_size = self.block_size();
        let mut at = offset;
        while !rest.is_empty() {
            let run = self.run(inode, at / block_size)?;
            let within = at % block_size;
            let there = run.blocks.saturating_mul(block_size).saturating_sub(within);
            let here = rest.len().min(usize::try_from(there).unwrap_or(usize::MAX));
            let (now, later) = rest.split_at_mut(here);
            match run.start {
                Some(start) => {
                    let place = start.saturating_mul(block_size).saturating_add(within);
                    self.fill(place, now, || format!("the content of inode {}, block {start}", inode.number))?;
                }
                None => now.fill(0),
            }
            rest = later;
            at = at.saturating_add(here as u64);
        }
        Ok(count)
    }

    /// The target of a link.
    pub(super) fn target(&self, inode: &Inode<'_>) -> io::Result<Vec<u8>> {
        if inode.kind() != Some(FileKind::Link) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Self::refuse_encrypted(inode)?;
        let size = inode.size();
        if size == 0 || size >= TARGET {
            return Err(broken(format!("inode {}: a link with a target of {size} bytes", inode.number)));
        }
        let size = length(size)?;
        let mut target = vec![0; size];
        if inode.is_short_link(self.superblock.cluster_size) {
            target = part(inode.map(), 0, size).to_vec();
        } else {
            self.content(inode, 0, &mut target)?;
        }
        // The kernel takes it as a text that ends with a zero.
        target.truncate(memchr::memchr(0, &target).unwrap_or(target.len()));
        Ok(target)
    }

    /// Refuses what can only be read with a key, which no image has.
    pub(super) fn refuse_encrypted(inode: &Inode<'_>) -> io::Result<()> {
        if !inode.encrypted() {
            return Ok(());
        }
        let what = format!("inode {} is encrypted, and its key is not in the image", inode.number);
        Err(io::Error::new(io::ErrorKind::PermissionDenied, what))
    }
}
