//! Images of real tools, and what the kernel says of them.
#![allow(clippy::disallowed_methods, reason = "tests read fixtures and run the real tools")]
#![allow(clippy::print_stderr, reason = "a test says that it skips")]

mod damage;
mod fixtures;
mod made;
mod speed;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::Xfs;
use crate::image::{FileKind, Metadata};
use crate::source::device::{BlockDevice, fixtures::fixture as shared};
use crate::source::filesystem::FileSystem;
use crate::source::filesystem::manifest::{lines, manifest};

/// A piece of a sparse image.
const PIECE: usize = 1 << 16;

/// An image in memory, without its zeroes.
#[derive(Clone, Default)]
struct Sparse {
    pieces: BTreeMap<u64, Box<[u8]>>,
    length: u64,
}

impl Sparse {
    fn from_reader(mut reader: impl Read) -> Self {
        let mut sparse = Self::default();
        let mut piece = vec![0; PIECE];
        loop {
            let mut filled = 0;
            while filled < PIECE {
                match reader.read(&mut piece[filled..]).unwrap() {
                    0 => break,
                    read => filled += read,
                }
            }
            if piece[..filled].iter().any(|&byte| byte != 0) {
                let mut piece = piece.clone();
                piece[filled..].fill(0);
                sparse.pieces.insert(sparse.length / PIECE as u64, piece.into());
            }
            sparse.length += filled as u64;
            if filled < PIECE {
                return sparse;
            }
        }
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) {
        for (at, &byte) in (offset..).zip(bytes) {
            let piece = self.pieces.entry(at / PIECE as u64).or_insert_with(|| vec![0; PIECE].into());
            piece[usize::try_from(at).unwrap() % PIECE] = byte;
        }
    }

    fn bytes(&self, offset: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.read_at(offset, &mut bytes).unwrap();
        bytes
    }

    fn open(&self) -> Xfs {
        Xfs::open(Arc::new(self.clone())).unwrap()
    }
}

impl BlockDevice for Sparse {
    fn len(&self) -> u64 {
        self.length
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > self.length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (mut at, mut rest) = (offset, buffer);
        while !rest.is_empty() {
            let inside = usize::try_from(at).unwrap() % PIECE;
            let length = rest.len().min(PIECE - inside);
            let (now, after) = rest.split_at_mut(length);
            match self.pieces.get(&(at / PIECE as u64)) {
                Some(piece) => now.copy_from_slice(&piece[inside..inside + length]),
                None => now.fill(0),
            }
            at += length as u64;
            rest = after;
        }
        Ok(())
    }
}

/// A file of the shared fixtures; nothing, with a message, where they are not at hand.
fn fixture(path: &str) -> Option<impl Read + use<>> {
    let file = std::fs::File::open(shared(path)?).unwrap();
    Some(ruzstd::decoding::StreamingDecoder::new(io::BufReader::new(file)).unwrap())
}

fn image(path: &str) -> Option<Sparse> {
    fixture(path).map(Sparse::from_reader)
}

fn names(xfs: &Xfs, directory: u64) -> io::Result<Vec<(Vec<u8>, u64)>> {
    let mut names = Vec::new();
    xfs.entries(directory, &mut |name, inode| {
        names.push((name.to_vec(), inode));
        ControlFlow::Continue(())
    })?;
    Ok(names)
}

/// Every path but the root, with its inode.
fn tree(xfs: &Xfs) -> Vec<(Vec<u8>, u64)> {
    let mut all = Vec::new();
    let mut waiting = vec![(Vec::new(), xfs.root())];
    while let Some((path, directory)) = waiting.pop() {
        for (name, inode) in names(xfs, directory).unwrap() {
            let path = if path.is_empty() { name } else { [&path[..], b"/", &name].concat() };
            if xfs.metadata(inode).unwrap().kind == FileKind::Directory {
                waiting.push((path.clone(), inode));
            }
            all.push((path, inode));
        }
    }
    all
}

fn assert_same(found: &[Vec<u8>], expected: &[Vec<u8>]) {
    let shown = |lines: &[Vec<u8>], other: &[Vec<u8>]| {
        let lines = lines.iter().filter(|line| other.binary_search(line).is_err()).take(10);
        lines.map(|line| String::from_utf8_lossy(line).into_owned()).collect::<Vec<_>>()
    };
    assert!(found == expected, "only found: {:#?}\nonly expected: {:#?}", shown(found, expected), shown(expected, found));
}

/// Names found by their hash, inodes seen in bulk and inodes read one by one are the same.
fn assert_consistent(xfs: &Xfs) {
    let bulk = Mutex::new(BTreeMap::new());
    xfs.inodes(&|number, found| {
        let found = found.unwrap_or_else(|error| panic!("inode {number}: {error}"));
        assert!(bulk.lock().unwrap().insert(number, found).is_none(), "inode {number} twice");
    });
    let bulk = bulk.into_inner().unwrap();
    assert!(bulk.contains_key(&xfs.root()));
    let mut waiting = vec![xfs.root()];
    while let Some(directory) = waiting.pop() {
        for (name, inode) in names(xfs, directory).unwrap() {
            assert_eq!(xfs.lookup(directory, &name).unwrap(), Some(inode), "{}", String::from_utf8_lossy(&name));
            let found = xfs.metadata(inode).unwrap();
            assert_eq!(bulk.get(&inode), Some(&found), "inode {inode}");
            if found.kind == FileKind::Directory {
                waiting.push(inode);
            }
        }
        assert_eq!(xfs.lookup(directory, b"no such name").unwrap(), None);
    }
}

fn find(xfs: &Xfs, path: &str) -> u64 {
    path.split('/').fold(xfs.root(), |directory, name| {
        xfs.lookup(directory, name.as_bytes()).unwrap().unwrap_or_else(|| panic!("{path}: no {name}"))
    })
}

fn content(xfs: &Xfs, inode: u64) -> Vec<u8> {
    let mut content = vec![0; usize::try_from(xfs.metadata(inode).unwrap().size).unwrap()];
    let read = xfs.read(inode, 0, &mut content).unwrap();
    assert_eq!(read, content.len());
    content
}
