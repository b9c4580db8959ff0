//! `shadow(5)` and `gshadow(5)`, as glibc reads them (`LINE_PARSER` in `shadow/sgetspent_r.c` and `gshadow/sgetsgent_r.c`).

use super::group::members;
use super::passwd::{field, lines, number};

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
    /// The password of an account, with its ageing.
    Password(Password<'a>),
    /// `+…` or `-…`: NIS.
    Nis(&'a [u8]),
    /// Passed over by the system, which then knows no password of this account, for this reason.
    Malformed(&'a [u8], &'static str),
}

/// The password of an account, with its ageing. Numbers are days; nothing where the field is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Password<'a> {
    /// The login name.
    pub name: &'a [u8],
    /// The password field; a secret.
    pub password: &'a [u8],
    /// Day of the last change, since 1970.
    pub changed: Option<i32>,
    /// Days before it may be changed again.
    pub min: Option<i32>,
    /// Days after which it has to be changed.
    pub max: Option<i32>,
    /// Days of warning before that.
    pub warn: Option<i32>,
    /// Days after that until it is no longer accepted.
    pub inactive: Option<i32>,
    /// Day on which the account ends, since 1970.
    pub expires: Option<i32>,
}

/// Reads all lines. A line may end after `max`, in the form of old; a field that is neither empty nor a number spoils the line.
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
    let spoilt = Entry::Malformed(name, "a field is missing, or is neither empty nor a number");
    let mut numbers = [None; 6];
    for (index, slot) in numbers.iter_mut().enumerate() {
        if rest.trim_ascii_start().is_empty() {
            // The first three have to be there, the others come together or not at all.
            if index == 3 {
                break;
            }
            return spoilt;
        }
        if index == 3 {
            rest = rest.trim_ascii_start();
        }
        let text = field(&mut rest);
        *slot = match days(text) {
            None if !text.is_empty() => return spoilt,
            days => days,
        };
    }
    if !rest.is_empty() && days(rest).is_none() {
        return spoilt;
    }
    let [changed, min, max, warn, inactive, expires] = numbers;
    Entry::Password(Password { name, password, changed, min, max, warn, inactive, expires })
}

/// A number of days. glibc goes through an unsigned number to a signed one of 32 bits, so 4294967295 is -1. What does not fit into 32
/// bits, -1 itself among it, makes glibc 2.36 give the line up; older ones and shadow-utils read -1, and so do we: a limit that
/// somebody meant to switch off is then seen as one that is off.
fn days(field: &[u8]) -> Option<i32> {
    let text = field.trim_ascii_start();
    let digits = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    number(field).map(u32::cast_signed).or(is_number.then_some(-1))
}

/// A group's line of `gshadow(5)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupLine<'a> {
    /// Line, from 1.
    pub line: u32,
    /// The group.
    pub name: &'a [u8],
    /// The password field; a secret.
    pub password: &'a [u8],
    /// Who may change the group.
    pub administrators: Vec<&'a [u8]>,
    /// Who is in it.
    pub members: Vec<&'a [u8]>,
}

/// Reads all lines of `gshadow`, NIS lines left out.
#[must_use]
pub fn parse_groups(content: &[u8]) -> Vec<GroupLine<'_>> {
    let one = |(line, text): (u32, _)| {
        let mut rest: &[u8] = text;
        let (name, password) = (field(&mut rest), field(&mut rest));
        let administrators = members(field(&mut rest));
        GroupLine { line, name, password, administrators, members: members(rest) }
    };
    lines(content).map(one).filter(|group| !matches!(group.name.first(), Some(b'+' | b'-'))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(text: &str) -> Option<Password<'_>> {
        match parse(text.as_bytes()).remove(0).entry {
            Entry::Password(password) => Some(password),
            _ => None,
        }
    }

    #[test]
    fn numbers_and_empty_fields() {
        let password = only("root:*:20781:0:99999:7:::\n").unwrap();
        assert_eq!((password.changed, password.min, password.max), (Some(20781), Some(0), Some(99999)));
        assert_eq!((password.warn, password.inactive, password.expires), (Some(7), None, None));
        assert_eq!(only("a:!:1::::-1::").unwrap().inactive, Some(-1));
    }

    #[test]
    fn the_old_form_ends_after_the_maximum() {
        assert_eq!(only("a:!:1:0:99:").unwrap().max, Some(99));
        assert_eq!(only("a:!:1:0:99").unwrap().warn, None);
        assert!(only("a:!:1:0").is_none());
        assert!(only("a:!").is_none());
    }

    #[test]
    fn a_field_that_is_no_number_spoils_the_line() {
        assert!(only("a:!:soon:0:99:7:::").is_none());
        assert!(only("a:!:1:0:99:7:::x").is_none());
        assert!(only("a:!:1:0:99:7::: \r").is_none());
    }

    #[test]
    fn groups_with_administrators_and_members() {
        let groups = parse_groups(b"adm:!:root:a, b\n+\nx:*::\n");
        assert_eq!(groups.len(), 2);
        assert_eq!((groups[0].administrators.len(), &groups[0].members), (1, &vec![&b"a"[..], b"b"]));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(content: Vec<u8>) {
            let _ = parse(&content);
            let _ = parse_groups(&content);
        }

        #[test]
        fn any_line_like_one_is_read_without_a_panic(content in "[-+a-z0-9:,! #]{0,60}") {
            let _ = parse(content.as_bytes());
            let _ = parse_groups(content.as_bytes());
        }
    }
}
