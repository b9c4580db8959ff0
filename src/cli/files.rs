//! The files people wrote: read with an error that names them, mistakes shown all at once.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::FileType;
use std::io::Read as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};

use crate::document::{Document, Mistake};
use crate::rule::{Rule, read_pack};

/// Every mistake of the files of one call.
#[derive(Debug)]
pub(super) struct Mistakes(pub(super) Vec<Mistake>);

impl fmt::Display for Mistakes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, mistake) in self.0.iter().enumerate() {
            let separator = if number == 0 { "" } else { "\nerror: " };
            write!(out, "{separator}{mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

/// Bytes of one file that people write; theirs have some hundred kilobytes.
const MAX_WRITTEN: u64 = 16 << 20;

/// Bytes of a saved scan, which holds the evidence of every control.
const MAX_SCAN: u64 = 256 << 20;

/// The text of a file that somebody wrote.
pub(super) fn read(path: &Path) -> anyhow::Result<String> {
    read_within(path, MAX_WRITTEN)
}

/// The text of a saved scan.
pub(super) fn read_scan(path: &Path) -> anyhow::Result<String> {
    read_within(path, MAX_SCAN)
}

/// Only a regular file is opened: a pipe may never say anything, and a device may never end.
fn read_within(path: &Path, limit: u64) -> anyhow::Result<String> {
    let cannot = || format!("cannot read {}", path.display());
    let found = std::fs::metadata(path).with_context(cannot)?;
    if !found.is_file() {
        bail!("cannot read {}: it is {}, not a file", path.display(), what_is(found.file_type()));
    }
    let too_large = || anyhow::anyhow!("cannot read {}: it is larger than {} MiB", path.display(), limit >> 20);
    if found.len() > limit {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes)).with_context(cannot)?;
    if bytes.len() as u64 > limit {
        return Err(too_large());
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(error) => {
            let before = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
            let line = before.filter(|&&byte| byte == b'\n').count() + 1;
            bail!("{}:{line}: this line is not UTF-8, so the file is not TOML", path.display())
        }
    }
}

fn what_is(kind: FileType) -> &'static str {
    if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

/// The name and the text of a benchmark that the one in `file` extends: a path that is relative to that file's folder.
pub(super) fn beside(file: &str, named: &str) -> Result<(String, String), String> {
    let path = Path::new(file).parent().map_or_else(|| PathBuf::from(named), |folder| folder.join(named));
    // `./` says nothing, and a circle is noticed by a name that comes again.
    let path: PathBuf = path.components().filter(|part| *part != Component::CurDir).collect();
    match read(&path) {
        Ok(text) => Ok((path.display().to_string(), text)),
        Err(error) => Err(format!("{error:#}")),
    }
}

/// What a TOML file is by its tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `[[rule]]`, or nothing that is known: the errors of a rule pack then say what is.
    Rules,
    /// `[[control]]`, or `extends`.
    Benchmark,
    /// A policy or waivers, which stand beside rules and are not the business of a pack.
    Other,
}

/// One TOML file of a pack.
pub(super) struct PackFile {
    pub(super) path: PathBuf,
    pub(super) text: String,
    pub(super) kind: Kind,
}

impl PackFile {
    /// The path as its user would type it.
    pub(super) fn name(&self) -> String {
        self.path.display().to_string()
    }
}

/// Every `*.toml` file at or below these paths, sorted. A file that is named itself is taken whatever its name.
pub(super) fn pack_files(paths: &[PathBuf]) -> anyhow::Result<Vec<PackFile>> {
    let mut found = Vec::new();
    for path in paths {
        let before = found.len();
        for entry in walkdir::WalkDir::new(path).follow_links(true).sort_by_file_name() {
            let entry = entry.map_err(|error| no_loop(path, &error))?;
            let toml = entry.path().extension().is_some_and(|ending| ending == "toml");
            if entry.file_type().is_file() && (toml || entry.depth() == 0) {
                let (path, text) = (entry.path().to_owned(), read(entry.path())?);
                let kind = if entry.depth() == 0 { Kind::Rules } else { Kind::Other };
                found.push(PackFile { kind: kind_of(&text, kind), path, text });
            }
        }
        if found.len() == before {
            bail!("there is no *.toml file in {}", path.display());
        }
    }
    Ok(found)
}

fn no_loop(path: &Path, error: &walkdir::Error) -> anyhow::Error {
    let place = error.path().unwrap_or(path).display();
    match error.io_error() {
        Some(io) => anyhow::anyhow!("cannot read {place}: {io}"),
        None => anyhow::anyhow!("cannot read {place}: its links go in a circle"),
    }
}

/// By its tables; `otherwise` if it has none that are known. A file that is no TOML is taken for rules, so that its mistake is told.
fn kind_of(text: &str, otherwise: Kind) -> Kind {
    let Ok(document) = Document::parse("", text) else { return Kind::Rules };
    let tables = document.table(&[]);
    if tables.contains_key("rule") {
        Kind::Rules
    } else if tables.contains_key("control") || tables.contains_key("extends") {
        Kind::Benchmark
    } else if tables.is_empty() || tables.contains_key("policy") || tables.contains_key("waiver") {
        otherwise
    } else {
        Kind::Rules
    }
}

/// The rules of a pack, by id, each with the file it is from.
pub(super) fn read_rules(files: &[PackFile]) -> Result<BTreeMap<String, (Arc<Rule>, String)>, Mistakes> {
    let mut rules: BTreeMap<String, (Arc<Rule>, String)> = BTreeMap::new();
    let mut mistakes = Vec::new();
    for file in files.iter().filter(|file| file.kind == Kind::Rules) {
        match read_pack(&file.name(), &file.text) {
            Err(found) => mistakes.extend(found),
            Ok(pack) => {
                for (index, rule) in pack.into_iter().enumerate() {
                    if let Some((_, other)) = rules.get(&rule.id) {
                        mistakes.push(taken(file, index, &rule.id, other));
                        continue;
                    }
                    rules.insert(rule.id.clone(), (rule, file.name()));
                }
            }
        }
    }
    if mistakes.is_empty() { Ok(rules) } else { Err(Mistakes(mistakes)) }
}

fn taken(file: &PackFile, index: usize, id: &str, other: &str) -> Mistake {
    let message = format!("the id '{id}' is taken already, in {other}");
    match Document::parse(&file.name(), &file.text) {
        Ok(document) => document.mistake(&["rule".into(), index.into(), "id".into()], message, None),
        Err(mistake) => mistake,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_regular_file_of_a_bounded_size_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let (fifo, file) = (folder.path().join("fifo"), folder.path().join("file"));
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        std::fs::write(&file, "12345").unwrap();
        let said = |path: &Path, limit| format!("{:#}", read_within(path, limit).unwrap_err());
        assert!(said(&fifo, 9).ends_with("it is a pipe, not a file"));
        assert!(said(Path::new("/dev/zero"), 9).ends_with("it is a device, not a file"));
        assert!(said(folder.path(), 9).ends_with("it is a directory, not a file"));
        assert!(said(&folder.path().join("none"), 9).starts_with("cannot read"));
        assert!(said(&file, 4).contains("larger than"));
        assert_eq!(read_within(&file, 5).unwrap(), "12345");
        assert!(beside(&file.display().to_string(), "fifo").unwrap_err().ends_with("it is a pipe, not a file"));
    }
}
