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
pub enum Comment {
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

/// All assignments, in order; the last of a name counts. Nothing where systemd refuses the whole file: one with a NUL byte
/// (`read_full_stream_full()`), or with a name or a value that is not UTF-8 (`check_utf8ness_and_warn()`).
#[must_use]
pub fn parse(content: &[u8], comment: Comment) -> Option<Vec<Assignment>> {
    if content.contains(&0) {
        return None;
    }
    let found = read(content, comment);
    let is_text = |text: &[u8]| std::str::from_utf8(text).is_ok();
    found.iter().all(|one| is_text(&one.name) && is_text(&one.value)).then_some(found)
}

fn read(content: &[u8], comment: Comment) -> Vec<Assignment> {
    let mut reader = Reader { found: Vec::new(), start: 1, name: Vec::new(), value: Vec::new(), kept: 0 };
    let (mut state, mut line) = (State::BeforeName, 1_u32);
    for &byte in content {
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

/// The words of a variable that stands for several (`$NAME` in `ExecStart=`): parted by white space, quoted by `'` or `"`, a backslash before
/// anything stands for that. A quote that stays open ends with the text (`replace_env_argv()`, `EXTRACT_UNQUOTE | EXTRACT_RELAX`).
#[must_use]
pub fn words(value: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    let mut bytes = value.iter().copied();
    while let Some(byte) = bytes.next() {
        match (quote, byte) {
            (_, b'\\') => word.get_or_insert_default().extend(bytes.next()),
            (Some(open), close) if open == close => quote = None,
            (None, b'\'' | b'"') => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (None, b' ' | b'\t' | b'\n' | b'\r') => found.extend(word.take()),
            (_, plain) => word.get_or_insert_default().push(plain),
        }
    }
    found.extend(word);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        let text_of = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        parse(text.as_bytes(), Comment::Ends).unwrap().iter().map(|found| (text_of(&found.name), text_of(&found.value))).collect()
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
        assert_eq!(parse(b"\n\nA=1\n", Comment::Ends).unwrap()[0].line, 3);
        assert_eq!(pairs("export A=1\n"), [("export A".into(), "1".into())]);
    }

    #[test]
    fn a_comment_that_ends_in_a_backslash_depends_on_the_version() {
        let content = b"# x \\\nA=1\n;y\nB=2\n";
        assert_eq!(parse(content, Comment::GoesOn).unwrap().len(), 1);
        assert_eq!(parse(content, Comment::Ends).unwrap().len(), 2);
    }

    #[test]
    fn a_file_that_systemd_refuses_says_nothing() {
        for content in [&b"A=1\nB=\0\n"[..], b"A=1\nB=\xff\n", b"A=1\n\xff="] {
            assert_eq!(parse(content, Comment::Ends), None);
        }
        assert_eq!(parse(b"A=1\n# \xff\n\xff\n", Comment::Ends).unwrap().len(), 1, "what is no variable is not looked at");
    }

    #[test]
    fn a_variable_becomes_words() {
        let words = |text: &str| -> Vec<String> {
            words(text.as_bytes()).into_iter().map(|word| String::from_utf8(word).unwrap()).collect()
        };
        assert_eq!(words("-4\n-x\t'a b'\"c\" \\-d # e"), ["-4", "-x", "a bc", "-d", "#", "e"]);
        assert_eq!(words("'' 'open x"), ["", "open x"]);
    }

    proptest! {
        #[test]
        fn never_panics(text in "[A=b \\\\\"'#;\n\r]{0,40}") {
            let _ = (parse(text.as_bytes(), Comment::GoesOn), words(text.as_bytes()));
        }
    }
}
