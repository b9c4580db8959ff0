//! May the image ship? A policy, dated exceptions and a baseline make a decision of a scan.
//!
//! Pure: the same scan, policy, waivers, baseline and day give the same [`Decision`]. A waiver or a baseline never changes a status;
//! it only keeps a finding from shutting the gate.

mod baseline;
mod decide;
mod decision;
mod policy;
mod waiver;

pub use decide::{apply, decide, note_unknown_benchmarks};
pub use decision::{BaselineUse, Decision, Exit, Verdict, WaiverState, WaiverUse};
pub use policy::Policy;
pub use waiver::{Waiver, read_waivers, waivers_schema};
