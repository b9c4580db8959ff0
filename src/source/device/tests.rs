//! Every format, made by the real tools, holds the same disk; and no damage makes a reader panic or hang.
#![allow(clippy::disallowed_methods, reason = "a test makes and reads files of the host")]

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::fixtures::{Dice, disk, fixture, hash, in_memory, open, read_everything, run, telling, unpack};
use super::{Device, Disk, Format, MemoryDevice, NoSiblings, Siblings};

#[test]
fn every_format_of_the_fixtures_holds_the_disk_they_were_made_of() {
    let Some(made) = fixture("made/containers") else { return };
    let truth = fs::read_to_string(made.join("t.raw.sha256")).unwrap();
    let truth = truth.split_whitespace().next().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let packed = fs::read_dir(&made).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        packed.filter(|path| path.extension().is_some_and(|end| end == "zst")).map(|path| unpack(&path, folder.path())).collect();
    files.sort();
    let mut seen = Vec::new();
    for path in files {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.contains("Sparse-s001") {
            // A piece of a split disk is one by itself here, because there is only one.
            assert_eq!(hash(&*open(&path).unwrap().device), truth, "{name}");
            continue;
        }
        let opened = open(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(opened.device.len(), 96 << 20, "{name}");
        assert_eq!(hash(&*opened.device), truth, "{name}");
        seen.push((opened.layers[0].format, opened.layers.len()));
    }
    for format in [Format::Raw, Format::Qcow2, Format::Vmdk, Format::Vhd, Format::Vhdx] {
        assert!(seen.iter().any(|(seen, _)| *seen == format), "{format:?}");
    }
    assert!(seen.contains(&(Format::Qcow2, 2)), "the one with a backing file");
}

#[test]
fn the_images_of_others_are_recognised_and_hold_their_file_system() {
    let Some(folder) = fixture("containers/dfvfs") else { return };
    for (name, format, at, expected) in [
        ("ext2.qcow2", Format::Qcow2, 1080, &[0x53, 0xef][..]),
        ("ext2.vmdk", Format::Vmdk, 1080, &[0x53, 0xef]),
        ("ext2.vhd", Format::Vhd, 1080, &[0x53, 0xef]),
        ("windows_volume.qcow2", Format::Qcow2, 3, b"NTFS"),
        ("iso9660.raw", Format::Raw, 32769, b"CD001"),
    ] {
        let opened = open(&folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(opened.layers[0].format, format, "{name}");
        let mut found = vec![0; expected.len()];
        opened.device.read_at(at, &mut found).unwrap();
        assert_eq!(found, expected, "{name}");
    }
    // QEMU refuses this one too, by the same words.
    let error = open(&folder.join("image.vhd")).err().unwrap().to_string();
    assert!(error.contains("VHD") && error.contains("checksum"), "{error}");
}

/// Name, and what `qemu-img convert` has to be told.
const MADE: &[(&str, &[&str])] = &[
    ("v2.qcow2", &["-O", "qcow2", "-o", "compat=0.10"]),
    ("v3.qcow2", &["-O", "qcow2"]),
    ("small.qcow2", &["-O", "qcow2", "-o", "cluster_size=512"]),
    ("large.qcow2", &["-O", "qcow2", "-o", "cluster_size=2M"]),
    ("zlib.qcow2", &["-O", "qcow2", "-c"]),
    ("zlib-small.qcow2", &["-O", "qcow2", "-c", "-o", "cluster_size=4K"]),
    ("zlib-large.qcow2", &["-O", "qcow2", "-c", "-o", "cluster_size=2M"]),
    ("zstd.qcow2", &["-O", "qcow2", "-c", "-o", "compression_type=zstd"]),
    ("zstd-large.qcow2", &["-O", "qcow2", "-c", "-o", "compression_type=zstd,cluster_size=2M"]),
    ("extended.qcow2", &["-O", "qcow2", "-o", "extended_l2=on"]),
    ("extended-zlib.qcow2", &["-O", "qcow2", "-c", "-o", "extended_l2=on,cluster_size=16K"]),
    ("data.qcow2", &["-O", "qcow2", "-o", "data_file=data.bin"]),
    ("data-raw.qcow2", &["-O", "qcow2", "-o", "data_file=data-raw.bin,data_file_raw=on"]),
    ("flat.vmdk", &["-O", "vmdk", "-o", "subformat=monolithicFlat"]),
    ("sparse.vmdk", &["-O", "vmdk", "-o", "subformat=monolithicSparse"]),
    ("stream.vmdk", &["-O", "vmdk", "-o", "subformat=streamOptimized"]),
    ("split-flat.vmdk", &["-O", "vmdk", "-o", "subformat=twoGbMaxExtentFlat"]),
    ("split-sparse.vmdk", &["-O", "vmdk", "-o", "subformat=twoGbMaxExtentSparse"]),
    ("fixed.vhd", &["-O", "vpc", "-o", "subformat=fixed,force_size=on"]),
    ("dynamic.vhd", &["-O", "vpc", "-o", "subformat=dynamic,force_size=on"]),
    ("fixed.vhdx", &["-O", "vhdx", "-o", "subformat=fixed"]),
    ("dynamic.vhdx", &["-O", "vhdx", "-o", "block_size=1M"]),
];

#[test]
fn every_format_that_qemu_makes_holds_the_disk_it_was_made_of() {
    let folder = tempfile::tempdir().unwrap();
    let raw = disk(folder.path(), 9);
    let truth = hash(&*super::fixtures::file(&raw));
    for (name, options) in MADE {
        let command = [&["qemu-img", "convert", "-f", "raw"], *options, &["disk.raw", name]].concat();
        if run(folder.path(), &command).is_none() {
            return;
        }
        let opened = open(&folder.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(hash(&*opened.device), truth, "{name}");
        assert_eq!(opened.layers[0].notes, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn several_threads_read_the_same_from_one_reader() {
    let folder = tempfile::tempdir().unwrap();
    let raw = in_memory(&disk(folder.path(), 16));
    for name in ["zlib.qcow2", "stream.vmdk", "dynamic.vhd"] {
        let (_, options) = MADE.iter().find(|(other, _)| *other == name).unwrap();
        if run(folder.path(), &[&["qemu-img", "convert", "-f", "raw"], *options, &["disk.raw", name]].concat()).is_none() {
            return;
        }
        let device = open(&folder.path().join(name)).unwrap().device;
        std::thread::scope(|scope| {
            for seed in 1..5 {
                let (device, raw) = (&device, &raw);
                scope.spawn(move || {
                    let mut dice = Dice(seed * 1_000_003);
                    for _ in 0..300 {
                        let mut buffer = vec![0; dice.below(200_000)];
                        let at = dice.below(raw.len() - buffer.len());
                        device.read_at(at as u64, &mut buffer).unwrap();
                        assert!(buffer == raw[at..at + buffer.len()], "{name}: {} bytes at {at}", buffer.len());
                    }
                });
            }
        });
    }
}

#[test]
fn a_disk_split_in_three_files_is_one_disk() {
    let folder = tempfile::tempdir().unwrap();
    for kind in ["twoGbMaxExtentFlat", "twoGbMaxExtentSparse"] {
        let options = format!("subformat={kind}");
        let Some(_) = run(folder.path(), &["qemu-img", "create", "-f", "vmdk", "-o", &options, "d.vmdk", "5G"]) else { return };
        run(folder.path(), &["qemu-io", "-f", "vmdk", "-c", "write -P 7 2047M 2M", "-c", "write -P 9 5119M 1M", "d.vmdk"]);
        let device = open(&folder.path().join("d.vmdk")).unwrap().device;
        assert_eq!(device.len(), 5 << 30);
        let mut across = vec![0; 4 << 20];
        device.read_at(2046 << 20, &mut across).unwrap();
        assert!(across[..1 << 20].iter().all(|&byte| byte == 0) && across[1 << 20..3 << 20].iter().all(|&byte| byte == 7));
        device.read_at((5 << 30) - 1, &mut across[..1]).unwrap();
        assert_eq!(across[0], 9);
    }
}

#[test]
fn a_chain_of_overlays_reads_what_each_changed_and_zeros_beyond_a_shorter_base() {
    let folder = tempfile::tempdir().unwrap();
    let raw = disk(folder.path(), 4);
    let go = |command: &[&str]| run(folder.path(), command);
    if go(&["qemu-img", "create", "-f", "qcow2", "-b", "disk.raw", "-F", "raw", "one.qcow2"]).is_none() {
        return;
    }
    go(&["qemu-img", "create", "-f", "qcow2", "-o", "extended_l2=on", "-b", "one.qcow2", "-F", "qcow2", "two.qcow2", "6M"]);
    go(&["qemu-io", "-c", "write -P 1 1M 64k", "one.qcow2"]);
    go(&["qemu-io", "-c", "write -P 2 1028k 8k", "-c", "write -z 2M 4k", "two.qcow2"]);
    go(&["qemu-img", "convert", "-O", "raw", "two.qcow2", "truth.raw"]);
    let opened = open(&folder.path().join("two.qcow2")).unwrap();
    assert_eq!(hash(&*opened.device), hash(&*super::fixtures::file(&folder.path().join("truth.raw"))));
    let names: Vec<_> = opened.layers.iter().map(|layer| layer.name.as_deref()).collect();
    assert_eq!(names, [None, Some("one.qcow2"), Some("disk.raw")]);
    // What the guest wrote into a raw disk is not taken for a header.
    let mut bytes = in_memory(&raw);
    bytes[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
    fs::write(&raw, bytes).unwrap();
    assert_eq!(open(&folder.path().join("two.qcow2")).unwrap().layers[2].format, Format::Raw);
}

#[test]
fn a_read_of_many_clusters_is_one_read_of_a_tidy_file() {
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("disk.raw");
    fs::write(&raw, vec![7; 4 << 20]).unwrap();
    if run(folder.path(), &["qemu-img", "convert", "-O", "qcow2", "disk.raw", "d.qcow2"]).is_none() {
        return;
    }
    let counted = Arc::new(super::Counted::new(super::fixtures::file(&folder.path().join("d.qcow2"))));
    let device = Disk::open(Arc::clone(&counted) as Device, &NoSiblings).unwrap().device;
    device.read_at(0, &mut [0]).unwrap();
    let before = counted.counts().reads;
    device.read_at(0, &mut vec![0; 4 << 20]).unwrap();
    assert_eq!(counted.counts().reads, before + 1);
}

#[test]
fn formats_that_are_not_read_are_named_with_advice() {
    let folder = tempfile::tempdir().unwrap();
    disk(folder.path(), 1);
    for (format, word) in [("vdi", "VDI"), ("qed", "QED"), ("parallels", "Parallels"), ("qcow", "qcow (version 1)")] {
        if run(folder.path(), &["qemu-img", "convert", "-O", format, "disk.raw", "x"]).is_none() {
            return;
        }
        let error = open(&folder.path().join("x")).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        assert!(error.to_string().contains(word) && error.to_string().contains("convert"), "{error}");
    }
    let secret = ["--object", "secret,id=s,data=x", "-o", "encrypt.format=luks,encrypt.key-secret=s"];
    run(folder.path(), &[&["qemu-img", "create", "-f", "qcow2"], &secret[..], &["e.qcow2", "1M"]].concat());
    assert!(open(&folder.path().join("e.qcow2")).err().unwrap().to_string().contains("encrypted (LUKS)"));
    run(folder.path(), &["qemu-img", "create", "-f", "vpc", "p.vhd", "1M"]);
    let mut bytes = in_memory(&folder.path().join("p.vhd"));
    let end = bytes.len() - 512;
    for at in [0, end] {
        bytes[at + 63] = 4;
        bytes[at + 67] = bytes[at + 67].wrapping_sub(1);
    }
    let error = Disk::open(MemoryDevice::shared(bytes), &NoSiblings).err().unwrap();
    assert!(error.to_string().contains("differencing"), "{error}");
    run(folder.path(), &["qemu-img", "create", "-f", "vmdk", "base.vmdk", "1M"]);
    run(folder.path(), &["qemu-img", "create", "-f", "vmdk", "-b", "base.vmdk", "-F", "vmdk", "snap.vmdk"]);
    assert!(open(&folder.path().join("snap.vmdk")).err().unwrap().to_string().contains("snapshot"));
}

#[test]
fn a_vhdx_with_a_log_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    if run(folder.path(), &["qemu-img", "create", "-f", "vhdx", "d.vhdx", "4M"]).is_none() {
        return;
    }
    let mut bytes = in_memory(&folder.path().join("d.vhdx"));
    for at in [64 << 10, 128 << 10] {
        bytes[at + 48] = 1;
        bytes[at + 4..at + 8].fill(0);
        let sum = crc32c::crc32c(&bytes[at..at + 4096]);
        bytes[at + 4..at + 8].copy_from_slice(&sum.to_le_bytes());
    }
    let error = Disk::open(MemoryDevice::shared(bytes), &NoSiblings).err().unwrap().to_string();
    assert!(error.contains("log") && error.contains("not closed"), "{error}");
}

#[test]
fn a_download_that_was_cut_off_says_where_and_keeps_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    disk(folder.path(), 4);
    for (name, options) in [("d.qcow2", "qcow2"), ("d.vmdk", "vmdk"), ("d.vhd", "vpc"), ("d.vhdx", "vhdx")] {
        let sizes = if options == "vhdx" { &["-o", "block_size=1M"][..] } else { &[] };
        let command = [&["qemu-img", "convert", "-O", options], sizes, &["disk.raw", name]].concat();
        if run(folder.path(), &command).is_none() {
            return;
        }
        let path = folder.path().join(name);
        let cut = in_memory(&path).len() - (1 << 20);
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(cut as u64).unwrap();
        let device = open(&path).unwrap_or_else(|error| panic!("{name}: {error}")).device;
        device.read_at(0, &mut vec![0; 1 << 20]).unwrap();
        let mut errors = (0..64).filter_map(|part| device.read_at(part << 16, &mut vec![0; 1 << 16]).err());
        let error = errors.next().unwrap_or_else(|| panic!("{name}"));
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert!(error.to_string().contains(&format!("cut off at byte {cut}")), "{name}: {error}");
    }
    run(folder.path(), &["qemu-img", "convert", "-O", "vmdk", "-o", "subformat=streamOptimized", "disk.raw", "s.vmdk"]);
    // QEMU goes back to write where the index is; VMware leaves that open, and repeats the header between two markers at the end.
    let mut bytes = in_memory(&folder.path().join("s.vmdk"));
    let header = bytes[..512].to_vec();
    bytes[56..64].fill(0xff);
    bytes.extend([vec![0; 512], header, vec![0; 512]].concat());
    let whole = Disk::open(MemoryDevice::shared(bytes.clone()), &NoSiblings).unwrap();
    assert_eq!(hash(&*whole.device), hash(&*super::fixtures::file(&folder.path().join("disk.raw"))));
    let error = Disk::open(MemoryDevice::shared(&bytes[..bytes.len() / 2]), &NoSiblings).err().unwrap().to_string();
    assert!(error.contains("index of a stream-optimised disk is at its end"), "{error}");
}

/// Files beside an image, in memory.
struct Beside(Vec<(String, Vec<u8>)>);

impl Siblings for Beside {
    fn open_plain(&self, name: &[u8]) -> io::Result<Device> {
        let found = self.0.iter().find(|(other, _)| other.as_bytes() == name);
        found.map(|(_, bytes)| MemoryDevice::shared(bytes.clone())).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// Makes an image of every format and damages it, over and over.
fn mutate(folder: &Path, rounds: usize) {
    disk(folder, 1);
    let mut opened = 0;
    for (name, options) in MADE {
        let command = [&["qemu-img", "convert", "-f", "raw"], *options, &["disk.raw", name]].concat();
        if run(folder, &command).is_none() {
            return;
        }
        let bytes = in_memory(&folder.join(name));
        if bytes.len() > 12 << 20 {
            continue;
        }
        // Headers and tables are at the start; grains and footers are not.
        let mut places = telling(&bytes);
        places.truncate(6000);
        places.extend((bytes.len() - 1024.min(bytes.len())..bytes.len()).filter(|_| true));
        let beside = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let beside = beside.filter(|path| path.extension().is_some_and(|end| end == "bin" || end == "vmdk"));
        let beside =
            Beside(beside.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), in_memory(&path))).collect());
        let mut dice = Dice(name.len() as u64 * 7919 + 1);
        for _ in 0..rounds {
            if let Ok(disk) = Disk::open(MemoryDevice::shared(dice.damage(&bytes, &places)), &beside) {
                opened += 1;
                read_everything(&*disk.device);
            }
        }
    }
    assert!(opened > rounds, "most damage leaves something to read");
}

#[test]
fn damage_of_any_format_is_an_error_and_nothing_worse() {
    mutate(tempfile::tempdir().unwrap().path(), 150);
}

#[test]
#[ignore = "takes minutes"]
fn much_damage_of_any_format_is_an_error_and_nothing_worse() {
    mutate(tempfile::tempdir().unwrap().path(), 2000);
}
