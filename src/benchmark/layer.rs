//! Tailoring: what a benchmark of one's own changes in the one it extends.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{Benchmark, Control, Level, RuleUse, RuleWith};
use crate::document::{Document, Mistake, Step, nearest};
use crate::finding::{LayerChange, Severity};
use crate::rule::{Instance, Rule};

/// A control of the extended benchmark that is not asked for here. It stays in every report, with the reason.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Drop {
    /// The control's number.
    pub control: String,
    /// Why it is not asked for: shown in every report.
    pub reason: String,
}

/// A control of the extended benchmark that is asked for otherwise here.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Change {
    /// The control's number.
    pub control: String,
    /// Why: shown in every report.
    pub reason: String,
    /// Values for the parameters of its rules, by rule: `with.ssh-max-auth-tries.value = 3`.
    #[serde(default)]
    pub with: BTreeMap<String, BTreeMap<String, Value>>,
    /// How much a rule matters here, by rule: `severity.ssh-no-root-login = "critical"`.
    #[serde(default)]
    pub severity: BTreeMap<String, Severity>,
    /// Its level here: `1`, or by profile.
    pub level: Option<Level>,
    /// Rules that have to pass as well; they answer a control that was for a person.
    #[serde(default)]
    pub rules: Vec<String>,
}

/// Values and severities that one layer gives to the rules of a control.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Given {
    /// The layer's id.
    pub layer: String,
    /// Values, by rule and parameter.
    pub with: BTreeMap<String, BTreeMap<String, Value>>,
    /// Severities, by rule.
    pub severity: BTreeMap<String, Severity>,
}

/// Puts a layer over the benchmark it extends.
///
/// # Errors
/// A control that is not there or is there already, a control that is dropped and changed, a rule that the control does not use, a value
/// that the rule does not take.
pub(super) fn extend(
    document: &Document<'_>,
    layer: Benchmark,
    parent: Benchmark,
    rules: &BTreeMap<String, Arc<Rule>>,
) -> Result<Benchmark, Vec<Mistake>> {
    let mut work = Work { document, layer: layer.id.clone(), rules, mistakes: Vec::new(), changes: Vec::new() };
    let written = document.table(&[]);
    let mut whole = Benchmark {
        id: layer.id,
        title: layer.title,
        version: layer.version,
        extends: layer.extends,
        applies: layer.applies.or(parent.applies),
        profiles: if written.contains_key("profiles") { layer.profiles } else { parent.profiles },
        control: parent.control,
        drop: Vec::new(),
        change: Vec::new(),
        changes: parent.changes,
        beside: Vec::new(),
    };
    for control in &mut whole.control {
        control.origin.get_or_insert_with(|| parent.id.clone());
    }
    for (index, drop) in layer.drop.iter().enumerate() {
        work.drop(index, drop, &mut whole.control);
    }
    for (index, change) in layer.change.iter().enumerate() {
        work.change(index, change, &mut whole.control);
    }
    for (index, control) in layer.control.into_iter().enumerate() {
        work.add(index, control, &mut whole.control);
    }
    whole.changes.append(&mut work.changes);
    if work.mistakes.is_empty() { Ok(whole) } else { Err(work.mistakes) }
}

struct Work<'w, 't> {
    document: &'w Document<'t>,
    layer: String,
    rules: &'w BTreeMap<String, Arc<Rule>>,
    mistakes: Vec<Mistake>,
    changes: Vec<LayerChange>,
}

impl Work<'_, '_> {
    fn mistake(&mut self, place: &[Step<'_>], message: String, near: Option<&str>) {
        let help = near.map(|near| format!("you may have meant '{near}'"));
        self.mistakes.push(self.document.mistake(place, message, help));
    }

    fn changed(&mut self, control: &str, change: &str, reason: String) {
        let change = LayerChange { layer: self.layer.clone(), control: control.into(), change: change.into(), reason };
        self.changes.push(change);
    }

    /// The control of this number, if it is there and no layer has dropped it.
    fn find<'c>(&mut self, place: &[Step<'_>], id: &str, controls: &'c mut [Control]) -> Option<&'c mut Control> {
        let Some(at) = controls.iter().position(|control| control.id == id) else {
            let near = nearest(id, controls.iter().map(|control| control.id.as_str()));
            self.mistake(place, format!("the benchmark that is extended has no control '{id}'"), near);
            return None;
        };
        let control = controls.get_mut(at)?;
        if let Some(dropped) = &control.dropped {
            self.mistake(place, format!("the control '{id}' is dropped already, by {}", dropped.layer), None);
            return None;
        }
        Some(control)
    }

    fn reason(&mut self, kind: &str, index: usize, reason: &str) -> bool {
        let said = !reason.trim().is_empty();
        if !said {
            self.mistake(&[kind.into(), index.into(), "reason".into()], "the reason is empty".into(), None);
        }
        said
    }

    fn drop(&mut self, index: usize, drop: &Drop, controls: &mut [Control]) {
        let said = self.reason("drop", index, &drop.reason);
        let layer = self.layer.clone();
        if let Some(control) = self.find(&["drop".into(), index.into(), "control".into()], &drop.control, controls)
            && said
        {
            control.dropped = Some(Dropped { layer, reason: drop.reason.clone() });
            control.rules.clear();
            control.manual = None;
            self.changed(&drop.control, "dropped", drop.reason.clone());
        }
    }

    fn change(&mut self, index: usize, change: &Change, controls: &mut [Control]) {
        self.reason("change", index, &change.reason);
        let layer = self.layer.clone();
        let place = |key| [Step::Key("change"), Step::Index(index), Step::Key(key)];
        let Some(control) = self.find(&place("control"), &change.control, controls) else { return };
        let mut what = Vec::new();
        if let Some(level) = &change.level {
            control.level = level.clone();
            what.push("another level".to_owned());
        }
        for (number, id) in change.rules.iter().enumerate() {
            let [change_key, at, key] = place("rules");
            let place = [change_key, at, key, number.into()];
            if control.rules.iter().any(|used| used.id() == id) {
                self.mistake(&place, format!("the control '{}' uses the rule '{id}' already", control.id), None);
            } else if self.rules.contains_key(id) {
                control.rules.push(RuleUse::With(RuleWith { id: id.clone(), with: BTreeMap::new(), severity: None }));
                control.manual = None;
                what.push(format!("also {id}"));
            } else {
                let near = nearest(id, self.rules.keys().map(String::as_str));
                self.mistake(&place, format!("no rule is called '{id}'"), near);
            }
        }
        let given = Given { layer, with: change.with.clone(), severity: change.severity.clone() };
        for (key, id) in given.with.keys().map(|id| ("with", id)).chain(given.severity.keys().map(|id| ("severity", id))) {
            if !control.rules.iter().any(|used| used.id() == id) {
                let [change_key, at, key] = place(key);
                let near = nearest(id, control.rules.iter().map(RuleUse::id));
                self.mistake(
                    &[change_key, at, key, id.as_str().into()],
                    format!("the control '{}' does not use the rule '{id}'", control.id),
                    near,
                );
            }
        }
        for (rule, values) in &given.with {
            what.extend(values.iter().map(|(name, value)| format!("{rule}.{name} = {value}")));
        }
        what.extend(given.severity.iter().map(|(rule, severity)| format!("{rule} is {}", severity.name())));
        control.given.push(given);
        for rule in change.with.keys() {
            let Some((known, used)) = self.rules.get(rule).zip(control.rules.iter().find(|used| used.id() == rule)) else {
                continue;
            };
            if let Err(error) = Instance::new(known.clone(), &[("", &control.values(used))]) {
                let [change_key, at, key] = place("with");
                self.mistake(&[change_key, at, key, rule.as_str().into()], error.to_string(), None);
            }
        }
        if what.is_empty() {
            self.mistake(&place("control"), format!("nothing is changed in '{}'", change.control), None);
        } else {
            self.changed(&change.control, "changed", format!("{} ({})", change.reason, what.join(", ")));
        }
    }

    fn add(&mut self, index: usize, mut control: Control, controls: &mut Vec<Control>) {
        let place = ["control".into(), index.into(), "id".into()];
        if controls.iter().any(|known| known.id == control.id) {
            let message = format!("the benchmark that is extended has a control '{}'", control.id);
            self.mistakes.push(self.document.mistake(&place, message, Some("[[change]] is for changing it".into())));
            return;
        }
        let reason = control.reason.clone().unwrap_or_else(|| "a control of its own".into());
        self.changed(&control.id.clone(), "added", reason);
        control.origin = Some(self.layer.clone());
        controls.push(control);
    }
}

/// Who dropped a control, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// The layer's id.
    pub layer: String,
    /// Why.
    pub reason: String,
}
