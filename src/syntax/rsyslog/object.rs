//! The parameters of a RainerScript object: `(name="value" list=["a", "b"])`.

use nom::Parser as _;
use nom::branch::alt;
use nom::bytes::complete::{is_a, is_not, tag, take, take_until, take_while};
use nom::character::complete::{char, satisfy};
use nom::combinator::{map, opt, recognize, value};
use nom::multi::{fold_many0, many0, many0_count, separated_list0};
use nom::sequence::{delimited, pair, preceded, terminated};
use nom::{IResult, error::Error};

/// A parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// The name, in lower case: case does not matter.
    pub name: String,
    /// The value.
    pub value: Value,
}

/// The value of a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Text in quotes.
    Text(Vec<u8>),
    /// A list of such.
    List(Vec<Vec<u8>>),
    /// A text in backticks, which rsyslog takes from its environment or a file: not known here.
    Backticks(Vec<u8>),
}

impl Value {
    /// The text, or the first of a list; empty for what is not known here.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        match self {
            Self::Text(text) => text,
            Self::List(list) => list.first().map(Vec::as_slice).unwrap_or_default(),
            Self::Backticks(_) => b"",
        }
    }
}

/// The parameters up to the closing parenthesis; the opening one has been read. A name that is given twice keeps both.
pub(super) fn params(input: &[u8]) -> IResult<&[u8], Vec<Param>> {
    terminated(preceded(blank, many0(terminated(param, blank))), char(')')).parse(input)
}

fn param(input: &[u8]) -> IResult<&[u8], Param> {
    let name = recognize(pair(
        satisfy(|first| first.is_ascii_alphabetic()),
        take_while(|byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.')),
    ));
    let equals = delimited(blank, char('='), blank);
    let list =
        delimited(pair(char('['), blank), separated_list0(delimited(blank, char(','), blank), quoted), pair(blank, char(']')));
    let backticks =
        delimited(char('`'), recognize(many0_count(alt((preceded(char('\\'), take(1_usize)), is_not("`\\"))))), char('`'));
    let value =
        alt((map(quoted, Value::Text), map(list, Value::List), map(backticks, |text: &[u8]| Value::Backticks(text.to_vec()))));
    let (rest, (name, value)) = pair(terminated(name, equals), value).parse(input)?;
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    Ok((rest, Param { name, value }))
}

/// Text in double quotes; of its escapes only those that a path or a host may need are undone.
fn quoted(input: &[u8]) -> IResult<&[u8], Vec<u8>> {
    let escaped = preceded(char('\\'), take(1_usize));
    let piece = alt((escaped, is_not("\"\\")));
    let all = fold_many0(piece, Vec::new, |mut all: Vec<u8>, piece: &[u8]| {
        all.extend_from_slice(piece);
        all
    });
    delimited(char('"'), all, char('"')).parse(input)
}

/// Blanks and comments of both kinds.
fn blank(input: &[u8]) -> IResult<&[u8], ()> {
    let line = recognize(pair(char('#'), opt(is_not("\n"))));
    let block = recognize((tag("/*"), take_until("*/"), tag("*/")));
    value((), many0_count(alt((is_a(" \t\n"), line, block)))).parse(input).map_err(|error: nom::Err<Error<&[u8]>>| error)
}
