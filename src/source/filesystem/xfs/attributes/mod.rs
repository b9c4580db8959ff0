//! Extended attributes: in the inode, in a block, or in many with an index; long values in blocks of their own.
//!
//! Layout as in "XFS Filesystem Disk Structures", chapter "Extended Attributes".

mod acl;
mod leaf;
mod remote;
mod shortform;

use std::io;
use std::ops::ControlFlow;

use super::bytes::Within;
use super::disk::Disk;
use super::index::{self, Shape};
use super::inode::{Format, Inode};

/// In which namespace an attribute is, as flags of its entry.
const ROOT: u8 = 0x2;
const SECURE: u8 = 0x4;
const PARENT: u8 = 0x8;
/// Not finished when the machine stopped: does not count.
const INCOMPLETE: u8 = 0x80;
/// Whatever of a flag byte says which attribute it is.
const NAMESPACE: u8 = ROOT | SECURE | PARENT;
/// `XATTR_SIZE_MAX` of Linux, which is also what XFS can hold.
const MAX_VALUE: u32 = 1 << 16;

/// An attribute that is looked for.
struct Wanted<'a> {
    name: &'a [u8],
    namespace: u8,
}

impl Wanted<'_> {
    fn is(&self, name: &[u8], flags: u8) -> bool {
        flags & INCOMPLETE == 0 && flags & NAMESPACE == self.namespace && name == self.name
    }
}

/// An attribute by its full name.
pub(super) fn get(disk: &Disk, inode: &Inode, full: &str) -> io::Result<Option<Vec<u8>>> {
    // ACLs are kept in a format of XFS's own, under the names that IRIX gave them.
    let (wanted, acl): (Wanted<'_>, bool) = match full.split_once('.') {
        Some(("user", name)) => (Wanted { name: name.as_bytes(), namespace: 0 }, false),
        Some(("trusted", name)) => (Wanted { name: name.as_bytes(), namespace: ROOT }, false),
        Some(("security", name)) => (Wanted { name: name.as_bytes(), namespace: SECURE }, false),
        Some(("system", "posix_acl_access")) => (Wanted { name: b"SGI_ACL_FILE", namespace: ROOT }, true),
        Some(("system", "posix_acl_default")) => (Wanted { name: b"SGI_ACL_DEFAULT", namespace: ROOT }, true),
        _ => return Ok(None),
    };
    let value = find(disk, inode, &wanted).within(|| format!("attribute {full}"))?;
    match value {
        Some(value) if acl => acl::to_linux(&value).map(Some).within(|| format!("attribute {full}")),
        value => Ok(value),
    }
}

fn find(disk: &Disk, inode: &Inode, wanted: &Wanted<'_>) -> io::Result<Option<Vec<u8>>> {
    let Some(fork) = inode.attributes()? else { return Ok(None) };
    if fork.format == Format::Local {
        return shortform::find(fork.bytes, wanted);
    }
    if fork.format == Format::Extents && fork.extents == 0 {
        return Ok(None);
    }
    let shape = Shape { leaves: &leaf::MAGIC, header: leaf::HEADER, root: 0, block: disk.superblock.block_size };
    let mut found = None;
    index::search(disk, &fork, &shape, index::hash(wanted.name, |byte| byte), &mut |leaf, entry| {
        found = leaf::value(leaf, entry, wanted)?;
        Ok(if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    match found {
        None => Ok(None),
        Some(leaf::Value::Local(value)) => Ok(Some(value)),
        Some(leaf::Value::Remote { block, length }) => remote::read(disk, &fork, block, length).map(Some),
    }
}
