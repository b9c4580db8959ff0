//! Unit files of systemd, and everything else in that syntax: `systemd.syntax(7)`, `config_parse()` in systemd's `conf-parser.c`.
//!
//! Quoting and specifiers (`%i`) belong to each setting and are left alone here. An assignment of nothing (`Key=`) is kept as data: for
//! most lists it takes back what came before, for dependencies it does nothing, and only the reader of the setting knows which.

use nom::Parser as _;
use nom::bytes::complete::{is_not, tag};
use nom::combinator::rest;
use nom::sequence::separated_pair;

/// The longest logical line; systemd gives the whole file up beyond it (`LONG_LINE_MAX`).
pub const MAX_LINE: usize = 1 << 20;

/// One assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The line it starts on, from 1.
    pub line: u32,
    /// The section it stands in.
    pub section: String,
    /// The name.
    pub key: String,
    /// The value, blanks around it taken off and continued lines joined. Empty for `Key=`.
    pub value: String,
}

/// Where and why systemd stops reading a file: a unit file is then not loaded at all, of a drop-in what came before counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken {
    /// Line, from 1.
    pub line: u32,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// A unit file or a drop-in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnitFile {
    /// The assignments in order.
    pub settings: Vec<Setting>,
    /// Where reading stopped, if it did.
    pub broken: Option<Broken>,
}

/// Parses a file.
///
/// As in systemd: lines end with `\n`, `\r`, NUL or two different ones of them; a line whose first character after blanks is `#` or
/// `;` is a comment, also between continued lines; a backslash at the end of a line (that no other backslash escapes) stands for a
/// blank and continues it, on an empty line too; assignments outside any section and lines without `=` are passed over; a section header
/// without its `]` and a line that is not UTF-8 end the reading.
#[must_use]
pub fn parse(content: &[u8]) -> UnitFile {
    let mut file = UnitFile::default();
    let mut section = None;
    let mut continued: Option<(u32, Vec<u8>)> = None;
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    for (line, text) in (1..).zip(Lines(content)) {
        if text.trim_ascii_start().first().is_some_and(|first| matches!(first, b'#' | b';')) {
            continue;
        }
        let (start, mut joined) = continued.take().unwrap_or((line, Vec::new()));
        joined.extend_from_slice(text);
        if joined.len() > MAX_LINE {
            file.broken = Some(Broken { line, reason: "the line is too long" });
            return file;
        }
        if ends_escaped(&joined) {
            joined.pop();
            joined.push(b' ');
            continued = Some((start, joined));
            continue;
        }
        if let Err(broken) = statement(start, &joined, &mut section, &mut file.settings) {
            file.broken = Some(broken);
            return file;
        }
    }
    if let Some((start, joined)) = continued {
        file.broken = statement(start, &joined, &mut section, &mut file.settings).err();
    }
    file
}

/// Whether the last backslash is one that nothing escapes.
fn ends_escaped(line: &[u8]) -> bool {
    line.iter().rev().take_while(|&&byte| byte == b'\\').count() % 2 == 1
}

fn statement(line: u32, text: &[u8], section: &mut Option<String>, settings: &mut Vec<Setting>) -> Result<(), Broken> {
    let text = std::str::from_utf8(strip(text)).map_err(|_| Broken { line, reason: "the line is not UTF-8" })?;
    if let Some(header) = text.strip_prefix('[') {
        let name = header.strip_suffix(']').ok_or(Broken { line, reason: "the section header has no ]" })?;
        if name.chars().any(|character| character.is_control() || matches!(character, '"' | '\'' | '\\')) {
            return Err(Broken { line, reason: "the section header has characters that it cannot have" });
        }
        *section = Some(name.to_owned());
        return Ok(());
    }
    let mut assignment = separated_pair(is_not::<_, _, nom::error::Error<&str>>("="), tag("="), rest);
    if let (Some(section), Ok((_, (key, value)))) = (section, assignment.parse(text)) {
        let part = |part: &str| String::from_utf8_lossy(strip(part.as_bytes())).into_owned();
        settings.push(Setting { line, section: section.clone(), key: part(key), value: part(value) });
    }
    Ok(())
}

/// Without the blanks around it; only these are blank to systemd (`WHITESPACE`).
fn strip(text: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    let start = text.iter().position(|byte| !blank(byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    text.get(start..end).unwrap_or_default()
}

/// Lines as `read_line()` sees them: a run of different end markers, each at most once, is one end.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r' | 0);
        let end = self.0.iter().position(is_end).unwrap_or(self.0.len());
        let (line, mut left) = self.0.split_at_checked(end)?;
        let mut seen: Vec<u8> = Vec::with_capacity(3);
        while let Some((marker, after)) = left.split_first()
            && is_end(marker)
            && !seen.contains(marker)
        {
            seen.push(*marker);
            left = after;
        }
        self.0 = left;
        Some(line)
    }
}

/// Splits a value into words as `extract_first_word()` does for lists of names: blanks part words, quotes hold them together, and a
/// backslash takes the next character as it is. Unit names keep their `\x2d`: only quotes and blanks need the backslash there.
#[must_use]
pub fn words(value: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = value.chars().peekable();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), close) if open == close => quote = None,
            (None, '"' | '\'') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, ' ' | '\t' | '\n' | '\r') => found.extend(word.take()),
            (_, '\\') => {
                let word = word.get_or_insert_default();
                match characters.next_if(|next| matches!(next, '"' | '\'' | ' ' | '\\')) {
                    Some(escaped) => word.push(escaped),
                    None => word.push('\\'),
                }
            }
            (_, plain) => word.get_or_insert_default().push(plain),
        }
    }
    found.extend(word);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Vec<(u32, String, String, String)> {
        let file = parse(text.as_bytes());
        assert_eq!(file.broken, None);
        file.settings.into_iter().map(|one| (one.line, one.section, one.key, one.value)).collect()
    }

    fn setting(line: u32, section: &str, key: &str, value: &str) -> (u32, String, String, String) {
        (line, section.into(), key.into(), value.into())
    }

    #[test]
    fn sections_assignments_and_both_kinds_of_comments() {
        let text = "# a\n[Unit]\n ; b\nDescription = x # not a comment\n\n[Service]\nExecStart=/bin/x -a=b\nExecStart=\n";
        assert_eq!(
            settings(text),
            [
                setting(4, "Unit", "Description", "x # not a comment"),
                setting(7, "Service", "ExecStart", "/bin/x -a=b"),
                setting(8, "Service", "ExecStart", "")
            ]
        );
    }

    #[test]
    fn a_comment_between_continued_lines_is_passed_over() {
        assert_eq!(
            settings("[S]\nA=1 \\\n# no\n  2 \\\n;\n3\nB=4\n"),
            [setting(2, "S", "A", "1    2  3"), setting(7, "S", "B", "4")]
        );
    }

    #[test]
    fn an_escaped_backslash_does_not_continue() {
        assert_eq!(settings("[S]\nA=x\\\\\nB=1"), [setting(2, "S", "A", "x\\\\"), setting(3, "S", "B", "1")]);
    }

    #[test]
    fn a_line_continued_into_the_end_of_the_file_counts() {
        assert_eq!(settings("[S]\nA=x\\"), [setting(2, "S", "A", "x")]);
        assert_eq!(settings("[S]\nA=x\\\n\nB=1"), [setting(2, "S", "A", "x"), setting(4, "S", "B", "1")]);
    }

    #[test]
    fn line_ends_of_every_system() {
        assert_eq!(settings("[S]\r\nA=1\r\nB=2\r"), [setting(2, "S", "A", "1"), setting(3, "S", "B", "2")]);
    }

    #[test]
    fn what_stands_outside_a_section_or_has_no_equals_sign_is_passed_over() {
        assert_eq!(settings("A=1\n[S]\nnonsense\n=x\nB=2"), [setting(5, "S", "B", "2")]);
    }

    #[test]
    fn a_header_that_does_not_end_breaks_the_file() {
        let file = parse(b"[S]\nA=1\n[T\nB=2\n");
        assert_eq!((file.settings.len(), file.broken.unwrap().line), (1, 3));
        assert_eq!(parse(b"[S]\nA=\xff\n").broken.unwrap().line, 2);
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_line() {
        assert_eq!(settings("\u{feff}[S]\nA=1"), [setting(2, "S", "A", "1")]);
    }

    #[test]
    fn words_are_split_outside_quotes() {
        assert_eq!(words("a.service  \"b c\" d\\x2de.mount"), ["a.service", "b c", "d\\x2de.mount"]);
        assert!(words(" ").is_empty());
    }

    proptest::proptest! {
        #[test]
        fn no_input_makes_it_panic(content: Vec<u8>, text in "[\\[\\]=\\\\a\r\n#;\" ]{0,80}") {
            let _ = parse(&content);
            let _ = parse(text.as_bytes());
            let _ = words(&text);
        }
    }
}
