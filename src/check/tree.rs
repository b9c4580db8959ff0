//! Everything in the whole tree that fits a predicate.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Kind, Mode, unknown};
use crate::facts::{Facts, Needs, Selector};
use crate::finding::{Evidence, Outcome};
use crate::image::FileKind;
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
    /// Subtrees that do not count.
    #[serde(default)]
    pub except: Vec<String>,
}

impl Tree {
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

impl Kind for Tree {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.tree(self.selector());
    }

    fn evaluate(&self, facts: &Facts<'_>) -> Outcome {
        let tree = match facts.tree() {
            Ok(tree) => tree,
            Err(unreadable) => return unknown(&unreadable),
        };
        let Some(matches) = tree.matches(&self.selector()) else {
            return Outcome::unknown("the tree was not walked for this", Vec::new());
        };
        if matches.total > 0 {
            let evidence = matches.found.iter().map(|(path, metadata)| {
                let found =
                    format!("{} mode {} owner {}:{}", metadata.kind.name(), Mode(metadata.mode), metadata.uid, metadata.gid);
                Evidence::at(path).found(found).expected("no such entry")
            });
            return Outcome::fail(evidence.collect()).of_total(matches.total);
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
        (!asks).then(|| "it would match every entry; known: kinds, mode-any, mode-none, except".into())
    }
}
