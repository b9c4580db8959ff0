//! Files in the home directories of accounts.

use schemars::JsonSchema;
use serde::Deserialize;

use super::accounts::{MAX_HOMES, OneOrMore, Selection, Who, pattern, too_many};
use super::{Kind, Mode, Names, unknown};
use crate::facts::accounts::Account;
use crate::facts::{Facts, FileState, Needs, Unreadable};
use crate::finding::{Evidence, Outcome, Status};
use crate::image::FileKind;
use crate::path::ImagePath;

/// Every file of these names in the home directories of the accounts that are chosen has to fit. Links are followed.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HomeFiles {
    /// Kinds of accounts, one word or several.
    pub who: Option<OneOrMore<Who>>,
    /// Accounts by name, beside those that `who` chooses.
    pub named: Option<Names>,
    /// Accounts by name that do not count.
    pub except: Option<Names>,
    /// Names or patterns of files below the home directory; directories do not count.
    pub files: Names,
    /// Whether such a file may be there at all.
    pub exists: Option<bool>,
    /// Whether it belongs to the account.
    pub owned: Option<bool>,
    /// Whether it belongs to the account's primary group.
    pub group_owned: Option<bool>,
    /// It has no permission beyond these bits.
    pub mode_within: Option<Mode>,
}

impl Kind for HomeFiles {
    fn needs(&self, facts: &Facts<'_>, needs: &mut Needs) {
        self.selection().needs(needs);
        let chosen = self.selection().of(facts).unwrap_or_default();
        chosen.iter().take(MAX_HOMES).flat_map(|user| self.patterns(user)).for_each(|pattern| needs.files(pattern));
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let chosen = self.selection().of(facts)?;
        let mut seen = 0_u64;
        let mut wrong: Vec<Outcome> = too_many(chosen.len()).into_iter().collect();
        for user in chosen.iter().take(MAX_HOMES) {
            if std::str::from_utf8(&user.home).is_err() {
                let reason = "a home directory whose name is not UTF-8 is not looked at";
                wrong.push(Outcome::unknown(reason, vec![super::accounts::place(user).found(&user.home)]));
            }
            for pattern in self.patterns(user) {
                match facts.files(&pattern) {
                    Ok(states) => {
                        let judged = states.iter().filter_map(|state| self.judge(user, state, facts)).inspect(|_| seen += 1);
                        wrong.extend(judged.filter(|outcome| outcome.status != Status::Pass));
                    }
                    Err(unreadable) => wrong.push(unknown(&unreadable)),
                }
            }
        }
        if !wrong.is_empty() {
            return Ok(Outcome::all(wrong));
        }
        let found = format!("{} home directories, {seen} such files, none of them wrong", chosen.len());
        Ok(Outcome::pass(vec![Evidence::at(&ImagePath::new("/etc/passwd")).found(found)]))
    }

    fn flaw(&self) -> Option<String> {
        let asks = self.exists.is_some() || self.owned.is_some() || self.group_owned.is_some() || self.mode_within.is_some();
        let known = "exists, owned, group-owned, mode-within";
        self.selection().flaw().or_else(|| (!asks).then(|| format!("it asks nothing of the files; known: {known}")))
    }
}

impl HomeFiles {
    fn selection(&self) -> Selection<'_> {
        Selection { who: self.who.as_ref(), named: self.named.as_ref(), except: self.except.as_ref() }
    }

    fn patterns(&self, user: &Account) -> Vec<String> {
        let Some(home) = pattern(user) else { return Vec::new() };
        self.files.0.iter().map(|name| format!("{}/{name}", home.trim_end_matches('/'))).collect()
    }

    /// Nothing for what does not count: a directory, a link to nothing.
    fn judge(&self, user: &Account, state: &FileState, facts: &Facts<'_>) -> Option<Outcome> {
        let place = || Evidence::at(&state.path).because(format!("in the home directory of {}", user.name));
        let metadata = match &state.leads_to {
            Ok((_, metadata)) if metadata.kind == FileKind::Directory => return None,
            Ok((_, metadata)) => metadata,
            Err(_) if state.dangling => &state.itself,
            Err(unreadable) => return Some(unknown(unreadable)),
        };
        let mut outcomes = vec![Outcome::pass(Vec::new())];
        let mut ask = |met, found: String, expected: String| {
            outcomes.push(Outcome::decide(met, vec![place().found(found).expected(expected)]));
        };
        if let Some(wanted) = self.exists {
            ask(wanted, metadata.kind.name().into(), "no such file".into());
        }
        if let Some(allowed) = self.mode_within
            && metadata.kind != FileKind::Link
        {
            let found = format!("mode {}", Mode(metadata.mode));
            ask(metadata.mode & !allowed.0 == 0, found, format!("{allowed} or stricter"));
        }
        let owner = (self.owned, metadata.uid, user.uid, "uid");
        let group = (self.group_owned, metadata.gid, user.gid, "gid");
        for (wanted, found, own, what) in [owner, group] {
            let Some(wanted) = wanted else { continue };
            if !facts.root().keeps_ownership() {
                let reason =
                    "this tree was unpacked by an unprivileged user, so its owners are not the image's; scan the archive instead";
                return Some(Outcome::unknown(reason, vec![place()]));
            }
            ask((found == own) == wanted, format!("{what} {found}"), format!("{what} {own}"));
        }
        Some(Outcome::all(outcomes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Target;
    use crate::image::{MemoryImage, Rootfs};

    #[test]
    fn more_home_directories_than_are_looked_at_are_unknown() {
        let passwd =
            |count| (0..count).map(|id| format!("u{id}:x:{}:1::/h/{id}:/bin/sh\n", 1_000 + id)).collect::<Vec<_>>().concat();
        let check: HomeFiles = toml::from_str("who = 'interactive'\nfiles = '.netrc'\nexists = false").unwrap();
        let judged = |image: &MemoryImage| {
            let target = Target::image(Rootfs::new(image), jiff::civil::date(2026, 1, 1));
            check.evaluate(&Facts::gather(target, |facts, needs| check.needs(facts, needs)))
        };
        let few = MemoryImage::new().file("/etc/passwd", passwd(MAX_HOMES));
        let many = MemoryImage::new().file("/etc/passwd", passwd(MAX_HOMES + 1));
        assert_eq!(judged(&few).status, Status::Pass);
        let reason = "of 2001 home directories only the first 2000 are looked at";
        assert_eq!((judged(&many).status, judged(&many).reason.as_deref()), (Status::Unknown, Some(reason)));
        assert_eq!(judged(&many.file("/h/7/.netrc", "x")).status, Status::Fail);
    }
}
