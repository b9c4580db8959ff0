use super::*;

fn grants(content: &str) -> Vec<Grant> {
    let entries = parse(content.as_bytes());
    entries.into_iter().map(|entry| if let Entry::Grant(grant) = entry { grant } else { panic!("{entry:?}") }).collect()
}

fn settings(content: &str) -> Vec<(String, Operation)> {
    let entries = parse(content.as_bytes()).into_iter();
    let lines = entries.map(|entry| if let Entry::Defaults(line) = entry { line.settings } else { panic!("{entry:?}") });
    lines.flatten().map(|setting| (setting.name, setting.operation)).collect()
}

#[test]
fn a_tag_holds_for_the_commands_behind_it_until_it_is_taken_back() {
    let found = grants("joe ALL=(root) NOPASSWD: /bin/a, /bin/b, PASSWD: /bin/c\n");
    let asks: Vec<bool> = found.iter().map(|grant| grant.tags.iter().any(|(tag, _)| *tag == Tag::NoPasswd)).collect();
    assert_eq!(asks, [true, true, false]);
}

#[test]
fn a_number_behind_a_hash_is_an_id_and_no_comment() {
    let found = grants("#1000 ALL=NOPASSWD: ALL\n# 1000 ALL=ALL\n");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].users[0].name, "#1000");
}

#[test]
fn continued_lines_keep_their_numbers() {
    let found = grants("joe ALL = \\\n  /bin/a, \\\n  NOPASSWD: /bin/b\n");
    assert_eq!((found[0].line, found[1].line, found[1].tags[0].1), (2, 3, 3));
}

#[test]
fn options_with_signs_quotes_and_commas() {
    let found = settings("Defaults a, !b, c = +2.5,d+=\"x y\", e -= z # end\n");
    let is = |value: &str| Operation::Is(value.into());
    let names = ["a", "b", "c", "d", "e"].map(str::to_owned);
    let wanted = [Operation::On, Operation::Off, is("+2.5"), Operation::Adds("x y".into()), Operation::Removes("z".into())];
    assert_eq!(found, names.into_iter().zip(wanted).collect::<Vec<_>>());
}

#[test]
fn scopes_are_told_apart() {
    let scope = |line: &str| match parse(line.as_bytes()).remove(0) {
        Entry::Defaults(found) => found.scope,
        other => panic!("{other:?}"),
    };
    assert_eq!(scope("Defaults use_pty\n"), Scope::All);
    assert!(matches!(scope("Defaults:joe, %adm !use_pty\n"), Scope::Users(users) if users.len() == 2));
    assert!(matches!(scope("Defaults>root !use_pty\n"), Scope::Runas(_)));
    assert!(matches!(scope("Defaults@web !use_pty\n"), Scope::Hosts(_)));
    assert!(matches!(scope("Defaults!/bin/su !use_pty\n"), Scope::Commands(_)));
}

#[test]
fn a_longer_word_is_no_key_word() {
    let found = grants("Defaultsabc logfile=/var/log/sudo.log\n");
    assert_eq!((found[0].users[0].name.as_str(), found[0].hosts[0].name.as_str()), ("Defaultsabc", "logfile"));
}

#[test]
fn a_mistake_takes_its_line_with_it_and_no_more() {
    let found = parse(b"Defaults use_pty logfile=/x\nDefaults a\njoe ALL=ALL : bogus : web = NOPASSWD: /bin/a\n");
    assert_eq!(found[0], Entry::Broken { line: 1, column: 17 });
    assert!(matches!(found[1], Entry::Defaults(_)));
    assert!(
        matches!(&found[2..], [Entry::Grant(_), Entry::Broken { line: 3, .. }, Entry::Grant(last)] if last.hosts[0].name == "web")
    );
}

#[test]
fn includes_in_both_spellings() {
    let include = |path: &str, folder, line| Entry::Include { line, path: path.into(), folder };
    let found = parse(b"#include /a\n@includedir b\n@include \"c d\"\n #include /no\n#includes /no\n  @include e\\ f\n");
    assert_eq!(found, [include("/a", false, 1), include("b", true, 2), include("c d", false, 3), include("e f", false, 6)]);
}

#[test]
fn the_last_line_needs_no_end_but_a_continued_one_does() {
    assert_eq!(grants("joe ALL = (ALL) ALL").len(), 1);
    assert!(matches!(parse(b"joe ALL = ALL \\\n")[..], [Entry::Broken { .. }]));
}

proptest::proptest! {
    #[test]
    fn whatever_is_in_it_is_read_without_panic(content: Vec<u8>) {
        let _ = parse(&content);
    }

    #[test]
    fn what_looks_like_sudoers_is_read_without_panic(content in "([ \\\\\n\"#%:=,()!@+/^$\\-]|Defaults|ALL|NOPASSWD:|joe|sudoedit|#1|CWD=|User_Alias|X){0,40}") {
        let _ = parse(content.as_bytes());
    }
}
