//! How long a walk over 260,000 entries takes. Run with `cargo test --release -- --ignored --nocapture 260_000`.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::super::Ext4;
use super::support::run;
use crate::image::{Attributes, Coverage, FileKind, Image as _, Metadata, Visitor};
use crate::path::ImagePath;
use crate::source::device::BlockDevice;
use crate::source::filesystem::{FileSystem as _, Volume};

const DIRECTORIES: usize = 13_000;
const FILES: usize = 19;
/// Room that has to stay on the machine.
const ROOM: u64 = 20 << 30;

struct Disk {
    file: File,
    length: u64,
    bytes: AtomicU64,
    requests: AtomicU64,
}

impl Disk {
    fn open(path: &Path) -> Arc<Self> {
        let file = File::open(path).unwrap();
        let length = file.metadata().unwrap().len();
        Arc::new(Self { file, length, bytes: AtomicU64::new(0), requests: AtomicU64::new(0) })
    }

    fn spent(&self) -> String {
        let (bytes, requests) = (self.bytes.swap(0, Ordering::Relaxed), self.requests.swap(0, Ordering::Relaxed));
        format!("{:.1} MiB in {requests} reads", bytes as f64 / f64::from(1 << 20))
    }
}

impl BlockDevice for Disk {
    fn len(&self) -> u64 {
        self.length
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.bytes.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.file.read_exact_at(buffer, offset)
    }
}

/// Wants what a rule about permissions would.
#[derive(Default)]
struct Permissions(AtomicU64);

impl Visitor for Permissions {
    fn wants(&self, _: &[u8], metadata: &Metadata, _: Attributes<'_>) -> bool {
        metadata.kind == FileKind::File && metadata.mode & 0o2 != 0
    }

    fn found(&self, path: &ImagePath, _: &Metadata) {
        self.0.fetch_add(path.as_bytes().len() as u64, Ordering::Relaxed);
    }
}

fn image(folder: &Path) -> Option<(PathBuf, PathBuf)> {
    if folder.join("image").exists() {
        return Some((folder.join("tree"), folder.join("image")));
    }
    let room = rustix::fs::statvfs(folder).unwrap();
    assert!(room.f_bavail * room.f_frsize > ROOM, "too little room");
    let (tree, image) = (folder.join("tree"), folder.join("image"));
    for directory in 0..DIRECTORIES {
        let directory = tree.join(format!("some_part_{:03}/package-{directory}", directory / 100));
        std::fs::create_dir_all(&directory).unwrap();
        for file in 0..FILES {
            std::fs::write(directory.join(format!("file_of_the_package_{file}.conf")), b"x").unwrap();
        }
    }
    let options = ["-q", "-F", "-t", "ext4", "-N", "400000", "-d", tree.to_str().unwrap(), image.to_str().unwrap(), "6G"];
    let made = run("mke2fs", &options)?;
    assert!(made.status.success(), "{made:?}");
    Some((tree, image))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default().to_owned()
}

/// Seconds of processor time that this process has taken.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    // User and system time in ticks of 10 ms (`proc(5)`, fields 14 and 15).
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

#[test]
#[ignore = "takes minutes and a gigabyte; a measurement, not a check of what is right"]
fn a_walk_over_260_000_entries() {
    // A folder that is kept saves making the image for the next time.
    let kept = std::env::var_os("KARAT_BENCH_FOLDER").map(PathBuf::from);
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let Some((tree, path)) = image(kept.as_deref().unwrap_or(folder.path())) else { return };
    let disk = Disk::open(&path);
    let walk = || {
        let start = Instant::now();
        let volume = Volume::new(Box::new(Ext4::open(disk.clone()).unwrap()));
        let coverage: Coverage = volume.walk(&Permissions::default());
        let time = start.elapsed();
        assert_eq!((coverage.gaps_total, coverage.entries), (0, (DIRECTORIES * (FILES + 1) + DIRECTORIES / 100 + 2) as u64));
        (time, disk.spent())
    };
    let before = memory();
    for _ in 0..5 {
        let (start, system, count) = (Instant::now(), Ext4::open(disk.clone()).unwrap(), AtomicU64::new(0));
        let opened = start.elapsed();
        system.inodes(&|_, metadata| {
            count.fetch_add(metadata.unwrap().nlink, Ordering::Relaxed);
        });
        println!("inodes alone: {:?} of which opening {opened:?}, {}, {count:?} links", start.elapsed(), disk.spent());
    }
    let spent = cpu();
    let walks: Vec<_> = (0..9).map(|_| walk()).collect();
    println!("walk: {:?}, {}; {before} → {}", walks.iter().map(|walk| walk.0).collect::<Vec<_>>(), walks[0].1, memory());
    println!("processor time of a walk: {:.3} s", (cpu() - spent) / 9.0);
    let ours = median(walks.into_iter().map(|walk| walk.0).collect());

    let start = Instant::now();
    let found = run("find", &["-H", tree.to_str().unwrap(), "-perm", "-0002", "-printf", "%m %U %G %s\n"]).unwrap();
    println!("find on the tree: {:?}, {}", start.elapsed(), found.status);

    let (start, spent) = (Instant::now(), cpu());
    let oracle = ext4_view::Ext4::load(Box::new(Reader(disk.clone()))).unwrap();
    let (mut waiting, mut entries) = (vec![ext4_view::PathBuf::new(b"/")], 1);
    while let Some(directory) = waiting.pop() {
        for entry in oracle.read_dir(&directory).unwrap() {
            let entry = entry.unwrap();
            if matches!(entry.file_name().as_ref(), b"." | b"..") {
                continue;
            }
            entries += 1;
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() {
                waiting.push(entry.path());
            }
        }
    }
    let theirs = start.elapsed();
    println!("ext4-view: {theirs:?}, processor time {:.3} s, {entries} entries, {}", cpu() - spent, disk.spent());
    println!("median of ours {ours:?}, ext4-view takes {:.1} times as long", theirs.as_secs_f64() / ours.as_secs_f64());
}

struct Reader(Arc<Disk>);

impl ext4_view::Ext4Read for Reader {
    fn read(&mut self, start: u64, buffer: &mut [u8]) -> Result<(), Box<dyn std::error::Error + Send + Sync + 'static>> {
        Ok(self.0.read_at(start, buffer)?)
    }
}
