//! Which package owns a path: the lists of all files, read only when a check asks.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};

use rayon::prelude::*;

use super::{Family, Package, Packages, Unreadable, apk, rpm};
use crate::facts::{Fact, Facts};
use crate::image::{FileKind, Rootfs};
use crate::path::ImagePath;
use crate::syntax::dpkg::{DpkgError, files as syntax};

/// Which package owns which path.
///
/// A system has some hundred thousand of them, and checks ask about a few, so that what is kept of a path is a hash. Its key is random
/// and never leaves the process: nobody can make a file that passes for another's, and no answer depends on the key.
pub struct Owners {
    key: RandomState,
    /// Hash of the path and index of the name, sorted.
    paths: Vec<(u64, u32)>,
    names: Vec<String>,
    aliases: Aliases,
}

impl Owners {
    /// The package that owns a path, if one does; the first by name where several do. The path is taken as it lies on the disk, or
    /// through the links to directories right below `/`, `/usr` and `/var` (`/bin`, `/var/run`).
    #[must_use]
    pub fn owner(&self, path: &ImagePath) -> Option<&str> {
        let hash = self.key.hash_one(&*self.aliases.canonical(path.as_bytes()));
        let first = self.paths.partition_point(|&(known, _)| known < hash);
        let &(known, name) = self.paths.get(first)?;
        if known == hash { self.names.get(usize::try_from(name).ok()?).map(String::as_str) } else { None }
    }

    /// How many paths packages own.
    #[must_use]
    pub fn len(&self) -> usize {
        self.paths.len()
    }

    /// Whether packages own nothing at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }
}

/// Most paths that are kept: the main part of Debian, every package installed, has about seven million.
const MAX_PATHS: usize = 10_000_000;

/// Reads the lists of files of all packages.
pub(in crate::facts) fn gather(facts: &Facts<'_>) -> Fact<Owners> {
    let packages = facts.packages()?;
    let root = facts.root();
    let key = RandomState::new();
    let aliases = Aliases::read(root)?;
    let mut names: Vec<String> = packages.installed.iter().map(|package| package.name.clone()).collect();
    names.dedup();
    let number = |name: &str| {
        let found = names.binary_search_by(|known| known.as_str().cmp(name)).ok();
        found.and_then(|at| u32::try_from(at).ok()).unwrap_or(u32::MAX)
    };
    let mut paths = match packages.family {
        Family::Dpkg => {
            let diversions = Diversions::read(root, &aliases)?;
            let (budget, lists) = (Budget::new(root), Lists::read(root)?);
            let each = |package: &Package| {
                let (mut own, index) = (Vec::new(), number(&package.name));
                lists.files(root, package, &budget, &mut |path| {
                    let path = aliases.canonical(path);
                    let path = diversions.place(&path, package.name.as_bytes());
                    own.push((key.hash_one(&*path), index));
                })?;
                budget.spend_paths(own.len())?;
                Ok(own)
            };
            // The first trouble in the order of the packages, whichever thread met one first.
            let all: Vec<Fact<Vec<(u64, u32)>>> = packages.installed.par_iter().map(each).collect();
            all.into_iter().collect::<Fact<Vec<_>>>()?.concat()
        }
        Family::Rpm | Family::Apk => {
            let mut paths = Vec::new();
            other_files(facts, packages, &mut |name, path| {
                // One beyond the limit is enough to tell.
                if paths.len() <= MAX_PATHS {
                    paths.push((key.hash_one(&*aliases.canonical(path)), number(name)));
                }
            })?;
            Budget::new(root).spend_paths(paths.len())?;
            paths
        }
    };
    paths.par_sort_unstable();
    paths.dedup_by_key(|&mut (hash, _)| hash);
    Ok(Owners { key, paths, names, aliases })
}

/// What all lists together may amount to.
struct Budget {
    bytes: u64,
    spent_bytes: AtomicU64,
    spent_paths: AtomicUsize,
}

impl Budget {
    fn new(root: Rootfs<'_>) -> Self {
        Self { bytes: root.limits().database, spent_bytes: AtomicU64::new(0), spent_paths: AtomicUsize::new(0) }
    }

    fn spend_bytes(&self, bytes: usize) -> Result<(), Unreadable> {
        let before = self.spent_bytes.fetch_add(bytes as u64, Relaxed);
        let over = before.saturating_add(bytes as u64) > self.bytes;
        if over {
            Err(Unreadable::because(format!("the lists of files are larger than the limit of {} bytes", self.bytes)))
        } else {
            Ok(())
        }
    }

    fn spend_paths(&self, paths: usize) -> Result<(), Unreadable> {
        let before = self.spent_paths.fetch_add(paths, Relaxed);
        let over = before.saturating_add(paths) > MAX_PATHS;
        if over { Err(Unreadable::because(format!("packages own more than the limit of {MAX_PATHS} paths"))) } else { Ok(()) }
    }
}

fn other_files(facts: &Facts<'_>, packages: &Packages, visit: &mut dyn FnMut(&str, &[u8])) -> Result<(), Unreadable> {
    match packages.family {
        // An example names packages and has no database of their files.
        _ if facts.target().packages.is_some() => Err(Unreadable::because("the files of these packages are not known")),
        Family::Apk => apk::files(facts.root(), &packages.database, visit),
        Family::Rpm | Family::Dpkg => rpm::files(facts.root(), visit),
    }
}

/// dpkg's lists of files, `info/NAME.list`.
struct Lists {
    directory: ImagePath,
    names: BTreeSet<Vec<u8>>,
}

impl Lists {
    fn read(root: Rootfs<'_>) -> Result<Self, Unreadable> {
        let directory = ImagePath::new("/var/lib/dpkg/info");
        match root.read_dir(&directory) {
            Ok(names) => Ok(Self { directory, names: names.into_iter().collect() }),
            Err(error) if error.is_absent() => Ok(Self { directory, names: BTreeSet::new() }),
            Err(error) => Err(Unreadable::reading(&directory, &error)),
        }
    }

    /// Packages that may be installed for several architectures have theirs in the name of the list (`info/format` 1).
    fn of(&self, package: &Package) -> Option<ImagePath> {
        let names = [format!("{}.list", package.name), format!("{}:{}.list", package.name, package.architecture)];
        names.iter().find(|name| self.names.contains(name.as_bytes())).map(|name| self.directory.join(name))
    }

    /// The files of one package: its list, or `status.d/NAME.md5sums` beside a package of `status.d`. dpkg takes a package without a
    /// list for one without files (with a warning), and so nothing is owned that nobody lists.
    fn files(
        &self,
        root: Rootfs<'_>,
        package: &Package,
        budget: &Budget,
        visit: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Unreadable> {
        let broken = |path: &ImagePath, error: &DpkgError| Unreadable::at_line(path, error.line, error.trouble.to_string());
        if let Some(path) = self.of(package) {
            let content = root.read_list(&path).map_err(|error| Unreadable::reading(&path, &error))?;
            budget.spend_bytes(content.len())?;
            return syntax::parse_list(&content, visit).map_err(|error| broken(&path, &error));
        }
        let Some(file) = &package.file else { return Ok(()) };
        let sums = ImagePath::new([file.as_bytes(), b".md5sums"].concat());
        match root.read_list(&sums) {
            Ok(content) => {
                budget.spend_bytes(content.len())?;
                let each = |path: &[u8]| visit(ImagePath::new(path).as_bytes());
                syntax::parse_md5sums(&content, each).map_err(|error| broken(&sums, &error))
            }
            Err(error) if error.is_absent() => Ok(()),
            Err(error) => Err(Unreadable::reading(&sums, &error)),
        }
    }
}

/// Links to directories right below `/`, `/usr` and `/var`. Packages list their files below either name: `/bin/mount` of a package made
/// before `/usr` was merged lies at `/usr/bin/mount`.
#[derive(Default)]
struct Aliases(BTreeMap<Vec<u8>, Vec<u8>>);

impl Aliases {
    fn read(root: Rootfs<'_>) -> Result<Self, Unreadable> {
        let mut aliases = BTreeMap::new();
        for directory in ["/", "/usr", "/var"].map(ImagePath::new) {
            let names = match root.read_dir(&directory) {
                Ok(names) => names,
                Err(error) if error.is_absent() => continue,
                Err(error) => return Err(Unreadable::reading(&directory, &error)),
            };
            for path in names.iter().map(|name| directory.join(name)) {
                let link = root.read_link(&path).map_err(|error| Unreadable::reading(&path, &error))?;
                if link.is_some()
                    && let Ok(found) = root.resolve(&path)
                    && found.metadata.kind == FileKind::Directory
                {
                    aliases.insert(path.as_bytes().to_vec(), found.path.as_bytes().to_vec());
                }
            }
        }
        Ok(Self(aliases))
    }

    /// The path with a link among its first two components replaced by where it leads.
    fn canonical<'p>(&self, path: &'p [u8]) -> Cow<'p, [u8]> {
        let mut path = Cow::Borrowed(path);
        // A link may lead below another one; three steps are more than two levels can make.
        for _ in 0..3 {
            let end_after = |start: usize| {
                let slash = path.get(start..).and_then(|rest| memchr::memchr(b'/', rest));
                slash.map_or(path.len(), |at| start + at)
            };
            let first = end_after(1);
            let target = |end: usize| Some((end, self.0.get(path.get(..end)?)?));
            let hit = target(first).or_else(|| target(end_after(first + 1)));
            let Some((end, target)) = hit else { break };
            let mut real = if target == b"/" { Vec::new() } else { target.clone() };
            real.extend_from_slice(path.get(end..).unwrap_or_default());
            path = Cow::Owned(real);
        }
        path
    }
}

/// Files that dpkg puts elsewhere than their package says (dpkg-divert(1)).
#[derive(Default)]
struct Diversions(BTreeMap<Vec<u8>, Vec<Diverted>>);

struct Diverted {
    to: Vec<u8>,
    /// The package whose file stays.
    except: Option<Vec<u8>>,
}

impl Diversions {
    fn read(root: Rootfs<'_>, aliases: &Aliases) -> Result<Self, Unreadable> {
        let path = ImagePath::new("/var/lib/dpkg/diversions");
        let content = match root.read_list(&path) {
            Ok(content) => content,
            Err(error) if error.is_absent() => return Ok(Self::default()),
            Err(error) => return Err(Unreadable::reading(&path, &error)),
        };
        let records = syntax::parse_diversions(&content);
        let records = records.map_err(|error| Unreadable::at_line(&path, error.line, error.trouble.to_string()))?;
        let mut diversions: BTreeMap<Vec<u8>, Vec<Diverted>> = BTreeMap::new();
        for record in records {
            let to = aliases.canonical(record.to).into_owned();
            let from = aliases.canonical(record.from).into_owned();
            diversions.entry(from).or_default().push(Diverted { to, except: record.except.map(<[u8]>::to_vec) });
        }
        Ok(Self(diversions))
    }

    /// Where the file of this package really lies.
    fn place<'p>(&'p self, path: &'p [u8], package: &[u8]) -> Cow<'p, [u8]> {
        let records = self.0.get(path).map(Vec::as_slice).unwrap_or_default();
        let diverted = records.iter().find(|record| record.except.as_deref() != Some(package));
        Cow::Borrowed(diverted.map_or(path, |record| &record.to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Target;
    use crate::image::{Entry, MemoryImage};

    const STATUS: &str = "Package: mount\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n
Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nMulti-Arch: same\nVersion: 1\n
Package: dash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n
Package: nolist\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n\n";

    fn image() -> MemoryImage {
        MemoryImage::new()
            .file("/var/lib/dpkg/status", STATUS)
            .file("/var/lib/dpkg/info/mount.list", "/.\n/bin\n/bin/mount\n/bin/sh\n")
            .file("/var/lib/dpkg/info/libc6:amd64.list", "/.\n/lib/ld.so\n/var/run/x\n")
            .file("/var/lib/dpkg/info/dash.list", "/bin/sh\n")
            .file("/var/lib/dpkg/diversions", "/usr/bin/sh\n/bin/sh.distrib\ndash\n")
            .directory("/usr/bin")
            .directory("/usr/lib")
            .directory("/run")
            .link("/bin", "usr/bin")
            .link("/lib", "usr/lib")
            .link("/var/run", "../run")
    }

    fn owners(image: &MemoryImage) -> Fact<Owners> {
        let target = Target::image(Rootfs::new(image), jiff::civil::date(2026, 1, 1));
        let facts = Facts::gather(target, |_, needs| needs.fact(crate::facts::FactId::Packages));
        gather(&facts)
    }

    fn owner(image: &MemoryImage, path: &str) -> Option<String> {
        owners(image).unwrap().owner(&ImagePath::new(path)).map(str::to_owned)
    }

    #[test]
    fn below_either_name_of_a_merged_directory() {
        for path in ["/usr/bin/mount", "/bin/mount"] {
            assert_eq!(owner(&image(), path).as_deref(), Some("mount"));
        }
        assert_eq!(owner(&image(), "/usr/lib/ld.so").as_deref(), Some("libc6"));
        assert_eq!(owner(&image(), "/run/x").as_deref(), Some("libc6"));
    }

    #[test]
    fn nobody_owns_what_nobody_lists() {
        assert_eq!(owner(&image(), "/usr/bin/mount2"), None);
        assert_eq!(owner(&image(), "/usr/bin/moun"), None);
    }

    #[test]
    fn a_diverted_file_lies_where_it_was_diverted_to() {
        assert_eq!(owner(&image(), "/usr/bin/sh").as_deref(), Some("dash"));
        assert_eq!(owner(&image(), "/usr/bin/sh.distrib").as_deref(), Some("mount"));
    }

    #[test]
    fn a_list_that_was_cut_off_leaves_it_unknown() {
        let image = image().file("/var/lib/dpkg/info/dash.list", "/bin/sh\n/bin/da");
        let why = owners(&image).err().unwrap();
        assert_eq!((why.path.unwrap().to_string(), why.line), ("/var/lib/dpkg/info/dash.list".into(), Some(2)));
    }

    #[test]
    fn a_list_that_may_not_be_read_leaves_it_unknown() {
        let mut list = Entry::new(FileKind::File, "/bin/sh\n");
        list.unreadable = true;
        assert!(owners(&image().with("/var/lib/dpkg/info/dash.list", list)).is_err());
        let looping = image().link("/var/lib/dpkg/info/nolist.list", "nolist.list");
        assert!(owners(&looping).is_err());
    }

    #[test]
    fn packages_without_dpkg_list_digests() {
        let image = MemoryImage::new()
            .file("/var/lib/dpkg/status.d/base", "Package: base-files\nVersion: 12.4")
            .file("/var/lib/dpkg/status.d/base.md5sums", "d41d8cd98f00b204e9800998ecf8427e  usr/bin/x\n");
        assert_eq!(owner(&image, "/usr/bin/x").as_deref(), Some("base-files"));
    }

    #[test]
    fn files_of_apk() {
        let image = MemoryImage::new().file("/lib/apk/db/installed", "P:busybox\nV:1-r0\nF:bin\nR:busybox\nF:\nR:top\n\n");
        assert_eq!(owner(&image, "/bin/busybox").as_deref(), Some("busybox"));
        assert_eq!(owner(&image, "/top").as_deref(), Some("busybox"));
        assert_eq!(owner(&image, "/bin/other"), None);
    }
}
