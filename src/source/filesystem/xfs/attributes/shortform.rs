//! Attributes that fit their inode.

use std::io;

use super::Wanted;
use crate::source::filesystem::xfs::bytes::{part, u8_at};

pub(super) fn find(bytes: &[u8], wanted: &Wanted<'_>) -> io::Result<Option<Vec<u8>>> {
    let count = u8_at(bytes, 2)?;
    let mut at = 4;
    for _ in 0..count {
        let (name, value) = (usize::from(u8_at(bytes, at)?), usize::from(u8_at(bytes, at + 1)?));
        let flags = u8_at(bytes, at + 2)?;
        let (name_at, value_at) = (at + 3, at + 3 + name);
        if wanted.is(part(bytes, name_at, name)?, flags) {
            return part(bytes, value_at, value).map(|value| Some(value.to_vec()));
        }
        at = value_at + value;
    }
    Ok(None)
}
