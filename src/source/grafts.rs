//! Which volume belongs where: the root's `fstab` against the volumes that were found (`fstab(5)`, `mount(8)`,
//! `systemd-fstab-generator(8)`).

use serde::Serialize;

use super::volume::{Kind, Volume};
use crate::path::{ImagePath, printable};

/// A line of an fstab, with its escapes undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its number, from 1; 0 for a mount unit.
    pub number: u32,
    /// What is mounted: a device, a tag (`UUID=…`) or something else.
    pub spec: String,
    /// Where.
    pub file: Vec<u8>,
    /// The type of file system.
    pub kind: String,
    /// The options.
    pub options: Vec<String>,
}

impl Line {
    /// Whether it has an option, by its name alone.
    fn has(&self, name: &str) -> bool {
        self.options.iter().any(|option| option == name)
    }

    /// The value of an option, the last if there are several.
    fn value(&self, name: &str) -> Option<&str> {
        self.options.iter().rev().find_map(|option| option.strip_prefix(name)?.strip_prefix('='))
    }
}

/// What belongs at a mount point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// The volume of this number among those that were found.
    Volume(usize),
    /// A volume of the system that is not here, or of which nobody can say which it is, or that cannot be read: why.
    Unknown(String),
    /// A directory of the image, shown here as well.
    Bind(ImagePath),
    /// What the kernel makes anew at each start, with the mode of its root: it covers what the image has there.
    Made(u32),
    /// A file system of another machine, or of a program: why.
    Foreign(String),
    /// Nothing that is mounted when the system starts: why.
    Left(String),
}

/// A mount point and what belongs there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Graft {
    /// Where.
    pub at: ImagePath,
    /// The line that says so.
    pub line: u32,
    /// What.
    pub what: What,
}

/// File systems that the kernel makes up, and that hold nothing of the image.
const PSEUDO: &[&str] = &[
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "nfsd",
    "proc",
    "pstore",
    "ramfs",
    "rootfs",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "sysfs",
    "tmpfs",
    "tracefs",
];
/// File systems of other machines (`mount.nfs(8)`, `mount.cifs(8)` and their like).
const NETWORK: &[&str] = &[
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "coda",
    "davfs",
    "efs",
    "gfs2",
    "glusterfs",
    "gpfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "ocfs2",
    "orangefs",
    "smb3",
    "smbfs",
    "sshfs",
    "virtiofs",
];
/// Tags of `mount(8)`, and the folders of udev that have the same names in them.
const TAGS: [(&str, &str); 4] = [
    ("UUID", "/dev/disk/by-uuid/"),
    ("LABEL", "/dev/disk/by-label/"),
    ("PARTUUID", "/dev/disk/by-partuuid/"),
    ("PARTLABEL", "/dev/disk/by-partlabel/"),
];

/// Decides for each line but the root's own. Those to be mounted come in the order in which that has to be done.
#[must_use]
pub fn grafts(lines: &[Line], volumes: &[&Volume], disks: usize) -> Vec<Graft> {
    let mut grafts: Vec<Graft> = Vec::new();
    for line in lines {
        // Without a place, as swap is.
        if !line.file.starts_with(b"/") {
            continue;
        }
        let at = ImagePath::new(&line.file);
        if at.is_root() {
            continue;
        }
        let mut what = decide(line, volumes, disks);
        if !matches!(what, What::Left(_)) {
            let first = grafts.iter().find(|other| other.at == at && !matches!(other.what, What::Left(_)));
            if let Some(first) = first {
                what = What::Left(format!("line {} has the same mount point, and counts", first.line));
            }
        }
        grafts.push(Graft { at, line: line.number, what });
    }
    // The system mounts what is above first, whatever the lines' order.
    grafts.sort_by(|one, two| (&one.at, one.line).cmp(&(&two.at, two.line)));
    grafts
}

fn decide(line: &Line, volumes: &[&Volume], disks: usize) -> What {
    let kind = line.kind.as_str();
    let left = |why: String| What::Left(why);
    if line.has("noauto") && !line.has("x-systemd.automount") {
        return left("noauto: not mounted when the system starts".to_owned());
    }
    // With these the type means nothing (`mount(8)`); most people write `none`.
    if ["bind", "rbind"].into_iter().any(|option| line.has(option)) {
        let shown = printable(line.spec.as_bytes());
        return if line.spec.starts_with('/') {
            What::Bind(ImagePath::new(&line.spec))
        } else {
            What::Unknown(format!("shows '{shown}' a second time, which is no path"))
        };
    }
    if NETWORK.contains(&kind) || kind.starts_with("fuse.") || kind == "fuse" {
        return What::Foreign(format!("{}: of another machine, or made by a program", printable(kind.as_bytes())));
    }
    if kind == "overlay" {
        return What::Unknown("overlay: several directories on one another, which is not read".to_owned());
    }
    if kind == "swap" || kind == "none" {
        return left(format!("{kind}: nothing is mounted"));
    }
    if PSEUDO.contains(&kind) {
        let mode = line.value("mode").and_then(|mode| u32::from_str_radix(mode, 8).ok());
        // `tmpfs(5)`; the others are the kernel's own.
        let usual = if kind == "tmpfs" { 0o1777 } else { 0o755 };
        return What::Made(mode.map_or(usual, |mode| mode & 0o7777));
    }
    if line.has("loop") || line.value("loop").is_some() || line.spec.starts_with('/') && !line.spec.starts_with("/dev/") {
        return What::Unknown(format!("a file system in a file ({}), which is not opened", printable(line.spec.as_bytes())));
    }
    let found = match find(&line.spec, volumes, disks) {
        Ok(found) => found,
        // A block device that comes over a network is no part of the image, unless it is here after all.
        Err(_) if line.has("_netdev") => return left("_netdev: a device of another machine".to_owned()),
        Err(why) => return What::Unknown(why),
    };
    let Some(volume) = volumes.get(found) else { return What::Unknown("no such volume".to_owned()) };
    let subvolume =
        line.value("subvol").map(|path| format!("subvol={path}")).or(line.value("subvolid").map(|id| format!("subvolid={id}")));
    match (&volume.trouble, volume.content.kind, subvolume) {
        (_, Kind::Btrfs, Some(subvolume)) => {
            What::Unknown(format!("{}: btrfs ({}) is not read", volume.name, printable(subvolume.as_bytes())))
        }
        (Some(trouble), ..) => What::Unknown(format!("{}: {trouble}", volume.name)),
        (None, Kind::Ext | Kind::Xfs | Kind::Fat, _) => What::Volume(found),
        (None, other, _) => What::Unknown(format!("{}: holds {}, no file system", volume.name, other.name())),
    }
}

/// The volume that a line names, if it is here and no other could be meant.
#[must_use]
pub fn volume_of(line: &Line, volumes: &[&Volume], disks: usize) -> Option<usize> {
    find(&line.spec, volumes, disks).ok()
}

/// The one volume that is meant.
fn find(spec: &str, volumes: &[&Volume], disks: usize) -> Result<usize, String> {
    let shown = printable(spec.as_bytes());
    let one = |matches: &dyn Fn(&Volume) -> bool| {
        let mut found = volumes.iter().enumerate().filter(|(_, volume)| matches(volume));
        match (found.next(), found.next()) {
            (Some((index, _)), None) => Ok(index),
            (None, _) => Err(format!("{shown} is on none of the disks that are here")),
            (Some((_, first)), Some((_, second))) => Err(format!("{shown} is ambiguous: {} and {}", first.name, second.name)),
        }
    };
    for (tag, folder) in TAGS {
        let udev = spec.strip_prefix(folder).map(undo);
        let value = spec
            .strip_prefix(tag)
            .and_then(|rest| rest.strip_prefix('='))
            .map(|value| value.trim_matches(['"', '\'']).to_owned());
        if let Some(value) = udev.or(value) {
            return one(&|volume| {
                let has = |own: &Option<String>| own.as_deref() == Some(&*value);
                match tag {
                    // Written in upper case by some tools, and compared without it.
                    "UUID" => volume.content.uuid.as_ref().is_some_and(|uuid| uuid.eq_ignore_ascii_case(&value)),
                    "PARTUUID" => volume.partuuid.as_ref().is_some_and(|uuid| uuid.eq_ignore_ascii_case(&value)),
                    "LABEL" => has(&volume.content.label),
                    _ => has(&volume.partlabel),
                }
            });
        }
    }
    if let Some(name) = spec.strip_prefix("/dev/mapper/") {
        return one(&|volume| volume.lvm.as_ref().is_some_and(|lvm| lvm.mapper == name));
    }
    let Some(name) = spec.strip_prefix("/dev/") else {
        return Err(format!("{shown} is no device that is known by its name"));
    };
    if let Some((group, logical)) = name.split_once('/') {
        let found = one(&|volume| volume.lvm.as_ref().is_some_and(|lvm| lvm.group == group && lvm.name == logical));
        return match found {
            Err(_) if group == "disk" => Err(format!("{shown} names hardware, which an image does not tell of")),
            other => other,
        };
    }
    let Some((disk, number)) = partition(name) else {
        return Err(format!("{shown} is no device that is known by its name"));
    };
    // Which disk gets which letter is decided when the system starts.
    if disks != 1 {
        return Err(format!("{shown} could be on any of {disks} disks"));
    }
    if disk != 0 {
        return Err(format!("{shown} is on another disk than the one that is here"));
    }
    match number {
        Some(number) => one(&|volume| volume.number == Some(number)),
        None => one(&|volume| volume.name == "disk"),
    }
}

/// The number of the disk, from 0, and of the partition, in a kernel's name: `sda1`, `xvdb`, `nvme0n1p3`, `mmcblk0p1`.
fn partition(name: &str) -> Option<(u32, Option<u32>)> {
    for (prefix, separator) in [("nvme", "n1"), ("mmcblk", "")] {
        if let Some(rest) = name.strip_prefix(prefix) {
            let digits = rest.len() - rest.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
            let (disk, rest) = rest.split_at_checked(digits)?;
            let rest = rest.strip_prefix(separator)?;
            let number = if rest.is_empty() { None } else { Some(rest.strip_prefix('p')?.parse().ok()?) };
            return Some((disk.parse().ok()?, number));
        }
    }
    let rest = ["sd", "xvd", "vd", "hd"].into_iter().find_map(|prefix| name.strip_prefix(prefix))?;
    let number = rest.trim_start_matches(|letter: char| letter.is_ascii_lowercase());
    let letters = rest.strip_suffix(number).filter(|letters| matches!(letters.len(), 1..=3))?;
    let disk = letters.bytes().fold(0, |disk, letter| disk * 26 + u32::from(letter - b'a') + 1) - 1;
    Some((disk, if number.is_empty() { None } else { Some(number.parse().ok()?) }))
}

/// Undoes udev's escapes of a label (`\x20`).
fn undo(name: &str) -> String {
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((before, after)) = rest.split_once("\\x") {
        out.extend_from_slice(before.as_bytes());
        match after.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => out.push(byte),
            None => out.extend_from_slice(b"\\x"),
        }
        rest = if after.get(..2).is_some_and(|hex| u8::from_str_radix(hex, 16).is_ok()) {
            after.get(2..).unwrap_or_default()
        } else {
            after
        };
    }
    out.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::volume::{Content, Logical};

    fn volume(number: u32, kind: Kind, uuid: &str, label: &str) -> Volume {
        let mut volume = Volume::new(format!("partition {number}"), 1);
        volume.number = Some(number);
        volume.partuuid = Some(format!("1234abcd-0{number}"));
        volume.partlabel = Some(format!("part{number}"));
        volume.content = Content { kind, variant: None, label: Some(label.to_owned()), uuid: Some(uuid.to_owned()) };
        volume.trouble = kind.refusal().map(ToOwned::to_owned);
        volume
    }

    fn logical(group: &str, name: &str) -> Volume {
        let mut volume = volume(0, Kind::Xfs, name, name);
        volume.name = format!("{group}/{name}");
        volume.number = None;
        volume.lvm = Some(Logical::new(group, name));
        volume
    }

    fn volumes() -> Vec<Volume> {
        vec![
            volume(1, Kind::Fat, "AB12-CD34", "EFI"),
            volume(2, Kind::Ext, "aaaa-2", "boot"),
            volume(3, Kind::Ext, "same", "twin"),
            volume(4, Kind::Ext, "same", "twin"),
            volume(5, Kind::Luks, "luks", ""),
            volume(6, Kind::Btrfs, "btrfs", ""),
            volume(7, Kind::Swap, "swap", "my label"),
            logical("vg-1", "var-log"),
            volume(8, Kind::Ext, "spaced", "my data"),
        ]
    }

    fn one(spec: &str, kind: &str, options: &str) -> What {
        decided(spec, kind, options, 1)
    }

    fn decided(spec: &str, kind: &str, options: &str, disks: usize) -> What {
        let all = volumes();
        let options = options.split(',').map(str::to_owned).collect();
        let line = Line { number: 1, spec: spec.to_owned(), file: b"/x".to_vec(), kind: kind.to_owned(), options };
        grafts(&[line], &all.iter().collect::<Vec<_>>(), disks)[0].what.clone()
    }

    fn unknown(what: What) -> String {
        match what {
            What::Unknown(why) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_way_to_name_a_volume_finds_it() {
        for (spec, index) in [
            ("UUID=ab12-cd34", 0),
            ("UUID=\"AB12-CD34\"", 0),
            ("LABEL=boot", 1),
            ("PARTUUID=1234ABCD-02", 1),
            ("PARTLABEL=part2", 1),
            ("/dev/disk/by-uuid/aaaa-2", 1),
            ("/dev/disk/by-label/my\\x20data", 8),
            ("/dev/disk/by-partuuid/1234abcd-01", 0),
            ("/dev/mapper/vg--1-var--log", 7),
            ("/dev/vg-1/var-log", 7),
            ("/dev/sda2", 1),
            ("/dev/xvda2", 1),
            ("/dev/vda2", 1),
            ("/dev/nvme0n1p2", 1),
            ("/dev/mmcblk0p2", 1),
        ] {
            assert_eq!(one(spec, "auto", "defaults"), What::Volume(index), "{spec}");
        }
    }

    #[test]
    fn what_is_missing_ambiguous_or_not_read_is_unknown_with_its_reason() {
        assert!(unknown(one("UUID=gone", "ext4", "nofail")).contains("on none of the disks"));
        assert!(unknown(one("UUID=same", "ext4", "defaults")).contains("ambiguous: partition 3 and partition 4"));
        assert!(unknown(one("LABEL=twin", "ext4", "defaults")).contains("ambiguous"));
        assert!(unknown(one("UUID=luks", "ext4", "defaults")).contains("LUKS"));
        assert!(unknown(one("UUID=btrfs", "btrfs", "subvol=@home")).contains("subvol=@home"));
        assert!(unknown(one("UUID=swap", "ext4", "defaults")).contains("holds swap, no file system"));
        assert!(unknown(one("/dev/mapper/luks-home", "ext4", "defaults")).contains("on none"));
        assert!(unknown(one("/dev/sdb1", "ext4", "defaults")).contains("another disk"));
        assert!(unknown(one("/dev/nvme1n1p1", "ext4", "defaults")).contains("another disk"));
        assert!(unknown(decided("/dev/sda2", "ext4", "defaults", 2)).contains("any of 2 disks"));
        assert!(unknown(one("/dev/disk/by-id/ata-1", "ext4", "defaults")).contains("hardware"));
        assert!(unknown(one("/dev/sda9", "ext4", "defaults")).contains("on none"));
        assert!(unknown(one("/srv/image.iso", "iso9660", "loop,ro")).contains("in a file"));
        assert!(unknown(one("/dev/\u{1b}[2J", "ext4", "x")).contains("\\u{1b}"));
    }

    #[test]
    fn what_is_no_part_of_the_image_is_left() {
        for (spec, kind, options) in [
            ("server:/home", "nfs4", "defaults"),
            ("//server/share", "cifs", "defaults"),
            ("user@host:/", "fuse.sshfs", "defaults"),
            ("fs-1234:/", "efs", "tls"),
        ] {
            assert!(matches!(one(spec, kind, options), What::Foreign(_)), "{spec}");
        }
        for (spec, kind, options) in
            [("UUID=gone", "ext4", "_netdev"), ("UUID=aaaa-2", "ext4", "noauto"), ("/x", "none", "bind,noauto")]
        {
            assert!(matches!(one(spec, kind, options), What::Left(_)), "{spec}");
        }
        assert_eq!(one("UUID=aaaa-2", "ext4", "noauto,x-systemd.automount"), What::Volume(1));
        assert_eq!(one("UUID=aaaa-2", "ext4", "_netdev"), What::Volume(1));
    }

    #[test]
    fn what_covers_the_image_without_being_part_of_it_is_told_apart() {
        assert_eq!(one("tmpfs", "tmpfs", "size=1G"), What::Made(0o1777));
        assert_eq!(one("tmpfs", "tmpfs", "mode=0700"), What::Made(0o700));
        assert_eq!(one("proc", "proc", "defaults"), What::Made(0o755));
        // Most people write `none` for the type of a bind.
        for kind in ["none", "auto", "ext4", "tmpfs"] {
            assert_eq!(one("/var/tmp", kind, "bind,nosuid"), What::Bind(ImagePath::new("/var/tmp")));
        }
        assert!(matches!(one("overlay", "overlay", "lowerdir=/a,upperdir=/b,workdir=/c"), What::Unknown(_)));
    }

    #[test]
    fn what_is_above_is_mounted_first_and_of_two_lines_the_first_counts() {
        let all = volumes();
        let line = |number, spec: &str, file: &str| Line {
            number,
            spec: spec.to_owned(),
            file: file.as_bytes().to_vec(),
            kind: "auto".to_owned(),
            options: Vec::new(),
        };
        let lines = [
            line(1, "UUID=aaaa-2", "/boot/efi/deeper/"),
            line(2, "UUID=AB12-CD34", "/boot/efi"),
            line(3, "UUID=aaaa-2", "/boot"),
            line(4, "UUID=spaced", "/boot"),
            line(5, "UUID=root", "/"),
            line(6, "UUID=swap", "none"),
        ];
        let grafts = grafts(&lines, &all.iter().collect::<Vec<_>>(), 1);
        let told: Vec<_> = grafts.iter().map(|graft| (graft.at.to_string(), graft.line)).collect();
        let expected = [("/boot", 3), ("/boot", 4), ("/boot/efi", 2), ("/boot/efi/deeper", 1)];
        assert_eq!(told, expected.map(|(at, line)| (at.to_owned(), line)));
        assert_eq!(grafts[1].what, What::Left("line 3 has the same mount point, and counts".to_owned()));
    }

    #[test]
    fn names_of_kernels_are_taken_apart() {
        assert_eq!(partition("sda"), Some((0, None)));
        assert_eq!(partition("sdab3"), Some((27, Some(3))));
        assert_eq!(partition("nvme12n1p3"), Some((12, Some(3))));
        for other in ["sd", "sd1", "sdaaaa1", "nvme0", "nvme0n2p1", "dm-0", "md0", "sda1x", "nvme99999999999n1", "mmcblk0x1"] {
            assert_eq!(partition(other), None, "{other}");
        }
    }
}
