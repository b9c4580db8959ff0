//! What can be asked of a scan.

use std::path::PathBuf;

use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use jiff::civil::Date;
use serde_json::Value;

use crate::cli::image_args::ImageArgs;
use crate::document::nearest;
use crate::finding::Severity;
use crate::report::Format;

/// Judge an image and say whether it may ship
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  This machine, as it is installed and as it runs:
    karat scan /
  A mounted or unpacked root; the benchmark follows from its os-release:
    karat scan /mnt/ami
    karat scan /mnt/ami --benchmark cis-debian-12 --level 1
  The document of the system, and what must not be baked into an image, in one scan:
    karat scan /mnt/ami --beside golden-image
  A disk image or a container image; nothing is mounted or unpacked:
    karat scan snapshot.qcow2
    docker save IMAGE | karat scan -
  Rules and a benchmark of your own:
    karat scan /mnt/ami --rules ours/ --benchmark ours/baseline.toml
  In a pipeline, with reports:
    karat scan /mnt/ami --fail-on high --max-unknown 5 --output sarif=karat.sarif
  Only what newly fails shuts the gate:
    karat scan /mnt/ami --baseline last-week.json
  One control, with everything that was seen:
    karat scan /mnt/ami --control 7.1.11 --verbose --evidence all

Exit codes, the same for every format:
  0  the image may ship (or --report-only)
  1  the gate is shut: the last line says why
  2  no verdict: a wrong command or file, a root that cannot be read, nothing that applies")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    pub(super) image: ImageArgs,
    #[command(flatten)]
    pub(super) judged: Judged,
    #[command(flatten)]
    pub(super) gate: Gate,
    #[command(flatten)]
    pub(super) written: Written,
}

/// What is judged, and by what.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "What is judged")]
pub(super) struct Judged {
    /// The benchmark: an id (see `karat benchmarks list`) or a TOML file. Without it, the one written for the image's system
    #[arg(short, long, value_name = "ID|FILE")]
    pub(super) benchmark: Option<String>,
    /// Another benchmark that is judged in the same scan, such as golden-image (repeat for more)
    #[arg(long, value_name = "ID|FILE")]
    pub(super) beside: Vec<String>,
    /// The highest level to include; without it, every level
    #[arg(short, long, value_name = "LEVEL", value_parser = level, allow_negative_numbers = true)]
    pub(super) level: Option<u8>,
    /// The profile of the benchmark, such as server or workstation
    #[arg(long)]
    pub(super) profile: Option<String>,
    /// Only this control (repeat for more)
    #[arg(short, long, value_name = "ID")]
    pub(super) control: Vec<String>,
    /// Only controls that use this rule (repeat for more); a rule that no control uses is judged by itself
    #[arg(short, long, value_name = "ID")]
    pub(super) rule: Vec<String>,
    /// More rules: a TOML file or a directory of them (repeat for more). Without --benchmark these alone are judged
    #[arg(long, value_name = "DIR")]
    pub(super) rules: Vec<PathBuf>,
    /// A value for a parameter of a rule, before every other (repeat for more)
    #[arg(long, value_name = "RULE.PARAM=VALUE", value_parser = setting)]
    pub(super) set: Vec<Setting>,
    /// The day to judge dates by, YYYY-MM-DD; without it, today in UTC
    #[arg(long, value_name = "DATE", value_parser = day)]
    pub(super) today: Option<Date>,
}

/// What may ship.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "What may ship")]
pub(super) struct Gate {
    /// The file with the policy; without it, `karat.toml` in the current directory if there is one
    #[arg(long, value_name = "FILE", conflicts_with = "no_config")]
    pub(super) config: Option<PathBuf>,
    /// Read no `karat.toml`
    #[arg(long)]
    pub(super) no_config: bool,
    /// Dated exceptions: a TOML file (repeat for more)
    #[arg(long, value_name = "FILE")]
    pub(super) waivers: Vec<PathBuf>,
    /// An earlier scan (JSON): what it knew already does not shut the gate
    #[arg(long, value_name = "SCAN.json")]
    pub(super) baseline: Option<PathBuf>,
    /// The least severity whose failures shut the gate
    #[arg(long, value_name = "SEVERITY", value_parser = severities())]
    pub(super) fail_on: Option<Severity>,
    /// How many findings may remain unknown
    #[arg(long, value_name = "NUMBER", value_parser = count, allow_negative_numbers = true)]
    pub(super) max_unknown: Option<u64>,
    /// The least score with which an image may ship, 0 to 100
    #[arg(long, value_name = "SCORE", value_parser = score, allow_negative_numbers = true)]
    pub(super) min_score: Option<f64>,
    /// Say what the gate would do, and exit 0 where it is shut
    #[arg(long)]
    pub(super) report_only: bool,
}

/// What is written.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "What is written")]
pub(super) struct Written {
    /// What standard output gets [default: table]
    #[arg(short, long, value_name = "FORMAT", value_parser = formats())]
    pub(super) format: Option<Format>,
    /// A report in a file as well (repeat for more); `-` is standard output. Made before the scan starts, put in place when whole
    #[arg(short, long, value_name = "FORMAT=FILE", value_parser = output)]
    pub(super) output: Vec<(Format, PathBuf)>,
    /// How much evidence the table shows
    #[arg(long, value_enum, default_value_t)]
    pub(super) evidence: EvidenceShown,
    /// What the image is called in reports
    #[arg(long, value_name = "LABEL")]
    pub(super) name: Option<String>,
    /// Say on standard error what was read and how long it took
    #[arg(long)]
    pub(super) stats: bool,
    /// Threads; without it, as many as there are processors
    #[arg(short, long, value_name = "NUMBER", value_parser = threads, allow_negative_numbers = true)]
    pub(super) jobs: Option<u16>,
}

/// How much evidence is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum EvidenceShown {
    #[default]
    Some,
    All,
}

/// A value for a parameter of a rule.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Setting {
    pub(super) rule: String,
    pub(super) param: String,
    pub(super) value: String,
}

impl Setting {
    /// The value as the type the parameter has by default: where that is a text, digits are one too.
    pub(super) fn typed(&self, default: &Value) -> Value {
        match default {
            Value::String(_) => Value::from(self.value.as_str()),
            _ => serde_json::from_str(&self.value).unwrap_or_else(|_| Value::from(self.value.as_str())),
        }
    }
}

fn setting(text: &str) -> Result<Setting, String> {
    let parts = text.split_once('=').and_then(|(name, value)| Some((name.rsplit_once('.')?, value)));
    match parts {
        Some(((rule, param), value)) if !rule.is_empty() && !param.is_empty() => {
            Ok(Setting { rule: rule.into(), param: param.into(), value: value.into() })
        }
        _ => Err("it has to be RULE.PARAM=VALUE, such as ssh-max-auth-tries.value=3".into()),
    }
}

fn day(text: &str) -> Result<Date, String> {
    text.parse().map_err(|_| "it is no day such as 2026-01-15".into())
}

fn score(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|score| (0.0..=100.0).contains(score)).ok_or_else(|| "it is no number from 0 to 100".into())
}

fn count(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "it is no count of findings, such as 0 or 5".into())
}

fn level(text: &str) -> Result<u8, String> {
    text.parse().map_err(|_| "it is no level such as 1 or 2".into())
}

fn threads(text: &str) -> Result<u16, String> {
    text.parse().ok().filter(|number| (1..=256).contains(number)).ok_or_else(|| "it is no number of threads from 1 to 256".into())
}

fn severities() -> impl TypedValueParser<Value = Severity> {
    PossibleValuesParser::new(Severity::ALL.map(Severity::name)).map(|name| {
        let named = Severity::ALL.into_iter().find(|severity| severity.name() == name);
        named.unwrap_or(Severity::Low)
    })
}

fn formats() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Format::ALL.map(Format::name)).try_map(|name| format_named(&name))
}

fn format_named(name: &str) -> Result<Format, String> {
    Format::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| {
        let names = Format::ALL.map(Format::name);
        let near = nearest(name, names).map(|near| format!("; perhaps '{near}' is meant")).unwrap_or_default();
        format!("no format is called '{name}'{near}. There are {}", names.join(", "))
    })
}

fn output(text: &str) -> Result<(Format, PathBuf), String> {
    match text.split_once('=') {
        Some((format, path)) if !path.is_empty() => Ok((format_named(format)?, path.into())),
        _ => Err(format!("it has to say its format as well, such as json={text}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_setting_takes_the_type_of_the_default() {
        let setting = setting("a.b-rule.mode=0600").unwrap();
        assert_eq!((setting.rule.as_str(), setting.param.as_str()), ("a.b-rule", "mode"));
        assert_eq!(setting.typed(&json!("0640")), json!("0600"));
        assert_eq!(super::setting("r.p=600").unwrap().typed(&json!("0640")), json!("600"));
        assert_eq!(super::setting("r.p=3").unwrap().typed(&json!(4)), json!(3));
        assert_eq!(super::setting("r.p=[\"a\"]").unwrap().typed(&json!(["b"])), json!(["a"]));
    }

    #[test]
    fn what_is_written_wrongly_says_what_is_right() {
        assert!(setting("ssh.max").is_err() && setting("max=3").is_err() && setting(".x=3").is_err());
        assert!(output("report.json").unwrap_err().contains("json=report.json"));
        assert!(output("jsn=x").unwrap_err().contains("'json'"));
        assert!(score("101").is_err() && score("NaN").is_err() && day("2026-02-30").is_err());
    }
}
