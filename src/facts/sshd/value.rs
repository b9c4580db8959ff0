//! The value of a line, as the server would take it: normalised, with numbers multiplied out, or why it refuses to start.

use super::keyword::{Keyword, Syntax};
use super::release::Release;
use crate::path::printable;
use crate::syntax::sshd_config::Argument;

/// What a line sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// As `sshd -T` writes it.
    pub text: String,
    /// As a number: times in seconds, sizes in bytes, modes as they are.
    pub number: Option<i64>,
    /// As a list, where it is one.
    pub list: Option<Vec<String>>,
    /// As the file has it.
    pub written: String,
}

/// Reads the arguments of a line; nothing where they set nothing (a list without a word in it).
///
/// # Errors
/// Why sshd refuses to start.
pub(super) fn read(
    keyword: &Keyword,
    arguments: &[Argument],
    rest: &[u8],
    release: &Release,
    at_start: bool,
) -> Result<Option<Value>, String> {
    let words: Vec<&[u8]> = arguments.iter().map(|argument| argument.text.as_slice()).collect();
    let written = words.iter().map(|word| printable(word)).collect::<Vec<_>>().join(" ");
    if let Some(value) = whole_line(keyword.syntax, rest) {
        return value.map(Some);
    }
    let text = |text: String| Value { number: number(text.as_bytes()), text, list: None, written: written.clone() };
    let numbered = |text: String, number: i64| Value { text, number: Some(number), list: None, written: written.clone() };
    let listed =
        |list: Vec<String>, glue: &str| Value { text: list.join(glue), number: None, list: Some(list), written: written.clone() };
    // A port alone listens for every address.
    let bare = |word: &[u8]| keyword.name == "PermitListen" && word != b"any" && word != b"none" && !word.contains(&b':');
    let each = |word: &&[u8]| if bare(word) { format!("*:{}", printable(word)) } else { printable(word) };
    let all = || listed(words.iter().map(each).collect(), " ");
    if let Some(value) = many(keyword.syntax, &words) {
        return value.map(|()| (!words.is_empty()).then(all));
    }
    let Some((&first, others)) = words.split_first().filter(|(first, _)| !first.is_empty()) else {
        return Err("an argument is missing".into());
    };
    let more = usize::from(matches!(keyword.syntax, Syntax::Qos | Syntax::Rekey));
    if keyword.syntax == Syntax::Listen {
        return listen(&words).map(|()| Some(all()));
    }
    if keyword.syntax == Syntax::Subsystem {
        return match others.first() {
            Some(command) if !command.is_empty() => Ok(Some(text(all().text))),
            _ => Err("the command is missing".into()),
        };
    }
    if others.len() > more {
        return Err("there is more behind its argument".into());
    }
    let wrong = || format!("'{}' is no value for it", printable(first));
    let seconds = |word: &[u8]| time(word).ok_or_else(|| format!("'{}' is no time", printable(word)));
    Ok(Some(match keyword.syntax {
        Syntax::Choice(words) => text(choice(words, first, false).ok_or_else(wrong)?),
        Syntax::ExactChoice(words) => text(choice(words, first, true).ok_or_else(wrong)?),
        Syntax::Number => {
            let number = number(first).filter(|number| (0..=i64::from(i32::MAX)).contains(number)).ok_or_else(wrong)?;
            numbered(number.to_string(), number)
        }
        Syntax::NumberOrNone if first == b"none" => text("none".into()),
        Syntax::NumberOrNone => {
            let number = number(first).filter(|number| (0..=i64::from(i32::MAX)).contains(number)).ok_or_else(wrong)?;
            numbered(number.to_string(), number)
        }
        Syntax::TimeOrNone if first.eq_ignore_ascii_case(b"none") => numbered("0".into(), 0),
        Syntax::Time | Syntax::TimeOrNone => {
            let seconds = seconds(first)?;
            numbered(seconds.to_string(), seconds)
        }
        Syntax::Algorithms(family) => {
            family.check(first, release)?;
            match family.assemble(first, release) {
                // For the connections of a block it is put together when they come, and they are refused then.
                Err(_) if !at_start => listed(Vec::new(), ","),
                list => listed(list?, ","),
            }
        }
        Syntax::Port => {
            let port = number(first).filter(|port| (1..=65_535).contains(port)).ok_or_else(wrong)?;
            numbered(port.to_string(), port)
        }
        Syntax::Startups => text(startups(first).ok_or_else(wrong)?),
        Syntax::NetBlock => text(net_block(first).ok_or_else(wrong)?),
        Syntax::Rekey => {
            let bytes = if first == b"default" { 0 } else { size(first).ok_or_else(wrong)? };
            let interval = match others.first() {
                None => 0,
                Some(&word) if word == b"none" => 0,
                Some(word) => seconds(word)?,
            };
            numbered(format!("{bytes} {interval}"), bytes)
        }
        Syntax::Mask => {
            let digits = first.iter().take_while(|byte| (b'0'..=b'7').contains(byte)).count();
            let octal = std::str::from_utf8(first.get(..digits).unwrap_or_default()).unwrap_or_default();
            let mask = i64::from_str_radix(octal, 8).ok().filter(|mask| *mask <= 0o777).ok_or_else(wrong)?;
            numbered(format!("0{mask:o}"), mask)
        }
        Syntax::Qos => match words.iter().find(|word| !is_service(word)) {
            Some(wrong) => return Err(format!("'{}' is no type of service", printable(wrong))),
            None => text(words.iter().map(|word| printable(word).to_lowercase()).collect::<Vec<_>>().join(" ")),
        },
        Syntax::Path if first != b"SSH_AUTH_SOCK" && !first.eq_ignore_ascii_case(b"internal") => text(absolute(first)),
        Syntax::Refused => return Err("routing domains are not supported on Linux".into()),
        _ if first.eq_ignore_ascii_case(b"none") => text("none".into()),
        _ => text(printable(first)),
    }))
}

/// `derelativise_path` for root, in the root directory.
fn absolute(path: &[u8]) -> String {
    match path.strip_prefix(b"~/") {
        _ if path.eq_ignore_ascii_case(b"none") => "none".into(),
        Some(home) => format!("/root/{}", printable(home)),
        None if path.starts_with(b"/") => printable(path),
        None => format!("/{}", printable(path)),
    }
}

/// Those that take the rest of the line as it is.
fn whole_line(syntax: Syntax, rest: &[u8]) -> Option<Result<Value, String>> {
    if !matches!(syntax, Syntax::Text | Syntax::Command) {
        return None;
    }
    let written = printable(rest);
    if rest.is_empty() {
        return Some(Err("an argument is missing".into()));
    }
    let none = rest.eq_ignore_ascii_case(b"none");
    if syntax == Syntax::Command && !rest.starts_with(b"/") && !none {
        return Some(Err("it has to be an absolute path".into()));
    }
    let text = if none { "none".into() } else { written.clone() };
    Some(Ok(Value { text, number: None, list: None, written }))
}

/// Those that take any number of words.
fn many(syntax: Syntax, words: &[&[u8]]) -> Option<Result<(), String>> {
    let each = |good: &dyn Fn(&[u8]) -> bool| match words.iter().find(|word| word.is_empty() || !good(word)) {
        Some(wrong) => Err(format!("'{}' is no value for it", printable(wrong))),
        None => Ok(()),
    };
    let alone = |word: &str| {
        let found = words.iter().any(|one| one.eq_ignore_ascii_case(word.as_bytes()));
        if found && words.len() > 1 { Err(format!("'{word}' has to stand alone")) } else { Ok(()) }
    };
    Some(match syntax {
        Syntax::Words | Syntax::Patterns => each(&|_| true),
        Syntax::Environment => each(&|word| !word.contains(&b'=')),
        Syntax::Assignments => each(&|word| word.contains(&b'=')),
        Syntax::NoneOrWords => alone("none").and_then(|()| each(&|_| true)),
        Syntax::Timeouts => {
            let good = |word: &[u8]| match word.iter().position(|&byte| byte == b'=') {
                Some(cut) => cut > 0 && time(word.get(cut + 1..).unwrap_or_default()).is_some(),
                None => word.eq_ignore_ascii_case(b"none"),
            };
            alone("none").and_then(|()| each(&good))
        }
        Syntax::Methods => match words {
            [] => Err("an argument is missing".into()),
            _ => alone("any").and_then(|()| each(&is_method_list)),
        },
        Syntax::Forwards => match words {
            [] => Err("an argument is missing".into()),
            [one] if *one == b"any" || *one == b"none" => Ok(()),
            _ => each(&|word| port_behind(word).is_some()),
        },
        _ => return None,
    })
}

fn choice(words: &[(&str, &str)], word: &[u8], exact: bool) -> Option<String> {
    let is = |name: &str| if exact { word == name.as_bytes() } else { word.eq_ignore_ascii_case(name.as_bytes()) };
    words.iter().find(|(name, _)| is(name)).map(|(_, means)| (*means).to_owned())
}

/// `strtonum`: white space and a sign may stand before it, nothing behind.
fn number(word: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(word).ok()?.trim_start();
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// `convtime`: numbers, each with its unit or without, such as `1h30m`; in seconds.
pub(super) fn time(word: &[u8]) -> Option<i64> {
    let mut rest = std::str::from_utf8(word).ok()?;
    let limit = i64::from(i32::MAX);
    let mut total = 0_i64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
        let (digits, behind) = rest.split_at(end);
        let seconds: i64 = digits.parse().ok()?;
        let mut unit = behind.chars();
        let factor = match unit.next().map(|unit| unit.to_ascii_lowercase()) {
            None | Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3_600,
            Some('d') => 86_400,
            Some('w') => 604_800,
            Some(_) => return None,
        };
        total = total.checked_add(seconds.checked_mul(factor)?).filter(|total| *total <= limit)?;
        rest = unit.as_str();
    }
    Some(total)
}

/// `scan_scaled`: a number with a letter for the power of 1,024; at least 16 unless it is 0.
fn size(word: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(word).ok()?;
    let (digits, power) = match text.char_indices().last()? {
        (at, unit) if unit.is_ascii_alphabetic() => (text.get(..at)?, "bkmgtpe".find(unit.to_ascii_lowercase())?),
        _ => (text, 0),
    };
    let factor = 1_024_i64.checked_pow(u32::try_from(power).ok()?)?;
    number(digits.as_bytes())?.checked_mul(factor).filter(|size| *size == 0 || *size >= 16)
}

/// `sscanf("%d")` once: the number and what is behind it.
fn scanned(text: &[u8]) -> Option<(i64, &[u8])> {
    let text = text.trim_ascii_start();
    let sign = usize::from(matches!(text.first(), Some(b'-' | b'+')));
    let digits = text.iter().skip(sign).take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at_checked(sign + digits)?;
    Some((std::str::from_utf8(number).ok()?.parse().ok()?, rest))
}

/// One number, or three with colons; what follows the last is not looked at.
fn startups(word: &[u8]) -> Option<String> {
    let (begin, rest) = scanned(word)?;
    let second = rest.strip_prefix(b":").and_then(scanned);
    let (rate, full) = match second {
        None => (30, begin),
        Some((rate, rest)) => (rate, rest.strip_prefix(b":").and_then(scanned)?.0),
    };
    let good = begin > 0 && full >= begin && (1..=100).contains(&rate) && full <= i64::from(i32::MAX);
    good.then(|| format!("{begin}:{rate}:{full}"))
}

fn net_block(word: &[u8]) -> Option<String> {
    let (ipv4, rest) = scanned(word)?;
    let ipv6 = rest.strip_prefix(b":").and_then(scanned).map_or(128, |(ipv6, _)| ipv6);
    ((0..=32).contains(&ipv4) && (0..=128).contains(&ipv6)).then(|| format!("{ipv4}:{ipv6}"))
}

/// A type of service by name or as a number of one byte.
fn is_service(word: &[u8]) -> bool {
    const NAMES: [&str; 27] = [
        "af11",
        "af12",
        "af13",
        "af21",
        "af22",
        "af23",
        "af31",
        "af32",
        "af33",
        "af41",
        "af42",
        "af43",
        "cs0",
        "cs1",
        "cs2",
        "cs3",
        "cs4",
        "cs5",
        "cs6",
        "cs7",
        "ef",
        "le",
        "va",
        "lowdelay",
        "throughput",
        "reliability",
        "none",
    ];
    let text = String::from_utf8_lossy(word).to_lowercase();
    let number = match text.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    };
    NAMES.contains(&text.as_str()) || number.is_some_and(|number| (0..=255).contains(&number))
}

/// A list of the methods that exist, with or without a submethod (`auth2_methods_valid`).
fn is_method_list(word: &[u8]) -> bool {
    const METHODS: [&[u8]; 7] =
        [b"none", b"publickey", b"gssapi-keyex", b"gssapi-with-mic", b"password", b"keyboard-interactive", b"hostbased"];
    let known = |method: &[u8]| METHODS.contains(&method.split(|&byte| byte == b':').next().unwrap_or_default());
    word == b"any" || word.split(|&byte| byte == b',').all(known)
}

/// The port of `host:port`, or a port alone; `*` is any.
fn port_behind(word: &[u8]) -> Option<()> {
    let port = word.rsplit(|&byte| byte == b':').next()?;
    (port == b"*" || number(port).is_some_and(|port| (0..=65_535).contains(&port))).then_some(())
}

fn listen(words: &[&[u8]]) -> Result<(), String> {
    let address = words.first().copied().unwrap_or_default();
    if words.len() > 1 {
        return Err("routing domains are not supported on Linux".into());
    }
    let alone = address.splitn(3, |&byte| byte == b':').count() == 2;
    let port = match address.iter().rposition(|&byte| byte == b']') {
        Some(close) if address.starts_with(b"[") => address.get(close + 1..).unwrap_or_default(),
        _ if alone => address.iter().position(|&byte| byte == b':').and_then(|at| address.get(at..)).unwrap_or_default(),
        _ => b"",
    };
    match port.strip_prefix(b":").map(number) {
        Some(port) if !port.is_some_and(|port| (1..=65_535).contains(&port)) => Err("its port is no port".into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::release::Vendor;
    use super::*;
    use crate::syntax::sshd_config;

    fn value(name: &str, rest: &str) -> Result<Option<Value>, String> {
        let release = Release { number: 902, vendor: Vendor::Debian, package: None };
        let arguments = sshd_config::split(rest.as_bytes()).unwrap();
        read(Keyword::named(name).unwrap(), &arguments, rest.as_bytes(), &release, true)
    }

    fn text(name: &str, rest: &str) -> String {
        value(name, rest).unwrap().unwrap().text
    }

    #[test]
    fn words_are_brought_into_one_form() {
        assert_eq!(text("PermitRootLogin", "Without-Password"), "prohibit-password");
        assert_eq!(text("AllowTcpForwarding", "ALL"), "yes");
        assert_eq!(text("LogLevel", "debug1 # loud"), "DEBUG");
        assert!(value("PermitTunnel", "No").is_err(), "case matters here");
        assert_eq!(text("PermitUserEnvironment", "No"), "No", "and here: a list with the variable No");
    }

    #[test]
    fn times_sizes_and_numbers() {
        assert_eq!(value("LoginGraceTime", "1m30s").unwrap().unwrap().number, Some(90));
        assert_eq!([time(b"1h1"), time(b"0"), time(b"1x"), time(b""), time(b"-1")], [Some(3601), Some(0), None, None, None]);
        assert_eq!(text("RekeyLimit", "1G 1h"), "1073741824 3600");
        assert!(
            value("MaxAuthTries", "-1").is_err()
                && value("MaxAuthTries", "4x").is_err()
                && value("MaxAuthTries", "\"\"").is_err()
        );
        assert_eq!(text("StreamLocalBindMask", "177"), "0177");
    }

    #[test]
    fn startups_alone_and_as_three() {
        assert_eq!(text("MaxStartups", "10"), "10:30:10");
        assert_eq!(text("MaxStartups", "10:30:60"), "10:30:60");
        for wrong in ["0", "10:30", "10:0:60", "10:101:60", "60:30:10", "x", "10:30:-1"] {
            assert!(value("MaxStartups", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn lists_may_be_empty_but_not_their_words() {
        assert_eq!(value("AllowUsers", "# nobody").unwrap(), None);
        assert!(value("AllowUsers", "\"\"").is_err());
        assert!(value("AcceptEnv", "A=b").is_err() && value("SetEnv", "A").is_err());
        assert!(value("AuthenticationMethods", "any publickey").is_err());
        assert!(value("AuthenticationMethods", "publickey,keyboard-interactive:pam password").is_ok());
    }

    #[test]
    fn more_than_one_argument_where_one_belongs() {
        assert!(value("MaxAuthTries", "4 5").is_err());
        assert!(value("Ciphers", "aes256-ctr, aes128-ctr").is_err());
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(rest: Vec<u8>) {
            let release = Release { number: 902, vendor: Vendor::Other, package: None };
            if let Ok(arguments) = sshd_config::split(&rest) {
                for keyword in Keyword::every() {
                    let _ = read(keyword, &arguments, &rest, &release, true);
                }
            }
        }
    }
}
