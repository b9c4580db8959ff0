//! A benchmark from a TOML file that somebody wrote, and those it extends.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::{Benchmark, layer, shipped};
use crate::document::{Document, Mistake, Step, nearest};
use crate::rule::{Instance, Rule};

/// Benchmarks that extend each other: an organisation's, a team's and a product's leave room. More is a mistake, or a circle under ever new
/// names.
pub const MAX_LAYERS: usize = 8;

/// The name and the text of a file that another one (first argument) names as what it extends (second argument), or why it cannot be read.
pub type Open<'o> = &'o dyn Fn(&str, &str) -> Result<(String, String), String>;

/// Reads one benchmark and those it extends, and holds them against the rules there are.
///
/// # Errors
/// TOML as such and its types first; then every id that is taken twice, unknown rule, value that a rule does not take, and what a layer
/// names that is not there. A mistake in a file that is extended is told with that file's name.
pub fn read_benchmark(
    name: &str,
    text: &str,
    rules: &BTreeMap<String, Arc<Rule>>,
    open: Open<'_>,
) -> Result<Benchmark, Vec<Mistake>> {
    read_layer(name, text, rules, open, &mut vec![name.to_owned()])
}

/// Whether a benchmark is named by a file. An id has neither a slash nor this ending.
#[must_use]
pub fn is_file_name(name: &str) -> bool {
    name.contains('/') || Path::new(name).extension().is_some_and(|ending| ending.eq_ignore_ascii_case("toml"))
}

/// `chain` has the files from the one that was asked for to this one.
fn read_layer(
    name: &str,
    text: &str,
    rules: &BTreeMap<String, Arc<Rule>>,
    open: Open<'_>,
    chain: &mut Vec<String>,
) -> Result<Benchmark, Vec<Mistake>> {
    let document = Document::parse(name, text).map_err(|mistake| vec![mistake])?;
    let benchmark: Benchmark = document.read().map_err(|mistake| vec![mistake])?;
    let mut mistakes = Vec::new();
    controls(&document, &benchmark, rules, &mut mistakes);
    let Some(extended) = &benchmark.extends else {
        let (drop, change) = (benchmark.drop.is_empty(), benchmark.change.is_empty());
        for (key, _) in [("drop", drop), ("change", change)].iter().filter(|(_, none)| !none) {
            let help = Some("extends = \"cis-debian-12\", or another benchmark".into());
            mistakes.push(document.mistake(&[Step::Key(key), Step::Index(0)], "this benchmark extends none", help));
        }
        return if mistakes.is_empty() { Ok(benchmark) } else { Err(mistakes) };
    };
    let place = [Step::Key("extends")];
    let parent = if is_file_name(extended) {
        let at = |message: String| vec![document.mistake(&place, message, None)];
        let (file, text) = open(name, extended).map_err(at)?;
        chain.push(file.clone());
        if chain.iter().filter(|known| **known == file).count() > 1 {
            return Err(at(format!("this goes in a circle: {}", chain.join(" → "))));
        }
        if chain.len() > MAX_LAYERS {
            return Err(at(format!("no more than {MAX_LAYERS} benchmarks extend each other: {}", chain.join(" → "))));
        }
        read_layer(&file, &text, rules, open, chain)?
    } else if let Some(parent) = shipped::benchmark(extended) {
        parent
    } else {
        let index = shipped::index();
        let near = nearest(extended, index.iter().map(|entry| entry.id.as_str()));
        let help = near.map(|near| format!("you may have meant '{near}'"));
        mistakes.push(document.mistake(&place, format!("no benchmark is called '{extended}'"), help));
        return Err(mistakes);
    };
    if parent.id == benchmark.id {
        let message = format!("the benchmark that is extended is called '{}' too", parent.id);
        mistakes.push(document.mistake(&[Step::Key("id")], message, Some("reports tell layers apart by their ids".into())));
    }
    match layer::extend(&document, benchmark, parent, rules) {
        Ok(whole) if mistakes.is_empty() => Ok(whole),
        Ok(_) => Err(mistakes),
        Err(further) => {
            mistakes.extend(further);
            Err(mistakes)
        }
    }
}

/// The controls that this file brings.
fn controls(document: &Document<'_>, benchmark: &Benchmark, rules: &BTreeMap<String, Arc<Rule>>, mistakes: &mut Vec<Mistake>) {
    let mut ids = BTreeSet::new();
    for (index, control) in benchmark.control.iter().enumerate() {
        let at = |key| [Step::Key("control"), Step::Index(index), Step::Key(key)];
        if !ids.insert(&control.id) {
            mistakes.push(document.mistake(&at("id"), format!("the control '{}' is listed twice", control.id), None));
        }
        for (number, used) in control.rules.iter().enumerate() {
            let place = [Step::Key("control"), Step::Index(index), Step::Key("rules"), Step::Index(number)];
            let Some(rule) = rules.get(used.id()) else {
                let near =
                    nearest(used.id(), rules.keys().map(String::as_str)).map(|near| format!("you may have meant '{near}'"));
                mistakes.push(document.mistake(&place, format!("no rule is called '{}'", used.id()), near));
                continue;
            };
            if let Err(error) = Instance::new(rule.clone(), &[(&benchmark.id, &used.values())]) {
                mistakes.push(document.mistake(&place, error.to_string(), None));
            }
        }
    }
}

/// For benchmarks that extend no file.
///
/// # Errors
/// Always: says that no file is read here.
pub fn no_files(_: &str, named: &str) -> Result<(String, String), String> {
    Err(format!("'{named}' cannot be read here"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benchmark::{Choice, select};
    use crate::finding::Severity;
    use crate::rule;

    const HEAD: &str = "id = 'ours'\ntitle = 'Ours'\nversion = '1'\n";

    fn read(text: &str) -> Result<Benchmark, Vec<Mistake>> {
        read_benchmark("ours.toml", &format!("{HEAD}{text}"), &rule::shipped::rules(), &no_files)
    }

    #[track_caller]
    fn wrong(text: &str, line: usize, column: usize, said: &str) {
        let found = read(text).unwrap_err();
        assert!(found[0].to_string().contains(said), "{}", found[0]);
        assert_eq!((found[0].line, found[0].column), (line, column), "{}", found[0]);
    }

    #[test]
    fn an_unknown_rule_is_pointed_at() {
        wrong("[[control]]\nid = '1'\ntitle = 'T'\nlevel = 1\nrules = ['ssh-rot-login']\n", 8, 10, "no rule is called");
    }

    const LAYER: &str = r#"extends = "cis-debian-12"

[[drop]]
control = "1.1.2.3.1"
reason = "instances keep no home directories"

[[change]]
control = "5.1.16"
reason = "the security team asks for it"
with.ssh-max-auth-tries.value = 3
severity.ssh-max-auth-tries = "critical"

[[change]]
control = "7.1.13"
reason = "whatever belongs to a package is intended"
rules = ["setuid-programs-are-packaged"]

[[control]]
id = "ours.1"
title = "An owner is named"
level = 1
manual = "Look at the tags."
"#;

    #[test]
    fn a_layer_drops_changes_and_adds_and_says_so() {
        let ours = read(LAYER).unwrap();
        let rules = rule::shipped::rules();
        let selected = select(&ours, &rules, &Choice::default()).unwrap();
        assert_eq!((selected.info.id.as_str(), selected.info.controls, selected.info.profile.as_str()), ("ours", 311, "server"));
        let said: Vec<(&str, &str)> =
            selected.info.changes.iter().map(|change| (change.control.as_str(), change.change.as_str())).collect();
        assert_eq!(said, [("1.1.2.3.1", "dropped"), ("5.1.16", "changed"), ("7.1.13", "changed"), ("ours.1", "added")]);
        let reason = &selected.info.changes[1].reason;
        assert!(reason.contains("ssh-max-auth-tries.value = 3") && reason.contains("security team"), "{reason}");
        let control = |id: &str| selected.controls.iter().find(|selected| selected.control.id == id).unwrap();
        assert_eq!(control("1.1.2.3.1").rules.len(), 0);
        let (instance, severity) = &control("5.1.16").rules[0];
        assert_eq!((&instance.values["value"].value, instance.values["value"].from.as_str()), (&3.into(), "ours"));
        assert_eq!(*severity, Severity::Critical);
        assert_eq!(control("7.1.13").rules[0].0.rule.id, "setuid-programs-are-packaged");
        // What no layer touches has the values of the document, under its name.
        assert_eq!(control("5.3.3.1.1").rules[0].0.values["value"].from, "cis-debian-12");
    }

    #[test]
    fn a_profile_and_a_level_are_those_of_the_document() {
        let ours = read(LAYER).unwrap();
        let choice = Choice { profile: Some("workstation".into()), level: Some(1), ..Choice::default() };
        let selected = select(&ours, &rule::shipped::rules(), &choice).unwrap();
        assert!(selected.controls.iter().all(|selected| selected.control.id != "2.1.20"), "for servers only");
        // 1.1.2.3.1 is of level 2: what is dropped of it is not of this scan.
        assert!(selected.info.changes.iter().all(|change| change.control != "1.1.2.3.1"));
    }

    #[test]
    fn what_is_not_there_is_pointed_at() {
        wrong("extends = 'cis-debian'\n", 4, 1, "you may have meant 'cis-debian-12'");
        wrong("[[drop]]\ncontrol = '1'\nreason = 'x'\n", 4, 1, "extends none");
        let layer = |rest: &str| format!("extends = 'cis-debian-12'\n{rest}");
        wrong(&layer("[[drop]]\ncontrol = '5.1.l6'\nreason = 'x'\n"), 6, 1, "you may have meant '5.1.16'");
        wrong(&layer("[[drop]]\ncontrol = '5.1.16'\nreason = ' '\n"), 7, 1, "the reason is empty");
        wrong(&layer("[[change]]\ncontrol = '5.1.16'\nreason = 'x'\n"), 6, 1, "nothing is changed");
        let change = |rest: &str| layer(&format!("[[change]]\ncontrol = '5.1.16'\nreason = 'x'\n{rest}\n"));
        wrong(&change("with.ssh-max-auth-try.value = 3"), 8, 6, "you may have meant 'ssh-max-auth-tries'");
        wrong(&change("with.ssh-max-auth-tries.valu = 3"), 8, 6, "you may have meant 'value'");
        wrong(&change("with.ssh-max-auth-tries.value = []"), 8, 6, "rule 'ssh-max-auth-tries'");
        wrong(&change("severity.ssh-no-root-login = 'low'"), 8, 10, "does not use the rule");
        wrong(&change("rules = ['ssh-max-auth-tries']"), 8, 10, "already");
        wrong(&layer("[[control]]\nid = '5.1.16'\ntitle = 'T'\nlevel = 1\n"), 6, 1, "[[change]] is for changing it");
        let dropped = "[[drop]]\ncontrol = '5.1.16'\nreason = 'x'\n";
        wrong(&layer(&format!("{dropped}{dropped}")), 9, 1, "dropped already, by ours");
    }

    #[test]
    fn a_layer_has_an_id_of_its_own() {
        let text = "id = 'cis-debian-12'\ntitle = 'T'\nversion = '1'\nextends = 'cis-debian-12'\n";
        let found = read_benchmark("b.toml", text, &rule::shipped::rules(), &no_files).unwrap_err();
        assert_eq!((found[0].line, found[0].column), (1, 1), "{}", found[0]);
    }

    /// Files by name, beside each other.
    fn chain(files: &[(&str, String)]) -> Result<Benchmark, Vec<Mistake>> {
        let open = |_: &str, named: &str| {
            let file = files.iter().find(|(name, _)| *name == named).ok_or_else(|| format!("there is no {named}"))?;
            Ok((file.0.to_owned(), file.1.clone()))
        };
        read_benchmark(files[0].0, &files[0].1, &rule::shipped::rules(), &open)
    }

    fn layer(id: &str, extends: &str, rest: &str) -> String {
        format!("id = '{id}'\ntitle = 'T'\nversion = '1'\nextends = '{extends}'\n{rest}")
    }

    #[test]
    fn the_nearest_layer_has_the_last_word() {
        let tries =
            |value: u8| format!("[[change]]\ncontrol = '5.1.16'\nreason = 'x'\nwith.ssh-max-auth-tries.value = {value}\n");
        let files = [
            ("team.toml", layer("team", "firm.toml", &tries(2))),
            ("firm.toml", layer("firm", "cis-debian-12", &format!("profiles = ['server']\n{}", tries(3)))),
        ];
        let team = chain(&files).unwrap();
        assert_eq!(team.profiles, ["server"]);
        let selected = select(&team, &rule::shipped::rules(), &Choice::default()).unwrap();
        let control = selected.controls.iter().find(|selected| selected.control.id == "5.1.16").unwrap();
        let value = &control.rules[0].0.values["value"];
        assert_eq!((&value.value, value.from.as_str()), (&2.into(), "team"));
        let layers: Vec<&str> = selected.info.changes.iter().map(|change| change.layer.as_str()).collect();
        assert_eq!(layers, ["firm", "team"]);
    }

    #[test]
    fn a_circle_is_shown() {
        let files = [("a.toml", layer("a", "b.toml", "")), ("b.toml", layer("b", "a.toml", ""))];
        let found = chain(&files).unwrap_err();
        assert_eq!((found[0].file.as_str(), found[0].line), ("b.toml", 4));
        assert!(found[0].message.contains("a.toml → b.toml → a.toml"), "{}", found[0]);
    }

    #[test]
    fn a_chain_ends() {
        let names: Vec<String> = (0..20).map(|number| format!("{number}.toml")).collect();
        let files: Vec<(&str, String)> =
            (names.iter().zip(&names[1..])).map(|(name, next)| (name.as_str(), layer(name, next, ""))).collect();
        assert!(chain(&files).unwrap_err()[0].message.contains("no more than 8"));
        assert!(chain(&files[..1]).unwrap_err()[0].message.contains("there is no 1.toml"));
    }
}
