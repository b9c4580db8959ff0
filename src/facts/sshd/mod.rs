//! What OpenSSH's server would do with its configuration.
//!
//! The server reads its configuration twice: when it starts, and again for each connection, when the `Match` blocks whose criteria hold
//! override what was set before (`servconf.c`). This fact holds both: the values of the server, and for each block the values it could
//! bring. Nothing is executed.
//!
//! A configuration that the server refuses stops it from starting. That is no error of this fact: [`Sshd::flaw`] says where and why, and
//! what would have counted is then not known.

mod algorithms;
mod criteria;
mod keyword;
mod load;
mod pattern;
mod release;
mod start;
mod value;

use crate::facts::command::Flag;
use crate::facts::{Fact, Facts};
use crate::image::Rootfs;
use crate::path::ImagePath;
use crate::syntax::sshd_config;
pub use keyword::Keyword;
use keyword::Merge;
use load::{Entries, Entry, Loader};
pub use release::{Release, Vendor};
pub use value::Value;

/// The effective configuration of the SSH server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sshd {
    /// The OpenSSH that would read it.
    pub release: Release,
    /// The unit that starts it; nothing where none does, and what its package's unit would start is judged.
    pub unit: Option<String>,
    /// The main file.
    pub path: ImagePath,
    /// Every file that was read, in order.
    pub files: Vec<ImagePath>,
    main: Entries,
    blocks: Vec<Block>,
    flaws: Vec<Flaw>,
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file.
    pub path: ImagePath,
    /// The line, from 1.
    pub line: u32,
    /// The column of the keyword, in characters from 1.
    pub column: u32,
}

impl std::fmt::Display for Place {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}:{}", self.path, self.line)
    }
}

/// Why the server does not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// Where.
    pub place: Place,
    /// The setting that the line is about, if it is about one.
    pub keyword: Option<&'static str>,
    /// The line, escaped.
    pub found: String,
    /// What is wrong with it.
    pub why: String,
}

impl Flaw {
    fn of_file(path: &ImagePath, why: &str) -> Self {
        let place = Place { path: path.clone(), line: 0, column: 0 };
        Self { place, keyword: None, found: String::new(), why: why.to_owned() }
    }
}

/// A `Match` block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    place: Place,
    /// All of these have to hold; none for `Match all`.
    conditions: Vec<String>,
    entries: Entries,
}

/// What a setting comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The value; nothing where it is not set and nothing is built in.
    pub value: Option<Value>,
    /// Where it is set; nothing where the built-in value counts.
    pub place: Option<Place>,
    /// Why it is this value.
    pub because: Option<String>,
}

impl Sshd {
    /// Why the server does not start, if it does not: the first mistake it would meet.
    #[must_use]
    pub fn flaw(&self) -> Option<&Flaw> {
        self.flaws.first()
    }

    /// The lines about this setting that stop the server.
    pub fn flaws_of(&self, keyword: &Keyword) -> impl Iterator<Item = &Flaw> {
        self.flaws.iter().filter(|flaw| flaw.keyword == Some(keyword.name))
    }

    /// What a setting is when the server starts, whoever connects.
    #[must_use]
    pub fn effective(&self, keyword: &Keyword) -> Setting {
        let own = self.settled(keyword);
        // Before 8.7 these were two settings, and either was enough (`sshd.c`).
        if keyword.name == "KbdInteractiveAuthentication" && self.release.number < 807 {
            let other = Keyword::named("ChallengeResponseAuthentication").map(|other| self.settled(other));
            let says = |setting: &Setting, word: &str| setting.value.as_ref().is_some_and(|value| value.text == word);
            if let Some(other) = other.filter(|other| says(other, "yes") || own.place.is_none()) {
                return other;
            }
        }
        own
    }

    fn settled(&self, keyword: &Keyword) -> Setting {
        match self.main.get(keyword.name).map(Vec::as_slice) {
            Some(entries @ [_, ..]) => self.merge(keyword, entries),
            _ => self.built_in(keyword),
        }
    }

    /// Every value that a setting can have for a connection: that of the server, and those of `Match` blocks, each with its place.
    ///
    /// Blocks that always apply (`Match all`) hide the server's value and the blocks behind them.
    #[must_use]
    pub fn values(&self, keyword: &Keyword) -> Vec<Setting> {
        let mut values = Vec::new();
        let mut hidden = false;
        if !keyword.is_global(&self.release) {
            for block in &self.blocks {
                let Some(entries) = block.entries.get(keyword.name) else { continue };
                let mut setting = self.merge(keyword, entries);
                let words = match block.conditions.as_slice() {
                    [] => "all".to_owned(),
                    conditions => conditions.join(" and "),
                };
                let mut because = format!("for connections that match '{words}' ({})", block.place);
                if let Some(also) = setting.because {
                    because = format!("{because}; {also}");
                }
                setting.because = Some(because);
                values.push(setting);
                if block.conditions.is_empty() {
                    hidden = true;
                    break;
                }
            }
        }
        if !hidden {
            values.insert(0, self.effective(keyword));
        }
        values
    }

    /// A command without a user to run as stops the server when it has read everything (`main` of `sshd.c`).
    fn commands_have_users(&mut self) {
        for (command, user) in [
            ("AuthorizedKeysCommand", "AuthorizedKeysCommandUser"),
            ("AuthorizedPrincipalsCommand", "AuthorizedPrincipalsCommandUser"),
        ] {
            let set = self.main.get(command).and_then(|entries| entries.first()).filter(|entry| entry.value.text != "none");
            if let (Some(entry), false) = (set, self.main.contains_key(user)) {
                let found = format!("{command} {}", entry.value.written);
                let why = format!("it needs {user} beside it");
                self.flaws.push(Flaw { place: entry.place.clone(), keyword: Some(command), found, why });
            }
        }
    }

    fn merge(&self, keyword: &Keyword, entries: &[Entry]) -> Setting {
        let (winner, others): (&Entry, Vec<&Entry>) = match (keyword.merge_in(&self.release), entries) {
            (Merge::Append, _) => return append(entries),
            (Merge::Last, [others @ .., last]) => (last, others.iter().collect()),
            (_, [first, others @ ..]) => (first, others.iter().collect()),
            (_, []) => return self.built_in(keyword),
        };
        let beaten: Vec<String> =
            others.iter().filter(|other| other.value.text != winner.value.text).map(|other| other.place.to_string()).collect();
        let which = if keyword.merge_in(&self.release) == Merge::Last { "last" } else { "first" };
        let because = match beaten.as_slice() {
            [] => None,
            [one] => Some(format!("wins over {one}, because the {which} value counts")),
            [one, rest @ ..] => Some(format!("wins over {one} and {} more, because the {which} value counts", rest.len())),
        };
        let mut value = winner.value.clone();
        // A number alone leaves the rate of the lines before it as it was.
        if keyword.name == "MaxStartups" && which == "last" && !value.written.contains(':') {
            let before = others.iter().rev().find(|other| other.value.written.contains(':'));
            let rate = before.and_then(|other| other.value.text.split(':').nth(1));
            if let (Some(rate), Some((begin, _))) = (rate, value.text.split_once(':')) {
                value.text = format!("{begin}:{rate}:{begin}");
            }
        }
        Setting { value: Some(value), place: Some(winner.place.clone()), because }
    }

    fn built_in(&self, keyword: &Keyword) -> Setting {
        let because = if keyword.is_known_to(&self.release) {
            format!("not set: built into {}", self.release)
        } else {
            format!("{} does not know it", self.release)
        };
        let text = keyword.default(&self.release).filter(|_| keyword.is_known_to(&self.release));
        let value = text.map(|text| {
            let list: Vec<String> = text.split([',', '\n', ' ']).map(str::to_owned).collect();
            let number = value::time(text.as_bytes());
            let text = text.replace('\n', " ");
            Value { number, list: (list.len() > 1).then_some(list), written: text.clone(), text }
        });
        Setting { value, place: None, because: Some(because) }
    }
}

/// All values one after another.
fn append(entries: &[Entry]) -> Setting {
    let items = |entry: &Entry| entry.value.list.clone().unwrap_or_else(|| vec![entry.value.text.clone()]);
    let list: Vec<String> = entries.iter().flat_map(items).collect();
    let number = if let [one] = entries { one.value.number } else { None };
    let text = list.join(" ");
    let more = entries.len().saturating_sub(1);
    let value = Value { written: text.clone(), text, number, list: Some(list) };
    let because = (more > 0).then(|| format!("together with {more} more lines, because all of them count"));
    Setting { value: Some(value), place: entries.first().map(|entry| entry.place.clone()), because }
}

/// The main file: openSUSE has its own below `/usr` where `/etc` has none.
const PATHS: [&str; 2] = ["/etc/ssh/sshd_config", "/usr/etc/ssh/sshd_config"];

pub(super) fn gather(facts: &Facts<'_>) -> Fact<Sshd> {
    let release = Release::of(facts);
    let start = start::gather(facts)?;
    let mut sshd = read(facts.root(), release, &start.flags)?;
    sshd.unit = start.unit;
    Ok(sshd)
}

fn main_file(root: Rootfs<'_>) -> ImagePath {
    let [usual, vendor] = PATHS.map(ImagePath::new);
    let only_vendor = root.exists(&usual) == Ok(false) && root.exists(&vendor) == Ok(true);
    if only_vendor { vendor } else { usual }
}

fn read(root: Rootfs<'_>, release: Release, flags: &[Flag]) -> Fact<Sshd> {
    let mut loader = Loader::new(root, &release);
    for flag in flags {
        let (option, sets_ports): (&[u8], bool) = match flag.letter {
            b'o' => (b"", false),
            b'p' => (b"Port ", true),
            b'h' => (b"HostKey ", false),
            b'g' => (b"LoginGraceTime ", false),
            b'4' => (b"AddressFamily inet", false),
            b'6' => (b"AddressFamily inet6", false),
            _ => continue,
        };
        if let Some(line) = sshd_config::parse_option(&[option, &flag.argument].concat()) {
            loader.option(&flag.path, flag.line, &line);
        }
        loader.ports_given |= sets_ports;
    }
    let other = flags.iter().rev().find(|flag| flag.letter == b'f').map(|flag| flag.argument.as_slice());
    let path = other.map_or_else(|| main_file(root), ImagePath::new);
    if !other.is_some_and(|other| other.eq_ignore_ascii_case(b"none")) {
        loader.load(&path)?;
    }
    let Loader { main, blocks, flaws, files, .. } = loader;
    let mut sshd = Sshd { unit: None, path, files, main, blocks, flaws, release };
    sshd.commands_have_users();
    Ok(sshd)
}

#[cfg(test)]
mod tests;
