//! `karat rules`: the rules there are, and the packs their users write.

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::bail;
use clap::Subcommand;
use serde_json::{Value, json};

use super::ListFormat;
use super::catalogue::Catalogue;
use super::files::{self, Kind, Mistakes};
use super::terminal::{BOLD, DIM, GREEN, RED, Terminal};
use crate::benchmark::{read_benchmark, shipped};
use crate::gate::Exit;
use crate::path::printable;
use crate::rule::{self, Rule};

/// List rules, check a rule pack, or run its examples
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  karat rules list                     # what comes with karat
  karat rules check ours/              # are these files right? (mistakes with line and column)
  karat rules test ours/               # does every example get its verdict?
  karat rules test ours/ssh.toml       # of one file

Exit codes: 0 all is well; 1 an example fails; 2 a file has a mistake or cannot be read.")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List rules, with the benchmarks that use them
    List {
        /// List the rules of this file or directory instead of the shipped ones
        #[arg(long, value_name = "DIR")]
        rules: Vec<PathBuf>,
        /// How to write it
        #[arg(long, value_enum, default_value_t)]
        format: ListFormat,
    },
    /// Check the files of a rule pack: TOML, keys, types, ids, parameters; benchmarks beside the rules too
    Check {
        /// Files, or directories of *.toml files
        #[arg(value_name = "PATH", required = true)]
        paths: Vec<PathBuf>,
    },
    /// Run the examples of a rule pack, each a test of its own
    Test {
        /// Files, or directories of *.toml files; without any, the rules that come with karat
        #[arg(value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// Only rules whose id has this in it
        #[arg(long, value_name = "TEXT")]
        rule: Option<String>,
    },
}

pub(super) fn run(arguments: &Args, terminal: &Terminal) -> anyhow::Result<Exit> {
    match &arguments.command {
        Command::List { rules, format } => list(rules, *format, terminal),
        Command::Check { paths } => check(paths, terminal),
        Command::Test { paths, rule } => test(paths, rule.as_deref().unwrap_or_default(), terminal),
    }
}

fn list(packs: &[PathBuf], format: ListFormat, terminal: &Terminal) -> anyhow::Result<Exit> {
    let catalogue = Catalogue::load(packs, false, terminal)?;
    let listed: Vec<&Rule> = (catalogue.rules.values())
        .filter(|rule| packs.is_empty() || catalogue.own.contains(&rule.id))
        .map(AsRef::as_ref)
        .collect();
    let uses = uses();
    let used_by = |id: &str| -> Vec<&(String, String, String)> { uses.iter().filter(|(rule, ..)| rule == id).collect() };
    let text = match format {
        ListFormat::Json => {
            let all: Vec<Value> = listed.iter().map(|rule| json_of(rule, &used_by(&rule.id))).collect();
            format!("{:#}\n", json!(all))
        }
        ListFormat::Table => {
            let width = listed.iter().map(|rule| rule.id.len()).max().unwrap_or(0);
            let mut text = String::new();
            for rule in &listed {
                let (id, title) = (&rule.id, printable(rule.title.as_bytes()));
                let _ = writeln!(text, "{BOLD}{id:width$}{BOLD:#}  {:8}  {title}", rule.severity.name());
            }
            text
        }
    };
    terminal.print(text)?;
    Ok(Exit::Open)
}

fn json_of(rule: &Rule, uses: &[&(String, String, String)]) -> Value {
    let controls: Vec<Value> =
        uses.iter().map(|(_, benchmark, control)| json!({ "benchmark": benchmark, "control": control })).collect();
    json!({
        "id": rule.id,
        "title": rule.title,
        "severity": rule.severity,
        "params": rule.params,
        "same_as": rule.same_as,
        "controls": controls,
    })
}

/// Which control of which shipped benchmark uses which rule: (rule, benchmark, control).
pub(super) fn uses() -> Vec<(String, String, String)> {
    let mut uses = Vec::new();
    for benchmark in shipped::index().iter().filter_map(|entry| shipped::benchmark(&entry.id)) {
        for control in &benchmark.control {
            for used in &control.rules {
                uses.push((used.id().to_owned(), benchmark.id.clone(), control.id.clone()));
            }
        }
    }
    uses
}

fn check(paths: &[PathBuf], terminal: &Terminal) -> anyhow::Result<Exit> {
    let files = files::pack_files(paths)?;
    let own = files::read_rules(&files)?;
    let mut rules = rule::shipped::rules();
    rules.extend(own.iter().map(|(id, (rule, _))| (id.clone(), rule.clone())));
    let mut mistakes = Vec::new();
    let mut benchmarks = 0;
    for file in files.iter().filter(|file| file.kind == Kind::Benchmark) {
        benchmarks += 1;
        mistakes.extend(read_benchmark(&file.name(), &file.text, &rules, &files::beside).err().unwrap_or_default());
    }
    if !mistakes.is_empty() {
        return Err(Mistakes(mistakes).into());
    }
    for (rule, file) in own.values() {
        if rule.example.is_empty() {
            terminal.note(format!("'{}' of {file} has no example: nothing shows that it does what it says", rule.id));
        }
    }
    let examples: usize = own.values().map(|(rule, _)| rule.example.len()).sum();
    let with = if benchmarks == 0 { String::new() } else { format!(", {}", count(benchmarks, "benchmark")) };
    terminal.print(format_args!("{}, {}{with}: no mistake\n", count(own.len(), "rule"), count(examples, "example")))?;
    Ok(Exit::Open)
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn test(paths: &[PathBuf], only: &str, terminal: &Terminal) -> anyhow::Result<Exit> {
    let rules = if paths.is_empty() {
        rule::shipped::whole().into_values().collect::<Vec<_>>()
    } else {
        files::read_rules(&files::pack_files(paths)?)?.into_values().map(|(rule, _)| rule).collect()
    };
    let (mut passed, mut failed) = (0, 0);
    for rule in rules.iter().filter(|rule| rule.id.contains(only)) {
        for example in &rule.example {
            let name = printable(example.name.as_bytes());
            let line = match example.test(rule) {
                Ok(()) => {
                    passed += 1;
                    format!("{GREEN}ok{GREEN:#}    {}: {name}\n", rule.id)
                }
                Err(why) => {
                    failed += 1;
                    let why = why.replace('\n', "\n      ");
                    format!("{RED}FAIL{RED:#}  {}: {name}\n      {why}\n", rule.id)
                }
            };
            terminal.print(line)?;
        }
    }
    if passed + failed == 0 {
        bail!("there is no example to run");
    }
    let color = if failed == 0 { GREEN } else { RED };
    terminal
        .print(format_args!("{color}{passed} passed, {failed} failed{color:#} {DIM}({}){DIM:#}\n", count(rules.len(), "rule")))?;
    Ok(if failed == 0 { Exit::Open } else { Exit::Shut })
}
