//! The tree that archives make: names once, 24 bytes for a name in a directory, 48 for an inode.

mod apply;
mod image;
mod names;

use std::io;
use std::sync::Arc;

use self::names::{Index, Names};
use super::bytes::invalid;
use super::layer::{Inode, NONE, Store, index};
use crate::image::{Coverage, FileKind};
use crate::path::ImagePath;

/// The root's number.
const ROOT: u32 = 0;

/// A name in a directory. It stays where it is when it is removed, and is used again when the same name comes back.
#[derive(Clone, Copy)]
struct Node {
    parent: u32,
    name: u32,
    /// The first of its children, and the next of its parent's.
    child: u32,
    next: u32,
    inode: u32,
    /// The layer that put it here.
    layer: u16,
    is_alive: bool,
    /// Whether it is in the list of its parent, alive or not.
    is_listed: bool,
}

/// How entries meet what is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rules {
    /// As `tar -x` into an empty root.
    Tar,
    /// As the layers of a container image are put on one another.
    Layers,
}

/// A tree of files.
pub(super) struct Tree {
    nodes: Vec<Node>,
    inodes: Vec<Inode>,
    names: Names,
    index: Index,
    stores: Vec<Arc<Store>>,
    rules: Rules,
    /// What could not be put into it.
    gaps: Coverage,
    /// Reasons for inodes that became doubtful here.
    doubts: Vec<String>,
    /// Why something may be missing anywhere.
    incomplete: Option<String>,
}

/// The layer of inodes whose reason is among [`Tree::doubts`]. Real layers are fewer.
const HERE: u16 = u16::MAX;

impl Tree {
    pub(super) fn new(rules: Rules) -> Self {
        let root =
            Node { parent: ROOT, name: NONE, child: NONE, next: NONE, inode: 0, layer: 0, is_alive: true, is_listed: true };
        Self {
            nodes: vec![root],
            inodes: vec![Inode::IMPLIED],
            names: Names::new(),
            index: Index::new(),
            stores: Vec::new(),
            rules,
            gaps: Coverage::default(),
            doubts: Vec::new(),
            incomplete: None,
        }
    }

    fn node(&self, number: u32) -> io::Result<&Node> {
        self.nodes.get(number as usize).ok_or_else(|| invalid("a name that is not there"))
    }

    fn node_mut(&mut self, number: u32) -> io::Result<&mut Node> {
        self.nodes.get_mut(number as usize).ok_or_else(|| invalid("a name that is not there"))
    }

    fn inode(&self, node: u32) -> io::Result<&Inode> {
        let inode = self.node(node)?.inode;
        self.inodes.get(inode as usize).ok_or_else(|| invalid("a file that is not there"))
    }

    fn kind(&self, node: u32) -> io::Result<Option<FileKind>> {
        self.inode(node).map(Inode::kind)
    }

    /// A name in a directory that is or was there.
    fn slot(&self, parent: u32, name: u32) -> Option<u32> {
        let is_it = |number: u32| self.node(number).is_ok_and(|node| (node.parent, node.name) == (parent, name));
        self.index.find(self.index.hash((parent, name)), is_it)
    }

    /// A name in a directory.
    fn child(&self, parent: u32, name: &[u8]) -> Option<u32> {
        let number = self.slot(parent, self.names.find(name)?)?;
        self.node(number).is_ok_and(|node| node.is_alive).then_some(number)
    }

    /// The children of a directory, those that were removed among them.
    fn listed(&self, parent: u32) -> impl Iterator<Item = (u32, &Node)> {
        let first = self.node(parent).map_or(NONE, |node| node.child);
        let mut next = first;
        std::iter::from_fn(move || {
            let number = next;
            let node = self.node(number).ok()?;
            next = node.next;
            Some((number, node))
        })
    }

    /// The path of a name.
    fn path(&self, node: u32) -> ImagePath {
        let mut parts = Vec::new();
        let mut at = node;
        // A path has at most 2,048 names, and its parents never form a circle: a name is put below one that is there, once.
        while at != ROOT {
            let Ok(found) = self.node(at) else { break };
            parts.push(self.names.get(found.name));
            at = found.parent;
        }
        parts.reverse();
        ImagePath::new(parts.join(&b'/'))
    }

    /// Counts the names of each inode, after the last layer.
    pub(super) fn finish(mut self) -> Self {
        for (number, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.is_alive) {
            let Some(inode) = self.inodes.get_mut(node.inode as usize) else { continue };
            inode.nlink = inode.nlink.saturating_add(1);
            if inode.kind() == Some(FileKind::Directory) {
                // Its own `.`, and `..` of each directory in it.
                inode.nlink = inode.nlink.saturating_add(1);
                let parent = self.nodes.get(node.parent as usize).map(|parent| parent.inode as usize);
                if let Some(parent) = parent.filter(|_| index(number) != ROOT).and_then(|parent| self.inodes.get_mut(parent)) {
                    parent.nlink = parent.nlink.saturating_add(1);
                }
            }
        }
        self.nodes.shrink_to_fit();
        self.inodes.shrink_to_fit();
        self.names.shrink();
        self.gaps.settle();
        self
    }
}
