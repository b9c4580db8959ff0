//! The files of dpkg's database (`/var/lib/dpkg`): `status` here, the smaller ones in [`files`].
//!
//! As lenient as dpkg 1.22 itself (`lib/dpkg/parse.c`, `parsehelp.c`; deb-substvars and control file syntax in deb822(5)): what
//! stops dpkg is an error here too, because a database dpkg would refuse is not one to draw verdicts from.

pub mod files;

use std::collections::BTreeSet;

/// Most packages one database may hold. Debian 12 offers about 65,000 binary packages, of which a full desktop has three
/// thousand; what is kept of this many are some megabytes.
pub const MAX_PACKAGES: usize = 30_000;

/// One stanza of `status`: what dpkg knows of one package of one architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package<'a> {
    /// Line of the stanza's first field, from 1.
    pub line: u32,
    /// The package's name as written; dpkg takes capitals for small letters.
    pub name: &'a str,
    /// Absent in `status.d`, where being listed means being installed.
    pub status: Option<Status>,
    /// The version, with epoch and revision.
    pub version: Option<&'a str>,
    /// The architecture, or `all`.
    pub architecture: Option<&'a str>,
    /// `same`, `foreign` or `allowed`.
    pub multi_arch: Option<&'a str>,
    /// `Source`, where it differs from the package's own name; may carry a version in parentheses.
    pub source: Option<&'a str>,
    /// Its configuration files.
    pub conffiles: Vec<Conffile<'a>>,
}

/// The three words of a `Status` field (dpkg(1), "Package states").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// The first word.
    pub want: Want,
    /// `reinstreq`: the package is broken and must be installed again.
    pub reinstall_required: bool,
    /// The third word.
    pub state: State,
}

/// What the administrator wants of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Nobody has said.
    Unknown,
    /// To be installed.
    Install,
    /// To be left as it is.
    Hold,
    /// To be removed, but for its configuration.
    Deinstall,
    /// To be removed altogether.
    Purge,
}

/// What is really there, from nothing to everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Nothing is there.
    NotInstalled,
    /// Only configuration files are left.
    ConfigFiles,
    /// Unpacking began and did not end.
    HalfInstalled,
    /// Unpacked, not configured.
    Unpacked,
    /// Configuring began and did not end.
    HalfConfigured,
    /// Waits for triggers of another package.
    TriggersAwaited,
    /// Was triggered and has not run yet.
    TriggersPending,
    /// Unpacked and configured.
    Installed,
}

impl State {
    /// dpkg's own word for the state.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::NotInstalled => "not-installed",
            Self::ConfigFiles => "config-files",
            Self::HalfInstalled => "half-installed",
            Self::Unpacked => "unpacked",
            Self::HalfConfigured => "half-configured",
            Self::TriggersAwaited => "triggers-awaited",
            Self::TriggersPending => "triggers-pending",
            Self::Installed => "installed",
        }
    }
}

/// A configuration file the package brought, with the digest it was shipped with (or `newconffile`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conffile<'a> {
    /// Absolute.
    pub path: &'a str,
    /// MD5 in hexadecimal, or `newconffile`.
    pub digest: &'a str,
    /// The present version of the package no longer brings it.
    pub obsolete: bool,
}

/// Why dpkg would refuse the file, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {trouble}")]
pub struct DpkgError {
    /// The line, from 1.
    pub line: u32,
    /// What is wrong there.
    pub trouble: Trouble,
}

/// What dpkg objects to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// No newline at the end.
    #[error("the file ends inside a line: it was cut off")]
    CutOff,
    /// No empty line at the end and no description, which dpkg writes last.
    #[error("the last stanza ends before its description: it was cut off")]
    CutStanza,
    /// A line that neither starts a field nor goes on with one.
    #[error("a field needs a name and a colon")]
    NoColon,
    /// A line of nothing but blanks inside a value.
    #[error("a blank line within a field's value")]
    BlankLine,
    /// A field that may be there once is there again.
    #[error("the field {0} is there twice")]
    Twice(String),
    /// A field without which there is no package.
    #[error("the stanza has no {0} field")]
    Missing(&'static str),
    /// A field that has to be UTF-8.
    #[error("{0} is not valid UTF-8")]
    NotText(&'static str),
    /// The `Status` field.
    #[error("{0:?} is not a status of three known words")]
    Status(String),
    /// A line of the `Conffiles` field.
    #[error("{0:?} is not a conffile with its digest")]
    Conffile(String),
    /// A package's name.
    #[error("{0:?} is no name of a package: letters and digits, behind the first also '-', '+', '.' and '_'")]
    Name(String),
    /// A second stanza of a package of the same architecture.
    #[error("the package {0} has two stanzas")]
    Again(String),
    /// Beyond [`MAX_PACKAGES`].
    #[error("more than {MAX_PACKAGES} packages")]
    TooMany,
    /// An empty line where a path has to be.
    #[error("an empty file name")]
    EmptyName,
    /// A line of `statoverride`.
    #[error("{0:?} is not a user, a group, a mode and a path")]
    Override(String),
    /// A record of `diversions`.
    #[error("a diversion takes three lines")]
    Diversion,
}

/// Reads `/var/lib/dpkg/status`.
///
/// # Errors
/// Where dpkg would refuse it, or where it was cut off.
pub fn parse_status(bytes: &[u8]) -> Result<Vec<Package<'_>>, DpkgError> {
    let last = memchr::memchr_iter(b'\n', bytes).count();
    if bytes.last().is_some_and(|b| *b != b'\n') {
        return Err(DpkgError { line: number(last), trouble: Trouble::CutOff });
    }
    let packages = parse(bytes, true)?;
    let mut known = BTreeSet::new();
    for package in &packages {
        // dpkg itself writes each once; with two, which of them holds would be a guess.
        // Capitals make no difference in a name.
        if !known.insert((package.name.to_ascii_lowercase(), package.architecture)) {
            return Err(DpkgError { line: package.line, trouble: Trouble::Again(package.name.to_owned()) });
        }
        let state = package.status.map_or(State::NotInstalled, |s| s.state);
        if package.version.is_none() && state > State::ConfigFiles {
            return Err(DpkgError { line: package.line, trouble: Trouble::Missing("Version") });
        }
    }
    Ok(packages)
}

/// Reads one file of `/var/lib/dpkg/status.d`: the control files of packages in images made without dpkg ("distroless"), where
/// neither a `Status` field nor a final newline is expected.
///
/// # Errors
/// Where a stanza is broken or lacks its name or version.
pub fn parse_status_d(bytes: &[u8]) -> Result<Vec<Package<'_>>, DpkgError> {
    let packages = parse(bytes, false)?;
    match packages.iter().find(|package| package.version.is_none()) {
        Some(package) => Err(DpkgError { line: package.line, trouble: Trouble::Missing("Version") }),
        None => Ok(packages),
    }
}

/// A zero-based line count as a line number; files are far too small to reach the end of it.
fn number(before: usize) -> u32 {
    u32::try_from(before).unwrap_or(u32::MAX).saturating_add(1)
}

#[derive(Default)]
struct Stanza<'a> {
    first_line: u32,
    name: Option<&'a str>,
    status: Option<Status>,
    version: Option<&'a str>,
    architecture: Option<&'a str>,
    multi_arch: Option<&'a str>,
    source: Option<&'a str>,
    conffiles: Option<Vec<Conffile<'a>>>,
    described: bool,
}

fn parse(bytes: &[u8], strict_end: bool) -> Result<Vec<Package<'_>>, DpkgError> {
    let mut packages = Vec::new();
    let mut lines = Lines { rest: bytes, line: 0 };
    while let Some(mut stanza) = start(&mut lines) {
        loop {
            let field_line = lines.line.saturating_add(1);
            let Some(field) = field(&mut lines)? else {
                break;
            };
            stanza.take(&field, field_line)?;
        }
        let cut = strict_end && lines.rest.is_empty() && !stanza.described && !bytes.ends_with(b"\n\n");
        if cut {
            return Err(DpkgError { line: stanza.first_line, trouble: Trouble::CutStanza });
        }
        let first_line = stanza.first_line;
        let Some(name) = stanza.name else {
            return Err(DpkgError { line: first_line, trouble: Trouble::Missing("Package") });
        };
        if !is_name(name) {
            return Err(DpkgError { line: first_line, trouble: Trouble::Name(name.to_owned()) });
        }
        if packages.len() == MAX_PACKAGES {
            return Err(DpkgError { line: first_line, trouble: Trouble::TooMany });
        }
        packages.push(Package {
            line: first_line,
            name,
            status: stanza.status,
            version: stanza.version,
            architecture: stanza.architecture,
            multi_arch: stanza.multi_arch,
            source: stanza.source,
            conffiles: stanza.conffiles.unwrap_or_default(),
        });
    }
    Ok(packages)
}

/// What dpkg takes for a name (`pkg_name_is_illegal()` of `parsehelp.c`).
fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric();
    name.bytes().next().is_some_and(plain) && name.bytes().all(|byte| plain(byte) || b"-+._".contains(&byte))
}

/// Skips the empty lines before a stanza.
fn start<'a>(lines: &mut Lines<'a>) -> Option<Stanza<'a>> {
    while lines.peek()?.is_empty() {
        lines.next();
    }
    Some(Stanza { first_line: lines.line.saturating_add(1), ..Stanza::default() })
}

struct Lines<'a> {
    rest: &'a [u8],
    /// How many lines have been taken.
    line: u32,
}

impl<'a> Lines<'a> {
    fn peek(&self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let end = memchr::memchr(b'\n', self.rest).unwrap_or(self.rest.len());
        self.rest.get(..end)
    }

    fn next(&mut self) -> Option<&'a [u8]> {
        let line = self.peek()?;
        self.rest = self.rest.get(line.len() + 1..).unwrap_or_default();
        self.line = self.line.saturating_add(1);
        Some(line)
    }
}

/// A field's name and its value: everything up to the line that starts the next field, without the newline.
struct Field<'a> {
    name: &'a [u8],
    value: &'a [u8],
}

/// The next field of the stanza; `None` at an empty line or the end.
fn field<'a>(lines: &mut Lines<'a>) -> Result<Option<Field<'a>>, DpkgError> {
    let Some(first) = lines.peek().filter(|line| !line.is_empty()) else {
        return Ok(None);
    };
    let line = lines.line.saturating_add(1);
    let no_colon = DpkgError { line, trouble: Trouble::NoColon };
    let Some(colon) = memchr::memchr(b':', first) else {
        return Err(no_colon);
    };
    let name = first.get(..colon).unwrap_or_default().trim_ascii_end();
    if name.is_empty() || name.iter().any(u8::is_ascii_whitespace) {
        return Err(no_colon);
    }
    let all = lines.rest.get(colon + 1..).unwrap_or_default();
    let mut length = first.len() - colon - 1;
    lines.next();
    while let Some(next) = lines.peek().filter(|next| next.first().is_some_and(|b| matches!(b, b' ' | b'\t' | b'\r'))) {
        if next.trim_ascii().is_empty() {
            return Err(DpkgError { line: lines.line.saturating_add(1), trouble: Trouble::BlankLine });
        }
        length += 1 + next.len();
        lines.next();
    }
    Ok(Some(Field { name, value: all.get(..length).unwrap_or(all).trim_ascii() }))
}

impl<'a> Stanza<'a> {
    fn take(&mut self, field: &Field<'a>, line: u32) -> Result<(), DpkgError> {
        let at = |trouble| DpkgError { line, trouble };
        let known = ["Package", "Status", "Version", "Architecture", "Multi-Arch", "Source", "Conffiles", "Description"];
        let Some(name) = known.into_iter().find(|known| field.name.eq_ignore_ascii_case(known.as_bytes())) else {
            return Ok(());
        };
        if name == "Description" {
            self.described = true;
            return Ok(());
        }
        let text = std::str::from_utf8(field.value).map_err(|_| at(Trouble::NotText(name)))?;
        let twice = || at(Trouble::Twice(name.to_owned()));
        let slot = match name {
            "Status" => {
                let status = parse_words(text).ok_or_else(|| at(Trouble::Status(text.to_owned())))?;
                return if self.status.replace(status).is_some() { Err(twice()) } else { Ok(()) };
            }
            "Conffiles" => {
                let files = text.lines().filter(|l| !l.trim().is_empty()).map(conffile);
                let files: Result<Vec<_>, _> = files.collect();
                let files = files.map_err(at)?;
                return if self.conffiles.replace(files).is_some() { Err(twice()) } else { Ok(()) };
            }
            "Package" => &mut self.name,
            "Version" => &mut self.version,
            "Architecture" => &mut self.architecture,
            "Multi-Arch" => &mut self.multi_arch,
            _ => &mut self.source,
        };
        // dpkg takes an empty value of these as absent.
        let value = Some(text).filter(|text| !text.is_empty());
        if slot.is_some() {
            return Err(twice());
        }
        *slot = value;
        Ok(())
    }
}

fn parse_words(text: &str) -> Option<Status> {
    let mut words = text.split_ascii_whitespace();
    let want = match words.next()?.to_ascii_lowercase().as_str() {
        "unknown" => Want::Unknown,
        "install" => Want::Install,
        "hold" => Want::Hold,
        "deinstall" => Want::Deinstall,
        "purge" => Want::Purge,
        _ => return None,
    };
    let reinstall_required = match words.next()?.to_ascii_lowercase().as_str() {
        "ok" => false,
        "reinstreq" => true,
        _ => return None,
    };
    let word = words.next()?.to_ascii_lowercase();
    let state = [
        State::NotInstalled,
        State::ConfigFiles,
        State::HalfInstalled,
        State::Unpacked,
        State::HalfConfigured,
        State::TriggersAwaited,
        State::TriggersPending,
        State::Installed,
    ]
    .into_iter()
    .find(|state| state.word() == word)?;
    words.next().is_none().then_some(Status { want, reinstall_required, state })
}

/// `path digest [obsolete] [remove-on-upgrade]`; a path may hold blanks, so the words are taken off the end.
fn conffile(line: &str) -> Result<Conffile<'_>, Trouble> {
    let bad = || Trouble::Conffile(line.trim().to_owned());
    let mut rest = line.trim();
    let mut obsolete = false;
    loop {
        let (before, word) = rest.rsplit_once(' ').ok_or_else(bad)?;
        match word {
            "obsolete" => obsolete = true,
            "remove-on-upgrade" => {}
            digest if before.starts_with('/') => {
                return Ok(Conffile { path: before.trim_end(), digest, obsolete });
            }
            _ => return Err(bad()),
        }
        rest = before.trim_end();
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, clippy::print_stderr, reason = "a test asks the real program")]
mod tests;
