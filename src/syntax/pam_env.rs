//! `pam_env.conf(5)`, as `_parse_line` of Linux-PAM's `pam_env.c` reads it.

/// A variable and what it is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Line, from 1: the first where a line is continued.
    pub line: u32,
    /// The name.
    pub name: String,
    /// What it is without an `OVERRIDE`, or where that comes out empty; `${…}` and `@{…}` as written.
    pub default: Option<String>,
    /// What it is where this does not come out empty.
    pub over: Option<String>,
}

/// Every variable, in order. A line with a word that is neither `DEFAULT=` nor `OVERRIDE=` is left out as a whole.
#[must_use]
pub fn parse(content: &[u8]) -> Vec<Variable> {
    let mut found = Vec::new();
    let mut open: Option<(u32, String)> = None;
    for (number, line) in (1..).zip(content.split(|&byte| byte == b'\n')) {
        let line = String::from_utf8_lossy(line);
        let text = line.trim();
        if text.starts_with('#') {
            continue;
        }
        let (first, mut whole) = open.take().unwrap_or((number, String::new()));
        if let Some(text) = text.strip_suffix('\\') {
            whole.push_str(text);
            whole.push(' ');
            open = Some((first, whole));
        } else {
            whole.push_str(text);
            found.extend(variable(first, &whole));
        }
    }
    found.extend(open.and_then(|(first, whole)| variable(first, &whole)));
    found
}

fn variable(line: u32, text: &str) -> Option<Variable> {
    let text = text.trim();
    let (name, mut rest) = text.split_at(text.find([' ', '\t']).unwrap_or(text.len()));
    let mut variable = Variable { line, name: name.to_owned(), default: None, over: None };
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return (!name.is_empty()).then_some(variable);
        }
        let (slot, value) = match rest.strip_prefix("DEFAULT=") {
            Some(value) => (&mut variable.default, value),
            None => (&mut variable.over, rest.strip_prefix("OVERRIDE=")?),
        };
        let (value, left) = match value.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => value.split_at(value.find([' ', '\t']).unwrap_or(value.len())),
        };
        // Quotes have to be around all of it.
        if !(left.is_empty() || left.starts_with([' ', '\t'])) {
            return None;
        }
        *slot = Some(value.to_owned());
        rest = left;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_and_overrides() {
        let found =
            parse(b"# PATH DEFAULT=/x\nPATH DEFAULT=/tmp:/usr/bin \\\n OVERRIDE=\"${A} b\"\nX DEFAULT=\"a\"b\nY whatever\nZ\n");
        let shown: Vec<_> =
            found.iter().map(|one| (one.line, one.name.as_str(), one.default.as_deref(), one.over.as_deref())).collect();
        assert_eq!(shown, [(2, "PATH", Some("/tmp:/usr/bin"), Some("${A} b")), (6, "Z", None, None)]);
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_in_it_is_read_without_panic(content: Vec<u8>) {
            let _ = parse(&content);
        }
    }
}
