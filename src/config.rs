//! `karat.toml`: what a project asks of its images every time, so that nobody has to type it.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use serde_json::Value;

use crate::document::{Document, Mistake, Step, nearest};
use crate::finding::Severity;
use crate::gate::Policy;

/// The name it is looked for by, in the current directory.
pub const FILE_NAME: &str = "karat.toml";

/// A project's configuration. What is given on the command line goes before it.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// What may ship.
    #[serde(default)]
    pub policy: PolicyConfig,
    /// Benchmarks that are judged in the same scan, beside the one of the system: ids, or files relative to this one.
    #[serde(default)]
    pub beside: Vec<String>,
    /// Choices for benchmarks, by their ids.
    #[serde(default)]
    pub benchmark: BTreeMap<String, BenchmarkConfig>,
    /// The waiver file, relative to this file.
    pub waivers: Option<String>,
    /// Folders and files with further rules, relative to this file.
    #[serde(default)]
    pub rules: Vec<String>,
    /// Where each benchmark is named, for a mistake that only shows once all benchmarks are known.
    #[serde(skip)]
    places: BTreeMap<String, Mistake>,
}

/// What may ship.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PolicyConfig {
    /// The least severity whose failures shut the gate; `low` if not given, so that every failure does.
    pub fail_on: Option<Severity>,
    /// How many findings may remain unknown; none if not given.
    pub max_unknown: Option<u64>,
    /// The least score (0 to 100) with which an image may ship.
    #[schemars(range(min = 0, max = 100))]
    pub min_score: Option<f64>,
    /// Say what the gate would do, and exit 0 where it is shut.
    pub report_only: Option<bool>,
}

impl PolicyConfig {
    /// The policy, with the default for what is not given.
    #[must_use]
    pub fn policy(&self) -> Policy {
        let strict = Policy::default();
        Policy {
            fail_on: self.fail_on.unwrap_or(strict.fail_on),
            max_unknown: self.max_unknown.unwrap_or(strict.max_unknown),
            min_score: self.min_score,
            report_only: self.report_only.unwrap_or(strict.report_only),
        }
    }
}

/// Choices for one benchmark.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BenchmarkConfig {
    /// The highest level that is judged.
    #[schemars(range(min = 1))]
    pub level: Option<u8>,
    /// The profile.
    pub profile: Option<String>,
    /// Values for parameters, by rule and parameter: `values.ssh-max-auth-tries.value = 3`.
    #[serde(default)]
    pub values: BTreeMap<String, BTreeMap<String, Value>>,
}

impl Config {
    /// The choices for benchmarks that are none of these, with where they stand.
    #[must_use]
    pub fn unknown_benchmarks(&self, known: &[&str]) -> Vec<Mistake> {
        let unknown = self.places.iter().filter(|(id, _)| !known.contains(&id.as_str()));
        unknown
            .map(|(id, place)| Mistake {
                message: format!("no benchmark is called '{id}'"),
                help: nearest(id, known.iter().copied()).map(|near| format!("you may have meant '{near}'")),
                ..place.clone()
            })
            .collect()
    }
}

/// Reads a configuration.
///
/// # Errors
/// TOML as such and its types first, an unknown key with the nearest known one; then numbers that make no sense.
pub fn read_config(name: &str, text: &str) -> Result<Config, Vec<Mistake>> {
    let document = Document::parse(name, text).map_err(|mistake| vec![mistake])?;
    let mut config: Config = document.read().map_err(|mistake| vec![mistake])?;
    let mut mistakes = Vec::new();
    if config.policy.min_score.is_some_and(|score| !(0.0..=100.0).contains(&score)) {
        let at = [Step::Key("policy"), Step::Key("min-score")];
        mistakes.push(document.mistake(&at, "a score lies between 0 and 100", None));
    }
    for (id, benchmark) in &config.benchmark {
        if benchmark.level == Some(0) {
            let at = [Step::Key("benchmark"), Step::Key(id), Step::Key("level")];
            mistakes.push(document.mistake(&at, "levels begin at 1", None));
        }
        let at = [Step::Key("benchmark"), Step::Key(id)];
        config.places.insert(id.clone(), document.mistake(&at, "", None));
    }
    if mistakes.is_empty() { Ok(config) } else { Err(mistakes) }
}

/// The schema of `karat.toml`.
#[must_use]
pub fn config_schema() -> Schema {
    schemars::schema_for!(Config)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"
waivers = "waivers.toml"
rules = ["ours"]

[policy]
fail-on = "high"
max-unknown = 2
min-score = 90
report-only = true

[benchmark."cis-debian-12"]
level = 1
profile = "server"
values.ssh-max-auth-tries.max = 3
"#;

    fn mistake(text: &str) -> Mistake {
        read_config("karat.toml", text).unwrap_err().remove(0)
    }

    #[test]
    fn a_whole_configuration() {
        let config = read_config("karat.toml", WHOLE).unwrap();
        let policy = Policy { fail_on: Severity::High, max_unknown: 2, min_score: Some(90.0), report_only: true };
        assert_eq!(config.policy.policy(), policy);
        assert_eq!(config.benchmark["cis-debian-12"].values["ssh-max-auth-tries"]["max"], 3);
        assert_eq!((config.waivers.as_deref(), config.rules.as_slice()), (Some("waivers.toml"), &["ours".to_owned()][..]));
    }

    #[test]
    fn an_empty_one_is_the_strict_default() {
        let config = read_config("karat.toml", "").unwrap();
        assert_eq!(config.policy.policy(), Policy::default());
    }

    #[test]
    fn an_unknown_key_is_pointed_at_with_the_nearest() {
        let found = mistake("[policy]\nfail_on = 'high'\n");
        assert_eq!((found.line, found.column, found.help.as_deref()), (2, 1, Some("you may have meant 'fail-on'")), "{found}");
        let found = mistake("[benchmark.x]\nlevels = 1\n");
        assert_eq!((found.line, found.help.as_deref()), (2, Some("you may have meant 'level'")), "{found}");
        assert_eq!(mistake("waiver = 'w.toml'\n").help.as_deref(), Some("you may have meant 'waivers'"));
    }

    #[test]
    fn a_wrong_value_is_pointed_at() {
        let found = mistake("[policy]\nfail-on = 'hihg'\n");
        assert_eq!((found.line, found.column, found.help.as_deref()), (2, 11, Some("you may have meant 'high'")), "{found}");
        assert_eq!(mistake("[policy]\nmax-unknown = -1\n").line, 2);
        for wrong in ["-1", "100.5", "nan", "inf"] {
            assert_eq!(mistake(&format!("[policy]\nmin-score = {wrong}\n")).line, 2);
        }
        assert_eq!(mistake("[benchmark.x]\nlevel = 0\n").line, 2);
    }

    #[test]
    fn a_benchmark_that_is_not_there_is_pointed_at() {
        let config = read_config("karat.toml", "\n[benchmark.cis-debian]\nlevel = 1\n").unwrap();
        let found = config.unknown_benchmarks(&["cis-debian-12"]).remove(0);
        assert_eq!((found.line, found.column), (2, 12), "{found}");
        assert_eq!(found.help.as_deref(), Some("you may have meant 'cis-debian-12'"));
        assert!(config.unknown_benchmarks(&["cis-debian"]).is_empty());
    }
}
