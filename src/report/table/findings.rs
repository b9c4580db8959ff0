//! Findings in a table: what fails, what is unknown, what is waived; everything else where it is asked for.

use std::io;

use anstyle::Style;

use super::text::{count, cut};
use super::{BOLD, DIM, GREEN, Page, RED, YELLOW};
use crate::finding::{Evidence, Finding, Fix, RuleResult, Scan, Status};
use crate::gate::Decision;
use crate::path::shown;

/// Where the numbers of controls stand, and everything below them.
const INDENT: usize = 18;

/// Room for the usual numbers (`6.1.10`), so that few findings look like many.
const USUAL_NUMBER: usize = 6;

/// A longer number pushes its title to the right.
const LONGEST_NUMBER: usize = 24;

/// Pieces of evidence of one rule that are shown unless all are asked for.
const EVIDENCE: usize = 3;

/// Characters of a value that are shown unless all is asked for.
const VALUE: usize = 240;

pub(super) fn write(page: &mut Page<'_>, scan: &Scan, decision: &Decision) -> io::Result<()> {
    let mut failing: Vec<&Finding> = of(scan, Status::Fail).filter(|finding| finding.waiver.is_none()).collect();
    // A stable sort: the most severe first, then in the benchmark's order.
    failing.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let unknown = of(scan, Status::Unknown).filter(|finding| finding.waiver.is_none());
    let waived = scan.findings.iter().filter(|finding| finding.waiver.is_some());
    let mut shown: Vec<&Finding> = failing.into_iter().chain(unknown).chain(waived).collect();
    if page.options.verbose {
        for status in [Status::Manual, Status::NotApplicable, Status::Pass] {
            shown.extend(of(scan, status));
        }
    }
    // Titles stand below one another, unless somebody's own numbers are very long.
    let numbers = shown.iter().map(|finding| finding.control.chars().count()).filter(|&length| length <= LONGEST_NUMBER);
    let width = numbers.chain([USUAL_NUMBER]).max().unwrap_or_default();
    for finding in &shown {
        Block { scan, decision, finding, width }.write(page)?;
    }
    if shown.is_empty() { Ok(()) } else { page.line("") }
}

fn of(scan: &Scan, status: Status) -> impl Iterator<Item = &Finding> {
    scan.findings.iter().filter(move |finding| finding.status == status)
}

/// One finding with what explains it.
struct Block<'s> {
    scan: &'s Scan,
    decision: &'s Decision,
    finding: &'s Finding,
    /// How wide the column of numbers is.
    width: usize,
}

impl Block<'_> {
    fn write(&self, page: &mut Page<'_>) -> io::Result<()> {
        let finding = self.finding;
        let (label, style) = self.label();
        let (label, control) = (
            page.paint(style, &format!("{label:<8}")),
            page.paint(BOLD, &format!("{:<width$}", shown(&finding.control), width = self.width)),
        );
        let severity = if finding.rules.is_empty() { "" } else { finding.severity.name() };
        let known = self.decision.baseline.as_ref().is_some_and(|baseline| baseline.known.contains(&finding.control));
        let known = if known { page.paint(DIM, "   (known to the baseline)") } else { String::new() };
        page.line(&format!("{label}{severity:<10}{control}  {}{known}", shown(&finding.title)))?;
        self.waivers(page)?;
        let open = |status| matches!(status, Status::Fail | Status::Unknown);
        let counts = |rule: &&RuleResult| rule.status == finding.status || (open(rule.status) && open(finding.status));
        let told: Vec<&RuleResult> = finding.rules.iter().filter(|rule| page.options.verbose || counts(rule)).collect();
        if !told.iter().any(|rule| rule.reason.is_some())
            && let Some(reason) = &finding.reason
        {
            page.paragraph(INDENT, Style::new(), reason)?;
        }
        for rule in &told {
            self.rule(page, rule, finding.rules.len() > 1)?;
        }
        Ok(())
    }

    fn label(&self) -> (&'static str, Style) {
        let finding = self.finding;
        let shuts = self.decision.shut_by.contains(&finding.control);
        match finding.status {
            _ if finding.waiver.is_some() => ("WAIVED", DIM),
            Status::Fail => ("FAIL", if shuts { RED } else { YELLOW }),
            Status::Unknown => ("?", if shuts { RED } else { YELLOW }),
            Status::Manual => ("MANUAL", Style::new()),
            Status::NotApplicable => ("N/A", DIM),
            Status::Pass => ("PASS", GREEN),
        }
    }

    fn waivers(&self, page: &mut Page<'_>) -> io::Result<()> {
        if self.finding.waiver.is_none() {
            return Ok(());
        }
        let status = if self.finding.status == Status::Fail { "fails" } else { "is unknown" };
        for waiver in self.decision.waivers.iter().filter(|waiver| waiver.clears.contains(&self.finding.control)) {
            let (reason, expires, owner, place) = (&waiver.reason, waiver.expires, &waiver.owner, &waiver.place);
            page.paragraph(INDENT, Style::new(), &format!("{status}, waived until {expires}: {reason} ({owner}, {place})"))?;
        }
        Ok(())
    }

    fn rule(&self, page: &mut Page<'_>, rule: &RuleResult, is_one_of_several: bool) -> io::Result<()> {
        let info = self.scan.rules.get(&rule.id);
        if is_one_of_several || page.options.verbose {
            let title = info.map(|info| format!(": {}", info.title)).unwrap_or_default();
            let status = if page.options.verbose { format!("{}  ", rule.status.name()) } else { String::new() };
            page.paragraph(INDENT, BOLD, &format!("{status}{}{title}", rule.id))?;
        }
        if let Some(reason) = &rule.reason {
            page.paragraph(INDENT, Style::new(), reason)?;
        }
        let most = if page.options.evidence_all || page.options.verbose { usize::MAX } else { EVIDENCE };
        for evidence in rule.evidence.iter().take(most) {
            self.evidence(page, evidence)?;
        }
        let kept = rule.evidence.len() as u64;
        let left = kept.saturating_sub(most as u64);
        let lost = rule.evidence_total.saturating_sub(kept);
        match (left, lost) {
            (0, 0) => {}
            (0, _) => page.paragraph(INDENT, DIM, &format!("and {} that were not kept", count(lost, "more", "more")))?,
            (left, 0) => page.paragraph(INDENT, DIM, &format!("and {} (--evidence all)", count(left, "more", "more")))?,
            (left, lost) => {
                let all = count(left + lost, "more", "more");
                page.paragraph(INDENT, DIM, &format!("and {all} ({left} with --evidence all, the others were not kept)"))?;
            }
        }
        if page.options.verbose {
            for (name, value) in &rule.values {
                page.paragraph(INDENT, DIM, &format!("{name} = {} ({})", value.value, value.from))?;
            }
        }
        match info {
            Some(info) if rule.status == Status::Fail => fix(page, &info.why, rule.fix.as_ref().unwrap_or(&info.fix)),
            _ => Ok(()),
        }
    }

    fn evidence(&self, page: &mut Page<'_>, evidence: &Evidence) -> io::Result<()> {
        let cut = |text: &str| {
            let whole = page.options.evidence_all || page.options.verbose;
            shown(&if whole { text.into() } else { cut(text, VALUE) }).into_owned()
        };
        let place = shown(&evidence.place()).into_owned();
        let (found, expected) = (cut(&evidence.found), cut(&evidence.expected));
        let unwanted = expected.is_empty() || self.finding.status == Status::Pass;
        let expected = if unwanted { String::new() } else { format!("want {expected}") };
        let parts: Vec<&str> = [&*place, &*found, &*expected].into_iter().filter(|part| !part.is_empty()).collect();
        let line = parts.join("   ");
        if INDENT + line.chars().count() <= page.options.width {
            page.line(&format!("{:INDENT$}{line}", ""))?;
        } else {
            page.line(&format!("{:INDENT$}{place}", ""))?;
            page.paragraph(INDENT + 2, Style::new(), &found)?;
            page.paragraph(INDENT + 2, Style::new(), &expected)?;
        }
        match &evidence.because {
            Some(because) => page.paragraph(INDENT + 2, DIM, because),
            None => Ok(()),
        }
    }
}

/// How to mend it: the command if there is one, as it would be typed; else in words.
fn fix(page: &mut Page<'_>, why: &str, fix: &Fix) -> io::Result<()> {
    if page.options.verbose {
        page.paragraph(INDENT, DIM, why)?;
        page.paragraph(INDENT, DIM, &fix.text)?;
    }
    let label = format!("{:<width$}", "        fix", width = INDENT);
    match &fix.shell {
        Some(shell) => {
            for (at, line) in shell.trim_end().lines().enumerate() {
                let start = if at == 0 { page.paint(BOLD, &label) } else { " ".repeat(INDENT) };
                page.line(&format!("{start}{}", shown(line)))?;
            }
            Ok(())
        }
        None if fix.text.is_empty() => Ok(()),
        None => {
            let room = page.options.width.saturating_sub(INDENT).max(20);
            for (at, line) in super::wrap(&shown(&fix.text), room).iter().enumerate() {
                let start = if at == 0 { page.paint(BOLD, &label) } else { " ".repeat(INDENT) };
                page.line(&format!("{start}{line}"))?;
            }
            Ok(())
        }
    }
}
