//! `karat schema`: the JSON Schemas of the files people write, for editors and programs.

use clap::ValueEnum;

use super::terminal::Terminal;
use crate::gate::Exit;

/// Print the JSON Schema of a kind of file
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  karat schema rules > rules.schema.json     # then, first line of a pack: #:schema ./rules.schema.json
  karat schema scan                          # what `karat scan --format json` writes")]
pub(super) struct Args {
    /// The kind of file
    kind: Kind,
}

/// The kinds of files that have a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A rule pack.
    Rules,
    /// A benchmark.
    Benchmark,
    /// The configuration of a project: karat.toml.
    Config,
    /// Waivers.
    Waivers,
    /// A saved scan: what `karat scan --format json` writes.
    Scan,
}

pub(super) fn run(arguments: &Args, terminal: &Terminal) -> anyhow::Result<Exit> {
    let schema = match arguments.kind {
        Kind::Rules => crate::rule::rules_schema(),
        Kind::Config => crate::config::config_schema(),
        Kind::Waivers => crate::gate::waivers_schema(),
        Kind::Scan => crate::report::json::scan_schema(),
        Kind::Benchmark => schemars::schema_for!(crate::benchmark::Benchmark),
    };
    terminal.print(format_args!("{}\n", serde_json::to_string_pretty(&schema)?))?;
    Ok(Exit::Open)
}
