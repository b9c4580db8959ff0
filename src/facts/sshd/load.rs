//! Reads the configuration the way the server does: includes where they stand, `Match` blocks, the first mistake that stops it.

use std::collections::BTreeMap;

use super::criteria::{self, Criteria};
use super::keyword::{self, Keyword, Meaning, Scope};
use super::release::Release;
use super::value::{self, Value};
use super::{Block, Flaw, Place, pattern};
use crate::facts::Unreadable;
use crate::image::{FileKind, ReadError, Rootfs};
use crate::path::{ImagePath, printable};
use crate::syntax::sshd_config::{self, Line};

/// Includes within includes, as `SERVCONF_MAX_DEPTH`.
const MAX_DEPTH: u32 = 16;
/// Files read, again and again included ones counted each time. Two includes a file would make 2^16 of them within the depth.
const MAX_FILES: u32 = 4_096;
/// Lines with a keyword, over all files.
const MAX_LINES: u32 = 200_000;
/// `Match` blocks. sshd goes through all of them for each connection, and each is kept with what it sets.
const MAX_BLOCKS: usize = 2_000;
/// Entries of a directory that an `Include` looks into.
const MAX_ENTRIES: usize = 10_000;

/// A value, where it stands, and by which name the keyword was called there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) place: Place,
    pub(super) value: Value,
}

pub(super) type Entries = BTreeMap<&'static str, Vec<Entry>>;

/// The state of reading.
pub(super) struct Loader<'r, 'i> {
    root: Rootfs<'i>,
    release: &'r Release,
    /// What is set for the server as a whole, in the order of reading.
    pub(super) main: Entries,
    /// The `Match` blocks, in the order of reading.
    pub(super) blocks: Vec<Block>,
    /// What stops the server, first things first.
    pub(super) flaws: Vec<Flaw>,
    /// Every file that was read.
    pub(super) files: Vec<ImagePath>,
    /// Whether ports were given by `-p`.
    pub(super) ports_given: bool,
    lines: u32,
}

/// Where a line stands.
#[derive(Debug, Clone, Copy)]
struct Position {
    /// The block it belongs to.
    block: Option<usize>,
    /// Whether it counts when the server starts: outside of blocks and in `Match all`.
    at_start: bool,
}

/// Reading goes on, or cannot.
type Go<T = ()> = Result<T, Stop>;

enum Stop {
    /// The server would have stopped here.
    Flawed,
    /// It is not known how it goes on.
    Unknown(Unreadable),
}

impl<'r, 'i> Loader<'r, 'i> {
    /// Flaws kept; a file of rubbish has one a line, and the first is what counts.
    const MAX_FLAWS: usize = 100;

    pub(super) fn new(root: Rootfs<'i>, release: &'r Release) -> Self {
        let (main, blocks, flaws, files) = (Entries::new(), Vec::new(), Vec::new(), Vec::new());
        Self { root, release, main, blocks, flaws, files, ports_given: false, lines: 0 }
    }

    /// Reads the main file and what it includes.
    pub(super) fn load(&mut self, path: &ImagePath) -> Result<(), Unreadable> {
        let position = Position { block: None, at_start: true };
        match self.file(path, position, 0) {
            Ok(()) | Err(Stop::Flawed) => Ok(()),
            Err(Stop::Unknown(unreadable)) => Err(unreadable),
        }
    }

    /// Takes an option of the command line (`-o`).
    pub(super) fn option(&mut self, path: &ImagePath, number: u32, line: &Line) {
        let position = Position { block: None, at_start: true };
        let place = Place { path: path.clone(), line: number, column: 1 };
        match keyword::meaning(&line.keyword, self.release) {
            Some(Meaning::Match | Meaning::Include) => {
                self.flaw(place, line, None, "it is no option for the command line");
            }
            meaning => self.setting(meaning, place, line, position),
        }
    }

    fn file(&mut self, path: &ImagePath, outer: Position, depth: u32) -> Go {
        let content = match self.root.read(path) {
            Ok(content) => content,
            // Opening a directory succeeds, and there is nothing to read.
            Err(ReadError::Kind { found: FileKind::Directory, .. }) => return Ok(()),
            Err(error) if error.is_absent() => {
                self.flaws.push(Flaw::of_file(path, &format!("{error}, and sshd does not start without it")));
                return Err(Stop::Flawed);
            }
            Err(error) => return Err(Stop::Unknown(Unreadable::reading(path, &error))),
        };
        self.files.push(path.clone());
        if self.files.len() > MAX_FILES as usize {
            return Err(Stop::Unknown(Unreadable::at(path, format!("more than {MAX_FILES} files are included"))));
        }
        let mut position = outer;
        for line in sshd_config::parse(&content) {
            self.lines += 1;
            if self.lines > MAX_LINES {
                return Err(Stop::Unknown(Unreadable::at(path, format!("the configuration has more than {MAX_LINES} lines"))));
            }
            let place = Place { path: path.clone(), line: line.line, column: line.column };
            match keyword::meaning(&line.keyword, self.release) {
                Some(Meaning::Include) => self.include(&place, &line, position, depth)?,
                Some(Meaning::Match) => position = self.block(place, &line, outer)?,
                // Ports of the command line are the only ones, and those of the file are not even looked at.
                Some(Meaning::Setting(keyword, _)) if keyword.name == "Port" && self.ports_given => {}
                meaning => self.setting(meaning, place, &line, position),
            }
        }
        Ok(())
    }

    fn flaw(&mut self, place: Place, line: &Line, keyword: Option<&'static str>, why: &str) {
        if self.flaws.len() < Self::MAX_FLAWS {
            let written = [&line.keyword[..], b" ", line.rest.as_deref().unwrap_or_default()].concat();
            let found = printable(written.trim_ascii_end());
            self.flaws.push(Flaw { place, keyword, found, why: why.to_owned() });
        }
    }

    fn setting(&mut self, meaning: Option<Meaning>, place: Place, line: &Line, position: Position) {
        let (keyword, scope) = match meaning {
            Some(Meaning::Setting(keyword, scope)) => (Some(keyword), scope),
            Some(Meaning::Ignored(scope)) => (None, scope),
            _ => {
                let why = format!("'{}' is no keyword of {}", printable(&line.keyword), self.release);
                return self.flaw(place, line, None, &why);
            }
        };
        let name = keyword.map(|keyword| keyword.name);
        if scope == Scope::Global && !position.at_start {
            return self.flaw(place, line, name, "it may not stand in a Match block");
        }
        match self.value(keyword, line, position.at_start) {
            Err(why) => self.flaw(place, line, name, &why),
            Ok(None) => {}
            Ok(Some((name, value))) => {
                let entry = Entry { place, value };
                if let Some(block) = position.block.and_then(|index| self.blocks.get_mut(index)) {
                    block.entries.entry(name).or_default().push(entry.clone());
                }
                if position.at_start {
                    self.main.entry(name).or_default().push(entry);
                }
            }
        }
    }

    fn value(
        &self,
        keyword: Option<&'static Keyword>,
        line: &Line,
        at_start: bool,
    ) -> Result<Option<(&'static str, Value)>, String> {
        let rest = line.rest.as_deref().unwrap_or_default();
        let arguments = if self.release.number < 807 {
            sshd_config::split_old(rest)
        } else if rest.is_empty() {
            return Err("an argument is missing".into());
        } else {
            sshd_config::split(rest).map_err(|_| "a quote is never closed".to_owned())?
        };
        let Some(keyword) = keyword else { return Ok(None) };
        Ok(value::read(keyword, &arguments, rest, self.release, at_start)?.map(|value| (keyword.name, value)))
    }

    fn block(&mut self, place: Place, line: &Line, outer: Position) -> Go<Position> {
        match criteria::read(line.rest.as_deref().unwrap_or_default(), self.release) {
            Err(why) => {
                self.flaw(place, line, None, &why);
                Err(Stop::Flawed)
            }
            Ok(criteria) => {
                if self.blocks.len() >= MAX_BLOCKS {
                    let reason = format!("there are more than {MAX_BLOCKS} Match blocks");
                    return Err(Stop::Unknown(Unreadable::at_line(&place.path, place.line, reason)));
                }
                let above = outer.block.and_then(|index| self.blocks.get(index));
                let mut conditions: Vec<String> = above.map(|block| block.conditions.clone()).unwrap_or_default();
                let all = criteria == Criteria::All;
                if let Criteria::Some(written) = criteria {
                    conditions.push(written);
                }
                self.blocks.push(Block { place, conditions, entries: Entries::new() });
                Ok(Position { block: Some(self.blocks.len() - 1), at_start: outer.at_start && all })
            }
        }
    }

    fn include(&mut self, place: &Place, line: &Line, position: Position, depth: u32) -> Go {
        let rest = line.rest.as_deref().unwrap_or_default();
        let split = if self.release.number < 807 { Ok(sshd_config::split_old(rest)) } else { sshd_config::split(rest) };
        let why = match &split {
            Err(_) => "a quote is never closed",
            Ok(patterns) if patterns.is_empty() => "it names no file",
            Ok(patterns) if patterns.iter().any(|pattern| pattern.text.is_empty()) => "it names a file without a name",
            _ if depth >= MAX_DEPTH => "too many includes within includes",
            Ok(_) => "",
        };
        let patterns = split.unwrap_or_default();
        // The depth is looked at when a file is read, so an include of nothing is fine at any depth.
        let mut found = Vec::new();
        if why.is_empty() || depth >= MAX_DEPTH {
            for pattern in patterns {
                found.extend(self.glob(&pattern.text)?);
            }
        }
        if !why.is_empty() && (depth < MAX_DEPTH || !found.is_empty()) {
            self.flaw(place.clone(), line, None, why);
            return Err(Stop::Flawed);
        }
        for path in found {
            self.file(&path, position, depth + 1)?;
        }
        Ok(())
    }

    /// The files of a pattern in the order of their bytes; relative ones start in `/etc/ssh`.
    fn glob(&self, pattern: &[u8]) -> Go<Vec<ImagePath>> {
        let absolute = match pattern.first() {
            Some(b'/') => pattern.to_vec(),
            // A tilde is not expanded, and the server runs in the root directory.
            Some(b'~') => [b"/", pattern].concat(),
            _ => [b"/etc/ssh/", pattern].concat(),
        };
        let mut found = vec![ImagePath::root()];
        for part in absolute.split(|&byte| byte == b'/').filter(|part| !part.is_empty()) {
            let mut next = Vec::new();
            for at in found {
                next.extend(self.step(&at, part)?);
                if next.len() > MAX_FILES as usize {
                    let reason = format!("'{}' names more than {MAX_FILES} files", printable(pattern));
                    return Err(Stop::Unknown(Unreadable::because(reason)));
                }
            }
            found = next;
        }
        found.sort_unstable();
        Ok(found)
    }

    /// What a component of a pattern names in a directory.
    fn step(&self, at: &ImagePath, part: &[u8]) -> Go<Vec<ImagePath>> {
        let unknown = |path: &ImagePath, error: &ReadError| Stop::Unknown(Unreadable::reading(path, error));
        if part == b"." {
            return Ok(vec![at.clone()]);
        }
        self.root.look(1).map_err(|error| unknown(at, &error))?;
        if part == b".." {
            return match self.root.resolve(at) {
                Ok(found) => Ok(vec![found.path.parent().unwrap_or_else(ImagePath::root)]),
                Err(error) if error.is_absent() => Ok(Vec::new()),
                Err(error) => Err(unknown(at, &error)),
            };
        }
        if !pattern::is_magic(part) {
            let path = at.join(pattern::unescape(part));
            return match self.root.resolve_parent(&path) {
                Ok(_) => Ok(vec![path]),
                Err(error) if error.is_absent() => Ok(Vec::new()),
                Err(error) => Err(unknown(&path, &error)),
            };
        }
        let names = match self.root.read_dir(at) {
            Ok(names) => names,
            Err(error) if error.is_absent() || matches!(error, ReadError::Kind { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(unknown(at, &error)),
        };
        if names.len() > MAX_ENTRIES {
            return Err(Stop::Unknown(Unreadable::at(at, format!("more than {MAX_ENTRIES} entries"))));
        }
        Ok(names.iter().filter(|name| pattern::matches_name(name, part)).map(|name| at.join(name)).collect())
    }
}
