//! Changes of inodes: the core as the machine keeps numbers, and what changed of the forks.

use std::io;

use super::buffer::Cancelled;
use super::overlay::{Overlay, SECTOR};
use super::transaction::{Item, le16, le32, le64};
use crate::source::device::BlockDevice as _;
use crate::source::filesystem::xfs::bytes::{Within, broken, part, u8_at, u16_at, u32_at, u64_at};
use crate::source::filesystem::xfs::disk::Disk;

/// Which parts were logged.
const DATA_BYTES: u32 = 0x2 | 0x4;
const DATA_ROOT: u32 = 0x8;
const DEVICE: u32 = 0x10;
const ATTRIBUTE_BYTES: u32 = 0x40 | 0x80;
const ATTRIBUTE_ROOT: u32 = 0x100;
/// The extents were exchanged with another file's: blocks of their B-trees still name the other.
const OWNERS: u32 = 0x200 | 0x400;

/// The fields of the core by where they begin and how wide they are; they stand where they do on the disk, only the bytes of each are
/// turned round. Not among them: what is a number in one version and padding in another, times, and what is never replayed (the next
/// unlinked inode, checksum and sequence number).
const FIELDS: [(usize, usize); 20] = [
    (0, 2),
    (2, 2),
    (4, 1),
    (5, 1),
    (8, 4),
    (12, 4),
    (16, 4),
    (20, 2),
    (22, 2),
    (56, 8),
    (64, 8),
    (72, 4),
    (76, 4),
    (80, 2),
    (82, 1),
    (83, 1),
    (84, 4),
    (88, 2),
    (90, 2),
    (92, 4),
];
const FIELDS_V3: [(usize, usize); 6] = [(24, 8), (104, 8), (120, 8), (128, 4), (152, 8), (160, 1)];
const TIMES: [usize; 3] = [32, 40, 48];
const CREATED: usize = 144;
const CORE_V2: usize = 96;
const CORE_V3: usize = 176;
const BIGTIME: u64 = 1 << 3;
/// A count of flushes stands here in versions 1 and 2, and begins anew after this.
const FLUSHES: usize = 30;
const MAX_FLUSHES: u16 = 0xffff;

/// The description of a changed inode: on 64-bit machines with padding, on 32-bit x86 without.
struct Format {
    regions: u16,
    fields: u32,
    number: u64,
    device: u32,
    /// The buffer that holds it: first sector, sectors, and where in it the inode lies.
    buffer: (u64, u64, u64),
}

impl Format {
    fn parse(bytes: &[u8]) -> io::Result<Self> {
        let at = match bytes.len() {
            56 => 16,
            52 => 12,
            other => return Err(broken(format_args!("a changed inode described in {other} bytes"))),
        };
        Ok(Self {
            regions: le16(bytes, 2)?,
            fields: le32(bytes, 4)?,
            number: le64(bytes, at)?,
            device: le32(bytes, at + 8)?,
            buffer: (le64(bytes, at + 24)?, u64::from(le32(bytes, at + 32)?), u64::from(le32(bytes, at + 36)?)),
        })
    }
}

/// Puts a changed inode over the device, unless what is there is newer. Gives its number if its B-tree has to be given a new owner.
pub(super) fn replay(
    item: &Item,
    disk: &Disk,
    cancelled: &Cancelled,
    overlay: &mut Overlay,
    lsn: u64,
) -> io::Result<Option<u64>> {
    let format = Format::parse(item.region(0)?)?;
    let (sector, sectors, inside) = format.buffer;
    if cancelled.holds_place(sector, sectors) {
        return Ok(None);
    }
    let number = format.number;
    change(item, &format, disk, overlay, lsn, sector.saturating_mul(SECTOR).saturating_add(inside))
        .within(|| format!("inode {number}"))?;
    Ok((format.fields & OWNERS != 0).then_some(number))
}

fn change(item: &Item, format: &Format, disk: &Disk, overlay: &mut Overlay, lsn: u64, offset: u64) -> io::Result<()> {
    let superblock = &disk.superblock;
    if superblock.inode_offset(format.number) != Some(offset) {
        return Err(broken(format_args!("it does not lie at byte {offset}, as the log says")));
    }
    let mut inode = vec![0; usize::from(superblock.inode_size)];
    overlay.read_at(offset, &mut inode)?;
    let core = item.region(1)?;
    if part(&inode, 0, 2)? != b"IN" || le16(core, 0)? != 0x494e {
        return Err(broken("there is no inode where the log changes one"));
    }
    if u8_at(&inode, 4)? >= 3 {
        let there = u64_at(&inode, 112)?;
        if there != 0 && there != u64::MAX && there > lsn {
            return Ok(());
        }
    } else {
        let (there, logged) = (u16_at(&inode, FLUSHES)?, le16(core, FLUSHES)?);
        let began_anew = there == MAX_FLUSHES && logged < MAX_FLUSHES / 2;
        if logged < there && !began_anew {
            return Ok(());
        }
    }
    to_disk(core, &mut inode, lsn)?;
    let begin = if superblock.is_v5() { CORE_V3 } else { 100 };
    let split = match usize::from(u8_at(&inode, 82)?) * 8 {
        0 => inode.len(),
        offset => begin + offset,
    };
    if split > inode.len() {
        return Err(broken("its attribute fork lies outside"));
    }
    let (inner, attributes) = inode.split_at_mut(split);
    let data = inner.get_mut(begin..).ok_or_else(|| broken("it has no room for its forks"))?;
    if format.fields & DEVICE != 0 {
        put(data, 0, &format.device.to_be_bytes())?;
    }
    let mut region = 2;
    if format.regions > 2 && format.fields & (DATA_BYTES | DATA_ROOT) != 0 {
        fork(disk, item.region(region)?, format.fields & DATA_ROOT != 0, data)?;
        region += 1;
    }
    if format.regions > 2 && format.fields & (ATTRIBUTE_BYTES | ATTRIBUTE_ROOT) != 0 {
        fork(disk, item.region(region)?, format.fields & ATTRIBUTE_ROOT != 0, attributes)?;
    }
    overlay.write(offset, &inode)
}

fn put(target: &mut [u8], at: usize, bytes: &[u8]) -> io::Result<()> {
    let target = at.checked_add(bytes.len()).and_then(|end| target.get_mut(at..end));
    target.ok_or_else(|| broken("the log changes more than fits the inode"))?.copy_from_slice(bytes);
    Ok(())
}

/// Takes over a field, and turns its bytes round.
fn turn(core: &[u8], inode: &mut [u8], at: usize, width: usize) -> io::Result<()> {
    let mut bytes = part(core, at, width)?.to_vec();
    bytes.reverse();
    put(inode, at, &bytes)
}

/// The core as it stands on the disk.
fn to_disk(core: &[u8], inode: &mut [u8], lsn: u64) -> io::Result<()> {
    let v3 = u8_at(core, 4)? == 3;
    if core.len() < if v3 { CORE_V3 } else { CORE_V2 } {
        return Err(broken(format_args!("its core has {} bytes", core.len())));
    }
    for (at, width) in FIELDS {
        turn(core, inode, at, width)?;
    }
    // Versions after the first count links in the wide field only.
    put(inode, 6, &[0; 2])?;
    // One number of nanoseconds, or two of seconds and nanoseconds.
    let bigtime = v3 && le64(core, 120)? & BIGTIME != 0;
    let time = |inode: &mut [u8], at: usize| {
        if bigtime {
            return turn(core, inode, at, 8);
        }
        turn(core, inode, at, 4)?;
        turn(core, inode, at + 4, 4)
    };
    for at in TIMES {
        time(inode, at)?;
    }
    if !v3 {
        put(inode, 24, &[0; 8])?;
        return Ok(());
    }
    for (at, width) in FIELDS_V3 {
        turn(core, inode, at, width)?;
    }
    put(inode, 160, part(core, 160, 16)?)?;
    put(inode, 132, &[0; 12])?;
    put(inode, 112, &lsn.to_be_bytes())?;
    time(inode, CREATED)
}

/// A fork: its bytes as they are, or the root of its B-tree, which in memory has the header of a block and in the inode a short one.
fn fork(disk: &Disk, logged: &[u8], is_root: bool, target: &mut [u8]) -> io::Result<()> {
    if !is_root {
        // Regions are padded to four bytes, more than an odd fork has room for.
        let length = logged.len().min(target.len());
        if logged.len() - length >= 4 {
            return Err(broken("the log changes more than fits the inode"));
        }
        return put(target, 0, part(logged, 0, length)?);
    }
    let header = if disk.superblock.is_v5() { 72 } else { 24 };
    let (level, count) = (u16_at(logged, 4)?, usize::from(u16_at(logged, 6)?));
    let _ = u32_at(logged, 0)?;
    let (from, to) = (logged.len().saturating_sub(header) / 16, target.len().saturating_sub(4) / 16);
    if count > from || count > to {
        return Err(broken(format_args!("the root of its extent tree has {count} keys")));
    }
    put(target, 0, &level.to_be_bytes())?;
    put(target, 2, part(logged, 6, 2)?)?;
    put(target, 4, part(logged, header, count * 8)?)?;
    put(target, 4 + to * 8, part(logged, header + from * 8, count * 8)?)
}
