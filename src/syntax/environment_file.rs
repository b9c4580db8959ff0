//! Files of variables as systemd reads them for `EnvironmentFile=` (`systemd.exec(5)`; `parse_env_file_internal()` in `env-file.c`). They look like
//! scripts of the shell and are not read as one: a value goes on behind a backslash or within quotes, and a carriage return ends a line.

/// A variable and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The line on which the name begins, from 1.
    pub line: u32,
    /// The name.
    pub name: Vec<u8>,
    /// The value without its quotes.
    pub value: Vec<u8>,
}

/// What a comment does that ends in a backslash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comment {
    /// It goes on in the next line: before systemd 254.
    GoesOn,
    /// It ends.
    Ends,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    BeforeName,
    Name,
    BeforeValue,
    Value,
    ValueEscape,
    SingleQuoted,
    DoubleQuoted,
    DoubleQuotedEscape,
    InComment,
    CommentEscape,
}

/// All assignments, in order; the last of a name counts.
///
/// # Errors
/// The line that depends on the version of systemd: it follows a comment that ends in a backslash.
pub fn parse(content: &[u8]) -> Result<Vec<Assignment>, u32> {
    let (older, newer) = (read(content, Comment::GoesOn), read(content, Comment::Ends));
    if older == newer {
        return Ok(newer);
    }
    let differs = newer.iter().find(|assignment| !older.contains(assignment)).or(newer.first());
    Err(differs.map_or(1, |assignment| assignment.line))
}

fn read(content: &[u8], comment: Comment) -> Vec<Assignment> {
    let mut reader = Reader { found: Vec::new(), start: 1, name: Vec::new(), value: Vec::new(), kept: 0 };
    let (mut state, mut line) = (State::BeforeName, 1_u32);
    for &byte in content.iter().take_while(|&&byte| byte != 0) {
        let ends = matches!(byte, b'\n' | b'\r');
        let is_blank = ends || matches!(byte, b' ' | b'\t');
        state = match state {
            State::BeforeName if matches!(byte, b'#' | b';') => State::InComment,
            State::BeforeName if is_blank => State::BeforeName,
            State::BeforeName => {
                reader.start = line;
                reader.name.push(byte);
                State::Name
            }
            State::Name if ends => {
                reader.name.clear();
                State::BeforeName
            }
            State::Name if byte == b'=' => State::BeforeValue,
            State::Name => {
                reader.name.push(byte);
                State::Name
            }
            State::BeforeValue | State::Value if ends => {
                reader.end();
                State::BeforeName
            }
            State::BeforeValue if byte == b'\'' => State::SingleQuoted,
            State::BeforeValue if byte == b'"' => State::DoubleQuoted,
            State::BeforeValue | State::Value if byte == b'\\' => State::ValueEscape,
            State::BeforeValue if is_blank => State::BeforeValue,
            State::BeforeValue | State::Value => {
                reader.push(byte, !is_blank);
                State::Value
            }
            State::ValueEscape => {
                if !ends {
                    reader.push(byte, true);
                }
                State::Value
            }
            State::SingleQuoted if byte == b'\'' => State::BeforeValue,
            State::DoubleQuoted if byte == b'"' => State::BeforeValue,
            State::DoubleQuoted if byte == b'\\' => State::DoubleQuotedEscape,
            State::SingleQuoted | State::DoubleQuoted => {
                reader.push(byte, true);
                state
            }
            State::DoubleQuotedEscape => {
                if byte != b'\n' {
                    if !matches!(byte, b'"' | b'\\' | b'`' | b'$') {
                        reader.push(b'\\', true);
                    }
                    reader.push(byte, true);
                }
                State::DoubleQuoted
            }
            State::InComment if byte == b'\\' => State::CommentEscape,
            State::InComment if ends => State::BeforeName,
            State::CommentEscape if ends && comment == Comment::Ends => State::BeforeName,
            State::InComment | State::CommentEscape => State::InComment,
        };
        line = line.saturating_add(u32::from(byte == b'\n'));
    }
    if !matches!(state, State::BeforeName | State::Name | State::InComment | State::CommentEscape) {
        reader.end();
    }
    reader.found
}

struct Reader {
    found: Vec<Assignment>,
    start: u32,
    name: Vec<u8>,
    value: Vec<u8>,
    /// How much of the value is kept when blanks at its end are cut off.
    kept: usize,
}

impl Reader {
    fn push(&mut self, byte: u8, keep: bool) {
        self.value.push(byte);
        if keep {
            self.kept = self.value.len();
        }
    }

    fn end(&mut self) {
        self.value.truncate(self.kept);
        self.kept = 0;
        let name = std::mem::take(&mut self.name).trim_ascii_end().to_vec();
        self.found.push(Assignment { line: self.start, name, value: std::mem::take(&mut self.value) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        let text_of = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        parse(text.as_bytes()).unwrap().iter().map(|found| (text_of(&found.name), text_of(&found.value))).collect()
    }

    #[test]
    fn values_go_on_behind_a_backslash_and_within_quotes() {
        for (text, value) in [
            ("A=-4 \\\n-x\n", "-4 -x"),
            ("A=\"-4 \\\n-x\"\n", "-4 -x"),
            ("A=\"-4\n-x\"", "-4\n-x"),
            ("A='-4\n-x'\n", "-4\n-x"),
            ("A =  b c \t\n", "b c"),
            ("A=a\\\nb", "ab"),
            ("A='a'\"b\" c\n", "abc"),
            ("A=a#b;c\n", "a#b;c"),
            ("A=a\"b\"\n", "a\"b\""),
            ("A=\"\\a\\$\\\\\"\n", "\\a$\\"),
            ("A=\n", ""),
        ] {
            assert_eq!(pairs(text), [("A".into(), value.into())], "{text:?}");
        }
    }

    #[test]
    fn a_carriage_return_ends_a_line_and_what_has_no_sign_is_passed_over() {
        assert_eq!(pairs("X=1\rA=2\r"), [("X".into(), "1".into()), ("A".into(), "2".into())]);
        assert_eq!(pairs("word\n# A=1\n; A=2\n  A=3\n"), [("A".into(), "3".into())]);
        assert_eq!(parse(b"\n\nA=1\n").unwrap()[0].line, 3);
        assert_eq!(pairs("export A=1\n"), [("export A".into(), "1".into())]);
    }

    #[test]
    fn a_comment_that_ends_in_a_backslash_depends_on_the_version() {
        assert_eq!(parse(b"# x \\\nA=1\n"), Err(2));
        assert!(parse(b"# x \\\n# A=1\nB=2\n").is_ok());
    }

    proptest! {
        #[test]
        fn never_panics(text in "[A=b \\\\\"'#;\n\r]{0,40}") {
            let _ = parse(text.as_bytes());
        }
    }
}
