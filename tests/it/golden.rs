//! Is it fit to be copied: a root as a first boot leaves it, and one that was cleaned.

use std::collections::BTreeMap;

use karat::facts::{Facts, Target};
use karat::finding::{Outcome, Status};
use karat::image::{MemoryImage, Rootfs};
use karat::rule::{Instance, shipped};

/// Every rule of a shipped benchmark.
fn rules_of(benchmark: &str) -> Vec<String> {
    let text = std::fs::read_to_string(format!("benchmarks/{benchmark}.toml")).unwrap();
    let table: toml::Table = text.parse().unwrap();
    let controls = table["control"].as_array().unwrap();
    let rules = controls.iter().flat_map(|control| control["rules"].as_array().unwrap());
    rules.map(|rule| rule.as_str().or_else(|| rule.get("id")?.as_str()).unwrap().to_owned()).collect()
}

fn judge(image: &MemoryImage, running: Option<&MemoryImage>) -> BTreeMap<String, Outcome> {
    let rules = shipped::rules();
    let ids = rules_of("golden-image");
    let instances: Vec<Instance> = ids.iter().map(|id| Instance::new(rules[id].clone(), &[]).unwrap()).collect();
    let mut target = Target::image(Rootfs::new(image), jiff::civil::date(2026, 1, 1));
    target.running = running.map(|running| Rootfs::new(running));
    let facts = Facts::gather(target, |facts, needs| instances.iter().for_each(|instance| instance.needs(facts, needs)));
    instances.iter().map(|instance| (instance.rule.id.clone(), instance.evaluate(&facts))).collect()
}

const KEY: &str = "MC4CAQAwBQYDK2VwBCIEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const SECRETS: [&str; 4] = ["hunter2hunter2", "qqqqQQQQ11112222ssss", "dTpodW50ZXIy", KEY];

/// What every image has.
fn base() -> MemoryImage {
    MemoryImage::new()
        .file("/etc/os-release", "ID=amzn\nVERSION_ID=\"2023\"\n")
        .file("/etc/nsswitch.conf", "passwd: files\ngroup: files\n")
        .file("/etc/passwd", "root:x:0:0::/root:/bin/bash\nec2-user:x:1000:1000::/home/ec2-user:/bin/bash\n")
        .file("/etc/group", "root:x:0:\nec2-user:x:1000:\n")
        .file("/etc/shadow", "root:*:19000:0:99999:7:::\nec2-user:!!:19000:0:99999:7:::\n")
        .file("/usr/share/doc/systemd/README.logs", "x")
        .link("/var/log/README", "../../usr/share/doc/systemd/README.logs")
        .file("/usr/bin/true", "\x7fELF")
}

/// What the rule is and what its finding points at.
const BOOTED: [(&str, &str, &str); 24] = [
    ("ssh-host-keys-are-not-baked", "/etc/ssh/ssh_host_ed25519_key", "x"),
    ("no-authorized-keys-left", "/home/ec2-user/.ssh/authorized_keys", "ssh-ed25519 AAAA build\n"),
    ("machine-id-is-not-baked", "/etc/machine-id", "0123456789abcdef0123456789abcdef\n"),
    ("cloud-init-state-is-clean", "/var/lib/cloud/data/instance-id", "i-0abc\n"),
    ("no-dhcp-leases-left", "/var/lib/NetworkManager/internal-x-ens5.lease", "ADDRESS=10.0.0.5\n"),
    ("no-random-seed-is-baked", "/var/lib/systemd/random-seed", "x"),
    ("no-host-secrets-are-baked", "/var/lib/NetworkManager/secret_key", "x"),
    ("storage-identity-is-not-baked", "/etc/nvme/hostid", "x\n"),
    ("no-shell-histories-left", "/root/.bash_history", "export X=hunter2hunter2\n"),
    ("no-build-logs-left", "/var/log/cloud-init.log", "x\n"),
    ("no-journals-left", "/var/log/journal/0123/system.journal", "LPKSHHRH"),
    ("no-temporary-files-left", "/var/tmp/a/b", "x"),
    ("no-package-caches-left", "/var/cache/dnf/amazonlinux.solv", "x"),
    ("ssm-registration-is-not-baked", "/var/lib/amazon/ssm/registration", "{}"),
    ("ecs-registration-is-not-baked", "/var/lib/ecs/data/agent.db", "x"),
    ("no-image-builder-leftovers", "/var/lib/amazon/toe/TOE_1", "x"),
    ("no-network-of-the-build-machine", "/etc/udev/rules.d/70-persistent-net.rules", "ATTR{address}==\"06:1b:2c:3d:4e:5f\"\n"),
    ("hostname-is-not-baked", "/etc/hostname", "ip-10-0-0-5.ec2.internal\n"),
    ("resolver-is-not-baked", "/etc/resolv.conf", "nameserver 10.0.0.2\n"),
    ("no-unmerged-configuration", "/etc/sudoers.rpmnew", "x"),
    ("no-cloud-credentials", "/root/.aws/credentials", "aws_secret_access_key = qqqqQQQQ11112222ssss\n"),
    ("no-logins-of-programs", "/home/ec2-user/.docker/config.json", "{\"auths\": {\"r\": {\"auth\": \"dTpodW50ZXIy\"}}}"),
    ("no-secrets-in-environment", "/etc/environment", "API_TOKEN=hunter2hunter2\n"),
    ("no-core-dumps-left", "/var/lib/systemd/coredump/core.x.0", "x"),
];

fn booted() -> MemoryImage {
    let image = BOOTED.iter().fold(base(), |image, (_, path, content)| image.file(path, *content));
    let swap = [&vec![0; 4086][..], b"SWAPSPACE2", &vec![0; 40_000]].concat();
    let key = format!("-----BEGIN PRIVATE KEY-----\n{KEY}\n-----END PRIVATE KEY-----\n");
    image
        .file("/swapfile", swap)
        .file("/etc/pki/tls/private/localhost.key", key)
        .file("/etc/passwd", "root:x:0:0::/root:/bin/bash\npacker:x:1001:1001::/home/packer:/bin/bash\n")
        .file("/etc/shadow", "root:$6$aaaaaaaa$bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb:19000:0:99999:7:::\npacker:!:1::::::\n")
}

#[test]
fn a_root_as_a_first_boot_leaves_it_fails_everywhere() {
    let found = judge(&booted(), None);
    for (id, outcome) in &found {
        assert_eq!(outcome.status, Status::Fail, "{id}: {outcome:?}");
    }
    for (id, path, _) in BOOTED {
        assert!(found[id].evidence.iter().any(|evidence| evidence.path == path), "{id}: {:?}", found[id]);
    }
}

#[test]
fn a_cleaned_root_passes_everywhere() {
    for (id, outcome) in judge(&base(), None) {
        assert_eq!(outcome.status, Status::Pass, "{id}: {outcome:?}");
    }
}

#[test]
fn nothing_of_a_secret_is_told() {
    let told = format!("{:?}", judge(&booted(), None));
    for secret in SECRETS {
        assert!(!told.contains(secret), "{secret}");
    }
}

#[test]
fn a_running_machine_is_not_judged_by_what_its_first_boot_made() {
    let running = MemoryImage::new().file("/proc/cmdline", "");
    let image = booted().file("/var/lib/rpm/rpmdb.sqlite", "");
    let found = judge(&image, Some(&running));
    for id in
        ["ssh-host-keys-are-not-baked", "machine-id-is-not-baked", "cloud-init-state-is-clean", "ssm-registration-is-not-baked"]
    {
        assert_eq!(found[id].status, Status::NotApplicable, "{id}");
        assert!(found[id].reason.as_ref().unwrap().contains("judge the snapshot"), "{id}");
    }
    for id in ["no-private-keys", "no-cloud-credentials", "no-account-has-a-password"] {
        assert_eq!(found[id].status, Status::Fail, "{id}: {:?}", found[id]);
    }
}
