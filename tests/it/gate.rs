//! The gate: what shuts it, what waivers and baselines do, and that it never opens by being made stricter.

use jiff::civil::Date;
use karat::finding::{BesideInfo, Finding, Scan, Severity, Status};
use karat::gate::{Decision, Policy, Verdict, Waiver, WaiverState, apply, decide, note_unknown_benchmarks, read_waivers};
use proptest::prelude::*;

use crate::sample::{finding, rule, scan};

const TODAY: Date = Date::constant(2026, 11, 24);

fn failing(control: &str, severity: Severity) -> Finding {
    finding(control, severity, vec![rule(&format!("rule-{control}"), Status::Fail, &["/srv/x/a", "/srv/x/b"])])
}

fn unknown(control: &str) -> Finding {
    finding(control, Severity::Low, vec![rule(&format!("rule-{control}"), Status::Unknown, &["/etc/x"])])
}

fn passing(control: &str) -> Finding {
    finding(control, Severity::Low, vec![rule(&format!("rule-{control}"), Status::Pass, &[])])
}

fn manual() -> Finding {
    finding("9", Severity::Low, Vec::new())
}

fn waivers(text: &str) -> Vec<Waiver> {
    let tables = text
        .lines()
        .map(|line| format!("[[waiver]]\nreason = 'known'\nowner = 'platform@'\n{}\n", line.trim().replace(", ", "\n")));
    read_waivers("waivers.toml", &tables.collect::<Vec<_>>().concat()).unwrap_or_else(|mistakes| panic!("{}", mistakes[0]))
}

fn gate(policy: &Policy, findings: Vec<Finding>) -> Decision {
    decide(policy, &[], None, &scan(findings), TODAY)
}

fn waived(findings: Vec<Finding>, text: &str) -> (Decision, Scan) {
    let scan = scan(findings);
    let decision = decide(&Policy::default(), &waivers(text), None, &scan, TODAY);
    let scan = apply(&scan, &decision);
    (decision, scan)
}

#[test]
fn exit_codes() {
    let strict = Policy::default();
    let high = Policy { fail_on: Severity::High, ..Policy::default() };
    let report = Policy { report_only: true, ..Policy::default() };
    let loose = Policy { max_unknown: 1, ..Policy::default() };
    let score = |least| Policy { fail_on: Severity::Critical, min_score: Some(least), ..Policy::default() };
    let cases: &[(&str, &Policy, Vec<Finding>, u8)] = &[
        ("all passes", &strict, vec![passing("1")], 0),
        ("a low failure, none allowed", &strict, vec![passing("1"), failing("2", Severity::Low)], 1),
        ("a medium failure below the threshold", &high, vec![failing("2", Severity::Medium)], 0),
        ("a failure at the threshold", &high, vec![failing("2", Severity::High)], 1),
        ("a failure above the threshold", &high, vec![failing("2", Severity::Critical)], 1),
        ("one unknown, none allowed", &strict, vec![passing("1"), unknown("2")], 1),
        ("an unknown of low severity counts whatever the threshold", &high, vec![unknown("2")], 1),
        ("one unknown, one allowed", &loose, vec![unknown("2")], 0),
        ("two unknown, one allowed", &loose, vec![unknown("2"), unknown("3")], 1),
        ("report only, shut", &report, vec![failing("2", Severity::High)], 0),
        ("report only, open", &report, vec![passing("2")], 0),
        ("report only, no verdict", &report, vec![manual()], 2),
        ("only manual", &strict, vec![manual()], 2),
        ("no control at all", &strict, vec![], 2),
        ("score at the least", &score(50.0), vec![passing("1"), failing("2", Severity::Low)], 0),
        ("score below the least", &score(50.1), vec![passing("1"), failing("2", Severity::Low)], 1),
    ];
    for (name, policy, findings, code) in cases {
        let decision = gate(policy, findings.clone());
        assert_eq!(decision.exit().code(), *code, "{name}: {}", decision.sentence());
        assert!(!decision.reasons.is_empty(), "{name}");
        let words = ["FIT TO SHIP", "NOT FIT TO SHIP", "NO VERDICT"]
            [usize::from(if decision.verdict == Verdict::Shut { 1 } else { *code })];
        assert!(decision.sentence().starts_with(words), "{name}: {}", decision.sentence());
        assert_eq!(decision.sentence().contains("NOT ENFORCED"), *name == "report only, shut");
    }
}

#[test]
fn not_applicable_alone_is_no_verdict() {
    let mut one = passing("1");
    one.status = Status::NotApplicable;
    one.rules[0].status = Status::NotApplicable;
    let decision = gate(&Policy::default(), vec![one, manual()]);
    assert_eq!(decision.reasons, ["nothing was judged: 1 manual, 1 not applicable"]);
}

#[test]
fn the_reasons_say_what_and_how_many() {
    let mut findings: Vec<Finding> = (0..7).map(|at| failing(&format!("1.{at}"), Severity::High)).collect();
    findings.extend([failing("2", Severity::Low), unknown("3")]);
    let decision = gate(&Policy { fail_on: Severity::Medium, ..Policy::default() }, findings);
    assert_eq!(
        decision.reasons,
        [
            "7 high findings (1.0, 1.1, 1.2, 1.3, 1.4 and 2 more), the policy allows none",
            "1 control unknown (3), the policy allows none"
        ]
    );
    assert_eq!(decision.shut_by.len(), 8);
}

#[test]
fn a_waiver_clears_by_control_or_by_rule_and_changes_no_status() {
    for waiver in ["control = '2', expires = 2026-12-31", "rule = 'rule-2', expires = 2026-12-31"] {
        let (decision, scan) = waived(vec![passing("1"), failing("2", Severity::High)], waiver);
        assert_eq!(decision.verdict, Verdict::Ship, "{}", decision.sentence());
        assert_eq!(decision.waivers[0].state, WaiverState::Used);
        assert_eq!((scan.findings[1].status, scan.findings[1].waiver.as_deref()), (Status::Fail, Some("waivers.toml:1")));
        assert_eq!((scan.findings[0].waiver.as_deref(), scan.summary.fail), (None, 1));
    }
    let (decision, _) = waived(vec![unknown("2")], "control = '2', expires = 2026-12-31");
    assert_eq!(decision.verdict, Verdict::Ship, "what is unknown can be waived too");
}

#[test]
fn a_waiver_for_one_benchmark_of_a_scan_is_not_about_another() {
    let beside =
        |id: &str| Finding { benchmark: Some("golden-image".into()), control: id.into(), ..failing("2", Severity::High) };
    let verdict = |benchmark: &str| {
        let mut scan = scan(vec![failing("2", Severity::High), beside("leftovers.logs")]);
        let golden = BesideInfo { id: "golden-image".into(), title: "G".into(), version: "1".into(), controls: 1 };
        scan.benchmark.beside.push(golden);
        let text = format!("rule = 'rule-2', benchmark = '{benchmark}', expires = 2026-12-31");
        let decision = decide(&Policy::default(), &waivers(&text), None, &scan, TODAY);
        apply(&scan, &decision).findings.iter().map(|finding| finding.waiver.is_some()).collect::<Vec<_>>()
    };
    assert_eq!(verdict("golden-image"), [false, true]);
    assert_eq!(verdict(&scan(Vec::new()).benchmark.id), [true, false]);
}

#[test]
fn a_waiver_holds_through_its_last_day() {
    let findings = || vec![failing("2", Severity::High)];
    assert_eq!(waived(findings(), "control = '2', expires = 2026-11-24").0.verdict, Verdict::Ship);
    assert_eq!(waived(findings(), "control = '2', expires = 2026-11-23").0.verdict, Verdict::Shut);
}

#[test]
fn an_expired_waiver_shuts_the_gate_and_is_named_with_its_line_and_owner() {
    let (decision, scan) = waived(vec![passing("1"), passing("2")], "control = '2', expires = 2026-10-31");
    assert_eq!(decision.exit().code(), 1);
    assert_eq!(decision.reasons, ["the waiver for 2 ran out on 2026-10-31 (waivers.toml:1, owner: platform@)"]);
    assert_eq!(scan.findings[1].waiver, None);
    let (decision, _) = waived(vec![failing("2", Severity::Low)], "rule = 'rule-2', expires = 2026-10-31");
    assert!(decision.sentence().contains("waivers.toml:1, owner: platform@"), "{}", decision.sentence());
}

#[test]
fn an_expired_waiver_for_something_else_is_only_noted() {
    let (decision, _) = waived(vec![passing("1")], "control = '2', expires = 2026-10-31");
    assert_eq!((decision.verdict, decision.waivers[0].state), (Verdict::Ship, WaiverState::ExpiredElsewhere));
    assert!(decision.notes[0].contains("waivers.toml:1"), "{:?}", decision.notes);
    let (decision, _) = waived(vec![passing("1")], "control = '1', benchmark = 'other', expires = 2026-10-31");
    assert_eq!((decision.verdict, decision.notes.len()), (Verdict::Ship, 0));
}

#[test]
fn a_waiver_that_matches_nothing_is_reported_and_shuts_nothing() {
    let (decision, _) =
        waived(vec![passing("4.2.7")], "control = '4.2.77', expires = 2026-12-31\ncontrol = '4.2.7', expires = 2026-12-31");
    assert_eq!(decision.verdict, Verdict::Ship);
    assert!(decision.waivers.iter().all(|waiver| waiver.state == WaiverState::Unmatched));
    assert!(decision.notes[0].contains("waivers.toml:1") && decision.notes[0].contains("'4.2.7'"), "{:?}", decision.notes);
    assert!(decision.notes[1].contains("it passes"), "{:?}", decision.notes);
}

#[test]
fn a_waiver_for_paths_clears_only_if_all_evidence_lies_in_them() {
    let findings = || vec![failing("2", Severity::High)];
    let state = |text: &str| {
        let decision = waived(findings(), text).0;
        (decision.verdict, decision.waivers[0].state)
    };
    assert_eq!(state("control = '2', expires = 2026-12-31, paths = ['/srv/x/**']"), (Verdict::Ship, WaiverState::Used));
    assert_eq!(state("control = '2', expires = 2026-12-31, paths = ['/srv/x/a']"), (Verdict::Shut, WaiverState::Ineffective));
    let two =
        "control = '2', expires = 2026-12-31, paths = ['/srv/x/a']\nrule = 'rule-2', expires = 2026-12-31, paths = ['/srv/x/b']";
    let (decision, scan) = waived(findings(), two);
    assert_eq!((decision.verdict, scan.findings[0].waiver.as_deref()), (Verdict::Ship, Some("waivers.toml:1, waivers.toml:7")));
}

#[test]
fn a_waiver_for_paths_clears_nothing_whose_evidence_was_cut_or_is_not_there() {
    let mut cut = failing("2", Severity::High);
    cut.rules[0].evidence_total = 3;
    let mut none = failing("3", Severity::High);
    none.rules[0].evidence.clear();
    none.rules[0].evidence_total = 0;
    for one in [cut, none] {
        let control = one.control.clone();
        let (decision, _) = waived(vec![one.clone()], &format!("control = '{control}', expires = 2026-12-31, paths = ['/**']"));
        assert_eq!((decision.verdict, decision.waivers[0].state), (Verdict::Shut, WaiverState::Ineffective));
        let (decision, _) = waived(vec![one], &format!("control = '{control}', expires = 2026-12-31"));
        assert_eq!(decision.verdict, Verdict::Ship, "without paths it does");
    }
}

#[test]
fn a_finding_is_cleared_only_if_each_of_its_rules_is() {
    let both = || finding("2", Severity::High, vec![rule("a", Status::Fail, &["/x"]), rule("b", Status::Unknown, &["/y"])]);
    let a = "rule = 'a', expires = 2026-12-31";
    assert_eq!(waived(vec![both()], a).0.verdict, Verdict::Shut);
    assert_eq!(waived(vec![both()], &format!("{a}\ncontrol = '2', rule = 'b', expires = 2026-12-31")).0.verdict, Verdict::Ship);
    assert_eq!(waived(vec![both()], &format!("{a}\ncontrol = '3', rule = 'b', expires = 2026-12-31")).0.verdict, Verdict::Shut);
}

#[test]
fn a_baseline_lets_through_what_it_knew_and_nothing_else() {
    let against =
        |before: Vec<Finding>, now: Vec<Finding>| decide(&Policy::default(), &[], Some(&scan(before)), &scan(now), TODAY);
    let old = || vec![passing("1"), failing("2", Severity::High), unknown("3")];
    let decision = against(old(), old());
    assert_eq!(decision.verdict, Verdict::Ship);
    assert_eq!(decision.baseline.unwrap().known, ["2", "3"]);

    let mut moved = old();
    moved[1].rules[0].evidence[0].line = Some(9);
    moved[1].rules[0].evidence.pop();
    moved[1].rules[0].evidence_total = 1;
    assert_eq!(against(old(), moved).verdict, Verdict::Ship, "other lines, fewer places");

    let mut elsewhere = old();
    elsewhere[1].rules[0].evidence[0].path = "/srv/new".into();
    let decision = against(old(), elsewhere);
    assert_eq!(decision.reasons, ["1 new high finding (2), the policy allows none"]);

    let mut worse = old();
    worse[2] = failing("3", Severity::Low);
    assert_eq!(against(old(), worse).verdict, Verdict::Shut, "unknown before, failing now");
    let mut unread = old();
    unread[1] = unknown("2");
    assert_eq!(against(old(), unread).reasons, ["1 control newly unknown (2), the policy allows none"]);

    let mut cut = old();
    cut[1].rules[0].evidence_total = 3;
    assert_eq!(against(cut.clone(), cut).verdict, Verdict::Shut, "what was cut cannot be compared");
}

#[test]
fn with_a_baseline_the_score_may_not_fall() {
    let policy = Policy { fail_on: Severity::Critical, min_score: Some(90.0), ..Policy::default() };
    let half = || scan(vec![passing("1"), failing("2", Severity::Low)]);
    let third = || scan(vec![passing("1"), failing("2", Severity::Low), failing("3", Severity::Low)]);
    assert_eq!(decide(&policy, &[], Some(&half()), &half(), TODAY).verdict, Verdict::Ship);
    assert_eq!(decide(&policy, &[], Some(&half()), &third(), TODAY).verdict, Verdict::Shut);
}

fn any_scan() -> impl Strategy<Value = Scan> {
    let status = prop::sample::select(vec![Status::Pass, Status::Fail, Status::NotApplicable, Status::Manual, Status::Unknown]);
    let paths = prop::sample::subsequence(vec!["/srv/a", "/srv/b", "/etc/c"], 0..=3);
    let result = (0..3_usize, status, paths, 0..2_u64).prop_map(|(id, status, paths, cut)| {
        let mut result = rule(&format!("r{id}"), status, &paths);
        result.evidence_total += cut;
        result
    });
    let severity = prop::sample::select(Severity::ALL.to_vec());
    let one = (severity, prop::collection::vec(result, 0..3));
    prop::collection::vec(one, 0..5).prop_map(|all| {
        scan(all.into_iter().enumerate().map(|(at, (severity, rules))| finding(&format!("c{at}"), severity, rules)).collect())
    })
}

fn any_policy() -> impl Strategy<Value = Policy> {
    (prop::sample::select(Severity::ALL.to_vec()), 0..4_u64, prop::option::of(0.0..100.0_f64))
        .prop_map(|(fail_on, max_unknown, min_score)| Policy { fail_on, max_unknown, min_score, report_only: false })
}

fn any_waivers(expires: &'static str) -> impl Strategy<Value = Vec<Waiver>> {
    let subject = prop_oneof![
        (0..5_usize).prop_map(|at| format!("control = 'c{at}'")),
        (0..3_usize).prop_map(|at| format!("rule = 'r{at}'")),
        (0..5_usize, 0..3_usize).prop_map(|(at, id)| format!("control = 'c{at}', rule = 'r{id}'")),
    ];
    let paths = prop::sample::select(vec!["", ", paths = ['/srv/*']", ", paths = ['/etc/**']", ", paths = ['/srv/a']"]);
    let one = (subject, paths).prop_map(move |(subject, paths)| format!("{subject}, expires = {expires}{paths}"));
    prop::collection::vec(one, 0..4).prop_map(|lines| waivers(&lines.join("\n")))
}

proptest! {
    #[test]
    fn a_stricter_policy_never_opens_a_gate(
        scan in any_scan(), before in prop::option::of(any_scan()), one in any_policy(), other in any_policy(),
        waivers in any_waivers("2026-12-31"),
    ) {
        let stricter = Policy {
            fail_on: one.fail_on.min(other.fail_on),
            max_unknown: one.max_unknown.min(other.max_unknown),
            min_score: match (one.min_score, other.min_score) {
                (Some(one), Some(other)) => Some(one.max(other)),
                (one, other) => one.or(other),
            },
            report_only: false,
        };
        let exit = |policy: &Policy| decide(policy, &waivers, before.as_ref(), &scan, TODAY).exit();
        prop_assert!(exit(&stricter) >= exit(&one), "{stricter:?} against {one:?}");
    }

    #[test]
    fn one_more_waiver_never_shuts_a_gate(
        scan in any_scan(), before in prop::option::of(any_scan()), policy in any_policy(),
        few in any_waivers("2026-12-31"), more in any_waivers("2026-11-24"),
    ) {
        let all = [few.clone(), more].concat();
        let exit = |waivers: &[Waiver]| decide(&policy, waivers, before.as_ref(), &scan, TODAY).exit();
        prop_assert!(exit(&all) <= exit(&few));
    }

    #[test]
    fn an_expired_waiver_never_opens_a_gate(scan in any_scan(), policy in any_policy(), expired in any_waivers("2026-11-23")) {
        let exit = |waivers: &[Waiver]| decide(&policy, waivers, None, &scan, TODAY).exit();
        prop_assert!(exit(&expired) >= exit(&[]));
    }

    #[test]
    fn a_waived_finding_stays_in_the_scan_as_it_was(scan in any_scan(), waivers in any_waivers("2026-12-31")) {
        let decision = decide(&Policy::default(), &waivers, None, &scan, TODAY);
        let mut after = apply(&scan, &decision);
        for finding in &mut after.findings {
            let may = matches!(finding.status, Status::Fail | Status::Unknown);
            prop_assert!(finding.waiver.take().is_none() || may);
        }
        prop_assert_eq!(after, scan);
    }
}

#[test]
fn a_waiver_for_a_benchmark_that_nobody_knows_is_told() {
    let scan = scan(vec![failing("1", Severity::Low)]);
    let known = ["cis-debian-12", "golden-baseline"];
    let notes = |benchmark: &str, day: &str| {
        let waivers = waivers(&format!("control = '1', benchmark = '{benchmark}', expires = {day}"));
        let mut decision = decide(&Policy::default(), &waivers, None, &scan, TODAY);
        note_unknown_benchmarks(&mut decision, &scan, &known);
        decision.notes
    };
    for day in ["2027-01-01", "2026-01-01"] {
        let told = "the waiver for 1 (waivers.toml:1) matches nothing: no benchmark is called 'cis-debian-1x'; you may have meant \
                    'cis-debian-12'";
        assert_eq!(notes("cis-debian-1x", day), [told]);
    }
    assert!(notes("golden-baseline", "2027-01-01").is_empty());
    assert!(notes(&scan.benchmark.id, "2027-01-01").is_empty());
}
