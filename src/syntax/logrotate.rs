//! `logrotate.conf(5)`, as logrotate 3.21 reads it (`readConfigFile` in its `config.c`).

/// One item of a file, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A directive for all that follows.
    Directive(Directive),
    /// Log files and their own directives.
    Stanza(Stanza),
}

/// A directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    /// Line, from 1.
    pub line: u32,
    /// The name; empty for a line that begins with neither a name nor a file.
    pub name: String,
    /// The rest of the line, where the directive takes any.
    pub value: Vec<u8>,
}

/// Log files and their own directives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stanza {
    /// The line of its first pattern, from 1.
    pub line: u32,
    /// The patterns of its log files, unquoted.
    pub patterns: Vec<Vec<u8>>,
    /// Its directives.
    pub directives: Vec<Directive>,
}

/// Directives that take the rest of their line; behind any other a `}` may follow on the same one.
const WITH_VALUE: [&str; 28] = [
    "include",
    "olddir",
    "create",
    "createolddir",
    "rotate",
    "start",
    "size",
    "maxsize",
    "minsize",
    "maxage",
    "minage",
    "mail",
    "compresscmd",
    "uncompresscmd",
    "compressext",
    "compressoptions",
    "extension",
    "addextension",
    "dateformat",
    "shredcycles",
    "su",
    "tabooext",
    "taboopat",
    "errors",
    "weekly",
    "mailfirst",
    "maillast",
    "minutes",
];

/// Directives that begin a script, which ends with `endscript`.
const SCRIPTS: [&str; 5] = ["prerotate", "postrotate", "firstaction", "lastaction", "preremove"];

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    line: u32,
}

/// Reads all items. A stanza that is not closed ends with its file.
#[must_use]
pub fn parse(content: &[u8]) -> Vec<Item> {
    let mut reader = Reader { text: content, at: 0, line: 1 };
    let mut items = Vec::new();
    let mut open: Option<Stanza> = None;
    while let Some(first) = reader.next_item() {
        match (first, &mut open) {
            (b'}', Some(_)) => {
                reader.at += 1;
                items.extend(open.take().map(Item::Stanza));
            }
            (b'/' | b'"' | b'\'' | b'~', None) => open = Some(reader.patterns()),
            (first, open) => {
                let directive = if first.is_ascii_alphabetic() {
                    reader.directive()
                } else {
                    let line = reader.line;
                    reader.skip_line();
                    Some(Directive { line, name: String::new(), value: Vec::new() })
                };
                match open {
                    Some(stanza) => stanza.directives.extend(directive),
                    None => items.extend(directive.map(Item::Directive)),
                }
            }
        }
    }
    items.extend(open.map(Item::Stanza));
    items
}

impl Reader<'_> {
    fn rest(&self) -> &[u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn advance(&mut self, by: usize) {
        let passed = self.text.get(self.at..self.at.saturating_add(by)).unwrap_or_default();
        self.line += u32::try_from(memchr::memchr_iter(b'\n', passed).count()).unwrap_or(0);
        self.at += by;
    }

    fn to_line_end(&self) -> usize {
        let rest = self.rest();
        rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len())
    }

    fn skip_line(&mut self) {
        self.at += self.to_line_end();
    }

    /// Passes over blanks and comments; gives what comes next.
    fn next_item(&mut self) -> Option<u8> {
        loop {
            match *self.rest().first()? {
                b'#' => self.skip_line(),
                blank if blank.is_ascii_whitespace() => self.advance(1),
                other => return Some(other),
            }
        }
    }

    /// Nothing for a script, which is passed over.
    fn directive(&mut self) -> Option<Directive> {
        let line = self.line;
        let length = self.rest().iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
        let name = String::from_utf8_lossy(self.rest().get(..length).unwrap_or_default()).into_owned();
        self.at += length;
        if SCRIPTS.contains(&name.as_str()) {
            self.skip_script();
            return None;
        }
        let mut value = Vec::new();
        if WITH_VALUE.contains(&name.as_str()) {
            let end = self.to_line_end();
            let text = self.rest().get(..end).unwrap_or_default();
            // A weekday may follow `weekly`, and so may the end of the stanza.
            let closes = text.iter().position(|&byte| byte == b'}').filter(|_| name == "weekly");
            let text = text.get(..closes.unwrap_or(end)).unwrap_or_default();
            value = text.trim_ascii().strip_prefix(b"=").unwrap_or(text.trim_ascii()).trim_ascii().to_vec();
            self.at += text.len();
        }
        Some(Directive { line, name, value })
    }

    fn skip_script(&mut self) {
        loop {
            self.skip_line();
            if self.rest().is_empty() {
                return;
            }
            self.advance(1);
            let end = self.to_line_end();
            let line = self.rest().get(..end).unwrap_or_default().trim_ascii();
            if line.strip_prefix(b"endscript").is_some_and(|after| after.is_empty() || after.starts_with(b" ")) {
                self.skip_line();
                return;
            }
        }
    }

    /// The patterns up to the opening brace, several lines of them or one.
    fn patterns(&mut self) -> Stanza {
        let line = self.line;
        let rest = self.rest();
        let end = rest.iter().position(|&byte| byte == b'{').unwrap_or(rest.len());
        let patterns = words(rest.get(..end).unwrap_or_default());
        self.advance(end + 1);
        Stanza { line, patterns, directives: Vec::new() }
    }
}

/// Words, with quotes and backslashes as in a shell (`poptParseArgvString`).
fn words(text: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        match (quote, byte) {
            (Some(open), close) if open == close => quote = None,
            (None, b'"' | b'\'') => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (None, blank) if blank.is_ascii_whitespace() => found.extend(word.take()),
            (_, b'\\') => word.get_or_insert_default().extend(bytes.next()),
            (_, plain) => word.get_or_insert_default().push(plain),
        }
    }
    found.extend(word);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stanzas(text: &str) -> Vec<Stanza> {
        let stanza = |item| if let Item::Stanza(stanza) = item { Some(stanza) } else { None };
        parse(text.as_bytes()).into_iter().filter_map(stanza).collect()
    }

    fn names(stanza: &Stanza) -> Vec<&str> {
        stanza.directives.iter().map(|directive| directive.name.as_str()).collect()
    }

    #[test]
    fn patterns_over_several_lines_and_the_brace_on_its_own() {
        let found = stanzas("/var/log/syslog\n\"/var/log/with space\" '/b'\n{\n\trotate 4\n\tweekly\n}\n");
        assert_eq!(found[0].patterns, [&b"/var/log/syslog"[..], b"/var/log/with space", b"/b"]);
        assert_eq!((found[0].line, names(&found[0])), (1, vec!["rotate", "weekly"]));
        assert_eq!((found[0].directives[0].line, &found[0].directives[0].value[..]), (4, &b"4"[..]));
    }

    #[test]
    fn all_on_one_line() {
        let found = stanzas("/a { monthly }\n/b { weekly }\n/c { daily\nnocreate }\n");
        assert_eq!(found.iter().map(names).collect::<Vec<_>>(), [vec!["monthly"], vec!["weekly"], vec!["daily", "nocreate"]]);
    }

    #[test]
    fn scripts_hold_no_directives() {
        let found = stanzas("/a {\n postrotate\n  create 0777\n endscript\n create 0600 root adm\n}\n");
        assert_eq!((names(&found[0]), found[0].directives[0].line), (vec!["create"], 5));
    }

    #[test]
    fn directives_for_all_and_lines_that_are_none() {
        let items = parse(b"# c\nweekly\n= nothing\ncreate=0600\ninclude /etc/logrotate.d # x\n");
        let all: Vec<_> = items
            .iter()
            .map(|item| if let Item::Directive(one) = item { (one.line, one.name.as_str(), &one.value[..]) } else { panic!() })
            .collect();
        assert_eq!(all, [(2, "weekly", &b""[..]), (3, "", b""), (4, "create", b"0600"), (5, "include", b"/etc/logrotate.d # x")]);
    }

    #[test]
    fn a_stanza_that_is_not_closed() {
        assert_eq!(names(&stanzas("/a {\n daily\n")[0]), ["daily"]);
        assert!(stanzas("/a\n")[0].directives.is_empty());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(content: Vec<u8>) {
            let _ = parse(&content);
        }

        #[test]
        fn any_text_like_one_is_read_without_a_panic(content in "(/a|\\{|\\}|daily|create 0|postrotate|endscript|\"|'|#|=|\\\\| |\n){0,50}") {
            let _ = parse(content.as_bytes());
        }
    }
}
