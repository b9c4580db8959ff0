//! `apparmor.d(5)`: the heads of profiles, as far as their flags.

/// The head of a profile, or of one inside another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Line, from 1.
    pub line: u32,
    /// The name, or the path it attaches to.
    pub name: String,
    /// Its flags, such as `complain` or `attach_disconnected`.
    pub flags: Vec<String>,
}

/// Every head: a line that ends in `{` and begins with `profile`, a path, a variable, a quoted name or a hat.
#[must_use]
pub fn heads(content: &[u8]) -> Vec<Head> {
    let text = String::from_utf8_lossy(content);
    (1..).zip(text.lines()).filter_map(|(line, text)| head(line, text)).collect()
}

fn head(line: u32, text: &str) -> Option<Head> {
    let text = text.trim_start();
    let text = match text.strip_prefix("profile") {
        Some(rest) if rest.starts_with([' ', '\t']) => rest.trim_start(),
        _ if text.starts_with(['/', '"', '^']) || text.starts_with("@{") || text.starts_with("hat ") => text,
        _ => return None,
    };
    // A comment may follow the brace; `#` inside a name does not start one.
    let before = match text.rsplit_once('{') {
        Some((before, rest)) if rest.trim().is_empty() || rest.trim_start().starts_with('#') => before,
        _ => return None,
    };
    // `/{usr/,}bin/x r,` has a brace as well, but never as its last word.
    if !before.ends_with([' ', '\t', ')']) {
        return None;
    }
    let flags = before.rsplit_once('(').and_then(|(_, inside)| inside.trim_end().strip_suffix(')'));
    let flags = flags.unwrap_or_default().split([',', ' ', '\t']).filter(|flag| !flag.is_empty()).map(str::to_owned);
    let name = before.trim_start_matches("hat ").split([' ', '\t', '(']).next().unwrap_or_default().trim_matches('"');
    Some(Head { line, name: name.to_owned(), flags: flags.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_told_from_rules() {
        let found = heads(
            b"#include <x>\nprofile tcpdump /usr/bin/tcpdump flags=(complain) {\n  /{usr/,}bin/gzip ixr,\n  @{PROC}/x r,\n  ^hat {\n  }\n}\n/{,usr/}sbin/dhclient flags=(attach_disconnected, complain) { # x\n",
        );
        let found: Vec<_> = found.iter().map(|head| (head.line, head.name.as_str(), head.flags.len())).collect();
        assert_eq!(found, [(2, "tcpdump", 1), (5, "^hat", 0), (8, "/{,usr/}sbin/dhclient", 2)]);
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_in_it_is_read_without_panic(content: Vec<u8>) {
            let _ = heads(&content);
        }
    }
}
