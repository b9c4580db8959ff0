//! File systems read from their bytes: one folder a format. Each is a tree of inodes; what makes an image of it is the same for all.

pub mod ext4;
pub mod fat;
#[cfg(test)]
mod manifest;
mod volume;
pub mod xfs;

use std::io;
use std::ops::ControlFlow;

use serde::Serialize;

use self::ext4::{Ext4, Log};
use self::fat::Fat;
pub use self::volume::Volume;
use self::xfs::{LogState, Xfs};
use super::device::Device;
use super::volume::Kind;
use crate::image::{Image, Metadata};
use crate::path::printable;

/// What a file system says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct About {
    /// Its features, by the names of its own tools.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// Bytes of a block.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_size: Option<u32>,
    /// What became of its journal or log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// What is odd about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A file system that was opened.
pub struct Opened {
    /// The tree in it; why that is not to be relied on, if its journal cannot be replayed.
    pub image: Result<Box<dyn Image>, String>,
    /// What it says of itself.
    pub about: About,
}

/// Opens the file system of a device. Options are those of a line of fstab, and mean something for FAT only.
///
/// # Errors
/// That it is none of those that are read, or why it cannot be read at all.
pub fn open(kind: Kind, device: Device, options: &[String]) -> Result<Opened, String> {
    match kind {
        Kind::Ext => {
            let system = Ext4::open_stale(device).map_err(|error| error.to_string())?;
            let summary = system.summary();
            let mut notes = Vec::new();
            if let Some(end) = summary.truncated_to {
                notes.push(format!("{} bytes by its own account, cut off at byte {end}", summary.length));
            }
            if summary.has_errors {
                notes.push("it is marked as having errors: run e2fsck on a copy".to_owned());
            }
            if summary.broken_groups > 0 {
                notes.push(format!("{} of its group descriptors are broken", summary.broken_groups));
            }
            let stale = matches!(summary.log, Log::Unusable(_)).then(|| format!("its journal {}", summary.log));
            let about = About {
                features: summary.features,
                block_size: Some(summary.block_size),
                log: Some(summary.log.to_string()),
                notes,
            };
            Ok(opened(Box::new(system), stale, about))
        }
        Kind::Xfs => {
            let system = Xfs::open(Device::clone(&device)).map_err(|error| error.to_string())?;
            let mut notes = Vec::new();
            if system.size() > device.len() {
                notes.push(format!("{} bytes by its own account, cut off at byte {}", system.size(), device.len()));
            }
            let stale = matches!(system.log(), LogState::Unreplayable(_)).then(|| format!("its log {}", system.log()));
            let about = About {
                features: system.features().into_iter().map(str::to_owned).collect(),
                block_size: Some(system.block_size()),
                log: Some(system.log().to_string()),
                notes,
            };
            Ok(opened(Box::new(system), stale, about))
        }
        Kind::Fat => {
            let options = fat::Options::read(options.iter().map(String::as_str)).map_err(|why| printable(why.as_bytes()))?;
            let system = Fat::open(device, options).map_err(|error| error.to_string())?;
            Ok(Opened { image: Ok(Box::new(system)), about: About::default() })
        }
        other => Err(other.refusal().unwrap_or("no file system").to_owned()),
    }
}

fn opened(system: Box<dyn FileSystem>, stale: Option<String>, about: About) -> Opened {
    match stale {
        Some(why) => Opened { image: Err(format!("{why}; what is read would be out of date")), about },
        None => Opened { image: Ok(Box::new(Volume::new(system))), about },
    }
}

/// A file system as its inodes. Nothing is cached beyond what its reader needs to find them.
pub trait FileSystem: Send + Sync {
    /// The inode of its root directory.
    fn root(&self) -> u64;

    /// What an inode says of itself.
    ///
    /// # Errors
    /// `NotFound` if it is free or impossible; `InvalidData` if a checksum or a bound does not hold, with what is wrong.
    fn metadata(&self, inode: u64) -> io::Result<Metadata>;

    /// The inode of a name in a directory, found by the directory's own index where it has one.
    ///
    /// # Errors
    /// `NotADirectory`; otherwise as [`FileSystem::metadata`].
    fn lookup(&self, directory: u64, name: &[u8]) -> io::Result<Option<u64>>;

    /// Shows every name of a directory with its inode, without `.` and `..`.
    ///
    /// # Errors
    /// As [`FileSystem::lookup`]. What was shown before an error stands.
    fn entries(&self, directory: u64, each: &mut dyn FnMut(&[u8], u64) -> ControlFlow<()>) -> io::Result<()>;

    /// The target of a link.
    ///
    /// # Errors
    /// `InvalidInput` if it is none; otherwise as [`FileSystem::metadata`].
    fn link(&self, inode: u64) -> io::Result<Vec<u8>>;

    /// Reads of a regular file's content what is at `offset`; fewer bytes than asked for only at its end.
    ///
    /// # Errors
    /// `InvalidInput` if it is no regular file; otherwise as [`FileSystem::metadata`].
    fn read(&self, inode: u64, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// One extended attribute by its full name (`security.capability`), if it is set.
    ///
    /// # Errors
    /// As [`FileSystem::metadata`].
    fn xattr(&self, inode: u64, name: &str) -> io::Result<Option<Vec<u8>>>;

    /// Shows every inode in use, in one pass over the tables, from several threads at once. Also those no name leads to.
    fn inodes(&self, each: &(dyn Fn(u64, io::Result<Metadata>) + Sync));
}
