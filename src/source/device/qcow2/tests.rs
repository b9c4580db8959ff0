//! Files that no tool would write.

use std::io;

use super::super::fixtures::read_everything;
use super::super::{Device, Disk, MemoryDevice, NoSiblings, Siblings};

/// A file of version 3 with one L1 entry (cluster 1), one L2 table (cluster 2) and a disk of 1 MiB.
fn image() -> Vec<u8> {
    let mut bytes = vec![0; 4 << 16];
    bytes[..4].copy_from_slice(b"QFI\xfb");
    put32(&mut bytes, 4, 3);
    put32(&mut bytes, 20, 16);
    put64(&mut bytes, 24, 1 << 20);
    put32(&mut bytes, 36, 1);
    put64(&mut bytes, 40, 1 << 16);
    put32(&mut bytes, 100, 104);
    put64(&mut bytes, 1 << 16, 2 << 16);
    bytes
}

fn put32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
}

fn put64(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_be_bytes());
}

fn open(bytes: Vec<u8>) -> io::Result<Disk> {
    Disk::open(MemoryDevice::shared(bytes), &NoSiblings)
}

fn refused(change: impl Fn(&mut Vec<u8>)) -> String {
    let mut bytes = image();
    change(&mut bytes);
    open(bytes).err().unwrap().to_string()
}

/// What reading its first bytes says.
fn unreadable(change: impl Fn(&mut Vec<u8>)) -> String {
    let mut bytes = image();
    change(&mut bytes);
    let disk = open(bytes).unwrap();
    read_everything(&*disk.device);
    disk.device.read_at(0, &mut [0; 512]).unwrap_err().to_string()
}

#[test]
fn impossible_headers_are_refused_before_anything_is_made_of_them() {
    assert!(refused(|bytes| put32(bytes, 20, 8)).contains("two to the power of 8"));
    assert!(refused(|bytes| put32(bytes, 20, 64)).contains("two to the power of 64"));
    assert!(refused(|bytes| put32(bytes, 36, u32::MAX)).contains("L1 table of 4294967295 entries"));
    assert!(refused(|bytes| put32(bytes, 36, 4 << 20)).contains("cut off"));
    assert!(refused(|bytes| put64(bytes, 24, 1 << 40)).contains("needs 2048"));
    assert!(refused(|bytes| put64(bytes, 24, u64::MAX)).contains("a disk of 18446744073709551615 bytes"));
    assert!(refused(|bytes| put64(bytes, 40, 512)).contains("not at the start of a cluster"));
    assert!(refused(|bytes| put64(bytes, 40, !0xffff)).contains("cut off"));
    assert!(refused(|bytes| put32(bytes, 100, u32::MAX)).contains("header of 4294967295 bytes"));
    assert!(refused(|bytes| put32(bytes, 4, 9)).contains("version 9"));
    assert!(refused(|bytes| put32(bytes, 32, 1)).contains("encrypted (AES)"));
    let error = refused(|bytes| {
        put32(bytes, 104, 0x1234);
        put32(bytes, 108, u32::MAX);
    });
    assert!(error.contains("header extension 0x1234 of 4294967295 bytes"), "{error}");
}

#[test]
fn an_unknown_feature_is_refused_by_its_name() {
    let error = refused(|bytes| {
        put64(bytes, 72, 1 << 40 | 1 << 41 | 1);
        put32(bytes, 104, 0x6803_f857);
        put32(bytes, 108, 48);
        bytes[112..114].copy_from_slice(&[0, 40]);
        bytes[114..121].copy_from_slice(b"shuffle");
    });
    assert!(error.contains("'shuffle' (bit 40), bit 41"), "{error}");
}

#[test]
fn a_table_that_leads_to_itself_is_read_as_the_cluster_that_it_says_it_is() {
    let mut bytes = image();
    put64(&mut bytes, 2 << 16, 2 << 16);
    // And the L1 table as its own L2 table, which is its own cluster.
    put64(&mut bytes, 1 << 16, 1 << 16);
    let disk = open(bytes).unwrap();
    read_everything(&*disk.device);
    let mut first = [0; 8];
    disk.device.read_at(0, &mut first).unwrap();
    assert_eq!(u64::from_be_bytes(first), 1 << 16);
}

#[test]
fn tables_and_clusters_beyond_the_file_or_between_clusters_are_errors_of_what_is_there() {
    assert!(unreadable(|bytes| put64(bytes, 1 << 16, 1 << 40)).contains("cut off at byte 262144"));
    assert!(unreadable(|bytes| put64(bytes, 1 << 16, 1 << 10)).contains("not at the start of a cluster"));
    assert!(unreadable(|bytes| put64(bytes, 2 << 16, 1 << 50)).contains("cut off at byte 262144"));
    assert!(unreadable(|bytes| put64(bytes, 2 << 16, 1 << 11)).contains("not at the start of a cluster"));
    assert!(unreadable(|bytes| put64(bytes, 2 << 16, 1 << 62 | 1 << 45)).contains("cut off"));
    let error = unreadable(|bytes| {
        put64(bytes, 2 << 16, 1 << 62 | 3 << 54 | 3 << 16);
        bytes[3 << 16..].fill(0xff);
    });
    assert!(error.contains("packed at byte 196608: deflate"), "{error}");
}

#[test]
fn a_bomb_gives_one_cluster_and_no_more() {
    use std::io::Read as _;
    let mut packed = Vec::new();
    flate2::read::DeflateEncoder::new(io::repeat(7).take(64 << 20), flate2::Compression::best())
        .read_to_end(&mut packed)
        .unwrap();
    packed.truncate(60_000);
    let mut bytes = image();
    bytes[3 << 16..(3 << 16) + packed.len()].copy_from_slice(&packed);
    for cluster in 0..16 {
        put64(&mut bytes, (2 << 16) + cluster * 8, 1 << 62 | 127 << 54 | 3 << 16);
    }
    let disk = open(bytes).unwrap();
    let mut all = vec![0; 1 << 20];
    disk.device.read_at(0, &mut all).unwrap();
    assert!(all.iter().all(|&byte| byte == 7));
}

/// Every name is there, and is the same file: what a folder of an attacker could hold.
struct Everything(Vec<u8>);

impl Siblings for Everything {
    fn open_plain(&self, _name: &[u8]) -> io::Result<Device> {
        Ok(MemoryDevice::shared(self.0.clone()))
    }
}

fn with_backing(name: &[u8]) -> Vec<u8> {
    let mut bytes = image();
    put64(&mut bytes, 8, 512);
    put32(&mut bytes, 16, u32::try_from(name.len()).unwrap());
    bytes[512..512 + name.len()].copy_from_slice(name);
    bytes
}

#[test]
fn a_backing_file_outside_the_folder_is_not_opened() {
    for name in [&b"/etc/passwd"[..], b"../x", b"..", b"a/b", b"json:{\"file\":\"/etc/passwd\"}", b"nbd:host:1"] {
        let error = Disk::open(MemoryDevice::shared(with_backing(name)), &Everything(image())).err().unwrap().to_string();
        assert!(error.contains("not opened"), "{error}");
    }
    let mut bytes = image();
    put64(&mut bytes, 72, 1 << 2);
    put32(&mut bytes, 104, 0x4441_5441);
    put32(&mut bytes, 108, 11);
    bytes[112..123].copy_from_slice(b"/etc/shadow");
    let error = Disk::open(MemoryDevice::shared(bytes), &Everything(image())).err().unwrap().to_string();
    assert!(error.contains("/etc/shadow") && error.contains("not opened"), "{error}");
}

#[test]
fn a_file_that_is_its_own_backing_file_is_found_out() {
    let own = with_backing(b"own");
    let error = Disk::open(MemoryDevice::shared(own.clone()), &Everything(own)).err().unwrap().to_string();
    assert!(error.contains("more than 16 images below each other"), "{error}");
}

#[test]
fn marks_of_damage_and_snapshots_are_told() {
    let mut bytes = image();
    put64(&mut bytes, 72, 3);
    put32(&mut bytes, 60, 2);
    put64(&mut bytes, 48, 77);
    let notes = open(bytes).unwrap().layers[0].notes.join("; ");
    for word in ["not closed cleanly", "marked as corrupt", "2 snapshots", "reference counts is impossible"] {
        assert!(notes.contains(word), "{notes}");
    }
}
