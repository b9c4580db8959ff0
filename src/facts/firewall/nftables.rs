//! What `nftables.service` loads.

use super::{Loader, loader, read};
use crate::facts::{Fact, Facts, Unreadable};
use crate::image::{FileKind, Rootfs};
use crate::path::ImagePath;
use crate::syntax::nftables::{Base, Chain, MAX_TOKENS, Ruleset, Table, Token, tokens};
use crate::syntax::packet_rule::PacketRule;

/// Includes within includes (`MAX_INCLUDE_DEPTH` of nft).
const MAX_DEPTH: usize = 16;

/// Files of one script. Lists of addresses are some dozens; a file that includes itself would be read 16 times over and over.
const MAX_FILES: usize = 2_000;

/// Where the script lies that packages bring: Debian, Red Hat.
const SCRIPTS: [&str; 2] = ["/etc/nftables.conf", "/etc/sysconfig/nftables.conf"];

/// What is loaded at boot.
#[derive(Debug, Clone)]
pub struct Nftables {
    /// The unit that loads it.
    pub loader: Loader,
    /// The files that were read, in the order of their numbers.
    pub files: Vec<ImagePath>,
    /// The rules; or why there are none.
    pub ruleset: Result<Ruleset, Refusal>,
}

/// Why nothing is loaded, or why that is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The file.
    pub path: ImagePath,
    /// The line, from 1, where it has one.
    pub line: Option<u32>,
    /// Whether `nft` refuses the script, and so loads nothing.
    pub refused: bool,
    /// Why.
    pub reason: String,
}

pub(super) fn gather(facts: &Facts<'_>) -> Fact<Nftables> {
    let loader = loader(facts, "nftables.service")?;
    let mut files = Vec::new();
    let scripts = scripts(facts)?;
    let mut all = Vec::new();
    for script in &scripts {
        match load(facts.root(), script, &mut files, 0)? {
            Ok(tokens) => all.extend(tokens),
            Err(refusal) => return Ok(Nftables { loader, files, ruleset: Err(refusal) }),
        }
    }
    let ruleset = Ruleset::run(all).map_err(|flaw| Refusal {
        path: files.get(flaw.file).cloned().unwrap_or_else(ImagePath::root),
        line: Some(flaw.line),
        refused: flaw.refused,
        reason: flaw.reason,
    });
    Ok(Nftables { loader, files, ruleset })
}

/// The scripts that the unit hands to `nft -f`; where there is no such unit, the one that a package brings.
fn scripts(facts: &Facts<'_>) -> Fact<Vec<ImagePath>> {
    let commands = facts.units()?.property("nftables.service", "Service", "ExecStart")?;
    let mut found = Vec::new();
    for command in &commands {
        let words: Vec<&str> = command.text.split_ascii_whitespace().collect();
        let program = words.first().map(|word| word.trim_start_matches(['-', '@', ':', '+', '!'])).unwrap_or_default();
        let file = words.iter().enumerate().find_map(|(at, word)| match *word {
            "-f" | "--file" => words.get(at + 1).copied(),
            word => word.strip_prefix("--file=").or_else(|| word.strip_prefix("-f").filter(|file| file.starts_with('/'))),
        });
        match file {
            Some(file) if program.rsplit('/').next() == Some("nft") => found.push(ImagePath::new(file.trim_matches(['"', '\'']))),
            _ => {
                let reason = "what it loads is not known: it is no 'nft -f'";
                return Err(Unreadable::at_line(&command.path, command.line, reason));
            }
        }
    }
    if found.is_empty() {
        let [debian, red_hat] = SCRIPTS.map(ImagePath::new);
        let other = facts.root().exists(&red_hat).map_err(|error| Unreadable::reading(&red_hat, &error))?;
        let first = facts.root().exists(&debian).map_err(|error| Unreadable::reading(&debian, &error))?;
        found.push(if other && !first { red_hat } else { debian });
    }
    Ok(found)
}

/// The tokens of a script with its includes in their places.
fn load(root: Rootfs<'_>, path: &ImagePath, files: &mut Vec<ImagePath>, depth: usize) -> Fact<Result<Vec<Token>, Refusal>> {
    let refusal = |refused, reason: &str| Refusal { path: path.clone(), line: None, refused, reason: reason.to_owned() };
    let Some(content) = read(root, path)? else { return Ok(Err(refusal(true, "there is no such file"))) };
    if files.len() >= MAX_FILES {
        return Ok(Err(refusal(false, "the script is made of too many files")));
    }
    files.push(path.clone());
    let tokens = match tokens(&content, files.len() - 1) {
        Ok(tokens) => tokens,
        Err(flaw) => return Ok(Err(Refusal { line: Some(flaw.line), ..refusal(flaw.refused, &flaw.reason) })),
    };
    let mut done: Vec<Token> = Vec::with_capacity(tokens.len());
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let fresh = done.last().is_none_or(|before| before.ends() || before.is('{') || before.is('}'));
        if !fresh || token.word() != Some("include") {
            done.push(token);
            continue;
        }
        let place = |refused, reason: &str| Refusal { line: Some(token.line), ..refusal(refused, reason) };
        let is_text = tokens.peek().is_some_and(|next| next.word().is_none() && next.text().is_some());
        let Some(pattern) = tokens.next_if(|_| is_text) else {
            return Ok(Err(place(true, "the name of an include is put in quotes")));
        };
        if depth + 1 >= MAX_DEPTH {
            return Ok(Err(place(true, "includes within includes are too deep")));
        }
        let Some(included) = included(root, pattern.text().unwrap_or_default())? else {
            return Ok(Err(place(true, "the included file does not exist")));
        };
        for file in included {
            match load(root, &file, files, depth + 1)? {
                Ok(more) => done.extend(more),
                Err(refusal) => return Ok(Err(refusal)),
            }
            if done.len() > MAX_TOKENS {
                return Ok(Err(place(false, "the script has too many words")));
            }
        }
    }
    Ok(Ok(done))
}

/// The files of an include, sorted; nothing where one is named outright and is not there. What is not absolute is looked for in `/etc`
/// (nft's default path), and names that begin with `./` where the service runs, in `/`.
fn included(root: Rootfs<'_>, pattern: &str) -> Fact<Option<Vec<ImagePath>>> {
    let whole = match pattern.as_bytes() {
        [b'/', ..] => pattern.to_owned(),
        [b'.', b'/', ..] | [b'.', b'.', b'/', ..] => format!("/{pattern}"),
        _ => format!("/etc/{pattern}"),
    };
    let path = ImagePath::new(&whole);
    if !whole.contains(['*', '?', '[']) {
        let there = root.exists(&path).map_err(|error| Unreadable::reading(&path, &error))?;
        return Ok(there.then(|| vec![path]));
    }
    let found = root.glob(&whole.replace("**", "*")).map_err(|error| Unreadable::reading(&path, &error))?;
    let is_directory = |path: &ImagePath| root.resolve(path).is_ok_and(|found| found.metadata.kind == FileKind::Directory);
    Ok(Some(found.into_iter().filter(|path| !is_directory(path)).collect()))
}

impl Nftables {
    /// The place of something in the script.
    #[must_use]
    pub fn path(&self, file: usize) -> ImagePath {
        self.files.get(file).cloned().unwrap_or_else(|| ImagePath::new(SCRIPTS.first().copied().unwrap_or("/")))
    }

    /// The chains at a hook that filter packets of a version of the Internet Protocol.
    pub fn at_hook<'r>(
        ruleset: &'r Ruleset,
        hook: &str,
        version: u8,
    ) -> impl Iterator<Item = (&'r Table, &'r str, &'r Chain, &'r Base)> {
        let tables = ruleset.tables.iter().filter(move |((family, _), table)| family.sees(version) && !table.dormant);
        let chains = tables.flat_map(|(_, table)| table.chains.iter().map(move |(name, chain)| (table, name.as_str(), chain)));
        let based = chains.filter_map(|(table, name, chain)| Some((table, name, chain, chain.base.as_ref()?)));
        based.filter(move |(.., base)| base.kind == "filter" && base.hook == hook)
    }

    /// The rules of a table, chain by chain.
    #[must_use]
    pub fn rules(table: &Table) -> std::collections::BTreeMap<&str, &[PacketRule]> {
        table.chains.iter().map(|(name, chain)| (name.as_str(), chain.rules.as_slice())).collect()
    }
}
