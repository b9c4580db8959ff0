//! `karat man`: the manual pages, made from the command line itself.

use anyhow::{Context, bail};

use super::catalogue::no_such;
use super::terminal::{Terminal, written};
use crate::gate::Exit;

/// Print a manual page
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  karat man | man -l -                          # the page of karat
  karat man scan > /usr/share/man/man1/karat-scan.1")]
pub(super) struct Args {
    /// The command the page is about; karat itself if none is given
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
}

pub(super) fn run(arguments: &Args, terminal: &Terminal) -> anyhow::Result<Exit> {
    // What is global is shown with every command, as `--help` does.
    let mut command = super::command();
    command.build();
    for name in &arguments.command {
        let known: Vec<String> = command.get_subcommands().map(|inner| inner.get_name().to_owned()).collect();
        command = match command.find_subcommand(name) {
            Some(inner) => inner.clone(),
            None => bail!(no_such("command", name, known.iter().map(String::as_str), "karat --help")),
        };
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page).context("cannot make the page")?;
    written(std::io::Write::write_all(&mut terminal.out(), &page))?;
    Ok(Exit::Open)
}
