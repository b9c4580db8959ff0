//! The language of LVM's metadata (`lvm.conf(5)`, "Configuration file format"): settings and sections, as a tree.

use nom::Parser as _;
use nom::branch::alt;
use nom::bytes::complete::{is_not, tag, take_while, take_while1};
use nom::character::complete::char;
use nom::combinator::{map, map_opt, opt, recognize, value};
use nom::multi::{many0_count, separated_list0};
use nom::sequence::{delimited, pair, preceded, terminated};
use nom::{IResult, error::Error};

/// Sections in sections: a real text has three of them.
const DEEPEST: usize = 8;
/// Settings and sections of a text: what thousands of volumes need.
const MOST: usize = 100_000;

/// What a name stands for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Number(i64),
    Text(Vec<u8>),
    List(Vec<Value>),
    Section(Section),
}

/// Settings and sections, in the text's order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Section(pub(super) Vec<(Vec<u8>, Value)>);

impl Section {
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(other, _)| other == name.as_bytes()).map(|(_, value)| value)
    }

    pub(super) fn section(&self, name: &str) -> Option<&Self> {
        match self.get(name)? {
            Value::Section(section) => Some(section),
            _ => None,
        }
    }

    /// The sections in it, with their names.
    pub(super) fn sections(&self) -> impl Iterator<Item = (&[u8], &Self)> {
        self.0.iter().filter_map(|(name, value)| match value {
            Value::Section(section) => Some((&**name, section)),
            _ => None,
        })
    }

    pub(super) fn text(&self, name: &str) -> Option<&[u8]> {
        match self.get(name)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        match self.get(name)? {
            Value::Number(number) => u64::try_from(*number).ok(),
            _ => None,
        }
    }

    pub(super) fn list(&self, name: &str) -> &[Value] {
        match self.get(name) {
            Some(Value::List(list)) => list,
            _ => &[],
        }
    }
}

type Parsed<'t, T> = IResult<&'t [u8], T, Error<&'t [u8]>>;

/// Reads a text, or says at which line it is not understood.
pub(super) fn read(text: &[u8]) -> Result<Section, String> {
    // LVM ends it with a zero byte.
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    let mut left = MOST;
    let line = |rest: &[u8]| memchr::memchr_iter(b'\n', text.get(..text.len() - rest.len()).unwrap_or_default()).count() + 1;
    match section(text, 0, &mut left) {
        Ok((b"", section)) => Ok(section),
        Ok((rest, _)) => Err(format!("line {} is not understood", line(rest))),
        Err(nom::Err::Error(error) | nom::Err::Failure(error)) => Err(format!("line {} is not understood", line(error.input))),
        Err(nom::Err::Incomplete(_)) => Err("it is cut off".to_owned()),
    }
}

/// Settings and sections up to what is neither.
fn section<'t>(text: &'t [u8], depth: usize, left: &mut usize) -> Parsed<'t, Section> {
    let (mut text, ()) = blank(text)?;
    let mut found = Vec::new();
    while let (rest, Some(name)) = opt(terminated(word, blank)).parse(text)? {
        let failed = || nom::Err::Failure(Error::new(text, nom::error::ErrorKind::TooLarge));
        *left = left.checked_sub(1).ok_or_else(failed)?;
        let (rest, value) = if rest.starts_with(b"{") {
            if depth >= DEEPEST {
                return Err(failed());
            }
            let (rest, inner) = section(rest.get(1..).unwrap_or_default(), depth + 1, left)?;
            let (rest, _) = char('}').parse(rest)?;
            (rest, Value::Section(inner))
        } else {
            preceded((char('='), blank), alt((scalar, list))).parse(rest)?
        };
        found.push((name.to_vec(), value));
        (text, ()) = blank(rest)?;
    }
    Ok((text, Section(found)))
}

fn word(text: &[u8]) -> Parsed<'_, &[u8]> {
    take_while1(|byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+' | b'.' | b'/' | b':'))(text)
}

/// Blanks and comments.
fn blank(text: &[u8]) -> Parsed<'_, ()> {
    let comment = value((), pair(char('#'), take_while(|byte| byte != b'\n')));
    value((), many0_count(alt((value((), take_while1(|byte: u8| byte.is_ascii_whitespace())), comment)))).parse(text)
}

fn scalar(text: &[u8]) -> Parsed<'_, Value> {
    let digits = recognize(pair(opt(char('-')), take_while1(|byte: u8| byte.is_ascii_digit() || byte == b'.')));
    // A number with a fraction is nothing that describes a volume.
    let number = map_opt(digits, |digits: &[u8]| {
        let whole = digits.split(|&byte| byte == b'.').next()?;
        str::from_utf8(whole).ok()?.parse().ok().map(Value::Number)
    });
    alt((map(string, Value::Text), number)).parse(text)
}

/// Text in quotes, in which a backslash makes a quote or itself plain.
fn string(text: &[u8]) -> Parsed<'_, Vec<u8>> {
    let (mut rest, _) = char('"').parse(text)?;
    let mut out = Vec::new();
    loop {
        let plain: (&[u8], Option<&[u8]>) = opt(is_not("\"\\")).parse(rest)?;
        out.extend_from_slice(plain.1.unwrap_or_default());
        let escaped: (&[u8], Option<&[u8]>) = opt(preceded(char('\\'), alt((tag("\""), tag("\\"))))).parse(plain.0)?;
        match escaped {
            (after, Some(byte)) => {
                out.extend_from_slice(byte);
                rest = after;
            }
            (after, None) => return map(char('"'), |_| ()).parse(after).map(|(rest, ())| (rest, out)),
        }
    }
}

fn list(text: &[u8]) -> Parsed<'_, Value> {
    let between = delimited(blank, char(','), blank);
    let items = separated_list0(between, scalar);
    map(delimited((char('['), blank), items, (blank, char(']'))), Value::List).parse(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_sections_lists_and_comments_are_read() {
        let text = b"a = 1 # one\nb {\n\tc = \"x \\\"y\\\\\"\n\td = [\"e\", -2,\n 3]\n e = []\n f { }\n}\n\0rest";
        let read = read(text).unwrap();
        assert_eq!(read.number("a"), Some(1));
        let b = read.section("b").unwrap();
        assert_eq!(b.text("c"), Some(&b"x \"y\\"[..]));
        assert_eq!(b.list("d"), [Value::Text(b"e".to_vec()), Value::Number(-2), Value::Number(3)]);
        assert_eq!((b.list("e").len(), b.sections().count()), (0, 1));
    }

    #[test]
    fn what_is_not_understood_is_told_by_its_line() {
        assert_eq!(read(b"a = 1\nb = = 2").unwrap_err(), "line 2 is not understood");
        assert_eq!(read(b"a {\n b = 1\n").unwrap_err(), "line 3 is not understood");
        assert_eq!(read(b"a = 99999999999999999999").unwrap_err(), "line 1 is not understood");
        assert!(read(b"a = \"open").is_err());
    }

    #[test]
    fn sections_in_sections_without_end_are_refused() {
        assert!(read("a {".repeat(100_000).as_bytes()).is_err());
        assert!(read(&b"a = [".repeat(100_000)).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_much(text in "[ab ={}\\[\\],\"#\n\\\\0-9]{0,200}") {
            let _ = read(text.as_bytes());
        }
    }
}
