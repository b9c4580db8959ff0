//! The project's own file: `karat.toml` of the current directory, or the one that was named.

use std::path::{Path, PathBuf};

use super::args::Gate;
use crate::benchmark::shipped;
use crate::cli::files::{self, Mistakes};
use crate::config::{BenchmarkConfig, Config, FILE_NAME, read_config};

/// What a project asks of its images every time.
pub(super) struct Project {
    pub(super) config: Config,
    /// As its user named it; paths in the file are relative to its directory.
    file: PathBuf,
}

impl Project {
    /// Reads it. Without `--config` no file is no mistake.
    pub(super) fn read(gate: &Gate) -> anyhow::Result<Self> {
        let file = gate.config.clone().unwrap_or_else(|| FILE_NAME.into());
        let found = gate.config.is_some() || Path::new(FILE_NAME).exists();
        if gate.no_config || !found {
            return Ok(Self { config: Config::default(), file });
        }
        let config = read_config(&file.display().to_string(), &files::read(&file)?).map_err(Mistakes)?;
        Ok(Self { config, file })
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
}
