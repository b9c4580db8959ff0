//! Secrets in variables of the environment: by what they are called.

use super::login::{addresses, tokens};
use super::{Found, MAX_FOUND, is_placeholder, lines};

/// What the names of secrets have in them, in upper case.
const SECRET: [&str; 11] = [
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "SECRET",
    "TOKEN",
    "API_KEY",
    "APIKEY",
    "ACCESS_KEY",
    "PRIVATE_KEY",
    "CREDENTIAL",
    "ACCOUNT_KEY",
];

/// Endings that tell that the value is about a secret and is none.
const ABOUT: [&str; 26] = [
    "_FILE",
    "_PATH",
    "_DIR",
    "_URL",
    "_URI",
    "_ID",
    "_NAME",
    "_ARN",
    "_COMMAND",
    "_CMD",
    "_TTL",
    "_TIMEOUT",
    "_LENGTH",
    "_TYPE",
    "_ENABLED",
    "_PROMPT",
    "_AGE",
    "_DAYS",
    "_EXPIRY",
    "_EXPIRATION",
    "_REGION",
    "_HOST",
    "_ENDPOINT",
    "_HELPER",
    "_PROVIDER",
    "_POLICY",
];

/// Whether a variable of this name holds a secret.
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    (SECRET.iter().any(|part| name.contains(part)) || name.ends_with("_PASS") || name == "PGPASSWORD" || name == "MYSQL_PWD")
        && !ABOUT.iter().any(|ending| name.ends_with(ending))
}

/// Assignments of secrets to variables, one a line, as the shell, `environment(5)` and systemd's `EnvironmentFile=` take them, also behind `export`,
/// `setenv`, `declare -x` or `ENV`.
#[must_use]
pub fn assignments(content: &[u8]) -> Vec<Found> {
    let mut found = Vec::new();
    for (number, line) in lines(content).filter(|(_, line)| !line.starts_with(b"#")) {
        if let Some((name, value)) = split(line)
            && let Some(what) = judge(name, value)
        {
            found.push(Found::new(number, what));
        }
        if found.len() >= MAX_FOUND {
            break;
        }
    }
    found.extend(addresses(content));
    found.extend(tokens(content));
    found.sort();
    found.dedup_by_key(|found| found.line);
    found
}

/// What one variable with this value is, if it is a secret.
#[must_use]
pub fn judge(name: &[u8], value: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(name).ok()?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    (is_name && is_secret_name(name) && !is_placeholder(value)).then(|| format!("a value for {name}"))
}

fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut line = line;
    for word in [&b"export "[..], b"declare -x ", b"typeset -x ", b"readonly ", b"ENV "] {
        line = line.strip_prefix(word).map_or(line, <[u8]>::trim_ascii_start);
    }
    let separator = if let Some(rest) = line.strip_prefix(b"setenv ") {
        line = rest.trim_ascii_start();
        line.iter().position(u8::is_ascii_whitespace)?
    } else {
        memchr::memchr(b'=', line)?
    };
    let name = line.get(..separator)?.trim_ascii();
    let value = line.get(separator + 1..)?.trim_ascii();
    Some((name, unquoted(value)))
}

/// The value as far as it is one word: a quoted one to its closing quote, another to a blank or a semicolon.
fn unquoted(value: &[u8]) -> &[u8] {
    let (start, end): (usize, fn(&u8) -> bool) = match value.first() {
        Some(b'"') => (1, |byte| *byte == b'"'),
        Some(b'\'') => (1, |byte| *byte == b'\''),
        _ => (0, |byte| byte.is_ascii_whitespace() || *byte == b';'),
    };
    let value = value.get(start..).unwrap_or_default();
    value.get(..value.iter().position(end).unwrap_or(value.len())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Vec<u32> {
        assignments(text.as_bytes()).iter().filter_map(|found| found.line).collect()
    }

    #[test]
    fn secrets_by_name() {
        assert_eq!(at("PATH=/usr/bin\nDB_PASSWORD=hunter2\n"), [2]);
        assert_eq!(
            at("export AWS_SECRET_ACCESS_KEY='abcd/efgh'\nsetenv API_TOKEN abcdef1\n  GITHUB_TOKEN = \"abcd1234\"\n"),
            [1, 2, 3]
        );
    }

    #[test]
    fn what_is_about_a_secret_is_none() {
        let text = "DB_PASSWORD_FILE=/run/x\nTOKEN_TTL=3600s\nAWS_ACCESS_KEY_ID=AKIAABCDEFGHIJKLMNOP\nDB_PASSWORD=${X}\nDB_PASSWORD=\n#DB_PASSWORD=hunter2\nSSH_ASKPASS=/usr/bin/x\nTOKENIZERS_PARALLELISM=false\nCHECK_PASSWORD=yes\nSECRET=$(cat /x)\nif [ \"$PASSWORD\" = x1234 ]; then\n";
        assert_eq!(at(text), Vec::<u32>::new());
    }

    #[test]
    fn an_address_with_a_password_whatever_the_name() {
        assert_eq!(at("DATABASE=postgres://u:s3cr3t@db/x\nB=postgres://u@db/x\n"), [1]);
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_in_it_is_read_without_panic(content: Vec<u8>) {
            let _ = assignments(&content);
        }
    }
}
