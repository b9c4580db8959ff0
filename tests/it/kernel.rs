//! Kernel parameters, modules and mounts beside the real programs that read the same files. None of them changes anything: they print.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use karat::facts::modules::Effect;
use karat::facts::{FactId, Facts, Target};
use karat::image::{MemoryImage, Rootfs};
use karat::syntax::{fstab, sysctl};

/// What a program prints; nothing, with a word about it, where it is not installed.
fn output(program: &str, arguments: &[&str]) -> Option<Vec<u8>> {
    match Command::new(program).args(arguments).output() {
        Ok(output) => Some(output.stdout),
        Err(error) => {
            let required = std::env::var("KARAT_PEERS").is_ok_and(|value| value == "required");
            assert!(!required, "{program}: {error}");
            eprintln!("skipped: {program} is not at hand");
            None
        }
    }
}

/// The same tree on disk and in memory.
struct Both {
    disk: tempfile::TempDir,
    memory: MemoryImage,
}

impl Both {
    fn new(files: &[(&str, &str)], links: &[(&str, &str)]) -> Self {
        let disk = tempfile::tempdir().unwrap();
        let mut memory = MemoryImage::new();
        let place = |path: &str| {
            let place = disk.path().join(path.trim_start_matches('/'));
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            place
        };
        for (path, content) in files {
            fs::write(place(path), content).unwrap();
            memory = memory.file(path, *content);
        }
        for (path, to) in links {
            symlink(to, place(path)).unwrap();
            memory = memory.link(path, to);
        }
        Self { disk, memory }
    }

    fn root(&self) -> &str {
        self.disk.path().to_str().unwrap()
    }

    fn facts(&self, id: FactId) -> Facts<'_> {
        Facts::gather(Target::image(Rootfs::new(&self.memory), jiff::civil::date(2026, 1, 1)), |_, needs| needs.fact(id))
    }
}

#[test]
fn sysctl_files_count_in_the_order_in_which_systemd_lists_them() {
    let both = Both::new(
        &[
            ("/etc/sysctl.d/10-a.conf", "a.one=1\na.two=1\na.three = 1\n"),
            ("/etc/sysctl.d/50-same.conf", "a.two=2\n"),
            ("/etc/sysctl.d/.hidden.conf", "a.one=hidden\n"),
            ("/etc/sysctl.d/zz.txt", "a.one=text\n"),
            ("/usr/lib/sysctl.d/50-same.conf", "a.two=hidden\na.one=hidden\n"),
            ("/usr/lib/sysctl.d/60-masked.conf", "a.one=masked\n"),
            ("/usr/local/lib/sysctl.d/20-local.conf", "a/three = 3\n"),
            ("/usr/lib/sysctl.d/99-z.conf", "a.four=4\n"),
            ("/etc/sysctl.d/99-empty.conf", ""),
            ("/etc/sysctl.conf", "a.one=conf\n"),
        ],
        &[("/etc/sysctl.d/60-masked.conf", "/dev/null"), ("/etc/sysctl.d/98-link.conf", "10-a.conf")],
    );
    let Some(printed) = output("systemd-analyze", &[&format!("--root={}", both.root()), "cat-config", "sysctl.d"]) else {
        return;
    };
    let mut theirs = BTreeMap::new();
    for assignment in sysctl::parse(&printed) {
        theirs.insert(assignment.key, assignment.value.unwrap());
    }
    assert_eq!(theirs.len(), 4, "{}", String::from_utf8_lossy(&printed));
    let facts = both.facts(FactId::Sysctl);
    for (key, value) in theirs {
        let ours = facts.sysctl().unwrap().configured(&key).unwrap().unwrap();
        assert_eq!(ours.value.as_bytes(), value, "{}", String::from_utf8_lossy(&key));
    }
}

#[test]
fn modprobe_runs_the_command_that_we_say() {
    let both = Both::new(
        &[
            (
                "/etc/modprobe.d/10-a.conf",
                "install usb-storage /bin/false\ninstall dccp \\\n/bin/true\n# install tipc /bin/false\n",
            ),
            ("/etc/modprobe.d/20-b.conf", "install usb_storage /sbin/modprobe -i usb_storage\n"),
            ("/etc/modprobe.d/30-c", "install rds /bin/false\n"),
            (
                "/etc/modprobe.d/40-d.conf",
                "  install\tsctp   /bin/false \ninstall udf\nblacklist cramfs\n install hfs \\/bin/false\n",
            ),
            ("/lib/modules/6.1/modules.dep", ""),
        ],
        &[],
    );
    let facts = both.facts(FactId::Modules);
    let directory = format!("{}/etc/modprobe.d", both.root());
    for module in ["usb-storage", "usb_storage", "dccp", "tipc", "rds", "sctp", "udf", "cramfs", "hfs"] {
        let Some(printed) = output("modprobe", &["-n", "-v", "-d", both.root(), "-S", "6.1", "-C", &directory, module]) else {
            return;
        };
        let printed = String::from_utf8(printed).unwrap();
        let theirs =
            printed.lines().next().and_then(|line| line.strip_prefix("install ")).map(|command| command.trim().to_owned());
        let ours = facts.modules().unwrap().install(module.replace('-', "_").as_bytes()).unwrap();
        assert!(ours.as_ref().is_none_or(|ours| ours.effect == Effect::Blocks), "{module}");
        assert_eq!(ours.map(|ours| ours.command), theirs, "{module}");
    }
}

#[test]
fn fstab_is_read_as_findmnt_reads_it() {
    let text = "# a comment\n\n/dev/sda1 /srv/my\\040data ext4 rw,noexec 0 2\n \ttmpfs\t/tmp  tmpfs\nLABEL=x / ext4 defaults,nodev\nb /c\\011d\\134 xfs noauto,x-systemd.automount 0 0\n";
    let both = Both::new(&[("/etc/fstab", text)], &[]);
    let file = Path::new(both.root()).join("etc/fstab");
    let arguments = ["--fstab", "-F", file.to_str().unwrap(), "-J", "--list", "-o", "SOURCE,TARGET,FSTYPE,OPTIONS"];
    let Some(printed) = output("findmnt", &arguments) else { return };
    let printed: serde_json::Value = serde_json::from_slice(&printed).unwrap();
    let field = |row: &serde_json::Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let theirs: Vec<[String; 4]> = (printed["filesystems"].as_array().unwrap().iter())
        .map(|row| ["source", "target", "fstype", "options"].map(|name| field(row, name)))
        .collect();
    let ours: Vec<[String; 4]> = (fstab::parse(text.as_bytes()).into_iter())
        .map(|entry| {
            [entry.source, entry.point, entry.fstype, entry.options.join(&b',')].map(|bytes| String::from_utf8(bytes).unwrap())
        })
        .collect();
    assert_eq!(ours, theirs);
    assert_eq!(ours.len(), 4);
}
