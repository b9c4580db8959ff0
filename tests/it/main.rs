//! Everything that is tested from outside the crate, one file a topic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::disallowed_methods, clippy::print_stderr)]

mod accounts;
mod architecture;
mod benchmarks;
mod bounds;
mod cli;
mod content;
mod coverage;
mod directory;
mod gate;
mod generated;
mod golden;
mod hardened;
mod hardened_rpm;
mod kernel;
mod logging;
mod overlay;
mod packages;
mod pages;
mod peers;
mod planted;
mod planted_controls;
mod reports;
mod sample;
mod sarif;
mod schemas;

mod sources;
mod sshd_oracle;
mod sudoers;
mod truth;
mod units;
