//! Watches on files, in either way to write them.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Kind, Names, audit_call, unknown};
use crate::facts::{AuditRules, FactId, Facts, Needs, Unreadable};
use crate::finding::Outcome;
use crate::path::ImagePath;

/// Every access of these kinds to these paths is recorded: by `-w`, or by `-a always,exit -F path=` or `-F dir=`, on the path itself or
/// a directory above it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AuditWatch {
    /// The paths, each of which has to be watched. Links are followed, as the kernel does.
    pub path: Names,
    /// The accesses, some of `rwxa`: `wa` if not given.
    pub perms: Option<String>,
}

impl Kind for AuditWatch {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Audit);
        needs.fact(FactId::Packages);
        self.path.0.iter().for_each(|path| needs.files(path));
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let rules = match audit_call::in_force(facts) {
            Ok(rules) => rules,
            Err(outcome) => return Ok(*outcome),
        };
        Ok(Outcome::all(self.path.0.iter().map(|path| self.judge(facts, rules, path))))
    }

    fn flaw(&self) -> Option<String> {
        let perms = self.perms.as_deref().unwrap_or("wa");
        (perms.is_empty() || !perms.chars().all(|perm| "rwxa".contains(perm)))
            .then(|| format!("'{perms}' are no permissions out of rwxa"))
            .or_else(|| self.path.not_whole())
    }
}

impl AuditWatch {
    fn judge(&self, facts: &Facts<'_>, rules: &AuditRules, path: &str) -> Outcome {
        let perms = self.perms.as_deref().unwrap_or("wa");
        let real = match facts.files(path) {
            Ok(found) => found.first().and_then(|state| state.leads_to.as_ref().ok()).map(|(path, _)| path.clone()),
            Err(unreadable) => return unknown(&unreadable),
        };
        let real = real.unwrap_or_else(|| ImagePath::new(path));
        let outcomes = audit_call::architectures(facts, None)
            .into_iter()
            .map(|arch| audit_call::judge(rules, rules.watching(&real, perms, &arch), path, format!("-w {path} -p {perms}")));
        // Most rules are about both architectures: one piece of evidence says it.
        let mut outcome = Outcome::all(outcomes);
        outcome.evidence.dedup();
        outcome.total = outcome.evidence.len() as u64;
        outcome
    }
}
