//! The two passes over the log: first which blocks were freed, then everything that was changed.

use std::collections::BTreeSet;
use std::io;

use super::buffer::{self, Buffer, Cancelled};
use super::ends::{self, Ends};
use super::inode;
use super::intents::{Intents, Unfinished};
use super::overlay::Overlay;
use super::record::{self, Header, Trouble};
use super::ring::Ring;
use super::transaction::{Item, Transaction, Transactions};
use crate::source::filesystem::xfs::bytes::{Within, broken};
use crate::source::filesystem::xfs::disk::Disk;

const INODE: u16 = 0x123b;
const BUFFER: u16 = 0x123c;
const QUOTA: u16 = 0x123d;
const QUOTAS_OFF: u16 = 0x123e;
const CREATE: u16 = 0x123f;
/// Records that may be on their way to the disk at once (`XLOG_MAX_ICLOGS`): of these the last may be broken.
const IN_FLIGHT: usize = 8;
/// So much of the log is asked for at once, in sectors: 8 MiB.
const WAVE: u64 = 16 * 1024;

/// What came of it.
pub(super) struct Replayed {
    pub(super) overlay: Overlay,
    pub(super) transactions: u64,
    pub(super) unfinished: Unfinished,
    /// How much announced work was not done.
    pub(super) intents: usize,
    /// Files whose extents were exchanged.
    pub(super) exchanged: BTreeSet<u64>,
    /// Whether the last records were not written whole.
    pub(super) torn: bool,
}

/// Replays what lies between the ends; nothing if the log turns out to be clean.
pub(super) fn replay(disk: &Disk, ring: &Ring<'_>, mut ends: Ends) -> io::Result<Option<Replayed>> {
    let v2 = disk.superblock.features.has_log_v2();
    // A record that was not written whole ends the log before it; its predecessor may know of an earlier beginning. Each time round
    // the log gets shorter.
    let mut torn_once = false;
    let records = loop {
        match records(disk, ring, &ends, v2)? {
            Ok(records) => break records,
            Err(torn) => {
                torn_once = true;
                ends = ends::before(ring, torn, v2)?;
                if ends.clean {
                    return Ok(None);
                }
            }
        }
    };
    let mut cancelled = Cancelled::default();
    pass(disk, ring, &records, &mut |transaction| {
        transaction.items.iter().try_for_each(|item| {
            if item.kind() == BUFFER {
                let buffer = Buffer::parse(item)?;
                if buffer.is_cancel() {
                    cancelled.note(&buffer);
                }
            }
            Ok(())
        })
    })?;
    let mut done = Replayed {
        overlay: Overlay::new(disk.device.clone()),
        transactions: 0,
        unfinished: Unfinished::default(),
        intents: 0,
        exchanged: BTreeSet::new(),
        torn: torn_once,
    };
    let mut intents = Intents::default();
    pass(disk, ring, &records, &mut |transaction| {
        done.transactions += 1;
        commit(disk, &transaction, &mut cancelled, &mut intents, &mut done)
            .within(|| format!("transaction {} (sequence number {:#x})", done.transactions, transaction.lsn))
    })?;
    (done.intents, done.unfinished) = intents.finish();
    Ok(Some(done))
}

/// The records from the tail to the head; or where the first one lies that is torn.
fn records(disk: &Disk, ring: &Ring<'_>, ends: &Ends, v2: bool) -> io::Result<Result<Vec<Header>, u64>> {
    let mut found: Vec<Header> = Vec::new();
    let whole = ring.distance(ends.tail, ends.head);
    // Head and tail in one place: the log is full.
    let whole = if whole == 0 { ring.length } else { whole };
    let mut passed = 0;
    let mut asked = 0;
    while passed < whole {
        let at = ring.after(ends.tail, passed);
        if passed >= asked {
            ring.prefetch(at, WAVE.min(whole - passed));
            asked = passed + WAVE;
        }
        let header = Header::parse(at, &ring.read(at, 1)?, v2)?;
        let usable = match header {
            Some(header) if passed + header.sectors() <= whole => {
                header.belongs(disk)?;
                match record::operations(ring, disk, &header) {
                    Ok(_) => Ok(header),
                    Err(Trouble::Torn) => Err("its checksum does not hold"),
                    Err(Trouble::Unreadable(error)) => return Err(error),
                }
            }
            Some(_) => Err("it reaches beyond the end of the log"),
            None => Err("no record begins there"),
        };
        match usable {
            Ok(header) => {
                passed += header.sectors();
                found.push(header);
            }
            Err(why) => {
                let place = || broken(format_args!("the record at sector {at} is broken: {why}"));
                // The oldest one cannot have been on its way.
                if found.is_empty() || count_after(ring, at, ends.head, v2)? > IN_FLIGHT {
                    return Err(place());
                }
                return Ok(Err(at));
            }
        }
    }
    Ok(Ok(found))
}

/// How many records begin from here to the head; no more than matter.
fn count_after(ring: &Ring<'_>, at: u64, head: u64, v2: bool) -> io::Result<usize> {
    let mut end = head;
    let mut count = 0;
    while count <= IN_FLIGHT {
        let distance = ring.distance(at, end);
        if distance == 0 {
            break;
        }
        match ends::last_record(ring, end, distance, v2)? {
            Some(header) => {
                count += 1;
                end = header.at;
            }
            None => break,
        }
    }
    Ok(count)
}

fn pass(
    disk: &Disk,
    ring: &Ring<'_>,
    records: &[Header],
    commit: &mut dyn FnMut(Transaction) -> io::Result<()>,
) -> io::Result<()> {
    let mut open = Transactions::default();
    for header in records {
        let bytes = match record::operations(ring, disk, header) {
            Ok(bytes) => bytes,
            Err(Trouble::Unreadable(error)) => return Err(error),
            Err(Trouble::Torn) => return Err(broken(format_args!("the record at sector {} changed", header.at))),
        };
        open.take(header, &bytes, commit).within(|| format!("the record at sector {}", header.at))?;
    }
    Ok(())
}

/// In which order the kernel replays the items of a transaction: blocks first, for inodes lie in them; then inodes and all else; then
/// lists of unlinked inodes; then what was freed.
fn rank(item: &Item) -> io::Result<u8> {
    Ok(match item.kind() {
        BUFFER => {
            let buffer = Buffer::parse(item)?;
            match (buffer.is_cancel(), buffer.is_inodes()) {
                (true, _) => 3,
                (false, true) => 2,
                (false, false) => 0,
            }
        }
        CREATE => 0,
        _ => 1,
    })
}

fn commit(
    disk: &Disk,
    transaction: &Transaction,
    cancelled: &mut Cancelled,
    intents: &mut Intents,
    done: &mut Replayed,
) -> io::Result<()> {
    let lsn = transaction.lsn;
    let mut items = Vec::with_capacity(transaction.items.len());
    for item in &transaction.items {
        if !item.is_whole() {
            return Err(broken("an item without all of its regions"));
        }
        items.push((rank(item)?, item));
    }
    items.sort_by_key(|(rank, _)| *rank);
    for (_, item) in items {
        match item.kind() {
            BUFFER => {
                let buffer = Buffer::parse(item)?;
                if buffer.is_cancel() {
                    cancelled.pass(&buffer);
                } else if !cancelled.holds(&buffer) {
                    buffer.replay(disk, &mut done.overlay, lsn)?;
                }
            }
            INODE => {
                let exchanged = inode::replay(item, disk, cancelled, &mut done.overlay, lsn)?;
                done.exchanged.extend(exchanged);
            }
            CREATE => buffer::create(item, disk, cancelled, &mut done.overlay)?,
            QUOTA | QUOTAS_OFF => {}
            other => {
                if !intents.take(item)? {
                    return Err(broken(format_args!("a change of the unknown kind {other:#x}")));
                }
            }
        }
    }
    Ok(())
}
