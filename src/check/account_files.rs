//! Lines of the account files that are no accounts.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Kind, unknown};
use crate::facts::{FactId, Facts, Needs, Unreadable};
use crate::finding::{Evidence, Outcome};
use crate::path::ImagePath;

/// Whether passwd, group and shadow hold lines of these kinds.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AccountFiles {
    /// Lines that the system passes over because they are no entries.
    pub malformed: Option<bool>,
    /// Lines that begin with `+` or `-` and take accounts from NIS.
    pub nis: Option<bool>,
}

impl Kind for AccountFiles {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Accounts);
        needs.fact(FactId::Shadow);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let accounts = facts.accounts()?;
        let shadow = facts.shadow();
        let mut outcomes = Vec::new();
        let mut judge = |wanted: Option<bool>, lines: Vec<&Unreadable>, expected: &str| {
            let Some(wanted) = wanted else { return };
            outcomes.push(Outcome::decide(lines.is_empty() != wanted, evidence(&lines, expected)));
        };
        let mut malformed = accounts.malformed.clone();
        let mut nis = accounts.nis.clone();
        if let Ok(shadow) = &shadow {
            malformed.extend(shadow.malformed.clone());
            nis.extend(shadow.nis.clone());
        }
        judge(self.malformed, malformed.iter().collect(), "an entry");
        judge(self.nis, nis.iter().collect(), "no line for NIS");
        if let Err(unreadable) = shadow {
            outcomes.push(unknown(&unreadable));
        }
        Ok(Outcome::all(outcomes))
    }

    fn flaw(&self) -> Option<String> {
        (self.malformed.is_none() && self.nis.is_none()).then(|| "it asks nothing of the lines; known: malformed, nis".into())
    }
}

fn evidence(lines: &[&Unreadable], expected: &str) -> Vec<Evidence> {
    let passwd = ImagePath::new("/etc/passwd");
    if lines.is_empty() {
        return vec![Evidence::at(&passwd).found("no such line")];
    }
    let each = lines.iter().map(|line| {
        let path = line.path.as_ref().unwrap_or(&passwd);
        Evidence::at(path).line_opt(line.line).found(&line.reason).expected(expected)
    });
    each.collect()
}
