//! What the making of an image left behind.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::accounts::{MAX_HOMES, exactly, too_many};
use super::host_keys::HostKeys;
use super::{Kind, NamePattern, Names, Pattern, unknown};
use crate::facts::{FactId, Facts, FileState, Needs, Unreadable};
use crate::finding::{Evidence, Outcome};
use crate::image::FileKind;
use crate::path::ImagePath;

/// None of these paths holds anything.
///
/// A file counts if it has content, a directory by being there. What stores nothing does not count: an empty file, a link to a device,
/// and a link below `/usr` (`/var/log/README`), where only packages write. What is in a file is never shown.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Leftover {
    /// Paths or patterns: `*`, `?`, `[…]`, `{a,b}` within a component, `**` for any depth.
    pub path: Option<Names>,
    /// The same below every home directory: those of accounts, and `/root` and `/home/*`, where an account may be gone and its files not.
    pub home: Option<Names>,
    /// `true`: and the files where the configuration of the SSH server says that its host keys lie.
    #[serde(default)]
    pub host_keys: bool,
    /// Patterns of names (of the last component) that do not count.
    #[serde(default)]
    pub except: Vec<NamePattern>,
    /// Only the paths of this kind count.
    pub only: Option<FileKind>,
    /// A file counts only if one of its lines matches this.
    pub lines: Option<Pattern>,
    /// Lines that do not count, of those that match.
    pub except_lines: Option<Pattern>,
    /// A file with a line that matches this does not count.
    pub unless: Option<Pattern>,
}

/// Home directories of system accounts that are folders of the system: nobody's files are looked for there.
const NO_HOMES: [&str; 12] =
    ["/bin", "/boot", "/dev", "/etc", "/lib", "/nonexistent", "/proc", "/run", "/sbin", "/sys", "/usr", "/var/run"];

impl Kind for Leftover {
    fn needs(&self, facts: &Facts<'_>, needs: &mut Needs) {
        if self.home.is_some() {
            needs.fact(FactId::Accounts);
        }
        if self.host_keys {
            needs.fact(FactId::Sshd);
        }
        for pattern in self.patterns(facts) {
            if self.lines.is_some() {
                needs.contents(&pattern);
            }
            needs.files(pattern);
        }
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let mut left: BTreeMap<ImagePath, Evidence> = BTreeMap::new();
        let mut doubts = Vec::new();
        if self.home.is_some()
            && let Err(unreadable) = facts.accounts()
        {
            doubts.push(unknown(&unreadable));
        }
        if self.host_keys
            && let Err(unreadable) = facts.sshd()
        {
            doubts.push(unknown(&unreadable));
        }
        let homes = self.homes(facts);
        doubts.extend(too_many(homes.len()));
        let patterns = self.patterns(facts);
        for pattern in &patterns {
            match self.look(pattern, facts) {
                Ok((found, unsure)) => {
                    left.extend(found);
                    doubts.extend(unsure.iter().map(unknown));
                }
                Err(unreadable) => doubts.push(unknown(&unreadable)),
            }
        }
        if !left.is_empty() {
            return Ok(Outcome::fail(left.into_values().collect()));
        }
        if !doubts.is_empty() {
            return Ok(Outcome::all(doubts));
        }
        let first = ImagePath::new(patterns.first().map_or("/", String::as_str));
        Ok(Outcome::pass(vec![Evidence::at(&first).found("nothing is left")]))
    }

    fn flaw(&self) -> Option<String> {
        if self.path.is_none() && self.home.is_none() && !self.host_keys {
            Some("it says nothing of where to look; known: path, home, host-keys".into())
        } else if self.lines.is_none() && (self.except_lines.is_some() || self.unless.is_some()) {
            Some("except-lines and unless need lines".into())
        } else {
            None
        }
    }
}

impl Leftover {
    /// Every pattern to look at. Without accounts there are still the usual places.
    fn patterns(&self, facts: &Facts<'_>) -> Vec<String> {
        let mut patterns: Vec<String> = self.path.iter().flat_map(|names| names.0.iter().cloned()).collect();
        if self.host_keys {
            let halves = [HostKeys::Private, HostKeys::Public];
            patterns.extend(halves.into_iter().flat_map(|half| half.patterns(facts).unwrap_or_default()));
        }
        let homes = self.homes(facts);
        if let Some(Names(names)) = &self.home {
            let below = |home: &'_ String| names.iter().map(|name| format!("{home}/{name}")).collect::<Vec<_>>();
            patterns.extend(homes.iter().take(MAX_HOMES).flat_map(below));
        }
        patterns
    }

    /// The patterns of the home directories, sorted.
    fn homes(&self, facts: &Facts<'_>) -> Vec<String> {
        if self.home.is_none() {
            return Vec::new();
        }
        let mut homes = vec!["/home/*".to_owned(), "/root".to_owned()];
        for user in facts.accounts().map(|accounts| accounts.users.as_slice()).unwrap_or_default() {
            let Some(home) = user.home_path() else { continue };
            let covered = home == ImagePath::root()
                || home.parent() == Some(ImagePath::new("/home"))
                || NO_HOMES.iter().any(|folder| home.is_within(&ImagePath::new(folder)));
            homes.extend(if covered { None } else { exactly(&home) });
        }
        homes.sort();
        homes.dedup();
        homes
    }

    /// What counts of one pattern, and what it cannot be told of.
    fn look(&self, pattern: &str, facts: &Facts<'_>) -> Result<(BTreeMap<ImagePath, Evidence>, Vec<Unreadable>), Unreadable> {
        let (mut left, mut doubts) = (BTreeMap::new(), Vec::new());
        for state in facts.files(pattern)?.iter().filter(|state| !self.is_excepted(state)) {
            match self.counts(state) {
                Ok(Some(found)) if self.lines.is_none() => {
                    left.insert(state.path.clone(), Evidence::at(&state.path).found(found).expected("nothing"));
                }
                Ok(Some(found)) => {
                    // Both are sorted: of very many files not each is looked for among all.
                    let contents = facts.contents(pattern)?;
                    let at = contents.binary_search_by(|file| file.path.cmp(&state.path)).ok();
                    let Some(content) = at.and_then(|at| contents.get(at)) else { continue };
                    match &content.content {
                        Ok(content) => {
                            if let Some(line) = self.line(content) {
                                let evidence = Evidence::at(&state.path).line(line).found(found).expected("no such line");
                                left.insert(state.path.clone(), evidence);
                            }
                        }
                        Err(unreadable) => doubts.push(unreadable.clone()),
                    }
                }
                Ok(None) => {}
                Err(unreadable) => doubts.push(unreadable.clone()),
            }
        }
        Ok((left, doubts))
    }

    fn is_excepted(&self, state: &FileState) -> bool {
        self.except.iter().any(|pattern| pattern.fits(state.path.file_name()))
    }

    /// What is there, if it counts.
    fn counts<'s>(&self, state: &'s FileState) -> Result<Option<String>, &'s Unreadable> {
        let kind_counts = |kind| self.only.is_none_or(|only| only == kind) && (self.lines.is_none() || kind == FileKind::File);
        let (path, metadata) = match &state.leads_to {
            Ok(found) => found,
            Err(_) if state.dangling => return Ok(kind_counts(FileKind::Link).then(|| "a link to nothing".to_owned())),
            Err(unreadable) => return Err(unreadable),
        };
        let is_of_packages = state.target.is_some() && path.is_within(&ImagePath::new("/usr"));
        let holds = match metadata.kind {
            FileKind::File => metadata.size > 0,
            FileKind::Directory => true,
            _ => false,
        };
        let found = || match metadata.kind {
            FileKind::Directory => "a directory".to_owned(),
            _ => format!("a file of {} bytes", metadata.size),
        };
        Ok((holds && !is_of_packages && kind_counts(metadata.kind)).then(found))
    }

    /// The first line that counts.
    fn line(&self, content: &[u8]) -> Option<u32> {
        let wanted = self.lines.as_ref()?;
        let lines = || content.split(|&byte| byte == b'\n').map(|line| String::from_utf8_lossy(line.trim_ascii_end()));
        if self.unless.as_ref().is_some_and(|unless| lines().any(|line| unless.0.is_match(&line))) {
            return None;
        }
        let counts = |line: &str| wanted.0.is_match(line) && !self.except_lines.as_ref().is_some_and(|not| not.0.is_match(line));
        (1..).zip(lines()).find(|(_, line)| counts(line)).map(|(number, _)| number)
    }
}
