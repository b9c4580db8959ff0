//! The write-ahead log: frames of one page each, valid as long as salt and running checksum fit, and in force up to the last
//! frame that commits. Source: `SQLite`'s "Database File Format", §4, and `walIndexRecover` in `src/wal.c`.

use super::super::{DbError, be_u32, le_u32};
use std::collections::BTreeMap;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
const VERSION: u32 = 3_007_000;

/// What the log changes.
#[derive(Default)]
pub(super) struct Log<'a> {
    /// The newest committed content of each page.
    pub pages: BTreeMap<u32, &'a [u8]>,
    /// Size of the database in pages after the last commit.
    pub size: Option<u32>,
    pub page_size: Option<usize>,
}

type Sums = (u32, u32);

/// Reads the committed frames. A log whose header does not add up is an empty one, as for `SQLite`; frames left over from before
/// the last checkpoint have another salt and end the log.
pub(super) fn read(log: &[u8]) -> Result<Log<'_>, DbError> {
    let Some((header, frames)) = log.split_at_checked(HEADER) else {
        return Ok(Log::default());
    };
    let field = |at| be_u32(header, at).unwrap_or(0);
    let big_endian = match field(0) {
        0x377f_0682 => false,
        0x377f_0683 => true,
        _ => return Ok(Log::default()),
    };
    let page_size = usize::try_from(field(8)).unwrap_or(0);
    if !page_size.is_power_of_two() || !(512..=65536).contains(&page_size) {
        return Ok(Log::default());
    }
    let mut sums = checksum(header.get(..24).unwrap_or_default(), (0, 0), big_endian);
    if sums != (field(24), field(28)) {
        return Ok(Log::default());
    }
    if field(4) != VERSION {
        return Err(DbError::Unsupported("another version of the write-ahead log"));
    }
    let salt = header.get(16..24);
    let mut committed = Log { page_size: Some(page_size), ..Log::default() };
    let mut pending = Vec::new();
    for frame in frames.chunks_exact(FRAME_HEADER + page_size) {
        let Some((head, page)) = frame.split_at_checked(FRAME_HEADER) else {
            break;
        };
        let (Some(number), Some(size)) = (be_u32(head, 0), be_u32(head, 4)) else {
            break;
        };
        sums = checksum(head.get(..8).unwrap_or_default(), sums, big_endian);
        sums = checksum(page, sums, big_endian);
        let stated = (be_u32(head, 16), be_u32(head, 20));
        if number == 0 || head.get(8..16) != salt || stated != (Some(sums.0), Some(sums.1)) {
            break;
        }
        pending.push((number, page));
        if size != 0 {
            committed.pages.extend(pending.drain(..));
            committed.size = Some(size);
        }
    }
    Ok(committed)
}

/// The log's running checksum over pairs of 32-bit words.
fn checksum(bytes: &[u8], (mut a, mut b): Sums, big_endian: bool) -> Sums {
    for pair in bytes.chunks_exact(8) {
        let word = |at| if big_endian { be_u32(pair, at) } else { le_u32(pair, at) }.unwrap_or(0);
        a = a.wrapping_add(word(0)).wrapping_add(b);
        b = b.wrapping_add(word(4)).wrapping_add(a);
    }
    (a, b)
}
