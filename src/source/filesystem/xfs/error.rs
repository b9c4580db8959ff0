//! Why a device is not read as XFS.

use std::io;

/// Why an XFS file system was not opened.
#[derive(Debug, thiserror::Error)]
pub enum FileSystemError {
    /// The device could not be read.
    #[error("the superblock cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It is no XFS.
    #[error("this is no XFS file system: its first four bytes are not XFSB")]
    NotXfs,
    /// A field of the superblock contradicts the others, or the format.
    #[error("the superblock is broken: {0}")]
    Superblock(String),
    /// A feature that changes how the file system is read, by its name.
    #[error("this XFS file system uses {0}, which is not supported")]
    Feature(String),
    /// It says of itself that it needs repair; the kernel refuses it as well.
    #[error("this XFS file system says that it needs repair: run xfs_repair")]
    NeedsRepair,
}
