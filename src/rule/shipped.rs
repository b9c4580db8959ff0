//! The rules that come with karat, embedded when it is built: what a scan needs apart from prose and examples.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;

use flate2::read::GzDecoder;
use serde::Deserialize;

use super::{Example, Rule};
use crate::finding::Fix;

const RULES: &str = include_str!(concat!(env!("OUT_DIR"), "/rules.json"));
const PROSE: &str = include_str!(concat!(env!("OUT_DIR"), "/prose.json"));
const REFERENCES: &str = include_str!(concat!(env!("OUT_DIR"), "/references.json"));
const EXAMPLES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/examples.json.gz"));

/// Why a rule exists and how to mend a failure.
#[derive(Debug, Clone, Deserialize)]
pub struct Prose {
    /// Why it matters.
    pub why: String,
    /// How to mend it.
    pub fix: Fix,
}

/// Every rule, without prose and examples, by id.
///
/// # Panics
/// Never in a build whose tests pass: the texts are made from files that were read when it was built.
#[must_use]
#[expect(clippy::expect_used, reason = "embedded by the build script; a test reads all three")]
pub fn rules() -> BTreeMap<String, Arc<Rule>> {
    let rules: Vec<Rule> = serde_json::from_str(RULES).expect("the embedded rules are whole");
    rules.into_iter().map(|rule| (rule.id.clone(), Arc::new(rule))).collect()
}

/// The prose of every rule, by id.
///
/// # Panics
/// See [`rules`].
#[must_use]
#[expect(clippy::expect_used, reason = "embedded by the build script; a test reads all three")]
pub fn prose() -> BTreeMap<String, Prose> {
    serde_json::from_str(PROSE).expect("the embedded prose is whole")
}

/// The controls of other catalogues that rules serve, by rule and [`Taxonomy::id`](crate::finding::Taxonomy::id).
///
/// # Panics
/// See [`rules`].
#[must_use]
#[expect(clippy::expect_used, reason = "embedded by the build script; a test reads all four")]
pub fn references() -> BTreeMap<String, BTreeMap<String, Vec<String>>> {
    serde_json::from_str(REFERENCES).expect("the embedded references are whole")
}

/// The examples of every rule, by id.
///
/// # Panics
/// See [`rules`].
#[must_use]
#[expect(clippy::expect_used, reason = "embedded by the build script; a test reads all three")]
pub fn examples() -> BTreeMap<String, Vec<Example>> {
    let mut text = String::new();
    GzDecoder::new(EXAMPLES).read_to_string(&mut text).expect("the embedded examples are whole");
    serde_json::from_str(&text).expect("the embedded examples are whole")
}

/// Every rule, whole.
#[must_use]
pub fn whole() -> BTreeMap<String, Arc<Rule>> {
    let mut prose = prose();
    let mut examples = examples();
    let mut rules = rules();
    for (id, rule) in &mut rules {
        let rule = Arc::make_mut(rule);
        if let Some(prose) = prose.remove(id) {
            rule.why = prose.why;
            rule.fix = prose.fix;
        }
        rule.example = examples.remove(id).unwrap_or_default();
    }
    rules
}
