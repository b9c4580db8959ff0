//! Units of real roots, beside what `systemctl --root` says of them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use karat::facts::units::State;
use karat::facts::{FactId, Facts, Target, Units, Unreadable};
use karat::image::{Entry, FileKind, MemoryImage, Rootfs};
use karat::path::ImagePath;

/// What of a root the units are made of.
const PARTS: [&str; 16] = [
    "etc/systemd",
    "usr/lib/systemd",
    "usr/local/lib/systemd",
    "lib",
    "etc/init.d",
    "etc/rc0.d",
    "etc/rc1.d",
    "etc/rc2.d",
    "etc/rc3.d",
    "etc/rc4.d",
    "etc/rc5.d",
    "etc/os-release",
    "etc/machine-id",
    "usr/lib/udev/rules.d",
    "usr/share/dbus-1",
    "opt",
];

fn image_of(root: &Path) -> MemoryImage {
    let mut image = MemoryImage::new();
    let mut waiting: Vec<PathBuf> = PARTS.iter().map(PathBuf::from).collect();
    while let Some(part) = waiting.pop() {
        let path = root.join(&part);
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        let mut entry = if metadata.is_symlink() {
            Entry::new(FileKind::Link, fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes())
        } else if metadata.is_dir() {
            waiting.extend(fs::read_dir(&path).unwrap().map(|one| part.join(one.unwrap().file_name())));
            Entry::new(FileKind::Directory, "")
        } else if metadata.is_file() {
            Entry::new(FileKind::File, fs::read(&path).unwrap())
        } else {
            continue;
        };
        entry.metadata.mode = metadata.permissions().mode() & 0o7777;
        entry.metadata.uid = metadata.uid();
        image.insert(ImagePath::new(part.as_os_str().as_encoded_bytes()), entry);
    }
    image
}

fn with_units(image: &MemoryImage, look: impl FnOnce(&Units)) {
    let target = Target::image(Rootfs::new(image), jiff::civil::date(2026, 1, 1));
    let facts = Facts::gather(target, |_, needs| needs.fact(FactId::Units));
    look(facts.units().unwrap());
}

/// State by name as `systemctl list-unit-files` has it.
fn listed(root: &Path) -> Option<BTreeMap<String, String>> {
    let output = Command::new("systemctl")
        .arg(format!("--root={}", root.display()))
        .args(["list-unit-files", "--no-pager", "--no-legend", "--plain"])
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).unwrap();
    Some(
        text.lines()
            .filter_map(|line| {
                let mut words = line.split_whitespace();
                Some((words.next()?.to_owned(), words.next()?.to_owned()))
            })
            .collect(),
    )
}

fn differences(units: &Units, listed: &BTreeMap<String, String>) -> Vec<String> {
    differences_of(listed, |name| units.state_before_boot(name))
}

fn differences_of(listed: &BTreeMap<String, String>, state: impl Fn(&str) -> Result<State, Unreadable>) -> Vec<String> {
    let ours = |name: &str| state(name).map_or_else(|why| why.to_string(), |state| state.kind.name().to_owned());
    listed
        .iter()
        .filter(|(name, state)| ours(name) != **state)
        .map(|(name, state)| format!("{name}: systemctl {state}, karat {}", ours(name)))
        .collect()
}

/// A plain Debian 12 root, where one is at hand.
fn debian() -> Option<PathBuf> {
    let root = std::env::var_os("KARAT_DEBIAN_ROOT").map_or_else(|| PathBuf::from("/tmp/base"), PathBuf::from);
    root.join("usr/lib/systemd/system").exists().then_some(root)
}

#[test]
fn every_state_of_a_debian_root_is_what_systemctl_says() {
    let Some((root, listed)) = debian().and_then(|root| listed(&root).map(|listed| (root, listed))) else {
        crate::peers::missing("a Debian root (KARAT_DEBIAN_ROOT) or systemctl");
        return;
    };
    assert!(listed.len() > 100, "systemctl lists {} units", listed.len());
    let image = image_of(&root);
    with_units(&image, |units| {
        assert_eq!(differences(units, &listed), Vec::<String>::new());
        eprintln!("{} states compared", listed.len());
    });
}

/// A root made to be awkward, as files on disk.
fn awkward(root: &Path) {
    let file = |path: &str, content: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    let link = |path: &str, target: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, path).unwrap();
    };
    let service = "[Service]\nExecStart=/bin/true\n";
    let wanted = "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n";
    let vendor = |name: &str| format!("usr/lib/systemd/system/{name}");
    let config = |name: &str| format!("etc/systemd/system/{name}");
    link("lib", "usr/lib");
    file("etc/machine-id", "0123456789abcdef0123456789abcdef\n");
    file(&vendor("multi-user.target"), "[Unit]\nDescription=m\n");
    for name in ["a", "b", "c", "d", "masked-abs", "masked-rel", "masked-empty", "vendor-wants", "own-link"] {
        file(&vendor(&format!("{name}.service")), wanted);
    }
    link(&config("multi-user.target.wants/a.service"), "/lib/systemd/system/a.service");
    link(&config("multi-user.target.wants/gone.service"), "/lib/systemd/system/gone.service");
    link(&config("multi-user.target.wants/b.service"), "/dev/null");
    link(&config("masked-abs.service"), "/dev/null");
    link(&config("masked-rel.service"), "../../../dev/null");
    file(&config("masked-empty.service"), "");
    link(&vendor("multi-user.target.wants/vendor-wants.service"), "../vendor-wants.service");
    link(&config("own-link.service"), "/usr/lib/systemd/system/own-link.service");
    // Aliases: of a package, of the administrator, to what is not there, in a circle, between types.
    link(&vendor("c-alias.service"), "c.service");
    link(&config("d-other.service"), "/usr/lib/systemd/system/d.service");
    link(&config("dangling.service"), "/usr/lib/systemd/system/nothing.service");
    link(&config("circle-a.service"), "circle-b.service");
    link(&config("circle-b.service"), "circle-a.service");
    link(&config("types.socket"), "/usr/lib/systemd/system/a.service");
    file(&vendor("with-alias.service"), "[Service]\nExecStart=/bin/true\n[Install]\nAlias=its-alias.service\n");
    link(&config("its-alias.service"), "/usr/lib/systemd/system/with-alias.service");
    file(&vendor("with-alias-off.service"), "[Service]\nExecStart=/bin/true\n[Install]\nAlias=other-alias.service\n");
    // Linked files.
    file("opt/app/linked.service", wanted);
    link(&config("linked.service"), "/opt/app/linked.service");
    file("opt/app/linked-on.service", wanted);
    link(&config("linked-on.service"), "/opt/app/linked-on.service");
    link(&config("multi-user.target.wants/linked-on.service"), "/opt/app/linked-on.service");
    link(&config("linked-under-other-name.service"), "/opt/app/linked.service");
    // Static, indirect, by a drop-in only.
    file(&vendor("static.service"), service);
    file(&vendor("indirect.service"), "[Service]\nExecStart=/bin/true\n[Install]\nAlso=indirect.socket\n");
    file(&vendor("indirect.socket"), "[Socket]\nListenStream=1\n[Install]\nWantedBy=sockets.target\n");
    file(&vendor("by-drop-in.service"), service);
    file(&config("by-drop-in.service.d/x.conf"), "[Install]\nWantedBy=multi-user.target\n");
    file(&vendor("cleared.service"), wanted);
    file(&config("cleared.service.d/x.conf"), "[Install]\nWantedBy=\n");
    // Templates and instances.
    let template = "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\nDefaultInstance=one\n";
    for name in ["t", "u", "v"] {
        file(&vendor(&format!("{name}@.service")), template);
    }
    link(&config("multi-user.target.wants/t@one.service"), "/lib/systemd/system/t@.service");
    link(&config("multi-user.target.wants/u@two.service"), "/lib/systemd/system/u@.service");
    link(&vendor("multi-user.target.wants/v@three.service"), "../v@.service");
    link(&vendor("t-alias@.service"), "t@.service");
    // The administrator's own version, and one in /usr/local.
    file(&config("c.service"), service);
    file("usr/local/lib/systemd/system/d.service", service);
    // Names that are none, backups, odd characters.
    file(&vendor("back\\x2dslash.service"), wanted);
    file(&vendor("no-type"), wanted);
    file(&vendor("x.service~"), wanted);
    file(&vendor("requires.service"), "[Service]\nExecStart=/bin/true\n[Install]\nRequiredBy=a.service\n");
    link(&config("a.service.requires/requires.service"), "/lib/systemd/system/requires.service");
}

#[test]
fn every_state_of_an_awkward_root_is_what_systemctl_says() {
    let folder = tempfile::tempdir().unwrap();
    awkward(folder.path());
    let Some(listed) = listed(folder.path()) else {
        crate::peers::missing("systemctl");
        return;
    };
    let image = image_of(folder.path());
    with_units(&image, |units| {
        let mut wrong = differences(units, &listed);
        // One by one as well: names that the list leaves out, and instances.
        let names = [
            "t@one.service",
            "u@two.service",
            "v@three.service",
            "t@other.service",
            "t-alias@x.service",
            "nothing.service",
            "gone.service",
        ];
        for name in names {
            let output = Command::new("systemctl")
                .arg(format!("--root={}", folder.path().display()))
                .args(["is-enabled", name])
                .output()
                .unwrap();
            let said = String::from_utf8(output.stdout).unwrap();
            let said = if said.trim().is_empty() { "not-found" } else { said.trim() };
            let state = units.state_before_boot(name).unwrap();
            if state.kind.name() != said {
                wrong.push(format!("{name}: systemctl {said}, karat {}", state.kind.name()));
            }
        }
        assert_eq!(wrong, Vec::<String>::new());
        eprintln!("{} states compared", listed.len() + names.len());
    });
}

/// What `systemctl preset-all` makes of a copy of the parts of a root, beside what we say of the root before its first boot.
fn preset_all(root: &Path, mode: &str, os_release: &str) -> Option<(usize, Vec<String>)> {
    let folder = tempfile::tempdir().unwrap();
    for part in PARTS.iter().filter(|part| root.join(part).exists() || root.join(part).is_symlink()) {
        let to = folder.path().join(part);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        assert!(Command::new("cp").arg("-a").arg(root.join(part)).arg(&to).status().unwrap().success());
    }
    let _ = fs::remove_file(folder.path().join("etc/machine-id"));
    fs::remove_file(folder.path().join("etc/os-release")).ok();
    fs::write(folder.path().join("etc/os-release"), os_release).unwrap();
    let image = image_of(folder.path());
    let option = format!("--root={}", folder.path().display());
    Command::new("systemctl").args([&option, &format!("--preset-mode={mode}"), "preset-all"]).output().ok()?;

    let listed = listed(folder.path())?;
    let mut wrong = Vec::new();
    with_units(&image, |units| wrong = differences_of(&listed, |name| units.state(name)));
    Some((listed.len(), wrong))
}

#[test]
fn the_first_boot_makes_of_a_root_what_preset_all_makes_of_it() {
    let folder = tempfile::tempdir().unwrap();
    awkward(folder.path());
    // systemd gives up at a link to what is not there, with whatever comes later in the directory undone.
    fs::remove_file(folder.path().join("etc/systemd/system/dangling.service")).unwrap();
    let presets = folder.path().join("usr/lib/systemd/system-preset");
    fs::create_dir_all(&presets).unwrap();
    fs::write(
        presets.join("50-a.preset"),
        "# some\ndisable a.service\nenable u@.service five six\ndisable back*\nenable back*\n",
    )
    .unwrap();
    let own = folder.path().join("etc/systemd/system-preset");
    fs::create_dir_all(&own).unwrap();
    fs::write(own.join("40-b.preset"), "enable [b-d].service\ndisable static.service\n").unwrap();
    std::os::unix::fs::symlink("/dev/null", own.join("30-c.preset")).unwrap();
    fs::write(presets.join("30-c.preset"), "disable *\n").unwrap();
    let roots = [Some(folder.path().to_owned()), debian()];
    for root in roots.iter().flatten() {
        for (mode, os_release) in [("enable-only", "ID=debian\nVERSION_ID=12\n"), ("full", "ID=fedora\nVERSION_ID=41\n")] {
            let Some((count, wrong)) = preset_all(root, mode, os_release) else {
                crate::peers::missing("systemctl");
                return;
            };
            assert_eq!(wrong, Vec::<String>::new(), "{} {mode}", root.display());
            eprintln!("{count} states compared ({mode})");
        }
    }
}
