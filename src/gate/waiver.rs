//! Waivers: dated, owned, reasoned exceptions, in a TOML file.

use globset::{Glob, GlobBuilder, GlobSet};
use jiff::civil::Date;
use schemars::{JsonSchema, Schema};
use serde::Deserialize;

use crate::document::{Document, Mistake, Step};
use crate::finding::{Finding, RuleResult, Scan};

/// A waiver file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "WaiverFile")]
struct File {
    /// The waivers.
    #[serde(default)]
    waiver: Vec<Written>,
}

/// An exception: findings that may be as they are until a day.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Waiver", extend("anyOf" = [{ "required": ["control"] }, { "required": ["rule"] }]))]
struct Written {
    /// The control it is about, by its number in the benchmark. With `rule`: that rule in this control only.
    control: Option<String>,
    /// The rule it is about, in whatever control it is used.
    rule: Option<String>,
    /// Only in scans by this benchmark (its id).
    benchmark: Option<String>,
    /// Why it may be so.
    #[schemars(length(min = 1))]
    reason: String,
    /// Who answers for it.
    #[schemars(length(min = 1))]
    owner: String,
    /// The last day it holds, in UTC: `2026-12-31` holds through that day and has run out on the first of January.
    #[schemars(with = "String", extend("format" = "date"))]
    expires: String,
    /// Only evidence below these paths (globs as `/srv/app/**`; `*` does not cross a `/`). Such a waiver clears a finding only if all
    /// its evidence is covered and none of it was cut.
    paths: Option<Vec<String>>,
}

/// An exception: findings that may be as they are until a day. It covers what fails and what is unknown.
#[derive(Debug, Clone)]
pub struct Waiver {
    /// The file it stands in, as its user named it.
    pub file: String,
    /// The line in that file, from 1.
    pub line: usize,
    /// The control it is about.
    pub control: Option<String>,
    /// The rule it is about.
    pub rule: Option<String>,
    /// The only benchmark it holds for.
    pub benchmark: Option<String>,
    /// Why it may be so.
    pub reason: String,
    /// Who answers for it.
    pub owner: String,
    /// The last day it holds, in UTC.
    pub expires: Date,
    /// The only paths it holds for, as written; nothing if for all.
    pub paths: Option<Vec<String>>,
    globs: GlobSet,
}

impl Waiver {
    /// Whether it has run out: the day it expires is the last one it holds.
    #[must_use]
    pub fn is_expired(&self, today: Date) -> bool {
        today > self.expires
    }

    /// Whether it is about this rule in this finding.
    #[must_use]
    pub fn is_about(&self, scan: &Scan, finding: &Finding, rule: &RuleResult) -> bool {
        self.is_about_control(scan, finding) && self.rule.as_ref().is_none_or(|id| *id == rule.id)
    }

    /// Whether it is about this finding, or some rule in it.
    #[must_use]
    pub fn concerns(&self, scan: &Scan, finding: &Finding) -> bool {
        self.is_about_control(scan, finding)
            && (self.rule.is_none() || finding.rules.iter().any(|rule| self.rule.as_ref() == Some(&rule.id)))
    }

    fn is_about_control(&self, scan: &Scan, finding: &Finding) -> bool {
        let benchmark = finding.benchmark.as_ref().unwrap_or(&scan.benchmark.id);
        self.control.as_ref().is_none_or(|control| *control == finding.control)
            && self.benchmark.as_ref().is_none_or(|id| id == benchmark)
    }

    /// Whether a path, as karat writes it (escaped), lies in its scope.
    #[must_use]
    pub fn covers(&self, path: &str) -> bool {
        self.paths.is_none() || self.globs.is_match(path)
    }
}

/// Reads the waivers of one file.
///
/// # Errors
/// TOML as such, unknown keys and missing ones first; then every waiver about nothing, with an empty reason or owner, a day that is
/// not in the calendar or a path that is no glob.
pub fn read_waivers(name: &str, text: &str) -> Result<Vec<Waiver>, Vec<Mistake>> {
    let document = Document::parse(name, text).map_err(|mistake| vec![mistake])?;
    let file: File = document.read().map_err(|mistake| vec![with_help(mistake)])?;
    let (mut waivers, mut mistakes) = (Vec::new(), Vec::new());
    for (index, written) in file.waiver.into_iter().enumerate() {
        match waiver(&document, index, written) {
            Ok(waiver) => waivers.push(waiver),
            Err(found) => mistakes.extend(found),
        }
    }
    if mistakes.is_empty() { Ok(waivers) } else { Err(mistakes) }
}

const A_DAY: &str = "every waiver has a last day: expires = 2026-12-31";

/// What a waiver cannot be without is worth a word more than that it is missing.
fn with_help(mut mistake: Mistake) -> Mistake {
    let help = [
        ("'expires'", A_DAY),
        ("'owner'", "every waiver has somebody who answers for it: owner = \"platform@example.org\""),
        ("'reason'", "every waiver says why it may be so: reason = \"…\""),
    ];
    if mistake.help.is_none() && mistake.message.ends_with("is missing") {
        mistake.help = help.iter().find(|(key, _)| mistake.message.contains(key)).map(|&(_, help)| help.to_owned());
    }
    mistake
}

fn waiver(document: &Document<'_>, index: usize, written: Written) -> Result<Waiver, Vec<Mistake>> {
    let place = [Step::Key("waiver"), Step::Index(index)];
    let at = |key| [Step::Key("waiver"), Step::Index(index), Step::Key(key)];
    let mut mistakes = Vec::new();
    if written.control.is_none() && written.rule.is_none() {
        let help = "control = \"…\" or rule = \"…\"".to_owned();
        mistakes.push(document.mistake(&place, "the waiver is about nothing", Some(help)));
    }
    for (key, text) in [("reason", &written.reason), ("owner", &written.owner)] {
        if text.trim().is_empty() {
            mistakes.push(document.mistake(&at(key), format!("the {key} is empty"), None));
        }
    }
    let mut globs = GlobSet::builder();
    if written.paths.as_ref().is_some_and(Vec::is_empty) {
        mistakes.push(document.mistake(&at("paths"), "the list of paths is empty: the waiver covers nothing", None));
    }
    for (number, path) in written.paths.iter().flatten().enumerate() {
        let place = [Step::Key("waiver"), Step::Index(index), Step::Key("paths"), Step::Index(number)];
        match glob(path) {
            Ok(glob) => {
                globs.add(glob);
            }
            Err(message) => mistakes.push(document.mistake(&place, message, None)),
        }
    }
    let globs = globs.build().map_err(|error| vec![document.mistake(&at("paths"), error.to_string(), None)])?;
    // A time of day would be forgotten without a word, so it is refused.
    let expires = Date::strptime("%Y-%m-%d", &written.expires);
    if expires.is_err() {
        let message = format!("'{}' is no day of the calendar", written.expires);
        mistakes.push(document.mistake(&at("expires"), message, Some(A_DAY.into())));
    }
    match expires {
        Ok(expires) if mistakes.is_empty() => Ok(Waiver {
            file: document.name().to_owned(),
            line: document.line(&place),
            control: written.control,
            rule: written.rule,
            benchmark: written.benchmark,
            reason: written.reason,
            owner: written.owner,
            expires,
            paths: written.paths,
            globs,
        }),
        _ => Err(mistakes),
    }
}

fn glob(path: &str) -> Result<Glob, String> {
    if !path.starts_with('/') {
        return Err(format!("'{path}' is no path inside the image: it has to begin with '/'"));
    }
    // A backslash stands for itself: paths are matched as karat writes them, and it writes odd characters with one.
    let mut glob = GlobBuilder::new(path);
    glob.literal_separator(true).backslash_escape(false);
    glob.build().map_err(|error| error.to_string())
}

/// The schema of a waiver file.
#[must_use]
pub fn waivers_schema() -> Schema {
    schemars::schema_for!(File)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "[[waiver]]\ncontrol = '1.1'\nreason = 'r'\nowner = 'o'\nexpires = 2026-12-31\n";

    fn mistake(text: &str) -> Mistake {
        read_waivers("w.toml", text).unwrap_err().remove(0)
    }

    #[test]
    fn a_waiver_knows_its_line_and_holds_through_its_last_day() {
        let waivers = read_waivers("w.toml", &format!("# ours\n\n{WHOLE}\n{WHOLE}")).unwrap();
        assert_eq!(waivers.iter().map(|waiver| waiver.line).collect::<Vec<_>>(), [3, 9]);
        assert!(!waivers[0].is_expired(Date::constant(2026, 12, 31)));
        assert!(waivers[0].is_expired(Date::constant(2027, 1, 1)));
    }

    #[test]
    fn what_is_missing_is_pointed_at() {
        for key in ["reason", "owner", "expires"] {
            let lines: Vec<&str> = WHOLE.lines().filter(|line| !line.starts_with(key)).collect();
            let found = mistake(&lines.join("\n"));
            assert_eq!((found.line, found.column), (1, 1), "{found}");
            assert!(found.message.contains(key) && found.help.is_some(), "{found}");
        }
        assert!(mistake("[[waiver]]\nreason = 'r'\nowner = 'o'\nexpires = 2026-12-31\n").message.contains("nothing"));
    }

    #[test]
    fn a_day_is_a_date_without_a_time() {
        assert_eq!(read_waivers("w.toml", &WHOLE.replace("2026-12-31", "'2026-12-31'")).unwrap()[0].expires.day(), 31);
        for wrong in ["'2026-12-31 x'", "2026-12-31T00:00:00Z", "2026-12-31 10:00:00", "10:00:00", "'20261231'"] {
            let found = mistake(&WHOLE.replace("2026-12-31", wrong));
            assert_eq!((found.line, found.column), (5, 1), "{found}");
            assert!(found.help.is_some(), "{found}");
        }
        assert_eq!(mistake(&WHOLE.replace("2026-12-31", "20261231")).line, 5);
        assert_eq!(mistake(&WHOLE.replace("2026-12-31", "2026-02-30")).line, 5);
    }

    #[test]
    fn empty_words_and_odd_paths_are_pointed_at() {
        assert_eq!(mistake(&WHOLE.replace("'o'", "' '")).line, 4);
        assert_eq!(mistake(&format!("{WHOLE}paths = ['/a', 'b']\n")).column, 16);
        assert_eq!(mistake(&format!("{WHOLE}paths = ['/a[']\n")).column, 10);
        assert_eq!(mistake(&format!("{WHOLE}paths = []\n")).line, 6);
        let found = mistake(&format!("{WHOLE}expiry = 2026-12-31\n"));
        assert_eq!((found.line, found.help.as_deref()), (6, Some("you may have meant 'expires'")), "{found}");
    }

    #[test]
    fn a_star_stays_in_its_directory() {
        let waiver = &read_waivers("w.toml", &format!("{WHOLE}paths = ['/srv/*', '/opt/app/**', '/odd\\n']\n")).unwrap()[0];
        assert!(waiver.covers("/srv/a") && waiver.covers("/opt/app/a/b") && waiver.covers("/odd\\n"));
        assert!(!waiver.covers("/srv/a/b") && !waiver.covers("/opt/app") && !waiver.covers("/opt/apple/x"));
    }
}
