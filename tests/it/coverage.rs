//! `docs/coverage.md` is made from the shipped benchmarks; what rules refer to is there.

use std::fmt::Write as _;

use karat::benchmark::{Benchmark, Control, shipped};
use karat::finding::Taxonomy;
use karat::rule;

use crate::benchmarks::DOCUMENTS;
use crate::generated::generated;

const MADE: &str = "This page is made from the code: `KARAT_UPDATE=1 cargo nextest run coverage` writes it anew.";

/// Why a control is not automated: what a person looks at, or that no rule answers it yet.
fn open(control: &Control) -> String {
    control.manual.clone().unwrap_or_else(|| "**No rule answers it yet.**".into())
}

#[test]
fn the_page_on_coverage() {
    let benchmarks: Vec<Benchmark> = DOCUMENTS.iter().map(|document| shipped::benchmark(document.id).unwrap()).collect();
    let mut text = format!(
        "# Coverage\n\nEvery shipped document lists all of its controls. *Automated*: rules decide it, from the image alone. *Reference*: how \
         many of them the ComplianceAsCode project marks as automated for the same version. *For a person*: the control says what to look \
         at. {MADE}\n\n| document | version | controls | automated | reference | for a person | no rule yet |\n|---|---|--:|--:|--:|--:|--:|\n"
    );
    for (document, benchmark) in DOCUMENTS.iter().zip(&benchmarks) {
        let count = |wanted: fn(&Control) -> bool| benchmark.control.iter().filter(|control| wanted(control)).count();
        let _ = writeln!(
            text,
            "| [{}](#{}) | {} | {} | {} | {} | {} | {} |",
            benchmark.title,
            document.id.replace('.', ""),
            benchmark.version,
            benchmark.control.len(),
            count(|control| !control.rules.is_empty()),
            document.automated,
            count(|control| control.rules.is_empty() && control.manual.is_some()),
            count(|control| control.rules.is_empty() && control.manual.is_none()),
        );
    }
    for benchmark in &benchmarks {
        let _ = write!(text, "\n## {}\n\nNot automated:\n\n", benchmark.id);
        for control in benchmark.control.iter().filter(|control| control.rules.is_empty()) {
            let _ = writeln!(text, "- {} {}: {}", control.id, control.title, open(control));
        }
    }
    generated("docs/coverage.md", &text);
}

#[test]
fn every_reference_is_of_a_rule_and_has_the_form_of_its_catalogue() {
    let rules = rule::shipped::rules();
    let number = |text: &str| !text.is_empty() && text.len() <= 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    for (rule, catalogues) in rule::shipped::references() {
        assert!(rules.contains_key(&rule), "taxonomies/ refers to '{rule}', which is no rule");
        for (catalogue, controls) in catalogues {
            assert!(Taxonomy::ALL.iter().any(|taxonomy| taxonomy.id == catalogue), "{catalogue}");
            assert!(!controls.is_empty(), "{catalogue} {rule}");
            for control in controls {
                let right = if catalogue == "cis-controls-8" {
                    control.split_once('.').is_some_and(|(group, safeguard)| number(group) && number(safeguard))
                } else {
                    let (family, rest) = control.split_once('-').unwrap();
                    let (base, enhancement) = rest.strip_suffix(')').and_then(|rest| rest.split_once('(')).unwrap_or((rest, "1"));
                    family.len() == 2 && number(base) && number(enhancement)
                };
                assert!(right, "{catalogue} {rule}: '{control}'");
            }
        }
    }
}
