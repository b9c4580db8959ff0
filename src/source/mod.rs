//! Where an image comes from. The one room that opens files of the host.
//!
//! A directory (a mounted or unpacked root), or the machine karat runs on: the same directory code over `/`, plus `/proc` and `/sys`
//! for what only a running system knows.

mod beneath;
mod directory;
mod foreign;
mod live;
mod status;
mod walk;

use std::path::Path;

pub use directory::Directory;
pub use live::Running;

use crate::image::{Image, Rootfs};
use crate::path::printable;

/// An opened source: the image, and the running system where the image is the machine itself.
pub struct Source {
    /// The image.
    pub image: Box<dyn Image>,
    /// `/proc` and `/sys`, where the image is the running machine.
    pub running: Option<Box<dyn Image>>,
}

impl Source {
    /// The image as a root file system.
    #[must_use]
    pub fn root(&self) -> Rootfs<'_> {
        Rootfs::new(&*self.image)
    }

    /// `/proc` and `/sys` of the running machine, for [`Target::running`](crate::facts::Target::running).
    #[must_use]
    pub fn running(&self) -> Option<Rootfs<'_>> {
        self.running.as_deref().map(Rootfs::new)
    }
}

/// Why there is nothing to scan. Each ends a scan before it starts, with exit code 2.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// Nothing is there.
    #[error("{path}: no such directory")]
    NoSuchPath {
        /// The path as its user wrote it, made safe to show.
        path: String,
    },
    /// It is no directory.
    #[error("{path}: not a directory; a mounted or unpacked root is expected")]
    NotADirectory {
        /// The path as its user wrote it, made safe to show.
        path: String,
    },
    /// Nothing is in it.
    #[error("{path}: the directory is empty; is the image mounted?")]
    Empty {
        /// The path as its user wrote it, made safe to show.
        path: String,
    },
    /// It cannot be read.
    #[error("{path}: cannot be read: {reason}")]
    Unreadable {
        /// The path as its user wrote it, made safe to show.
        path: String,
        /// Why.
        reason: String,
    },
}

/// Opens what a path names. The running machine is meant by `/` and by every path that leads to the same directory.
///
/// # Errors
/// See [`SourceError`].
pub fn open(path: &Path) -> Result<Source, SourceError> {
    let image = Directory::open(path)?;
    let running = if image.is_the_running_root() { Some(Box::new(Running::open()?) as Box<dyn Image>) } else { None };
    Ok(Source { image: Box::new(image), running })
}

/// A path of the host, made safe to show.
fn shown(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    printable(path.as_os_str().as_bytes())
}
