//! Files by path or pattern: what they are, and what is in them.

use super::{Fact, Unreadable};
use crate::image::{FileKind, Metadata, ReadError, Rootfs};
use crate::path::ImagePath;

/// A path that a pattern matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileState {
    /// The path as matched.
    pub path: ImagePath,
    /// What the path itself is (`lstat`).
    pub itself: Metadata,
    /// Where it leads with all links followed, and what is there; for anything but a link the same path. Nothing if it leads
    /// nowhere.
    pub leads_to: Fact<(ImagePath, Metadata)>,
    /// Whether the link dangles.
    pub dangling: bool,
    /// The target as stored, if it is a link.
    pub target: Option<Vec<u8>>,
    /// The POSIX access list, where one is set, as stored (`system.posix_acl_access`).
    pub acl: Fact<Option<Vec<u8>>>,
    /// File capabilities, where set, as stored (`security.capability`).
    pub capability: Fact<Option<Vec<u8>>>,
}

/// A file that a pattern matched, with its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFact {
    /// The path as matched.
    pub path: ImagePath,
    /// Its content.
    pub content: Fact<Vec<u8>>,
}

pub(super) fn states(root: Rootfs<'_>, pattern: &str) -> Fact<Vec<FileState>> {
    let paths = paths(root, pattern)?;
    paths.into_iter().map(|path| state(root, path)).collect()
}

fn state(root: Rootfs<'_>, path: ImagePath) -> Fact<FileState> {
    let itself = root.resolve_parent(&path).map_err(|error| Unreadable::reading(&path, &error))?.metadata;
    let target = root.read_link(&path).map_err(|error| Unreadable::reading(&path, &error))?;
    let resolved = root.resolve(&path);
    let dangling = resolved.as_ref().is_err_and(ReadError::is_absent);
    let xattr = |name| match root.xattr(&path, name) {
        Err(error) if !error.is_absent() => Err(Unreadable::reading(&path, &error)),
        other => Ok(other.ok().flatten()),
    };
    Ok(FileState {
        itself,
        dangling,
        acl: xattr("system.posix_acl_access"),
        capability: xattr("security.capability"),
        leads_to: resolved.map(|found| (found.path, found.metadata)).map_err(|error| Unreadable::reading(&path, &error)),
        target,
        path,
    })
}

pub(super) fn contents(root: Rootfs<'_>, pattern: &str) -> Fact<Vec<FileFact>> {
    let mut found = Vec::new();
    for path in paths(root, pattern)? {
        match root.read(&path) {
            // A directory that a pattern happens to match has no content; a dangling link neither.
            Err(ReadError::Kind { found: FileKind::Directory, .. } | ReadError::Dangling | ReadError::NotFound) => {}
            content => {
                let content = content.map_err(|error| Unreadable::reading(&path, &error));
                found.push(FileFact { path, content });
            }
        }
    }
    Ok(found)
}

fn paths(root: Rootfs<'_>, pattern: &str) -> Fact<Vec<ImagePath>> {
    root.glob(pattern).map_err(|error| Unreadable::at(&ImagePath::new(pattern), error.to_string()))
}
