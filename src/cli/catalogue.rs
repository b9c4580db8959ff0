//! The rules and benchmarks there are: those that come with karat, and those its user brings.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::bail;

use super::files::{self, Mistakes};
use super::terminal::Terminal;
use crate::benchmark::{Benchmark, Control, Level, RuleUse, is_file_name, read_benchmark, shipped};
use crate::document::nearest;
use crate::path::printable;
use crate::rule::{self, Rule};

/// Every rule that can be used in one call.
pub(super) struct Catalogue {
    /// By id.
    pub(super) rules: BTreeMap<String, Arc<Rule>>,
    /// The ids that come from a pack.
    pub(super) own: BTreeSet<String>,
    /// Those of them that stand in for a shipped rule of the same id.
    pub(super) replaced: BTreeSet<String>,
}

impl Catalogue {
    /// The shipped rules and those of packs. With `prose` the shipped ones come with why, fix and examples, which takes longer.
    pub(super) fn load(packs: &[PathBuf], prose: bool, terminal: &Terminal) -> anyhow::Result<Self> {
        let rules = if prose { rule::shipped::whole() } else { rule::shipped::rules() };
        let mut catalogue = Self { rules, own: BTreeSet::new(), replaced: BTreeSet::new() };
        if !packs.is_empty() {
            for (id, (rule, file)) in files::read_rules(&files::pack_files(packs)?)? {
                if catalogue.rules.insert(id.clone(), rule).is_some() {
                    terminal.note(format!("'{id}' of {file} replaces the rule of that id that comes with karat"));
                    catalogue.replaced.insert(id.clone());
                }
                catalogue.own.insert(id);
            }
        }
        Ok(catalogue)
    }

    /// The rule of this id.
    pub(super) fn rule(&self, id: &str) -> anyhow::Result<&Arc<Rule>> {
        match self.rules.get(id) {
            Some(rule) => Ok(rule),
            None => bail!(no_such("rule", id, self.rules.keys().map(String::as_str), "karat rules list")),
        }
    }

    /// A benchmark by its id, or from a file.
    pub(super) fn benchmark(&self, name: &str) -> anyhow::Result<Benchmark> {
        if is_file_name(name) {
            let text = files::read(Path::new(name))?;
            return read_benchmark(name, &text, &self.rules, &files::beside).map_err(|mistakes| Mistakes(mistakes).into());
        }
        if let Some(benchmark) = shipped::benchmark(name) {
            return Ok(benchmark);
        }
        let index = shipped::index();
        bail!(no_such("benchmark", name, index.iter().map(|entry| entry.id.as_str()), "karat benchmarks list"))
    }
}

/// "no benchmark is called 'x'", with what may have been meant and where to look.
pub(super) fn no_such<'k>(what: &str, name: &str, known: impl Iterator<Item = &'k str>, listing: &str) -> String {
    let (mut count, name) = (0, printable(name.as_bytes()));
    let meant =
        nearest(&name, known.inspect(|_| count += 1)).map(|near| format!("did you mean '{near}'?   ")).unwrap_or_default();
    let all = if count == 1 { "the only one".to_owned() } else { format!("all {count}") };
    format!("no {what} is called '{name}'\n  {meant}`{listing}` shows {all}")
}

/// The id of [`only_own`].
pub(super) const OWN_RULES: &str = "own-rules";

/// A benchmark of nothing but the rules of a pack.
pub(super) fn only_own() -> Benchmark {
    Benchmark {
        id: OWN_RULES.into(),
        title: "Own rules".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        extends: None,
        applies: None,
        profiles: vec!["server".into()],
        control: Vec::new(),
        drop: Vec::new(),
        change: Vec::new(),
        changes: Vec::new(),
        beside: Vec::new(),
    }
}

/// Gives each of these rules that no control uses a control of its own, of the same id; says which ones those are.
pub(super) fn add_controls<'r>(benchmark: &mut Benchmark, rules: impl Iterator<Item = &'r Arc<Rule>>) -> Vec<String> {
    let mut used: BTreeSet<String> =
        benchmark.control.iter().flat_map(|control| &control.rules).map(|used| used.id().to_owned()).collect();
    let mut ids: BTreeSet<String> = benchmark.control.iter().map(|control| control.id.clone()).collect();
    let mut added = Vec::new();
    for rule in rules {
        if !used.insert(rule.id.clone()) {
            continue;
        }
        let id = if ids.contains(&rule.id) { format!("rule:{}", rule.id) } else { rule.id.clone() };
        ids.insert(id.clone());
        added.push(id.clone());
        benchmark.control.push(Control {
            applies: None,
            id,
            title: rule.title.clone(),
            level: Level::Same(1),
            rules: vec![RuleUse::Plain(rule.id.clone())],
            manual: None,
            reason: None,
            dropped: None,
            origin: None,
            beside: None,
            given: Vec::new(),
        });
    }
    added
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_that_a_control_uses_gets_none_of_its_own() {
        let rules = rule::shipped::rules();
        let mut benchmark = shipped::benchmark("golden-baseline").unwrap();
        let used = benchmark.control[0].rules[0].id().to_owned();
        assert!(add_controls(&mut benchmark, [&rules[&used]].into_iter()).is_empty());
        let mut none = only_own();
        assert_eq!(add_controls(&mut none, [&rules[&used]].into_iter()), [used]);
    }

    #[test]
    fn what_looks_like_a_file_is_one() {
        assert!(is_file_name("ours.toml") && is_file_name("./ours") && !is_file_name("cis-debian-12"));
    }

    #[test]
    fn a_wrong_name_gets_the_nearest_and_where_to_look() {
        let text = no_such("benchmark", "cis-debian", ["cis-debian-12", "golden-baseline"].into_iter(), "karat benchmarks list");
        assert!(text.contains("did you mean 'cis-debian-12'?   `karat benchmarks list` shows all 2"), "{text}");
    }
}
