//! Debian's version order: Debian Policy §5.6.12, deb-version(7), and `lib/dpkg/version.c` where those leave a choice.

use std::cmp::Ordering;

/// A version cut into its three parts.
#[derive(Debug, Clone, Copy)]
pub struct Version<'a> {
    epoch: u32,
    upstream: &'a str,
    revision: &'a str,
}

/// Why dpkg refuses to read a text as a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// Nothing but blanks.
    #[error("the version is empty")]
    Empty,
    /// Blanks inside.
    #[error("the version has blanks in it")]
    Blank,
    /// `a:1`, `:1`, `2147483648:1`.
    #[error("the part before the colon is not a number up to 2147483647")]
    Epoch,
    /// `1:`.
    #[error("nothing follows the epoch's colon")]
    NothingAfterEpoch,
    /// `1-`.
    #[error("nothing follows the revision's hyphen")]
    EmptyRevision,
}

impl<'a> Version<'a> {
    /// Cuts a version at its first colon and last hyphen, refusing what dpkg refuses. Odd characters, and a version that does
    /// not start with a digit, are only warned about by dpkg and therefore accepted.
    ///
    /// # Errors
    /// What dpkg refuses.
    pub fn parse(text: &'a str) -> Result<Self, VersionError> {
        let text = text.trim_matches(is_blank);
        if text.is_empty() {
            return Err(VersionError::Empty);
        }
        if text.contains(is_blank) {
            return Err(VersionError::Blank);
        }
        let (epoch, rest) = match text.split_once(':') {
            None => (0, text),
            Some((epoch, rest)) => {
                // dpkg keeps epochs in a C int.
                let epoch = epoch.parse::<u32>().ok().filter(|e| i32::try_from(*e).is_ok());
                (epoch.ok_or(VersionError::Epoch)?, rest)
            }
        };
        if rest.is_empty() {
            return Err(VersionError::NothingAfterEpoch);
        }
        let (upstream, revision) = match rest.rsplit_once('-') {
            None => (rest, ""),
            Some((_, "")) => return Err(VersionError::EmptyRevision),
            Some(parts) => parts,
        };
        Ok(Self { epoch, upstream, revision })
    }

    /// Epoch, then upstream version, then revision; an absent revision equals `0`.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Ordering {
        self.epoch
            .cmp(&other.epoch)
            .then_with(|| compare_part(self.upstream, other.upstream))
            .then_with(|| compare_part(self.revision, other.revision))
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

/// How a byte weighs in a non-digit run: a tilde before everything, even the end; letters before other characters.
fn weight(byte: Option<u8>) -> i32 {
    match byte {
        Some(b'~') => -1,
        None | Some(b'0'..=b'9') => 0,
        Some(letter) if letter.is_ascii_alphabetic() => i32::from(letter),
        Some(other) => i32::from(other) + 256,
    }
}

fn is_digit(byte: Option<&u8>) -> bool {
    byte.is_some_and(u8::is_ascii_digit)
}

/// Alternating runs of non-digits (by weight) and digits (as numbers of any length).
fn compare_part(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    while !a.is_empty() || !b.is_empty() {
        while (!a.is_empty() && !is_digit(a.first())) || (!b.is_empty() && !is_digit(b.first())) {
            let order = weight(a.first().copied()).cmp(&weight(b.first().copied()));
            if order != Ordering::Equal {
                return order;
            }
            a = a.get(1..).unwrap_or_default();
            b = b.get(1..).unwrap_or_default();
        }
        let (left, rest_a) = number(a);
        let (right, rest_b) = number(b);
        let order = left.len().cmp(&right.len()).then_with(|| left.cmp(right));
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
    Ordering::Equal
}

/// The leading digits without their leading zeros, and what follows.
fn number(text: &[u8]) -> (&[u8], &[u8]) {
    let zeros = text.iter().take_while(|b| **b == b'0').count();
    let text = text.get(zeros..).unwrap_or_default();
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    text.split_at_checked(digits).unwrap_or((text, &[]))
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, clippy::print_stderr, reason = "a test asks the real program")]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::Command;

    fn compare(a: &str, b: &str) -> Ordering {
        Version::parse(a).unwrap().compare(&Version::parse(b).unwrap())
    }

    const ASCENDING: &[&str] = &[
        "0",
        "0.9~~",
        "0.9~",
        "0.9",
        "0.9-1",
        "0.9.1~rc1-1",
        "0.9.1",
        "0.9.1-0ubuntu1",
        "0.9.1-1",
        "0.9.1-1+b1",
        "0.9.1-1.1",
        "0.9.1a",
        "0.9.1+dfsg",
        "0.10",
        "1.2.3-4-1",
        "1.2.3-4-2",
        "20240101",
        "1:0",
        "1:9.2p1-2+deb12u3",
        "2:0~",
    ];

    #[test]
    fn every_pair_of_an_ascending_list() {
        for (i, a) in ASCENDING.iter().enumerate() {
            for (j, b) in ASCENDING.iter().enumerate() {
                assert_eq!(compare(a, b), i.cmp(&j), "{a} against {b}");
            }
        }
    }

    #[test]
    fn equal_though_written_differently() {
        for (a, b) in [("1.0", "1.00"), ("0:1", "1"), ("1", "1-0"), ("1.0-00", "1.0"), ("1.a", "1.a0")] {
            assert_eq!(compare(a, b), Ordering::Equal, "{a} against {b}");
        }
    }

    #[test]
    fn refused_as_dpkg_refuses() {
        let refused = |text| Version::parse(text).unwrap_err();
        assert_eq!(refused("  "), VersionError::Empty);
        assert_eq!(refused("1 2"), VersionError::Blank);
        assert_eq!(refused(":1"), VersionError::Epoch);
        assert_eq!(refused("a:1"), VersionError::Epoch);
        assert_eq!(refused("2147483648:1"), VersionError::Epoch);
        assert_eq!(refused("1:"), VersionError::NothingAfterEpoch);
        assert_eq!(refused("1-"), VersionError::EmptyRevision);
    }

    #[test]
    fn agrees_with_dpkg_itself() {
        if Command::new("dpkg").arg("--version").output().is_err() {
            eprintln!("skipped: no dpkg on this machine");
            return;
        }
        let mut texts = ASCENDING.to_vec();
        texts.extend(["1.0a~1", "1.0a", "1.0.", "1.0+", "1.0-~", "1.0-a", "1.00.1", "1.01"]);
        for (a, b) in texts.iter().flat_map(|a| texts.iter().map(move |b| (a, b))).step_by(3) {
            let says = |relation| {
                let status = Command::new("dpkg").args(["--compare-versions", a, relation, b]).status();
                status.unwrap().success()
            };
            let ours = compare(a, b);
            let relation = match ours {
                Ordering::Less => "lt",
                Ordering::Equal => "eq",
                Ordering::Greater => "gt",
            };
            assert!(says(relation), "{a} {relation} {b}");
        }
    }

    proptest! {
        #[test]
        fn turning_a_pair_round_turns_the_answer(a in "[0-9a-c~+.:-]{1,8}", b in "[0-9a-c~+.:-]{1,8}") {
            if let (Ok(a), Ok(b)) = (Version::parse(&a), Version::parse(&b)) {
                prop_assert_eq!(a.compare(&b), b.compare(&a).reverse());
                prop_assert_eq!(a.compare(&a), Ordering::Equal);
            }
        }

        #[test]
        fn never_panics(a in ".*", b in ".*") {
            if let (Ok(a), Ok(b)) = (Version::parse(&a), Version::parse(&b)) {
                let _ = a.compare(&b);
            }
        }
    }
}
