//! Verdicts as plain data: what a scan found, and nothing that it needed to find it.
//!
//! Everything here can be written as JSON and read back, so that a saved [`Scan`] is gated, rendered and compared later, on another
//! machine. This room knows no rule, no fact and no image.

mod evidence;
mod outcome;
mod scan;
mod taxonomy;

pub use evidence::Evidence;
pub use outcome::{Outcome, Status};
pub use scan::{
    BenchmarkInfo, BesideInfo, Finding, Fix, ImageInfo, LayerChange, RuleInfo, RuleResult, Scan, Severity, SourceKind, Summary,
    Tool, Trouble, ValueInfo,
};
pub use taxonomy::Taxonomy;
