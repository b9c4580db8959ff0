//! `Defaults` entries.

use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::tag;
use nom::character::complete::one_of;
use nom::combinator::{opt, value};

use super::command::{self, Command};
use super::member::{self, Member};
use super::token::{Reader, blank, end_of_line, negation, quoted, symbol, value_word, variable};

/// Options for everybody, or for some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defaults {
    /// Line, from 1.
    pub line: u32,
    /// For whom.
    pub scope: Scope,
    /// The options, in order.
    pub settings: Vec<Setting>,
}

/// For whom options are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Everybody.
    All,
    /// `Defaults:user`: who runs sudo.
    Users(Vec<Member>),
    /// `Defaults>user`: whom the command is run as.
    Runas(Vec<Member>),
    /// `Defaults@host`: the machine.
    Hosts(Vec<Member>),
    /// `Defaults!command`.
    Commands(Vec<Command>),
}

/// One option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Line, from 1.
    pub line: u32,
    /// Its name.
    pub name: String,
    /// What is done to it.
    pub operation: Operation,
}

/// What is done to an option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// `option`.
    On,
    /// `!option`.
    Off,
    /// `option = value`.
    Is(String),
    /// `option += value`.
    Adds(String),
    /// `option -= value`.
    Removes(String),
}

/// Reads what stands behind the word `Defaults`.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<Defaults> {
    let line = reader.line();
    let scope = match reader.eat(opt(one_of("@:>!")))? {
        None => Scope::All,
        Some(':') => Scope::Users(member::users(reader)?),
        Some('>') => Scope::Runas(member::users(reader)?),
        Some('@') => Scope::Hosts(member::hosts(reader)?),
        Some(_) => Scope::Commands(command::list_without_arguments(reader)?),
    };
    let mut settings = Vec::new();
    loop {
        reader.eat(blank);
        settings.push(setting(reader)?);
        if reader.eat(end_of_line).is_some() {
            return Some(Defaults { line, scope, settings });
        }
        reader.eat(symbol(b','))?;
    }
}

fn setting(reader: &mut Reader<'_>) -> Option<Setting> {
    let line = reader.line();
    let off = reader.eat(negation)?;
    reader.eat(blank);
    let name = reader.eat(variable)?;
    let sign = alt((value('=', symbol(b'=')), value('+', tuple("+=")), value('-', tuple("-="))));
    let Some(sign) = reader.eat(sign) else {
        return Some(Setting { line, name, operation: if off { Operation::Off } else { Operation::On } });
    };
    let value = reader.eat(alt((quoted, value_word))).filter(|_| !off)?;
    let operation = match sign {
        '=' => Operation::Is(value),
        '+' => Operation::Adds(value),
        _ => Operation::Removes(value),
    };
    Some(Setting { line, name, operation })
}

/// A sign of two letters, with blanks around it.
fn tuple<'a>(sign: &'static str) -> impl Parser<&'a [u8], Output = (), Error = nom::error::Error<&'a [u8]>> {
    value((), (blank, tag(sign), blank))
}
