//! Real roots, as they come and after every command that the rules themselves give to mend what fails.
//!
//! `KARAT_ROOTS` names a directory with debootstrapped roots by the names below (`tests/roots` makes them). The commands run in a copy,
//! in a mount namespace of its own: this needs root, and the network for packages that rules ask for.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use karat::finding::{Scan, Status};

/// What no distribution mentioned sets by itself: rules that fail before anything was mended.
const FAILS_AT_FIRST: [&str; 8] = [
    "no-ipv4-forwarding",
    "ssh-access-limited",
    "pam-unix-no-nullok",
    "ssh-max-auth-tries",
    "password-length",
    "umask-of-logins",
    "home-separate",
    "audit-delete-module",
];

/// One mend may bring something that another rule then judges: a package with its service.
const ROUNDS: usize = 4;

/// Says what `grub-mkconfig` wants to know of the disk, which a directory does not have.
const GRUB_PROBE: &str = r#"#!/bin/sh
case "$*" in
*--target=device*) echo /dev/sda1 ;;
*--target=fs_uuid*) echo 6c3ad4a2-1d3f-4b0e-9c55-0d5d2a9f1e11 ;;
*--target=fs*) echo ext2 ;;
*--target=partmap*) echo msdos ;;
*--target=compatibility_hint*) echo hd0,msdos1 ;;
*--target=partuuid*) echo 0d5d2a9f-01 ;;
esac
"#;

/// A copy of a root that commands are run in.
struct Machine {
    place: tempfile::TempDir,
    benchmark: &'static str,
}

impl Machine {
    fn copy(root: &Path, benchmark: &'static str) -> Self {
        let place = tempfile::tempdir_in(root.parent().unwrap()).unwrap();
        let copied = Command::new("cp").args(["-a", "--reflink=auto"]).arg(root).arg(place.path().join("root")).status().unwrap();
        assert!(copied.success());
        let probe = place.path().join("grub-probe");
        fs::write(&probe, GRUB_PROBE).unwrap();
        assert!(Command::new("chmod").arg("755").arg(&probe).status().unwrap().success());
        let machine = Self { place, benchmark };
        fs::copy("/etc/resolv.conf", machine.root().join("etc/resolv.conf")).unwrap();
        let grub = machine.run("mkdir -p /boot/grub && update-grub");
        assert!(grub.status.success(), "{}", String::from_utf8_lossy(&grub.stderr));
        machine
    }

    fn root(&self) -> PathBuf {
        self.place.path().join("root")
    }

    fn run(&self, command: &str) -> Output {
        let inside = r#"mount -t proc proc root/proc && mount --bind /dev root/dev && mount --bind grub-probe root/usr/sbin/grub-probe &&
            exec chroot root /bin/sh -c "$1""#;
        Command::new("unshare")
            .args(["--mount", "--propagation", "private", "/bin/sh", "-c", inside, "sh", command])
            .current_dir(self.place.path())
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn scan(&self) -> Scan {
        let scanned = Command::new(env!("CARGO_BIN_EXE_karat"))
            .args(["scan", "root", "--benchmark", self.benchmark, "--level", "2", "--report-only", "--format", "json"])
            .current_dir(self.place.path())
            .output()
            .unwrap();
        assert_eq!(scanned.status.code(), Some(0), "{}", String::from_utf8_lossy(&scanned.stderr));
        karat::report::json::read(std::str::from_utf8(&scanned.stdout).unwrap()).unwrap().0
    }

    /// Runs the command of every rule that makes a control fail; gives those that did not succeed.
    fn mend(&self, scan: &Scan) -> Vec<String> {
        let mut done = BTreeSet::new();
        let mut failed = Vec::new();
        let failing = scan.findings.iter().filter(|finding| finding.status == Status::Fail).flat_map(|finding| &finding.rules);
        for rule in failing.filter(|rule| rule.status == Status::Fail) {
            let fix = rule.fix.as_ref().unwrap_or(&scan.rules[&rule.id].fix);
            if let Some(shell) = fix.shell.as_ref().filter(|shell| done.insert((*shell).clone())) {
                let output = self.run(shell);
                if !output.status.success() {
                    failed.push(format!("{}: {}", rule.id, String::from_utf8_lossy(&output.stderr)));
                }
            }
        }
        failed
    }
}

fn open(scan: &Scan, status: Status) -> Vec<String> {
    scan.findings.iter().filter(|finding| finding.status == status).map(|f| format!("{} {}", f.control, f.title)).collect()
}

/// Scans a copy of the root as it comes, mends it and scans it again.
fn mends(name: &str, benchmark: &'static str) {
    let Some(roots) = std::env::var_os("KARAT_ROOTS").map(PathBuf::from) else {
        assert!(std::env::var_os("KARAT_PEERS").is_none_or(|wanted| wanted != "required"), "KARAT_ROOTS is not set");
        eprintln!("skipped: KARAT_ROOTS names no directory with roots (tests/roots makes them)");
        return;
    };
    let root = roots.join(name);
    if !rustix::process::geteuid().is_root() {
        return eprintln!("skipped: only root can change into a root");
    }
    if !root.is_dir() {
        // The one that the gate makes; the others are for whoever has the time.
        let wanted = name == "debian12" && std::env::var_os("KARAT_PEERS").is_some_and(|wanted| wanted == "required");
        assert!(!wanted, "{} is not there: tests/roots makes it", root.display());
        return eprintln!("skipped: {} is not there (tests/roots makes it)", root.display());
    }
    let machine = Machine::copy(&root, benchmark);
    let mut scan = machine.scan();
    let failing: BTreeSet<&str> = (scan.findings.iter().flat_map(|finding| &finding.rules))
        .filter(|rule| rule.status == Status::Fail)
        .map(|rule| rule.id.as_str())
        .collect();
    let missed: Vec<_> = FAILS_AT_FIRST.iter().filter(|id| !failing.contains(**id)).collect();
    assert!(missed.is_empty(), "{missed:?} do not fail on a root as it comes");

    eprintln!("as it comes: {:?}", scan.summary);
    let mut failed = Vec::new();
    for _ in 0..ROUNDS {
        if open(&scan, Status::Fail).is_empty() {
            break;
        }
        failed = machine.mend(&scan);
        scan = machine.scan();
    }
    eprintln!("mended: {:?}", scan.summary);
    let left = open(&scan, Status::Fail);
    assert!(left.is_empty(), "still failing: {left:#?}\ncommands that failed: {failed:#?}");
    let unknown = open(&scan, Status::Unknown);
    assert!(unknown.len() * 100 <= scan.findings.len(), "more than 1 % unknown: {unknown:#?}");
}

/// A test for every root: it fails as it comes, and passes level 2 once its rules have mended it.
macro_rules! mended {
    ($($name:ident $benchmark:literal;)*) => {
        $(#[test]
        fn $name() {
            mends(stringify!($name), $benchmark);
        })*
    };
}

mended! {
    debian12 "cis-debian-12";
    debian13 "cis-debian-13";
    ubuntu2204 "cis-ubuntu-22.04";
    ubuntu2404 "cis-ubuntu-24.04";
}
