//! Home directories of accounts.

use super::{Accounts, Mode, place, unknown};
use crate::facts::accounts::Account;
use crate::facts::{Facts, FileState};
use crate::finding::{Evidence, Outcome};
use crate::image::{FileKind, Metadata};
use crate::path::ImagePath;

/// Home directories that one check looks at. Where more people than this work on one machine, their accounts come from a directory service
/// and not from its files; each asks for a pattern a name of a file.
pub(in crate::check) const MAX_HOMES: usize = 2_000;

/// What is said where there are more of them, if there are.
pub(in crate::check) fn too_many(homes: usize) -> Option<Outcome> {
    let reason = || format!("of {homes} home directories only the first {MAX_HOMES} are looked at");
    (homes > MAX_HOMES).then(|| Outcome::unknown(reason(), Vec::new()))
}

/// The pattern that names an account's home directory and nothing else; nothing where it has none that can be named.
pub(in crate::check) fn pattern(user: &Account) -> Option<String> {
    exactly(&user.home_path()?)
}

/// The pattern that names a path and nothing else; nothing for one that is not UTF-8.
pub(in crate::check) fn exactly(path: &ImagePath) -> Option<String> {
    let text = std::str::from_utf8(path.as_bytes()).ok()?;
    let mut pattern = String::with_capacity(text.len());
    for character in text.chars() {
        if "*?[]{}\\".contains(character) {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    Some(pattern)
}

impl Accounts {
    pub(super) fn judge_home(&self, user: &Account, facts: &Facts<'_>) -> Option<Outcome> {
        if !self.asks_for_homes() {
            return None;
        }
        let shown = crate::path::printable(&user.home);
        let Some(pattern) = pattern(user) else {
            let evidence = place(user).found(format!("{}: home directory '{shown}'", user.name)).expected("an absolute path");
            return Some(match std::str::from_utf8(&user.home) {
                Ok(_) => Outcome::fail(vec![evidence]),
                Err(_) => Outcome::unknown("a home directory whose name is not UTF-8 is not looked at", vec![evidence]),
            });
        };
        let states = match facts.files(&pattern) {
            Ok(states) => states,
            Err(unreadable) => return Some(unknown(&unreadable)),
        };
        let missing = |why: &str| {
            let evidence = place(user).found(format!("{}: home directory '{shown}' {why}", user.name)).expected("a directory");
            let wanted = self.home_exists.unwrap_or(false);
            // Where it does not have to exist there is nothing to judge.
            Some(if wanted { Outcome::fail(vec![evidence]) } else { Outcome::pass(vec![evidence]) })
        };
        match states.first().map(|state| (state, &state.leads_to)) {
            None => missing("does not exist"),
            Some((state, Err(_))) if state.dangling => missing("is a link to nothing"),
            Some((_, Err(unreadable))) => Some(unknown(unreadable)),
            Some((_, Ok((_, metadata)))) if metadata.kind != FileKind::Directory => missing("is no directory"),
            Some((state, Ok((_, metadata)))) => Some(self.judge_directory(user, state, metadata, facts)),
        }
    }

    fn judge_directory(&self, user: &Account, state: &FileState, metadata: &Metadata, facts: &Facts<'_>) -> Outcome {
        let place = || Evidence::at(&state.path).because(format!("the home directory of {}", user.name));
        let mut outcomes = vec![Outcome::pass(vec![place().found("a directory")])];
        let mut ask = |met, found: String, expected: String| {
            outcomes.push(Outcome::decide(met, vec![place().found(found).expected(expected)]));
        };
        if self.home_exists == Some(false) {
            ask(false, "a directory".into(), "nothing".into());
        }
        if let Some(allowed) = self.home_mode_within {
            let found = format!("mode {}", Mode(metadata.mode));
            ask(metadata.mode & !allowed.0 == 0, found, format!("{allowed} or stricter"));
        }
        let owner = (self.home_owned, metadata.uid, user.uid, "uid");
        let group = (self.home_group_owned, metadata.gid, user.gid, "gid");
        for (wanted, found, own, what) in [owner, group] {
            let Some(wanted) = wanted else { continue };
            if facts.root().keeps_ownership() {
                ask((found == own) == wanted, format!("{what} {found}"), format!("{what} {own}"));
            }
        }
        if (self.home_owned.is_some() || self.home_group_owned.is_some()) && !facts.root().keeps_ownership() {
            let reason =
                "this tree was unpacked by an unprivileged user, so its owners are not the image's; scan the archive instead";
            outcomes.push(Outcome::unknown(reason, vec![place()]));
        }
        Outcome::all(outcomes)
    }
}
