//! Programs of this machine that tests ask for a second opinion.

use std::env;

/// Whether a program can be asked. Where it is not installed the test that wants it is skipped; with `KARAT_PEERS=required`, which
/// `.ci/run` sets after installing every peer, it fails.
pub(crate) fn peer(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).any(|folder| folder.join(program).is_file());
    let required = env::var_os("KARAT_PEERS").is_some_and(|value| value == "required");
    assert!(found || !required, "{program} is not installed, and KARAT_PEERS=required");
    if !found {
        eprintln!("skipped: {program} is not installed");
    }
    found
}
