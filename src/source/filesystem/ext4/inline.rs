//! Content that is in the inode itself: 60 bytes where its map would be, and more in an attribute that nobody sees.
//!
//! Source: kernel documentation, `ext4/inlinedata`.

use std::io;

use super::Disk;
use super::bytes::broken;
use super::inode::Inode;
use super::xattr;

impl Disk {
    /// All that is stored in an inode: at most its size of some hundred bytes, whatever the inode says of its content's.
    pub(super) fn inline(&self, inode: &Inode<'_>) -> io::Result<Vec<u8>> {
        let mut content = inode.map().to_vec();
        let Some(entry) = xattr::in_inode(inode)?.into_iter().find(|entry| entry.index == 7 && entry.name == b"data") else {
            return Err(broken(format!("inode {}: its content is in itself, and not to be found there", inode.number)));
        };
        content.extend_from_slice(self.value(inode, &entry)?.as_slice());
        Ok(content)
    }
}
