//! Turns the shipped rules and benchmarks from TOML, which people write, into JSON, which is read faster, and takes prose and
//! examples apart from what every scan needs. Checks nothing but TOML itself: the tests do the rest.
#![allow(clippy::disallowed_methods, reason = "it works on the files of this repository")]
#![allow(clippy::unnecessary_debug_formatting, reason = "a path is written as a string literal")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::{Compression, write::GzEncoder};
use serde_json::{Map, Value, json};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> Outcome {
    println!("cargo::rerun-if-changed=rules");
    println!("cargo::rerun-if-changed=benchmarks");
    println!("cargo::rerun-if-changed=schema");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    rules(&out)?;
    references(&out)?;
    schemas(&out)?;
    benchmarks(&out)
}

fn rules(out: &Path) -> Outcome {
    let (mut rules, mut prose, mut examples) = (Vec::new(), Map::new(), Map::new());
    for (_, mut pack) in read_all("rules")? {
        let Some(Value::Array(list)) = pack.remove("rule") else { continue };
        for rule in list {
            let Value::Object(mut rule) = rule else { continue };
            let id = rule.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
            let why = rule.remove("why").unwrap_or_default();
            let fix = rule.remove("fix").unwrap_or_default();
            prose.insert(id.clone(), json!({ "why": why, "fix": fix }));
            examples.insert(id, rule.remove("example").unwrap_or_else(|| json!([])));
            rules.push(Value::Object(rule));
        }
    }
    fs::write(out.join("rules.json"), Value::Array(rules).to_string())?;
    fs::write(out.join("prose.json"), Value::Object(prose).to_string())?;
    // Most of the text, and read only where somebody asks for it.
    pack(&out.join("examples.json.gz"), Value::Object(examples).to_string().as_bytes())
}

/// Which controls of other catalogues each rule serves: by rule, where the files go by catalogue.
fn references(out: &Path) -> Outcome {
    let mut by_rule: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for (name, rules) in read_all("benchmarks/taxonomies")? {
        for (rule, controls) in rules {
            by_rule.entry(rule).or_default().insert(name.clone(), controls);
        }
    }
    fs::write(out.join("references.json"), serde_json::to_string(&by_rule)?)?;
    Ok(())
}

/// The schemas of the files people write, as they lie beside the rules.
fn schemas(out: &Path) -> Outcome {
    for entry in fs::read_dir("schema")? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        pack(&out.join(format!("{name}.schema.gz")), &fs::read(&path)?)?;
    }
    Ok(())
}

fn pack(path: &Path, text: &[u8]) -> Outcome {
    let mut packed = GzEncoder::new(fs::File::create(path)?, Compression::best());
    packed.write_all(text)?;
    packed.finish()?;
    Ok(())
}

fn benchmarks(out: &Path) -> Outcome {
    let mut index = Vec::new();
    let mut bodies = String::from("&[\n");
    for (name, mut benchmark) in read_all("benchmarks")? {
        let path = out.join(format!("{name}.json"));
        fs::write(&path, Value::Object(benchmark.clone()).to_string())?;
        bodies.push_str(&format!(
            "    ({:?}, include_str!({:?})),\n",
            benchmark.get("id").and_then(Value::as_str).unwrap_or(&name),
            path
        ));
        let controls = benchmark.remove("control").unwrap_or_default();
        let controls = controls.as_array().map(Vec::as_slice).unwrap_or_default();
        let automated = controls
            .iter()
            .filter(|control| control.get("rules").and_then(Value::as_array).is_some_and(|rules| !rules.is_empty()));
        benchmark.insert("controls".into(), json!(controls.len()));
        benchmark.insert("automated".into(), json!(automated.count()));
        index.push(Value::Object(benchmark));
    }
    bodies.push_str("]\n");
    fs::write(out.join("index.json"), Value::Array(index).to_string())?;
    fs::write(out.join("benchmarks.rs"), bodies)?;
    Ok(())
}

/// Every TOML file of a folder, by name without ending, in order.
fn read_all(folder: &str) -> Result<BTreeMap<String, Map<String, Value>>, Box<dyn std::error::Error>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|ending| ending != "toml") {
            continue;
        }
        let text = fs::read_to_string(&path)?;
        let table: toml::Table = toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if let Value::Object(table) = serde_json::to_value(table)? {
            all.insert(name, table);
        }
    }
    Ok(all)
}
