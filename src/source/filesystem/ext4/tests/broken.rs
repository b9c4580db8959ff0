//! Images with one thing broken: the error names it, and everything else is still there.

use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use super::super::{Ext4, FileSystemError};
use super::support::{Image, changed, content, fixture, inode, made, tree};
use crate::image::{FileKind, Image as _, walk_by_directories};
use crate::path::ImagePath;
use crate::source::filesystem::{FileSystem, Volume};

/// Turns some bits of one byte round.
fn flip(image: &Image, at: u64) -> Image {
    let mut broken = image.clone();
    broken.write(at, &[image.bytes(at, 1)[0] ^ 0x41]);
    broken
}

fn place(system: &Ext4, inode: u64) -> u64 {
    let superblock = &system.disk.superblock;
    let (group, index) =
        ((inode - 1) / u64::from(superblock.inodes_per_group), (inode - 1) % u64::from(superblock.inodes_per_group));
    let table = system.disk.groups[usize::try_from(group).unwrap()].table;
    table * u64::from(superblock.block_size) + index * u64::from(superblock.inode_size)
}

fn open_error(image: Image) -> String {
    Ext4::open(Arc::new(image)).err().unwrap().to_string()
}

fn gaps(volume: &Volume) -> Vec<String> {
    struct Nothing;
    impl crate::image::Visitor for Nothing {
        fn wants(&self, _: &[u8], _: &crate::image::Metadata, _: crate::image::Attributes<'_>) -> bool {
            false
        }
        fn found(&self, _: &ImagePath, _: &crate::image::Metadata) {}
    }
    let bulk = volume.walk(&Nothing);
    assert_eq!(bulk.gaps, walk_by_directories(volume, &Nothing).gaps);
    bulk.gaps.iter().map(|gap| format!("{}: {}", gap.path, gap.reason)).collect()
}

#[test]
fn every_byte_of_the_superblock_is_covered_by_its_checksum() {
    let Some(image) = fixture("made/ext4/b4k.img.zst") else { return };
    for at in [0x4, 0x18, 0x28, 0x68, 0xe0, 0x158, 0x3f0] {
        assert_eq!(open_error(flip(&image, 1024 + at)), "the superblock is broken: its checksum is wrong");
    }
    assert!(open_error(flip(&image, 1024 + 0x38)).starts_with("this is no ext2, ext3 or ext4"));
}

#[test]
fn an_unknown_feature_is_refused_before_anything_else_is_believed() {
    let Some(image) = fixture("made/ext4/b4k.img.zst") else { return };
    let mut broken = image.clone();
    broken.write(1024 + 0x63, &[0x08]);
    assert_eq!(open_error(broken), "this file system uses the unknown incompatible feature 0x8000000, which is not supported");
}

#[test]
fn a_broken_inode_is_named_and_the_others_are_read() {
    let Some(image) = fixture("made/ext4/b4k.img.zst") else { return };
    let system = image.open();
    let all = tree(&system).len();
    let number = inode(&system, "edge/suid");
    let broken = flip(&image, place(&system, number) + 0x18).open();
    let expected = format!("inode {number}: its checksum is wrong");
    assert_eq!(broken.metadata(number).unwrap_err().to_string(), expected);
    assert_eq!(broken.read(number, 0, &mut [0]).unwrap_err().to_string(), expected);
    assert_eq!(broken.xattr(number, "user.x").unwrap_err().kind(), ErrorKind::InvalidData);
    let volume = Volume::new(Box::new(broken));
    assert_eq!(gaps(&volume), ["hardlink", "suid"].map(|name| format!("/edge/{name}: {expected}")));
    assert_eq!(volume.read_dir(&ImagePath::new("/edge")).unwrap().len(), 26);
    assert!(all > 3600);
}

#[test]
fn a_broken_group_descriptor_spoils_its_group_only() {
    let Some(image) = fixture("made/ext4/default.img.zst") else { return };
    let system = image.open();
    // The second group of 8 MiB, in blocks of 1 KiB: inodes 2,049 to 4,096.
    let broken = flip(&image, 2048 + 64 + 0x8).open();
    assert_eq!(broken.summary().broken_groups, 1);
    let number = inode(&system, "edge");
    assert_eq!((number - 1) / 2048, 1);
    let expected = format!("inode {number} is in group 1: the checksum of its descriptor is wrong");
    assert_eq!(broken.metadata(number).unwrap_err().to_string(), expected);
    let volume = Volume::new(Box::new(broken));
    assert!(gaps(&volume).contains(&format!("/edge: {expected}")));
    assert!(volume.metadata(&ImagePath::new("/etc/passwd")).is_ok());
}

#[test]
fn a_broken_block_of_names_is_named_and_the_others_are_read() {
    let Some(image) = fixture("made/ext4/b4k.img.zst") else { return };
    let system = image.open();
    let number = inode(&system, "edge/bigdir");
    let directory = system.disk.directory(number).unwrap();
    let block = system.disk.run(&directory, 7).unwrap().start.unwrap();
    let broken = flip(&image, block * 4096 + 100).open();
    let mut count = 0;
    let result = broken.entries(number, &mut |_, _| {
        count += 1;
        ControlFlow::Continue(())
    });
    assert_eq!(result.unwrap_err().to_string(), format!("directory {number}: the checksum is wrong in its block 7"));
    assert!((2900..3000).contains(&count), "{count}");
    let (mut found, mut unknown) = (0, 0);
    for file in 0..3000 {
        match broken.lookup(number, format!("file_with_a_reasonably_long_name_{file:06}.conf").as_bytes()) {
            Ok(inode) => found += usize::from(inode.is_some()),
            // Never that there is no such name.
            Err(error) => {
                assert!(error.to_string().contains("block 7"), "{error}");
                unknown += 1;
            }
        }
    }
    assert_eq!((found, found + unknown), (count, 3000));
}

#[test]
fn a_broken_index_is_as_good_as_none() {
    let Some(image) = fixture("made/ext4/b4k.img.zst") else { return };
    let system = image.open();
    let number = inode(&system, "edge/bigdir");
    let directory = system.disk.directory(number).unwrap();
    let root = system.disk.run(&directory, 0).unwrap().start.unwrap();
    let broken = flip(&image, root * 4096 + 0x40).open();
    assert!(broken.lookup(number, b"file_with_a_reasonably_long_name_000123.conf").unwrap().is_some());
    // But that a name is not there can be said of what is intact only.
    let error = broken.lookup(number, b"none").unwrap_err();
    assert_eq!(error.to_string(), format!("directory {number}: the checksum is wrong in its block 0"));
}

#[test]
fn a_broken_extent_block_and_a_broken_attribute_block_are_named() {
    let Some(image) = fixture("made/ext4/b4k.img.zst") else { return };
    let system = image.open();
    let number = inode(&system, "edge/frag.bin");
    let file = system.disk.inode(number).unwrap();
    assert!(super::super::bytes::le16(file.map(), 6) > 0, "the file has a tree");
    let node = u64::from(super::super::bytes::le32(file.map(), 16));
    let broken = flip(&image, node * 4096 + 30).open();
    let error = broken.read(number, 0, &mut [0; 10]).unwrap_err();
    assert_eq!(error.to_string(), format!("inode {number}: the checksum of its extents in block {node} is wrong"));

    let number = inode(&system, "edge/bigx");
    let block = system.disk.inode(number).unwrap().attributes();
    let broken = flip(&image, block * 4096 + 4000).open();
    let error = broken.xattrs(number).unwrap_err();
    assert_eq!(error.to_string(), format!("inode {number}: its attributes in block {block}: the checksum is wrong"));
    assert!(broken.metadata(number).is_ok());
}

#[test]
fn a_value_in_an_inode_of_its_own_is_verified() {
    let Some(image) = fixture("made/ext4/ea_inode.img.zst") else { return };
    let system = image.open();
    let holders: Vec<_> =
        (1..4096).filter_map(|number| system.disk.any_inode(number).ok()).filter(super::super::inode::Inode::is_value).collect();
    for holder in &holders {
        let block = system.disk.run(holder, 0).unwrap().start.unwrap();
        let broken = flip(&image, block * 1024 + 5).open();
        let errors: Vec<_> = tree(&broken).into_values().filter_map(|(inode, _)| broken.xattrs(inode).err()).collect();
        assert!(
            !errors.is_empty() && errors.iter().all(|error| error.to_string().ends_with("its checksum is wrong")),
            "{errors:?}"
        );
        // No name may lead there, and nobody sees it in the bulk.
        assert!(broken.metadata(holder.number).is_err());
    }
    assert!(!holders.is_empty());
}

#[test]
fn a_truncated_image_says_where_it_ends_and_what_is_before_is_read() {
    let Some(image) = fixture("made/ext4/b4k.img.zst") else { return };
    let whole = image.open();
    let mut broken = image.clone();
    broken.length = 100 << 20;
    let system = broken.open();
    assert_eq!(system.summary().truncated_to, Some(100 << 20));
    let lost = tree(&whole).into_iter().filter(|(_, (inode, metadata))| {
        metadata.kind == FileKind::File && system.read(*inode, 0, &mut vec![0; usize::try_from(metadata.size).unwrap()]).is_err()
    });
    for (_, (inode, _)) in lost {
        let error = system.read(inode, 0, &mut [0; 5]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        assert!(error.to_string().ends_with("and the image ends at byte 104857600"), "{error}");
    }
    for length in [0, 1, 1023, 1024, 1500, 2047] {
        broken.length = length;
        assert!(matches!(Ext4::open(Arc::new(broken.clone())), Err(FileSystemError::Read { what: "superblock", .. })));
    }
    broken.length = 2048;
    assert!(matches!(Ext4::open(Arc::new(broken.clone())), Err(FileSystemError::Read { what: "group descriptors", .. })));
    // With nothing but the descriptors everything is an error, and nothing is silent.
    broken.length = 8192;
    let volume = Volume::new(Box::new(broken.open()));
    assert_eq!(gaps(&volume), ["/: inode 2 is at byte 200960, and the image ends at byte 8192"].map(str::to_owned));
}

/// An image of a small tree that `debugfs` may spoil.
fn small(options: &[&str], folder: &Path) -> Option<Image> {
    std::fs::create_dir_all(folder.join("a/b")).unwrap();
    std::fs::create_dir_all(folder.join("c")).unwrap();
    for file in ["a/file", "a/b/deep", "c/other"] {
        std::fs::write(folder.join(file), b"text").unwrap();
    }
    made(options, Some(folder), "8M")
}

#[test]
fn a_directory_with_two_names_and_one_that_leads_up_do_not_go_round() {
    let folder = tempfile::tempdir().unwrap();
    let Some(image) = small(&["-t", "ext4"], folder.path()) else { return };
    let number = |path| inode(&image.open(), path);
    let script = format!("ln <{}> c/up\nln <{}> c/twice\nln <2> a/b/root\n", number("a"), number("a/b"));
    let Some(broken) = changed(&image, &script) else { return };
    let system = broken.open();
    let volume = Volume::new(Box::new(system));
    let (coverage, found) = super::fixtures::walked(|all| volume.walk(all));
    let gaps: Vec<_> = coverage.gaps.iter().map(|gap| gap.path.to_string()).collect();
    assert_eq!(gaps, ["/a/b/root", "/c/twice", "/c/up"]);
    assert_eq!(coverage.entries, 11);
    assert_eq!(found.iter().filter(|(path, _)| path.file_name() == b"deep").count(), 1);
    // By path all of it can be reached, as far as a path goes.
    assert!(volume.metadata(&ImagePath::new("/c/up/b/root/a/b/root/c/other")).is_ok());
}

#[test]
fn names_that_lead_to_nothing_or_to_the_file_system_itself_are_gaps() {
    let folder = tempfile::tempdir().unwrap();
    let Some(image) = small(&["-t", "ext4", "-O", "^metadata_csum"], folder.path()) else { return };
    let script = "ln <8> journal\nln <500> free\nln <99999> nowhere\nset_inode_field a/file mode 0\nset_inode_field c/other links_count 0\n";
    let Some(broken) = changed(&image, script) else { return };
    let other = inode(&image.open(), "c/other");
    let file = inode(&image.open(), "a/file");
    let volume = Volume::new(Box::new(broken.open()));
    let mut expected = vec![
        format!("/a/file: inode {file}: its mode 0 is of no kind of file"),
        format!("/c/other: the name leads to inode {other}, which is not in use"),
        "/free: the name leads to inode 500, which is not in use".to_owned(),
        "/journal: inode 8 belongs to the file system itself; no name may lead to it".to_owned(),
        "/nowhere: the name leads to inode 99999, which is not in use".to_owned(),
    ];
    // debugfs may refuse to make some of these.
    let found = gaps(&volume);
    expected.retain(|gap| found.contains(gap) || gap.contains("file") || gap.contains("free"));
    assert_eq!(found, expected);
    assert_eq!(volume.metadata(&ImagePath::new("/free")).unwrap_err().kind(), ErrorKind::InvalidData);
}

#[test]
fn an_encrypted_directory_shows_its_names_as_linux_does_without_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let name = "sixteen_bytes_ab";
    std::fs::create_dir(folder.path().join("secret")).unwrap();
    std::fs::write(folder.path().join("secret").join(name), b"cipher").unwrap();
    let Some(image) = made(&["-t", "ext4", "-O", "encrypt"], Some(folder.path()), "8M") else { return };
    let path = format!("secret/{name}");
    let Some(image) = changed(&image, &format!("set_inode_field secret flags 0x80800\nset_inode_field {path} flags 0x80800\n"))
    else {
        return;
    };
    let system = image.open();
    let directory = inode(&system, "secret");
    let mut names = Vec::new();
    let result = system.entries(directory, &mut |name, inode| {
        names.push((String::from_utf8(name.to_vec()).unwrap(), inode));
        ControlFlow::Continue(())
    });
    result.unwrap();
    // Eight zero bytes and the sixteen of the name, as base64.
    assert_eq!(names[0].0, "AAAAAAAAAABzaXh0ZWVuX2J5dGVzX2Fi");
    assert_eq!(system.lookup(directory, names[0].0.as_bytes()).unwrap(), Some(names[0].1));
    assert_eq!(system.lookup(directory, name.as_bytes()).unwrap(), None);
    assert_eq!(system.metadata(names[0].1).unwrap().size, 6);
    let error = system.read(names[0].1, 0, &mut [0; 6]).unwrap_err();
    assert_eq!(error.to_string(), format!("inode {} is encrypted, and its key is not in the image", names[0].1));
}

#[test]
fn a_map_that_leaves_the_file_system_is_an_error_and_a_hole_is_zeros() {
    let folder = tempfile::tempdir().unwrap();
    let Some(image) = small(&["-t", "ext2"], folder.path()) else { return };
    let Some(broken) = changed(&image, "set_inode_field a/file block[0] 99999999\nset_inode_field c/other block[0] 0\n") else {
        return;
    };
    let system = broken.open();
    let number = inode(&system, "a/file");
    let error = system.read(number, 0, &mut [0; 4]).unwrap_err();
    assert_eq!(error.to_string(), format!("inode {number}: its block 99999999 is outside the file system"));
    assert_eq!(content(&system, inode(&system, "c/other")), [0; 4]);
}
