//! SARIF: what its readers rely on, the limits of GitHub's code scanning, and the validator of the format's authors.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use karat::finding::{Evidence, Finding, Scan, Severity, Status};
use karat::path::ImagePath;
use karat::report::Format;
use serde_json::Value;

use crate::reports::written;
use crate::sample::{self, finding, rule};

fn sarif(scan: &Scan) -> Value {
    serde_json::from_str(&written(Format::Sarif, scan)).unwrap()
}

fn results(scan: &Scan) -> Vec<Value> {
    sarif(scan).pointer("/runs/0/results").unwrap().as_array().unwrap().clone()
}

#[test]
fn every_status_has_its_kind_and_only_failures_a_level() {
    let all = results(&sample::whole());
    let kinds: Vec<(&str, &str, &str)> = (all.iter())
        .map(|result| {
            let text = |key: &str| result[key].as_str().unwrap();
            (text("ruleId"), text("kind"), text("level"))
        })
        .collect();
    let expected = [
        ("cramfs-off", "pass", "none"),
        ("chrony-user", "notApplicable", "none"),
        ("passwd-file-mode", "fail", "warning"),
        ("ssh-root-login", "fail", "error"),
        ("journald-persistent", "open", "none"),
        ("no-world-writable-files", "fail", "warning"),
        ("sticky", "pass", "none"),
        ("manual-review", "review", "none"),
    ];
    assert_eq!(kinds, expected);
}

#[test]
fn places_are_relative_to_the_image() {
    let ssh = &results(&sample::whole())[3];
    let place = ssh.pointer("/locations/0/physicalLocation").unwrap();
    assert_eq!(place.pointer("/artifactLocation/uri").unwrap(), "etc/ssh/sshd_config.d/50-cloud.conf");
    assert_eq!(place.pointer("/artifactLocation/uriBaseId").unwrap(), "IMAGE_ROOT");
    assert_eq!((place.pointer("/region/startLine"), place.pointer("/region/startColumn")), (Some(&3.into()), Some(&1.into())));
    let writable = &results(&sample::whole())[5];
    assert_eq!(writable.pointer("/relatedLocations/0/physicalLocation/artifactLocation/uri").unwrap(), "srv/x/ww%201");
    assert!(writable.pointer("/message/text").unwrap().as_str().unwrap().contains("in 16 more places"), "{writable}");
}

#[test]
fn only_what_is_waived_is_suppressed() {
    for result in results(&sample::whole()) {
        let suppressions = result["suppressions"].as_array().unwrap();
        assert_eq!(suppressions.len(), usize::from(result["ruleId"] == "passwd-file-mode"), "{result}");
        if let Some(one) = suppressions.first() {
            assert_eq!((one["kind"].as_str(), one["status"].as_str()), (Some("external"), Some("accepted")));
            let why = one["justification"].as_str().unwrap();
            assert!(why.contains("the old appliance") && why.contains("platform@") && why.contains("waivers.toml:1"), "{why}");
        }
    }
}

#[test]
fn references_lead_to_what_they_name() {
    let log = sarif(&sample::whole());
    let run = &log["runs"][0];
    for result in run["results"].as_array().unwrap() {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(run["tool"]["driver"]["rules"][index]["id"], result["ruleId"]);
        let taxon = &result["taxa"][0];
        let index = usize::try_from(taxon["index"].as_u64().unwrap()).unwrap();
        assert_eq!(run["taxonomies"][0]["taxa"][index]["id"], taxon["id"]);
        assert_eq!(result["properties"]["control"], taxon["id"]);
    }
    let mut served = BTreeSet::new();
    for rule in run["tool"]["driver"]["rules"].as_array().unwrap() {
        for relation in rule["relationships"].as_array().into_iter().flatten() {
            let target = &relation["target"];
            let place = |value: &Value| usize::try_from(value.as_u64().unwrap()).unwrap();
            let taxonomy = &run["taxonomies"][place(&target["toolComponent"]["index"])];
            assert_eq!(taxonomy["name"], target["toolComponent"]["name"]);
            assert_eq!(taxonomy["taxa"][place(&target["index"])]["id"], target["id"]);
            served.insert(format!("{} {}", taxonomy["name"].as_str().unwrap(), target["id"].as_str().unwrap()));
        }
    }
    for one in ["CIS Controls 3.3", "NIST SP 800-53 AC-6(1)", "NIST SP 800-53 CM-6"] {
        assert!(served.contains(one), "{one} is not among {served:?}");
    }
    let supported = run.pointer("/tool/driver/supportedTaxonomies").unwrap().as_array().unwrap();
    assert_eq!(supported.len(), run["taxonomies"].as_array().unwrap().len());
    let trouble = run.pointer("/invocations/0/toolExecutionNotifications/0").unwrap();
    assert_eq!(trouble.pointer("/locations/0/physicalLocation/region/startLine"), Some(&4.into()));
    assert_eq!(run.pointer("/automationDetails/id").unwrap(), "karat/web-2026-11/cis-debian-12/server-level-1/2026-11-24");
}

#[test]
fn fingerprints_survive_inserted_lines_and_tell_requirements_apart() {
    let of = |scan: &Scan| -> Vec<Value> { results(scan).iter().map(|result| result["partialFingerprints"].clone()).collect() };
    let before = sample::whole();
    let mut after = before.clone();
    for rule in after.findings.iter_mut().flat_map(|finding| &mut finding.rules) {
        rule.evidence.iter_mut().for_each(|evidence| evidence.line = evidence.line.map(|line| line + 7));
    }
    assert_eq!(of(&before), of(&after));
    let distinct: BTreeSet<String> = of(&before).iter().map(Value::to_string).collect();
    assert_eq!(distinct.len(), of(&before).len());
}

fn many(count: usize, paths: usize, length: usize) -> Scan {
    let one = |at: usize| -> Finding {
        let status = if at.is_multiple_of(2) { Status::Pass } else { Status::Fail };
        let mut result = rule(&format!("rule-{}", at % 40), status, &[]);
        let path = |number: usize| Evidence::at(&ImagePath::new(format!("/srv/{number}/{}", "x".repeat(length))));
        result.evidence = (0..paths).map(path).collect();
        result.evidence_total = paths as u64;
        finding(&format!("c{at}"), if at % 4 == 1 { Severity::High } else { Severity::Low }, vec![result])
    };
    sample::scan((0..count).map(one).collect())
}

#[test]
fn the_file_stays_small_on_an_image_full_of_long_names() {
    let scan = many(80, 300, 1_500);
    let text = written(Format::Sarif, &scan);
    assert!(text.len() < 10_000_000, "{}", text.len());
    let log: Value = serde_json::from_str(&text).unwrap();
    for result in log.pointer("/runs/0/results").unwrap().as_array().unwrap() {
        let related = result.get("relatedLocations").map_or(0, |related| related.as_array().unwrap().len());
        assert!(related < 100);
        let said = format!("in {} more places", 300 - 1 - related);
        assert!(result["kind"] == "pass" || result["message"]["text"].as_str().unwrap().contains(&said), "{related}");
    }
    let said = log.pointer("/runs/0/invocations/0/toolExecutionNotifications").unwrap().to_string();
    assert!(said.contains("further places of results are left out"), "{said}");
}

/// `KARAT_SARIF_MULTITOOL`, or what npx finds without asking the network.
fn multitool() -> Option<Command> {
    let npx = || {
        let mut npx = Command::new("npx");
        npx.args(["--no-install", "@microsoft/sarif-multitool"]);
        npx
    };
    let command = || std::env::var_os("KARAT_SARIF_MULTITOOL").map_or_else(npx, Command::new);
    let answer = command().arg("version").output().ok()?;
    answer.status.success().then(command)
}

#[test]
fn the_sarif_multitool_finds_no_error() {
    let Some(mut multitool) = multitool() else {
        crate::peers::missing("the SARIF Multitool (npm install -g @microsoft/sarif-multitool)");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut files: Vec<PathBuf> = Vec::new();
    for (name, scan) in [
        ("whole", sample::whole()),
        ("hostile", sample::hostile()),
        ("empty", sample::scan(Vec::new())),
        ("many", many(40, 120, 20)),
    ] {
        let path = folder.path().join(format!("{name}.sarif"));
        std::fs::write(&path, written(Format::Sarif, &scan)).unwrap();
        files.push(path);
    }
    multitool.arg("validate").args(&files).args(["--level", "Error", "--kind", "Fail"]);
    let log = folder.path().join("validation.sarif");
    let answer = multitool.arg("--output").arg(&log).output().unwrap();
    let said = String::from_utf8_lossy(&answer.stdout);
    let found: Value = serde_json::from_str(std::fs::read_to_string(&log).unwrap().trim_start_matches('\u{feff}')).unwrap();
    let results: Vec<&Value> =
        found["runs"].as_array().unwrap().iter().flat_map(|run| run["results"].as_array().unwrap()).collect();
    assert!(results.is_empty(), "{said}\n{results:#?}");
    assert!(answer.status.success(), "{said}");
}
