//! The running system: what only `/proc` and `/sys` know.

use std::io::{self, Read};
use std::path::Path;

use super::{Directory, SourceError, foreign};
use crate::image::{Coverage, Image, Metadata, Visitor, walk_by_directories};
use crate::path::ImagePath;

/// The host's `/proc` and `/sys` as an image of their own, with absolute paths, and nothing else of the host. Where one of them is not
/// mounted (an empty chroot) it does not exist, and what somebody may have put in its place does not count.
#[derive(Debug)]
pub struct Running {
    host: Directory,
    /// Which of the two are what their names say.
    mounted: Vec<ImagePath>,
}

impl Running {
    /// Opens those of the running system.
    ///
    /// # Errors
    /// See [`SourceError`]; that nothing is mounted is none.
    pub fn open() -> Result<Self, SourceError> {
        let host = Directory::open(Path::new("/"))?;
        let mounted = [("/proc", foreign::PROC), ("/sys", foreign::SYSFS)];
        let mounted = mounted.into_iter().map(|(path, number)| (ImagePath::new(path), number));
        let is_mounted =
            |path: &ImagePath, number| host.locate(path).is_ok_and(|(handle, _)| foreign::number(handle) == Ok(number));
        let mounted = mounted.filter(|(path, number)| is_mounted(path, *number)).map(|(path, _)| path).collect();
        Ok(Self { mounted, host })
    }

    /// The path, if it is of the running system.
    fn inside<'p>(&self, path: &'p ImagePath) -> io::Result<&'p ImagePath> {
        if path.is_root() || self.mounted.iter().any(|base| path.is_within(base)) {
            Ok(path)
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }
}

impl Image for Running {
    fn metadata(&self, path: &ImagePath) -> io::Result<Metadata> {
        self.host.metadata(self.inside(path)?)
    }

    fn read_link(&self, path: &ImagePath) -> io::Result<Vec<u8>> {
        self.host.read_link(self.inside(path)?)
    }

    fn read_dir(&self, path: &ImagePath) -> io::Result<Vec<Vec<u8>>> {
        if path.is_root() {
            return Ok(self.mounted.iter().map(|path| path.file_name().to_vec()).collect());
        }
        self.host.read_dir(self.inside(path)?)
    }

    // The sizes of these files say 0; `Rootfs` bounds what is read, and `O_NONBLOCK` keeps the few that would wait from waiting.
    fn open(&self, path: &ImagePath) -> io::Result<Box<dyn Read + '_>> {
        self.host.open(self.inside(path)?)
    }

    fn xattr(&self, path: &ImagePath, name: &str) -> io::Result<Option<Vec<u8>>> {
        self.host.xattr(self.inside(path)?, name)
    }

    fn walk(&self, visitor: &dyn Visitor) -> Coverage {
        walk_by_directories(self, visitor)
    }
}
