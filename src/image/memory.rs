//! An image that lives in memory: for tests, and for the examples of rules.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};

use super::{Coverage, FileKind, Image, Metadata, Visitor, walk_by_directories};
use crate::path::ImagePath;

/// One entry of a [`MemoryImage`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What `lstat` says of it; the size is taken from the content.
    pub metadata: Metadata,
    /// The content of a file, or the target of a link.
    pub content: Vec<u8>,
    /// Extended attributes by full name (`security.capability`).
    pub xattrs: BTreeMap<String, Vec<u8>>,
    /// Whether reading it fails with `PermissionDenied`, as for an unprivileged user.
    pub unreadable: bool,
}

impl Entry {
    /// A thing of this kind with the usual mode, owned by root.
    #[must_use]
    pub fn new(kind: FileKind, content: impl Into<Vec<u8>>) -> Self {
        let mode = match kind {
            FileKind::Directory => 0o755,
            FileKind::Link => 0o777,
            _ => 0o644,
        };
        let content = content.into();
        let size = content.len() as u64;
        let metadata = Metadata { kind, mode, uid: 0, gid: 0, size, nlink: 1, mtime: 0 };
        Self { metadata, content, xattrs: BTreeMap::new(), unreadable: false }
    }
}

/// A tree held in memory. Missing parents are made as directories of root, mode 0755.
#[derive(Debug, Clone)]
pub struct MemoryImage {
    entries: BTreeMap<ImagePath, Entry>,
    /// What [`Image::keeps_ownership`] answers.
    pub keeps_ownership: bool,
}

impl Default for MemoryImage {
    fn default() -> Self {
        let root = (ImagePath::root(), Entry::new(FileKind::Directory, ""));
        Self { entries: BTreeMap::from([root]), keeps_ownership: true }
    }
}

impl MemoryImage {
    /// An image with nothing but its root.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a regular file (mode 0644, owned by root).
    #[must_use]
    pub fn file(self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.with(path, Entry::new(FileKind::File, content))
    }

    /// Adds a symbolic link.
    #[must_use]
    pub fn link(self, path: &str, target: &str) -> Self {
        self.with(path, Entry::new(FileKind::Link, target))
    }

    /// Adds a directory (mode 0755, owned by root).
    #[must_use]
    pub fn directory(self, path: &str) -> Self {
        self.with(path, Entry::new(FileKind::Directory, ""))
    }

    /// Adds any entry.
    #[must_use]
    pub fn with(mut self, path: &str, entry: Entry) -> Self {
        self.insert(ImagePath::new(path), entry);
        self
    }

    /// Adds or replaces an entry.
    pub fn insert(&mut self, path: ImagePath, entry: Entry) {
        let mut above = path.parent();
        while let Some(parent) = above {
            if self.entries.contains_key(&parent) {
                break;
            }
            above = parent.parent();
            self.entries.insert(parent, Entry::new(FileKind::Directory, ""));
        }
        self.entries.insert(path, entry);
    }

    fn entry(&self, path: &ImagePath) -> io::Result<&Entry> {
        self.entries.get(path).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}

impl Image for MemoryImage {
    fn metadata(&self, path: &ImagePath) -> io::Result<Metadata> {
        self.entry(path).map(|entry| entry.metadata)
    }

    fn read_link(&self, path: &ImagePath) -> io::Result<Vec<u8>> {
        let entry = self.entry(path)?;
        match entry.metadata.kind {
            FileKind::Link => Ok(entry.content.clone()),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn read_dir(&self, path: &ImagePath) -> io::Result<Vec<Vec<u8>>> {
        let entry = self.entry(path)?;
        if entry.metadata.kind != FileKind::Directory {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        if entry.unreadable {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let below = self.entries.range(path.clone()..).skip(1).map(|(below, _)| below);
        Ok(below
            .take_while(|below| path.is_root() || below.as_bytes().starts_with(path.as_bytes()))
            .filter(|below| below.parent().as_ref() == Some(path))
            .map(|below| below.file_name().to_vec())
            .collect())
    }

    fn open(&self, path: &ImagePath) -> io::Result<Box<dyn Read + '_>> {
        let entry = self.entry(path)?;
        if entry.metadata.kind != FileKind::File {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if entry.unreadable {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        Ok(Box::new(Cursor::new(&entry.content)))
    }

    fn xattr(&self, path: &ImagePath, name: &str) -> io::Result<Option<Vec<u8>>> {
        self.entry(path).map(|entry| entry.xattrs.get(name).cloned())
    }

    fn keeps_ownership(&self) -> bool {
        self.keeps_ownership
    }

    fn walk(&self, visitor: &dyn Visitor) -> Coverage {
        walk_by_directories(self, visitor)
    }
}
