//! Images from archives: tar, compressed or not, and container images in one or in a folder. Recognised by what they hold, never by a
//! name, and read from files and from streams such as standard input.
//!
//! Everything is read in one pass. Of each entry some 80 bytes stay; content is read again where it lies, or, where it was compressed,
//! by decompressing again from the nearest [mark](compression). Files that the caller knows to be asked for are kept in memory,
//! compressed, within a limit; from a stream that is over these are all there is. Nothing is ever written.

mod blobs;
mod bytes;
mod compression;
mod content;
mod docker;
mod file;
mod layer;
mod oci;
mod scan;
mod stream;
mod tar;
#[cfg(test)]
mod tests;
mod tree;

use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};

pub use compression::{Bounds, Compression};
pub use oci::{Choice, ImageConfig, ProcessConfig};

use self::blobs::Blobs;
use self::bytes::{Bytes, Disk, Gone, Leaping, Stream, invalid};
use self::content::Budget;
use self::layer::Log;
use self::oci::Chosen;
use self::scan::{Means, Scanned};
use self::stream::Passing;
use self::tree::{Rules, Tree};
use super::device::BlockDevice;
use serde::Serialize;

use crate::image::{Image, Metadata};
use crate::path::ImagePath;

/// Says of a regular file whether its content is going to be asked for. Asked from several threads at once.
pub type Keep<'k> = &'k (dyn Fn(&ImagePath, &Metadata) -> bool + Sync);

/// What is read.
pub enum Input {
    /// A file, or anything else with offsets.
    Device(Arc<dyn BlockDevice>),
    /// A stream that is read once.
    Stream(Box<dyn Read + Send>),
}

/// How it is read.
#[derive(Clone, Copy)]
pub struct Options<'o> {
    /// Which files to keep.
    pub keep: Keep<'o>,
    /// Which image, where there are several.
    pub choice: &'o Choice,
    /// What may come out of compressed streams.
    pub bounds: Bounds,
}

/// An archive that was read.
pub struct Archive {
    /// The tree in it.
    pub image: Box<dyn Image>,
    /// What it is.
    pub about: About,
}

/// What an archive is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct About {
    /// How the archive itself is compressed.
    pub compression: Option<Compression>,
    /// The container image in it.
    pub container: Option<Container>,
    /// Entries of the tree, its root among them.
    pub entries: u64,
    /// Bytes of content in memory, as they are kept there.
    pub kept: u64,
    /// Why the archive could not be read to its end.
    pub incomplete: Option<String>,
}

/// A container image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Container {
    /// Its name or tag.
    pub name: Option<String>,
    /// The digest of its configuration, which is its id.
    pub id: String,
    /// What its process starts with, and what it is for.
    pub config: ImageConfig,
    /// From the lowest on.
    pub layers: Vec<LayerAbout>,
}

/// A layer of a container image. Its digests were checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LayerAbout {
    /// Of its content.
    pub diff_id: String,
    /// How it is compressed.
    pub compression: Option<Compression>,
    /// Bytes as it is stored.
    pub stored: u64,
    /// Bytes uncompressed.
    pub content: u64,
    /// Entries.
    pub entries: u64,
}

/// Whether bytes that begin like this (512 are enough) may be an archive: a tar, or a compressed stream, of which only reading tells.
#[must_use]
pub fn is_archive(start: &[u8]) -> bool {
    tar::begins(start) || Compression::of(start).is_some()
}

/// Whether a folder is an image layout of OCI.
#[must_use]
pub fn is_layout(folder: &Path) -> bool {
    folder_of(folder).is_ok_and(|blobs| blobs.has("oci-layout") && blobs.has("index.json"))
}

/// Reads an archive.
///
/// # Errors
/// If it is none, if it is a container image that is not whole or not what its digests say, or if no image of it fits. A plain tar
/// that is broken somewhere is no error: see [`About::incomplete`].
pub fn open(input: Input, options: &Options<'_>) -> io::Result<Archive> {
    let budget = Budget::default();
    let means = Means { keep: options.keep, bounds: options.bounds, budget: &budget };
    let (below, stream, device): (Arc<dyn Bytes>, Box<dyn Read + Send>, _) = match input {
        Input::Device(device) => {
            let disk: Arc<dyn Bytes> = Arc::new(Disk(Arc::clone(&device)));
            (Arc::clone(&disk), disk.reader(0)?, Some(device))
        }
        Input::Stream(stream) => (Arc::new(Gone), stream, None),
    };
    let (head, stream) = scan::start(stream)?;
    let compression = Compression::of(&head);
    let (outer, passed) = if let Some(device) = device.filter(|_| compression.is_none()) {
        if !tar::begins(&head) {
            return Err(scan::no_archive(None, &head));
        }
        let never: Keep<'_> = &|_, _| false;
        let mut log = Log::new(below, never, &budget);
        let incomplete = scan::archive(&mut Leaping::new(device), false, &mut log)?;
        (log.done(incomplete), blobs::Passed::new())
    } else {
        let (stream, bytes, again) = scan::second(compression, stream, below, options.bounds);
        let (head, mut stream) = if compression.is_some() { scan::start(stream)? } else { (head, stream) };
        if !tar::begins(&head) {
            return Err(scan::no_archive(compression, &head));
        }
        let mut passing = Passing::new(bytes, means);
        let mut counted = Counted { input: &mut stream, count: 0 };
        let incomplete = scan::archive(&mut Stream(&mut counted), compression.is_some(), &mut passing)?;
        if let Some(again) = again {
            again.holds(counted.count);
        }
        passing.done(incomplete)
    };
    let mut tree = Tree::new(Rules::Tar);
    tree.apply(&outer)?;
    drop(outer);
    let tree = tree.finish();
    if !is_container(&tree)? {
        let incomplete = tree.incomplete().map(str::to_owned);
        let about = About { compression, container: None, entries: tree.len(), kept: budget.kept(), incomplete };
        return Ok(Archive { image: Box::new(tree), about });
    }
    container(&Blobs::Archive(Box::new(tree), Mutex::new(passed)), compression, options.choice, means)
}

/// Reads an image layout of OCI in a folder.
///
/// # Errors
/// As [`open`].
pub fn open_layout(folder: &Path, options: &Options<'_>) -> io::Result<Archive> {
    let budget = Budget::default();
    let means = Means { keep: options.keep, bounds: options.bounds, budget: &budget };
    container(&folder_of(folder)?, None, options.choice, means)
}

fn folder_of(folder: &Path) -> io::Result<Blobs> {
    use rustix::fs::{CWD, Mode, OFlags, openat};
    Ok(Blobs::Folder(openat(CWD, folder, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?))
}

/// Whether the tree of an archive is a container image and not a root file system. What could be both is refused: somebody else
/// would take it for the other.
fn is_container(tree: &Tree) -> io::Result<bool> {
    let has = |path: &str| tree.metadata(&ImagePath::new(path)).is_ok();
    let is_saved = || -> io::Result<bool> {
        let mut content = Vec::new();
        let read =
            tree.open(&ImagePath::new("/manifest.json")).and_then(|file| file.take(oci::DOCUMENT).read_to_end(&mut content));
        Ok(read.is_ok() && docker::is_one(&content))
    };
    let found = (has("/oci-layout") && has("/index.json")) || (has("/manifest.json") && is_saved()?);
    if found && ["/etc", "/usr", "/bin", "/sbin", "/lib"].iter().any(|path| has(path)) {
        return Err(invalid("it holds a container image beside a root file system: which of them is meant cannot be told"));
    }
    Ok(found)
}

/// Chooses an image, reads its layers, each once and several at a time, and puts them on one another.
fn container(blobs: &Blobs, compression: Option<Compression>, choice: &Choice, means: Means<'_>) -> io::Result<Archive> {
    let chosen = if blobs.has("oci-layout") && blobs.has("index.json") {
        let chosen = oci::choose(blobs, choice)?;
        docker::agrees(blobs, &chosen)?;
        chosen
    } else {
        docker::choose(blobs, choice)?
    };
    let layers = layers(blobs, &chosen, means)?;
    blobs.forget();
    let about: Vec<LayerAbout> = layers
        .iter()
        .zip(&chosen.layers)
        .map(|(scanned, blob)| LayerAbout {
            diff_id: blob.diff_id.to_string(),
            compression: scanned.compression,
            stored: scanned.stored,
            content: scanned.content,
            entries: scanned.layer.records.len() as u64,
        })
        .collect();
    let mut tree = Tree::new(Rules::Layers);
    for scanned in layers {
        tree.apply(&scanned.layer)?;
    }
    let tree = tree.finish();
    let id = chosen.config_digest.to_string();
    let container = Some(Container { name: chosen.name, id, config: chosen.config, layers: about });
    let about = About { compression, container, entries: tree.len(), kept: means.budget.kept(), incomplete: None };
    Ok(Archive { image: Box::new(tree), about })
}

/// The layers in their order. The largest are read first, so that none is left alone at the end.
fn layers(blobs: &Blobs, chosen: &Chosen, means: Means<'_>) -> io::Result<Vec<Arc<Scanned>>> {
    let mut paths: Vec<&str> = chosen.layers.iter().map(|blob| blob.path.as_str()).collect();
    paths.sort_unstable();
    // A layer may come twice; the empty one often does.
    paths.dedup();
    paths.sort_by_cached_key(|path| std::cmp::Reverse(blobs.size(path)));
    let done = Mutex::new(std::collections::BTreeMap::new());
    let next = AtomicUsize::new(0);
    rayon::scope(|scope| {
        for _ in 0..rayon::current_num_threads().min(paths.len()) {
            scope.spawn(|_| {
                while let Some(path) = paths.get(next.fetch_add(1, Relaxed)) {
                    let read = blobs.layer(path, means);
                    done.lock().unwrap_or_else(PoisonError::into_inner).insert(*path, read);
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut found = std::collections::BTreeMap::new();
    // In the order of the image, so that of several errors always the same is told.
    for (number, blob) in chosen.layers.iter().enumerate() {
        let which = || format!("layer {} of {}", number + 1, chosen.layers.len());
        if let Some(read) = done.remove(blob.path.as_str()) {
            let read = read.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", which())))?;
            found.insert(blob.path.as_str(), read);
        }
        let Some(scanned) = found.get(blob.path.as_str()) else { return Err(invalid(format!("{} was not read", which()))) };
        let wrong = |what: &str, told: oci::Digest, is: scan::Sum| {
            invalid(format!(
                "{}, {}: its {what} has the digest {}, not {told}",
                which(),
                crate::path::printable(blob.path.as_bytes()),
                oci::Digest(is)
            ))
        };
        if let Some(told) = blob.digest.filter(|told| told.0 != scanned.digest) {
            return Err(wrong("file", told, scanned.digest));
        }
        if blob.diff_id.0 != scanned.diff_id {
            return Err(wrong("content", blob.diff_id, scanned.diff_id));
        }
    }
    Ok(chosen.layers.iter().filter_map(|blob| found.get(blob.path.as_str()).cloned()).collect())
}

/// Counts what is read.
struct Counted<'r> {
    input: &'r mut (dyn Read + Send),
    count: u64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.count += count as u64;
        Ok(count)
    }
}
