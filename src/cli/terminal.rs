//! What is known of the terminal, and everything that is printed.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use anstream::ColorChoice;
use anstyle::{AnsiColor, Style};
use anyhow::Context;
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};

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
    pub(super) quiet: bool,
    pub(super) verbose: bool,
    progress: bool,
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
        let progress = !manners.quiet && !manners.no_progress && io::stderr().is_terminal();
        Self { color, quiet: manners.quiet, verbose: manners.verbose, progress }
    }

    /// Standard output with colours if they are wanted there.
    pub(super) fn out(&self) -> impl Write + use<> {
        anstream::AutoStream::new(io::stdout().lock(), self.color)
    }

    fn err(&self) -> impl Write + use<> {
        anstream::AutoStream::new(io::stderr().lock(), self.color)
    }

    /// Columns of standard output, where that is a terminal.
    pub(super) fn width() -> Option<usize> {
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
        Some(usize::from(size.ws_col)).filter(|&columns| columns > 0)
    }

    /// Prints to standard output. A reader who has gone away is not an error: the output stops, the exit code stays.
    pub(super) fn print(&self, text: impl fmt::Display) -> anyhow::Result<()> {
        let mut out = self.out();
        written(write!(out, "{text}").and_then(|()| out.flush()))
    }

    /// Prints bytes as they are: what programs read has no colours.
    pub(super) fn print_bytes(bytes: &[u8]) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        written(out.write_all(bytes).and_then(|()| out.flush()))
    }

    /// Something to know beside the result.
    pub(super) fn note(&self, text: impl fmt::Display) {
        if !self.quiet {
            let _ = writeln!(self.err(), "{CYAN}note{CYAN:#}: {text}");
        }
    }

    /// A warning, also where it was asked to be quiet.
    pub(super) fn warn(&self, text: impl fmt::Display) {
        let _ = writeln!(self.err(), "{YELLOW}warning{YELLOW:#}: {text}");
    }

    /// A line of plain text on standard error.
    pub(super) fn tell(&self, text: impl fmt::Display) {
        let _ = writeln!(self.err(), "{text}");
    }

    /// Why there is no result.
    pub(super) fn error(&self, error: &anyhow::Error) {
        let _ = writeln!(self.err(), "{RED}error{RED:#}: {error:#}");
    }

    /// A spinner on standard error, if that is a terminal; it is gone when this is dropped.
    pub(super) fn busy(&self, text: String) -> Busy {
        Busy(self.progress.then(|| {
            let bar = ProgressBar::new_spinner().with_message(text);
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        }))
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

/// Something is being done.
pub(super) struct Busy(Option<ProgressBar>);

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
