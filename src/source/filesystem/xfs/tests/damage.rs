//! Broken and hostile images: errors that name what is broken, and never a panic, a hang or a large allocation.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::source::filesystem::xfs::bytes::checksum;

/// Reads that one walk over a small image may need, many times over: more is a loop.
const MOST_READS: u64 = 3_000_000;

/// Makes the checksum of a structure hold again.
pub(super) fn seal(image: &mut Sparse, offset: u64, length: usize, at: usize) {
    let sum = checksum(&image.bytes(offset, length), at).unwrap();
    image.write_at(offset + at as u64, &sum.to_le_bytes());
}

/// Counts reads, so that a hang is found without a clock.
struct Counting {
    image: Sparse,
    reads: AtomicU64,
}

impl BlockDevice for Counting {
    fn len(&self) -> u64 {
        self.image.len()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        assert!(self.reads.fetch_add(1, Ordering::Relaxed) < MOST_READS, "this never ends");
        assert!(buffer.len() <= 4 << 20, "{} bytes at once", buffer.len());
        self.image.read_at(offset, buffer)
    }
}

/// Does all that can be done with an image; only errors may come of it.
fn use_up(image: Sparse) -> usize {
    let Ok(xfs) = Xfs::open(Arc::new(Counting { image, reads: AtomicU64::new(0) })) else { return 0 };
    let errors = Mutex::new(0);
    xfs.inodes(&|_, found| *errors.lock().unwrap() += usize::from(found.is_err()));
    let mut seen = std::collections::BTreeSet::new();
    let mut waiting = vec![xfs.root()];
    while let Some(inode) = waiting.pop() {
        if !seen.insert(inode) || seen.len() > 20_000 {
            continue;
        }
        let mut children = Vec::new();
        let _ = xfs.entries(inode, &mut |name, child| {
            children.push((name.to_vec(), child));
            if children.len() < 50_000 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        for (name, child) in children.iter().take(50) {
            let _ = xfs.lookup(inode, name);
            waiting.push(*child);
        }
        let _ = xfs.link(inode);
        let mut buffer = [0; 5000];
        let _ = xfs.read(inode, 0, &mut buffer);
        let _ = xfs.read(inode, 1 << 40, &mut buffer);
        for name in ["user.attr001", "security.capability", "system.posix_acl_access", "user.big"] {
            let _ = xfs.xattr(inode, name);
        }
    }
    errors.into_inner().unwrap()
}

/// A seeded generator (xorshift), so that what fails once fails again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

/// Where metadata lies: what of an image is worth breaking, with where its checksum is.
fn structures(image: &Sparse) -> Vec<(u64, usize, Option<usize>)> {
    let xfs = image.open();
    let superblock = &xfs.disk.superblock;
    let size = usize::from(superblock.inode_size);
    let block = superblock.block_size as usize;
    let mut found = vec![(0, usize::from(superblock.sector_size), Some(224))];
    for group in 0..superblock.groups {
        let sector = u64::from(superblock.sector_size);
        found.push((superblock.group_offset(group) + 2 * sector, usize::from(superblock.sector_size), Some(312)));
    }
    let numbers = Mutex::new(Vec::new());
    xfs.inodes(&|number, _| numbers.lock().unwrap().push(number));
    let mut numbers = numbers.into_inner().unwrap();
    numbers.sort_unstable();
    found.extend(numbers.iter().map(|&number| (superblock.inode_offset(number).unwrap(), size, Some(100))));
    // Blocks are known by their magic.
    for (&piece, bytes) in &image.pieces {
        for (at, bytes) in bytes.chunks(block).enumerate() {
            let offset = piece * PIECE as u64 + (at * block) as u64;
            let checksum = match (&bytes[..4], &bytes[8..10]) {
                (b"XD2B" | b"XD2D" | b"IABT" | b"BMAP", _) | (_, [0xd2, 0xf1 | 0xff] | [0xfb, 0xee] | [0xfe, 0xbe]) => {
                    found.push((offset, block, None));
                    continue;
                }
                (b"XDB3" | b"XDD3", _) => 4,
                (b"IAB3", _) => 52,
                (b"BMA3", _) => 64,
                (b"XSLM" | b"XARM", _) | (_, [0x3d, 0xf1 | 0xff] | [0x3b, 0xee] | [0x3e, 0xbe]) => 12,
                _ => continue,
            };
            found.push((offset, block, Some(checksum)));
        }
    }
    found
}

/// How many times over: `KARAT_ROUNDS` makes a test longer, and rolls other dice.
fn longer() -> u64 {
    std::env::var("KARAT_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1)
}

fn mutate(name: &str, rounds: u64) {
    let Some(image) = image(name) else { return };
    let structures = structures(&image);
    let rounds = rounds * longer();
    let mut dice = Dice(0x5eed_0001 * longer());
    let mut noticed = 0;
    for _ in 0..rounds {
        let mut changed = image.clone();
        for _ in 0..=dice.roll(6) {
            // Half of the hits go to the first structures: superblock, groups, and the other rare ones at the end.
            let which = match dice.roll(4) {
                0 => dice.roll(structures.len().min(8) as u64),
                1 => structures.len() as u64 - 1 - dice.roll(structures.len().min(64) as u64),
                _ => dice.roll(structures.len() as u64),
            };
            let (offset, length, sum) = structures[usize::try_from(which).unwrap()];
            for _ in 0..=dice.roll(4) {
                let at = if dice.roll(2) == 0 { dice.roll(length as u64) } else { dice.roll(256.min(length as u64)) };
                let value = match dice.roll(4) {
                    0 => 0,
                    1 => 0xff,
                    _ => u8::try_from(dice.roll(256)).unwrap(),
                };
                changed.write_at(offset + at, &[value]);
            }
            if let Some(sum) = sum.filter(|_| dice.roll(8) != 0) {
                seal(&mut changed, offset, length, sum);
            }
        }
        noticed += usize::from(use_up(changed) > 0);
    }
    assert!(noticed > 0, "no damage was noticed");
}

#[test]
fn random_damage_behind_checksums_gives_errors_only() {
    mutate("xfs/xfuse/xfs_4kn.img.zst", 60);
    mutate("xfs/xfuse/xfs4096.img.zst", 30);
    mutate("made/xfs/default.img.zst", 10);
}

#[test]
fn random_damage_in_an_image_without_checksums_gives_errors_only() {
    mutate("xfs/xfuse/xfs_noftype.img.zst", 100);
}

#[test]
fn random_damage_in_the_log_gives_errors_only() {
    let Some(image) = image("made/xfs/dirty.xfs.zst") else { return };
    let superblock = image.open().disk.superblock.clone();
    let start = superblock.block_offset(superblock.log_start, 1).unwrap();
    let pieces: Vec<u64> = image.pieces.keys().map(|piece| piece * PIECE as u64).collect();
    let inside: Vec<u64> = pieces
        .into_iter()
        .filter(|&at| at >= start && at < start + (u64::from(superblock.log_blocks) << superblock.block_log))
        .collect();
    let mut dice = Dice(0x5eed_0002 * longer());
    for round in 0..40 * longer() {
        let mut changed = image.clone();
        for _ in 0..=dice.roll(4) {
            let piece = inside[usize::try_from(dice.roll(inside.len() as u64)).unwrap()];
            changed.write_at(piece + dice.roll(PIECE as u64), &[u8::try_from(dice.roll(256)).unwrap()]);
        }
        if round % 2 == 0 {
            unsum(&mut changed, start, u64::from(superblock.log_blocks) << superblock.block_log);
        }
        use_up(changed);
    }
}

/// Makes the checksums of all records hold again.
fn unsum(image: &mut Sparse, start: u64, length: u64) {
    for offset in (start..start + length).step_by(512) {
        if image.bytes(offset, 4) != [0xfe, 0xed, 0xba, 0xbe] {
            continue;
        }
        let header = image.bytes(offset, 512);
        let (size, record) =
            (u32::from_be_bytes(header[320..324].try_into().unwrap()), u32::from_be_bytes(header[12..16].try_into().unwrap()));
        let headers = size.clamp(1, 1 << 18).div_ceil(1 << 15);
        if record > 1 << 18 || offset + 512 * u64::from(headers) + u64::from(record) > start + length {
            continue;
        }
        let mut sum = checksum(&header[..328], 32).unwrap();
        for number in 1..headers.min(record.div_ceil(1 << 15)) {
            sum = crc32c::crc32c_append(sum, &image.bytes(offset + 512 * u64::from(number), 260));
        }
        sum = crc32c::crc32c_append(sum, &image.bytes(offset + 512 * u64::from(headers), record as usize));
        image.write_at(offset + 32, &sum.to_le_bytes());
    }
}

#[test]
fn a_broken_inode_is_named_and_leaves_the_others_readable() {
    let Some(mut image) = image("made/xfs/default.img.zst") else { return };
    let xfs = image.open();
    let (broken, whole) = (find(&xfs, "etc/passwd"), find(&xfs, "etc/group"));
    let offset = xfs.disk.superblock.inode_offset(broken).unwrap();
    image.write_at(offset + 10, &[0x77]);
    let xfs = image.open();
    let error = xfs.metadata(broken).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(error.to_string().starts_with(&format!("inode {broken}: its checksum is ")), "{error}");
    assert!(xfs.metadata(whole).is_ok());
    let errors = Mutex::new(Vec::new());
    xfs.inodes(&|number, found| errors.lock().unwrap().extend(found.err().map(|_| number)));
    assert_eq!(errors.into_inner().unwrap(), [broken]);
}

#[test]
fn a_broken_directory_block_is_named_and_the_names_in_the_others_are_shown() {
    let Some(mut image) = image("made/xfs/default.img.zst") else { return };
    let xfs = image.open();
    let directory = find(&xfs, "edge/bigdir");
    let all = names(&xfs, directory).unwrap().len();
    let inode = crate::source::filesystem::xfs::inode::Inode::read(&xfs.disk, directory).unwrap();
    let places = crate::source::filesystem::xfs::directory::places(&xfs.disk, &inode.data().unwrap(), 2).unwrap();
    let size = u64::from(xfs.disk.superblock.directory_block_size);
    let mut blocks = places.into_iter().flat_map(|place| place.step_by(usize::try_from(size).unwrap()));
    image.write_at(blocks.nth(1).unwrap() + 200, &[0xee; 3]);
    let xfs = image.open();
    let mut shown = 0;
    let error = xfs
        .entries(directory, &mut |_, _| {
            shown += 1;
            ControlFlow::Continue(())
        })
        .unwrap_err();
    assert!(error.to_string().contains("directory block 1: its checksum is"), "{error}");
    assert!(shown > all / 2 && shown < all, "{shown} of {all}");
}

#[test]
fn an_image_cut_off_says_so_and_keeps_what_is_there() {
    let Some(mut image) = image("made/xfs/default.img.zst") else { return };
    let whole = image.open();
    image.length = whole.disk.superblock.group_offset(1) + 4096;
    assert!(image.length < whole.size());
    let xfs = image.open();
    let (found, errors) = (Mutex::new(0), Mutex::new(Vec::new()));
    xfs.inodes(&|number, inode| match inode {
        Ok(_) => *found.lock().unwrap() += 1,
        Err(error) => errors.lock().unwrap().push((number, error.to_string())),
    });
    assert!(*found.lock().unwrap() > 100);
    let errors = errors.into_inner().unwrap();
    assert!(
        errors.iter().any(|(_, error)| error.contains("lie beyond the end of the image") || error.contains("cut off")),
        "{errors:?}"
    );
    for length in [0, 3, 511, 512, 4096, 70_000] {
        image.length = length;
        assert_eq!(use_up(image.clone()) > 0, Xfs::open(Arc::new(image.clone())).is_ok(), "{length} bytes");
    }
}

/// Where the records of the dirty image's log begin, in order: the log did not go round yet.
fn records(image: &Sparse) -> Vec<u64> {
    let superblock = image.open().disk.superblock.clone();
    let mut at = superblock.block_offset(superblock.log_start, 1).unwrap();
    let mut found = Vec::new();
    loop {
        let header = image.bytes(at, 512);
        let word = |at: usize| u32::from_be_bytes(header[at..at + 4].try_into().unwrap());
        // What comes after the end are empty records of an older round.
        if word(0) != 0xfeed_babe || word(40) == 0 {
            return found;
        }
        found.push(at);
        at += 512 * u64::from(word(320).div_ceil(1 << 15).max(1)) + u64::from(word(12).next_multiple_of(512));
    }
}

#[test]
fn a_last_record_that_was_not_written_whole_does_not_count_as_in_the_kernel() {
    let Some(image) = image("made/xfs/dirty.xfs.zst") else { return };
    let records = records(&image);
    let mut changed = image.clone();
    changed.write_at(records[records.len() - 1] + 512 + 700, &[0x99; 2]);
    let xfs = changed.open();
    // The kernel showed 524 entries of the same image, damaged in the same place.
    assert_eq!(tree(&xfs).len(), 524);
    assert_eq!(xfs.log().to_string(), "replayed 1 transactions; the last records were not written whole and do not count");
}

#[test]
fn a_broken_record_long_before_the_end_makes_the_log_unusable_and_is_named() {
    let Some(image) = image("made/xfs/dirty.xfs.zst") else { return };
    let records = records(&image);
    let mut changed = image.clone();
    changed.write_at(records[1] + 512 + 700, &[0x99; 2]);
    let state = changed.open().log().to_string();
    // The kernel refuses to mount it.
    assert_eq!(state, "cannot be replayed: the record at sector 2 is broken: its checksum does not hold");
}
