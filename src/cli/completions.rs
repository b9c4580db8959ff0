//! `karat completions`: what a shell needs to complete the command line.

use clap_complete::Shell;

use super::terminal::{Terminal, written};
use crate::gate::Exit;

/// Print the completions for a shell
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  karat completions bash > /etc/bash_completion.d/karat
  karat completions zsh > /usr/local/share/zsh/site-functions/_karat
  karat completions fish > ~/.config/fish/completions/karat.fish")]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

pub(super) fn run(arguments: &Args, terminal: &Terminal) -> anyhow::Result<Exit> {
    // Made in memory first: the generator panics when its reader goes away.
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut super::command(), "karat", &mut text);
    written(std::io::Write::write_all(&mut terminal.out(), &text))?;
    Ok(Exit::Open)
}
