//! Commands and their arguments.

use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::{is_not, tag};
use nom::character::complete::{char, none_of, one_of};
use nom::combinator::{peek, recognize, value};
use nom::multi::many0_count;

use super::member::{Kind, Member, separated};
use super::token::{Reader, blank, continuation, digest, is_alias, negation, path, symbol, text, word};

/// A command, or the name of an alias for some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Whether it is forbidden.
    pub negated: bool,
    /// Whether it is `ALL`, an alias or a command.
    pub kind: Kind,
    /// The path, pattern or name.
    pub name: String,
    /// The arguments, where any are given: with others it does not fit. `""` stands for none at all.
    pub arguments: Option<String>,
}

impl std::fmt::Display for Command {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}{}", if self.negated { "!" } else { "" }, self.name)?;
        self.arguments.as_ref().map_or(Ok(()), |arguments| write!(out, " {arguments}"))
    }
}

impl From<Command> for Member {
    fn from(command: Command) -> Self {
        let name = Command { negated: false, ..command.clone() }.to_string();
        Self { negated: command.negated, kind: command.kind, name }
    }
}

/// Commands, separated by commas.
pub(super) fn list(reader: &mut Reader<'_>) -> Option<Vec<Command>> {
    separated(reader, |reader| one(reader, true))
}

/// Commands as in `Defaults!command`, where they have no arguments.
pub(super) fn list_without_arguments(reader: &mut Reader<'_>) -> Option<Vec<Command>> {
    separated(reader, |reader| one(reader, false))
}

/// One command, behind its hash sums.
pub(super) fn one(reader: &mut Reader<'_>, with_arguments: bool) -> Option<Command> {
    let mut sums = 0_usize;
    while reader.eat(digest).is_some() {
        sums += 1;
        if reader.eat(symbol(b',')).is_none() {
            break;
        }
    }
    reader.eat(blank);
    let negated = reader.eat(negation)?;
    reader.eat(blank);
    let (kind, name) = name(reader)?;
    if sums > 0 && kind == Kind::Alias {
        return None;
    }
    // A folder stands for what is in it and has no arguments.
    let takes = with_arguments && kind == Kind::Command && name != "list" && !name.ends_with('/');
    let arguments = if takes { arguments(reader, name == "sudoedit")? } else { String::new() };
    let arguments = (!arguments.is_empty()).then_some(arguments);
    Some(Command { negated, kind, name, arguments })
}

fn name(reader: &mut Reader<'_>) -> Option<(Kind, String)> {
    if reader.take_word(b"sudoedit", b"") {
        return Some((Kind::Command, "sudoedit".into()));
    }
    if let Some(raw) = reader.eat(path) {
        let name = unescape(raw);
        let name = if name.ends_with("/sudoedit") { "sudoedit".into() } else { name };
        return Some((Kind::Command, name));
    }
    if let Some(pattern) = reader.eat(regex) {
        return Some((Kind::Command, text(pattern)));
    }
    match reader.eat(word)? {
        all if all == "ALL" => Some((Kind::All, all)),
        list if list == "list" => Some((Kind::Command, list)),
        alias if is_alias(&alias) => Some((Kind::Alias, alias)),
        _ => None,
    }
}

/// `^…$`.
fn regex(input: &[u8]) -> super::Parsed<'_, &[u8]> {
    let part = alt((is_not("#\r\n$\\"), recognize((char('\\'), one_of("#$"))), recognize(char('\\'))));
    recognize((char('^'), many0_count(part), char('$'))).parse(input)
}

/// Arguments up to a sign that ends them; empty if there are none, nothing if they are broken.
fn arguments(reader: &mut Reader<'_>, edits: bool) -> Option<String> {
    let mut all = String::new();
    loop {
        let before = reader.mark();
        reader.eat(blank);
        let spaced = reader.mark().len() != before.len();
        if reader.eat(peek(one_of("#:,=\r\n"))).is_some() || reader.is_at_end() {
            return Some(all);
        }
        let first = reader.mark().first().copied()?;
        if all.is_empty() && first == b'^' {
            return reader.eat(argument_regex);
        }
        if edits && (all.is_empty() || spaced) && first != b'/' {
            return None;
        }
        if spaced && !all.is_empty() {
            all.push(' ');
        }
        let kept = recognize((char('\\'), one_of("*?[]!^"))).map(text);
        let plain = (char('\\'), one_of(":\\,= \t#")).map(|(_, sign)| sign.to_string());
        all.push_str(&reader.eat(alt((kept, plain, is_not("#\\:, \t\r\n").map(text))))?);
    }
}

/// The arguments as one regular expression.
fn argument_regex(input: &[u8]) -> super::Parsed<'_, String> {
    let joined = value(String::new(), (continuation, blank));
    let escaped = recognize((char('\\'), none_of("\r\n"))).map(text);
    let part = alt((joined, escaped, is_not("#\\\r\n$").map(text)));
    let (rest, inner) = nom::multi::fold_many0(part, String::new, |mut all: String, part| {
        all.push_str(&part);
        all
    })
    .parse(input)?;
    tag("$").map(|_| format!("{inner}$")).parse(rest)
}

/// Signs that mean something to sudo lose their backslash, all others keep it (`fill_cmnd`).
fn unescape(raw: &[u8]) -> String {
    let mut plain = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match bytes.peek() {
            Some(next) if byte == b'\\' && b",:= \t#".contains(next) => {}
            _ => plain.push(byte),
        }
    }
    text(&plain)
}
