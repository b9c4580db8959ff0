//! What logrotate does.

use schemars::JsonSchema;
use serde::Deserialize;

use super::file::WhenNone;
use super::{Kind, Mode, Names, unknown};
use crate::facts::logrotate::{Logrotate as Configured, PATH};
use crate::facts::rsyslog::OutputTarget;
use crate::facts::{FactId, Facts, Needs, Unreadable};
use crate::finding::{Evidence, Outcome, Status};
use crate::path::{ImagePath, printable};

/// logrotate as it is configured, with its includes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Logrotate {
    /// No new file is made with a permission beyond these bits, where a mode is given.
    pub create_mode_within: Option<Mode>,
    /// Every file that rsyslog writes is rotated.
    pub covers_rsyslog: Option<bool>,
    /// How often logs that say nothing else are rotated is one of these: `hourly`, `daily`, `weekly`, `monthly`, `yearly`, `size`.
    pub interval: Option<Names>,
    /// Whether all its files are read; it passes over some, for instance those that others may write.
    pub all_read: Option<bool>,
    /// The verdict if it has no configuration: `pass`, `fail`, or `not-applicable` (the default).
    #[serde(default)]
    pub when_none: WhenNone,
}

impl Kind for Logrotate {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Logrotate);
        if self.covers_rsyslog.is_some() {
            needs.fact(FactId::Rsyslog);
        }
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let logrotate = facts.logrotate()?;
        if !logrotate.present {
            return Ok(self.when_none.outcome(&ImagePath::new(PATH), "does not exist"));
        }
        let mut outcomes = Vec::new();
        outcomes.extend(self.create_mode_within.map(|allowed| judge_modes(logrotate, allowed)));
        outcomes.extend(self.covers_rsyslog.map(|wanted| judge_cover(logrotate, facts, wanted)));
        outcomes.extend(self.interval.as_ref().map(|Names(wanted)| {
            let found = logrotate.general.when;
            let evidence = main_file().found(found.unwrap_or("no interval is set")).expected(wanted.join(" or "));
            Outcome::decide(found.is_some_and(|found| wanted.iter().any(|one| one == found)), vec![evidence])
        }));
        outcomes.extend(self.all_read.map(|wanted| judge_read(logrotate, wanted)));
        let judged = Outcome::all(outcomes);
        if judged.status == Status::Pass && !logrotate.doubts.is_empty() {
            return Ok(Outcome::all(logrotate.doubts.iter().map(unknown)));
        }
        Ok(judged)
    }

    fn flaw(&self) -> Option<String> {
        let asks = self.create_mode_within.is_some()
            || self.covers_rsyslog.is_some()
            || self.interval.is_some()
            || self.all_read.is_some();
        (!asks).then(|| "it asks nothing of logrotate; known: create-mode-within, covers-rsyslog, interval, all-read".into())
    }
}

fn main_file() -> Evidence {
    Evidence::at(&ImagePath::new(PATH))
}

fn judge_modes(logrotate: &Configured, allowed: Mode) -> Outcome {
    let with_mode = logrotate.stanzas.iter().filter_map(|rotation| Some((rotation, rotation.options.create_mode()?)));
    let outcomes: Vec<Outcome> = with_mode
        .map(|(rotation, mode)| {
            let (path, line) =
                rotation.options.mode_set.as_ref().map_or((&rotation.path, rotation.line), |(path, line)| (path, *line));
            let files: Vec<String> = rotation.patterns.iter().map(|pattern| printable(pattern)).collect();
            let because = format!("for {} in {}:{}", files.join(" "), rotation.path, rotation.line);
            let evidence = Evidence::at(path).line(line).found(format!("mode {}", Mode(mode))).because(because);
            Outcome::decide(mode & !allowed.0 == 0, vec![evidence.expected(format!("{allowed} or stricter"))])
        })
        .collect();
    if outcomes.is_empty() {
        return Outcome::pass(vec![main_file().found("new files have the modes of the old ones")]);
    }
    Outcome::all(outcomes)
}

fn judge_cover(logrotate: &Configured, facts: &Facts<'_>, wanted: bool) -> Outcome {
    let rsyslog = match facts.rsyslog() {
        Ok(rsyslog) => rsyslog,
        Err(unreadable) => return unknown(&unreadable),
    };
    let mut missed = Vec::new();
    let mut doubts: Vec<Outcome> = rsyslog.refused.iter().chain(&rsyslog.doubts).map(unknown).collect();
    for output in &rsyslog.outputs {
        let OutputTarget::File { path, .. } = &output.target else { continue };
        let place =
            Evidence::at(&output.place.path).line(output.place.line).found(path).expected("a file that logrotate rotates");
        match path.first() {
            Some(b'/') if path.starts_with(b"/dev/") => {}
            Some(b'/') if logrotate.rotation_of(&ImagePath::new(path)).is_none() => missed.push(place),
            Some(b'/') => {}
            _ => doubts.push(Outcome::unknown("a name that a template makes is not followed", vec![place])),
        }
    }
    let covers = missed.is_empty();
    if covers && !doubts.is_empty() {
        return Outcome::all(doubts);
    }
    if covers {
        missed.push(main_file().found("every file of rsyslog is rotated"));
    }
    Outcome::decide(covers == wanted, missed)
}

fn judge_read(logrotate: &Configured, wanted: bool) -> Outcome {
    let evidence = |ignored: &Unreadable| {
        let place = ignored.path.as_ref().map_or_else(main_file, Evidence::at).line_opt(ignored.line);
        place.found(&ignored.reason).expected("a file that logrotate reads")
    };
    let mut seen: Vec<Evidence> = logrotate.ignored.iter().map(evidence).collect();
    let all = seen.is_empty();
    if all {
        seen.push(main_file().found("every file is read"));
    }
    Outcome::decide(all == wanted, seen)
}
