//! Directories as images, on real file systems, with everything an attacker may leave in one.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use karat::image::{Attributes, Coverage, Entry, FileKind, Image, MemoryImage, Metadata, ReadError, Rootfs, Visitor};
use karat::path::ImagePath;
use karat::source::{self, Directory, SourceError};
use rustix::fs::{CWD, Mode, OFlags, mkdirat, mknodat, openat};
use tempfile::TempDir;

fn tree() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn put(tree: &TempDir, path: &str, content: &str) {
    let path = tree.path().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn open(tree: &TempDir) -> Directory {
    Directory::open(tree.path()).unwrap()
}

fn read(image: &Directory, path: &str) -> Result<Vec<u8>, ReadError> {
    Rootfs::new(image).read(&ImagePath::new(path))
}

/// Everything a walk shows, apart from times and the sizes of directories, which depend on the file system.
#[derive(Default)]
struct All(Mutex<Seen>);

type Seen = BTreeMap<ImagePath, (FileKind, u32, u32, u32, u64)>;

impl Visitor for All {
    fn wants(&self, _: &[u8], _: &Metadata, _: Attributes<'_>) -> bool {
        true
    }

    fn found(&self, path: &ImagePath, metadata: &Metadata) {
        let size = if metadata.kind == FileKind::Directory { 0 } else { metadata.size };
        let seen = (metadata.kind, metadata.mode, metadata.uid, metadata.gid, size);
        assert!(self.0.lock().unwrap().insert(path.clone(), seen).is_none(), "{path} was shown twice");
    }
}

fn walk(image: &dyn Image) -> (Seen, Coverage) {
    let all = All::default();
    let coverage = image.walk(&all);
    (all.0.into_inner().unwrap(), coverage)
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn what_is_no_root_is_refused_in_plain_words() {
    let tree = tree();
    put(&tree, "file", "");
    fs::create_dir(tree.path().join("empty")).unwrap();
    let error = |name: &str| source::open(&tree.path().join(name), &source::Wanted::default()).err().unwrap();
    assert!(matches!(error("none"), SourceError::NoSuchPath { .. }));
    assert!(matches!(error("file"), SourceError::NoImage { .. }));
    assert!(matches!(error("file/x"), SourceError::NoImage { .. }));
    assert!(matches!(error("empty"), SourceError::Empty { .. }));
    assert!(error("none").to_string().ends_with("/none: no such file or directory"), "{}", error("none"));
    assert!(source::open(Path::new("a\u{1b}[31m"), &source::Wanted::default()).err().unwrap().to_string().contains("\\u{1b}"));
}

#[test]
fn the_root_directory_is_the_running_machine_by_whatever_name() {
    let tree = tree();
    symlink("/", tree.path().join("root")).unwrap();
    put(&tree, "d/file", "");
    for path in [Path::new("/"), Path::new("/usr/.."), &tree.path().join("root")] {
        let source = source::open(path, &source::Wanted::default()).unwrap();
        let running = source.running().expect("the machine itself");
        assert!(!running.read(&"/proc/sys/kernel/ostype".into()).unwrap().is_empty(), "its size says 0");
        assert_eq!(running.read(&"/etc/passwd".into()), Err(ReadError::NotFound), "nothing else of the host");
        assert!(running.read_dir(&ImagePath::root()).unwrap().contains(&b"proc".to_vec()));
    }
    assert!(source::open(tree.path(), &source::Wanted::default()).unwrap().running.is_none());
}

#[test]
fn no_link_leads_out() {
    let tree = tree();
    put(&tree, "etc/shadow", "inside");
    symlink("/etc/shadow", tree.path().join("absolute")).unwrap();
    symlink("../../../../../../../../etc/shadow", tree.path().join("relative")).unwrap();
    symlink("/etc/hostname", tree.path().join("elsewhere")).unwrap();
    symlink("/proc/self/root/etc/passwd", tree.path().join("magic")).unwrap();
    let image = open(&tree);
    assert_eq!(read(&image, "/absolute").unwrap(), b"inside");
    assert_eq!(read(&image, "/relative").unwrap(), b"inside");
    assert_eq!(read(&image, "/elsewhere"), Err(ReadError::Dangling));
    assert_eq!(read(&image, "/magic"), Err(ReadError::Dangling));
    // The image itself follows no link at all, not even a good one.
    assert!(image.open(&"/absolute".into()).is_err());
    assert_eq!(image.read_link(&"/absolute".into()).unwrap(), b"/etc/shadow");
    assert!(image.read_link(&"/etc/shadow".into()).is_err());
}

#[test]
fn a_circle_of_links_is_named_and_walked_past() {
    let tree = tree();
    symlink("b", tree.path().join("a")).unwrap();
    symlink("a", tree.path().join("b")).unwrap();
    symlink(".", tree.path().join("self")).unwrap();
    let image = open(&tree);
    assert_eq!(read(&image, "/a"), Err(ReadError::LinkLoop));
    assert_eq!(walk(&image).1.entries, 4);
}

#[test]
fn ten_gigabytes_of_nothing_are_refused_at_once() {
    let tree = tree();
    put(&tree, "etc/ssh/sshd_config", "");
    File::options().write(true).open(tree.path().join("etc/ssh/sshd_config")).unwrap().set_len(10 << 30).unwrap();
    let start = Instant::now();
    assert!(matches!(read(&open(&tree), "/etc/ssh/sshd_config"), Err(ReadError::TooLarge { .. })));
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[test]
fn special_files_are_looked_at_and_never_opened() {
    let tree = tree();
    mknodat(CWD, tree.path().join("fifo"), rustix::fs::FileType::Fifo, Mode::from_raw_mode(0o666), 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(tree.path().join("socket")).unwrap();
    let mut wanted = vec![("fifo", FileKind::Fifo), ("socket", FileKind::Socket)];
    let device = rustix::fs::makedev(1, 5);
    if mknodat(CWD, tree.path().join("zero"), rustix::fs::FileType::CharacterDevice, Mode::RUSR, device).is_ok() {
        assert!(fs::metadata(tree.path().join("zero")).unwrap().file_type().is_char_device());
        wanted.push(("zero", FileKind::CharDevice));
    }
    let image = open(&tree);
    for (name, kind) in wanted {
        let path = ImagePath::root().join(name);
        assert_eq!(Rootfs::new(&image).read(&path), Err(ReadError::Kind { found: kind, wanted: FileKind::File }));
        assert_eq!(image.open(&path).err().unwrap().kind(), std::io::ErrorKind::InvalidInput);
        assert_eq!(image.xattr(&path, "security.capability").unwrap(), None, "{name}");
        assert_eq!(walk(&image).0[&path].0, kind);
    }
}

#[test]
fn hostile_names_are_kept_as_bytes_and_shown_as_escapes() {
    let tree = tree();
    let names: [&[u8]; 4] = [b"new\nline", b"\x1b[31mred", b"not \xff utf-8", b"-rf *"];
    for name in names {
        fs::write(tree.path().join(OsStr::from_bytes(name)), "x").unwrap();
    }
    let (found, coverage) = walk(&open(&tree));
    assert_eq!(coverage.entries, 5);
    for name in names {
        let path = ImagePath::root().join(name);
        assert!(found.contains_key(&path));
        assert!(path.to_string().is_ascii() && !path.to_string().contains(['\n', '\u{1b}']), "{path}");
    }
}

#[test]
fn a_tree_deeper_than_any_path_the_kernel_takes_is_walked_to_its_end() {
    let tree = tree();
    let mut at = openat(CWD, tree.path(), OFlags::PATH, Mode::empty()).unwrap();
    let mut path = ImagePath::root();
    for _ in 0..4_096 {
        mkdirat(&at, "deep", Mode::RWXU).unwrap();
        at = openat(&at, "deep", OFlags::PATH, Mode::empty()).unwrap();
        path = path.join("deep");
    }
    let image = open(&tree);
    let (found, coverage) = walk(&image);
    assert_eq!((coverage.entries, coverage.gaps_total), (4_097, 0));
    assert!(found.contains_key(&path));
    assert_eq!(image.metadata(&path).unwrap().kind, FileKind::Directory);
    drop(tree); // `remove_dir_all` of the standard library manages it too
}

#[test]
fn a_directory_of_many_entries_is_shared_and_none_is_lost_or_seen_twice() {
    let tree = tree();
    for number in 0..3_000 {
        File::create(tree.path().join(format!("a rather long name, so that a buffer holds few of them: {number:060}"))).unwrap();
        if number % 3 == 0 {
            fs::create_dir(tree.path().join(format!("d{number}"))).unwrap();
        }
    }
    let (found, coverage) = walk(&open(&tree));
    assert_eq!((coverage.entries, found.len()), (4_001, 4_001));
}

/// The same entries in memory and on disk; what only root can make is left out for others.
fn twins() -> (MemoryImage, TempDir) {
    let tree = tree();
    let mut memory = MemoryImage::new();
    let me = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let theirs = if is_root() { (1_234, 4_321) } else { me };
    let entries = [
        ("/", FileKind::Directory, "", 0o755, me),
        ("/etc", FileKind::Directory, "", 0o755, me),
        ("/etc/passwd", FileKind::File, "root:x:0:0::/root:/bin/sh\n", 0o644, me),
        ("/etc/shadow", FileKind::File, "root:!::::::\n", 0o640, theirs),
        ("/etc/mtab", FileKind::Link, "../proc/self/mounts", 0o777, me),
        ("/usr", FileKind::Directory, "", 0o755, me),
        ("/usr/bin", FileKind::Directory, "", 0o755, me),
        ("/usr/bin/su", FileKind::File, "#!", 0o4755, me),
        ("/tmp", FileKind::Directory, "", 0o1777, me),
        ("/tmp/open", FileKind::File, "x", 0o666, theirs),
        ("/tmp/loose", FileKind::Directory, "", 0o777, theirs),
    ];
    for (path, kind, content, mode, (uid, gid)) in entries {
        let place = tree.path().join(path.trim_start_matches('/'));
        let mut entry = Entry::new(kind, content);
        (entry.metadata.mode, entry.metadata.uid, entry.metadata.gid) = (mode, uid, gid);
        memory.insert(ImagePath::new(path), entry);
        match kind {
            FileKind::Link => symlink(content, &place).unwrap(),
            FileKind::Directory => fs::create_dir_all(&place).unwrap(),
            _ => fs::write(&place, content).unwrap(),
        }
        std::os::unix::fs::lchown(&place, Some(uid), Some(gid)).unwrap();
        if kind != FileKind::Link {
            fs::set_permissions(&place, fs::Permissions::from_mode(mode)).unwrap();
        }
    }
    (memory, tree)
}

#[test]
fn the_same_tree_in_memory_and_on_disk_is_the_same() {
    let (memory, tree) = twins();
    let disk = open(&tree);
    let (ours, theirs) = (walk(&memory), walk(&disk));
    assert_eq!(ours.0, theirs.0);
    assert_eq!(ours.1, theirs.1);
    for path in ours.0.keys() {
        let sorted = |names: std::io::Result<Vec<Vec<u8>>>| names.map(|mut names| (names.sort(), names).1).ok();
        assert_eq!(sorted(memory.read_dir(path)), sorted(disk.read_dir(path)), "{path}");
        assert_eq!(memory.read_link(path).ok(), disk.read_link(path).ok(), "{path}");
        assert_eq!(memory.open(path).is_ok(), disk.open(path).is_ok(), "{path}");
        assert_eq!(Rootfs::new(&memory).read(path), Rootfs::new(&disk).read(path), "{path}");
        assert_eq!(memory.xattr(path, "user.none").unwrap(), disk.xattr(path, "user.none").unwrap());
    }
    assert_eq!(disk.keeps_ownership(), is_root());
}

/// Puts a directory full of secrets, a link out of the root and an honest directory in each other's place as fast as it can, while
/// the file is read and the tree walked: the secret of outside is never seen.
#[test]
fn nobody_gets_out_by_renaming_while_we_look() {
    let (tree, outside) = (tree(), tree());
    fs::create_dir(outside.path().join("d")).unwrap();
    fs::write(outside.path().join("d/file"), "secret").unwrap();
    put(&tree, "a/d/file", "honest inside");
    symlink(outside.path(), tree.path().join("link")).unwrap();
    let (image, over) = (open(&tree), AtomicBool::new(false));
    let (here, there) = (tree.path().join("a"), tree.path().join("link"));
    let swap = || rustix::fs::renameat_with(CWD, &here, CWD, &there, rustix::fs::RenameFlags::EXCHANGE);
    std::thread::scope(|scope| {
        let swapper = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                swap().unwrap();
            }
        });
        let start = Instant::now();
        let (mut read_at_all, mut wrong) = (false, Vec::new());
        // On a busy machine it may take a while until a whole path is walked between two exchanges.
        while start.elapsed() < Duration::from_millis(400) || (!read_at_all && start.elapsed() < Duration::from_secs(60)) {
            for path in ["/a/d/file", "/link/d/file"] {
                match read(&image, path) {
                    Ok(content) if content == b"honest inside" => read_at_all = true,
                    Err(ReadError::NotFound | ReadError::Dangling | ReadError::Io(_)) => {}
                    other => wrong.push(format!("{path}: {other:?}")),
                }
            }
            let (found, _) = walk(&image);
            // Both names may be seen while they mean the directory, but nothing below what is outside.
            wrong.extend(
                found.iter().filter(|(_, seen)| seen.0 == FileKind::File && seen.4 != 13).map(|(path, _)| path.to_string()),
            );
        }
        over.store(true, Ordering::Relaxed);
        swapper.join().unwrap();
        assert!(read_at_all, "nothing was ever read, so nothing was tried");
        assert_eq!(wrong, [""; 0]);
    });
}

#[test]
fn local_mounts_are_entered_and_the_kernels_own_are_not() {
    if !is_root() {
        return eprintln!("skipped: only root can mount");
    }
    let tree = tree();
    for place in ["etc", "home", "proc", "again", "dev/shm"] {
        fs::create_dir_all(tree.path().join(place)).unwrap();
    }
    put(&tree, "etc/resolv.conf", "");
    put(&tree, "etc/real", "bound");
    let mount = |what: &str, place: &str, kind: &str| {
        rustix::mount::mount(what, tree.path().join(place), kind, rustix::mount::MountFlags::empty(), None)
    };
    in_mounts_of_its_own(|| {
        if mount("tmpfs", "home", "tmpfs").is_err() {
            return eprintln!("skipped: mounting is not allowed here");
        }
        mount("tmpfs", "dev", "tmpfs").unwrap();
        fs::create_dir(tree.path().join("dev/shm")).unwrap();
        mount("tmpfs", "dev/shm", "tmpfs").unwrap();
        mount("proc", "proc", "proc").unwrap();
        rustix::mount::mount_bind(tree.path().join("etc"), tree.path().join("again")).unwrap();
        rustix::mount::mount_bind(tree.path().join("etc/real"), tree.path().join("etc/resolv.conf")).unwrap();
        put(&tree, "home/user/file", "x");
        put(&tree, "dev/shm/file", "x");
        let (found, coverage) = walk(&open(&tree));
        let names = |paths: &[ImagePath]| paths.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names(&coverage.foreign), ["/proc"]);
        assert_eq!(names(&coverage.mounts), ["/again", "/dev", "/dev/shm", "/home"]);
        assert_eq!(coverage.gaps, []);
        for path in ["/home/user/file", "/dev/shm/file", "/again/real", "/etc/resolv.conf"] {
            assert!(found.contains_key(&path.into()), "{path}");
        }
        assert!(!found.keys().any(|path| path.is_within(&"/proc".into())), "its root is not of the image either");
    });
}

/// In a thread with mounts of its own: they are gone when it ends, and nobody else sees them.
fn in_mounts_of_its_own(look: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let apart = scope.spawn(|| {
            #[expect(deprecated, reason = "mounts are no files: what makes it unsafe is the table of open files")]
            rustix::thread::unshare(rustix::thread::UnshareFlags::NEWNS).unwrap();
            let private = rustix::mount::MountPropagationFlags::PRIVATE | rustix::mount::MountPropagationFlags::REC;
            rustix::mount::mount_change("/", private).unwrap();
            rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap().install(look);
        });
        apart.join().unwrap();
    });
}

/// As a user without any right, in threads of its own: the user of a thread is its own, and a pool's threads have that of who made it.
fn as_nobody(look: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let nobody = scope.spawn(|| {
            let (uid, gid) = (rustix::process::Uid::from_raw(65_534), rustix::process::Gid::from_raw(65_534));
            rustix::thread::set_thread_res_gid(gid, gid, gid).unwrap();
            rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
            rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap().install(look);
        });
        nobody.join().unwrap();
    });
}

#[test]
fn a_directory_that_may_not_be_read_is_a_gap() {
    let tree = tree();
    put(&tree, "closed/secret", "x");
    put(&tree, "open/file", "x");
    fs::set_permissions(tree.path().join("closed"), fs::Permissions::from_mode(0o0)).unwrap();
    fs::set_permissions(tree.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let look = || {
        let image = open(&tree);
        let (found, coverage) = walk(&image);
        assert!(found.contains_key(&"/open/file".into()) && !found.contains_key(&"/closed/secret".into()));
        assert_eq!(coverage.gaps_total, 1);
        assert_eq!(
            (coverage.gaps[0].path.to_string(), coverage.gaps[0].reason.as_str()),
            ("/closed".into(), "permission denied")
        );
        assert_eq!(read(&image, "/closed/secret"), Err(ReadError::Io("permission denied".into())));
    };
    if is_root() {
        as_nobody(look);
    } else {
        look();
    }
}

#[test]
fn a_root_that_may_not_be_read_is_refused() {
    let tree = tree();
    put(&tree, "etc/passwd", "x");
    fs::set_permissions(tree.path(), fs::Permissions::from_mode(0o711)).unwrap();
    let look = || {
        let error = source::open(tree.path(), &source::Wanted::default()).err().unwrap();
        assert!(error.to_string().ends_with("cannot be read: permission denied"), "{error}");
    };
    if is_root() {
        as_nobody(look);
    } else {
        look();
    }
    fs::set_permissions(tree.path(), fs::Permissions::from_mode(0o700)).unwrap();
}
