//! Packages of a real Debian 12 root, where it is at hand: the verdicts of openscap on the same root, and who owns its setuid programs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use karat::facts::{FactId, Facts, Target};
use karat::finding::Outcome;
use karat::image::{Entry, FileKind, Image, Rootfs};
use karat::path::ImagePath;
use karat::rule::{Instance, Rule, shipped};

use crate::overlay::{Overlay, Tree, entries};
use crate::truth::folder;

fn base(folder: &Path) -> Tree {
    let archive = File::open(folder.join("base-debian12.tar.zst")).unwrap();
    Tree::new(entries(ruzstd::decoding::StreamingDecoder::new(archive).unwrap()))
}

fn with(below: &Tree, above: Vec<(ImagePath, Entry)>) -> Overlay<'_> {
    Overlay { below, above: Tree::new(above), gone: Vec::new(), opaque: Vec::new() }
}

fn judge(image: &dyn Image, rules: &[&Arc<Rule>]) -> Vec<Outcome> {
    let instances: Vec<Instance> = rules.iter().map(|rule| Instance::new((*rule).clone(), &[]).unwrap()).collect();
    let target = Target::image(Rootfs::new(image), jiff::civil::date(2026, 11, 24));
    let facts = Facts::gather(target, |facts, needs| instances.iter().for_each(|instance| instance.needs(facts, needs)));
    instances.iter().map(|instance| instance.evaluate(&facts)).collect()
}

#[test]
fn rules_about_packages_agree_with_openscap() {
    let Some(folder) = folder() else {
        eprintln!("skipped: the Debian 12 root is not at hand");
        return;
    };
    let (base, rules) = (base(&folder), shipped::rules());
    let text = fs::read_to_string(folder.join("openscap-on-base.txt")).unwrap();
    let said: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.rsplit_once(':'))
        .map(|(rule, verdict)| (rule.trim_start_matches("xccdf_org.ssgproject.content_rule_"), verdict))
        .filter(|(_, verdict)| matches!(*verdict, "pass" | "fail"))
        .collect();
    // A rule that stands for several of theirs is compared where those say the same.
    let verdict_of = |rule: &Rule| {
        let verdicts: BTreeSet<&str> = rule.same_as.iter().filter_map(|name| said.get(name.as_str()).copied()).collect();
        verdicts.first().copied().filter(|_| verdicts.len() == 1)
    };
    let compared: Vec<(&Arc<Rule>, &str)> = rules
        .values()
        .filter(|rule| rule.check.get("package").is_some())
        .filter_map(|rule| Some((rule, verdict_of(rule)?)))
        .collect();
    assert!(compared.len() >= 30, "only {} rules to compare", compared.len());
    let image = with(&base, Vec::new());
    let outcomes = judge(&image, &compared.iter().map(|(rule, _)| *rule).collect::<Vec<_>>());
    for ((rule, theirs), outcome) in compared.iter().zip(outcomes) {
        assert_eq!(outcome.status.name(), *theirs, "{}: {:?}", rule.id, outcome.evidence);
    }
}

#[test]
fn planted_setuid_programs_are_found_among_those_of_packages() {
    let Some(folder) = folder() else {
        eprintln!("skipped: the Debian 12 root is not at hand");
        return;
    };
    let (base, rules) = (base(&folder), shipped::rules());
    let rule = &rules["setuid-programs-are-packaged"];
    let clean = judge(&with(&base, Vec::new()), &[rule]).remove(0);
    assert_eq!(clean.status.name(), "pass", "{:?}", clean.evidence);
    let planted = ["/usr/bin/.mount", "/usr/local/bin/mount", "/var/tmp/sh"];
    let program = |path: &str| {
        let mut entry = Entry::new(FileKind::File, "");
        entry.metadata.mode = 0o4755;
        (ImagePath::new(path), entry)
    };
    let outcome = judge(&with(&base, planted.map(program).into()), &[rule]).remove(0);
    let found: Vec<&str> = outcome.evidence.iter().map(|evidence| evidence.path.as_str()).collect();
    assert_eq!((outcome.status.name(), found), ("fail", planted.to_vec()));
}

#[test]
fn every_listed_file_of_the_root_has_an_owner() {
    let Some(folder) = folder() else {
        eprintln!("skipped: the Debian 12 root is not at hand");
        return;
    };
    let base = base(&folder);
    let image = with(&base, Vec::new());
    let target = Target::image(Rootfs::new(&image), jiff::civil::date(2026, 11, 24));
    let facts = Facts::gather(target, |_, needs| needs.fact(FactId::Owners));
    let (packages, owners) = (facts.packages().unwrap(), facts.owners().unwrap());
    assert!(packages.installed.len() > 300 && owners.len() > 20_000, "{} and {}", packages.installed.len(), owners.len());
    for (path, owner) in [
        ("/usr/bin/mount", Some("mount")),
        ("/bin/mount", Some("mount")),
        ("/usr/bin/sh", Some("dash")),
        ("/usr/lib/x86_64-linux-gnu/libc.so.6", Some("libc6")),
        ("/usr/bin/mount.not", None),
        ("/etc/fstab", None),
    ] {
        assert_eq!(owners.owner(&ImagePath::new(path)), owner, "{path}");
    }
}
