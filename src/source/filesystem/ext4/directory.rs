//! Names in directories, one block after another.
//!
//! Source: kernel documentation, `ext4/directory`.

use std::io;
use std::ops::ControlFlow;

use super::Disk;
use super::bytes::{broken, byte, le16, le32, length, part};
use super::checksum::crc32c;
use super::encrypted;
use super::hash::Hasher;
use super::inode::Inode;
use crate::image::FileKind;

/// Bytes of a directory that are read at once.
const PIECE: u64 = 64 << 10;
/// The largest directory that is read: Linux makes none beyond it, unless they may be `large_dir`.
const LARGEST: u64 = 4 << 30;
/// What stands at the end of a block of names and holds its checksum: an entry of 12 bytes without a name.
const TAIL: usize = 12;

/// Is shown names with their inodes.
pub(super) type Each<'e> = &'e mut dyn FnMut(&[u8], u64) -> ControlFlow<()>;

impl Disk {
    /// Reads an inode that has to be a directory.
    pub(super) fn directory(&self, number: u64) -> io::Result<Inode<'static>> {
        let inode = self.inode(number)?;
        if inode.kind() == Some(FileKind::Directory) { Ok(inode) } else { Err(io::ErrorKind::NotADirectory.into()) }
    }

    /// Shows every name. A block that is broken is left out, as the kernel does it, and is the error at the end.
    pub(super) fn names(&self, inode: &Inode<'_>, each: Each<'_>) -> io::Result<()> {
        if !inode.encrypted() {
            return self.raw_names(inode, each);
        }
        let hasher = self.hasher(inode)?;
        self.raw_names(inode, &mut |name, number| each(&encrypted::shown(name, hasher.as_ref()), number))
    }

    /// How the names of an indexed directory are hashed.
    fn hasher(&self, inode: &Inode<'_>) -> io::Result<Option<Hasher>> {
        if !inode.indexed() || inode.inline() {
            return Ok(None);
        }
        let root = self.directory_block(inode, 0)?;
        Ok(Hasher::new(byte(&root, 0x1c), &self.superblock.hash))
    }

    /// Shows every name as it is stored.
    fn raw_names(&self, inode: &Inode<'_>, each: Each<'_>) -> io::Result<()> {
        if inode.inline() {
            let content = self.inline(inode)?;
            // Instead of the entries for `.` and `..` it begins with the number of the directory above.
            return match entries(content.get(4..).unwrap_or_default(), each) {
                Ok(_) => Ok(()),
                Err(what) => Err(broken(format!("directory {}: {what} in the inode", inode.number))),
            };
        }
        let block_size = self.block_size();
        let count = inode.size().div_ceil(block_size);
        if count > self.superblock.blocks || inode.size() > LARGEST {
            return Err(broken(format!("directory {}: it has {} bytes, more than any can", inode.number, inode.size())));
        }
        let mut first_error = None;
        let mut buffer = Vec::new();
        let mut at = 0;
        while at < count {
            let run = self.run(inode, at)?;
            let blocks = run.blocks.min(count.saturating_sub(at));
            let Some(start) = run.start else {
                first_error.get_or_insert_with(|| broken(format!("directory {}: its block {at} is missing", inode.number)));
                at = at.saturating_add(blocks);
                continue;
            };
            let blocks = blocks.min((PIECE / block_size).max(1));
            buffer.resize(length(blocks.saturating_mul(block_size))?, 0);
            let what = || format!("directory {}, block {start}", inode.number);
            if let Err(error) = self.fill(start.saturating_mul(block_size), &mut buffer, what) {
                first_error.get_or_insert(error);
                at = at.saturating_add(blocks);
                continue;
            }
            for block in buffer.chunks_exact(length(block_size)?) {
                match self.check_names(inode, block, at).and_then(|()| entries(block, each)) {
                    Ok(ControlFlow::Break(())) => return Ok(()),
                    Ok(ControlFlow::Continue(())) => {}
                    Err(what) => {
                        first_error
                            .get_or_insert_with(|| broken(format!("directory {}: {what} in its block {at}", inode.number)));
                    }
                }
                at = at.saturating_add(1);
            }
        }
        first_error.map_or(Ok(()), Err)
    }

    /// One block of a directory, its checksum verified.
    pub(super) fn directory_block(&self, inode: &Inode<'_>, number: u64) -> io::Result<Vec<u8>> {
        if number >= inode.size().div_ceil(self.block_size()) {
            return Err(broken(format!("directory {}: it has no block {number}", inode.number)));
        }
        let Some(start) = self.run(inode, number)?.start else {
            return Err(broken(format!("directory {}: its block {number} is missing", inode.number)));
        };
        let block = self.block(start, || format!("directory {}, block {start}", inode.number))?;
        match self.check_names(inode, &block, number) {
            Ok(()) => Ok(block),
            Err(what) => Err(broken(format!("directory {}: {what} in its block {number}", inode.number))),
        }
    }

    /// Verifies the checksum of a block, which is at its end, or among the entries of an index.
    fn check_names(&self, inode: &Inode<'_>, block: &[u8], number: u64) -> Result<(), String> {
        if !self.superblock.features.metadata_csum() {
            return Ok(());
        }
        let intact = if let Some(at) = index_at(inode, block, number) {
            let (limit, count) = (usize::from(le16(block, at)), usize::from(le16(block, at.saturating_add(2))));
            let entry = |number: usize| at.saturating_add(number.saturating_mul(8));
            let tail = entry(limit);
            let checksum = crc32c(crc32c(inode.seed, part(block, 0, entry(count))), part(block, tail, 4));
            count <= limit
                && tail.saturating_add(8) <= block.len()
                && crc32c(checksum, &[0; 4]) == le32(block, tail.saturating_add(4))
        } else {
            let tail = block.len().saturating_sub(TAIL);
            // An entry that is none: no inode, 12 bytes, no name, the kind 0xDE.
            part(block, tail, 8) == [0, 0, 0, 0, 12, 0, 0, 0xde]
                && crc32c(inode.seed, part(block, 0, tail)) == le32(block, tail.saturating_add(8))
        };
        if intact { Ok(()) } else { Err("the checksum is wrong".to_owned()) }
    }
}

/// Where in a block of an indexed directory the entries of the index begin; nothing if it holds names.
pub(super) fn index_at(inode: &Inode<'_>, block: &[u8], number: u64) -> Option<usize> {
    if !inode.indexed() {
        None
    } else if number == 0 {
        // After the entries for `.` and `..`, and eight bytes about the index.
        Some(0x20)
    } else {
        // An entry that is none and takes the whole block.
        (le32(block, 0) == 0 && entry_length(block, 0, block.len()) == block.len()).then_some(8)
    }
}

/// How long an entry is. Blocks of 64 KiB do not fit in 16 bits: the two lowest bits, always zero otherwise, are those above.
fn entry_length(block: &[u8], at: usize, size: usize) -> usize {
    let length = usize::from(le16(block, at.saturating_add(4)));
    match length {
        0 | 0xffff if size >= 1 << 16 => size,
        _ if size >= 1 << 16 => length & 0xfffc | (length & 3) << 16,
        _ => length,
    }
}

/// Shows the names in these bytes, or says what is wrong with them.
pub(super) fn entries(bytes: &[u8], each: Each<'_>) -> Result<ControlFlow<()>, String> {
    let mut at = 0_usize;
    // A last entry shorter than its head is only possible inside an inode, where it is room left over.
    while at.saturating_add(8) <= bytes.len() {
        let length = entry_length(bytes, at, bytes.len());
        let named = usize::from(byte(bytes, at.saturating_add(6)));
        let end = at.saturating_add(length);
        if length < 12 && end != bytes.len() || !length.is_multiple_of(4) || length < 8 || end > bytes.len() {
            return Err(format!("an entry of {length} bytes at byte {at}"));
        }
        let number = le32(bytes, at);
        if number != 0 {
            if named.saturating_add(8) > length {
                return Err(format!("a name of {named} bytes in an entry of {length} at byte {at}"));
            }
            let name = part(bytes, at.saturating_add(8), named);
            if !matches!(name, b"." | b"..") && each(name, number.into()).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        at = end;
    }
    Ok(ControlFlow::Continue(()))
}
