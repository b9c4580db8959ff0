//! Every automated control of every shipped benchmark can pass, and fails for a fault of each of its rules: by the rules' own examples,
//! judged the whole way as the control has it, on the system the benchmark is written for. So nothing hides a rule: not the control's
//! values, not what it applies to, not the rules beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use karat::benchmark::{Benchmark, Choice, Control, Selected, select, shipped};
use karat::check::{Applies, OsSelector};
use karat::engine::scan;
use karat::facts::firewall::Tool;
use karat::finding::{Finding, Status};
use karat::rule::{self, Example, FileSpec, Rule, Verdict};
use rayon::prelude::*;

/// What is installed where an example does not say it: releases that matter to a verdict, anything else for the rest.
const RELEASES: [(&str, &str); 1] = [("openssh-server", "1:9.2p1-2+deb12u3")];

#[test]
fn every_control_passes_and_fails_by_a_planted_fault_of_each_rule() {
    let rules = rule::shipped::whole();
    let benchmarks: Vec<Benchmark> =
        shipped::index().iter().map(|entry| shipped::benchmark(&entry.id).unwrap_or_else(|| panic!("{}", entry.id))).collect();
    let mut seen = BTreeSet::new();
    let mut work = Vec::new();
    for benchmark in &benchmarks {
        for control in benchmark.control.iter().filter(|control| !control.rules.is_empty()) {
            // What benchmarks have in common is judged once.
            let asked = format!("{:?} {:?} {:?}", benchmark.applies, control.applies, control.rules);
            if seen.insert(asked) {
                work.push((benchmark, control));
            }
        }
    }
    let mut misses: Vec<String> = work.par_iter().flat_map(|(benchmark, control)| misses(benchmark, control, &rules)).collect();
    misses.sort();
    assert!(work.len() > 1_000, "only {} controls", work.len());
    assert!(misses.is_empty(), "{} of {} controls:\n{}", misses.len(), work.len(), misses.join("\n"));
}

/// What does not show in one control.
fn misses(benchmark: &Benchmark, control: &Control, rules: &BTreeMap<String, Arc<Rule>>) -> Vec<String> {
    let profile = benchmark.profiles.iter().find(|profile| control.level.of(profile).is_some()).cloned();
    let one = Benchmark { control: vec![control.clone()], ..benchmark.clone() };
    let selected = select(&one, rules, &Choice { profile, ..Choice::default() }).unwrap();
    let mut misses = Vec::new();
    for rule in control.rules.iter().map(|used| &rules[used.id()]) {
        for wanted in [Verdict::Pass, Verdict::Fail] {
            let mut said = BTreeSet::new();
            let shows = |example: &Example| match finding(example, rule, benchmark, control, &selected) {
                Ok(finding) => {
                    let result = finding.rules.iter().find(|result| result.id == rule.id).unwrap();
                    let shows = match wanted {
                        Verdict::Fail => result.status == Status::Fail && finding.status == Status::Fail,
                        // What the rules beside it say of this example is their matter, unless nothing is judged.
                        _ => result.status == Status::Pass && (control.rules.len() > 1 || finding.status == Status::Pass),
                    };
                    let hidden = finding.status == Status::NotApplicable && result.status != Status::NotApplicable;
                    if !shows || hidden {
                        let reason = result.reason.as_ref().or(finding.reason.as_ref()).map(String::as_str).unwrap_or_default();
                        said.insert(format!(
                            "{}: rule {}, control {} {reason}",
                            example.name,
                            result.status.name(),
                            finding.status.name()
                        ));
                    }
                    shows && !hidden
                }
                Err(flaw) => {
                    said.insert(format!("{}: {flaw}", example.name));
                    false
                }
            };
            if !rule.example.iter().filter(|example| example.verdict == wanted).any(shows) {
                let said: Vec<String> = said.into_iter().collect();
                misses.push(format!(
                    "{} {} {}: never {wanted:?}:\n    {}",
                    benchmark.id,
                    control.id,
                    rule.id,
                    said.join("\n    ")
                ));
            }
        }
    }
    misses
}

/// The control's finding on the image of an example, made one of the benchmark's system to which control and rule apply.
fn finding(
    example: &Example,
    rule: &Rule,
    benchmark: &Benchmark,
    control: &Control,
    selected: &Selected,
) -> Result<Finding, String> {
    let mut example = example.clone();
    if let Some(system) = &benchmark.applies {
        example.os = Some(named(system));
    }
    if let Some(applies) = &control.applies {
        prepare(&mut example, applies);
    }
    if let Some(applies) = rule.applies.as_ref().filter(|_| !example.tells_packages() || control.applies.is_some()) {
        prepare(&mut example, applies);
    }
    example.shown(|target| scan(target, selected).findings.remove(0))
}

fn named(system: &OsSelector) -> String {
    let version = system.version.as_ref().and_then(|versions| versions.0.first());
    format!("{} {}", system.id.0[0], version.map(String::as_str).unwrap_or_default())
}

/// Adds to an example what something applies to.
fn prepare(example: &mut Example, applies: &Applies) {
    match applies {
        Applies::Package(names) => {
            let installed = example.packages.get_or_insert_default();
            let is = |words: &String| names.0.iter().any(|name| words.split(' ').next() == Some(name));
            if !installed.iter().any(is) {
                let name = &names.0[0];
                let release = RELEASES.iter().find(|(known, _)| known == name).map_or("9", |(_, release)| release);
                installed.push(format!("{name} {release}"));
            }
        }
        Applies::File(patterns) => {
            let path = patterns.0[0].replace('*', "x");
            example.files.entry(path).or_insert_with(|| FileSpec::Text(String::new()));
        }
        Applies::All(inner) => inner.iter().for_each(|applies| prepare(example, applies)),
        Applies::Any(inner) => prepare(example, &inner[0]),
        Applies::Not(inner) => {
            // Nothing has to be there, and it has to be known that it is not.
            if matches!(**inner, Applies::Package(_)) {
                example.packages.get_or_insert_default();
            }
        }
        Applies::Os(system) if example.os.is_none() => example.os = Some(named(system)),
        Applies::Sshd(_) => prepare(example, &serde_json::from_str(r#"{ "package": "openssh-server" }"#).unwrap()),
        Applies::ChosenFirewall(tool) => {
            let names = match tool {
                Tool::Ufw => "ufw",
                Tool::Iptables => "iptables-persistent",
                Tool::Firewalld => "firewalld",
                Tool::Nftables => {
                    example.packages.get_or_insert_default();
                    return;
                }
            };
            let known = example.packages.get_or_insert_default();
            if !known.iter().any(|known| known.split(' ').next() == Some(names)) {
                known.push(format!("{names} 9"));
            }
        }
        Applies::Os(_) | Applies::Firewall(_) | Applies::BuiltIn(_) | Applies::Running(_) => {}
    }
}
