//! Scans made by hand through every format.

use jiff::civil::Date;
use karat::finding::Scan;
use karat::finding::{Severity, Status};
use karat::gate::{Decision, Policy, apply, decide, read_waivers};
use karat::report::table::{Table, TableOptions};
use karat::report::{Format, Report, json};

use crate::generated::generated;
use crate::sample;

/// A scan that went through the gate, with one waiver.
pub(crate) fn gated(scan: &Scan) -> (Scan, Decision) {
    let waivers =
        "[[waiver]]\ncontrol = '4.1.1'\nreason = 'the old appliance needs it'\nowner = 'platform@'\nexpires = 2026-12-31\n";
    let waivers = read_waivers("waivers.toml", waivers).unwrap();
    let decision = decide(&Policy::default(), &waivers, None, scan, Date::constant(2026, 11, 24));
    (apply(scan, &decision), decision)
}

pub(crate) fn written(format: Format, scan: &Scan) -> String {
    let (scan, decision) = gated(scan);
    let mut out = Vec::new();
    format.report().write(&scan, &decision, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn the_same_scan_gives_the_same_bytes() {
    for format in Format::ALL {
        assert_eq!(written(format, &sample::whole()), written(format, &sample::whole()), "{}", format.name());
    }
}

#[test]
fn every_format_as_a_whole() {
    for format in Format::ALL {
        let name = |scan| format!("testdata/reports/{scan}.{}", format.name());
        generated(&name("whole"), &written(format, &sample::whole()));
        generated(&name("hostile"), &written(format, &sample::hostile()));
    }
    let all = TableOptions { width: 60, styled: true, verbose: true, evidence_all: true, quiet: false };
    generated("testdata/reports/whole.verbose", &table(&sample::whole(), all));
}

#[test]
fn no_format_lets_an_attacker_steer_a_terminal() {
    for format in Format::ALL {
        let text = written(format, &sample::hostile());
        let steers = |character: char| (character.is_control() && character != '\n') || character == '\u{202e}';
        assert!(!text.contains(steers), "{}: {text:?}", format.name());
        assert!(text.contains("/srv/a"), "{} does not show where", format.name());
    }
}

#[test]
fn json_is_read_back_as_it_was() {
    for scan in [sample::whole(), sample::hostile(), sample::scan(Vec::new())] {
        let (scan, decision) = gated(&scan);
        let mut out = Vec::new();
        Format::Json.report().write(&scan, &decision, &mut out).unwrap();
        let (read, decided) = json::read(std::str::from_utf8(&out).unwrap()).unwrap();
        assert_eq!((read, decided), (scan, Some(decision)));
    }
}

#[test]
fn json_has_what_others_rely_on() {
    let value: serde_json::Value = serde_json::from_str(&written(Format::Json, &sample::whole())).unwrap();
    for place in ["/image/os", "/benchmark/id", "/summary/score", "/decision/verdict", "/decision/reasons/0"] {
        assert!(value.pointer(place).is_some_and(|value| !value.is_null()), "{place}");
    }
    let finding = value.pointer("/findings/3").unwrap();
    for key in ["control", "title", "level", "severity", "status", "reason", "waiver", "rules"] {
        assert!(finding.get(key).is_some(), "{key}");
    }
    let evidence = finding.pointer("/rules/0/evidence/0").unwrap();
    for key in ["path", "line", "column", "found", "expected"] {
        assert!(evidence.get(key).is_some_and(|value| !value.is_null()), "{key}");
    }
    let statuses: Vec<&str> =
        value["findings"].as_array().unwrap().iter().map(|finding| finding["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["pass", "not_applicable", "fail", "fail", "unknown", "fail", "manual"]);
    assert_eq!(value.pointer("/decision/verdict").unwrap(), "shut");
    assert_eq!(value.pointer("/findings/2/waiver").unwrap(), "waivers.toml:1");
}

fn table(scan: &Scan, options: TableOptions) -> String {
    let (scan, decision) = gated(scan);
    let mut out = Vec::new();
    Table(options).write(&scan, &decision, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_long_number_does_not_run_into_its_title() {
    let one = |number: &str| sample::finding(number, Severity::Low, vec![sample::rule("a", Status::Fail, &["/x"])]);
    let (short, long, longest) = (one("1.1"), one("6.1.2.1.1"), one(&"9".repeat(40)));
    let text = table(&sample::scan(vec![short, long, longest]), TableOptions::default());
    for line in ["low       1.1        What 1.1", "low       6.1.2.1.1  What 6.1", &format!("{}  What 9", "9".repeat(40))] {
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn the_last_lines_fit_into_what_image_builder_carries() {
    let mut scan = sample::whole();
    let mut many: Vec<_> =
        (0..300).map(|at| sample::finding(&format!("{at}.{}", "9".repeat(200)), Severity::High, vec![])).collect();
    many.iter_mut().for_each(|finding| finding.status = Status::Fail);
    scan.findings.extend(many);
    for quiet in [false, true] {
        let text = table(&scan, TableOptions { quiet, ..TableOptions::default() });
        let tail = if quiet { &*text } else { &text[text.find("\nNOT FIT TO SHIP").unwrap()..] };
        assert!(tail.trim_start().starts_with("NOT FIT TO SHIP: "), "{tail}");
        assert!(tail.chars().count() < 1_000, "{}", tail.len());
    }
}

#[test]
fn the_page_stands_alone_and_shows_every_finding_and_no_tag_of_an_attacker() {
    let mut scan = sample::hostile();
    let hostile = "</code><script>alert(1)</script><img src=x onerror=alert(1)>\" onclick=\"x";
    scan.image.os_name = Some(hostile.into());
    scan.findings[0].title = hostile.into();
    scan.findings[0].control = hostile.into();
    let page = written(Format::Html, &scan);
    for forbidden in ["<script", "<img", "<link", "src=\"", "href=", "url(", "\" onclick"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    assert!(page.contains("&lt;script&gt;alert(1)"));
    assert_eq!(page.matches("<details").count(), scan.findings.len());
}
