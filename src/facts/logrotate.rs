//! What logrotate does to which log files: `logrotate.conf(5)`.
//!
//! A directive outside the braces counts for all that is read after it, through included files and back. logrotate passes over a file
//! that others may write or that root does not own, and one whose name ends as leftovers of packages do. A mistake in a value costs
//! the stanza it is in; outside of any, the rest of the file.

use super::{Fact, Facts, Unreadable};
use crate::image::{FileKind, Rootfs};
use crate::path::{ImagePath, printable};
use crate::syntax::logrotate::{Directive, Item, parse};

/// logrotate as it is configured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Logrotate {
    /// Whether there is a configuration at all.
    pub present: bool,
    /// What holds for all logs that say nothing else, at the end of the configuration.
    pub general: Options,
    /// What is rotated, in order.
    pub stanzas: Vec<Rotation>,
    /// Files and stanzas that logrotate passes over, and why.
    pub ignored: Vec<Unreadable>,
    /// What could not be read.
    pub doubts: Vec<Unreadable>,
}

/// Log files that are rotated alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// Their patterns (`glob(7)`).
    pub patterns: Vec<Vec<u8>>,
    /// How their successors are made.
    pub options: Options,
    /// The file.
    pub path: ImagePath,
    /// The line of the first pattern, from 1.
    pub line: u32,
}

/// How log files are rotated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether a new file is made at once.
    pub create: bool,
    /// The mode of the new file; the old one's where none is given.
    pub mode: Option<u32>,
    /// Where the mode was set.
    pub mode_set: Option<(ImagePath, u32)>,
    /// Whether the file is copied and emptied instead, so that it stays the same one.
    pub copy_truncate: bool,
    /// How many old files are kept; nothing where nothing is said, which keeps none.
    pub keep: Option<i64>,
    /// Whether old files are compressed.
    pub compress: bool,
    /// `hourly`, `daily`, `weekly`, `monthly`, `yearly`, or `size` where only that counts.
    pub when: Option<&'static str>,
}

/// The configuration file.
pub const PATH: &str = "/etc/logrotate.conf";

/// Files read in all.
const MAX_FILES: usize = 2_000;

/// Includes within includes.
const MAX_DEPTH: usize = 16;

/// Endings of names that are passed over in a directory (`defTabooExts`).
const TABOO: [&str; 17] = [
    "~",
    ",v",
    ".cfsaved",
    ".disabled",
    ".dpkg-bak",
    ".dpkg-del",
    ".dpkg-dist",
    ".dpkg-new",
    ".dpkg-old",
    ".dpkg-tmp",
    ".rpmnew",
    ".rpmorig",
    ".rpmsave",
    ".swp",
    ".ucf-dist",
    ".ucf-new",
    ".ucf-old",
];

struct Reader<'i> {
    root: Rootfs<'i>,
    found: Logrotate,
    global: Options,
    taboo: Vec<Vec<u8>>,
    files: usize,
}

pub(super) fn gather(facts: &Facts<'_>) -> Fact<Logrotate> {
    let path = ImagePath::new(PATH);
    let root = facts.root();
    match root.exists(&path) {
        Ok(true) => {}
        Ok(false) => return Ok(Logrotate::default()),
        Err(error) => return Err(Unreadable::reading(&path, &error)),
    }
    let taboo = TABOO.iter().map(|ending| ending.as_bytes().to_vec()).collect();
    let found = Logrotate { present: true, ..Logrotate::default() };
    let mut reader = Reader { root, found, global: Options::default(), taboo, files: 0 };
    reader.file(&path, 0);
    reader.found.general = reader.global;
    Ok(reader.found)
}

impl Reader<'_> {
    fn file(&mut self, path: &ImagePath, depth: usize) {
        self.files += 1;
        if depth > MAX_DEPTH || self.files > MAX_FILES {
            return self.found.doubts.push(Unreadable::at(path, "too many includes"));
        }
        let known = self.root.resolve(path).and_then(|found| Ok((found, self.root.read(path)?)));
        let (resolved, content) = match known {
            Ok(known) => known,
            Err(error) => return self.found.doubts.push(Unreadable::reading(path, &error)),
        };
        if resolved.metadata.mode & 0o022 != 0 {
            return self.found.ignored.push(Unreadable::at(path, "logrotate passes it over: the group or others may write it"));
        }
        if self.root.keeps_ownership() && resolved.metadata.uid != 0 {
            return self.found.ignored.push(Unreadable::at(path, "logrotate passes it over: it does not belong to root"));
        }
        let before = self.global.clone();
        for item in parse(&content) {
            match item {
                Item::Directive(directive) => {
                    if let Err(mistake) = self.directive(path, &directive, depth) {
                        // The rest of the file is passed over, and what it said for all is taken back.
                        self.found.ignored.push(mistake);
                        self.global = before;
                        return;
                    }
                }
                Item::Stanza(stanza) => {
                    let mut options = self.global.clone();
                    let (patterns, line) = (stanza.patterns, stanza.line);
                    match stanza.directives.iter().try_for_each(|directive| options.set(path, directive)) {
                        Ok(()) => self.found.stanzas.push(Rotation { patterns, options, path: path.clone(), line }),
                        Err(mistake) => self.found.ignored.push(mistake),
                    }
                }
            }
        }
    }

    fn directive(&mut self, path: &ImagePath, directive: &Directive, depth: usize) -> Result<(), Unreadable> {
        match directive.name.as_str() {
            "include" => self.include(&ImagePath::new(&directive.value), depth),
            "tabooext" => {
                let (adds, list) = match directive.value.strip_prefix(b"+") {
                    Some(list) => (true, list),
                    None => (false, directive.value.as_slice()),
                };
                if !adds {
                    self.taboo.clear();
                }
                let endings = list.split(|byte| *byte == b',' || byte.is_ascii_whitespace()).filter(|ending| !ending.is_empty());
                self.taboo.extend(endings.map(<[u8]>::to_vec));
            }
            _ => self.global.set(path, directive)?,
        }
        Ok(())
    }

    fn include(&mut self, path: &ImagePath, depth: usize) {
        match self.root.resolve(path).map(|found| found.metadata.kind) {
            Ok(FileKind::Directory) => {}
            Ok(_) => return self.file(path, depth + 1),
            Err(error) => return self.found.doubts.push(Unreadable::reading(path, &error)),
        }
        let names = match self.root.read_dir(path) {
            Ok(names) => names,
            Err(error) => return self.found.doubts.push(Unreadable::reading(path, &error)),
        };
        for name in names {
            let taboo = self.taboo.iter().any(|ending| !name.starts_with(b".") && name.ends_with(ending));
            let file = path.join(&name);
            let regular = self.root.resolve(&file).is_ok_and(|found| found.metadata.kind == FileKind::File);
            if !taboo && regular {
                self.file(&file, depth + 1);
            }
        }
    }
}

impl Options {
    fn set(&mut self, path: &ImagePath, directive: &Directive) -> Result<(), Unreadable> {
        let mistake = |reason: &str| Unreadable::at_line(path, directive.line, format!("logrotate passes this over: {reason}"));
        match directive.name.as_str() {
            "" => return Err(mistake("the line begins with neither a directive nor a file")),
            "create" => {
                let words: Vec<&[u8]> = directive.value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect();
                if words.len() > 3 {
                    return Err(mistake("too many words after create"));
                }
                let mode = words.first().filter(|word| word.iter().all(|digit| matches!(digit, b'0'..=b'7')));
                let text = mode.map(|mode| String::from_utf8_lossy(mode).into_owned());
                self.create = true;
                self.mode = text.and_then(|text| u32::from_str_radix(&text, 8).ok()).map(|mode| mode & 0o7777);
                self.mode_set = self.mode.map(|_| (path.clone(), directive.line));
            }
            "nocreate" => self.create = false,
            "copytruncate" => self.copy_truncate = true,
            "nocopytruncate" => self.copy_truncate = false,
            "compress" => self.compress = true,
            "nocompress" => self.compress = false,
            "rotate" => {
                let text = printable(&directive.value);
                let count = text.parse().map_err(|_| mistake("the number after rotate is none"))?;
                self.keep = Some(count);
            }
            "hourly" => self.when = Some("hourly"),
            "daily" => self.when = Some("daily"),
            "weekly" => self.when = Some("weekly"),
            "monthly" => self.when = Some("monthly"),
            "yearly" => self.when = Some("yearly"),
            "size" => self.when = Some("size"),
            _ => {}
        }
        Ok(())
    }

    /// The mode of a new file, where logrotate makes one and is told which.
    #[must_use]
    pub fn create_mode(&self) -> Option<u32> {
        self.mode.filter(|_| self.create && !self.copy_truncate)
    }
}

impl Logrotate {
    /// The first stanza whose patterns a log file fits.
    #[must_use]
    pub fn rotation_of(&self, file: &ImagePath) -> Option<&Rotation> {
        self.stanzas.iter().find(|rotation| rotation.patterns.iter().any(|pattern| fits(pattern, file)))
    }
}

fn fits(pattern: &[u8], file: &ImagePath) -> bool {
    let Ok(text) = std::str::from_utf8(pattern) else { return pattern == file.as_bytes() };
    let name = String::from_utf8_lossy(file.as_bytes());
    // Braces are plain in glob(3) without its extensions.
    let plain = text.replace('{', "\\{").replace('}', "\\}");
    let glob = globset::GlobBuilder::new(&plain).literal_separator(true).build();
    glob.is_ok_and(|glob| glob.compile_matcher().is_match(&*name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Target;
    use crate::image::{Entry, MemoryImage};

    fn logrotate(image: &MemoryImage) -> Logrotate {
        gather(&Facts::none(Target::image(Rootfs::new(image), jiff::civil::date(2026, 1, 1)))).unwrap()
    }

    fn mode(found: &Logrotate, file: &str) -> Option<u32> {
        found.rotation_of(&ImagePath::new(file)).and_then(|rotation| rotation.options.create_mode())
    }

    const MAIN: &str = "create 0600 root root\nweekly\ninclude /etc/logrotate.d\n/var/log/last {\n rotate 2\n}\n";

    #[test]
    fn what_stands_before_an_include_counts_in_it_and_what_it_says_counts_after() {
        let image = MemoryImage::new()
            .file(PATH, MAIN)
            .file("/etc/logrotate.d/a", "/var/log/a*.log { create 0640 root adm\n}\n/var/log/b { daily }\n")
            .file("/etc/logrotate.d/z", "create 0644\n");
        let found = logrotate(&image);
        assert_eq!((mode(&found, "/var/log/a1.log"), mode(&found, "/var/log/b")), (Some(0o640), Some(0o600)));
        assert_eq!(mode(&found, "/var/log/last"), Some(0o644));
        assert_eq!(found.rotation_of(&ImagePath::new("/var/log/last")).unwrap().options.when, Some("weekly"));
        assert_eq!(mode(&found, "/var/log/x/a1.log"), None);
    }

    #[test]
    fn files_that_logrotate_passes_over() {
        let with = |mode: u32, uid: u32| {
            let mut entry = Entry::new(FileKind::File, "/var/log/a { daily }\n");
            (entry.metadata.mode, entry.metadata.uid) = (mode, uid);
            entry
        };
        let image = MemoryImage::new()
            .file(PATH, MAIN)
            .with("/etc/logrotate.d/writable", with(0o664, 0))
            .with("/etc/logrotate.d/strangers", with(0o644, 1000))
            .file("/etc/logrotate.d/old.dpkg-old", "/var/log/a { daily }\n")
            .file("/etc/logrotate.d/broken", "/var/log/a {\n create 0640 root adm # as agreed\n}\n/b { daily }\n")
            .file("/etc/logrotate.d/global", "/c { daily }\nrotate two\n/d { daily }\n");
        let found = logrotate(&image);
        let lines: Vec<_> = found.ignored.iter().map(|ignored| ignored.line).collect();
        assert_eq!(lines, [Some(2), Some(2), None, None], "{:?}", found.ignored);
        let kept: Vec<_> = found.stanzas.iter().map(|rotation| &rotation.patterns[0][..]).collect();
        assert_eq!(kept, [&b"/b"[..], b"/c", b"/var/log/last"]);
    }

    #[test]
    fn nothing_is_created_where_the_file_is_emptied() {
        let image = MemoryImage::new().file(PATH, "create 0666\n/a {\n copytruncate\n}\n/b {\n nocreate\n}\n/c { create\n}\n");
        let found = logrotate(&image);
        assert_eq!([mode(&found, "/a"), mode(&found, "/b"), mode(&found, "/c")], [None; 3]);
    }

    #[test]
    fn a_circle_of_includes_ends() {
        let image = MemoryImage::new().file(PATH, "include /etc/logrotate.conf\n");
        assert!(!logrotate(&image).doubts.is_empty());
    }
}
