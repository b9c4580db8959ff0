//! Findings on the page: what fails first, the rest folded.

use std::cmp::Reverse;

use maud::{Markup, html};

use crate::finding::{Evidence, Finding, RuleResult, Scan, Severity, Status};
use crate::gate::Decision;
use crate::path::shown;

/// The parts of the page, in the order of what matters.
const PARTS: [(&str, Part); 6] = [
    ("Failed", Part::Open(Status::Fail)),
    ("Unknown", Part::Open(Status::Unknown)),
    ("Waived", Part::Waived),
    ("For a person to look at", Part::Rest(Status::Manual)),
    ("Passed", Part::Rest(Status::Pass)),
    ("Not applicable", Part::Rest(Status::NotApplicable)),
];

/// Which findings belong to a part.
#[derive(Debug, Clone, Copy)]
enum Part {
    /// Those of this status that no waiver covers.
    Open(Status),
    /// Those that a waiver covers.
    Waived,
    /// Those of this status; they need no waiver.
    Rest(Status),
}

impl Part {
    fn holds(self, finding: &Finding) -> bool {
        match self {
            Self::Waived => finding.waiver.is_some(),
            Self::Open(status) | Self::Rest(status) => finding.status == status && finding.waiver.is_none(),
        }
    }
}

pub(super) fn sections(scan: &Scan, decision: &Decision) -> Markup {
    html! {
        @for (title, part) in PARTS {
            @let findings = in_order(scan, part);
            @if !findings.is_empty() {
                section.findings {
                    h2 { (title) " " span.count { (findings.len()) } }
                    @for finding in findings { "\n" (one(scan, decision, finding, matches!(part, Part::Open(_)))) }
                }
            }
        }
    }
}

/// The most severe first where something is wrong, otherwise in the benchmark's order.
fn in_order(scan: &Scan, part: Part) -> Vec<&Finding> {
    let mut findings: Vec<&Finding> = scan.findings.iter().filter(|finding| part.holds(finding)).collect();
    if matches!(part, Part::Open(_)) {
        findings.sort_by_key(|finding| Reverse(finding.severity));
    }
    findings
}

const fn class(status: Status) -> &'static str {
    match status {
        Status::Fail => "fail",
        Status::Unknown => "unknown",
        Status::Pass => "pass",
        Status::Manual | Status::NotApplicable => "quiet",
    }
}

fn one(scan: &Scan, decision: &Decision, finding: &Finding, is_open: bool) -> Markup {
    let known = decision.baseline.as_ref().is_some_and(|baseline| baseline.known.contains(&finding.control));
    let severe = is_open && finding.severity >= Severity::High && !known;
    html! {
        details.finding.(class(finding.status)) id={ "control-" (anchor(&finding.control)) } open[severe] {
            summary {
                span.number { (shown(&finding.control)) }
                span.title { (shown(&finding.title)) }
                @if is_open && !finding.rules.is_empty() {
                    span class={ "severity " (finding.severity.name()) } { (finding.severity.name()) }
                }
                @if known { span.known { "known to the baseline" } }
                span.level { "level " (finding.level) }
            }
            @if let Some(reason) = &finding.reason { p { (shown(reason)) } }
            @for waiver in decision.waivers.iter().filter(|waiver| finding.waiver.is_some() && waiver.clears.contains(&finding.control)) {
                p.waiver {
                    (finding.status.name()) ", waived until " (waiver.expires) ": " (shown(&waiver.reason)) " (" (shown(&waiver.owner)) ", "
                    code { (shown(&waiver.place)) } ")"
                }
            }
            @for rule in &finding.rules { (rule_result(scan, rule)) }
        }
    }
}

/// A control's number as part of an address within the page.
fn anchor(control: &str) -> String {
    control.chars().map(|character| if character.is_ascii_alphanumeric() || character == '.' { character } else { '-' }).collect()
}

fn rule_result(scan: &Scan, rule: &RuleResult) -> Markup {
    let info = scan.rules.get(&rule.id);
    let lost = rule.evidence_total.saturating_sub(rule.evidence.len() as u64);
    html! {
        div.rule.(class(rule.status)) {
            h3 {
                @if let Some(info) = info { (shown(&info.title)) " " }
                code { (shown(&rule.id)) } " " span.status { (rule.status.name().replace('_', " ")) }
            }
            @if let Some(reason) = &rule.reason { p { (shown(reason)) } }
            @if !rule.evidence.is_empty() {
                table.evidence {
                    thead { tr { th { "where" } th { "found" } th { "expected" } th { "because" } } }
                    @for evidence in &rule.evidence { (row(evidence)) }
                }
            }
            @if lost > 0 { p.note { "and " (lost) " more that were not kept" } }
            @if let Some(info) = info {
                p.why { (shown(&info.why)) }
                @if rule.status == Status::Fail {
                    @let fix = rule.fix.as_ref().unwrap_or(&info.fix);
                    div.fix {
                        p { strong { "Fix. " } (shown(&fix.text)) }
                        @if let Some(shell) = &fix.shell {
                            pre { @for line in shell.trim_end().lines() { (shown(line)) "\n" } }
                        }
                    }
                }
            }
            @if !rule.values.is_empty() {
                p.values {
                    @for (name, value) in &rule.values {
                        span { code { (shown(name)) " = " (shown(&value.value.to_string())) } " (" (shown(&value.from)) ") " }
                    }
                }
            }
        }
    }
}

fn row(evidence: &Evidence) -> Markup {
    html! {
        tr {
            td { code { (shown(&evidence.place())) } }
            td { code { (shown(&evidence.found)) } }
            td { code { (shown(&evidence.expected)) } }
            td { @if let Some(because) = &evidence.because { (shown(because)) } }
        }
    }
}
