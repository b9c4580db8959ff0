//! The floors of `src/lib.rs` hold: a module uses only modules on floors below its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Rooms by name, with their floor: 0 at the bottom.
fn floors() -> BTreeMap<String, usize> {
    let text = fs::read_to_string(source().join("lib.rs")).unwrap();
    let groups: Vec<Vec<String>> = text
        .split("\n\n")
        .map(|group| {
            let names = group.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
            names.map(str::to_owned).collect::<Vec<_>>()
        })
        .filter(|group: &Vec<String>| !group.is_empty())
        .collect();
    let count = groups.len();
    groups.into_iter().enumerate().flat_map(|(at, group)| group.into_iter().map(move |name| (name, count - 1 - at))).collect()
}

fn files(room: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![source().join(room), source().join(format!("{room}.rs"))];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|ending| ending == "rs") && path.exists() {
            found.push(path);
        }
    }
    found
}

#[test]
fn no_module_uses_one_on_its_own_floor_or_above() {
    let floors = floors();
    assert!(floors.len() > 8, "the floors were not found in lib.rs: {floors:?}");
    let mut wrong = Vec::new();
    for (room, floor) in &floors {
        let files = files(room);
        assert!(!files.is_empty(), "{room} has no file");
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            // Tests at the end of a file may look wherever they like.
            let code = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default();
            for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
                for used in line.split("crate::").skip(1) {
                    let used: String = used.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                    if used != *room && floors.get(&used).is_some_and(|below| below >= floor) {
                        wrong.push(format!("{} uses {used}", file.strip_prefix(source()).unwrap().display()));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
