//! Who may run what.

use std::sync::Arc;

use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::tag;
use nom::combinator::value;

use super::Entry;
use super::command::{self, Command};
use super::member::{self, Member};
use super::token::{Reader, blank, end_of_line, path, quoted, symbol, tagged, word};

/// What some may run, on some hosts, as some: one for each command of a line, with everything it inherits from those before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Line of the command, from 1.
    pub line: u32,
    /// Who. Shared by all commands of a line, as are the hosts and accounts: very many of each would make a product of them.
    pub users: Arc<[Member]>,
    /// On which hosts.
    pub hosts: Arc<[Member]>,
    /// As whom. Nothing where it is not said: as root then, or whom `runas_default` names.
    pub runas: Option<Arc<Runas>>,
    /// What.
    pub command: Command,
    /// Options in order of their appearance; of two of a name the last counts.
    pub options: Vec<Given>,
    /// Tags in force, each with its line.
    pub tags: Vec<(Tag, u32)>,
}

/// As whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Runas {
    /// As these accounts; none stands for the one who runs sudo.
    pub users: Vec<Member>,
    /// With these groups.
    pub groups: Vec<Member>,
}

/// An option such as `CWD=/tmp`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: String,
}

macro_rules! tags {
    ($($on:ident $off:ident $on_word:literal $off_word:literal,)+) => {
        /// A tag of a command.
        #[allow(missing_docs)] // They are sudoers' own words.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Tag { $($on, $off,)+ }

        impl Tag {
            const ALL: &'static [Self] = &[$(Self::$on, Self::$off,)+];

            /// Its word in sudoers.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$on => $on_word, Self::$off => $off_word,)+ }
            }

            /// The one that takes it back.
            #[must_use]
            pub const fn opposite(self) -> Self {
                match self { $(Self::$on => Self::$off, Self::$off => Self::$on,)+ }
            }
        }
    };
}

tags! {
    NoPasswd Passwd "NOPASSWD" "PASSWD",
    NoExec Exec "NOEXEC" "EXEC",
    Intercept NoIntercept "INTERCEPT" "NOINTERCEPT",
    SetEnv NoSetEnv "SETENV" "NOSETENV",
    LogInput NoLogInput "LOG_INPUT" "NOLOG_INPUT",
    LogOutput NoLogOutput "LOG_OUTPUT" "NOLOG_OUTPUT",
    Follow NoFollow "FOLLOW" "NOFOLLOW",
    Mail NoMail "MAIL" "NOMAIL",
}

impl Tag {
    /// The tag of this word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|tag| tag.word() == word)
    }
}

/// Reads `users hosts = commands : hosts = commands`.
pub(super) fn read(reader: &mut Reader<'_>, entries: &mut Vec<Entry>) -> Option<()> {
    let users: Arc<[Member]> = member::users(reader)?.into();
    reader.eat(blank);
    entries.extend(privilege(reader, &users)?.into_iter().map(Entry::Grant));
    loop {
        if reader.eat(end_of_line).is_some() {
            return Some(());
        }
        reader.eat(symbol(b':'))?;
        let mark = reader.mark();
        if let Some(grants) = privilege(reader, &users) {
            entries.extend(grants.into_iter().map(Entry::Grant));
        } else {
            entries.push(reader.broken());
            reader.reset(mark);
            recover(reader);
        }
    }
}

/// Goes to the next colon that is none of a tag, or to the end of the line.
fn recover(reader: &mut Reader<'_>) {
    let tags: Vec<&[u8]> = Tag::ALL.iter().map(|tag| tag.word().as_bytes()).collect();
    let mut word: &[u8] = reader.mark();
    while reader.eat(end_of_line_ahead).is_none() {
        let at = reader.mark();
        if at.first() == Some(&b':') {
            let before = word.get(..word.len() - at.len()).unwrap_or_default();
            if !tags.contains(&before.trim_ascii()) {
                return;
            }
        }
        if reader.eat(alt((value((), nom::bytes::complete::take(1_usize)), blank))).is_none() {
            return;
        }
        if at.first().is_some_and(|byte| b" \t,:=()".contains(byte)) {
            word = reader.mark();
        }
    }
}

fn end_of_line_ahead(input: &[u8]) -> super::Parsed<'_, ()> {
    nom::combinator::peek(end_of_line).parse(input)
}

/// `hosts = command, command`: what one command says holds for those behind it as well.
fn privilege(reader: &mut Reader<'_>, users: &Arc<[Member]>) -> Option<Vec<Grant>> {
    let hosts: Arc<[Member]> = member::hosts(reader)?.into();
    reader.eat(symbol(b'='))?;
    let mut grants: Vec<Grant> = Vec::new();
    loop {
        reader.eat(blank);
        let before = grants.last();
        let runas = runas(reader).ok()?.map(Arc::new).or_else(|| before.and_then(|before| before.runas.clone()));
        let mut options = before.map(|before| before.options.clone()).unwrap_or_default();
        while let Some(given) = option(reader).ok()? {
            options.retain(|old| old.name != given.name);
            options.push(given);
        }
        let mut tags = before.map(|before| before.tags.clone()).unwrap_or_default();
        while let Some(tag) = Tag::ALL.iter().copied().find(|tag| reader.eat(tagged(tag.word())).is_some()) {
            let line = reader.line();
            tags.retain(|(old, _)| *old != tag && *old != tag.opposite());
            tags.push((tag, line));
        }
        reader.eat(blank);
        let line = reader.line();
        let command = command::one(reader, true)?;
        grants.push(Grant { line, users: Arc::clone(users), hosts: Arc::clone(&hosts), runas, command, options, tags });
        if reader.eat(symbol(b',')).is_none() {
            return Some(grants);
        }
    }
}

/// Something that is there and cannot be read.
struct Mistake;

/// `(users : groups)`, if it is there.
fn runas(reader: &mut Reader<'_>) -> Result<Option<Runas>, Mistake> {
    if reader.eat(symbol(b'(')).is_none() {
        return Ok(None);
    }
    let mut runas = Runas::default();
    let ends = |reader: &mut Reader<'_>| reader.eat(symbol(b')')).is_some();
    let colon = |reader: &mut Reader<'_>| reader.eat(symbol(b':')).is_some();
    if ends(reader) {
        return Ok(Some(runas));
    }
    if colon(reader) {
        if ends(reader) {
            return Ok(Some(runas));
        }
        runas.groups = member::groups(reader).ok_or(Mistake)?;
    } else {
        runas.users = member::users(reader).ok_or(Mistake)?;
        if colon(reader) {
            runas.groups = member::groups(reader).ok_or(Mistake)?;
        }
    }
    if ends(reader) { Ok(Some(runas)) } else { Err(Mistake) }
}

/// `NAME=value`, if one is there.
fn option(reader: &mut Reader<'_>) -> Result<Option<Given>, Mistake> {
    reader.eat(blank);
    let mark = reader.mark();
    let Some(name) = super::token::RESERVED.into_iter().find(|name| {
        reader.reset(mark);
        reader.eat(tag(*name)).is_some() && reader.eat(symbol(b'=')).is_some()
    }) else {
        reader.reset(mark);
        return Ok(None);
    };
    let value = if name == "CWD" || name == "CHROOT" {
        reader.eat(alt((quoted, path.map(super::token::unescape), word)))
    } else {
        reader.eat(alt((quoted, word)))
    };
    let value = value.ok_or(Mistake)?;
    let fits = match name {
        "CWD" | "CHROOT" => value.starts_with(['/', '~']) || value == "*",
        "TIMEOUT" => is_timeout(&value),
        "NOTBEFORE" | "NOTAFTER" => is_time(&value),
        _ => true,
    };
    if fits { Ok(Some(Given { name, value })) } else { Err(Mistake) }
}

/// `7d4h10m30s` in this order, any part of it, or seconds (`parse_timeout`).
fn is_timeout(value: &str) -> bool {
    let mut rest = value.to_ascii_lowercase();
    if rest.bytes().all(|byte| byte.is_ascii_digit()) {
        return !rest.is_empty();
    }
    for unit in ['d', 'h', 'm', 's'] {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 && rest.get(digits..).is_some_and(|behind| behind.starts_with(unit)) {
            rest = rest.get(digits + 1..).unwrap_or_default().to_owned();
        }
    }
    rest.is_empty()
}

/// `yyyymmddHH[MM[SS]][.fraction]` and a zone, `Z` or an offset (`parse_gentime`); without a zone it is local time.
fn is_time(value: &str) -> bool {
    let digits = value.bytes().take_while(u8::is_ascii_digit).count();
    let rest = value.get(digits..).unwrap_or_default();
    let rest =
        rest.strip_prefix(['.', ',']).map_or(rest, |fraction| fraction.trim_start_matches(|digit: char| digit.is_ascii_digit()));
    let offset =
        rest.strip_prefix(['+', '-']).is_some_and(|hours| hours.len() == 4 && hours.bytes().all(|byte| byte.is_ascii_digit()));
    matches!(digits, 10 | 12 | 14) && (rest.is_empty() || rest == "Z" || offset)
}
