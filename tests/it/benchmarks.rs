//! The shipped benchmarks are whole: every control of the document once, with its levels. Where the reference is at hand
//! (`KARAT_SHARED`, or `../shared`), number by number.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use karat::benchmark::{Benchmark, shipped};

/// A document and its reference.
pub(crate) struct Document {
    pub(crate) id: &'static str,
    /// The `ComplianceAsCode` control file of the same version.
    reference: &'static str,
    controls: usize,
    /// How many of them the reference automates: its status `automated`.
    pub(crate) automated: usize,
}

const fn document(id: &'static str, reference: &'static str, controls: usize, automated: usize) -> Document {
    Document { id, reference, controls, automated }
}

pub(crate) const DOCUMENTS: [Document; 8] = [
    document("cis-amazon-linux-2023", "cis_al2023", 243, 218),
    document("cis-debian-12", "cis_debian12", 310, 289),
    document("cis-debian-13", "cis_debian13", 343, 316),
    document("cis-rhel-10", "cis_rhel10", 328, 303),
    document("cis-rhel-8", "cis_rhel8", 322, 297),
    document("cis-rhel-9", "cis_rhel9", 298, 253),
    document("cis-ubuntu-22.04", "cis_ubuntu2204", 300, 284),
    document("cis-ubuntu-24.04", "cis_ubuntu2404", 312, 290),
];

fn benchmark(id: &str) -> Benchmark {
    shipped::benchmark(id).unwrap_or_else(|| panic!("{id} is not shipped"))
}

#[test]
fn every_document_has_all_of_its_controls() {
    let shipped: Vec<String> = shipped::index().into_iter().map(|entry| entry.id).filter(|id| id.starts_with("cis-")).collect();
    assert_eq!(shipped, DOCUMENTS.map(|document| document.id));
    for document in DOCUMENTS {
        let benchmark = benchmark(document.id);
        assert_eq!(benchmark.control.len(), document.controls, "{}", document.id);
        let ids: BTreeSet<&str> = benchmark.control.iter().map(|control| control.id.as_str()).collect();
        assert_eq!(ids.len(), document.controls, "{}: a control is listed twice", document.id);
    }
}

#[test]
fn every_control_is_said_in_a_few_words() {
    for document in DOCUMENTS {
        for control in benchmark(document.id).control {
            let place = format!("{} {}: {}", document.id, control.id, control.title);
            assert!(control.title.len() <= 80, "{place} is long");
            assert!(!control.title.ends_with('.') && !control.title.starts_with("Ensure "), "{place} is no title of ours");
            assert!(control.rules.is_empty() || control.manual.is_none(), "{place} is for rules and for a person");
        }
    }
}

#[test]
fn the_benchmark_of_a_system_is_found_by_what_it_calls_itself() {
    for (os, version, id) in [
        ("amzn", "2023", "cis-amazon-linux-2023"),
        ("debian", "12", "cis-debian-12"),
        ("debian", "13", "cis-debian-13"),
        ("ubuntu", "22.04", "cis-ubuntu-22.04"),
        ("ubuntu", "24.04", "cis-ubuntu-24.04"),
        ("rhel", "8.10", "cis-rhel-8"),
        ("rocky", "9.4", "cis-rhel-9"),
        ("almalinux", "9.6", "cis-rhel-9"),
        ("centos", "9", "cis-rhel-9"),
        ("centos", "10", "cis-rhel-10"),
        ("rhel", "10.1", "cis-rhel-10"),
    ] {
        let found = shipped::fitting(os, version).unwrap_or_else(|| panic!("nothing is written for {os} {version}"));
        assert_eq!(found.id, id, "{os} {version}");
    }
    for (os, version) in [("rhel", "7.9"), ("rhel", "1"), ("ubuntu", "22.10"), ("debian", "1"), ("debian", "120")] {
        assert_eq!(shipped::fitting(os, version).map(|entry| entry.id), None, "{os} {version}");
    }
}

/// One control of a reference.
#[derive(Default)]
struct Reference {
    id: String,
    title: String,
    automated: bool,
    levels: BTreeMap<String, u8>,
}

/// The controls of a reference: a regular YAML file, of which only these lines are looked at.
fn reference(text: &str) -> Vec<Reference> {
    let mut controls: Vec<Reference> = Vec::new();
    let (_, body) = text.split_once("\ncontrols:\n").unwrap();
    for line in body.lines().map(str::trim) {
        let plain = |value: &str| value.trim_matches(['\'', '"']).to_owned();
        if let Some(id) = line.strip_prefix("- id: ") {
            controls.push(Reference { id: plain(id), ..Reference::default() });
            continue;
        }
        let Some(control) = controls.last_mut() else { continue };
        if let Some(title) = line.strip_prefix("title: ") {
            control.title = plain(title);
        } else if line == "status: automated" {
            control.automated = true;
        } else if let Some((level, profile)) = line.strip_prefix("- l").and_then(|level| level.split_once('_')) {
            // A control can be named for a level and for the one that includes it.
            if let Ok(level) = level.parse::<u8>() {
                control.levels.entry(profile.to_owned()).and_modify(|known| *known = level.min(*known)).or_insert(level);
            }
        }
    }
    // Two of the reference's own, which prepare a system for its rules.
    controls.retain(|control| !["reload_dconf_db", "enable_authselect"].contains(&control.id.as_str()));
    controls
}

#[test]
fn every_control_has_the_number_and_the_levels_of_its_document() {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let shared = std::env::var_os("KARAT_SHARED").map_or_else(beside, PathBuf::from);
    for document in DOCUMENTS {
        let file = shared.join(format!("reference/cis/{}.yml", document.reference));
        let Ok(text) = fs::read_to_string(&file) else {
            eprintln!("skipped: {} is not here", file.display());
            continue;
        };
        let (reference, benchmark) = (reference(&text), benchmark(document.id));
        assert_eq!(reference.iter().filter(|control| control.automated).count(), document.automated, "{}", document.id);
        let ids = |ids: Vec<&String>| ids.into_iter().cloned().collect::<Vec<String>>();
        assert_eq!(
            ids(benchmark.control.iter().map(|control| &control.id).collect()),
            ids(reference.iter().map(|control| &control.id).collect()),
            "{}",
            document.id
        );
        for (ours, theirs) in benchmark.control.iter().zip(&reference) {
            for profile in &benchmark.profiles {
                let (ours_is, theirs_is) = (ours.level.of(profile), theirs.levels.get(profile).copied());
                assert_eq!(ours_is, theirs_is, "{} {} {profile}", document.id, ours.id);
            }
            // "sudo is installed" cannot be said otherwise.
            let words = ours.title.split_whitespace().count();
            assert!(words <= 5 || !theirs.title.contains(&ours.title), "{} {}: the document's title", document.id, ours.id);
        }
    }
}
