//! `karat explain`: what a rule or a control asks for, why, how it is judged, and how to mend it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::bail;
use serde_json::{Value, json};

use super::ListFormat;
use super::as_toml;
use super::benchmarks::{dropped, level, status};
use super::catalogue::Catalogue;
use super::rules::uses;
use super::terminal::{BOLD, CYAN, DIM, GREEN, RED, Terminal, YELLOW};
use crate::benchmark::{Benchmark, Control, shipped};
use crate::check::Applies;
use crate::document::nearest;
use crate::finding::{Status, Taxonomy};
use crate::gate::Exit;
use crate::path::printable;
use crate::rule::{Example, FileSpec, Rule, Verdict, shipped as rules};

/// Explain a rule or a control: what, why, how it is judged, examples, fix
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  karat explain no-world-writable-files
  karat explain 7.1.11 --benchmark cis-debian-12     # a control: its level and its rules
  karat explain 7.1.11                               # in every benchmark that has it
  karat explain our-rule --rules ours/ --verbose     # a rule of your own, with the files of its examples")]
pub(super) struct Args {
    /// A rule's id, or a control's number
    #[arg(value_name = "RULE|CONTROL")]
    what: String,
    /// The benchmark whose control is meant: an id, or a TOML file
    #[arg(long, value_name = "ID|FILE")]
    benchmark: Option<String>,
    /// More rules: a TOML file, or a directory of them
    #[arg(long, value_name = "DIR")]
    rules: Vec<PathBuf>,
    /// How to write it
    #[arg(long, value_enum, default_value_t)]
    format: ListFormat,
}

/// What the id names: a rule, or controls with their rules.
struct Explained {
    controls: Vec<(Benchmark, Control)>,
    /// Each once, with the values that the controls give it.
    rules: Vec<(Arc<Rule>, BTreeMap<String, Value>)>,
    /// Rules of a pack: what karat says of a shipped rule of the same id is not about them.
    own: BTreeSet<String>,
}

pub(super) fn run(arguments: &Args, terminal: &Terminal) -> anyhow::Result<Exit> {
    let catalogue = Catalogue::load(&arguments.rules, true, terminal)?;
    let explained = find(arguments, &catalogue)?;
    let text = match arguments.format {
        ListFormat::Table => text(&explained, terminal.verbose),
        ListFormat::Json => format!("{:#}\n", json_of(&explained)),
    };
    terminal.print(text)?;
    Ok(Exit::Open)
}

fn find(arguments: &Args, catalogue: &Catalogue) -> anyhow::Result<Explained> {
    let what = arguments.what.as_str();
    if let Some(rule) = catalogue.rules.get(what) {
        return Ok(Explained { controls: Vec::new(), rules: vec![(rule.clone(), BTreeMap::new())], own: catalogue.own.clone() });
    }
    let benchmarks = match &arguments.benchmark {
        Some(name) => vec![catalogue.benchmark(name)?],
        None => shipped::index().iter().filter_map(|entry| shipped::benchmark(&entry.id)).collect(),
    };
    let mut known: Vec<String> = catalogue.rules.keys().cloned().collect();
    let mut explained = Explained { controls: Vec::new(), rules: Vec::new(), own: catalogue.own.clone() };
    for benchmark in benchmarks {
        known.extend(benchmark.control.iter().map(|control| control.id.clone()));
        let Some(control) = benchmark.control.iter().find(|control| control.id == what).cloned() else { continue };
        for used in &control.rules {
            let given = (catalogue.rule(used.id())?.clone(), control.values(used));
            if !explained.rules.iter().any(|(rule, values)| rule.id == given.0.id && *values == given.1) {
                explained.rules.push(given);
            }
        }
        explained.controls.push((benchmark, control));
    }
    if explained.controls.is_empty() {
        let near = nearest(what, known.iter().map(String::as_str));
        let meant = near.map(|near| format!("did you mean '{near}'?   ")).unwrap_or_default();
        bail!(
            "no rule and no control is called '{}'\n  {meant}`karat rules list` and `karat benchmarks show ID` show all",
            safe(what)
        );
    }
    Ok(explained)
}

fn text(explained: &Explained, verbose: bool) -> String {
    let mut text = String::new();
    for (benchmark, control) in &explained.controls {
        let (id, title) = (safe(&control.id), safe(&control.title));
        let _ = writeln!(text, "{BOLD}{} {id}{BOLD:#}  {title}  {DIM}{}{DIM:#}", safe(&benchmark.id), level(&control.level));
        if let Some(applies) = &control.applies {
            section(&mut text, "where", &where_it_applies(applies));
        }
        match status(control) {
            "automated" => {
                let used: Vec<&str> = control.rules.iter().map(crate::benchmark::RuleUse::id).collect();
                section(&mut text, "rules", &used.join("\n"));
            }
            "dropped" => {
                let said = dropped(control).unwrap_or_default();
                paragraph(&mut text, "dropped", said.strip_prefix("dropped ").unwrap_or(&said));
            }
            _ => {
                let look = control.manual.as_deref().unwrap_or("not automated yet: a person has to look");
                paragraph(&mut text, "look", look);
            }
        }
        for change in benchmark.changes.iter().filter(|change| change.control == control.id && change.change != "dropped") {
            paragraph(&mut text, &change.change, &format!("by {}: {}", change.layer, change.reason));
        }
    }
    let (uses, references) = (uses(), rules::references());
    for (number, (rule, values)) in explained.rules.iter().enumerate() {
        if number > 0 || !explained.controls.is_empty() {
            text.push('\n');
        }
        let served = references.get(&rule.id).filter(|_| !explained.own.contains(&rule.id));
        write_rule(&mut text, rule, values, &uses, served, verbose);
    }
    text
}

fn write_rule(
    text: &mut String,
    rule: &Rule,
    values: &BTreeMap<String, Value>,
    uses: &[(String, String, String)],
    served: Option<&BTreeMap<String, Vec<String>>>,
    verbose: bool,
) {
    let _ = writeln!(text, "{BOLD}{}{BOLD:#}  {}  {DIM}{}{DIM:#}", rule.id, safe(&rule.title), rule.severity.name());
    if !rule.why.is_empty() {
        paragraph(text, "why", &rule.why);
    }
    if let Some(applies) = &rule.applies {
        section(text, "where", &where_it_applies(applies));
    }
    section(text, "judged", &as_toml::check(&rule.check));
    for (name, default) in &rule.params {
        let line = match values.get(name) {
            Some(value) => format!("{name} = {}   (default {})", as_toml::inline(value), as_toml::inline(default)),
            None => format!("{name} = {}   (default)", as_toml::inline(default)),
        };
        section(text, "param", &line);
    }
    let fix = rule.fix.with(|name| values.get(name).or_else(|| rule.params.get(name)));
    if !fix.text.is_empty() {
        paragraph(text, "fix", &fix.text);
    }
    if let Some(shell) = &fix.shell {
        section(text, "", &format!("$ {shell}"));
    }
    let mut used_by: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (_, benchmark, control) in uses.iter().filter(|(id, ..)| *id == rule.id) {
        used_by.entry(benchmark).or_default().push(control);
    }
    let used_by: Vec<String> =
        used_by.iter().map(|(benchmark, controls)| format!("{benchmark} {}", controls.join(" "))).collect();
    section(text, "used by", &used_by.join("\n"));
    let named = |taxonomy: &Taxonomy| {
        let served = served?.get(taxonomy.id)?;
        Some(format!("{} {}: {}", taxonomy.name, taxonomy.version, served.join(", ")))
    };
    section(text, "serves", &Taxonomy::ALL.iter().filter_map(named).collect::<Vec<_>>().join("\n"));
    for example in &rule.example {
        write_example(text, example, verbose);
    }
}

fn where_it_applies(applies: &Applies) -> String {
    let applies = serde_json::to_value(applies).unwrap_or_default();
    let (kind, body) = applies.as_object().and_then(|table| table.iter().next()).map_or(("", &Value::Null), |(k, v)| (k, v));
    as_toml::assignment(&format!("applies.{kind}"), body)
}

fn write_example(text: &mut String, example: &Example, verbose: bool) {
    let status = Status::from(example.verdict);
    let color = match example.verdict {
        Verdict::Pass => GREEN,
        Verdict::Fail => RED,
        Verdict::Unknown => YELLOW,
        _ => DIM,
    };
    let _ = writeln!(text, "  {CYAN}{:8}{CYAN:#} {color}{:8}{color:#} {}", "example", status.name(), safe(&example.name));
    if !verbose {
        return;
    }
    for (name, value) in &example.with {
        let _ = writeln!(text, "                    with {name} = {}", as_toml::inline(value));
    }
    for package in example.packages.iter().flatten() {
        let _ = writeln!(text, "                    package {}", safe(package));
    }
    for (place, files) in [("", Some(&example.files)), ("running ", example.live.as_ref())] {
        for (path, spec) in files.into_iter().flatten() {
            write_file(text, place, path, spec);
        }
    }
    if let Some(evidence) = &example.evidence {
        let _ = writeln!(text, "                    {DIM}points at {}{DIM:#}", safe(evidence));
    }
}

fn write_file(text: &mut String, place: &str, path: &str, spec: &FileSpec) {
    let path = safe(path);
    let content = match spec {
        FileSpec::Text(content) => {
            let _ = writeln!(text, "                    {place}{path}");
            content
        }
        FileSpec::Table(entry) => {
            let kind = entry.kind.map(|kind| format!(" {}", kind.name())).unwrap_or_default();
            let link = entry.link.as_ref().map(|target| format!(" -> {}", safe(target))).unwrap_or_default();
            let mode = entry.mode.map(|mode| format!(" mode {:04o}", mode.0)).unwrap_or_default();
            let owner = if entry.uid == 0 && entry.gid == 0 { String::new() } else { format!(" of {}:{}", entry.uid, entry.gid) };
            let _ = writeln!(text, "                    {place}{path}{link}{kind}{mode}{owner}");
            &entry.content
        }
    };
    for line in content.lines() {
        let _ = writeln!(text, "                    {DIM}│{DIM:#} {}", safe(line));
    }
}

/// Under its heading, line by line.
fn section(text: &mut String, heading: &str, body: &str) {
    for (number, line) in body.lines().enumerate() {
        let heading = if number == 0 { heading } else { "" };
        let _ = writeln!(text, "  {CYAN}{heading:8}{CYAN:#} {}", safe_line(line));
    }
}

/// Prose, broken into lines that read well.
fn paragraph(text: &mut String, heading: &str, prose: &str) {
    const WIDTH: usize = 88;
    let mut lines = String::new();
    let mut length = 0;
    for word in prose.split_whitespace() {
        let width = word.chars().count();
        if length > 0 && length + 1 + width > WIDTH {
            lines.push('\n');
            length = 0;
        } else if length > 0 {
            lines.push(' ');
            length += 1;
        }
        lines.push_str(word);
        length += width;
    }
    section(text, heading, &lines);
}

/// A pack is somebody else's file: its words must not steer the terminal.
fn safe(text: &str) -> String {
    printable(text.as_bytes())
}

/// As [`safe`], for text in which a backslash is itself, as in patterns and commands.
fn safe_line(text: &str) -> String {
    safe(text).replace("\\\\", "\\")
}

fn json_of(explained: &Explained) -> Value {
    let (uses, references) = (uses(), rules::references());
    let controls: Vec<Value> = (explained.controls.iter())
        .map(|(benchmark, control)| {
            json!({
                "benchmark": benchmark.id, "control": control.id, "title": control.title, "status": status(control),
                "level": level(&control.level), "applies": control.applies, "manual": control.manual,
                "reason": control.dropped.as_ref().map(|dropped| &dropped.reason), "rules": control.rules.iter().map(crate::benchmark::RuleUse::id).collect::<Vec<_>>(),
            })
        })
        .collect();
    let rules: Vec<Value> = (explained.rules.iter())
        .map(|(rule, values)| {
            let controls: Vec<Value> = (uses.iter())
                .filter(|(id, ..)| *id == rule.id)
                .map(|(_, benchmark, control)| json!({ "benchmark": benchmark, "control": control }))
                .collect();
            let examples: Vec<Value> = (rule.example.iter())
                .map(|example| json!({ "name": example.name, "verdict": Status::from(example.verdict), "evidence": example.evidence }))
                .collect();
            json!({
                "id": rule.id, "title": rule.title, "severity": rule.severity, "why": rule.why,
                "fix": rule.fix.with(|name| values.get(name).or_else(|| rule.params.get(name))),
                "applies": rule.applies, "params": rule.params, "with": values, "check": rule.check,
                "same_as": rule.same_as, "controls": controls, "examples": examples,
                "references": references.get(&rule.id).filter(|_| !explained.own.contains(&rule.id)),
            })
        })
        .collect();
    json!({ "controls": controls, "rules": rules })
}
