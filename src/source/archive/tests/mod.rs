//! Archives made by the programs that people use, and by those that mean no good.
#![allow(clippy::disallowed_methods, clippy::print_stderr, reason = "tests make their images with the real programs")]

mod containers;
mod hostile;
mod layers;
mod made;
mod plain;

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use super::{Archive, Bounds, Choice, Input, Options, open};
use crate::image::{Attributes, FileKind, Image, Metadata, Visitor};
use crate::path::ImagePath;
use crate::source::device::BlockDevice;

/// Bytes in memory as a device.
pub(super) struct Memory(pub(super) Vec<u8>);

impl BlockDevice for Memory {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        let part = self.0.get(start..start + buffer.len()).ok_or(std::io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(part);
        Ok(())
    }
}

pub(super) fn device(bytes: &[u8]) -> Input {
    Input::Device(Arc::new(Memory(bytes.to_vec())))
}

pub(super) fn stream(bytes: &[u8]) -> Input {
    Input::Stream(Box::new(Cursor::new(bytes.to_vec())))
}

pub(super) fn read(input: Input) -> std::io::Result<Archive> {
    open(input, &Options { keep: &|_, _| true, choice: &Choice::default(), bounds: Bounds::USUAL })
}

/// The same with nothing kept.
pub(super) fn read_bare(input: Input) -> std::io::Result<Archive> {
    open(input, &Options { keep: &|_, _| false, choice: &Choice::default(), bounds: Bounds::USUAL })
}

/// What is compared: everything that two readers of the same tree must agree on. Sizes and links of directories depend on the file
/// system.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seen {
    kind: FileKind,
    mode: u32,
    owner: (u32, u32),
    size: u64,
    nlink: u64,
    mtime: i64,
    content: Vec<u8>,
}

fn seen(metadata: Metadata, content: Vec<u8>) -> Seen {
    let Metadata { kind, mode, uid, gid, size, nlink, mtime } = metadata;
    let is_directory = kind == FileKind::Directory;
    let (size, nlink) = if is_directory { (0, 0) } else { (size, nlink) };
    // A link's mode has no meaning, and tar writers put what they like.
    let mode = if kind == FileKind::Link { 0o777 } else { mode };
    Seen { kind, mode, owner: (uid, gid), size, nlink, mtime, content }
}

/// What a host's folder holds, by a plain walk.
pub(super) fn folder(root: &Path) -> BTreeMap<ImagePath, Seen> {
    let mut all = BTreeMap::new();
    let mut waiting = vec![root.to_path_buf()];
    while let Some(path) = waiting.pop() {
        let found = std::fs::symlink_metadata(&path).unwrap();
        let kind = found.file_type();
        let (kind, content) = if kind.is_dir() {
            waiting.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            (FileKind::Directory, Vec::new())
        } else if kind.is_symlink() {
            (FileKind::Link, std::fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec())
        } else if kind.is_fifo() {
            (FileKind::Fifo, Vec::new())
        } else {
            (FileKind::File, std::fs::read(&path).unwrap())
        };
        let metadata = Metadata {
            kind,
            mode: found.mode() & 0o7777,
            uid: found.uid(),
            gid: found.gid(),
            size: found.size(),
            nlink: found.nlink(),
            mtime: found.mtime(),
        };
        let inside = path.strip_prefix(root).unwrap();
        all.insert(ImagePath::new(inside.as_os_str().as_bytes()), seen(metadata, content));
    }
    all
}

struct All(Mutex<Vec<(ImagePath, Metadata)>>);

impl Visitor for All {
    fn wants(&self, _: &[u8], _: &Metadata, _: Attributes<'_>) -> bool {
        true
    }

    fn found(&self, path: &ImagePath, metadata: &Metadata) {
        self.0.lock().unwrap().push((path.clone(), *metadata));
    }
}

/// What an image holds, by its walk; each entry is looked up by its path as well.
pub(super) fn inventory(image: &dyn Image) -> BTreeMap<ImagePath, Seen> {
    let all = All(Mutex::default());
    let coverage = image.walk(&all);
    assert!(coverage.gaps.is_empty(), "{:?}", coverage.gaps);
    let all = all.0.into_inner().unwrap();
    assert_eq!(all.len() as u64, coverage.entries);
    all.into_iter()
        .map(|(path, metadata)| {
            assert_eq!(image.metadata(&path).unwrap(), metadata, "{path}");
            let mut content = Vec::new();
            match metadata.kind {
                FileKind::File => {
                    image.open(&path).unwrap().read_to_end(&mut content).unwrap();
                }
                FileKind::Link => content = image.read_link(&path).unwrap(),
                FileKind::Directory => {
                    image.read_dir(&path).unwrap();
                }
                _ => {}
            }
            (path, seen(metadata, content))
        })
        .collect()
}

/// The gaps of an image's walk, as text.
pub(super) fn gaps(image: &dyn Image) -> Vec<String> {
    let all = All(Mutex::default());
    image.walk(&all).gaps.iter().map(|gap| format!("{}: {}", gap.path, gap.reason)).collect()
}

pub(super) fn text(image: &dyn Image, path: &str) -> String {
    let mut text = String::new();
    image.open(&ImagePath::new(path)).unwrap().read_to_string(&mut text).unwrap();
    text
}

/// Whether a program is there. Where peers are required, it has to be.
pub(super) fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    let required = std::env::var("KARAT_PEERS").is_ok_and(|peers| peers == "required");
    assert!(found || !required, "{program} is required");
    if !found {
        eprintln!("skipped: {program} is not installed");
    }
    found
}

pub(super) fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
