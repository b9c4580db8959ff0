//! The same image gives the same bytes, whoever scans it and wherever it lies.

use std::fs;

use super::{Place, karat};

#[test]
fn two_places_and_two_environments_give_identical_reports() {
    let (one, other) = (Place::new(), Place::new());
    fs::rename(other.path("root"), other.path("another-name")).unwrap();
    // What fails and what is unknown has to be the same as well.
    for place in [one.path("root/etc/issue"), other.path("another-name/etc/issue")] {
        fs::write(place, "Welcome\n").unwrap();
    }
    let files = "--output json=scan.json --output sarif=scan.sarif --output table=scan.txt --output html=scan.html";
    let common = format!("--rules ours --benchmark golden-baseline --today 2026-01-15 {files}");
    let first = karat(
        one.directory.path(),
        &format!("scan root {common} --jobs 1"),
        &[("HOME", "/root"), ("TZ", "UTC"), ("HOSTNAME", "one"), ("LANG", "C")],
    );
    let second = karat(
        other.directory.path(),
        &format!("scan {} {common} --jobs 4", other.path("another-name").display()),
        &[
            ("HOME", "/nowhere"),
            ("TZ", "Pacific/Kiritimati"),
            ("HOSTNAME", "other"),
            ("LANG", "de_DE.UTF-8"),
            ("FORCE_COLOR", "1"),
        ],
    );
    assert_eq!((first.code, second.code), (1, 1), "{}{}", first.err, second.err);
    for name in ["scan.json", "scan.sarif", "scan.txt", "scan.html"] {
        let read = |place: &Place| fs::read_to_string(place.path(name)).unwrap();
        let (left, right) = (read(&one), read(&other));
        assert!(left.len() > 300, "{name} is short: {left}");
        assert_eq!(left, right, "{name}");
        assert!(!left.contains(&*one.directory.path().to_string_lossy()), "{name} knows where the image lay");
    }
}
