//! The ageing of passwords that are there already.

use schemars::JsonSchema;
use serde::Deserialize;

use super::accounts::{OneOrMore, Selection, Who};
use super::file::WhenNone;
use super::matcher::matched;
use super::{Kind, Names, Observed};
use crate::facts::accounts::{Account, Shadow};
use crate::facts::{FactId, Facts, Needs, Unreadable};
use crate::finding::{Evidence, Outcome, Status};

matched! {
    /// A number of days in shadow, of every account that is chosen. A field that is empty or -1 is not set: there is no limit.
    pub struct PasswordAge {
        /// Kinds of accounts, one word or several.
        pub who: Option<OneOrMore<Who>>,
        /// Accounts by name, beside those that `who` chooses.
        pub named: Option<Names>,
        /// Accounts by name that do not count.
        pub except: Option<Names>,
        /// Which number.
        pub field: AgeField,
        /// The verdict if no account is chosen: `pass`, `fail`, or `not-applicable` (the default).
        #[serde(default)]
        pub when_none: WhenNone,
    }
}

/// A number of shadow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AgeField {
    /// Days after which a password has to be changed; 99999 stands for never.
    Max,
    /// Days before it may be changed again.
    Min,
    /// Days of warning before it has to be changed.
    Warn,
    /// Days after that until it is no longer accepted.
    Inactive,
    /// Days since the last change, on the day of the scan: negative if that is in the future.
    ChangedAgo,
}

impl AgeField {
    const fn words(self) -> &'static str {
        match self {
            Self::Max => "maximum age",
            Self::Min => "minimum age",
            Self::Warn => "warning",
            Self::Inactive => "inactivity",
            Self::ChangedAgo => "days since the last change",
        }
    }
}

impl Kind for PasswordAge {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        self.selection().needs(needs);
        needs.fact(FactId::Shadow);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let known = self.selection().of(facts).and_then(|chosen| Ok((chosen, facts.shadow()?)));
        let (chosen, shadow) = known?;
        if chosen.is_empty() {
            return Ok(self.when_none.outcome(&shadow.path, "no such account"));
        }
        let judged: Vec<Outcome> = chosen.iter().map(|user| self.judge(user, shadow, facts)).collect();
        if judged.iter().all(|outcome| outcome.status == Status::Pass) {
            let found = format!("{} of {} accounts, all as they should be", self.field.words(), chosen.len());
            return Ok(Outcome::pass(vec![Evidence::at(&shadow.path).found(found)]));
        }
        Ok(Outcome::all(judged))
    }

    fn flaw(&self) -> Option<String> {
        self.selection().flaw().or_else(|| self.matcher().flaw())
    }
}

impl PasswordAge {
    fn selection(&self) -> Selection<'_> {
        Selection { who: self.who.as_ref(), named: self.named.as_ref(), except: self.except.as_ref() }
    }

    fn judge(&self, user: &Account, shadow: &Shadow, facts: &Facts<'_>) -> Outcome {
        let line = shadow.line(&user.name);
        let days = line.and_then(|line| match self.field {
            AgeField::Max => line.max,
            AgeField::Min => line.min,
            AgeField::Warn => line.warn,
            AgeField::Inactive => line.inactive,
            AgeField::ChangedAgo => line.changed.map(|changed| today(facts).saturating_sub(changed)),
        });
        let place = match line {
            Some(line) => Evidence::at(&shadow.path).line(line.line),
            None => Evidence::at(&user.path).line_opt(user.line),
        };
        let observed = days.map(|days| Observed::new(days.to_string()));
        self.matcher().judge(observed.as_ref(), place.because(format!("{} of {}, in days", self.field.words(), user.name)))
    }
}

/// The day of the scan in days since 1970.
fn today(facts: &Facts<'_>) -> i64 {
    let since = jiff::civil::date(1970, 1, 1).until(facts.target().today);
    since.map_or(0, |span| i64::from(span.get_days()))
}
