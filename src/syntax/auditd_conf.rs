//! `auditd.conf(5)`, as `nv_split` and `load_config` in auditd-config.c read it: words by single blanks (a tab is part of a word), `=` a word of
//! its own. A line that is not so keeps auditd from starting.

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Line, from 1.
    pub line: u32,
    /// The name.
    pub key: String,
    /// The value; of `exec /path` the first word.
    pub value: String,
}

/// What a file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// Every setting, in order.
    pub settings: Vec<Setting>,
    /// The first line auditd refuses, and why.
    pub refused: Option<(u32, String)>,
}

/// Lines longer than auditd's own buffer are passed over.
const MAX_LINE: usize = 510;

/// The settings that take a program behind their value.
const WITH_OPTION: [&str; 4] = ["space_left_action", "admin_space_left_action", "disk_full_action", "disk_error_action"];

/// Reads a file.
#[must_use]
pub fn parse(content: &[u8]) -> Config {
    let mut config = Config::default();
    for (line, text) in (1..).zip(content.split(|&byte| byte == b'\n')) {
        let words: Vec<String> = (text.split(|&byte| byte == b' '))
            .filter(|word| !word.is_empty())
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect();
        let refused = match words.as_slice() {
            [] => None,
            [first, ..] if first.starts_with('#') || text.len() > MAX_LINE => None,
            [key, equals, value, more @ ..] if equals == "=" => {
                config.settings.push(Setting { line, key: key.clone(), value: value.clone() });
                let may = WITH_OPTION.iter().any(|known| key.eq_ignore_ascii_case(known));
                (!may && !more.is_empty()).then(|| format!("there is more behind the value of {key}"))
            }
            [_, equals] if equals == "=" => Some("there is no value".to_owned()),
            _ => Some("there is no '=' with blanks around it".to_owned()),
        };
        if config.refused.is_none() {
            config.refused = refused.map(|why| (line, why));
        }
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_around_the_sign_are_needed() {
        let config = parse(b"# comment\n\n log_file = /var/log/a  \nfreq=50\nspace_left_action = exec /bin/x\n");
        let found: Vec<_> = config.settings.iter().map(|one| (one.line, one.key.as_str(), one.value.as_str())).collect();
        assert_eq!(found, [(3, "log_file", "/var/log/a"), (5, "space_left_action", "exec")]);
        assert_eq!(config.refused, Some((4, "there is no '=' with blanks around it".to_owned())));
    }

    #[test]
    fn a_comment_behind_a_value_is_one_word_too_many() {
        assert_eq!(parse(b"freq = 50 # often\n").refused.map(|(line, _)| line), Some(1));
        assert_eq!(parse(b"freq =\n").refused.map(|(line, _)| line), Some(1));
        assert_eq!(parse(b"disk_full_action = exec /bin/x\n").refused, None);
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_in_it_is_read_without_panic(content: Vec<u8>) {
            let _ = parse(&content);
        }
    }
}
