//! `os-release(5)`: shell-like assignments without expansion.

use nom::Parser as _;
use nom::branch::alt;
use nom::bytes::complete::{is_not, tag, take, take_while1};
use nom::combinator::{recognize, value};
use nom::multi::fold_many0;
use nom::sequence::{delimited, preceded, separated_pair};

/// `KEY=value` on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment<'a> {
    /// Line, from 1.
    pub line: u32,
    /// The name.
    pub key: &'a [u8],
    /// The value, unquoted.
    pub value: Vec<u8>,
}

/// All assignments, in order; the last of a name wins. Lines that are none are passed over, as systemd does.
#[must_use]
pub fn parse(content: &[u8]) -> Vec<Assignment<'_>> {
    let mut found = Vec::new();
    for (number, line) in (1..).zip(content.split(|&byte| byte == b'\n')) {
        let key = take_while1::<_, _, nom::error::Error<&[u8]>>(|byte: u8| byte.is_ascii_alphanumeric() || byte == b'_');
        if let Ok((_, (key, value))) = separated_pair(key, tag("="), shell_word).parse(line.trim_ascii()) {
            found.push(Assignment { line: number, key, value });
        }
    }
    found
}

/// Quoted and unquoted pieces, joined.
fn shell_word(input: &[u8]) -> nom::IResult<&[u8], Vec<u8>> {
    let escaped = || preceded(tag("\\"), take(1_usize));
    let double = delimited(
        tag("\""),
        fold_many0(alt((escaped(), is_not("\"\\"))), Vec::new, |mut all: Vec<u8>, piece: &[u8]| {
            all.extend_from_slice(piece);
            all
        }),
        tag("\""),
    );
    let single = delimited(tag("'"), recognize(nom::multi::many0_count(is_not("'"))), tag("'"));
    let empty_single = value(&b""[..], tag("''"));
    let plain = alt((escaped(), is_not(" \t\"'\\")));
    let piece = alt((double, alt((empty_single, single, plain)).map(<[u8]>::to_vec)));
    fold_many0(piece, Vec::new, |mut all, piece| {
        all.extend(piece);
        all
    })
    .parse(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(line: &str) -> Vec<u8> {
        parse(line.as_bytes()).remove(0).value
    }

    #[test]
    fn values_are_unquoted_as_a_shell_would() {
        assert_eq!(value("A=plain"), b"plain");
        assert_eq!(value("A=\"Amazon Linux\""), b"Amazon Linux");
        assert_eq!(value("A='single $x'"), b"single $x");
        assert_eq!(value("A=''"), b"");
        assert_eq!(value("A="), b"");
        assert_eq!(value("A=\"a \\\"quoted\\\" word\""), b"a \"quoted\" word");
    }

    #[test]
    fn comments_and_nonsense_are_passed_over() {
        assert_eq!(parse(b"# A=1\n\nnonsense\nB=2\n"), [Assignment { line: 4, key: b"B", value: b"2".to_vec() }]);
    }
}
