//! What shadow-utils gives to new accounts.

use schemars::JsonSchema;
use serde::Deserialize;

use super::matcher::matched;
use super::{Kind, Mode, Observed, unknown};
use crate::facts::{FactId, Facts, Needs, Unreadable, UseraddDefaults, login_defs};
use crate::finding::{Evidence, Outcome};
use crate::path::ImagePath;

matched! {
    /// A setting of `/etc/login.defs` as shadow-utils takes it: the last line of a name wins, what is no number where one belongs
    /// leaves the built-in default in force.
    pub struct LoginDefs {
        /// Its name, such as `PASS_MAX_DAYS`.
        pub key: String,
    }
}

matched! {
    /// A default of `useradd` (`/etc/default/useradd`).
    pub struct Useradd {
        /// Its name, such as `INACTIVE`.
        pub key: String,
    }
}

/// What new files are masked with at a login: `UMASK` of `/etc/login.defs`, as `pam_umask(8)` and login read it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LoginUmask {
    /// At least these bits are taken away.
    pub masks: Mode,
}

impl Kind for LoginUmask {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::LoginDefs);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let effective = facts.login_defs()?.effective("UMASK");
        let met =
            effective.number.and_then(|mask| u32::try_from(mask).ok()).is_some_and(|mask| mask & self.masks.0 == self.masks.0);
        let place = Evidence::at(&ImagePath::new(login_defs::LoginDefs::PATH)).line_opt(effective.line);
        let because = effective.because.unwrap_or_else(|| "UMASK".to_owned());
        let found = effective.text.unwrap_or_else(|| "not set".to_owned());
        Ok(Outcome::decide(met, vec![place.found(found).expected(format!("{} or stricter", self.masks)).because(because)]))
    }
}

impl Kind for LoginDefs {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::LoginDefs);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let effective = facts.login_defs().map(|settings| settings.effective(&self.key));
        Ok(judge(&self.matcher(), &self.key, login_defs::LoginDefs::PATH, effective))
    }

    fn flaw(&self) -> Option<String> {
        self.matcher().flaw()
    }
}

impl Kind for Useradd {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::UseraddDefaults);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let effective = facts.useradd_defaults().map(|settings| settings.effective(&self.key));
        Ok(judge(&self.matcher(), &self.key, UseraddDefaults::PATH, effective))
    }

    fn flaw(&self) -> Option<String> {
        self.matcher().flaw()
    }
}

fn judge(matcher: &super::Matcher<'_>, key: &str, path: &str, effective: Result<login_defs::Effective, Unreadable>) -> Outcome {
    let effective = match effective {
        Ok(effective) => effective,
        Err(unreadable) => return unknown(&unreadable),
    };
    let because = effective.because.map_or_else(|| key.to_owned(), |because| format!("{key}: {because}"));
    let place = Evidence::at(&ImagePath::new(path)).line_opt(effective.line).because(because);
    let observed = effective.text.map(|text| Observed::new(text).with_number(effective.number));
    matcher.judge(observed.as_ref(), place)
}
