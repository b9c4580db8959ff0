//! Which benchmark an image is judged by, and which of its controls.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::bail;
use serde_json::Value;

use super::args::Judged;
use super::project::Project;
use crate::benchmark::{Benchmark, Choice, Selected, beside, select, shipped};
use crate::cli::catalogue::{Catalogue, OWN_RULES, add_controls, no_such, only_own};
use crate::cli::terminal::Terminal;
use crate::facts::{Fact, Os};
use crate::finding::LayerChange;
use crate::rule::Rule;

/// The benchmark that judges where none is written for the image's system.
const FALLBACK: &str = "golden-baseline";

/// What the choice comes from in reports.
const LAYER: &str = "command line";

/// The controls to judge, with every value in place.
///
/// An image that does not say what it is, or a system that no benchmark is written for, is judged only where that cannot be mistaken
/// for more than it is: by a benchmark that was named, or by the baseline where nothing hangs on the verdict.
pub(super) fn choose(
    judged: &Judged,
    project: &Project,
    catalogue: &Catalogue,
    os: &Fact<Os>,
    gated: bool,
    terminal: &Terminal,
) -> anyhow::Result<Selected> {
    let mut benchmark = benchmark(judged, catalogue, os, gated, terminal)?;
    let asked = judged.beside.iter().map(|name| (name.clone(), true));
    for (name, asked) in project.beside().map(|name| (name, false)).chain(asked) {
        let other = catalogue.benchmark(&name)?;
        // A project wants it beside whatever else is judged by, so that by itself it is there already.
        if !asked && other.id == benchmark.id {
            continue;
        }
        beside(&mut benchmark, other.clone())?;
        warn_of_another_system(&other, os, terminal);
    }
    let mut wanted: Vec<&Arc<Rule>> = catalogue.own.iter().filter_map(|id| catalogue.rules.get(id)).collect();
    for id in &judged.rule {
        wanted.push(catalogue.rule(id)?);
    }
    let added = add_controls(&mut benchmark, wanted.into_iter());
    project.check(&benchmark, &catalogue.rules, judged)?;
    let project = project.choices(&benchmark)?;
    let choice = Choice {
        level: judged.level.or(project.level),
        profile: judged.profile.clone().or(project.profile),
        controls: judged.control.clone(),
        rules: judged.rule.clone(),
        project: project.values,
        values: values(judged, catalogue)?,
    };
    let mut selected = select(&benchmark, &catalogue.rules, &choice)?;
    if selected.controls.is_empty() {
        bail!("nothing is left to judge: no control of {} has this level, profile, control and rule", benchmark.id);
    }
    warn_of_another_system(&benchmark, os, terminal);
    for setting in &judged.set {
        let used = selected.controls.iter().flat_map(|control| &control.rules).any(|(rule, _)| rule.rule.id == setting.rule);
        if !used {
            terminal.warn(format_args!(
                "--set {}.{} changes nothing: no selected control uses this rule",
                setting.rule, setting.param
            ));
        }
    }
    if benchmark.id != OWN_RULES {
        selected.info.changes.extend(changes(&selected, catalogue, &added));
    }
    Ok(selected)
}

fn warn_of_another_system(benchmark: &Benchmark, os: &Fact<Os>, terminal: &Terminal) {
    if let (Some(applies), Ok(os)) = (&benchmark.applies, os)
        && !applies.fits(&os.id, &os.version)
    {
        terminal.warn(format_args!("{} is not written for {} {}", benchmark.id, os.id, os.version));
    }
}

fn benchmark(
    judged: &Judged,
    catalogue: &Catalogue,
    os: &Fact<Os>,
    gated: bool,
    terminal: &Terminal,
) -> anyhow::Result<Benchmark> {
    if let Some(name) = &judged.benchmark {
        return catalogue.benchmark(name);
    }
    if !catalogue.own.is_empty() {
        return Ok(only_own());
    }
    let os = match os {
        Ok(os) => os,
        Err(unreadable) => bail!("{unreadable}\n  to judge it all the same, name a benchmark: --benchmark ID"),
    };
    if let Some(entry) = shipped::fitting(&os.id, &os.version) {
        return catalogue.benchmark(&entry.id);
    }
    let system = if os.name.is_empty() { format!("{} {}", os.id, os.version) } else { os.name.clone() };
    if gated {
        bail!(
            "no benchmark is written for {system}, so the policy cannot be held\n  name the one that counts: --benchmark ID (`karat benchmarks list`)"
        );
    }
    terminal.note(format_args!("no benchmark is written for {system}: it is judged by {FALLBACK}"));
    catalogue.benchmark(FALLBACK)
}

/// The values of `--set`, by rule and parameter.
fn values(judged: &Judged, catalogue: &Catalogue) -> anyhow::Result<BTreeMap<String, BTreeMap<String, Value>>> {
    let mut values: BTreeMap<String, BTreeMap<String, Value>> = BTreeMap::new();
    for setting in &judged.set {
        let rule = catalogue.rule(&setting.rule)?;
        let Some(default) = rule.params.get(&setting.param) else {
            let known = rule.params.keys().map(String::as_str);
            let listing = format!("karat explain {}", rule.id);
            bail!(no_such(&format!("parameter of {}", rule.id), &setting.param, known, &listing));
        };
        values.entry(rule.id.clone()).or_default().insert(setting.param.clone(), setting.typed(default));
    }
    Ok(values)
}

/// What differs from the document: controls that were added, and controls whose rule a pack replaces.
fn changes(selected: &Selected, catalogue: &Catalogue, added: &[String]) -> Vec<LayerChange> {
    let added: BTreeSet<&String> = added.iter().collect();
    let change = |control: &str, change: &str, reason: String| LayerChange {
        layer: LAYER.into(),
        control: control.into(),
        change: change.into(),
        reason,
    };
    let mut changes = Vec::new();
    for control in &selected.controls {
        let id = &control.control.id;
        if added.contains(id) {
            changes.push(change(id, "added", "a rule that no control of the document uses".into()));
        }
        for (rule, _) in &control.rules {
            if catalogue.replaced.contains(&rule.rule.id) {
                changes.push(change(id, "changed", format!("rule '{}' is that of a pack of the user", rule.rule.id)));
            }
        }
    }
    changes
}
