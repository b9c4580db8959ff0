//! The table for people: what was judged, what does not pass and why, counts, and the verdict as the last lines.

mod findings;
mod text;

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use super::Report;
use crate::finding::{Scan, Severity, Summary, Trouble};
use crate::gate::{Decision, Verdict};
use crate::path::shown;
use text::{count, number, wrap};

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const GREEN: Style = AnsiColor::Green.on_default();

/// How a table looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct TableOptions {
    /// Columns to keep to, where words allow.
    pub width: usize,
    /// Whether to style with ANSI escapes. Where it is not known if the reader takes them, say yes and let the writer strip them.
    pub styled: bool,
    /// Also what passes, is manual or not applicable, why each rule is there, its values and all that went wrong on the way.
    pub verbose: bool,
    /// All evidence, not only the first pieces.
    pub evidence_all: bool,
    /// Only the verdict.
    pub quiet: bool,
}

impl Default for TableOptions {
    fn default() -> Self {
        Self { width: 110, styled: false, verbose: false, evidence_all: false, quiet: false }
    }
}

/// Writes the table.
#[derive(Debug, Clone, Copy, Default)]
pub struct Table(pub TableOptions);

impl Report for Table {
    fn write(&self, scan: &Scan, decision: &Decision, out: &mut dyn Write) -> io::Result<()> {
        let mut page = Page { out, options: self.0 };
        if !self.0.quiet {
            page.header(scan)?;
            findings::write(&mut page, scan, decision)?;
            page.troubles(&scan.troubles)?;
            page.notes(decision)?;
            page.counts(scan)?;
        }
        page.verdict(decision)
    }
}

/// Where the table is written, line by line.
struct Page<'p> {
    out: &'p mut dyn Write,
    options: TableOptions,
}

impl Page<'_> {
    /// Troubles that are shown unless all are asked for.
    const TROUBLES: usize = 10;

    fn paint(&self, style: Style, text: &str) -> String {
        if self.options.styled { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{}", text.trim_end())
    }

    /// A paragraph with every line set in.
    fn paragraph(&mut self, indent: usize, style: Style, text: &str) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        let room = self.options.width.saturating_sub(indent).max(20);
        for line in wrap(&shown(text), room) {
            let line = self.paint(style, &line);
            self.line(&format!("{:indent$}{line}", ""))?;
        }
        Ok(())
    }

    fn header(&mut self, scan: &Scan) -> io::Result<()> {
        let image = &scan.image;
        let os = image.os_name.clone().or_else(|| {
            let os = image.os.as_ref()?;
            Some(image.os_version.as_ref().map_or_else(|| os.clone(), |version| format!("{os} {version}")))
        });
        let known = [
            image.name.clone(),
            Some(os.unwrap_or_else(|| "unknown system".into())),
            image.architecture.clone(),
            image.packages.map(|packages| count(packages, "package", "packages")),
            image.files.map(|files| count(files, "file", "files")),
        ];
        let known: Vec<String> = known.into_iter().flatten().map(|part| shown(&part).into_owned()).collect();
        self.line(&self.paint(BOLD, &known.join("   ")))?;
        let by = &scan.benchmark;
        let what = format!("{} v{}, level {} ({})", by.title, by.version, by.level, by.profile);
        let beside =
            by.beside.iter().map(|beside| format!(" + {} v{}", beside.title, beside.version)).collect::<Vec<_>>().concat();
        let what = format!("{what}{beside}");
        let selected = count(by.selected, "control", "controls");
        let (automated, all) = (number(by.automated), number(by.controls));
        self.line(&format!("judged by  {}: {selected}; {automated} of {all} controls are automated", shown(&what)))?;
        for change in &by.changes {
            let said = format!("{} {} by {}: {}", change.control, change.change, change.layer, change.reason);
            self.paragraph(11, DIM, &said)?;
        }
        self.line("")
    }

    fn troubles(&mut self, troubles: &[Trouble]) -> io::Result<()> {
        let most = if self.options.verbose { usize::MAX } else { Self::TROUBLES };
        for trouble in troubles.iter().take(most) {
            let line = trouble.line.map(|line| format!(":{line}")).unwrap_or_default();
            let place = if trouble.path.is_empty() { String::new() } else { format!("{}{line}: ", trouble.path) };
            let label = self.paint(YELLOW, "trouble");
            self.line(&format!("{label}  {}", shown(&format!("{place}{}", trouble.message))))?;
        }
        let more = troubles.len().saturating_sub(most) as u64;
        if more > 0 {
            self.line(&self.paint(DIM, &format!("         and {} (--verbose)", count(more, "more trouble", "more troubles"))))?;
        }
        if troubles.is_empty() { Ok(()) } else { self.line("") }
    }

    fn notes(&mut self, decision: &Decision) -> io::Result<()> {
        for note in &decision.notes {
            let label = self.paint(BOLD, "note");
            self.line(&format!("{label}  {}", shown(note)))?;
        }
        if decision.notes.is_empty() { Ok(()) } else { self.line("") }
    }

    fn counts(&mut self, scan: &Scan) -> io::Result<()> {
        let summary = Summary::of(&scan.findings);
        let by_severity: Vec<String> = (Severity::ALL.iter().rev())
            .filter_map(|severity| Some(format!("{} {}", number(*summary.failed_by_severity.get(severity)?), severity.name())))
            .collect();
        let by_severity = if summary.fail == 0 { String::new() } else { format!(" ({})", by_severity.join(", ")) };
        let waived = scan.findings.iter().filter(|finding| finding.waiver.is_some()).count() as u64;
        let mut parts = vec![
            self.paint(GREEN, &format!("{} pass", number(summary.pass))),
            self.paint(if summary.fail > 0 { RED } else { DIM }, &format!("{} fail{by_severity}", number(summary.fail))),
            self.paint(if summary.unknown > 0 { YELLOW } else { DIM }, &format!("{} unknown", number(summary.unknown))),
            format!("{} manual", number(summary.manual)),
            format!("{} not applicable", number(summary.not_applicable)),
        ];
        if waived > 0 {
            parts.push(format!("{} waived", number(waived)));
        }
        parts.push(summary.score.map_or_else(|| "no score".into(), |score| format!("score {score:.1}")));
        self.line(&parts.join("   "))
    }

    fn verdict(&mut self, decision: &Decision) -> io::Result<()> {
        let style = match decision.verdict {
            Verdict::Ship => GREEN.bold(),
            Verdict::Shut => RED,
            Verdict::None => YELLOW.bold(),
        };
        self.line(&self.paint(style, &shown(&decision.sentence())))?;
        // The hint must not push the verdict out of what Image Builder carries of a failed step.
        let hint = decision.shut_by.first().filter(|control| control.len() <= 60 && !self.options.quiet);
        match hint {
            Some(control) => self.line(&format!("Next: karat explain {}", shown(control))),
            None => Ok(()),
        }
    }
}
