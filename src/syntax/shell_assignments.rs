//! Plain assignments of a shell script: what is known without running it.

/// `NAME=value` at the beginning of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// Line, from 1.
    pub line: u32,
    /// The variable.
    pub name: String,
    /// Whether it adds to what the variable had: `NAME="$NAME more"` or `NAME+=more`.
    pub adds: bool,
    /// The text; nothing if it is computed (a command, another variable).
    pub value: Option<String>,
}

/// Every assignment that stands by itself on a line, in order.
#[must_use]
pub fn parse(content: &[u8]) -> Vec<Assignment> {
    let text = String::from_utf8_lossy(content);
    (1..).zip(text.lines()).filter_map(|(line, text)| assignment(line, text)).collect()
}

fn assignment(line: u32, text: &str) -> Option<Assignment> {
    let text = text.trim();
    let text = text.strip_prefix("export ").map_or(text, str::trim_start);
    let (name, value) = text.split_once('=')?;
    let (name, plus) = name.strip_suffix('+').map_or((name, false), |name| (name, true));
    let is_name = |name: &str| {
        !name.is_empty()
            && !name.starts_with(|first: char| first.is_ascii_digit())
            && name.chars().all(|one| one.is_ascii_alphanumeric() || one == '_')
    };
    if !is_name(name) {
        return None;
    }
    let word = unquote(value);
    let (adds, word) = match word {
        Some(word) => {
            let itself = [format!("${name}"), format!("${{{name}}}")];
            match itself.iter().find_map(|own| word.strip_prefix(own.as_str())) {
                Some(rest) => (true, Some(rest.trim_start().to_owned())),
                None => (plus, Some(word)),
            }
        }
        None => (plus, None),
    };
    let computed = |word: &String| word.contains(['$', '`']);
    Some(Assignment { line, name: name.to_owned(), adds, value: word.filter(|word| !computed(word)) })
}

/// One word of the shell without its quotes; nothing if more follows it than a comment, or a quote stays open.
fn unquote(text: &str) -> Option<String> {
    let mut word = String::new();
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), character) if character == open => quote = None,
            (None, '"' | '\'') => quote = Some(character),
            (None | Some('"'), '\\') => word.extend(characters.next()),
            (None, character) if character.is_whitespace() || character == ';' => {
                let rest = characters.as_str().trim_start();
                return (rest.is_empty() || rest.starts_with('#')).then_some(word);
            }
            (Some('\''), '$' | '`') => return None,
            (_, character) => word.push(character),
        }
    }
    quote.is_none().then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Assignment {
        parse(text.as_bytes()).remove(0)
    }

    #[test]
    fn plain_text_is_known_and_computed_text_is_not() {
        assert_eq!(one("GRUB_CMDLINE_LINUX=\"audit=1 ro\" # x").value.as_deref(), Some("audit=1 ro"));
        assert_eq!(one("A=$(uname -r)").value, None);
        assert_eq!(one("export A='x'").value.as_deref(), Some("x"));
        assert_eq!(one("A=b command").value, None, "a variable of one command only");
    }

    #[test]
    fn adding_to_itself_is_seen() {
        let added = one("GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX audit=1\"");
        assert_eq!((added.adds, added.value.as_deref()), (true, Some("audit=1")));
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_in_it_is_read_without_panic(content: Vec<u8>) {
            let _ = parse(&content);
        }
    }
}
