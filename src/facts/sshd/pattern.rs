//! Patterns: those of lists (`match.c`) and those of `Include` (OpenSSH's own `glob(3)`, `openbsd-compat/glob.c`).

/// `match_pattern`: `*` for any characters and `?` for one.
#[must_use]
pub(super) fn matches(text: &[u8], pattern: &[u8]) -> bool {
    // The classic two-pointer walk: only the last star is ever tried again, so the time is bounded by the product of the lengths.
    let (mut at, mut from) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while at < text.len() {
        match pattern.get(from) {
            Some(b'*') => {
                star = Some((from + 1, at));
                from += 1;
            }
            Some(&wanted) if wanted == b'?' || text.get(at) == Some(&wanted) => {
                at += 1;
                from += 1;
            }
            _ => match star {
                Some((after, tried)) => {
                    (at, from) = (tried + 1, after);
                    star = Some((after, tried + 1));
                }
                None => return false,
            },
        }
    }
    pattern.get(from..).unwrap_or_default().iter().all(|&rest| rest == b'*')
}

/// `match_pattern_list`: whether one of the patterns, separated by commas, matches, and none with a `!` does.
#[must_use]
pub(super) fn matches_list(text: &[u8], patterns: &[u8]) -> bool {
    let mut found = false;
    for pattern in patterns.split(|&byte| byte == b',') {
        match pattern.strip_prefix(b"!") {
            Some(refused) if matches(text, refused) => return false,
            Some(_) => {}
            None => found |= matches(text, pattern),
        }
    }
    found
}

/// Whether a component of a path has to be looked for in its directory.
#[must_use]
pub(super) fn is_magic(component: &[u8]) -> bool {
    component.iter().any(|byte| b"*?[".contains(byte))
}

/// A component without magic as the name it stands for: a backslash makes the next character itself.
#[must_use]
pub(super) fn unescape(component: &[u8]) -> Vec<u8> {
    let mut name = Vec::with_capacity(component.len());
    let mut bytes = component.iter();
    while let Some(&byte) = bytes.next() {
        name.push(if byte == b'\\' { *bytes.next().unwrap_or(&b'\\') } else { byte });
    }
    name
}

/// Whether a name in a directory fits a component of a pattern: `*`, `?`, `[a-z]`, `[!a-z]`. A dot at its beginning is matched only by
/// a dot.
#[must_use]
pub(super) fn matches_name(name: &[u8], component: &[u8]) -> bool {
    if name.starts_with(b".") && !component.starts_with(b".") {
        return false;
    }
    glob(name, &tokens(component))
}

enum Token {
    Byte(u8),
    Any,
    Star,
    Class(bool, Vec<(u8, u8)>),
}

impl Token {
    fn takes(&self, byte: u8) -> bool {
        match self {
            Self::Byte(wanted) => *wanted == byte,
            Self::Any | Self::Star => true,
            Self::Class(negated, ranges) => ranges.iter().any(|(low, high)| (*low..=*high).contains(&byte)) != *negated,
        }
    }
}

fn tokens(mut pattern: &[u8]) -> Vec<Token> {
    let mut all = Vec::new();
    while let Some((&first, rest)) = pattern.split_first() {
        pattern = rest;
        all.push(match first {
            b'*' => Token::Star,
            b'?' => Token::Any,
            b'\\' => match pattern.split_first() {
                Some((&next, rest)) => {
                    pattern = rest;
                    Token::Byte(next)
                }
                None => Token::Byte(b'\\'),
            },
            b'[' => match class(pattern) {
                Some((token, rest)) => {
                    pattern = rest;
                    token
                }
                None => Token::Byte(b'['),
            },
            byte => Token::Byte(byte),
        });
    }
    all
}

/// What stands behind a `[`, if it is ever closed. A `]` in the first place belongs to the class.
fn class(pattern: &[u8]) -> Option<(Token, &[u8])> {
    let (negated, inner) = pattern.strip_prefix(b"!").map_or((false, pattern), |inner| (true, inner));
    let end = inner.iter().skip(1).position(|&byte| byte == b']')? + 1;
    let (mut members, rest) = (inner.get(..end)?, inner.get(end + 1..)?);
    let mut ranges = Vec::new();
    while let Some((&low, after)) = members.split_first() {
        let (high, after) = if let [b'-', high, after @ ..] = after { (*high, after) } else { (low, after) };
        ranges.push((low, high));
        members = after;
    }
    Some((Token::Class(negated, ranges), rest))
}

fn glob(name: &[u8], pattern: &[Token]) -> bool {
    let (mut at, mut from) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(&byte) = name.get(at) {
        match pattern.get(from) {
            Some(Token::Star) => {
                star = Some((from + 1, at));
                from += 1;
            }
            Some(token) if token.takes(byte) => {
                at += 1;
                from += 1;
            }
            _ => match star {
                Some((after, tried)) => {
                    (at, from) = (tried + 1, after);
                    star = Some((after, tried + 1));
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(from).all(|token| matches!(token, Token::Star))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_with_refusals() {
        assert!(matches_list(b"aes256-cbc", b"*-cbc"));
        assert!(!matches_list(b"aes256-cbc", b"*-cbc,!aes256*"));
        assert!(!matches_list(b"aes256-cbc", b"!aes128-cbc"));
        assert!(matches(b"abc", b"a?c") && matches(b"abab", b"*ab") && !matches(b"ab", b"a?b"));
    }

    #[test]
    fn names_in_a_directory() {
        assert!(matches_name(b"50-redhat.conf", b"*.conf"));
        assert!(!matches_name(b".hidden.conf", b"*.conf"));
        assert!(matches_name(b".hidden.conf", b".*.conf"));
        assert!(matches_name(b"10-a.conf", b"[0-9][!a]-*"));
        assert!(matches_name(b"{a,b}", b"{a,b}"), "braces are plain characters");
        assert!(matches_name(b"a[b", b"a[b") && matches_name(b"a*", b"a\\*") && !matches_name(b"ab", b"a\\*"));
        assert!(matches_name(b"]", b"[]]"));
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(name: Vec<u8>, pattern in r"[\]\[a*?!\\,-]{0,20}") {
            let _ = (matches(&name, pattern.as_bytes()), matches_list(&name, pattern.as_bytes()));
            let _ = (matches_name(&name, pattern.as_bytes()), unescape(pattern.as_bytes()));
        }
    }
}
