//! A block of attributes.

use std::io;

use super::{MAX_VALUE, Wanted};
use crate::source::filesystem::xfs::bytes::{Within, broken, part, u8_at, u16_at, u32_at};

/// What marks a leaf, in v4 and v5.
pub(super) const MAGIC: [u16; 2] = [0xfbee, 0x3bee];
/// How long its header is, in v4 and v5.
pub(super) const HEADER: (usize, usize) = (32, 80);
/// The value stands with the name.
const LOCAL: u8 = 0x1;

/// A value, or where it is.
pub(super) enum Value {
    Local(Vec<u8>),
    Remote {
        /// Where it begins in the attribute fork, in blocks.
        block: u32,
        /// How long it is, in bytes.
        length: u32,
    },
}

/// The value of an entry of the index, if it is the one that is wanted.
pub(super) fn value(leaf: &[u8], entry: &[u8], wanted: &Wanted<'_>) -> io::Result<Option<Value>> {
    let (at, flags) = (usize::from(u16_at(entry, 4)?), u8_at(entry, 6)?);
    let read = || {
        if flags & LOCAL != 0 {
            let (length, name) = (usize::from(u16_at(leaf, at)?), usize::from(u8_at(leaf, at + 2)?));
            if !wanted.is(part(leaf, at + 3, name)?, flags) {
                return Ok(None);
            }
            return part(leaf, at + 3 + name, length).map(|value| Some(Value::Local(value.to_vec())));
        }
        let (block, length, name) = (u32_at(leaf, at)?, u32_at(leaf, at + 4)?, usize::from(u8_at(leaf, at + 8)?));
        if !wanted.is(part(leaf, at + 9, name)?, flags) {
            return Ok(None);
        }
        if length > MAX_VALUE {
            return Err(broken(format_args!("a value of {length} bytes")));
        }
        Ok(Some(Value::Remote { block, length }))
    };
    read().within(|| format!("the entry at byte {at}"))
}
