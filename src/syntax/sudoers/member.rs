//! Accounts, groups and hosts in lists.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::take_while1;
use nom::character::complete::char;
use nom::combinator::{opt, recognize};
use nom::sequence::preceded;

use super::token::{Parsed, RESERVED, Reader, blank, id, is_alias, negation, quoted, symbol, text, word};

/// What a member of a list is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `ALL`.
    All,
    /// The name of an alias, or of an account or a host if there is no such alias.
    Alias,
    /// A name, or `#` and an id.
    Name,
    /// `%group`, `%#gid`, `%:group of another source`: without the first `%`.
    Group,
    /// `+netgroup`: without the `+`.
    Netgroup,
    /// An address or a network.
    Address,
    /// A command.
    Command,
}

/// One member of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Whether it is taken out of the list.
    pub negated: bool,
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
}

impl std::fmt::Display for Member {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = match self.kind {
            Kind::Group => "%",
            Kind::Netgroup => "+",
            _ => "",
        };
        write!(out, "{}{sign}{}", if self.negated { "!" } else { "" }, self.name)
    }
}

/// Accounts, separated by commas.
pub(super) fn users(reader: &mut Reader<'_>) -> Option<Vec<Member>> {
    separated(reader, user)
}

/// Hosts, separated by commas.
pub(super) fn hosts(reader: &mut Reader<'_>) -> Option<Vec<Member>> {
    separated(reader, host)
}

/// Groups to run as, separated by commas.
pub(super) fn groups(reader: &mut Reader<'_>) -> Option<Vec<Member>> {
    separated(reader, |reader| user(reader).filter(|found| matches!(found.kind, Kind::All | Kind::Alias | Kind::Name)))
}

/// At least one, separated by commas.
pub(super) fn separated<T>(reader: &mut Reader<'_>, one: impl Fn(&mut Reader<'_>) -> Option<T>) -> Option<Vec<T>> {
    let mut all = Vec::new();
    loop {
        reader.eat(blank);
        all.push(one(reader)?);
        if reader.eat(symbol(b',')).is_none() {
            return Some(all);
        }
    }
}

fn user(reader: &mut Reader<'_>) -> Option<Member> {
    let negated = reader.eat(negation)?;
    reader.eat(blank);
    let (kind, name) =
        reader.eat(alt((quoted.map_opt(of_quoted), signed, id.map(|id| (Kind::Name, id)), word.map_opt(of_word))))?;
    let address = name.parse::<Ipv4Addr>().is_ok() && kind == Kind::Name;
    (!address).then_some(Member { negated, kind, name })
}

fn host(reader: &mut Reader<'_>) -> Option<Member> {
    let negated = reader.eat(negation)?;
    reader.eat(blank);
    let (kind, name) =
        reader.eat(alt((quoted.map_opt(of_quoted), netgroup, address, id.map(|id| (Kind::Name, id)), word.map_opt(of_word))))?;
    (kind != Kind::Group).then_some(Member { negated, kind, name })
}

/// `%group`, `%:group` or `+netgroup`.
fn signed(input: &[u8]) -> Parsed<'_, (Kind, String)> {
    let colon = opt(char(':')).map(|colon| if colon.is_some() { ":" } else { "" });
    let group = preceded(char('%'), (colon, alt((word, id)))).map(|(colon, name)| (Kind::Group, format!("{colon}{name}")));
    alt((group, netgroup)).parse(input)
}

fn netgroup(input: &[u8]) -> Parsed<'_, (Kind, String)> {
    preceded(char('+'), word).map(|name| (Kind::Netgroup, name)).parse(input)
}

/// An address, alone or with a mask or its length.
fn address(input: &[u8]) -> Parsed<'_, (Kind, String)> {
    let letters = take_while1(|byte: u8| byte.is_ascii_hexdigit() || b":./".contains(&byte));
    recognize(letters)
        .map_opt(|found: &[u8]| {
            let found = text(found);
            let (start, mask) = found.split_once('/').map_or((found.as_str(), None), |(start, mask)| (start, Some(mask)));
            let fits =
                match start.parse::<IpAddr>().ok()? {
                    IpAddr::V4(_) => mask
                        .is_none_or(|mask| mask.parse::<Ipv4Addr>().is_ok() || mask.parse::<u8>().is_ok_and(|bits| bits <= 32)),
                    IpAddr::V6(_) => mask
                        .is_none_or(|mask| mask.parse::<Ipv6Addr>().is_ok() || mask.parse::<u8>().is_ok_and(|bits| bits <= 128)),
                };
            fits.then_some((Kind::Address, found.clone()))
        })
        .parse(input)
}

/// What stands between quotes is never an alias or `ALL`.
fn of_quoted(name: String) -> Option<(Kind, String)> {
    let rest = |sign: char| name.strip_prefix(sign).map(str::to_owned);
    match (rest('%'), rest('+')) {
        (Some(group), _) => (!group.is_empty() && group != ":").then_some((Kind::Group, group)),
        (_, Some(netgroup)) => (!netgroup.is_empty()).then_some((Kind::Netgroup, netgroup)),
        _ => Some((Kind::Name, name)),
    }
}

/// Nothing for words that mean something else to sudo.
fn of_word(name: String) -> Option<(Kind, String)> {
    let other = name.starts_with('/') || ["sudoedit", "sha224", "sha256", "sha384", "sha512"].contains(&name.as_str());
    if other || RESERVED.contains(&name.as_str()) || name == "+" || name == "%" {
        return None;
    }
    let kind = match name.as_str() {
        "ALL" => Kind::All,
        name if is_alias(name) => Kind::Alias,
        _ => Kind::Name,
    };
    Some((kind, name))
}
