//! A file or block device of the host.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt as _, FileTypeExt as _};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use super::{BlockDevice, unsupported, within};

/// A regular file or a block device, opened once and read by `pread(2)`. Not mapped into memory: a file that shrinks meanwhile is
/// an error here, and would be a signal there.
#[derive(Debug)]
pub struct FileDevice {
    file: File,
    len: u64,
}

impl FileDevice {
    /// Opens what the user named; links are followed.
    ///
    /// # Errors
    /// What the system says; `Unsupported` for anything that has no offsets (pipe, socket, directory).
    pub fn open(path: &Path) -> io::Result<Self> {
        // Without blocking, so that a FIFO is seen to be one instead of waited for.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        Self::new(rustix::fs::open(path, flags, Mode::empty())?)
    }

    /// Takes an opened file.
    ///
    /// # Errors
    /// As [`FileDevice::open`].
    pub fn new(file: OwnedFd) -> io::Result<Self> {
        let mut file = File::from(file);
        let metadata = file.metadata()?;
        let len = if metadata.is_file() {
            metadata.len()
        } else if metadata.file_type().is_block_device() {
            file.seek(SeekFrom::End(0))?
        } else {
            return Err(unsupported("neither a regular file nor a block device"));
        };
        Ok(Self { file, len })
    }
}

impl BlockDevice for FileDevice {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        within(offset, buffer.len(), self.len)?;
        self.file.read_exact_at(buffer, offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_beyond_the_end_names_its_offset() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(1000).unwrap();
        let device = FileDevice::open(file.path()).unwrap();
        assert_eq!(device.len(), 1000);
        assert!(device.read_at(990, &mut [0; 10]).is_ok());
        let error = device.read_at(990, &mut [0; 11]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(error.to_string(), "11 bytes at byte 990 reach beyond the end, which is at byte 1000");
        assert!(device.read_at(u64::MAX, &mut [0; 2]).is_err());
    }

    #[test]
    fn a_pipe_is_refused_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        assert_eq!(FileDevice::open(&path).unwrap_err().kind(), io::ErrorKind::Unsupported);
        assert_eq!(FileDevice::open(folder.path()).unwrap_err().kind(), io::ErrorKind::Unsupported);
    }
}
