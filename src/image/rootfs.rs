//! An image as a root file system: links resolve inside it, reads are bounded, directories come sorted.

use std::collections::VecDeque;
use std::io::{self, Read};

use globset::{GlobBuilder, GlobMatcher};

use super::{Budget, Coverage, FileKind, Image, Metadata, Visitor};
use crate::path::ImagePath;

/// How much one call may do. Counts per object and never times, so that a verdict does not depend on the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Links followed for one path; Linux itself stops at 40 (`path_resolution(7)`).
    pub links: u32,
    /// Bytes of one file of configuration. People and packages write some kilobytes; this is a passwd of 15,000 accounts.
    pub file: u64,
    /// Lines of one such file. A parser keeps some hundred bytes for a line, however short it is.
    pub lines: u64,
    /// Bytes of one list made by a tool, such as `modules.dep`, the files of a package or dpkg's `status`; those of Debian stay below 6 MiB.
    pub list: u64,
    /// Bytes of a database read whole (rpm's); those of large installations have some hundred MiB.
    pub database: u64,
    /// Entries of one directory; the largest that is read, `/var/lib/dpkg/info`, has some ten thousand.
    pub directory: usize,
    /// Paths one glob may give. Those of rules name some hundred files, and each is kept with all that is known of it.
    pub matches: usize,
}

impl Limits {
    /// The usual ones.
    pub const USUAL: Self = Self {
        links: 40,
        file: 1 << 20,
        lines: 50_000,
        list: 16 << 20,
        database: 512 << 20,
        directory: 100_000,
        matches: 20_000,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::USUAL
    }
}

/// Components that are followed for one path before each counts as a name of the [`Budget`]: no real path has as many, and links may
/// lead round for very long.
const USUAL_STEPS: u64 = 64;

/// Why something could not be read. [`ReadError::NotFound`] is a fact about the image; everything else leaves a fact unknown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// There is no such path, or a component of it is no directory.
    #[error("no such file")]
    NotFound,
    /// A link leads to nothing.
    #[error("the link leads to nothing")]
    Dangling,
    /// Too many links, or a circle of them.
    #[error("the link leads to itself, or through too many others")]
    LinkLoop,
    /// Something that is not read: a FIFO, a device, a directory where a file belongs.
    #[error("it is a {}, not a {}", .found.name(), .wanted.name())]
    Kind {
        /// What it is.
        found: FileKind,
        /// What was wanted.
        wanted: FileKind,
    },
    /// More than the limit.
    #[error("larger than the limit of {limit} {unit}")]
    TooLarge {
        /// The limit.
        limit: u64,
        /// Bytes, lines, entries or paths.
        unit: &'static str,
    },
    /// One file more than all of the same fact may be together.
    #[error("with the files read before it, it is beyond the limit of {limit} {unit} for all of them")]
    TooMuch {
        /// The limit.
        limit: u64,
        /// Bytes, lines, files or bytes of patterns.
        unit: &'static str,
    },
    /// More names in directories than all that is read for the same fact may look at.
    #[error("with what was looked at before it, it is beyond the limit of {limit} names in directories")]
    TooManyNames {
        /// The limit.
        limit: u64,
    },
    /// The backend could not.
    #[error("{0}")]
    Io(String),
}

impl ReadError {
    /// Whether this says that nothing is there, as opposed to not knowing.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::NotFound | Self::Dangling)
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::NotFound,
            io::ErrorKind::PermissionDenied => Self::Io("permission denied".into()),
            // How a backend says that a directory has more names than it may.
            io::ErrorKind::FileTooLarge => Self::TooLarge { limit: Limits::USUAL.directory as u64, unit: "entries" },
            // What a reader of archives and disks says is the image's doing. The text of the system's own errors may differ from host to host
            // and must not reach a report; their kind does not.
            kind => Self::Io(error.get_ref().map_or_else(|| kind.to_string(), ToString::to_string)),
        }
    }
}

/// Where a path really leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The path with every link followed.
    pub path: ImagePath,
    /// What is there.
    pub metadata: Metadata,
    /// The links that were followed, in order.
    pub links: Vec<ImagePath>,
}

/// A root file system over any [`Image`].
#[derive(Clone, Copy)]
pub struct Rootfs<'i> {
    image: &'i dyn Image,
    limits: Limits,
    budget: Option<&'i Budget>,
}

impl<'i> Rootfs<'i> {
    /// Over this image, with the usual limits.
    #[must_use]
    pub fn new(image: &'i dyn Image) -> Self {
        Self { image, limits: Limits::USUAL, budget: None }
    }

    /// The same, with all that is [read](Rootfs::read) counted.
    #[must_use]
    pub fn within<'b>(self, budget: &'b Budget) -> Rootfs<'b>
    where
        'i: 'b,
    {
        Rootfs { budget: Some(budget), ..self }
    }

    /// The limits in force.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Whether owners in this image are its own (see [`Image::keeps_ownership`]).
    #[must_use]
    pub fn keeps_ownership(&self) -> bool {
        self.image.keeps_ownership()
    }

    /// Follows every link of `path`, the last component's too (`stat`).
    ///
    /// # Errors
    /// [`ReadError::NotFound`] or [`ReadError::Dangling`] if nothing is there; [`ReadError::LinkLoop`]; or what the backend met.
    pub fn resolve(&self, path: &ImagePath) -> Result<Resolved, ReadError> {
        self.follow(path, true)
    }

    /// Follows the links of all components but the last (`lstat`).
    ///
    /// # Errors
    /// As [`Rootfs::resolve`].
    pub fn resolve_parent(&self, path: &ImagePath) -> Result<Resolved, ReadError> {
        self.follow(path, false)
    }

    /// Takes names that somebody looks at one by one into account, as [`Rootfs::read_dir`] and [`Rootfs::glob`] do by themselves.
    ///
    /// # Errors
    /// [`ReadError::TooManyNames`] beyond [`Budget::NAMES`].
    pub fn look(&self, names: usize) -> Result<(), ReadError> {
        self.budget.map_or(Ok(()), |budget| budget.look(names as u64))
    }

    fn follow(&self, path: &ImagePath, last: bool) -> Result<Resolved, ReadError> {
        let mut todo: VecDeque<Vec<u8>> = path.components().map(<[u8]>::to_vec).collect();
        let mut at = ImagePath::root();
        let mut metadata = self.image.metadata(&at)?;
        let mut links = Vec::new();
        let mut steps = 0_u64;
        while let Some(name) = todo.pop_front() {
            steps += 1;
            if steps > USUAL_STEPS {
                self.look(1)?;
            }
            if name == b".." {
                at = at.parent().unwrap_or_else(ImagePath::root);
                metadata = self.image.metadata(&at)?;
                continue;
            }
            if metadata.kind != FileKind::Directory {
                return Err(ReadError::NotFound);
            }
            let next = at.join(&name);
            metadata = match self.image.metadata(&next) {
                Ok(metadata) => metadata,
                Err(error) if error.kind() == io::ErrorKind::NotFound && !links.is_empty() => return Err(ReadError::Dangling),
                Err(error) => return Err(error.into()),
            };
            if metadata.kind != FileKind::Link || (todo.is_empty() && !last) {
                at = next;
                continue;
            }
            // Chains of links make a long way of a short path, and very many of them a long time.
            self.look(1)?;
            links.push(next.clone());
            if links.len() > self.limits.links as usize {
                return Err(ReadError::LinkLoop);
            }
            let target = self.image.read_link(&next)?;
            if target.starts_with(b"/") {
                at = ImagePath::root();
            }
            metadata = self.image.metadata(&at)?;
            for part in target.split(|&byte| byte == b'/').rev() {
                if !part.is_empty() && part != b"." {
                    todo.push_front(part.to_vec());
                }
            }
        }
        Ok(Resolved { path: at, metadata, links })
    }

    /// The target of a link as stored, or nothing if `path` is no link.
    ///
    /// # Errors
    /// As [`Rootfs::resolve`].
    pub fn read_link(&self, path: &ImagePath) -> Result<Option<Vec<u8>>, ReadError> {
        let found = self.resolve_parent(path)?;
        if found.metadata.kind != FileKind::Link {
            return Ok(None);
        }
        Ok(Some(self.image.read_link(&found.path)?))
    }

    /// Whether something is there, links followed.
    ///
    /// # Errors
    /// Whatever leaves the answer open, such as an unreadable directory on the way.
    pub fn exists(&self, path: &ImagePath) -> Result<bool, ReadError> {
        match self.resolve(path) {
            Ok(_) => Ok(true),
            Err(error) if error.is_absent() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The whole content of a regular file of configuration, links followed, within [`Limits::file`] and [`Limits::lines`], and within
    /// the [`Budget`] of all that are read for the same fact.
    ///
    /// # Errors
    /// [`ReadError::Kind`] for anything that is no regular file, [`ReadError::TooLarge`] and [`ReadError::TooMuch`]; otherwise as
    /// [`Rootfs::resolve`].
    pub fn read(&self, path: &ImagePath) -> Result<Vec<u8>, ReadError> {
        let content = self.read_up_to(path, self.limits.file, self.budget)?;
        let lines = memchr::memchr_iter(b'\n', &content).count() as u64;
        if lines > self.limits.lines {
            return Err(ReadError::TooLarge { limit: self.limits.lines, unit: "lines" });
        }
        if let Some(budget) = self.budget {
            budget.spend(content.len() as u64, lines)?;
        }
        Ok(content)
    }

    /// The same for a list made by a tool, within [`Limits::list`] alone.
    ///
    /// # Errors
    /// As [`Rootfs::read`].
    pub fn read_list(&self, path: &ImagePath) -> Result<Vec<u8>, ReadError> {
        self.read_up_to(path, self.limits.list, None)
    }

    /// The same for a database, within [`Limits::database`].
    ///
    /// # Errors
    /// As [`Rootfs::read`].
    pub fn read_database(&self, path: &ImagePath) -> Result<Vec<u8>, ReadError> {
        self.read_up_to(path, self.limits.database, None)
    }

    /// The beginning of a regular file, links followed: at most this many bytes.
    ///
    /// # Errors
    /// [`ReadError::Kind`] for anything that is no regular file; otherwise as [`Rootfs::resolve`].
    pub fn read_start(&self, path: &ImagePath, limit: u64) -> Result<Vec<u8>, ReadError> {
        let found = self.resolve(path)?;
        if found.metadata.kind != FileKind::File {
            return Err(ReadError::Kind { found: found.metadata.kind, wanted: FileKind::File });
        }
        let mut content = Vec::new();
        self.image.open(&found.path)?.take(limit).read_to_end(&mut content)?;
        Ok(content)
    }

    fn read_up_to(&self, path: &ImagePath, limit: u64, budget: Option<&Budget>) -> Result<Vec<u8>, ReadError> {
        let found = self.resolve(path)?;
        if found.metadata.kind != FileKind::File {
            return Err(ReadError::Kind { found: found.metadata.kind, wanted: FileKind::File });
        }
        let too_large = ReadError::TooLarge { limit, unit: "bytes" };
        if found.metadata.size > limit {
            return Err(too_large);
        }
        if let Some(budget) = budget {
            budget.room(found.metadata.size)?;
        }
        let mut content = Vec::new();
        // One byte more than allowed: a file that grew, or lies about its size (`/proc`), is found out.
        self.image.open(&found.path)?.take(limit + 1).read_to_end(&mut content)?;
        if content.len() as u64 > limit {
            return Err(too_large);
        }
        Ok(content)
    }

    /// The names in a directory, links followed, sorted by byte.
    ///
    /// # Errors
    /// [`ReadError::Kind`] if it is no directory, [`ReadError::TooLarge`]; otherwise as [`Rootfs::resolve`].
    pub fn read_dir(&self, path: &ImagePath) -> Result<Vec<Vec<u8>>, ReadError> {
        let found = self.resolve(path)?;
        if found.metadata.kind != FileKind::Directory {
            return Err(ReadError::Kind { found: found.metadata.kind, wanted: FileKind::Directory });
        }
        // Asked before as well, so that nothing is read any more once the limit is reached.
        self.look(0)?;
        let mut names = self.image.read_dir(&found.path)?;
        self.look(names.len())?;
        if names.len() > self.limits.directory {
            return Err(ReadError::TooLarge { limit: self.limits.directory as u64, unit: "entries" });
        }
        names.sort_unstable();
        Ok(names)
    }

    /// An extended attribute of a path, links followed.
    ///
    /// # Errors
    /// As [`Rootfs::resolve`].
    pub fn xattr(&self, path: &ImagePath, name: &str) -> Result<Option<Vec<u8>>, ReadError> {
        let found = self.resolve(path)?;
        Ok(self.image.xattr(&found.path, name)?)
    }

    /// The paths a pattern names, sorted: `*`, `?`, `[…]` and `{a,b}` within a component as `glob(7)` (a leading dot is matched only
    /// by a dot), `**` as a whole component for any depth. Links are followed in the fixed part and to reach a component's
    /// directory, but `**` does not descend into links.
    ///
    /// # Errors
    /// [`ReadError::TooLarge`] beyond [`Limits::matches`], [`ReadError::TooManyNames`] beyond [`Budget::NAMES`], [`ReadError::Io`] where a directory on the way cannot be read: what
    /// matches is then unknown.
    pub fn glob(&self, pattern: &str) -> Result<Vec<ImagePath>, ReadError> {
        if let Some(budget) = self.budget {
            budget.pattern(pattern.len() as u64)?;
        }
        let parts: Vec<Part> = pattern.split('/').filter(|part| !part.is_empty()).map(Part::new).collect::<Result<_, _>>()?;
        let mut found = Vec::new();
        let mut waiting = vec![(ImagePath::root(), 0)];
        while let Some((at, index)) = waiting.pop() {
            match parts.get(index) {
                None => found.push(at),
                Some(Part::Name(name)) => {
                    self.look(1)?;
                    let next = at.join(name);
                    match self.resolve_parent(&next) {
                        Ok(_) => waiting.push((next, index + 1)),
                        Err(error) if error.is_absent() => {}
                        Err(error) => return Err(error),
                    }
                }
                Some(Part::Glob(glob, dotted)) => {
                    for name in self.names_of(&at)? {
                        if (*dotted || !name.starts_with(b".")) && glob.is_match(bytes_as_path(&name)) {
                            waiting.push((at.join(&name), index + 1));
                        }
                    }
                }
                Some(Part::AnyDepth) => {
                    for name in self.names_of(&at)? {
                        let next = at.join(&name);
                        if self.resolve_parent(&next)?.metadata.kind == FileKind::Directory {
                            waiting.push((next, index));
                        }
                    }
                    waiting.push((at, index + 1));
                }
            }
            if found.len() + waiting.len() > self.limits.matches {
                return Err(ReadError::TooLarge { limit: self.limits.matches as u64, unit: "paths" });
            }
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// The names below a path that may be no directory at all (then none).
    fn names_of(&self, path: &ImagePath) -> Result<Vec<Vec<u8>>, ReadError> {
        match self.read_dir(path) {
            Err(ReadError::Kind { .. } | ReadError::NotFound | ReadError::Dangling) => Ok(Vec::new()),
            other => other,
        }
    }

    /// Visits every entry of the image once (see [`Image::walk`]).
    pub fn walk(&self, visitor: &dyn Visitor) -> Coverage {
        self.image.walk(visitor)
    }
}

/// One component of a glob.
enum Part {
    Name(String),
    Glob(GlobMatcher, bool),
    AnyDepth,
}

impl Part {
    fn new(part: &str) -> Result<Self, ReadError> {
        if part == "**" {
            return Ok(Self::AnyDepth);
        }
        if !part.contains(['*', '?', '[', '{', '\\']) {
            return Ok(Self::Name(part.to_owned()));
        }
        let glob = GlobBuilder::new(part).literal_separator(true).build();
        let glob = glob.map_err(|error| ReadError::Io(format!("'{part}' is no pattern: {error}")))?;
        Ok(Self::Glob(glob.compile_matcher(), part.starts_with('.')))
    }
}

fn bytes_as_path(bytes: &[u8]) -> &std::path::Path {
    use std::os::unix::ffi::OsStrExt as _;
    std::path::Path::new(std::ffi::OsStr::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::super::MemoryImage;
    use super::*;

    fn read(image: &MemoryImage, path: &str) -> Result<Vec<u8>, ReadError> {
        Rootfs::new(image).read(&ImagePath::new(path))
    }

    #[test]
    fn an_absolute_link_starts_at_the_images_root() {
        let image = MemoryImage::new().file("/etc/real", "x").link("/a/link", "/etc/real");
        assert_eq!(read(&image, "/a/link").unwrap(), b"x");
    }

    #[test]
    fn dots_of_a_link_stop_at_the_images_root() {
        let image = MemoryImage::new().file("/etc/shadow", "mine").link("/a/b", "../../../../../etc/shadow");
        assert_eq!(read(&image, "/a/b").unwrap(), b"mine");
    }

    #[test]
    fn dots_after_a_link_leave_from_where_the_link_leads() {
        let image = MemoryImage::new().file("/usr/x", "far").file("/x", "near").directory("/usr/lib").link("/lib", "usr/lib");
        let image = image.link("/probe", "lib/../x");
        assert_eq!(read(&image, "/probe").unwrap(), b"far");
    }

    #[test]
    fn a_circle_of_links_is_named() {
        let image = MemoryImage::new().link("/a", "b").link("/b", "a");
        assert_eq!(read(&image, "/a"), Err(ReadError::LinkLoop));
    }

    #[test]
    fn a_fifo_is_not_opened() {
        let image = MemoryImage::new().with("/etc/fifo", super::super::Entry::new(FileKind::Fifo, ""));
        assert!(matches!(read(&image, "/etc/fifo"), Err(ReadError::Kind { found: FileKind::Fifo, .. })));
    }

    #[test]
    fn a_file_beyond_the_limit_is_refused_before_it_is_read() {
        let mut entry = super::super::Entry::new(FileKind::File, "");
        entry.metadata.size = 10 << 30;
        let image = MemoryImage::new().with("/big", entry);
        assert!(matches!(read(&image, "/big"), Err(ReadError::TooLarge { .. })));
    }

    #[test]
    fn a_file_of_very_many_lines_is_refused() {
        let image = MemoryImage::new().file("/a", "\n".repeat(50_001)).file("/b", "\n".repeat(50_000));
        assert_eq!(read(&image, "/a"), Err(ReadError::TooLarge { limit: 50_000, unit: "lines" }));
        assert!(read(&image, "/b").is_ok());
        assert!(Rootfs::new(&image).read_list(&ImagePath::new("/a")).is_ok());
    }

    #[test]
    fn a_directory_of_very_many_names_is_refused() {
        let mut image = MemoryImage::new();
        for number in 0..=100_000 {
            image.insert(ImagePath::new(format!("/d/{number}")), super::super::Entry::new(FileKind::File, ""));
        }
        let refused = Err(ReadError::TooLarge { limit: 100_000, unit: "entries" });
        assert_eq!(Rootfs::new(&image).read_dir(&ImagePath::new("/d")), refused);
    }

    #[test]
    fn a_link_to_nothing_is_absent_and_says_so() {
        let image = MemoryImage::new().link("/a", "gone");
        assert_eq!(read(&image, "/a"), Err(ReadError::Dangling));
        assert_eq!(read(&image, "/gone"), Err(ReadError::NotFound));
    }

    #[test]
    fn globs_are_sorted_and_leave_dotted_names_alone() {
        let image = MemoryImage::new().file("/d/b.conf", "").file("/d/a.conf", "").file("/d/.c.conf", "").file("/d/e/f.conf", "");
        let found =
            |pattern: &str| Rootfs::new(&image).glob(pattern).unwrap().iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(found("/d/*.conf"), ["/d/a.conf", "/d/b.conf"]);
        assert_eq!(found("/d/**/*.conf"), ["/d/a.conf", "/d/b.conf", "/d/e/f.conf"]);
        assert_eq!(found("/d/{a,b}.conf"), ["/d/a.conf", "/d/b.conf"]);
        assert!(found("/none/*").is_empty());
    }

    #[test]
    fn a_glob_through_an_unreadable_directory_is_unknown() {
        let mut entry = super::super::Entry::new(FileKind::Directory, "");
        entry.unreadable = true;
        let image = MemoryImage::new().with("/d", entry);
        assert!(matches!(Rootfs::new(&image).glob("/d/*"), Err(ReadError::Io(_))));
    }
}
