//! What is mounted where after boot: `fstab(5)`, mount units, and what systemd mounts on its own; and what is mounted now.
//!
//! systemd turns each line of fstab into a unit (`systemd-fstab-generator(8)`). Such a unit ranks below one of the same name in `/etc` (a mask
//! there, too, keeps the file system from being mounted) and above one in `/usr/lib`; of two lines for one directory the first is
//! used. A line for one of systemd's own mounts, such as `/dev/shm`, gives that its options.

mod options;

use std::collections::{BTreeMap, BTreeSet};

use super::units::{Start, Units, Value};
use super::{Fact, Facts, Unreadable};
use crate::path::{ImagePath, printable};
use crate::syntax::fstab;
use options::in_force;

const FSTAB: &str = "/etc/fstab";
/// Lines of it that mount something. Hosts of very many containers have some hundred.
const MAX_LINES: usize = 5_000;
/// Where generators put what they make.
const GENERATED: &str = "/run/systemd/generator";
const MOUNTINFO: &str = "/proc/self/mountinfo";
/// What systemd mounts before anything else (`src/shared/mount-setup.c`): where, what, and with which options.
const OWN: &[(&str, &str, &[&str])] = &[
    ("/dev", "devtmpfs", &["nosuid", "strictatime", "mode=0755"]),
    ("/dev/pts", "devpts", &["nosuid", "noexec", "mode=0620", "gid=5"]),
    ("/dev/shm", "tmpfs", &["nosuid", "nodev", "strictatime", "mode=01777"]),
    ("/proc", "proc", &["nosuid", "noexec", "nodev"]),
    ("/run", "tmpfs", &["nosuid", "nodev", "strictatime", "mode=0755"]),
    ("/sys", "sysfs", &["nosuid", "noexec", "nodev"]),
];

/// Who mounts something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A line of `/etc/fstab`.
    Fstab,
    /// A mount unit.
    Unit,
    /// systemd itself, at every boot.
    System,
    /// It is mounted now.
    Running,
}

/// A mounted file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountEntry {
    /// Where.
    pub point: ImagePath,
    /// What, escaped.
    pub source: String,
    /// The kind of file system, escaped.
    pub fstype: String,
    /// The options in force, escaped.
    pub options: BTreeSet<String>,
    /// Whether it waits until somebody mounts it.
    pub noauto: bool,
    /// Who mounts it.
    pub origin: Origin,
    /// The file that says so.
    pub path: ImagePath,
    /// The line in it, from 1.
    pub line: Option<u32>,
    /// Why this counts and not something else. Safe to show.
    pub because: Option<String>,
}

/// The mounts of an image.
#[derive(Debug, Clone, Default)]
pub struct Mounts {
    configured: BTreeMap<ImagePath, MountEntry>,
    /// Points at which nothing will be mounted though something says so, and why.
    refused: BTreeMap<ImagePath, Unreadable>,
    /// Points of which it is not known whether something is mounted.
    doubts: BTreeMap<ImagePath, Unreadable>,
    /// What is mounted now; nothing where the image is not running.
    running: Option<Fact<Vec<MountEntry>>>,
}

pub(super) fn gather(facts: &Facts<'_>) -> Fact<Mounts> {
    let root = facts.root();
    let mut mounts = Mounts::default();
    let path = ImagePath::new(FSTAB);
    let lines = match root.read(&path) {
        Ok(content) => fstab::parse(&content),
        Err(error) if error.is_absent() => Vec::new(),
        Err(error) => return Err(Unreadable::reading(&path, &error)),
    };
    let units = facts.units()?;
    if let Some(line) = lines.get(MAX_LINES) {
        return Err(Unreadable::at_line(&path, line.line, format!("it has more than {MAX_LINES} lines")));
    }
    for line in lines {
        mounts.add_line(facts, units, &path, &line)?;
    }
    let names: Vec<&str> = units.known_names().filter(|name| name.strip_suffix(".mount").is_some()).collect();
    for name in names {
        mounts.add_unit(facts, units, name)?;
    }
    for (point, fstype, options) in OWN {
        let point = ImagePath::new(point);
        mounts.configured.entry(point.clone()).or_insert_with(|| MountEntry {
            point,
            source: (*fstype).to_owned(),
            fstype: (*fstype).to_owned(),
            options: in_force(options.iter().map(|option| option.as_bytes())),
            noauto: false,
            origin: Origin::System,
            path: path.clone(),
            line: None,
            because: Some("systemd mounts it at every boot, and fstab says nothing else".to_owned()),
        });
    }
    mounts.running = facts.running().map(|running| {
        let path = ImagePath::new(MOUNTINFO);
        let content = running.read(&path).map_err(|error| Unreadable::reading(&path, &error))?;
        Ok(fstab::parse_mountinfo(&content).iter().map(|entry| of_line(&path, entry, Origin::Running)).collect())
    });
    Ok(mounts)
}

fn of_line(path: &ImagePath, entry: &fstab::Entry, origin: Origin) -> MountEntry {
    MountEntry {
        point: ImagePath::new(&entry.point),
        source: printable(&entry.source),
        fstype: printable(&entry.fstype),
        options: in_force(entry.options.iter().map(Vec::as_slice)),
        noauto: false,
        origin,
        path: path.clone(),
        line: Some(entry.line),
        because: None,
    }
}

impl Mounts {
    fn add_line(&mut self, facts: &Facts<'_>, units: &Units, path: &ImagePath, line: &fstab::Entry) -> Fact<()> {
        if !line.point.starts_with(b"/") || line.fstype == b"swap" || line.fstype == b"ignore" {
            return Ok(());
        }
        let mut entry = of_line(path, line, Origin::Fstab);
        // systemd mounts at the place a link leads to (`chase()` in the generator).
        if let Ok(found) = facts.root().resolve(&entry.point) {
            entry.point = found.path;
        }
        if let Some(first) = self.configured.get_mut(&entry.point) {
            first.because = Some(format!("the first of two lines counts, not {path}:{}", line.line));
            return Ok(());
        }
        if let Some((.., fstype, _)) = OWN.iter().find(|(point, ..)| entry.point.as_bytes() == point.as_bytes()) {
            (*fstype).clone_into(&mut entry.fstype);
            entry.because = Some("systemd mounts it and then gives it the options of fstab alone".to_owned());
            self.configured.insert(entry.point.clone(), entry);
            return Ok(());
        }
        entry.noauto = entry.options.contains("noauto") && !entry.options.contains("x-systemd.automount");
        let name = unit_name(&entry.point);
        if let Some(mask) = units.mask(&name)?
            && is_administrators(&mask)
        {
            let reason = format!("{name} is masked, so that line {} of {path} is never mounted", line.line);
            self.refused.insert(entry.point, Unreadable::at(&mask, reason));
            return Ok(());
        }
        match units.file(&name)? {
            Some(file) if is_administrators(&file) => {
                let mut unit = of_unit(units, &name, &file, entry.point.clone())?;
                unit.noauto = entry.noauto;
                unit.because = Some(format!("a unit in /etc wins over {path}:{}", line.line));
                self.configured.insert(entry.point, unit);
            }
            _ => {
                let (options, unmet) = units.dropped_into(&name, "Mount", "Options")?;
                if let Some(unmet) = unmet {
                    let reason = format!("{} keeps {name} from being mounted", printable(unmet.text.as_bytes()));
                    self.refused.insert(entry.point, Unreadable::at_line(&unmet.path, unmet.line, reason));
                    return Ok(());
                }
                if let Some(options) = options {
                    override_options(&mut entry, &options);
                }
                self.configured.insert(entry.point.clone(), entry);
            }
        }
        Ok(())
    }

    /// A unit that nothing in fstab makes.
    fn add_unit(&mut self, facts: &Facts<'_>, units: &Units, name: &str) -> Fact<()> {
        let Some(point) = point_of(name) else { return Ok(()) };
        if self.configured.contains_key(&point) || self.refused.contains_key(&point) {
            return Ok(());
        }
        if let Some(mask) = units.mask(name)? {
            self.refused.insert(point, Unreadable::at(&mask, format!("{name} is masked")));
            return Ok(());
        }
        // systemd finds its own there already when it comes to units, and a unit made of a line that is no longer there is not made again.
        let of_fstab =
            || units.property(name, "Unit", "SourcePath").map(|from| from.last().is_some_and(|from| from.text == FSTAB));
        let Some(file) = units.file(name)? else { return Ok(()) };
        if OWN.iter().any(|(own, ..)| point.as_bytes() == own.as_bytes())
            || (file.is_within(&ImagePath::new(GENERATED)) && of_fstab()?)
        {
            return Ok(());
        }
        let automount = format!("{}.automount", name.trim_end_matches(".mount"));
        let starts = |name: &str| units.starts(name).map(|start| matches!(start, Start::AtBoot(_)));
        match (starts(name), starts(&automount)) {
            (Ok(true), _) | (_, Ok(true)) => {
                // `unit_fail_if_noncanonical()`: a unit is never mounted through a link.
                if facts.root().resolve(&point).is_ok_and(|found| found.path != point) {
                    let reason = format!("{name} fails: {point} is a link, or lies behind one");
                    self.refused.insert(point, Unreadable::at(&file, reason));
                } else if let Some(unmet) = units.unmet_condition(name)? {
                    let reason = format!("{} keeps {name} from being mounted", printable(unmet.text.as_bytes()));
                    self.refused.insert(point, Unreadable::at_line(&unmet.path, unmet.line, reason));
                } else {
                    self.configured.insert(point.clone(), of_unit(units, name, &file, point)?);
                }
            }
            (Ok(false), Ok(false)) => {
                self.refused.insert(point, Unreadable::at(&file, format!("nothing starts {name}")));
            }
            (Err(doubt), _) | (_, Err(doubt)) => {
                self.doubts.insert(point, doubt);
            }
        }
        Ok(())
    }

    /// What is mounted at a point after boot, or why nothing is: a reason where something says it should be.
    ///
    /// # Errors
    /// Why it is not known.
    pub fn configured(&self, point: &ImagePath) -> Result<Result<&MountEntry, Option<&Unreadable>>, Unreadable> {
        if let Some(doubt) = self.doubts.get(point) {
            return Err(doubt.clone());
        }
        Ok(match self.configured.get(point) {
            Some(entry) if !entry.noauto => Ok(entry),
            _ => Err(self.refused.get(point)),
        })
    }

    /// The line that mounts something there only on demand.
    #[must_use]
    pub fn on_demand(&self, point: &ImagePath) -> Option<&MountEntry> {
        self.configured.get(point).filter(|entry| entry.noauto)
    }

    /// What is mounted at a point now: the last one covers those before. Nothing where the image is not running.
    #[must_use]
    pub fn running(&self, point: &ImagePath) -> Option<Result<Option<&MountEntry>, Unreadable>> {
        let mounts = self.running.as_ref()?;
        Some(mounts.as_ref().map(|mounts| mounts.iter().rfind(|entry| entry.point == *point)).map_err(Clone::clone))
    }

    /// The volumes besides the root, by mount point: what fstab and units mount, not what systemd mounts on its own.
    pub fn separate(&self) -> impl Iterator<Item = &MountEntry> {
        self.configured.values().filter(|entry| entry.origin != Origin::System && !entry.point.is_root())
    }
}

/// Whether a file ranks above what the generator for fstab makes.
fn is_administrators(path: &ImagePath) -> bool {
    // What the generator itself made at this boot it makes anew at the next.
    !path.is_within(&ImagePath::new(GENERATED)) && ["/etc", "/run"].iter().any(|above| path.is_within(&ImagePath::new(above)))
}

fn of_unit(units: &Units, name: &str, file: &ImagePath, point: ImagePath) -> Fact<MountEntry> {
    let last = |key: &str| -> Fact<Option<Value>> { Ok(units.property(name, "Mount", key)?.pop()) };
    let options = last("Options")?;
    let text = |value: Option<Value>| value.map(|value| printable(value.text.as_bytes())).unwrap_or_default();
    Ok(MountEntry {
        point,
        source: text(last("What")?),
        fstype: text(last("Type")?),
        options: in_force(options.iter().flat_map(|options| options.text.split(',').map(str::as_bytes))),
        noauto: false,
        origin: Origin::Unit,
        path: options.as_ref().map_or_else(|| file.clone(), |options| options.path.clone()),
        line: options.map(|options| options.line),
        because: None,
    })
}

/// Applies `Options=` of a drop-in to a unit that is made of a line of fstab: it replaces the options of the line.
fn override_options(entry: &mut MountEntry, options: &Value) {
    entry.because = Some(format!("replaces the options of {}:{}", entry.path, entry.line.unwrap_or_default()));
    entry.options = in_force(options.text.split(',').filter(|option| !option.is_empty()).map(str::as_bytes));
    entry.path = options.path.clone();
    entry.line = Some(options.line);
}

/// The unit for a mount point (`systemd-escape --path`).
fn unit_name(point: &ImagePath) -> String {
    if point.is_root() {
        return "-.mount".to_owned();
    }
    let mut name = String::new();
    for (index, &byte) in point.as_bytes().iter().skip(1).enumerate() {
        match byte {
            b'/' => name.push('-'),
            b'.' if index == 0 => name.push_str("\\x2e"),
            b':' | b'_' | b'.' => name.push(char::from(byte)),
            plain if plain.is_ascii_alphanumeric() => name.push(char::from(plain)),
            other => name.push_str(&format!("\\x{other:02x}")),
        }
    }
    name + ".mount"
}

/// The mount point of a unit: its name, unescaped. systemd refuses a unit whose `Where=` says something else.
fn point_of(name: &str) -> Option<ImagePath> {
    let escaped = name.strip_suffix(".mount")?;
    if escaped == "-" {
        return Some(ImagePath::root());
    }
    let mut path = vec![b'/'];
    let mut rest = escaped.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after.first_chunk::<3>()) {
            (b'\\', Some([b'x', digits @ ..])) => {
                path.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
                rest = after.get(3..)?;
            }
            (b'-', _) => path.push(b'/'),
            _ => path.push(byte),
        }
    }
    Some(ImagePath::new(path))
}

#[cfg(test)]
mod tests;
