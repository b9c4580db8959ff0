//! POSIX access control lists: stored in a short form, shown in the form of `getxattr(2)`.
//!
//! Source: kernel documentation, `ext4/attributes` (POSIX ACLs), and `linux/posix_acl_xattr.h` for the form shown.

use super::bytes::{le16, le32, part};

/// Who may do what with a file.
pub(super) const ACCESS: &str = "system.posix_acl_access";
/// What files made in a directory begin with.
pub(super) const DEFAULT: &str = "system.posix_acl_default";

/// Named users and groups, whose entries have a number.
const USER: u16 = 0x2;
const GROUP: u16 = 0x8;
/// The owner, the owning group, the mask and everybody else.
const OTHERS: [u16; 4] = [0x1, 0x4, 0x10, 0x20];

/// Version 2 with eight bytes an entry, from version 1 with four, or eight with a number. Nothing if it is broken.
pub(super) fn as_shown(stored: &[u8]) -> Option<Vec<u8>> {
    if stored.len() < 4 || le32(stored, 0) != 1 {
        return None;
    }
    let mut shown = 2_u32.to_le_bytes().to_vec();
    let mut at = 4_usize;
    while at < stored.len() {
        let tag = le16(stored, at);
        let (length, id) = match tag {
            USER | GROUP => (8, le32(stored, at.saturating_add(4))),
            tag if OTHERS.contains(&tag) => (4, u32::MAX),
            _ => return None,
        };
        if part(stored, at, length).len() < length {
            return None;
        }
        shown.extend_from_slice(part(stored, at, 4));
        shown.extend_from_slice(&id.to_le_bytes());
        at = at.saturating_add(length);
    }
    Some(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_user_keeps_its_number_and_the_others_have_none() {
        let stored = [1, 0, 0, 0, 1, 0, 6, 0, 2, 0, 4, 0, 0xe9, 3, 0, 0, 0x20, 0, 0, 0];
        let none = [0xff; 4];
        let shown = [&[2, 0, 0, 0, 1, 0, 6, 0][..], &none, &[2, 0, 4, 0, 0xe9, 3, 0, 0, 0x20, 0, 0, 0], &none].concat();
        assert_eq!(as_shown(&stored), Some(shown));
        assert_eq!(as_shown(&stored[..14]), None);
        assert_eq!(as_shown(&[2, 0, 0, 0]), None);
    }
}
