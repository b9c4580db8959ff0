//! The whole truth about one scan.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Evidence, Status};

/// How much it matters, from least to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good practice.
    Low,
    /// Weakens the image.
    Medium,
    /// Opens the image to attack.
    High,
    /// Gives the image away.
    Critical,
}

impl Severity {
    /// All, from least to most.
    pub const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The severity as it is written in every format.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// One scan: which image, judged by what, with what result. Holds all that a report needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Scan {
    /// Who made it.
    pub tool: Tool,
    /// The day it was made (the clock is an argument), as `YYYY-MM-DD`.
    pub date: String,
    /// What was judged.
    pub image: ImageInfo,
    /// By what.
    pub benchmark: BenchmarkInfo,
    /// Counts and score.
    pub summary: Summary,
    /// One a control, in the benchmark's order.
    pub findings: Vec<Finding>,
    /// The rules that were used, by id.
    pub rules: BTreeMap<String, RuleInfo>,
    /// What went wrong on the way and is not the business of one finding alone.
    pub troubles: Vec<Trouble>,
}

/// The program that made a scan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tool {
    /// Always `karat`.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// The identity of an image. Nothing of the machine that scanned it: no path, no host name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImageInfo {
    /// The name its user gave it, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether it was running.
    pub source: SourceKind,
    /// `ID` of os-release.
    pub os: Option<String>,
    /// `VERSION_ID` of os-release.
    pub os_version: Option<String>,
    /// `PRETTY_NAME` of os-release.
    pub os_name: Option<String>,
    /// The machine architecture, in the words of its package manager.
    pub architecture: Option<String>,
    /// Number of installed packages, where it is known.
    pub packages: Option<u64>,
    /// Number of entries the walk visited, if the tree was walked.
    pub files: Option<u64>,
}

/// What kind of source an image came from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// A tree that is not running.
    #[default]
    Image,
    /// The machine karat itself runs on.
    Live,
}

/// What the image was judged by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BenchmarkInfo {
    /// Its id, such as `cis-debian-12`.
    pub id: String,
    /// Its name.
    pub title: String,
    /// The version of the document.
    pub version: String,
    /// The profile chosen (`server`, `workstation`).
    pub profile: String,
    /// The highest level included.
    pub level: u8,
    /// Controls of the whole document.
    pub controls: u64,
    /// How many of these have rules.
    pub automated: u64,
    /// How many were selected for this scan by level, profile and choice.
    pub selected: u64,
    /// What was judged in the same scan: its controls are counted above.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<BesideInfo>,
    /// What a layer (`extends`) changed: dropped controls and the like, with their reasons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<LayerChange>,
}

impl BenchmarkInfo {
    /// Whether the scan judges by this benchmark, as the main one or beside it.
    #[must_use]
    pub fn has(&self, id: &str) -> bool {
        self.ids().any(|known| known == id)
    }

    /// The ids of all benchmarks of the scan, the main one first.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.id.as_str()).chain(self.beside.iter().map(|beside| beside.id.as_str()))
    }

    /// The names of all benchmarks of the scan.
    #[must_use]
    pub fn titles(&self) -> String {
        let beside = self.beside.iter().map(|beside| beside.title.as_str());
        std::iter::once(self.title.as_str()).chain(beside).collect::<Vec<_>>().join(" + ")
    }
}

/// A benchmark that was judged in the same scan as the main one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BesideInfo {
    /// Its id, such as `golden-image`.
    pub id: String,
    /// Its name.
    pub title: String,
    /// Its version.
    pub version: String,
    /// Its controls.
    pub controls: u64,
}

/// A change that a user's layer makes to the benchmark it extends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LayerChange {
    /// The layer's id.
    pub layer: String,
    /// The control it is about.
    pub control: String,
    /// What it does: `dropped`, `added`, `changed`.
    pub change: String,
    /// Why, in the words of its author.
    pub reason: String,
}

/// Counts of findings.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// Findings that pass.
    pub pass: u64,
    /// Findings that fail, waived ones among them.
    pub fail: u64,
    /// Findings that could not be decided.
    pub unknown: u64,
    /// Findings that a person has to look at.
    pub manual: u64,
    /// Findings that are not about this image.
    pub not_applicable: u64,
    /// Failures by severity.
    pub failed_by_severity: BTreeMap<Severity, u64>,
    /// `100 × pass / (pass + fail + unknown)`, to one decimal; nothing if none was decided.
    pub score: Option<f64>,
}

impl Summary {
    /// Counts these findings.
    #[must_use]
    pub fn of(findings: &[Finding]) -> Self {
        let mut summary = Self::default();
        for finding in findings {
            match finding.status {
                Status::Pass => summary.pass += 1,
                Status::Fail => {
                    summary.fail += 1;
                    *summary.failed_by_severity.entry(finding.severity).or_default() += 1;
                }
                Status::Unknown => summary.unknown += 1,
                Status::Manual => summary.manual += 1,
                Status::NotApplicable => summary.not_applicable += 1,
            }
        }
        let judged = summary.pass + summary.fail + summary.unknown;
        #[expect(clippy::cast_precision_loss, reason = "a benchmark has a few hundred controls")]
        let score = |pass: u64| (1_000.0 * pass as f64 / judged as f64).round() / 10.0;
        summary.score = (judged > 0).then(|| score(summary.pass));
        summary
    }
}

/// One control and what was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// The control's number in its document.
    pub control: String,
    /// The benchmark it is of, where that is not the main one of the scan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub benchmark: Option<String>,
    /// What it asks for.
    pub title: String,
    /// Its level in the chosen profile.
    pub level: u8,
    /// The highest severity among its rules that do not pass; if all pass, among all.
    pub severity: Severity,
    /// The worst status among its rules.
    pub status: Status,
    /// Why, where the rules' evidence does not say it.
    #[serde(default)]
    pub reason: Option<String>,
    /// The waiver that covers it, as `file:line`: set by the gate.
    #[serde(default)]
    pub waiver: Option<String>,
    /// One a rule.
    pub rules: Vec<RuleResult>,
}

/// What one rule said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuleResult {
    /// The rule's id.
    pub id: String,
    /// Its status.
    pub status: Status,
    /// Why, where the evidence alone does not say it.
    #[serde(default)]
    pub reason: Option<String>,
    /// What it saw, in order, at most [`Outcome::MAX_EVIDENCE`](super::Outcome::MAX_EVIDENCE) pieces.
    pub evidence: Vec<Evidence>,
    /// How many pieces there were in truth.
    pub evidence_total: u64,
    /// How to mend it, where the values make it another way than that of [`RuleInfo::fix`]: one rule can serve several controls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<Fix>,
    /// The values its parameters had, and where each came from.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, ValueInfo>,
}

/// The value of a parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ValueInfo {
    /// The value.
    pub value: serde_json::Value,
    /// Who set it: `default` (the rule), `benchmark`, the id of a layer, or `command line`.
    pub from: String,
}

/// What a report needs to know of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuleInfo {
    /// What is true when it passes.
    pub title: String,
    /// How much it matters.
    pub severity: Severity,
    /// Why it matters.
    pub why: String,
    /// How to mend it.
    pub fix: Fix,
    /// The controls of other catalogues that it serves, by [`Taxonomy::id`](super::Taxonomy::id).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub references: BTreeMap<String, Vec<String>>,
}

/// How to mend a failure.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fix {
    /// In words.
    pub text: String,
    /// As an idempotent shell command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<String>,
}

impl Fix {
    /// The same with values in place of `{{name}}`; of several values that would do, the first. A name without a value stays as it is.
    #[must_use]
    pub fn with<'v>(&self, value: impl Fn(&str) -> Option<&'v serde_json::Value>) -> Self {
        let fill = |text: &str| {
            let mut filled = String::with_capacity(text.len());
            let mut rest = text;
            while let Some((before, after)) = rest.split_once("{{") {
                filled.push_str(before);
                match after.split_once("}}") {
                    Some((name, after)) if let Some(value) = value(name) => {
                        filled.push_str(&written(value));
                        rest = after;
                    }
                    _ => {
                        filled.push_str("{{");
                        rest = after;
                    }
                }
            }
            filled + rest
        };
        Self { text: fill(&self.text), shell: self.shell.as_deref().map(fill) }
    }

    /// The names that stand as `{{name}}` in it.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let all = std::iter::once(self.text.as_str()).chain(self.shell.as_deref());
        all.flat_map(|text| text.split("{{").skip(1)).filter_map(|part| Some(part.split_once("}}")?.0))
    }
}

/// A value as a command takes it.
fn written(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(values) => values.first().map(written).unwrap_or_default(),
        other => other.to_string(),
    }
}

/// Something that went wrong and touches more than one finding: a file that does not parse, a directory that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Trouble {
    /// Where, escaped; empty if it has no place in the image.
    pub path: String,
    /// Line in the file, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// What.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_fix_takes_its_values_and_leaves_other_braces_alone() {
        let fix =
            Fix { text: "Set {{value}}.".into(), shell: Some("find -exec a {} + ; echo {{value}} {{x}} ${y} {{value".into()) };
        let (four, several) = (json!(4), json!(["halt", "single"]));
        let with = |value| fix.with(move |name| (name == "value").then_some(value));
        assert_eq!(with(&four).text, "Set 4.");
        assert_eq!(with(&several).shell.unwrap(), "find -exec a {} + ; echo halt {{x}} ${y} {{value");
        assert_eq!(fix.names().collect::<Vec<_>>(), ["value", "value", "x"]);
    }
}
