//! Tokens, and the place in the file.

use nom::branch::alt;
use nom::bytes::complete::{is_a, is_not, tag, take_while_m_n, take_while1};
use nom::character::complete::{char, none_of, one_of, satisfy};
use nom::combinator::{not, opt, peek, recognize, value};
use nom::multi::{many0_count, many1_count};
use nom::sequence::{delimited, preceded, terminated};
use nom::{IResult, Parser};

use super::Entry;

pub(super) type Parsed<'a, T> = IResult<&'a [u8], T>;

/// Words that cannot be the name of an alias, an account or a host.
pub(super) const RESERVED: [&str; 10] =
    ["TIMEOUT", "NOTBEFORE", "NOTAFTER", "CWD", "CHROOT", "ROLE", "TYPE", "APPARMOR_PROFILE", "PRIVS", "LIMITPRIVS"];

/// A file being read.
pub(super) struct Reader<'a> {
    all: &'a [u8],
    rest: &'a [u8],
    /// Where each line begins.
    starts: Vec<usize>,
    /// The furthest place where a token was found, for the place of a mistake.
    furthest: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(all: &'a [u8]) -> Self {
        let after = all.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
        Self { all, rest: all, starts: std::iter::once(0).chain(after).collect(), furthest: 0 }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// An entry begins here.
    pub(super) fn begin(&mut self) {
        self.furthest = self.at();
    }

    fn at(&self) -> usize {
        self.all.len() - self.rest.len()
    }

    fn place(&self, at: usize) -> (u32, u32) {
        let line = self.starts.partition_point(|&start| start <= at);
        let start = line.checked_sub(1).and_then(|index| self.starts.get(index)).copied().unwrap_or_default();
        (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(at - start + 1).unwrap_or(u32::MAX))
    }

    /// The line of the next token, from 1.
    pub(super) fn line(&self) -> u32 {
        self.place(self.at()).0
    }

    /// What is left to read.
    pub(super) fn mark(&self) -> &'a [u8] {
        self.rest
    }

    /// Back to a [`Reader::mark`].
    pub(super) fn reset(&mut self, mark: &'a [u8]) {
        self.rest = mark;
    }

    /// Takes a token if it is next.
    pub(super) fn eat<T>(
        &mut self,
        mut parser: impl Parser<&'a [u8], Output = T, Error = nom::error::Error<&'a [u8]>>,
    ) -> Option<T> {
        let (rest, found) = parser.parse(self.rest).ok()?;
        self.rest = rest;
        self.furthest = self.furthest.max(self.at());
        Some(found)
    }

    /// Takes a key word that is no part of a longer word; one of `behind` may follow it all the same.
    pub(super) fn take_word(&mut self, word: &[u8], behind: &[u8]) -> bool {
        let Some(rest) = self.rest.strip_prefix(word) else { return false };
        let goes_on = rest.first().is_some_and(|next| !behind.contains(next)) && word_part(rest).is_ok();
        if !goes_on {
            self.rest = rest;
        }
        !goes_on
    }

    /// The mistake that was met: behind the last thing that was understood.
    pub(super) fn broken(&self) -> Entry {
        let (line, column) = self.place(self.furthest);
        Entry::Broken { line, column }
    }

    /// Goes behind the end of the line, continued lines with it.
    pub(super) fn skip_line(&mut self) {
        let mut before = b' ';
        loop {
            if let Ok((rest, ())) = continuation(self.rest) {
                self.rest = rest;
                before = b' ';
                continue;
            }
            let Some((&byte, rest)) = self.rest.split_first() else { return };
            let comment = byte == b'#' && before.is_ascii_whitespace() && end_of_line(self.rest).is_ok();
            if byte == b'\n' || comment {
                self.rest = if comment { end_of_line(self.rest).map_or(rest, |(rest, ())| rest) } else { rest };
                return;
            }
            before = byte;
            self.rest = rest;
        }
    }
}

/// A backslash at the end of a line.
pub(super) fn continuation(input: &[u8]) -> Parsed<'_, ()> {
    value((), (char('\\'), many0_count(one_of(" \t")), opt(char('\r')), char('\n'))).parse(input)
}

/// Blanks and continued lines, maybe none.
pub(super) fn blank(input: &[u8]) -> Parsed<'_, ()> {
    value((), many0_count(alt((value((), is_a(" \t")), continuation)))).parse(input)
}

/// The end of a line, maybe behind a comment. `#` before a number begins no comment: it is an id.
pub(super) fn end_of_line(input: &[u8]) -> Parsed<'_, ()> {
    let number = (opt(char('-')), satisfy(|next| next.is_ascii_digit()));
    let comment = (char('#'), not(number), opt(is_not("\n")));
    value((), (blank, opt(comment), opt(char('\r')), char('\n'))).parse(input)
}

/// One of these signs, with blanks around it.
pub(super) fn symbol<'a>(sign: u8) -> impl Parser<&'a [u8], Output = (), Error = nom::error::Error<&'a [u8]>> {
    value((), delimited(blank, char(char::from(sign)), blank))
}

/// `!`s: whether there is an odd number of them.
pub(super) fn negation(input: &[u8]) -> Parsed<'_, bool> {
    many0_count(char('!')).map(|count| count % 2 == 1).parse(input)
}

/// One byte of a word, or an escaped one.
fn word_part(input: &[u8]) -> Parsed<'_, &[u8]> {
    alt((is_not("#>!=:,() \t\r\n\\\""), recognize((char('\\'), none_of("\t\n"))))).parse(input)
}

/// A word, unescaped.
pub(super) fn word(input: &[u8]) -> Parsed<'_, String> {
    recognize(many1_count(word_part)).map(unescape).parse(input)
}

/// `#1000`, as written.
pub(super) fn id(input: &[u8]) -> Parsed<'_, String> {
    recognize((char('#'), opt(char('-')), take_while1(|byte: u8| byte.is_ascii_digit()))).map(text).parse(input)
}

/// A quoted text: what is escaped loses its backslash, a backslash at the end of a line joins the next one. Never empty.
pub(super) fn quoted(input: &[u8]) -> Parsed<'_, String> {
    let joined = (char('\\'), many0_count(one_of(" \t")), opt(char('\r')), char('\n'), many0_count(one_of(" \t")));
    let part = alt((
        value(String::new(), joined),
        recognize(many1_count(alt((is_not("\"\r\n\\"), tag("\\\""))))).map(unescape),
        value("\\".to_owned(), char('\\')),
    ));
    let (rest, found) = delimited(
        char('"'),
        nom::multi::fold_many0(part, String::new, |mut all, part| {
            all.push_str(&part);
            all
        }),
        char('"'),
    )
    .parse(input)?;
    if found.is_empty() {
        return Err(nom::Err::Error(nom::error::Error::new(input, nom::error::ErrorKind::Verify)));
    }
    Ok((rest, found))
}

/// The value of an option of `Defaults`.
pub(super) fn value_word(input: &[u8]) -> Parsed<'_, String> {
    let escaped = || recognize((char('\\'), none_of("\r\n")));
    let first = alt((recognize(none_of("#!=, \t\r\n\\\"")), escaped()));
    let more = alt((is_not("#=, \t\r\n\\\""), escaped()));
    recognize((first, many0_count(more))).map(unescape).parse(input)
}

/// The name of an option of `Defaults`.
pub(super) fn variable(input: &[u8]) -> Parsed<'_, String> {
    take_while1(|byte: u8| byte.is_ascii_lowercase() || byte == b'_').map(text).parse(input)
}

/// The key word of an include, and whether it is one of a folder. With `#` it has to be the first thing of its line.
pub(super) fn include(input: &[u8]) -> Parsed<'_, bool> {
    let kind = || alt((value(true, tag("includedir")), value(false, tag("include"))));
    let ends = || peek(alt((value((), one_of(" \t\r\n\"")), continuation)));
    alt((delimited(char('#'), kind(), peek(one_of(" \t"))), delimited((many0_count(one_of(" \t")), char('@')), kind(), ends())))
        .parse(input)
}

/// The path of an include: anything but white space, unless that is escaped.
pub(super) fn include_path(input: &[u8]) -> Parsed<'_, String> {
    let part = alt((is_not("\\ \t\r\n\x0b\x0c"), recognize((char('\\'), none_of("\r\n")))));
    recognize(many1_count(part)).map(unescape).parse(input)
}

/// A path that a command or a folder is named by: as written.
pub(super) fn path(input: &[u8]) -> Parsed<'_, &[u8]> {
    let part = alt((is_not(",:=\\ \t\r\n#"), recognize((char('\\'), one_of(",:= \t#")))));
    recognize((char('/'), many1_count(part))).parse(input)
}

/// A hash sum of a command: as many letters as its kind has.
pub(super) fn digest(input: &[u8]) -> Parsed<'_, ()> {
    let kind = alt((value(28, tag("sha224")), value(32, tag("sha256")), value(48, tag("sha384")), value(64, tag("sha512"))));
    let (rest, bytes) = terminated(kind, symbol(b':')).parse(input)?;
    let (rest, sum) = take_while_m_n(1, 128, |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte)).parse(rest)?;
    let hex = sum.iter().all(u8::is_ascii_hexdigit) && sum.len() == bytes * 2;
    let base64 = if sum.ends_with(b"=") { 4 * bytes.div_ceil(3) } else { (4 * bytes).div_ceil(3) };
    if !hex && sum.len() != base64 {
        return Err(nom::Err::Error(nom::error::Error::new(input, nom::error::ErrorKind::LengthValue)));
    }
    Ok((rest, ()))
}

/// One of these key words with its colon: `NOPASSWD :`.
pub(super) fn tagged<'a>(name: &'static str) -> impl Parser<&'a [u8], Output = (), Error = nom::error::Error<&'a [u8]>> {
    value((), preceded(blank, (tag(name), many0_count(one_of(" \t")), char(':'))))
}

/// Whether a word has the form of an alias.
pub(super) fn is_alias(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_uppercase())
        && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `\x41` is the byte of that number, any other `\c` is `c` (`copy_string` in `toke_util.c`).
pub(super) fn unescape(raw: &[u8]) -> String {
    let mut plain = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            plain.push(byte);
            continue;
        }
        let hex = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        match after {
            [b'x', high, low, behind @ ..] if hex(*high).is_some() && hex(*low).is_some() => {
                plain.push(hex(*high).unwrap_or_default() * 16 + hex(*low).unwrap_or_default());
                rest = behind;
            }
            [escaped, behind @ ..] => {
                plain.push(*escaped);
                rest = behind;
            }
            [] => plain.push(b'\\'),
        }
    }
    text(&plain)
}
