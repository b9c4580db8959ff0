//! `SQLite`'s file format, as far as the table `Packages (hnum INTEGER PRIMARY KEY, blob BLOB)` needs it, with the write-ahead
//! log of a database that was not closed laid over the file.
//!
//! Source: `SQLite`'s "Database File Format" (fileformat2.html): §1.3 header, §1.6 b-tree pages, §2.1 records, §2.6 the schema.

mod wal;

use super::{DbError, Used, be_u16, be_u32};
use std::collections::BTreeMap;

const MAGIC: &[u8] = b"SQLite format 3\0";
const FILE_HEADER: usize = 100;
const INTERIOR: u8 = 5;
const LEAF: u8 = 13;
/// Deepest tree `SQLite` itself descends into (`BTCURSOR_MAX_DEPTH`).
const MAX_DEPTH: usize = 20;
const UTF8: u32 = 1;

/// The database as its next reader would see it: pages of the log over those of the file.
struct Db<'a> {
    file: &'a [u8],
    overlay: BTreeMap<u32, &'a [u8]>,
    page_size: usize,
    /// Page size less what extensions reserve at each page's end.
    usable: usize,
    pages: u32,
}

/// Gives each package's number and header blob to `visit`, by ascending number, as `rpm -qa` does.
///
/// # Errors
/// Another format, or damage; `visit` may have been given some packages by then.
pub fn read(file: &[u8], log: Option<&[u8]>, visit: &mut dyn FnMut(u32, &[u8])) -> Result<(), DbError> {
    let db = open(file, log)?;
    let mut used = Used::new(db.pages);
    let mut root = None;
    db.walk(1, &mut used, &mut |_, row| {
        if root.is_none() {
            root = packages_root(row)?;
        }
        Ok(())
    })?;
    let root = root.ok_or(DbError::NoTable)?;
    db.walk(root, &mut used, &mut |number, row| {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let blob = columns(row).and_then(|columns| match columns.as_slice() {
            // The number is the row's own, so that its column is stored as NULL.
            [_, Value::Blob(blob), ..] => Some(*blob),
            _ => None,
        });
        visit(number, blob.ok_or(DbError::Package(number))?);
        Ok(())
    })
}

/// Whether a rollback journal (`rpmdb.sqlite-journal`) is "hot": `SQLite`'s next reader would undo a half-written transaction
/// from it, and until then the file is not to be trusted. A journal that is empty or whose header is zeroed is done with.
#[must_use]
pub fn is_hot_journal(journal: &[u8]) -> bool {
    journal.starts_with(&[0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7])
}

fn open<'a>(file: &'a [u8], log: Option<&'a [u8]>) -> Result<Db<'a>, DbError> {
    if !file.starts_with(MAGIC) {
        return Err(DbError::Magic);
    }
    let log = match log {
        // A database not in WAL mode ignores a file of that name; so does SQLite.
        Some(bytes) if file.get(18) == Some(&2) => wal::read(bytes)?,
        _ => wal::Log::default(),
    };
    // The header is page one's, which may be in the log as well.
    let header = log.pages.get(&1).copied().unwrap_or(file);
    let page_size = page_size(header).ok_or(DbError::Page(1))?;
    if log.page_size.is_some_and(|size| size != page_size) {
        return Err(DbError::Unsupported("a log of another page size"));
    }
    let usable = page_size - usize::from(header.get(20).copied().unwrap_or(0));
    if usable < 480 {
        return Err(DbError::Page(1));
    }
    if !matches!(be_u32(header, 56), Some(0 | UTF8)) {
        return Err(DbError::Unsupported("UTF-16 text"));
    }
    let in_file = u32::try_from(file.len() / page_size).unwrap_or(u32::MAX);
    // The size in the header is only valid if its writer knew of it (§1.3.7).
    let stated = be_u32(header, 28).filter(|n| *n > 0 && be_u32(header, 24) == be_u32(header, 92));
    let pages = log.size.or(stated).unwrap_or(in_file);
    // Every page up to the end is in one of the two; otherwise the file was cut off.
    let present = |page| page <= in_file || log.pages.contains_key(&page);
    if pages == 0 || (in_file.saturating_add(1)..=pages).take(log.pages.len() + 1).any(|page| !present(page)) {
        return Err(DbError::Range("page"));
    }
    Ok(Db { file, overlay: log.pages, page_size, usable, pages })
}

fn page_size(header: &[u8]) -> Option<usize> {
    match be_u16(header, 16)? {
        1 => Some(65536),
        size if size >= 512 && size.is_power_of_two() => Some(usize::from(size)),
        _ => None,
    }
}

/// What a row is given to: its number and its record.
type Row<'v> = &'v mut dyn FnMut(u64, &[u8]) -> Result<(), DbError>;

impl<'a> Db<'a> {
    fn page(&self, number: u32, used: &mut Used) -> Result<&'a [u8], DbError> {
        if number == 0 || number > self.pages {
            return Err(DbError::Range("page"));
        }
        used.note(number)?;
        if let Some(page) = self.overlay.get(&number) {
            return Ok(page);
        }
        let start = usize::try_from(number - 1).ok().and_then(|n| n.checked_mul(self.page_size));
        start.and_then(|start| self.file.get(start..)?.get(..self.page_size)).ok_or(DbError::Range("page"))
    }

    /// Visits the rows of the table whose tree has this root, in order.
    fn walk(&self, root: u32, used: &mut Used, row: Row<'_>) -> Result<(), DbError> {
        // Pages still to visit, the next on top; children lie one level deeper.
        let mut waiting = vec![(root, 0)];
        while let Some((number, depth)) = waiting.pop() {
            let page = self.page(number, used)?;
            let damaged = DbError::Page(number);
            let header = if number == 1 { FILE_HEADER } else { 0 };
            let count = usize::from(be_u16(page, header + 3).ok_or(damaged)?);
            let cell = |pointers: usize, at: usize| {
                let offset = be_u16(page, pointers + 2 * at).map(usize::from)?;
                page.get(offset.max(header + 8)..self.usable).filter(|_| offset > header)
            };
            match page.get(header) {
                Some(&LEAF) => {
                    for at in 0..count {
                        let cell = cell(header + 8, at).ok_or(damaged)?;
                        let (length, rest) = varint(cell).ok_or(damaged)?;
                        let (number, rest) = varint(rest).ok_or(damaged)?;
                        let record = self.payload(rest, length, used)?.ok_or(damaged)?;
                        row(number, &record)?;
                    }
                }
                Some(&INTERIOR) if depth < MAX_DEPTH => {
                    waiting.push((be_u32(page, header + 8).ok_or(damaged)?, depth + 1));
                    for at in (0..count).rev() {
                        let child = cell(header + 12, at).and_then(|cell| be_u32(cell, 0)).ok_or(damaged)?;
                        waiting.push((child, depth + 1));
                    }
                }
                _ => return Err(DbError::PageKind(number)),
            }
        }
        Ok(())
    }

    /// A record's bytes: what fits in the cell, then the chain of overflow pages (§1.6, "overflow"). `None` if the cell is
    /// too short.
    fn payload(&self, cell: &'a [u8], length: u64, used: &mut Used) -> Result<Option<std::borrow::Cow<'a, [u8]>>, DbError> {
        let Ok(length) = usize::try_from(length) else {
            return Ok(None);
        };
        let usable = self.usable;
        let most = usable - 35;
        if length <= most {
            return Ok(cell.get(..length).map(Into::into));
        }
        if length > self.page_size.saturating_mul(usize::try_from(self.pages).unwrap_or(usize::MAX)) {
            return Err(DbError::Range("record"));
        }
        let least = (usable - 12) * 32 / 255 - 23;
        let even = least + (length - least) % (usable - 4);
        let local = if even <= most { even } else { least };
        let (Some(start), Some(mut next)) = (cell.get(..local), be_u32(cell, local)) else {
            return Ok(None);
        };
        let mut record = Vec::with_capacity(length);
        record.extend_from_slice(start);
        while record.len() < length {
            let page = self.page(next, used)?;
            let left = (length - record.len()).min(usable - 4);
            record.extend_from_slice(page.get(4..4 + left).ok_or(DbError::Page(next))?);
            next = be_u32(page, 0).ok_or(DbError::Page(next))?;
        }
        Ok(Some(record.into()))
    }
}

/// A column's value, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value<'a> {
    Integer(i64),
    Text(&'a [u8]),
    Blob(&'a [u8]),
    Other,
}

/// Most columns looked at: neither the schema's table (5) nor `Packages` (2) has more.
const MAX_COLUMNS: usize = 8;

/// Takes a record apart (§2.1): its header lists the types, then follow the values.
fn columns(record: &[u8]) -> Option<Vec<Value<'_>>> {
    let (size, _) = varint(record)?;
    let (header, mut body) = record.split_at_checked(usize::try_from(size).ok()?)?;
    let (_, mut header) = varint(header)?;
    let mut columns = Vec::with_capacity(MAX_COLUMNS);
    while !header.is_empty() && columns.len() < MAX_COLUMNS {
        let (kind, rest) = varint(header)?;
        header = rest;
        let size = match kind {
            0 | 8 | 9 => 0,
            1..=4 => usize::try_from(kind).ok()?,
            5 => 6,
            6 | 7 => 8,
            10 | 11 => return None,
            12.. => usize::try_from((kind - 12) / 2).ok()?,
        };
        let (value, rest) = body.split_at_checked(size)?;
        body = rest;
        columns.push(match kind {
            1..=6 => Value::Integer(integer(value)),
            8 => Value::Integer(0),
            9 => Value::Integer(1),
            12.. if kind % 2 == 0 => Value::Blob(value),
            13.. => Value::Text(value),
            _ => Value::Other,
        });
    }
    Some(columns)
}

/// A big-endian two's complement number of up to eight bytes.
fn integer(bytes: &[u8]) -> i64 {
    let sign = if bytes.first().is_some_and(|b| *b >= 0x80) { -1 } else { 0 };
    bytes.iter().fold(sign, |number, byte| number << 8 | i64::from(*byte))
}

/// The root page of `Packages`, if this row of `sqlite_schema` (type, name, table, root page, SQL) is its.
fn packages_root(row: &[u8]) -> Result<Option<u32>, DbError> {
    let damaged = DbError::Page(1);
    let columns = columns(row).ok_or(damaged)?;
    let [Value::Text(kind), Value::Text(name), _, root, ..] = columns.as_slice() else {
        return Err(damaged);
    };
    if *kind != b"table" || !name.eq_ignore_ascii_case(b"packages") {
        return Ok(None);
    }
    match root {
        Value::Integer(root) => u32::try_from(*root).ok().filter(|root| *root > 0).map(Some).ok_or(damaged),
        _ => Err(damaged),
    }
}

/// `SQLite`'s variable-length number: seven bits a byte, high bit for "more", all eight bits of a ninth byte.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0;
    for (at, byte) in bytes.iter().enumerate().take(9) {
        if at == 8 {
            return Some((number << 8 | u64::from(*byte), bytes.get(9..)?));
        }
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((number, bytes.get(at + 1..)?));
        }
    }
    None
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, clippy::print_stderr, reason = "a test asks the real program")]
mod tests;
