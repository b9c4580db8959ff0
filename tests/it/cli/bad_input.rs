//! What is held wrong gets one clear error and exit 2, before anything is written.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::{Place, Run};

/// No verdict, nothing on standard output, nothing left behind, and an error that says this.
#[track_caller]
fn refused(place: &Place, arguments: &str, says: &[&str]) -> Run {
    let before = place.names();
    let run = place.karat(arguments);
    assert_eq!(run.code, 2, "karat {arguments}\n{}{}", run.out, run.err);
    assert_eq!(run.out, "", "karat {arguments}");
    assert!(run.err.starts_with("error: "), "karat {arguments}\n{}", run.err);
    for words in says {
        assert!(run.err.contains(words), "karat {arguments} does not say '{words}':\n{}", run.err);
    }
    assert_eq!(place.names(), before, "karat {arguments} left something behind");
    run
}

#[test]
fn a_root_that_is_none() {
    let place = Place::new();
    fs::create_dir(place.path("empty")).unwrap();
    refused(&place, "scan nowhere", &["nowhere", "no such"]);
    refused(&place, "scan root/etc/issue", &["root/etc/issue", "neither an archive", "is expected"]);
    refused(&place, "scan root --root sda1", &["no disk image", "--root"]);
    refused(&place, "scan root --tag latest", &["no container image", "--tag"]);
    refused(&place, "scan empty", &["empty"]);
    refused(&place, "scan empty --benchmark golden-baseline", &["empty"]);
    refused(&place, "scan ours", &["no os-release", "--benchmark"]);
}

#[test]
fn a_root_that_may_not_be_read() {
    let place = Place::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_karat"));
    if rustix::process::geteuid().is_root() {
        // Root may read everything, so somebody else has to try.
        command.uid(65534).gid(65534);
        fs::set_permissions(place.directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::set_permissions(place.path("root"), fs::Permissions::from_mode(0o000)).unwrap();
    let output = command.args(["scan", "root"]).current_dir(place.directory.path()).output().unwrap();
    fs::set_permissions(place.path("root"), fs::Permissions::from_mode(0o755)).unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("root: cannot be read: permission denied"), "{error}");
}

#[test]
fn names_that_are_not_there_get_the_nearest() {
    let place = Place::new();
    refused(&place, "scan root --benchmark cis-debian", &["'cis-debian'", "'cis-debian-12'", "karat benchmarks list"]);
    refused(&place, "scan root --benchmark cis-debian-12 --control 7.1.0", &["no control '7.1.0'", "7.1.1"]);
    refused(&place, "scan root --rules ours --rule login-baner", &["'login-baner'", "'login-banner'"]);
    refused(&place, "scan root --benchmark golden-baseline --profile desktop", &["desktop", "server"]);
    refused(&place, "scan root --rules ours --set login-banner.word=x", &["'word'", "'words'"]);
    refused(&place, "scan root --rules ours --set login-baner.words=x", &["'login-baner'", "'login-banner'"]);
    refused(&place, "scan root --format jsn", &["jsn"]);
    refused(&place, "scan root --fail-on huge", &["huge", "critical"]);
    refused(&place, "scan root --rules nowhere", &["nowhere"]);
    refused(&place, "scan root --rules root/etc", &["no *.toml"]);
}

#[test]
fn nothing_left_to_judge() {
    let place = Place::new();
    refused(&place, "scan root --benchmark cis-debian-12 --control 7.1.2 --rule passwd-file-mode", &["nothing is left to judge"]);
}

#[test]
fn numbers_that_mean_nothing() {
    let place = Place::new();
    refused(&place, "scan root --benchmark cis-debian-12 --level 9", &["no level 9", "it has 1, 2"]);
    refused(&place, "scan root --rules ours --level 0", &["no level 0", "it has 1"]);
    for arguments in ["--level -1", "--max-unknown -1", "--jobs 0", "--jobs -2", "--min-score -3", "--max-unknown many"] {
        let run = refused(&place, &format!("scan root --rules ours {arguments}"), &["invalid value", " is no "]);
        assert!(!run.err.contains("tip:"), "{}", run.err);
    }
}

#[test]
fn a_policy_that_gates_needs_a_benchmark_that_fits() {
    let place = Place::new();
    refused(&place, "scan root --fail-on high", &["Nonesuch 1", "--benchmark"]);
    refused(&place, "scan root --min-score 80", &["--benchmark"]);
    assert!(place.karat("scan root --fail-on high --report-only").code < 2);
    let run = place.karat("scan root");
    assert!(run.code < 2 && run.err.contains("golden-baseline"), "{}", run.err);
}

#[test]
fn files_with_mistakes() {
    let place = Place::new();
    for (name, content, says) in [
        ("broken.toml", "id = 'x\n", "broken.toml:1:"),
        ("key.toml", "id = 'x'\ntitle = 'X'\nversion = '1'\nprofile = 'server'\n", "key.toml:4:1"),
        ("type.toml", "id = 'x'\ntitle = 7\nversion = '1'\n", "type.toml:2:9"),
        (
            "twice.toml",
            &control("'1'", "[]").repeat(2).replacen("id =", "id = 'x'\ntitle = 'X'\nversion = '1'\n#", 0),
            "twice.toml:",
        ),
        ("rule.toml", &control("'1'", "['passwd-file-mod']"), "'passwd-file-mode'"),
        ("param.toml", &control("'1'", "[{ id = 'passwd-file-mode', with = { a = 1 } }]"), "no parameter 'a'"),
    ] {
        let head = if content.contains("[[control]]") { "id = 'x'\ntitle = 'X'\nversion = '1'\n" } else { "" };
        place.write(name, &format!("{head}{content}"));
        refused(&place, &format!("scan root --benchmark {name}"), &[name, says]);
    }
    refused(&place, "scan root --benchmark nowhere.toml", &["cannot read nowhere.toml"]);
}

fn control(id: &str, rules: &str) -> String {
    format!("[[control]]\nid = {id}\ntitle = 'T'\nlevel = 1\nrules = {rules}\n")
}

#[test]
fn waivers_and_baselines_with_mistakes() {
    let place = Place::new();
    place.write("w.toml", "[[waiver]]\ncontrol = 'login-banner'\nreason = 'r'\nowner = 'o'\n");
    refused(&place, "scan root --rules ours --waivers w.toml", &["w.toml:1:1", "'expires'"]);
    place.write("w.toml", "[[waiver]]\ncontrol = 'x'\nreason = 'r'\nowner = 'o'\nexpires = 2026-02-30\n");
    refused(&place, "scan root --rules ours --waivers w.toml", &["w.toml:5"]);
    refused(&place, "scan root --rules ours --waivers nowhere.toml", &["cannot read nowhere.toml"]);
    place.write("base.json", "{\"tool\": 3}");
    refused(&place, "scan root --rules ours --baseline base.json", &["base.json", "no scan"]);
    place.write("base.json", "not JSON");
    let run = refused(&place, "scan root --rules ours --baseline base.json", &["base.json", "no scan", "line 1"]);
    assert_eq!(run.err.matches("line 1").count(), 1, "{}", run.err);
    refused(&place, "scan root --rules ours --today 2026-13-01", &["2026-13-01"]);
}

#[test]
fn what_is_no_file_or_never_ends_is_not_read() {
    let place = Place::new();
    rustix::fs::mknodat(rustix::fs::CWD, place.path("pipe.toml"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    for option in ["--benchmark", "--config", "--waivers", "--baseline"] {
        let pipe = format!("scan root {option} ./pipe.toml");
        refused(&place, &pipe, &["pipe.toml: it is a pipe, not a file"]);
        refused(&place, &pipe.replace("./pipe.toml", "/dev/zero"), &["/dev/zero: it is a device, not a file"]);
    }
    fs::File::create(place.path("large.toml")).unwrap().set_len((16 << 20) + 1).unwrap();
    refused(&place, "scan root --benchmark large.toml", &["large.toml: it is larger than 16 MiB"]);
    refused(&place, "scan root --rules large.toml", &["large.toml: it is larger than 16 MiB"]);
}

#[test]
fn a_pack_without_a_rule_is_not_made_up_for_by_a_benchmark() {
    let place = Place::new();
    place.write("e.toml", "");
    refused(&place, "scan root --rules e.toml", &["no rule in e.toml"]);
}

#[test]
fn outputs_that_cannot_be_written_are_found_before_the_scan() {
    let place = Place::new();
    refused(&place, "scan root --rules ours --output json=nowhere/a.json", &["cannot write nowhere/a.json"]);
    refused(&place, "scan root --rules ours --output json=ours", &["cannot write ours", "directory"]);
    refused(&place, "scan root --rules ours --output json=a.json --output json=nowhere/b.json", &["nowhere/b.json"]);
    refused(&place, "scan root --rules ours --output json=a.json --output json=a.json", &["a.json"]);
    refused(&place, "scan root --rules ours --output a.json", &["json=a.json"]);
    refused(&place, "scan root --rules ours --output json=- --format json", &["standard output"]);
}

#[test]
fn an_old_report_survives_a_refused_scan() {
    let place = Place::new();
    place.write("a.json", "old");
    refused(&place, "scan nowhere --output json=a.json", &["nowhere"]);
    assert_eq!(fs::read_to_string(place.path("a.json")).unwrap(), "old");
}

#[test]
fn a_project_file_with_mistakes() {
    let place = Place::new();
    place.write("karat.toml", "[policy]\nfail_on = 'high'\n");
    refused(&place, "scan root --rules ours", &["karat.toml:2:1", "'fail-on'"]);
    place.write("karat.toml", "[benchmark.cis-debian]\nlevel = 1\n");
    refused(&place, "scan root --rules ours", &["karat.toml:1:", "'cis-debian-12'"]);
    place.write("karat.toml", "[benchmark.own-rules]\nvalues.login-banner.word = 'x'\n");
    refused(&place, "scan root --rules ours", &["'word'", "'words'"]);
    place.write("karat.toml", "waivers = 'nowhere.toml'\n");
    refused(&place, "scan root --rules ours", &["cannot read nowhere.toml"]);
    refused(&place, "scan root --rules ours --config other.toml", &["cannot read other.toml"]);
    assert_eq!(place.karat("scan root --rules ours --no-config").code, 0);
}

#[test]
fn what_a_project_file_asks_of_a_benchmark_is_pointed_at() {
    let place = Place::new();
    let scan = "scan root --benchmark cis-debian-12";
    place.write("karat.toml", "[benchmark.cis-debian-12]\nlevel = 9\n");
    refused(&place, scan, &["karat.toml:2:1", "no level 9", "1, 2"]);
    place.write("karat.toml", "[benchmark.cis-debian-12]\nprofile = 'desk'\n");
    refused(&place, scan, &["karat.toml:2:1", "no profile 'desk'"]);
    place.write("karat.toml", "[benchmark.cis-debian-12]\nvalues.ssh-max-auth-tries.valu = 3\n");
    refused(&place, scan, &["karat.toml:2:27", "no parameter 'valu'", "'value'"]);
    place.write("karat.toml", "[benchmark.cis-debian-12]\nvalues.ssh-max-auth-tris.value = 3\n");
    refused(&place, scan, &["karat.toml:2:8", "'ssh-max-auth-tries'"]);
    place.write("karat.toml", "[benchmark.cis-debian-12]\nvalues.ssh-max-auth-tries.value = 'three'\n");
    refused(&place, scan, &["karat.toml:2:27", "a whole number"]);
}

#[test]
fn types_are_named_in_words_and_kinds_are_listed() {
    let place = Place::new();
    let run = refused(
        &place,
        "scan root --benchmark cis-debian-12 --set ssh-max-auth-tries.value=abc",
        &["ssh-max-auth-tries", "abc", "a whole number"],
    );
    assert!(!run.err.contains("i64"), "{}", run.err);
    refused(&place, "schema", &["rules", "benchmark", "config", "waivers", "scan"]);
    refused(&place, "explain ssh-max-auth-tris", &["'ssh-max-auth-tries'"]);
}
