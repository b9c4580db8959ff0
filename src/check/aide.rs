//! What AIDE compares, with what, and when.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Kind, Names, accounts::exactly, unknown};
use crate::facts::{Aide as Configured, AideOften, FactId, Facts, Needs, Unreadable};
use crate::finding::{Evidence, Outcome};
use crate::path::ImagePath;

/// AIDE as it is configured, with its includes. What it refuses keeps it from running at all.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Aide {
    /// Whether the database it compares with is there.
    pub database: Option<bool>,
    /// Files of which `records` is asked; one that does not exist is passed over.
    pub path: Option<Names>,
    /// Attributes that are recorded of each of these files, at least: `p`, `sha512`.
    pub records: Option<Vec<String>>,
    /// Hash sums one of which every rule records that compares contents by a hash at all; and some rule does.
    pub hashes: Option<Names>,
    /// The most days between two comparisons: by a job of cron, or by a timer of systemd that runs from boot on. The program has to be there, and
    /// to have a configuration.
    pub compares_within_days: Option<u32>,
}

impl Kind for Aide {
    fn needs(&self, facts: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Aide);
        self.path.iter().flat_map(|names| &names.0).for_each(|path| needs.files(path));
        if self.database.is_some()
            && let Ok(aide) = facts.aide()
            && let Some(pattern) = database(aide).and_then(|path| exactly(&path))
        {
            needs.files(pattern);
        }
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let mut outcomes = Vec::new();
        if let Some(days) = self.compares_within_days {
            outcomes.push(facts.aide().map_or_else(|why| unknown(&why), |aide| judge_jobs(aide, days)));
        }
        if self.asks_configuration() {
            match facts.aide() {
                Ok(aide) => outcomes.push(self.judge(aide, facts)),
                Err(unreadable) => outcomes.push(unknown(&unreadable)),
            }
        }
        Ok(Outcome::all(outcomes))
    }

    fn flaw(&self) -> Option<String> {
        if self.path.is_some() != self.records.is_some() {
            return Some("path and records go together".into());
        }
        let asks = self.asks_configuration() || self.compares_within_days.is_some();
        (!asks).then(|| "it asks nothing of AIDE; known: database, path and records, hashes, compares-within-days".into())
    }
}

impl Aide {
    fn asks_configuration(&self) -> bool {
        self.database.is_some() || self.records.is_some() || self.hashes.is_some()
    }

    fn judge(&self, aide: &Configured, facts: &Facts<'_>) -> Outcome {
        if !aide.present {
            return Outcome::fail(vec![Evidence::at(&aide.path).found("does not exist").expected("the configuration of AIDE")]);
        }
        if let Some(refused) = &aide.refused {
            let place = refused.path.as_ref().map_or_else(|| Evidence::at(&aide.path), Evidence::at);
            let place = place.line_opt(refused.line).found(&refused.reason).expected("what AIDE can read");
            return Outcome::fail(vec![place.because("AIDE does not run with such a line")]);
        }
        let mut outcomes = Vec::new();
        outcomes.extend(self.database.map(|wanted| judge_database(aide, facts, wanted)));
        outcomes.extend(self.hashes.as_ref().map(|Names(wanted)| judge_hashes(aide, wanted)));
        if let (Some(Names(paths)), Some(wanted)) = (&self.path, &self.records) {
            let mut found = Vec::new();
            for path in paths {
                match facts.files(path) {
                    Ok(states) => {
                        let real = states.iter().filter_map(|state| state.leads_to.as_ref().ok());
                        found.extend(real.map(|(real, _)| judge_records(aide, real, wanted)));
                    }
                    Err(unreadable) => found.push(unknown(&unreadable)),
                }
            }
            if found.is_empty() {
                found.push(Outcome::not_applicable("none of these files exists"));
            }
            outcomes.extend(found);
        }
        Outcome::all(outcomes)
    }
}

/// The file the database is in, where it is one.
fn database(aide: &Configured) -> Option<ImagePath> {
    let (url, ..) = aide.database()?;
    let path = url.strip_prefix("file://").or_else(|| url.strip_prefix("file:"))?;
    path.starts_with('/').then(|| ImagePath::new(path))
}

fn judge_database(aide: &Configured, facts: &Facts<'_>, wanted: bool) -> Outcome {
    let Some((url, place, line)) = aide.database() else {
        let evidence = Evidence::at(&aide.path).found("no database_in").expected("database_in=file:…");
        return Outcome::decide(!wanted, vec![evidence]);
    };
    let set = Evidence::at(place).line(line);
    let Some(path) = database(aide) else {
        return Outcome::unknown("the database is no file of the image", vec![set.found(url)]);
    };
    let states = match exactly(&path).map(|pattern| facts.files(&pattern)) {
        Some(Ok(states)) => states,
        Some(Err(unreadable)) => return unknown(&unreadable),
        None => return Outcome::unknown("the name of the database is not UTF-8", vec![set.found(url)]),
    };
    let place =
        Evidence::at(&path).because(format!("set in {place}:{line}")).expected(if wanted { "a database" } else { "none" });
    match states.iter().find_map(|state| state.leads_to.as_ref().ok()) {
        Some((_, metadata)) => {
            let evidence = place.found(format!("{} bytes", metadata.size));
            Outcome::decide((metadata.size > 0) == wanted, vec![evidence])
        }
        None => Outcome::decide(!wanted, vec![place.found("does not exist")]),
    }
}

fn judge_hashes(aide: &Configured, wanted: &[String]) -> Outcome {
    let expected = wanted.join(" or ");
    let (mut right, mut wrong) = (Vec::new(), Vec::new());
    for rule in aide.rules.iter().filter(|rule| rule.hashes().next().is_some()) {
        let found: Vec<&str> = rule.hashes().collect();
        let place = Evidence::at(&rule.path).line(rule.line).found(found.join("+")).expected(&expected);
        if found.iter().any(|hash| wanted.iter().any(|one| one == hash)) { right.push(place) } else { wrong.push(place) }
    }
    if !wrong.is_empty() {
        return Outcome::fail(wrong);
    }
    match (right.is_empty(), aide.doubts.first()) {
        (false, _) => Outcome::pass(right),
        (true, Some(doubt)) => unknown(doubt),
        (true, None) => {
            Outcome::fail(vec![Evidence::at(&aide.path).found("no rule compares contents by a hash").expected(expected)])
        }
    }
}

fn judge_records(aide: &Configured, file: &ImagePath, wanted: &[String]) -> Outcome {
    let rule = match aide.rule_for(file) {
        Ok(rule) => rule,
        Err(unreadable) => return unknown(&unreadable),
    };
    let Some(rule) = rule else {
        let evidence = Evidence::at(&aide.path).found(format!("nothing is recorded of {file}"));
        let evidence = evidence.expected(format!("{file} {}", wanted.join("+")));
        // A program whose output is not known could say more.
        return match aide.doubts.first() {
            Some(doubt) => Outcome { evidence: vec![evidence], ..Outcome::unknown(doubt.to_string(), Vec::new()) },
            None => Outcome::fail(vec![evidence]),
        };
    };
    let missing: Vec<&str> = wanted.iter().filter(|name| !rule.attributes.contains(*name)).map(String::as_str).collect();
    let found =
        if missing.is_empty() { format!("records {file}") } else { format!("records {file} without {}", missing.join(", ")) };
    let evidence = Evidence::at(&rule.path).line(rule.line).found(found).expected(wanted.join("+"));
    Outcome::decide(missing.is_empty(), vec![evidence])
}

/// Whether a job has AIDE compare often enough.
fn judge_jobs(aide: &Configured, days: u32) -> Outcome {
    let expected = format!("AIDE compares every {days} days or more often");
    let (mut right, mut wrong) = (Vec::new(), Vec::new());
    for job in &aide.jobs {
        let place = Evidence::at(&job.path).line_opt(job.line).found(&job.found).expected(&expected);
        let is_often = match job.often {
            AideOften::Timer => true,
            AideOften::Days(found) => found <= days,
            AideOften::Boot => false,
        };
        if is_often && !job.idle { right.push(place) } else { wrong.push(place) }
    }
    if !right.is_empty() {
        return Outcome::pass(right);
    }
    if !aide.job_doubts.is_empty() {
        return Outcome::all(aide.job_doubts.iter().map(unknown));
    }
    if wrong.is_empty() {
        wrong.push(Evidence::at(&ImagePath::new("/etc/crontab")).found("no job has AIDE compare").expected(expected));
    }
    Outcome::fail(wrong)
}
