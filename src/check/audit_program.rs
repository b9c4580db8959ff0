//! Programs whose execution is recorded.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Kind, Names, audit_call, unknown};
use crate::facts::{FactId, Facts, Needs, Selector, Unreadable};
use crate::finding::Outcome;
use crate::image::FileKind;
use crate::path::ImagePath;

/// Every execution of these programs is recorded under these filters or wider ones.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AuditProgram {
    /// Programs by path; links are followed. One that does not exist is passed over.
    pub path: Option<Names>,
    /// `true`: every setuid and setgid program of the whole tree.
    #[serde(default)]
    pub privileged: bool,
    /// The filters besides `path`, `perm` and `key`.
    #[serde(default)]
    pub filter: Vec<String>,
}

impl AuditProgram {
    fn selector() -> Selector {
        Selector { kinds: [FileKind::File].into(), mode_any: 0o6000, ..Selector::default() }
    }

    /// The programs, and what may hide more of them; or what keeps them from being known.
    fn programs(&self, facts: &Facts<'_>) -> Result<(Vec<ImagePath>, Option<String>), Box<Outcome>> {
        let mut programs = Vec::new();
        let mut doubt = None;
        for path in self.path.iter().flat_map(|names| &names.0) {
            let found = facts.files(path).map_err(|unreadable| Box::new(unknown(&unreadable)))?;
            programs.extend(found.iter().filter_map(|state| state.leads_to.as_ref().ok()).map(|(path, _)| path.clone()));
        }
        if self.privileged {
            let tree = facts.tree().map_err(|unreadable| Box::new(unknown(&unreadable)))?;
            let Some(matches) = tree.matches(&Self::selector()) else {
                return Err(Box::new(Outcome::unknown("the tree was not walked for this", Vec::new())));
            };
            let found = &matches.found;
            if found.len() as u64 != matches.total {
                doubt = Some(format!("{} setuid programs are more than are looked at", matches.total));
            } else if tree.coverage.gaps_total > 0 {
                doubt = Some(format!(
                    "{} places of the tree could not be read, and may hide a setuid program",
                    tree.coverage.gaps_total
                ));
            }
            programs.extend(found.keys().cloned());
        }
        Ok((programs, doubt))
    }
}

impl Kind for AuditProgram {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Audit);
        self.path.iter().flat_map(|names| &names.0).for_each(|path| needs.files(path));
        if self.privileged {
            needs.tree(Self::selector());
        }
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let (rules, (programs, doubt)) = match audit_call::in_force(facts).and_then(|rules| Ok((rules, self.programs(facts)?))) {
            Ok(both) => both,
            Err(outcome) => return Ok(*outcome),
        };
        if programs.is_empty() && doubt.is_none() {
            return Ok(Outcome::not_applicable("there is no such program"));
        }
        let mut filters = self.filter.clone();
        filters.sort();
        let outcomes = programs.iter().map(|program| {
            let expected = format!("-a always,exit -F path={program} -F perm=x{}", audit_call::written(&filters));
            audit_call::judge(rules, rules.executing(program, &filters), &program.to_string(), expected)
        });
        // What is not recorded fails, whatever else there may be.
        Ok(Outcome::all(outcomes.chain(doubt.map(|reason| Outcome::unknown(reason, Vec::new())))))
    }

    fn flaw(&self) -> Option<String> {
        (self.path.is_none() && !self.privileged).then(|| "it names no program: known: path, privileged".into())
    }
}
