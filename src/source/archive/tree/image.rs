//! The tree as an image.
//!
//! Where the archive could not be read to its end, what was seen is told, and what was not seen is not "absent" but unknown: every
//! directory may have more names than are here.

use std::io::{self, Read};
use std::sync::Arc;

use rayon::prelude::*;

use super::super::bytes::{Bytes, invalid};
use super::super::layer::{Extra, Inode};
use super::{NONE, Node, ROOT, Tree, index};
use crate::image::{Coverage, FileKind, Image, Limits, Metadata, Visitor};
use crate::path::ImagePath;

/// Where a file's content is: the bytes of its archive, an offset, and a length.
type Place = (Arc<dyn Bytes>, u64, u64);

/// Names that one task of the walk visits: some milliseconds of work.
const TASK: usize = 4096;

impl Tree {
    /// The name a path means, no link followed.
    fn find(&self, path: &ImagePath) -> io::Result<u32> {
        let mut at = ROOT;
        for name in path.components() {
            match self.kind(at)? {
                Some(FileKind::Directory) => {}
                Some(_) => return Err(io::ErrorKind::NotADirectory.into()),
                None => return Err(invalid(self.reason(self.inode(at)?))),
            }
            at = self.child(at, name).ok_or_else(|| match &self.incomplete {
                Some(reason) => invalid(format!("whether it is there is not known: {reason}")),
                None => io::ErrorKind::NotFound.into(),
            })?;
        }
        Ok(at)
    }

    fn metadata_of(&self, inode: &Inode) -> io::Result<Metadata> {
        let kind = inode.kind().ok_or_else(|| invalid(self.reason(inode)))?;
        Ok(Metadata {
            kind,
            mode: u32::from(inode.mode & 0o7777),
            uid: inode.uid,
            gid: inode.gid,
            size: inode.size,
            nlink: u64::from(inode.nlink),
            mtime: inode.mtime,
        })
    }

    fn extra(&self, inode: &Inode) -> Option<&Extra> {
        self.stores.get(usize::from(inode.layer))?.extras.get(inode.extra as usize)
    }

    fn attribute(&self, inode: &Inode, name: &str) -> io::Result<Option<Vec<u8>>> {
        if inode.kind().is_none() {
            return Err(invalid(self.reason(inode)));
        }
        let Some(extra) = self.extra(inode) else { return Ok(None) };
        let value = |name: &str| extra.xattrs.iter().find(|(known, _)| &**known == name).map(|(_, value)| value.to_vec());
        let as_text = match name {
            "system.posix_acl_access" => value("SCHILY.acl.access"),
            "system.posix_acl_default" => value("SCHILY.acl.default"),
            _ => None,
        };
        match (value(name), as_text) {
            (None, Some(_)) => {
                Err(io::Error::new(io::ErrorKind::Unsupported, "an access control list in the words of star, which is not read"))
            }
            (value, _) => Ok(value),
        }
    }

    /// Shows one name to the visitor.
    fn visit(&self, number: u32, node: &Node, visitor: &dyn Visitor, coverage: &mut Coverage) {
        let Some(inode) = self.inodes.get(node.inode as usize) else { return };
        match self.metadata_of(inode) {
            Ok(metadata) => {
                coverage.entries += 1;
                let name = if number == ROOT { b"" } else { self.names.get(node.name) };
                if visitor.wants(name, &metadata, &|name| self.attribute(inode, name)) {
                    visitor.found(&self.path(number), &metadata);
                }
            }
            Err(error) => coverage.miss(self.path(number), error.to_string()),
        }
    }

    /// How many names there are.
    pub(in super::super) fn len(&self) -> u64 {
        self.nodes.iter().filter(|node| node.is_alive).count() as u64
    }

    /// Where the content of a regular file is stored in the archive. Nothing for a sparse one.
    pub(in super::super) fn stored(&self, path: &ImagePath) -> io::Result<Option<Place>> {
        let inode = self.inode(self.find(path)?)?;
        let is_sparse = self.extra(inode).is_some_and(|extra| extra.sparse.is_some());
        let store = self.stores.get(usize::from(inode.layer)).filter(|_| inode.kind() == Some(FileKind::File) && !is_sparse);
        Ok(store.map(|store| (Arc::clone(&store.bytes), inode.offset, inode.size)))
    }

    /// Why something may be missing, if the archive was not read to its end.
    pub(in super::super) fn incomplete(&self) -> Option<&str> {
        self.incomplete.as_deref()
    }
}

impl Image for Tree {
    fn metadata(&self, path: &ImagePath) -> io::Result<Metadata> {
        self.metadata_of(self.inode(self.find(path)?)?)
    }

    fn read_link(&self, path: &ImagePath) -> io::Result<Vec<u8>> {
        let node = self.find(path)?;
        match self.metadata_of(self.inode(node)?)?.kind {
            FileKind::Link => self.target(node),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn read_dir(&self, path: &ImagePath) -> io::Result<Vec<Vec<u8>>> {
        let node = self.find(path)?;
        if self.metadata_of(self.inode(node)?)?.kind != FileKind::Directory {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        if let Some(reason) = &self.incomplete {
            return Err(invalid(format!("whether it has more names is not known: {reason}")));
        }
        let mut names = Vec::new();
        for (_, child) in self.listed(node).filter(|(_, child)| child.is_alive) {
            // More are refused by `Rootfs` in any case. The walk has no such limit.
            if names.len() > Limits::USUAL.directory {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            names.push(self.names.get(child.name).to_vec());
        }
        Ok(names)
    }

    fn open(&self, path: &ImagePath) -> io::Result<Box<dyn Read + '_>> {
        let inode = self.inode(self.find(path)?)?;
        if self.metadata_of(inode)?.kind != FileKind::File {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let store = self.stores.get(usize::from(inode.layer)).ok_or_else(|| invalid("a file of a layer that is not there"))?;
        let map = self.extra(inode).and_then(|extra| extra.sparse.as_ref());
        let kept = store.kept.get(inode.kept as usize).filter(|_| inode.kept != NONE);
        let (stored, size): (Box<dyn Read + Send + '_>, u64) = match kept {
            Some(kept) => (kept.reader(), inode.size),
            None => (Arc::clone(&store.bytes).reader(inode.offset)?, inode.size),
        };
        match map {
            Some(map) => Ok(map.reader(Box::new(stored.take(map.stored())), size)),
            None => Ok(Box::new(Whole { stored, left: size })),
        }
    }

    fn xattr(&self, path: &ImagePath, name: &str) -> io::Result<Option<Vec<u8>>> {
        self.attribute(self.inode(self.find(path)?)?, name)
    }

    fn walk(&self, visitor: &dyn Visitor) -> Coverage {
        let tasks = self.nodes.par_chunks(TASK).enumerate().map(|(task, nodes)| {
            let mut coverage = Coverage::default();
            for (place, node) in nodes.iter().enumerate().filter(|(_, node)| node.is_alive) {
                self.visit(index(task * TASK + place), node, visitor, &mut coverage);
            }
            coverage
        });
        tasks.reduce(Coverage::default, Coverage::merge).merge(self.gaps.clone())
    }
}

/// A file's content, which must be there to its end.
struct Whole<'c> {
    stored: Box<dyn Read + Send + 'c>,
    left: u64,
}

impl Read for Whole<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.stored.read(buffer.get_mut(..most).unwrap_or_default())?;
        if count == 0 && most > 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("the archive ends {} bytes before the file does", self.left),
            ));
        }
        self.left -= count as u64;
        Ok(count)
    }
}
