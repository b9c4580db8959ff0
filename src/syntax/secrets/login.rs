//! Passwords and tokens in the files of the programs that use them.

use super::{Found, MAX_FOUND, is_placeholder, line_at, lines};

/// Values that are given to one of these names: `name = value`, `name: value`, `"name": "value"`, in any of the formats that write it like
/// that (INI, YAML, JSON, TOML). Names are in lower case and are found in any; what is a comment does not count, nor does an empty value
/// or a [placeholder](is_placeholder).
#[must_use]
pub fn assigned(content: &[u8], names: &[&str], what: &str) -> Vec<Found> {
    let lower = content.to_ascii_lowercase();
    let mut found = Vec::new();
    for name in names {
        for at in memchr::memmem::find_iter(&lower, name.as_bytes()) {
            // A longer name ends with this one: `x_token`. Registries stand before theirs in npmrc: `//host/:_authToken`.
            let before = at.checked_sub(1).and_then(|before| lower.get(before));
            if before.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(byte)) {
                continue;
            }
            let Some(value) = value_after(content.get(at + name.len()..).unwrap_or_default()) else { continue };
            if !is_placeholder(value) && !is_commented(content, at) {
                found.push(Found::new(line_at(content, at), what));
            }
            if found.len() >= MAX_FOUND {
                return found;
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

/// Secret keys of AWS by their names, wherever they stand: in a script, an INI file, a unit. The value has to look like one, as the names stand
/// in programs, too.
#[must_use]
pub fn cloud(content: &[u8]) -> Vec<Found> {
    const NAMES: [&[u8]; 5] =
        [b"aws_secret_access_key", b"aws_secret_key", b"aws_session_token", b"secretaccesskey", b"secret_access_key"];
    /// They have 40 characters and more; what is shorter than this is a word.
    const LEAST: usize = 16;
    let lower = content.to_ascii_lowercase();
    let mut found = Vec::new();
    for name in NAMES {
        for at in memchr::memmem::find_iter(&lower, name) {
            let rest = content.get(at + name.len()..).unwrap_or_default();
            let Some(value) = value_after(rest).map(|value| value.strip_suffix(b"\"").unwrap_or(value)) else { continue };
            let is_key = value.len() >= LEAST
                && value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(byte))
                && value.iter().any(u8::is_ascii_digit)
                && value.iter().any(u8::is_ascii_alphabetic);
            if is_key && !is_placeholder(value) && !is_commented(content, at) && found.len() < MAX_FOUND {
                found.push(Found::new(line_at(content, at), "a key of AWS"));
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

/// The value behind a name: a quote that closes the name, blanks, `=` or `:`, blanks, and what follows to the end of the quotes or the line.
fn value_after(rest: &[u8]) -> Option<&[u8]> {
    let rest = rest.strip_prefix(b"\"").or_else(|| rest.strip_prefix(b"'")).unwrap_or(rest);
    let rest = blanks(rest);
    let rest = rest.strip_prefix(b"=").or_else(|| rest.strip_prefix(b":"))?;
    let rest = blanks(rest);
    let (rest, end): (&[u8], fn(&u8) -> bool) = match rest.first() {
        Some(b'"') => (rest.get(1..)?, |byte| matches!(byte, b'"' | b'\n')),
        Some(b'\'') => (rest.get(1..)?, |byte| matches!(byte, b'\'' | b'\n')),
        _ => (rest, |byte| byte.is_ascii_whitespace() || matches!(byte, b',' | b'}')),
    };
    rest.get(..rest.iter().position(end).unwrap_or(rest.len()))
}

fn blanks(rest: &[u8]) -> &[u8] {
    let from = rest.iter().position(|byte| !matches!(byte, b' ' | b'\t')).unwrap_or(rest.len());
    rest.get(from..).unwrap_or_default()
}

fn is_commented(content: &[u8], at: usize) -> bool {
    let before = content.get(..at).unwrap_or_default();
    let start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
    let line = before.get(start..).unwrap_or_default().trim_ascii_start();
    line.starts_with(b"#") || line.starts_with(b";")
}

/// Passwords in the form of `netrc(5)`, which `apt_auth.conf(5)` shares: the word behind `password`.
#[must_use]
pub fn netrc(content: &[u8]) -> Vec<Found> {
    let mut found = Vec::new();
    let mut expected = false;
    for (number, line) in lines(content).filter(|(_, line)| !line.starts_with(b"#")) {
        for word in line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()) {
            if expected && !is_placeholder(word) && found.len() < MAX_FOUND {
                found.push(Found::new(number, "a password for a host"));
            }
            expected = !expected && word == b"password";
        }
    }
    found
}

/// Passwords within addresses: `https://name:password@host`.
#[must_use]
pub fn addresses(content: &[u8]) -> Vec<Found> {
    let mut found = Vec::new();
    for at in memchr::memmem::find_iter(content, b"://") {
        let rest = content.get(at + 3..).unwrap_or_default();
        let end = rest.iter().position(|byte| byte.is_ascii_whitespace() || b"/?#\"'<>`".contains(byte)).unwrap_or(rest.len());
        let authority = rest.get(..end).unwrap_or_default();
        let Some(host) = memchr::memrchr(b'@', authority) else { continue };
        let Some(colon) = memchr::memchr(b':', authority.get(..host).unwrap_or_default()) else { continue };
        let password = authority.get(colon + 1..host).unwrap_or_default();
        if !is_placeholder(password) && password != b"pass" && password != b"pwd" && !is_commented(content, at) {
            found.push(Found::new(line_at(content, at), "a password in an address"));
        }
        if found.len() >= MAX_FOUND {
            break;
        }
    }
    found
}

/// Passwords of PostgreSQL's clients (`.pgpass`): five fields, the last one the password.
#[must_use]
pub fn pgpass(content: &[u8]) -> Vec<Found> {
    let passwords = lines(content).filter(|(_, line)| !line.starts_with(b"#"));
    let passwords =
        passwords.filter(|(_, line)| line.splitn(5, |&byte| byte == b':').nth(4).is_some_and(|last| !is_placeholder(last)));
    passwords.take(MAX_FOUND).map(|(number, _)| Found::new(number, "a password of a database")).collect()
}

/// A file that is a token and nothing else.
#[must_use]
pub fn whole(content: &[u8], what: &str) -> Vec<Found> {
    let token = content.trim_ascii();
    if is_placeholder(token) || token.starts_with(b"#") { Vec::new() } else { vec![Found::new(1, what)] }
}

/// Tokens that are known by how they begin, wherever they stand: the beginning, and how many characters follow at least.
const TOKENS: [(&[u8], usize, &str); 12] = [
    (b"ghp_", 36, "a token of GitHub"),
    (b"gho_", 36, "a token of GitHub"),
    (b"ghs_", 36, "a token of GitHub"),
    (b"github_pat_", 60, "a token of GitHub"),
    (b"glpat-", 20, "a token of GitLab"),
    (b"xoxb-", 24, "a token of Slack"),
    (b"xoxp-", 24, "a token of Slack"),
    (b"sk_live_", 24, "a key of Stripe"),
    (b"AIza", 35, "a key of Google"),
    (b"hvs.", 24, "a token of Vault"),
    (b"npm_", 36, "a token of npm"),
    (b"dckr_pat_", 20, "a token of Docker"),
];

/// Tokens that are known by how they begin.
#[must_use]
pub fn tokens(content: &[u8]) -> Vec<Found> {
    let mut found = Vec::new();
    for (start, least, what) in TOKENS {
        for at in memchr::memmem::find_iter(content, start) {
            let before = at.checked_sub(1).and_then(|before| content.get(before));
            let rest = content.get(at + start.len()..).unwrap_or_default();
            let length = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(byte)).count();
            let token = rest.get(..length).unwrap_or_default();
            let is_word = before.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
            if length >= least && !is_word && !is_placeholder(token) && found.len() < MAX_FOUND {
                found.push(Found::new(line_at(content, at), what));
            }
        }
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(found: &[Found]) -> Vec<u32> {
        found.iter().filter_map(|found| found.line).collect()
    }

    #[test]
    fn values_in_every_way_of_writing_them() {
        let given = |text: &str| at(&assigned(text.as_bytes(), &["auth", "token", "aws_secret_access_key"], "x"));
        assert_eq!(given("[default]\naws_secret_access_key = abcdEFGH1234\n"), [2]);
        assert_eq!(given("AWS_SECRET_ACCESS_KEY=abcdEFGH1234"), [1]);
        assert_eq!(given("{\"auths\": {\"r\": {\"auth\": \"dTpwYXNz\"}}}"), [1]);
        assert_eq!(given("user:\n    token: abcdefgh\n"), [2]);
        assert!(given("{\"auth\": \"\", \"auths\": {}}").is_empty());
        assert!(given("# token = abcdefgh\n;token=abcdefgh\ntoken_file = abcdefgh\nmytoken = abcdefgh\ntoken =\n").is_empty());
        assert!(given("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n").is_empty());
    }

    #[test]
    fn the_word_behind_password_on_whatever_line() {
        assert_eq!(at(&netrc(b"machine a login b\n  password\n s3cret99\n# password xxyyzz\nmachine c login password\n")), [3]);
        assert_eq!(at(&netrc(b"machine a login b password s3cret99 machine d password othe7one")), [1, 1]);
    }

    #[test]
    fn passwords_in_addresses() {
        assert_eq!(at(&addresses(b"x\nurl = https://bob:s3cr3t@host/x\n")), [2]);
        assert!(addresses(b"https://bob@host/ https://host:8080/@x https://u:$P@h/ #https\n# http://a:s3cr3t@h\n").is_empty());
    }

    #[test]
    fn other_forms() {
        assert_eq!(at(&pgpass(b"# h:1:d:u:p4ssw0rd\nh:5432:*:u:p4ss:w0rd\nh:1:d:u\n")), [2]);
        assert_eq!(at(&whole(b"hvs.abc\n", "x")), [1]);
        assert!(whole(b"\n", "x").is_empty());
        assert_eq!(at(&tokens(b"a\nexport X=ghp_abcdefghijklmnopqrstuvwxyz0123456789")), [2]);
        assert!(tokens(b"ghp_short xghp_abcdefghijklmnopqrstuvwxyz0123456789").is_empty());
    }

    #[test]
    fn nothing_of_a_value_is_told() {
        let content = b"token = hunter2hunter2\n";
        assert!(assigned(content, &["token"], "a token").iter().all(|found| !found.what.contains("hunter2")));
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_in_it_is_read_without_panic(content: Vec<u8>) {
            let _ = (assigned(&content, &["a"], ""), netrc(&content), addresses(&content), pgpass(&content), tokens(&content));
        }
    }

    #[test]
    fn keys_of_aws_in_anything() {
        for text in [
            "export AWS_SECRET_ACCESS_KEY=qqqqQQQQ11112222ssss+/qqqqQQQQ11112222ss\n",
            "a: 1\naws_secret_access_key: 'qqqqQQQQ11112222ssss+/'\n",
            "{\"SecretAccessKey\": \"qqqqQQQQ11112222ssss+/\"}",
        ] {
            assert_eq!(cloud(text.as_bytes()).len(), 1, "{text}");
        }
        for text in [
            "aws_secret_access_key = os.environ['AWS_SECRET_ACCESS_KEY']",
            "AWS_SECRET_ACCESS_KEY=${KEY}",
            "# aws_secret_access_key = qqqqQQQQ11112222ssss+/",
            "aws_secret_access_key: config_value",
        ] {
            assert_eq!(cloud(text.as_bytes()), [], "{text}");
        }
    }
}
