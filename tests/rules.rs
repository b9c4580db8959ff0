//! Every example of every shipped rule as a test of its own, and proof that the examples would notice a rule that is wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::process::ExitCode;
use std::sync::Arc;

use karat::rule::{Instance, Rule, Verdict, shipped};
use libtest_mimic::{Arguments, Trial};
use serde_json::Value;

fn main() -> ExitCode {
    let mut trials = Vec::new();
    for (id, rule) in shipped::whole() {
        for example in &rule.example {
            let (rule, example) = (rule.clone(), example.clone());
            trials.push(Trial::test(format!("{id}: {}", example.name), move || Ok(example.test(&rule)?)));
        }
        trials.push(Trial::test(format!("{id}: examples pass and fail"), {
            let rule = rule.clone();
            move || both_verdicts(&rule)
        }));
        trials.push(Trial::test(format!("{id}: a wrong check breaks an example"), move || mutants_die(&rule)));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn both_verdicts(rule: &Rule) -> Result<(), libtest_mimic::Failed> {
    for wanted in [Verdict::Pass, Verdict::Fail] {
        if !rule.example.iter().any(|example| example.verdict == wanted) {
            return Err(format!("no example with the verdict {wanted:?}").into());
        }
    }
    Ok(())
}

/// Changes one thing of the check at a time: each change that still is a check has to break an example.
fn mutants_die(rule: &Arc<Rule>) -> Result<(), libtest_mimic::Failed> {
    let mut alive = Vec::new();
    for (what, check) in mutants(&rule.check) {
        let mutant = Arc::new(Rule { check, ..(**rule).clone() });
        if Instance::new(mutant.clone(), &[]).is_err() {
            continue;
        }
        if mutant.example.iter().all(|example| example.test(&mutant).is_ok()) {
            alive.push(what);
        }
    }
    if alive.is_empty() { Ok(()) } else { Err(format!("no example notices: {}", alive.join("; ")).into()) }
}

/// Leaves turned round, matchers swapped, and keys or alternatives left out, each with its description.
fn mutants(check: &Value) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    let Some((kind, body)) = check.as_object().and_then(|table| table.iter().next()) else { return all };
    let rebuilt = |body: Value| Value::Object([(kind.clone(), body)].into_iter().collect());
    match (kind.as_str(), body) {
        ("all" | "any", Value::Array(inner)) => {
            for (index, one) in inner.iter().enumerate() {
                for (what, mutant) in mutants(one) {
                    let mut changed = inner.clone();
                    changed[index] = mutant;
                    all.push((format!("{kind}[{index}] {what}"), rebuilt(changed.into())));
                }
                let mut fewer = inner.clone();
                fewer.remove(index);
                all.push((format!("{kind} without [{index}]"), rebuilt(fewer.into())));
            }
        }
        ("not", inner) => {
            all.push(("without its not".into(), inner.clone()));
            all.extend(mutants(inner).into_iter().map(|(what, mutant)| (format!("not {what}"), rebuilt(mutant))));
        }
        (_, Value::Object(fields)) => {
            all.push((format!("{kind} turned round"), serde_json::json!({ "not": check })));
            for (key, value) in fields {
                let mut fewer = fields.clone();
                fewer.remove(key);
                all.push((format!("{kind} without {key}"), rebuilt(fewer.clone().into())));
                let other = match key.as_str() {
                    "at-least" => "at-most",
                    "at-most" => "at-least",
                    "equals" => "not-equals",
                    "not-equals" => "equals",
                    "includes" => "excludes",
                    "excludes" => "includes",
                    "matches" => "not-matches",
                    "not-matches" => "matches",
                    _ => continue,
                };
                if !fields.contains_key(other) {
                    fewer.insert(other.into(), value.clone());
                    all.push((format!("{kind} with {other} for {key}"), rebuilt(fewer.into())));
                }
            }
        }
        _ => {}
    }
    all
}
