//! The list of login shells.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Kind, Names};
use crate::facts::accounts::Shells as Listed;
use crate::facts::{FactId, Facts, Needs, Unreadable};
use crate::finding::{Evidence, Outcome};
use crate::path::ImagePath;

/// No program of these names is listed in `/etc/shells`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Shells {
    /// Names of programs, without their directory.
    pub lacks: Names,
}

impl Kind for Shells {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Accounts);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let accounts = facts.accounts()?;
        let file = ImagePath::new(Listed::PATH);
        let name = |path: &[u8]| path.rsplit(|&byte| byte == b'/').next().unwrap_or_default().to_vec();
        let refused = |path: &[u8]| self.lacks.0.iter().any(|lacked| lacked.as_bytes() == name(path));
        let hits: Vec<Evidence> = (accounts.shells.listed.iter())
            .filter(|(path, _)| refused(path))
            .map(|(path, line)| Evidence::at(&file).line_opt(*line).found(path).expected("not listed"))
            .collect();
        if hits.is_empty() {
            let found = format!("{} shells, none of them {}", accounts.shells.listed.len(), self.lacks.0.join(" or "));
            return Ok(Outcome::pass(vec![Evidence::at(&file).found(found)]));
        }
        Ok(Outcome::fail(hits))
    }
}
