//! What is known of the terminal, and everything that is printed.

use std::fmt;
use std::io::{self, Write};

use anstream::ColorChoice;
use anstyle::{AnsiColor, Style};
use anyhow::Context;
use clap::ValueEnum;

use super::Manners;

/// When colour is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum ColorWhen {
    #[default]
    Auto,
    Always,
    Never,
}

pub(super) const BOLD: Style = Style::new().bold();
pub(super) const DIM: Style = Style::new().dimmed();
pub(super) const RED: Style = AnsiColor::Red.on_default().bold();
pub(super) const GREEN: Style = AnsiColor::Green.on_default();
pub(super) const YELLOW: Style = AnsiColor::Yellow.on_default();
pub(super) const CYAN: Style = AnsiColor::Cyan.on_default();

/// The two streams, and how to speak on them.
pub(super) struct Terminal {
    color: ColorChoice,
    quiet: bool,
    pub(super) verbose: bool,
}

impl Terminal {
    pub(super) fn new(manners: &Manners) -> Self {
        let color = match manners.color {
            ColorWhen::Always => ColorChoice::Always,
            ColorWhen::Never => ColorChoice::Never,
            // no-color.org: any value that is not empty. FORCE_COLOR is the other half of that habit; anstream knows CLICOLOR_FORCE.
            ColorWhen::Auto if is_set("NO_COLOR") => ColorChoice::Never,
            ColorWhen::Auto if is_set("FORCE_COLOR") => ColorChoice::Always,
            ColorWhen::Auto => ColorChoice::Auto,
        };
        Self { color, quiet: manners.quiet, verbose: manners.verbose }
    }

    /// Standard output with colours if they are wanted there.
    pub(super) fn out(&self) -> impl Write + use<> {
        anstream::AutoStream::new(io::stdout().lock(), self.color)
    }

    fn err(&self) -> impl Write + use<> {
        anstream::AutoStream::new(io::stderr().lock(), self.color)
    }

    /// Prints to standard output. A reader who has gone away is not an error: the output stops, the exit code stays.
    pub(super) fn print(&self, text: impl fmt::Display) -> anyhow::Result<()> {
        let mut out = self.out();
        written(write!(out, "{text}").and_then(|()| out.flush()))
    }

    /// Something to know beside the result.
    pub(super) fn note(&self, text: impl fmt::Display) {
        if !self.quiet {
            let _ = writeln!(self.err(), "{CYAN}note{CYAN:#}: {text}");
        }
    }

    /// Why there is no result.
    pub(super) fn error(&self, error: &anyhow::Error) {
        let _ = writeln!(self.err(), "{RED}error{RED:#}: {error:#}");
    }
}

/// Takes away the error of a reader who has gone away.
pub(super) fn written(result: io::Result<()>) -> anyhow::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write to standard output"),
    }
}

fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}
