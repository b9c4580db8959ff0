//! What may ship.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::finding::Severity;

/// What may ship. The default is the strictest there is without a score: nothing fails, everything is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Policy {
    /// The least severity whose failures shut the gate.
    pub fail_on: Severity,
    /// How many findings may remain unknown, of any severity: what is unknown may be anything.
    pub max_unknown: u64,
    /// The least score (0 to 100) with which an image may ship.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_score: Option<f64>,
    /// Says what it would do, and does not do it: a shut gate exits 0.
    pub report_only: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self { fail_on: Severity::Low, max_unknown: 0, min_score: None, report_only: false }
    }
}
