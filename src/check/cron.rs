//! Jobs of cron.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Kind, Pattern, unknown};
use crate::facts::units::Init;
use crate::facts::{FactId, Facts, Needs, Unreadable};
use crate::finding::{Evidence, Outcome};
use crate::path::ImagePath;

/// Root has a job of cron that runs something like this, at least so often: in a table, or as a script of `/etc/cron.daily` and its like. A
/// script that leaves its work to systemd where that runs does not count where it does.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Cron {
    /// The command, or some line of the script, matches this.
    pub runs: Pattern,
    /// The most days that may lie between two runs.
    pub within_days: u32,
}

impl Kind for Cron {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Cron);
        needs.fact(FactId::Units);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let (cron, units) = (facts.cron()?, facts.units()?);
        let systemd = units.init == Init::Systemd;
        let expected = format!("to run every {} days or more often", self.within_days);
        let (mut right, mut wrong) = (Vec::new(), Vec::new());
        for job in cron.jobs.iter().filter(|job| job.runs.lines().any(|line| self.runs.0.is_match(without_comment(line)))) {
            let place = Evidence::at(&job.path).line_opt(job.line).expected(&expected);
            match job.days {
                _ if systemd && job.yields_to_systemd => wrong.push(place.found("leaves its work to systemd where that runs")),
                Some(days) if days <= self.within_days => right.push(place.found(format!("up to {days} days between two runs"))),
                Some(days) => wrong.push(place.found(format!("up to {days} days between two runs"))),
                None => wrong.push(place.found("runs at boot alone")),
            }
        }
        if !right.is_empty() {
            return Ok(Outcome::pass(right));
        }
        if !cron.doubts.is_empty() {
            return Ok(Outcome::all(cron.doubts.iter().map(unknown)));
        }
        if wrong.is_empty() {
            wrong.push(Evidence::at(&ImagePath::new("/etc/crontab")).found("no such job").expected(expected));
        }
        Ok(Outcome::fail(wrong))
    }
}

/// A line without what the shell takes for a comment: from a `#` on that begins a word outside quotes.
fn without_comment(line: &str) -> &str {
    let (mut quote, mut before) = (None, ' ');
    for (at, sign) in line.char_indices() {
        match (quote, sign) {
            (Some(open), sign) if sign == open => quote = None,
            (None, '\'' | '"') if before != '\\' => quote = Some(sign),
            (None, '#') if before.is_ascii_whitespace() || ";&|()".contains(before) => return line.get(..at).unwrap_or(line),
            _ => {}
        }
        before = sign;
    }
    line
}
