//! `key = value` lines with `#` comments, as pwquality.conf(5), faillock.conf(5) and pwhistory.conf(5) have them.

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Line, from 1.
    pub line: u32,
    /// The name.
    pub key: String,
    /// The value; empty for a name alone.
    pub value: String,
}

/// Every setting, in order. A name ends at a blank or at `=`; behind it stand blanks, with one `=` among them or none, and the value
/// (`read_config_file` of libpwquality and of `pam_faillock`, which are alike).
#[must_use]
pub fn parse(content: &[u8]) -> Vec<Setting> {
    let mut found = Vec::new();
    for (line, text) in (1..).zip(content.split(|&byte| byte == b'\n')) {
        let text = text.split(|&byte| byte == b'#').next().unwrap_or_default();
        let text = String::from_utf8_lossy(text);
        let text = text.trim();
        if text.is_empty() {
            continue;
        }
        let (key, rest) = text.split_at(text.find(|sign: char| sign == '=' || sign.is_whitespace()).unwrap_or(text.len()));
        let rest = rest.trim_start();
        let value = rest.strip_prefix('=').unwrap_or(rest).trim_start();
        found.push(Setting { line, key: key.to_owned(), value: value.to_owned() });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_around_and_comments_behind_do_not_count() {
        let found = parse(b"# minlen = 3\n minlen=14 # long\nenforce_for_root\ndeny 4\na b = c\n");
        let found: Vec<_> = found.iter().map(|one| (one.line, one.key.as_str(), one.value.as_str())).collect();
        assert_eq!(found, [(2, "minlen", "14"), (3, "enforce_for_root", ""), (4, "deny", "4"), (5, "a", "b = c")]);
    }
}
