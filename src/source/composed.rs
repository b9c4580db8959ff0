//! An image made of several: a root with other file systems mounted in it, as the system would have them when it runs.
//!
//! Nothing above knows. Paths are absolute and without `..`: [`Rootfs`] takes those apart, one component at a time, and so crosses
//! back out of a mounted file system by asking for the parent's path here.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use crate::image::{Attributes, Coverage, FileKind, Gap, Image, Metadata, ReadError, Rootfs, Visitor};
use crate::path::ImagePath;

/// Entries below a mount point that are counted to leave them out of the total; more are covered by nobody.
const MOST_COVERED: u64 = 100_000;

/// Mounts of an image: more than any system has, and few enough to look through for each directory.
const MOST_MOUNTS: usize = 1000;
/// Directories above a mount point, which may all have to be made.
const DEEPEST: usize = 64;

/// What is mounted somewhere.
pub enum Mounted {
    /// A file system.
    Image(Box<dyn Image>),
    /// One that belongs here and that nobody can read, with the reason: whatever is asked of it is an error.
    Unknown(String),
    /// A file system of another machine: whatever is asked of it is an error, but it is no part of the image.
    Foreign(String),
    /// What the kernel makes anew at each start. It is no part of the image, and covers what is.
    Made(Box<dyn Image>),
    /// A directory of the same tree, shown a second time.
    Bind(ImagePath),
}

/// Binds of binds that are followed.
const MOST_BINDS: u32 = 8;

/// A root with others mounted in it. What a mount covers is not seen.
pub struct Composed {
    root: Box<dyn Image>,
    mounts: BTreeMap<ImagePath, Mounted>,
    /// Directories on the way to a mount point that the image lacks. The system makes them (`systemd.mount(5)`).
    made: BTreeSet<ImagePath>,
    /// What could not be mounted.
    missed: Vec<Gap>,
}

impl Composed {
    /// A root with nothing mounted in it.
    #[must_use]
    pub fn new(root: Box<dyn Image>) -> Self {
        Self { root, mounts: BTreeMap::new(), made: BTreeSet::new(), missed: Vec::new() }
    }

    /// Mounts something. Links in the path are followed in what is mounted so far, so what is mounted above comes first. Something
    /// mounted at the same place before is covered.
    ///
    /// # Errors
    /// Why it could not be mounted there: the place is no directory, a link on the way is broken, or there is too much of it. Nothing
    /// is mounted then.
    pub fn mount(&mut self, at: &ImagePath, what: Mounted) -> Result<ImagePath, String> {
        if self.mounts.len() >= MOST_MOUNTS || at.components().count() > DEEPEST {
            return Err(format!("more than {MOST_MOUNTS} mounts, or below more than {DEEPEST} directories"));
        }
        let real = self.place(at)?;
        if real.is_root() {
            return Err("the root itself".to_owned());
        }
        let mut above = real.parent();
        let mut made = vec![real.clone()];
        while let Some(path) = above {
            match self.found(&path).and_then(|(image, inside)| image.metadata(&inside)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => made.push(path.clone()),
                _ => break,
            }
            above = path.parent();
        }
        // Its name is in its directory already, unless that was made for an earlier mount at the same place.
        let lower = self.found(&real).and_then(|(image, inside)| image.metadata(&inside));
        if lower.is_ok() && !self.made.contains(&real) {
            made.remove(0);
        }
        // What was mounted below is covered, as it would be by the kernel.
        self.made.retain(|path| !path.is_within(&real));
        self.made.extend(made);
        let covered: Vec<_> = self.mounts.keys().filter(|path| path.is_within(&real)).cloned().collect();
        covered.iter().for_each(|path| drop(self.mounts.remove(path)));
        self.mounts.insert(real.clone(), what);
        Ok(real)
    }

    /// Notes that what belongs at a place is not there: the walk tells of it as of a directory that cannot be read.
    pub fn miss(&mut self, at: ImagePath, reason: String) {
        self.missed.push(Gap { path: at, reason });
    }

    /// The mount points, sorted.
    pub fn mounts(&self) -> impl Iterator<Item = &ImagePath> {
        self.mounts.keys()
    }

    /// Where a path really leads, as far as it exists.
    fn place(&self, at: &ImagePath) -> Result<ImagePath, String> {
        let root = Rootfs::new(self);
        let mut missing: Vec<Vec<u8>> = Vec::new();
        let mut here = at.clone();
        loop {
            match root.resolve(&here) {
                Ok(found) if found.metadata.kind == FileKind::Directory => {
                    return Ok(missing.iter().rev().fold(found.path, |path, name| path.join(name)));
                }
                Ok(found) => return Err(format!("{} is no directory but a {}", found.path, found.metadata.kind.name())),
                Err(ReadError::NotFound) => {}
                // What is not readable may be a directory all the same: then the path is what it says.
                Err(ReadError::Io(_)) => return Ok(at.clone()),
                Err(error) => return Err(format!("{here}: {error}")),
            }
            missing.push(here.file_name().to_vec());
            here = here.parent().ok_or("the image has no root directory")?;
        }
    }

    /// The mount point that a path is below of; none for the root's own.
    fn owner(&self, path: &ImagePath) -> Option<&ImagePath> {
        let mut at = Some(path.clone()).filter(|_| !self.mounts.is_empty());
        while let Some(here) = at {
            if let Some((found, _)) = self.mounts.get_key_value(&here) {
                return Some(found);
            }
            at = here.parent();
        }
        None
    }

    /// The image that has a path, and the path in it.
    fn found(&self, path: &ImagePath) -> io::Result<(&dyn Image, ImagePath)> {
        self.found_behind(path.clone(), MOST_BINDS)
    }

    fn found_behind(&self, path: ImagePath, binds: u32) -> io::Result<(&dyn Image, ImagePath)> {
        let Some(at) = self.owner(&path) else { return Ok((&*self.root, path)) };
        match self.mounts.get(at) {
            Some(Mounted::Image(image) | Mounted::Made(image)) => Ok((&**image, below(&path, at))),
            Some(Mounted::Unknown(reason) | Mounted::Foreign(reason)) => Err(unknown(at, reason)),
            Some(Mounted::Bind(_)) if binds == 0 => Err(unknown(at, "it shows another one, and that another one, and so on")),
            Some(Mounted::Bind(shown)) => self.found_behind(above(&below(&path, at), Some(shown)), binds - 1),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Whether a path is a directory that only leads to mount points.
    fn is_made(&self, path: &ImagePath) -> bool {
        self.made.contains(path) && !self.mounts.contains_key(path)
    }
}

fn unknown(at: &ImagePath, reason: &str) -> io::Error {
    io::Error::other(format!("{at} is a file system of its own, which cannot be read: {reason}"))
}

/// A path as it is called in what is mounted at `at`, within which it is.
fn below(path: &ImagePath, at: &ImagePath) -> ImagePath {
    ImagePath::new(path.as_bytes().get(at.as_bytes().len()..).unwrap_or_default())
}

/// The other way round.
fn above(path: &ImagePath, at: Option<&ImagePath>) -> ImagePath {
    match at {
        None => path.clone(),
        Some(at) if path.is_root() => at.clone(),
        Some(at) => ImagePath::new([at.as_bytes(), path.as_bytes()].concat()),
    }
}

/// A directory that the system would make: `mkdir -p` of root.
const MADE: Metadata = Metadata { kind: FileKind::Directory, mode: 0o755, uid: 0, gid: 0, size: 0, nlink: 2, mtime: 0 };

impl Image for Composed {
    fn metadata(&self, path: &ImagePath) -> io::Result<Metadata> {
        if self.is_made(path) {
            return Ok(MADE);
        }
        let (image, inside) = self.found(path)?;
        image.metadata(&inside)
    }

    fn read_link(&self, path: &ImagePath) -> io::Result<Vec<u8>> {
        let (image, inside) = self.found(path)?;
        image.read_link(&inside)
    }

    fn read_dir(&self, path: &ImagePath) -> io::Result<Vec<Vec<u8>>> {
        let mut names = if self.is_made(path) {
            Vec::new()
        } else {
            let (image, inside) = self.found(path)?;
            image.read_dir(&inside)?
        };
        // Mount points that are not in the directory itself, because the system makes them.
        for made in self.made.iter().filter(|made| made.parent().as_ref() == Some(path)) {
            if !names.iter().any(|name| name == made.file_name()) {
                names.push(made.file_name().to_vec());
            }
        }
        Ok(names)
    }

    fn open(&self, path: &ImagePath) -> io::Result<Box<dyn Read + '_>> {
        if self.is_made(path) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let (image, inside) = self.found(path)?;
        image.open(&inside)
    }

    fn xattr(&self, path: &ImagePath, name: &str) -> io::Result<Option<Vec<u8>>> {
        if self.is_made(path) {
            return Ok(None);
        }
        let (image, inside) = self.found(path)?;
        image.xattr(&inside, name)
    }

    fn keeps_ownership(&self) -> bool {
        let mounted = |mounted: &Mounted| match mounted {
            Mounted::Image(image) => image.keeps_ownership(),
            Mounted::Unknown(_) | Mounted::Foreign(_) | Mounted::Made(_) | Mounted::Bind(_) => true,
        };
        self.root.keeps_ownership() && self.mounts.values().all(mounted)
    }

    fn walk(&self, visitor: &dyn Visitor) -> Coverage {
        let mut coverage = self.walk_one(&*self.root, None, visitor);
        for (at, mounted) in &self.mounts {
            match mounted {
                Mounted::Image(image) => {
                    coverage = coverage.merge(self.walk_one(&**image, Some(at), visitor));
                    coverage.mounts.push(at.clone());
                }
                Mounted::Foreign(_) | Mounted::Made(_) => coverage.foreign.push(at.clone()),
                // It is visited where it is.
                Mounted::Bind(_) => {}
                Mounted::Unknown(reason) => coverage.miss(at.clone(), unknown(at, reason).to_string()),
            }
        }
        for made in self.made.iter().filter(|made| !self.mounts.contains_key(made)) {
            coverage.entries += 1;
            if visitor.wants(made.file_name(), &MADE, &|_| Ok(None)) {
                visitor.found(made, &MADE);
            }
        }
        self.missed.iter().for_each(|gap| coverage.miss(gap.path.clone(), gap.reason.clone()));
        coverage.settle();
        coverage
    }
}

impl Composed {
    /// Walks one of the images, and leaves out what others cover of it.
    fn walk_one(&self, image: &dyn Image, at: Option<&ImagePath>, visitor: &dyn Visitor) -> Coverage {
        let seen = image.walk(&Below { composed: self, at, visitor });
        let mut coverage = Coverage { entries: seen.entries, gaps_total: seen.gaps_total, ..Coverage::default() };
        for gap in seen.gaps {
            let path = above(&gap.path, at);
            if self.owner(&path) == at {
                coverage.gaps.push(Gap { path, reason: gap.reason });
            } else {
                coverage.gaps_total -= 1;
            }
        }
        let own = |path: ImagePath| Some(above(&path, at)).filter(|path| self.owner(path) == at);
        coverage.foreign = seen.foreign.into_iter().filter_map(own).collect();
        coverage.mounts = seen.mounts.into_iter().filter_map(own).collect();
        // A walk tells names, not paths, before somebody wants one: so what is covered is counted apart.
        let covering = self
            .mounts
            .keys()
            .filter(|mount| Some(*mount) != at && mount.parent().as_ref().map(|path| self.owner(path)) == Some(at));
        for mount in covering {
            let inside = at.map_or_else(|| mount.clone(), |at| below(mount, at));
            coverage.entries = coverage.entries.saturating_sub(count(image, inside));
        }
        coverage
    }
}

/// Entries at and below a place, as far as they can be read.
fn count(image: &dyn Image, at: ImagePath) -> u64 {
    let mut entries = 0;
    let mut waiting = vec![at];
    while let Some(path) = waiting.pop().filter(|_| entries < MOST_COVERED) {
        let Ok(metadata) = image.metadata(&path) else { continue };
        entries += 1;
        if metadata.kind == FileKind::Directory {
            waiting.extend(image.read_dir(&path).unwrap_or_default().iter().map(|name| path.join(name)));
        }
    }
    entries
}

/// Shows a visitor what is found in one of the images under the path it has in all of them.
struct Below<'c> {
    composed: &'c Composed,
    at: Option<&'c ImagePath>,
    visitor: &'c dyn Visitor,
}

impl Visitor for Below<'_> {
    fn wants(&self, name: &[u8], metadata: &Metadata, attributes: Attributes<'_>) -> bool {
        // The root of what is mounted has the mount point's name.
        let name = if name.is_empty() { self.at.map_or(name, ImagePath::file_name) } else { name };
        self.visitor.wants(name, metadata, attributes)
    }

    fn found(&self, path: &ImagePath, metadata: &Metadata) {
        let path = above(path, self.at);
        if self.composed.owner(&path) == self.at {
            self.visitor.found(&path, metadata);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::image::{Entry, MemoryImage};
    use crate::path::printable;

    struct Paths(Mutex<Vec<String>>);

    impl Visitor for Paths {
        fn wants(&self, name: &[u8], _: &Metadata, _: Attributes<'_>) -> bool {
            name != b"unwanted"
        }

        fn found(&self, path: &ImagePath, metadata: &Metadata) {
            self.0.lock().unwrap().push(format!("{path} {:o}", metadata.mode));
        }
    }

    fn composed() -> Composed {
        let root =
            MemoryImage::new().file("/etc/fstab", "x").file("/var/covered/deep", "").link("/var-link", "var").file("/a", "");
        let mut composed = Composed::new(Box::new(root));
        let mut var = MemoryImage::new().file("/seen", "v").directory("/log").link("/up", "../etc/fstab");
        let mut top = Entry::new(FileKind::Directory, "");
        top.metadata.mode = 0o1777;
        var.insert(ImagePath::root(), top);
        composed.mount(&"/var-link".into(), Mounted::Image(Box::new(var))).unwrap();
        let log = MemoryImage::new().file("/messages", "m").link("/back", "../seen");
        composed.mount(&"/var-link/log".into(), Mounted::Image(Box::new(log))).unwrap();
        composed
    }

    #[test]
    fn a_bind_shows_another_directory_and_a_new_tmpfs_is_empty() {
        let root = MemoryImage::new().file("/data/etc/passwd", "bound").file("/etc/passwd", "covered").file("/tmp/covered", "");
        let mut image = Composed::new(Box::new(root));
        image.mount(&"/etc".into(), Mounted::Bind("/data/etc".into())).unwrap();
        image.mount(&"/tmp".into(), Mounted::Made(Box::new(MemoryImage::new()))).unwrap();
        image.mount(&"/mnt".into(), Mounted::Foreign("nfs".into())).unwrap();
        assert_eq!(read(&image, "/etc/passwd").unwrap(), b"bound");
        assert_eq!(read(&image, "/tmp/covered"), Err(ReadError::NotFound));
        assert!(matches!(read(&image, "/mnt/x"), Err(ReadError::Io(reason)) if reason.contains("nfs")));
        let paths = Paths(Mutex::default());
        let coverage = image.walk(&paths);
        let seen = paths.0.into_inner().unwrap();
        assert!(!seen.iter().any(|path| path.contains("covered") || path.starts_with("/etc/passwd")), "{seen:?}");
        assert_eq!((coverage.foreign, coverage.gaps_total), (vec!["/mnt".into(), "/tmp".into()], 0));
    }

    #[test]
    fn a_circle_of_binds_ends() {
        let mut image = Composed::new(Box::new(MemoryImage::new().directory("/a").directory("/b")));
        image.mount(&"/a".into(), Mounted::Bind("/b".into())).unwrap();
        image.mount(&"/b".into(), Mounted::Bind("/a".into())).unwrap();
        assert!(matches!(read(&image, "/a/x"), Err(ReadError::Io(_))));
    }

    fn read(image: &Composed, path: &str) -> Result<Vec<u8>, ReadError> {
        Rootfs::new(image).read(&path.into())
    }

    fn names(image: &dyn Image, path: &str) -> Vec<String> {
        let mut names = image.read_dir(&path.into()).unwrap();
        names.sort();
        names.iter().map(|name| printable(name)).collect()
    }

    #[test]
    fn what_a_mount_covers_is_not_seen_and_links_lead_across() {
        let image = composed();
        assert_eq!(image.mounts().map(ToString::to_string).collect::<Vec<_>>(), ["/var", "/var/log"]);
        assert_eq!(read(&image, "/var/covered/deep"), Err(ReadError::NotFound));
        assert_eq!(read(&image, "/var/up").unwrap(), b"x");
        assert_eq!(read(&image, "/var/log/back").unwrap(), b"v");
        assert_eq!(read(&image, "/var-link/log/messages").unwrap(), b"m");
        assert_eq!(names(&image, "/var"), ["log", "seen", "up"]);
        assert_eq!(names(&image, "/"), ["a", "etc", "var", "var-link"]);
        assert_eq!(image.metadata(&"/var".into()).unwrap().mode, 0o1777);
    }

    #[test]
    fn a_walk_is_the_walk_of_all_without_what_is_covered() {
        let image = composed();
        let paths = Paths(Mutex::default());
        let coverage = image.walk(&paths);
        let mut found = paths.0.into_inner().unwrap();
        found.sort();
        let expected = [
            "/ 755",
            "/a 644",
            "/etc 755",
            "/etc/fstab 644",
            "/var 1777",
            "/var-link 777",
            "/var/log 755",
            "/var/log/back 777",
            "/var/log/messages 644",
            "/var/seen 644",
            "/var/up 777",
        ];
        assert_eq!(found, expected);
        assert_eq!(coverage.entries, 11);
        assert_eq!(coverage.mounts, [ImagePath::new("/var"), ImagePath::new("/var/log")]);
        assert_eq!(coverage.gaps_total, 0);
    }

    #[test]
    fn a_walk_here_is_the_same_as_one_by_directories() {
        let image = composed();
        let (own, plain) = (Paths(Mutex::default()), Paths(Mutex::default()));
        let (seen, by_directories) = (image.walk(&own), crate::image::walk_by_directories(&image, &plain));
        let sorted = |paths: Paths| {
            let mut paths = paths.0.into_inner().unwrap();
            paths.sort();
            paths
        };
        assert_eq!(sorted(own), sorted(plain));
        assert_eq!(seen.entries, by_directories.entries);
    }

    #[test]
    fn a_volume_that_cannot_be_read_is_a_gap_and_everything_below_it_an_error() {
        let mut image = composed();
        image.mount(&"/home".into(), Mounted::Unknown("LUKS".to_owned())).unwrap();
        image.mount(&"/home/a/b".into(), Mounted::Image(Box::new(MemoryImage::new().file("/x", "y")))).unwrap();
        assert!(matches!(read(&image, "/home/a/file"), Err(ReadError::Io(_))));
        assert!(image.metadata(&"/home/a/file".into()).unwrap_err().to_string().contains("LUKS"));
        assert!(image.read_dir(&"/home".into()).unwrap_err().to_string().contains("/home is a file system of its own"));
        assert_eq!(names(&image, "/"), ["a", "etc", "home", "var", "var-link"]);
        assert_eq!(image.open(&"/home/a/b/x".into()).map(drop).err().map(|error| error.kind()), None);
        let coverage = image.walk(&Paths(Mutex::default()));
        assert_eq!(coverage.gaps_total, 1);
        assert_eq!(coverage.gaps[0].path, ImagePath::new("/home"));
    }

    #[test]
    fn a_gap_that_is_covered_is_none() {
        let mut unreadable = Entry::new(FileKind::Directory, "");
        unreadable.unreadable = true;
        let root = MemoryImage::new().with("/var/secret", unreadable.clone()).with("/srv", unreadable);
        let mut image = Composed::new(Box::new(root));
        image.mount(&"/var".into(), Mounted::Image(Box::new(MemoryImage::new()))).unwrap();
        let coverage = image.walk(&Paths(Mutex::default()));
        assert_eq!((coverage.gaps_total, coverage.gaps.len()), (1, 1));
        assert_eq!(coverage.gaps[0].path, ImagePath::new("/srv"));
    }

    #[test]
    fn missing_mount_points_are_made_as_the_system_would_and_files_are_none() {
        let mut image = composed();
        assert!(
            image
                .mount(&"/x".repeat(65).as_str().into(), Mounted::Unknown(String::new()))
                .unwrap_err()
                .contains("64 directories")
        );
        assert_eq!(image.mount(&"/a".into(), Mounted::Unknown(String::new())), Err("/a is no directory but a file".to_owned()));
        image.mount(&"/data/deep/er".into(), Mounted::Image(Box::new(MemoryImage::new().file("/x", "y")))).unwrap();
        assert_eq!(read(&image, "/data/deep/er/x").unwrap(), b"y");
        assert_eq!((names(&image, "/data"), names(&image, "/data/deep")), (vec!["deep".to_owned()], vec!["er".to_owned()]));
        let paths = Paths(Mutex::default());
        let seen = image.walk(&paths);
        let plain = crate::image::walk_by_directories(&image, &Paths(Mutex::default()));
        assert_eq!(seen.entries, plain.entries);
        assert!(paths.0.into_inner().unwrap().contains(&"/data/deep 755".to_owned()));
    }

    #[test]
    fn a_later_mount_at_the_same_place_or_above_covers_the_earlier() {
        let mut image = composed();
        image.mount(&"/var".into(), Mounted::Image(Box::new(MemoryImage::new().file("/new", "n")))).unwrap();
        assert_eq!(names(&image, "/var"), ["new"]);
        assert_eq!(read(&image, "/var/log/messages"), Err(ReadError::NotFound));
        assert!(image.mount(&"/".into(), Mounted::Unknown(String::new())).is_err());
        // Directories that were made for what is covered now are covered too.
        for _ in 0..2 {
            image.mount(&"/data/deep/er".into(), Mounted::Image(Box::new(MemoryImage::new()))).unwrap();
            assert_eq!(names(&image, "/data/deep"), ["er"]);
        }
        image.mount(&"/data".into(), Mounted::Image(Box::new(MemoryImage::new().file("/only", "")))).unwrap();
        assert_eq!(names(&image, "/data"), ["only"]);
        assert_eq!(names(&image, "/"), ["a", "data", "etc", "var", "var-link"]);
        let seen = image.walk(&Paths(Mutex::default()));
        assert_eq!(seen.entries, crate::image::walk_by_directories(&image, &Paths(Mutex::default())).entries);
    }
}
