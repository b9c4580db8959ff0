//! One HTML page to show an auditor: the verdict and its reasons, every finding with its evidence, the policy, the waivers, the changes
//! made to the document, and what went wrong on the way.
//!
//! The page stands alone: no script, no image, nothing that is loaded from elsewhere. What is folded can be opened, and a browser
//! prints it unfolded. maud escapes all text; [`shown`] keeps characters out that would turn lines round or hide in them.

mod findings;

use std::io::{self, Write};

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::Report;
use crate::finding::{BesideInfo, ImageInfo, LayerChange, Scan, Severity, SourceKind, Summary, Trouble};
use crate::gate::{Decision, Policy, Verdict, WaiverState, WaiverUse};
use crate::path::shown;

/// The page's own style. In a file of its own, so that an editor knows what it is.
const STYLE: &str = include_str!("style.css");

/// Writes the page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Html;

impl Report for Html {
    fn write(&self, scan: &Scan, decision: &Decision, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(page(scan, decision).into_string().as_bytes())?;
        out.write_all(b"\n")
    }
}

fn page(scan: &Scan, decision: &Decision) -> Markup {
    let by = &scan.benchmark;
    let what = scan.image.name.clone().unwrap_or_else(|| system(&scan.image));
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                // A page that is opened from a disk must not be able to call home, whatever an image managed to put into it.
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                meta name="generator" content={ (shown(&scan.tool.name)) " " (shown(&scan.tool.version)) };
                title { (shown(&what)) ": " (word(decision.verdict)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (shown(&what)) }
                    p.by {
                        (shown(&by.title)) " v" (shown(&by.version)) ", level " (by.level) ", " (shown(&by.profile)) " profile"
                        @for beside in &by.beside { " + " (shown(&beside.title)) " v" (shown(&beside.version)) }
                    }
                    (verdict(decision))
                    (counts(&Summary::of(&scan.findings), scan))
                }
                main {
                    (findings::sections(scan, decision))
                    (judged(scan, decision))
                    (waivers(&decision.waivers))
                    (changes(&by.changes))
                    (troubles(&scan.troubles))
                }
                footer { (shown(&scan.tool.name)) " " (shown(&scan.tool.version)) " · " (shown(&scan.date)) }
            }
        }
    }
}

fn system(image: &ImageInfo) -> String {
    let version = || image.os_version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
    image
        .os_name
        .clone()
        .or_else(|| image.os.as_ref().map(|os| format!("{os}{}", version())))
        .unwrap_or_else(|| "unknown system".into())
}

const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ship => "fit to ship",
        Verdict::Shut => "not fit to ship",
        Verdict::None => "no verdict",
    }
}

fn verdict(decision: &Decision) -> Markup {
    let class = match decision.verdict {
        Verdict::Ship => "pass",
        Verdict::Shut => "fail",
        Verdict::None => "unknown",
    };
    html! {
        section.verdict.(class) aria-label="Verdict" {
            p.word { (word(decision.verdict)) }
            @if decision.verdict == Verdict::Shut && !decision.enforced {
                p { strong { "NOT ENFORCED" } ": report only, exit code 0." }
            }
            ul { @for reason in &decision.reasons { li { (shown(reason)) } } }
            @for note in &decision.notes { p.note { "Note: " (shown(note)) } }
        }
    }
}

fn counts(summary: &Summary, scan: &Scan) -> Markup {
    let waived = scan.findings.iter().filter(|finding| finding.waiver.is_some()).count();
    let severities = Severity::ALL.iter().rev().filter_map(|severity| {
        let count = summary.failed_by_severity.get(severity)?;
        Some(format!("{count} {}", severity.name()))
    });
    let severities = severities.collect::<Vec<_>>().join(", ");
    html! {
        dl.counts {
            div { dt { "score" } dd { (summary.score.map_or_else(|| "none".to_owned(), |score| format!("{score:.1}"))) } }
            div.pass { dt { "pass" } dd { (summary.pass) } }
            div.fail { dt { "fail" } dd { (summary.fail) @if summary.fail > 0 { small { (severities) } } } }
            div.unknown { dt { "unknown" } dd { (summary.unknown) } }
            div { dt { "manual" } dd { (summary.manual) } }
            div { dt { "not applicable" } dd { (summary.not_applicable) } }
            @if waived > 0 { div { dt { "waived" } dd { (waived) } } }
        }
    }
}

/// What was judged, by what, and under which policy.
fn judged(scan: &Scan, decision: &Decision) -> Markup {
    let (image, by) = (&scan.image, &scan.benchmark);
    let Policy { fail_on, max_unknown, min_score, report_only } = &decision.policy;
    let named = |beside: &BesideInfo| format!("{} ({}) v{}", beside.title, beside.id, beside.version);
    let beside: Vec<String> = by.beside.iter().map(named).collect();
    let source = match image.source {
        SourceKind::Image => "an image that is not running",
        SourceKind::Live => "the running machine",
    };
    let facts = [
        ("system", Some(system(image))),
        ("judged as", Some(source.to_owned())),
        ("architecture", image.architecture.clone()),
        ("packages", image.packages.map(|count| count.to_string())),
        ("files", image.files.map(|count| count.to_string())),
        ("benchmark", Some(format!("{} ({}) v{}", by.title, by.id, by.version))),
        ("beside it", (!beside.is_empty()).then(|| beside.join(", "))),
        ("controls", Some(format!("{} selected of {}, {} of which are automated", by.selected, by.controls, by.automated))),
        ("shut by findings of", Some(format!("severity {} and above", fail_on.name()))),
        ("unknown controls allowed", Some(max_unknown.to_string())),
        ("least score", min_score.map(|score| score.to_string())),
        ("enforced", Some(if *report_only { "no: report only" } else { "yes" }.to_owned())),
        ("decided on", Some(decision.date.to_string())),
        ("compared with", decision.baseline.as_ref().map(|baseline| format!("{} of {}", baseline.benchmark, baseline.date))),
    ];
    html! {
        section {
            h2 { "What was judged, and by what" }
            table.facts {
                @for (name, value) in facts {
                    @if let Some(value) = value { tr { th scope="row" { (name) } td { (shown(&value)) } } }
                }
            }
        }
    }
}

fn waivers(waivers: &[WaiverUse]) -> Markup {
    let state = |state| match state {
        WaiverState::Used => "in use",
        WaiverState::Ineffective => "without effect",
        WaiverState::Unmatched => "matches nothing",
        WaiverState::Expired | WaiverState::ExpiredElsewhere => "expired",
    };
    html! {
        @if !waivers.is_empty() {
            section {
                h2 { "Waivers" }
                table {
                    thead { tr { th { "for" } th { "reason" } th { "owner" } th { "until" } th { "state" } th { "where" } } }
                    @for waiver in waivers {
                        tr {
                            td {
                                @for about in [&waiver.control, &waiver.rule].into_iter().flatten() { (shown(about)) " " }
                                @for path in waiver.paths.iter().flatten() { code { (shown(path)) } " " }
                            }
                            td { (shown(&waiver.reason)) }
                            td { (shown(&waiver.owner)) }
                            td { (waiver.expires) }
                            td { (state(waiver.state)) }
                            td { code { (shown(&waiver.place)) } }
                        }
                    }
                }
            }
        }
    }
}

fn changes(changes: &[LayerChange]) -> Markup {
    html! {
        @if !changes.is_empty() {
            section {
                h2 { "Changes to the document" }
                table {
                    thead { tr { th { "control" } th { "change" } th { "reason" } th { "by" } } }
                    @for change in changes {
                        tr {
                            td { (shown(&change.control)) }
                            td { (shown(&change.change)) }
                            td { (shown(&change.reason)) }
                            td { (shown(&change.layer)) }
                        }
                    }
                }
            }
        }
    }
}

fn troubles(troubles: &[Trouble]) -> Markup {
    html! {
        @if !troubles.is_empty() {
            section {
                h2 { "What went wrong on the way" }
                ul {
                    @for trouble in troubles {
                        li {
                            @if !trouble.path.is_empty() {
                                code { (shown(&trouble.path)) @if let Some(line) = trouble.line { ":" (line) } } " "
                            }
                            (shown(&trouble.message))
                        }
                    }
                }
            }
        }
    }
}
