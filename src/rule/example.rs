//! The examples of a rule: small images in words, each with the verdict it must get.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{Instance, Rule};
use crate::facts::packages::Packages;
use crate::facts::{Facts, Target};
use crate::finding::{Outcome, Status};
use crate::image::{Entry, FileKind, MemoryImage, Rootfs};
use crate::path::ImagePath;

/// An image in words, and the verdict the rule must give.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Example {
    /// The situation, in a few words.
    pub name: String,
    /// What the rule must say.
    pub verdict: Verdict,
    /// Where a failing rule must point: `path` or `path:line`. A failing example has to state it.
    pub evidence: Option<String>,
    /// The system: `ID VERSION_ID`, such as `debian 12`; writes an os-release unless the files have one.
    pub os: Option<String>,
    /// Installed packages, `name version` or `name version architecture`, in the family of the system. An empty list is an image
    /// without any; an example without this list says nothing about packages, and the rule is taken to apply.
    pub packages: Option<Vec<String>>,
    /// Values for the rule's parameters.
    #[serde(default)]
    pub with: BTreeMap<String, Value>,
    /// What the running system shows in `/proc` and `/sys`; makes the example one of a live machine.
    pub live: Option<BTreeMap<String, FileSpec>>,
    /// The day of the scan, `YYYY-MM-DD`.
    pub today: Option<String>,
    /// Whether the tree was unpacked by an unprivileged user, so that its owners are not its own.
    #[serde(default)]
    pub unprivileged: bool,
    /// The files of the image by path. Parents that are not given are directories of root, mode 0755.
    #[serde(default)]
    pub files: BTreeMap<String, FileSpec>,
}

/// A verdict as it is written in rule files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// [`Status::Pass`].
    Pass,
    /// [`Status::Fail`].
    Fail,
    /// [`Status::NotApplicable`].
    NotApplicable,
    /// [`Status::Manual`].
    Manual,
    /// [`Status::Unknown`].
    Unknown,
}

impl From<Verdict> for Status {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Pass => Self::Pass,
            Verdict::Fail => Self::Fail,
            Verdict::NotApplicable => Self::NotApplicable,
            Verdict::Manual => Self::Manual,
            Verdict::Unknown => Self::Unknown,
        }
    }
}

/// One entry of an example: its content as text, or a table that says more.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum FileSpec {
    /// A file of root, mode 0644, with this content.
    Text(String),
    /// Any entry.
    Table(EntrySpec),
}

/// Any entry of an example.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct EntrySpec {
    /// The content of a file.
    #[serde(default)]
    pub content: String,
    /// The content of a file that is no text, in hexadecimal.
    pub hex: Option<String>,
    /// Permission bits, `"0640"` or `0o640`; by default 0644, directories 0755.
    pub mode: Option<crate::check::Mode>,
    /// Owner; by default 0.
    #[serde(default)]
    pub uid: u32,
    /// Group; by default 0.
    #[serde(default)]
    pub gid: u32,
    /// What it is; by default a file, or a link if it has a target.
    pub kind: Option<FileKind>,
    /// The target of a link.
    pub link: Option<String>,
    /// Extended attributes by full name, in hexadecimal.
    #[serde(default)]
    pub xattr: BTreeMap<String, String>,
    /// So many zero bytes before the content.
    #[serde(default)]
    pub zeros: u16,
    /// Size in bytes, where it is not that of the content.
    pub size: Option<u64>,
    /// Last change of the content, in seconds since 1970.
    #[serde(default)]
    pub mtime: i64,
    /// Whether reading it is refused.
    #[serde(default)]
    pub unreadable: bool,
}

impl FileSpec {
    fn entry(&self) -> Result<Entry, String> {
        let spec = match self {
            Self::Text(content) => return Ok(Entry::new(FileKind::File, content.as_bytes())),
            Self::Table(spec) => spec,
        };
        let kind = spec.kind.unwrap_or(if spec.link.is_some() { FileKind::Link } else { FileKind::File });
        let content = match &spec.hex {
            Some(hex) => bytes_of_hex(hex).ok_or("the content is not hexadecimal")?,
            None => spec.link.as_ref().unwrap_or(&spec.content).as_bytes().to_vec(),
        };
        let mut entry = Entry::new(kind, [vec![0; spec.zeros.into()], content].concat());
        entry.metadata.mode = spec.mode.map_or(entry.metadata.mode, |mode| mode.0);
        entry.metadata.uid = spec.uid;
        entry.metadata.gid = spec.gid;
        entry.metadata.mtime = spec.mtime;
        entry.metadata.size = spec.size.unwrap_or(entry.metadata.size);
        entry.unreadable = spec.unreadable;
        for (name, hex) in &spec.xattr {
            entry
                .xattrs
                .insert(name.clone(), bytes_of_hex(hex).ok_or_else(|| format!("the attribute {name} is not hexadecimal"))?);
        }
        Ok(entry)
    }
}

fn bytes_of_hex(hex: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> =
        hex.chars().filter(|digit| !digit.is_whitespace()).map(|digit| digit.to_digit(16)).collect::<Option<_>>()?;
    digits.chunks(2).map(|pair| if let [high, low] = pair { u8::try_from(high * 16 + low).ok() } else { None }).collect()
}

impl Example {
    /// What is wrong with it as it is written.
    #[must_use]
    pub fn flaw(&self) -> Option<String> {
        if self.verdict == Verdict::Fail && self.evidence.is_none() {
            return Some("a failing example states where the rule must point: evidence = \"path\" or \"path:line\"".into());
        }
        self.today().err().or_else(|| self.packages().err()).or_else(|| self.image().err())
    }

    /// The image it describes.
    ///
    /// # Errors
    /// What cannot be made of the words.
    pub fn image(&self) -> Result<MemoryImage, String> {
        let mut image = MemoryImage::new();
        if let Some((id, version)) = self.os.as_deref().map(|os| os.split_once(' ').unwrap_or((os, ""))) {
            image = image.file("/etc/os-release", format!("ID={id}\nVERSION_ID=\"{version}\"\n"));
        }
        for (path, spec) in &self.files {
            image.insert(ImagePath::new(path), spec.entry().map_err(|flaw| format!("{path}: {flaw}"))?);
        }
        image.keeps_ownership = !self.unprivileged;
        Ok(image)
    }

    fn running(&self) -> Result<Option<MemoryImage>, String> {
        let Some(live) = &self.live else { return Ok(None) };
        let mut image = MemoryImage::new();
        for (path, spec) in live {
            image.insert(ImagePath::new(path), spec.entry()?);
        }
        Ok(Some(image))
    }

    fn today(&self) -> Result<Date, String> {
        let day = self.today.as_deref().unwrap_or("2026-01-15");
        day.parse().map_err(|_| format!("'{day}' is no date such as 2026-01-15"))
    }

    fn packages(&self) -> Result<Option<Packages>, String> {
        let id = self.os.as_deref().and_then(|os| os.split(' ').next()).unwrap_or("debian");
        self.packages.as_ref().map(|list| Packages::listed(id, list)).transpose()
    }

    /// Whether it says anything about packages, by its list or by a database among its files.
    #[must_use]
    pub fn tells_packages(&self) -> bool {
        let database =
            |path: &String| path.starts_with("/var/lib/dpkg") || path.contains("/rpm/") || path.starts_with("/lib/apk");
        self.packages.is_some() || self.files.keys().any(database)
    }

    /// What a rule says of it.
    ///
    /// # Errors
    /// What is wrong with the example itself.
    pub fn judge(&self, rule: &Arc<Rule>) -> Result<Outcome, String> {
        let mut rule = rule.clone();
        if !self.tells_packages() {
            // It says nothing about packages: what the rule asks of them to apply is taken as given.
            Arc::make_mut(&mut rule).applies = None;
        }
        let instance = Instance::new(rule, &[("example", &self.with)]).map_err(|error| error.to_string())?;
        self.shown(|target| {
            let facts = Facts::gather(target, |facts, needs| instance.needs(facts, needs));
            instance.evaluate(&facts)
        })
    }

    /// Shows it to whoever judges images.
    ///
    /// # Errors
    /// What is wrong with the example itself.
    pub fn shown<T>(&self, judge: impl FnOnce(Target<'_>) -> T) -> Result<T, String> {
        let image = self.image()?;
        let running = self.running()?;
        Ok(judge(Target {
            root: Rootfs::new(&image),
            running: running.as_ref().map(|running| Rootfs::new(running)),
            today: self.today()?,
            packages: self.packages()?,
        }))
    }

    /// Whether a rule judges it as it should.
    ///
    /// # Errors
    /// What the rule saw, and what was expected.
    pub fn test(&self, rule: &Arc<Rule>) -> Result<(), String> {
        let outcome = self.judge(rule)?;
        let wanted = Status::from(self.verdict);
        if outcome.status != wanted {
            return Err(format!("expected {}, got {}", wanted.name(), describe(&outcome)));
        }
        if let Some(place) = &self.evidence
            && !outcome.evidence.iter().any(|evidence| {
                evidence.path == *place
                    || evidence.place() == *place
                    || format!("{}:{}", evidence.path, evidence.line.unwrap_or(0)) == *place
            })
        {
            return Err(format!("expected evidence at {place}, got {}", describe(&outcome)));
        }
        Ok(())
    }
}

fn describe(outcome: &Outcome) -> String {
    let mut text = outcome.status.name().to_owned();
    if let Some(reason) = &outcome.reason {
        text.push_str(&format!(" ({reason})"));
    }
    for evidence in outcome.evidence.iter().take(10) {
        text.push_str(&format!("\n    {}: found {}, expected {}", evidence.place(), evidence.found, evidence.expected));
        text.push_str(&evidence.because.as_ref().map(|because| format!(" ({because})")).unwrap_or_default());
    }
    text
}
