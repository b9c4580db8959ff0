//! `limits.conf(5)` as `pam_limits(8)` reads it (`parse_config_file` in `modules/pam_limits/pam_limits.c`).

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// Line, from 1.
    pub line: u32,
    /// Whom it is for: an account, `@group`, `%group`, a range of ids, `*` or `%`.
    pub domain: String,
    /// Whether it sets the soft limit.
    pub soft: bool,
    /// Whether it sets the hard limit.
    pub hard: bool,
    /// What is limited; nothing for `domain -`, which frees whom it is for of all limits.
    pub item: Option<String>,
    /// The value as written, in lower case.
    pub value: String,
}

/// Every line that pam_limits understands, in order.
#[must_use]
pub fn parse(content: &[u8]) -> Vec<Limit> {
    let lines = (1..).zip(content.split(|&byte| byte == b'\n'));
    lines.filter_map(|(number, text)| line(number, text)).collect()
}

fn line(line: u32, text: &[u8]) -> Option<Limit> {
    let text = text.split(|&byte| byte == b'#').next().unwrap_or_default();
    let text = String::from_utf8_lossy(text);
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let (domain, kind, item, value) = match words.as_slice() {
        // The value is the fourth word; what follows it is not read.
        [domain, kind, item, value, ..] => (domain, kind, Some(item.to_ascii_lowercase()), value.to_ascii_lowercase()),
        [domain, "-"] => (domain, &"-", None, String::new()),
        _ => return None,
    };
    let kind = kind.to_ascii_lowercase();
    let (soft, hard) = (kind == "soft" || kind == "-", kind == "hard" || kind == "-");
    (soft || hard).then(|| Limit { line, domain: (*domain).to_owned(), soft, hard, item, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_kinds_and_too_few_words() {
        let found = parse(b"# * hard core 0\n* HARD core 0 # x\n* soft core\n@ops - nofile 99 more\njoe -\n* both core 0\n");
        let found: Vec<_> =
            found.iter().map(|one| (one.line, one.domain.as_str(), one.soft, one.hard, one.item.as_deref())).collect();
        assert_eq!(
            found,
            [(2, "*", false, true, Some("core")), (4, "@ops", true, true, Some("nofile")), (5, "joe", true, true, None)]
        );
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_in_it_is_read_without_panic(content: Vec<u8>) {
            let _ = parse(&content);
        }
    }
}
