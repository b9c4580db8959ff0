//! Trees from archives, with changes laid over them: images for tests that are too large to write down.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use karat::image::{Coverage, Entry, FileKind, Image, Metadata, Visitor, walk_by_directories};
use karat::path::ImagePath;

/// The entries of a tar, by path; a hard link has the content of what it names.
pub(crate) fn entries(archive: impl Read) -> Vec<(ImagePath, Entry)> {
    let mut found: BTreeMap<ImagePath, Entry> = BTreeMap::new();
    let mut order = Vec::new();
    for entry in tar::Archive::new(archive).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = ImagePath::new(&*entry.path_bytes());
        let header = entry.header();
        let kind = match header.entry_type() {
            tar::EntryType::Directory => FileKind::Directory,
            tar::EntryType::Symlink => FileKind::Link,
            tar::EntryType::Fifo => FileKind::Fifo,
            tar::EntryType::Char => FileKind::CharDevice,
            tar::EntryType::Block => FileKind::BlockDevice,
            _ => FileKind::File,
        };
        let (mode, mtime) = (header.mode().unwrap() & 0o7777, header.mtime().unwrap());
        let (mut uid, mut gid) = (header.uid().unwrap(), header.gid().unwrap());
        let hard = (header.entry_type() == tar::EntryType::Link).then(|| ImagePath::new(entry.link_name_bytes().unwrap()));
        let target = entry.link_name_bytes().map(|name| name.to_vec());
        let mut xattrs = BTreeMap::new();
        for extension in entry.pax_extensions().unwrap().into_iter().flatten() {
            let extension = extension.unwrap();
            let key = extension.key().unwrap().to_owned();
            match key.as_str() {
                "uid" => uid = extension.value().unwrap().parse().unwrap(),
                "gid" => gid = extension.value().unwrap().parse().unwrap(),
                _ => {
                    if let Some(name) = key.strip_prefix("SCHILY.xattr.") {
                        xattrs.insert(name.to_owned(), extension.value_bytes().to_vec());
                    }
                }
            }
        }
        let mut made = match (&hard, kind) {
            (Some(first), _) => found.get(first).cloned().unwrap_or_else(|| Entry::new(FileKind::File, "")),
            (None, FileKind::Link) => Entry::new(kind, target.unwrap_or_default()),
            (None, _) => {
                let mut content = Vec::new();
                entry.read_to_end(&mut content).unwrap();
                Entry::new(kind, content)
            }
        };
        if hard.is_none() {
            made.metadata.mode = mode;
            made.metadata.uid = u32::try_from(uid).unwrap();
            made.metadata.gid = u32::try_from(gid).unwrap();
            made.metadata.mtime = i64::try_from(mtime).unwrap();
            made.xattrs = xattrs;
        }
        found.insert(path.clone(), made);
        order.push(path);
    }
    order.into_iter().filter_map(|path| found.get(&path).cloned().map(|entry| (path, entry))).collect()
}

/// A tree held in memory, fast to list.
#[derive(Default)]
pub(crate) struct Tree {
    entries: BTreeMap<ImagePath, Entry>,
    names: BTreeMap<ImagePath, BTreeSet<Vec<u8>>>,
}

impl Tree {
    pub(crate) fn new(list: impl IntoIterator<Item = (ImagePath, Entry)>) -> Self {
        let mut tree = Self::default();
        tree.insert(ImagePath::root(), Entry::new(FileKind::Directory, ""));
        list.into_iter().for_each(|(path, entry)| tree.insert(path, entry));
        tree
    }

    fn insert(&mut self, path: ImagePath, entry: Entry) {
        if let Some(parent) = path.parent() {
            if !self.entries.contains_key(&parent) {
                self.insert(parent.clone(), Entry::new(FileKind::Directory, ""));
            }
            self.names.entry(parent).or_default().insert(path.file_name().to_vec());
        }
        self.entries.insert(path, entry);
    }
}

/// Changes laid over a tree.
pub(crate) struct Overlay<'t> {
    pub(crate) below: &'t Tree,
    pub(crate) above: Tree,
    /// Paths that are gone, with all below them.
    pub(crate) gone: Vec<ImagePath>,
    /// Directories of which nothing of the tree below is left.
    pub(crate) opaque: Vec<ImagePath>,
}

impl Overlay<'_> {
    fn entry(&self, path: &ImagePath) -> io::Result<&Entry> {
        // The root is in every tree; only that of the tree below has its true owner.
        if !path.is_root()
            && let Some(entry) = self.above.entries.get(path)
        {
            return Ok(entry);
        }
        let hidden = self.gone.iter().any(|gone| path.is_within(gone))
            || self.opaque.iter().any(|opaque| path != opaque && path.is_within(opaque));
        let below = if hidden { None } else { self.below.entries.get(path) };
        below.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Image for Overlay<'_> {
    fn metadata(&self, path: &ImagePath) -> io::Result<Metadata> {
        self.entry(path).map(|entry| entry.metadata)
    }

    fn read_link(&self, path: &ImagePath) -> io::Result<Vec<u8>> {
        let entry = self.entry(path)?;
        if entry.metadata.kind == FileKind::Link { Ok(entry.content.clone()) } else { Err(io::ErrorKind::InvalidInput.into()) }
    }

    fn read_dir(&self, path: &ImagePath) -> io::Result<Vec<Vec<u8>>> {
        if self.entry(path)?.metadata.kind != FileKind::Directory {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let names = [&self.above, self.below].into_iter().filter_map(|tree| tree.names.get(path)).flatten();
        let names: BTreeSet<&Vec<u8>> = names.filter(|name| self.entry(&path.join(name)).is_ok()).collect();
        Ok(names.into_iter().cloned().collect())
    }

    fn open(&self, path: &ImagePath) -> io::Result<Box<dyn Read + '_>> {
        let entry = self.entry(path)?;
        if entry.metadata.kind != FileKind::File {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(Box::new(entry.content.as_slice()))
    }

    fn xattr(&self, path: &ImagePath, name: &str) -> io::Result<Option<Vec<u8>>> {
        self.entry(path).map(|entry| entry.xattrs.get(name).cloned())
    }

    fn walk(&self, visitor: &dyn Visitor) -> Coverage {
        walk_by_directories(self, visitor)
    }
}
