//! Programs of this machine that tests ask for a second opinion.

use std::env;

/// Whether a program can be asked; see [`missing`] for where it cannot.
pub(crate) fn peer(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).any(|folder| folder.join(program).is_file());
    if !found {
        missing(program);
    }
    found
}

/// Something a test wants to ask is not here, so the test is skipped; with `KARAT_PEERS=required`, which `.ci/run` sets after
/// installing every peer, it fails.
pub(crate) fn missing(what: &str) {
    let required = env::var_os("KARAT_PEERS").is_some_and(|value| value == "required");
    assert!(!required, "{what} is not at hand, and KARAT_PEERS=required");
    eprintln!("skipped: {what} is not at hand");
}
