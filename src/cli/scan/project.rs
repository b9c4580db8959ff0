//! The project's own file: `karat.toml` of the current directory, or the one that was named.

use std::path::{Path, PathBuf};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::args::{Gate, Judged};
use crate::benchmark::{Benchmark, is_file_name, shipped};
use crate::cli::files::{self, Mistakes};
use crate::config::{BenchmarkConfig, Config, FILE_NAME, read_config};
use crate::document::{Document, Mistake, Step, nearest};
use crate::rule::{Instance, InstanceError, Rule};

/// What a project asks of its images every time.
pub(super) struct Project {
    pub(super) config: Config,
    /// As its user named it; paths in the file are relative to its directory.
    file: PathBuf,
    /// What stands in it, to point at what only shows once the benchmark is known.
    text: String,
}

impl Project {
    /// Reads it. Without `--config` no file is no mistake.
    pub(super) fn read(gate: &Gate) -> anyhow::Result<Self> {
        let file = gate.config.clone().unwrap_or_else(|| FILE_NAME.into());
        let found = gate.config.is_some() || Path::new(FILE_NAME).exists();
        if gate.no_config || !found {
            return Ok(Self { config: Config::default(), file, text: String::new() });
        }
        let text = files::read(&file)?;
        let config = read_config(&file.display().to_string(), &text).map_err(Mistakes)?;
        Ok(Self { config, file, text })
    }

    fn relative(&self, path: &str) -> PathBuf {
        self.file.parent().map_or_else(|| path.into(), |directory| directory.join(path))
    }

    /// The packs it names.
    pub(super) fn rules(&self) -> impl Iterator<Item = PathBuf> {
        self.config.rules.iter().map(|path| self.relative(path))
    }

    /// The benchmarks it wants beside the one of the system.
    pub(super) fn beside(&self) -> impl Iterator<Item = String> {
        let name = |name: &String| if is_file_name(name) { self.relative(name).display().to_string() } else { name.clone() };
        self.config.beside.iter().map(name)
    }

    /// The waiver file it names.
    pub(super) fn waivers(&self) -> Option<PathBuf> {
        self.config.waivers.as_ref().map(|path| self.relative(path))
    }

    /// Its choices for a benchmark. One for a benchmark that is neither shipped nor this one is a mistake: it would never hold.
    /// Level and profile are those of the main benchmark; values are also those of the ones beside it.
    pub(super) fn choices(&self, benchmark: &Benchmark) -> Result<BenchmarkConfig, Mistakes> {
        let index = shipped::index();
        let ids: Vec<&str> =
            std::iter::once(benchmark.id.as_str()).chain(benchmark.beside.iter().map(|beside| beside.id.as_str())).collect();
        let known: Vec<&str> = index.iter().map(|entry| entry.id.as_str()).chain(ids.iter().copied()).collect();
        let mistakes = self.config.unknown_benchmarks(&known);
        if mistakes.is_empty() {
            let mut choices = self.config.benchmark.get(&benchmark.id).cloned().unwrap_or_default();
            for beside in ids.iter().skip(1).filter_map(|id| self.config.benchmark.get(*id)) {
                for (rule, values) in &beside.values {
                    let known = choices.values.entry(rule.clone()).or_default();
                    values.iter().for_each(|(name, value)| {
                        known.entry(name.clone()).or_insert_with(|| value.clone());
                    });
                }
            }
            Ok(choices)
        } else {
            Err(Mistakes(mistakes))
        }
    }

    /// Whether its choices are such that this benchmark and these rules have, as far as the command line does not go before them.
    pub(super) fn check(
        &self,
        benchmark: &Benchmark,
        rules: &BTreeMap<String, Arc<Rule>>,
        judged: &Judged,
    ) -> Result<(), Mistakes> {
        if self.config.benchmark.is_empty() {
            return Ok(());
        }
        let document =
            Document::parse(&self.file.display().to_string(), &self.text).map_err(|mistake| Mistakes(vec![mistake]))?;
        let mut mistakes = Vec::new();
        for id in benchmark.beside.iter().map(|beside| &beside.id) {
            if let Some(other) = self.config.benchmark.get(id) {
                values(&document, id, other, rules, &mut mistakes);
            }
        }
        if let Some(own) = self.config.benchmark.get(&benchmark.id) {
            level_and_profile(&document, benchmark, own, judged, &mut mistakes);
            values(&document, &benchmark.id, own, rules, &mut mistakes);
        }
        if mistakes.is_empty() { Ok(()) } else { Err(Mistakes(mistakes)) }
    }
}

fn meant(near: Option<&str>) -> Option<String> {
    near.map(|near| format!("you may have meant '{near}'"))
}

/// Whether the benchmark has the level and the profile, as far as the command line does not go before them.
fn level_and_profile(
    document: &Document<'_>,
    benchmark: &Benchmark,
    own: &BenchmarkConfig,
    judged: &Judged,
    mistakes: &mut Vec<Mistake>,
) {
    let at = |key| [Step::Key("benchmark"), Step::Key(&benchmark.id), Step::Key(key)];
    let own_profile = own.profile.as_ref().filter(|_| judged.profile.is_none());
    if let Some(name) = own_profile.filter(|name| !benchmark.profiles.contains(name)) {
        let message = format!("{} has no profile '{name}'; it has {}", benchmark.id, benchmark.profiles.join(", "));
        let near = meant(nearest(name, benchmark.profiles.iter().map(String::as_str)));
        mistakes.push(document.mistake(&at("profile"), message, near));
    }
    let profile = judged.profile.as_ref().or(own.profile.as_ref()).or(benchmark.profiles.first());
    let profile = profile.map_or("server", String::as_str);
    let levels: BTreeSet<u8> = benchmark.control.iter().filter_map(|control| control.level.of(profile)).collect();
    if let Some(level) = own.level.filter(|level| judged.level.is_none() && !levels.is_empty() && !levels.contains(level)) {
        let known: Vec<String> = levels.iter().map(u8::to_string).collect();
        let message = format!("{} has no level {level}; it has {}", benchmark.id, known.join(", "));
        mistakes.push(document.mistake(&at("level"), message, None));
    }
}

/// Whether the rules and their parameters are there, and take these values.
fn values(
    document: &Document<'_>,
    benchmark: &str,
    own: &BenchmarkConfig,
    rules: &BTreeMap<String, Arc<Rule>>,
    mistakes: &mut Vec<Mistake>,
) {
    let above = [Step::Key("benchmark"), Step::Key(benchmark), Step::Key("values")];
    for (id, values) in &own.values {
        let mut point = |below: &[Step<'_>], message: String, near: Option<&str>| {
            mistakes.push(document.mistake(&[&above[..], below].concat(), message, meant(near)));
        };
        let Some(rule) = rules.get(id) else {
            let near = nearest(id, rules.keys().map(String::as_str));
            point(&[id.as_str().into()], format!("no rule is called '{id}'"), near);
            continue;
        };
        for (name, value) in values {
            let place = [id.as_str().into(), name.as_str().into()];
            let one = BTreeMap::from([(name.clone(), value.clone())]);
            match Instance::new(rule.clone(), &[(FILE_NAME, &one)]) {
                Ok(_) => {}
                Err(InstanceError::NoSuchParameter { near, .. }) => {
                    point(&place, format!("rule '{id}' has no parameter '{name}'"), near.as_deref());
                }
                Err(wrong) => point(&place, wrong.to_string(), None),
            }
        }
    }
}
