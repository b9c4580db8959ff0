//! What a login may use.

use super::matcher::matched;
use super::{Kind, Observed};
use crate::facts::{FactId, Facts, Needs, Unreadable, limits};
use crate::finding::{Evidence, Outcome};
use crate::path::ImagePath;

matched! {
    /// A hard limit of `limits.conf(5)`: for everybody, and for each account and group that has a line of its own. -1 is no limit.
    pub struct Limit {
        /// What is limited, such as `core`.
        pub item: String,
    }
}

impl Kind for Limit {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Limits);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let all = facts.limits()?.hard(&self.item);
        let mut outcomes = Vec::new();
        if !all.iter().any(|found| found.domain == "*") {
            let because = format!("no line limits {} for everybody (*)", self.item);
            outcomes.push(self.matcher().judge(None, Evidence::at(&ImagePath::new(limits::PATH)).because(because)));
        }
        for found in all {
            let place = Evidence::at(&found.path)
                .line(found.line)
                .because(format!("the hard limit of {} for {}", self.item, found.domain));
            outcomes.push(self.matcher().judge(Some(&Observed::new(found.text).with_number(found.number)), place));
        }
        Ok(Outcome::all(outcomes))
    }

    fn flaw(&self) -> Option<String> {
        self.matcher().flaw()
    }
}
