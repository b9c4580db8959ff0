//! POSIX access lists as they are stored: `system.posix_acl_access` (`linux/posix_acl_xattr.h`, `acl(5)`).

/// Whom an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// The owner.
    Owner,
    /// This user.
    User(u32),
    /// The owning group.
    OwningGroup,
    /// This group.
    Group(u32),
    /// The most that named users, named groups and the owning group get. The group bits of the mode show it.
    Mask,
    /// Everybody else.
    Other,
}

/// One entry: who, and which of read (4), write (2) and execute (1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AclEntry {
    /// Whom it is about.
    pub tag: Tag,
    /// What they may: three bits.
    pub permissions: u32,
}

/// Reads an access list: the version (2), then entries of eight bytes, all little-endian.
///
/// # Errors
/// What is wrong with it.
pub fn parse(stored: &[u8]) -> Result<Vec<AclEntry>, &'static str> {
    let (version, entries) = stored.split_first_chunk().ok_or("the access list has no version")?;
    if u32::from_le_bytes(*version) != 2 {
        return Err("the access list is of an unknown version");
    }
    let (entries, rest) = entries.as_chunks::<8>();
    if !rest.is_empty() {
        return Err("the access list is cut off");
    }
    entries.iter().copied().map(entry).collect()
}

fn entry([tag_low, tag_high, low, high, id @ ..]: [u8; 8]) -> Result<AclEntry, &'static str> {
    let id = u32::from_le_bytes(id);
    let tag = match u16::from_le_bytes([tag_low, tag_high]) {
        0x01 => Tag::Owner,
        0x02 => Tag::User(id),
        0x04 => Tag::OwningGroup,
        0x08 => Tag::Group(id),
        0x10 => Tag::Mask,
        0x20 => Tag::Other,
        _ => return Err("the access list has an entry of an unknown kind"),
    };
    match u16::from_le_bytes([low, high]) {
        permissions @ 0..=7 => Ok(AclEntry { tag, permissions: permissions.into() }),
        _ => Err("the access list has a permission of an unknown kind"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_setfacl_stores() {
        // `setfacl -m u:1000:rw` on a file of mode 0640, as getfattr shows it.
        let stored = [
            2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 6, 0, 0xe8, 3, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255, 0x10, 0, 6, 0,
            255, 255, 255, 255, 0x20, 0, 0, 0, 255, 255, 255, 255,
        ];
        let entries = parse(&stored).unwrap();
        let tags: Vec<(Tag, u32)> = entries.iter().map(|entry| (entry.tag, entry.permissions)).collect();
        let wanted = [(Tag::Owner, 6), (Tag::User(1000), 6), (Tag::OwningGroup, 4), (Tag::Mask, 6), (Tag::Other, 0)];
        assert_eq!(tags, wanted);
        assert!(parse(&stored[..stored.len() - 1]).is_err());
    }

    #[test]
    fn what_is_no_access_list_is_said_to_be_none() {
        for wrong in [&b""[..], b"\x01\0\0\0", b"\x02\0\0\0\x40\0\0\0\0\0\0\0", b"\x02\0\0\0\x01\0\x08\0\0\0\0\0"] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(parse(b"\x02\0\0\0").unwrap(), []);
    }
}
