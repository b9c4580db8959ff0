//! Everything in the whole tree that fits a predicate.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Kind, Mode, unknown};
use crate::facts::{FactId, Facts, Needs, Selector, TreeMatches};
use crate::finding::{Evidence, Outcome};
use crate::image::{FileKind, Metadata};
use crate::path::ImagePath;

/// Nothing in the whole tree fits this predicate.
///
/// All such checks of a scan share one walk. What the walk could not reach leaves the verdict unknown, unless something was found.
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
    /// Only what a package owns (`true`), or only what none does (`false`).
    pub packaged: Option<bool>,
    /// Subtrees that do not count.
    #[serde(default)]
    pub except: Vec<String>,
}

/// Entries, and how many there were in truth.
type Counted<'m> = (Vec<(&'m ImagePath, &'m Metadata)>, u64);

impl Tree {
    /// The matches that count, by who owns them. Only the first matches are kept, so that beyond those it may be unknown whether there
    /// is another.
    fn counted<'m>(&self, matches: &'m TreeMatches, facts: &Facts<'_>) -> Result<Counted<'m>, Box<Outcome>> {
        let all = matches.found.iter();
        let Some(packaged) = self.packaged.filter(|_| matches.total > 0) else {
            return Ok((all.collect(), matches.total));
        };
        let owners = facts.owners().map_err(|unreadable| unknown(&unreadable))?;
        let found: Vec<_> = all.filter(|(path, _)| owners.owner(path).is_some() == packaged).collect();
        if found.is_empty() && matches.total > matches.found.len() as u64 {
            let reason =
                format!("of {} matches only the first {} were compared with the packages", matches.total, matches.found.len());
            return Err(Box::new(Outcome::unknown(reason, Vec::new())));
        }
        // Of those that were not kept any may count: a waiver of the others does not clear them.
        let total = matches.total - matches.found.len() as u64 + found.len() as u64;
        Ok((found, total))
    }

    fn selector(&self) -> Selector {
        Selector {
            kinds: self.kinds.iter().copied().collect::<BTreeSet<FileKind>>(),
            mode_any: self.mode_any.map_or(0, |mode| mode.0),
            mode_none: self.mode_none.map_or(0, |mode| mode.0),
            except: self.except.iter().map(ImagePath::new).collect(),
            ..Selector::default()
        }
    }
}

/// Setuid and setgid.
const SET_ID: u32 = 0o6000;

impl Kind for Tree {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.tree(self.selector());
        if self.packaged.is_some() {
            needs.fact(FactId::Owners);
        }
    }

    fn evaluate(&self, facts: &Facts<'_>) -> Outcome {
        if self.mode_any.is_some_and(|mode| mode.0 & SET_ID != 0) && !facts.root().keeps_ownership() {
            let reason = "this tree was unpacked by an unprivileged user, so its setuid bits are not the image's; scan the archive instead";
            return Outcome::unknown(reason, Vec::new());
        }
        let tree = match facts.tree() {
            Ok(tree) => tree,
            Err(unreadable) => return unknown(&unreadable),
        };
        let Some(matches) = tree.matches(&self.selector()) else {
            return Outcome::unknown("the tree was not walked for this", Vec::new());
        };
        let (found, total) = match self.counted(matches, facts) {
            Ok(counted) => counted,
            Err(outcome) => return *outcome,
        };
        if !found.is_empty() {
            let expected = if self.packaged == Some(false) { "to belong to a package" } else { "no such entry" };
            let evidence = found.into_iter().map(|(path, metadata)| {
                let found =
                    format!("{} mode {} owner {}:{}", metadata.kind.name(), Mode(metadata.mode), metadata.uid, metadata.gid);
                Evidence::at(path).found(found).expected(expected)
            });
            return Outcome::fail(evidence.collect()).of_total(total);
        }
        if tree.coverage.gaps_total > 0 {
            let evidence = tree.coverage.gaps.iter().map(|gap| Evidence::at(&gap.path).found(&gap.reason));
            let reason = format!("{} places of the tree could not be read", tree.coverage.gaps_total);
            return Outcome::unknown(reason, evidence.collect()).of_total(tree.coverage.gaps_total);
        }
        let seen = format!("{} entries, none of this kind", tree.coverage.entries);
        Outcome::pass(vec![Evidence::at(&ImagePath::root()).found(seen)])
    }

    fn flaw(&self) -> Option<String> {
        let asks = self.mode_any.is_some() || self.mode_none.is_some();
        (!asks).then(|| "it would match every entry; known: kinds, mode-any, mode-none, packaged, except".into())
    }
}
