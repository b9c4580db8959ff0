//! Where an image comes from. The one room that opens files of the host.
//!
//! A directory (a mounted or unpacked root); the machine karat runs on: the same directory code over `/`, plus `/proc` and `/sys`
//! for what only a running system knows; an archive or a container image; a disk image. Which it is, its content says, never its name.

pub mod archive;
mod beneath;
pub mod composed;
pub mod device;
mod directory;
mod disk;
pub mod filesystem;
mod foreign;
pub mod grafts;
mod keep;
mod live;
pub mod roots;
mod status;
pub mod volume;
mod walk;

use std::io;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

pub use self::archive::{About as ArchiveAbout, Choice};
pub use self::device::Counts;
pub use self::directory::Directory;
pub use self::disk::{DiskAbout, FileSystemAbout, MountAbout};
pub use self::live::Running;
pub use self::volume::Volume;

use self::archive::{Archive, Bounds, Input};
use self::device::{Counted, Device, FileDevice};
use self::volume::Kind;
use crate::image::{Image, Rootfs};
use crate::path::printable;

/// Which of several things a source holds is meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Of a container image with several: platform and name.
    pub container: Choice,
    /// Of a disk with several systems: the volume that is the root.
    pub volume: Option<String>,
}

/// An opened source: the image, and the running system where the image is the machine itself.
pub struct Source {
    /// The image.
    pub image: Box<dyn Image>,
    /// `/proc` and `/sys`, where the image is the running machine.
    pub running: Option<Box<dyn Image>>,
    counted: Option<Arc<Counted>>,
}

impl Source {
    /// The image as a root file system.
    #[must_use]
    pub fn root(&self) -> Rootfs<'_> {
        Rootfs::new(&*self.image)
    }

    /// `/proc` and `/sys` of the running machine, for [`Target::running`](crate::facts::Target::running).
    #[must_use]
    pub fn running(&self) -> Option<Rootfs<'_>> {
        self.running.as_deref().map(Rootfs::new)
    }

    /// What was read so far, where the source is a file or a block device.
    #[must_use]
    pub fn counts(&self) -> Option<Counts> {
        self.counted.as_ref().map(|counted| counted.counts())
    }
}

/// What a source is, for `karat inspect`.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum About {
    /// A directory.
    Directory {
        /// Whether it is the running machine.
        running: bool,
    },
    /// An archive or a container image.
    Archive(Box<ArchiveAbout>),
    /// A disk.
    Disk(Box<DiskAbout>),
}

/// What was found, and the source itself or why there is nothing to judge in it.
pub struct Inspected {
    /// What it is.
    pub about: About,
    /// The source.
    pub source: Result<Source, SourceError>,
}

/// Why there is nothing to scan. Each ends a scan before it starts, with exit code 2.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// Nothing is there.
    #[error("{path}: no such file or directory")]
    NoSuchPath {
        /// The path as its user wrote it, made safe to show.
        path: String,
    },
    /// It is nothing that holds an image.
    #[error("{path}: {reason}; a root directory, an archive, a container image or a disk image is expected")]
    NoImage {
        /// The path as its user wrote it, made safe to show.
        path: String,
        /// What it is.
        reason: String,
    },
    /// Nothing is in it.
    #[error("{path}: the directory is empty; is the image mounted?")]
    Empty {
        /// The path as its user wrote it, made safe to show.
        path: String,
    },
    /// It cannot be read.
    #[error("{path}: cannot be read: {reason}")]
    Unreadable {
        /// The path as its user wrote it, made safe to show.
        path: String,
        /// Why.
        reason: String,
    },
    /// It can be read, and what is meant is not in it.
    #[error("{path}: {reason}")]
    NotFound {
        /// The path as its user wrote it, made safe to show.
        path: String,
        /// Why.
        reason: String,
    },
}

/// Opens what a path names. The running machine is meant by `/` and by every path that leads to the same directory; standard input by
/// `-`.
///
/// # Errors
/// See [`SourceError`].
pub fn open(path: &Path, wanted: &Wanted) -> Result<Source, SourceError> {
    inspect(path, wanted)?.source
}

/// Whether what was asked for is of the kind that was found: a choice that changes nothing is a mistake.
fn is_meant(path: &Path, about: &About, wanted: &Wanted) -> Result<(), SourceError> {
    let wrong = |reason: &str| Err(SourceError::NotFound { path: shown(path), reason: reason.to_owned() });
    let is_container = matches!(about, About::Archive(archive) if archive.container.is_some());
    match about {
        About::Disk(_) => {}
        _ if wanted.volume.is_some() => return wrong("it is no disk image, so there is no volume that --root could choose"),
        _ => {}
    }
    if !is_container && wanted.container != Choice::default() {
        return wrong("it is no container image, so there is nothing that --platform or --tag could choose");
    }
    Ok(())
}

/// The same, with what is known of it even where there is nothing to judge in it.
///
/// # Errors
/// See [`SourceError`].
pub fn inspect(path: &Path, wanted: &Wanted) -> Result<Inspected, SourceError> {
    let found = look(path, wanted)?;
    is_meant(path, &found.about, wanted)?;
    Ok(found)
}

fn look(path: &Path, wanted: &Wanted) -> Result<Inspected, SourceError> {
    let options = archive::Options { keep: &keep::keep, choice: &wanted.container, bounds: Bounds::USUAL };
    let failed = |error: io::Error| failed(path, &error);
    if path == Path::new("-") {
        let archive = archive::open(Input::Stream(Box::new(io::stdin())), &options).map_err(failed)?;
        return Ok(of_archive(archive, None));
    }
    let metadata = rustix::fs::stat(path).map_err(|errno| failed(errno.into()))?;
    if rustix::fs::FileType::from_raw_mode(metadata.st_mode) == rustix::fs::FileType::Directory {
        if archive::is_layout(path) {
            return Ok(of_archive(archive::open_layout(path, &options).map_err(failed)?, None));
        }
        return of_directory(path);
    }
    let file: Device = Arc::new(FileDevice::open(path).map_err(failed)?);
    let mut head = vec![0; usize::try_from(file.len()).unwrap_or(usize::MAX).min(HEAD)];
    file.read_at(0, &mut head).map_err(failed)?;
    if head.is_empty() {
        return Err(SourceError::NoImage { path: shown(path), reason: "the file is empty".to_owned() });
    }
    if archive::is_archive(&head) {
        let counted = Arc::new(Counted::new(file));
        let archive = archive::open(Input::Device(Arc::<Counted>::clone(&counted)), &options).map_err(failed)?;
        return Ok(of_archive(archive, Some(counted)));
    }
    let found = disk::open(file, path, wanted.volume.as_deref()).map_err(failed)?;
    if let [whole] = found.about.survey.disks.as_slice()
        && whole.content.kind == Kind::Unknown
        && whole.below.is_empty()
    {
        return Err(SourceError::NoImage {
            path: shown(path),
            reason: "neither an archive nor a disk nor a file system".to_owned(),
        });
    }
    let counted = Some(found.counted);
    let source = found.image.map(|image| Source { image, running: None, counted });
    let source = source.map_err(|reason| SourceError::NotFound { path: shown(path), reason });
    Ok(Inspected { about: About::Disk(Box::new(found.about)), source })
}

/// What is looked at to know an archive.
const HEAD: usize = 4 << 10;

fn of_directory(path: &Path) -> Result<Inspected, SourceError> {
    let image = Directory::open(path)?;
    let running = if image.is_the_running_root() { Some(Box::new(Running::open()?) as Box<dyn Image>) } else { None };
    let about = About::Directory { running: running.is_some() };
    Ok(Inspected { about, source: Ok(Source { image: Box::new(image), running, counted: None }) })
}

fn of_archive(archive: Archive, counted: Option<Arc<Counted>>) -> Inspected {
    let source = Source { image: archive.image, running: None, counted };
    Inspected { about: About::Archive(Box::new(archive.about)), source: Ok(source) }
}

fn failed(path: &Path, error: &io::Error) -> SourceError {
    let path = shown(path);
    match error.kind() {
        io::ErrorKind::NotFound if error.get_ref().is_none() => SourceError::NoSuchPath { path },
        io::ErrorKind::NotADirectory => SourceError::NoImage { path, reason: "a file where a directory has to be".to_owned() },
        io::ErrorKind::Unsupported => SourceError::NoImage { path, reason: printable(error.to_string().as_bytes()) },
        _ => SourceError::Unreadable { path, reason: printable(error.to_string().as_bytes()) },
    }
}

/// A path of the host, made safe to show.
fn shown(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    printable(path.as_os_str().as_bytes())
}
