//! The main section of Exim's configuration (`spec.txt`, chapter 6): settings and macros, one a line.
//!
//! A backslash at the end continues a line, with the white space at the beginning of the next one taken away; lines whose first other
//! character is `#` are comments, also between a line and its continuation. The main section ends where a line says `begin`.

/// `name = value` of the main section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Line, from 1.
    pub line: u32,
    /// The name of the option, or of the macro, which begins with a capital letter.
    pub name: String,
    /// The value.
    pub value: String,
}

/// All settings before the first `begin`, whatever condition (`.ifdef`) they stand under.
#[must_use]
pub fn parse(content: &[u8]) -> Vec<Setting> {
    let mut found = Vec::new();
    let mut open: Option<(u32, String)> = None;
    for (number, text) in (1..).zip(content.split(|&byte| byte == b'\n')) {
        let text = String::from_utf8_lossy(text);
        let text = text.trim();
        if text.starts_with('#') {
            continue;
        }
        let (line, whole) = match open.take() {
            Some((line, before)) => (line, before + text),
            None => (number, text.to_owned()),
        };
        if let Some(more) = whole.strip_suffix('\\') {
            open = Some((line, more.to_owned()));
            continue;
        }
        if whole.split_whitespace().next() == Some("begin") {
            return found;
        }
        found.extend(setting(line, &whole));
    }
    found.extend(open.and_then(|(line, whole)| setting(line, &whole)));
    found
}

fn setting(line: u32, text: &str) -> Option<Setting> {
    let (name, value) = text.split_once('=')?;
    let name = name.trim();
    let is_name = !name.is_empty() && name.chars().all(|one| one.is_ascii_alphanumeric() || one == '_');
    is_name.then(|| Setting { line, name: name.to_owned(), value: value.trim().to_owned() })
}

/// The items of a list: separated by colons, or by what follows a `<` at its beginning; a doubled separator is one character.
#[must_use]
pub fn list(value: &str) -> Vec<String> {
    let value = value.trim();
    let mut inner = value.chars();
    let (separator, value) = match (inner.next(), inner.next()) {
        (Some('<'), Some(separator)) if separator.is_ascii_punctuation() => (separator, inner.as_str()),
        _ => (':', value),
    };
    let mut items = vec![String::new()];
    let mut characters = value.chars().peekable();
    while let Some(one) = characters.next() {
        if one != separator {
            items.last_mut().into_iter().for_each(|item| item.push(one));
        } else if characters.next_if_eq(&separator).is_some() {
            items.last_mut().into_iter().for_each(|item| item.push(one));
        } else {
            items.push(String::new());
        }
    }
    items.into_iter().map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_before_the_first_section() {
        let found = parse(b"# x = 1\nlocal_interfaces = 127.0.0.1 : \\\n  # between\n   ::::1\nM=a\nbegin acl\ny = 2\n");
        let shown: Vec<_> = found.iter().map(|one| (one.line, one.name.as_str(), one.value.as_str())).collect();
        assert_eq!(shown, [(2, "local_interfaces", "127.0.0.1 : ::::1"), (5, "M", "a")]);
    }

    #[test]
    fn lists_with_either_separator() {
        assert_eq!(list("127.0.0.1 : ::::1"), ["127.0.0.1", "::1"]);
        assert_eq!(list("<; 127.0.0.1 ; ::1"), ["127.0.0.1", "::1"]);
        assert!(list(" ").is_empty());
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(content: Vec<u8>, value in "[<;:a ]{0,20}") {
            let _ = (parse(&content), list(&value));
        }
    }
}
