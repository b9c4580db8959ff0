//! GVDB, the format that `dconf update` compiles key files into and dconf maps into memory (`gvdb-format.h` of glib and dconf).
//!
//! A header points at a hash table; its items hold a part of a key each and name their parent. Values are serialised `GVariant`s of type
//! `v`: the value, a nought byte, its type. Everything is an offset, so everything is bounded by the file.

use std::collections::{BTreeMap, BTreeSet};

/// A key may be made of as many parts as a path has folders; more are a circle.
const MAX_PARTS: usize = 64;
/// More items than any real database has.
const MAX_ITEMS: usize = 100_000;
/// The longest key that is put together: a circle of long parts would otherwise grow without end.
const MAX_KEY: usize = 4_096;

/// A compiled database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Database {
    /// Values by full key, `/org/gnome/…`.
    pub values: BTreeMap<String, Value>,
    /// Keys that no database above this one may set.
    pub locks: BTreeSet<String>,
}

/// A value with its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// The type in `GVariant`'s letters: `b`, `u`, `s`, `as`.
    pub kind: String,
    /// The value, where it is a simple one: numbers and booleans as `gsettings` prints them (`uint32 900`), strings without quotes.
    pub text: Option<String>,
}

/// Why a file is no such database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It does not begin as one does.
    #[error("it is no GVDB file")]
    Signature,
    /// Written by a machine of the other byte order.
    #[error("it is a GVDB file of the other byte order")]
    ByteOrder,
    /// A version that dconf does not read either.
    #[error("it is a GVDB file of an unknown version")]
    Version,
    /// An offset leads out of the file, or parents lead round in a circle.
    #[error("it is a damaged GVDB file")]
    Damaged,
    /// More items than are looked at.
    #[error("it has more than {MAX_ITEMS} items")]
    TooMany,
}

/// An item of a hash table.
struct Item<'a> {
    parent: u32,
    part: &'a [u8],
    kind: u8,
    value: &'a [u8],
}

/// Reads a whole database.
///
/// # Errors
/// Why it is none.
pub fn parse(file: &[u8]) -> Result<Database, Error> {
    match file.get(..8) {
        Some(b"GVariant") => {}
        Some(b"raVGtnai") => return Err(Error::ByteOrder),
        _ => return Err(Error::Signature),
    }
    if number(file, 8)? != 0 {
        return Err(Error::Version);
    }
    let mut found = Database::default();
    for (key, item) in table(file, pointed_at(file, file, 16)?)? {
        match item.kind {
            b'v' => {
                found.values.insert(key, value(item.value).ok_or(Error::Damaged)?);
            }
            b'H' if key == ".locks" => found.locks.extend(table(file, item.value)?.into_iter().map(|(key, _)| key)),
            _ => {}
        }
    }
    Ok(found)
}

fn number(bytes: &[u8], at: usize) -> Result<u32, Error> {
    let four = at.checked_add(4).and_then(|end| bytes.get(at..end)).and_then(|four| four.try_into().ok());
    four.map(u32::from_le_bytes).ok_or(Error::Damaged)
}

/// What a pair of offsets in `from` points at in the file.
fn pointed_at<'a>(file: &'a [u8], from: &[u8], at: usize) -> Result<&'a [u8], Error> {
    let place = |at| number(from, at).map(|offset| offset as usize);
    file.get(place(at)?..place(at.saturating_add(4))?).ok_or(Error::Damaged)
}

/// The items of a hash table by full key.
fn table<'a>(file: &'a [u8], table: &'a [u8]) -> Result<Vec<(String, Item<'a>)>, Error> {
    // The upper five bits are the shift of the Bloom filter.
    let bloom = (number(table, 0)? & 0x07ff_ffff) as usize;
    let buckets = number(table, 4)? as usize;
    let before = bloom.checked_add(buckets).and_then(|words| words.checked_mul(4)).and_then(|bytes| bytes.checked_add(8));
    let raw = before.and_then(|before| table.get(before..)).ok_or(Error::Damaged)?;
    if raw.len() / 24 > MAX_ITEMS {
        return Err(Error::TooMany);
    }
    let items = raw.chunks_exact(24).map(|raw| item(file, raw)).collect::<Result<Vec<_>, _>>()?;
    let keys = (0..items.len()).map(|index| key(&items, index)).collect::<Result<Vec<_>, _>>()?;
    Ok(keys.into_iter().zip(items).collect())
}

fn item<'a>(file: &'a [u8], raw: &[u8]) -> Result<Item<'a>, Error> {
    let start = number(raw, 8)? as usize;
    let size = usize::from((number(raw, 12)? & 0xffff) as u16);
    let part = start.checked_add(size).and_then(|end| file.get(start..end)).ok_or(Error::Damaged)?;
    let kind = raw.get(14).copied().unwrap_or_default();
    // Parts without a value of their own have whatever was in memory there.
    let value = if matches!(kind, b'v' | b'H') { pointed_at(file, raw, 16)? } else { &[] };
    Ok(Item { parent: number(raw, 4)?, part, kind, value })
}

/// The parts of a key from its first ancestor on.
fn key(items: &[Item<'_>], index: usize) -> Result<String, Error> {
    let mut parts: Vec<&[u8]> = Vec::new();
    let mut next = Some(index);
    while let Some(index) = next {
        let item = items.get(index).ok_or(Error::Damaged)?;
        parts.push(item.part);
        if parts.len() > MAX_PARTS || parts.iter().map(|part| part.len()).sum::<usize>() > MAX_KEY {
            return Err(Error::Damaged);
        }
        next = (item.parent != u32::MAX).then_some(item.parent as usize);
    }
    let whole: Vec<u8> = parts.into_iter().rev().flatten().copied().collect();
    Ok(String::from_utf8_lossy(&whole).into_owned())
}

/// A serialised variant: value, nought, type.
fn value(bytes: &[u8]) -> Option<Value> {
    let end = bytes.iter().rposition(|&byte| byte == 0)?;
    let (value, kind) = (bytes.get(..end)?, std::str::from_utf8(bytes.get(end + 1..)?).ok()?);
    let text = match kind {
        "b" => value.first().map(|byte| (*byte != 0).to_string()),
        "y" => value.first().map(|byte| format!("byte 0x{byte:02x}")),
        "n" => value.try_into().ok().map(|two| format!("int16 {}", i16::from_le_bytes(two))),
        "q" => value.try_into().ok().map(|two| format!("uint16 {}", u16::from_le_bytes(two))),
        "i" => value.try_into().ok().map(|four| i32::from_le_bytes(four).to_string()),
        "u" => value.try_into().ok().map(|four| format!("uint32 {}", u32::from_le_bytes(four))),
        "x" => value.try_into().ok().map(|eight| format!("int64 {}", i64::from_le_bytes(eight))),
        "t" => value.try_into().ok().map(|eight| format!("uint64 {}", u64::from_le_bytes(eight))),
        "s" | "o" | "g" => value.strip_suffix(b"\0").map(|text| String::from_utf8_lossy(text).into_owned()),
        _ => None,
    };
    Some(Value { kind: kind.to_owned(), text })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `dconf compile` of dconf 0.40 from five settings of `[org/x]` and two locks.
    const COMPILED: &str = include_str!("gvdb.hex");

    fn compiled() -> Vec<u8> {
        let digits: Vec<u32> = COMPILED.chars().filter_map(|digit| digit.to_digit(16)).collect();
        digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect()
    }

    #[test]
    fn values_and_locks_of_the_real_compiler() {
        let found = parse(&compiled()).unwrap();
        let values: Vec<_> =
            found.values.iter().map(|(key, value)| (key.as_str(), value.kind.as_str(), value.text.as_deref())).collect();
        assert_eq!(
            values,
            [
                ("/org/x/b", "b", Some("true")),
                ("/org/x/i", "i", Some("900")),
                ("/org/x/list", "as", None),
                ("/org/x/s", "s", Some("two\nlines")),
                ("/org/x/u", "u", Some("uint32 900")),
            ]
        );
        assert_eq!(found.locks.iter().collect::<Vec<_>>(), ["/org/sub/", "/org/x/b"]);
    }

    #[test]
    fn what_is_no_database_is_told_apart() {
        assert_eq!(parse(b""), Err(Error::Signature));
        assert_eq!(parse(b"raVGtnai\0\0\0\0"), Err(Error::ByteOrder));
        assert_eq!(parse(b"GVariant\x01\0\0\0"), Err(Error::Version));
        assert_eq!(parse(b"GVariant\0\0\0\0"), Err(Error::Damaged));
    }

    #[test]
    fn whatever_is_cut_off_or_changed_ends() {
        let whole = compiled();
        for length in 0..whole.len() {
            assert!(parse(&whole[..length]).is_err(), "cut off at {length}");
        }
        for at in 0..whole.len() {
            for with in [0, 1, 0xff] {
                let mut changed = whole.clone();
                changed[at] = with;
                let _ = parse(&changed);
            }
        }
    }

    #[test]
    fn a_circle_of_parents_is_damage() {
        let mut file = compiled();
        // The first item of the root table: behind the header, the table's header and its buckets.
        let buckets = usize::from(file[28]);
        let parent = 24 + 8 + buckets * 4 + 4;
        file[parent..parent + 4].copy_from_slice(&[0, 0, 0, 0]);
        assert_eq!(parse(&file), Err(Error::Damaged));
    }
}
