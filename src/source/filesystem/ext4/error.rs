//! Why a device is not read as ext2, ext3 or ext4.

use std::io;

/// Why an ext2, ext3 or ext4 file system was not opened.
#[derive(Debug, thiserror::Error)]
pub enum FileSystemError {
    /// The device could not be read.
    #[error("the {what} cannot be read: {error}")]
    Read {
        /// What was to be read.
        what: &'static str,
        /// Why it could not be.
        error: io::Error,
    },
    /// It is none.
    #[error("this is no ext2, ext3 or ext4 file system: the number 0xEF53 is not at byte 1080")]
    NotExt,
    /// A field of the superblock contradicts the others, or the format.
    #[error("the superblock is broken: {0}")]
    Superblock(String),
    /// Features that change how the file system is read, by their names.
    #[error("this file system uses {0}, which is not supported")]
    Feature(String),
    /// What was written last is in the journal only, and the journal cannot be replayed. Without it names, owners and modes may
    /// be those of an earlier time.
    #[error("the journal has changes that cannot be replayed: {0}")]
    Journal(String),
}
