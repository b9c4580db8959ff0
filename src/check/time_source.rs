//! Where the time comes from.

use schemars::JsonSchema;
use serde::Deserialize;

use super::matcher::matched;
use super::{Kind, Names, Observed, unknown};
use crate::facts::{FactId, Facts, Needs, TimeSource as Source, Unreadable};
use crate::finding::{Evidence, Outcome};
use crate::path::ImagePath;
use crate::syntax::wildcard;

/// A time service is told at least one server of time that is not this machine, and none but those that are allowed. What the
/// program was built with does not count.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TimeSource {
    /// The service.
    pub of: Service,
    /// Names or addresses of the servers that may be asked; `*` and `?` stand for others.
    pub allowed: Names,
}

/// A time service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Service {
    /// `chronyd`.
    Chrony,
    /// `systemd-timesyncd`.
    Timesyncd,
}

matched! {
    /// The user as whom chronyd runs once it has started.
    pub struct ChronyUser {
    }
}

impl Kind for TimeSource {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(match self.of {
            Service::Chrony => FactId::Chrony,
            Service::Timesyncd => FactId::Timesyncd,
        });
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        Ok(match self.of {
            Service::Chrony => match facts.chrony() {
                Ok(chrony) => {
                    let refused = chrony.refused.iter().map(refused);
                    let doubts = chrony.unknown.iter().map(unknown);
                    let judged = self.judge(&chrony.sources, &chrony.file);
                    let idle = chrony.idle.as_ref().map(|(option, path, line)| {
                        let place = Evidence::at(path).line(*line).found(format!("chronyd {option}"));
                        Outcome::fail(vec![place.expected("a daemon that keeps setting the clock")])
                    });
                    Outcome::all(refused.chain(doubts).chain(idle).chain([judged]))
                }
                Err(unreadable) => unknown(&unreadable),
            },
            Service::Timesyncd => match facts.timesyncd() {
                Ok(timesyncd) => {
                    let judged = self.judge(&timesyncd.sources(), &ImagePath::new("/etc/systemd/timesyncd.conf"));
                    Outcome::all(timesyncd.0.broken.iter().map(unknown).chain([judged]))
                }
                Err(unreadable) => unknown(&unreadable),
            },
        })
    }
}

impl TimeSource {
    fn judge(&self, sources: &[Source], file: &ImagePath) -> Outcome {
        let at = |source: &Source| Evidence::at(&source.path).line(source.line).found(&source.address);
        let idle = |source: &Source| if source.is_loopback() { Some("this machine itself") } else { source.idle };
        let (own, others): (Vec<&Source>, Vec<&Source>) = sources.iter().partition(|source| idle(source).is_some());
        if others.is_empty() {
            let mut seen: Vec<Evidence> =
                own.into_iter().map(|source| at(source).because(idle(source).unwrap_or_default())).collect();
            if seen.is_empty() {
                seen.push(Evidence::at(file).found("no server of time"));
            }
            return Outcome::fail(seen.into_iter().map(|seen| seen.expected("a server of time")).collect());
        }
        let is_allowed = |source: &Source| {
            let mut patterns = self.allowed.0.iter();
            patterns.any(|pattern| wildcard::matches(pattern.as_bytes(), source.address.as_bytes()))
        };
        let judge = |source: &Source| {
            let expected = format!("one of {}", self.allowed.0.join(", "));
            Outcome::decide(is_allowed(source), vec![at(source).expected(expected)])
        };
        Outcome::all(others.into_iter().map(judge))
    }
}

fn refused(line: &Unreadable) -> Outcome {
    let place = line.path.as_ref().map_or_else(|| Evidence::at(&ImagePath::root()), Evidence::at);
    Outcome::fail(vec![place.line_opt(line.line).found(&line.reason).expected("a line that chronyd takes")])
}

impl Kind for ChronyUser {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Chrony);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let chrony = facts.chrony()?;
        let place = match chrony.user.as_ref().and_then(|user| user.place.as_ref()) {
            Some((path, line)) => Evidence::at(path).line(*line),
            None => Evidence::at(&chrony.file),
        };
        let because = chrony.user.as_ref().map_or("", |user| user.because);
        let observed = chrony.user.as_ref().map(|user| Observed::new(&user.name));
        let judged = self.matcher().judge(observed.as_ref(), place.because(because));
        let about_user = chrony.refused.iter().filter(|line| line.reason.starts_with("user "));
        Ok(Outcome::all(about_user.map(refused).chain([judged])))
    }

    fn flaw(&self) -> Option<String> {
        self.matcher().flaw()
    }
}
