//! One archive after another put into the tree.
//!
//! A path is followed inside the tree alone: an absolute link starts at its root, and `..` ends there. What is put below a link goes
//! where the link leads, as containerd does it (its `archive` package resolves the parent of every entry in the root). From a plain tar, programs do
//! different things there (GNU tar puts off links that are absolute or have `..`, bsdtar refuses), so that what comes out
//! is doubtful: known to be touched, its content and owner unknown.
//!
//! Whiteouts follow the image specification of OCI ("Layer Filesystem Changeset"): they remove what lower layers put there, never
//! what their own layer does, whatever the order of the entries.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use super::super::bytes::invalid;
use super::super::layer::{Inode, Layer, NONE, Record, index};
use super::{HERE, Node, ROOT, Rules, Tree};
use crate::image::FileKind;
use crate::path::{ImagePath, printable};

/// Links followed for one entry; Linux itself stops at 40 (`path_resolution(7)`).
const LINKS: u32 = 40;
/// Names followed for one entry: a path has at most 2,048, and those of links come to it.
const STEPS: u32 = 10_000;
/// Steps behind links and below whiteouts in one layer: a million entries below a chain of 40 links, or a thousand whiteouts above
/// them all, would take minutes.
const ALL_STEPS: u64 = 50_000_000;
/// Reasons kept word by word.
const DOUBTS: usize = 1_000;

/// Takes steps into account.
fn count(steps: &mut u64, more: u64) -> io::Result<()> {
    *steps += more;
    if *steps > ALL_STEPS {
        return Err(invalid(format!("more than the limit of {ALL_STEPS} steps behind links and below whiteouts")));
    }
    Ok(())
}

/// Where the parent of an entry is.
struct Place {
    node: u32,
    /// Whether a link was followed, and whether one of them was absolute or had `..`.
    is_linked: bool,
    is_far: bool,
}

impl Tree {
    /// Puts an archive on top of what is there.
    ///
    /// # Errors
    /// Only what breaks a limit; everything else becomes a gap or a doubtful file.
    pub(in super::super) fn apply(&mut self, layer: &Layer) -> io::Result<()> {
        let number = u16::try_from(self.stores.len()).unwrap_or(HERE);
        self.stores.push(Arc::clone(&layer.store));
        let mut outcome = Ok(());
        let mut steps = 0;
        layer.each(|path, record| {
            if outcome.is_ok() {
                outcome = self.entry(path, record, layer, number, &mut steps);
            }
        });
        outcome?;
        for gap in &layer.gaps {
            self.gaps.miss(ImagePath::root(), gap.clone());
        }
        if let Some(reason) = &layer.incomplete {
            self.gaps.miss(ImagePath::root(), reason.clone());
            self.incomplete.get_or_insert_with(|| reason.clone());
        }
        Ok(())
    }

    fn entry(&mut self, path: &[u8], record: &Record, layer: &Layer, number: u16, steps: &mut u64) -> io::Result<()> {
        let mut parts: Vec<&[u8]> = path.split(|&byte| byte == b'/').filter(|part| !part.is_empty()).collect();
        let own = Inode { layer: number, ..record.inode };
        let Some(name) = parts.pop() else {
            // The root itself.
            if record.inode.kind() == Some(FileKind::Directory) {
                return self.set_inode(ROOT, own);
            }
            self.gaps.miss(ImagePath::root(), "an entry for the root itself that is no directory");
            return Ok(());
        };
        let place = match self.descend(&parts, number, true, steps)? {
            Ok(place) => place,
            Err(reason) => {
                self.gaps.miss(ImagePath::new(path), reason);
                return Ok(());
            }
        };
        if self.rules == Rules::Layers
            && let Some(hidden) = name.strip_prefix(b".wh.")
        {
            return self.whiteout(path, hidden, &place, number, steps);
        }
        let doubt = (place.is_far && self.rules == Rules::Tar)
            .then(|| "an entry below a link that is absolute or has '..': programs differ in where they unpack it".to_owned());
        if self.rules == Rules::Tar && own.kind() != Some(FileKind::Directory) && self.holds_something(place.node, name)? {
            // GNU tar and bsdtar keep the directory, others do not.
            let reason = "an entry that is no directory over a directory that holds something: programs differ in what they keep";
            let inode = self.doubtful(reason.to_owned());
            return self.put(place.node, name, inode, number);
        }
        if let Some(length) = record.hard {
            return self.hard(name, record, length.get(), &place, layer, number, steps);
        }
        let inode = match doubt {
            Some(doubt) => self.doubtful(doubt),
            None => own,
        };
        self.put(place.node, name, inode, number)
    }

    /// One more name for a file that is there.
    #[allow(clippy::too_many_arguments, reason = "what `entry` knows")]
    fn hard(
        &mut self,
        name: &[u8],
        record: &Record,
        length: u16,
        place: &Place,
        layer: &Layer,
        number: u16,
        steps: &mut u64,
    ) -> io::Result<()> {
        let target = layer.store.link(record.inode.offset, u64::from(length)).to_vec();
        let mut parts: Vec<&[u8]> = target.split(|&byte| byte == b'/').filter(|part| !part.is_empty()).collect();
        let last = parts.pop().unwrap_or_default();
        let found = match self.descend(&parts, number, false, steps)? {
            Ok(above) => self.child(above.node, last).ok_or("it is not there"),
            Err(_) => Err("it is not there"),
        };
        let found = found.and_then(|found| match self.kind(found) {
            Ok(Some(FileKind::Directory)) => Err("it is a directory"),
            Ok(None) => Err("it is unknown itself"),
            Ok(Some(_)) => Ok(found),
            Err(_) => Err("it is not there"),
        });
        match found {
            Ok(found) => {
                if self.child(place.node, name) == Some(found) {
                    return Ok(());
                }
                let inode = self.node(found)?.inode;
                self.place(place.node, name, inode, number)
            }
            Err(reason) => {
                let reason = format!("a hard link to {}: {reason}", printable(&target));
                let inode = self.doubtful(reason);
                self.put(place.node, name, inode, number)
            }
        }
    }

    /// Whether a name is a directory with something in it.
    fn holds_something(&self, parent: u32, name: &[u8]) -> io::Result<bool> {
        let Some(child) = self.child(parent, name) else { return Ok(false) };
        Ok(self.kind(child)? == Some(FileKind::Directory) && self.listed(child).any(|(_, node)| node.is_alive))
    }

    /// An inode of which nothing is known.
    fn doubtful(&mut self, reason: String) -> Inode {
        if self.doubts.len() < DOUBTS {
            self.doubts.push(reason);
        } else if self.doubts.len() == DOUBTS {
            self.doubts.push("the archive has very many entries that are doubtful".into());
        }
        Inode { mode: 0, extra: index(self.doubts.len() - 1), layer: HERE, ..Inode::IMPLIED }
    }

    /// Follows the names above an entry, and makes the directories that are missing where `make` says so.
    fn descend(&mut self, parts: &[&[u8]], number: u16, make: bool, all: &mut u64) -> io::Result<Result<Place, String>> {
        let mut place = Place { node: ROOT, is_linked: false, is_far: false };
        let (mut links, mut steps) = (0, 0);
        // Only where a link was followed there is a queue; the usual path is walked as it is.
        let mut direct = parts.iter();
        let mut queue: VecDeque<Vec<u8>> = VecDeque::new();
        loop {
            let owned = queue.pop_front();
            let Some(name) = owned.as_deref().or_else(|| direct.next().copied()) else { return Ok(Ok(place)) };
            steps += 1;
            if steps > STEPS {
                return Ok(Err(format!("its directories lead through more than the limit of {STEPS} names")));
            }
            if place.is_linked {
                count(all, 1)?;
            }
            match name {
                b"" | b"." => continue,
                b".." => {
                    place.node = self.node(place.node)?.parent;
                    continue;
                }
                _ => {}
            }
            let Some(child) = self.child(place.node, name) else {
                if !make {
                    return Ok(Err("a directory above it is not there".into()));
                }
                place.node = self.make(place.node, name, Inode::IMPLIED, number)?;
                continue;
            };
            match self.kind(child)? {
                Some(FileKind::Directory) => place.node = child,
                Some(FileKind::Link) => {
                    links += 1;
                    if links > LINKS {
                        return Ok(Err(format!("more than {LINKS} links lead to it")));
                    }
                    let target = self.target(child)?;
                    let dots = target.split(|&byte| byte == b'/').any(|part| part == b"..");
                    place.is_linked = true;
                    place.is_far |= target.starts_with(b"/") || dots;
                    if target.starts_with(b"/") {
                        place.node = ROOT;
                    }
                    for part in target.split(|&byte| byte == b'/').rev().filter(|part| !part.is_empty()) {
                        queue.push_front(part.to_vec());
                    }
                }
                Some(other) => return Ok(Err(format!("what is above it is a {}", other.name()))),
                None => return Ok(Err("what is above it is unknown".into())),
            }
        }
    }

    /// The target of a link.
    pub(super) fn target(&self, node: u32) -> io::Result<Vec<u8>> {
        let inode = self.inode(node)?;
        let store = self.stores.get(usize::from(inode.layer));
        Ok(store.map(|store| store.link(inode.offset, inode.size).to_vec()).unwrap_or_default())
    }

    /// Why nothing is known of an inode.
    pub(super) fn reason(&self, inode: &Inode) -> String {
        let reasons = if inode.layer == HERE {
            Some(&self.doubts)
        } else {
            self.stores.get(usize::from(inode.layer)).map(|store| &store.reasons)
        };
        reasons.and_then(|reasons| reasons.get(inode.extra as usize)).cloned().unwrap_or_else(|| "it is not known".into())
    }

    /// Puts a new inode under a name.
    fn put(&mut self, parent: u32, name: &[u8], inode: Inode, number: u16) -> io::Result<()> {
        if let Some(there) = self.child(parent, name)
            && self.kind(there)? == Some(FileKind::Directory)
        {
            if inode.kind() == Some(FileKind::Directory) {
                // Its content stays.
                self.node_mut(there)?.layer = number;
                return self.set_inode(there, inode);
            }
            if inode.kind().is_none() {
                // Whatever it was, it does not take the directory's content away: the directory stays, with a gap.
                let reason = self.reason(&inode);
                self.gaps.miss(self.path(there), reason);
                return Ok(());
            }
        }
        let number_of = index(self.inodes.len());
        self.inodes.push(inode);
        self.place(parent, name, number_of, number)
    }

    fn set_inode(&mut self, node: u32, inode: Inode) -> io::Result<()> {
        // A directory has one name, so that nothing else sees this.
        let at = self.node(node)?.inode as usize;
        if let Some(there) = self.inodes.get_mut(at) {
            *there = inode;
        }
        Ok(())
    }

    /// Puts an inode that is there already under a name, in the place of what had it.
    fn place(&mut self, parent: u32, name: &[u8], inode: u32, number: u16) -> io::Result<()> {
        if let Some(there) = self.child(parent, name) {
            if self.rules == Rules::Tar && self.listed(there).any(|(_, node)| node.is_alive) {
                let reason = "a directory with content is replaced here: programs differ in whether they do that";
                self.gaps.miss(self.path(there), reason);
            }
            self.remove(there)?;
        }
        let node = self.make(parent, name, Inode::IMPLIED, number)?;
        let made = self.node_mut(node)?.inode;
        self.node_mut(node)?.inode = inode;
        // The inode made for it was the last one.
        if made as usize + 1 == self.inodes.len() && made != inode {
            self.inodes.pop();
        }
        Ok(())
    }

    /// Makes a name that is not there, or no more.
    fn make(&mut self, parent: u32, name: &[u8], inode: Inode, layer: u16) -> io::Result<u32> {
        let name = self.names.add(name)?;
        let inode_number = index(self.inodes.len());
        self.inodes.push(inode);
        let first = self.node(parent)?.child;
        let number = if let Some(number) = self.slot(parent, name) {
            let node = self.node_mut(number)?;
            let was_listed = node.is_listed;
            (node.inode, node.layer, node.is_alive, node.is_listed) = (inode_number, layer, true, true);
            if was_listed {
                return Ok(number);
            }
            node.next = first;
            number
        } else {
            let number = index(self.nodes.len());
            let (inode, is_alive, is_listed) = (inode_number, true, true);
            self.nodes.push(Node { parent, name, child: NONE, next: first, inode, layer, is_alive, is_listed });
            let hash = self.index.hash((parent, name));
            let nodes = &self.nodes;
            let key = |number: u32| nodes.get(number as usize).map_or((NONE, NONE), |node| (node.parent, node.name));
            self.index.add(hash, number, |index, number| index.hash(key(number)));
            number
        };
        self.node_mut(parent)?.child = number;
        Ok(number)
    }

    /// Removes a name and everything below it. Each name that is passed leaves its parent's list, so that the next removal does not
    /// pass it again.
    fn remove(&mut self, node: u32) -> io::Result<()> {
        self.node_mut(node)?.is_alive = false;
        let mut waiting = vec![std::mem::replace(&mut self.node_mut(node)?.child, NONE)];
        while let Some(number) = waiting.pop() {
            if number == NONE {
                continue;
            }
            let node = self.node_mut(number)?;
            (node.is_alive, node.is_listed) = (false, false);
            waiting.push(std::mem::replace(&mut node.next, NONE));
            waiting.push(std::mem::replace(&mut node.child, NONE));
        }
        Ok(())
    }

    /// Hides what lower layers put under a name, or, if the name is `.wh..opq`, under all names of a directory.
    fn whiteout(&mut self, path: &[u8], hidden: &[u8], place: &Place, number: u16, steps: &mut u64) -> io::Result<()> {
        if place.is_linked {
            self.gaps.miss(ImagePath::new(path), "a whiteout below a link: programs differ in what it removes");
        }
        if hidden == b".wh..opq" {
            return self.prune(place.node, number, steps).map(drop);
        }
        if hidden.starts_with(b".wh.") {
            // What AUFS writes down for itself.
            return Ok(());
        }
        if matches!(hidden, b"" | b"." | b"..") {
            self.gaps.miss(ImagePath::new(path), "a whiteout of no name");
            return Ok(());
        }
        let Some(there) = self.child(place.node, hidden) else { return Ok(()) };
        let is_kept = self.prune(there, number, steps)?;
        if self.node(there)?.layer != number {
            if is_kept {
                // Nobody described it in this layer: only what is below needs it.
                self.node_mut(there)?.layer = number;
                return self.set_inode(there, Inode::IMPLIED);
            }
            self.remove(there)?;
        }
        Ok(())
    }

    /// Removes everything of lower layers below a directory. Says whether something of this layer stays.
    fn prune(&mut self, directory: u32, number: u16, steps: &mut u64) -> io::Result<bool> {
        // Children before their parents: the order in which they are found, turned round.
        let mut order = vec![directory];
        let mut at = 0;
        while let Some(&node) = order.get(at) {
            let mut passed = 1;
            order.extend(self.listed(node).inspect(|_| passed += 1).filter(|(_, child)| child.is_alive).map(|(child, _)| child));
            count(steps, passed)?;
            at += 1;
        }
        let mut is_kept = false;
        for node in order.into_iter().skip(1).rev() {
            let of_this = self.node(node)?.layer == number;
            let above = self.listed(node).any(|(_, child)| child.is_alive);
            if of_this || above {
                is_kept = true;
                if !of_this {
                    self.node_mut(node)?.layer = number;
                    self.set_inode(node, Inode::IMPLIED)?;
                }
            } else {
                self.node_mut(node)?.is_alive = false;
            }
        }
        Ok(is_kept)
    }
}
