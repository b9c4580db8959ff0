//! One tree through every kind of tar.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use super::made::{Header, Made};
use super::*;
use crate::source::device::fixtures::fixture;

/// A tree with everything that an unprivileged user can make.
pub(super) fn tree(root: &Path) {
    let long = "a-long-name-of-sixty-bytes-so-that-two-of-them-are-too-many-";
    fs::create_dir_all(root.join("etc/ssh")).unwrap();
    fs::create_dir_all(root.join(long).join(long).join(long).join("deep")).unwrap();
    fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\n").unwrap();
    fs::write(root.join("etc/empty"), "").unwrap();
    fs::write(root.join("etc/ssh/sshd_config"), "PermitRootLogin no\n".repeat(5_000)).unwrap();
    fs::write(root.join(long).join(long).join(long).join("deep/file"), "deep").unwrap();
    fs::write(root.join("binary"), (0..300_000u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>()).unwrap();
    fs::hard_link(root.join("etc/passwd"), root.join("etc/passwd-")).unwrap();
    fs::hard_link(root.join("etc/passwd"), root.join("another")).unwrap();
    symlink("../etc/passwd", root.join("etc/link")).unwrap();
    symlink(format!("/{long}/{long}/{long}/deep/file"), root.join("far")).unwrap();
    fs::write(root.join(std::ffi::OsStr::from_bytes(b"not-\xff-utf8\nand a line")), "odd").unwrap();
    fs::create_dir(root.join("tmp")).unwrap();
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
    fs::set_permissions(root.join("binary"), fs::Permissions::from_mode(0o4755)).unwrap();
    run(Command::new("mkfifo").arg(root.join("pipe")));
    let sparse = fs::File::create(root.join("sparse")).unwrap();
    for place in (0..40).map(|number| number * 1_000_000) {
        std::os::unix::fs::FileExt::write_all_at(&sparse, &[7; 5_000], place).unwrap();
    }
    sparse.set_len(50_000_000).unwrap();
    for path in ["etc/passwd", "etc/empty", "tmp", "binary", "etc"] {
        let file = fs::File::open(root.join(path)).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_millis(1_234_567_890_900)).unwrap();
    }
}

fn archive(root: &Path, program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(arguments).arg("-C").arg(root).arg(".").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn every_kind_of_tar_gives_the_tree_it_was_made_of() {
    let place = tempfile::tempdir().unwrap();
    tree(place.path());
    let truth = folder(place.path());
    for program in ["tar", "bsdtar"] {
        if !has(program) {
            continue;
        }
        let kinds: &[&[&str]] = if program == "tar" {
            &[
                &["-cf-", "--format=gnu"],
                &["-cSf-", "--format=gnu"],
                &["-cf-", "--format=pax"],
                &["-cSf-", "--format=pax", "--sparse-version=0.0"],
                &["-cSf-", "--format=pax", "--sparse-version=0.1"],
                &["-cSf-", "--format=pax", "--sparse-version=1.0"],
            ]
        } else {
            &[&["-cf-", "--format=pax"], &["-cf-", "--format=gnutar"]]
        };
        for arguments in kinds {
            let bytes = archive(place.path(), program, arguments);
            for (how, input) in [("file", device(&bytes)), ("stream", stream(&bytes))] {
                let read = read(input).unwrap();
                assert_eq!(read.about.incomplete, None);
                let found = inventory(&*read.image);
                assert_eq!(found.keys().collect::<Vec<_>>(), truth.keys().collect::<Vec<_>>(), "{program} {arguments:?} {how}");
                for (path, seen) in &truth {
                    assert!(found[path] == *seen, "{program} {arguments:?} {how} {path} {:?}", found[path].mtime);
                }
            }
        }
    }
}

#[test]
fn pythons_tarfile_gives_the_tree_it_was_made_of() {
    let place = tempfile::tempdir().unwrap();
    tree(place.path());
    if !has("python3") {
        return;
    }
    let truth = folder(place.path());
    for format in ["GNU_FORMAT", "PAX_FORMAT"] {
        let script = format!(
            "import sys,tarfile,os\nt=tarfile.open(fileobj=sys.stdout.buffer,mode='w|',format=tarfile.{format},errors='surrogateescape')\nt.add(os.fsencode(sys.argv[1]).decode(),arcname='.')\nt.close()"
        );
        let output = Command::new("python3").args(["-c", &script]).arg(place.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let found = inventory(&*read(device(&output.stdout)).unwrap().image);
        assert!(found == truth, "{format}");
    }
}

#[test]
fn compressed_ones_are_read_as_files_and_as_streams_kept_and_not() {
    let place = tempfile::tempdir().unwrap();
    tree(place.path());
    let truth = folder(place.path());
    let plain = place.path().parent().unwrap().join(format!("{}.tar", place.path().file_name().unwrap().display()));
    fs::write(&plain, archive(place.path(), "tar", &["-cSf-"])).unwrap();
    for (program, arguments) in [("gzip", "-1c"), ("zstd", "-qc"), ("xz", "-1c"), ("bzip2", "-c")] {
        if !has(program) {
            continue;
        }
        let bytes = Command::new(program).arg(arguments).arg(&plain).output().unwrap().stdout;
        let as_file = read(device(&bytes)).unwrap();
        assert_eq!(as_file.about.compression.unwrap().name(), program);
        assert!(as_file.about.kept > 0);
        assert!(inventory(&*as_file.image) == truth, "{program}");
        let bare = read_bare(device(&bytes)).unwrap();
        assert_eq!(bare.about.kept, 0);
        assert!(inventory(&*bare.image) == truth, "{program}");
        let streamed = read(stream(&bytes)).unwrap();
        assert!(inventory(&*streamed.image) == truth, "{program}");
        let gone = read_bare(stream(&bytes)).unwrap();
        let error = gone.image.open(&ImagePath::new("/etc/passwd")).err().unwrap();
        assert_eq!(error.kind(), std::io::ErrorKind::Unsupported);
        assert!(error.to_string().contains("give the archive as a file"));
    }
    fs::remove_file(plain).unwrap();
}

#[test]
fn several_members_frames_and_streams_are_one() {
    let bytes = Made::default().file("a", &"one\n".repeat(50_000)).file("b", "two").end();
    let (first, second) = bytes.split_at(70_001);
    let place = tempfile::tempdir().unwrap();
    for (program, arguments) in [("gzip", "-c"), ("zstd", "-qc"), ("xz", "-c"), ("bzip2", "-c")] {
        if !has(program) {
            continue;
        }
        let mut joined = Vec::new();
        if program == "zstd" {
            joined.extend_from_slice(b"\x5f\x2a\x4d\x18\x03\0\0\0xyz");
        }
        for part in [first, second] {
            fs::write(place.path().join("part"), part).unwrap();
            joined.extend(Command::new(program).arg(arguments).arg(place.path().join("part")).output().unwrap().stdout);
        }
        let read = read_bare(device(&joined)).unwrap();
        assert_eq!(text(&*read.image, "/b"), "two", "{program}");
        assert_eq!(text(&*read.image, "/a").len(), 200_000, "{program}");
        assert_eq!(read.about.incomplete, None);
    }
}

#[test]
fn what_is_far_inside_a_gzip_stream_is_found_from_the_mark_before() {
    // 80 MiB that do not compress to nothing, with a file every 8 MiB.
    let mut made = Made::default();
    let mut random = 1u32;
    for number in 0..10 {
        let noise: Vec<u8> = (0..1 << 21)
            .flat_map(|_| {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (random >> 28).to_le_bytes()
            })
            .collect();
        made = made.entry(&mut Header::new(format!("noise{number}").as_bytes(), b'0', noise.len() as u64), &noise);
        made = made.file(&format!("small{number}"), &format!("this is {number}"));
    }
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, &made.end()).unwrap();
    let read = read_bare(device(&gzip.finish().unwrap())).unwrap();
    for number in [9, 0, 5, 5, 7, 2, 8] {
        assert_eq!(text(&*read.image, &format!("/small{number}")), format!("this is {number}"));
    }
}

#[test]
fn owners_sizes_and_times_beyond_octal_are_read_in_base_256() {
    let mut header = Header::new(b"old", b'0', 3);
    header.set(108, &[0x80, 0, 0, 0, 0x80, 0, 0, 1]).set(136, &[0xff; 12]);
    let read = read(device(&Made::default().entry(&mut header, b"abc").end())).unwrap();
    let metadata = read.image.metadata(&ImagePath::new("/old")).unwrap();
    assert_eq!((metadata.uid, metadata.mtime), (0x8000_0001, -1));
}

#[test]
fn a_v7_directory_is_a_name_with_a_slash() {
    let mut header = Header::new(b"dir/", 0, 0);
    header.set(257, &[0; 8]);
    let bytes = Made::default().entry(&mut header, b"").file("dir/x", "y").end();
    let read = read(device(&bytes)).unwrap();
    assert_eq!(read.image.metadata(&ImagePath::new("/dir")).unwrap().kind, FileKind::Directory);
    assert_eq!(text(&*read.image, "/dir/x"), "y");
}

#[test]
fn extended_headers_say_more_than_the_header_and_global_ones_stay() {
    let capability = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let bytes = Made::default()
        .extended(b'g', &[("uid", b"4000000000"), ("comment", b"x")])
        .pax(&[("path", b"usr/bin/ping"), ("mtime", b"-1.5"), ("SCHILY.xattr.security.capability", capability)])
        .file("short", "x")
        .pax(&[("LIBARCHIVE.xattr.user.a%20b", b"aGVsbG8"), ("gid", b"7")])
        .file("other", "y")
        .end();
    let read = read(device(&bytes)).unwrap();
    let ping = ImagePath::new("/usr/bin/ping");
    let metadata = read.image.metadata(&ping).unwrap();
    assert_eq!((metadata.uid, metadata.gid, metadata.mtime), (4_000_000_000, 0, -2));
    assert_eq!(read.image.xattr(&ping, "security.capability").unwrap().unwrap(), capability);
    let other = ImagePath::new("/other");
    assert_eq!(read.image.metadata(&other).unwrap().uid, 4_000_000_000);
    assert_eq!(read.image.metadata(&other).unwrap().gid, 7);
    assert_eq!(read.image.xattr(&other, "user.a b").unwrap().unwrap(), b"hello");
    assert_eq!(read.image.xattr(&other, "security.capability").unwrap(), None);
    // Nobody described these.
    let implied = read.image.metadata(&ImagePath::new("/usr/bin")).unwrap();
    assert_eq!((implied.kind, implied.mode, implied.uid), (FileKind::Directory, 0o755, 0));
}

#[test]
fn the_later_of_two_entries_counts_and_links_to_the_earlier_keep_it() {
    let bytes = Made::default().file("a", "old").hard("b", "a").hard("c", "b").file("a", "new").end();
    let read = read(device(&bytes)).unwrap();
    assert_eq!(text(&*read.image, "/a"), "new");
    assert_eq!(text(&*read.image, "/c"), "old");
    let links = |path: &str| read.image.metadata(&ImagePath::new(path)).unwrap().nlink;
    assert_eq!((links("/a"), links("/b"), links("/c")), (1, 2, 2));
}

#[test]
fn a_directory_may_come_after_its_content() {
    let mut late = Header::new(b"d", b'5', 0);
    late.set(100, b"0000700\0");
    let bytes = Made::default().file("d/x", "1").entry(&mut late, b"").link("l", "d").file("l/y", "2").end();
    let read = read(device(&bytes)).unwrap();
    assert_eq!(read.image.metadata(&ImagePath::new("/d")).unwrap().mode, 0o700);
    // Below a link that leads nowhere strange, every program unpacks where it leads.
    assert_eq!(text(&*read.image, "/d/y"), "2");
    assert!(gaps(&*read.image).is_empty());
}

#[test]
fn the_archives_of_dfvfs() {
    let Some(place) = fixture("containers/dfvfs") else { return };
    let names = |name: &str| -> Vec<String> {
        let read = read(device(&fs::read(place.join(name)).unwrap())).unwrap();
        assert_eq!(read.about.incomplete, None, "{name}");
        inventory(&*read.image).keys().map(ToString::to_string).collect()
    };
    for name in
        ["tar_absolute_paths.tar", "tar_mixed_paths.tar", "tar_syslog.tar", "tar_with_directory.tar", "tar_without_directory.tar"]
    {
        let listed = Command::new("tar").args(["-tPf"]).arg(place.join(name)).output().unwrap();
        let mut truth = vec![ImagePath::root()];
        for line in String::from_utf8(listed.stdout).unwrap().lines() {
            let mut path = Some(ImagePath::new(line));
            while let Some(one) = path {
                path = one.parent();
                truth.push(one);
            }
        }
        truth.sort();
        truth.dedup();
        assert_eq!(names(name), truth.iter().map(ToString::to_string).collect::<Vec<_>>(), "{name}");
    }
}
