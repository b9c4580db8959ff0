//! Labelled situations on a Debian 12 root, where they are at hand: what is right, and what karat says.
//!
//! The cases lie outside the repository (`KARAT_SHARED`, or `../shared`). A case counts if a rule says with `same-as` that it answers the case's
//! requirement. `KARAT_TRUTH=name` narrows the run to cases with that in their name and prints what each rule saw.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use karat::facts::{Facts, Target};
use karat::finding::{Outcome, Status};
use karat::image::Rootfs;
use karat::path::ImagePath;
use karat::rule::{Instance, Rule, shipped};
use rayon::prelude::*;
use serde::Deserialize;
use serde_json::Value;

use crate::overlay::{Overlay, Tree, entries};

#[derive(Deserialize)]
struct Case {
    id: String,
    requirement: String,
    expected: String,
    variables: Option<Value>,
    deleted: Vec<String>,
    opaque: Vec<String>,
    files: String,
}

/// Cases whose label is wrong, each with the source that settles it: see docs/semantics.md.
const WRONG_LABELS: &[&str] = &[
    // sshd_config(5): the first value counts, and what is not set is built in; sshd -T says the same (sshd_oracle.rs).
    "sshd_disable_empty_passwords__comment.fail",
    "sshd_disable_empty_passwords__line_not_there.fail",
    "sshd_do_not_permit_user_env__comment.fail",
    "sshd_do_not_permit_user_env__line_not_there.fail",
    "sshd_do_not_permit_user_env__param_conflict.fail",
    "sshd_enable_warning_banner_net__param_conflict.fail",
    "sshd_set_keepalive__comment.fail",
    "sshd_set_keepalive__line_not_there.fail",
    "sshd_set_keepalive__param_conflict.fail",
    "sshd_set_max_auth_tries__param_conflict.fail",
    // Static, and switched off (docs/semantics.md, systemd).
    "service_rsyncd_disabled__service_enabled.fail",
    "service_systemd-journald_enabled__service_disabled.fail",
    // The last line counts, files with a dot in their name do not, and what is built in is short enough (docs/truth.md).
    "sudo_require_reauthentication__conflicting_values_main_file.fail",
    "sudo_require_reauthentication__missing_value.fail",
    "sudo_require_reauthentication__missing_value_1.fail",
    "sudo_require_reauthentication__multiple_conflicting_value_1.fail",
    "sudo_require_reauthentication__multiple_conflicting_value_3.fail",
    "sudo_require_reauthentication__multiple_conflicting_value_4.fail",
    "sudo_require_reauthentication__multiple_correct_value.fail",
    "sudo_require_reauthentication__multiple_equal_value.fail",
    "sudo_require_reauthentication__wrong_value_1.fail",
];

pub(crate) fn folder() -> Option<PathBuf> {
    let shared = std::env::var_os("KARAT_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let folder = shared.join("truth");
    folder.join("index.jsonl").exists().then_some(folder)
}

#[test]
fn labelled_situations_get_the_right_verdict() {
    let Some(folder) = folder() else {
        eprintln!("skipped: the labelled situations are not at hand");
        return;
    };
    let base = File::open(folder.join("base-debian12.tar.zst")).unwrap();
    let base = Tree::new(entries(ruzstd::decoding::StreamingDecoder::new(base).unwrap()));
    let rules = shipped::rules();
    let only = std::env::var("KARAT_TRUTH").ok();
    let index = fs::read_to_string(folder.join("index.jsonl")).unwrap();
    let cases: Vec<Case> = index.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let results: Vec<(&Case, Option<Outcome>)> = cases
        .par_iter()
        .filter(|case| only.as_ref().is_none_or(|only| case.id.contains(only)))
        .map(|case| (case, judge(&folder, &base, case, &rules)))
        .collect();
    report(&results, only.is_some());
}

fn judge(folder: &Path, base: &Tree, case: &Case, rules: &BTreeMap<String, Arc<Rule>>) -> Option<Outcome> {
    let values = values(case)?;
    let answering = rules.values().filter(|rule| rule.same_as.contains(&case.requirement));
    let instances: Vec<Instance> = answering
        .map(|rule| {
            let given = values
                .iter()
                .filter(|(name, _)| rule.params.contains_key(*name))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            Instance::new(rule.clone(), &[("case", &given)]).unwrap()
        })
        .collect();
    if instances.is_empty() || !values.keys().all(|name| instances.iter().any(|instance| instance.rule.params.contains_key(name)))
    {
        return None;
    }
    let files = entries(flate2::read::GzDecoder::new(File::open(folder.join(&case.files)).unwrap()));
    let paths = |list: &[String]| list.iter().map(ImagePath::new).collect();
    let image = Overlay { below: base, above: Tree::new(files), gone: paths(&case.deleted), opaque: paths(&case.opaque) };
    let target = Target::image(Rootfs::new(&image), jiff::civil::date(2026, 11, 24));
    let facts = Facts::gather(target, |facts, needs| instances.iter().for_each(|instance| instance.needs(facts, needs)));
    Some(Outcome::all(instances.iter().map(|instance| instance.evaluate(&facts)).collect()))
}

/// The values of a case, under the names our rules give them.
fn values(case: &Case) -> Option<BTreeMap<String, Value>> {
    let Some(variables) = &case.variables else { return Some(BTreeMap::new()) };
    let text = variables.as_str()?;
    let (name, value) = text.split_once('=')?;
    let value = value.trim();
    // 027 is a mode and no number.
    let octal = value.len() > 1 && value.starts_with('0');
    let value = value.parse::<i64>().ok().filter(|_| !octal).map_or_else(|| Value::from(value), Value::from);
    // Upstream names a variable after its rule; ours are short.
    let name = match name.trim() {
        name if name.ends_with("_value") || name.starts_with("var_") => "value",
        _ => return None,
    };
    Some([(name.to_owned(), value)].into())
}

fn report(results: &[(&Case, Option<Outcome>)], verbose: bool) {
    let mut tally: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let (mut wrong, mut false_pass, mut skipped) = (Vec::new(), Vec::new(), 0);
    for (case, outcome) in results {
        let Some(outcome) = outcome else {
            skipped += 1;
            continue;
        };
        // A label knows pass and fail only: what there is nothing to judge of counts as a pass.
        let right =
            outcome.status.name() == case.expected || (outcome.status == Status::NotApplicable && case.expected == "pass");
        let slot = tally.entry(&case.requirement).or_default();
        slot.1 += 1;
        slot.0 += usize::from(right);
        if verbose || !right {
            let evidence = outcome.evidence.iter().take(6).map(|seen| {
                format!(
                    "\n      {} found '{}' want '{}' {}",
                    seen.place(),
                    seen.found,
                    seen.expected,
                    seen.because.as_deref().unwrap_or_default()
                )
            });
            let line = format!(
                "{}: expected {}, got {} {}{}",
                case.id,
                case.expected,
                outcome.status.name(),
                outcome.reason.as_deref().unwrap_or_default(),
                evidence.collect::<String>()
            );
            eprintln!("  {line}");
        }
        if !right && !WRONG_LABELS.contains(&case.id.as_str()) {
            wrong.push(case.id.clone());
            if outcome.status == Status::Pass {
                false_pass.push(case.id.clone());
            }
        }
    }
    let (right, judged) = tally.values().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    for (requirement, (right, all)) in tally.iter().filter(|(_, (right, all))| right < all) {
        eprintln!("{requirement}: {right} of {all}");
    }
    eprintln!(
        "{right} of {judged} labelled situations right, {} requirements; {skipped} without a rule; false passes: {}",
        tally.len(),
        false_pass.len()
    );
    let strict = std::env::var("KARAT_PEERS").is_ok_and(|value| value == "required");
    assert!(wrong.is_empty() || !strict, "{} situations are judged wrongly: {wrong:?}", wrong.len());
}
