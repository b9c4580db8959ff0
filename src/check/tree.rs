//! Everything in the whole tree that fits a predicate.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Kind, Mode};
use crate::facts::accounts::Known;
use crate::facts::{FactId, Facts, Needs, Selector, TreeFact, TreeMatch, TreeMatches, Unreadable};
use crate::finding::{Evidence, Outcome};
use crate::image::FileKind;
use crate::path::ImagePath;

/// Nothing in the whole tree fits this predicate.
///
/// All such checks of a scan share one walk. What the walk could not reach, a volume that is not here among it, leaves the verdict
/// unknown, unless something was found.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tree {
    /// Kinds of entries; all if not given.
    #[serde(default)]
    pub kinds: Vec<FileKind>,
    /// At least one of these mode bits is set.
    pub mode_any: Option<Mode>,
    /// None of these mode bits is set.
    pub mode_none: Option<Mode>,
    /// Its owner is no account of the image: `unknown`.
    pub owner: Option<Nobody>,
    /// Its group is no group of the image: `unknown`.
    pub group: Option<Nobody>,
    /// A program that gets file capabilities (`true`).
    pub capability: Option<Yes>,
    /// Only what a package owns (`true`), or only what none does (`false`).
    pub packaged: Option<bool>,
    /// Subtrees that do not count.
    #[serde(default)]
    pub except: Vec<String>,
}

/// An id that nobody has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Nobody {
    /// No account or group has it.
    Unknown,
}

/// A condition that can only be asked for, not excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "bool")]
#[schemars(with = "bool")]
pub struct Yes;

impl TryFrom<bool> for Yes {
    type Error = &'static str;

    fn try_from(yes: bool) -> Result<Self, Self::Error> {
        if yes { Ok(Self) } else { Err("only 'true' makes sense here; leave it out otherwise") }
    }
}

/// Setuid and setgid.
const SET_ID: u32 = 0o6000;

/// The matches that count, those of which it cannot be told, and how many count at most.
struct Counted<'m> {
    found: Vec<(&'m ImagePath, &'m TreeMatch)>,
    doubts: Vec<Evidence>,
    total: u64,
}

impl Tree {
    /// What to look for. The ids that somebody has are a fact of the image: nothing before it is known.
    fn selector(&self, facts: &Facts<'_>) -> Result<Selector, Unreadable> {
        let mut selector = Selector {
            kinds: self.kinds.iter().copied().collect::<BTreeSet<FileKind>>(),
            mode_any: self.mode_any.map_or(0, |mode| mode.0),
            mode_none: self.mode_none.map_or(0, |mode| mode.0),
            capability: self.capability.is_some(),
            except: self.except.iter().map(ImagePath::new).collect(),
            ..Selector::default()
        };
        if self.owner.is_some() {
            selector.uid_outside = Some(facts.accounts()?.uids().clone());
        }
        if self.group.is_some() {
            selector.gid_outside = Some(facts.accounts()?.gids().clone());
        }
        Ok(selector)
    }

    /// The matches that count, by who owns them. Only the first matches are kept, so that beyond those it may be unknown whether there
    /// is another.
    fn counted<'m>(&self, matches: &'m TreeMatches, facts: &Facts<'_>) -> Result<Counted<'m>, Unreadable> {
        let mut counted = Counted { found: Vec::new(), doubts: Vec::new(), total: matches.total };
        let of_packages =
            self.packaged.filter(|_| matches.total > 0).map(|packaged| Ok((packaged, facts.owners()?))).transpose()?;
        for (path, found) in &matches.found {
            let place = || Evidence::at(path).found(describe(found));
            if let Some((packaged, owners)) = of_packages
                && owners.owner(path).is_some() != packaged
            {
                counted.total -= 1;
                continue;
            }
            match self.known(found, facts)? {
                Known::No => counted.found.push((path, found)),
                Known::Yes => counted.total -= 1,
                Known::Perhaps(reason) => {
                    counted.total -= 1;
                    counted.doubts.push(place().because(reason));
                }
            }
        }
        counted.doubts.extend(matches.unknown.iter().map(|(path, reason)| Evidence::at(path).found(reason)));
        Ok(counted)
    }

    /// Whether the ids that this asks about are somebody's after all; `No` if it asks about none.
    fn known(&self, found: &TreeMatch, facts: &Facts<'_>) -> Result<Known, Unreadable> {
        let owner = if self.owner.is_some() { facts.accounts()?.knows_uid(found.metadata.uid) } else { Known::No };
        let group = if self.group.is_some() { facts.accounts()?.knows_gid(found.metadata.gid) } else { Known::No };
        Ok(match (owner, group) {
            (Known::Yes, _) | (_, Known::Yes) => Known::Yes,
            (perhaps @ Known::Perhaps(_), _) | (_, perhaps @ Known::Perhaps(_)) => perhaps,
            (Known::No, Known::No) => Known::No,
        })
    }

    fn expected(&self) -> &'static str {
        match (self.packaged, self.owner, self.group) {
            (Some(false), ..) => "to belong to a package",
            (_, Some(_), _) => "an owner that is an account",
            (_, _, Some(_)) => "a group that is in the list of groups",
            _ => "no such entry",
        }
    }

    /// Whether this asks what an unprivileged user who unpacks a tree cannot keep.
    fn is_about_ownership(&self) -> bool {
        self.owner.is_some()
            || self.group.is_some()
            || self.capability.is_some()
            || self.mode_any.is_some_and(|mode| mode.0 & SET_ID != 0)
    }
}

fn describe(found: &TreeMatch) -> String {
    let metadata = found.metadata;
    let capabilities = found.capabilities.map(|capabilities| format!(" {capabilities}")).unwrap_or_default();
    format!("{} mode {} owner {}:{}{capabilities}", metadata.kind.name(), Mode(metadata.mode), metadata.uid, metadata.gid)
}

/// The verdict where nothing was found, but parts of the tree are not known: what could not be read, volumes that are not here.
pub(super) fn incomplete(tree: &TreeFact) -> Result<Option<Outcome>, Unreadable> {
    if tree.coverage.gaps_total > 0 {
        let evidence = tree.coverage.gaps.iter().map(|gap| Evidence::at(&gap.path).found(&gap.reason));
        let reason = format!("{} places of the tree could not be read", tree.coverage.gaps_total);
        return Ok(Some(Outcome::unknown(reason, evidence.collect()).of_total(tree.coverage.gaps_total)));
    }
    let lacking = tree.lacking.as_ref().map_err(Clone::clone)?;
    if lacking.is_empty() {
        return Ok(None);
    }
    let evidence = lacking.iter().map(|volume| {
        let place = volume.path.clone().unwrap_or_else(ImagePath::root);
        Evidence::at(&place).line_opt(volume.line).found(&volume.reason).expected("the volumes together with the root")
    });
    let reason = format!("{} volumes of the image were not given, and files in them may be of this kind", lacking.len());
    Ok(Some(Outcome::unknown(reason, evidence.collect())))
}

impl Kind for Tree {
    fn needs(&self, facts: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Mounts);
        if self.owner.is_some() || self.group.is_some() {
            needs.fact(FactId::Accounts);
        }
        if self.packaged.is_some() {
            needs.fact(FactId::Owners);
        }
        if let Ok(selector) = self.selector(facts) {
            needs.tree(selector);
        }
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        if self.is_about_ownership() && !facts.root().keeps_ownership() {
            let reason = "this tree was unpacked by an unprivileged user, so its owners, setuid bits and capabilities are not the image's; \
                          scan the archive instead";
            return Ok(Outcome::unknown(reason, Vec::new()));
        }
        let tree = facts.tree()?;
        let Some(matches) = tree.matches(&self.selector(facts)?) else {
            return Ok(Outcome::unknown("the tree was not walked for this", Vec::new()));
        };
        let Counted { found, doubts, total } = self.counted(matches, facts)?;
        if !found.is_empty() {
            let evidence =
                found.into_iter().map(|(path, found)| Evidence::at(path).found(describe(found)).expected(self.expected()));
            return Ok(Outcome::fail(evidence.collect()).of_total(total));
        }
        if total > 0 {
            let reason = format!("of {} matches only the first {} were looked at", matches.total, matches.found.len());
            return Ok(Outcome::unknown(reason, doubts));
        }
        if !doubts.is_empty() {
            return Ok(Outcome::unknown(format!("of {} entries it cannot be told", doubts.len()), doubts));
        }
        if let Some(outcome) = incomplete(tree)? {
            return Ok(outcome);
        }
        let seen = format!("{} entries, none of this kind", tree.coverage.entries);
        Ok(Outcome::pass(vec![Evidence::at(&ImagePath::root()).found(seen)]))
    }

    fn flaw(&self) -> Option<String> {
        let asks = self.mode_any.is_some()
            || self.mode_none.is_some()
            || self.owner.is_some()
            || self.group.is_some()
            || self.capability.is_some();
        let known = "kinds, mode-any, mode-none, owner, group, capability, packaged, except";
        (!asks).then(|| format!("it would match every entry; known: {known}"))
    }
}
