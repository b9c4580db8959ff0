//! `sshd_config(5)` as OpenSSH's server reads it: lines, a keyword, its arguments.
//!
//! Modelled on `load_server_config` and `process_server_config_line_depth` of `servconf.c` and on `strdelim` and `argv_split` of
//! `misc.c`. Arguments are split in two ways: since 8.7 as a shell would (`argv_split`: single and double quotes, escapes, comments
//! behind the arguments), before that at blanks and one equals sign (`strdelim`: double quotes only, and a `#` is an argument).

use nom::branch::alt;
use nom::bytes::complete::{tag, take, take_till, take_while};
use nom::combinator::{map, recognize, value, verify};
use nom::multi::fold_many1;
use nom::sequence::delimited;
use nom::{IResult, Parser};

type Input<'a> = &'a [u8];

/// A line that says something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Line in the file, from 1.
    pub line: u32,
    /// Column of the keyword, in characters from 1.
    pub column: u32,
    /// The keyword as it is written; upper and lower case do not matter.
    pub keyword: Vec<u8>,
    /// Everything behind the keyword and its delimiter, to the end of the line; nothing if not even a delimiter follows.
    pub rest: Option<Vec<u8>>,
    /// Column where that begins.
    pub rest_column: u32,
}

/// One argument of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// Where it begins, in characters from 1 and counted in the text that was split.
    pub column: u32,
    /// Without its quotes and escapes.
    pub text: Vec<u8>,
}

/// A quote that is never closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenQuote;

/// The lines of a file, without comments and empty ones.
///
/// A NUL ends what sshd keeps of a line, its line break included, so that the next line goes on there.
#[must_use]
pub fn parse(content: &[u8]) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut pending: Option<(u32, u32, Vec<u8>)> = None;
    for (number, raw) in (1..).zip(content.split_inclusive(|&byte| byte == b'\n')) {
        let stripped = skip(raw, b" \t\r");
        let cut = raw.len() - stripped.len();
        let kept = stripped.split(|&byte| byte == 0).next().unwrap_or_default();
        let started = || (number, count(raw.get(..cut).unwrap_or_default()), Vec::new());
        let (line, before, mut text) = pending.take().unwrap_or_else(started);
        text.extend_from_slice(kept);
        if text.ends_with(b"\n") {
            lines.extend(statement(line, before, &text));
        } else {
            pending = Some((line, before, text));
        }
    }
    lines.extend(pending.and_then(|(line, before, text)| statement(line, before, &text)));
    lines
}

fn statement(line: u32, before: u32, text: &[u8]) -> Option<Line> {
    let text = trim_end(text);
    let (mut token, mut rest) = delimited_by(text, true)?;
    if token.is_empty() {
        // A delimiter at the very beginning.
        (token, rest) = delimited_by(rest?, true)?;
    }
    if token.is_empty() || token.starts_with(b"#") {
        return None;
    }
    let at = |part: &[u8]| before + count(text.get(..text.len() - part.len()).unwrap_or_default()) + 1;
    let rest_column = rest.map_or_else(|| at(&[]), at);
    let start = skip(text, b" \t\r\n=\"");
    Some(Line { line, column: at(start), keyword: token, rest: rest.map(<[u8]>::to_vec), rest_column })
}

/// A keyword and what follows it on a command line, as in `-o Keyword=value`.
#[must_use]
pub fn parse_option(text: &[u8]) -> Option<Line> {
    statement(1, 0, skip(text, b" \t\r\n"))
}

/// Splits arguments as `argv_split` does, from OpenSSH 8.7 on: at blanks and tabs, quoted by `'` or `"`, a backslash before a quote, a
/// backslash or (outside quotes) a blank, and a comment from a `#` where an argument would begin.
///
/// # Errors
/// A quote that is never closed.
pub fn split(text: &[u8]) -> Result<Vec<Argument>, OpenQuote> {
    let mut arguments = Vec::new();
    let mut rest = skip(text, b" \t");
    let (mut column, mut counted) = (1, text);
    while !rest.is_empty() && !rest.starts_with(b"#") {
        column += between(counted, rest);
        counted = rest;
        let (after, argument) = word(rest).map_err(|_| OpenQuote)?;
        if after.len() == rest.len() || !(after.is_empty() || after.starts_with(b" ") || after.starts_with(b"\t")) {
            return Err(OpenQuote);
        }
        arguments.push(Argument { column, text: argument });
        rest = skip(after, b" \t");
    }
    Ok(arguments)
}

/// Splits arguments as `strdelim` does: before OpenSSH 8.7 everywhere, and up to 9.8 for the criteria of `Match`. At white space or one
/// equals sign, with double quotes; an unclosed one swallows the rest of the line.
#[must_use]
pub fn split_old(text: &[u8]) -> Vec<Argument> {
    let mut arguments = Vec::new();
    let mut rest = Some(text);
    let (mut column, mut counted) = (1, text);
    while let Some(here) = rest {
        column += between(counted, here);
        counted = here;
        let Some((token, after)) = delimited_by(here, true) else { break };
        if token.is_empty() {
            break;
        }
        arguments.push(Argument { column, text: token });
        rest = after;
    }
    arguments
}

/// An argument: pieces that are quoted, escaped or plain, without any blank between them.
fn word(input: Input<'_>) -> IResult<Input<'_>, Vec<u8>> {
    let plain = verify(take(1_usize), |byte: &[u8]| !b" \t\"'".contains(byte.first().unwrap_or(&b' ')));
    let piece = alt((
        escaped(b"'\"\\ "),
        delimited(tag(&b"\""[..]), quoted(b'"'), tag(&b"\""[..])),
        delimited(tag(&b"'"[..]), quoted(b'\''), tag(&b"'"[..])),
        map(plain, <[u8]>::to_vec),
    ));
    fold_many1(piece, Vec::new, |mut all: Vec<u8>, piece: Vec<u8>| {
        all.extend(piece);
        all
    })
    .parse(input)
}

/// A backslash and one of these, which then stands for itself.
fn escaped<'a>(special: &'static [u8]) -> impl Parser<Input<'a>, Output = Vec<u8>, Error = nom::error::Error<Input<'a>>> {
    let pair =
        recognize((tag(&b"\\"[..]), verify(take(1_usize), move |byte: &[u8]| byte.iter().all(|one| special.contains(one)))));
    map(pair, |pair: &[u8]| pair.get(1..).unwrap_or_default().to_vec())
}

/// Everything up to the closing quote.
fn quoted<'a>(quote: u8) -> impl Parser<Input<'a>, Output = Vec<u8>, Error = nom::error::Error<Input<'a>>> {
    let plain = verify(take(1_usize), move |byte: &[u8]| byte.first() != Some(&quote));
    let piece = alt((escaped(b"'\"\\"), map(plain, <[u8]>::to_vec)));
    let some = fold_many1(piece, Vec::new, |mut all: Vec<u8>, piece: Vec<u8>| {
        all.extend(piece);
        all
    });
    alt((some, value(Vec::new(), tag(&b""[..]))))
}

/// `strdelim`: a token and what follows its delimiter, or nothing behind the token at all. Nothing where a quote is never closed.
fn delimited_by(text: &[u8], equals: bool) -> Option<(Vec<u8>, Option<&[u8]>)> {
    let special = |byte: u8| b" \t\r\n\"".contains(&byte) || (equals && byte == b'=');
    let (rest, head) = take_till::<_, _, ()>(special)(text).ok()?;
    let Some((&delimiter, behind)) = rest.split_first() else { return Some((head.to_vec(), None)) };
    if delimiter == b'"' {
        let (rest, inner) = take_till::<_, _, ()>(|byte| byte == b'"')(behind).ok()?;
        let behind = rest.strip_prefix(b"\"")?;
        return Some(([head, inner].concat(), Some(skip(behind, BLANKS))));
    }
    let mut behind = skip(behind, BLANKS);
    if equals && delimiter != b'=' {
        // One equals sign may stand behind blanks.
        behind = behind.strip_prefix(b"=").map_or(behind, |behind| skip(behind, BLANKS));
    }
    Some((head.to_vec(), Some(behind)))
}

const BLANKS: &[u8] = b" \t\r\n";

fn skip<'a>(text: &'a [u8], blanks: &[u8]) -> &'a [u8] {
    take_while::<_, _, ()>(|byte| blanks.contains(&byte))(text).map_or(text, |(rest, _)| rest)
}

/// Without white space and form feeds at the end, of which the first character of a line is never one.
fn trim_end(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|byte| !b" \t\r\n\x0c".contains(byte)).map_or(usize::from(!text.is_empty()), |last| last + 1);
    text.get(..end).unwrap_or_default()
}

/// Characters of a text in front of the end of it that is left. Counted from one argument to the next: a line of a megabyte has very many.
fn between(text: &[u8], left: &[u8]) -> u32 {
    count(text.get(..text.len() - left.len()).unwrap_or_default())
}

/// Characters, with every stray byte as one.
fn count(bytes: &[u8]) -> u32 {
    u32::try_from(String::from_utf8_lossy(bytes).chars().count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> (String, Option<String>) {
        let lines = parse(text.as_bytes());
        assert_eq!(lines.len(), 1, "{text:?}");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(&lines[0].keyword), lines[0].rest.as_deref().map(text))
    }

    fn words(text: &str) -> Vec<String> {
        split(text.as_bytes()).unwrap().into_iter().map(|word| String::from_utf8(word.text).unwrap()).collect()
    }

    #[test]
    fn a_keyword_ends_at_blanks_or_one_equals_sign() {
        for text in ["Port 22", "Port=22", "Port = 22", "  Port\t22 \r\n", "\"Port\" 22", "Port 22\x0c\n", "=Port 22"] {
            assert_eq!(one(text), ("Port".into(), Some("22".into())), "{text:?}");
        }
        assert_eq!(one("Port==22"), ("Port".into(), Some("=22".into())));
        assert_eq!(one("Port"), ("Port".into(), None));
    }

    #[test]
    fn comments_empty_lines_and_an_open_quote_around_the_keyword_say_nothing() {
        assert!(parse(b"# Port 22\n   #x\n\n \t\r\n\"Port 22\n").is_empty());
    }

    #[test]
    fn places_are_those_of_the_file() {
        let lines = parse(b"# one\n  MaxAuthTries   4\n");
        assert_eq!((lines[0].line, lines[0].column, lines[0].rest_column), (2, 3, 18));
    }

    #[test]
    fn a_nul_joins_the_next_line() {
        assert_eq!(one("Banner /etc/is\0 junk\n  sue\n"), ("Banner".into(), Some("/etc/issue".into())));
    }

    #[test]
    fn arguments_as_a_shell_splits_them() {
        assert_eq!(words("4 # four"), ["4"]);
        assert_eq!(words("4#four"), ["4#four"]);
        assert_eq!(words(r#"a"b c"'d e' \"f g\ h"#), ["ab cd e", "\"f", "g h"]);
        assert_eq!(words(r#""" x\y"#), ["", r"x\y"]);
        assert_eq!(words(r"'a\ b'"), [r"a\ b"]);
        assert_eq!(split(b"\"open"), Err(OpenQuote));
        assert_eq!(split(b"a'open"), Err(OpenQuote));
    }

    #[test]
    fn arguments_as_older_versions_split_them() {
        let words: Vec<_> = split_old(b"user=\"a b\" host x # y").into_iter().map(|word| word.text).collect();
        assert_eq!(words, [&b"user"[..], b"a b", b"host", b"x", b"#", b"y"]);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(content: Vec<u8>) {
            for line in parse(&content) {
                let _ = split(line.rest.as_deref().unwrap_or_default());
                let _ = split_old(line.rest.as_deref().unwrap_or_default());
            }
        }

        #[test]
        fn any_text_of_delimiters_is_read_without_a_panic(content in "[a#'\"\\\\= \t\r\n\0]{0,40}") {
            for line in parse(content.as_bytes()) {
                let _ = split(line.rest.as_deref().unwrap_or_default());
                let _ = split_old(line.rest.as_deref().unwrap_or_default());
            }
        }
    }
}
