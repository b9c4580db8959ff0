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

/// Cases whose label is wrong: docs/truth.md says what a machine does, and by which source.
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
    // What should be wrong is not in these trees (docs/truth.md).
    "file_groupowner_var_log_cloud_init__incorrect_groupowner.fail",
    "file_groupowner_var_log_localmessages__incorrect_groupowner.fail",
    "file_owner_var_log_waagent__incorrect_owner.fail",
    "permissions_local_var_log__excluded_files_similar.fail",
    // Static, and switched off (docs/semantics.md, systemd).
    "service_rsyncd_disabled__service_enabled.fail",
    "service_systemd-journald_enabled__service_disabled.fail",
    // Still root, still somebody else's files, and a mode that is what it should be (docs/semantics.md, accounts and logging).
    "accounts_no_uid_except_zero__locked_user_uid_0.pass",
    "accounts_user_dot_group_ownership__warning_swapped_groupowners.pass",
    "accounts_user_dot_user_ownership__warning_swapped_owners.pass",
    "file_ownership_home_directories__warning_home_dirs_swapped_owner.pass",
    "file_permissions_home_directories__acceptable_permission.pass",
    "file_permissions_home_directories__expected_permissions.pass",
    "file_permissions_home_directories__interactive_user_nologin_ignored.pass",
    "file_permissions_home_directories__interactive_users_absent.pass",
    "rsyslog_filecreatemode__filecreatemode_duplicate.fail",
    // With the link /etc/sysctl.d/99-sysctl.conf gone, or led elsewhere, nothing applies /etc/sysctl.conf (docs/semantics.md, sysctl).
    "sysctl_*__correct_value.pass",
    "sysctl_*__symlink_different_option.pass",
    "sysctl_*__two_sysctls_on_same_file.pass",
    // modprobe reads neither modules-load.d nor, in an image, what a boot empties; a module that no kernel has needs no block (modprobe).
    "kernel_module_*__correct_value_modules_load_d.pass",
    "kernel_module_*__correct_value_run_modules_load_d.pass",
    "kernel_module_*__correct_value_usr_lib_modules_load_d.pass",
    "kernel_module_*__correct_value_run_modprobe_d.pass",
    "kernel_module_hfsplus_disabled__*.fail",
    "kernel_module_jffs2_disabled__*.fail",
    "kernel_module_usb-storage_disabled__*.fail",
    // auditctl watches a directory with all below it, with and without a slash at its end (auditctl(8), -w).
    "audit_rules_sysadmin_actions__missing_slash.fail",
    // The benchmark takes halt and single.
    "auditd_data_retention_admin_space_left_action__admin_space_left_action_halt.fail",
    // systemd itself mounts /dev/shm with nodev; the root's fstab does mount /var/tmp (mounts).
    "mount_option_dev_shm_nodev__no_partition.fail",
    "partition_for_var_tmp__no_partition.fail",
    // chronyd takes any white space before and between the words of a line (`CPS_NormalizeLine`).
    "chronyd_configure_pool_and_server__incorrect_line2.fail",
    "chronyd_configure_pool_and_server__incorrect_line3.fail",
    "chronyd_configure_pool_and_server__incorrect_line4.fail",
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

fn is_wrong_label(id: &str) -> bool {
    WRONG_LABELS.iter().any(|label| match label.split_once('*') {
        Some((start, end)) => id.starts_with(start) && id.ends_with(end),
        None => id == *label,
    })
}

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
    Some(Outcome::all(instances.iter().map(|instance| instance.evaluate(&facts))))
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
        // Any server of time is good enough for ours, unless a list of allowed ones is given.
        "var_multiple_time_servers" => return Some(BTreeMap::new()),
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
        // A label knows pass and fail only: what is not applicable counts as a pass where the case's name says that this is what it is about.
        let right = outcome.status.name() == case.expected
            || (outcome.status == Status::NotApplicable && case.expected == "pass" && case.id.contains("notapplicable"));
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
        if !right && !is_wrong_label(&case.id) {
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
    assert!(wrong.is_empty(), "{} situations are judged wrongly: {wrong:?}", wrong.len());
}
