//! How long a walk takes: `cargo test --release speed -- --ignored --nocapture`.
#![allow(clippy::cast_precision_loss, reason = "a ratio for people")]

use std::time::{Duration, Instant};

use rayon::prelude::*;

use super::made::run;
use super::*;

/// An image that is a file.
struct Disk(std::fs::File, u64);

impl BlockDevice for Disk {
    fn len(&self) -> u64 {
        self.1
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.0, buffer, offset)
    }
}

impl lamxfs::BlockRead for Disk {
    type Error = io::Error;

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        BlockDevice::read_at(self, offset, buffer)
    }
}

fn opened(path: &std::path::Path) -> Disk {
    let file = std::fs::File::open(path).unwrap();
    let length = file.metadata().unwrap().len();
    Disk(file, length)
}

/// Every inode in bulk, then every name.
fn bulk(path: &std::path::Path) -> usize {
    let xfs = Xfs::open(Arc::new(opened(path))).unwrap();
    let directories = Mutex::new(Vec::new());
    xfs.inodes(&|number, found| {
        if found.unwrap().kind == FileKind::Directory {
            directories.lock().unwrap().push(number);
        }
    });
    let directories = directories.into_inner().unwrap();
    directories.par_iter().map(|&directory| names(&xfs, directory).unwrap().len()).sum()
}

fn peer(path: &std::path::Path) -> usize {
    let disk = opened(path);
    let length = disk.1;
    let mut xfs = lamxfs::Xfs::open(disk, length).unwrap();
    let mut waiting = vec![Vec::new()];
    let mut count = 0;
    while let Some(path) = waiting.pop() {
        let entries = xfs.read_dir(lamxfs::Path::new(if path.is_empty() { b"/" } else { &path })).unwrap();
        for entry in entries.iter().filter(|entry| entry.name != b"." && entry.name != b"..") {
            count += 1;
            if xfs.metadata(&lamxfs::Inode { ino: entry.inode_number }).unwrap().is_dir() {
                waiting.push([&path[..], b"/", &entry.name].concat());
            }
        }
    }
    count
}

fn best(mut work: impl FnMut() -> usize) -> (Duration, usize) {
    let timed = (0..5).map(|_| {
        let start = Instant::now();
        let count = work();
        (start.elapsed(), count)
    });
    timed.min().unwrap()
}

#[test]
#[ignore = "measures; takes a minute and 2 GiB of disk"]
fn a_walk_over_260_000_entries_is_five_times_as_fast_as_the_peer() {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let (image, prototype, small) = (folder.path().join("image"), folder.path().join("prototype"), folder.path().join("small"));
    std::fs::write(&small, b"hello\n").unwrap();
    let mut text = String::from("boot\n0 0\nd--755 0 0\n");
    for one in 0..100 {
        text.push_str(&format!("directory_{one} d--755 0 0\n"));
        for two in 0..100 {
            text.push_str(&format!("sub_{two} d--755 0 0\n"));
            (0..25).for_each(|file| text.push_str(&format!("some_file_name_{file:04}.conf ---644 0 0 {}\n", small.display())));
            text.push_str("$\n");
        }
        text.push_str("$\n");
    }
    text.push_str("$\n");
    std::fs::write(&prototype, text).unwrap();
    std::fs::File::create(&image).unwrap().set_len(4 << 30).unwrap();
    let arguments = ["-q", "-f", "-p", prototype.to_str().unwrap(), image.to_str().unwrap()];
    if run("mkfs.xfs", &arguments).is_none() {
        return;
    }
    let ((own, found), (other, expected)) = (best(|| bulk(&image)), best(|| peer(&image)));
    assert_eq!((found, expected), (260_100, 260_100));
    let ratio = other.as_secs_f64() / own.as_secs_f64();
    eprintln!("own {own:?}, lamxfs {other:?}: {ratio:.1} times as fast");
    assert!(ratio >= 5.0);
}
