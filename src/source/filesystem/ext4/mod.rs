//! ext2, ext3 and ext4: one format that grew.
//!
//! Written after the kernel's documentation of the format (`Documentation/filesystems/ext4/`); where that is silent, what Linux
//! itself answers is what is right. Everything that has a checksum is verified before it is used. What is broken in one inode,
//! block or group spoils what depends on it, and nothing else.

mod acl;
mod bulk;
mod bytes;
mod checksum;
mod content;
mod directory;
mod encrypted;
mod error;
mod features;
mod groups;
mod hash;
mod inline;
mod inode;
mod journal;
mod lookup;
mod map;
mod nodes;
mod superblock;
mod xattr;

#[cfg(test)]
mod tests;

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::FileSystem;
use crate::image::{FileKind, Metadata};
use crate::source::device::BlockDevice;
use bytes::length;
pub use error::FileSystemError;
pub use features::Features;
use groups::Group;
pub use inode::{Moment, Times};
pub use journal::Log;
use nodes::Nodes;
use superblock::Superblock;

/// An ext2, ext3 or ext4 file system, as it is after its journal was replayed.
pub struct Ext4 {
    disk: Disk,
    log: Log,
}

/// The device with what is known of its layout.
struct Disk {
    device: Arc<dyn BlockDevice>,
    superblock: Superblock,
    groups: Vec<Group>,
    nodes: Nodes,
}

/// What a file system says of itself as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// `ext2`, `ext3` or `ext4`.
    pub kind: &'static str,
    /// The label, as stored.
    pub label: Vec<u8>,
    /// The UUID, in the usual form.
    pub uuid: String,
    /// All features, by the names of `ext4(5)`.
    pub features: Vec<String>,
    /// Bytes of a block.
    pub block_size: u32,
    /// Bytes of the file system by its own account.
    pub length: u64,
    /// Bytes of the device, if they are fewer: what lies beyond is missing.
    pub truncated_to: Option<u64>,
    /// Where it was mounted last, as stored.
    pub last_mounted: Vec<u8>,
    /// Whether Linux noted errors in it that no fsck has looked at.
    pub has_errors: bool,
    /// Groups whose descriptors are broken; the inodes in them cannot be read.
    pub broken_groups: usize,
    /// What became of the journal.
    pub log: Log,
}

impl Ext4 {
    /// Whether the first 2 KiB of a device look like it.
    #[must_use]
    pub fn recognise(start: &[u8]) -> bool {
        Superblock::recognise(start)
    }

    /// Opens a file system, with its journal replayed in memory if there is something in it.
    ///
    /// # Errors
    /// What [`FileSystemError`] says. That the journal cannot be replayed is among it: names, owners and modes would be those of
    /// an earlier time.
    pub fn open(device: Arc<dyn BlockDevice>) -> Result<Self, FileSystemError> {
        let opened = Self::open_stale(device)?;
        match opened.log {
            Log::Unusable(why) => Err(FileSystemError::Journal(why)),
            _ => Ok(opened),
        }
    }

    /// The same, but if the journal cannot be replayed, the file system as it is without: good to have a look at, not to judge.
    /// [`Ext4::log`] says why.
    ///
    /// # Errors
    /// What [`FileSystemError`] says.
    pub fn open_stale(device: Arc<dyn BlockDevice>) -> Result<Self, FileSystemError> {
        let disk = Disk::open(device)?;
        if !disk.superblock.features.needs_recovery() {
            return Ok(Self { disk, log: Log::Clean });
        }
        match journal::replay(&disk) {
            Ok((None, log)) => Ok(Self { disk, log }),
            // The superblock and the descriptors may have been in it.
            Ok((Some(replayed), log)) => Ok(Self { disk: Disk::open(Arc::new(replayed))?, log }),
            Err(why) => Ok(Self { disk, log: Log::Unusable(why.to_string()) }),
        }
    }

    /// What became of the journal.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The label, as stored; empty if there is none.
    #[must_use]
    pub fn label(&self) -> &[u8] {
        &self.disk.superblock.label
    }

    /// The UUID, in the usual form.
    #[must_use]
    pub fn uuid(&self) -> String {
        superblock::uuid(&self.disk.superblock.uuid)
    }

    /// The features.
    #[must_use]
    pub fn features(&self) -> Features {
        self.disk.superblock.features
    }

    /// Bytes of a block.
    #[must_use]
    pub fn block_size(&self) -> u32 {
        self.disk.superblock.block_size
    }

    /// Everything about it at once.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let superblock = &self.disk.superblock;
        Summary {
            kind: superblock.kind(),
            label: superblock.label.clone(),
            uuid: self.uuid(),
            features: superblock.features.names(),
            block_size: superblock.block_size,
            length: superblock.length(),
            truncated_to: Some(self.disk.device.len()).filter(|&there| there < superblock.length()),
            last_mounted: superblock.last_mounted.clone(),
            has_errors: superblock.has_errors,
            broken_groups: self.disk.groups.iter().filter(|group| group.fault.is_some()).count(),
            log: self.log.clone(),
        }
    }

    /// All times of an inode.
    ///
    /// # Errors
    /// As [`FileSystem::metadata`].
    pub fn times(&self, inode: u64) -> io::Result<Times> {
        Ok(self.disk.inode(inode)?.times())
    }

    /// The major and minor number of a device; nothing for what is none.
    ///
    /// # Errors
    /// As [`FileSystem::metadata`].
    pub fn device_number(&self, inode: u64) -> io::Result<Option<(u32, u32)>> {
        Ok(self.disk.inode(inode)?.device())
    }

    /// All extended attributes of an inode by their full names, sorted.
    ///
    /// # Errors
    /// As [`FileSystem::metadata`].
    pub fn xattrs(&self, inode: u64) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        self.disk.all_attributes(&self.disk.inode(inode)?)
    }
}

impl FileSystem for Ext4 {
    fn root(&self) -> u64 {
        inode::ROOT
    }

    fn metadata(&self, inode: u64) -> io::Result<Metadata> {
        self.disk.inode(inode)?.metadata()
    }

    fn lookup(&self, directory: u64, name: &[u8]) -> io::Result<Option<u64>> {
        self.disk.find(&self.disk.directory(directory)?, name)
    }

    fn entries(&self, directory: u64, each: &mut dyn FnMut(&[u8], u64) -> ControlFlow<()>) -> io::Result<()> {
        self.disk.names(&self.disk.directory(directory)?, each)
    }

    fn link(&self, inode: u64) -> io::Result<Vec<u8>> {
        self.disk.target(&self.disk.inode(inode)?)
    }

    fn read(&self, inode: u64, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let inode = self.disk.inode(inode)?;
        if inode.kind() != Some(FileKind::File) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Disk::refuse_encrypted(&inode)?;
        self.disk.content(&inode, offset, buffer)
    }

    fn xattr(&self, inode: u64, name: &str) -> io::Result<Option<Vec<u8>>> {
        self.disk.attribute(&self.disk.inode(inode)?, name)
    }

    fn inodes(&self, each: &(dyn Fn(u64, io::Result<Metadata>) + Sync)) {
        self.disk.all_inodes(each);
    }
}

impl Disk {
    /// Reads the superblock and the group descriptors.
    fn open(device: Arc<dyn BlockDevice>) -> Result<Self, FileSystemError> {
        let mut start = vec![0; superblock::LENGTH];
        device.read_at(superblock::AT, &mut start).map_err(|error| FileSystemError::Read { what: "superblock", error })?;
        let superblock = Superblock::parse(&start)?;
        let mut disk = Self { device, superblock, groups: Vec::new(), nodes: Nodes::default() };
        disk.read_groups()?;
        Ok(disk)
    }

    fn block_size(&self) -> u64 {
        self.superblock.block_size.into()
    }

    /// Fills a buffer from the device; `what` says what it was to hold if that fails.
    fn fill(&self, offset: u64, buffer: &mut [u8], what: impl FnOnce() -> String) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64);
        if end.is_none_or(|end| end > self.device.len()) {
            let message = format!("{} is at byte {offset}, and the image ends at byte {}", what(), self.device.len());
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
        }
        self.device
            .read_at(offset, buffer)
            .map_err(|error| io::Error::new(error.kind(), format!("{}, at byte {offset}: {error}", what())))
    }

    /// Reads some bytes.
    fn bytes(&self, offset: u64, length: usize, what: impl FnOnce() -> String) -> io::Result<Vec<u8>> {
        // Not more than the device has, whatever somebody counted.
        if length as u64 > self.device.len() {
            return self.fill(offset, &mut [0], what).and(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        let mut buffer = vec![0; length];
        self.fill(offset, &mut buffer, what)?;
        Ok(buffer)
    }

    /// Reads one block.
    fn block(&self, number: u64, what: impl FnOnce() -> String) -> io::Result<Vec<u8>> {
        self.bytes(number.saturating_mul(self.block_size()), length(self.block_size())?, what)
    }
}
