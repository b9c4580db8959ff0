//! The log, replayed in memory as the kernel does when it mounts.
//!
//! An image of a machine that was running holds the newest changes only in its log. They are read from there, and laid over the device:
//! nothing is written. Format as in "XFS Filesystem Disk Structures", chapter "Journaling Log"; order and exceptions as in the kernel's
//! log recovery.

mod buffer;
mod ends;
mod inode;
mod intents;
mod overlay;
mod record;
mod replay;
mod ring;
mod transaction;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::Arc;

pub(super) use intents::Unfinished;
pub(super) use overlay::Overlay;

use self::replay::Replayed;
use self::ring::Ring;
use super::bytes::broken;
use super::disk::Disk;
use super::error::FileSystemError;
use super::superblock::Superblock;

/// What the log was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogState {
    /// The file system was unmounted, or never mounted: there was nothing to replay.
    Clean,
    /// It was not unmounted; the log was replayed in memory.
    Replayed {
        /// How many transactions there were in it.
        transactions: u64,
        /// How much work the last of them announced and did not do, which the kernel would do now.
        intents: usize,
        /// Of how many inodes the content or the attributes are not known for that reason: reading them is an error.
        unknown: usize,
        /// Whether the last records had not been written whole when the machine stopped. They do not count, in the kernel as well.
        torn: bool,
    },
    /// It was not unmounted, and this is why the log cannot be replayed: what is read may be out of date.
    Unreplayable(String),
}

impl fmt::Display for LogState {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clean => out.write_str("clean"),
            Self::Replayed { transactions, intents, unknown, torn } => {
                write!(out, "replayed {transactions} transactions")?;
                if *torn {
                    out.write_str("; the last records were not written whole and do not count")?;
                }
                if *intents > 0 {
                    write!(out, "; {intents} announced changes were not done")?;
                }
                if *unknown > 0 {
                    write!(out, ", so {unknown} inodes are not wholly known")?;
                }
                Ok(())
            }
            Self::Unreplayable(why) => write!(out, "cannot be replayed: {why}"),
        }
    }
}

/// What the log leaves for the reader to know.
pub(super) struct Outcome {
    pub(super) disk: Disk,
    pub(super) state: LogState,
    pub(super) unfinished: Unfinished,
}

/// Replays the log over the device, if it has to be.
///
/// # Errors
/// If the superblock that the log holds is one that is refused.
pub(super) fn replay(disk: Disk) -> Result<Outcome, FileSystemError> {
    match recover(&disk) {
        Ok(None) => Ok(Outcome { disk, state: LogState::Clean, unfinished: Unfinished::default() }),
        Ok(Some(replayed)) => laid_over(disk, replayed),
        Err(error) => {
            let state = LogState::Unreplayable(error.to_string());
            Ok(Outcome { disk, state, unfinished: Unfinished::default() })
        }
    }
}

fn recover(disk: &Disk) -> io::Result<Option<Replayed>> {
    if disk.superblock.log_start == 0 {
        return Err(broken("the log lies on another device"));
    }
    let ring = Ring::new(disk)?;
    let ends = ends::find(&ring, disk.superblock.features.has_log_v2())?;
    if ends.clean {
        return Ok(None);
    }
    if let Some(last) = &ends.last {
        last.belongs(disk)?;
    }
    disk.superblock.features.can_replay()?;
    replay::replay(disk, &ring, ends)
}

fn laid_over(disk: Disk, replayed: Replayed) -> Result<Outcome, FileSystemError> {
    let Replayed { overlay, transactions, unfinished, intents, exchanged, torn } = replayed;
    let unknown = unfinished.content.union(&unfinished.attributes).collect::<BTreeSet<_>>().len();
    let state = LogState::Replayed { transactions, intents, unknown, torn };
    let overlay = Arc::new(overlay);
    // The file system may have grown.
    let changed = overlay.touches(0, u64::from(disk.superblock.sector_size));
    let superblock = if changed { Superblock::parse(&super::read_superblock(&*overlay)?, false)? } else { disk.superblock };
    let disk = Disk { device: overlay.clone(), superblock, overlay: Some(overlay), exchanged };
    Ok(Outcome { disk, state, unfinished })
}
