//! The files of a container image, by their path: in an archive or in a folder. No path leads out of either.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{Mode, OFlags, openat};

use super::bytes::{Bytes, Disk, Window, invalid};
use super::file::FileDevice;
use super::oci::DOCUMENT;
use super::scan::{Means, Scanned, layer};
use super::tree::Tree;
use crate::image::{Image as _, Rootfs};
use crate::path::{ImagePath, printable};
use crate::source::device::BlockDevice as _;

/// Layers that were read while the archive went by, by their path.
pub(super) type Passed = BTreeMap<ImagePath, io::Result<Arc<Scanned>>>;

/// Where the files of a container image are.
pub(super) enum Blobs {
    /// In an archive that was read once: its tree, and the layers that were met.
    Archive(Box<Tree>, Mutex<Passed>),
    /// In a folder.
    Folder(OwnedFd),
}

impl Blobs {
    fn named(path: &str, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{}: {error}", printable(path.as_bytes())))
    }

    /// Opens a file of a folder, name by name; a link anywhere is refused.
    fn open(folder: &OwnedFd, path: &str) -> io::Result<FileDevice> {
        let mut at = openat(folder, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let mut parts = path.split('/').filter(|part| !part.is_empty()).peekable();
        while let Some(part) = parts.next() {
            if part == "." || part == ".." {
                return Err(invalid("a path with dots, which could lead out of the folder"));
            }
            let last = parts.peek().is_none();
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
            let flags = if last { flags } else { flags | OFlags::DIRECTORY };
            at = openat(&at, part, flags, Mode::empty())?;
        }
        FileDevice::new(at)
    }

    /// Where a path of the archive really leads.
    fn resolve(tree: &Tree, path: &str) -> io::Result<ImagePath> {
        let found = Rootfs::new(tree).resolve(&ImagePath::new(path));
        found.map(|found| found.path).map_err(|error| match (error.is_absent(), tree.incomplete()) {
            (_, Some(reason)) => invalid(format!("{}: it is not there: {reason}", printable(path.as_bytes()))),
            (..) => invalid(format!("{}: {error}", printable(path.as_bytes()))),
        })
    }

    /// Whether a file is there.
    pub(super) fn has(&self, path: &str) -> bool {
        match self {
            Self::Archive(tree, _) => Rootfs::new(&**tree).resolve(&ImagePath::new(path)).is_ok(),
            Self::Folder(folder) => Self::open(folder, path).is_ok(),
        }
    }

    /// How many bytes a file has; none where that is not known.
    pub(super) fn size(&self, path: &str) -> u64 {
        match self {
            Self::Archive(tree, _) => Rootfs::new(&**tree).resolve(&ImagePath::new(path)).map_or(0, |found| found.metadata.size),
            Self::Folder(folder) => Self::open(folder, path).map_or(0, |file| file.len()),
        }
    }

    /// A document.
    pub(super) fn small(&self, path: &str) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        let read = match self {
            Self::Archive(tree, _) => {
                let real = Self::resolve(tree, path)?;
                tree.open(&real).and_then(|file| file.take(DOCUMENT + 1).read_to_end(&mut content))
            }
            Self::Folder(folder) => Self::open(folder, path)
                .and_then(|file| Arc::new(Disk(Arc::new(file))).reader(0)?.take(DOCUMENT + 1).read_to_end(&mut content)),
        };
        read.map_err(|error| Self::named(path, &error))?;
        if content.len() as u64 > DOCUMENT {
            return Err(invalid(format!("{}: larger than the limit of {DOCUMENT} bytes", printable(path.as_bytes()))));
        }
        Ok(content)
    }

    /// Lets go of the layers that were read when the archive went by.
    pub(super) fn forget(&self) {
        if let Self::Archive(_, passed) = self {
            passed.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    /// Reads a layer, if it was not read when the archive went by.
    pub(super) fn layer(&self, path: &str, means: Means<'_>) -> io::Result<Arc<Scanned>> {
        let bytes: Arc<dyn Bytes> = match self {
            Self::Archive(tree, passed) => {
                let real = Self::resolve(tree, path)?;
                match passed.lock().unwrap_or_else(PoisonError::into_inner).get(&real) {
                    Some(Ok(was)) => return Ok(Arc::clone(was)),
                    Some(Err(error)) => return Err(Self::named(path, error)),
                    None => {}
                }
                let stored = tree.stored(&real).map_err(|error| Self::named(path, &error))?;
                let (below, start, len) =
                    stored.ok_or_else(|| invalid(format!("{}: no regular file", printable(path.as_bytes()))))?;
                Arc::new(Window { below, start, len })
            }
            Self::Folder(folder) => {
                let file = Self::open(folder, path).map_err(|error| Self::named(path, &error))?;
                Arc::new(Disk(Arc::new(file)))
            }
        };
        let read = Arc::clone(&bytes).reader(0).and_then(|input| layer(input, bytes, means));
        read.map(Arc::new).map_err(|error| Self::named(path, &error))
    }
}
