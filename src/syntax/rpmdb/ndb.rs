//! SUSE's "ndb": a table of slots at the start of the file, then blobs in blocks of 16 bytes, each with head, tail and an
//! Adler-32 checksum. All numbers are little-endian. Source: `lib/backend/ndb/rpmpkg.c` of rpm.

use super::{DbError, le_u32};

const FILE_MAGIC: &[u8] = b"RpmP";
const SLOT_MAGIC: &[u8] = b"Slot";
const HEAD_MAGIC: &[u8] = b"BlbS";
const TAIL_MAGIC: &[u8] = b"BlbE";
const PAGE: usize = 4096;
/// Size of a slot, and of a block.
const UNIT: usize = 16;
const HEAD: usize = 16;
const TAIL: usize = 12;
/// The file's own header takes the room of the first two slots.
const FILE_HEADER: usize = 32;

struct Slot {
    package: u32,
    start: usize,
    blocks: usize,
}

/// Gives each package's index and header blob to `visit`, in the order of the file, as `rpm -qa` does.
///
/// # Errors
/// Another format, or damage; `visit` may have been given some packages by then.
pub fn read(file: &[u8], visit: &mut dyn FnMut(u32, &[u8])) -> Result<(), DbError> {
    if !file.starts_with(FILE_MAGIC) {
        return Err(DbError::Magic);
    }
    if le_u32(file, 4) != Some(0) {
        return Err(DbError::Unsupported("another version of ndb"));
    }
    let mut slots = slots(file)?;
    slots.sort_by_key(|slot| slot.start);
    let mut free_from = 0;
    for slot in &slots {
        if slot.start < free_from {
            return Err(DbError::Package(slot.package));
        }
        free_from = slot.start + slot.blocks;
        let blob = blob(file, slot).ok_or(DbError::Package(slot.package))?;
        visit(slot.package, blob);
    }
    Ok(())
}

fn slots(file: &[u8]) -> Result<Vec<Slot>, DbError> {
    if !file.len().is_multiple_of(UNIT) {
        return Err(DbError::Range("block"));
    }
    let pages = le_u32(file, 12).and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
    let table = pages.checked_mul(PAGE).and_then(|end| file.get(FILE_HEADER..end)).ok_or(DbError::Range("slot"))?;
    let blobs_from = pages * (PAGE / UNIT);
    let mut slots = Vec::new();
    for slot in table.chunks_exact(UNIT) {
        if !slot.starts_with(SLOT_MAGIC) {
            return Err(DbError::Range("slot"));
        }
        let field = |at| le_u32(slot, at).unwrap_or(0);
        let (package, start, blocks) = (field(4), field(8), field(12));
        if start == 0 {
            continue;
        }
        let (Ok(start), Ok(blocks)) = (usize::try_from(start), usize::try_from(blocks)) else {
            return Err(DbError::Range("slot"));
        };
        let end = start.checked_add(blocks).filter(|end| *end <= file.len() / UNIT);
        if package == 0 || blocks == 0 || start < blobs_from || end.is_none() {
            return Err(DbError::Package(package));
        }
        slots.push(Slot { package, start, blocks });
    }
    Ok(slots)
}

/// The header blob between a head and a tail that agree with the slot, with each other and with the checksum.
fn blob<'a>(file: &'a [u8], slot: &Slot) -> Option<&'a [u8]> {
    let whole = file.get(slot.start * UNIT..(slot.start + slot.blocks) * UNIT)?;
    let (checked, tail) = whole.split_at_checked(whole.len().checked_sub(TAIL)?)?;
    let length = le_u32(checked, 12)?;
    let size = usize::try_from(length).ok()?;
    let right = checked.starts_with(HEAD_MAGIC)
        && le_u32(checked, 4) == Some(slot.package)
        && HEAD.checked_add(size)?.checked_add(TAIL)?.div_ceil(UNIT) == slot.blocks
        && le_u32(tail, 0) == Some(adler32(checked))
        && le_u32(tail, 4) == Some(length)
        && tail.ends_with(TAIL_MAGIC);
    if right { checked.get(HEAD..HEAD + size) } else { None }
}

/// RFC 1950's checksum.
pub(super) fn adler32(bytes: &[u8]) -> u32 {
    const MODULUS: u32 = 65521;
    let (mut low, mut high) = (1_u32, 0_u32);
    // 5552 is the most bytes whose sums cannot overflow 32 bits.
    for chunk in bytes.chunks(5552) {
        for byte in chunk {
            low += u32::from(*byte);
            high += low;
        }
        low %= MODULUS;
        high %= MODULUS;
    }
    high << 16 | low
}
