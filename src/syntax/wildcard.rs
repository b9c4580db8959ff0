//! Shell patterns, as `fnmatch(3)` without flags compares them with a text.

/// Whether a pattern fits a whole text: `*`, `?` and `[…]`, each of which takes any byte, a slash too.
///
/// Only the last star is ever taken back, so the time is at most the product of the lengths.
#[must_use]
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut seen) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(&byte) = text.get(seen) {
        let rest = pattern.get(at..).unwrap_or_default();
        let step = match rest.first() {
            Some(b'*') => {
                star = Some((at + 1, seen));
                at += 1;
                continue;
            }
            Some(b'?') => Some(1),
            Some(b'[') => match set(rest, byte) {
                Some((true, length)) => Some(length),
                Some((false, _)) => None,
                None => (byte == b'[').then_some(1),
            },
            Some(&literal) => (literal == byte).then_some(1),
            None => None,
        };
        match (step, star) {
            (Some(length), _) => {
                at += length;
                seen += 1;
            }
            (None, Some((after, from))) => {
                at = after;
                seen = from + 1;
                star = Some((after, from + 1));
            }
            (None, None) => return false,
        }
    }
    pattern.get(at..).unwrap_or_default().iter().all(|&byte| byte == b'*')
}

/// Whether a byte is in the set that starts here, and how long the set is; nothing if it has no end and is plain text.
fn set(pattern: &[u8], byte: u8) -> Option<(bool, usize)> {
    let inner = pattern.get(1..)?;
    let (negated, skip) = if matches!(inner.first(), Some(b'!' | b'^')) { (true, 1) } else { (false, 0) };
    let body = inner.get(skip..)?;
    // A closing bracket in the first place belongs to the set.
    let end = body.iter().skip(1).position(|&byte| byte == b']')? + 1;
    let body = body.get(..end)?;
    let mut found = false;
    let mut at = 0;
    while let Some(&low) = body.get(at) {
        if body.get(at + 1) == Some(&b'-')
            && let Some(&high) = body.get(at + 2)
        {
            found |= (low..=high).contains(&byte);
            at += 3;
        } else {
            found |= low == byte;
            at += 1;
        }
    }
    Some((found != negated, 1 + skip + end + 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stars_marks_and_sets() {
        assert!(matches(b"usb_*", b"usb_storage") && matches(b"*", b"") && matches(b"a*b*c", b"a-b-b-c"));
        assert!(!matches(b"usb_?", b"usb_storage") && !matches(b"a*b", b"a-bc"));
        assert!(matches(b"[a-c]]", b"b]") && matches(b"[!a]", b"b") && !matches(b"[^b]", b"b"));
    }

    #[test]
    fn a_set_without_an_end_is_plain_text() {
        assert!(matches(b"[x", b"[x") && matches(b"[]]", b"]"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_compared(pattern in "[-a-c*?\\[\\]!^]{0,40}", text in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = matches(pattern.as_bytes(), &text);
            prop_assert!(matches(b"*", &text));
        }
    }
}
