//! `docs/coverage.md` and the pages of `docs/rules/` are made from the shipped rules and benchmarks.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use karat::benchmark::{Benchmark, Control, shipped};
use karat::finding::{Status, Taxonomy};
use karat::rule::{self, Rule, read_pack};

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
    text.push_str("\n## Other catalogues\n\nRules refer to controls of other catalogues, in SARIF as taxonomies (`benchmarks/taxonomies/`):\n\n");
    for taxonomy in Taxonomy::ALL {
        let _ = writeln!(text, "- {} {}: {}", taxonomy.name, taxonomy.version, taxonomy.source);
    }
    generated("docs/coverage.md", &text);
}

/// Which controls use a rule, by benchmark.
fn uses() -> BTreeMap<String, BTreeMap<String, Vec<String>>> {
    let mut uses: BTreeMap<String, BTreeMap<String, Vec<String>>> = BTreeMap::new();
    for benchmark in shipped::index().iter().filter_map(|entry| shipped::benchmark(&entry.id)) {
        for control in &benchmark.control {
            for used in &control.rules {
                let controls = uses.entry(used.id().to_owned()).or_default().entry(benchmark.id.clone()).or_default();
                if !controls.contains(&control.id) {
                    controls.push(control.id.clone());
                }
            }
        }
    }
    uses
}

#[test]
fn the_pages_on_coverage_by_rules() {
    let (uses, references) = (uses(), rule::shipped::references());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut topics: Vec<String> = (fs::read_dir(root.join("rules")).unwrap())
        .filter_map(|entry| entry.unwrap().file_name().into_string().unwrap().strip_suffix(".toml").map(str::to_owned))
        .collect();
    topics.sort();
    let mut index = format!("# Rules\n\n{MADE}\n\n| topic | rules |\n|---|--:|\n");
    for topic in &topics {
        let name = format!("{topic}.toml");
        let rules = read_pack(&name, &fs::read_to_string(root.join("rules").join(&name)).unwrap())
            .unwrap_or_else(|mistakes| panic!("{}", mistakes[0]));
        let mut text = format!(
            "# {topic}\n\nThe rules of [`rules/{name}`](../../rules/{name}), which has their checks and examples whole. {MADE}\n"
        );
        for rule in &rules {
            page(&mut text, rule, uses.get(&rule.id), references.get(&rule.id));
        }
        generated(&format!("docs/rules/{topic}.md"), &text);
        let _ = writeln!(index, "| [{topic}]({topic}.md) | {} |", rules.len());
    }
    generated("docs/rules/README.md", &index);
    for entry in fs::read_dir(root.join("docs/rules")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let topic = name.strip_suffix(".md").unwrap_or(&name).to_owned();
        assert!(topic == "README" || topics.contains(&topic), "docs/rules/{name} is of rules that are gone");
    }
}

fn page(
    text: &mut String,
    rule: &Rule,
    uses: Option<&BTreeMap<String, Vec<String>>>,
    references: Option<&BTreeMap<String, Vec<String>>>,
) {
    let _ = write!(text, "\n## {}\n\n{} (*{}*)\n\n{}\n", rule.id, rule.title, rule.severity.name(), rule.why.trim());
    let _ = write!(text, "\n**Fix:** {}\n", rule.fix.text.trim());
    if let Some(shell) = &rule.fix.shell {
        let _ = write!(text, "\n```sh\n{}\n```\n", shell.trim_end());
    }
    if !rule.params.is_empty() {
        text.push_str("\n| parameter | default |\n|---|---|\n");
        for (name, value) in &rule.params {
            let _ = writeln!(text, "| `{name}` | `{}` |", value.to_string().replace('|', "\\|"));
        }
    }
    text.push('\n');
    for (benchmark, controls) in uses.into_iter().flatten() {
        let _ = writeln!(text, "- {benchmark}: {}", controls.join(", "));
    }
    for taxonomy in Taxonomy::ALL {
        if let Some(controls) = references.and_then(|references| references.get(taxonomy.id)) {
            let _ = writeln!(text, "- {} {}: {}", taxonomy.name, taxonomy.version, controls.join(", "));
        }
    }
    if !rule.same_as.is_empty() {
        let _ = writeln!(text, "- ComplianceAsCode: {}", rule.same_as.join(", "));
    }
    let _ = write!(text, "\nExamples:\n\n");
    for example in &rule.example {
        let _ = writeln!(text, "- {}: {}", Status::from(example.verdict).name(), example.name);
    }
}

#[test]
fn every_reference_is_of_a_rule_and_has_the_form_of_its_catalogue() {
    let rules = rule::shipped::rules();
    let number = |text: &str| !text.is_empty() && text.len() <= 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    for (rule, catalogues) in rule::shipped::references() {
        assert!(rules.contains_key(&rule), "benchmarks/taxonomies/ refers to '{rule}', which is no rule");
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
