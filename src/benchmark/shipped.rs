//! The benchmarks that come with karat, embedded when it is built.

use serde::{Deserialize, Serialize};

use super::Benchmark;
use crate::check::OsSelector;

const INDEX: &str = include_str!(concat!(env!("OUT_DIR"), "/index.json"));
const BODIES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/benchmarks.rs"));

/// A benchmark without its controls: enough to list and to choose.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Entry {
    /// Its id.
    pub id: String,
    /// Its name.
    pub title: String,
    /// The version of the document.
    pub version: String,
    /// The systems it is written for.
    pub applies: Option<OsSelector>,
    /// Controls of the document.
    pub controls: u64,
    /// How many of these have rules.
    pub automated: u64,
}

/// What an [`Entry`] looks like in a listing.
#[derive(Debug, Clone, Serialize)]
pub struct Listed<'e> {
    /// Its id.
    pub id: &'e str,
    /// Its name.
    pub title: &'e str,
    /// The version of the document.
    pub version: &'e str,
    /// Controls of the document.
    pub controls: u64,
    /// How many of these have rules.
    pub automated: u64,
}

/// Every benchmark, by id.
///
/// # Panics
/// Never in a build whose tests pass: the text is made from files that were read when it was built.
#[must_use]
#[expect(clippy::expect_used, reason = "embedded by the build script; a test reads it")]
pub fn index() -> Vec<Entry> {
    let mut index: Vec<Entry> = serde_json::from_str(INDEX).expect("the embedded index is whole");
    index.sort_by(|left, right| left.id.cmp(&right.id));
    index
}

/// One benchmark, whole.
///
/// # Panics
/// See [`index`].
#[must_use]
#[expect(clippy::expect_used, reason = "embedded by the build script; a test reads every one")]
pub fn benchmark(id: &str) -> Option<Benchmark> {
    let (_, body) = BODIES.iter().find(|(known, _)| *known == id)?;
    Some(serde_json::from_str(body).expect("the embedded benchmark is whole"))
}

/// The benchmark written for this system.
#[must_use]
pub fn fitting(os: &str, version: &str) -> Option<Entry> {
    index().into_iter().find(|entry| entry.applies.as_ref().is_some_and(|applies| applies.fits(os, version)))
}
