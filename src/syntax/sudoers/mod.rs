//! `sudoers(5)` as sudo 1.9 reads it (`plugins/sudoers/toke.l`, `gram.y`).
//!
//! A syntax error takes its whole entry with it and nothing else, as sudo does since 1.9.3; before that sudo refused to work at all.
//! Only with an error behind a `:` do the rules before it stay.

mod command;
mod defaults;
mod grant;
mod member;
mod token;

use token::{Parsed, Reader, blank, end_of_line};

pub use command::Command;
pub use defaults::{Defaults, Operation, Scope, Setting};
pub use grant::{Given, Grant, Runas, Tag};
pub use member::{Kind, Member};

/// What a file holds, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// `Defaults…`: options for everybody or for some.
    Defaults(Defaults),
    /// One definition of an alias.
    Alias(Alias),
    /// Who may run what: one for each command of a line.
    Grant(Grant),
    /// `@include`, `@includedir` and their older spelling with `#`.
    Include {
        /// Line, from 1.
        line: u32,
        /// The path as written, unescaped; `%h` stands for the name of the host.
        path: String,
        /// Whether it is a folder.
        folder: bool,
    },
    /// What sudo does not understand: it passes over the entry.
    Broken {
        /// Line of the mistake, from 1.
        line: u32,
        /// Column of the mistake, in bytes from 1.
        column: u32,
    },
}

/// The kinds of aliases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AliasKind {
    /// `User_Alias`.
    User,
    /// `Runas_Alias`.
    Runas,
    /// `Host_Alias`.
    Host,
    /// `Cmnd_Alias`, or `Cmd_Alias`.
    Command,
}

/// One definition of an alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// Line, from 1.
    pub line: u32,
    /// What it stands for.
    pub kind: AliasKind,
    /// Its name.
    pub name: String,
    /// What it stands for: members of its kind, or commands as members of the kind [`Kind::Command`].
    pub members: Vec<Member>,
}

/// Everything in a file, in order.
#[must_use]
pub fn parse(content: &[u8]) -> Vec<Entry> {
    let mut content = until_zero(content);
    if !content.ends_with(b"\n") {
        content.push(b'\n');
    }
    let mut reader = Reader::new(&content);
    let mut entries = Vec::new();
    while !reader.is_at_end() {
        reader.begin();
        let before = entries.len();
        if entry(&mut reader, &mut entries).is_none() {
            entries.truncate(before);
            entries.push(reader.broken());
            reader.skip_line();
        }
    }
    entries
}

/// sudo cuts a line off at a zero byte.
fn until_zero(content: &[u8]) -> Vec<u8> {
    if !content.contains(&0) {
        return content.to_vec();
    }
    let lines: Vec<&[u8]> =
        content.split(|&byte| byte == b'\n').map(|line| line.split(|&byte| byte == 0).next().unwrap_or_default()).collect();
    lines.join(&b'\n')
}

/// One entry up to the end of its line; nothing if it is broken.
fn entry(reader: &mut Reader<'_>, entries: &mut Vec<Entry>) -> Option<()> {
    if include(reader, entries)? {
        return Some(());
    }
    reader.eat(blank);
    if reader.is_at_end() || reader.eat(end_of_line).is_some() {
        return Some(());
    }
    if reader.take_word(b"Defaults", b"@:>!") {
        entries.push(Entry::Defaults(defaults::read(reader)?));
        return Some(());
    }
    let kinds = [
        (&b"User_Alias"[..], AliasKind::User),
        (b"Runas_Alias", AliasKind::Runas),
        (b"Host_Alias", AliasKind::Host),
        (b"Cmnd_Alias", AliasKind::Command),
        (b"Cmd_Alias", AliasKind::Command),
    ];
    for (word, kind) in kinds {
        if reader.take_word(word, b"") {
            return aliases(reader, kind, entries);
        }
    }
    grant::read(reader, entries)
}

/// Whether it is an include; nothing if it is a broken one.
fn include(reader: &mut Reader<'_>, entries: &mut Vec<Entry>) -> Option<bool> {
    let line = reader.line();
    let Some(folder) = reader.eat(token::include) else { return Some(false) };
    reader.eat(blank);
    let path = reader.eat(token::quoted).or_else(|| reader.eat(token::include_path))?;
    entries.push(Entry::Include { line, path, folder });
    if reader.eat(end_of_line).is_none() {
        // What stands behind the path is an error of its own; the file is read all the same.
        entries.push(reader.broken());
        reader.skip_line();
    }
    Some(true)
}

/// `NAME = a, b : OTHER = c`.
fn aliases(reader: &mut Reader<'_>, kind: AliasKind, entries: &mut Vec<Entry>) -> Option<()> {
    loop {
        reader.eat(blank);
        let line = reader.line();
        let name = reader.eat(token::word).filter(|name| token::is_alias(name) && !token::RESERVED.contains(&name.as_str()))?;
        reader.eat(token::symbol(b'='))?;
        let members = match kind {
            AliasKind::User | AliasKind::Runas => member::users(reader)?,
            AliasKind::Host => member::hosts(reader)?,
            AliasKind::Command => command::list(reader)?.into_iter().map(Member::from).collect(),
        };
        entries.push(Entry::Alias(Alias { line, kind, name, members }));
        if reader.eat(end_of_line).is_some() {
            return Some(());
        }
        reader.eat(token::symbol(b':'))?;
    }
}

#[cfg(test)]
mod tests;
