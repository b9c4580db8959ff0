//! Results: one a finding and rule.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use serde_sarif::sarif::{Location, PropertyBag, Result, ResultKind, ResultLevel, Suppression};

use super::rules::{Catalogue, MANUAL, level};
use super::text::{fingerprint, location, message, piece};
use crate::finding::{Evidence, Finding, RuleResult, Scan, Severity, Status};
use crate::gate::{Decision, WaiverUse};

/// GitHub takes no more results in a run.
pub(super) const RESULTS: usize = 25_000;

/// GitHub shows no more places of a result (it takes 1,000).
pub(super) const LOCATIONS: usize = 100;

/// Bytes of rules, controls and results together. GitHub takes files of 10 MB compressed; this holds before compression, so it holds after.
pub(super) const BYTES: usize = 9_000_000;

/// One result to be: a finding and one of its rules, or none where a person has to look.
#[derive(Clone, Copy)]
pub(super) struct Candidate<'s> {
    finding: &'s Finding,
    rule: Option<&'s RuleResult>,
}

impl<'s> Candidate<'s> {
    pub(super) fn rule_id(&self) -> &'s str {
        self.rule.map_or(MANUAL, |rule| &rule.id)
    }

    fn status(&self) -> Status {
        self.rule.map_or(self.finding.status, |rule| rule.status)
    }

    fn is_waived(&self) -> bool {
        self.finding.waiver.is_some() && matches!(self.status(), Status::Fail | Status::Unknown)
    }

    /// What is kept first when not all can be: failures by severity, the unknown, the manual, the rest; the waived after the others.
    fn order(&self) -> (u8, bool, Reverse<Severity>) {
        let status = match self.status() {
            Status::Fail => 0,
            Status::Unknown => 1,
            Status::Manual => 2,
            Status::NotApplicable => 3,
            Status::Pass => 4,
        };
        (status, self.is_waived(), Reverse(self.finding.severity))
    }
}

/// The candidates of a scan in the order of its controls, and how many had to be left out.
pub(super) fn candidates(findings: &[Finding]) -> (Vec<Candidate<'_>>, usize) {
    let mut all: Vec<(usize, Candidate<'_>)> = Vec::new();
    for finding in findings {
        if finding.rules.is_empty() {
            all.push((all.len(), Candidate { finding, rule: None }));
        }
        for rule in &finding.rules {
            all.push((all.len(), Candidate { finding, rule: Some(rule) }));
        }
    }
    let left_out = all.len().saturating_sub(RESULTS);
    all.sort_by_key(|(at, candidate)| (candidate.order(), *at));
    all.truncate(RESULTS);
    all.sort_by_key(|(at, _)| *at);
    (all.into_iter().map(|(_, candidate)| candidate).collect(), left_out)
}

/// What was left out for want of room.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) results: usize,
    pub(super) locations: usize,
}

/// The results, in the order of the candidates. Where they would be too large together, those that matter least lose first their
/// further places, then themselves.
pub(super) fn results(
    scan: &Scan,
    decision: &Decision,
    catalogue: &Catalogue<'_>,
    candidates: &[Candidate<'_>],
    room: usize,
) -> (Vec<Result>, Cut) {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by_key(|&at| candidates.get(at).map(|candidate| (candidate.order(), at)));
    let (mut kept, mut cut, mut bytes) = (BTreeMap::new(), Cut::default(), 0);
    for at in order {
        let Some(candidate) = candidates.get(at) else { continue };
        let mut made = result(scan, decision, catalogue, candidate, LOCATIONS);
        let mut size = size_of(&made);
        if bytes + size > room {
            cut.locations += made.related_locations.as_ref().map_or(0, Vec::len);
            made = result(scan, decision, catalogue, candidate, 1);
            size = size_of(&made);
        }
        if bytes + size > room {
            cut.results += 1;
            continue;
        }
        bytes += size;
        kept.insert(at, made);
    }
    (kept.into_values().collect(), cut)
}

/// How many bytes this takes in the file.
pub(super) fn size_of(part: &impl serde::Serialize) -> usize {
    serde_json::to_vec(part).map_or(0, |bytes| bytes.len() + 1)
}

fn result(scan: &Scan, decision: &Decision, catalogue: &Catalogue<'_>, candidate: &Candidate<'_>, places: usize) -> Result {
    let Candidate { finding, rule } = *candidate;
    let (status, rule_id) = (candidate.status(), candidate.rule_id());
    let evidence = rule.map(|rule| rule.evidence.as_slice()).unwrap_or_default();
    let total = rule.map_or(0, |rule| rule.evidence_total.max(evidence.len() as u64));
    let unsaid = total.saturating_sub(evidence.len().min(places) as u64);

    let mut result = Result::builder().message(message(said(scan, candidate, unsaid))).build();
    result.rule_id = Some(rule_id.to_owned());
    result.rule_index = catalogue.rule_index(rule_id);
    result.kind = Some(match status {
        Status::Pass => ResultKind::Pass,
        Status::Fail => ResultKind::Fail,
        Status::NotApplicable => ResultKind::NotApplicable,
        Status::Manual => ResultKind::Review,
        Status::Unknown => ResultKind::Open,
    });
    result.level = Some(match level(severity(scan, candidate)) {
        _ if status != Status::Fail => ResultLevel::None,
        "error" => ResultLevel::Error,
        "warning" => ResultLevel::Warning,
        _ => ResultLevel::Note,
    });
    // GitHub refuses a result without a place: what has none is about the image as a whole.
    let first = evidence.first().map_or_else(|| location("/", None, None, None), place);
    result.locations = Some(vec![first]);
    let related: Vec<Location> = (1..)
        .zip(evidence.iter().take(places).skip(1))
        .map(|(id, evidence)| Location { id: Some(id), ..place(evidence) })
        .collect();
    result.related_locations = (!related.is_empty()).then_some(related);
    let path = evidence.first().map_or("/", |evidence| &evidence.path);
    let (benchmark, control) = (finding.benchmark.as_ref().unwrap_or(&scan.benchmark.id), &finding.control);
    result.partial_fingerprints = Some(BTreeMap::from([
        ("primaryLocationLineHash".to_owned(), format!("{}:1", fingerprint(&[benchmark, control, rule_id, path]))),
        ("requirement/v1".to_owned(), fingerprint(&[benchmark, control, rule_id])),
    ]));
    let waivers = decision.waivers.iter().filter(|waiver| candidate.is_waived() && clears(waiver, candidate));
    result.suppressions = Some(waivers.map(suppression).collect());
    result.taxa = Some(vec![catalogue.taxon(control)]);
    let properties = [
        ("control", json!(control)),
        ("level", json!(finding.level)),
        ("severity", json!(severity(scan, candidate))),
        ("evidenceTotal", json!(total)),
    ];
    result.properties = Some(PropertyBag {
        tags: None,
        additional_properties: properties.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
    });
    result
}

/// How much one rule matters in its control: what the finding says, if no other rule can have made it say so.
fn severity(scan: &Scan, candidate: &Candidate<'_>) -> Severity {
    let of_finding = candidate.finding.severity;
    let open = |rule: &&RuleResult| matches!(rule.status, Status::Fail | Status::Unknown);
    match candidate.rule {
        Some(rule) if candidate.finding.rules.iter().filter(open).count() > 1 => {
            scan.rules.get(&rule.id).map_or(of_finding, |info| info.severity)
        }
        _ => of_finding,
    }
}

/// The message: what was asked, what is the case, and where else.
fn said(scan: &Scan, candidate: &Candidate<'_>, unsaid: u64) -> String {
    let finding = candidate.finding;
    let title = candidate.rule.and_then(|rule| scan.rules.get(&rule.id)).map_or(&finding.title, |info| &info.title);
    let reason = candidate.rule.map_or(finding.reason.as_ref(), |rule| rule.reason.as_ref());
    let reason = reason.map(|reason| piece(reason));
    let first = candidate.rule.and_then(|rule| rule.evidence.first());
    let seen = first.map(|evidence| format!(": {}: {}", evidence.place(), seen(evidence))).unwrap_or_default();
    let mut said = match candidate.status() {
        Status::Fail => format!("Not met: {title}{seen}"),
        Status::Pass => format!("Met: {title}"),
        Status::NotApplicable => format!("Not applicable: {title}"),
        Status::Manual => format!("For a person to look at: {title}"),
        Status::Unknown => format!("Could not be decided: {title}"),
    };
    if let Some(reason) = reason {
        said.push_str(&format!(" ({reason})"));
    }
    if let Some(because) = first.and_then(|evidence| evidence.because.as_ref()).filter(|_| candidate.status() == Status::Fail) {
        said.push_str(&format!("; {}", piece(because)));
    }
    if unsaid > 0 && candidate.rule.is_some_and(|rule| !rule.evidence.is_empty()) {
        said.push_str(&format!("; and in {unsaid} more places that are not listed here"));
    }
    said.push('.');
    said
}

fn seen(evidence: &Evidence) -> String {
    match (evidence.found.is_empty(), evidence.expected.is_empty()) {
        (true, true) => "see there".into(),
        (true, false) => format!("expected {}", piece(&evidence.expected)),
        (false, true) => format!("found {}", piece(&evidence.found)),
        (false, false) => format!("found {}, expected {}", piece(&evidence.found), piece(&evidence.expected)),
    }
}

fn place(evidence: &Evidence) -> Location {
    location(&evidence.path, evidence.line, evidence.column, Some(format!("{}.", seen(evidence))))
}

fn clears(waiver: &WaiverUse, candidate: &Candidate<'_>) -> bool {
    waiver.clears.contains(&candidate.finding.control)
        && waiver.rule.as_ref().is_none_or(|rule| candidate.rule.is_some_and(|result| result.id == *rule))
}

fn suppression(waiver: &WaiverUse) -> Suppression {
    let WaiverUse { reason, owner, expires, place, .. } = waiver;
    let mut suppression = Suppression::builder().kind(json!("external")).build();
    suppression.status = Some(json!("accepted"));
    suppression.justification = Some(format!("{reason} (owner: {owner}; until {expires}; {place})"));
    suppression
}

/// The rules that these results speak of.
pub(super) fn used<'s>(candidates: &[Candidate<'s>]) -> BTreeSet<&'s str> {
    candidates.iter().map(Candidate::rule_id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_more_results_than_github_takes_those_that_matter_most_are_kept_in_order() {
        let finding = |at: usize| Finding {
            control: at.to_string(),
            benchmark: None,
            title: String::new(),
            level: 1,
            severity: Severity::Low,
            status: if at.is_multiple_of(2) { Status::Pass } else { Status::Fail },
            reason: None,
            waiver: None,
            rules: Vec::new(),
        };
        let findings: Vec<Finding> = (0..RESULTS + 10).map(finding).collect();
        let (kept, left_out) = candidates(&findings);
        assert_eq!((kept.len(), left_out), (RESULTS, 10));
        assert_eq!(kept.iter().filter(|one| one.finding.status == Status::Fail).count(), RESULTS / 2 + 5);
        assert!(kept.iter().map(|one| one.finding.control.parse::<usize>().unwrap()).is_sorted());
    }
}
