//! What shadow-utils gives to new accounts.

use super::matcher::matched;
use super::{Kind, Observed, unknown};
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

impl Kind for LoginDefs {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::LoginDefs);
    }

    fn evaluate(&self, facts: &Facts<'_>) -> Outcome {
        let effective = facts.login_defs().map(|settings| settings.effective(&self.key));
        judge(&self.matcher(), &self.key, login_defs::LoginDefs::PATH, effective)
    }

    fn flaw(&self) -> Option<String> {
        self.matcher().flaw()
    }
}

impl Kind for Useradd {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::UseraddDefaults);
    }

    fn evaluate(&self, facts: &Facts<'_>) -> Outcome {
        let effective = facts.useradd_defaults().map(|settings| settings.effective(&self.key));
        judge(&self.matcher(), &self.key, UseraddDefaults::PATH, effective)
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
