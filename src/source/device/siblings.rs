//! Other files that a disk image says it needs: only from its own folder.
//!
//! The names are an attacker's. None leads out of the folder: they are plain names, and a link in the folder is not followed.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};

use super::{Device, FileDevice, broken};
use crate::path::printable;

/// Longer names than this are no names of a file (`NAME_MAX`).
const LONGEST_NAME: usize = 255;

/// The files beside an image.
pub trait Siblings: Send + Sync {
    /// Opens the file of this name, which [`plain`] found harmless.
    ///
    /// # Errors
    /// `NotFound`, or what the backend met.
    fn open_plain(&self, name: &[u8]) -> io::Result<Device>;
}

impl dyn Siblings + '_ {
    /// Opens the file of a name that an image gave.
    ///
    /// # Errors
    /// `InvalidData` for a name that would lead out of the folder; otherwise what the system says, with the name.
    pub(super) fn open(&self, name: &[u8]) -> io::Result<Device> {
        let name = plain(name)?;
        self.open_plain(name)
            .map_err(|error| io::Error::new(error.kind(), format!("'{}', which belongs to the image: {error}", printable(name))))
    }
}

/// A name without a folder, without which it could lead anywhere.
fn plain(name: &[u8]) -> io::Result<&[u8]> {
    let harmless = !name.is_empty()
        && name.len() <= LONGEST_NAME
        && name != b"."
        && name != b".."
        && !name.iter().any(|byte| matches!(byte, b'/' | b'\\' | 0));
    // QEMU takes these for a protocol (`nbd:…`, `json:{…}`), so they mean no file of that name.
    let protocol =
        [&b"json:"[..], b"nbd:", b"file:", b"fat:", b"ssh:", b"http:", b"https:"].iter().any(|word| name.starts_with(word));
    if harmless && !protocol {
        return Ok(name);
    }
    let shown = printable(name.get(..LONGEST_NAME.min(name.len())).unwrap_or_default());
    Err(broken(format!("needs '{shown}', which is no plain name of a file in the image's own folder: not opened")))
}

/// A folder of the host.
pub struct Folder(OwnedFd);

impl Folder {
    /// The folder that holds the image at `path`.
    ///
    /// # Errors
    /// What the system says.
    pub fn of(path: &Path) -> io::Result<Self> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        Ok(Self(rustix::fs::open(folder, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?))
    }
}

impl Siblings for Folder {
    fn open_plain(&self, name: &[u8]) -> io::Result<Device> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&self.0, name, flags, Mode::empty()) {
            Err(rustix::io::Errno::LOOP) => {
                return Err(broken("a symbolic link, which could lead out of the folder: not followed"));
            }
            other => File::from(other?),
        };
        // A device node beside the image would be as much of the host as a link.
        if !file.metadata()?.is_file() {
            return Err(broken("no regular file"));
        }
        Ok(Arc::new(FileDevice::new(file.into())?))
    }
}

/// No folder at all: an image that came through a pipe or from a network.
pub struct NoSiblings;

impl Siblings for NoSiblings {
    fn open_plain(&self, _name: &[u8]) -> io::Result<Device> {
        Err(io::Error::new(io::ErrorKind::NotFound, "there is no folder to look in"))
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test makes files of the host")]
mod tests {
    use super::*;

    #[test]
    fn a_name_never_leads_out_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("image"), "1").unwrap();
        std::fs::write(folder.path().join("beside"), "12").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("link")).unwrap();
        let siblings = Folder::of(&folder.path().join("image")).unwrap();
        let siblings: &dyn Siblings = &siblings;
        assert_eq!(siblings.open(b"beside").unwrap().len(), 2);
        for hostile in [&b"/etc/passwd"[..], b"../x", b"a/../../x", b"..", b".", b"", b"a\0b", b"..\\x", b"json:{}", &[b'a'; 300]]
        {
            let error = siblings.open(hostile).err().unwrap();
            assert!(error.to_string().contains("not opened"), "{error}");
        }
        assert!(siblings.open(b"link").err().unwrap().to_string().contains("symbolic link"));
        assert_eq!(siblings.open(b"gone").err().unwrap().kind(), io::ErrorKind::NotFound);
        assert!((&NoSiblings as &dyn Siblings).open(b"x").is_err());
    }
}
