//! apt's configuration (`apt.conf(5)`): a tree of names, written flat (`A::B "1";`) or nested (`A { B "1"; };`).

/// A value that is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Line of the value, from 1.
    pub line: u32,
    /// The whole name in lower case (names do not mind case), parts joined by `::`. Elements of a list have the list's name.
    pub name: String,
    /// The value without its quotes; nothing where the name is cleared (`#clear`).
    pub value: Option<String>,
}

/// Names deeper than this are not read: apt's own go to five.
const MAX_DEPTH: usize = 32;

/// Reads a file. What is no configuration is passed over: apt would stop there, and nothing of what it then does is known better.
#[must_use]
pub fn parse(content: &[u8]) -> Vec<Setting> {
    let (mut settings, mut above, mut words) = (Vec::new(), Vec::<String>::new(), Vec::<String>::new());
    for (line, token) in tokens(content) {
        match token {
            Token::Word(word) => words.push(word),
            Token::Open => {
                // A block within too many others keeps its place, so that its end is found, and has no name.
                let name = words.first().filter(|_| above.len() < MAX_DEPTH).cloned().unwrap_or_default();
                above.push(name);
                words.clear();
            }
            Token::Close => {
                above.pop();
                words.clear();
            }
            Token::End => {
                let full = |name: &str| full(&above, name);
                match words.as_slice() {
                    [clear, name] if clear == "#clear" => settings.push(Setting { line, name: full(name), value: None }),
                    [include, _] if include == "#include" => {}
                    [name, value] => settings.push(Setting { line, name: full(name), value: Some(value.clone()) }),
                    [value] => settings.push(Setting { line, name: full(""), value: Some(value.clone()) }),
                    _ => {}
                }
                words.clear();
            }
        }
    }
    settings
}

/// A name with those of the blocks it stands in.
fn full(above: &[String], name: &str) -> String {
    let parts: Vec<&str> = above.iter().map(String::as_str).chain([name]).filter(|name| !name.is_empty()).collect();
    parts.join("::").trim_end_matches("::").to_ascii_lowercase()
}

enum Token {
    Word(String),
    Open,
    Close,
    End,
}

fn tokens(content: &[u8]) -> Vec<(u32, Token)> {
    let (mut all, mut line, mut rest) = (Vec::new(), 1_u32, content);
    while let Some((&first, after)) = rest.split_first() {
        let skip_to = |end: &[u8]| memchr::memmem::find(rest, end).map_or(rest.len(), |at| at + end.len());
        let is_directive = rest.starts_with(b"#clear") || rest.starts_with(b"#include");
        let mut take = 1;
        match first {
            b'\n' => {}
            b'{' => all.push((line, Token::Open)),
            b'}' => all.push((line, Token::Close)),
            b';' => all.push((line, Token::End)),
            b'#' if !is_directive => take = memchr::memchr(b'\n', rest).unwrap_or(rest.len()),
            b'/' if after.first() == Some(&b'/') => take = memchr::memchr(b'\n', rest).unwrap_or(rest.len()),
            b'/' if after.first() == Some(&b'*') => take = skip_to(b"*/"),
            b'"' => {
                let length = memchr::memchr(b'"', after).unwrap_or(after.len());
                let word = after.get(..length).unwrap_or_default();
                all.push((line, Token::Word(String::from_utf8_lossy(word).into_owned())));
                take = (length + 2).min(rest.len());
            }
            byte if byte.is_ascii_whitespace() => {}
            _ => {
                let ends = |byte: &u8| byte.is_ascii_whitespace() || b"{};\"".contains(byte);
                take = rest.iter().position(ends).unwrap_or(rest.len()).max(1);
                all.push((line, Token::Word(String::from_utf8_lossy(rest.get(..take).unwrap_or_default()).into_owned())));
            }
        }
        let taken = rest.get(..take).unwrap_or(rest);
        line = line.saturating_add(u32::try_from(memchr::memchr_iter(b'\n', taken).count()).unwrap_or(u32::MAX));
        rest = rest.get(take..).unwrap_or_default();
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(u32, String, Option<String>)> {
        parse(text.as_bytes()).into_iter().map(|setting| (setting.line, setting.name, setting.value)).collect()
    }

    #[test]
    fn flat_and_nested_say_the_same() {
        let wanted = |line| vec![(line, "apt::periodic::unattended-upgrade".to_owned(), Some("1".to_owned()))];
        assert_eq!(read("APT::Periodic::Unattended-Upgrade \"1\";\n"), wanted(1));
        assert_eq!(read("APT {\n  Periodic { // each day\n    Unattended-Upgrade \"1\"; };\n};\n"), wanted(3));
        assert_eq!(read("APT::Periodic\n{\n  Unattended-Upgrade 1;\n}\n"), wanted(3));
    }

    #[test]
    fn comments_lists_and_what_is_cleared() {
        assert_eq!(
            read("# APT::A \"1\";\n// APT::A \"1\";\n/* APT::A \"1\";\n*/ A:: \"x\";"),
            [(4, "a".into(), Some("x".into()))]
        );
        assert_eq!(read("A { \"x\"; };"), [(1, "a".into(), Some("x".into()))]);
        assert_eq!(read("#clear A::B;"), [(1, "a::b".into(), None)]);
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_in_it_is_read_without_panic(content: Vec<u8>) {
            let _ = parse(&content);
        }
    }
}
