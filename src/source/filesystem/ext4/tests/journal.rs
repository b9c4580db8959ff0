//! Journals that `debugfs` wrote, replayed here and by `e2fsck`.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use super::super::{Ext4, FileSystemError, Log};
use super::support::{Image, changed, content, inode, made, run};
use crate::source::filesystem::FileSystem as _;

/// Blocks of the file systems here.
const BLOCK: u64 = 1024;

/// A data file for `journal_write`: so many blocks, the third of which begins as blocks of the journal do.
fn data(folder: &Path, name: &str, blocks: u8) -> String {
    let mut bytes = Vec::new();
    for number in 0..blocks {
        let mut block = vec![number ^ name.as_bytes()[0]; 1024];
        if number == 2 {
            block[..4].copy_from_slice(&[0xc0, 0x3b, 0x39, 0x98]);
        }
        bytes.extend(block);
    }
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The image as `e2fsck` leaves it when it does nothing but replay the journal.
fn replayed(image: &Image) -> Option<Image> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image");
    image.save(&path);
    let output = run("e2fsck", &["-E", "journal_only", "-y", path.to_str().unwrap()])?;
    assert!(output.status.code().is_some_and(|code| code < 4), "{output:?}");
    Some(Image::new(File::open(&path).unwrap()))
}

/// Compares every block but the superblock, which notes that it was checked, and the journal.
fn assert_equal(what: &str, ours: &Ext4, theirs: &Image) {
    let journal = ours.disk.any_inode(8).unwrap();
    let mut skipped = vec![1];
    for at in 0..journal.size() / BLOCK {
        skipped.push(ours.disk.run(&journal, at).unwrap().start.unwrap());
    }
    for number in (0..theirs.length / BLOCK).filter(|number| !skipped.contains(number)) {
        let mut block = vec![0; 1024];
        ours.disk.device.read_at(number * BLOCK, &mut block).unwrap();
        assert!(block == theirs.bytes(number * BLOCK, 1024), "{what}: block {number}");
    }
}

#[test]
fn a_journal_in_every_form_is_replayed_as_e2fsck_replays_it() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (data(folder.path(), "first", 5), data(folder.path(), "second", 4));
    for features in ["^metadata_csum,^64bit", "^metadata_csum,64bit", "metadata_csum,^64bit", "metadata_csum,64bit"] {
        for open in ["jo", "jo -c -v 2", "jo -c -v 3"] {
            let Some(image) = made(&["-t", "ext4", "-b", "1024", "-J", "size=1", "-O", features], None, "12M") else { return };
            // The first kind of checksums, of whole transactions, is what `-c` makes without checksums of metadata. It writes a
            // wrong one for transactions that only revoke.
            let sums_transactions = open != "jo" && features.starts_with('^');
            let revoke = if sums_transactions { "" } else { "jw -r 6001,6004" };
            let script = format!(
                "{open}\njw -b 6000,6001,6002,6003,6004 {first}\n{revoke}\njw -b 6004,6005,6006,6000 {second}\njw -c -b 6003 {second}\njc\n"
            );
            let Some(dirty) = changed(&image, &script) else { return };
            let what = format!("{features}, {open}");
            let system = dirty.open();
            // Blocks 6001 and (of the first) 6004 are revoked; the last transaction was not committed.
            let (transactions, blocks) = if sums_transactions { (2, 7) } else { (3, 6) };
            assert_eq!(system.log(), &Log::Replayed { transactions, blocks }, "{what}");
            assert_equal(&what, &system, &replayed(&dirty).unwrap());
            assert!(!system.features().needs_recovery() || system.log() != &Log::Clean);
        }
    }
}

#[test]
fn a_log_that_goes_round_is_read_round() {
    let folder = tempfile::tempdir().unwrap();
    let data = data(folder.path(), "data", 120);
    let Some(image) = made(&["-t", "ext4", "-b", "1024", "-J", "size=1"], None, "12M") else { return };
    let list: Vec<_> = (6000..6120).map(|block: u32| block.to_string()).collect();
    // The log has 1,023 blocks; debugfs does not write beyond its end, so a log that begins near the end is made of one that
    // begins at 1.
    let script = format!("jo -c -v 3\njw -b {} {data}\njw -b 6003,6001 {data}\njc\n", list.join(","));
    let Some(mut dirty) = changed(&image, &script) else { return };
    let opened = Ext4::open_stale(Arc::new(dirty.clone())).unwrap();
    let reference = opened.log().clone();
    let disk = super::super::Disk::open(Arc::new(dirty.clone())).unwrap();
    let journal = disk.any_inode(8).unwrap();
    let place = |at: u64| disk.run(&journal, at).unwrap().start.unwrap() * BLOCK;
    let length = journal.size() / BLOCK - 1;
    let blocks: Vec<_> = (1..200).map(|at| dirty.bytes(place(at), 1024)).collect();
    let shift = length - 60;
    for (at, block) in (0..).zip(&blocks) {
        dirty.write(place((at + shift) % length + 1), block);
    }
    let mut superblock = dirty.bytes(place(0), 1024);
    superblock[0x1c..0x20].copy_from_slice(&u32::try_from(shift + 1).unwrap().to_be_bytes());
    superblock[0xfc..0x100].fill(0);
    let sum = super::super::checksum::crc32c(!0, &superblock);
    superblock[0xfc..0x100].copy_from_slice(&sum.to_be_bytes());
    dirty.write(place(0), &superblock);
    let system = dirty.open();
    assert_eq!(system.log(), &reference);
    assert_eq!(system.log(), &Log::Replayed { transactions: 2, blocks: 120 });
    assert_equal("round", &system, &replayed(&dirty).unwrap());
}

#[test]
fn a_damaged_journal_is_refused_with_what_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let data = data(folder.path(), "data", 5);
    let Some(image) = made(&["-t", "ext4", "-b", "1024", "-J", "size=1"], None, "12M") else { return };
    let Some(dirty) = changed(&image, &format!("jo -c -v 3\njw -b 6000,6001 {data}\njw -b 6002 {data}\njc\n")) else { return };
    let disk = super::super::Disk::open(Arc::new(dirty.clone())).unwrap();
    let journal = disk.any_inode(8).unwrap();
    let place = |at: u64| disk.run(&journal, at).unwrap().start.unwrap() * BLOCK;
    // The blocks of the log: descriptor, two of data, commit, descriptor, data, commit.
    let refused = |at: u64, offset: u64| {
        let mut broken = dirty.clone();
        broken.write(place(at) + offset, &[0x5a; 3]);
        match Ext4::open(Arc::new(broken.clone())) {
            Err(FileSystemError::Journal(why)) => {
                assert_eq!(Ext4::open_stale(Arc::new(broken)).unwrap().log(), &Log::Unusable(why.clone()));
                why
            }
            Err(error) => panic!("{error}"),
            Ok(system) => system.log().to_string(),
        }
    };
    assert_eq!(refused(0, 0x20), "the checksum of the journal's superblock is wrong");
    assert_eq!(refused(2, 100), "the checksum of block 6000 in transaction 1 is wrong");
    assert_eq!(refused(1, 100), "a checksum in transaction 1 is wrong");
    assert_eq!(refused(4, 0x10), "transaction 1 is corrupt: its checksum is wrong");
    assert_eq!(refused(7, 0x10), "transaction 2 is corrupt: its checksum is wrong");
    // A commit that is not there was interrupted, and what it would have committed never happened.
    assert_eq!(refused(7, 0), "replayed 1 transactions, 2 blocks");
    assert_eq!(refused(5, 0), "replayed 1 transactions, 2 blocks");
}

#[test]
fn a_journal_elsewhere_and_a_journal_itself_are_refused_by_name() {
    let Some(mut image) = made(&["-t", "ext4", "-O", "^metadata_csum"], None, "12M") else { return };
    let incompatible = image.bytes(1024 + 0x60, 1)[0] | 0x4;
    image.write(1024 + 0x60, &[incompatible]);
    image.write(1024 + 0xe0, &[0; 4]);
    image.write(1024 + 0xe4, &[0x11, 0x08, 0, 0]);
    let error = Ext4::open(Arc::new(image)).err().unwrap();
    assert_eq!(error.to_string(), "the journal has changes that cannot be replayed: its journal is on another device, 8:17");
    let Some(journal) = made(&["-O", "journal_dev"], None, "12M") else { return };
    let error = Ext4::open(Arc::new(journal)).err().unwrap();
    assert_eq!(
        error.to_string(),
        "this file system uses journal_dev: it is the journal of another file system, and holds no files, which is not supported"
    );
}

#[test]
fn fast_commits_are_refused_only_where_they_count() {
    let folder = tempfile::tempdir().unwrap();
    let data = data(folder.path(), "data", 5);
    let Some(image) = made(&["-t", "ext4", "-b", "1024", "-J", "size=2"], None, "16M") else { return };
    let Some(mut dirty) = changed(&image, &format!("jo -c -v 3\njw -b 6000,6001 {data}\njc\n")) else { return };
    let disk = super::super::Disk::open(Arc::new(dirty.clone())).unwrap();
    let journal = disk.any_inode(8).unwrap();
    let place = |at: u64| disk.run(&journal, at).unwrap().start.unwrap() * BLOCK;
    let mut superblock = dirty.bytes(place(0), 1024);
    superblock[0x2b] |= 0x20;
    superblock[0xfc..0x100].fill(0);
    let sum = super::super::checksum::crc32c(!0, &superblock);
    superblock[0xfc..0x100].copy_from_slice(&sum.to_be_bytes());
    dirty.write(place(0), &superblock);
    let sequence = u32::from_be_bytes(superblock[0x18..0x1c].try_into().unwrap());
    let first = place(journal.size() / BLOCK - 256 + 1);
    // Left over from a time before the last full commit.
    dirty.write(first, &[&[9, 0, 8, 0, 0, 0, 0, 0][..], &sequence.to_le_bytes()].concat());
    assert_eq!(dirty.open().log(), &Log::Replayed { transactions: 1, blocks: 2 });
    dirty.write(first + 8, &(sequence + 1).to_le_bytes());
    assert!(Ext4::open(Arc::new(dirty)).err().unwrap().to_string().contains("fast_commit"));
}

#[test]
fn what_is_only_in_the_journal_is_seen_and_what_was_before_is_not() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("tree")).unwrap();
    std::fs::write(folder.path().join("tree/file"), b"content").unwrap();
    let Some(image) = made(&["-t", "ext4", "-b", "1024", "-J", "size=1"], Some(&folder.path().join("tree")), "12M") else {
        return;
    };
    // The same with another mode, and the block of the inode table that makes the difference, as a transaction.
    let Some(later) = changed(&image, "set_inode_field file mode 0104755\n") else { return };
    let system = later.open();
    let number = inode(&system, "file");
    let block = system.disk.groups[0].table + (number - 1) * 256 / BLOCK;
    let table = folder.path().join("table");
    std::fs::write(&table, later.bytes(block * BLOCK, 1024)).unwrap();
    let Some(dirty) = changed(&image, &format!("jo -c -v 3\njw -b {block} {}\njc\n", table.to_str().unwrap())) else { return };
    let system = dirty.open();
    assert_eq!(system.metadata(number).unwrap().mode, 0o4755);
    assert_eq!(content(&system, number), b"content");
    let mut modes = Vec::new();
    let all = std::sync::Mutex::new(&mut modes);
    system.inodes(&|inode, metadata| {
        if inode == number {
            all.lock().unwrap().push(metadata.unwrap().mode);
        }
    });
    assert_eq!(modes, [0o4755]);
    // The flag that asks for recovery was set by debugfs; without it nobody replays anything.
    let stale = image.open();
    assert_eq!((stale.metadata(number).unwrap().mode, stale.log()), (0o644, &Log::Clean));
}
