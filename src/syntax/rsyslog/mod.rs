//! `rsyslog.conf(5)` in both its syntaxes, which may be mixed freely: selectors with actions and `$Directives` of old, and RainerScript.
//!
//! Modelled after rsyslog's own scanner and grammar (`grammar/lexer.l`, `grammar/grammar.y`, `readConfFile` in `grammar/rainerscript.c`,
//! version 8.2302), quirks included: a backslash at the end of a line joins the next one to it, *even of a comment*; a selector counts
//! only at the beginning of a line; `$Name` takes the rest of its line as it is.

mod object;
mod script;
mod selector;

pub use object::{Param, Value};
pub use selector::{FACILITIES, PriorityMask, selector};

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The line it begins on, from 1.
    pub line: u32,
    /// What it says.
    pub kind: Kind,
}

/// What a statement says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// `$Name value`. The name is in lower case.
    Directive {
        /// The name, without its `$`, in lower case.
        name: String,
        /// The rest of the line.
        value: Vec<u8>,
    },
    /// `$IncludeConfig` or `include()`.
    Include {
        /// The file, directory or pattern; nothing for `include(text=…)`.
        pattern: Option<Vec<u8>>,
    },
    /// `module()`, `input()`, `global()`, `template()` and the like.
    Object {
        /// The kind of object, in lower case.
        name: String,
        /// Its parameters.
        params: Vec<Param>,
    },
    /// `ruleset(name=…) { … }`.
    Ruleset {
        /// Its parameters.
        params: Vec<Param>,
        /// What it holds.
        body: Vec<Statement>,
    },
    /// `action(…)`.
    Action(Vec<Param>),
    /// An action of old: `/var/log/syslog`, `-/var/log/syslog`, `@host`, `:omusrmsg:*`.
    Legacy(Vec<u8>),
    /// What is done with messages that pass a filter.
    Filtered {
        /// The filter.
        filter: Filter,
        /// What is done with those that pass.
        body: Vec<Statement>,
        /// What is done with the others.
        otherwise: Vec<Statement>,
    },
    /// `stop` (`~` of old is a [`Kind::Legacy`]).
    Stop,
    /// `call NAME`.
    Call(Vec<u8>),
    /// A comment that goes on to the end of the file, and through it: behind an include that ends so, the rest of the file that includes
    /// it is comment too.
    UnclosedComment,
    /// Whatever neither logs nor listens: variables, loops over them, blocks of BSD that are no longer supported.
    Other,
}

/// A filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// `facility.priority;…`.
    Priority(Vec<u8>),
    /// `:property, operation, "value"`.
    Property(Vec<u8>),
    /// `if … then`, or a loop.
    Expression(Vec<u8>),
}

/// Where and why rsyslog refuses a file. It does not start with such a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Line, from 1.
    pub line: u32,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// Blocks within blocks; no real configuration has ten.
pub const MAX_DEPTH: usize = 64;

/// Parses one file.
///
/// # Errors
/// Where rsyslog would refuse it.
pub fn parse(content: &[u8]) -> Result<Vec<Statement>, Refused> {
    script::Script::new(&Text::join(content)).all()
}

/// The text that the scanner sees, with the line each part came from.
struct Text {
    bytes: Vec<u8>,
    /// Offset in `bytes` and line, ascending.
    lines: Vec<(usize, u32)>,
}

impl Text {
    /// Joins continued lines: blanks at the end of a line do not count, nor do those at the beginning of the line that continues it.
    fn join(content: &[u8]) -> Self {
        let mut text = Self { bytes: Vec::with_capacity(content.len() + 1), lines: Vec::new() };
        let mut continues = false;
        for (number, line) in (1..).zip(content.split(|&byte| byte == b'\n')) {
            let line = line.split(|&byte| byte == 0).next().unwrap_or_default().trim_ascii_end();
            let line = if continues { line.trim_ascii_start() } else { line };
            text.lines.push((text.bytes.len(), number));
            let (line, goes_on) = line.strip_suffix(b"\\").map_or((line, false), |before| (before, true));
            text.bytes.extend_from_slice(line);
            // An empty line in the middle of a continued one does not end it.
            continues = goes_on || (continues && line.is_empty());
            if !continues {
                text.bytes.push(b'\n');
            }
        }
        text.bytes.push(b'\n');
        text
    }

    fn line(&self, offset: usize) -> u32 {
        let after = self.lines.partition_point(|&(start, _)| start <= offset);
        after.checked_sub(1).and_then(|at| self.lines.get(at)).map_or(1, |&(_, line)| line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(u32, Kind)> {
        parse(text.as_bytes()).unwrap().into_iter().map(|statement| (statement.line, statement.kind)).collect()
    }

    fn legacy(text: &str) -> Kind {
        Kind::Legacy(text.as_bytes().to_vec())
    }

    fn by_priority(selector: &str, line: u32, body: &[Kind]) -> Kind {
        Kind::Filtered {
            filter: Filter::Priority(selector.as_bytes().to_vec()),
            body: body.iter().map(|kind| Statement { line, kind: kind.clone() }).collect(),
            otherwise: Vec::new(),
        }
    }

    #[test]
    fn a_selector_and_its_actions() {
        let found = kinds("# c\n*.*;auth,authpriv.none\t-/var/log/syslog\nmail.*  @@loghost:514\n& ~\n");
        assert_eq!(found[0], (2, by_priority("*.*;auth,authpriv.none", 2, &[legacy("-/var/log/syslog")])));
        let Kind::Filtered { body, .. } = &found[1].1 else { panic!() };
        assert_eq!(
            body.iter().map(|one| (one.line, &one.kind)).collect::<Vec<_>>(),
            [(3, &legacy("@@loghost:514")), (4, &legacy("~"))]
        );
    }

    #[test]
    fn directives_take_the_rest_of_their_line() {
        assert_eq!(
            kinds("  $FileCreateMode 0640 # x\n"),
            [(1, Kind::Directive { name: "filecreatemode".into(), value: b" 0640 # x".to_vec() })]
        );
        assert_eq!(
            kinds("$IncludeConfig /etc/rsyslog.d/*.conf\n"),
            [(1, Kind::Include { pattern: Some(b"/etc/rsyslog.d/*.conf".to_vec()) })]
        );
    }

    #[test]
    fn objects_over_several_lines_with_comments_in_them() {
        let found =
            kinds("module(load=\"imtcp\" # the module\n  /* a */ MaxSessions=\"5\")\ninput(type=\"imtcp\" port=\"514\")\n");
        let Kind::Object { name, params } = &found[0].1 else { panic!() };
        assert_eq!((name.as_str(), params.len(), params[1].name.as_str()), ("module", 2, "maxsessions"));
        assert_eq!(params[0].value.text(), b"imtcp");
        assert_eq!(found[1].0, 3);
    }

    #[test]
    fn conditions_with_blocks_and_else() {
        let text = "if $programname == 'then' and prifilt(\"mail.*\") then {\n  action(type=\"omfile\" file=\"/a\")\n  stop\n} else {\n *.* /b\n}\n";
        let found = kinds(text);
        let Kind::Filtered { filter: Filter::Expression(expression), body, otherwise } = &found[0].1 else { panic!() };
        assert!(expression.ends_with(b"prifilt(\"mail.*\") "));
        assert_eq!((body.len(), otherwise.len(), body[1].line), (2, 1, 3));
        assert_eq!(body[1].kind, Kind::Stop);
    }

    #[test]
    fn filters_on_properties() {
        let found = kinds(":msg, contains, \"[UFW \" /var/log/ufw.log\n:programname,isequal,\"a\\\"b\" stop\n");
        let Kind::Filtered { filter: Filter::Property(filter), body, .. } = &found[0].1 else { panic!() };
        assert_eq!((&filter[..], &body[0].kind), (&b":msg, contains, \"[UFW \""[..], &legacy("/var/log/ufw.log")));
        assert!(matches!(&found[1].1, Kind::Filtered { body, .. } if body[0].kind == Kind::Stop));
    }

    #[test]
    fn a_comment_that_ends_in_a_backslash_swallows_the_next_line() {
        assert_eq!(kinds("# see C:\\\n*.* /var/log/all\nmail.* /b\n"), [(3, by_priority("mail.*", 3, &[legacy("/b")]))]);
    }

    #[test]
    fn continued_lines_keep_the_number_of_their_first() {
        let found = kinds("mail.*;\\\n   auth.* \\\n  /b\n*.* /c\n");
        assert_eq!(found[0], (1, by_priority("mail.*;auth.*", 3, &[legacy("/b")])));
        assert_eq!(found[1].0, 4);
    }

    #[test]
    fn rulesets_and_includes() {
        let found =
            kinds("ruleset(name=\"r\") {\n  include(file=\"/x/*.conf\" mode=\"optional\")\n  call other\n}\ncall again\n");
        let Kind::Ruleset { body, .. } = &found[0].1 else { panic!() };
        assert_eq!(body[0].kind, Kind::Include { pattern: Some(b"/x/*.conf".to_vec()) });
        assert_eq!(found[1].1, Kind::Call(b"again".to_vec()));
    }

    #[test]
    fn variables_and_loops() {
        let text = "set $.a = 'x;then';\nunset $.a;\nforeach ($.i in $!list) do {\n /var/log/each\n}\nreload_lookup_table(\"t\", \"u\")\n";
        let found = kinds(text);
        assert_eq!((&found[0].1, &found[1].1, &found[3].1), (&Kind::Other, &Kind::Other, &Kind::Other));
        assert!(matches!(&found[2].1, Kind::Filtered { body, .. } if body[0].kind == legacy("/var/log/each")));
    }

    #[test]
    fn what_rsyslog_refuses() {
        let line = |text: &str| parse(text.as_bytes()).unwrap_err().line;
        assert_eq!(line("*.* /a\n}\n"), 2);
        assert_eq!(line("action(type=\"omfile\" file=/a)\n"), 1);
        assert_eq!(line("& stop\n"), 1);
        assert_eq!(line("\nif $msg contains \"a\" { stop }\n"), 2);
        assert_eq!(line("ruleset(name=\"r\") {\n stop\n"), 3);
        assert_eq!(line("mail.*\n"), 2);
        assert_eq!(line("else stop\n"), 1);
        assert_eq!(line("call r\n"), 2);
    }

    #[test]
    fn what_rsyslog_only_complains_of() {
        assert_eq!(kinds("/* open\n*.* /a\n"), [(3, Kind::UnclosedComment)]);
        assert_eq!(kinds("=;\n*.* /a\n").len(), 1);
        let found = kinds(":msg, contains \"x\" stop\n");
        assert_eq!(found.last().unwrap().1, Kind::Stop, "a filter that is none leaves what follows it without one");
    }

    #[test]
    fn blocks_within_blocks_are_bounded() {
        let deep = "if 1 then {\n".repeat(100_000);
        assert_eq!(parse(deep.as_bytes()).unwrap_err().reason, "blocks are nested too deeply");
        let deep = "if 1 then ".repeat(100_000);
        assert_eq!(parse(deep.as_bytes()).unwrap_err().reason, "blocks are nested too deeply");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(content: Vec<u8>) {
            let _ = parse(&content);
        }

        #[test]
        fn any_text_like_one_is_read_without_a_panic(
            content in "((if |then |\\{|\\}|\\(|\\)|stop|call |set |;|\\*\\.\\* |/a|@b|\\$x |&|action|input|=|\"|'|#|\\\\|/\\*|\\*/|:a, b, |\n| ){0,60})"
        ) {
            let _ = parse(content.as_bytes());
        }
    }
}
