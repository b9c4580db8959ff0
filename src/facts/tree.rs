//! The whole tree, walked once for all checks that ask about it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use super::{Fact, Facts, MountEntry, Unreadable, secrets};
use crate::image::{Attributes, Coverage, FileKind, Metadata, Rootfs, Visitor};
use crate::path::ImagePath;
use crate::syntax::capability::{self, Capabilities};

/// A predicate over the metadata of an entry. Two checks that ask the same share one.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Selector {
    /// Kinds of entries; all if empty.
    pub kinds: BTreeSet<FileKind>,
    /// At least one of these mode bits is set; no matter if 0.
    pub mode_any: u32,
    /// None of these mode bits is set.
    pub mode_none: u32,
    /// The owner is none of these.
    pub uid_outside: Option<BTreeSet<u32>>,
    /// The group is none of these.
    pub gid_outside: Option<BTreeSet<u32>>,
    /// A regular file that somebody may execute and that carries file capabilities.
    pub capability: bool,
    /// A file whose name and place are those of something secret.
    pub candidate: bool,
    /// A small file where people and programs put what is their own, whatever it is called.
    pub own: bool,
    /// Subtrees that do not count, the path itself included.
    pub except: BTreeSet<ImagePath>,
}

impl Selector {
    /// Whether the metadata fits; paths and attributes are looked at later.
    fn fits(&self, name: &[u8], metadata: &Metadata) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&metadata.kind))
            && (self.mode_any == 0 || metadata.mode & self.mode_any != 0)
            && metadata.mode & self.mode_none == 0
            && self.uid_outside.as_ref().is_none_or(|known| !known.contains(&metadata.uid))
            && self.gid_outside.as_ref().is_none_or(|known| !known.contains(&metadata.gid))
            && (!self.capability || (metadata.kind == FileKind::File && metadata.mode & 0o111 != 0))
            && (!self.candidate || secrets::is_candidate(name, metadata))
            && (!self.own || secrets::is_small(name, metadata))
    }
}

/// An entry that a selector matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeMatch {
    /// What it is.
    pub metadata: Metadata,
    /// Its file capabilities, if the selector asks about them.
    pub capabilities: Option<Capabilities>,
}

/// What a selector matched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TreeMatches {
    /// The first paths by order of bytes: at most [`TreeMatches::MAX`] of them, and of [`TreeMatches::MAX_BYTES`] in all.
    pub found: BTreeMap<ImagePath, TreeMatch>,
    /// How many there were in truth.
    pub total: u64,
    /// Entries whose attributes could not be read, so that it is not known whether they match; the first [`TreeMatches::MAX`].
    pub unknown: BTreeMap<ImagePath, String>,
    bytes: usize,
    /// The first path that was let go for want of room: no later one is kept either, so that what is kept does not depend on who came
    /// first.
    cut: Option<ImagePath>,
}

impl TreeMatches {
    /// More matches than this are counted and not kept, so that memory does not grow with the tree.
    pub const MAX: usize = 1_000;
    /// As many of those that are read afterwards: with their paths a few megabytes.
    pub const MAX_CANDIDATES: usize = 10_000;
    /// Nor are more bytes of paths than this, as some trees are deep.
    pub const MAX_BYTES: usize = 1 << 20;

    fn add(&mut self, path: &ImagePath, found: TreeMatch, most: usize) {
        self.total += 1;
        if self.cut.as_ref().is_some_and(|cut| path >= cut) {
            return;
        }
        self.found.insert(path.clone(), found);
        self.bytes += path.as_bytes().len();
        while self.found.len() > most || self.bytes > Self::MAX_BYTES {
            let Some((last, _)) = self.found.pop_last() else { break };
            self.bytes -= last.as_bytes().len();
            self.cut = Some(last);
        }
    }

    fn doubt(&mut self, path: &ImagePath, reason: String) {
        self.unknown.insert(path.clone(), reason);
        if self.unknown.len() > Self::MAX {
            self.unknown.pop_last();
        }
    }
}

/// What the walk found for each selector, and what it could not reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeFact {
    matches: BTreeMap<Selector, TreeMatches>,
    /// What the walk saw and missed.
    pub coverage: Coverage,
    /// Volumes that the image mounts at boot and that are not here, each with where that is said.
    pub lacking: Fact<Vec<Unreadable>>,
}

impl TreeFact {
    /// What this selector matched; nothing if no check asked.
    #[must_use]
    pub fn matches(&self, selector: &Selector) -> Option<&TreeMatches> {
        self.matches.get(selector)
    }

    /// Joins a later walk, for selectors that followed from an earlier one.
    pub(super) fn extend(&mut self, later: Self) {
        self.matches.extend(later.matches);
        self.coverage = later.coverage;
        self.lacking = later.lacking;
    }
}

/// Walks the tree once for all these selectors.
pub(super) fn gather(facts: &Facts<'_>, selectors: &BTreeSet<Selector>) -> TreeFact {
    let root = facts.root();
    let hunt = Hunt { root, wanted: selectors.iter().map(|selector| (selector, Mutex::default())).collect() };
    let coverage = root.walk(&hunt);
    let matches = hunt
        .wanted
        .into_iter()
        .map(|(selector, matches)| (selector.clone(), matches.into_inner().unwrap_or_else(PoisonError::into_inner)));
    TreeFact { matches: matches.collect(), lacking: lacking(facts, &coverage), coverage }
}

/// Kinds of file systems that hold nothing of an image: what the kernel makes up or keeps in memory, swap, firmware's partition, removable
/// media, packages that are mounted as they were signed (snap's squashfs), and what lies on another machine.
#[rustfmt::skip]
const NOT_VOLUMES: &[&str] = &[
    "9p", "autofs", "binderfs", "binfmt_misc", "bpf", "ceph", "cgroup", "cgroup2", "cifs", "configfs", "debugfs", "devpts",
    "devtmpfs", "efivarfs", "exfat", "fusectl", "glusterfs", "hugetlbfs", "iso9660", "mqueue", "msdos", "nfs", "nfs4", "nfsd",
    "proc", "pstore", "ramfs", "resctrl", "rpc_pipefs", "securityfs", "selinuxfs", "smackfs", "smb3", "squashfs", "swap", "sysfs",
    "tmpfs", "tracefs", "udf", "vboxsf", "vfat", "virtiofs",
];

/// Volumes that are to be mounted and are not here. A mount point that is empty says so, unless another volume is here: then the tree was
/// put together from all of them, and an empty one is really empty.
fn lacking(facts: &Facts<'_>, coverage: &Coverage) -> Fact<Vec<Unreadable>> {
    let holds_files = |volume: &&MountEntry| {
        let elsewhere = volume.options.iter().any(|option| matches!(option.as_str(), "bind" | "rbind" | "_netdev"));
        let kind = volume.fstype.as_str();
        !volume.noauto && !elsewhere && !kind.starts_with("fuse") && NOT_VOLUMES.binary_search(&kind).is_err()
    };
    let mut lacking = Vec::new();
    for volume in facts.mounts()?.separate().filter(holds_files) {
        let here = match facts.root().read_dir(&volume.point) {
            Ok(names) => !names.is_empty() || coverage.mounts.contains(&volume.point),
            Err(error) if error.is_absent() => false,
            Err(error) => return Err(Unreadable::reading(&volume.point, &error)),
        };
        if here {
            return Ok(Vec::new());
        }
        let reason = format!("the volume of {} is not here", volume.point);
        lacking.push(Unreadable { path: Some(volume.path.clone()), line: volume.line, reason });
    }
    Ok(lacking)
}

struct Hunt<'s> {
    root: Rootfs<'s>,
    wanted: Vec<(&'s Selector, Mutex<TreeMatches>)>,
}

/// Where file capabilities are stored.
const CAPABILITY: &str = "security.capability";

impl Visitor for Hunt<'_> {
    fn wants(&self, name: &[u8], metadata: &Metadata, attributes: Attributes<'_>) -> bool {
        let mut carries = None;
        self.wanted.iter().any(|(selector, _)| {
            // An attribute that cannot be read is a doubt, which needs the path as much as a match does.
            let mut has = || *carries.get_or_insert_with(|| !matches!(attributes(CAPABILITY), Ok(None)));
            selector.fits(name, metadata) && (!selector.capability || has())
        })
    }

    fn found(&self, path: &ImagePath, metadata: &Metadata) {
        for (selector, matches) in &self.wanted {
            let is_excepted = selector.except.iter().any(|base| path.is_within(base));
            if !selector.fits(path.file_name(), metadata)
                || is_excepted
                || (selector.candidate && !secrets::is_one(path))
                || (selector.own && !secrets::is_own(path))
            {
                continue;
            }
            let found = |capabilities| TreeMatch { metadata: *metadata, capabilities };
            let carries = if selector.capability { self.capabilities(path).map(|all| all.map(Some)) } else { Ok(Some(None)) };
            let mut matches = matches.lock().unwrap_or_else(PoisonError::into_inner);
            match carries {
                Ok(Some(capabilities)) => {
                    let most = if selector.candidate || selector.own { TreeMatches::MAX_CANDIDATES } else { TreeMatches::MAX };
                    matches.add(path, found(capabilities), most);
                }
                Ok(None) => {}
                Err(reason) => matches.doubt(path, reason),
            }
        }
    }
}

impl Hunt<'_> {
    /// The capabilities a program gets, if it gets any.
    fn capabilities(&self, path: &ImagePath) -> Result<Option<Capabilities>, String> {
        let Some(stored) = self.root.xattr(path, CAPABILITY).map_err(|error| error.to_string())? else { return Ok(None) };
        let capabilities = capability::parse(&stored)?;
        Ok((!capabilities.is_empty()).then_some(capabilities))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{FactId, Needs, Target};
    use crate::image::{Entry, MemoryImage};

    fn world_writable(image: &MemoryImage) -> TreeMatches {
        let selector =
            Selector { kinds: [FileKind::File].into(), mode_any: 0o002, except: ["/proc".into()].into(), ..Selector::default() };
        let facts = Facts::none(Target::image(Rootfs::new(image), jiff::civil::date(2026, 1, 1)));
        gather(&facts, &[selector.clone()].into()).matches(&selector).unwrap().clone()
    }

    fn open_to_all() -> Entry {
        let mut entry = Entry::new(FileKind::File, "");
        entry.metadata.mode = 0o666;
        entry
    }

    #[test]
    fn matches_are_found_anywhere_but_in_what_is_excepted() {
        let image = MemoryImage::new().with("/srv/a", open_to_all()).with("/proc/b", open_to_all()).file("/c", "");
        assert_eq!(world_writable(&image).found.keys().map(ToString::to_string).collect::<Vec<_>>(), ["/srv/a"]);
    }

    #[test]
    fn beyond_the_limit_the_first_are_kept_and_all_are_counted() {
        let mut image = MemoryImage::new();
        for number in 0..TreeMatches::MAX + 5 {
            image.insert(ImagePath::new(format!("/d/{number:05}")), open_to_all());
        }
        let matches = world_writable(&image);
        assert_eq!((matches.total, matches.found.len()), (1_005, TreeMatches::MAX));
        assert!(!matches.found.contains_key(&ImagePath::new("/d/01004")));
    }

    #[test]
    fn what_is_kept_does_not_depend_on_the_order_in_which_it_came() {
        let found = TreeMatch { metadata: Entry::new(FileKind::File, "").metadata, capabilities: None };
        let long = "x".repeat(TreeMatches::MAX_BYTES / 3);
        let mut paths: Vec<ImagePath> = ["b", "d", "f", "h"].map(|name| ImagePath::new(format!("/{name}{long}"))).to_vec();
        paths.extend(["/a", "/c", "/e", "/g"].map(ImagePath::new));
        let keep = |paths: &[ImagePath]| {
            let mut matches = TreeMatches::default();
            paths.iter().for_each(|path| matches.add(path, found, TreeMatches::MAX));
            (matches.found.into_keys().collect::<Vec<_>>(), matches.total)
        };
        let wanted = keep(&paths);
        assert_eq!((wanted.0.len(), wanted.1), (5, 8));
        for _ in 0..paths.len() {
            paths.rotate_left(1);
            assert_eq!(keep(&paths), wanted);
            let reversed: Vec<ImagePath> = paths.iter().rev().cloned().collect();
            assert_eq!(keep(&reversed), wanted);
        }
    }

    #[test]
    fn only_programs_that_get_capabilities_are_found_and_broken_ones_are_in_doubt() {
        let mut image = MemoryImage::new();
        let program = |stored: &[u8], mode| {
            let mut entry = Entry::new(FileKind::File, "");
            entry.metadata.mode = mode;
            entry.xattrs.insert(CAPABILITY.into(), stored.into());
            entry
        };
        let raw = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        image.insert("/bin/ping".into(), program(&raw, 0o755));
        image.insert("/bin/data".into(), program(&raw, 0o644));
        image.insert("/bin/none".into(), program(&[0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 0o755));
        image.insert("/bin/odd".into(), program(&[1], 0o755));
        let selector = Selector { capability: true, ..Selector::default() };
        let facts = Facts::none(Target::image(Rootfs::new(&image), jiff::civil::date(2026, 1, 1)));
        let fact = gather(&facts, &[selector.clone()].into());
        let matches = fact.matches(&selector).unwrap();
        assert_eq!(matches.found.keys().map(ToString::to_string).collect::<Vec<_>>(), ["/bin/ping"]);
        assert_eq!(matches.found.values().next().unwrap().capabilities.unwrap().to_string(), "cap_net_raw=ep");
        assert_eq!(matches.unknown.keys().map(ToString::to_string).collect::<Vec<_>>(), ["/bin/odd"]);
    }

    #[test]
    fn what_systemd_mounts_of_the_kernels_own_is_no_volume_that_is_missing() {
        let unit = |kind: &str| format!("[Unit]\nDefaultDependencies=no\n[Mount]\nWhat=x\nWhere=/x\nType={kind}\n");
        let lacking = |kind: &str| {
            let image = MemoryImage::new()
                .file("/usr/lib/systemd/system/data.mount", unit(kind).replace("/x", "/data"))
                .file("/usr/lib/systemd/system/local-fs.target", "[Unit]\n")
                .file("/usr/lib/systemd/system/default.target", "[Unit]\nRequires=local-fs.target\n")
                .link("/usr/lib/systemd/system/local-fs.target.wants/data.mount", "../data.mount");
            let wanted = |_: &Facts<'_>, needs: &mut Needs| {
                needs.fact(FactId::Mounts);
                needs.tree(Selector { mode_any: 0o002, ..Selector::default() });
            };
            let facts = Facts::gather(Target::image(Rootfs::new(&image), jiff::civil::date(2026, 1, 1)), wanted);
            facts.tree().unwrap().lacking.as_ref().unwrap().len()
        };
        let kernels_own = ["mqueue", "tracefs", "binfmt_misc", "fusectl", "tmpfs", "squashfs"];
        assert_eq!((lacking("ext4"), kernels_own.map(lacking)), (1, [0; 6]));
    }

    #[test]
    fn the_kinds_that_are_no_volumes_can_be_searched() {
        assert!(NOT_VOLUMES.is_sorted());
    }
}
