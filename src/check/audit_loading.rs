//! How the audit rules come into the kernel.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Kind;
use crate::facts::{AuditRules, FactId, Facts, Generated, Needs, Unreadable};
use crate::finding::{Evidence, Outcome, Status};
use crate::path::ImagePath;

/// How the audit rules come into the kernel.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AuditLoading {
    /// Whether `/etc/audit/audit.rules` says what augenrules would write now. A file that is not there yet, or that is no product of
    /// augenrules, is not out of date. What a running kernel has loaded is told by `auditctl -l` alone, so there a person has to look.
    pub current: Option<bool>,
    /// Whether loading goes on after a rule that is refused, from the first rule on: `-c`.
    pub continues: Option<bool>,
}

impl Kind for AuditLoading {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Audit);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let rules = facts.audit()?;
        let mut outcomes = Vec::new();
        outcomes.extend(self.current.map(|wanted| judge_current(rules, wanted, facts.running().is_some())));
        outcomes.extend(self.continues.map(|wanted| judge_continues(rules, wanted)));
        Ok(Outcome::all(outcomes))
    }

    fn flaw(&self) -> Option<String> {
        let asks = self.current.is_some() || self.continues.is_some();
        (!asks).then(|| "it asks nothing; known: current, continues".into())
    }
}

fn judge_continues(rules: &AuditRules, wanted: bool) -> Outcome {
    if let Some((path, line)) = &rules.continues {
        let evidence = Evidence::at(path).line(*line).found("-c before every rule");
        return Outcome::decide(wanted, vec![evidence.expected("loading that ends at the first mistake")]);
    }
    let found = if rules.controls.contains_key("c") { "-c, but only after a rule" } else { "no -c" };
    Outcome::decide(!wanted, vec![Evidence::at(&rules.place).found(found).expected("-c before every rule")])
}

fn judge_current(rules: &AuditRules, wanted: bool, live: bool) -> Outcome {
    let place = Evidence::at(&ImagePath::new("/etc/audit/audit.rules"));
    let current = |found: &str| {
        let evidence = vec![place.clone().found(found)];
        let mut outcome = Outcome::decide(wanted, evidence);
        if live && outcome.status == Status::Pass {
            outcome.status = Status::Manual;
            outcome.reason = Some(
                "compare with auditctl -l: only the kernel knows the rules it has, and it tells them to auditctl alone".into(),
            );
        }
        outcome
    };
    match &rules.generated {
        Generated::Unused => current("read as it stands, nothing is merged into it"),
        Generated::Missing => current("not there yet: the next boot writes it"),
        Generated::Current => current("what augenrules would write"),
        Generated::Stale { line, found, expected } => {
            let evidence = place.clone().line_opt(*line).found(found);
            let evidence = match expected {
                Some((text, path, line)) => evidence.expected(text).because(format!("so says {path}:{line}")),
                None => evidence.expected("nothing more").because("no file of /etc/audit/rules.d says so"),
            };
            Outcome::decide(!wanted, vec![evidence])
        }
    }
}
