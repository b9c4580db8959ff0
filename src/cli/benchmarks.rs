//! `karat benchmarks`: which benchmarks there are, and what one of them asks for.

use std::fmt::Write;

use clap::Subcommand;
use serde_json::{Value, json};

use super::ListFormat;
use super::catalogue::Catalogue;
use super::terminal::{BOLD, DIM, Terminal};
use crate::benchmark::{Benchmark, Control, Level, shipped};
use crate::gate::Exit;
use crate::path::printable;

/// List benchmarks, or show the controls of one
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  karat benchmarks list
  karat benchmarks show cis-debian-12              # each control with its level and its rules
  karat benchmarks show ours.toml --format json    # a benchmark of your own, for a program")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the benchmarks that come with karat
    List {
        /// How to write it
        #[arg(long, value_enum, default_value_t)]
        format: ListFormat,
    },
    /// Show the controls of a benchmark
    Show {
        /// A benchmark's id, or a TOML file
        #[arg(value_name = "ID|FILE")]
        benchmark: String,
        /// Rules that the file refers to beside the shipped ones: a TOML file, or a directory of them
        #[arg(long, value_name = "DIR")]
        rules: Vec<std::path::PathBuf>,
        /// How to write it
        #[arg(long, value_enum, default_value_t)]
        format: ListFormat,
    },
}

pub(super) fn run(arguments: &Args, terminal: &Terminal) -> anyhow::Result<Exit> {
    let text = match &arguments.command {
        Command::List { format: ListFormat::Table } => list(),
        Command::List { format: ListFormat::Json } => json_list(),
        Command::Show { benchmark, rules, format } => {
            let benchmark = Catalogue::load(rules, false, terminal)?.benchmark(benchmark)?;
            match format {
                ListFormat::Table => show(&benchmark),
                ListFormat::Json => format!("{:#}\n", json_of(&benchmark)),
            }
        }
    };
    terminal.print(text)?;
    Ok(Exit::Open)
}

fn list() -> String {
    let index = shipped::index();
    let width = index.iter().map(|entry| entry.id.len()).max().unwrap_or(0);
    let mut text = String::new();
    for entry in index {
        let (automated, controls) = (entry.automated, entry.controls);
        let _ = writeln!(
            text,
            "{BOLD}{:width$}{BOLD:#}  {} {DIM}v{}, {automated} of {controls} controls automated{DIM:#}",
            entry.id, entry.title, entry.version
        );
    }
    text
}

fn json_list() -> String {
    let index = shipped::index();
    let listed: Vec<_> = index
        .iter()
        .map(|entry| shipped::Listed {
            id: &entry.id,
            title: &entry.title,
            version: &entry.version,
            controls: entry.controls,
            automated: entry.automated,
        })
        .collect();
    format!("{:#}\n", json!(listed))
}

/// Whether a control is answered by rules, by a person, or by nobody yet, or not asked for.
pub(super) fn status(control: &Control) -> &'static str {
    if control.dropped.is_some() {
        return "dropped";
    }
    match (control.rules.is_empty(), control.manual.is_some()) {
        (false, _) => "automated",
        (true, true) => "manual",
        (true, false) => "not_automated",
    }
}

/// The level as a person reads it: `1`, or by profile.
pub(super) fn level(level: &Level) -> String {
    match level {
        Level::Same(level) => format!("L{level}"),
        Level::ByProfile(levels) => {
            let each: Vec<String> = levels.iter().map(|(profile, level)| format!("L{level} {profile}")).collect();
            each.join(", ")
        }
    }
}

fn show(benchmark: &Benchmark) -> String {
    let count = |wanted: &str| benchmark.control.iter().filter(|control| status(control) == wanted).count();
    // A benchmark can come from a file that somebody else wrote: its words are made safe to show.
    let safe = |text: &str| printable(text.as_bytes());
    let mut text = format!(
        "{BOLD}{}{BOLD:#}  {} v{}\n{} controls: {} automated, {} manual, {} not automated yet{}\n\n",
        safe(&benchmark.id),
        safe(&benchmark.title),
        safe(&benchmark.version),
        benchmark.control.len(),
        count("automated"),
        count("manual"),
        count("not_automated"),
        match count("dropped") {
            0 => String::new(),
            dropped => format!(", {dropped} dropped"),
        },
    );
    let width = benchmark.control.iter().map(|control| control.id.len()).max().unwrap_or(0);
    for control in &benchmark.control {
        let (id, title, level) = (safe(&control.id), safe(&control.title), level(&control.level));
        let _ = writeln!(text, "{BOLD}{id:width$}{BOLD:#}  {title} {DIM}{level}{DIM:#}");
        let rules: Vec<&str> = control.rules.iter().map(crate::benchmark::RuleUse::id).collect();
        let answer = match status(control) {
            "automated" => rules.join(", "),
            "manual" => format!("manual: {}", safe(control.manual.as_deref().unwrap_or_default())),
            "dropped" => dropped(control).map(|said| safe(&said)).unwrap_or_default(),
            _ => "not automated yet".into(),
        };
        let _ = writeln!(text, "{:width$}  {DIM}{answer}{DIM:#}", "");
    }
    text
}

pub(super) fn dropped(control: &Control) -> Option<String> {
    control.dropped.as_ref().map(|dropped| format!("dropped by {}: {}", dropped.layer, dropped.reason))
}

fn json_of(benchmark: &Benchmark) -> Value {
    let usual = benchmark.profiles.first().map_or("server", String::as_str);
    let controls: Vec<Value> = benchmark.control.iter().map(|control| json_of_control(control, usual)).collect();
    json!({
        "id": benchmark.id,
        "title": benchmark.title,
        "version": benchmark.version,
        "profiles": benchmark.profiles,
        "controls": controls,
    })
}

/// The level is that of the usual profile, null where that does not have the control; `levels` has all profiles where they differ.
fn json_of_control(control: &Control, usual: &str) -> Value {
    let rules: Vec<&str> = control.rules.iter().map(crate::benchmark::RuleUse::id).collect();
    let values: serde_json::Map<String, Value> = (control.rules.iter())
        .map(|used| (used.id(), control.values(used)))
        .filter(|(_, values)| !values.is_empty())
        .map(|(id, values)| (id.to_owned(), json!(values)))
        .collect();
    let mut json = json!({ "id": control.id, "title": control.title, "level": control.level.of(usual), "status": status(control), "rules": rules });
    if let Some(table) = json.as_object_mut() {
        if let Level::ByProfile(levels) = &control.level {
            table.insert("levels".into(), json!(levels));
        }
        if !values.is_empty() {
            table.insert("values".into(), values.into());
        }
        if let Some(dropped) = &control.dropped {
            table.insert("reason".into(), json!(dropped.reason));
        }
        if let Some(manual) = &control.manual {
            table.insert("manual".into(), json!(manual));
        }
    }
    json
}
