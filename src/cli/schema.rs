//! `karat schema`: the JSON Schemas of the files people write, for editors and programs.

use std::io::Read as _;

use anyhow::bail;
use clap::ValueEnum;
use flate2::read::GzDecoder;

use super::terminal::Terminal;
use crate::gate::Exit;

/// Print the JSON Schema of a kind of file
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  karat schema rules > rules.schema.json     # then, first line of a pack: #:schema ./rules.schema.json
  karat schema scan                          # what `karat scan --format json` writes")]
pub(super) struct Args {
    /// The kind of file
    kind: Option<Kind>,
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

/// A file of `schema/`, packed by the build script: a test holds those against the types. Made anew at run time they would need half a
/// megabyte of code.
macro_rules! packed {
    ($name:literal) => {
        include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".schema.gz"))
    };
}

pub(super) fn run(arguments: &Args, terminal: &Terminal) -> anyhow::Result<Exit> {
    let Some(kind) = arguments.kind else {
        let known = Kind::value_variants().iter().filter_map(ValueEnum::to_possible_value);
        let known: Vec<String> = known.map(|kind| kind.get_name().to_owned()).collect();
        bail!("name the kind of file: karat schema {}", known.join("|"));
    };
    let packed: &[u8] = match kind {
        Kind::Rules => packed!("rules"),
        Kind::Config => packed!("config"),
        Kind::Waivers => packed!("waivers"),
        Kind::Scan => packed!("scan"),
        Kind::Benchmark => packed!("benchmark"),
    };
    let mut schema = String::new();
    GzDecoder::new(packed).read_to_string(&mut schema)?;
    terminal.print(format_args!("{schema}"))?;
    Ok(Exit::Open)
}
