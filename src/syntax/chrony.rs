//! `chrony.conf(5)` and the files it takes in: a directive and its arguments on each line.
//!
//! As chronyd reads it (`CPS_NormalizeLine` of `util.c`, `conf.c`): white space counts once and not at all around a line, a line that
//! begins with `!`, `;`, `#` or `%` is a comment, and names of directives are the same in any case.

/// One line that is neither empty nor a comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    /// Line, from 1.
    pub line: u32,
    /// The name, in small letters.
    pub name: String,
    /// What follows it.
    pub arguments: Vec<String>,
    /// Whether the line ends with a line feed: chronyd passes over one in a file of sources that does not, since it may be half written.
    pub terminated: bool,
}

/// Every directive, in order, whether chronyd knows it or not.
#[must_use]
pub fn parse(content: &[u8]) -> Vec<Directive> {
    let lines = (1..).zip(content.split_inclusive(|&byte| byte == b'\n'));
    lines.filter_map(|(line, text)| directive(line, text)).collect()
}

fn directive(line: u32, text: &[u8]) -> Option<Directive> {
    let terminated = text.ends_with(b"\n");
    let text = String::from_utf8_lossy(text);
    let mut words = text.split([' ', '\t', '\n', '\r', '\u{b}', '\u{c}']).filter(|word| !word.is_empty());
    let name = words.next().filter(|name| !name.starts_with(['!', ';', '#', '%']))?;
    Some(Directive { line, name: name.to_ascii_lowercase(), arguments: words.map(str::to_owned).collect(), terminated })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_and_case_do_not_matter_and_comments_take_a_whole_line() {
        let found = parse(b"# pool a\n\n  SERVER\t b  iburst # no comment\r\n%x\n!y\n;z\npool c");
        let shown: Vec<_> =
            found.iter().map(|one| (one.line, one.name.as_str(), one.arguments.join(" "), one.terminated)).collect();
        assert_eq!(shown, [(3, "server", "b iburst # no comment".into(), true), (7, "pool", "c".into(), false)]);
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(content: Vec<u8>) {
            let _ = parse(&content);
        }
    }
}
