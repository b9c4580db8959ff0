//! What is set along with the audit rules, and in auditd.conf.

use super::matcher::matched;
use super::{Kind, Observed};
use crate::facts::{FactId, Facts, Needs, Unreadable};
use crate::finding::{Evidence, Outcome};

matched! {
    /// A control among the audit rules, such as `e` (2 locks them until the next boot), `b` or `f`.
    pub struct AuditSetting {
        /// The option of auditctl(8) without dashes.
        pub option: String,
    }
}

matched! {
    /// A setting of auditd.conf(5). Names do not mind case; the last line of a name counts. Words are compared in lower case.
    pub struct Auditd {
        /// The name.
        pub key: String,
    }
}

impl Kind for AuditSetting {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Audit);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let rules = facts.audit()?;
        Ok(match rules.controls.get(&self.option) {
            Some((value, path, line)) => self.matcher().judge(Some(&Observed::new(value)), Evidence::at(path).line(*line)),
            None => self.matcher().judge(None, Evidence::at(&rules.place)),
        })
    }

    fn flaw(&self) -> Option<String> {
        self.matcher().flaw()
    }
}

impl Kind for Auditd {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Auditd);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let config = facts.auditd()?;
        if let Some(refused) = &config.refused {
            let evidence = Evidence::at(&config.path).line_opt(refused.line).found(&refused.reason);
            return Ok(Outcome::fail(vec![evidence.expected("name = value").because("auditd does not start with such a line")]));
        }
        if let Some((found, line)) = config.idle() {
            let evidence = Evidence::at(&config.path).line(line).found(found).expected("auditd writes what is recorded");
            return Ok(Outcome::fail(vec![evidence.because("nothing is kept of what the kernel records")]));
        }
        Ok(match config.setting(&self.key) {
            Some((value, line)) => {
                let observed = Observed::new(value.to_ascii_lowercase());
                self.matcher().judge(Some(&observed), Evidence::at(&config.path).line(line))
            }
            None => self.matcher().judge(None, Evidence::at(&config.path)),
        })
    }

    fn flaw(&self) -> Option<String> {
        self.matcher().flaw()
    }
}
