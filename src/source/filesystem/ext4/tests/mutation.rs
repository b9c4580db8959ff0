//! Images with bytes changed at random: whatever they say then, nothing panics, goes on for ever, or takes more than the image
//! has.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::super::Ext4;
use super::support::{Image, made};
use crate::image::{Attributes, FileKind, Image as _, Metadata, Visitor};
use crate::path::ImagePath;
use crate::source::device::BlockDevice;
use crate::source::filesystem::{FileSystem, Volume};

/// Numbers that only look random (xorshift).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }
}

/// A device that fails for good once much more was read than an intact image would need: that is going on for ever.
struct Bounded {
    image: Image,
    left: AtomicU64,
}

impl BlockDevice for Bounded {
    fn len(&self) -> u64 {
        self.image.length
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let cost = buffer.len() as u64 + 512;
        let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some(left.saturating_sub(cost))).unwrap();
        assert!(left > 0, "it reads and reads");
        assert!(buffer.len() as u64 <= self.image.length.max(1024), "a buffer larger than the image");
        self.image.read_at(offset, buffer)
    }
}

struct All;

impl Visitor for All {
    fn wants(&self, _: &[u8], metadata: &Metadata, attributes: Attributes<'_>) -> bool {
        let _ = attributes("security.capability");
        metadata.mode & 0o2 != 0
    }

    fn found(&self, _: &ImagePath, _: &Metadata) {}
}

/// Does everything that can be done with a file system.
fn exercise(image: &Image) {
    let device = Arc::new(Bounded { image: image.clone(), left: AtomicU64::new(image.length * 40) });
    let Ok(system) = Ext4::open_stale(device) else { return };
    let _ = system.summary();
    let mut waiting = vec![(system.root(), 0)];
    let mut seen = 0;
    while let Some((inode, depth)) = waiting.pop() {
        seen += 1;
        let Ok(metadata) = system.metadata(inode) else { continue };
        let _ = (
            system.times(inode),
            system.device_number(inode),
            system.xattrs(inode),
            system.xattr(inode, "system.posix_acl_access"),
        );
        match metadata.kind {
            FileKind::Directory if depth < 6 && seen < 2000 => {
                let _ = system.entries(inode, &mut |name, inode| {
                    waiting.push((inode, depth + 1));
                    if waiting.len() % 7 == 0 {
                        let _ = system.lookup(system.root(), name);
                    }
                    if waiting.len() > 3000 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                });
                let _ = (system.lookup(inode, b"name_17"), system.lookup(inode, b"none"));
            }
            FileKind::File => {
                let mut buffer = [0; 5000];
                for offset in [0, 4000, metadata.size / 2, metadata.size.saturating_sub(10), u64::MAX - 3] {
                    let _ = system.read(inode, offset, &mut buffer);
                }
            }
            FileKind::Link => drop(system.link(inode)),
            _ => {}
        }
    }
    let coverage = Volume::new(Box::new(system)).walk(&All);
    assert!(coverage.gaps.len() <= crate::image::Coverage::MAX_GAPS);
}

fn image(options: &[&str]) -> Option<Image> {
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| folder.path().join(path);
    std::fs::create_dir_all(at("many")).unwrap();
    std::fs::create_dir_all(at("a/b/c")).unwrap();
    for number in 0..200 {
        std::fs::write(at(&format!("many/name_{number}")), vec![7; number * 13]).unwrap();
    }
    std::fs::write(at("a/large"), vec![1; 200_000]).unwrap();
    std::os::unix::fs::symlink("x".repeat(90), at("a/b/link")).unwrap();
    let _ = rustix::fs::setxattr(at("a/large"), "user.x", &[3; 600], rustix::fs::XattrFlags::empty());
    let image = made(options, Some(folder.path()), "6M")?;
    let path = folder.path().join("image");
    image.save(&path);
    // Makes an index of the large directory.
    super::support::run("e2fsck", &["-f", "-y", "-D", path.to_str().unwrap()])?;
    Some(Image::new(std::fs::File::open(path).unwrap()))
}

/// Without checksums every change is believed.
const UNCHECKED: [&[&str]; 5] = [
    &["-t", "ext4", "-b", "1024", "-O", "^metadata_csum,^uninit_bg,inline_data"],
    &["-t", "ext4", "-b", "1024", "-O", "^metadata_csum,^uninit_bg,ea_inode,large_dir,^has_journal"],
    &["-t", "ext4", "-b", "4096", "-O", "^metadata_csum,^uninit_bg,bigalloc", "-C", "16384"],
    &["-t", "ext3", "-b", "1024"],
    &["-t", "ext2", "-b", "2048"],
];

#[test]
fn bytes_changed_at_random_do_no_harm() {
    for (seed, options) in (1_u64..).zip(UNCHECKED) {
        let Some(image) = image(options) else { return };
        exercise(&image);
        let mut numbers = Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let used = image.used();
        for round in 0..120 {
            let mut broken = image.clone();
            for _ in 0..=numbers.below(30) {
                // Most changes near the beginning, where the tables are; many to extreme values.
                let chunk = if numbers.below(3) > 0 {
                    numbers.below(used.len() as u64 / 4 + 1)
                } else {
                    numbers.below(used.len() as u64)
                };
                let at = used[usize::try_from(chunk).unwrap()] + numbers.below(16 << 10);
                let width = 1 + usize::try_from(numbers.below(4)).unwrap();
                let bytes = match numbers.below(3) {
                    0 => [0xff; 4],
                    1 => [0; 4],
                    _ => u32::try_from(numbers.below(1 << 32)).unwrap().to_le_bytes(),
                };
                // The magic number stays, so that there is something to read.
                if at + 4 < image.length && !(1024 + 0x35..1024 + 0x3a).contains(&at) {
                    broken.write(at, &bytes[..width]);
                }
            }
            if round % 10 == 0 {
                broken.length = numbers.below(image.length);
            }
            exercise(&broken);
        }
    }
}

#[test]
fn inodes_and_names_changed_at_random_do_no_harm() {
    for (seed, options) in (7_u64..).zip(UNCHECKED) {
        let Some(image) = image(options) else { return };
        let system = image.open();
        let size = u64::from(system.disk.superblock.inode_size);
        let block_size = u64::from(system.disk.superblock.block_size);
        let mut places = Vec::new();
        for (_, (inode, metadata)) in super::support::tree(&system) {
            places.push((system.disk.groups[0].table * block_size + (inode - 1) * size, size));
            if metadata.kind == FileKind::Directory {
                let directory = system.disk.directory(inode).unwrap();
                if let Some(start) = (!directory.inline()).then(|| system.disk.run(&directory, 0).unwrap().start).flatten() {
                    places.push((start * block_size, block_size));
                }
            }
        }
        let mut numbers = Numbers(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
        for _ in 0..150 {
            let mut broken = image.clone();
            for _ in 0..=numbers.below(20) {
                let (start, length) = places[usize::try_from(numbers.below(places.len() as u64)).unwrap()];
                let value = if numbers.below(2) == 0 {
                    numbers.below(256)
                } else {
                    [0, 1, 0x7f, 0x80, 0xff][usize::try_from(numbers.below(5)).unwrap()]
                };
                broken.write(start + numbers.below(length), &[u8::try_from(value).unwrap()]);
            }
            exercise(&broken);
        }
    }
}

#[test]
fn a_journal_changed_at_random_does_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::write(&data, vec![9; 40 << 10]).unwrap();
    let list: Vec<_> = (4000..4040).map(|block: u32| block.to_string()).collect();
    for (seed, features) in (3_u64..).zip(["^metadata_csum,^64bit", "^metadata_csum"]) {
        let Some(image) = made(&["-t", "ext4", "-b", "1024", "-J", "size=1", "-O", features], None, "8M") else { return };
        let script = format!("jo\njw -b {} {1}\njw -r 4001,4007\njw -b 4003 {1}\njc\n", list.join(","), data.to_str().unwrap());
        let Some(image) = super::support::changed(&image, &script) else { return };
        let disk = super::super::Disk::open(Arc::new(image.clone())).unwrap();
        let journal = disk.any_inode(8).unwrap();
        let place = |at: u64| disk.run(&journal, at).unwrap().start.unwrap() * 1024;
        let mut numbers = Numbers(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
        for _ in 0..300 {
            let mut broken = image.clone();
            for _ in 0..=numbers.below(6) {
                let block = [0, 1, 42, 43, 44, 45, 46, 47][usize::try_from(numbers.below(8)).unwrap()];
                broken.write(place(block) + numbers.below(80), &[u8::try_from(numbers.below(256)).unwrap()]);
            }
            exercise(&broken);
        }
        // A log that is nothing but descriptors of the same transaction.
        let mut broken = image.clone();
        let descriptor = image.bytes(place(1), 1024);
        for at in 1..journal.size() / 1024 {
            broken.write(place(at), &descriptor);
        }
        exercise(&broken);
    }
}
