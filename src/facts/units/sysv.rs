//! Scripts of System V init that systemd turns into services at boot: `systemd-sysv-generator(8)`, `systemd-rc-local-generator(8)`.

use std::collections::BTreeMap;

use super::load::Id;
use super::name;
use super::{Units, Via, search};
use crate::facts::{Fact, Facts, Unreadable};
use crate::image::{FileKind, ReadError, Rootfs};
use crate::path::ImagePath;

/// Where a generator may lie; the first one found of a name counts, and a link to `/dev/null` turns it off (`systemd.generator(7)`).
const GENERATORS: [&str; 5] = [
    "/run/systemd/system-generators",
    "/etc/systemd/system-generators",
    "/usr/local/lib/systemd/system-generators",
    "/usr/lib/systemd/system-generators",
    "/lib/systemd/system-generators",
];

/// Run levels and the targets that stand for them.
const LEVELS: [(&str, &str); 5] = [
    ("rc1.d", "rescue.target"),
    ("rc2.d", "multi-user.target"),
    ("rc3.d", "multi-user.target"),
    ("rc4.d", "multi-user.target"),
    ("rc5.d", "graphical.target"),
];

/// A script without a unit of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Script {
    pub(super) path: ImagePath,
}

impl Units {
    /// Adds what the generators would make.
    pub(super) fn add_sysv(&mut self, facts: &Facts<'_>) -> Fact<()> {
        let root = facts.root();
        let generator = |name: &str| generator(facts, name);
        if generator("systemd-rc-local-generator")? {
            for path in ["/etc/rc.local", "/etc/rc.d/rc.local"].map(ImagePath::new) {
                let runs =
                    |found: &crate::image::Resolved| found.metadata.kind == FileKind::File && found.metadata.mode & 0o100 != 0;
                if root.resolve(&path).is_ok_and(|found| runs(&found)) && self.ids.contains_key("rc-local.service") {
                    self.make("multi-user.target", "rc-local.service", Via::Generator(path));
                    break;
                }
            }
        }
        if !generator("systemd-sysv-generator")? {
            return Ok(());
        }
        let mut scripts: BTreeMap<String, Script> = BTreeMap::new();
        for dir in ["/etc/init.d", "/etc/rc.d/init.d"].map(ImagePath::new) {
            for file in names(root, &dir)? {
                let path = dir.join(&file);
                let Some(unit) = unit_of(&file).filter(|unit| !self.ids.contains_key(unit)) else { continue };
                let Ok(found) = root.resolve(&path) else { continue };
                if found.metadata.kind == FileKind::File && found.metadata.mode & 0o100 != 0 {
                    scripts.entry(unit).or_insert(Script { path });
                }
            }
        }
        for (level, target) in LEVELS {
            for dir in [format!("/etc/{level}"), format!("/etc/rc.d/{level}")].map(ImagePath::new) {
                for file in names(root, &dir)? {
                    let [b'S', one, two, rest @ ..] = file.as_slice() else { continue };
                    let numbered = one.is_ascii_digit() && two.is_ascii_digit();
                    let Some(unit) = unit_of(rest).filter(|unit| numbered && scripts.contains_key(unit)) else { continue };
                    self.make(target, &unit, Via::Generator(dir.join(&file)));
                }
            }
        }
        for (unit, script) in &scripts {
            for alias in provides(root, &script.path) {
                if alias != *unit && !self.ids.contains_key(&alias) && !scripts.contains_key(&alias) {
                    self.ids.insert(alias, Id::Alias(unit.clone()));
                }
            }
            self.ids.insert(unit.clone(), Id::File(script.path.clone()));
        }
        self.sysv = scripts;
        Ok(())
    }
}

/// Whether a generator is there and may run.
fn generator(facts: &Facts<'_>, name: &str) -> Fact<bool> {
    let root = facts.root();
    for dir in GENERATORS.into_iter().filter(|dir| facts.running().is_some() || !dir.starts_with("/run/")) {
        let path = ImagePath::new(dir).join(name);
        match root.resolve_parent(&path) {
            Ok(_) => return Ok(!search::is_null(root, &path)),
            Err(error) if error.is_absent() => {}
            Err(error) => return Err(Unreadable::reading(&path, &error)),
        }
    }
    Ok(false)
}

fn names(root: Rootfs<'_>, dir: &ImagePath) -> Fact<Vec<Vec<u8>>> {
    match root.read_dir(dir) {
        Ok(names) => Ok(names),
        Err(ReadError::Kind { .. }) => Ok(Vec::new()),
        Err(error) if error.is_absent() => Ok(Vec::new()),
        Err(error) => Err(Unreadable::reading(dir, &error)),
    }
}

/// The service of a script: without `.sh`. Names that would have to be escaped are no services that a rule could name.
fn unit_of(script: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(script).ok()?;
    let unit = format!("{}.service", name.strip_suffix(".sh").unwrap_or(name));
    name::form(&unit).is_some().then_some(unit)
}

/// Other names of a service, from the header that the Linux Standard Base asks for.
fn provides(root: Rootfs<'_>, script: &ImagePath) -> Vec<String> {
    let content = root.read(script).unwrap_or_default();
    let lines = content.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii_end);
    let header = lines.skip_while(|line| *line != b"### BEGIN INIT INFO").take_while(|line| *line != b"### END INIT INFO");
    let facilities =
        header.filter_map(|line| line.strip_prefix(b"# Provides:")).flat_map(|list| list.split(u8::is_ascii_whitespace));
    // `$network` and the like are facilities, not services.
    facilities.filter(|word| !word.is_empty() && !word.starts_with(b"$")).filter_map(unit_of).collect()
}
