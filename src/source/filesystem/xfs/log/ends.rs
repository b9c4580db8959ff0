//! Where the log begins and where it ends: found as the kernel finds it (`xlog_find_tail`), by the rounds that sectors are stamped with.

use std::io;

use super::overlay::SECTOR;
use super::record::{Header, MAX_RECORD};
use super::ring::{Ring, round_of, sector, sectors};
use crate::source::filesystem::xfs::bytes::{Within, broken, u8_at};

/// What may be on its way to the disk at once: eight buffers of the largest size. Within this distance of the end, sectors may have
/// been written out of order.
const IN_FLIGHT: u64 = 8 * MAX_RECORD as u64 / SECTOR;
/// A record, at the most.
const RECORD: u64 = MAX_RECORD as u64 / SECTOR;
/// The operation that an unmount leaves, as flags of its header.
const UNMOUNT: u8 = 0x20;

/// The two ends.
pub(super) struct Ends {
    /// The sector after the last record.
    pub(super) head: u64,
    /// The first sector that has to be replayed.
    pub(super) tail: u64,
    /// The last record; none in a log that was never used.
    pub(super) last: Option<Header>,
    /// Whether nothing has to be replayed.
    pub(super) clean: bool,
}

pub(super) fn find(ring: &Ring<'_>, v2: bool) -> io::Result<Ends> {
    let head = find_head(ring, v2).within(|| "its end")?;
    if head == 0 && ring.round(0)? == 0 {
        return Ok(Ends { head, tail: 0, last: None, clean: true });
    }
    before(ring, head, v2)
}

/// The ends if the log ends at `head`.
pub(super) fn before(ring: &Ring<'_>, head: u64, v2: bool) -> io::Result<Ends> {
    let last = last_record(ring, head, ring.length, v2)?.ok_or_else(|| broken("there is no record in it"))?;
    let tail = last.tail & u64::from(u32::MAX);
    if tail >= ring.length {
        return Err(broken(format_args!("its last record says that it begins at sector {tail}, which is outside")));
    }
    let clean = last.operations == 1
        && ring.after(last.at, last.sectors()) == head
        && u8_at(&ring.read(ring.after(last.at, last.headers), 1)?, 9)? & UNMOUNT != 0;
    Ok(Ends { head, tail, last: Some(last), clean })
}

/// The last record that begins before `head`, in the circle and no more than `distance` back.
pub(super) fn last_record(ring: &Ring<'_>, head: u64, distance: u64, v2: bool) -> io::Result<Option<Header>> {
    let mut left = distance.min(ring.length);
    let mut end = if head == 0 { ring.length } else { head };
    while left > 0 {
        let count = RECORD.min(left).min(end);
        let bytes = ring.read(end - count, count)?;
        for (at, sector) in sectors(&bytes).rev() {
            if let Some(header) = Header::parse(end - count + at, sector, v2)? {
                return Ok(Some(header));
            }
        }
        left -= count;
        end = if end == count { ring.length } else { end - count };
    }
    Ok(None)
}

/// The sector after the last that was written.
fn find_head(ring: &Ring<'_>, v2: bool) -> io::Result<u64> {
    if let Some(head) = find_zeroed(ring, v2)? {
        return Ok(head);
    }
    let (first, last) = (ring.round(0)?, ring.round(ring.length - 1)?);
    // In most logs the first part is of this round and the rest of the one before; then the end is where the older begins. If all is of
    // one round, the end is the end of the circle, but for sectors that are missing before it.
    let (mut head, stop) =
        if first == last { (ring.length, last.wrapping_sub(1)) } else { (first_of(ring, 0, ring.length - 1, last)?, last) };
    // Buffers are written out of order: a sector of an older round before the end means that the log really ends there.
    let scanned = IN_FLIGHT.min(ring.length);
    if head >= scanned {
        if let Some(hole) = first_with(ring, head - scanned, scanned, stop)? {
            head = hole;
        }
    } else {
        let rest = scanned - head;
        if let Some(hole) = first_with(ring, ring.length - rest, rest, stop.wrapping_sub(1))? {
            head = hole;
        } else if let Some(hole) = first_with(ring, 0, head, stop)? {
            head = hole;
        }
    }
    let head = cut_at_record(ring, head, v2)?;
    Ok(if head == ring.length { 0 } else { head })
}

/// The end of a log whose last part was never written.
fn find_zeroed(ring: &Ring<'_>, v2: bool) -> io::Result<Option<u64>> {
    if ring.round(0)? == 0 {
        return Ok(Some(0));
    }
    if ring.round(ring.length - 1)? != 0 {
        return Ok(None);
    }
    let mut head = first_of(ring, 0, ring.length - 1, 0)?;
    let scanned = IN_FLIGHT.min(head);
    if let Some(hole) = first_with(ring, head - scanned, scanned, 0)? {
        head = hole;
    }
    cut_at_record(ring, head, v2).map(Some)
}

/// Where sectors of this round begin, if the last one is of it and all of them lie together at the end.
fn first_of(ring: &Ring<'_>, first: u64, last: u64, round: u32) -> io::Result<u64> {
    let (mut low, mut high) = (first, last);
    while high - low > 1 {
        let middle = u64::midpoint(low, high);
        if ring.round(middle)? == round {
            high = middle;
        } else {
            low = middle;
        }
    }
    Ok(high)
}

/// The first of `count` sectors that is of this round.
fn first_with(ring: &Ring<'_>, from: u64, count: u64, round: u32) -> io::Result<Option<u64>> {
    let bytes = ring.read(from, count)?;
    for (at, sector) in sectors(&bytes) {
        if round_of(sector)? == round {
            return Ok(Some(from + at));
        }
    }
    Ok(None)
}

/// Takes the end back to the beginning of the last record, if that was not written whole.
fn cut_at_record(ring: &Ring<'_>, head: u64, v2: bool) -> io::Result<u64> {
    let scanned = RECORD.saturating_mul(2).min(ring.length);
    let from = head.saturating_sub(scanned);
    let bytes = ring.read(from, head - from)?;
    for at in (from..head).rev() {
        if let Some(header) = Header::parse(at, sector(&bytes, at - from)?, v2)? {
            return Ok(if head - at == header.sectors() { head } else { at });
        }
    }
    if from > 0 {
        return Err(broken(format_args!("no record begins before sector {head}")));
    }
    // It began before the end of the circle.
    let rest = scanned - head;
    let from = ring.length - rest;
    let bytes = ring.read(from, rest)?;
    for at in (from..ring.length).rev() {
        if let Some(header) = Header::parse(at, sector(&bytes, at - from)?, v2)? {
            let whole = ring.length - at + head == header.sectors();
            return Ok(if whole { head } else { at });
        }
    }
    Ok(head)
}
