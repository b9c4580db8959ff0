use super::*;

fn steps(script: &str) -> Vec<(u32, bool, Action)> {
    parse(script.as_bytes()).into_iter().map(|step| (step.line, step.certain, step.action)).collect()
}

fn masks(script: &str) -> Vec<(bool, Option<u32>)> {
    let umask = |(_, certain, action)| if let Action::Umask(mask) = action { Some((certain, mask)) } else { None };
    steps(script).into_iter().filter_map(umask).collect()
}

fn set(name: &str, text: &str, computed: bool) -> Action {
    Action::Sets { name: name.into(), text: text.into(), computed }
}

#[test]
fn masks_in_numbers_and_letters() {
    assert_eq!(
        masks("umask 027\numask 0077 # own\n  umask -S u=rwx,g=rx,o=\n"),
        [(true, Some(0o27)), (true, Some(0o77)), (true, Some(0o27))]
    );
    assert_eq!(masks("umask $1\numask g-w\n"), [(true, None), (true, None)]);
    assert_eq!(masks("umask\numask -S\numask 027022\numask 8\n# umask 0\necho umask 0\n"), []);
}

#[test]
fn what_stands_behind_a_condition_is_not_certain() {
    assert_eq!(masks("[ `umask` -eq 0 ] && umask 022\numask 077\n"), [(false, Some(0o22)), (true, Some(0o77))]);
    assert_eq!(
        masks("if [ $UID -gt 199 ]; then\n umask 002\nelse umask 022\nfi; umask 7\n"),
        [(false, Some(2)), (false, Some(0o22)), (true, Some(7))]
    );
    assert_eq!(
        masks("case $- in\n *i*) umask 2;;\n *) umask 3 ;;\nesac\numask 7\n"),
        [(false, Some(2)), (false, Some(3)), (true, Some(7))]
    );
    assert_eq!(
        masks("a() {\n umask 2\n}\nfunction b { umask 3; }\n{ umask 7; }\n"),
        [(false, Some(2)), (false, Some(3)), (true, Some(7))]
    );
}

#[test]
fn a_subshell_and_a_pipe_change_nothing() {
    assert_eq!(masks("(umask 0; x)\numask 0 | x\nx | umask 0\nx=$(umask 0)\numask 7\n"), [(true, Some(7))]);
}

#[test]
fn functions_in_all_spellings() {
    assert_eq!(
        masks("function a() {\n umask 2\n}\nb()\n{\n umask 3\n}\numask 7\n"),
        [(false, Some(2)), (false, Some(3)), (true, Some(7))]
    );
    assert_eq!(masks("((x = 1))\n(a; (b))\numask 7\n"), [(true, Some(7))]);
}

#[test]
fn nothing_counts_behind_the_end() {
    assert_eq!(masks("umask 7\nreturn\numask 0\n"), [(true, Some(7))]);
    assert_eq!(masks("[ -z \"$PS1\" ] && return\numask 7\n"), [(true, Some(7))]);
}

#[test]
fn here_documents_are_no_commands() {
    assert_eq!(masks("cat <<'END' >x\numask 0\nEND\numask 7\n"), [(true, Some(7))]);
}

#[test]
fn assignments_with_all_their_words() {
    let found = steps("TMOUT=900; readonly TMOUT ; export TMOUT\ndeclare -xr T=\"60\"\nA=$B C='$D'\nFOO=1 run it\n");
    let wanted = [
        (1, true, set("TMOUT", "900", false)),
        (1, true, Action::Fixes("TMOUT".into())),
        (2, true, set("T", "60", false)),
        (2, true, Action::Fixes("T".into())),
        (3, true, set("A", "$B", true)),
        (3, true, set("C", "$D", false)),
        (4, true, Action::Calls(vec!["FOO=1".into(), "run".into(), "it".into()])),
    ];
    assert_eq!(found, wanted);
}

#[test]
fn a_continued_line_is_one_command() {
    assert_eq!(masks("umask \\\n 027\nx &&\n umask 2\n"), [(true, Some(0o27)), (false, Some(2))]);
}

proptest::proptest! {
    #[test]
    fn whatever_is_in_it_is_read_without_panic(content: Vec<u8>) {
        let _ = parse(&content);
    }

    #[test]
    fn what_looks_like_a_script_is_read_without_panic(content in "([ \n;&|(){}$`'\"<>\\\\#=]|umask|if|fi|case|esac|in|A|[0-7]|function){0,40}") {
        let _ = parse(content.as_bytes());
    }
}

#[test]
fn the_commands_of_a_script() {
    let words = |text: &str| -> Vec<String> { commands(text.as_bytes()).iter().map(|words| words.join(" ")).collect() };
    assert_eq!(words("if [ -x /a ]; then\n  /a 'b c' | mail # /d\nfi\n"), ["[ -x /a ]", "/a b c", "mail"]);
    assert_eq!(
        words("f() { a; }\ncase $1 in b) c ;; esac"),
        ["a", "c"],
        "neither the name of a function nor a pattern is a command"
    );
    assert_eq!(words("[ -d /x ] && exit 0\na\nexit\nb\n"), ["[ -d /x ]", "exit 0", "a", "exit"]);
    assert_eq!(words("exec 2>/dev/null\n(exit 1)\nexec a\nb"), ["exec", "exit 1", "exec a"]);
}
