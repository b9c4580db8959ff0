//! A file system as an image: paths, links and content over any [`FileSystem`], and the walk in one pass over its inodes.

mod table;
mod walk;
mod ways;

use std::io::{self, Read};
use std::ops::ControlFlow;

use super::FileSystem;
use crate::image::{Coverage, FileKind, Image, Limits, Metadata, Visitor};
use crate::path::{ImagePath, printable};
use ways::Ways;

/// Bytes of content read at once where somebody asks for less.
const CONTENT: usize = 64 << 10;

/// The image in one file system.
pub struct Volume {
    system: Box<dyn FileSystem>,
    ways: Ways,
}

impl Volume {
    /// The image in this file system.
    #[must_use]
    pub fn new(system: Box<dyn FileSystem>) -> Self {
        Self { system, ways: Ways::default() }
    }

    /// The file system.
    #[must_use]
    pub fn system(&self) -> &dyn FileSystem {
        &*self.system
    }

    /// The inode of a path, found component by component. No link is followed: a link on the way is no directory.
    fn inode(&self, path: &ImagePath) -> io::Result<u64> {
        let mut at = self.system.root();
        let mut names = path.components().peekable();
        while let Some(name) = names.next() {
            if let Some(known) = self.ways.get(at, name) {
                at = known;
                continue;
            }
            let next = self.system.lookup(at, name).map_err(|error| named(at, error))?.ok_or(io::ErrorKind::NotFound)?;
            if names.peek().is_some() {
                self.ways.keep(at, name, next);
            }
            at = next;
        }
        Ok(at)
    }
}

impl Image for Volume {
    fn metadata(&self, path: &ImagePath) -> io::Result<Metadata> {
        let inode = self.inode(path)?;
        self.system.metadata(inode).map_err(|error| named(inode, error))
    }

    fn read_link(&self, path: &ImagePath) -> io::Result<Vec<u8>> {
        let inode = self.inode(path)?;
        self.system.link(inode).map_err(|error| named(inode, error))
    }

    fn read_dir(&self, path: &ImagePath) -> io::Result<Vec<Vec<u8>>> {
        let mut names = Vec::new();
        let mut wrong = None;
        let inode = self.inode(path)?;
        let result = self.system.entries(inode, &mut |name, _| {
            if names.len() == Limits::USUAL.directory {
                // More are refused by `Rootfs` in any case. The walk has no such limit.
                wrong = Some(io::ErrorKind::FileTooLarge.into());
            } else if !is_name(name) {
                wrong = Some(impossible(name));
            } else {
                names.push(name.to_vec());
                return ControlFlow::Continue(());
            }
            ControlFlow::Break(())
        });
        result.map_err(|error| named(inode, error))?;
        wrong.map_or(Ok(names), Err)
    }

    fn open(&self, path: &ImagePath) -> io::Result<Box<dyn Read + '_>> {
        let inode = self.inode(path)?;
        let metadata = self.system.metadata(inode).map_err(|error| named(inode, error))?;
        if metadata.kind != FileKind::File {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(Box::new(Content { system: &*self.system, inode, size: metadata.size, read: 0, buffer: Vec::new(), given: 0 }))
    }

    fn xattr(&self, path: &ImagePath, name: &str) -> io::Result<Option<Vec<u8>>> {
        let inode = self.inode(path)?;
        self.system.xattr(inode, name).map_err(|error| named(inode, error))
    }

    fn walk(&self, visitor: &dyn Visitor) -> Coverage {
        walk::walk(&*self.system, visitor)
    }
}

/// What is said of an inode that a name leads to. That the inode is free does not mean that nothing is there: it means that the
/// file system is broken there, and a fact about the path is unknown.
fn named(inode: u64, error: io::Error) -> io::Error {
    if error.kind() != io::ErrorKind::NotFound {
        return error;
    }
    io::Error::new(io::ErrorKind::InvalidData, format!("the name leads to inode {inode}, which is not in use"))
}

/// Whether a directory may hold such a name: those that mean another place, or end a path early, are an attack or a broken disk.
fn is_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && memchr::memchr2(b'/', 0, name).is_none()
}

/// What is said of a name that [is none](is_name).
fn impossible(name: &[u8]) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the directory holds the impossible name '{}'", printable(name)))
}

/// The content of one file, from its beginning: never more than its size.
struct Content<'v> {
    system: &'v dyn FileSystem,
    inode: u64,
    size: u64,
    /// Bytes read from the file system so far.
    read: u64,
    buffer: Vec<u8>,
    /// Bytes of the buffer given away already.
    given: usize,
}

impl Content<'_> {
    /// Reads what comes next, at most to the end of the file.
    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.size.saturating_sub(self.read)).unwrap_or(usize::MAX);
        let asked = buffer.len().min(left);
        let Some(wanted) = buffer.get_mut(..asked).filter(|wanted| !wanted.is_empty()) else { return Ok(0) };
        let got = self.system.read(self.inode, self.read, wanted)?.min(asked);
        if got == 0 {
            let message = format!("the content ends after {} of {} bytes", self.read, self.size);
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        self.read = self.read.saturating_add(got as u64);
        Ok(got)
    }
}

impl Read for Content<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.given >= self.buffer.len() {
            if out.len() >= CONTENT {
                return self.fill(out);
            }
            let left = usize::try_from(self.size.saturating_sub(self.read)).unwrap_or(usize::MAX);
            let mut buffer = std::mem::take(&mut self.buffer);
            buffer.resize(CONTENT.min(left), 0);
            let got = self.fill(&mut buffer)?;
            buffer.truncate(got);
            (self.buffer, self.given) = (buffer, 0);
        }
        let ready = self.buffer.get(self.given..).unwrap_or_default();
        let count = ready.len().min(out.len());
        if let (Some(to), Some(from)) = (out.get_mut(..count), ready.get(..count)) {
            to.copy_from_slice(from);
        }
        self.given = self.given.saturating_add(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
