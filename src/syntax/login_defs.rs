//! `login.defs(5)` as shadow-utils reads it (`lib/getdef.c`), and the defaults of `useradd(8)` (`get_defaults` in `src/useradd.c`).

/// A setting on one line. The last of a name wins in both files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting<'a> {
    /// Line, from 1.
    pub line: u32,
    /// The name; upper and lower case differ.
    pub key: &'a [u8],
    /// The value: all the rest of the line, what looks like a comment included, up to a closing quote.
    pub value: &'a [u8],
}

/// Reads `login.defs`: a name, blanks, a value. Only a line that *begins* with `#` is a comment; a name without a value is passed over.
#[must_use]
pub fn parse(content: &[u8]) -> Vec<Setting<'_>> {
    numbered(content)
        .filter_map(|(line, text)| {
            let text = skip(text.trim_ascii_end(), b" \t");
            if text.is_empty() || text.first() == Some(&b'#') {
                return None;
            }
            let end = text.iter().position(|byte| b" \t".contains(byte))?;
            let (key, rest) = text.split_at_checked(end)?;
            let value = skip(rest, b" \t\"").split(|&byte| byte == b'"').next().unwrap_or_default();
            Some(Setting { line, key, value })
        })
        .collect()
}

/// Reads `/etc/default/useradd`: `NAME=value`, from the first column on and without any quoting.
#[must_use]
pub fn parse_useradd(content: &[u8]) -> Vec<Setting<'_>> {
    numbered(content)
        .filter_map(|(line, text)| {
            let end = text.iter().position(|&byte| byte == b'=')?;
            let (key, rest) = text.split_at_checked(end)?;
            let value = rest.get(1..)?;
            (key.first()? != &b'#').then_some(Setting { line, key, value })
        })
        .collect()
}

/// A number as shadow-utils' `getlong` takes it (`strtol` with base 0: `0x1f` and octal `017` too); nothing if anything else is there.
#[must_use]
pub fn number(value: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(value).ok()?.trim_ascii_start();
    let (sign, digits) = match text.split_at_checked(1) {
        Some(("-", digits)) => (-1, digits),
        Some(("+", digits)) => (1, digits),
        _ => (1, text),
    };
    let (digits, radix) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => (hex, 16),
        None if digits.len() > 1 && digits.starts_with('0') => (digits, 8),
        None => (digits, 10),
    };
    // `from_str_radix` would take a second sign.
    digits
        .starts_with(|first: char| first.is_digit(radix))
        .then(|| i64::from_str_radix(digits, radix).ok())
        .flatten()?
        .checked_mul(sign)
}

fn numbered(content: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    (1..)
        .zip(content.split(|&byte| byte == b'\n'))
        .map(|(line, text)| (line, text.split(|&byte| byte == 0).next().unwrap_or_default()))
}

fn skip<'a>(text: &'a [u8], blanks: &[u8]) -> &'a [u8] {
    let start = text.iter().position(|byte| !blanks.contains(byte)).unwrap_or(text.len());
    text.get(start..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> &[u8] {
        parse(text.as_bytes())[0].value
    }

    #[test]
    fn a_comment_behind_a_value_belongs_to_it() {
        assert_eq!(value("PASS_MAX_DAYS 365 # a year\n"), b"365 # a year");
        assert_eq!(number(value("PASS_MAX_DAYS 365 # a year\n")), None);
    }

    #[test]
    fn blanks_quotes_and_carriage_returns() {
        assert_eq!(value("\t PASS_MAX_DAYS\t \"365\" # a year\r\n"), b"365");
        assert_eq!(value("PASS_MAX_DAYS 365 \r\n"), b"365");
        assert!(parse(b"PASS_MAX_DAYS\n# X 1\n\nPASS_MAX_DAYS=365\n").is_empty());
    }

    #[test]
    fn numbers_have_the_bases_of_c() {
        assert_eq!(number(b"010"), Some(8));
        assert_eq!(number(b"0x10"), Some(16));
        assert_eq!(number(b"-1"), Some(-1));
        assert_eq!(number(b"0"), Some(0));
        assert_eq!([number(b""), number(b"08"), number(b"--1"), number(b"-+1"), number(b"9d")], [None; 5]);
    }

    #[test]
    fn defaults_of_useradd_start_in_the_first_column() {
        let settings = parse_useradd(b"# INACTIVE=1\n INACTIVE=2\nINACTIVE=3\nnothing\n");
        let keys: Vec<_> = settings.iter().map(|setting| setting.key).collect();
        assert_eq!(keys, [&b" INACTIVE"[..], b"INACTIVE"]);
        assert_eq!(settings[1].value, b"3");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(content: Vec<u8>) {
            let _ = parse(&content);
            let _ = parse_useradd(&content);
            let _ = number(&content);
        }

        #[test]
        fn any_number_like_text_is_read_without_a_panic(content in "[-+0-9xX ]{0,30}") {
            let _ = number(content.as_bytes());
        }
    }
}
