//! Files by path or pattern.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;

use super::host_keys::HostKeys;
use super::{Kind, Mode, NamePattern, Names, unknown};
use crate::facts::accounts::Account;
use crate::facts::{Accounts, FactId, Facts, FileState, Needs, Unreadable};
use crate::finding::{Evidence, Outcome, Status};
use crate::image::{FileKind, Metadata};
use crate::path::ImagePath;
use crate::syntax::acl::{self, Tag};

/// Every path that the patterns name has to fit. Links are followed: what counts is the file that the system would open.
///
/// Modes are bit subsets: 0604 is *not* within 0640, whatever the numbers say. An access list widens a mode: the group bits then show
/// its mask (`acl(5)`), so named users and groups in it are judged as well. Where the rule says who the owner and group may be, those
/// alone get their bits by name, and anybody else no more than others; where it does not, anybody may have what the group may.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct File {
    /// Paths or patterns: `*`, `?`, `[…]`, `{a,b}` within a component, `**` for any depth.
    pub path: Names,
    /// With them, the files where the configuration of the SSH server says that this half of its host keys lies.
    pub host_keys: Option<HostKeys>,
    /// Patterns of names (of the last component) that do not count.
    #[serde(default)]
    pub except: Vec<NamePattern>,
    /// Whether it has to exist (`true`), or must not (`false`). Without this, a path that does not exist is what `when-none` says.
    pub exists: Option<bool>,
    /// Only the paths of this kind count; others among the matches are passed over.
    pub only: Option<FileKind>,
    /// It has to be of this kind.
    pub kind: Option<FileKind>,
    /// No permission beyond these bits.
    pub mode_within: Option<Mode>,
    /// All of these bits are set.
    pub mode_has: Option<Mode>,
    /// Owner: one of these accounts of the image, or numbers. `root` is always 0.
    pub owner: Option<Names>,
    /// Group: one of these groups of the image, or numbers. `root` is always 0.
    pub group: Option<Names>,
    /// `true`: an owner or group that is not named is as good if nobody can log in as it: an account with `nologin` or `false` for a login
    /// program, or the primary group of such accounts alone.
    #[serde(default)]
    pub or_no_login: bool,
    /// It has no content.
    pub empty: Option<bool>,
    /// The verdict if nothing matches the patterns: `pass`, `fail`, `unknown`, or `not-applicable` (the default).
    #[serde(default)]
    pub when_none: WhenNone,
}

/// The verdict over an empty set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WhenNone {
    /// Nothing there is as it should be.
    Pass,
    /// Something should be there.
    Fail,
    /// There has to be something, and it may lie on a volume that is not part of the source.
    Unknown,
    /// There is nothing to judge.
    #[default]
    NotApplicable,
}

impl WhenNone {
    /// The verdict, with this as its reason and place.
    pub(super) fn outcome(self, path: &ImagePath, reason: &str) -> Outcome {
        let evidence = Evidence::at(path).found(reason);
        match self {
            Self::Pass => Outcome::pass(vec![evidence]).because(reason),
            Self::Fail => Outcome::fail(vec![evidence.expected("to exist")]),
            Self::Unknown => Outcome::unknown(
                format!("{path}: {reason}; it may lie on a volume that is not part of the source"),
                vec![evidence.expected("to exist")],
            ),
            Self::NotApplicable => Outcome::not_applicable(format!("{path}: {reason}")),
        }
    }
}

impl Kind for File {
    fn needs(&self, facts: &Facts<'_>, needs: &mut Needs) {
        self.path.0.iter().for_each(|pattern| needs.files(pattern));
        if let Some(half) = self.host_keys {
            needs.fact(FactId::Sshd);
            half.patterns(facts).unwrap_or_default().into_iter().for_each(|pattern| needs.files(pattern));
        }
        let mut names = self.owner.iter().chain(&self.group).flat_map(|names| &names.0);
        if self.or_no_login || names.any(|name| fixed_id(name).is_none()) {
            needs.fact(FactId::Accounts);
        }
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let (mut outcomes, mut seen) = (Vec::new(), BTreeSet::new());
        let named = match self.host_keys.map(|half| half.patterns(facts)) {
            Some(Ok(named)) => named,
            Some(Err(unreadable)) => {
                outcomes.push(unknown(&unreadable));
                Vec::new()
            }
            None => Vec::new(),
        };
        for pattern in self.path.0.iter().chain(&named) {
            match facts.files(pattern) {
                Ok(found) => {
                    let counted = found.iter().filter(|state| self.counts(state) && seen.insert(state.path.clone()));
                    let before = outcomes.len();
                    outcomes.extend(counted.map(|state| self.judge(state, facts)));
                    if outcomes.len() == before && self.exists == Some(true) {
                        outcomes.push(WhenNone::Fail.outcome(&ImagePath::new(pattern), "does not exist"));
                    }
                }
                Err(unreadable) => outcomes.push(unknown(&unreadable)),
            }
        }
        if !outcomes.is_empty() {
            return Ok(Outcome::all(outcomes));
        }
        let first = ImagePath::new(self.path.0.first().map_or("/", String::as_str));
        Ok(match self.exists {
            Some(false) => WhenNone::Pass.outcome(&first, "does not exist"),
            _ => self.when_none.outcome(&first, "does not exist"),
        })
    }

    fn flaw(&self) -> Option<String> {
        let asks = self.exists.is_some()
            || self.kind.is_some()
            || self.mode_within.is_some()
            || self.mode_has.is_some()
            || self.owner.is_some()
            || self.group.is_some()
            || self.empty.is_some();
        if self.or_no_login && self.owner.is_none() && self.group.is_none() {
            return Some("'or-no-login' widens 'owner' and 'group', of which neither is given".into());
        }
        if let Some(wrong) = self.path.not_whole() {
            return Some(wrong);
        }
        (!asks).then(|| "it asks nothing of the file; known: exists, kind, mode-within, mode-has, owner, group, empty".into())
    }
}

impl File {
    fn counts(&self, state: &FileState) -> bool {
        let of_kind = |only| match &state.leads_to {
            Ok((_, metadata)) => metadata.kind == only,
            Err(_) => state.itself.kind == only,
        };
        self.only.is_none_or(of_kind) && !self.except.iter().any(|pattern| pattern.fits(state.path.file_name()))
    }

    fn judge(&self, state: &FileState, facts: &Facts<'_>) -> Outcome {
        let (path, metadata) = match &state.leads_to {
            Ok((path, metadata)) => (path, metadata),
            Err(_) if self.exists == Some(false) => {
                return Outcome::fail(vec![Evidence::at(&state.path).found("a link").expected("nothing")]);
            }
            Err(unreadable) if state.dangling => {
                let when = if self.exists == Some(true) { WhenNone::Fail } else { self.when_none };
                return when.outcome(&state.path, &unreadable.reason);
            }
            Err(unreadable) => return unknown(unreadable),
        };
        if self.exists == Some(false) {
            return Outcome::fail(vec![Evidence::at(&state.path).found(metadata.kind.name()).expected("nothing")]);
        }
        let mut place = Evidence::at(&state.path);
        if *path != state.path {
            place = place.because(format!("a link to {path}"));
        }
        let mut outcomes = vec![Outcome::pass(vec![place.clone().found(describe(metadata))])];
        if let Some(kind) = self.kind {
            let met = state.itself.kind == kind || metadata.kind == kind;
            outcomes.push(Outcome::decide(met, vec![place.clone().found(metadata.kind.name()).expected(kind.name())]));
        }
        if self.mode_within.is_some() || self.mode_has.is_some() {
            outcomes.push(self.judge_mode(metadata, &place));
        }
        if let Some(allowed) = self.mode_within {
            outcomes.push(self.judge_access_list(state, allowed, facts, &place));
        }
        if let Some(empty) = self.empty {
            let met = (metadata.size == 0) == empty;
            let expected = if empty { "no content" } else { "content" };
            outcomes.push(Outcome::decide(met, vec![place.clone().found(format!("{} bytes", metadata.size)).expected(expected)]));
        }
        if self.owner.is_some() || self.group.is_some() {
            if facts.root().keeps_ownership() {
                outcomes.push(self.judge_id(&OWNER, self.owner.as_ref(), metadata.uid, facts, &place));
                outcomes.push(self.judge_id(&GROUP, self.group.as_ref(), metadata.gid, facts, &place));
            } else {
                let reason =
                    "this tree was unpacked by an unprivileged user, so its owners are not the image's; scan the archive instead";
                outcomes.push(Outcome::unknown(reason, vec![place]));
            }
        }
        Outcome::all(outcomes)
    }

    fn judge_mode(&self, metadata: &Metadata, place: &Evidence) -> Outcome {
        let within = self.mode_within.is_none_or(|allowed| metadata.mode & !allowed.0 == 0);
        let has = self.mode_has.is_none_or(|wanted| metadata.mode & wanted.0 == wanted.0);
        let allowed = self.mode_within.map(|allowed| format!("{allowed} or stricter"));
        let wanted = self.mode_has.map(|wanted| format!("with {wanted}"));
        let expected: Vec<String> = allowed.into_iter().chain(wanted).collect();
        let found = format!("mode {}", Mode(metadata.mode));
        Outcome::decide(within && has, vec![place.clone().found(found).expected(expected.join(", "))])
    }

    /// Users and groups that an access list names get no more than their share of the mode. What each of them gets is cut to the
    /// list's mask.
    fn judge_access_list(&self, state: &FileState, allowed: Mode, facts: &Facts<'_>, place: &Evidence) -> Outcome {
        let entries = match &state.acl {
            Ok(None) => return Outcome::pass(Vec::new()),
            Ok(Some(stored)) => acl::parse(stored),
            Err(unreadable) => return unknown(unreadable),
        };
        let entries = match entries {
            Ok(entries) => entries,
            Err(reason) => return Outcome::unknown(reason, vec![place.clone()]),
        };
        let mask = entries.iter().find(|entry| entry.tag == Tag::Mask).map_or(0o7, |mask| mask.permissions);
        let bits = |shift: u32| allowed.0 >> shift & 0o7;
        let anybody = if self.owner.is_none() && self.group.is_none() { bits(3) } else { bits(0) };
        let mut outcomes = vec![Outcome::pass(Vec::new())];
        for entry in entries {
            let (side, names, id, share) = match entry.tag {
                Tag::User(uid) => (&OWNER, self.owner.as_ref(), uid, bits(6)),
                Tag::Group(gid) => (&GROUP, self.group.as_ref(), gid, bits(3)),
                _ => continue,
            };
            let gets = entry.permissions & mask;
            // root may everything anyhow.
            if gets & !anybody == 0 || (entry.tag == Tag::User(0)) {
                continue;
            }
            let found = format!("the access list gives {} to {} {id}", letters(gets), side.called);
            let too_much = |most| Outcome::fail(vec![place.clone().found(&found).expected(format!("{} or less", letters(most)))]);
            outcomes.push(if names.is_none() || gets & !share != 0 {
                too_much(anybody)
            } else {
                match self.judge_id(side, names, id, facts, place) {
                    named if named.status == Status::Fail => too_much(anybody),
                    other => other,
                }
            });
        }
        Outcome::all(outcomes)
    }

    /// Whether an id is one of those that are named: by number, or by a name of the image's own accounts.
    fn judge_id(&self, side: &Side, names: Option<&Names>, id: u32, facts: &Facts<'_>, place: &Evidence) -> Outcome {
        let Some(Names(names)) = names else { return Outcome::pass(Vec::new()) };
        let what = side.what;
        let more = if self.or_no_login { ", or one that nobody logs in as" } else { "" };
        let place = || place.clone().found(format!("{what} {id}")).expected(format!("{what} {}{more}", names.join(" or ")));
        if names.iter().any(|name| fixed_id(name) == Some(id)) {
            return Outcome::pass(vec![place()]);
        }
        let mut by_name = names.iter().filter(|name| fixed_id(name).is_none()).peekable();
        if by_name.peek().is_none() && !self.or_no_login {
            return Outcome::fail(vec![place()]);
        }
        match facts.accounts() {
            Ok(accounts) => {
                let named = by_name.any(|name| (side.id_of)(accounts, name) == Some(id));
                Outcome::decide(named || (self.or_no_login && (side.no_login)(accounts, id)), vec![place()])
            }
            Err(unreadable) => unknown(&unreadable),
        }
    }
}

/// How an owner and a group are looked up.
struct Side {
    what: &'static str,
    called: &'static str,
    id_of: fn(&Accounts, &str) -> Option<u32>,
    no_login: fn(&Accounts, u32) -> bool,
}

const OWNER: Side = Side {
    what: "owner",
    called: "user",
    id_of: |accounts, name| accounts.user(name).map(|user| user.uid),
    no_login: |accounts, id| all_without_login(accounts, |user| user.uid == id),
};

const GROUP: Side = Side {
    what: "group",
    called: "group",
    id_of: |accounts, name| accounts.group(name).map(|group| group.gid),
    no_login: |accounts, id| all_without_login(accounts, |user| user.gid == id),
};

/// There are such accounts, and nobody logs in as any of them.
fn all_without_login(accounts: &Accounts, is: impl Fn(&Account) -> bool) -> bool {
    let mut found = accounts.users.iter().filter(|user| is(user)).peekable();
    found.peek().is_some() && found.all(|user| !user.has_login_shell())
}

fn letters(permissions: u32) -> String {
    [(4, 'r'), (2, 'w'), (1, 'x')].map(|(bit, letter)| if permissions & bit == 0 { '-' } else { letter }).iter().collect()
}

/// The id that a name has whatever the image's lists say: a number is itself, and to the kernel root is 0.
fn fixed_id(name: &str) -> Option<u32> {
    if name == "root" { Some(0) } else { name.parse().ok() }
}

fn describe(metadata: &Metadata) -> String {
    format!("{} {} {}:{}", metadata.kind.name(), Mode(metadata.mode), metadata.uid, metadata.gid)
}
