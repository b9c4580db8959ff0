//! The files a scan is asked to write: made before it starts, so that a bad path is found at once, and put in place whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rustix::fs::{AtFlags, CWD, Mode, OFlags};

/// A file that is not there yet under its name. What was written before stays until [`Pending::put_in_place`]; dropped, it leaves
/// nothing behind.
pub(super) struct Pending {
    /// As its user wrote it.
    shown: PathBuf,
    file: File,
    /// Where it is written and where it goes; nothing for a device or a pipe, which is written as it stands.
    moved: Option<(PathBuf, PathBuf)>,
    /// Whether it has no name yet, not even a passing one: whatever ends the scan then leaves nothing behind.
    nameless: bool,
}

impl Pending {
    /// Makes the file beside the one it will replace, so that the last step is one rename on one file system.
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        let cannot = || format!("cannot write {}", path.display());
        let before = match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => bail!("cannot write {}: it is a directory", path.display()),
            Ok(metadata) => Some(metadata),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(cannot),
        };
        if before.as_ref().is_some_and(|metadata| !metadata.is_file()) {
            let file = OpenOptions::new().write(true).open(path).with_context(cannot)?;
            return Ok(Self { shown: path.to_owned(), file, moved: None, nameless: false });
        }
        // A link keeps leading to the file it leads to.
        let target = if before.is_some() { fs::canonicalize(path).with_context(cannot)? } else { path.to_owned() };
        let Some(name) = target.file_name() else { bail!("cannot write {}: it names no file", path.display()) };
        let mut beside = std::ffi::OsString::from(".");
        beside.push(name);
        beside.push(format!(".{}.partial", std::process::id()));
        let beside = target.with_file_name(beside);
        let (file, nameless) = match without_name(&target) {
            Some(file) => (file, true),
            None => (OpenOptions::new().write(true).create_new(true).open(&beside).with_context(cannot)?, false),
        };
        let pending = Self { shown: path.to_owned(), file, moved: Some((beside, target)), nameless };
        if let Some(metadata) = before {
            pending.file.set_permissions(metadata.permissions()).with_context(cannot)?;
        }
        Ok(pending)
    }

    /// Writes all of it; it is still not there under its name.
    pub(super) fn write(&mut self, content: &[u8]) -> anyhow::Result<()> {
        let cannot = || format!("cannot write {}", self.shown.display());
        self.file.write_all(content).with_context(cannot)?;
        match self.file.sync_all() {
            // A device or a pipe has nothing to bring to disk.
            Err(_) if self.moved.is_none() => Ok(()),
            done => done.with_context(cannot),
        }
    }

    /// Puts it in place.
    pub(super) fn put_in_place(mut self) -> anyhow::Result<()> {
        if let Some((beside, target)) = &self.moved {
            let cannot = || format!("cannot write {}", self.shown.display());
            if self.nameless {
                let open = own_descriptor(&self.file);
                rustix::fs::linkat(CWD, &open, CWD, beside, AtFlags::SYMLINK_FOLLOW).with_context(cannot)?;
            }
            fs::rename(beside, target).with_context(cannot)?;
        }
        self.moved = None;
        Ok(())
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some((beside, _)) = &self.moved {
            let _ = fs::remove_file(beside);
        }
    }
}

/// A file in the folder of this one that has no name (`open(2)`, `O_TMPFILE`), where the file system has such and `/proc`, through which
/// it gets one, is there.
fn without_name(target: &Path) -> Option<File> {
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let opened = rustix::fs::open(folder, OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC, Mode::from_raw_mode(0o666));
    let file = File::from(opened.ok()?);
    own_descriptor(&file).exists().then_some(file)
}

fn own_descriptor(file: &File) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn until_it_is_put_in_place_the_old_content_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report.json");
        fs::write(&path, "old").unwrap();
        let mut pending = Pending::create(&path).unwrap();
        pending.write(b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        pending.put_in_place().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn given_up_it_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let mut pending = Pending::create(&directory.path().join("report.json")).unwrap();
        pending.write(b"half").unwrap();
        // Nor is anything there meanwhile, which a signal would leave.
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), usize::from(!pending.nameless));
        drop(pending);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_bad_path_is_found_before_anything_is_written() {
        let directory = tempfile::tempdir().unwrap();
        assert!(Pending::create(directory.path()).is_err());
        assert!(Pending::create(&directory.path().join("no/such/report.json")).is_err());
    }

    #[test]
    fn a_link_keeps_leading_to_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("file"), directory.path().join("link"));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let mut pending = Pending::create(&link).unwrap();
        pending.write(b"new").unwrap();
        pending.put_in_place().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"new");
    }

    #[test]
    fn a_device_is_written_as_it_stands() {
        let mut pending = Pending::create(Path::new("/dev/null")).unwrap();
        pending.write(b"x").unwrap();
        pending.put_in_place().unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }
}
