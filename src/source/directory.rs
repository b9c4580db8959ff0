//! A directory as an image: a mounted or unpacked root of any owner, seen by whoever runs karat.

use std::collections::HashMap;
use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::{PoisonError, RwLock};

use rustix::fs::{CWD, Mode, OFlags, RawDir, openat};
use rustix::io::Errno;

use super::beneath::Beneath;
use super::status::{Status, Statuses};
use super::{SourceError, foreign, shown, walk};
use crate::image::{Coverage, FileKind, Image, Limits, Metadata, ReadError, Visitor};
use crate::path::{ImagePath, printable};

/// What `getdents64(2)` fills at once; the size glibc uses too.
pub(super) const NAMES: usize = 32 << 10;

/// Directories and links that are remembered: they stand on the way to most files, and each is asked for hundreds of times. An image
/// with more of them on the ways to what rules ask for is read a little slower, in bounded memory.
const REMEMBERED: usize = 1 << 14;

/// A directory as an image. No path leads out of it, and nothing but regular files and directories is ever opened.
#[derive(Debug)]
pub struct Directory {
    beneath: Beneath,
    statuses: Statuses,
    /// Whether `/proc/self/fd` is the kernel's: the way to open again, without a path, what is known to be a regular file.
    proc: bool,
    keeps_ownership: bool,
    /// What was on the way before. A scan is of one moment: what is changed while it runs may be seen as it was.
    ways: RwLock<HashMap<ImagePath, Metadata>>,
}

impl Directory {
    /// Opens a directory of the host; links in this path are followed, as its user means them.
    ///
    /// # Errors
    /// See [`SourceError`].
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        let shown = || shown(path);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let root = openat(CWD, path, flags, Mode::empty()).map_err(|errno| match errno {
            Errno::NOENT => SourceError::NoSuchPath { path: shown() },
            Errno::NOTDIR => SourceError::NoImage { path: shown(), reason: "no directory".to_owned() },
            other => unreadable(shown(), other),
        })?;
        let beneath = Beneath::new(root);
        let directory = Self {
            statuses: Statuses::probe(beneath.root()),
            proc: openat(CWD, "/proc/self/fd", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
                .is_ok_and(|proc| foreign::number(proc) == Ok(foreign::PROC)),
            keeps_ownership: false,
            ways: RwLock::default(),
            beneath,
        };
        let names = directory.read_dir(&ImagePath::root());
        match names {
            Err(error) => return Err(SourceError::Unreadable { path: shown(), reason: ReadError::from(error).to_string() }),
            Ok(names) if names.is_empty() => return Err(SourceError::Empty { path: shown() }),
            Ok(_) => {}
        }
        let keeps_ownership = directory.is_roots("/").unwrap_or(false) && directory.is_roots("/usr").unwrap_or(true);
        Ok(Self { keeps_ownership, ..directory })
    }

    /// Whether a path belongs to uid 0; nothing if that cannot be found out.
    fn is_roots(&self, path: &str) -> Option<bool> {
        self.metadata(&ImagePath::new(path)).ok().map(|metadata| metadata.uid == 0)
    }

    /// Whether this is the root of the running system.
    pub(super) fn is_the_running_root(&self) -> bool {
        let same =
            |root: OwnedFd| Some(self.statuses.of(root.as_fd()).ok()?.inode == self.statuses.of(self.beneath.root()).ok()?.inode);
        openat(CWD, "/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok().and_then(same).unwrap_or(false)
    }

    pub(super) fn beneath(&self) -> &Beneath {
        &self.beneath
    }

    pub(super) fn statuses(&self) -> Statuses {
        self.statuses
    }

    /// A handle on a path that reads nothing, and what it is.
    pub(super) fn locate(&self, path: &ImagePath) -> rustix::io::Result<(OwnedFd, Status)> {
        let handle = self.beneath.open(path, OFlags::PATH)?;
        let status = self.statuses.of(handle.as_fd())?;
        Ok((handle, status))
    }

    /// An attribute of a name in an open directory, for the walk: in one call where `/proc` is there, and by path where it is not.
    pub(super) fn attribute(
        &self,
        directory: &OwnedFd,
        name: &CStr,
        attribute: &str,
        path: impl FnOnce() -> ImagePath,
    ) -> io::Result<Option<Vec<u8>>> {
        if !self.proc {
            return self.xattr(&path(), attribute);
        }
        let mut place = of_handle(directory).into_bytes();
        place.push(b'/');
        place.extend_from_slice(name.to_bytes());
        attribute_by(|buffer| Ok(rustix::fs::lgetxattr(place.as_slice(), attribute, buffer)?))
    }

    /// Opens for reading what a handle names. By way of the handle, so that nothing can be put in its place in between; without
    /// `/proc` by path again, and what is not the same thing then is refused.
    fn reopen(&self, path: &ImagePath, handle: &OwnedFd, status: &Status, flags: OFlags) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        if self.proc {
            return Ok(openat(CWD, of_handle(handle), flags, Mode::empty())?);
        }
        let opened = self.beneath.open(path, flags)?;
        if self.statuses.of(opened.as_fd())?.inode == status.inode { Ok(opened) } else { Err(io::ErrorKind::ResourceBusy.into()) }
    }
}

/// The largest extended attribute of Linux (`XATTR_SIZE_MAX`).
const MAX_XATTR: usize = 64 << 10;

/// Asks for an attribute: with a small buffer, and with the largest if that is too small.
fn attribute_by(read: impl Fn(&mut [u8]) -> io::Result<usize>) -> io::Result<Option<Vec<u8>>> {
    let mut small = [0; 256];
    let value = match read(&mut small) {
        Ok(length) => Ok(small.get(..length).unwrap_or_default().to_vec()),
        Err(error) if Errno::from_io_error(&error) == Some(Errno::RANGE) => {
            let mut large = vec![0; MAX_XATTR];
            read(&mut large).map(|length| {
                large.truncate(length);
                large
            })
        }
        Err(error) => Err(error),
    };
    match value {
        Ok(value) => Ok(Some(value)),
        // Not set; or a file system that has none at all.
        Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::NODATA | Errno::OPNOTSUPP)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The name of an open handle in `/proc`: the only absolute path of the host that is ever used, and it follows no link of an image.
fn of_handle(handle: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", handle.as_raw_fd())
}

fn unreadable(path: String, errno: Errno) -> SourceError {
    SourceError::Unreadable { path, reason: printable(ReadError::from(io::Error::from(errno)).to_string().as_bytes()) }
}

impl Image for Directory {
    fn metadata(&self, path: &ImagePath) -> io::Result<Metadata> {
        if let Some(known) = self.ways.read().unwrap_or_else(PoisonError::into_inner).get(path) {
            return Ok(*known);
        }
        let metadata = self.locate(path)?.1.metadata()?;
        if matches!(metadata.kind, FileKind::Directory | FileKind::Link) {
            let mut ways = self.ways.write().unwrap_or_else(PoisonError::into_inner);
            if ways.len() < REMEMBERED {
                ways.insert(path.clone(), metadata);
            }
        }
        Ok(metadata)
    }

    fn read_link(&self, path: &ImagePath) -> io::Result<Vec<u8>> {
        let (handle, status) = self.locate(path)?;
        if status.metadata()?.kind != FileKind::Link {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // An empty path means the handle itself (`readlinkat(2)`).
        Ok(rustix::fs::readlinkat(&handle, c"", Vec::new())?.into_bytes())
    }

    fn read_dir(&self, path: &ImagePath) -> io::Result<Vec<Vec<u8>>> {
        let handle = self.beneath.open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NONBLOCK)?;
        let mut buffer = vec![MaybeUninit::<u8>::uninit(); NAMES];
        let mut entries = RawDir::new(&handle, &mut buffer);
        let mut names = Vec::new();
        while let Some(entry) = entries.next() {
            let name = entry?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(name);
            }
            // More are refused by `Rootfs` in any case. The walk has no such limit.
            if names.len() > Limits::USUAL.directory {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
        }
        Ok(names)
    }

    fn open(&self, path: &ImagePath) -> io::Result<Box<dyn Read + '_>> {
        let (handle, status) = self.locate(path)?;
        if status.metadata()?.kind != FileKind::File {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(Box::new(File::from(self.reopen(path, &handle, &status, OFlags::empty())?)))
    }

    fn xattr(&self, path: &ImagePath, name: &str) -> io::Result<Option<Vec<u8>>> {
        let (handle, status) = self.locate(path)?;
        let read = |buffer: &mut [u8]| -> io::Result<usize> {
            if self.proc {
                // Works on a handle that could not be read, and on what is never opened.
                return Ok(rustix::fs::getxattr(of_handle(&handle), name, buffer)?);
            }
            let flags = match status.metadata()?.kind {
                FileKind::File => OFlags::empty(),
                FileKind::Directory => OFlags::DIRECTORY,
                // Without `/proc` only what can be opened can be asked, and these never are.
                _ => return Err(io::ErrorKind::Unsupported.into()),
            };
            Ok(rustix::fs::fgetxattr(self.reopen(path, &handle, &status, flags)?, name, buffer)?)
        };
        attribute_by(read)
    }

    fn keeps_ownership(&self) -> bool {
        self.keeps_ownership
    }

    fn walk(&self, visitor: &dyn Visitor) -> Coverage {
        walk::walk(self, visitor)
    }
}
