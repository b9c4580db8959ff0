//! Images for tests: in memory without their zeros, from fixtures and from files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::super::Ext4;
use crate::image::{FileKind, Metadata};
use crate::source::device::BlockDevice;
use crate::source::filesystem::FileSystem;

const CHUNK: usize = 16 << 10;

/// A device in memory that counts what is read of it.
#[derive(Default, Clone)]
pub(super) struct Image {
    chunks: BTreeMap<u64, Arc<Vec<u8>>>,
    pub(super) length: u64,
    pub(super) read: Arc<AtomicU64>,
}

impl Image {
    pub(super) fn new(mut from: impl Read) -> Self {
        let mut image = Self::default();
        loop {
            let mut chunk = Vec::with_capacity(CHUNK);
            let got = from.by_ref().take(CHUNK as u64).read_to_end(&mut chunk).unwrap();
            if got == 0 {
                return image;
            }
            image.length += got as u64;
            if chunk.iter().any(|&byte| byte != 0) {
                chunk.resize(CHUNK, 0);
                image.chunks.insert((image.length - 1) / CHUNK as u64, Arc::new(chunk));
            }
        }
    }

    pub(super) fn bytes(&self, at: u64, length: usize) -> Vec<u8> {
        let mut buffer = vec![0; length];
        self.read_at(at, &mut buffer).unwrap();
        buffer
    }

    pub(super) fn write(&mut self, at: u64, bytes: &[u8]) {
        for (at, byte) in (at..).zip(bytes) {
            let chunk = self.chunks.entry(at / CHUNK as u64).or_insert_with(|| Arc::new(vec![0; CHUNK]));
            Arc::make_mut(chunk)[usize::try_from(at).unwrap() % CHUNK] = *byte;
        }
    }

    pub(super) fn open(&self) -> Ext4 {
        Ext4::open(Arc::new(self.clone())).unwrap()
    }

    /// Places that hold something: where mutations do most.
    pub(super) fn used(&self) -> Vec<u64> {
        self.chunks.keys().map(|chunk| chunk * CHUNK as u64).collect()
    }

    /// As a file with holes.
    pub(super) fn save(&self, path: &Path) {
        let mut file = File::create(path).unwrap();
        file.set_len(self.length).unwrap();
        for (chunk, bytes) in &self.chunks {
            file.seek(SeekFrom::Start(chunk * CHUNK as u64)).unwrap();
            let left = usize::try_from(self.length - chunk * CHUNK as u64).unwrap();
            file.write_all(&bytes[..left.min(CHUNK)]).unwrap();
        }
    }
}

impl BlockDevice for Image {
    fn len(&self) -> u64 {
        self.length
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.read.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        if offset.saturating_add(buffer.len() as u64) > self.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (mut at, mut rest) = (offset, buffer);
        while !rest.is_empty() {
            let within = usize::try_from(at % CHUNK as u64).unwrap();
            let here = rest.len().min(CHUNK - within);
            let (now, later) = rest.split_at_mut(here);
            match self.chunks.get(&(at / CHUNK as u64)) {
                Some(chunk) => now.copy_from_slice(&chunk[within..within + here]),
                None => now.fill(0),
            }
            (at, rest) = (at + here as u64, later);
        }
        Ok(())
    }
}

/// The folder of fixtures, or a message that it is missing.
pub(super) fn fixtures() -> Option<PathBuf> {
    crate::source::device::fixtures::fixture("")
}

pub(super) fn unpacked(path: &Path) -> impl Read + use<> {
    ruzstd::decoding::StreamingDecoder::new(File::open(path).unwrap()).unwrap()
}

/// A fixture by its path below the folder.
pub(super) fn fixture(path: &str) -> Option<Image> {
    Some(Image::new(unpacked(&fixtures()?.join(path))))
}

/// Runs a tool. Nothing if there is no such tool, which only `KARAT_PEERS=required` makes an error.
pub(super) fn run(tool: &str, arguments: &[&str]) -> Option<Output> {
    match Command::new(tool).args(arguments).env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin").output() {
        Ok(output) => Some(output),
        Err(_) if std::env::var_os("KARAT_PEERS").is_none() => {
            eprintln!("skipped: no {tool}");
            None
        }
        Err(error) => panic!("{tool}: {error}"),
    }
}

/// An image made by `mkfs.ext4`, of a tree if there is one.
pub(super) fn made(options: &[&str], tree: Option<&Path>, size: &str) -> Option<Image> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image");
    let mut arguments = vec!["-q", "-F", "-E", "no_copy_xattrs"];
    if let Some(tree) = tree {
        arguments = vec!["-q", "-F", "-d", tree.to_str().unwrap()];
    }
    arguments.extend(options);
    arguments.extend([path.to_str().unwrap(), size]);
    let output = run("mke2fs", &arguments)?;
    assert!(output.status.success(), "mke2fs {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Some(Image::new(File::open(path).unwrap()))
}

/// Lets `debugfs` change an image.
pub(super) fn changed(image: &Image, commands: &str) -> Option<Image> {
    let folder = tempfile::tempdir().unwrap();
    let (path, script) = (folder.path().join("image"), folder.path().join("script"));
    image.save(&path);
    std::fs::write(&script, commands).unwrap();
    run("debugfs", &["-w", "-f", script.to_str().unwrap(), path.to_str().unwrap()])?;
    Some(Image::new(File::open(path).unwrap()))
}

/// Everything below the root, by path without its first slash.
pub(super) fn tree(system: &Ext4) -> BTreeMap<Vec<u8>, (u64, Metadata)> {
    let mut all = BTreeMap::new();
    let mut waiting = vec![(Vec::new(), system.root())];
    while let Some((path, inode)) = waiting.pop() {
        let metadata = system.metadata(inode).unwrap();
        if metadata.kind == FileKind::Directory {
            let result = system.entries(inode, &mut |name, inode| {
                let path = if path.is_empty() { name.to_vec() } else { [&path, name].join(&b'/') };
                waiting.push((path, inode));
                std::ops::ControlFlow::Continue(())
            });
            result.unwrap();
        }
        all.insert(path, (inode, metadata));
    }
    all
}

/// All of a file.
pub(super) fn content(system: &Ext4, inode: u64) -> Vec<u8> {
    let mut content = vec![0; usize::try_from(system.metadata(inode).unwrap().size).unwrap()];
    let got = system.read(inode, 0, &mut content).unwrap();
    assert_eq!(got, content.len());
    content
}

/// The inode of a path.
pub(super) fn inode(system: &Ext4, path: &str) -> u64 {
    let names = path.split('/').filter(|name| !name.is_empty());
    names.fold(system.root(), |at, name| system.lookup(at, name.as_bytes()).unwrap().unwrap())
}
