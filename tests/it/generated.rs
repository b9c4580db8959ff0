//! Files that are made from the code: a test holds them against it, and writes them anew with `KARAT_UPDATE=1`.

use std::fs;
use std::path::Path;

/// The file, from the root of the repository, holds this text.
#[track_caller]
pub(crate) fn generated(path: &str, text: &str) {
    let whole = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("KARAT_UPDATE").is_some_and(|value| !value.is_empty()) {
        fs::create_dir_all(whole.parent().unwrap()).unwrap();
        fs::write(&whole, text).unwrap();
        return;
    }
    let there = fs::read_to_string(&whole).unwrap_or_default();
    let line = there.lines().zip(text.lines()).position(|(there, here)| there != here);
    let at = line.unwrap_or_else(|| there.lines().count().min(text.lines().count()));
    assert!(
        there == text,
        "{path}:{} is not current: KARAT_UPDATE=1 cargo nextest run writes it anew\n  there: {:?}\n  now:   {:?}",
        at + 1,
        there.lines().nth(at),
        text.lines().nth(at),
    );
}
