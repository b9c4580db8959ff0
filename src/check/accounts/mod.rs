//! Accounts: who they are, how they log in, what they own.

mod home;
mod who;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

pub(super) use home::{MAX_HOMES, exactly, pattern, too_many};
pub(super) use who::{OneOrMore, Selection, Who};

use super::file::WhenNone;
use super::{Kind, Mode, Names, unknown};
use crate::facts::accounts::{Account, Field, Known, Password};
use crate::facts::{FactId, Facts, Needs, Unreadable};
use crate::finding::{Evidence, Outcome, Status};
use crate::path::ImagePath;

/// Every account that is chosen has to fit.
///
/// Accounts are those that the C library reads from `/etc/passwd` (and what else `nsswitch.conf` names), so a line it passes over is
/// none. Passwords are never shown, only what kind they are.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Accounts {
    /// Kinds of accounts, one word or several.
    pub who: Option<OneOrMore<Who>>,
    /// Accounts by name, beside those that `who` chooses.
    pub named: Option<Names>,
    /// Accounts by name that do not count.
    pub except: Option<Names>,
    /// Its name is one of these.
    pub is: Option<Names>,
    /// The number of its primary group.
    pub gid: Option<u32>,
    /// Whether it has a login program other than `nologin` and `false`.
    pub login_shell: Option<bool>,
    /// What its password may be. With `who = "all"`, lines of shadow that belong to no account are judged as well.
    pub password: Option<OneOrMore<State>>,
    /// A password that is accepted is hashed in one of these ways: `yescrypt`, `sha512`, …
    pub hashed_with: Option<Names>,
    /// Whether passwd holds `x`, so that the password is in shadow, or `*` or `!` alone, so that there is none.
    pub shadowed: Option<bool>,
    /// Whether its primary group exists.
    pub group_exists: Option<bool>,
    /// No other account has the same.
    pub unique: Option<Unique>,
    /// Whether its home directory is there and is a directory.
    pub home_exists: Option<bool>,
    /// Whether its home directory belongs to it.
    pub home_owned: Option<bool>,
    /// Whether its home directory belongs to its primary group.
    pub home_group_owned: Option<bool>,
    /// Its home directory has no permission beyond these bits.
    pub home_mode_within: Option<Mode>,
    /// The verdict if no account is chosen: `pass`, `fail`, or `not-applicable` (the default).
    #[serde(default)]
    pub when_none: WhenNone,
}

/// What a password field says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// A password that is accepted.
    Set,
    /// `!` first: none is accepted.
    Locked,
    /// `*`, or anything else that no password gives.
    None,
    /// Empty: none is asked for.
    Empty,
    /// passwd points to shadow, and that has no line for it.
    Missing,
}

impl State {
    fn fits(self, password: Password) -> bool {
        match self {
            Self::Set => matches!(password, Password::Set(_)),
            Self::Locked => password == Password::Locked,
            Self::None => password == Password::None,
            Self::Empty => password == Password::Empty,
            Self::Missing => password == Password::Missing,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Set => "a password",
            Self::Locked => "a locked password",
            Self::None => "no valid password",
            Self::Empty => "an empty password",
            Self::Missing => "no line in shadow",
        }
    }
}

/// What no two accounts share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Unique {
    /// The user id.
    Uid,
    /// The login name.
    Name,
}

impl Kind for Accounts {
    fn needs(&self, facts: &Facts<'_>, needs: &mut Needs) {
        self.selection().needs(needs);
        if self.password.is_some() || self.hashed_with.is_some() {
            needs.fact(FactId::Shadow);
        }
        if self.asks_for_homes() {
            let chosen = self.selection().of(facts).unwrap_or_default();
            chosen.iter().take(MAX_HOMES).filter_map(|user| pattern(user)).for_each(|home| needs.files(home));
        }
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let chosen = self.selection().of(facts)?;
        let passwd = ImagePath::new("/etc/passwd");
        let homes = if self.asks_for_homes() { chosen.as_slice() } else { &[] };
        let looked_at = homes.iter().take(MAX_HOMES).filter_map(|user| self.judge_home(user, facts)).filter(is_wrong);
        let one_by_one = chosen.iter().filter_map(|user| self.judge(user, facts));
        let others = self.twins(&chosen).chain(self.orphans(facts));
        let mut wrong = one_by_one.chain(looked_at).chain(too_many(homes.len())).chain(others).peekable();
        if wrong.peek().is_some() {
            return Ok(Outcome::all(wrong));
        }
        if chosen.is_empty() {
            return Ok(self.when_none.outcome(&passwd, "no such account"));
        }
        Ok(Outcome::pass(vec![Evidence::at(&passwd).found(format!("{} accounts, all of them as they should be", chosen.len()))]))
    }

    fn flaw(&self) -> Option<String> {
        let asks = self.is.is_some()
            || self.gid.is_some()
            || self.login_shell.is_some()
            || self.password.is_some()
            || self.hashed_with.is_some()
            || self.shadowed.is_some()
            || self.group_exists.is_some()
            || self.unique.is_some()
            || self.asks_for_homes();
        let known = "is, gid, login-shell, password, hashed-with, shadowed, group-exists, unique, home-exists, home-owned, \
                     home-group-owned, home-mode-within";
        self.selection().flaw().or_else(|| (!asks).then(|| format!("it asks nothing of the accounts; known: {known}")))
    }
}

fn is_wrong(outcome: &Outcome) -> bool {
    outcome.status != Status::Pass
}

/// Where an account is.
pub(super) fn place(user: &Account) -> Evidence {
    Evidence::at(&user.path).line_opt(user.line)
}

impl Accounts {
    fn selection(&self) -> Selection<'_> {
        Selection { who: self.who.as_ref(), named: self.named.as_ref(), except: self.except.as_ref() }
    }

    fn asks_for_homes(&self) -> bool {
        self.home_exists.is_some()
            || self.home_owned.is_some()
            || self.home_group_owned.is_some()
            || self.home_mode_within.is_some()
    }

    /// What is wrong with one account, or cannot be known of it.
    fn judge(&self, user: &Account, facts: &Facts<'_>) -> Option<Outcome> {
        let mut outcomes = Vec::new();
        let mut ask = |met: bool, found: String, expected: String| {
            if !met {
                let place = place(user).found(format!("{}: {found}", user.name));
                outcomes.push(Outcome::fail(vec![place.expected(expected)]));
            }
        };
        if let Some(names) = &self.is {
            ask(
                names.0.contains(&user.name),
                format!("uid {}, gid {}", user.uid, user.gid),
                format!("only {}", names.0.join(", ")),
            );
        }
        if let Some(gid) = self.gid {
            ask(user.gid == gid, format!("gid {}", user.gid), format!("gid {gid}"));
        }
        if let Some(wanted) = self.login_shell {
            let shell = crate::path::printable(&user.shell);
            let expected = if wanted { "a login program that lets somebody in" } else { "nologin or false as login program" };
            ask(user.has_login_shell() == wanted, format!("login program '{shell}'"), expected.into());
        }
        if let Some(wanted) = self.shadowed {
            let found = match user.field {
                Field::Shadowed => "the password is in shadow".to_owned(),
                Field::Closed(own) | Field::Own(own) => format!("{own} in passwd itself"),
            };
            ask(!matches!(user.field, Field::Own(_)) == wanted, found, "x, or * or ! alone, in passwd".into());
        }
        outcomes.extend(self.judge_password(user, facts));
        outcomes.extend(self.judge_group(user, facts));
        let wrong: Vec<Outcome> = outcomes.into_iter().filter(is_wrong).collect();
        (!wrong.is_empty()).then(|| Outcome::all(wrong))
    }

    fn judge_password(&self, user: &Account, facts: &Facts<'_>) -> Option<Outcome> {
        if self.password.is_none() && self.hashed_with.is_none() {
            return None;
        }
        let shadow = match facts.shadow() {
            Ok(shadow) => shadow,
            Err(unreadable) => return Some(unknown(&unreadable)),
        };
        let (password, path, line) = shadow.password(user);
        let states = self.password.as_ref().map(|states| (states.0.iter().any(|state| state.fits(password)), expected(states)));
        let scheme = self.hashed_with.as_ref().map(|schemes| {
            let met = match password {
                Password::Set(scheme) => schemes.0.contains(&scheme.to_string()),
                _ => true,
            };
            (met, schemes.0.join(" or "))
        });
        let found = || Evidence::at(path).line_opt(line).found(format!("{}: {password}", user.name));
        let asked = states.into_iter().chain(scheme);
        Some(Outcome::all(asked.map(|(met, expected)| Outcome::decide(met, vec![found().expected(expected)]))))
    }

    fn judge_group(&self, user: &Account, facts: &Facts<'_>) -> Option<Outcome> {
        let wanted = self.group_exists?;
        let accounts = match facts.accounts() {
            Ok(accounts) => accounts,
            Err(unreadable) => return Some(unknown(&unreadable)),
        };
        let place = place(user).found(format!("{}: gid {}", user.name, user.gid)).expected("a group of this number");
        Some(match accounts.knows_gid(user.gid) {
            Known::Perhaps(why) => Outcome::unknown(why, vec![place]),
            known => Outcome::decide((known == Known::Yes) == wanted, vec![place]),
        })
    }

    /// Accounts that share what has to be unique.
    fn twins(&self, chosen: &[&Account]) -> impl Iterator<Item = Outcome> {
        let mut seen: BTreeMap<String, Vec<&Account>> = BTreeMap::new();
        for (unique, user) in self.unique.into_iter().flat_map(|unique| chosen.iter().map(move |user| (unique, *user))) {
            let key = match unique {
                Unique::Uid => format!("uid {}", user.uid),
                Unique::Name => format!("the name {}", user.name),
            };
            seen.entry(key).or_default().push(user);
        }
        let shared = seen.into_iter().filter(|(_, users)| users.len() > 1);
        shared.map(|(key, users)| {
            let expected = format!("{key} only once");
            Outcome::all(users.into_iter().map(|user| Outcome::fail(vec![place(user).found(&user.name).expected(&expected)])))
        })
    }

    /// Lines of shadow that belong to no account: whoever makes an account of this name later gives it their password.
    fn orphans<'f>(&'f self, facts: &'f Facts<'_>) -> impl Iterator<Item = Outcome> + 'f {
        let all = self.who.as_ref().is_some_and(|who| who.0.contains(&Who::All));
        let states = self.password.as_ref().filter(|_| all);
        let known = states.and_then(|states| Some((states, facts.shadow().ok()?, facts.accounts().ok()?)));
        known.into_iter().flat_map(|(states, shadow, accounts)| {
            let orphans = shadow.lines.iter().filter(|line| accounts.user(&line.name).is_none());
            let wrong = orphans.filter(|line| !states.0.iter().any(|state| state.fits(line.password)));
            wrong.map(|line| {
                let found = format!("{}: {}, and no such account", line.name, line.password);
                Outcome::fail(vec![Evidence::at(&shadow.path).line(line.line).found(found).expected(expected(states))])
            })
        })
    }
}

fn expected(states: &OneOrMore<State>) -> String {
    states.0.iter().map(|state| state.words()).collect::<Vec<_>>().join(" or ")
}
