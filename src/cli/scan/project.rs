//! The project's own file: `karat.toml` of the current directory, or the one that was named.

use std::path::{Path, PathBuf};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::args::{Gate, Judged};
use crate::benchmark::{Benchmark, shipped};
use crate::cli::files::{self, Mistakes};
use crate::config::{BenchmarkConfig, Config, FILE_NAME, read_config};
use crate::document::{Document, Step, nearest};
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

    fn beside(&self, path: &str) -> PathBuf {
        self.file.parent().map_or_else(|| path.into(), |directory| directory.join(path))
    }

    /// The packs it names.
    pub(super) fn rules(&self) -> impl Iterator<Item = PathBuf> {
        self.config.rules.iter().map(|path| self.beside(path))
    }

    /// The waiver file it names.
    pub(super) fn waivers(&self) -> Option<PathBuf> {
        self.config.waivers.as_ref().map(|path| self.beside(path))
    }

    /// Its choices for a benchmark. One for a benchmark that is neither shipped nor this one is a mistake: it would never hold.
    pub(super) fn choices(&self, benchmark: &str) -> Result<BenchmarkConfig, Mistakes> {
        let index = shipped::index();
        let known: Vec<&str> = index.iter().map(|entry| entry.id.as_str()).chain([benchmark]).collect();
        let mistakes = self.config.unknown_benchmarks(&known);
        if mistakes.is_empty() {
            Ok(self.config.benchmark.get(benchmark).cloned().unwrap_or_default())
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
        let Some(own) = self.config.benchmark.get(&benchmark.id) else { return Ok(()) };
        let document =
            Document::parse(&self.file.display().to_string(), &self.text).map_err(|mistake| Mistakes(vec![mistake]))?;
        let above = [Step::Key("benchmark"), Step::Key(&benchmark.id)];
        let point = |below: &[Step<'_>], message: String, help: Option<String>| {
            document.mistake(&[&above[..], below].concat(), message, help)
        };
        let meant = |near: Option<&str>| near.map(|near| format!("you may have meant '{near}'"));
        let mut mistakes = Vec::new();
        let own_profile = own.profile.as_ref().filter(|_| judged.profile.is_none());
        if let Some(name) = own_profile.filter(|name| !benchmark.profiles.contains(name)) {
            let message = format!("{} has no profile '{name}'; it has {}", benchmark.id, benchmark.profiles.join(", "));
            mistakes.push(point(
                &["profile".into()],
                message,
                meant(nearest(name, benchmark.profiles.iter().map(String::as_str))),
            ));
        }
        let profile = judged.profile.as_ref().or(own.profile.as_ref()).or(benchmark.profiles.first());
        let profile = profile.map_or("server", String::as_str);
        let levels: BTreeSet<u8> = benchmark.control.iter().filter_map(|control| control.level.of(profile)).collect();
        if let Some(level) = own.level.filter(|level| judged.level.is_none() && !levels.is_empty() && !levels.contains(level)) {
            let known: Vec<String> = levels.iter().map(u8::to_string).collect();
            let message = format!("{} has no level {level}; it has {}", benchmark.id, known.join(", "));
            mistakes.push(point(&["level".into()], message, None));
        }
        for (id, values) in &own.values {
            let Some(rule) = rules.get(id) else {
                let near = meant(nearest(id, rules.keys().map(String::as_str)));
                mistakes.push(point(&["values".into(), id.as_str().into()], format!("no rule is called '{id}'"), near));
                continue;
            };
            for (name, value) in values {
                let one = BTreeMap::from([(name.clone(), value.clone())]);
                let (message, near) = match Instance::new(rule.clone(), &[(FILE_NAME, &one)]) {
                    Ok(_) => continue,
                    Err(InstanceError::NoSuchParameter { near, .. }) => {
                        (format!("rule '{id}' has no parameter '{name}'"), meant(near.as_deref()))
                    }
                    Err(wrong) => (wrong.to_string(), None),
                };
                mistakes.push(point(&["values".into(), id.as_str().into(), name.as_str().into()], message, near));
            }
        }
        if mistakes.is_empty() { Ok(()) } else { Err(Mistakes(mistakes)) }
    }
}
