//! The files that auditd writes.

use schemars::JsonSchema;
use serde::Deserialize;

use super::accounts::exactly;
use super::file::{File, WhenNone};
use super::{Kind, Mode, Names};
use crate::facts::{Auditd, FactId, Facts, Needs, Unreadable};
use crate::finding::{Evidence, Outcome};

/// The log file of auditd and those it has turned over, or the directory they lie in: where `log_file` in auditd.conf(5) says. There are
/// none in an image that never ran: then there is nothing to judge.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AuditLog {
    /// `true`: the directory instead of the files.
    #[serde(default)]
    pub directory: bool,
    /// No permission beyond these bits, where `log_group` is root or not set: auditd itself makes files with 0600 then.
    pub mode_within: Option<Mode>,
    /// No permission beyond these bits, where `log_group` lets another group read: auditd itself makes files with 0640 then.
    pub shared_mode_within: Option<Mode>,
    /// They belong to one of these accounts of the image.
    pub owner: Option<Names>,
    /// `true`: they belong to the group that `log_group` names.
    #[serde(default)]
    pub own_group: bool,
}

impl AuditLog {
    /// The check on what the configuration names; nothing where its path cannot be written as a pattern.
    fn file(&self, auditd: &Auditd) -> Option<File> {
        let log = auditd.log_file();
        let path = if self.directory {
            vec![exactly(&log.parent()?)?]
        } else {
            let log = exactly(&log)?;
            vec![log.clone(), format!("{log}.*")]
        };
        let group = auditd.log_group();
        Some(File {
            path: Names(path),
            host_keys: None,
            except: Vec::new(),
            exists: None,
            only: None,
            kind: None,
            mode_within: if matches!(group, "root" | "0") { self.mode_within } else { self.shared_mode_within },
            mode_has: None,
            owner: self.owner.clone(),
            group: self.own_group.then(|| Names(vec![group.to_owned()])),
            or_no_login: false,
            empty: None,
            when_none: WhenNone::NotApplicable,
        })
    }
}

impl Kind for AuditLog {
    fn needs(&self, facts: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Auditd);
        if let Ok(auditd) = facts.auditd()
            && let Some(file) = self.file(auditd)
        {
            file.needs(facts, needs);
        }
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let auditd = facts.auditd()?;
        Ok(match self.file(auditd) {
            Some(file) => file.evaluate(facts),
            None => Outcome::unknown(
                "where auditd writes to is no path that can be looked at",
                vec![Evidence::at(&auditd.path).line_opt(auditd.setting("log_file").map(|(_, line)| line))],
            ),
        })
    }

    fn flaw(&self) -> Option<String> {
        let modes = self.mode_within.is_some() == self.shared_mode_within.is_some();
        if !modes {
            return Some("mode-within and shared-mode-within go together".into());
        }
        let asks = self.mode_within.is_some() || self.owner.is_some() || self.own_group;
        (!asks).then(|| "it asks nothing of the files; known: mode-within, shared-mode-within, owner, own-group".into())
    }
}
