//! The shipped rules and benchmarks as people write them: they load, and what is embedded is the same.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use karat::benchmark::{Choice, read_benchmark, select};
use karat::rule::{Rule, read_pack, shipped};

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

#[test]
fn every_benchmark_loads_and_is_what_is_embedded() {
    let rules = rules();
    for (name, text) in texts("benchmarks") {
        let written = read_benchmark(&name, &text, &rules).unwrap_or_else(|mistakes| panic!("{}", mistakes[0]));
        let embedded =
            karat::benchmark::shipped::benchmark(&written.id).unwrap_or_else(|| panic!("{} is not embedded", written.id));
        assert_eq!(format!("{written:?}"), format!("{embedded:?}"));
        select(&written, &rules, &Choice::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}
