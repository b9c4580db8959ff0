//! Trees of the RPM family, as they come and after every command that the rules themselves give to mend what fails.
//!
//! `testdata/rpm-trees/make` builds them with the real rpmbuild and rpm; `testdata/rpm-trees/inside` runs the commands. Both need root.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use karat::finding::{Scan, Status};

/// What no distribution mentioned sets by itself: rules that fail before anything was mended.
const FAILS_AT_FIRST: [&str; 12] = [
    "no-ipv4-forwarding",
    "ssh-access-limited",
    "ssh-max-auth-tries",
    "password-length",
    "pam-faillock",
    "password-history",
    "umask-of-logins",
    "home-separate",
    "audit-delete-module",
    "audit-immutable",
    "boot-audit",
    "no-squashfs-module",
];

/// One mend may bring something that another rule then judges: a package with its service.
const ROUNDS: usize = 4;

/// What `testdata/rpm-trees/inside` mounts, in small.
const MOUNTING: &str =
    "mount -t tmpfs tmpfs /mnt && mkdir /mnt/empty && mount -t overlay -o ro,nosuid,lowerdir=/usr:/mnt/empty overlay /mnt";

fn maker(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/rpm-trees").join(name)
}

/// A command that runs as root, by sudo where this is not.
fn as_root(program: impl AsRef<OsStr>) -> Command {
    if Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n") {
        return Command::new(program);
    }
    let mut sudo = Command::new("sudo");
    sudo.arg("-n").arg(program.as_ref());
    sudo
}

/// Whether this host can build the trees and change into them; why not, otherwise.
fn able() -> Result<(), &'static str> {
    let works =
        |mut command: Command| command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    let has = |program: &str| {
        let mut command = Command::new(program);
        command.arg("--version");
        works(command)
    };
    if !["rpmbuild", "python3", "systemctl", "unshare"].into_iter().all(has) || !Path::new("/usr/bin/mawk").exists() {
        return Err("rpmbuild, python3, systemctl, unshare or mawk is missing");
    }
    // Root in a container may lack what it takes to mount.
    let mut mounting = as_root("unshare");
    mounting.args(["--mount", "--propagation", "private", "/bin/sh", "-c", MOUNTING]);
    if works(mounting) && cfg!(target_arch = "x86_64") { Ok(()) } else { Err("this needs root that may mount, on x86-64") }
}

/// A tree that commands are run in.
struct Machine {
    place: tempfile::TempDir,
    benchmark: &'static str,
}

impl Drop for Machine {
    /// What is in it belongs to root.
    fn drop(&mut self) {
        let _ = as_root("rm").args(["-rf", "root", "root.repo"]).current_dir(self.place.path()).status();
    }
}

impl Machine {
    fn make(name: &str, benchmark: &'static str) -> Self {
        let place = tempfile::tempdir().unwrap();
        let made = as_root(maker("make")).arg(name).arg(place.path().join("root")).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Self { place, benchmark }
    }

    fn run(&self, command: &str) -> Output {
        let mut inside = as_root(maker("inside"));
        inside.arg(self.place.path().join("root")).arg(command).stdin(Stdio::null()).output().unwrap()
    }

    fn scan(&self) -> Scan {
        let scanned = as_root(env!("CARGO_BIN_EXE_karat"))
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

fn fails_as_it_comes_and_passes_once_mended(name: &str, benchmark: &'static str) {
    if let Err(why) = able() {
        assert!(std::env::var_os("KARAT_PEERS").is_none_or(|wanted| wanted != "required"), "{why}");
        eprintln!("skipped: {why}");
        return;
    }
    let machine = Machine::make(name, benchmark);
    let first = machine.scan();
    let failing: BTreeSet<&str> = (first.findings.iter().flat_map(|finding| &finding.rules))
        .filter(|rule| rule.status == Status::Fail)
        .map(|rule| rule.id.as_str())
        .collect();
    let missed: Vec<_> = FAILS_AT_FIRST.iter().filter(|id| !failing.contains(**id)).collect();
    assert!(missed.is_empty(), "{name}: {missed:?} do not fail on a tree as it comes");
    let unknown = open(&first, Status::Unknown);
    assert!(unknown.len() * 100 <= first.findings.len(), "{name}: more than 1 % unknown as it comes: {unknown:#?}");

    let mut scan = first;
    let mut failed = Vec::new();
    for _ in 0..ROUNDS {
        if open(&scan, Status::Fail).is_empty() {
            break;
        }
        failed = machine.mend(&scan);
        scan = machine.scan();
    }
    eprintln!("{name}: {:?}", scan.summary);
    let still = open(&scan, Status::Fail);
    assert!(still.is_empty(), "{name}: {still:#?}\ncommands that failed: {failed:#?}");
    let unknown = open(&scan, Status::Unknown);
    assert!(unknown.len() * 100 <= scan.findings.len(), "{name}: more than 1 % unknown: {unknown:#?}");
}

#[test]
fn red_hat_9_passes_level_2_once_its_rules_have_mended_it() {
    fails_as_it_comes_and_passes_once_mended("rhel9", "cis-rhel-9");
}

#[test]
fn red_hat_8_passes_level_2_once_its_rules_have_mended_it() {
    fails_as_it_comes_and_passes_once_mended("rhel8", "cis-rhel-8");
}

#[test]
fn red_hat_10_passes_level_2_once_its_rules_have_mended_it() {
    fails_as_it_comes_and_passes_once_mended("rhel10", "cis-rhel-10");
}

#[test]
fn amazon_linux_2023_passes_level_2_once_its_rules_have_mended_it() {
    fails_as_it_comes_and_passes_once_mended("al2023", "cis-amazon-linux-2023");
}
