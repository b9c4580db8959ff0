//! What is planted in a real tree is found, all of it and nothing else: the whole way from the file system to the verdict.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, lchown, symlink};
use std::path::Path;

use karat::facts::{Facts, Target};
use karat::finding::{Outcome, Status};
use karat::image::Rootfs;
use karat::rule::{Instance, shipped};
use karat::source::Directory;
use tempfile::TempDir;

fn put(tree: &Path, path: &str, mode: u32, uid: u32, gid: u32) {
    let place = tree.join(path);
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    if path.ends_with('/') {
        fs::create_dir_all(&place).unwrap();
    } else {
        fs::write(&place, "x").unwrap();
    }
    lchown(&place, Some(uid), Some(gid)).unwrap();
    fs::set_permissions(&place, fs::Permissions::from_mode(mode)).unwrap();
}

/// A small Debian with a package and an account.
fn debian() -> TempDir {
    let tree = tempfile::tempdir().unwrap();
    fs::set_permissions(tree.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let write = |path: &str, content: &str| {
        put(tree.path(), path, 0o644, 0, 0);
        fs::write(tree.path().join(path), content).unwrap();
    };
    write("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n");
    write("etc/passwd", "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n");
    write("etc/group", "root:x:0:\nann:x:1000:\n");
    write("etc/nsswitch.conf", "passwd: files\ngroup: files\n");
    write(
        "var/lib/dpkg/status",
        "Package: mount\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.38\nDescription: x\n",
    );
    write("var/lib/dpkg/info/mount.list", "/.\n/bin\n/bin/mount\n");
    put(tree.path(), "usr/bin/mount", 0o4755, 0, 0);
    symlink("usr/bin", tree.path().join("bin")).unwrap();
    put(tree.path(), "tmp/", 0o1777, 0, 0);
    put(tree.path(), "home/ann/notes", 0o600, 1000, 1000);
    tree
}

/// What the rules say of a tree.
fn judge(tree: &Path, ids: &[&str]) -> BTreeMap<String, Outcome> {
    let rules = shipped::rules();
    let instances: Vec<Instance> = ids.iter().map(|&id| Instance::new(rules[id].clone(), &[]).unwrap()).collect();
    let image = Directory::open(tree).unwrap();
    let target = Target::image(Rootfs::new(&image), jiff::civil::date(2026, 1, 1));
    let facts = Facts::gather(target, |facts, needs| instances.iter().for_each(|instance| instance.needs(facts, needs)));
    instances.iter().map(|instance| (instance.rule.id.clone(), instance.evaluate(&facts))).collect()
}

const RULES: [&str; 6] = [
    "no-world-writable-files",
    "world-writable-directories-are-sticky",
    "no-unowned-files",
    "no-ungrouped-files",
    "setuid-programs-are-packaged",
    "programs-with-capabilities-are-packaged",
];

#[test]
fn what_is_planted_is_found_and_nothing_else() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("skipped: only root can plant files of others");
    }
    let tree = debian();
    for (id, outcome) in judge(tree.path(), &RULES) {
        assert_eq!(outcome.status, Status::Pass, "{id}: {outcome:?}");
    }
    let mut planted: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut plant = |rule, path: String, mode, uid, gid| {
        put(tree.path(), &path, mode, uid, gid);
        planted.entry(rule).or_default().push(format!("/{}", path.trim_end_matches('/')));
    };
    for number in 0..20 {
        plant("no-world-writable-files", format!("srv/{number}/deep/{}/open", number % 3), 0o646, 0, 0);
    }
    for number in 0..5 {
        plant("no-unowned-files", format!("var/left/{number}/a"), 0o640, 4_000 + number, 0);
        plant("no-ungrouped-files", format!("var/left/{number}/b"), 0o640, 0, 4_000 + number);
    }
    for (path, mode) in [("home/ann/.cache/sh", 0o4755), ("opt/tool", 0o2755), ("usr/bin/mount2", 0o6755)] {
        plant("setuid-programs-are-packaged", path.into(), mode, 0, 0);
    }
    plant("world-writable-directories-are-sticky", "srv/drop/".into(), 0o777, 0, 0);
    plant("programs-with-capabilities-are-packaged", "opt/ping".into(), 0o755, 0, 0);
    let raw = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let set = rustix::fs::setxattr(tree.path().join("opt/ping"), "security.capability", &raw, rustix::fs::XattrFlags::empty());
    if set.is_err() {
        eprintln!("file capabilities are skipped: this file system has none");
        planted.remove("programs-with-capabilities-are-packaged");
    }
    for (id, outcome) in judge(tree.path(), &RULES) {
        let mut found: Vec<String> = outcome.evidence.iter().map(|evidence| evidence.path.clone()).collect();
        found.sort();
        let mut wanted = planted.remove(id.as_str()).unwrap_or_else(|| vec!["/".into()]);
        wanted.sort();
        assert_eq!(found, wanted, "{id}");
    }
}

#[test]
fn a_small_error_in_the_middle_of_a_root_leaves_the_rest_judged() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("skipped: only root owns what it unpacks as root");
    }
    let tree = debian();
    fs::write(tree.path().join("var/lib/dpkg/status"), "Package: mount\nStat").unwrap();
    put(tree.path(), "srv/open", 0o646, 0, 0);
    let said = judge(tree.path(), &["no-world-writable-files", "no-unowned-files"]);
    assert_eq!(said["no-world-writable-files"].status, Status::Fail);
    assert_eq!(said["no-unowned-files"].status, Status::Pass);
}
