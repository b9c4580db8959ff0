//! A file of the host as a device.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;

use super::bytes::invalid;
use crate::source::device::BlockDevice;

/// A regular file, of the size it has when it is opened.
pub(super) struct FileDevice {
    file: File,
    len: u64,
}

impl FileDevice {
    /// # Errors
    /// `InvalidData` for anything that is no regular file.
    pub(super) fn new(file: OwnedFd) -> io::Result<Self> {
        let file = File::from(file);
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(invalid("it is no regular file"));
        }
        Ok(Self { len: metadata.len(), file })
    }
}

impl BlockDevice for FileDevice {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }
}
