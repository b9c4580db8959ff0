//! The key files of a database, as `dconf update` and `dconf compile` take them (`dconf-compile.vala`).

use std::collections::BTreeMap;

use crate::facts::{Fact, Unreadable};
use crate::image::{ReadError, Rootfs};
use crate::path::{ImagePath, printable};
use crate::syntax::{gvdb, key_file};

/// A file, and its line where there is one.
pub(super) type Place = (ImagePath, Option<u32>);

/// What a folder of key files says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct KeyFiles {
    /// Settings by full key.
    pub settings: BTreeMap<String, Setting>,
    /// Locks by full key.
    pub locks: BTreeMap<String, Place>,
}

/// A setting of a key file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    /// The value as it stands there.
    pub raw: String,
    /// Where.
    pub place: Place,
}

impl Setting {
    /// As a compiled value of the same meaning is shown: without the quotes of a string.
    pub(super) fn shown(&self) -> String {
        text(&self.raw).unwrap_or_else(|| self.raw.clone())
    }

    /// Whether a compiled value is this one; of arrays and the like only the kind can be told.
    pub(super) fn means(&self, value: &gvdb::Value) -> bool {
        match &value.text {
            Some(compiled) => self.shown() == *compiled || plain(&self.raw) == Some(plain_number(compiled)),
            None => text(&self.raw).is_none() && !["true", "false"].contains(&self.raw.as_str()),
        }
    }
}

/// The number behind a type's word: `uint32 900`.
fn plain_number(text: &str) -> &str {
    text.split_once(' ').filter(|(_, rest)| rest.parse::<i128>().is_ok()).map_or(text, |(_, rest)| rest)
}

/// The same of a value as it was written, where it says its type.
fn plain(raw: &str) -> Option<&str> {
    let (kind, rest) = raw.split_once(char::is_whitespace)?;
    ["int32", "handle", "@i", "@b", "boolean"].contains(&kind).then(|| rest.trim())
}

/// The content of a string literal of `GVariant`'s text format.
fn text(raw: &str) -> Option<String> {
    let quote = raw.chars().next().filter(|quote| ['\'', '"'].contains(quote))?;
    let mut inner = raw.strip_prefix(quote)?.chars();
    let mut found = String::new();
    loop {
        match inner.next()? {
            '\\' => found.push(match inner.next()? {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                'a' => '\u{7}',
                'b' => '\u{8}',
                'f' => '\u{c}',
                'v' => '\u{b}',
                'u' => hexadecimal(&mut inner, 4)?,
                'U' => hexadecimal(&mut inner, 8)?,
                other => other,
            }),
            end if end == quote => break,
            other => found.push(other),
        }
    }
    inner.next().is_none().then_some(found)
}

fn hexadecimal(from: &mut std::str::Chars<'_>, digits: usize) -> Option<char> {
    let code = (0..digits).try_fold(0_u32, |code, _| Some(code.checked_mul(16)? + from.next()?.to_digit(16)?))?;
    char::from_u32(code)
}

/// Reads a folder. Files count whatever their name; of two that set the same key, the one whose name comes later (by bytes).
pub(super) fn key_files(root: Rootfs<'_>, folder: &ImagePath) -> Fact<KeyFiles> {
    let mut found = KeyFiles::default();
    for (path, content) in files(root, folder)? {
        let settings = key_file::parse(&content)
            .map_err(|refused| Unreadable::at_line(&path, refused.line, format!("{refused}, so dconf update fails")))?;
        for setting in settings {
            if setting.group.starts_with('/') || setting.group.ends_with('/') || setting.group.contains("//") {
                return Err(Unreadable::at_line(&path, setting.line, "no group of dconf, so dconf update fails"));
            }
            let place = (path.clone(), Some(setting.line));
            found.settings.insert(format!("/{}/{}", setting.group, setting.key), Setting { raw: setting.value, place });
        }
    }
    for (path, content) in files(root, &folder.join("locks"))? {
        for (line, text) in (1..).zip(content.split(|&byte| byte == b'\n')) {
            if text.starts_with(b"/") {
                found.locks.entry(printable(text)).or_insert((path.clone(), Some(line)));
            }
        }
    }
    Ok(found)
}

/// The files of a folder in order; other things in it do not count.
fn files(root: Rootfs<'_>, folder: &ImagePath) -> Fact<Vec<(ImagePath, Vec<u8>)>> {
    let names = match root.read_dir(folder) {
        Ok(names) => names,
        Err(error) if error.is_absent() => return Ok(Vec::new()),
        Err(error) => return Err(Unreadable::reading(folder, &error)),
    };
    let mut found = Vec::new();
    for path in names.iter().map(|name| folder.join(name)) {
        match root.read(&path) {
            Ok(content) => found.push((path, content)),
            Err(ReadError::Kind { .. }) => {}
            Err(error) if error.is_absent() => {}
            Err(error) => return Err(Unreadable::reading(&path, &error)),
        }
    }
    Ok(found)
}
