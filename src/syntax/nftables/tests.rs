use proptest::prelude::*;

use super::super::packet_rule::Action;
use super::*;

fn run(text: &str) -> Result<Ruleset, Flaw> {
    tokens(text.as_bytes(), 0).and_then(Ruleset::run)
}

fn chain(text: &str, name: &str) -> Chain {
    let ruleset = run(text).unwrap();
    ruleset.tables.values().find_map(|table| table.chains.get(name)).unwrap().clone()
}

fn flaw(text: &str) -> (u32, bool) {
    let flaw = run(text).unwrap_err();
    (flaw.line, flaw.refused)
}

#[test]
fn a_block_and_commands_say_the_same() {
    let block = chain(
        "#!/usr/sbin/nft -f\nflush ruleset\ntable inet filter {\n chain input {\n  type filter hook input priority filter; policy drop;\n  iif lo accept\n }\n}\n",
        "input",
    );
    let commands = chain(
        "add table inet filter\nadd chain inet filter input { type filter hook input priority 0 ; policy drop ; }\nadd rule inet filter input iif \"lo\" accept\n",
        "input",
    );
    for chain in [&block, &commands] {
        let base = chain.base.as_ref().unwrap();
        assert!(base.drops && base.hook == "input" && base.kind == "filter" && chain.rules.len() == 1);
        assert_eq!(chain.rules[0].action, Action::Accept);
    }
    assert_eq!((block.base.unwrap().line, block.rules[0].line), (5, 6));
}

#[test]
fn everything_on_one_line() {
    let found = chain(
        "table ip f { chain c { type filter hook input priority 0; policy drop; iif lo accept; tcp dport { 22, 80 } accept; }; set s { type ipv4_addr; }; chain d { }; }",
        "c",
    );
    assert!(found.base.unwrap().drops);
    assert_eq!(found.rules.len(), 2);
    assert!(found.rules[1].ports.as_ref().unwrap().include("tcp", 80));
}

#[test]
fn rules_are_taken_apart() {
    let text = "define LO = lo\ndefine NETS = { 127.0.0.0/8,\n 10.0.0.0/8 }\ntable inet f {\n chain c {\n  ct state established,related accept\n  iifname != $LO ip saddr $NETS counter packets 0 bytes 0 log prefix \"x: \" level info drop comment \"y\"\n  meta iifname \"eth*\" meta nfproto ipv6 jump other\n  ip6 saddr ::1 \\\n   counter drop\n  ip saddr @bad drop\n  tcp dport 22 limit rate 3/minute accept\n  counter\n  reject with icmpx type admin-prohibited\n  ct state vmap { invalid : drop, new : jump fresh }\n  iif vmap { lo : accept, eth0:drop }\n }\n chain other { }\n chain fresh { }\n}\n";
    let rules = chain(text, "c").rules;
    let seen: Vec<_> = rules.iter().map(|rule| (rule.line, rule.narrowed, rule.action.clone())).collect();
    let jump = |name: &str| Action::Jump(name.into());
    assert_eq!(
        seen,
        [
            (6, false, Action::Accept),
            (7, false, Action::Drop),
            (8, false, jump("other")),
            (9, false, Action::Drop),
            (11, true, Action::Drop),
            (12, true, Action::Accept),
            (13, false, Action::Continue),
            (14, false, Action::Drop),
            (15, false, Action::Drop),
            (15, false, jump("fresh")),
            (16, false, Action::Accept),
            (16, false, Action::Drop),
        ]
    );
    assert!(rules[1].input.as_ref().unwrap().except && rules[1].source.as_ref().unwrap().networks.len() == 2);
    assert_eq!((rules[2].version, rules[3].version), (Some(6), Some(6)));
    assert!(rules[2].input.as_ref().unwrap().names[0].prefix);
    assert_eq!(rules[10].input.as_ref().unwrap().names[0].text, "lo");
}

#[test]
fn later_commands_change_earlier_ones() {
    let text = "table inet f { chain c { type filter hook input priority 0; policy drop; accept; }; }\n";
    assert!(run(&format!("{text}flush ruleset\n")).unwrap().tables.is_empty());
    assert!(run(&format!("{text}delete table inet f\n")).unwrap().tables.is_empty());
    assert_eq!(run(&format!("{text}flush ruleset ip\n")).unwrap().tables.len(), 1);
    assert!(chain(&format!("{text}flush chain inet f c\n"), "c").rules.is_empty());
    assert!(!chain(&format!("{text}add chain inet f c {{ policy accept; }}\n"), "c").base.unwrap().drops);
    assert_eq!(chain(&format!("{text}insert rule inet f c drop\n"), "c").rules[0].action, Action::Drop);
    let dormant = run(&format!("{text}table inet f {{ flags dormant; }}\n")).unwrap();
    assert!(dormant.tables.values().all(|table| table.dormant));
}

#[test]
fn what_nft_refuses_and_what_is_not_followed() {
    assert_eq!(flaw("table inet f {\n chain c {\n}\n"), (1, true));
    assert_eq!(flaw("\n! /usr/sbin/nft -f\n"), (2, true));
    assert_eq!(flaw("table inet f { chain c { iif $NO accept; }; }\n"), (1, true));
    assert_eq!(flaw("add rule inet f c accept\n"), (1, true));
    assert_eq!(flaw("table f { chain c { type filter hook input priority 0; policy reject; }; }\n"), (1, true));
    assert_eq!(flaw("table f {}\ndelete rule f c handle 3\n"), (2, false));
    assert_eq!(flaw("x \"open\n"), (1, true));
    assert_eq!(flaw("table f {\n chain c {\n  jump d\n }\n}\ntable f {\n chain d { }\n}\n"), (3, true));
    assert!(run("table f {\n chain c {\n  jump d\n }\n chain d { }\n}\n").is_ok());
    assert_eq!(flaw("table f { chain c { accept } }\n"), (1, false));
}

#[test]
fn variables_cannot_make_a_few_lines_into_millions_of_words() {
    let mut text = String::from("define a0 = { 1, 2 }\n");
    for number in 1..64 {
        text.push_str(&format!("define a{number} = {{ $a{0}, $a{0} }}\n", number - 1));
    }
    assert!(!flaw(&text).1);
}

proptest! {
    #[test]
    fn any_bytes_are_parsed(content in prop::collection::vec(any::<u8>(), 0..300), text in "((add |table |chain |rule |inet |f |c |type filter hook input priority 0|policy drop|iif |lo |ip saddr |vmap |define a = |\\$a|counter |log prefix |accept|[{};,:\n\"\\\\#=!])){0,40}") {
        for content in [&content, text.as_bytes()] {
            let _ = tokens(content, 0).and_then(Ruleset::run);
        }
    }
}
