//! What is beyond a bound leaves its fact unknown, and says which bound it was.

use karat::facts::{FactId, Facts, Target};
use karat::image::{MemoryImage, Rootfs};

fn facts(image: &MemoryImage, id: FactId) -> Facts<'_> {
    let target = Target::image(Rootfs::new(image), jiff::civil::date(2026, 1, 1));
    Facts::gather(target, move |_, needs| needs.fact(id))
}

fn base() -> MemoryImage {
    MemoryImage::new()
        .file("/etc/os-release", "ID=debian\nVERSION_ID=12\n")
        .file("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")
        .file(
            "/var/lib/dpkg/status",
            "Package: openssh-server\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1:9.2p1-2\n\n",
        )
        .file("/usr/lib/systemd/system/default.target", "[Unit]\n")
}

#[test]
fn a_fact_beyond_its_bound_is_unknown_with_the_reason() {
    let matches = "Match User x\nX11Forwarding no\n".repeat(2_001);
    let mounts = (0..=5_000).map(|number| format!("a /m{number} x d\n")).collect::<Vec<_>>().concat();
    let packages = |number| format!("Package: p{number}\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n\n");
    let modules = (0..=50_000).map(|number| format!("kernel/m{number}.ko:\n")).collect::<Vec<_>>().concat();
    for (path, content, fact, reason) in [
        ("/etc/ssh/sshd_config", matches, FactId::Sshd, "more than 2000 Match blocks"),
        ("/etc/fstab", mounts, FactId::Mounts, "more than 5000 lines"),
        ("/var/lib/dpkg/status", (0..=30_000).map(packages).collect(), FactId::Packages, "more than 30000 packages"),
        ("/lib/modules/6.1/modules.dep", modules, FactId::Modules, "more than 50000 modules"),
    ] {
        let image = base().file(path, content);
        let unreadable = facts(&image, fact).unreadable();
        assert!(unreadable.iter().any(|one| one.reason.contains(reason)), "{path}: {unreadable:?}");
    }
}

#[test]
fn rules_and_actions_beyond_their_bound_leave_a_doubt() {
    let image = base().file("/etc/aide.conf", "/x p\n".repeat(1_001)).file("/etc/rsyslog.conf", "*.* /l\n".repeat(5_001));
    let aide = facts(&image, FactId::Aide);
    assert_eq!(aide.aide().unwrap().doubts[0].reason, "there are more than 1000 rules");
    let rsyslog = facts(&image, FactId::Rsyslog);
    assert_eq!(rsyslog.rsyslog().unwrap().doubts[0].reason, "there are more than 5000 actions");
}

#[test]
fn the_users_of_a_line_of_sudoers_are_kept_once_however_many_commands_it_has() {
    let line = format!("{}a ALL = {}/b\n", "a, ".repeat(20_000), "/b, ".repeat(20_000));
    let image = base().file("/etc/sudoers", line);
    let facts = facts(&image, FactId::Sudo);
    assert_eq!(facts.sudo().unwrap().grants.len(), 20_001);
}
