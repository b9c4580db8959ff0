//! The shipped rules and benchmarks as people write them: they load, and what is embedded is the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use karat::benchmark::{Choice, no_files, read_benchmark, select};
use karat::facts::{FactId, Facts, Needs, Target};
use karat::image::{MemoryImage, Rootfs};
use karat::rule::{Instance, Rule, read_pack, shipped};
use serde_json::Value;

fn texts(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let toml = paths.into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "toml"));
    toml.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(&path).unwrap())).collect()
}

fn rules() -> BTreeMap<String, Arc<Rule>> {
    let mut rules = BTreeMap::new();
    for (name, text) in texts("rules") {
        for rule in read_pack(&name, &text).unwrap_or_else(|mistakes| panic!("{}", mistakes[0])) {
            let id = rule.id.clone();
            assert!(rules.insert(id.clone(), rule).is_none(), "{id} is in two files");
        }
    }
    rules
}

#[test]
fn every_rule_loads_and_is_what_is_embedded() {
    let (written, embedded) = (rules(), shipped::whole());
    assert_eq!(written.keys().collect::<Vec<_>>(), embedded.keys().collect::<Vec<_>>());
    for (id, rule) in &written {
        assert_eq!(format!("{rule:?}"), format!("{:?}", embedded[id]));
    }
}

#[test]
fn every_rule_says_why_and_how_to_mend_it() {
    for (id, rule) in rules() {
        assert!(rule.title.len() <= 80, "{id}: the title is long");
        assert!(!rule.title.ends_with('.'), "{id}: a title has no full stop");
        assert!(rule.why.len() > 20, "{id}: it does not say why");
        assert!(rule.fix.text.len() > 10, "{id}: it does not say how to mend it");
    }
}

/// A benchmark may ask for another value than the rule's own: a command must not set the latter all the same.
#[test]
fn a_command_that_mends_takes_the_values_of_parameters() {
    for (id, rule) in rules() {
        let shell = rule.fix.shell.clone().unwrap_or_default();
        for (name, value) in &rule.params {
            let literal = match value {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                _ => continue,
            };
            let is_word = |character: char| character.is_alphanumeric() || matches!(character, '_' | '-' | '.' | '/' | '$');
            let fixed = shell.match_indices(&literal).any(|(at, _)| {
                let (before, after) = (&shell[..at], &shell[at + literal.len()..]);
                !before.ends_with(is_word) && !after.starts_with(is_word)
            });
            assert!(!fixed || shell.contains(&format!("{{{{{name}}}}}")), "{id} sets {literal}, not {{{{{name}}}}}: {shell}");
        }
    }
}

#[test]
fn every_benchmark_loads_and_is_what_is_embedded() {
    let rules = rules();
    for (name, text) in texts("benchmarks") {
        let written = read_benchmark(&name, &text, &rules, &no_files).unwrap_or_else(|mistakes| panic!("{}", mistakes[0]));
        let embedded =
            karat::benchmark::shipped::benchmark(&written.id).unwrap_or_else(|| panic!("{} is not embedded", written.id));
        assert_eq!(format!("{written:?}"), format!("{embedded:?}"));
        select(&written, &rules, &Choice::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

/// Facts beside those that the domains stand on: what they answer is asked by fewer than three rules.
const NARROW: &[(FactId, &str)] = &[
    (FactId::Chrony, "where the time comes from and as whom it runs is all that benchmarks ask of chrony"),
    (FactId::Timesyncd, "where the time comes from is all that benchmarks ask of systemd-timesyncd"),
    (FactId::Mail, "where mail is taken is asked of all servers together, and of Postfix alone"),
    (FactId::AppArmor, "profiles have a mode, and nothing else that could be asked"),
    (FactId::UseraddDefaults, "the other defaults of useradd are no matter of security"),
    (FactId::DefaultKernel, "which kernel boots is one question, and the newest one is the only right answer"),
    (FactId::Updates, "whether updates install themselves is one question with two right answers, a parameter of its rule"),
    (FactId::Owners, "only the walk asks who owns a program: setuid and setgid ones, and those with capabilities"),
];

#[test]
fn every_fact_serves_at_least_three_rules() {
    let image = MemoryImage::default();
    let nothing = Facts::none(Target::image(Rootfs::new(&image), jiff::civil::date(2026, 1, 1)));
    let asked: Vec<Needs> = rules()
        .into_values()
        .map(|rule| {
            let mut needs = Needs::default();
            Instance::new(rule, &[]).unwrap().needs(&nothing, &mut needs);
            needs
        })
        .collect();
    // Secrets are asked for when the walk has found candidates, by each rule with a check of them.
    let later = rules().values().filter(|rule| kinds(&rule.check).contains("secrets")).count();
    assert!(later >= 3, "secrets serve {later} rules only");
    for &fact in FactId::ALL.iter().filter(|&&fact| fact != FactId::Secrets) {
        let users = asked.iter().filter(|needs| needs.asks_for(fact)).count();
        match NARROW.iter().find(|(narrow, _)| *narrow == fact) {
            Some((_, because)) => assert!((1..3).contains(&users), "{fact:?} serves {users} rules, not few because {because}"),
            None => assert!(users >= 3, "{fact:?} serves {users} rules only"),
        }
    }
}

#[test]
fn the_rules_are_more_than_modes_and_blocks_and_lines() {
    let rules = rules();
    assert!(rules.len() >= 120, "{} rules", rules.len());
    let kinds: BTreeMap<&str, BTreeSet<&str>> = rules.iter().map(|(id, rule)| (&**id, kinds(&rule.check))).collect();
    let simple = kinds.values().filter(|kinds| kinds.iter().all(|kind| ["file", "module"].contains(kind))).count();
    assert!(simple * 3 <= rules.len(), "{simple} of {} rules only look at a mode or block a module", rules.len());
    let of_lines: Vec<&str> = kinds.iter().filter(|(_, kinds)| kinds.contains("line")).map(|(id, _)| *id).collect();
    assert!(of_lines.len() * 20 <= rules.len(), "{of_lines:?} read plain lines, of {} rules", rules.len());
    for id in of_lines {
        let because = rules[id].line_check_because.as_deref().unwrap_or_default();
        assert!(because.len() > 20, "{id} reads plain lines and does not say why");
    }
}

/// The kinds of check that a rule is made of.
fn kinds(check: &Value) -> BTreeSet<&str> {
    let Some(check) = check.as_object() else { return BTreeSet::new() };
    check
        .iter()
        .flat_map(|(kind, inner)| match (kind.as_str(), inner.as_array()) {
            ("all" | "any", Some(parts)) => parts.iter().flat_map(kinds).collect(),
            ("not", _) => kinds(inner),
            (kind, _) => BTreeSet::from([kind]),
        })
        .collect()
}
