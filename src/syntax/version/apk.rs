//! Alpine's version order, as `src/version.c` of apk-tools 3 has it.
//!
//! `number{.number}…{letter}{_suffix{number}}…{~hash}{-r#}`

use std::cmp::Ordering;

/// What may come next, in the order apk gives the kinds: where two versions are equal up to a point and then differ in kind,
/// the earlier kind is the newer version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    FirstNumber,
    Number,
    Letter,
    Suffix,
    SuffixNumber,
    Hash,
    Revision,
    End,
    Invalid,
}

/// Suffixes from the oldest to the newest; those before `NO_SUFFIX` mark what precedes the release.
const SUFFIXES: [&str; 9] = ["alpha", "beta", "pre", "rc", "cvs", "svn", "git", "hg", "p"];
const NO_SUFFIX: usize = 4;

#[derive(Debug, Clone, Copy)]
struct Token<'a> {
    kind: Kind,
    text: &'a [u8],
    suffix: usize,
}

struct Tokens<'a> {
    rest: &'a [u8],
    previous: Option<Kind>,
}

impl<'a> Tokens<'a> {
    fn token(&mut self, kind: Kind, skip: usize, length: usize, suffix: usize) -> Token<'a> {
        let text = self.rest.get(skip..skip + length).unwrap_or_default();
        self.rest = self.rest.get(skip + length..).unwrap_or_default();
        self.previous = Some(kind);
        Token { kind, text, suffix }
    }

    fn number(&mut self, kind: Kind, skip: usize) -> Token<'a> {
        let digits = self.rest.get(skip..).unwrap_or_default().iter().take_while(|b| b.is_ascii_digit()).count();
        if digits == 0 { self.invalid() } else { self.token(kind, skip, digits, 0) }
    }

    fn invalid(&mut self) -> Token<'a> {
        self.token(Kind::Invalid, 0, self.rest.len(), 0)
    }

    fn next(&mut self) -> Token<'a> {
        let Some(previous) = self.previous else {
            return self.number(Kind::FirstNumber, 0);
        };
        match self.rest {
            [] => self.token(Kind::End, 0, 0, 0),
            [b'.', ..] if previous <= Kind::Number => self.number(Kind::Number, 1),
            [b'a'..=b'z', ..] if previous <= Kind::Number => self.token(Kind::Letter, 0, 1, 0),
            [b'_', name @ ..] if previous <= Kind::SuffixNumber => {
                let length = name.iter().take_while(|b| b.is_ascii_lowercase()).count();
                let name = name.get(..length).unwrap_or_default();
                match SUFFIXES.iter().position(|suffix| suffix.as_bytes() == name) {
                    Some(suffix) => self.token(Kind::Suffix, 1, length, suffix),
                    None => self.invalid(),
                }
            }
            [b'0'..=b'9', ..] if previous == Kind::Suffix => self.number(Kind::SuffixNumber, 0),
            [b'~', hash @ ..] if previous < Kind::Hash => {
                match hash.iter().take_while(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')).count() {
                    0 => self.invalid(),
                    length => self.token(Kind::Hash, 1, length, 0),
                }
            }
            [b'-', b'r', ..] if previous < Kind::Revision => self.number(Kind::Revision, 2),
            _ => self.invalid(),
        }
    }
}

fn tokens(text: &str) -> Tokens<'_> {
    Tokens { rest: text.as_bytes(), previous: None }
}

/// Whether apk would accept this as a version.
#[must_use]
pub fn is_valid(text: &str) -> bool {
    let mut tokens = tokens(text);
    loop {
        match tokens.next().kind {
            Kind::End => return true,
            Kind::Invalid => return false,
            _ => {}
        }
    }
}

/// Compares token by token. Two texts that leave the grammar at the same point are equal for apk; ask [`is_valid`] first.
#[must_use]
pub fn compare(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (tokens(a), tokens(b));
    loop {
        let (a, b) = (left.next(), right.next());
        if a.kind != b.kind {
            return if is_prerelease(&a) {
                Ordering::Less
            } else if is_prerelease(&b) {
                Ordering::Greater
            } else {
                b.kind.cmp(&a.kind)
            };
        }
        let order = match a.kind {
            Kind::End | Kind::Invalid => return Ordering::Equal,
            // A leading zero makes the part after a dot a fraction, compared as text.
            Kind::Number if a.text.starts_with(b"0") || b.text.starts_with(b"0") => a.text.cmp(b.text),
            Kind::FirstNumber | Kind::Number | Kind::SuffixNumber | Kind::Revision => as_numbers(a.text, b.text),
            Kind::Suffix => a.suffix.cmp(&b.suffix),
            Kind::Letter | Kind::Hash => a.text.cmp(b.text),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

fn is_prerelease(token: &Token<'_>) -> bool {
    token.kind == Kind::Suffix && token.suffix < NO_SUFFIX
}

fn as_numbers(a: &[u8], b: &[u8]) -> Ordering {
    let strip = |digits: &[u8]| digits.iter().take_while(|b| **b == b'0').count();
    let (a, b) = (a.get(strip(a)..).unwrap_or_default(), b.get(strip(b)..).unwrap_or_default());
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn suffixes_letters_and_revisions_in_order() {
        let ascending = [
            "1.2_alpha_pre2",
            "1.2_alpha",
            "1.2_alpha3",
            "1.2_beta",
            "1.2_pre1",
            "1.2_rc1-r0",
            "1.2_rc2",
            "1.2",
            "1.2-r0",
            "1.2-r9",
            "1.2-r10",
            "1.2_cvs",
            "1.2_svn",
            "1.2_git20240101",
            "1.2_hg",
            "1.2_p1",
            "1.2_p1-r2",
            "1.2_p10",
            "1.2a",
            "1.2b-r1",
            "1.2.1",
            "1.10",
            "2",
            "10",
            "20240101",
        ];
        for (i, a) in ascending.iter().enumerate() {
            assert!(is_valid(a), "{a}");
            for (j, b) in ascending.iter().enumerate() {
                assert_eq!(compare(a, b), i.cmp(&j), "{a} against {b}");
            }
        }
    }

    #[test]
    fn a_leading_zero_after_a_dot_is_a_fraction_but_not_at_the_start() {
        assert_eq!(compare("1.06", "1.5"), Ordering::Less);
        assert_eq!(compare("1.1", "1.02"), Ordering::Greater);
        assert_eq!(compare("006", "1.0.0"), Ordering::Greater);
    }

    #[test]
    fn what_is_no_version() {
        for text in ["", "a", "1.", "1.0bc", "1_foo", "1-r", "1-1", "1.0-r1.1", "1 ", "1_p1.2", "1~", "1~xyz"] {
            assert!(!is_valid(text), "{text}");
        }
        assert_eq!(compare("23_foo", "4_beta"), Ordering::Greater);
        assert_eq!(compare("1.0", "1.0bc"), Ordering::Less);
    }

    proptest! {
        #[test]
        fn turning_a_pair_round_turns_the_answer(a in "[0-2]{1,2}(\\.[0-2]{1,2}){0,2}[ab]?(_(p|rc|git)[0-2]?){0,2}(-r[0-2])?",
                                                 b in "[0-2]{1,2}(\\.[0-2]{1,2}){0,2}[ab]?(_(p|rc|git)[0-2]?){0,2}(-r[0-2])?") {
            prop_assert!(is_valid(&a));
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
        }

        #[test]
        fn never_panics(a in ".*", b in ".*") {
            let _ = (compare(&a, &b), is_valid(&a));
        }
    }
}
