//! Key files of GLib (`GKeyFile`): dconf's settings, GDM's configuration.
//!
//! `[group]` lines, `key=value` lines, `#` comments. Blanks in front of a line, around a key and around a value do not count. A line that is
//! none of these, a key before any group and text that is not UTF-8 spoil the whole file (`g_key_file_parse_line`).

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Line, from 1.
    pub line: u32,
    /// The group it stands in.
    pub group: String,
    /// The name.
    pub key: String,
    /// The value as it stands there.
    pub value: String,
}

/// The line that GLib refuses the file for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("GLib cannot read this line, and so nothing of the file")]
pub struct Refused {
    /// Line, from 1.
    pub line: u32,
}

/// Every setting, in order; the last of a group and key counts.
///
/// # Errors
/// The line that GLib refuses the whole file for.
pub fn parse(content: &[u8]) -> Result<Vec<Setting>, Refused> {
    let mut found = Vec::new();
    let mut group: Option<String> = None;
    for (line, text) in (1..).zip(content.split(|&byte| byte == b'\n')) {
        let refused = Refused { line };
        let text = std::str::from_utf8(text).map_err(|_| refused)?.trim_matches(|c: char| c.is_ascii_whitespace());
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        if let Some(name) = text.strip_prefix('[') {
            let name = name.strip_suffix(']').filter(|name| !name.is_empty() && !name.contains(['[', ']']));
            group = Some(name.ok_or(refused)?.to_owned());
            continue;
        }
        let (key, value) = text.split_once('=').ok_or(refused)?;
        let key = key.trim_ascii_end();
        let group = group.clone().filter(|_| !key.is_empty()).ok_or(refused)?;
        found.push(Setting { line, group, key: key.to_owned(), value: value.trim_ascii_start().to_owned() });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_comments_and_blanks() {
        let found = parse(b"# c\n[a/b]\n  key = true \r\n#key=false\n\n[c]\nkey=x = y\n").unwrap();
        let found: Vec<_> =
            found.iter().map(|one| (one.line, one.group.as_str(), one.key.as_str(), one.value.as_str())).collect();
        assert_eq!(found, [(3, "a/b", "key", "true"), (7, "c", "key", "x = y")]);
    }

    #[test]
    fn one_bad_line_spoils_the_file() {
        for (content, line) in
            [(&b"key=1\n"[..], 1), (b"[a]\nword\n", 2), (b"[a\n", 1), (b"[]\n", 1), (b"[a]\n=1\n", 2), (b"[a]\nk=\xff\n", 2)]
        {
            assert_eq!(parse(content), Err(Refused { line }));
        }
    }
}
