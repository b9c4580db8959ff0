//! Berkeley DB's hash format, in either byte order: `Packages` of rpm before 4.16. Keys are package numbers, values are header
//! blobs, usually on chains of overflow pages.
//!
//! Source: Berkeley DB's `dbinc/db_page.h` and `hash.h`, and `lib/backend/bdb_ro.c` of rpm, rpm's own read-only reader.

use super::{DbError, Used, be_u16, be_u32, le_u16, le_u32};

const HASH_MAGIC: u32 = 0x0006_1561;
const HASH_META: u8 = 8;
const HASH_UNSORTED: u8 = 2;
const HASH: u8 = 13;
const OVERFLOW: u8 = 7;
const ON_PAGE: u8 = 1;
const OFF_PAGE: u8 = 3;
/// Bytes before the entries of a page.
const PAGE_HEADER: usize = 26;
/// The meta page says so if every page carries a checksum, which makes its header longer.
const CHECKSUMS: u8 = 1;

/// An open database: its pages, and what its meta page says.
struct Db<'a> {
    file: &'a [u8],
    big_endian: bool,
    page_size: usize,
    last_page: u32,
    last_bucket: u32,
    spares: [u32; 32],
    used: Used,
}

/// Gives each package's number and header blob to `visit`, bucket by bucket, as `rpm -qa` does.
///
/// # Errors
/// Another format, or damage; `visit` may have been given some packages by then.
pub fn read(file: &[u8], visit: &mut dyn FnMut(u32, &[u8])) -> Result<(), DbError> {
    let mut db = open(file)?;
    for bucket in 0..=db.last_bucket {
        let mut page = db.bucket_page(bucket)?;
        while page != 0 {
            let bytes = db.page(page)?;
            if !matches!(bytes.get(25), Some(&(HASH | HASH_UNSORTED))) {
                return Err(DbError::PageKind(page));
            }
            db.entries(page, bytes, visit)?;
            page = db.u32(bytes, 16).ok_or(DbError::Page(page))?;
        }
    }
    Ok(())
}

fn open(file: &[u8]) -> Result<Db<'_>, DbError> {
    let big_endian = match file.get(12..16).and_then(|m| m.first_chunk()) {
        Some(magic) if u32::from_le_bytes(*magic) == HASH_MAGIC => false,
        Some(magic) if u32::from_be_bytes(*magic) == HASH_MAGIC => true,
        _ => return Err(DbError::Magic),
    };
    let field = |at| if big_endian { be_u32(file, at) } else { le_u32(file, at) }.ok_or(DbError::Range("meta page"));
    let byte = |at: usize| file.get(at).copied().ok_or(DbError::Range("meta page"));
    if !(8..=10).contains(&field(16)?) {
        return Err(DbError::Unsupported("another version of Berkeley DB's hash"));
    }
    if byte(24)? != 0 || byte(26)? & CHECKSUMS != 0 {
        return Err(DbError::Unsupported("encrypted or checksummed pages"));
    }
    if byte(25)? != HASH_META {
        return Err(DbError::PageKind(0));
    }
    let page_size = usize::try_from(field(20)?).unwrap_or(0);
    if !page_size.is_power_of_two() || !(512..=65536).contains(&page_size) {
        return Err(DbError::Page(0));
    }
    let last_page = field(32)?;
    let pages = u64::from(last_page) + 1;
    let length = u64::try_from(page_size).ok().and_then(|size| pages.checked_mul(size));
    if length.is_none_or(|length| length > file.len() as u64) {
        return Err(DbError::Range("page"));
    }
    let last_bucket = field(72)?;
    if last_bucket >= last_page.max(1) {
        return Err(DbError::Range("bucket"));
    }
    let mut spares = [0; 32];
    for (at, spare) in (96..).step_by(4).zip(&mut spares) {
        *spare = field(at)?;
    }
    Ok(Db { file, big_endian, page_size, last_page, last_bucket, spares, used: Used::new(last_page) })
}

impl<'a> Db<'a> {
    /// Buckets are laid out in doublings, each of which starts where a spare says.
    fn bucket_page(&self, bucket: u32) -> Result<u32, DbError> {
        let doubling = usize::try_from(u32::BITS - bucket.leading_zeros()).unwrap_or(usize::MAX);
        let page = self.spares.get(doubling).and_then(|spare| spare.checked_add(bucket));
        page.ok_or(DbError::Range("bucket"))
    }

    /// A page that was not used before and that knows its own number.
    fn page(&mut self, number: u32) -> Result<&'a [u8], DbError> {
        if number == 0 || number > self.last_page {
            return Err(DbError::Range("page"));
        }
        self.used.note(number)?;
        let start = usize::try_from(number).ok().and_then(|n| n.checked_mul(self.page_size));
        let bytes = start.and_then(|start| self.file.get(start..)?.get(..self.page_size)).ok_or(DbError::Range("page"))?;
        if self.u32(bytes, 8) == Some(number) { Ok(bytes) } else { Err(DbError::Page(number)) }
    }

    fn u32(&self, bytes: &[u8], at: usize) -> Option<u32> {
        if self.big_endian { be_u32(bytes, at) } else { le_u32(bytes, at) }
    }

    fn u16(&self, bytes: &[u8], at: usize) -> Option<usize> {
        if self.big_endian { be_u16(bytes, at) } else { le_u16(bytes, at) }.map(usize::from)
    }

    /// The pairs of key and value on a hash page. Items lie from the page's end backwards: one ends where the one before it
    /// starts.
    fn entries(&mut self, number: u32, page: &'a [u8], visit: &mut dyn FnMut(u32, &[u8])) -> Result<(), DbError> {
        let damaged = DbError::Page(number);
        let count = self.u16(page, 20).ok_or(damaged)?;
        let mut end = page.len();
        let mut key = None;
        for at in 0..count {
            let start = self.u16(page, PAGE_HEADER + 2 * at).filter(|s| *s >= PAGE_HEADER + 2 * count).ok_or(damaged)?;
            let item = page.get(start..end).ok_or(damaged)?;
            end = start;
            match key.take() {
                None => key = Some(self.key(item).ok_or(damaged)?),
                // Number zero is the counter of numbers given out.
                Some(0) => {}
                Some(package) => match item {
                    [ON_PAGE, blob @ ..] => visit(package, blob),
                    [OFF_PAGE, ..] => visit(package, &self.overflow(item).map_err(|e| outline(e, package))?),
                    _ => return Err(DbError::Package(package)),
                },
            }
        }
        if key.is_some() { Err(damaged) } else { Ok(()) }
    }

    fn key(&self, item: &[u8]) -> Option<u32> {
        match item {
            [ON_PAGE, key @ ..] if key.len() == 4 => self.u32(key, 0),
            _ => None,
        }
    }

    /// A value on a chain of overflow pages, whose length the item states.
    fn overflow(&mut self, item: &[u8]) -> Result<Vec<u8>, DbError> {
        let (Some(mut next), Some(length)) = (self.u32(item, 4), self.u32(item, 8)) else {
            return Err(DbError::Range("overflow page"));
        };
        let length = usize::try_from(length).ok().filter(|l| *l <= self.file.len()).ok_or(DbError::Range("overflow page"))?;
        let mut value = Vec::with_capacity(length);
        while value.len() < length {
            let page = self.page(next)?;
            let here = self.u16(page, 22).and_then(|n| page.get(PAGE_HEADER..PAGE_HEADER.checked_add(n)?));
            match here {
                _ if page.get(25) != Some(&OVERFLOW) => return Err(DbError::PageKind(next)),
                Some(data) if !data.is_empty() && value.len() + data.len() <= length => {
                    value.extend_from_slice(data);
                }
                _ => return Err(DbError::Page(next)),
            }
            next = self.u32(page, 16).ok_or(DbError::Page(next))?;
        }
        Ok(value)
    }
}

/// Names the package where an overflow chain merely has a wrong length.
fn outline(error: DbError, package: u32) -> DbError {
    if error == DbError::Range("overflow page") { DbError::Package(package) } else { error }
}
