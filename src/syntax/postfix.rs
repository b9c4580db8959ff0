//! `main.cf` and `master.cf` of Postfix (`postconf(5)`, `master(5)`).
//!
//! A line that begins with white space continues the one before it; empty lines and those whose first other character is `#` are
//! passed over wherever they stand, between a line and its continuation too.

/// A parameter of `main.cf`, not expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Line, from 1.
    pub line: u32,
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// A service of `master.cf`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Line, from 1.
    pub line: u32,
    /// Its name: for `inet` a port, perhaps with a host before it.
    pub name: String,
    /// `inet`, `unix`, `fifo` or `pass`.
    pub kind: String,
    /// The program, such as `smtpd`.
    pub program: String,
}

/// How often a value may name another parameter; Postfix itself gives up at 20 (`mac_expand`).
const MAX_DEPTH: usize = 20;
/// A value that grows beyond this is made to fill the memory.
const MAX_VALUE: usize = 1 << 16;

fn logical(content: &[u8]) -> Vec<(u32, String)> {
    let mut found: Vec<(u32, String)> = Vec::new();
    for (line, text) in (1..).zip(content.split(|&byte| byte == b'\n')) {
        let text = String::from_utf8_lossy(text);
        let trimmed = text.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        if text.starts_with(char::is_whitespace) {
            if let Some((_, before)) = found.last_mut() {
                before.push(' ');
                before.push_str(trimmed);
            }
        } else {
            found.push((line, trimmed.to_owned()));
        }
    }
    found
}

/// The parameters of `main.cf`, in order: the last of a name counts.
#[must_use]
pub fn parameters(content: &[u8]) -> Vec<Parameter> {
    let lines = logical(content).into_iter();
    lines
        .filter_map(|(line, text)| {
            let (name, value) = text.split_once('=')?;
            Some(Parameter { line, name: name.trim().to_owned(), value: value.trim().to_owned() })
        })
        .collect()
}

/// The services of `master.cf`: eight fields and arguments; of two with one name and kind the last counts.
#[must_use]
pub fn services(content: &[u8]) -> Vec<Service> {
    let mut found: Vec<Service> = Vec::new();
    for (line, text) in logical(content) {
        let mut fields = text.split_whitespace();
        let (Some(name), Some(kind), Some(program)) = (fields.next(), fields.next(), fields.nth(5)) else { continue };
        let service = Service { line, name: name.into(), kind: kind.into(), program: program.into() };
        found.retain(|other| (&other.name, &other.kind) != (&service.name, &service.kind));
        found.push(service);
    }
    found
}

/// A value with `$name`, `${name}` and `$(name)` replaced.
///
/// # Errors
/// What cannot be told: a name that nothing sets, a choice such as `${name?text}`, names that lead back to themselves.
pub fn expand(value: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    expand_at(value, lookup, 0)
}

fn expand_at(value: &str, lookup: &dyn Fn(&str) -> Option<String>, depth: usize) -> Result<String, String> {
    if depth > MAX_DEPTH {
        return Err("its names lead back to themselves".into());
    }
    let mut out = String::new();
    let mut rest = value;
    while let Some((before, behind)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(behind) = behind.strip_prefix('$') {
            out.push('$');
            rest = behind;
            continue;
        }
        let is_name = |one: char| one.is_ascii_alphanumeric() || one == '_';
        let (name, after) =
            match behind.strip_prefix('{').map(|inner| (inner, '}')).or(behind.strip_prefix('(').map(|inner| (inner, ')'))) {
                Some((inner, close)) => inner.split_once(close).ok_or("a bracket is not closed")?,
                None => behind.split_at(behind.find(|one| !is_name(one)).unwrap_or(behind.len())),
            };
        if name.is_empty() || !name.chars().all(is_name) {
            return Err(format!("'{name}' is more than the name of a parameter"));
        }
        let inner = lookup(name).ok_or_else(|| format!("what ${name} is, is not known"))?;
        out.push_str(&expand_at(&inner, lookup, depth + 1)?);
        if out.len() > MAX_VALUE {
            return Err(format!("it grows beyond {MAX_VALUE} bytes"));
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_continued_over_comments() {
        let found = parameters(b"#a = 1\n  lost\ninet_interfaces =\n# between\n\n   127.0.0.1,\n\t::1\nb=2 # no comment\n");
        let shown: Vec<_> = found.iter().map(|one| (one.line, one.name.as_str(), one.value.as_str())).collect();
        assert_eq!(shown, [(3, "inet_interfaces", "127.0.0.1, ::1"), (8, "b", "2 # no comment")]);
    }

    #[test]
    fn services_with_their_arguments() {
        let text = b"smtp inet n - y - - smtpd\n  -o a=b\n#smtps inet n - y - - smtpd\nshort inet n\n127.0.0.1:25 inet n - y - 1 postscreen\nsmtp inet n - n - - smtpd\n";
        let found = services(text);
        let shown: Vec<_> = found.iter().map(|one| (one.line, one.name.as_str(), one.program.as_str())).collect();
        assert_eq!(shown, [(5, "127.0.0.1:25", "postscreen"), (6, "smtp", "smtpd")]);
    }

    #[test]
    fn names_are_replaced() {
        let lookup = |name: &str| match name {
            "a" => Some("x".to_owned()),
            "b" => Some("$(a)${a}".to_owned()),
            "loop" => Some("$loop$loop".to_owned()),
            _ => None,
        };
        assert_eq!(expand("$b, $a$$", &lookup), Ok("xx, x$".to_owned()));
        for unknown in ["$none", "${a?b}", "${a", "$loop", "$"] {
            assert!(expand(unknown, &lookup).is_err(), "{unknown}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(content: Vec<u8>, value in "[a${}() ?]{0,30}") {
            let _ = (parameters(&content), services(&content));
            let _ = expand(&value, &|_| Some(value.clone()));
        }
    }
}
