//! One tree through every source: the same inventory, and the same findings to the byte.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use karat::benchmark::{Choice, select, shipped};
use karat::engine;
use karat::facts::Target;
use karat::gate::{Policy, decide};
use karat::report::Format;
use karat::rule;
use karat::source::{self, Wanted};
use tempfile::TempDir;

use crate::peers::peer;

/// A small system with something to find in it.
fn tree(folder: &Path) -> PathBuf {
    let root = folder.join("root");
    let file = |path: &str, mode: u32, content: &[u8]| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    };
    file("etc/os-release", 0o644, b"ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n");
    file("etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/bash\nann:x:1000:1000::/home/ann:/bin/bash\n");
    file("etc/shadow", 0o640, b"root:*:19000:0:99999:7:::\nann:!:19000:0:99999:7:::\n");
    file("etc/group", 0o644, b"root:x:0:\nshadow:x:42:\nann:x:1000:\n");
    file("etc/fstab", 0o644, b"UUID=4f8f2f2a-30f3-4c2b-8a52-5a6f0a7e0001 / ext4 defaults 0 1\n");
    file("etc/ssh/sshd_config", 0o600, b"Include /etc/ssh/sshd_config.d/*.conf\nPermitRootLogin yes\n");
    file("etc/ssh/sshd_config.d/10.conf", 0o600, b"MaxAuthTries 9\n");
    file("etc/sysctl.d/50.conf", 0o644, b"net.ipv4.ip_forward = 1\n");
    file("usr/bin/mine", 0o4755, b"#!/bin/sh\n");
    file("usr/lib/systemd/system/x.service", 0o644, b"[Service]\nExecStart=/usr/bin/mine\n");
    file("srv/open", 0o666, b"anybody\n");
    file("srv/nobodys", 0o644, &vec![b'x'; 300_000]);
    file("home/ann/.bashrc", 0o644, b"umask 022\n");
    for number in 0..400 {
        file(&format!("srv/many/{number:03}"), 0o644, format!("{number}\n").as_bytes());
    }
    // What mke2fs makes in any case.
    fs::create_dir(root.join("lost+found")).unwrap();
    fs::create_dir_all(root.join("tmp")).unwrap();
    symlink("usr/bin", root.join("bin")).unwrap();
    symlink("/etc/ssh/sshd_config", root.join("srv/link")).unwrap();
    for (path, mode) in [("lost+found", 0o700), ("tmp", 0o777), ("root", 0o755), ("srv", 0o755), ("", 0o755)] {
        fs::create_dir_all(root.join(path)).unwrap();
        fs::set_permissions(root.join(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    chown(root.join("etc/shadow"), Some(0), Some(42)).unwrap();
    chown(root.join("srv/nobodys"), Some(7777), Some(7777)).unwrap();
    chown(root.join("home/ann"), Some(1000), Some(1000)).unwrap();
    chown(root.join("home/ann/.bashrc"), Some(1000), Some(1000)).unwrap();
    root
}

/// The whole JSON report of a source, judged by everything there is for its system.
fn judged(path: &Path) -> String {
    let source = source::open(path, &Wanted::default()).unwrap_or_else(|error| panic!("{error}"));
    let mut benchmark = shipped::benchmark("cis-debian-12").unwrap();
    for other in ["golden-image", "golden-baseline"] {
        karat::benchmark::beside(&mut benchmark, shipped::benchmark(other).unwrap()).unwrap();
    }
    let selected = select(&benchmark, &rule::shipped::rules(), &Choice::default()).unwrap();
    let today = jiff::civil::date(2026, 11, 24);
    let target = Target { root: source.root(), running: source.running(), today, packages: None };
    let scan = engine::scan(target, &selected);
    let decision = decide(&Policy::default(), &[], None, &scan, today);
    let mut report = Vec::new();
    Format::Json.report().write(&scan, &decision, &mut report).unwrap();
    String::from_utf8(report).unwrap()
}

/// Runs a tool in a folder; says whether it is there.
fn run(folder: &Path, command: &str) -> bool {
    let program = command.split_whitespace().next().unwrap_or_default();
    if !peer(program) {
        return false;
    }
    let output = Command::new("sh").args(["-ec", command]).current_dir(folder).env("PATH", PATH).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    true
}

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A file system of the tree made by mke2fs, bare.
const EXT4: &str = "mke2fs -q -t ext4 -d root -U 4f8f2f2a-30f3-4c2b-8a52-5a6f0a7e0001 ext4.img 64M";

#[track_caller]
fn same(folder: &TempDir, expected: &str, path: &str) {
    let found = judged(&folder.path().join(path));
    if found != expected {
        let differs = expected.lines().zip(found.lines()).find(|(one, two)| one != two);
        panic!("{path}: {differs:?}");
    }
}

/// The tree, and what is found in it as a directory. Owners need root: without, this is another tree.
fn start() -> Option<(TempDir, String)> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: owners of files are those of the test without root");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let expected = judged(&tree(folder.path()));
    assert!(expected.contains("/srv/nobodys") && expected.contains("/srv/open"), "{expected}");
    Some((folder, expected))
}

#[test]
fn archives_say_what_the_directory_says() {
    let Some((folder, expected)) = start() else { return };
    for (name, command) in [
        ("plain.tar", "tar -C root -cf plain.tar ."),
        ("pax.tar", "tar --format=pax -C root -cf pax.tar ."),
        ("tar.gz", "tar -C root -czf tar.gz ."),
        ("tar.xz", "tar -C root -cJf tar.xz ."),
        ("tar.bz2", "tar -C root -cjf tar.bz2 ."),
        ("tar.zst", "tar -C root --zstd -cf tar.zst ."),
    ] {
        if run(folder.path(), command) {
            same(&folder, &expected, name);
        }
    }
}

#[test]
fn a_container_image_says_what_the_directory_says() {
    let Some((folder, expected)) = start() else { return };
    let made = run(folder.path(), "umoci init --layout oci && umoci new --image oci:x")
        && run(folder.path(), "umoci insert --image oci:x root /")
        && run(folder.path(), "tar -C oci -cf oci.tar .");
    if made {
        same(&folder, &expected, "oci");
        same(&folder, &expected, "oci.tar");
    }
    if made && run(folder.path(), "skopeo copy -q oci:oci:x docker-archive:docker.tar:x:latest") {
        same(&folder, &expected, "docker.tar");
    }
}

#[test]
fn disk_images_say_what_the_directory_says() {
    let Some((folder, expected)) = start() else { return };
    if !run(folder.path(), EXT4) {
        return;
    }
    same(&folder, &expected, "ext4.img");
    for (format, options) in [
        ("qcow2", ""),
        ("qcow2", "-c"),
        ("qcow2", "-c -o compression_type=zstd"),
        ("vmdk", ""),
        ("vmdk", "-o subformat=streamOptimized"),
        ("vpc", "-o force_size=on"),
        ("vhdx", ""),
    ] {
        if run(folder.path(), &format!("qemu-img convert -q -O {format} {options} ext4.img disk")) {
            same(&folder, &expected, "disk");
        }
    }
}

#[test]
fn partitions_say_what_the_directory_says() {
    let Some((folder, expected)) = start() else { return };
    let table = "truncate -s 80M gpt.img && sgdisk -n 1:2048:4095 -n 2:4096:0 gpt.img && dd if=ext4.img of=gpt.img bs=512 seek=4096 conv=notrunc";
    if run(folder.path(), EXT4) && peer("sgdisk") && run(folder.path(), table) {
        same(&folder, &expected, "gpt.img");
    }
}

#[test]
fn xfs_says_what_the_directory_says() {
    let Some((folder, expected)) = start() else { return };
    // mkfs.xfs takes a description of a tree (`mkfs.xfs(8)`, prototypes).
    let mut prototype = String::from("boot\n0 0\nd--755 0 0\n");
    describe(&folder.path().join("root"), &mut prototype);
    prototype.push_str("$\n");
    fs::write(folder.path().join("prototype"), prototype).unwrap();
    if run(
        folder.path(),
        "mkfs.xfs -q -m uuid=4f8f2f2a-30f3-4c2b-8a52-5a6f0a7e0001 -p prototype -d file=1,size=320m,name=xfs.img",
    ) {
        same(&folder, &expected, "xfs.img");
    }
}

/// The entries of a directory as lines of a prototype.
fn describe(directory: &Path, out: &mut String) {
    use std::os::unix::fs::MetadataExt as _;
    let mut entries: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap()).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (metadata, path, name) = (entry.metadata().unwrap(), entry.path(), entry.file_name().into_string().unwrap());
        let special = |bit, letter| if metadata.mode() & bit == 0 { '-' } else { letter };
        let mode = format!("{}{}{:03o}", special(0o4000, 'u'), special(0o2000, 'g'), metadata.mode() & 0o777);
        let owner = format!("{} {}", metadata.uid(), metadata.gid());
        if metadata.is_symlink() {
            out.push_str(&format!("{name} l{mode} {owner} {}\n", fs::read_link(&path).unwrap().display()));
        } else if metadata.is_dir() {
            out.push_str(&format!("{name} d{mode} {owner}\n"));
            describe(&path, out);
            out.push_str("$\n");
        } else {
            out.push_str(&format!("{name} -{mode} {owner} {}\n", path.display()));
        }
    }
}

/// `/var` and `/boot` on file systems of their own, in a group of LVM and in a partition.
#[test]
fn what_fstab_mounts_is_judged_where_it_belongs() {
    let Some((folder, _)) = start() else { return };
    let root = folder.path().join("root");
    let uuid = "4f8f2f2a-30f3-4c2b-8a52-5a6f0a7e0002";
    let fstab = format!("UUID=4f8f2f2a-30f3-4c2b-8a52-5a6f0a7e0001 / ext4 defaults 0 1\nUUID={uuid} /srv ext4 nodev 0 2\n");
    fs::write(root.join("etc/fstab"), &fstab).unwrap();
    fs::write(root.join("srv/covered"), "x").unwrap();
    fs::set_permissions(root.join("srv/covered"), fs::Permissions::from_mode(0o666)).unwrap();
    fs::create_dir_all(folder.path().join("srv/lost+found")).unwrap();
    fs::write(folder.path().join("srv/seen"), "x").unwrap();
    fs::set_permissions(folder.path().join("srv/seen"), fs::Permissions::from_mode(0o666)).unwrap();
    let made = run(folder.path(), EXT4)
        && run(folder.path(), &format!("mke2fs -q -t ext4 -d srv -U {uuid} srv.img 16M"))
        && run(folder.path(), "sgdisk --version")
        && run(
            folder.path(),
            "truncate -s 96M gpt.img && sgdisk -n 1:2048:+64M -n 2:0:+16M gpt.img && dd if=ext4.img of=gpt.img bs=512 seek=2048 conv=notrunc \
             && dd if=srv.img of=gpt.img bs=512 seek=133120 conv=notrunc",
        );
    if !made {
        return;
    }
    let said = judged(&folder.path().join("gpt.img"));
    assert!(said.contains("/srv/seen") && !said.contains("/srv/covered") && !said.contains("/srv/open"), "{said}");
    // The same without the second file system: what is below /srv is not known, and nothing says that all is well.
    let said = judged(&folder.path().join("ext4.img"));
    assert!(said.contains("/srv") && !said.contains("/srv/covered") && said.contains("on none of the disks"), "{said}");
}

/// Somebody else's system beside a root that is not readable must not be taken for it.
#[test]
fn a_root_is_not_taken_for_another_that_cannot_be_read() {
    let Some((folder, _)) = start() else { return };
    let made = run(folder.path(), EXT4)
        && run(folder.path(), "sgdisk --version")
        && run(
            folder.path(),
            "truncate -s 160M gpt.img && sgdisk -n 1:2048:+64M -n 2:0:+64M gpt.img && dd if=ext4.img of=gpt.img bs=512 seek=133120 conv=notrunc",
        );
    if !made {
        return;
    }
    let refused = |path: &Path| source::open(path, &Wanted::default()).err().map(|error| error.to_string()).unwrap_or_default();
    let image = folder.path().join("gpt.img");
    assert_eq!(refused(&image), "", "an empty partition is no root");
    // A file system whose journal cannot be replayed: it says that it needs to be, and has none.
    assert!(run(folder.path(), "mke2fs -q -t ext4 -O ^has_journal other.img 64M"));
    assert!(run(folder.path(), "debugfs -w -R 'feature needs_recovery' other.img"));
    assert!(run(folder.path(), "dd if=other.img of=gpt.img bs=512 seek=2048 conv=notrunc"));
    let said = refused(&image);
    assert!(said.contains("partition 1 could be the root as well") && said.contains("--root 'partition 2'"), "{said}");
    let wanted = Wanted { volume: Some("partition 2".into()), ..Wanted::default() };
    assert!(source::open(&image, &wanted).is_ok());
}
