//! Rules from a TOML file that somebody wrote.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;

use super::{Example, Instance, Rule};
use crate::check::{Applies, Check};
use crate::document::{Document, Mistake, Step, nearest};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pack {
    #[serde(default)]
    rule: Vec<Rule>,
}

/// Reads the rules of one file.
///
/// # Errors
/// Every mistake that can be told apart: TOML as such and its types first, then, rule by rule, its check with the defaults of its
/// parameters, its id, and the values of its examples.
pub fn read_pack(name: &str, text: &str) -> Result<Vec<Arc<Rule>>, Vec<Mistake>> {
    let document = Document::parse(name, text).map_err(|mistake| vec![mistake])?;
    let pack: Pack = document.read().map_err(|mistake| vec![mistake])?;
    let mut mistakes = Vec::new();
    let mut ids = BTreeSet::new();
    for (index, rule) in pack.rule.iter().enumerate() {
        let at = |key| [Step::Key("rule"), Step::Index(index), Step::Key(key)];
        if !is_id(&rule.id) {
            mistakes.push(document.mistake(
                &at("id"),
                format!("'{}' is no id", rule.id),
                Some("lower case words joined by '-'".into()),
            ));
        }
        if !ids.insert(&rule.id) {
            mistakes.push(document.mistake(&at("id"), format!("the id '{}' is taken already", rule.id), None));
        }
        if rule.title.is_empty() {
            mistakes.push(document.mistake(&at("title"), "the title is empty", None));
        }
        if rule.applies.is_some()
            && let Err(mistake) = document.read_at::<Applies>(&at("applies"), &BTreeMap::new())
        {
            mistakes.push(mistake);
        }
        if let Some(name) = rule.fix.names().find(|name| !rule.params.contains_key(*name)) {
            let known = nearest(name, rule.params.keys().map(String::as_str)).map(|near| format!("you may have meant '{near}'"));
            mistakes.push(document.mistake(&at("fix"), format!("'{{{{{name}}}}}' is no parameter of this rule"), known));
        }
        match document.read_at::<Check>(&at("check"), &document.table(&at("params"))) {
            Err(mistake) => mistakes.push(mistake),
            Ok(check) => {
                mistakes.extend(check.flaw().map(|flaw| document.mistake(&at("check"), flaw, None)));
                for (number, example) in rule.example.iter().enumerate() {
                    let place = [Step::Key("rule"), Step::Index(index), Step::Key("example"), Step::Index(number)];
                    mistakes.extend(document.decimal_mode(&place));
                    mistakes.extend(flaw_of(example, rule).map(|flaw| document.mistake(&place, flaw, None)));
                }
            }
        }
    }
    if mistakes.is_empty() { Ok(pack.rule.into_iter().map(Arc::new).collect()) } else { Err(mistakes) }
}

fn flaw_of(example: &Example, rule: &Rule) -> Option<String> {
    if let Some(flaw) = example.flaw() {
        return Some(flaw);
    }
    Instance::new(Arc::new(rule.clone()), &[("example", &example.with)]).err().map(|error| error.to_string())
}

fn is_id(id: &str) -> bool {
    let word = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'.')
    };
    !id.is_empty() && id.split('-').all(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: &str = "[[rule]]\nid = 'a-rule'\ntitle = 'T'\nseverity = 'low'\n";

    fn mistakes(rest: &str) -> Vec<Mistake> {
        read_pack("ours.toml", &format!("{RULE}{rest}")).unwrap_err()
    }

    #[test]
    fn a_wrong_matcher_is_pointed_at() {
        let found = mistakes("check.file = { path = '/x', mode_within = '0640' }\n");
        assert_eq!((found[0].line, found[0].column), (5, 29), "{}", found[0]);
        assert_eq!(found[0].help.as_deref(), Some("you may have meant 'mode-within'"));
    }

    #[test]
    fn a_mode_that_is_none_is_pointed_at() {
        let found = mistakes("check.file = { path = '/x', mode-within = '0680' }\n");
        assert_eq!((found[0].line, found[0].column), (5, 43), "{}", found[0]);
    }

    #[test]
    fn a_decimal_mode_is_refused_wherever_it_stands() {
        for (line, text) in [
            (5, "check.file = { path = '/x', mode-within = 644 }\n"),
            (6, "params.mode = 644\ncheck.file = { path = '/x', mode-within = { param = 'mode' } }\n"),
            (8, "check.file = { path = '/x', exists = true }\n[[rule.example]]\nverdict = 'pass'\nfiles.'/x' = { mode = 600 }\n"),
        ] {
            let text = text.replace("verdict", "name = 'n'\nverdict");
            let line = if line == 8 { 9 } else { line };
            let found = mistakes(&text);
            assert!(found.iter().any(|found| found.line == line && found.message.contains("octal")), "{} {text}", found[0]);
        }
        let help = mistakes("check.file = { path = '/x', mode-within = 644 }\n").remove(0).help;
        assert_eq!(help.as_deref(), Some("write 0o644, or \"0644\""));
    }

    #[test]
    fn a_path_has_to_be_whole() {
        for check in ["file = { path = 'etc/x', exists = true }", "line = { path = ['/etc/y', 'etc/x'], has = 'a' }"] {
            let found = mistakes(&format!("check.{check}\n"));
            assert!(found[0].message.contains("'etc/x'") && found[0].message.contains("/etc/x"), "{}", found[0]);
        }
    }

    #[test]
    fn a_parameter_that_is_not_declared_is_pointed_at() {
        let found = mistakes("params.mode = '0640'\ncheck.file = { path = '/x', mode-within = { param = 'mod' } }\n");
        assert_eq!((found[0].line, found[0].help.as_deref()), (6, Some("you may have meant 'mode'")), "{}", found[0]);
    }

    #[test]
    fn a_fix_with_a_value_that_is_no_parameter_is_pointed_at() {
        let found = mistakes(
            "params.mode = '0640'\nfix.text = 'Set {{mod}}.'\ncheck.file = { path = '/x', mode-within = { param = 'mode' } }\n",
        );
        assert_eq!((found[0].line, found[0].help.as_deref()), (6, Some("you may have meant 'mode'")), "{}", found[0]);
    }

    #[test]
    fn an_id_used_twice_is_named() {
        let text = format!("{RULE}check.file = {{ path = '/x', exists = true }}\n").repeat(2);
        let found = read_pack("ours.toml", &text).unwrap_err();
        assert!(found[0].message.contains("taken"), "{}", found[0]);
        assert_eq!(found[0].line, 7);
    }

    #[test]
    fn a_check_that_asks_nothing_is_a_mistake() {
        assert!(mistakes("check.file = { path = '/x' }\n")[0].message.contains("asks nothing"));
        assert!(mistakes("check.all = []\n")[0].message.contains("empty list"));
    }
}
