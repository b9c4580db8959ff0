//! Settings of the SSH server.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer};

use super::matcher::matched;
use super::{Kind, Names, Observed, unknown};
use crate::document::nearest;
use crate::facts::sshd::{Flaw, Keyword, Place, Setting};
use crate::facts::{self, FactId, Facts, Needs, Unreadable};
use crate::finding::{Evidence, Outcome};
use crate::image::FileKind;
use crate::path::ImagePath;

matched! {
    /// A setting of OpenSSH's server as the server would take it: the first value (for a few, the last or all), includes where they
    /// stand, and what is built into the installed version. Values are in the server's own words, `yes` and `prohibit-password`; times
    /// are numbers of seconds.
    ///
    /// What a `Match` block could bring counts as much as what the server begins with: every value has to fit.
    ///
    /// A configuration that stops the server leaves everything unknown, but for a setting whose own line is the mistake: that one
    /// fails, since no value that is asked for is there.
    pub struct Sshd {
        /// Its name, as in `sshd_config(5)`. Of several, at least one has to fit.
        pub option: Names,
        /// `MaxStartups` begins to refuse, refuses and ends no later than this: `start:rate:full`.
        pub startups_within: Option<Startups>,
        /// The value is the path of a file that is there (`true`) or is not.
        pub exists: Option<bool>,
        /// It is set in a file at or below one of these paths.
        pub set_in: Option<Names>,
    }
}

/// The three numbers of `MaxStartups`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Startups {
    /// Unauthenticated connections from which on some are refused.
    start: i64,
    /// How many of a hundred are then refused.
    rate: i64,
    /// Connections from which on all are.
    full: i64,
}

impl Startups {
    fn read(text: &str) -> Option<Self> {
        let numbers: Vec<i64> = text.split(':').map(str::parse).collect::<Result<_, _>>().ok()?;
        match numbers[..] {
            [start, rate, full] if start > 0 && full >= start && (1..=100).contains(&rate) => Some(Self { start, rate, full }),
            _ => None,
        }
    }

    /// Whether it lets in no more than another: begins no later, refuses at least as many, is full no later.
    fn is_within(self, other: Self) -> bool {
        self.start <= other.start && self.rate >= other.rate && self.full <= other.full
    }
}

impl<'de> Deserialize<'de> for Startups {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::read(&text).ok_or_else(|| de::Error::custom(format!("'{text}' is not start:rate:full such as 10:30:60")))
    }
}

impl JsonSchema for Startups {
    fn schema_name() -> Cow<'static, str> {
        "Startups".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+:[0-9]+:[0-9]+$" })
    }
}

impl Kind for Sshd {
    fn needs(&self, facts: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Sshd);
        if let (Some(_), Ok(sshd)) = (self.exists, facts.sshd()) {
            for keyword in self.keywords() {
                sshd.values(keyword).iter().filter_map(path_of).for_each(|path| needs.files(path));
            }
        }
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let sshd = facts.sshd()?;
        let own = self.keywords().flat_map(|keyword| sshd.flaws_of(keyword));
        let own: Vec<Evidence> = own.map(|flaw| stopped(flaw).expected(self.expected())).collect();
        if !own.is_empty() {
            return Ok(Outcome::fail(own));
        }
        if let Some(flaw) = sshd.flaw() {
            let reason = format!("sshd does not start with this configuration: {}: {}", flaw.place, flaw.why);
            return Ok(Outcome::unknown(reason, vec![stopped(flaw)]));
        }
        let judge = |keyword: &Keyword| {
            let values = sshd.values(keyword);
            Outcome::all(values.iter().map(|setting| self.judge(keyword, sshd, setting, facts)))
        };
        Ok(Outcome::any(self.keywords().map(judge)))
    }

    fn flaw(&self) -> Option<String> {
        if let Some(wrong) = self.option.0.iter().find(|name| Keyword::named(name).is_none()) {
            let near = nearest(wrong, Keyword::every().map(|keyword| keyword.name));
            let near = near.map(|near| format!("; you may have meant '{near}'")).unwrap_or_default();
            return Some(format!("'{wrong}' is no setting of sshd{near}"));
        }
        if self.startups_within.is_some() && !self.keywords().all(|keyword| keyword.name == "MaxStartups") {
            return Some("startups-within is about MaxStartups".into());
        }
        if self.startups_within.is_some() || self.exists.is_some() || self.set_in.is_some() {
            return None;
        }
        self.matcher().flaw().map(|flaw| format!("{flaw}, startups-within, exists, set-in"))
    }
}

/// The line that stops the server.
fn stopped(flaw: &Flaw) -> Evidence {
    let place = Evidence::at(&flaw.place.path).line_opt((flaw.place.line > 0).then_some(flaw.place.line));
    // The text of a flaw is escaped already.
    Evidence { found: flaw.found.clone(), ..place }.because(format!("sshd does not start: {}", flaw.why))
}

/// The path that a value is, if it is one that can be looked up.
fn path_of(setting: &Setting) -> Option<&str> {
    setting
        .value
        .as_ref()
        .map(|value| value.text.as_str())
        .filter(|text| text.starts_with('/') && !text.contains(['\\', '*', '?', '[', '{']))
}

impl Sshd {
    fn keywords(&self) -> impl Iterator<Item = &'static Keyword> {
        self.option.0.iter().filter_map(|name| Keyword::named(name))
    }

    fn expected(&self) -> String {
        let matcher = self.matcher();
        let mut parts = Vec::new();
        if !matcher.is_empty() {
            parts.push(matcher.to_string());
        }
        parts.extend(self.startups_within.map(|most| format!("{}:{}:{} or less", most.start, most.rate, most.full)));
        parts.extend(self.exists.map(|there| if there { "a file that is there" } else { "no file that is there" }.to_owned()));
        parts.extend(self.set_in.as_ref().map(|paths| format!("set in {}", paths.0.join(" or "))));
        parts.join(", ")
    }

    fn judge(&self, keyword: &Keyword, sshd: &facts::Sshd, setting: &Setting, facts: &Facts<'_>) -> Outcome {
        let evidence = self.evidence(keyword, sshd, setting);
        let observed = setting.value.as_ref().map(|value| {
            let observed = Observed::new(value.text.clone()).with_number(value.number);
            match &value.list {
                Some(list) => observed.with_list(list),
                None => observed,
            }
        });
        let mut met = self.matcher().is_empty() || self.matcher().accepts(observed.as_ref());
        if let Some(most) = self.startups_within {
            let value = observed.as_ref().and_then(|observed| Startups::read(&observed.text));
            met &= value.is_some_and(|value| value.is_within(most));
        }
        if let Some(paths) = &self.set_in {
            let within = |place: &Place| paths.0.iter().any(|path| place.path.is_within(&ImagePath::new(path)));
            met &= setting.place.as_ref().is_some_and(within);
        }
        let mut outcomes = vec![Outcome::decide(met, vec![evidence.clone()])];
        if let (Some(wanted), Some(value)) = (self.exists, &setting.value) {
            outcomes.push(match path_of(setting).map(|path| facts.files(path)) {
                Some(Ok(states)) => {
                    let there = states.iter().any(|state| state.leads_to.as_ref().is_ok_and(|(_, to)| to.kind == FileKind::File));
                    Outcome::decide(there == wanted, vec![evidence])
                }
                Some(Err(unreadable)) => unknown(&unreadable),
                None if value.text.starts_with('/') => Outcome::unknown("its path cannot be looked up", vec![evidence]),
                None => Outcome::decide(!wanted, vec![evidence]),
            });
        } else if self.exists == Some(true) {
            outcomes.push(Outcome::decide(false, vec![evidence]));
        }
        let mut outcome = Outcome::all(outcomes);
        outcome.evidence.dedup();
        outcome.total = outcome.evidence.len() as u64;
        outcome
    }

    fn evidence(&self, keyword: &Keyword, sshd: &facts::Sshd, setting: &Setting) -> Evidence {
        let mut evidence = match &setting.place {
            Some(place) => Evidence::at(&place.path).line(place.line).column(place.column),
            None => Evidence::at(&sshd.path),
        };
        // Text of values is escaped already.
        evidence.found = match &setting.value {
            Some(value) if value.written == value.text || setting.place.is_none() => format!("{} {}", keyword.name, value.text),
            Some(value) => format!("{} {}, which is {}", keyword.name, value.written, value.text),
            None => format!("{} is not set", keyword.name),
        };
        evidence.because.clone_from(&setting.because);
        evidence.expected(self.expected())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Target;
    use crate::finding::Status;
    use crate::image::{MemoryImage, Rootfs};

    fn check(toml: &str) -> Sshd {
        toml::from_str(toml).unwrap()
    }

    fn judged(toml: &str, config: &str) -> Outcome {
        let check = check(toml);
        assert_eq!(check.flaw(), None);
        let image =
            MemoryImage::new().file("/etc/ssh/sshd_config", config).file("/etc/issue.net", "x").link("/etc/gone", "nothing");
        let facts = Facts::gather(Target::image(Rootfs::new(&image), jiff::civil::date(2026, 1, 1)), |facts, needs| {
            check.needs(facts, needs);
        });
        check.evaluate(&facts)
    }

    fn status(toml: &str, config: &str) -> Status {
        judged(toml, config).status
    }

    #[test]
    fn every_value_has_to_fit() {
        let toml = "option = 'PermitRootLogin'\nequals = 'no'";
        assert_eq!(status(toml, "PermitRootLogin no\n"), Status::Pass);
        let outcome = judged(toml, "PermitRootLogin no\nMatch Address 10.0.0.0/8\nPermitRootLogin yes\n");
        assert_eq!((outcome.status, outcome.evidence[0].place().as_str()), (Status::Fail, "/etc/ssh/sshd_config:3:1"));
    }

    #[test]
    fn a_mistake_leaves_everything_unknown_but_its_own_setting() {
        let toml = "option = 'MaxAuthTries'\nat-most = 4";
        assert_eq!(status(toml, "MaxAuthTries 4\nNonsense 1\n"), Status::Unknown);
        let outcome = judged(toml, "MaxAuthTries -1\n");
        assert_eq!((outcome.status, outcome.evidence[0].found.as_str()), (Status::Fail, "MaxAuthTries -1"));
    }

    #[test]
    fn three_numbers_of_maxstartups() {
        let toml = "option = 'MaxStartups'\nstartups-within = '10:30:60'";
        assert_eq!(status(toml, "MaxStartups 5:50:20\n"), Status::Pass);
        for loose in ["11:30:60", "10:29:60", "10:30:61", "60"] {
            assert_eq!(status(toml, &format!("MaxStartups {loose}\n")), Status::Fail, "{loose}");
        }
        assert_eq!(status(toml, ""), Status::Fail);
    }

    #[test]
    fn a_file_that_is_there() {
        let toml = "option = 'Banner'\nexists = true";
        assert_eq!(status(toml, "Banner /etc/issue.net\n"), Status::Pass);
        for config in ["", "Banner none\n", "Banner /etc/nothing\n", "Banner /etc/gone\n", "Banner /etc\n"] {
            assert_eq!(status(toml, config), Status::Fail, "{config}");
        }
    }

    #[test]
    fn one_of_several_is_enough_and_a_mistake_in_any_fails() {
        let toml = "option = ['AllowUsers', 'DenyUsers']\nmatches = '.'";
        assert_eq!(status(toml, "DenyUsers x\n"), Status::Pass);
        assert_eq!(status(toml, ""), Status::Fail);
        assert_eq!(status(toml, "DenyUsers x\nAllowUsers\n"), Status::Fail);
    }

    #[test]
    fn the_file_that_sets_it() {
        let toml = "option = 'Port'\nset-in = '/etc/ssh'";
        assert_eq!(status(toml, "Port 22\n"), Status::Pass);
        assert_eq!(status(toml, ""), Status::Fail);
        assert_eq!(status("option = 'Port'\nset-in = '/etc/ss'", "Port 22\n"), Status::Fail);
    }

    #[test]
    fn the_value_as_written_and_as_taken() {
        let outcome = judged("option = 'LoginGraceTime'\nat-least = 1\nat-most = 60", "LoginGraceTime 2m # long\n");
        assert_eq!(outcome.status, Status::Fail);
        assert_eq!(outcome.evidence[0].found, "LoginGraceTime 2m, which is 120");
    }

    #[test]
    fn mistakes_of_an_author() {
        let flaw = |toml: &str| check(toml).flaw().unwrap();
        assert!(flaw("option = 'MaxAuthTry'\nequals = 4").contains("'MaxAuthTries'"));
        assert!(flaw("option = 'Banner'").contains("startups-within"));
        assert!(flaw("option = 'Banner'\nstartups-within = '1:1:1'").contains("MaxStartups"));
        assert!(toml::from_str::<Sshd>("option = 'MaxStartups'\nstartups-within = '1:1'").is_err());
    }
}
