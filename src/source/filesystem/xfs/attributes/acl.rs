//! Access control lists: XFS keeps them big-endian with twelve bytes an entry, `getxattr(2)` shows them little-endian with eight.

use std::io;

use crate::source::filesystem::xfs::bytes::{broken, part, u16_at, u32_at};

/// The version that `getxattr(2)` shows (`linux/posix_acl_xattr.h`).
const VERSION: u32 = 2;
/// The tags of entries that name a user or a group; the others have no id.
const USER: u32 = 0x02;
const GROUP: u32 = 0x08;
const NO_ID: u32 = u32::MAX;
const ENTRY: usize = 12;

/// The list as `getxattr(2)` gives it.
pub(super) fn to_linux(value: &[u8]) -> io::Result<Vec<u8>> {
    let count = u32_at(value, 0)? as usize;
    if count.checked_mul(ENTRY).and_then(|length| length.checked_add(4)).is_none_or(|length| length > value.len()) {
        return Err(broken(format_args!("a list of {count} entries in {} bytes", value.len())));
    }
    let mut list = Vec::with_capacity(4 + count * 8);
    list.extend_from_slice(&VERSION.to_le_bytes());
    for entry in part(value, 4, count * ENTRY)?.chunks_exact(ENTRY) {
        let (tag, id, permissions) = (u32_at(entry, 0)?, u32_at(entry, 4)?, u16_at(entry, 8)?);
        let short = u16::try_from(tag).map_err(|_| broken(format_args!("a list with the unknown tag {tag}")))?;
        list.extend_from_slice(&short.to_le_bytes());
        list.extend_from_slice(&permissions.to_le_bytes());
        list.extend_from_slice(&if tag == USER || tag == GROUP { id } else { NO_ID }.to_le_bytes());
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_shown_as_linux_shows_it() {
        let mut stored = vec![0, 0, 0, 2];
        stored.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 0, 0, 6, 0, 0]);
        stored.extend_from_slice(&[0, 0, 0, 2, 0, 0, 3, 0xe8, 0, 4, 0, 0]);
        let list = to_linux(&stored).unwrap();
        assert_eq!(list, [2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 0xe8, 3, 0, 0]);
        assert!(to_linux(&stored[..20]).is_err(), "the second entry is cut off");
    }
}
