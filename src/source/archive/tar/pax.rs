//! Extended headers (POSIX.1-2001, `pax`), with what GNU tar, bsdtar and star add to them.

use std::io;

use super::super::bytes::invalid;
use super::sparse::{Map, decimal};

/// What extended headers say; what they do not say is in the header itself.
#[derive(Default, Clone)]
pub(super) struct Extended {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) mtime: Option<i64>,
    pub(super) xattrs: Vec<(Box<str>, Box<[u8]>)>,
    /// GNU's sparse files of the versions 0.0, 0.1 and 1.0.
    pub(super) sparse: Sparse,
}

/// A sparse file in extended headers (manual of GNU tar, "Storing Sparse Files").
#[derive(Default, Clone)]
pub(super) struct Sparse {
    pub(super) major: u64,
    pub(super) name: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) map: Map,
    /// Whether there is anything of it at all.
    pub(super) is_one: bool,
    offset: Option<u64>,
}

impl Extended {
    /// Reads the records of one extended header: `length key=value` and a line break. A key that comes again replaces what was before; an empty
    /// value takes it back.
    pub(super) fn read(&mut self, mut records: &[u8]) -> io::Result<()> {
        while !records.is_empty() {
            let wrong = || invalid("an extended header with a record that makes no sense");
            let blank = records.iter().take(20).position(|&byte| byte == b' ').ok_or_else(wrong)?;
            let length = usize::try_from(decimal(records.get(..blank).unwrap_or_default())?).map_err(|_| wrong())?;
            let record = records.get(blank + 1..length).ok_or_else(wrong)?;
            let record = record.strip_suffix(b"\n").ok_or_else(wrong)?;
            let equals = record.iter().position(|&byte| byte == b'=').ok_or_else(wrong)?;
            let (key, value) = (record.get(..equals).unwrap_or_default(), record.get(equals + 1..).unwrap_or_default());
            let shown = || crate::path::printable(key);
            self.set(key, value).map_err(|error| invalid(format!("extended header, '{}': {error}", shown())))?;
            records = records.get(length..).unwrap_or_default();
        }
        Ok(())
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        let some = || (!value.is_empty()).then_some(value);
        let number = || some().map(decimal).transpose();
        let narrow = || {
            let number = number()?;
            number.map(|number| u32::try_from(number).map_err(|_| invalid(format!("the number {number}")))).transpose()
        };
        let name = || match some() {
            Some(value) if value.contains(&0) => Err(invalid("a NUL in a name")),
            other => Ok(other.map(<[u8]>::to_vec)),
        };
        match key {
            b"path" => self.path = name()?,
            b"linkpath" => self.link = name()?,
            b"size" => self.size = number()?,
            b"uid" => self.uid = narrow()?,
            b"gid" => self.gid = narrow()?,
            b"mtime" => self.mtime = some().map(seconds).transpose()?,
            b"GNU.sparse.major" => self.sparse.major = number()?.unwrap_or(0),
            b"GNU.sparse.name" => self.sparse.name = name()?,
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => self.sparse.size = number()?,
            b"GNU.sparse.map" => {
                self.sparse.map = Map::default();
                let mut numbers = value.split(|&byte| byte == b',');
                while let (Some(offset), Some(length)) = (numbers.next(), numbers.next()) {
                    self.sparse.map.push(decimal(offset)?, decimal(length)?)?;
                }
            }
            b"GNU.sparse.offset" => self.sparse.offset = number()?,
            b"GNU.sparse.numbytes" => {
                let offset = self.sparse.offset.take().ok_or_else(|| invalid("a length without an offset"))?;
                self.sparse.map.push(offset, number()?.unwrap_or(0))?;
            }
            _ => return self.attribute(key, value),
        }
        self.sparse.is_one |= key.starts_with(b"GNU.sparse.");
        Ok(())
    }

    /// An extended attribute: as it is (star, GNU tar, Docker), or with its name as in a URL and its value in base64 (libarchive).
    fn attribute(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        let (name, value) = if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
            (name.to_vec(), value.to_vec())
        } else if let Some(name) = key.strip_prefix(b"LIBARCHIVE.xattr.") {
            (percent(name), base64(value)?)
        } else if key == b"RHT.security.selinux" {
            (b"security.selinux".to_vec(), value.to_vec())
        } else if key == b"SCHILY.acl.access" || key == b"SCHILY.acl.default" {
            // Text, with names that may mean others in the image: kept under a name of its own, see `Tree::xattr`.
            (key.to_vec(), value.to_vec())
        } else {
            return Ok(());
        };
        let name = String::from_utf8(name).map_err(|_| invalid("an attribute whose name is no text"))?.into_boxed_str();
        // bsdtar writes each attribute in both forms.
        self.xattrs.retain(|(known, _)| *known != name);
        self.xattrs.push((name, value.into_boxed_slice()));
        Ok(())
    }
}

/// Seconds with a fraction, which is left out: rounded down, as `stat` does.
fn seconds(value: &[u8]) -> io::Result<i64> {
    let (negative, digits) = value.strip_prefix(b"-").map_or((false, value), |digits| (true, digits));
    let (whole, fraction) = match digits.iter().position(|&byte| byte == b'.') {
        Some(dot) => (digits.get(..dot).unwrap_or_default(), digits.get(dot + 1..).unwrap_or_default()),
        None => (digits, &b""[..]),
    };
    let whole = i64::try_from(decimal(whole)?).map_err(|_| invalid("a time beyond all times"))?;
    let part = i64::from(negative && fraction.iter().any(|&byte| byte != b'0'));
    Ok(if negative { -whole - part } else { whole })
}

fn percent(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((&byte, after)) = rest.split_first() {
        let hex = (byte == b'%').then(|| after.get(..2)).flatten();
        let code = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        out.push(code.unwrap_or(byte));
        rest = if code.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    out
}

/// Base64 (RFC 4648), with or without padding.
fn base64(text: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 3);
    let (mut held, mut bits) = (0u32, 0);
    for &byte in text.iter().filter(|&&byte| byte != b'=' && byte != b'\n') {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return Err(invalid("base64 with a character that is none of it")),
        };
        held = (held << 6) | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push(u8::try_from((held >> bits) & 0xff).unwrap_or_default());
            held &= (1 << bits) - 1;
        }
    }
    Ok(out)
}
