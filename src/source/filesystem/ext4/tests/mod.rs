//! The reader against the kernel's own answers, the tools that make and repair such file systems, and images that somebody broke.
#![allow(clippy::disallowed_methods, reason = "tests read fixtures, and make images with the real tools")]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_precision_loss,
    reason = "what was skipped, and what was measured"
)]

mod broken;
mod fixtures;
mod journal;
mod made;
mod mutation;
mod speed;
mod support;
