//! Which controls of a benchmark are judged, with which values.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::{Benchmark, Control, RuleUse};
use crate::document::nearest;
use crate::finding::{BenchmarkInfo, LayerChange, Severity};
use crate::rule::{Instance, InstanceError, Rule};

/// What its user asked for.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// The highest level; the document's highest if not given.
    pub level: Option<u8>,
    /// The profile; the document's usual one if not given.
    pub profile: Option<String>,
    /// Only these controls.
    pub controls: Vec<String>,
    /// Only controls that use these rules.
    pub rules: Vec<String>,
    /// Values from the project's configuration, by rule.
    pub project: BTreeMap<String, BTreeMap<String, Value>>,
    /// Values from the command line, by rule.
    pub values: BTreeMap<String, BTreeMap<String, Value>>,
}

/// A control to judge, with its rules ready.
#[derive(Debug, Clone)]
pub struct SelectedControl {
    /// The control.
    pub control: Control,
    /// Its level in the chosen profile.
    pub level: u8,
    /// Its rules, each with how much it matters here.
    pub rules: Vec<(Arc<Instance>, Severity)>,
}

/// A benchmark cut to what is judged.
#[derive(Debug, Clone)]
pub struct Selected {
    /// What it is, with counts.
    pub info: BenchmarkInfo,
    /// The controls, in order.
    pub controls: Vec<SelectedControl>,
}

/// Why nothing could be selected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// The benchmark has no such profile.
    #[error("{benchmark} has no profile '{name}'; it has {}", .known.join(", "))]
    NoSuchProfile {
        /// The benchmark.
        benchmark: String,
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The benchmark has no such level.
    #[error("{benchmark} has no level {level} in the profile '{profile}'; it has {}", .known.iter().map(u8::to_string).collect::<Vec<_>>().join(", "))]
    NoSuchLevel {
        /// The benchmark.
        benchmark: String,
        /// The profile.
        profile: String,
        /// What was asked for.
        level: u8,
        /// What there is.
        known: Vec<u8>,
    },
    /// The benchmark has no such control.
    #[error("{benchmark} has no control '{name}'{}", .near.as_ref().map(|near| format!("; the nearest is '{near}'")).unwrap_or_default())]
    NoSuchControl {
        /// The benchmark.
        benchmark: String,
        /// What was asked for.
        name: String,
        /// The nearest there is.
        near: Option<String>,
    },
    /// There is no such rule.
    #[error("no rule is called '{name}'{}", .near.as_ref().map(|near| format!("; you may have meant '{near}'")).unwrap_or_default())]
    NoSuchRule {
        /// What was asked for.
        name: String,
        /// The nearest there is.
        near: Option<String>,
    },
    /// A rule does not take its values.
    #[error(transparent)]
    Instance(#[from] InstanceError),
}

/// Chooses the controls, gives every rule its values, and counts.
///
/// # Errors
/// A name that is not there, or a value that a rule does not take.
pub fn select(benchmark: &Benchmark, rules: &BTreeMap<String, Arc<Rule>>, choice: &Choice) -> Result<Selected, SelectError> {
    let usual = benchmark.profiles.first().map_or("server", String::as_str);
    let profile = choice.profile.as_deref().unwrap_or(usual);
    if !benchmark.profiles.iter().any(|known| known == profile) {
        let (name, known) = (profile.to_owned(), benchmark.profiles.clone());
        return Err(SelectError::NoSuchProfile { benchmark: benchmark.id.clone(), name, known });
    }
    for name in &choice.controls {
        if !benchmark.control.iter().any(|control| control.id == *name) {
            let near = nearest(name, benchmark.control.iter().map(|control| control.id.as_str())).map(str::to_owned);
            return Err(SelectError::NoSuchControl { benchmark: benchmark.id.clone(), name: name.clone(), near });
        }
    }
    for name in choice.rules.iter().chain(choice.values.keys()).chain(choice.project.keys()) {
        if !rules.contains_key(name) {
            let near = nearest(name, rules.keys().map(String::as_str)).map(str::to_owned);
            return Err(SelectError::NoSuchRule { name: name.clone(), near });
        }
    }
    let levels: BTreeSet<u8> = benchmark.control.iter().filter_map(|control| control.level.of(profile)).collect();
    let most = choice.level.or(levels.last().copied()).unwrap_or(1);
    if !levels.contains(&most) && !levels.is_empty() {
        let (benchmark, profile, known) = (benchmark.id.clone(), profile.to_owned(), levels.into_iter().collect());
        return Err(SelectError::NoSuchLevel { benchmark, profile, level: most, known });
    }
    let mut ready: BTreeMap<String, Arc<Instance>> = BTreeMap::new();
    let mut controls = Vec::new();
    for control in &benchmark.control {
        let Some(level) = control.level.of(profile).filter(|&level| level <= most) else { continue };
        let named = choice.controls.is_empty() || choice.controls.contains(&control.id);
        let uses = choice.rules.is_empty() || control.rules.iter().any(|used| choice.rules.iter().any(|rule| rule == used.id()));
        if named && uses {
            let rules = control
                .rules
                .iter()
                .map(|used| instance(used, control, benchmark, rules, choice, &mut ready))
                .collect::<Result<_, _>>()?;
            controls.push(SelectedControl { control: control.clone(), level, rules });
        }
    }
    let selected = |change: &&LayerChange| controls.iter().any(|selected| selected.control.id == change.control);
    let info = BenchmarkInfo {
        id: benchmark.id.clone(),
        title: benchmark.title.clone(),
        version: benchmark.version.clone(),
        profile: profile.to_owned(),
        level: most,
        controls: benchmark.control.len() as u64,
        automated: benchmark.control.iter().filter(|control| !control.rules.is_empty()).count() as u64,
        selected: controls.len() as u64,
        beside: benchmark.beside.clone(),
        changes: benchmark.changes.iter().filter(selected).cloned().collect(),
    };
    Ok(Selected { info, controls })
}

/// The rule with its values; the same rule with the same values is judged once, however many controls use it.
fn instance(
    used: &RuleUse,
    control: &Control,
    benchmark: &Benchmark,
    rules: &BTreeMap<String, Arc<Rule>>,
    choice: &Choice,
    ready: &mut BTreeMap<String, Arc<Instance>>,
) -> Result<(Arc<Instance>, Severity), SelectError> {
    let Some(rule) = rules.get(used.id()) else {
        let near = nearest(used.id(), rules.keys().map(String::as_str)).map(str::to_owned);
        return Err(SelectError::NoSuchRule { name: used.id().to_owned(), near });
    };
    let severity = match used {
        RuleUse::With(with) => with.severity.unwrap_or(rule.severity),
        RuleUse::Plain(_) => rule.severity,
    };
    let severity =
        control.given.iter().filter_map(|given| given.severity.get(used.id())).next_back().copied().unwrap_or(severity);
    let values = used.values();
    let none = BTreeMap::new();
    // Where a value came from is part of the report, so that it tells two instances apart as well.
    let mut layers = vec![(control.origin.as_ref().unwrap_or(&benchmark.id).as_str(), &values)];
    layers.extend(control.given.iter().filter_map(|given| Some((given.layer.as_str(), given.with.get(used.id())?))));
    let key = format!("{} {}", used.id(), serde_json::to_string(&layers).unwrap_or_default());
    if let Some(known) = ready.get(&key) {
        return Ok((known.clone(), severity));
    }
    let given = choice.values.get(used.id()).unwrap_or(&none);
    let project = choice.project.get(used.id()).unwrap_or(&none);
    layers.extend([("karat.toml", project), ("command line", given)]);
    let made = Arc::new(Instance::new(rule.clone(), &layers)?);
    ready.insert(key, made.clone());
    Ok((made, severity))
}
