//! Secrets in files: of what kind they are and on which line they stand. What they are never leaves these parsers.

pub mod environment;
pub mod key;
pub mod login;
pub mod magic;

/// Something secret that was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// The line, from 1; nothing for a file that is no text.
    pub line: Option<u32>,
    /// What it is, in words that are safe to show: nothing of a value is in them.
    pub what: String,
}

impl Found {
    fn new(line: u32, what: impl Into<String>) -> Self {
        Self { line: Some(line), what: what.into() }
    }

    fn whole(what: impl Into<String>) -> Self {
        Self { line: None, what: what.into() }
    }
}

/// More in one file tell nothing new: the rest is left out.
pub const MAX_FOUND: usize = 100;

/// The number of the line, from 1, in which an offset lies.
fn line_at(content: &[u8], offset: usize) -> u32 {
    let before = content.get(..offset).unwrap_or(content);
    u32::try_from(memchr::memchr_iter(b'\n', before).count()).map_or(u32::MAX, |lines| lines.saturating_add(1))
}

/// Lines with their numbers, without carriage returns and blanks at their ends.
fn lines(content: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    (1..).zip(content.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii))
}

/// Words that are no values.
const WORDS: [&[u8]; 14] = [
    b"true",
    b"false",
    b"yes",
    b"no",
    b"on",
    b"off",
    b"none",
    b"null",
    b"nil",
    b"undefined",
    b"password",
    b"secret",
    b"token",
    b"default",
];
/// What a program puts in (`$X`, `%s`, `{{x}}`, `<x>`), and what people write to say that something is missing.
const PARTS: [&[u8]; 15] = [
    b"$",
    b"`",
    b"{{",
    b"}}",
    b"%(",
    b"%s",
    b"example",
    b"changeme",
    b"change_me",
    b"change-me",
    b"placeholder",
    b"replace",
    b"redacted",
    b"dummy",
    b"your",
];
/// Paths, and references to where a value is.
const STARTS: [&[u8]; 10] = [b"<", b"/", b"./", b"~", b"@", b"arn:", b"op://", b"vault:", b"enc[", b"file:"];

/// Whether a value stands for one that is put in later, or for none at all.
#[must_use]
pub fn is_placeholder(value: &[u8]) -> bool {
    let value = value.trim_ascii();
    let lower = value.to_ascii_lowercase();
    let word = |word: &&[u8]| lower == **word;
    let part = |part: &&[u8]| memchr::memmem::find(&lower, part).is_some();
    value.len() < 4
        || value.iter().all(|byte| Some(byte) == value.first())
        || value.iter().all(u8::is_ascii_digit) && value.len() < 6
        || WORDS.iter().any(word)
        || STARTS.iter().any(|start| lower.starts_with(start))
        || PARTS.iter().any(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_later_is_no_secret() {
        for value in
            ["", "x", "${TOKEN}", "$1", "<your token>", "changeme", "********", "true", "/run/secrets/db", "AKIAIOSFODNN7EXAMPLE"]
        {
            assert!(is_placeholder(value.as_bytes()), "{value}");
        }
        for value in ["hunter2", "s3cr3t-value", "0123456789", "correct horse"] {
            assert!(!is_placeholder(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn lines_are_counted_from_one() {
        assert_eq!((line_at(b"a\nb", 0), line_at(b"a\nb", 2), line_at(b"a", 9)), (1, 2, 1));
    }
}
