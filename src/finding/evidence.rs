//! What was seen, and where.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::bytes::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::path::{ImagePath, printable};

/// One thing seen in the image: where, what was found, what was expected, and why it counts.
///
/// All text is already made safe to show (see [`printable`]). Secret values never come in here: their kind and place do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// Path inside the image, escaped.
    pub path: String,
    /// Line in the file, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Column in the line, in characters from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// What is there.
    pub found: String,
    /// What should be there; empty where the finding only records what is.
    pub expected: String,
    /// Why the system behaves so: who wins over whom, which default decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
}

impl Evidence {
    /// More bytes than this are not shown of a text: it is to be read by people, and a hostile line has a million of them.
    pub const MAX_TEXT: usize = 4_000;

    /// Something about a whole path.
    #[must_use]
    pub fn at(path: &ImagePath) -> Self {
        Self { path: path.to_string(), line: None, column: None, found: String::new(), expected: String::new(), because: None }
    }

    /// In this line.
    #[must_use]
    pub fn line(mut self, line: u32) -> Self {
        self.line = Some(line);
        self
    }

    /// In this line, if it is known.
    #[must_use]
    pub fn line_opt(mut self, line: Option<u32>) -> Self {
        self.line = line;
        self
    }

    /// At this column of the line.
    #[must_use]
    pub fn column(mut self, column: u32) -> Self {
        self.column = Some(column);
        self
    }

    /// What was found; bytes of an image are escaped, and what looks like a secret is left out (see [`without_secrets`]).
    #[must_use]
    pub fn found(mut self, found: impl AsRef<[u8]>) -> Self {
        // Cut before it is looked through, but with so much more that a secret at the end is still known for one.
        let found = found.as_ref();
        self.found = cut(printable(&without_secrets(found.get(..2 * Self::MAX_TEXT).unwrap_or(found))));
        self
    }

    /// What is expected instead.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = cut(expected.into());
        self
    }

    /// Why the system behaves so. Text of an image has to be escaped by the caller.
    #[must_use]
    pub fn because(mut self, because: impl Into<String>) -> Self {
        self.because = Some(cut(because.into()));
        self
    }

    /// The place as `path:line:column`, as far as it is known.
    #[must_use]
    pub fn place(&self) -> String {
        match (self.line, self.column) {
            (Some(line), Some(column)) => format!("{}:{line}:{column}", self.path),
            (Some(line), None) => format!("{}:{line}", self.path),
            _ => self.path.clone(),
        }
    }
}

/// The text, or its beginning and a sign that there was more.
fn cut(mut text: String) -> String {
    if text.len() > Evidence::MAX_TEXT {
        let end = (0..=Evidence::MAX_TEXT).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
        text.shrink_to_fit();
    }
    text
}

/// What stands for a secret that is not shown.
const HIDDEN: &str = "(not shown)";

/// The text without values that are secrets by the word before them (`password=…` among the options of a mount, `TOKEN=…` in an
/// environment) or by their form: a password in a URL, a hash of `crypt(5)`. A last line of defence: facts and checks keep no secrets.
fn without_secrets(text: &[u8]) -> Cow<'_, [u8]> {
    static SECRET: LazyLock<Option<Regex>> = LazyLock::new(|| {
        let word = r"(?:password|passwd|passphrase|pass|pwd|secret|token|credential|api_?key|access_?key|secret_?key)";
        let (value, url) = (r#"[^\s,;"']+"#, r"(://[^/\s:@]*:)[^/\s@]+@");
        let hash = r"\$[0-9a-z]{1,8}\$[./0-9A-Za-z$=,+]{8,}";
        Regex::new(&format!(r"(?i-u)([\w-]*{word}=){value}|{url}|{hash}")).ok()
    });
    let Some(secret) = &*SECRET else { return HIDDEN.as_bytes().into() };
    secret.replace_all(text, |found: &regex::bytes::Captures<'_>| {
        let (word, url) = (found.get(1), found.get(2));
        let before = word.or(url).map(|before| before.as_bytes()).unwrap_or_default();
        [before, HIDDEN.as_bytes(), if url.is_some() { b"@" } else { b"" }].concat()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        Evidence::at(&ImagePath::root()).found(text).found
    }

    #[test]
    fn values_of_secrets_are_not_shown() {
        assert_eq!(shown("user=a,password=S3,rw"), "user=a,password=(not shown),rw");
        assert_eq!(shown("AWS_SECRET_ACCESS_KEY=S3 x"), "AWS_SECRET_ACCESS_KEY=(not shown) x");
        assert_eq!(shown("https://me:S3@host/x"), "https://me:(not shown)@host/x");
        assert_eq!(shown("root $6$salt$S3cretS3cret x"), "root (not shown) x");
    }

    #[test]
    fn of_a_very_long_text_the_beginning_is_shown() {
        let long = shown(&"ä".repeat(1 << 20));
        assert!(long.len() < Evidence::MAX_TEXT + 4 && long.starts_with("ää") && long.ends_with("ä…"), "{}", long.len());
        let at_the_end = format!("{} https://me:S3@host", "x".repeat(Evidence::MAX_TEXT - 16));
        assert!(!shown(&at_the_end).contains("S3"));
    }

    #[test]
    fn what_only_looks_like_one_is_shown() {
        for text in ["PasswordAuthentication=yes", "a: NOPASSWD: /bin/x", "try_first_pass", "http://host:80/x", "$HOME/.netrc"] {
            assert_eq!(shown(text), text);
        }
    }
}
