//! FAT12, FAT16 and FAT32 with long names: the partition that firmware starts from.
//!
//! An own reader: of the crates, `fatfs` 0.3.6 (2023) follows a chain that leads back to itself without end, adds and multiplies
//! sector numbers unchecked, wants to write, and is not `Sync`. It serves the tests as an oracle.

mod entry;
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io::{self, Read};

use crate::image::{Coverage, FileKind, Image, Metadata, Visitor};
use crate::path::{ImagePath, printable};
use crate::source::device::{Device, broken};
use entry::Entry;
use table::{Content, Layout, Width};

/// Who owns what and what may be done with it, which FAT itself does not say (`mount(8)`, options of fat).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// The owner of everything.
    pub uid: u32,
    /// The group of everything.
    pub gid: u32,
    /// Permissions that files do not have.
    pub fmask: u32,
    /// Permissions that directories do not have.
    pub dmask: u32,
}

impl Default for Options {
    /// What the kernel does when init mounts it: root's, and its umask.
    fn default() -> Self {
        Self { uid: 0, gid: 0, fmask: 0o022, dmask: 0o022 }
    }
}

impl Options {
    /// Takes from a line of fstab what concerns this.
    ///
    /// # Errors
    /// The option whose value is not understood, such as the name of an owner.
    pub fn read<'o>(options: impl IntoIterator<Item = &'o str>) -> Result<Self, String> {
        let mut read = Self::default();
        for option in options {
            let Some((name, value)) = option.split_once('=') else { continue };
            let number = |radix| u32::from_str_radix(value, radix).map_err(|_| format!("{option}: not understood"));
            let owner = || if value == "root" { Ok(0) } else { number(10) };
            match name {
                "uid" => read.uid = owner()?,
                "gid" => read.gid = owner()?,
                "umask" => (read.fmask, read.dmask) = (number(8)?, number(8)?),
                "fmask" => read.fmask = number(8)?,
                "dmask" => read.dmask = number(8)?,
                _ => {}
            }
        }
        Ok(read)
    }
}

/// A FAT file system as an image.
pub struct Fat {
    layout: Layout,
    options: Options,
}

impl Fat {
    /// Opens a file system.
    ///
    /// # Errors
    /// `InvalidData` if its layout is impossible; what the device said.
    pub fn open(device: Device, options: Options) -> io::Result<Self> {
        Ok(Self { layout: Layout::read(device)?, options })
    }

    /// What the root directory holds, or another one.
    fn list(&self, directory: Option<&Entry>) -> io::Result<Listed> {
        let (bytes, clusters) = self.layout.directory(directory.map(|entry| entry.first))?;
        let entries = entry::read(&bytes, self.layout.width == Width::ThirtyTwo)?;
        Ok(Listed { entries, size: bytes.len() as u64, clusters })
    }

    /// The entry of a path; none for the root. Names are compared as vfat does, without their case.
    fn find(&self, path: &ImagePath) -> io::Result<Option<Entry>> {
        let mut at: Option<Entry> = None;
        let mut above = BTreeSet::new();
        for name in path.components() {
            if at.as_ref().is_some_and(|entry| !entry.directory) {
                return Err(io::ErrorKind::NotADirectory.into());
            }
            let listed = self.list(at.as_ref())?;
            listed.enter(at.as_ref(), &mut above)?;
            let found = listed.entries.into_iter().find(|entry| same(&entry.name, name));
            at = Some(found.ok_or(io::ErrorKind::NotFound)?);
        }
        Ok(at)
    }

    fn of_file(&self, entry: &Entry) -> Metadata {
        let Options { uid, gid, fmask, .. } = self.options;
        // Without writing for what is marked so, which a directory's mark does not mean.
        let mode = if entry.read_only { 0o555 } else { 0o777 };
        Metadata { kind: FileKind::File, mode: mode & !fmask, uid, gid, size: entry.size, nlink: 1, mtime: entry.mtime }
    }

    fn of_directory(&self, entry: Option<&Entry>, listed: &Listed) -> Metadata {
        let Options { uid, gid, dmask, .. } = self.options;
        let below = listed.entries.iter().filter(|entry| entry.directory).count() as u64;
        let mtime = entry.map_or(0, |entry| entry.mtime);
        Metadata { kind: FileKind::Directory, mode: 0o777 & !dmask, uid, gid, size: listed.size, nlink: below + 2, mtime }
    }
}

/// What is in a directory.
struct Listed {
    entries: Vec<Entry>,
    size: u64,
    clusters: Vec<u32>,
}

impl Listed {
    /// Notes that a directory is entered. No cluster of it may be one that was met before: no directory is in itself, or in two.
    fn enter(&self, directory: Option<&Entry>, seen: &mut BTreeSet<u32>) -> io::Result<()> {
        for cluster in &self.clusters {
            if !seen.insert(*cluster) {
                let name = directory.map_or_else(|| "/".to_owned(), |entry| printable(&entry.name));
                let what = format!(
                    "FAT: cluster {cluster} of the directory '{name}' was met before: it leads back to itself, or is there twice"
                );
                return Err(broken(what));
            }
        }
        Ok(())
    }
}

fn same(one: &[u8], two: &[u8]) -> bool {
    let lower = |name: &[u8]| str::from_utf8(name).map(str::to_lowercase);
    one == two || matches!((lower(one), lower(two)), (Ok(one), Ok(two)) if one == two)
}

impl Image for Fat {
    fn metadata(&self, path: &ImagePath) -> io::Result<Metadata> {
        match self.find(path)? {
            Some(entry) if !entry.directory => Ok(self.of_file(&entry)),
            directory => Ok(self.of_directory(directory.as_ref(), &self.list(directory.as_ref())?)),
        }
    }

    fn read_link(&self, path: &ImagePath) -> io::Result<Vec<u8>> {
        // FAT knows no links.
        self.find(path).and(Err(io::ErrorKind::InvalidInput.into()))
    }

    fn read_dir(&self, path: &ImagePath) -> io::Result<Vec<Vec<u8>>> {
        let entry = self.find(path)?;
        if entry.as_ref().is_some_and(|entry| !entry.directory) {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(self.list(entry.as_ref())?.entries.into_iter().map(|entry| entry.name).collect())
    }

    fn open(&self, path: &ImagePath) -> io::Result<Box<dyn Read + '_>> {
        match self.find(path)? {
            Some(entry) if !entry.directory => Ok(Box::new(Content::new(&self.layout, entry.first, entry.size))),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn xattr(&self, path: &ImagePath, _name: &str) -> io::Result<Option<Vec<u8>>> {
        self.find(path).map(|_| None)
    }

    /// Enters each directory once, wherever else it may be said to be.
    fn walk(&self, visitor: &dyn Visitor) -> Coverage {
        let mut coverage = Coverage::default();
        let mut seen = BTreeSet::new();
        let mut waiting: Vec<(ImagePath, Option<Entry>)> = vec![(ImagePath::root(), None)];
        let visit = |path: &ImagePath, metadata: &Metadata| {
            if visitor.wants(path.file_name(), metadata, &|_| Ok(None)) {
                visitor.found(path, metadata);
            }
        };
        while let Some((path, directory)) = waiting.pop() {
            let listed =
                self.list(directory.as_ref()).and_then(|listed| listed.enter(directory.as_ref(), &mut seen).map(|()| listed));
            let listed = match listed {
                Ok(listed) => listed,
                Err(error) => {
                    coverage.miss(path, error.to_string());
                    continue;
                }
            };
            coverage.entries += 1;
            visit(&path, &self.of_directory(directory.as_ref(), &listed));
            for entry in listed.entries {
                let path = path.join(&entry.name);
                if entry.directory {
                    waiting.push((path, Some(entry)));
                } else {
                    coverage.entries += 1;
                    visit(&path, &self.of_file(&entry));
                }
            }
        }
        coverage.settle();
        coverage
    }
}
