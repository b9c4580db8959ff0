//! A benchmark from a TOML file that somebody wrote.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Benchmark;
use crate::document::{Document, Mistake, Step, nearest};
use crate::rule::{Instance, Rule};

/// Reads one benchmark and holds it against the rules there are.
///
/// # Errors
/// TOML as such and its types first; then every id that is taken twice, unknown rule, and value that a rule does not take.
pub fn read_benchmark(name: &str, text: &str, rules: &BTreeMap<String, Arc<Rule>>) -> Result<Benchmark, Vec<Mistake>> {
    let document = Document::parse(name, text).map_err(|mistake| vec![mistake])?;
    let benchmark: Benchmark = document.read().map_err(|mistake| vec![mistake])?;
    let mut mistakes = Vec::new();
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
    if mistakes.is_empty() { Ok(benchmark) } else { Err(mistakes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_rule_is_pointed_at() {
        let text =
            "id = 'b'\ntitle = 'B'\nversion = '1'\n[[control]]\nid = '1'\ntitle = 'T'\nlevel = 1\nrules = ['ssh-rot-login']\n";
        let found = read_benchmark("b.toml", text, &BTreeMap::new()).unwrap_err();
        assert_eq!((found[0].line, found[0].column), (8, 10), "{}", found[0]);
    }
}
