//! Directories of configuration files that are laid over one another: `sysctl.d`, `modprobe.d`, `modules-load.d`.

use std::collections::BTreeMap;

use super::{Fact, Unreadable};
use crate::image::{FileKind, ReadError, Rootfs};
use crate::path::ImagePath;

/// A file that counts, with what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DropIn {
    /// The file, where its directory has it.
    pub path: ImagePath,
    /// Its content; empty for a mask (a link to `/dev/null`) and for a link that leads nowhere.
    pub content: Fact<Vec<u8>>,
}

/// The files that count, sorted by *name* whatever their directory: of several of the same name, the one in the first directory
/// that has it (systemd, `conf_files_list`; kmod, `conf_files_list`). Names that start with a dot do not count, directories neither.
///
/// # Errors
/// A directory that is there and cannot be read: then nobody knows what it masks.
pub(super) fn list(root: Rootfs<'_>, directories: &[&str], ending: &str) -> Fact<Vec<DropIn>> {
    list_ending_in(root, directories, &[ending])
}

/// The same for files whose names end in one of several ways, sorted as one list.
///
/// # Errors
/// As for [`list`].
pub(super) fn list_ending_in(root: Rootfs<'_>, directories: &[&str], endings: &[&str]) -> Fact<Vec<DropIn>> {
    let mut named: BTreeMap<Vec<u8>, ImagePath> = BTreeMap::new();
    for directory in directories.iter().map(ImagePath::new) {
        let names = match root.read_dir(&directory) {
            Ok(names) => names,
            Err(ReadError::NotFound | ReadError::Dangling | ReadError::Kind { .. }) => continue,
            Err(error) => return Err(Unreadable::reading(&directory, &error)),
        };
        for name in names {
            let path = directory.join(&name);
            let counts = endings.iter().any(|ending| name.ends_with(ending.as_bytes()))
                && !name.starts_with(b".")
                && !named.contains_key(&name)
                && !root.resolve_parent(&path).is_ok_and(|found| found.metadata.kind == FileKind::Directory);
            if counts {
                named.insert(name, path);
            }
        }
    }
    Ok(named.into_values().map(|path| DropIn { content: content(root, &path), path }).collect())
}

/// The content of a file, where anything that masks is empty.
fn content(root: Rootfs<'_>, path: &ImagePath) -> Fact<Vec<u8>> {
    match root.read(path) {
        Ok(content) => Ok(content),
        // No program gets anything out of these: a link to nothing, a mask, a directory behind a link.
        Err(
            ReadError::NotFound | ReadError::Dangling | ReadError::Kind { found: FileKind::CharDevice | FileKind::Directory, .. },
        ) => Ok(Vec::new()),
        Err(error) => Err(Unreadable::reading(path, &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Entry, MemoryImage};

    fn paths(image: &MemoryImage) -> Vec<String> {
        let found = list(Rootfs::new(image), &["/etc/x.d", "/usr/lib/x.d"], ".conf").unwrap();
        found.iter().map(|file| file.path.to_string()).collect()
    }

    #[test]
    fn sorted_by_name_across_directories_and_masked_by_name() {
        let image = MemoryImage::new().file("/usr/lib/x.d/10-a.conf", "vendor").file("/usr/lib/x.d/20-b.conf", "vendor");
        let image = image.file("/etc/x.d/20-b.conf", "own").file("/etc/x.d/05-c.conf", "own");
        assert_eq!(paths(&image), ["/etc/x.d/05-c.conf", "/usr/lib/x.d/10-a.conf", "/etc/x.d/20-b.conf"]);
    }

    #[test]
    fn other_endings_hidden_files_and_directories_do_not_count() {
        let image = MemoryImage::new().file("/etc/x.d/a.conf~", "").file("/etc/x.d/.b.conf", "").directory("/etc/x.d/c.conf");
        assert!(paths(&image.file("/usr/lib/x.d/README", "")).is_empty());
    }

    #[test]
    fn a_link_to_nowhere_or_to_the_null_device_masks() {
        let image = MemoryImage::new().file("/usr/lib/x.d/a.conf", "vendor").link("/etc/x.d/a.conf", "/dev/null");
        let image = image.with("/dev/null", Entry::new(FileKind::CharDevice, "")).link("/etc/x.d/b.conf", "gone");
        let found = list(Rootfs::new(&image), &["/etc/x.d", "/usr/lib/x.d"], ".conf").unwrap();
        assert!(found.len() == 2 && found.iter().all(|file| file.content == Ok(Vec::new())));
    }

    #[test]
    fn what_cannot_be_read_is_not_empty() {
        let mut entry = Entry::new(FileKind::File, "x");
        entry.unreadable = true;
        let image = MemoryImage::new().with("/etc/x.d/a.conf", entry.clone());
        assert!(list(Rootfs::new(&image), &["/etc/x.d"], ".conf").unwrap()[0].content.is_err());
        entry.metadata.kind = FileKind::Directory;
        assert!(list(Rootfs::new(&MemoryImage::new().with("/etc/x.d", entry)), &["/etc/x.d"], ".conf").is_err());
    }
}
