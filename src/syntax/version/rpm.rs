//! rpm's version order: rpm-version(7), with `rpmio/rpmvercmp.c` and `lib/rpmds.c` where it is silent.

use std::cmp::Ordering;

/// `[epoch:]version[-release]`.
#[derive(Debug, Clone, Copy)]
pub struct Evr<'a> {
    /// Zero where none is written.
    pub epoch: u32,
    /// Everything up to the last hyphen.
    pub version: &'a str,
    /// Absent in a requirement that leaves it open.
    pub release: Option<&'a str>,
}

impl<'a> Evr<'a> {
    /// Cuts a text as rpm's `parseEVR` does: digits up to a colon are the epoch (none at all: zero), the release follows the
    /// last hyphen. `None` for an epoch above what rpm can store.
    pub fn parse(text: &'a str) -> Option<Self> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (epoch, rest) = match text.split_at_checked(digits) {
            Some((epoch, rest)) if rest.starts_with(':') => (epoch, rest.strip_prefix(':')?),
            _ => ("", text),
        };
        let epoch = if epoch.is_empty() { 0 } else { epoch.parse().ok()? };
        let (version, release) = match rest.rsplit_once('-') {
            Some((version, release)) => (version, Some(release)),
            None => (rest, None),
        };
        Some(Self { epoch, version, release })
    }

    /// The order rpm sorts installed packages by; an absent release is older than any.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Ordering {
        self.epoch.cmp(&other.epoch).then_with(|| vercmp(self.version, other.version)).then_with(|| {
            match (self.release, other.release) {
                (Some(a), Some(b)) => vercmp(a, b),
                (a, b) => a.is_some().cmp(&b.is_some()),
            }
        })
    }

    /// How rpm holds a package against a requirement (`rpmdsCompare`): the release counts only where both state one, so that
    /// `8.7p1-29` is neither newer nor older than `8.7p1`.
    #[must_use]
    pub fn compare_to_requirement(&self, required: &Self) -> Ordering {
        match (self.release, required.release) {
            (Some(_), Some(_)) => self.compare(required),
            _ => Self { release: None, ..*self }.compare(&Self { release: None, ..*required }),
        }
    }
}

/// Compares two version or two release texts segment by segment: runs of digits as numbers, runs of letters as text, all else
/// only separates; `~` sorts before everything, `^` after the end but before any continuation.
pub fn vercmp(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    if a == b {
        return Ordering::Equal;
    }
    while !a.is_empty() || !b.is_empty() {
        a = skip_separators(a);
        b = skip_separators(b);
        match (a, b) {
            ([b'~', rest_a @ ..], [b'~', rest_b @ ..]) | ([b'^', rest_a @ ..], [b'^', rest_b @ ..]) => {
                (a, b) = (rest_a, rest_b);
                continue;
            }
            ([b'~', ..], _) | ([], [b'^', ..]) => return Ordering::Less,
            (_, [b'~', ..]) | ([b'^', ..], []) => return Ordering::Greater,
            ([b'^', ..], _) => return Ordering::Less,
            (_, [b'^', ..]) => return Ordering::Greater,
            ([], _) | (_, []) => break,
            _ => {}
        }
        let numeric = a.first().is_some_and(u8::is_ascii_digit);
        let (left, rest_a) = segment(a, numeric);
        let (right, rest_b) = segment(b, numeric);
        if right.is_empty() {
            // A number is newer than letters.
            return if numeric { Ordering::Greater } else { Ordering::Less };
        }
        let order = if numeric {
            let (left, right) = (strip_zeros(left), strip_zeros(right));
            left.len().cmp(&right.len()).then_with(|| left.cmp(right))
        } else {
            left.cmp(right)
        };
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
    (!a.is_empty()).cmp(&!b.is_empty())
}

fn skip_separators(text: &[u8]) -> &[u8] {
    let skip = text.iter().take_while(|b| !b.is_ascii_alphanumeric() && !matches!(b, b'~' | b'^')).count();
    text.get(skip..).unwrap_or_default()
}

fn segment(text: &[u8], numeric: bool) -> (&[u8], &[u8]) {
    let belongs = |b: &&u8| {
        if numeric { b.is_ascii_digit() } else { b.is_ascii_alphabetic() }
    };
    let length = text.iter().take_while(belongs).count();
    text.split_at_checked(length).unwrap_or((text, &[]))
}

fn strip_zeros(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|b| **b == b'0').count();
    digits.get(zeros..).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, clippy::print_stderr, reason = "a test asks the real program")]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::Command;

    const TEXTS: &[&str] = &[
        "",
        "~",
        "a",
        "1.0~alpha",
        "1.0~rc1",
        "1.0~rc1^git1",
        "1.0",
        "1.0^",
        "1.0^20240101",
        "1.0^20240101~pre",
        "1.0.a",
        "1.0.1",
        "1.0.1^x",
        "1.0.1.1",
        "1.10",
        "2.0.1a",
        "2.0.1.0",
        "10",
        "20240101",
    ];

    #[test]
    fn a_number_is_newer_than_letters_and_separators_do_not_count() {
        assert_eq!(vercmp("1.0.1", "1.0.a"), Ordering::Greater);
        assert_eq!(vercmp("1_0+0", "1.0.0"), Ordering::Equal);
        assert_eq!(vercmp("1.05", "1.5"), Ordering::Equal);
        assert_eq!(vercmp("1.0.", "1.0"), Ordering::Equal);
    }

    #[test]
    fn tilde_before_the_end_and_caret_after_it() {
        for pair in ["1.0~rc1", "1.0", "1.0^git1", "1.0.1"].windows(2) {
            assert_eq!(vercmp(pair[0], pair[1]), Ordering::Less, "{pair:?}");
            assert_eq!(vercmp(pair[1], pair[0]), Ordering::Greater, "{pair:?}");
        }
    }

    #[test]
    fn epoch_decides_before_version() {
        let evr = |text| Evr::parse(text).unwrap();
        assert_eq!(evr("1:1.0-1").compare(&evr("2.0-1")), Ordering::Greater);
        assert_eq!(evr(":1.0-1").compare(&evr("0:1.0-1")), Ordering::Equal);
        assert_eq!(evr("1.0-1").compare(&evr("1.0-2")), Ordering::Less);
        assert!(Evr::parse("4294967296:1").is_none());
        assert_eq!(evr("a:1").version, "a:1");
        assert_eq!(evr("1-2-3").release, Some("3"));
    }

    #[test]
    fn a_requirement_without_release_leaves_the_release_open() {
        let (installed, required) = (Evr::parse("8.7p1-29").unwrap(), Evr::parse("8.7p1").unwrap());
        assert_eq!(installed.compare_to_requirement(&required), Ordering::Equal);
        assert_eq!(installed.compare(&required), Ordering::Greater);
    }

    #[test]
    fn agrees_with_rpm_itself() {
        if Command::new("rpm").arg("--version").output().is_err() {
            eprintln!("skipped: no rpm on this machine");
            return;
        }
        // rpm's Lua takes an empty text for no version at all.
        let texts: Vec<&str> = TEXTS.iter().copied().filter(|text| !text.is_empty()).collect();
        // One process for all pairs: rpm's own Lua prints -1, 0 or 1 for each.
        let list = texts.iter().map(|v| format!("'{v}'")).collect::<Vec<_>>().join(",");
        let script =
            format!("local t={{{list}}} for i=1,#t do local l='' for j=1,#t do l=l..rpm.vercmp(t[i],t[j])..' ' end print(l) end");
        let output = Command::new("rpm").args(["--eval", &format!("%{{lua: {script}}}")]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let theirs: Vec<&str> = text.split_whitespace().collect();
        assert_eq!(theirs.len(), texts.len() * texts.len(), "{text}");
        let pairs = texts.iter().flat_map(|a| texts.iter().map(move |b| (a, b)));
        for ((a, b), theirs) in pairs.zip(theirs) {
            assert_eq!((vercmp(a, b) as i8).to_string(), theirs, "{a} against {b}");
        }
    }

    proptest! {
        #[test]
        fn turning_a_pair_round_turns_the_answer(a in "[0-2ab~^.]{0,7}", b in "[0-2ab~^.]{0,7}") {
            prop_assert_eq!(vercmp(&a, &b), vercmp(&b, &a).reverse());
        }

        #[test]
        fn never_panics(a in ".*", b in ".*") {
            let _ = vercmp(&a, &b);
            Evr::parse(&a);
        }
    }
}
