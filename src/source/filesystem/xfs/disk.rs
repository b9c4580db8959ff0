//! Blocks by their number, and whether they are what they should be.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::bytes::{Within, broken, checksum, crc_at, u32_at, u64_at, uuid_at};
use super::log::Overlay;
use super::superblock::Superblock;
use crate::source::device::BlockDevice;

/// Where a v5 structure keeps what identifies it (kernel documentation, `xfs-self-describing-metadata`), in bytes from its start.
pub(super) struct Identity {
    pub(super) checksum: usize,
    /// Where it should lie, in units of 512 bytes.
    place: usize,
    uuid: usize,
    /// The inode (64 bits) or allocation group (32 bits) that it belongs to.
    owner: usize,
    owner_is_group: bool,
}

/// Blocks of the B-trees of an allocation group.
pub(super) const GROUP_BTREE: Identity = Identity { checksum: 52, place: 16, uuid: 32, owner: 48, owner_is_group: true };
/// Blocks of the B-tree of a file's extents.
pub(super) const FILE_BTREE: Identity = Identity { checksum: 64, place: 24, uuid: 40, owner: 56, owner_is_group: false };
/// Nodes and leaves of directory and attribute indexes.
pub(super) const INDEX: Identity = Identity { checksum: 12, place: 16, uuid: 32, owner: 48, owner_is_group: false };
/// Blocks with directory entries.
pub(super) const DIRECTORY: Identity = Identity { checksum: 4, place: 8, uuid: 24, owner: 40, owner_is_group: false };
/// Blocks with the target of a link or the value of an attribute.
pub(super) const REMOTE: Identity = Identity { checksum: 12, place: 40, uuid: 16, owner: 32, owner_is_group: false };

/// The device and its geometry.
pub(super) struct Disk {
    pub(super) device: Arc<dyn BlockDevice>,
    pub(super) superblock: Superblock,
    /// What the log put in front of the device.
    pub(super) overlay: Option<Arc<Overlay>>,
    /// Files whose extents the log exchanged: blocks of their B-trees may still name the other as their owner.
    pub(super) exchanged: BTreeSet<u64>,
}

impl Disk {
    /// Reads bytes; `length` must have been held against a bound of the format before.
    ///
    /// # Errors
    /// `UnexpectedEof` if the device ends before: the image is cut off.
    pub(super) fn read(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        self.bounded(offset, length)?;
        let mut bytes = vec![0; length];
        self.device.read_at(offset, &mut bytes)?;
        Ok(bytes)
    }

    /// Reads bytes into a buffer.
    ///
    /// # Errors
    /// As [`Disk::read`].
    pub(super) fn read_into(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.bounded(offset, buffer.len())?;
        self.device.read_at(offset, buffer)
    }

    fn bounded(&self, offset: u64, length: usize) -> io::Result<()> {
        let end = u64::try_from(length).ok().and_then(|length| offset.checked_add(length));
        if end.is_some_and(|end| end <= self.device.len()) {
            return Ok(());
        }
        let device = self.device.len();
        let what = format!("the image ends at byte {device}, this lies at {offset}: it is cut off");
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, what))
    }

    /// Where `count` blocks begin, in bytes.
    pub(super) fn place(&self, block: u64, count: u64) -> io::Result<u64> {
        self.superblock
            .block_offset(block, count)
            .ok_or_else(|| broken(format_args!("blocks {block:#x}, {count} of them, lie outside the file system")))
    }

    /// Asks for blocks that are read soon.
    pub(super) fn prefetch(&self, ranges: &[Range<u64>]) {
        if !ranges.is_empty() {
            self.device.prefetch(ranges);
        }
    }

    /// Whether a v5 structure that was read from `offset` is whole, and the one that was meant. In v4 there is nothing to verify.
    pub(super) fn verify(&self, bytes: &[u8], identity: &Identity, offset: u64, owner: u64) -> io::Result<()> {
        self.verify_checksum(bytes, identity.checksum, offset)?;
        self.verify_identity(bytes, identity, offset, owner)
    }

    /// Whether a v5 structure is the one that was meant.
    pub(super) fn verify_identity(&self, bytes: &[u8], identity: &Identity, offset: u64, owner: u64) -> io::Result<()> {
        if !self.superblock.is_v5() {
            return Ok(());
        }
        if uuid_at(bytes, identity.uuid)? != self.superblock.metadata_uuid {
            return Err(broken("it carries the UUID of another file system"));
        }
        let place = u64_at(bytes, identity.place)?;
        if place != offset / 512 {
            return Err(broken(format_args!("it says that it lies at sector {place}, but lies at {}", offset / 512)));
        }
        let says =
            if identity.owner_is_group { u64::from(u32_at(bytes, identity.owner)?) } else { u64_at(bytes, identity.owner)? };
        if says != owner && (identity.owner_is_group || !self.exchanged.contains(&owner)) {
            return Err(broken(format_args!("it belongs to {says}, not to {owner}")));
        }
        Ok(())
    }

    /// Whether the checksum at `at` is that of the bytes, which were read from `offset`; in v4 there is none.
    #[inline]
    pub(super) fn verify_checksum(&self, bytes: &[u8], at: usize, offset: u64) -> io::Result<()> {
        if !self.superblock.is_v5() {
            return Ok(());
        }
        let (stored, computed) = (crc_at(bytes, at)?, checksum(bytes, at)?);
        if stored == computed || self.is_replayed(offset, bytes.len() as u64) {
            return Ok(());
        }
        Err(broken(format_args!("its checksum is {stored:#010x}, its bytes have {computed:#010x}")))
    }

    /// Whether some of these bytes come from the log. Changes are logged without a new checksum, which is made when the block is
    /// written: so there is nothing to verify here, and the record of the log was verified by its own.
    pub(super) fn is_replayed(&self, offset: u64, length: u64) -> bool {
        self.overlay.as_ref().is_some_and(|overlay| overlay.touches(offset, length))
    }

    /// Reads one block of metadata and verifies it.
    pub(super) fn block(&self, block: u64, identity: &Identity, owner: u64) -> io::Result<Vec<u8>> {
        let read = || {
            let offset = self.place(block, 1)?;
            let bytes = self.read(offset, 1 << self.superblock.block_log)?;
            self.verify(&bytes, identity, offset, owner)?;
            Ok(bytes)
        };
        read().within(|| format!("block {block:#x}"))
    }
}
