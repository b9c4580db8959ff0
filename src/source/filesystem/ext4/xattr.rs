//! Extended attributes: in the inode, in a block, and values in inodes of their own.
//!
//! Source: kernel documentation, `ext4/attributes` and `ext4/eainode`.

use std::io;

use super::Disk;
use super::acl;
use super::bytes::{broken, byte, le16, le32, length, part};
use super::checksum::crc32c;
use super::inode::Inode;

const MAGIC: u32 = 0xea02_0000;
/// The largest value that Linux takes (`XATTR_SIZE_MAX`).
const LARGEST: u64 = 64 << 10;

/// What the number before a name stands for. Two of them are names by themselves; the content of an inode (`system.data`) and the
/// context of encryption are no attributes that anybody sees.
fn prefix(index: u8) -> Option<&'static str> {
    Some(match index {
        1 => "user.",
        2 => acl::ACCESS,
        3 => acl::DEFAULT,
        4 => "trusted.",
        6 => "security.",
        7 => "system.",
        8 => "system.richacl",
        10 => "gnu.",
        _ => return None,
    })
}

/// One attribute, with the bytes that its value is in.
pub(super) struct Entry<'b> {
    pub(super) index: u8,
    pub(super) name: &'b [u8],
    /// The inode of the value; 0 if it is here.
    inode: u32,
    size: u64,
    /// The value, if it is here.
    value: &'b [u8],
}

impl Entry<'_> {
    /// The name that users know.
    fn full_name(&self) -> Option<Vec<u8>> {
        let hidden = self.index == 7 && self.name == b"data";
        prefix(self.index).filter(|_| !hidden).map(|prefix| [prefix.as_bytes(), self.name].concat())
    }
}

/// Reads a list of attributes that begins at `start`; values are counted from `base`.
fn list(bytes: &[u8], start: usize, base: usize) -> Result<Vec<Entry<'_>>, String> {
    let mut all = Vec::new();
    let mut at = start;
    // The list ends with four zeros, or with its room.
    while at.saturating_add(4) <= bytes.len() && le32(bytes, at) != 0 {
        let name_length = usize::from(byte(bytes, at));
        let name = part(bytes, at.saturating_add(16), name_length);
        if at.saturating_add(16) > bytes.len() || name.len() < name_length {
            return Err(format!("the name of the attribute at byte {at} does not fit"));
        }
        let (inode, size) = (le32(bytes, at.saturating_add(4)), u64::from(le32(bytes, at.saturating_add(8))));
        let value = if inode == 0 && size > 0 {
            let from = base.saturating_add(le16(bytes, at.saturating_add(2)).into());
            let value = usize::try_from(size).ok().map(|size| part(bytes, from, size)).unwrap_or_default();
            if value.len() as u64 != size {
                return Err(format!("the value of the attribute at byte {at} does not fit"));
            }
            value
        } else {
            &[]
        };
        all.push(Entry { index: byte(bytes, at.saturating_add(1)), name, inode, size, value });
        at = at.saturating_add(16).saturating_add(name_length.next_multiple_of(4));
    }
    Ok(all)
}

/// The attributes in the inode itself.
pub(super) fn in_inode<'b>(inode: &'b Inode<'_>) -> io::Result<Vec<Entry<'b>>> {
    let tail = inode.tail();
    if le32(tail, 0) != MAGIC {
        return Ok(Vec::new());
    }
    list(tail, 4, 4).map_err(|what| broken(format!("inode {}: {what}", inode.number)))
}

impl Disk {
    /// The value of an attribute by its full name.
    pub(super) fn attribute(&self, inode: &Inode<'_>, name: &str) -> io::Result<Option<Vec<u8>>> {
        let mut found = None;
        self.attributes(inode, &mut |entry| {
            if found.is_none() && entry.full_name().is_some_and(|full| full == name.as_bytes()) {
                found = Some(self.shown(inode, entry)?);
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// All attributes by their full names, sorted.
    pub(super) fn all_attributes(&self, inode: &Inode<'_>) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut all = Vec::new();
        self.attributes(inode, &mut |entry| {
            if let Some(name) = entry.full_name() {
                all.push((name, self.shown(inode, entry)?));
            }
            Ok(())
        })?;
        all.sort();
        Ok(all)
    }

    /// Shows what is in the inode and what is in its block.
    fn attributes(&self, inode: &Inode<'_>, each: &mut dyn FnMut(&Entry<'_>) -> io::Result<()>) -> io::Result<()> {
        in_inode(inode)?.iter().try_for_each(&mut *each)?;
        let number = inode.attributes();
        if number == 0 {
            return Ok(());
        }
        let wrong = |what: &str| broken(format!("inode {}: its attributes in block {number}: {what}", inode.number));
        if !self.are_blocks(number, 1) {
            return Err(wrong("they are outside the file system"));
        }
        let block = self.block(number, || format!("block {number}, the attributes of inode {}", inode.number))?;
        if le32(&block, 0) != MAGIC || le32(&block, 8) != 1 {
            return Err(wrong("the block does not begin with 0xEA020000"));
        }
        if self.superblock.features.metadata_csum() {
            let checksum = crc32c(crc32c(self.superblock.seed, &number.to_le_bytes()), part(&block, 0, 0x10));
            if crc32c(crc32c(checksum, &[0; 4]), block.get(0x14..).unwrap_or_default()) != le32(&block, 0x10) {
                return Err(wrong("the checksum is wrong"));
            }
        }
        list(&block, 32, 0).map_err(|what| wrong(&what))?.iter().try_for_each(each)
    }

    /// A value as `getxattr(2)` gives it.
    fn shown(&self, inode: &Inode<'_>, entry: &Entry<'_>) -> io::Result<Vec<u8>> {
        let value = self.value(inode, entry)?;
        if !matches!(entry.index, 2 | 3) {
            return Ok(value);
        }
        acl::as_shown(&value).ok_or_else(|| broken(format!("inode {}: its access control list is broken", inode.number)))
    }

    /// A value as it is stored.
    pub(super) fn value(&self, inode: &Inode<'_>, entry: &Entry<'_>) -> io::Result<Vec<u8>> {
        if entry.inode == 0 {
            return Ok(entry.value.to_vec());
        }
        let wrong = |what: &str| broken(format!("inode {}: its attribute in inode {}: {what}", inode.number, entry.inode));
        if !self.superblock.features.ea_inode() || u64::from(entry.inode) == inode.number {
            return Err(wrong("there can be none"));
        }
        let holder = self.any_inode(entry.inode.into()).map_err(|error| wrong(&error.to_string()))?;
        if !holder.is_value() || holder.inline() || holder.encrypted() {
            return Err(wrong("that inode is no attribute"));
        }
        if holder.size() != entry.size || entry.size > LARGEST {
            return Err(wrong("its size is wrong"));
        }
        let mut value = vec![0; length(entry.size)?];
        self.content(&holder, 0, &mut value)?;
        // Its checksum stands where other inodes have the time they were read. Lustre has none, but the owner's number and
        // generation.
        let hash = le32(&holder.raw, 0x8);
        let of_lustre = u64::from(le32(&holder.raw, 0x10)) == inode.number && holder.generation() == inode.generation();
        if crc32c(self.superblock.seed, &value) != hash && !of_lustre {
            return Err(wrong("its checksum is wrong"));
        }
        Ok(value)
    }
}
