//! The read-only tree: what every source of an image looks like to the rest of karat.
//!
//! A backend (a directory, memory, an archive, a file system on a disk) implements [`Image`]: a handful of methods of which none follows
//! a link. [`Rootfs`] wraps any of them and follows links *inside the image*, once for all backends, with limits.

mod budget;
mod memory;
mod rootfs;
mod walk;

use std::io::{self, Read};

pub use budget::Budget;
pub use memory::{Entry, MemoryImage};
pub use rootfs::{Limits, ReadError, Resolved, Rootfs};
pub use walk::{Attributes, Coverage, Gap, Visitor, walk_by_directories};

use crate::path::ImagePath;

/// What kind of thing a path names.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A named pipe.
    Fifo,
    /// A Unix socket.
    Socket,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
}

impl FileKind {
    /// The kind as a word for messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Link => "link",
            Self::Fifo => "FIFO",
            Self::Socket => "socket",
            Self::CharDevice => "character device",
            Self::BlockDevice => "block device",
        }
    }

    /// The kind in the file type bits of a mode (`inode(7)`).
    #[must_use]
    pub const fn from_mode(mode: u32) -> Option<Self> {
        Some(match mode & 0o170_000 {
            0o100_000 => Self::File,
            0o040_000 => Self::Directory,
            0o120_000 => Self::Link,
            0o010_000 => Self::Fifo,
            0o140_000 => Self::Socket,
            0o020_000 => Self::CharDevice,
            0o060_000 => Self::BlockDevice,
            _ => return None,
        })
    }
}

/// What `lstat(2)` would say of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// What it is.
    pub kind: FileKind,
    /// Permission bits with setuid, setgid and sticky: twelve bits.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Size in bytes.
    pub size: u64,
    /// Number of hard links.
    pub nlink: u64,
    /// Last change of the content, in seconds since 1970.
    pub mtime: i64,
}

/// A read-only tree. No method follows a link in the last component; backends may refuse, but never follow out of the image, a
/// link in an earlier one.
pub trait Image: Send + Sync {
    /// What `path` is, as `lstat(2)`.
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied`, or what the backend met.
    fn metadata(&self, path: &ImagePath) -> io::Result<Metadata>;

    /// The target of a link, as stored.
    ///
    /// # Errors
    /// `InvalidInput` if `path` is no link; otherwise as [`Image::metadata`].
    fn read_link(&self, path: &ImagePath) -> io::Result<Vec<u8>>;

    /// The names in a directory, without `.` and `..`, in no particular order.
    ///
    /// # Errors
    /// `NotADirectory` if it is none; otherwise as [`Image::metadata`].
    fn read_dir(&self, path: &ImagePath) -> io::Result<Vec<Vec<u8>>>;

    /// The content of a regular file. Anything else (FIFO, device, socket, link) is refused, never opened.
    ///
    /// # Errors
    /// `InvalidInput` if it is no regular file; otherwise as [`Image::metadata`].
    fn open(&self, path: &ImagePath) -> io::Result<Box<dyn Read + '_>>;

    /// One extended attribute, if it is set.
    ///
    /// # Errors
    /// As [`Image::metadata`]; `Unsupported` where the backend cannot know.
    fn xattr(&self, path: &ImagePath, name: &str) -> io::Result<Option<Vec<u8>>>;

    /// Whether owners, setuid bits and capabilities are the image's own. Not so for a tree that an unprivileged user unpacked:
    /// there they are what `tar` could do, and facts about them are unknown.
    fn keeps_ownership(&self) -> bool {
        true
    }

    /// Visits every entry once, in no particular order, and says what could not be visited.
    fn walk(&self, visitor: &dyn Visitor) -> Coverage;
}
