//! How a policy, waivers and a baseline make a decision of a scan.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;

use super::baseline::Baseline;
use super::decision::{BaselineUse, Decision, Verdict, WaiverState, WaiverUse};
use super::{Policy, Waiver};
use crate::document::nearest;
use crate::finding::{Finding, RuleResult, Scan, Severity, Status, Summary};
use crate::path::printable;

/// Decides. Pure: the clock is an argument.
///
/// * Failures of at least the policy's severity shut the gate, and unknown findings beyond the policy's number, unless a waiver clears
///   them or the baseline knew them.
/// * A waiver clears a finding if, alone or with others, it covers each of its rules that fails or is unknown.
/// * A waiver that has run out shuts the gate if its control or rule is in the scan, whatever came of it: take it out or renew it.
/// * With a baseline, a score below the policy's shuts the gate only if it is also below the baseline's.
/// * Where nothing passes, fails or is unknown there is no verdict, whatever the policy.
#[must_use]
pub fn decide(policy: &Policy, waivers: &[Waiver], baseline: Option<&Scan>, scan: &Scan, today: Date) -> Decision {
    let summary = Summary::of(&scan.findings);
    let cover = Cover::of(waivers, scan, today);
    let before = baseline.map(Baseline::of);
    let open = || scan.findings.iter().enumerate().filter(|(_, finding)| is_open(finding.status));
    let known: BTreeSet<usize> =
        open().filter(|(_, finding)| before.as_ref().is_some_and(|before| before.knew(finding))).map(|(at, _)| at).collect();
    let left: Vec<&Finding> =
        open().filter(|(at, _)| !cover.cleared.contains_key(at) && !known.contains(at)).map(|(_, finding)| finding).collect();

    let mut reasons = Reasons { news: baseline.is_some(), ..Reasons::default() };
    reasons.failures(policy, &left);
    reasons.unknown(policy, &left);
    reasons.score(policy, &summary, baseline);
    reasons.expired(&cover.uses);

    let mut notes = cover.notes(scan);
    if let Some(earlier) = baseline.filter(|earlier| earlier.benchmark.id != scan.benchmark.id) {
        let (then, now) = (printable(earlier.benchmark.id.as_bytes()), &scan.benchmark.id);
        notes.push(format!("the baseline was judged by {then}, this scan by {now}: controls are compared by their numbers"));
    }
    let judged = summary.pass + summary.fail + summary.unknown;
    let (verdict, reasons, shut_by) = if judged == 0 {
        (Verdict::None, vec![nothing_judged(scan, &summary)], Vec::new())
    } else if reasons.shut.is_empty() {
        (Verdict::Ship, reasons_to_ship(policy, &summary, cover.cleared.len(), known.len()), Vec::new())
    } else {
        (Verdict::Shut, reasons.shut, reasons.by)
    };
    let controls = |known: &BTreeSet<usize>| {
        known.iter().filter_map(|&at| scan.findings.get(at)).map(|finding| finding.control.clone()).collect()
    };
    Decision {
        verdict,
        enforced: !policy.report_only,
        reasons,
        shut_by,
        notes,
        policy: policy.clone(),
        date: today,
        waivers: cover.uses,
        baseline: baseline.map(|earlier| BaselineUse {
            benchmark: printable(earlier.benchmark.id.as_bytes()),
            date: printable(earlier.date.as_bytes()),
            known: controls(&known),
        }),
    }
}

/// A copy of the scan in which every cleared finding names the waivers that clear it.
#[must_use]
pub fn apply(scan: &Scan, decision: &Decision) -> Scan {
    let mut scan = scan.clone();
    for finding in &mut scan.findings {
        let clears = |waiver: &&WaiverUse| waiver.clears.contains(&finding.control);
        let places: Vec<&str> = decision.waivers.iter().filter(clears).map(|waiver| waiver.place.as_str()).collect();
        finding.waiver = (is_open(finding.status) && !places.is_empty()).then(|| places.join(", "));
    }
    scan
}

/// Notes the waivers for a benchmark that is neither the scan's nor one of these: a mistyped id would let them vanish.
pub fn note_unknown_benchmarks(decision: &mut Decision, scan: &Scan, known: &[&str]) {
    let known: Vec<&str> = known.iter().copied().chain(scan.benchmark.ids()).collect();
    for waiver in &decision.waivers {
        if let Some(id) = waiver.benchmark.as_deref().filter(|id| !known.contains(id)) {
            let near =
                nearest(id, known.iter().copied()).map(|near| format!("; you may have meant '{near}'")).unwrap_or_default();
            let (what, place) = (subject(waiver), &waiver.place);
            decision.notes.push(format!("the waiver for {what} ({place}) matches nothing: no benchmark is called '{id}'{near}"));
        }
    }
}

fn is_open(status: Status) -> bool {
    matches!(status, Status::Fail | Status::Unknown)
}

/// Which waivers clear which findings.
struct Cover {
    /// Findings by index, with the waivers by index.
    cleared: BTreeMap<usize, BTreeSet<usize>>,
    uses: Vec<WaiverUse>,
}

impl Cover {
    fn of(waivers: &[Waiver], scan: &Scan, today: Date) -> Self {
        let active: Vec<(usize, &Waiver)> = waivers.iter().enumerate().filter(|(_, waiver)| !waiver.is_expired(today)).collect();
        let open = || scan.findings.iter().enumerate().filter(|(_, finding)| is_open(finding.status));
        let cleared: BTreeMap<usize, BTreeSet<usize>> =
            open().filter_map(|(at, finding)| Some((at, clearing(scan, finding, &active)?))).collect();
        let state = |at: usize, waiver: &Waiver| {
            if waiver.is_expired(today) {
                let concerned = scan.findings.iter().any(|finding| waiver.concerns(scan, finding));
                if concerned { WaiverState::Expired } else { WaiverState::ExpiredElsewhere }
            } else if cleared.values().any(|used| used.contains(&at)) {
                WaiverState::Used
            } else if open().any(|(_, finding)| is_about_open(waiver, scan, finding)) {
                WaiverState::Ineffective
            } else {
                WaiverState::Unmatched
            }
        };
        let safe = |text: &String| printable(text.as_bytes());
        let uses = waivers.iter().enumerate().map(|(at, waiver)| WaiverUse {
            place: format!("{}:{}", safe(&waiver.file), waiver.line),
            control: waiver.control.as_ref().map(safe),
            rule: waiver.rule.as_ref().map(safe),
            benchmark: waiver.benchmark.as_ref().map(safe),
            paths: waiver.paths.clone(),
            reason: safe(&waiver.reason),
            owner: safe(&waiver.owner),
            expires: waiver.expires,
            state: state(at, waiver),
            clears: (cleared.iter())
                .filter(|(_, used)| used.contains(&at))
                .filter_map(|(&finding, _)| Some(scan.findings.get(finding)?.control.clone()))
                .collect(),
        });
        let uses = uses.collect();
        Self { cleared, uses }
    }

    fn notes(&self, scan: &Scan) -> Vec<String> {
        let note = |waiver: &WaiverUse| {
            let (what, place) = (subject(waiver), &waiver.place);
            match waiver.state {
                WaiverState::Used | WaiverState::Expired => None,
                WaiverState::Ineffective => Some(format!(
                    "the waiver for {what} ({place}) clears nothing: there is evidence outside its paths, evidence that was cut, or \
                     another rule that does not pass"
                )),
                WaiverState::Unmatched => Some(format!("the waiver for {what} ({place}) matches nothing{}", near(waiver, scan))),
                WaiverState::ExpiredElsewhere => Some(format!(
                    "the waiver for {what} ({place}) ran out on {}; it is about nothing in this scan",
                    waiver.expires
                )),
            }
        };
        // A waiver for another benchmark is not about this scan at all: one file may serve many images.
        let here = |waiver: &&WaiverUse| waiver.benchmark.as_ref().is_none_or(|id| scan.benchmark.has(id));
        self.uses.iter().filter(here).filter_map(note).collect()
    }
}

fn is_about_open(waiver: &Waiver, scan: &Scan, finding: &Finding) -> bool {
    let mut open = finding.rules.iter().filter(|rule| is_open(rule.status));
    waiver.concerns(scan, finding) && (waiver.rule.is_none() || open.any(|rule| waiver.is_about(scan, finding, rule)))
}

/// The waivers that together clear a finding, if they do.
fn clearing(scan: &Scan, finding: &Finding, active: &[(usize, &Waiver)]) -> Option<BTreeSet<usize>> {
    let mut used = BTreeSet::new();
    let mut open = finding.rules.iter().filter(|rule| is_open(rule.status)).peekable();
    if open.peek().is_none() {
        // A finding without such a rule has only its control to name it by, and no evidence that could lie in a scope.
        let whole = |(_, waiver): &&(usize, &Waiver)| {
            waiver.concerns(scan, finding) && waiver.rule.is_none() && waiver.control.is_some() && waiver.paths.is_none()
        };
        used.extend(active.iter().filter(whole).map(|&(at, _)| at));
        return (!used.is_empty()).then_some(used);
    }
    for rule in open {
        used.extend(covering(scan, finding, rule, active)?);
    }
    Some(used)
}

/// The waivers that together cover one rule of a finding, if they do: those for all paths, or else those with paths, if each piece of
/// evidence lies in one of them and no piece was cut.
fn covering(scan: &Scan, finding: &Finding, rule: &RuleResult, active: &[(usize, &Waiver)]) -> Option<BTreeSet<usize>> {
    let about: Vec<&(usize, &Waiver)> = active.iter().filter(|(_, waiver)| waiver.is_about(scan, finding, rule)).collect();
    let whole: BTreeSet<usize> = about.iter().filter(|(_, waiver)| waiver.paths.is_none()).map(|&&(at, _)| at).collect();
    if !whole.is_empty() {
        return Some(whole);
    }
    let is_all_there = !rule.evidence.is_empty() && rule.evidence_total <= rule.evidence.len() as u64;
    let mut used = BTreeSet::new();
    for evidence in rule.evidence.iter().filter(|_| is_all_there) {
        let covers: Vec<usize> = about.iter().filter(|(_, waiver)| waiver.covers(&evidence.path)).map(|&&(at, _)| at).collect();
        if covers.is_empty() {
            return None;
        }
        used.extend(covers);
    }
    (!used.is_empty()).then_some(used)
}

/// Why the gate is shut, collected.
#[derive(Default)]
struct Reasons {
    shut: Vec<String>,
    by: Vec<String>,
    /// Whether only what is new counts.
    news: bool,
}

impl Reasons {
    fn failures(&mut self, policy: &Policy, left: &[&Finding]) {
        let new = if self.news { "new " } else { "" };
        for severity in Severity::ALL.into_iter().rev().filter(|&severity| severity >= policy.fail_on) {
            let failing: Vec<&Finding> =
                left.iter().copied().filter(|one| one.status == Status::Fail && one.severity == severity).collect();
            if !failing.is_empty() {
                let (count, name, what) = (failing.len(), severity.name(), named(&failing));
                let findings = if count == 1 { "finding" } else { "findings" };
                self.shut.push(format!("{count} {new}{name} {findings} ({what}), the policy allows none"));
                self.by.extend(failing.iter().map(|finding| finding.control.clone()));
            }
        }
    }

    fn unknown(&mut self, policy: &Policy, left: &[&Finding]) {
        let unknown: Vec<&Finding> = left.iter().copied().filter(|one| one.status == Status::Unknown).collect();
        let count = unknown.len() as u64;
        if count > policy.max_unknown {
            let allows = if policy.max_unknown == 0 { "none".to_owned() } else { policy.max_unknown.to_string() };
            let controls = if count == 1 { "control" } else { "controls" };
            let newly = if self.news { "newly " } else { "" };
            self.shut.push(format!("{count} {controls} {newly}unknown ({}), the policy allows {allows}", named(&unknown)));
            self.by.extend(unknown.iter().map(|finding| finding.control.clone()));
        }
    }

    fn score(&mut self, policy: &Policy, summary: &Summary, baseline: Option<&Scan>) {
        let before = baseline.and_then(|scan| Summary::of(&scan.findings).score);
        let (Some(wanted), Some(score)) = (policy.min_score, summary.score) else { return };
        if score < wanted && before.is_none_or(|before| score < before) {
            let fell = before.map(|before| format!(" and the baseline's {before}")).unwrap_or_default();
            self.shut.push(format!("the score {score} is below the policy's {wanted}{fell}"));
        }
    }

    fn expired(&mut self, uses: &[WaiverUse]) {
        for waiver in uses.iter().filter(|waiver| waiver.state == WaiverState::Expired) {
            let WaiverUse { place, owner, expires, .. } = waiver;
            self.shut.push(format!("the waiver for {} ran out on {expires} ({place}, owner: {owner})", subject(waiver)));
        }
    }
}

fn reasons_to_ship(policy: &Policy, summary: &Summary, cleared: usize, known: usize) -> Vec<String> {
    let mut reasons = vec![match summary.pass {
        1 => "1 control passes".to_owned(),
        count => format!("{count} controls pass"),
    }];
    if summary.fail == 0 && summary.unknown == 0 {
        reasons.push("none fails and none is unknown".into());
    } else {
        reasons.push(format!("{} fail and {} are unknown, none of which shuts the gate", summary.fail, summary.unknown));
    }
    if cleared > 0 {
        reasons.push(format!("{cleared} waived"));
    }
    if known > 0 {
        reasons.push(format!("{known} known to the baseline"));
    }
    if policy.fail_on > Severity::Low && summary.fail > 0 {
        reasons.push(format!("failures shut the gate from {} on", policy.fail_on.name()));
    }
    reasons
}

fn nothing_judged(scan: &Scan, summary: &Summary) -> String {
    match scan.findings.len() {
        0 => "no control was selected".to_owned(),
        _ => format!("nothing was judged: {} manual, {} not applicable", summary.manual, summary.not_applicable),
    }
}

/// The first few controls by number.
fn named(findings: &[&Finding]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<String> = findings.iter().take(SHOWN).map(|finding| printable(finding.control.as_bytes())).collect();
    let more = findings.len().saturating_sub(SHOWN);
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}

/// What a waiver is about.
fn subject(waiver: &WaiverUse) -> String {
    match (&waiver.control, &waiver.rule) {
        (Some(control), Some(rule)) => format!("{rule} in {control}"),
        (Some(one), None) | (None, Some(one)) => one.clone(),
        (None, None) => "nothing".into(),
    }
}

/// Where a waiver is about something that is not in the scan: what may have been meant.
fn near(waiver: &WaiverUse, scan: &Scan) -> String {
    let controls: BTreeSet<&str> = scan.findings.iter().map(|finding| finding.control.as_str()).collect();
    let rules: BTreeSet<&str> = scan.findings.iter().flat_map(|finding| &finding.rules).map(|rule| rule.id.as_str()).collect();
    for (name, known, kind) in [(&waiver.control, controls, "control"), (&waiver.rule, rules, "rule")] {
        if let Some(name) = name.as_ref().filter(|name| !known.contains(name.as_str())) {
            let near = nearest(name, known).map(|near| format!("; you may have meant '{near}'")).unwrap_or_default();
            return format!(": no {kind} '{name}' is in this scan{near}");
        }
    }
    ": it passes, or is not judged".into()
}
