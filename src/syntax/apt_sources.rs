//! `sources.list(5)`: lines of `*.list` and stanzas of `*.sources`, each an archive with options.

use std::collections::BTreeMap;

/// One archive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Archive {
    /// Line, from 1: of a stanza, its first.
    pub line: u32,
    /// Where from: one address, or several.
    pub addresses: Vec<String>,
    /// Options by name in small letters, as stanzas call them: `signed-by`, `trusted`.
    pub options: BTreeMap<String, String>,
}

/// A line that apt refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("apt cannot read this entry")]
pub struct Refused {
    /// Line, from 1.
    pub line: u32,
}

/// `deb [option=value …] address suite component…`
///
/// # Errors
/// The first line that apt refuses.
pub fn parse_list(content: &[u8]) -> Result<Vec<Archive>, Refused> {
    let mut found = Vec::new();
    for (line, text) in (1..).zip(content.split(|&byte| byte == b'\n')) {
        let text = String::from_utf8_lossy(text);
        let text = text.split('#').next().unwrap_or_default().trim();
        if text.is_empty() {
            continue;
        }
        let refused = Refused { line };
        let (kind, rest) = text.split_once(char::is_whitespace).ok_or(refused)?;
        if kind != "deb" && kind != "deb-src" {
            return Err(refused);
        }
        let mut archive = Archive { line, ..Archive::default() };
        let mut rest = rest.trim_start();
        if let Some(options) = rest.strip_prefix('[') {
            let (options, behind) = options.split_once(']').ok_or(refused)?;
            for option in options.split_whitespace() {
                let (name, value) = option.split_once('=').ok_or(refused)?;
                archive.options.insert(name.trim_end_matches(['+', '-']).to_ascii_lowercase(), value.to_owned());
            }
            rest = behind.trim_start();
        }
        archive.addresses.push(rest.split_whitespace().next().ok_or(refused)?.to_owned());
        found.push(archive);
    }
    Ok(found)
}

/// Stanzas of `Name: value` lines, one or more blank lines apart; `Enabled: no` leaves one out.
///
/// # Errors
/// The first line that apt refuses.
pub fn parse_stanzas(content: &[u8]) -> Result<Vec<Archive>, Refused> {
    let mut found = Vec::new();
    let mut archive: Option<Archive> = None;
    let mut last: Option<String> = None;
    for (line, text) in (1..).zip(content.split(|&byte| byte == b'\n')) {
        let text = String::from_utf8_lossy(text);
        if text.starts_with('#') {
            continue;
        }
        if text.trim().is_empty() {
            found.extend(archive.take());
            last = None;
            continue;
        }
        let refused = Refused { line };
        let archive = archive.get_or_insert_with(|| Archive { line, ..Archive::default() });
        if text.starts_with([' ', '\t']) {
            let name = last.as_ref().ok_or(refused)?;
            if let Some(value) = archive.options.get_mut(name) {
                value.push('\n');
                value.push_str(text.trim());
            }
            continue;
        }
        let (name, value) = text.split_once(':').ok_or(refused)?;
        let name = name.trim().to_ascii_lowercase();
        archive.options.insert(name.clone(), value.trim().to_owned());
        last = Some(name);
    }
    found.extend(archive);
    let disabled = |archive: &Archive| archive.options.get("enabled").is_some_and(|value| !is_true(value, true));
    found.retain(|archive| !disabled(archive));
    for archive in &mut found {
        let uris = archive.options.remove("uris").ok_or(Refused { line: archive.line })?;
        archive.addresses = uris.split_whitespace().map(str::to_owned).collect();
    }
    Ok(found)
}

/// A boolean as apt reads it (`StringToBool`): a number but nought is true; what is neither is the default.
#[must_use]
pub fn is_true(text: &str, default: bool) -> bool {
    match text.trim().to_ascii_lowercase().as_str() {
        "no" | "false" | "without" | "off" | "disable" => false,
        "yes" | "true" | "with" | "on" | "enable" => true,
        other => other.parse::<i64>().map_or(default, |number| number != 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_with_and_without_options() {
        let found = parse_list(b"# deb x\ndeb [ signed-by=/k trusted=yes ] http://a b main # c\ndeb-src http://c d\n").unwrap();
        assert_eq!((found[0].line, found[0].addresses[0].as_str()), (2, "http://a"));
        assert_eq!(found[0].options.get("signed-by").map(String::as_str), Some("/k"));
        assert!(found[1].options.is_empty());
    }

    #[test]
    fn stanzas_may_be_switched_off_and_carry_a_key() {
        let found = parse_stanzas(
            b"Types: deb\nURIs: http://a\n  http://b\nSigned-By:\n -----BEGIN\n .\n\n\n# c\nTypes: deb\nURIs: x\nEnabled: no\n",
        )
        .unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].addresses, ["http://a", "http://b"]);
        assert_eq!(found[0].options.get("signed-by").map(String::as_str), Some("\n-----BEGIN\n."));
    }

    #[test]
    fn what_apt_refuses_is_told() {
        for (content, line) in
            [(&b"rpm x\n"[..], 1), (b"\ndeb\n", 2), (b"deb [x] y\n", 1), (b"deb [a=b y\n", 1), (b"deb [a=b]\n", 1)]
        {
            assert_eq!(parse_list(content), Err(Refused { line }));
        }
        assert_eq!(parse_stanzas(b"x\n"), Err(Refused { line: 1 }));
        assert_eq!(parse_stanzas(b" x\n"), Err(Refused { line: 1 }));
        assert_eq!(parse_stanzas(b"\nTypes: deb\n"), Err(Refused { line: 2 }));
    }
}
