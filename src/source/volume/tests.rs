//! Disks made by the real tools, and disks that no tool would make.
#![allow(clippy::disallowed_methods, reason = "a test makes and reads files of the host")]

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::lvm::crc32;
use super::{Kind, Survey, Volume, survey};
use crate::source::device::fixtures::{Dice, file, fixture, hash, in_memory, open, read_everything, run, telling, unpack};
use crate::source::device::{Device, MemoryDevice};

const MIB: u64 = 1 << 20;

fn empty(folder: &Path, name: &str, size: u64) {
    fs::File::create(folder.join(name)).unwrap().set_len(size).unwrap();
}

fn look(folder: &Path, name: &str) -> Survey {
    survey(&[file(&folder.join(name))])
}

/// Copies a file system's image into a disk.
fn put(folder: &Path, from: &str, to: &str, at: u64) {
    let bytes = in_memory(&folder.join(from));
    fs::OpenOptions::new().write(true).open(folder.join(to)).unwrap().write_all_at(&bytes, at).unwrap();
}

fn told(volumes: &[&Volume]) -> Vec<String> {
    volumes.iter().map(|volume| format!("{} {:?} {}", volume.name, volume.content.kind, volume.size >> 20)).collect()
}

#[test]
fn a_gpt_of_sgdisk_is_read_with_its_names_and_uuids() {
    let folder = tempfile::tempdir().unwrap();
    let go = |command: &[&str]| run(folder.path(), command);
    empty(folder.path(), "d", 64 * MIB);
    let uuid = "0FC63DAF-1111-2222-3333-444455556666";
    let unique = format!("-u3:{uuid}");
    let parts = ["-n1:2048:+10M", "-c1:EFI System", "-n3:0:+16M", "-c3:p.lxroot größe", &unique, "-n128:0:+1M"];
    if go(&[&["sgdisk"], &parts[..], &["d"]].concat()).is_none() {
        return;
    }
    empty(folder.path(), "fat", 10 * MIB);
    empty(folder.path(), "ext", 16 * MIB);
    go(&["mkfs.vfat", "-n", "EFI", "-i", "1234ABCD", "fat"]);
    go(&["mkfs.ext4", "-q", "-L", "root", "-U", "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "ext"]);
    put(folder.path(), "fat", "d", MIB);
    put(folder.path(), "ext", "d", 11 * MIB);
    let survey = look(folder.path(), "d");
    assert_eq!(survey.disks[0].notes, Vec::<String>::new());
    let volumes = survey.volumes();
    assert_eq!(told(&volumes), ["partition 1 Fat 10", "partition 3 Ext 16", "partition 128 Unknown 1"]);
    assert_eq!(volumes[1].partuuid.as_deref(), Some(&*uuid.to_lowercase()));
    assert_eq!(volumes[1].partlabel.as_deref(), Some("p.lxroot größe"));
    assert_eq!(volumes[1].content.uuid.as_deref(), Some("aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"));
    assert_eq!((volumes[1].content.label.as_deref(), volumes[1].content.variant), (Some("root"), Some("ext4")));
    assert_eq!((volumes[0].content.uuid.as_deref(), volumes[0].content.label.as_deref()), (Some("1234-ABCD"), Some("EFI")));
    assert_eq!(hash(&**volumes[0].device.as_ref().unwrap()), hash(&*file(&folder.path().join("fat"))));
    let json = serde_json::to_value(&survey).unwrap();
    assert_eq!(json["disks"][0]["below"][1]["partlabel"], "p.lxroot größe");

    // The first copy broken, or cut off with the end.
    let mut bytes = in_memory(&folder.path().join("d"));
    bytes[600] ^= 1;
    let broken = super::survey(&[MemoryDevice::shared(bytes.clone())]);
    assert_eq!(broken.volumes().len(), 3);
    assert!(broken.disks[0].notes[0].contains("checksum") && broken.disks[0].notes[0].contains("backup table is used"));
    bytes[600] ^= 1;
    bytes[1024 + 56] ^= 1;
    assert_eq!(super::survey(&[MemoryDevice::shared(bytes.clone())]).volumes()[0].partlabel.as_deref(), Some("EFI System"));
    bytes[1024 + 56] ^= 1;
    let cut = super::survey(&[MemoryDevice::shared(&bytes[..20 << 20])]);
    assert!(cut.disks[0].notes[0].contains("the disk ends at byte 20971520: cut off"), "{:?}", cut.disks[0].notes);
    assert!(cut.volumes()[1].notes[0].contains("ends at byte 28311552, the disk at byte 20971520: cut off"));
    assert_eq!(cut.volumes()[1].content.kind, Kind::Ext);
    // Both broken.
    let end = bytes.len() - 512;
    bytes[600] ^= 1;
    bytes[end + 88] ^= 1;
    let lost = super::survey(&[MemoryDevice::shared(bytes)]);
    assert!(lost.disks[0].trouble.as_ref().unwrap().contains("GPT: the first table"), "{:?}", lost.disks[0].trouble);
}

#[test]
fn a_gpt_with_sectors_of_4096_bytes_is_read() {
    let folder = tempfile::tempdir().unwrap();
    empty(folder.path(), "d", 64 * MIB);
    let parts = ["mklabel", "gpt", "mkpart", "one", "1MiB", "21MiB", "mkpart", "two", "30MiB", "50MiB"];
    if run(folder.path(), &[&["env", "PARTED_SECTOR_SIZE=4096", "parted", "-s", "d"], &parts[..]].concat()).is_none() {
        return;
    }
    assert_eq!(&in_memory(&folder.path().join("d"))[4096..4104], b"EFI PART");
    let survey = look(folder.path(), "d");
    assert_eq!(told(&survey.volumes()), ["partition 1 Unknown 20", "partition 2 Unknown 20"]);
    assert_eq!(survey.volumes()[1].partlabel.as_deref(), Some("two"));
}

#[test]
fn an_mbr_with_logical_partitions_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let go = |command: &[&str]| run(folder.path(), command);
    empty(folder.path(), "d", 64 * MIB);
    let script = "label: dos\nlabel-id: 0x1234abcd\nstart=1MiB, size=8MiB, type=83\nstart=10MiB, size=50MiB, type=5\n\
                  start=11MiB, size=8MiB, type=83\nstart=20MiB, size=8MiB, type=82\nstart=30MiB, size=8MiB, type=83\n";
    fs::write(folder.path().join("script"), script).unwrap();
    if go(&["sh", "-c", "sfdisk -q d < script"]).is_none() {
        return;
    }
    empty(folder.path(), "ext", 8 * MIB);
    empty(folder.path(), "swap", 8 * MIB);
    go(&["mkfs.ext2", "-q", "-L", "seven", "ext"]);
    go(&["mkswap", "-q", "-L", "sw", "swap"]);
    put(folder.path(), "swap", "d", 20 * MIB);
    put(folder.path(), "ext", "d", 30 * MIB);
    let survey = look(folder.path(), "d");
    let volumes = survey.volumes();
    assert_eq!(told(&volumes), ["partition 1 Unknown 8", "partition 5 Unknown 8", "partition 6 Swap 8", "partition 7 Ext 8"]);
    assert_eq!(volumes[3].partuuid.as_deref(), Some("1234abcd-07"));
    assert_eq!((volumes[3].content.variant, volumes[3].content.label.as_deref()), (Some("ext2"), Some("seven")));
    assert_eq!(volumes[2].content.label.as_deref(), Some("sw"));

    // A chain that leads back to its first table.
    let mut bytes = in_memory(&folder.path().join("d"));
    let second = 10 << 20;
    bytes[second + 446 + 16 + 8..second + 446 + 16 + 12].fill(0);
    let circle = super::survey(&[MemoryDevice::shared(bytes)]);
    assert!(circle.disks[0].notes[0].contains("lead back to sector 20480"), "{:?}", circle.disks[0].notes);
    assert_eq!(circle.volumes().len(), 2);
}

#[test]
fn an_mbr_of_sectors_of_4096_bytes_is_told_by_what_is_in_its_partitions() {
    let folder = tempfile::tempdir().unwrap();
    empty(folder.path(), "d", 32 * MIB);
    empty(folder.path(), "ext", 8 * MIB);
    if run(folder.path(), &["mkfs.ext4", "-q", "-L", "large", "ext"]).is_none() {
        return;
    }
    put(folder.path(), "ext", "d", 4 * MIB);
    let mut bytes = in_memory(&folder.path().join("d"));
    bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
    bytes[450] = 0x83;
    bytes[454..458].copy_from_slice(&1024_u32.to_le_bytes());
    bytes[458..462].copy_from_slice(&2048_u32.to_le_bytes());
    let survey = survey(&[MemoryDevice::shared(bytes)]);
    assert_eq!(told(&survey.volumes()), ["partition 1 Ext 8"]);
}

#[test]
fn a_chain_of_very_many_logical_partitions_ends() {
    let mut bytes = vec![0; 2 << 20];
    for number in 0..4000 {
        let at = number * 512;
        bytes[at + 510..at + 512].copy_from_slice(&[0x55, 0xaa]);
        let row = |bytes: &mut Vec<u8>, row: usize, kind: u8, first: usize| {
            let at = at + 446 + row * 16;
            bytes[at + 4] = kind;
            bytes[at + 8..at + 12].copy_from_slice(&u32::try_from(first).unwrap().to_le_bytes());
            bytes[at + 12] = 1;
        };
        if number > 0 {
            row(&mut bytes, 0, 0x83, 1);
        }
        row(&mut bytes, 1, 5, if number == 0 { 1 } else { number });
    }
    let survey = survey(&[MemoryDevice::shared(bytes)]);
    assert_eq!(survey.volumes().len(), 256);
    assert!(survey.disks[0].notes.iter().any(|note| note.contains("more than 256 partitions")));
}

#[test]
fn a_gpt_of_four_billion_entries_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    empty(folder.path(), "d", 8 * MIB);
    if run(folder.path(), &["sgdisk", "-n1:2048:+1M", "d"]).is_none() {
        return;
    }
    let mut bytes = in_memory(&folder.path().join("d"));
    let end = bytes.len() - 512;
    for at in [512, end] {
        bytes[at + 80..at + 84].fill(0xff);
        bytes[at + 16..at + 20].fill(0);
        let sum = !crc32(!0, &bytes[at..at + 92]);
        bytes[at + 16..at + 20].copy_from_slice(&sum.to_le_bytes());
    }
    let trouble = survey(&[MemoryDevice::shared(bytes)]).disks[0].trouble.clone().unwrap();
    assert!(trouble.contains("a table of 4294967295 entries of 128 bytes"), "{trouble}");
}

#[test]
fn what_is_not_read_is_named_with_advice() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("tree")).unwrap();
    fs::write(folder.path().join("tree/file"), "x").unwrap();
    let made: &[(&str, Kind, &[&str])] = &[
        (
            "luks1",
            Kind::Luks,
            &["sh", "-c", "echo x | cryptsetup luksFormat -q --type luks1 --pbkdf-force-iterations 1000 luks1"],
        ),
        (
            "luks2",
            Kind::Luks,
            &[
                "sh",
                "-c",
                "echo x | cryptsetup luksFormat -q --type luks2 --label lu --pbkdf pbkdf2 --pbkdf-force-iterations 1000 luks2",
            ],
        ),
        ("squash", Kind::Squashfs, &["sh", "-c", "rm squash; mksquashfs tree squash -quiet"]),
        ("btrfs", Kind::Btrfs, &["mkfs.btrfs", "-q", "-L", "bt", "btrfs"]),
        ("erofs", Kind::Erofs, &["mkfs.erofs", "erofs", "tree"]),
        ("ntfs", Kind::Ntfs, &["mkntfs", "-q", "-F", "-Q", "ntfs"]),
        ("swap", Kind::Swap, &["mkswap", "-q", "-L", "sw", "swap"]),
        ("xfs", Kind::Xfs, &["mkfs.xfs", "-q", "-L", "xl", "xfs"]),
        ("ext3", Kind::Ext, &["mkfs.ext3", "-q", "-L", "e3", "ext3"]),
        ("fat32", Kind::Fat, &["mkfs.vfat", "-F", "32", "-n", "F32", "fat32"]),
    ];
    for (name, kind, command) in made {
        empty(folder.path(), name, if *name == "xfs" { 320 * MIB } else { 128 * MIB });
        if run(folder.path(), command).is_none() {
            continue;
        }
        let survey = look(folder.path(), name);
        let disk = &survey.disks[0];
        assert_eq!(disk.content.kind, *kind, "{name}");
        assert!(disk.below.is_empty(), "{name}");
        assert_eq!(disk.trouble.is_some(), kind.refusal().is_some(), "{name}");
        // What blkid says of it.
        let Some(said) = run(folder.path(), &["blkid", "-p", "-o", "export", name]) else { continue };
        let field = |key: &str| said.lines().find_map(|line| line.strip_prefix(key)).map(str::to_owned);
        assert_eq!(disk.content.uuid, field("UUID="), "{name}: {said}");
        assert_eq!(disk.content.label, field("LABEL="), "{name}: {said}");
    }
    let survey = look(folder.path(), "luks2");
    assert!(survey.disks[0].trouble.as_ref().unwrap().contains("cryptsetup open"));
}

#[test]
fn a_member_of_a_raid_is_named_and_not_taken_for_its_file_system() {
    let folder = tempfile::tempdir().unwrap();
    empty(folder.path(), "d", 64 * MIB);
    if run(folder.path(), &["mkfs.ext4", "-q", "d"]).is_none() {
        return;
    }
    for at in [0_u64, 4096, 64 * MIB - (8 << 10), 64 * MIB - (64 << 10)] {
        let mut bytes = in_memory(&folder.path().join("d"));
        let at = usize::try_from(at).unwrap();
        bytes[at..at + 4].copy_from_slice(&0xa92b_4efc_u32.to_le_bytes());
        bytes[at + 4] = 1;
        assert_eq!(survey(&[MemoryDevice::shared(bytes)]).disks[0].content.kind, Kind::RaidMember, "{at}");
    }
}

#[test]
fn the_mark_of_a_file_system_outside_all_partitions_is_left_over_and_said_to_be() {
    let folder = tempfile::tempdir().unwrap();
    empty(folder.path(), "d", 64 * MIB);
    if run(folder.path(), &["mkfs.ext4", "-q", "d"]).is_none() {
        return;
    }
    fs::write(folder.path().join("script"), "label: dos\nstart=1MiB, size=8MiB, type=83\n").unwrap();
    run(folder.path(), &["sh", "-c", "sfdisk -q --wipe never d < script"]);
    let survey = look(folder.path(), "d");
    assert_eq!(survey.volumes().len(), 1);
    assert!(survey.disks[0].notes[0].contains("left over"), "{:?}", survey.disks[0].notes);
}

/// A physical volume as pvcreate makes it, with this text: label in the second sector, area from 4 KiB to 1 MiB, data after it.
fn physical(id: &str, text: &str, size: u64) -> Vec<u8> {
    const START: u32 = 0xf597_a6cf;
    let mut bytes = vec![0; usize::try_from(size).unwrap()];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(512, b"LABELONE");
    put(520, &1_u64.to_le_bytes());
    put(532, &32_u32.to_le_bytes());
    put(536, b"LVM2 001");
    put(544, id.replace('-', "").as_bytes());
    for (at, value) in [(576, size), (584, MIB), (616, 4096), (624, MIB - 4096)] {
        put(at, &value.to_le_bytes());
    }
    // The text goes round the end of the area.
    let area = 4096;
    let room = usize::try_from(MIB).unwrap() - area;
    let text = [text.as_bytes(), b"\0"].concat();
    let first = room - text.len() / 2;
    let (before, after) = text.split_at(room - first);
    put(area + first, before);
    put(area + 512, after);
    put(area + 4, b" LVM2 x[5A%r0N*>");
    put(area + 20, &1_u32.to_le_bytes());
    for (at, value) in [(24, area), (32, room), (40, first), (48, text.len())] {
        put(area + at, &(value as u64).to_le_bytes());
    }
    put(area + 56, &crc32(START, &text).to_le_bytes());
    let sum = crc32(START, &bytes[area + 4..area + 512]);
    bytes[area..area + 4].copy_from_slice(&sum.to_le_bytes());
    let sum = crc32(START, &bytes[532..1024]);
    bytes[528..532].copy_from_slice(&sum.to_le_bytes());
    bytes
}

const FIRST: &str = "aaaaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaaaa";
const SECOND: &str = "bbbbbb-bbbb-bbbb-bbbb-bbbb-bbbb-bbbbbb";

/// A group of two physical volumes of 15 extents of 1 MiB.
fn group(logical: &str, sequence: u32) -> String {
    let physical = |name: &str, id: &str| {
        format!("{name} {{\nid = \"{id}\"\ndevice = \"/dev/sd{name}\" # Hint\npe_start = 2048\npe_count = 15\n}}\n")
    };
    let (first, second) = (physical("pv0", FIRST), physical("pv1", SECOND));
    format!(
        "contents = \"Text Format Volume Group\"\nversion = 1\nvg-1 {{\nid = \"cccccc-cccc-cccc-cccc-cccc-cccc-cccccc\"\nseqno = {sequence}\n\
         extent_size = 2048 # 1 Megabytes\nphysical_volumes {{\n{first}{second}}}\nlogical_volumes {{\n{logical}}}\n}}\n"
    )
}

fn logical(name: &str, segments: &[&str]) -> String {
    let numbered = segments.iter().enumerate();
    let segments: String =
        numbered.fold(String::new(), |all, (number, text)| all + &format!("segment{} {{\n{text}\n}}\n", number + 1));
    format!("{name} {{\nid = \"{FIRST}\"\nstatus = [\"READ\", \"WRITE\", \"VISIBLE\"]\nsegment_count = 1\n{segments}}}\n")
}

fn striped(start: u64, count: u64, stripes: &[(&str, u64)]) -> String {
    let list: Vec<_> = stripes.iter().map(|(name, at)| format!("\"{name}\", {at}")).collect();
    format!(
        "start_extent = {start}\nextent_count = {count}\ntype = \"striped\"\nstripe_count = {}\nstripe_size = 128\nstripes = [\n{}\n]",
        stripes.len(),
        list.join(",\n")
    )
}

fn pair(text: &str) -> Vec<Device> {
    [FIRST, SECOND].iter().map(|id| MemoryDevice::shared(physical(id, text, 16 * MIB))).collect()
}

/// The one volume of a group of two sound physical volumes.
fn only(segments: &[&str]) -> Volume {
    survey(&pair(&group(&logical("x", segments), 1))).groups[0].volumes[0].clone()
}

#[test]
fn the_group_of_the_fixture_holds_the_volumes_that_lvm_put_there() {
    let Some(made) = fixture("made/lvm") else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = unpack(&made.join("lvm-2seg-xfs.raw.zst"), folder.path());
    let survey = survey(&[file(&path)]);
    let group = &survey.groups[0];
    assert_eq!((&*group.name, &*group.uuid), ("rhel", "dhfEgM-lCsU-oMT4-dOou-WGRs-optj-fU52oF"));
    assert_eq!(told(&group.volumes.iter().collect::<Vec<_>>()), ["rhel/root Xfs 320", "rhel/var Unknown 20"]);
    let truth = fs::read_to_string(made.join("root-lv.sha256")).unwrap();
    assert_eq!(hash(&**group.volumes[0].device.as_ref().unwrap()), truth.split_whitespace().next().unwrap());
    assert_eq!(group.volumes[0].lvm.as_ref().unwrap().mapper, "rhel-root");
    assert_eq!(survey.disks[0].content.uuid.as_deref(), Some("ryHimR-KcYH-6TGV-NZTE-iPKS-LWNK-wnIYd6"));
}

#[test]
fn a_logical_volume_is_the_same_through_a_compressed_container() {
    let Some(made) = fixture("made/lvm") else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = unpack(&made.join("lvm-2seg-xfs.raw.zst"), folder.path());
    let from = path.to_str().unwrap();
    if run(folder.path(), &["qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", from, "d.qcow2"]).is_none() {
        return;
    }
    let disk = open(&folder.path().join("d.qcow2")).unwrap();
    let survey = survey(&[disk.device]);
    let truth = fs::read_to_string(made.join("root-lv.sha256")).unwrap();
    assert_eq!(hash(&**survey.groups[0].volumes[0].device.as_ref().unwrap()), truth.split_whitespace().next().unwrap());
}

#[test]
fn a_volume_on_two_disks_is_put_together_linear_and_striped() {
    let text = group(&logical("lin-ear", &[&striped(0, 3, &[("pv1", 2)]), &striped(3, 4, &[("pv0", 5), ("pv1", 5)])]), 1);
    let mut disks: Vec<Vec<u8>> = [FIRST, SECOND].iter().map(|id| physical(id, &text, 16 * MIB)).collect();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("pv"), &disks[0]).unwrap();
    // LVM's own tool reads what this test made.
    if let Some(said) = run(folder.path(), &["pvck", "--dump", "metadata", "pv"]) {
        assert!(said.contains("lin-ear") && said.contains("stripe_size = 128"), "{said}");
    }
    let mut dice = Dice(7);
    for disk in &mut disks {
        disk[1 << 20..].iter_mut().for_each(|byte| *byte = u8::try_from(dice.below(256)).unwrap());
    }
    let extent = |disk: usize, number: usize| disks[disk][(number + 1) << 20..(number + 2) << 20].to_vec();
    let mut truth = [extent(1, 2), extent(1, 3), extent(1, 4)].concat();
    let (left, right) = ([extent(0, 5), extent(0, 6)].concat(), [extent(1, 5), extent(1, 6)].concat());
    for (left, right) in left.chunks(64 << 10).zip(right.chunks(64 << 10)) {
        truth.extend_from_slice(left);
        truth.extend_from_slice(right);
    }
    let devices: Vec<_> = disks.iter().map(|disk| MemoryDevice::shared(disk.clone())).collect();
    let survey = survey(&devices);
    let volume = &survey.groups[0].volumes[0];
    assert_eq!((&*volume.name, &*volume.lvm.as_ref().unwrap().mapper, volume.size), ("vg-1/lin-ear", "vg--1-lin--ear", 7 * MIB));
    assert_eq!(hash(&**volume.device.as_ref().unwrap()), hash(&*MemoryDevice::shared(truth)));
    // Without one of its disks.
    let alone = super::survey(&devices[..1]);
    assert!(alone.groups[0].missing[0].contains(&format!("{SECOND} (was /dev/sdpv1; missing)")), "{:?}", alone.groups[0].missing);
    let trouble = alone.groups[0].volumes[0].trouble.as_ref().unwrap();
    assert!(trouble.contains("not here") && trouble.contains(SECOND), "{trouble}");
    // With two that claim to be the same.
    let twice = super::survey(&[devices[0].clone(), devices[0].clone(), devices[1].clone()]);
    assert!(twice.groups[0].volumes[0].trouble.as_ref().unwrap().contains("two volumes have this identifier"));
}

#[test]
fn of_two_texts_of_a_group_the_later_counts() {
    let old = group(&logical("old", &[&striped(0, 1, &[("pv0", 0)])]), 1);
    let new = group(&logical("new", &[&striped(0, 1, &[("pv0", 0)])]), 2);
    let devices = [MemoryDevice::shared(physical(FIRST, &old, 16 * MIB)), MemoryDevice::shared(physical(SECOND, &new, 16 * MIB))];
    assert_eq!(survey(&devices).groups[0].volumes[0].name, "vg-1/new");
}

#[test]
fn volumes_of_other_kinds_are_named_and_refused() {
    for kind in ["thin", "thin-pool", "mirror", "raid1", "raid5", "cache", "writecache", "vdo", "snapshot", "error", "zero"] {
        let segment = format!("start_extent = 0\nextent_count = 2\ntype = \"{kind}\"\n");
        let volume = only(&[&segment]);
        assert!(volume.device.is_none());
        assert!(volume.trouble.as_ref().unwrap().contains(&format!("'{kind}'")), "{:?}", volume.trouble);
    }
    let snapshot = "s0 {\nstatus = [\"READ\"]\nsegment1 {\nstart_extent = 0\nextent_count = 1\ntype = \"snapshot\"\norigin = \"x\"\ncow_store = \"cow\"\n}\n}\n";
    let all = logical("x", &[&striped(0, 1, &[("pv0", 0)])]) + &logical("cow", &[&striped(0, 1, &[("pv0", 1)])]) + snapshot;
    let survey = survey(&pair(&group(&all, 1)));
    let [origin, store] = &survey.groups[0].volumes[..] else { panic!() };
    assert!(origin.device.is_some());
    assert!(store.trouble.as_ref().unwrap().contains("snapshot"));
}

#[test]
fn impossible_maps_are_refused() {
    let trouble = |segments: &[&str]| only(segments).trouble.unwrap();
    let one = |start, count, at| striped(start, count, &[("pv0", at)]);
    assert!(trouble(&[&one(0, 2, 0), &one(1, 2, 4)]).contains("overlap at byte 1048576"));
    assert!(trouble(&[&one(0, 2, 0), &one(3, 2, 4)]).contains("leave a gap at byte 2097152"));
    assert!(trouble(&[&one(0, 2, 14)]).contains("beyond the 15 of 'pv0'"));
    assert!(trouble(&[&one(0, i64::MAX as u64, 0)]).contains("beyond"));
    assert!(trouble(&[&one(0, 2, i64::MAX as u64)]).contains("beyond"));
    assert!(trouble(&[&one(i64::MAX as u64, 1, 0)]).contains("beyond"));
    assert!(trouble(&[&one(0, 0, 0)]).contains("0 extents"));
    assert!(trouble(&[&striped(0, 2, &[("x", 0)])]).contains("'x', which is no physical volume"));
    assert!(trouble(&[&striped(0, 3, &[("pv0", 0), ("pv1", 0)])]).contains("3 extents on 2 stripes"));
    assert!(trouble(&[&striped(0, 2, &[("pv0", 0), ("pv1", 0)]).replace("128", "100")]).contains("stripes of 51200 bytes"));
    assert!(trouble(&[&striped(0, 2, &[("pv0", 0), ("pv1", 0)]).replace("128", "0")]).contains("stripes of 0 bytes"));
    assert!(trouble(&[]).contains("no segments"));
    let both = logical("a", &[&one(0, 3, 0)]) + &logical("b", &[&one(0, 3, 2)]);
    assert!(survey(&pair(&group(&both, 1))).groups[0].notes[0].contains("'a' and 'b' are kept at the same place"));
}

#[test]
fn a_text_that_is_not_sound_is_told_where_it_is() {
    let mut bytes = physical(FIRST, &group("", 1), 2 * MIB);
    bytes[4096 + 512] ^= 1;
    let found = survey(&[MemoryDevice::shared(bytes)]);
    assert!(found.disks[0].notes[0].contains("text is not sound (checksum)"), "{:?}", found.disks[0].notes);
    assert!(found.disks[0].trouble.as_ref().unwrap().contains("no volume group"));
    let found = survey(&[MemoryDevice::shared(physical(FIRST, "vg {\n extent_size = ?\n}", 2 * MIB))]);
    assert!(found.disks[0].trouble.as_ref().unwrap().contains("line 2 is not understood"));
    let mut bytes = physical(FIRST, &group("", 1), 2 * MIB);
    bytes[600] ^= 1;
    assert!(survey(&[MemoryDevice::shared(bytes)]).disks[0].trouble.as_ref().unwrap().contains("label is not sound"));
}

fn mutate(rounds: usize) {
    let folder = tempfile::tempdir().unwrap();
    empty(folder.path(), "gpt", 4 * MIB);
    empty(folder.path(), "mbr", 4 * MIB);
    let script = "label: dos\nsize=512KiB, type=83\nsize=2MiB, type=5\nsize=256KiB, type=83\nsize=256KiB, type=83\n";
    fs::write(folder.path().join("script"), script).unwrap();
    run(folder.path(), &["sgdisk", "-n1:2048:+512K", "-n2:0:0", "gpt"]);
    run(folder.path(), &["sh", "-c", "sfdisk -q mbr < script"]);
    let text = group(&logical("x", &[&striped(0, 2, &[("pv0", 2)]), &striped(2, 4, &[("pv0", 5), ("pv1", 5)])]), 1);
    let lvm = physical(FIRST, &text, 2 * MIB);
    let other = MemoryDevice::shared(physical(SECOND, "", 2 * MIB));
    let disks = [in_memory(&folder.path().join("gpt")), in_memory(&folder.path().join("mbr")), lvm];
    let mut dice = Dice(99);
    for bytes in disks {
        let places = telling(&bytes);
        for _ in 0..rounds {
            let mut damaged = dice.damage(&bytes, &places);
            mend(&mut damaged);
            let survey = survey(&[MemoryDevice::shared(damaged), other.clone()]);
            assert!(survey.volumes().len() <= 300);
            survey.volumes().iter().filter_map(|volume| volume.device.as_ref()).for_each(|device| read_everything(&**device));
        }
    }
}

/// Makes the checksums hold again, so that what is behind them is reached.
fn mend(bytes: &mut [u8]) {
    if bytes.len() < 1 << 20 {
        return;
    }
    if &bytes[512..520] == b"EFI PART" {
        let sum = !crc32(!0, &bytes[1024..1024 + 128 * 128]);
        bytes[512 + 88..512 + 92].copy_from_slice(&sum.to_le_bytes());
        bytes[528..532].fill(0);
        let sum = !crc32(!0, &bytes[512..604]);
        bytes[528..532].copy_from_slice(&sum.to_le_bytes());
    } else if &bytes[512..520] == b"LABELONE" {
        let number = |at: usize| usize::try_from(u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())).unwrap();
        let (offset, length) = (number(4096 + 40), number(4096 + 48));
        let room = (1 << 20) - 4096;
        if offset < room && length < room {
            let first = length.min(room - offset);
            let text = [&bytes[4096 + offset..4096 + offset + first], &bytes[4608..4608 + length - first]].concat();
            let sum = crc32(0xf597_a6cf, &text);
            bytes[4096 + 56..4096 + 60].copy_from_slice(&sum.to_le_bytes());
        }
        let sum = crc32(0xf597_a6cf, &bytes[4100..4608]);
        bytes[4096..4100].copy_from_slice(&sum.to_le_bytes());
        let sum = crc32(0xf597_a6cf, &bytes[532..1024]);
        bytes[528..532].copy_from_slice(&sum.to_le_bytes());
    }
}

#[test]
fn damage_of_tables_and_labels_is_told_and_nothing_worse() {
    mutate(150);
}

#[test]
#[ignore = "takes minutes"]
fn much_damage_of_tables_and_labels_is_told_and_nothing_worse() {
    mutate(5000);
}
