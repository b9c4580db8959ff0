//! System calls that are recorded.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Kind, Names, unknown};
use crate::facts::{AuditRule, AuditRules, FactId, Facts, Machine, Needs, Recorded, Unreadable};
use crate::finding::{Evidence, Outcome};

/// These system calls are recorded under these filters or wider ones, on every architecture the kernel takes calls of. How many rules it takes,
/// and in which order they name calls and filters, does not matter.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AuditCall {
    /// The system calls; each has to be recorded. One that an architecture does not have is left out there.
    pub syscall: Names,
    /// The filters besides `arch` and `key`, such as `auid>=1000` or `exit=-EACCES`.
    #[serde(default)]
    pub filter: Vec<String>,
    /// The architectures, `b32` and `b64`; both if not given.
    pub arch: Option<Vec<String>>,
}

impl Kind for AuditCall {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Audit);
        needs.fact(FactId::Packages);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let rules = match in_force(facts) {
            Ok(rules) => rules,
            Err(outcome) => return Ok(*outcome),
        };
        let mut filters = self.filter.clone();
        filters.sort();
        let mut outcomes = Vec::new();
        for arch in architectures(facts, self.arch.as_deref()) {
            for syscall in self.syscall.0.iter().filter(|name| machine(facts).has(name, &arch)) {
                let expected = format!("-a always,exit -F arch={arch} -S {syscall}{}", written(&filters));
                let recorded = rules.calling(syscall, &arch, &filters);
                outcomes.push(judge(rules, recorded, &format!("{syscall} on {arch}"), expected));
            }
        }
        Ok(if outcomes.is_empty() { Outcome::pass(Vec::new()) } else { Outcome::all(outcomes) })
    }
}

/// The verdict on events, and what it rests on.
pub(super) fn judge(rules: &AuditRules, recorded: Recorded<'_>, what: &str, expected: String) -> Outcome {
    let at = |known: &AuditRule| Evidence::at(&known.path).line(known.line);
    match recorded {
        Recorded::By(known) => Outcome::pass(vec![at(known).found(format!("records {what}"))]),
        Recorded::Taken(known, why) => Outcome::fail(vec![
            at(known).found(format!("takes away from what is recorded of {what}")).expected(expected).because(why),
        ]),
        Recorded::Doubted(known, why) => Outcome::unknown(
            format!("whether all of {what} is recorded is not known"),
            vec![at(known).found("may take it away").expected(expected).because(why)],
        ),
        Recorded::Not => Outcome::fail(vec![nothing(rules).found(format!("no rule in force records {what}")).expected(expected)]),
    }
}

/// That no rule in force does it, and at which line loading ended if it did.
pub(super) fn nothing(rules: &AuditRules) -> Evidence {
    let evidence = Evidence::at(&rules.place).found("no rule in force");
    match rules.stopped_at() {
        Some(why) => evidence.because(format!("not all is loaded: {why}")),
        None => evidence,
    }
}

/// Filters as auditctl takes them.
pub(super) fn written(filters: &[String]) -> String {
    filters.iter().fold(String::new(), |all, filter| all + if filter == "euid!=uid" { " -C " } else { " -F " } + filter)
}

/// The rules in force, or the verdict that none can speak: auditing is switched off, or loading ended at a line auditctl refuses.
pub(super) fn in_force<'f>(facts: &'f Facts<'_>) -> Result<&'f AuditRules, Box<Outcome>> {
    let rules = facts.audit().map_err(|unreadable| Box::new(unknown(&unreadable)))?;
    match rules.off() {
        Some((path, line)) => {
            let evidence = Evidence::at(path).line(line).found("a line that silences every rule").expected("no such line");
            Err(Box::new(Outcome::fail(vec![evidence.because("-e 0 switches auditing off")])))
        }
        None => Ok(rules),
    }
}

/// The architectures to cover: both where not said, but only `b64` on ARM, whose images run no 32-bit programs.
pub(super) fn architectures(facts: &Facts<'_>, asked: Option<&[String]>) -> Vec<String> {
    let asked = asked.map_or_else(|| vec!["b32".to_owned(), "b64".to_owned()], <[String]>::to_vec);
    if is_arm(facts) { asked.into_iter().filter(|arch| arch == "b64").collect() } else { asked }
}

fn is_arm(facts: &Facts<'_>) -> bool {
    machine(facts) == Machine::Arm
}

fn machine(facts: &Facts<'_>) -> Machine {
    Machine::of(facts.packages().ok().and_then(|packages| packages.architecture()))
}
