//! `sysctl.d(5)`: assignments to kernel parameters, as `systemd-sysctl` reads them (systemd, `src/sysctl/sysctl.c`).

use super::wildcard;

/// A line may be this long; systemd stops reading a file at a longer one (`LONG_LINE_MAX`).
const MAX_LINE: usize = 1 << 20;

/// One line that sets, or keeps a pattern from setting, a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// Line, from 1.
    pub line: u32,
    /// The parameter as a path below `/proc/sys`, without a slash in front: `net/ipv4/ip_forward`. May be a pattern.
    pub key: Vec<u8>,
    /// The value without blanks around it; nothing for `-key`, which only keeps patterns away from the parameter.
    pub value: Option<Vec<u8>>,
    /// Whether a failure to set it is passed over (`-key = value`).
    pub ignore_failure: bool,
}

impl Assignment {
    /// Whether the key is a pattern (`glob(7)`).
    #[must_use]
    pub fn is_pattern(&self) -> bool {
        self.key.iter().any(|byte| b"*?[".contains(byte))
    }
}

/// All assignments, in order. Lines that are none are passed over, as systemd does with a warning.
///
/// Lines end with LF, CR, CR LF or NUL (`read_line`), so a file from Windows means what it seems to mean.
#[must_use]
pub fn parse(content: &[u8]) -> Vec<Assignment> {
    let mut found = Vec::new();
    for (number, line) in (1..).zip(content.split(|&byte| byte == b'\n')) {
        for line in line.split(|byte| b"\r\0".contains(byte)) {
            if line.len() > MAX_LINE {
                return found;
            }
            found.extend(assignment(number, trim(line)));
        }
    }
    found
}

/// Without the blanks around it that systemd takes away (`WHITESPACE`): no form feed, which makes a name another one.
fn trim(text: &[u8]) -> &[u8] {
    let blank = |byte: &u8| b" \t\n\r".contains(byte);
    let start = text.iter().position(|byte| !blank(byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    text.get(start..end).unwrap_or_default()
}

fn assignment(line: u32, text: &[u8]) -> Option<Assignment> {
    if text.is_empty() || text.starts_with(b"#") || text.starts_with(b";") {
        return None;
    }
    let (minus, text) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
    match text.iter().position(|&byte| byte == b'=') {
        Some(at) => {
            let (key, value) = text.split_at_checked(at)?;
            let value = value.get(1..)?.trim_ascii().to_vec();
            Some(Assignment { line, key: normalise(key), value: Some(value), ignore_failure: minus })
        }
        None if minus => Some(Assignment { line, key: normalise(text), value: None, ignore_failure: true }),
        None => None,
    }
}

/// A parameter's name as a path below `/proc/sys`.
///
/// The first separator decides: after a slash all is taken as written, after a dot dots and slashes change places, so that
/// `net.ipv4.conf.eth0/1.forwarding` and `net/ipv4/conf/eth0.1/forwarding` are the same.
#[must_use]
pub fn normalise(key: &[u8]) -> Vec<u8> {
    let key = trim(key);
    let swap = key.iter().find(|byte| b"/.".contains(byte)) == Some(&b'.');
    let swapped = key.iter().map(|&byte| match byte {
        b'.' if swap => b'/',
        b'/' if swap => b'.',
        other => other,
    });
    let swapped: Vec<u8> = swapped.collect();
    let parts: Vec<&[u8]> = swapped.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    parts.join(&b'/')
}

/// Whether a pattern names a key: `*`, `?` and `[…]` as `glob(7)`, none of them matching a slash.
#[must_use]
pub fn matches(pattern: &[u8], key: &[u8]) -> bool {
    let mut keys = key.split(|&byte| byte == b'/');
    for pattern in pattern.split(|&byte| byte == b'/') {
        if !keys.next().is_some_and(|key| wildcard::matches(pattern, key)) {
            return false;
        }
    }
    keys.next().is_none()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(line: &str) -> Assignment {
        parse(line.as_bytes()).remove(0)
    }

    #[test]
    fn dots_and_slashes_change_places_after_a_dot() {
        assert_eq!(normalise(b"net.ipv4.conf.eth0/1.forwarding"), b"net/ipv4/conf/eth0.1/forwarding");
        assert_eq!(normalise(b"net/ipv4/conf/eth0.1/forwarding"), b"net/ipv4/conf/eth0.1/forwarding");
        assert_eq!(normalise(b" /kernel//x/ "), b"kernel/x");
    }

    #[test]
    fn a_form_feed_is_part_of_a_name() {
        assert_eq!(parse(b"\x0ca.b=1\n")[0].key, b"\x0ca/b");
        assert_eq!(parse(b" a.b =1\n")[0].key, b"a/b");
    }

    #[test]
    fn blanks_carriage_returns_and_comments() {
        let found = parse(b"# a=1\r\n ; b=2\n  kernel.x  =  1 2 \r\nnonsense\n\nkernel/y=\n");
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].line, &*found[0].key, found[0].value.as_deref()), (3, &b"kernel/x"[..], Some(&b"1 2"[..])));
        assert_eq!((found[1].line, found[1].value.as_deref()), (6, Some(&b""[..])));
    }

    #[test]
    fn a_comment_does_not_start_within_a_line() {
        assert_eq!(one("kernel.x = 1 # yes").value.unwrap(), b"1 # yes");
    }

    #[test]
    fn a_minus_ignores_failures_or_keeps_patterns_away() {
        assert!(one("-kernel.x = 1").ignore_failure);
        assert_eq!((one("-net.ipv4.conf.all.rp_filter").value, one("- kernel.x = 1").key), (None, b"kernel/x".to_vec()));
    }

    #[test]
    fn a_line_too_long_for_systemd_ends_the_file() {
        let mut text = b"a.b = 1\n".to_vec();
        text.extend(vec![b'#'; MAX_LINE + 1]);
        text.extend(b"\na.b = 2\n");
        assert_eq!(parse(&text).len(), 1);
    }

    #[test]
    fn patterns_match_within_a_component() {
        assert!(matches(b"net/ipv4/conf/*/rp_filter", b"net/ipv4/conf/eth0.1/rp_filter"));
        assert!(!matches(b"net/*/rp_filter", b"net/ipv4/conf/all/rp_filter"));
        assert!(matches(b"net/ipv[46]/conf/e*h?/x", b"net/ipv6/conf/eth0/x"));
        assert!(!matches(b"net/ipv[!46]/x", b"net/ipv6/x"));
        assert!(!matches(b"net/ipv4", b"net/ipv4/x"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed(content in prop::collection::vec(any::<u8>(), 0..400), key in "[-a-c/.*?\\[\\]!^]{0,40}") {
            for found in parse(&content) {
                let _ = matches(&found.key, key.as_bytes());
            }
            prop_assert!(!normalise(key.as_bytes()).starts_with(b"/"));
        }
    }
}
