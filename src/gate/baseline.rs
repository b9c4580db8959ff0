//! What failed before: an earlier scan keeps what it already knew from shutting the gate.

use std::collections::{BTreeMap, BTreeSet};

use crate::finding::{Finding, RuleResult, Scan, Status};

/// What an earlier scan knew, by control and rule.
pub(super) struct Baseline<'s>(BTreeMap<(&'s str, &'s str), Known<'s>>);

struct Known<'s> {
    status: Status,
    paths: BTreeSet<&'s str>,
}

impl<'s> Baseline<'s> {
    pub(super) fn of(scan: &'s Scan) -> Self {
        let rules = scan.findings.iter().flat_map(|finding| finding.rules.iter().map(move |rule| (finding, rule)));
        let known = |rule: &'s RuleResult| Known {
            status: rule.status,
            paths: rule.evidence.iter().map(|evidence| evidence.path.as_str()).collect(),
        };
        Self(rules.map(|(finding, rule)| ((finding.control.as_str(), rule.id.as_str()), known(rule))).collect())
    }

    /// Whether everything that keeps this finding from passing was there before: each rule that fails or is unknown had the same
    /// status, with evidence in all the places it has now. What was found in a place, and on which line, may differ.
    ///
    /// Evidence that was cut cannot be compared and counts as new.
    pub(super) fn knew(&self, finding: &Finding) -> bool {
        let mut open = finding.rules.iter().filter(|rule| matches!(rule.status, Status::Fail | Status::Unknown)).peekable();
        open.peek().is_some()
            && open.all(|rule| {
                rule.evidence_total <= rule.evidence.len() as u64
                    && self.0.get(&(finding.control.as_str(), rule.id.as_str())).is_some_and(|known| {
                        known.status == rule.status
                            && rule.evidence.iter().all(|evidence| known.paths.contains(evidence.path.as_str()))
                    })
            })
    }
}
