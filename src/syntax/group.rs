//! `group(5)`, as glibc's `files` service reads it (`LINE_PARSER` in `grp/fgetgrent_r.c`).

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
    /// A group.
    Group(Group<'a>),
    /// `+…` or `-…`: takes groups from NIS where `nsswitch.conf` says `compat`.
    Nis(&'a [u8]),
    /// Passed over by the system, for this reason.
    Malformed(&'static str),
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group<'a> {
    /// The name.
    pub name: &'a [u8],
    /// The password field; a secret unless it is `x`.
    pub password: &'a [u8],
    /// The group id.
    pub gid: u32,
    /// The members that are named here; those that have it as their primary group are in it as well.
    pub members: Vec<&'a [u8]>,
}

/// Reads all lines.
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
    match number(field(&mut rest)) {
        Some(gid) => Entry::Group(Group { name, password, gid, members: members(rest) }),
        None => Entry::Malformed("the group id is no number"),
    }
}

/// A list with commas: blanks before a name are dropped, those after it are not.
pub(super) fn members(list: &[u8]) -> Vec<&[u8]> {
    list.split(|&byte| byte == b',').map(<[u8]>::trim_ascii_start).filter(|name| !name.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_and_empty_places_between_commas() {
        let lines = parse(b"adm:x:4:syslog,, admin\nroot:x:0:\nshort:x:7\n");
        let Entry::Group(adm) = &lines[0].entry else { panic!() };
        assert_eq!((adm.gid, &adm.members), (4, &vec![&b"syslog"[..], b"admin"]));
        assert!(matches!(&lines[2].entry, Entry::Group(group) if group.gid == 7));
    }

    #[test]
    fn a_line_without_a_number_is_passed_over() {
        assert!(matches!(parse(b"adm:x:four:")[0].entry, Entry::Malformed(_)));
        assert!(matches!(parse(b"+:::")[0].entry, Entry::Nis(_)));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(content: Vec<u8>) {
            let _ = parse(&content);
        }

        #[test]
        fn any_line_like_one_is_read_without_a_panic(content in "[-+a-z0-9:, #]{0,60}") {
            let _ = parse(content.as_bytes());
        }
    }
}
