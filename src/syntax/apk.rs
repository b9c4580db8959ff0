//! Alpine's database of installed packages, `/lib/apk/db/installed` (and `/usr/lib/apk/db/installed`): one record a package,
//! `X:value` a line, ended by an empty line. The grammar is that of `apk_db_fdb_read` in apk-tools' `src/database.c`.

/// Most packages one database may hold; Alpine 3.20 offers about 30,000.
pub const MAX_PACKAGES: usize = 250_000;

/// One installed package. Its files are read only when asked for, see [`Package::files`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Package<'a> {
    /// Line of the record's first field, from 1.
    pub line: u32,
    /// The package's name (`P:`).
    pub name: &'a str,
    /// Its version with revision (`V:`).
    pub version: &'a str,
    /// Its architecture (`A:`).
    pub architecture: Option<&'a str>,
    /// The package it was built from (`o:`).
    pub origin: Option<&'a str>,
    /// apk marks a package whose files or scripts did not install well (`f:` with `f`, `s` or `x`).
    pub broken: bool,
    record: &'a [u8],
}

/// A directory or file a package owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Line, from 1.
    pub line: u32,
    /// Relative to the root, without a slash at either end; empty for the root itself.
    pub directory: &'a [u8],
    /// Absent for the directory itself.
    pub name: Option<&'a [u8]>,
    /// Owner and mode where they are not apk's default (root, 0755 for directories, as packed for files).
    pub access: Option<Access>,
}

/// `uid:gid:mode` of an `M:` or `a:` line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Twelve bits.
    pub mode: u32,
}

/// Why apk would refuse the file, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {trouble}")]
pub struct ApkError {
    /// The line, from 1.
    pub line: u32,
    /// What is wrong there.
    pub trouble: Trouble,
}

/// What apk objects to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// A line of another form.
    #[error("a line is a letter, a colon and a value")]
    NotAField,
    /// A record without name or version.
    #[error("the record has no {0}: line")]
    Missing(char),
    /// A value that has to be UTF-8.
    #[error("the value of {0}: is not valid UTF-8")]
    NotText(char),
    /// A file without a directory, or a mode without either.
    #[error("{0}: has nothing before it to belong to")]
    Alone(char),
    /// The value of `M:` or `a:`.
    #[error("owner and mode are written uid:gid:mode")]
    Access,
    /// No empty line at the end.
    #[error("the file ends inside a record: it was cut off")]
    CutOff,
    /// Beyond [`MAX_PACKAGES`].
    #[error("more than {MAX_PACKAGES} packages")]
    TooMany,
}

/// Reads the database.
///
/// # Errors
/// Where apk would refuse it, or where it was cut off.
pub fn parse_installed(bytes: &[u8]) -> Result<Vec<Package<'_>>, ApkError> {
    let mut packages = Vec::new();
    let (mut line, mut rest) = (0_u32, bytes);
    while !rest.is_empty() {
        let first = line.saturating_add(1);
        let (record, lines, after) = record(rest, first)?;
        if lines > 0 {
            if packages.len() == MAX_PACKAGES {
                return Err(ApkError { line: first, trouble: Trouble::TooMany });
            }
            packages.push(package(record, first)?);
        }
        line = line.saturating_add(lines).saturating_add(1);
        rest = after;
    }
    Ok(packages)
}

/// Cuts the next record off: its lines, how many there are, and what follows the empty line. apk counts any line shorter than
/// two bytes as empty, and never commits a record that none ends.
fn record(rest: &[u8], first: u32) -> Result<(&[u8], u32, &[u8]), ApkError> {
    let (mut at, mut lines) = (0_usize, 0_u32);
    loop {
        let remaining = rest.get(at..).unwrap_or_default();
        let Some(length) = memchr::memchr(b'\n', remaining) else {
            return Err(ApkError { line: first.saturating_add(lines), trouble: Trouble::CutOff });
        };
        let after = at + length + 1;
        if length < 2 {
            return Ok((rest.get(..at).unwrap_or_default(), lines, rest.get(after..).unwrap_or_default()));
        }
        at = after;
        lines = lines.saturating_add(1);
    }
}

fn package(record: &[u8], first: u32) -> Result<Package<'_>, ApkError> {
    let (mut name, mut version, mut architecture, mut origin, mut broken) = (None, None, None, None, false);
    for field in fields(record, first) {
        let field = field?;
        let text = || {
            let trouble = Trouble::NotText(char::from(field.letter));
            std::str::from_utf8(field.value).map_err(|_| ApkError { line: field.line, trouble })
        };
        match field.letter {
            b'P' => name = Some(text()?),
            b'V' => version = Some(text()?),
            b'A' => architecture = Some(text()?),
            b'o' => origin = Some(text()?),
            b'f' => {
                broken = field.value.iter().any(|flag| matches!(flag, b'f' | b's' | b'x'));
            }
            _ => {}
        }
    }
    let missing = |letter| ApkError { line: first, trouble: Trouble::Missing(letter) };
    let package = Package {
        line: first,
        name: name.filter(|n| !n.is_empty()).ok_or(missing('P'))?,
        version: version.filter(|v| !v.is_empty()).ok_or(missing('V'))?,
        architecture,
        origin,
        broken,
        record,
    };
    // The files are looked through now, so that a list that cannot be read is known before somebody asks who owns what.
    package.files(|_| ())?;
    Ok(package)
}

struct Field<'a> {
    line: u32,
    letter: u8,
    value: &'a [u8],
}

fn fields(record: &[u8], first: u32) -> impl Iterator<Item = Result<Field<'_>, ApkError>> {
    let mut line = first;
    record.strip_suffix(b"\n").unwrap_or(record).split(|b| *b == b'\n').map(move |text| {
        let here = line;
        line = line.saturating_add(1);
        match text {
            [letter, b':', value @ ..] => Ok(Field { line: here, letter: *letter, value }),
            _ => Err(ApkError { line: here, trouble: Trouble::NotAField }),
        }
    })
}

impl<'a> Package<'a> {
    /// Gives every directory and file of the package to `visit`, in the order of the file.
    ///
    /// # Errors
    /// None for a package that [`parse_installed`] gave, which has looked the list through.
    pub fn files(&self, mut visit: impl FnMut(Entry<'a>)) -> Result<(), ApkError> {
        let mut current: Option<Entry<'a>> = None;
        for field in fields(self.record, self.line) {
            let Field { line, letter, value } = field?;
            let alone = ApkError { line, trouble: Trouble::Alone(char::from(letter)) };
            match letter {
                b'F' => {
                    current.take().into_iter().for_each(&mut visit);
                    current = Some(Entry { line, directory: value, name: None, access: None });
                }
                b'R' => {
                    let before = current.take().ok_or(alone)?;
                    visit(before);
                    current = Some(Entry { line, directory: before.directory, name: Some(value), access: None });
                }
                b'M' | b'a' => {
                    let entry = current.as_mut().filter(|e| e.name.is_some() == (letter == b'a')).ok_or(alone)?;
                    entry.access = Some(access(value).ok_or(ApkError { line, trouble: Trouble::Access })?);
                }
                b'Z' if current.is_none_or(|entry| entry.name.is_none()) => return Err(alone),
                _ => {}
            }
        }
        current.into_iter().for_each(visit);
        Ok(())
    }
}

/// `uid:gid:mode`, with a digest of the extended attributes behind a further colon.
fn access(value: &[u8]) -> Option<Access> {
    let mut parts = std::str::from_utf8(value).ok()?.split(':');
    let uid = parts.next()?.parse().ok()?;
    let gid = parts.next()?.parse().ok()?;
    let mode = u32::from_str_radix(parts.next()?, 8).ok().filter(|mode| *mode <= 0o7777)?;
    Some(Access { uid, gid, mode })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TWO: &str = "C:Q1qKcZ+j23xssAXmgQhkOO8dHnbWw=
P:alpine-baselayout
V:3.4.3-r2
A:x86_64
o:alpine-baselayout
F:dev
F:tmp
M:0:0:1777
F:etc
R:shadow
a:0:42:640
Z:Q1ltrPIAW2zHeDiajsex2Bdmq3uqA=
R:motd

P:busybox
V:1.36.1-r19
f:s
F:bin
R:busybox
a:0:0:755:Q1xx

";

    #[test]
    fn two_packages_with_their_lines() {
        let packages = parse_installed(TWO.as_bytes()).unwrap();
        let [base, busybox] = packages.as_slice() else { panic!("{packages:?}") };
        assert_eq!((base.line, base.name, base.version), (1, "alpine-baselayout", "3.4.3-r2"));
        assert_eq!((base.architecture, base.origin, base.broken), (Some("x86_64"), Some("alpine-baselayout"), false));
        assert_eq!((busybox.line, busybox.name, busybox.broken), (15, "busybox", true));
    }

    type Seen<'a> = (u32, &'a [u8], Option<&'a [u8]>, Option<u32>);

    #[test]
    fn files_with_owner_and_mode() {
        let packages = parse_installed(TWO.as_bytes()).unwrap();
        let mut entries = Vec::new();
        packages[0].files(|entry| entries.push(entry)).unwrap();
        let seen: Vec<_> = entries.iter().map(|e| (e.line, e.directory, e.name, e.access.map(|a| a.mode))).collect();
        let expected: [Seen<'_>; 5] = [
            (6, b"dev", None, None),
            (7, b"tmp", None, Some(0o1777)),
            (9, b"etc", None, None),
            (10, b"etc", Some(b"shadow"), Some(0o640)),
            (13, b"etc", Some(b"motd"), None),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn what_apk_refuses() {
        let trouble = |text: &str| {
            let error = parse_installed(text.as_bytes()).unwrap_err();
            (error.line, error.trouble)
        };
        assert_eq!(trouble("P:a\nV:1\n"), (3, Trouble::CutOff));
        assert_eq!(trouble("P:a\nV:1\nF:et"), (3, Trouble::CutOff));
        assert_eq!(trouble("\nP:a\n\n"), (2, Trouble::Missing('V')));
        assert_eq!(trouble("P:a\nrubbish\n\n"), (2, Trouble::NotAField));
        assert_eq!(trouble("P:a\nV:1\nR:x\n\n"), (3, Trouble::Alone('R')));
        assert_eq!(trouble("P:a\nV:1\nF:x\na:0:0:755\n\n"), (4, Trouble::Alone('a')));
        assert_eq!(trouble("P:a\nV:1\nF:x\nM:0:0:999\n\n"), (4, Trouble::Access));
    }

    #[test]
    fn every_cut_is_an_error_or_whole_records() {
        for end in 1..TWO.len() {
            if let Ok(packages) = parse_installed(&TWO.as_bytes()[..end]) {
                assert!(packages.iter().all(|p| !p.name.is_empty()) && TWO[..end].ends_with("\n\n"), "cut at {end}");
            }
        }
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_installed(&bytes);
        }

        #[test]
        fn never_panics_near_the_grammar(text in "([PVAFRMaZ]:[a-z0-9:]{0,6}\n\n?){0,12}\n?") {
            let _ = parse_installed(text.as_bytes());
        }
    }
}
