//! A path inside an image: absolute, raw bytes, never the host's.
#![allow(clippy::indexing_slicing, reason = "every index comes from a search in the same bytes")]

use std::borrow::Cow;
use std::fmt;

use serde::{Serialize, Serializer};

/// An absolute path inside an image, as raw bytes.
///
/// The bytes are normalised: exactly one `/` between components, no `.`, no `..`, no trailing slash.
/// A value says nothing about whether the path exists, and no link in it has been followed:
/// [`Rootfs`](crate::image::Rootfs) does that.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImagePath(Box<[u8]>);

impl ImagePath {
    /// The root of the image, `/`.
    #[must_use]
    pub fn root() -> Self {
        Self(Box::from(&b"/"[..]))
    }

    /// Reads a path as people write it; a relative one starts at the root.
    ///
    /// `..` is taken lexically, so this is for paths from rules and command lines. Targets of links go through
    /// [`Rootfs`](crate::image::Rootfs), which knows where `..` really leads.
    #[must_use]
    pub fn new(path: impl AsRef<[u8]>) -> Self {
        let mut out = Vec::with_capacity(path.as_ref().len() + 1);
        for part in path.as_ref().split(|&byte| byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => out.truncate(out.iter().rposition(|&byte| byte == b'/').unwrap_or(0)),
                name => {
                    out.push(b'/');
                    out.extend_from_slice(name);
                }
            }
        }
        if out.is_empty() {
            out.push(b'/');
        }
        Self(out.into_boxed_slice())
    }

    /// This path with one more component.
    #[must_use]
    pub fn join(&self, name: impl AsRef<[u8]>) -> Self {
        let name = name.as_ref();
        let base: &[u8] = if self.is_root() { b"" } else { &self.0 };
        let mut out = Vec::with_capacity(base.len() + 1 + name.len());
        out.extend_from_slice(base);
        out.push(b'/');
        out.extend_from_slice(name);
        Self(out.into_boxed_slice())
    }

    /// The path as bytes, `/` first.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is `/`.
    #[must_use]
    pub fn is_root(&self) -> bool {
        &*self.0 == b"/"
    }

    /// Everything but the last component; nothing for `/`.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        match self.0.iter().rposition(|&byte| byte == b'/') {
            Some(0) | None => Some(Self::root()),
            Some(cut) => Some(Self(Box::from(&self.0[..cut]))),
        }
    }

    /// The last component; empty for `/`.
    #[must_use]
    pub fn file_name(&self) -> &[u8] {
        self.0.rsplit(|&byte| byte == b'/').next().unwrap_or_default()
    }

    /// The components, from the root down.
    pub fn components(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|&byte| byte == b'/').filter(|part| !part.is_empty())
    }

    /// Whether this path is `base` or lies below it.
    #[must_use]
    pub fn is_within(&self, base: &Self) -> bool {
        base.is_root() || (self.0.starts_with(&base.0) && matches!(self.0.get(base.0.len()), None | Some(&b'/')))
    }
}

impl fmt::Display for ImagePath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&printable(&self.0))
    }
}

impl fmt::Debug for ImagePath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl From<&str> for ImagePath {
    fn from(path: &str) -> Self {
        Self::new(path)
    }
}

impl Serialize for ImagePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Text from an image, made safe to show anywhere.
///
/// Control characters, invisible and direction-changing characters and bytes that are not UTF-8 are written as escapes, and a
/// backslash is doubled, so that two different inputs never look the same and no terminal, page or log is steered by a file name.
#[must_use]
pub fn printable(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\t' => out.push_str("\\t"),
                '\r' => out.push_str("\\r"),
                unsafe_one if is_unsafe(unsafe_one) => {
                    let _ = write!(out, "\\u{{{:x}}}", u32::from(unsafe_one));
                }
                plain => out.push(plain),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// The bytes that [`printable`] made this text of.
#[must_use]
pub fn unprintable(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at + 1..];
        let simple = [("\\", b'\\'), ("n", b'\n'), ("t", b'\t'), ("r", b'\r')];
        if let Some((letter, byte)) = simple.iter().find(|(letter, _)| rest.starts_with(letter)) {
            out.push(*byte);
            rest = &rest[letter.len()..];
        } else if let Some(byte) = rest.strip_prefix('x').and_then(|hex| u8::from_str_radix(hex.get(..2)?, 16).ok()) {
            out.push(byte);
            rest = &rest[3..];
        } else if let Some((character, end)) = braced(rest) {
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            rest = &rest[end..];
        } else {
            out.push(b'\\');
        }
    }
    out.extend_from_slice(rest.as_bytes());
    out
}

/// The character that `u{…}` stands for, and where the text after it begins.
fn braced(text: &str) -> Option<(char, usize)> {
    let hex = text.strip_prefix("u{")?;
    let end = hex.find('}')?;
    Some((char::from_u32(u32::from_str_radix(hex.get(..end)?, 16).ok()?)?, end + 3))
}

/// Text that should be safe to show already, made so in any case: only what is unsafe is escaped, line breaks among it. For text
/// that comes from elsewhere than this run, such as a saved scan or somebody's rules.
#[must_use]
pub fn shown(text: &str) -> Cow<'_, str> {
    use std::fmt::Write as _;
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            unsafe_one if is_unsafe(unsafe_one) => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(unsafe_one));
            }
            plain => out.push(plain),
        }
    }
    Cow::Owned(out)
}

/// Control, zero-width, bidirectional and line-separating characters (Unicode TR 36, section 3).
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_normalised() {
        assert_eq!(ImagePath::new("etc//ssh/./sshd_config/").as_bytes(), b"/etc/ssh/sshd_config");
        assert_eq!(ImagePath::new("/a/b/../c").as_bytes(), b"/a/c");
        assert_eq!(ImagePath::new("/../..").as_bytes(), b"/");
        assert_eq!(ImagePath::new("").as_bytes(), b"/");
    }

    #[test]
    fn a_sibling_with_the_same_beginning_is_not_within() {
        assert!(ImagePath::new("/var/log").is_within(&ImagePath::new("/var")));
        assert!(!ImagePath::new("/variant").is_within(&ImagePath::new("/var")));
        assert!(ImagePath::new("/x").is_within(&ImagePath::root()));
    }

    #[test]
    fn a_hostile_name_cannot_steer_a_terminal() {
        assert_eq!(printable(b"a\x1b[31m\n\xff\xe2\x80\xae\\"), "a\\u{1b}[31m\\n\\xff\\u{202e}\\\\");
    }

    proptest::proptest! {
        #[test]
        fn what_is_printed_says_exactly_what_was_there(bytes: Vec<u8>, text: String) {
            proptest::prop_assert_eq!(unprintable(&printable(&bytes)), bytes);
            proptest::prop_assert_eq!(unprintable(&printable(text.as_bytes())), text.as_bytes());
            let _ = unprintable(&text);
        }
    }

    #[test]
    fn what_is_safe_already_stays_as_it_is() {
        let safe = printable(b"a\x1b\n\xff\\");
        assert_eq!(shown(&safe), safe);
        assert_eq!(shown("a\u{1b}\nb"), "a\\u{1b}\\nb");
    }

    #[test]
    fn parent_and_name_of_the_root() {
        assert_eq!(ImagePath::root().parent(), None);
        assert_eq!(ImagePath::new("/a").parent(), Some(ImagePath::root()));
        assert_eq!(ImagePath::new("/a/b").file_name(), b"b");
    }
}
