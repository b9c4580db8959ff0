//! `--stats`: what a scan read and what it cost. On standard error, because it differs from run to run and a report must not.

use std::fmt::Write;
use std::time::Instant;

use crate::finding::Scan;
use crate::source::Counts;

/// A scan being timed.
pub(super) struct Stats(Instant);

impl Stats {
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    /// The lines to print.
    pub(super) fn text(&self, scan: &Scan, read: Option<Counts>) -> String {
        let count = |number: Option<u64>| number.map_or_else(|| "not read".into(), |number| number.to_string());
        let mut text = format!(
            "stats: {} controls, {} rules, {} entries of the tree, {} packages, {} troubles, {:.3} s",
            scan.findings.len(),
            scan.rules.len(),
            count(scan.image.files),
            count(scan.image.packages),
            scan.troubles.len(),
            self.0.elapsed().as_secs_f64(),
        );
        if let Some(Counts { reads, bytes, blocks }) = read {
            let _ = write!(text, ", {bytes} bytes in {reads} reads, {blocks} blocks of 512 KiB touched");
        }
        if let Some(kib) = peak_memory() {
            let _ = write!(text, ", {} MiB of memory at most", kib.div_ceil(1024));
        }
        text
    }
}

/// The most memory this process had at once, in KiB (`proc_pid_status(5)`, VmHWM).
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}
