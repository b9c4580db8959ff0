//! Images that `mke2fs` makes of a tree, with many sets of options, compared with the tree.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;

use super::fixtures::walked;
use super::support::{Image, content, inode, made, run, tree};
use crate::image::{FileKind, Image as _, walk_by_directories};
use crate::source::filesystem::{FileSystem, Volume};

/// A tree with what is hard: long and odd names, holes, hard links, links of every length, attributes.
fn sources(folder: &Path) {
    let at = |path: &str| folder.join(path);
    for directory in ["etc/deep/er/still", "many", "empty"] {
        std::fs::create_dir_all(at(directory)).unwrap();
    }
    for number in 0..700 {
        std::fs::write(at(&format!("many/a_name_that_takes_some_room_{number:05}")), format!("{number}")).unwrap();
    }
    for size in [0_usize, 1, 59, 60, 61, 100, 150, 4096, 5000, 300_000] {
        let bytes: Vec<u8> = (0..size).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect();
        std::fs::write(at(&format!("etc/file{size}")), bytes).unwrap();
    }
    std::fs::write(at("etc/sparse"), b"start").unwrap();
    let sparse = std::fs::OpenOptions::new().write(true).open(at("etc/sparse")).unwrap();
    std::os::unix::fs::FileExt::write_at(&sparse, b"middle", 3_000_000).unwrap();
    std::os::unix::fs::FileExt::write_at(&sparse, b"end", 9_000_000).unwrap();
    std::fs::hard_link(at("etc/file60"), at("etc/deep/linked")).unwrap();
    for length in [1, 59, 60, 61, 500] {
        symlink("t".repeat(length), at(&format!("etc/link{length}"))).unwrap();
    }
    std::fs::write(at("etc").join(std::ffi::OsStr::from_bytes(b"odd\xff\nname")), b"odd").unwrap();
    std::fs::write(at(&format!("etc/{}", "n".repeat(255))), b"long").unwrap();
    std::fs::set_permissions(at("etc/file1"), std::fs::Permissions::from_mode(0o4751)).unwrap();
    std::fs::set_permissions(at("empty"), std::fs::Permissions::from_mode(0o1777)).unwrap();
    // Attributes where this machine's file system has them.
    let none = rustix::fs::XattrFlags::empty();
    let _ = rustix::fs::setxattr(at("etc/file59"), "user.small", b"small", none);
    let _ = rustix::fs::setxattr(at("etc/file100"), "user.large", &[7; 700], none);
    let _ = rustix::fs::setxattr(at("etc/deep"), "user.of_a_directory", b"", none);
    let _ = Command::new("setfacl").args(["-m", "u:1234:rw,g:55:r"]).arg(at("etc/file4096")).output();
    let _ = Command::new("setfacl").args(["-d", "-m", "u:4321:rwx"]).arg(at("etc/deep")).output();
}

/// The attributes of a file of this machine.
fn attributes(path: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut names = vec![0; 4096];
    let Ok(length) = rustix::fs::llistxattr(path, &mut names) else { return Vec::new() };
    let names = names[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty());
    let mut all: Vec<_> = names
        .map(|name| {
            let mut value = vec![0; 4096];
            let length = rustix::fs::lgetxattr(path, name, &mut value).unwrap();
            (name.to_vec(), value[..length].to_vec())
        })
        .collect();
    all.sort();
    all
}

fn paths(folder: &Path, below: &[u8], all: &mut Vec<Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let path = if below.is_empty() {
            entry.file_name().as_bytes().to_vec()
        } else {
            [below, entry.file_name().as_bytes()].join(&b'/')
        };
        if entry.file_type().unwrap().is_dir() {
            paths(&entry.path(), &path, all);
        }
        all.push(path);
    }
}

/// Compares an image with the tree it was made of.
fn assert_equal(what: &str, image: &Image, folder: &Path) {
    let system = image.open();
    let ours = tree(&system);
    let mut expected = Vec::new();
    paths(folder, b"", &mut expected);
    let mut names: Vec<_> = ours.keys().filter(|path| !path.is_empty() && *path != b"lost+found").cloned().collect();
    names.sort();
    expected.sort();
    assert!(names == expected, "{what}: {} names, {} expected", names.len(), expected.len());
    for path in &expected {
        let host = folder.join(std::ffi::OsStr::from_bytes(path));
        let theirs = std::fs::symlink_metadata(&host).unwrap();
        let (number, metadata) = ours[path];
        let shown = format!("{what}: {}", String::from_utf8_lossy(path));
        assert_eq!(metadata.mode, theirs.mode() & 0o7777, "{shown}");
        assert_eq!((metadata.uid, metadata.gid), (theirs.uid(), theirs.gid()), "{shown}");
        match metadata.kind {
            FileKind::File => {
                assert_eq!((metadata.size, metadata.mtime), (theirs.size(), theirs.mtime()), "{shown}");
                assert!(content(&system, number) == std::fs::read(&host).unwrap(), "{shown}");
            }
            FileKind::Link => {
                assert_eq!(system.link(number).unwrap(), std::fs::read_link(&host).unwrap().as_os_str().as_bytes(), "{shown}");
            }
            FileKind::Directory => assert!(theirs.is_dir(), "{shown}"),
            kind => panic!("{shown}: {kind:?}"),
        }
        assert_eq!(system.xattrs(number).unwrap(), attributes(&host), "{shown}");
        let (above, name) = path.split_at(path.iter().rposition(|&byte| byte == b'/').map_or(0, |cut| cut + 1));
        let above = above.split(|&byte| byte == b'/').filter(|name| !name.is_empty());
        let above = above.fold(system.root(), |at, name| system.lookup(at, name).unwrap().unwrap());
        assert_eq!(system.lookup(above, name).unwrap(), Some(number), "{shown}");
    }
    assert_eq!(ours[&b"etc/file60"[..]].0, ours[&b"etc/deep/linked"[..]].0);
    let volume = Volume::new(Box::new(system));
    let bulk = walked(|all| volume.walk(all));
    assert_eq!((bulk.0.gaps.len(), bulk.0.entries), (0, ours.len() as u64), "{what}");
    assert!(bulk == walked(|all| walk_by_directories(&volume, all)), "{what}");
}

#[test]
fn an_image_of_any_options_is_the_tree_it_was_made_of() {
    let folder = tempfile::tempdir().unwrap();
    sources(folder.path());
    let sets = [
        "-t ext4",
        "-t ext4 -b 1024",
        "-t ext4 -b 2048 -I 1024",
        "-t ext4 -b 65536",
        "-t ext4 -O ^has_journal",
        "-t ext4 -O inline_data",
        "-t ext4 -O inline_data -I 1024 -b 1024",
        "-t ext4 -O bigalloc -C 16384",
        "-t ext4 -O bigalloc -C 8192 -b 1024",
        "-t ext4 -O meta_bg,^resize_inode -b 1024",
        "-t ext4 -O meta_bg,^resize_inode,^64bit,bigalloc -C 4096 -b 1024",
        "-t ext4 -O ^64bit",
        "-t ext4 -O ^metadata_csum,uninit_bg",
        "-t ext4 -O ^metadata_csum,^uninit_bg",
        "-t ext4 -O ^metadata_csum,uninit_bg,^64bit -b 1024",
        "-t ext4 -I 128",
        "-t ext4 -O ea_inode",
        "-t ext4 -O large_dir",
        "-t ext4 -O casefold -E encoding=utf8",
        "-t ext4 -O encrypt,verity,stable_inodes",
        "-t ext4 -O mmp,quota,project",
        "-t ext4 -O sparse_super2,^resize_inode",
        "-t ext4 -O ^flex_bg,^sparse_super,^resize_inode -b 1024",
        "-t ext4 -O ^extent,^64bit",
        "-t ext4 -O ^extent,^64bit,^huge_file -b 1024",
        "-t ext4 -O ^dir_index,^filetype",
        "-t ext4 -O metadata_csum_seed,orphan_file",
        "-t ext4 -O fast_commit",
        "-t ext4 -E lazy_itable_init=1,packed_meta_blocks=1",
        "-t ext2",
        "-t ext2 -b 1024 -I 128",
        "-t ext3",
        "-t ext3 -b 1024",
        "-O none,ext_attr -b 1024",
    ];
    for set in sets {
        let options: Vec<_> = set.split(' ').collect();
        let Some(image) = made(&options, Some(folder.path()), "96M") else { return };
        assert_equal(set, &image, folder.path());
    }
}

#[test]
fn an_index_of_any_hash_and_depth_finds_every_name() {
    let folder = tempfile::tempdir().unwrap();
    sources(folder.path());
    let names: Vec<_> = (0..4000).map(|number| format!("ünterschiedlich_{}_{number}", "x".repeat(number % 40))).collect();
    std::fs::create_dir(folder.path().join("deep")).unwrap();
    for name in &names {
        std::fs::write(folder.path().join("deep").join(name), b"").unwrap();
    }
    for (hash, features) in
        [("half_md4", "ext_attr"), ("tea", "^metadata_csum"), ("legacy", "large_dir"), ("half_md4", "^64bit,^filetype")]
    {
        let Some(image) = made(&["-t", "ext4", "-b", "1024", "-N", "20000", "-O", features], Some(folder.path()), "96M") else {
            return;
        };
        let path = folder.path().with_extension("image");
        image.save(&path);
        let hash = format!("hash_alg={hash}");
        run("tune2fs", &["-E", &hash, path.to_str().unwrap()]);
        // `-D` makes indexes.
        let Some(checked) = run("e2fsck", &["-f", "-y", "-D", path.to_str().unwrap()]) else { return };
        assert!(checked.status.code().is_some_and(|code| code < 4), "{checked:?}");
        let image = Image::new(std::fs::File::open(&path).unwrap());
        std::fs::remove_file(&path).unwrap();
        let system = image.open();
        let directory = inode(&system, "deep");
        let all: BTreeMap<_, _> = tree(&system)
            .into_iter()
            .filter_map(|(path, found)| Some((path.strip_prefix(b"deep/")?.to_vec(), found.0)))
            .collect();
        assert_eq!(all.len(), names.len());
        image.read.store(0, Ordering::Relaxed);
        for name in &names {
            assert_eq!(system.lookup(directory, name.as_bytes()).unwrap(), Some(all[name.as_bytes()]), "{hash} {name}");
            assert_eq!(system.lookup(directory, format!("{name}?").as_bytes()).unwrap(), None);
        }
        // Each time the inode, at most two blocks of the index, and one or (seldom) two of names.
        let each = image.read.load(Ordering::Relaxed) / (2 * names.len() as u64);
        assert!((2 * 1024..4 * 1024 + 256).contains(&each), "{hash}: {each} bytes a name");
    }
}
