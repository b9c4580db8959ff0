//! What shadow-utils gives to new accounts.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;

use super::matcher::matched;
use super::{Kind, Mode, Observed, unknown};
use crate::facts::{FactId, Facts, Needs, Unreadable, UseraddDefaults, login_defs};
use crate::finding::{Evidence, Outcome};
use crate::path::ImagePath;
use crate::syntax::pam::Management;

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

/// Where there is PAM, it is this folder that its services are in.
const SERVICES: &str = "/etc/pam.d";

/// What new files are masked with at a login: `UMASK` of `/etc/login.defs`, as `pam_umask(8)` and login read it, and what `pam_umask` takes
/// instead of it: its own `umask=`, `usergroups`, and `umask=` in the comment of an account.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LoginUmask {
    /// At least these bits are taken away.
    pub masks: Mode,
}

impl Kind for LoginUmask {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        [FactId::LoginDefs, FactId::Pam, FactId::Accounts].into_iter().for_each(|fact| needs.fact(fact));
        needs.files(SERVICES);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let effective = facts.login_defs()?.effective("UMASK");
        let mask = effective.number.and_then(|mask| u32::try_from(mask).ok());
        let others = self.by_pam(facts, mask);
        let met = mask.is_some_and(|mask| self.fits(mask));
        let place = Evidence::at(&ImagePath::new(login_defs::LoginDefs::PATH)).line_opt(effective.line);
        let because = effective.because.unwrap_or_else(|| "UMASK".to_owned());
        let found = effective.text.unwrap_or_else(|| "not set".to_owned());
        let own = Outcome::decide(met, vec![place.found(found).expected(self.words()).because(because)]);
        Ok(Outcome::all(std::iter::once(own).chain(others)))
    }
}

impl LoginUmask {
    fn fits(&self, mask: u32) -> bool {
        mask & self.masks.0 == self.masks.0
    }

    fn words(&self) -> String {
        format!("{} or stricter", self.masks)
    }

    /// What `pam_umask` sets in the sessions of all services: `set_umask` and `setup_limits_from_gecos` of its source. Where there is no PAM,
    /// nothing.
    fn by_pam(&self, facts: &Facts<'_>, by_login_defs: Option<u32>) -> Vec<Outcome> {
        let pam = match facts.pam() {
            Ok(pam) => pam,
            Err(_) if facts.files(SERVICES).is_ok_and(<[_]>::is_empty) => return Vec::new(),
            Err(unreadable) => return vec![unknown(&unreadable)],
        };
        let (mut outcomes, mut places, mut asked) = (Vec::new(), BTreeSet::new(), false);
        for service in pam.names() {
            let steps = match pam.stack(service, Management::Session) {
                Some(Ok(stack)) => stack.steps,
                Some(Err(unreadable)) => {
                    outcomes.push(unknown(&unreadable));
                    continue;
                }
                None => continue,
            };
            for step in steps.iter().filter(|step| step.reachable && step.module.name() == "pam_umask.so") {
                asked = true;
                if !places.insert((step.path.clone(), step.module.line)) {
                    continue;
                }
                let own = step.module.arguments.iter().rev().find_map(|argument| argument_umask(argument));
                let groups = step.module.arguments.iter().rev().find_map(|argument| {
                    let is = |word: &str| argument.eq_ignore_ascii_case(word);
                    (is("usergroups") || is("nousergroups")).then(|| is("usergroups"))
                });
                if own.is_none() && groups != Some(true) {
                    continue;
                }
                let Some(mask) = own.or(by_login_defs) else { continue };
                // An account with a group of its own name shares with it.
                let mask = if groups == Some(true) { mask & !0o070 | mask >> 3 & 0o070 } else { mask };
                let place = Evidence::at(&step.path).line(step.module.line).found(format!("pam_umask sets {mask:03o}"));
                outcomes.push(Outcome::decide(self.fits(mask), vec![place.expected(self.words())]));
            }
        }
        let users = facts.accounts().ok().filter(|_| asked).map(|accounts| accounts.users.as_slice()).unwrap_or_default();
        for (user, mask) in users.iter().filter_map(|user| Some((user, user.umask?))) {
            let place =
                Evidence::at(&user.path).line_opt(user.line).found(format!("pam_umask sets {mask:03o} for {}", user.name));
            outcomes.push(Outcome::decide(self.fits(mask), vec![place.expected(self.words())]));
        }
        outcomes
    }
}

/// `umask=` in any case, with an octal number as `strtoul` reads it; without a digit the argument sets nothing.
fn argument_umask(argument: &str) -> Option<u32> {
    let value = argument.get(..6).filter(|name| name.eq_ignore_ascii_case("umask=")).and_then(|_| argument.get(6..))?;
    let end = value.find(|sign: char| !matches!(sign, '0'..='7')).unwrap_or(value.len());
    let digits = value.get(..end).filter(|digits| !digits.is_empty())?;
    Some(digits.bytes().fold(0_u32, |mask, digit| (mask << 3 | u32::from(digit - b'0')) & 0o777))
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
