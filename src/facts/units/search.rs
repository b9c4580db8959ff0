//! The directories that systemd loads units from, and what is in them.

use std::collections::{BTreeMap, BTreeSet};

use super::name;
use crate::facts::{Fact, Facts, Unreadable};
use crate::image::{FileKind, ReadError, Rootfs};
use crate::path::ImagePath;
use crate::syntax::systemd_unit::{self, UnitFile};

/// Entries of all unit directories together, links among them. A full desktop has fifteen hundred.
const MAX_ENTRIES: usize = 10_000;

/// Drop-ins that belong to very many units at once (`service.d`, `app-.service.d`), times units: as often they are looked at. Distributions ship
/// fewer than ten of them.
const MAX_SHARED: usize = 500_000;

/// The longest target of a link, `PATH_MAX`.
const MAX_TARGET: usize = 4096;

/// What a directory of units is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// `systemctl set-property` and the like.
    Control,
    /// `/etc/systemd/system`: what the administrator wants, and where `enable` makes its links.
    Config,
    /// The same until the next boot.
    Runtime,
    /// Made by generators at boot.
    Generated,
    /// Made by programs while running.
    Transient,
    /// Packages.
    Vendor,
}

/// The search path in order of precedence (`systemd.unit(5)`, table "Load path when running in system mode"). What lies below `/run` exists on a
/// running system only. Where `/lib` is not `/usr/lib`, the build is one with a split `/usr` and loads its units from `/lib` first.
const SEARCH: [(&str, Role); 13] = [
    ("/etc/systemd/system.control", Role::Control),
    ("/run/systemd/system.control", Role::Runtime),
    ("/run/systemd/transient", Role::Transient),
    ("/run/systemd/generator.early", Role::Generated),
    ("/etc/systemd/system", Role::Config),
    ("/etc/systemd/system.attached", Role::Control),
    ("/run/systemd/system", Role::Runtime),
    ("/run/systemd/system.attached", Role::Runtime),
    ("/run/systemd/generator", Role::Generated),
    ("/usr/local/lib/systemd/system", Role::Vendor),
    ("/lib/systemd/system", Role::Vendor),
    ("/usr/lib/systemd/system", Role::Vendor),
    ("/run/systemd/generator.late", Role::Generated),
];

/// Why a link to a unit of the same name is passed over; the unit is loaded from where the link leads.
pub(super) const TO_ITSELF: &str = "a link to itself";

/// What stands under the name of a unit in one directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    /// A file with settings.
    File,
    /// An empty file, or a link to `/dev/null`: the unit is masked.
    Mask,
    /// A link within the search path: another name for this unit.
    Alias(String),
    /// A link to a file elsewhere.
    Linked(ImagePath),
    /// A link that systemd refuses, and passes over.
    Refused(&'static str),
    /// What it is could not be found out.
    Unknown(Unreadable),
}

/// A link or a file in a `.wants` directory or a directory of drop-ins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) is_link: bool,
    pub(super) is_mask: bool,
}

/// One directory of the search path.
#[derive(Debug, Clone)]
pub(super) struct Dir {
    pub(super) path: ImagePath,
    pub(super) role: Role,
    /// Units by name.
    pub(super) entries: BTreeMap<String, Entry>,
    /// `foo.service.d`, `foo.target.wants` and so on, each with what is in it, sorted.
    pub(super) folders: BTreeMap<String, BTreeMap<String, Part>>,
    /// Those of them that are links to directories: `is-enabled` looks into real directories only.
    pub(super) linked_folders: BTreeSet<String>,
}

impl Dir {
    /// Whether what is here lasts until the next boot only.
    pub(super) fn is_runtime(&self) -> bool {
        self.path.is_within(&ImagePath::new("/run"))
    }
}

/// Everything that was read.
#[derive(Debug, Clone, Default)]
pub(super) struct Tree {
    pub(super) dirs: Vec<Dir>,
    /// The settings of unit files and drop-ins by path.
    pub(super) files: BTreeMap<ImagePath, Fact<UnitFile>>,
    /// Folders and drop-ins that could not be read.
    pub(super) doubts: Vec<Unreadable>,
    /// Those about drop-ins, by the name or kind of unit that the directory is for.
    pub(super) unread: BTreeMap<String, Unreadable>,
    entries: usize,
}

/// Reads the directories that exist.
pub(super) fn read(facts: &Facts<'_>) -> Fact<Tree> {
    let root = facts.root();
    let mut places: Vec<(ImagePath, ImagePath, Role)> = Vec::new();
    for (path, role) in SEARCH {
        let path = ImagePath::new(path);
        if path.is_within(&ImagePath::new("/run")) && facts.running().is_none() {
            continue;
        }
        match root.resolve(&path) {
            Ok(found) if found.metadata.kind == FileKind::Directory => {
                // With a merged `/usr` the two are one: the name of today is the one to show.
                if let Some(same) = places.iter_mut().find(|(_, real, _)| *real == found.path) {
                    same.0 = path;
                } else {
                    places.push((path, found.path, role));
                }
            }
            Ok(_) => {}
            Err(error) if error.is_absent() => {}
            Err(error) => return Err(Unreadable::reading(&path, &error)),
        }
    }
    let known: Vec<ImagePath> = (SEARCH.iter().map(|(path, _)| ImagePath::new(path)))
        .filter(|path| !path.is_within(&ImagePath::new("/run")) || facts.running().is_some())
        .chain(places.iter().map(|(_, real, _)| real.clone()))
        .collect();
    let mut tree = Tree::default();
    for (path, real, role) in places {
        let dir = tree.read_dir(root, path, &real, role, &known)?;
        tree.dirs.push(dir);
    }
    tree.shared()?;
    Ok(tree)
}

impl Tree {
    fn count(&mut self, more: usize, path: &ImagePath) -> Fact<()> {
        self.entries += more;
        if self.entries > MAX_ENTRIES {
            return Err(Unreadable::at(path, format!("there are more than {MAX_ENTRIES} files of units")));
        }
        Ok(())
    }

    /// Refuses what would have to be looked at for every unit again.
    fn shared(&self) -> Fact<()> {
        let units: usize = self.dirs.iter().map(|dir| dir.entries.len()).sum();
        let mut drop_ins = 0;
        for (dir, (folder, parts)) in self.dirs.iter().flat_map(|dir| dir.folders.iter().map(move |folder| (dir, folder))) {
            let Some(owner) = folder.strip_suffix(".d") else { continue };
            if name::is_kind(owner) || owner.rsplit_once('.').is_some_and(|(stem, _)| stem.ends_with('-')) {
                drop_ins += parts.len();
            }
            if drop_ins.saturating_mul(units) > MAX_SHARED {
                let reason = format!("there are {drop_ins} drop-ins for kinds of units, and {units} units they may belong to");
                return Err(Unreadable::at(&dir.path.join(folder), reason));
            }
        }
        Ok(())
    }

    fn read_dir(&mut self, root: Rootfs<'_>, path: ImagePath, real: &ImagePath, role: Role, known: &[ImagePath]) -> Fact<Dir> {
        let names = root.read_dir(real).map_err(|error| Unreadable::reading(&path, &error))?;
        self.count(names.len(), &path)?;
        let mut dir = Dir { path, role, entries: BTreeMap::new(), folders: BTreeMap::new(), linked_folders: BTreeSet::new() };
        for bytes in names {
            if let Some(name) = folder_name(&bytes) {
                let at = dir.path.join(name);
                let linked = root.resolve_parent(&at).is_ok_and(|found| found.metadata.kind == FileKind::Link);
                if let Some(parts) = self.read_folder(root, &at)? {
                    if linked {
                        dir.linked_folders.insert(name.to_owned());
                    }
                    dir.folders.insert(name.to_owned(), parts);
                }
            } else if let Some(name) = name::valid(&bytes) {
                let at = dir.path.join(name);
                let Some(entry) = entry(root, &at, &real.join(name), known) else { continue };
                if matches!(entry, Entry::File | Entry::Linked(_)) {
                    self.read_file(root, &at);
                }
                dir.entries.insert(name.to_owned(), entry);
            }
        }
        Ok(dir)
    }

    fn doubt(&mut self, folder: &ImagePath, why: Unreadable) {
        let owner = folder.file_name().strip_suffix(b".d").and_then(|owner| std::str::from_utf8(owner).ok());
        if let Some(owner) = owner {
            self.unread.entry(owner.to_owned()).or_insert_with(|| why.clone());
        }
        self.doubts.push(why);
    }

    /// What is in a folder of links or drop-ins; nothing if it is no directory.
    fn read_folder(&mut self, root: Rootfs<'_>, path: &ImagePath) -> Fact<Option<BTreeMap<String, Part>>> {
        let names = match root.read_dir(path) {
            Ok(names) => names,
            Err(ReadError::Kind { .. }) => return Ok(None),
            Err(error) if error.is_absent() => return Ok(None),
            Err(error) => {
                self.doubt(path, Unreadable::reading(path, &error));
                return Ok(None);
            }
        };
        self.count(names.len(), path)?;
        let is_settings = path.as_bytes().ends_with(b".d");
        let mut parts = BTreeMap::new();
        for bytes in names {
            if is_settings && (!bytes.ends_with(b".conf") || bytes.starts_with(b".")) {
                continue;
            }
            let at = path.join(&bytes);
            let name = match String::from_utf8(bytes) {
                Ok(name) => name,
                // systemd reads a drop-in whatever its name, and links to units only by names of units.
                Err(_) if is_settings => {
                    self.doubt(path, Unreadable::at(&at, "a drop-in whose name is not UTF-8 is not read"));
                    continue;
                }
                Err(_) => continue,
            };
            let found = match root.resolve_parent(&at) {
                Ok(found) => found,
                Err(error) if error.is_absent() => continue,
                Err(error) => {
                    self.doubt(path, Unreadable::reading(&at, &error));
                    continue;
                }
            };
            let is_link = found.metadata.kind == FileKind::Link;
            let is_mask = match found.metadata.kind {
                FileKind::File => found.metadata.size == 0,
                FileKind::Link => is_null(root, &at),
                _ => false,
            };
            if is_settings && !is_mask {
                self.read_file(root, &at);
            }
            parts.insert(name, Part { is_link, is_mask });
        }
        Ok(Some(parts))
    }

    fn read_file(&mut self, root: Rootfs<'_>, path: &ImagePath) {
        let content = root.read(path).map_err(|error| Unreadable::reading(path, &error));
        let file = content.and_then(|content| {
            let file = systemd_unit::parse(&content);
            match file.broken {
                // A drop-in that breaks off is used as far as it goes; a unit file is not loaded at all.
                Some(broken) if !path.as_bytes().ends_with(b".conf") => {
                    Err(Unreadable::at_line(path, broken.line, format!("systemd does not load this: {}", broken.reason)))
                }
                _ => Ok(file),
            }
        });
        self.files.insert(path.clone(), file);
    }

    /// What stands under a name in the directory of the highest precedence that has it. Links that systemd refuses are passed over.
    pub(super) fn first(&self, name: &str) -> Option<(&Dir, &Entry)> {
        self.dirs
            .iter()
            .find_map(|dir| dir.entries.get(name).filter(|entry| !matches!(entry, Entry::Refused(_))).map(|entry| (dir, entry)))
    }
}

/// A directory that belongs to a unit or to a type of units.
fn folder_name(name: &[u8]) -> Option<&str> {
    let name = std::str::from_utf8(name).ok()?;
    let owner = [".d", ".wants", ".requires", ".upholds"].iter().find_map(|suffix| name.strip_suffix(suffix))?;
    (name::form(owner).is_some() || name::is_kind(owner)).then_some(name)
}

fn entry(root: Rootfs<'_>, path: &ImagePath, real: &ImagePath, known: &[ImagePath]) -> Option<Entry> {
    let found = match root.resolve_parent(real) {
        Ok(found) => found,
        Err(error) if error.is_absent() => return None,
        Err(error) => return Some(Entry::Unknown(Unreadable::reading(path, &error))),
    };
    match found.metadata.kind {
        FileKind::File if found.metadata.size == 0 => Some(Entry::Mask),
        FileKind::File => Some(Entry::File),
        FileKind::Link => Some(link(root, path, real, known)),
        _ => None,
    }
}

/// What a link under a unit's name is (`unit_file_resolve_symlink()`).
fn link(root: Rootfs<'_>, path: &ImagePath, real: &ImagePath, known: &[ImagePath]) -> Entry {
    let Some(target) = target_of(root, real) else {
        return Entry::Unknown(Unreadable::at(path, "the link cannot be read"));
    };
    if known.iter().any(|dir| target.is_within(dir) && target != *dir) {
        let Ok(to) = std::str::from_utf8(target.file_name()) else {
            return Entry::Refused("a link to what is no name of a unit");
        };
        return match std::str::from_utf8(path.file_name()) {
            Ok(from) if from == to => Entry::Refused(TO_ITSELF),
            Ok(from) => match name::may_alias(from, to) {
                Ok(()) => Entry::Alias(to.to_owned()),
                Err(why) => Entry::Refused(why),
            },
            Err(_) => Entry::Refused("no name of a unit"),
        };
    }
    if is_null(root, real) { Entry::Mask } else { Entry::Linked(target) }
}

/// Where a link leads, with the links of all components but the last followed and the rest taken as it is where it does not exist
/// (`chase()` with `CHASE_NOFOLLOW | CHASE_NONEXISTENT`). Nothing for what is no link.
fn target_of(root: Rootfs<'_>, link: &ImagePath) -> Option<ImagePath> {
    let target = root.read_link(link).ok().flatten().filter(|target| target.len() <= MAX_TARGET)?;
    let mut at = if target.starts_with(b"/") { ImagePath::root() } else { root.resolve(&link.parent()?).ok()?.path };
    let parts: Vec<&[u8]> = target.split(|&byte| byte == b'/').filter(|part| !matches!(*part, b"" | b".")).collect();
    for (index, part) in parts.iter().enumerate() {
        if *part == b".." {
            at = at.parent().unwrap_or_else(ImagePath::root);
            continue;
        }
        let next = at.join(part);
        at = match root.resolve(&next) {
            Ok(found) if index + 1 < parts.len() => found.path,
            _ => next,
        };
    }
    Some(at)
}

/// Whether a link leads to `/dev/null`, which need not exist, or to an empty file (`null_or_empty_path_with_root()`).
pub(super) fn is_null(root: Rootfs<'_>, link: &ImagePath) -> bool {
    let mut at = link.clone();
    for _ in 0..root.limits().links {
        let Some(target) = target_of(root, &at) else { break };
        if target.as_bytes() == b"/dev/null" {
            return true;
        }
        at = target;
    }
    root.resolve(link).is_ok_and(|found| found.metadata.kind == FileKind::File && found.metadata.size == 0)
}

/// Configuration files of several directories, as `conf_files_list()` lists them: by name, of each name the one in the first
/// directory, without those that are masked.
pub(super) fn layered(root: Rootfs<'_>, dirs: &[&str], suffix: &str) -> Fact<Vec<ImagePath>> {
    let mut found: BTreeMap<Vec<u8>, ImagePath> = BTreeMap::new();
    for dir in dirs.iter().map(ImagePath::new) {
        match root.read_dir(&dir) {
            Ok(names) if names.len() > MAX_ENTRIES => {
                return Err(Unreadable::at(&dir, format!("there are more than {MAX_ENTRIES} files")));
            }
            Ok(names) => names.into_iter().filter(|name| name.ends_with(suffix.as_bytes())).for_each(|name| {
                let path = dir.join(&name);
                found.entry(name).or_insert(path);
            }),
            Err(error) if error.is_absent() => {}
            Err(ReadError::Kind { .. }) => {}
            Err(error) => return Err(Unreadable::reading(&dir, &error)),
        }
    }
    Ok(found.into_values().filter(|path| !is_null(root, path)).collect())
}
