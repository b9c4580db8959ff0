//! Packages of a real Debian 12 root, where it is at hand: the verdicts of openscap on the same root, and who owns its setuid programs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use karat::facts::packages::{Family, Packages};
use karat::facts::{Fact, FactId, Facts, Target};
use karat::finding::Outcome;
use karat::image::{Entry, FileKind, Image, MemoryImage, Rootfs};
use karat::path::ImagePath;
use karat::rule::{Instance, Rule, shipped};

use crate::overlay::{Overlay, Tree, entries};
use crate::truth::folder;

fn base(folder: &Path) -> Tree {
    let archive = File::open(folder.join("base-debian12.tar.zst")).unwrap();
    Tree::new(entries(ruzstd::decoding::StreamingDecoder::new(archive).unwrap()))
}

/// An image with a database of the shared samples, and what is asked of it.
fn sample(path: &str, sample: &str, beside: &[(&str, Vec<u8>)], change: impl Fn(&mut Vec<u8>)) -> Option<Fact<Packages>> {
    let Ok(mut content) = fs::read(folder()?.join("../fixtures/rpmdb").join(sample)) else {
        eprintln!("skipped: {sample} is not at hand");
        return None;
    };
    change(&mut content);
    let mut image = MemoryImage::new().file(path, content);
    for (suffix, content) in beside {
        image = image.file(&format!("{path}{suffix}"), content.clone());
    }
    let target = Target::image(Rootfs::new(&image), jiff::civil::date(2026, 11, 24));
    Some(Facts::gather(target, |_, needs| needs.fact(FactId::Packages)).packages().cloned())
}

#[test]
fn databases_of_rpm_in_their_places() {
    for (path, name, count, package) in [
        ("/var/lib/rpm/rpmdb.sqlite", "cbl-mariner-2.0_rpmdb.sqlite", 129, "bash"),
        ("/usr/lib/sysimage/rpm/Packages.db", "sle15-bci_Packages.db", 35, "bash"),
        ("/var/lib/rpm/Packages", "libuuid_Packages", 1, "libuuid"),
    ] {
        let Some(packages) = sample(path, name, &[], |_| ()) else { return };
        let packages = packages.unwrap();
        assert_eq!((packages.family, packages.database.to_string().as_str()), (Family::Rpm, path));
        assert_eq!(packages.installed.len(), count, "{name}");
        assert!(packages.named(package).all(|package| package.installed_at.is_some()) && packages.named(package).count() == 1);
    }
}

#[test]
fn a_database_of_rpm_that_is_damaged_or_in_the_middle_of_something_is_unknown() {
    let path = "/var/lib/rpm/rpmdb.sqlite";
    let why = |beside: &[(&str, Vec<u8>)], change: fn(&mut Vec<u8>)| {
        sample(path, "cbl-mariner-2.0_rpmdb.sqlite", beside, change)
            .map(|fact| fact.map(|list| list.installed.len()).map_err(|why| why.reason))
    };
    if why(&[], |_| ()).is_none() {
        return;
    }
    let hot = vec![0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7, 0, 0, 0, 1];
    assert!(why(&[("-journal", hot)], |_| ()).unwrap().unwrap_err().contains("rolled back"));
    assert_eq!(why(&[("-journal", vec![0; 512]), ("-wal", b"rubbish".to_vec())], |_| ()), Some(Ok(129)));
    assert!(why(&[], |content| content.truncate(2_000_000)).unwrap().unwrap_err().contains("cut off"));
    assert!(why(&[], |content| content.truncate(0)).unwrap().is_err());
    assert!(why(&[], |content| content[0] = b'x').unwrap().unwrap_err().contains("not a database"));
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
