//! Opening a path below a directory without ever following a link.
//!
//! Links are the business of [`Rootfs`](crate::image::Rootfs), which resolves them inside the image and hands down paths without any.
//! A link that is met here all the same was put there in between, by somebody who hopes to be followed: it is refused.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::{Errno, Result};

use crate::path::ImagePath;

/// `PATH_MAX` of Linux with its closing zero: a longer path has to be taken in pieces.
const PATH_MAX: usize = 4096;

/// A directory that no path of ours leads out of.
#[derive(Debug)]
pub(super) struct Beneath {
    root: OwnedFd,
    /// Whether `openat2(2)` works: not before Linux 5.6, in some sandboxes, and under emulation.
    whole_paths: bool,
}

impl Beneath {
    /// Below this directory, which may be opened with `O_PATH`.
    pub(super) fn new(root: OwnedFd) -> Self {
        let mut beneath = Self { root, whole_paths: true };
        // Any refusal of the root itself, whatever its name (ENOSYS, EPERM of a seccomp filter), means the long way.
        beneath.whole_paths = beneath.piece(beneath.root.as_fd(), b".", OFlags::PATH).is_ok();
        beneath
    }

    /// The same without `openat2(2)`, to test the long way where the short one works.
    #[cfg(test)]
    pub(super) fn by_components(root: OwnedFd) -> Self {
        Self { root, whole_paths: false }
    }

    /// The directory itself.
    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Opens a path with these flags and `O_NOFOLLOW`. With `O_PATH` a link as the last component is opened itself.
    ///
    /// # Errors
    /// `ELOOP` where a link is on the way; otherwise as `open(2)`.
    pub(super) fn open(&self, path: &ImagePath, flags: OFlags) -> Result<OwnedFd> {
        if path.is_root() {
            return openat(&self.root, c".", flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
        }
        if !self.whole_paths {
            return self.open_by_components(path, flags);
        }
        let mut rest = path.as_bytes().get(1..).unwrap_or_default();
        let mut at: Option<OwnedFd> = None;
        loop {
            let from = at.as_ref().map_or(self.root.as_fd(), AsFd::as_fd);
            if rest.len() < PATH_MAX {
                return self.piece(from, rest, flags);
            }
            // The last slash that leaves the piece short enough. A single name beyond it is too long for any file system.
            let cut =
                rest.get(..PATH_MAX).and_then(|head| head.iter().rposition(|&byte| byte == b'/')).ok_or(Errno::NAMETOOLONG)?;
            let (head, tail) = rest.split_at(cut);
            let next = self.piece(from, head, OFlags::PATH | OFlags::DIRECTORY)?;
            rest = tail.get(1..).unwrap_or_default();
            at = Some(next);
        }
    }

    fn piece(&self, from: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd> {
        debug_assert!(self.whole_paths);
        let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_SYMLINKS;
        openat2(from, path, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty(), inside)
    }

    fn open_by_components(&self, path: &ImagePath, flags: OFlags) -> Result<OwnedFd> {
        let mut at: Option<OwnedFd> = None;
        let mut names = path.components().peekable();
        while let Some(name) = names.next() {
            let from = at.as_ref().map_or(self.root.as_fd(), AsFd::as_fd);
            let last = names.peek().is_none();
            let flags = if last { flags } else { OFlags::PATH };
            let next = openat(from, name, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
            if last {
                return Ok(next);
            }
            let kind = rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&next)?.st_mode);
            match kind {
                rustix::fs::FileType::Directory => at = Some(next),
                rustix::fs::FileType::Symlink => return Err(Errno::LOOP),
                _ => return Err(Errno::NOTDIR),
            }
        }
        Err(Errno::NOENT)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "trees of the host are what is tested")]

    use std::os::unix::fs::symlink;

    use super::*;

    /// The same tree, opened both ways.
    fn both(tree: &tempfile::TempDir) -> [Beneath; 2] {
        let root = || OwnedFd::from(std::fs::File::open(tree.path()).unwrap());
        [Beneath::new(root()), Beneath::by_components(root())]
    }

    fn open(beneath: &Beneath, path: &str) -> Result<OwnedFd> {
        beneath.open(&ImagePath::new(path), OFlags::RDONLY)
    }

    #[test]
    fn no_link_is_followed_wherever_it_stands() {
        let tree = tempfile::tempdir().unwrap();
        std::fs::create_dir(tree.path().join("d")).unwrap();
        std::fs::write(tree.path().join("d/file"), "x").unwrap();
        symlink("/etc", tree.path().join("out")).unwrap();
        symlink("d", tree.path().join("in")).unwrap();
        for beneath in both(&tree) {
            assert!(open(&beneath, "/d/file").is_ok());
            assert_eq!(open(&beneath, "/out/passwd").unwrap_err(), Errno::LOOP);
            assert_eq!(open(&beneath, "/in/file").unwrap_err(), Errno::LOOP);
            assert_eq!(open(&beneath, "/out").unwrap_err(), Errno::LOOP);
            assert!(beneath.open(&ImagePath::new("/out"), OFlags::PATH).is_ok(), "the link itself can be looked at");
            assert_eq!(open(&beneath, "/d/file/x").unwrap_err(), Errno::NOTDIR);
            assert_eq!(open(&beneath, "/d/none").unwrap_err(), Errno::NOENT);
        }
    }

    #[test]
    fn a_path_longer_than_the_kernel_takes_at_once_is_opened_in_pieces() {
        let tree = tempfile::tempdir().unwrap();
        let name = "n".repeat(250);
        let mut at = OwnedFd::from(std::fs::File::open(tree.path()).unwrap());
        let mut path = ImagePath::root();
        for _ in 0..40 {
            rustix::fs::mkdirat(&at, name.as_str(), Mode::RWXU).unwrap();
            at = openat(&at, name.as_str(), OFlags::PATH, Mode::empty()).unwrap();
            path = path.join(&name);
        }
        for beneath in both(&tree) {
            let found = beneath.open(&path, OFlags::RDONLY | OFlags::DIRECTORY).unwrap();
            assert_eq!(rustix::fs::fstat(found).unwrap().st_ino, rustix::fs::fstat(&at).unwrap().st_ino);
            assert_eq!(beneath.open(&path.join("n".repeat(5_000)), OFlags::PATH).unwrap_err(), Errno::NAMETOOLONG);
        }
    }
}
