//! Files that no tool would write.

use std::io;

use super::super::fixtures::read_everything;
use super::super::{Device, Disk, MemoryDevice, NoSiblings, Siblings};

/// The names that were asked for are all there.
struct Everything(Vec<u8>);

impl Siblings for Everything {
    fn open_plain(&self, _name: &[u8]) -> io::Result<Device> {
        Ok(MemoryDevice::shared(self.0.clone()))
    }
}

/// A sparse file of 1 MiB: directory in sector 2, one table in sector 4, grains of 64 KiB from sector 128 on.
fn sparse() -> Vec<u8> {
    let mut bytes = vec![0; 256 << 10];
    bytes[..4].copy_from_slice(b"KDMV");
    for (at, value) in [(4, 1), (8, 3), (44, 512)] {
        put32(&mut bytes, at, value);
    }
    put64(&mut bytes, 12, 2048);
    put64(&mut bytes, 20, 128);
    put64(&mut bytes, 56, 2);
    put32(&mut bytes, 1024, 4);
    bytes
}

fn put32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

fn put64(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

fn refused(change: impl Fn(&mut Vec<u8>)) -> String {
    let mut bytes = sparse();
    change(&mut bytes);
    Disk::open(MemoryDevice::shared(bytes), &NoSiblings).err().unwrap().to_string()
}

fn described(text: &str) -> io::Result<Disk> {
    let text = format!("# Disk DescriptorFile\nversion=1\nparentCID=ffffffff\n{text}\n");
    Disk::open(MemoryDevice::shared(text), &Everything(sparse()))
}

#[test]
fn an_extent_outside_the_folder_is_not_opened() {
    for name in ["/etc/shadow", "../x", "sub/x", ".."] {
        for kind in ["FLAT", "SPARSE"] {
            let error = described(&format!("RW 1 {kind} \"{name}\" 0")).err().unwrap().to_string();
            assert!(error.contains("not opened"), "{error}");
        }
    }
}

#[test]
fn impossible_headers_are_refused_before_anything_is_made_of_them() {
    assert!(refused(|bytes| put64(bytes, 20, 0)).contains("grains of 0 sectors"));
    assert!(refused(|bytes| put64(bytes, 20, 1 << 40)).contains("grains of 1099511627776 sectors"));
    assert!(refused(|bytes| put32(bytes, 44, 0)).contains("0 of them in a table"));
    assert!(refused(|bytes| put64(bytes, 12, u64::MAX)).contains("needs 281474976710656 grain tables"));
    assert!(refused(|bytes| put64(bytes, 12, 1 << 36)).contains("cut off"));
    assert!(refused(|bytes| put64(bytes, 56, u64::MAX - 1)).contains("beyond every file"));
    assert!(refused(|bytes| put64(bytes, 56, u64::MAX)).contains("index of a stream-optimised disk is at its end"));
    assert!(refused(|bytes| put32(bytes, 4, 77)).contains("version 77"));
    assert!(refused(|bytes| (put64(bytes, 28, 1), put64(bytes, 36, u64::MAX)).0).contains("descriptor of"));
    let esx = Disk::open(MemoryDevice::shared(*b"COWD    "), &NoSiblings).err().unwrap().to_string();
    assert!(esx.contains("COWD"), "{esx}");
}

#[test]
fn many_files_share_one_bound_of_tables_and_of_files() {
    let mut greedy = sparse();
    put64(&mut greedy, 20, 8);
    put32(&mut greedy, 44, 1);
    put64(&mut greedy, 12, 1 << 30);
    // Room for its directory: holes in a real file.
    greedy.resize(1024 + (4 << 22), 0);
    let text = "RW 16777216 SPARSE \"x\"\n".repeat(3);
    let text = format!("# Disk DescriptorFile\n{text}");
    let error = Disk::open(MemoryDevice::shared(text), &Everything(greedy)).err().unwrap().to_string();
    assert!(error.contains("needs 2097152 grain tables"), "{error}");
    assert!(described(&"RW 1 ZERO\n".repeat(1001)).err().unwrap().to_string().contains("1001 pieces"));
}

#[test]
fn a_grain_that_is_another_ones_or_a_bomb_is_an_error_of_its_bytes_alone() {
    use std::io::Read as _;
    let mut bytes = sparse();
    put32(&mut bytes, 8, 3 | 1 << 16);
    bytes[77] = 1;
    put32(&mut bytes, 2048, 128);
    put32(&mut bytes, 2052, 256);
    put32(&mut bytes, 2056, u32::MAX);
    let mut packed = Vec::new();
    flate2::read::ZlibEncoder::new(io::repeat(7).take(1 << 20), flate2::Compression::best()).read_to_end(&mut packed).unwrap();
    // The first is sound, but for what it holds too much; the second says that it is of another place.
    for at in [128 * 512, 256 * 512] {
        put64(&mut bytes, at, 0);
        put32(&mut bytes, at + 8, u32::try_from(packed.len()).unwrap());
        bytes[at + 12..at + 12 + packed.len()].copy_from_slice(&packed);
    }
    let device = Disk::open(MemoryDevice::shared(bytes), &NoSiblings).unwrap().device;
    let mut grain = vec![0; 64 << 10];
    device.read_at(0, &mut grain).unwrap();
    assert!(grain.iter().all(|&byte| byte == 7));
    let error = |at: u64| device.read_at(at, &mut [0; 8]).unwrap_err().to_string();
    assert!(error(64 << 10).contains("no grain of sector 128 (but 0"), "{}", error(64 << 10));
    assert!(error(128 << 10).contains("cut off"));
    device.read_at(192 << 10, &mut grain).unwrap();
    assert!(grain.iter().all(|&byte| byte == 0));
    read_everything(&*device);
}

#[test]
fn a_flat_piece_that_is_cut_off_is_noted_and_read_as_far_as_it_goes() {
    let disk = described("RW 2048 FLAT \"x\" 0").unwrap();
    assert!(disk.layers[0].notes[0].contains("'x' is cut off at byte 262144"));
    disk.device.read_at(0, &mut [0; 512]).unwrap();
    let error = disk.device.read_at(1 << 19, &mut [0; 512]).unwrap_err().to_string();
    assert!(error.contains("kept at byte 524288") && error.contains("cut off at byte 262144"), "{error}");
}
