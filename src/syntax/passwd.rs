//! `passwd(5)`, as glibc's `files` service reads it (nss/nss_files, `LINE_PARSER` in `fgetpwent_r.c`).

/// A line that is neither empty nor a comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line<'a> {
    /// Line, from 1.
    pub line: u32,
    /// What it holds.
    pub entry: Entry<'a>,
}

/// What a line holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry<'a> {
    /// An account.
    Account(Account<'a>),
    /// `+…` or `-…`: takes accounts from NIS where `nsswitch.conf` says `compat`, and is no account of its own.
    Nis(&'a [u8]),
    /// Passed over by the system, for this reason.
    Malformed(&'static str),
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account<'a> {
    /// The login name.
    pub name: &'a [u8],
    /// The password field; a secret unless it is `x`.
    pub password: &'a [u8],
    /// The user id.
    pub uid: u32,
    /// The group id.
    pub gid: u32,
    /// The comment.
    pub gecos: &'a [u8],
    /// The home directory.
    pub home: &'a [u8],
    /// The login program: all the rest of the line, colons and a carriage return included.
    pub shell: &'a [u8],
}

/// Reads all lines. Blanks at the beginning are passed over, and whatever follows the ids may be missing.
#[must_use]
pub fn parse(content: &[u8]) -> Vec<Line<'_>> {
    lines(content).map(|(line, text)| Line { line, entry: entry(text) }).collect()
}

fn entry(text: &[u8]) -> Entry<'_> {
    let mut rest = text;
    let name = field(&mut rest);
    if let Some(b'+' | b'-') = name.first() {
        return Entry::Nis(name);
    }
    let password = field(&mut rest);
    let (Some(uid), Some(gid)) = (number(field(&mut rest)), number(field(&mut rest))) else {
        return Entry::Malformed("the user or group id is no number");
    };
    let (gecos, home) = (field(&mut rest), field(&mut rest));
    Entry::Account(Account { name, password, uid, gid, gecos, home, shell: rest })
}

/// The lines that are neither empty nor comments, without blanks at their beginning, with their numbers. A NUL ends a line, as
/// everywhere in C.
pub(super) fn lines(content: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    (1..).zip(content.split(|&byte| byte == b'\n')).filter_map(|(number, line)| {
        let line = line.split(|&byte| byte == 0).next().unwrap_or_default();
        let line = skip_blanks(line);
        (!line.is_empty() && line.first() != Some(&b'#')).then_some((number, line))
    })
}

/// Without what `isspace` takes for a blank at the beginning, the vertical tab included.
fn skip_blanks(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| !matches!(byte, b' ' | b'\t'..=b'\r')).unwrap_or(text.len());
    text.get(start..).unwrap_or_default()
}

/// Takes the next field, up to a colon or the end.
pub(super) fn field<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let end = rest.iter().position(|&byte| byte == b':').unwrap_or(rest.len());
    let (taken, left) = rest.split_at_checked(end).unwrap_or((rest, b""));
    *rest = left.get(1..).unwrap_or_default();
    taken
}

/// A whole field as a number, the way `strtoul` and glibc's `INT_FIELD` take it: blanks and a sign first, a negative one wraps at 64
/// bits, and what does not fit into 32 bits is none. So -1 is none, and -18446744073709551615 is 1.
pub(super) fn number(field: &[u8]) -> Option<u32> {
    let text = skip_blanks(field);
    let (negative, digits) = match text.split_first() {
        Some((b'-', digits)) => (true, digits),
        Some((b'+', digits)) => (false, digits),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().try_fold(0_u64, |value, digit| value.checked_mul(10)?.checked_add(u64::from(digit - b'0')));
    let value = value.map(|value| if negative { value.wrapping_neg() } else { value });
    value.and_then(|value| u32::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(text: &str) -> Entry<'_> {
        parse(text.as_bytes()).remove(0).entry
    }

    fn uid(text: &str) -> Option<u32> {
        match only(text) {
            Entry::Account(account) => Some(account.uid),
            _ => None,
        }
    }

    #[test]
    fn a_plain_line() {
        let Entry::Account(account) = only("root:x:0:0:root:/root:/bin/bash\n") else { panic!() };
        assert_eq!((account.name, account.uid, account.home, account.shell), (&b"root"[..], 0, &b"/root"[..], &b"/bin/bash"[..]));
    }

    #[test]
    fn an_indented_line_is_an_account_all_the_same() {
        assert_eq!(uid("  \ttoor:x:0:0::/:/bin/sh"), Some(0));
    }

    #[test]
    fn what_follows_the_ids_may_be_missing() {
        assert_eq!(uid("a:x:5:6"), Some(5));
        assert!(matches!(only("a:x:5"), Entry::Malformed(_)));
        assert!(matches!(only("a:x:5x:6:::"), Entry::Malformed(_)));
    }

    #[test]
    fn ids_are_read_as_strtoul_does() {
        assert_eq!(uid("a:x: +7:6:::"), Some(7));
        assert_eq!(uid("a:x:-1:6:::"), None);
        assert_eq!(uid("a:x:-0:6:::"), Some(0));
        assert_eq!(uid("a:x:-18446744073709551615:6:::"), Some(1));
        assert_eq!(uid("a:x:4294967295:6:::"), Some(u32::MAX));
        assert_eq!(uid("a:x:99999999999999999999999:6:::"), None);
        assert_eq!(uid("a:x:000:6:::"), Some(0));
    }

    #[test]
    fn a_carriage_return_belongs_to_the_shell() {
        let Entry::Account(account) = only("a:x:1:1::/:/bin/sh\r\n") else { panic!() };
        assert_eq!(account.shell, b"/bin/sh\r");
    }

    #[test]
    fn comments_empty_lines_and_nis_lines() {
        let lines = parse(b"# c\n\n+\n-bad::::::\n+@group::::::\n");
        assert_eq!(lines.iter().map(|line| line.line).collect::<Vec<_>>(), [3, 4, 5]);
        assert!(lines.iter().all(|line| matches!(line.entry, Entry::Nis(_))));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(content: Vec<u8>) {
            let _ = parse(&content);
        }

        #[test]
        fn any_line_like_one_is_read_without_a_panic(content in "[-+a-z0-9: #\\x00]{0,60}") {
            let _ = parse(content.as_bytes());
        }
    }
}
