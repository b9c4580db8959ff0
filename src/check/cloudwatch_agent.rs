//! The configuration of Amazon's CloudWatch agent.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use toml::de::DeTable;

use super::{Kind, unknown};
use crate::facts::{Facts, FileFact, Needs, Unreadable};
use crate::finding::{Evidence, Outcome};
use crate::path::ImagePath;

/// The CloudWatch agent has a configuration that it can read, and collects what is asked for.
///
/// The agent merges `amazon-cloudwatch-agent.json` and the files of `amazon-cloudwatch-agent.d`; one that is no JSON keeps it from starting. Where only the
/// TOML is left that it made of them, that counts; beside them it has to be TOML at least.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CloudwatchAgent {
    /// Sections that collect something: `logs`, `metrics`, `traces`.
    pub sections: Vec<String>,
}

const MAIN: &str = "/opt/aws/amazon-cloudwatch-agent/etc/amazon-cloudwatch-agent.json";
const PARTS: &str = "/opt/aws/amazon-cloudwatch-agent/etc/amazon-cloudwatch-agent.d/*";
const MADE: &str = "/opt/aws/amazon-cloudwatch-agent/etc/amazon-cloudwatch-agent.toml";

impl Kind for CloudwatchAgent {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        [MAIN, PARTS, MADE].into_iter().for_each(|pattern| needs.contents(pattern));
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let (mut files, mut is_made): (Vec<&FileFact>, bool) = (Vec::new(), false);
        for pattern in [MAIN, PARTS, MADE] {
            match facts.contents(pattern) {
                Ok(found) if pattern == MADE && !files.is_empty() => {
                    for file in found {
                        let content = match &file.content {
                            Ok(content) => content,
                            Err(unreadable) => return Ok(unknown(unreadable)),
                        };
                        if let Err((line, why)) = of_toml(content) {
                            return Ok(broken(file, line, &why));
                        }
                    }
                }
                Ok(found) => {
                    is_made = pattern == MADE;
                    files.extend(found);
                }
                Err(unreadable) => return Err(unreadable),
            }
        }
        if files.is_empty() {
            let evidence = Evidence::at(&ImagePath::new(MAIN)).found("no configuration").expected(self.sections.join(" and "));
            return Ok(Outcome::fail(vec![evidence]));
        }
        let mut collected = BTreeSet::new();
        for file in &files {
            let content = match &file.content {
                Ok(content) => content,
                Err(unreadable) => return Ok(unknown(unreadable)),
            };
            let found = if is_made { of_toml(content) } else { of_json(content) };
            match found {
                Ok(sections) => collected.extend(sections),
                Err((line, why)) => return Ok(broken(file, line, &why)),
            }
        }
        let first = files.first().map_or_else(|| ImagePath::new(MAIN), |file| file.path.clone());
        let judged = self.sections.iter().map(|wanted| {
            let met = collected.contains(wanted.as_str());
            let found = if met { format!("{wanted} are collected") } else { format!("no {wanted} are collected") };
            Outcome::decide(
                met,
                vec![Evidence::at(&first).found(found).expected(format!("a section {wanted} that collects something"))],
            )
        });
        Ok(Outcome::all(judged))
    }

    fn flaw(&self) -> Option<String> {
        let unknown = self.sections.iter().find(|name| !matches!(name.as_str(), "logs" | "metrics" | "traces"));
        match unknown {
            Some(name) => Some(format!("'{name}' is no section; known: logs, metrics, traces")),
            None => self.sections.is_empty().then(|| "it asks for no section; known: logs, metrics, traces".into()),
        }
    }
}

fn broken(file: &FileFact, line: Option<u32>, why: &str) -> Outcome {
    let evidence = Evidence::at(&file.path).line_opt(line).found(why);
    Outcome::fail(vec![evidence.expected("a configuration the agent can read")])
}

/// Why a file cannot be read, and on which line. Nothing of its content is in it.
type Broken = (Option<u32>, String);

/// The sections that collect something.
fn of_json(content: &[u8]) -> Result<Vec<&'static str>, Broken> {
    let value: Value = serde_json::from_slice(content).map_err(|error| {
        let why = match error.classify() {
            serde_json::error::Category::Eof => "the JSON ends too soon",
            _ => "no valid JSON",
        };
        (u32::try_from(error.line()).ok(), why.to_owned())
    })?;
    if !value.is_object() {
        return Err((None, "no object in JSON".to_owned()));
    }
    let holds = |section: &str, key: &str| match value.get(section).and_then(|section| section.get(key)) {
        Some(Value::Object(entries)) => entries.iter().any(|(name, entry)| collects(name, entry)),
        _ => false,
    };
    let ways = [
        ("logs", "logs_collected"),
        ("logs", "metrics_collected"),
        ("metrics", "metrics_collected"),
        ("traces", "traces_collected"),
    ];
    Ok(ways.into_iter().filter(|(section, key)| holds(section, key)).map(|(section, _)| section).collect())
}

/// Collectors without a list of their own to begin with: they take nothing that is not named.
const WITH_LIST: [&str; 3] = ["files", "journald", "windows_events"];
const WITH_MEASUREMENT: [&str; 10] =
    ["cpu", "disk", "diskio", "mem", "net", "netstat", "nvidia_gpu", "processes", "procstat", "swap"];

/// Whether a collector takes anything: what it names is not an empty list, and is there where nothing is taken by default.
fn collects(name: &str, entry: &Value) -> bool {
    if let Value::Array(several) = entry {
        return several.iter().any(|one| !one.is_array() && collects(name, one));
    }
    let Value::Object(settings) = entry else { return false };
    let names = |key: &str, required: bool| match settings.get(key) {
        Some(Value::Array(named)) => !named.is_empty(),
        Some(_) => false,
        None => !required,
    };
    names("collect_list", WITH_LIST.contains(&name)) && names("measurement", WITH_MEASUREMENT.contains(&name))
}

/// The same of what the agent made of it: where it sends something.
fn of_toml(content: &[u8]) -> Result<Vec<&'static str>, Broken> {
    let broken = || (None, "no valid TOML".to_owned());
    let table = DeTable::parse(std::str::from_utf8(content).map_err(|_| broken())?).map_err(|_| broken())?;
    let outputs = table.get_ref().get("outputs").and_then(|outputs| outputs.get_ref().as_table());
    let ways = [("cloudwatchlogs", "logs"), ("cloudwatch", "metrics"), ("awsxray", "traces")];
    Ok(ways
        .into_iter()
        .filter(|(output, _)| outputs.is_some_and(|all| all.contains_key(*output)))
        .map(|(_, section)| section)
        .collect())
}
