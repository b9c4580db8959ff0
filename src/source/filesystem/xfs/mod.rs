//! XFS, versions 4 and 5, read only.
//!
//! Written from the kernel's documentation ("XFS Filesystem Disk Structures" and `xfs-self-describing-metadata`) and compared with what
//! the kernel itself says of the same images. Every structure of version 5 is held against its checksum, and against what it says of
//! itself: its place, its owner and the UUID. If the log is not clean it is replayed in memory first (see [`log`]).

mod attributes;
mod bulk;
mod bytes;
mod content;
mod directory;
mod disk;
mod error;
mod extents;
mod features;
mod group;
mod index;
mod inode;
mod log;
mod superblock;
mod symlink;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

pub use error::FileSystemError;
pub use log::LogState;

use self::bytes::{Within, broken};
use self::disk::Disk;
use self::inode::Inode;
use self::log::{Outcome, Unfinished};
use self::superblock::{MAX_SECTOR, Superblock};
use super::FileSystem;
use crate::image::{FileKind, Metadata};
use crate::source::device::BlockDevice;

/// An XFS file system on a device.
pub struct Xfs {
    disk: Disk,
    log: LogState,
    unfinished: Unfinished,
}

impl Xfs {
    /// Whether a device that begins with these bytes (512 are enough) looks like XFS.
    #[must_use]
    pub fn recognise(start: &[u8]) -> bool {
        start.starts_with(b"XFSB")
    }

    /// Opens the file system, and replays its log in memory if it has to be.
    ///
    /// A log that cannot be replayed is no error: [`Xfs::log`] says why, and then whatever is read may be out of date.
    ///
    /// # Errors
    /// [`FileSystemError`]: it is none, it is broken, or it uses a feature that would be read wrongly.
    pub fn open(device: Arc<dyn BlockDevice>) -> Result<Self, FileSystemError> {
        let superblock = Superblock::parse(&read_superblock(&*device)?, true)?;
        let disk = Disk { device, superblock, overlay: None, exchanged: BTreeSet::new() };
        let Outcome { disk, state, unfinished } = log::replay(disk)?;
        Ok(Self { disk, log: state, unfinished })
    }

    /// The label, as raw bytes; empty if it has none.
    #[must_use]
    pub fn label(&self) -> &[u8] {
        &self.disk.superblock.label
    }

    /// The UUID, as `blkid` and fstab write it.
    #[must_use]
    pub fn uuid(&self) -> String {
        let mut text = String::with_capacity(36);
        for (at, byte) in self.disk.superblock.uuid.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            text.push_str(&format!("{byte:02x}"));
        }
        text
    }

    /// The names of its features, the version of the format first.
    #[must_use]
    pub fn features(&self) -> Vec<&'static str> {
        self.disk.superblock.features.names()
    }

    /// The size of a block in bytes.
    #[must_use]
    pub fn block_size(&self) -> u32 {
        self.disk.superblock.block_size
    }

    /// Its size in bytes. A shorter device is an image that was cut off.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.disk.superblock.size()
    }

    /// What its log was found to be.
    #[must_use]
    pub fn log(&self) -> &LogState {
        &self.log
    }

    /// Does something with an inode; errors name it.
    fn with<T>(&self, number: u64, work: impl FnOnce(&Inode) -> io::Result<T>) -> io::Result<T> {
        let inode = Inode::read(&self.disk, number)?;
        work(&inode).within(|| format!("inode {number}"))
    }

    /// As [`Xfs::with`], but only if the log left no doubt about the content.
    fn with_content<T>(&self, number: u64, work: impl FnOnce(&Inode) -> io::Result<T>) -> io::Result<T> {
        if self.unfinished.content.contains(&number) {
            return Err(unfinished(number, "content"));
        }
        self.with(number, work)
    }
}

fn unfinished(inode: u64, what: &str) -> io::Error {
    broken(format_args!("inode {inode}: the log announces a change of its {what} that was not done"))
}

fn read_superblock(device: &dyn BlockDevice) -> Result<Vec<u8>, FileSystemError> {
    let length = usize::try_from(device.len()).unwrap_or(MAX_SECTOR).min(MAX_SECTOR);
    let mut bytes = vec![0; length];
    device.read_at(0, &mut bytes)?;
    Ok(bytes)
}

impl FileSystem for Xfs {
    fn root(&self) -> u64 {
        self.disk.superblock.root
    }

    fn metadata(&self, inode: u64) -> io::Result<Metadata> {
        Inode::read(&self.disk, inode).map(|inode| inode.metadata)
    }

    fn lookup(&self, directory: u64, name: &[u8]) -> io::Result<Option<u64>> {
        self.with_content(directory, |inode| directory::lookup(&self.disk, inode, name))
    }

    fn entries(&self, directory: u64, each: &mut dyn FnMut(&[u8], u64) -> ControlFlow<()>) -> io::Result<()> {
        self.with_content(directory, |inode| directory::entries(&self.disk, inode, each))
    }

    fn link(&self, inode: u64) -> io::Result<Vec<u8>> {
        self.with_content(inode, |inode| match inode.metadata.kind {
            FileKind::Link => symlink::target(&self.disk, inode),
            _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no link")),
        })
    }

    fn read(&self, inode: u64, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.with_content(inode, |inode| match inode.metadata.kind {
            FileKind::File if inode.is_realtime() => {
                Err(io::Error::new(io::ErrorKind::Unsupported, "its content lies on a real-time device"))
            }
            FileKind::File => content::read(&self.disk, inode, offset, buffer),
            _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")),
        })
    }

    fn xattr(&self, inode: u64, name: &str) -> io::Result<Option<Vec<u8>>> {
        if self.unfinished.attributes.contains(&inode) {
            return Err(unfinished(inode, "attributes"));
        }
        self.with(inode, |inode| attributes::get(&self.disk, inode, name))
    }

    fn inodes(&self, each: &(dyn Fn(u64, io::Result<Metadata>) + Sync)) {
        bulk::inodes(self, each);
    }
}
