//! What a scan writes, where, and with which exit code.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{Place, karat};
use crate::peers::peer;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn the_exit_code_is_the_same_for_every_format() {
    let place = Place::new();
    for format in ["table", "json", "sarif", "html"] {
        let run = place.karat(&format!("scan root --rules ours --format {format}"));
        assert_eq!(run.code, 0, "{format}: {}{}", run.out, run.err);
    }
    place.write("root/etc/issue", "Welcome\n");
    for format in ["table", "json", "sarif", "html"] {
        assert_eq!(place.karat(&format!("scan root --rules ours --format {format}")).code, 1);
        let run = place.karat(&format!("scan root --rules ours --report-only --format {format}"));
        assert_eq!(run.code, 0, "{format}: {}", run.err);
    }
    assert_eq!(place.karat("scan root --rules ours --fail-on critical").code, 0);
}

#[test]
fn what_is_judged_follows_the_choice() {
    let place = Place::new();
    let controls = |arguments: &str| -> Vec<String> {
        let run = place.karat(&format!("scan root --format json {arguments}"));
        assert!(run.code < 2, "{arguments}: {}", run.err);
        let findings = json(&run.out)["findings"].as_array().unwrap().clone();
        findings.iter().map(|finding| finding["control"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(controls("--rules ours"), ["login-banner", "motd-there"]);
    assert_eq!(controls("--rules ours --rule motd-there"), ["motd-there"]);
    let beside = controls("--rules ours --benchmark golden-baseline");
    assert!(beside.len() > 2 && beside.ends_with(&["login-banner".into(), "motd-there".into()]), "{beside:?}");
    // The rule answers a control of another benchmark only.
    assert_eq!(controls("--benchmark golden-baseline --rule selinux-installed"), ["selinux-installed"]);
    assert_eq!(controls("--benchmark cis-debian-12 --control 7.1.1"), ["7.1.1"]);
}

#[test]
fn a_value_from_the_command_line_has_the_last_word_and_is_shown() {
    let place = Place::new();
    let run = place.karat("scan root --rules ours --rule login-banner --set login-banner.words=Welcome --format json");
    assert_eq!(run.code, 1, "{}", run.err);
    let values = &json(&run.out)["findings"][0]["rules"][0]["values"]["words"];
    assert_eq!((values["value"].as_str(), values["from"].as_str()), (Some("Welcome"), Some("command line")));
}

#[test]
fn several_reports_in_one_run_and_the_table_beside_them() {
    let place = Place::new();
    let run = place.karat("scan root --rules ours --name ami-7 --output json=a.json --output sarif=b.sarif");
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.out.contains("FIT TO SHIP") && !run.out.contains('\u{1b}'), "{}", run.out);
    assert_eq!(place.names(), ["a.json", "b.sarif", "ours", "root"]);
    let saved = json(&fs::read_to_string(place.path("a.json")).unwrap());
    assert_eq!(saved["image"]["name"], "ami-7");
    assert_eq!(json(&fs::read_to_string(place.path("b.sarif")).unwrap())["version"], "2.1.0");
    // A saved scan is a baseline: what it knew does not shut the gate.
    place.write("root/etc/issue", "Welcome\n");
    assert_eq!(place.karat("scan root --rules ours --output json=a.json").code, 1);
    assert_eq!(place.karat("scan root --rules ours --baseline a.json").code, 0);
}

#[test]
fn a_dash_is_standard_output() {
    let place = Place::new();
    let run = place.karat("scan root --rules ours --output json=-");
    assert_eq!(json(&run.out)["decision"]["verdict"], "ship");
    assert_eq!(place.names(), ["ours", "root"]);
}

#[test]
fn a_reader_who_goes_away_changes_nothing() {
    let place = Place::new();
    place.write("root/etc/issue", "Welcome\n");
    for (arguments, code) in [("scan root --rules ours --format json", 1), ("rules list", 0), ("man", 0), ("completions bash", 0)]
    {
        let mut command = Command::new(env!("CARGO_BIN_EXE_karat"));
        command.current_dir(place.directory.path()).args(arguments.split_whitespace()).env_clear();
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command.stdout(Stdio::from(writer)).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments}");
    }
}

#[test]
fn a_full_disk_is_no_verdict() {
    let place = Place::new();
    let run = place.karat("scan root --rules ours --output json=/dev/full");
    assert_eq!(run.code, 2, "{}", run.err);
    assert!(run.err.contains("cannot write /dev/full"), "{}", run.err);
    let mut command = Command::new(env!("CARGO_BIN_EXE_karat"));
    let full = File::options().write(true).open("/dev/full").unwrap();
    command.args(["benchmarks", "list"]).stdout(full);
    assert_eq!(command.output().unwrap().status.code(), Some(2));
}

#[test]
fn colours_are_for_terminals_and_for_those_who_ask() {
    let place = Place::new();
    let colored = |arguments: &str, environment: &[(&str, &str)]| {
        karat(place.directory.path(), &format!("scan root --rules ours {arguments}"), environment).out.contains('\u{1b}')
    };
    assert!(!colored("", &[]));
    assert!(colored("--color always", &[]));
    assert!(colored("", &[("FORCE_COLOR", "1")]) && colored("", &[("CLICOLOR_FORCE", "1")]));
    assert!(!colored("", &[("FORCE_COLOR", "1"), ("NO_COLOR", "1")]));
    assert!(!colored("--color never", &[("FORCE_COLOR", "1")]));
    assert!(!colored("--format json --color always", &[]));
}

#[test]
fn quiet_says_the_verdict_and_stats_go_to_standard_error() {
    let place = Place::new();
    let run = place.karat("scan root --rules ours --quiet");
    assert_eq!(run.out.lines().count(), 1, "{}", run.out);
    assert_eq!(run.err, "");
    let run = place.karat("scan root --rules ours --stats --format json");
    assert!(run.err.contains("MiB"), "{}", run.err);
    json(&run.out);
}

#[test]
fn completions_and_manual_pages_are_what_their_readers_take() {
    let place = Place::new();
    for command in ["", "scan", "explain", "rules", "rules check", "benchmarks", "schema"] {
        let page = place.karat(&format!("man {command}")).out;
        assert!(page.contains(".TH") && page.contains(".SH OPTIONS"), "{command}");
    }
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(place.karat(&format!("completions {shell}")).out.contains("benchmarks"), "{shell}");
    }
    if peer("bash") {
        place.write("karat.bash", &place.karat("completions bash").out);
        let script = "source karat.bash && complete -p karat && COMP_WORDS=(karat sc) COMP_CWORD=1 && _karat karat sc karat && echo $COMPREPLY";
        let output = Command::new("bash").args(["-c", script]).current_dir(place.directory.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.ends_with("scan\n"), "{said}{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_project_file_is_read_where_it_lies_and_the_command_line_goes_before_it() {
    let place = Place::new();
    place.write("root/etc/issue", "Welcome\n");
    place.write(
        "karat.toml",
        "rules = ['ours']\nwaivers = 'w.toml'\n[policy]\nfail-on = 'critical'\n[benchmark.own-rules]\nvalues.login-banner.words = 'Hello'\n",
    );
    place.write("w.toml", "[[waiver]]\ncontrol = 'motd-there'\nreason = 'r'\nowner = 'o'\nexpires = 2026-12-31\n");
    let run = place.karat("scan root --format json --today 2026-06-01");
    assert_eq!(run.code, 0, "{}", run.err);
    let scan = json(&run.out);
    assert_eq!(scan["findings"][0]["rules"][0]["values"]["words"]["from"], "karat.toml");
    assert_eq!(scan["decision"]["policy"]["fail_on"], "critical");
    assert_eq!(scan["decision"]["waivers"][0]["place"], "w.toml:1");
    assert_eq!(place.karat("scan root --fail-on high").code, 1);
    assert_eq!(place.karat("scan root --set login-banner.words=Welcome --fail-on low").code, 0);
    assert_eq!(place.karat("scan root --no-config --rules ours --fail-on low").code, 1);
    let run = place.karat("scan root --today 2027-01-01");
    assert!(run.code == 1 && run.out.contains("w.toml:1"), "{}", run.out);
}

#[test]
fn a_signal_leaves_the_old_report_or_the_whole_new_one() {
    let place = Place::new();
    let mut interrupted = 0;
    for (number, signal) in [Signal::TERM, Signal::INT].into_iter().cycle().take(12).enumerate() {
        place.write("report.sarif", "the old one");
        let before = place.names();
        let mut command = Command::new(env!("CARGO_BIN_EXE_karat"));
        let arguments = ["scan", "root", "--benchmark", "cis-debian-12", "--output", "sarif=report.sarif", "--quiet"];
        let mut child = command
            .args(arguments)
            .current_dir(place.directory.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // From before the first byte is read to after the last one is written.
        std::thread::sleep(std::time::Duration::from_millis(number as u64 * 40));
        kill_process(Pid::from_child(&child), signal).unwrap();
        interrupted += usize::from(child.wait().unwrap().signal() == Some(signal.as_raw()));
        let report = fs::read_to_string(place.path("report.sarif")).unwrap();
        assert!(report == "the old one" || json(&report)["version"] == "2.1.0", "{report}");
        assert_eq!(place.names(), before);
    }
    assert!(interrupted > 0, "no run was interrupted");
}
