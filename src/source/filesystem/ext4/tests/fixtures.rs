//! Images that the kernel wrote, with what it says of them.

use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Mutex;

use super::support::{content, fixture, fixtures, inode, run, tree, unpacked};
use crate::image::{Attributes, Coverage, FileKind, Image as _, Metadata, Visitor, walk_by_directories};
use crate::path::ImagePath;
use crate::source::filesystem::ext4::{Ext4, Log};
use crate::source::filesystem::manifest::{lines, manifest};
use crate::source::filesystem::{FileSystem, Volume};

const ALL: [&str; 15] = [
    "b1k",
    "b4k",
    "bigalloc",
    "csumseed",
    "default",
    "ea_inode",
    "ext2",
    "ext3",
    "i128",
    "inline",
    "large_dir",
    "meta_bg",
    "mmp",
    "nocsum",
    "orphan",
];

fn the_kernels(path: &str) -> Vec<Vec<u8>> {
    let mut text = Vec::new();
    unpacked(&fixtures().unwrap().join(path)).read_to_end(&mut text).unwrap();
    lines(&text)
}

fn assert_same(name: &str, ours: &[Vec<u8>], kernels: &[Vec<u8>]) {
    let show = |these: &[Vec<u8>], those: &[Vec<u8>]| {
        let only = these.iter().filter(|line| those.binary_search(line).is_err());
        only.take(5).map(|line| String::from_utf8_lossy(line).into_owned()).collect::<Vec<_>>()
    };
    assert!(ours == kernels, "{name}: only ours {:#?}, only the kernel's {:#?}", show(ours, kernels), show(kernels, ours));
}

#[derive(Default)]
pub(super) struct All(Mutex<Vec<(ImagePath, String)>>);

impl Visitor for All {
    fn wants(&self, name: &[u8], metadata: &Metadata, attributes: Attributes<'_>) -> bool {
        // Extended attributes of every tenth, as rules ask of executables only.
        metadata.kind == FileKind::Directory || !name.ends_with(b"7") || attributes("security.capability").is_ok()
    }

    fn found(&self, path: &ImagePath, metadata: &Metadata) {
        self.0.lock().unwrap().push((path.clone(), format!("{metadata:?}")));
    }
}

pub(super) fn walked(walk: impl FnOnce(&All) -> Coverage) -> (Coverage, Vec<(ImagePath, String)>) {
    let all = All::default();
    let coverage = walk(&all);
    let mut found = all.0.into_inner().unwrap();
    found.sort();
    (coverage, found)
}

#[test]
fn every_fixture_is_what_the_kernel_says_it_is() {
    for name in ALL {
        let Some(image) = fixture(&format!("made/ext4/{name}.img.zst")) else { return };
        let system = image.open();
        assert_eq!(system.log(), &Log::Clean, "{name}");
        assert_same(name, &manifest(&system), &the_kernels(&format!("made/ext4/{name}.manifest.zst")));
    }
}

#[test]
fn every_name_is_found_by_its_hash_and_no_other_is() {
    for name in ALL {
        let Some(image) = fixture(&format!("made/ext4/{name}.img.zst")) else { return };
        let system = image.open();
        for (path, (inode, metadata)) in tree(&system) {
            let (above, last) = match path.iter().rposition(|&byte| byte == b'/') {
                Some(cut) => (&path[..cut], &path[cut + 1..]),
                None => (&b""[..], &path[..]),
            };
            if !path.is_empty() {
                let above = above.split(|&byte| byte == b'/').filter(|name| !name.is_empty());
                let above = above.fold(system.root(), |at, name| system.lookup(at, name).unwrap().unwrap());
                assert_eq!(system.lookup(above, last).unwrap(), Some(inode), "{name}: {}", String::from_utf8_lossy(&path));
                assert_eq!(system.lookup(above, &[last, b"?"].concat()).unwrap(), None);
            }
            if metadata.kind != FileKind::Directory {
                assert_eq!(system.lookup(inode, b"x").unwrap_err().kind(), std::io::ErrorKind::NotADirectory);
            }
        }
    }
}

#[test]
fn a_large_directory_is_not_read_whole_for_one_name() {
    let Some(image) = fixture("made/ext4/b4k.img.zst") else { return };
    let system = image.open();
    let directory = inode(&system, "edge/bigdir");
    image.read.store(0, std::sync::atomic::Ordering::Relaxed);
    assert!(system.lookup(directory, b"file_with_a_reasonably_long_name_002999.conf").unwrap().is_some());
    // The inode, the root of the index and one block of names.
    assert_eq!(image.read.load(std::sync::atomic::Ordering::Relaxed), 256 + 2 * 4096);
}

#[test]
fn parts_of_inode_tables_that_nobody_uses_are_not_read() {
    for name in ["b1k", "ext2", "ext3", "nocsum"] {
        let Some(image) = fixture(&format!("made/ext4/{name}.img.zst")) else { return };
        let system = image.open();
        let used = tree(&system).values().map(|(inode, _)| inode).collect::<std::collections::BTreeSet<_>>().len() as u64 * 256;
        image.read.store(0, std::sync::atomic::Ordering::Relaxed);
        let count = std::sync::atomic::AtomicU64::new(0);
        system.inodes(&|_, _| {
            count.fetch_add(256, std::sync::atomic::Ordering::Relaxed);
        });
        let read = image.read.load(std::sync::atomic::Ordering::Relaxed);
        // All that is in use, and hardly more: of each of eight groups a bitmap and what is left over of the steps.
        assert_eq!(count.into_inner(), used, "{name}");
        assert!((used..used + 8 * (32 << 10)).contains(&read), "{name}: {read} bytes for {used}");
    }
}

#[test]
fn the_bulk_walk_is_the_plain_walk_in_every_fixture() {
    for name in ALL {
        let Some(image) = fixture(&format!("made/ext4/{name}.img.zst")) else { return };
        let volume = Volume::new(Box::new(image.open()));
        let bulk = walked(|all| volume.walk(all));
        assert_eq!(bulk.0.gaps, [], "{name}");
        assert!(bulk == walked(|all| walk_by_directories(&volume, all)), "{name}");
    }
}

/// Every file under a folder, by path below it.
fn files(folder: &Path, each: &mut dyn FnMut(&Path)) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => files(&entry.path(), each),
            _ => each(&entry.path()),
        }
    }
}

#[test]
fn contents_and_links_are_those_that_debugfs_gives() {
    for name in ALL {
        let Some(image) = fixture(&format!("made/ext4/{name}.img.zst")) else { return };
        let system = image.open();
        let folder = tempfile::tempdir().unwrap();
        let (path, out) = (folder.path().join("image"), folder.path().join("out"));
        image.save(&path);
        std::fs::create_dir(&out).unwrap();
        let command = format!("rdump / {}", out.to_str().unwrap());
        if run("debugfs", &["-R", &command, path.to_str().unwrap()]).is_none() {
            return;
        }
        let mut compared = 0;
        files(&out, &mut |file| {
            let path = file.strip_prefix(&out).unwrap().as_os_str().as_bytes();
            let inode =
                path.split(|&byte| byte == b'/').fold(system.root(), |at, name| system.lookup(at, name).unwrap().unwrap());
            match system.metadata(inode).unwrap().kind {
                FileKind::File => {
                    let (ours, mut theirs) = (content(&system, inode), std::fs::read(file).unwrap());
                    if name == "inline" && ours.len() < 60 {
                        // debugfs gives all of the room in the inode.
                        theirs.truncate(ours.len());
                    }
                    assert!(ours == theirs, "{name}: {file:?}");
                }
                FileKind::Link => {
                    assert_eq!(system.link(inode).unwrap(), std::fs::read_link(file).unwrap().as_os_str().as_bytes());
                }
                _ => return,
            }
            compared += 1;
        });
        let expected =
            tree(&system).values().filter(|(_, metadata)| matches!(metadata.kind, FileKind::File | FileKind::Link)).count();
        // debugfs does not follow hard links or odd names; there are a few of both.
        assert!(compared + 5 >= expected, "{name}: {compared} of {expected}");
    }
}

#[test]
fn extended_attributes_are_those_that_debugfs_gives() {
    let mut most = 0;
    for name in ALL {
        let Some(image) = fixture(&format!("made/ext4/{name}.img.zst")) else { return };
        let system = image.open();
        let folder = tempfile::tempdir().unwrap();
        let (path, out) = (folder.path().join("image"), folder.path().join("value"));
        image.save(&path);
        let debugfs = |command: String| run("debugfs", &["-R", &command, path.to_str().unwrap()]).map(|output| output.stdout);
        for (file, (inode, _)) in tree(&system) {
            let all = system.xattrs(inode).unwrap();
            if all.is_empty() || most > 400 {
                continue;
            }
            let Some(list) = debugfs(format!("ea_list <{inode}>")) else { return };
            let listed = String::from_utf8_lossy(&list)
                .lines()
                .filter(|line| line.contains(" (") && !line.contains("system.data ("))
                .count();
            assert_eq!(all.len(), listed, "{name}: {}", String::from_utf8_lossy(&file));
            for (attribute, value) in all {
                let attribute = String::from_utf8(attribute).unwrap();
                debugfs(format!("ea_get -f {} <{inode}> {attribute}", out.to_str().unwrap()));
                let mut theirs = std::fs::read(&out).unwrap();
                if attribute.contains("posix_acl") {
                    // libext2fs gives entries without a number the number 0, the kernel (and who shows them) the highest.
                    for entry in theirs[4..].chunks_exact_mut(8).filter(|entry| !matches!(entry[0], 2 | 8)) {
                        entry[4..].fill(0xff);
                    }
                }
                assert!(value == theirs, "{name}: {} {attribute}", String::from_utf8_lossy(&file));
                assert_eq!(system.xattr(inode, &attribute).unwrap(), Some(value));
                most += 1;
            }
            assert_eq!(system.xattr(inode, "user.none").unwrap(), None);
        }
    }
    assert!(most > 50);
}

#[test]
fn a_capability_and_an_access_list_are_as_getxattr_gives_them() {
    for name in ["b4k", "default", "ea_inode", "inline", "i128"] {
        let Some(image) = fixture(&format!("made/ext4/{name}.img.zst")) else { return };
        let system = image.open();
        let caps = system.xattr(inode(&system, "edge/caps"), "security.capability").unwrap().unwrap();
        assert_eq!((caps.len(), caps[3]), (20, 2), "{name}");
        let all: Vec<_> = tree(&system).into_values().flat_map(|(inode, _)| system.xattrs(inode).unwrap()).collect();
        let lists: Vec<_> = all.iter().filter(|(name, _)| name == b"system.posix_acl_access").collect();
        assert!(lists.iter().all(|(_, list)| list.starts_with(&[2, 0, 0, 0]) && list.len() % 8 == 4));
    }
}

#[test]
fn times_beyond_2038_and_their_nanoseconds_are_read() {
    let Some(image) = fixture("made/ext4/b4k.img.zst") else { return };
    let system = image.open();
    let latest =
        tree(&system).into_values().map(|(inode, _)| system.times(inode).unwrap()).max_by_key(|times| times.modified).unwrap();
    // The year 2242.
    assert!((8_583_000_000..8_615_000_000).contains(&latest.modified.seconds), "{latest:?}");
    assert!(latest.created.is_some_and(|created| created.seconds > 1_700_000_000 && created.nanoseconds < 1_000_000_000));
}

#[test]
fn what_a_file_system_says_of_itself_is_what_dumpe2fs_says() {
    for name in ALL {
        let Some(image) = fixture(&format!("made/ext4/{name}.img.zst")) else { return };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        image.save(&path);
        let Some(output) = run("dumpe2fs", &["-h", path.to_str().unwrap()]) else { return };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
        let summary = image.open().summary();
        let mut features: Vec<_> = field("Filesystem features:").split_whitespace().map(str::to_owned).collect();
        let mut ours = summary.features.clone();
        features.sort();
        ours.sort();
        assert_eq!(ours, features, "{name}");
        assert_eq!(summary.uuid, field("Filesystem UUID:"));
        assert_eq!(summary.block_size.to_string(), field("Block size:"));
        assert_eq!(summary.kind, if name.starts_with("ext") { name } else { "ext4" });
        assert_eq!((summary.truncated_to, summary.broken_groups, summary.has_errors), (None, 0, false));
    }
}

#[test]
fn the_images_of_ext4_view_read_as_it_reads_them() {
    let names = ["test_disk1", "test_disk_4k_block_journal", "test_disk_ext2", "test_disk_ext3"];
    let mut images: Vec<_> = names.iter().map(|name| format!("ext4/ext4-view/{name}.bin.zst")).collect();
    images.extend(
        ["b4k", "default", "bigalloc", "csumseed", "ext2", "ext3", "nocsum", "orphan"]
            .map(|name| format!("made/ext4/{name}.img.zst")),
    );
    images.push("made/ext4/dirty.ext4.zst".to_owned());
    let mut total = 0;
    for path in images {
        let Some(image) = fixture(&path) else { return };
        let system = image.open();
        let oracle = ext4_view::Ext4::load(Box::new(Reader(image))).unwrap();
        let mut compared = 0;
        for (name, (inode, metadata)) in tree(&system) {
            let full = [b"/", &name[..]].concat();
            let theirs = match oracle.symlink_metadata(&full[..]) {
                Ok(theirs) => theirs,
                // It shows no names that are encrypted.
                Err(ext4_view::Ext4Error::Encrypted) => continue,
                Err(error) => panic!("{path}: {name:?}: {error}"),
            };
            let ours = (metadata.mode, metadata.uid, metadata.gid, metadata.size);
            assert_eq!(ours, (u32::from(theirs.mode()), theirs.uid(), theirs.gid(), theirs.len()), "{path}: {name:?}");
            if metadata.kind == FileKind::File {
                match oracle.read(&full[..]) {
                    Ok(theirs) => assert!(content(&system, inode) == theirs, "{path}: {name:?}"),
                    Err(error) => panic!("{path}: {name:?}: {error}"),
                }
                compared += 1;
            }
        }
        total += compared;
    }
    assert!(total > 20_000, "{total}");
}

struct Reader(super::support::Image);

impl ext4_view::Ext4Read for Reader {
    fn read(&mut self, start: u64, buffer: &mut [u8]) -> Result<(), Box<dyn std::error::Error + Send + Sync + 'static>> {
        use crate::source::device::BlockDevice as _;
        Ok(self.0.read_at(start, buffer)?)
    }
}

#[test]
fn a_file_system_that_was_cut_off_is_what_the_kernel_recovers() {
    let Some(image) = fixture("made/ext4/dirty.ext4.zst") else { return };
    let system = image.open();
    assert!(matches!(system.log(), Log::Replayed { transactions: 1.., blocks: 1.. }), "{}", system.log());
    assert_same("dirty", &manifest(&system), &the_kernels("made/ext4/dirty.ext4.recovered-manifest.zst"));
    let volume = Volume::new(Box::new(system));
    assert!(walked(|all| volume.walk(all)) == walked(|all| walk_by_directories(&volume, all)));
}

#[test]
fn what_is_no_ext4_is_not_taken_for_it() {
    let Some(folder) = fixtures() else { return };
    let bytes = std::fs::read(folder.join("ext4/ext4-view/not_ext4.bin")).unwrap();
    assert!(!Ext4::recognise(&bytes));
    assert!(!Ext4::recognise(&[0; 2048]));
    let image = fixture("made/ext4/ext2.img.zst").unwrap();
    assert!(Ext4::recognise(&image.bytes(0, 2048)));
}
