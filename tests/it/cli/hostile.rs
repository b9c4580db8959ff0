//! An image that means harm is judged all the same: what it hides is unknown, and nothing of it reaches the terminal or the host.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, OFlags, mkdirat, mknodat, openat};
use serde_json::Value;

use super::Place;

/// Deeper than a path can be long, and than a recursion should go.
const DEPTH: usize = 4_096;

fn hostile() -> Place {
    let place = Place::new();
    let root = place.path("root");
    place.write("root/etc/os-release", "ID=debian\nVERSION_ID=12\nPRETTY_NAME=\"Debian\u{1b}[31m 12\"\n");
    place.write("root/var/lib/dpkg/status", "Package: openssh-server\nStatus: install ok instal");
    // Ten gigabytes that are not there.
    fs::create_dir_all(root.join("etc/ssh")).unwrap();
    File::create(root.join("etc/ssh/sshd_config")).unwrap().set_len(10 << 30).unwrap();
    // Reading it would wait for ever.
    mknodat(CWD, root.join("etc/login.defs"), FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
    symlink("loop", root.join("etc/loop")).unwrap();
    symlink("sudoers", root.join("etc/sudoers")).unwrap();
    // The host's files.
    symlink("/etc/passwd", root.join("etc/group")).unwrap();
    symlink("../../../../../../../../../etc/shadow", root.join("etc/shadow")).unwrap();
    symlink("../../..", root.join("home")).unwrap();
    for name in [&b"new\nline"[..], b"\x1b]0;title\x07", b"\xff\xfe", "\u{202e}gpj.exe".as_bytes()] {
        let path = root.join("srv").join(OsStr::from_bytes(name));
        fs::create_dir_all(root.join("srv")).unwrap();
        File::create(&path).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    }
    let mut deep = openat(CWD, &root, OFlags::DIRECTORY, Mode::empty()).unwrap();
    for _ in 0..DEPTH {
        mkdirat(&deep, "d", Mode::from_raw_mode(0o755)).unwrap();
        deep = openat(&deep, "d", OFlags::DIRECTORY, Mode::empty()).unwrap();
    }
    place
}

#[test]
fn a_hostile_image_is_judged_and_does_no_harm() {
    let place = hostile();
    let started = Instant::now();
    let table = place.karat("scan root --verbose --evidence all");
    let saved = place.karat("scan root --format json");
    let sarif = place.karat("scan root --format sarif");
    let html = place.karat("scan root --format html");
    let took = started.elapsed();
    // The file system's own removal would run out of descriptors.
    assert!(Command::new("rm").args(["-rf", "root/d"]).current_dir(place.directory.path()).status().unwrap().success());

    assert_eq!([table.code, saved.code, sarif.code, html.code], [1; 4], "{}", table.err);
    assert!(took < Duration::from_secs(120), "{took:?}");
    for (text, what) in
        [(&table.out, "table"), (&table.err, "errors"), (&saved.out, "json"), (&sarif.out, "sarif"), (&html.out, "html")]
    {
        let odd = text.chars().find(|&odd| odd != '\n' && (odd.is_control() || odd == '\u{202e}'));
        assert_eq!(odd, None, "{what} steers the terminal");
    }
    let scan: Value = serde_json::from_str(&saved.out).unwrap();
    assert!(scan["summary"]["unknown"].as_u64().unwrap() > 0);
    let troubles = scan["troubles"].to_string();
    for (path, why) in [("/var/lib/dpkg/status", ""), ("/etc/login.defs", "FIFO"), ("/etc/ssh/sshd_config", "larger")] {
        assert!(troubles.contains(path) && troubles.contains(why), "{path} {why}: {troubles}");
    }
    // Nothing that needs what could not be read passes.
    for control in ["5.1.20", "5.4.1.1"] {
        let finding = scan["findings"].as_array().unwrap().iter().find(|finding| finding["control"] == control).unwrap();
        assert_eq!(finding["status"], "unknown", "{finding:#}");
    }
}
