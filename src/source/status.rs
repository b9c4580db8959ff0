//! What a path of the host is: `statx(2)`, and `fstatat(2)` where that is not to be had.

use std::ffi::CStr;
use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, Stat, Statx, StatxFlags, makedev, statat, statx};
use rustix::io::Result;

use crate::image::{FileKind, Metadata};

/// What is asked for. Times are what the cache knows (`AT_STATX_DONT_SYNC`): a server that is gone must not stop a scan.
const WANTED: StatxFlags = StatxFlags::BASIC_STATS.union(StatxFlags::MNT_ID);

/// How to ask.
#[derive(Debug, Clone, Copy)]
pub(super) struct Statuses {
    /// Whether `statx(2)` works: not in the sandboxes of some years ago.
    statx: bool,
}

/// What was said of one path.
#[derive(Debug, Clone, Copy)]
pub(super) struct Status {
    mode: u32,
    uid: u32,
    gid: u32,
    size: u64,
    nlink: u64,
    mtime: i64,
    /// The mount it lies on: its number, or before Linux 5.8 its device.
    pub(super) mount: u64,
    /// Device and inode.
    pub(super) inode: (u64, u64),
}

impl Statuses {
    /// Tries what this system can do.
    pub(super) fn probe(root: BorrowedFd<'_>) -> Self {
        Self { statx: statx(root, c"", AtFlags::EMPTY_PATH, WANTED).is_ok() }
    }

    /// What an open file is.
    pub(super) fn of(self, file: BorrowedFd<'_>) -> Result<Status> {
        self.at(file, c"")
    }

    /// What a name in an open directory is; no link is followed and nothing is mounted for it.
    pub(super) fn at(self, directory: BorrowedFd<'_>, name: &CStr) -> Result<Status> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT | AtFlags::EMPTY_PATH;
        if self.statx {
            return statx(directory, name, flags | AtFlags::STATX_DONT_SYNC, WANTED).map(|found| Status::from(&found));
        }
        statat(directory, name, flags).map(|found| Status::from(&found))
    }
}

impl Status {
    /// The same in the words of [`image`](crate::image).
    ///
    /// # Errors
    /// `InvalidData` for a kind that Linux does not have.
    pub(super) fn metadata(&self) -> io::Result<Metadata> {
        let kind = FileKind::from_mode(self.mode).ok_or(io::ErrorKind::InvalidData)?;
        let Self { uid, gid, size, nlink, mtime, .. } = *self;
        Ok(Metadata { kind, mode: self.mode & 0o7777, uid, gid, size, nlink, mtime })
    }
}

impl From<&Statx> for Status {
    fn from(found: &Statx) -> Self {
        let device = makedev(found.stx_dev_major, found.stx_dev_minor);
        let numbered = found.stx_mask & StatxFlags::MNT_ID.bits() != 0;
        Self {
            mode: u32::from(found.stx_mode),
            uid: found.stx_uid,
            gid: found.stx_gid,
            size: found.stx_size,
            nlink: u64::from(found.stx_nlink),
            mtime: found.stx_mtime.tv_sec,
            mount: if numbered { found.stx_mnt_id } else { device },
            inode: (device, found.stx_ino),
        }
    }
}

impl From<&Stat> for Status {
    #[allow(
        clippy::useless_conversion,
        clippy::cast_sign_loss,
        clippy::unnecessary_cast,
        reason = "the widths differ by architecture"
    )]
    fn from(found: &Stat) -> Self {
        Self {
            mode: found.st_mode.into(),
            uid: found.st_uid,
            gid: found.st_gid,
            size: found.st_size as u64,
            nlink: found.st_nlink.into(),
            mtime: found.st_mtime as i64,
            mount: found.st_dev.into(),
            inode: (found.st_dev.into(), found.st_ino.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn both_ways_say_the_same() {
        let file = tempfile::tempfile().unwrap();
        let [new, old] = [true, false].map(|statx| Statuses { statx }.of(file.as_fd()).unwrap());
        assert_eq!(new.metadata().unwrap(), old.metadata().unwrap());
        assert_eq!(new.inode, old.inode);
    }
}
