//! The schema of rules and the page that lists every kind of check are made from the code; the page on writing rules shows what works.

use std::fmt::Write as _;

use serde_json::Value;

use crate::generated::generated;

#[test]
fn the_schema_of_rules() {
    generated("schema/rules.json", &format!("{:#}\n", karat::rule::rules_schema().as_value()));
}

#[test]
fn the_list_of_checks() {
    let schema = serde_json::to_value(karat::rule::rules_schema()).unwrap();
    let text = checks(&schema);
    for kind in karat::check::Check::KINDS {
        assert!(schema["$defs"].get(kind).is_some(), "{kind} has no definition of that name");
    }
    generated("docs/checks.md", &text);
}

/// One section a kind: what it is, and a table of its keys.
fn checks(schema: &Value) -> String {
    let definitions = &schema["$defs"];
    let mut text = String::from(
        "# Checks\n\nEvery kind of check with its keys. This page is made from the code (`tests/it/pages.rs`). \
         Every value can also be a parameter of the rule: `{ param = \"name\" }`.\n",
    );
    for variant in definitions["Check"]["oneOf"].as_array().unwrap() {
        let (key, body) = variant["properties"].as_object().unwrap().iter().next().unwrap();
        let _ = write!(text, "\n## `check.{key}`\n\n{}\n", variant["description"].as_str().unwrap());
        let Some(name) = body["$ref"].as_str().and_then(|name| name.rsplit('/').next()).filter(|&name| name != "Check") else {
            continue;
        };
        let definition = &definitions[name];
        if let Some(prose) = definition["description"].as_str() {
            let _ = write!(text, "\n{prose}\n");
        }
        let required: Vec<&str> = definition["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        text.push_str("\n| key | value | |\n|---|---|---|\n");
        for (key, property) in definition["properties"].as_object().into_iter().flatten() {
            let mark = if required.contains(&key.as_str()) { " (needed)" } else { "" };
            let says = property["description"].as_str().unwrap_or_default().replace('\n', " ").replace('|', "\\|");
            let _ = writeln!(text, "| `{key}`{mark} | {} | {says} |", value(property, definitions).join(" or "));
        }
    }
    text
}

/// What a value may be, in words.
fn value(schema: &Value, definitions: &Value) -> Vec<String> {
    if let Some(name) = schema["$ref"].as_str().and_then(|name| name.rsplit('/').next()) {
        return match name {
            "Param" => Vec::new(),
            "Names" => vec!["name".into(), "list of names".into()],
            "Mode" => vec!["mode".into()],
            "Pattern" => vec!["regular expression".into()],
            "Check" => vec!["check".into()],
            other => value(&definitions[other], definitions),
        };
    }
    let mut words = Vec::new();
    for (key, of_each) in [("anyOf", true), ("oneOf", true), ("enum", false)] {
        for inner in schema[key].as_array().into_iter().flatten() {
            match inner.as_str() {
                Some(choice) if !of_each => words.push(format!("`{choice}`")),
                _ => words.extend(value(inner, definitions)),
            }
        }
    }
    words.extend(schema["const"].as_str().map(|choice| format!("`{choice}`")));
    if words.is_empty() {
        let types =
            schema["type"].as_str().into_iter().chain(schema["type"].as_array().into_iter().flatten().filter_map(Value::as_str));
        for one in types {
            words.push(match one {
                "null" => continue,
                "array" => format!("list of {}", value(&schema["items"], definitions).join(" or ")),
                "object" => "table".into(),
                "integer" => "number".into(),
                "string" => "text".into(),
                other => other.into(),
            });
        }
    }
    words.dedup();
    words
}

#[test]
fn the_page_on_writing_rules_shows_what_works() {
    let page = include_str!("../../docs/writing-rules.md");
    let blocks: Vec<&str> = page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    // The rule with its words, then its examples.
    let rule = blocks.iter().position(|block| block.starts_with("[[rule]]")).unwrap();
    let examples = blocks.iter().position(|block| block.starts_with("[[rule.example]]")).unwrap();
    let words = blocks.iter().position(|block| block.starts_with("why = ")).unwrap();
    let whole = [blocks[rule], blocks[words], blocks[examples]].concat();
    let pack = karat::rule::read_pack("banner.toml", &whole).unwrap_or_else(|mistakes| panic!("{}", mistakes[0]));
    assert_eq!(pack[0].example.len(), 2);
    for example in &pack[0].example {
        example.test(&pack[0]).unwrap_or_else(|why| panic!("{}: {why}", example.name));
    }
    let benchmark = blocks.iter().find(|block| block.starts_with("id = \"our-baseline\"")).unwrap();
    let mut rules = karat::rule::shipped::rules();
    rules.insert(pack[0].id.clone(), pack[0].clone());
    karat::benchmark::read_benchmark("baseline.toml", benchmark, &rules, &karat::benchmark::no_files)
        .unwrap_or_else(|mistakes| panic!("{}", mistakes[0]));
    let layer = blocks.iter().find(|block| block.starts_with("id = \"our-debian-12\"")).unwrap();
    let layer = karat::benchmark::read_benchmark("layer.toml", layer, &rules, &karat::benchmark::no_files);
    let layer = layer.unwrap_or_else(|mistakes| panic!("{}", mistakes[0]));
    assert_eq!(layer.changes.len(), 4);
    // Every key of an example is in the table.
    let schema = serde_json::to_value(karat::rule::rules_schema()).unwrap();
    for (definition, start) in [("Example", "| `"), ("EntrySpec", "`")] {
        for key in schema["$defs"][definition]["properties"].as_object().unwrap().keys() {
            let wanted = if key == "files" { "| `files.".to_owned() } else { format!("{start}{key}`") };
            assert!(page.contains(&wanted), "docs/writing-rules.md does not tell of '{key}' of an example");
        }
    }
}

#[test]
fn the_page_on_the_gate_shows_what_works() {
    let page = include_str!("../../docs/gate.md");
    let blocks: Vec<&str> = page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    karat::config::read_config("karat.toml", blocks[0]).unwrap_or_else(|mistakes| panic!("{}", mistakes[0]));
    karat::gate::read_waivers("waivers.toml", blocks[1]).unwrap_or_else(|mistakes| panic!("{}", mistakes[0]));
}
