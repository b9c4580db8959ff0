//! The command line: the only room that prints, reads the environment and the clock, and knows a terminal.
//!
//! One file a command, each with its arguments and a `run` that gives the exit code. What a command needs of the outside comes from
//! [`terminal`] (colours, streams, progress), [`files`] (the files people wrote) and [`output`] (the files they asked for).
#![allow(clippy::disallowed_methods, reason = "this room reads the environment, the clock and its user's own files")]

mod as_toml;
mod benchmarks;
mod catalogue;
mod completions;
mod exit;
mod explain;
mod files;
mod image_args;
mod inspect;
mod man;
mod output;
mod rules;
mod scan;
mod schema;
mod terminal;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};

use self::terminal::{ColorWhen, Terminal};
use crate::gate::Exit;

/// Judges machine images against CIS benchmarks and your own baselines.
#[derive(Debug, Parser)]
#[command(
    name = "karat",
    version,
    max_term_width = 110,
    disable_help_subcommand = true,
    after_help = "Exit codes: 0 the image may ship, 1 the gate is shut, 2 no verdict. `karat COMMAND --help` shows examples."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    manners: Manners,
}

/// How it speaks; the same for every command.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Manners")]
struct Manners {
    /// When to use colour. NO_COLOR and FORCE_COLOR are heeded
    #[arg(long, value_name = "WHEN", global = true, default_value_t = ColorWhen::Auto, value_enum)]
    color: ColorWhen,
    /// Say less: no progress and no notes
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Say more
    #[arg(short, long, global = true)]
    verbose: bool,
    /// No progress, on a terminal either
    #[arg(long, global = true)]
    no_progress: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Scan(Box<scan::Args>),
    Inspect(inspect::Args),
    Explain(explain::Args),
    Rules(rules::Args),
    Benchmarks(benchmarks::Args),
    Schema(schema::Args),
    Completions(completions::Args),
    Man(man::Args),
}

/// How a listing is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum ListFormat {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

/// Runs the command that the arguments of the process name.
#[must_use]
pub fn main() -> ExitCode {
    ExitCode::from(exit::guarded(|| run(std::env::args_os().collect())).code())
}

fn run(arguments: Vec<OsString>) -> Exit {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        // Help and version are no failure; if nobody reads them, neither is that.
        Err(error) => {
            let code = if error.use_stderr() { Exit::NoVerdict } else { Exit::Open };
            let _ = error.print();
            return code;
        }
    };
    let terminal = Terminal::new(&cli.manners);
    let done = match cli.command {
        Command::Scan(arguments) => scan::run(&arguments, &terminal),
        Command::Inspect(arguments) => inspect::run(&arguments, &terminal),
        Command::Explain(arguments) => explain::run(&arguments, &terminal),
        Command::Rules(arguments) => rules::run(&arguments, &terminal),
        Command::Benchmarks(arguments) => benchmarks::run(&arguments, &terminal),
        Command::Schema(arguments) => schema::run(&arguments, &terminal),
        Command::Completions(arguments) => completions::run(&arguments, &terminal),
        Command::Man(arguments) => man::run(&arguments, &terminal),
    };
    done.unwrap_or_else(|error| {
        terminal.error(&error);
        Exit::NoVerdict
    })
}

/// The whole command line, for the man page and completions.
fn command() -> clap::Command {
    Cli::command()
}
