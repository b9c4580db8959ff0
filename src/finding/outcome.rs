//! The result of one check, and how results combine.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Evidence;

/// What is known about a requirement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The requirement is met.
    Pass,
    /// It is not met.
    Fail,
    /// The image has nothing that the requirement is about.
    NotApplicable,
    /// A person has to look.
    Manual,
    /// It could not be decided; the reason says why. Never a pass.
    Unknown,
}

impl Status {
    /// The status as it is written in every format.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::NotApplicable => "not_applicable",
            Self::Manual => "manual",
            Self::Unknown => "unknown",
        }
    }
}

/// What a check says: a status, why, and what it saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The status.
    pub status: Status,
    /// Why, where the evidence alone does not say it: always for [`Status::Unknown`] and [`Status::NotApplicable`].
    pub reason: Option<String>,
    /// What was seen, in a stated order; possibly cut (see [`Outcome::total`]).
    pub evidence: Vec<Evidence>,
    /// How many pieces of evidence there were before any cut.
    pub total: u64,
}

impl Outcome {
    /// More evidence than this is counted and not kept: the first ones in order are.
    pub const MAX_EVIDENCE: usize = 1_000;
    /// More reasons than this are counted and not told: a reason is a sentence, and not a list of everything.
    pub const MAX_REASONS: usize = 20;

    fn new(status: Status, reason: Option<String>, mut evidence: Vec<Evidence>) -> Self {
        let total = evidence.len() as u64;
        if evidence.len() > Self::MAX_EVIDENCE {
            evidence.truncate(Self::MAX_EVIDENCE);
            evidence.shrink_to_fit();
        }
        Self { status, reason, evidence, total }
    }

    /// Met, and this shows it.
    #[must_use]
    pub fn pass(evidence: Vec<Evidence>) -> Self {
        Self::new(Status::Pass, None, evidence)
    }

    /// Not met, and this shows it.
    #[must_use]
    pub fn fail(evidence: Vec<Evidence>) -> Self {
        Self::new(Status::Fail, None, evidence)
    }

    /// Met or not.
    #[must_use]
    pub fn decide(met: bool, evidence: Vec<Evidence>) -> Self {
        if met { Self::pass(evidence) } else { Self::fail(evidence) }
    }

    /// Could not be decided, because of this.
    #[must_use]
    pub fn unknown(reason: impl Into<String>, evidence: Vec<Evidence>) -> Self {
        Self::new(Status::Unknown, Some(reason.into()), evidence)
    }

    /// For a person to look at, because of this.
    #[must_use]
    pub fn manual(reason: impl Into<String>, evidence: Vec<Evidence>) -> Self {
        Self::new(Status::Manual, Some(reason.into()), evidence)
    }

    /// There is nothing to judge, because of this.
    #[must_use]
    pub fn not_applicable(reason: impl Into<String>) -> Self {
        Self::new(Status::NotApplicable, Some(reason.into()), Vec::new())
    }

    /// Adds a reason.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// States how many pieces of evidence there were in truth.
    #[must_use]
    pub fn of_total(mut self, total: u64) -> Self {
        self.total = total.max(self.evidence.len() as u64);
        self
    }

    /// All have to be met: the worst decides (fail, then unknown, then manual, then pass), and its evidence is kept. Not applicable
    /// only if all are.
    #[must_use]
    pub fn all(outcomes: impl IntoIterator<Item = Self>) -> Self {
        Self::combine(outcomes, [Status::Fail, Status::Unknown, Status::Manual, Status::Pass, Status::NotApplicable])
    }

    /// One has to be met: the best decides (pass, then unknown, then manual, then fail). Not applicable only if all are.
    #[must_use]
    pub fn any(outcomes: impl IntoIterator<Item = Self>) -> Self {
        Self::combine(outcomes, [Status::Pass, Status::Unknown, Status::Manual, Status::Fail, Status::NotApplicable])
    }

    /// One after another, so that very many never lie in memory together; of those that turn out not to decide nothing is kept.
    fn combine(outcomes: impl IntoIterator<Item = Self>, order: [Status; 5]) -> Self {
        let rank = |status: Status| order.iter().position(|&one| one == status).unwrap_or(order.len());
        let mut combined: Option<Self> = None;
        let (mut reasons, mut more): (Vec<String>, BTreeSet<u64>) = (Vec::new(), BTreeSet::new());
        for outcome in outcomes {
            match &mut combined {
                Some(known) if rank(known.status) < rank(outcome.status) => continue,
                Some(known) if known.status == outcome.status => {
                    known.total += outcome.total;
                    let room = Self::MAX_EVIDENCE.saturating_sub(known.evidence.len());
                    known.evidence.extend(outcome.evidence.into_iter().take(room));
                }
                other => {
                    (reasons, more) = (Vec::new(), BTreeSet::new());
                    *other = Some(Self { reason: None, ..outcome });
                }
            }
            match outcome.reason.filter(|reason| !reasons.contains(reason)) {
                Some(reason) if reasons.len() < Self::MAX_REASONS => reasons.push(reason),
                // Only told apart from each other, for which a digest is enough.
                Some(reason) => _ = more.insert(digest(&reason)),
                None => {}
            }
        }
        let Some(mut combined) = combined else {
            return Self::unknown("nothing was checked", Vec::new());
        };
        if !more.is_empty() {
            reasons.push(format!("and {} more reasons", more.len()));
        }
        combined.reason = (!reasons.is_empty()).then(|| reasons.join("; "));
        combined
    }

    /// Met where it was not, and the other way round; what is not known stays so.
    #[must_use]
    pub fn negate(mut self) -> Self {
        self.status = match self.status {
            Status::Pass => Status::Fail,
            Status::Fail => Status::Pass,
            other => other,
        };
        self
    }
}

/// The same for the same text, in every run.
fn digest(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(status: Status) -> Outcome {
        Outcome::new(status, None, Vec::new())
    }

    fn all(statuses: &[Status]) -> Status {
        Outcome::all(statuses.iter().copied().map(outcome)).status
    }

    #[test]
    fn a_failure_outweighs_what_is_unknown() {
        assert_eq!(all(&[Status::Pass, Status::Unknown, Status::Fail]), Status::Fail);
        assert_eq!(all(&[Status::Pass, Status::Unknown]), Status::Unknown);
    }

    #[test]
    fn not_applicable_only_if_all_are() {
        assert_eq!(all(&[Status::Pass, Status::NotApplicable]), Status::Pass);
        assert_eq!(all(&[Status::NotApplicable, Status::NotApplicable]), Status::NotApplicable);
    }

    #[test]
    fn one_pass_is_enough_for_any_even_beside_the_unknown() {
        let any = |statuses: &[Status]| Outcome::any(statuses.iter().copied().map(outcome)).status;
        assert_eq!(any(&[Status::Unknown, Status::Pass]), Status::Pass);
        assert_eq!(any(&[Status::Unknown, Status::Fail]), Status::Unknown);
    }

    #[test]
    fn nothing_checked_is_not_a_pass() {
        assert_eq!(all(&[]), Status::Unknown);
    }

    #[test]
    fn very_many_reasons_are_counted_and_the_first_told() {
        let each = |number| Outcome::unknown(format!("file {number} cannot be read"), Vec::new());
        let combined = Outcome::all((0..50_000).map(each));
        let reason = combined.reason.unwrap();
        assert!(reason.starts_with("file 0 cannot") && reason.ends_with("; and 49980 more reasons"), "{reason}");
    }

    #[test]
    fn more_evidence_than_the_limit_is_counted_and_the_first_kept() {
        let each = |number: u32| Evidence::at(&"/x".into()).line(number);
        let one = Outcome::fail((0..5_000).map(each).collect());
        let many = Outcome::all((0..5_000).map(|number| Outcome::fail(vec![each(number)])));
        assert_eq!((one.total, one.evidence.len()), (5_000, Outcome::MAX_EVIDENCE));
        assert_eq!(many, one);
    }

    #[test]
    fn of_what_does_not_decide_nothing_is_kept() {
        let told = |status, reason: &str| outcome(status).because(reason);
        let combined = Outcome::all([told(Status::Unknown, "a"), told(Status::Fail, "b"), told(Status::Unknown, "c")]);
        assert_eq!((combined.status, combined.reason.as_deref()), (Status::Fail, Some("b")));
    }

    #[test]
    fn turning_the_unknown_round_leaves_it_unknown() {
        assert_eq!(outcome(Status::Unknown).negate().status, Status::Unknown);
    }
}
