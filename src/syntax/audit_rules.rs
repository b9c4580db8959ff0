//! `audit.rules(7)`: the arguments of `auditctl(8)`, one call a line.

/// A line of a rules file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// `-D`: forget every rule so far.
    DeleteAll,
    /// A rule: `-w`, `-a` or `-A`.
    Rule(Rule),
    /// A control such as `-e 2`, `-b 8192`, `--backlog_wait_time 60000`.
    Control {
        /// Its name without dashes.
        name: String,
        /// Its value; empty where it has none.
        value: String,
    },
    /// Something auditctl refuses, or that this reader does not know.
    Broken(String),
}

/// What a rule asks for.
#[allow(clippy::struct_excessive_bools, reason = "each is an option of its own")]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    /// `always` (record) as opposed to `never`.
    pub always: bool,
    /// The list it is in: `exit`, `task`, `user`, `exclude`, `filesystem`.
    pub list: String,
    /// `-A`: before all others.
    pub first: bool,
    /// `b32`, `b64`, or nothing. Without it a rule about files holds for both; system calls are then numbers of the kernel's own
    /// architecture.
    pub arch: Option<String>,
    /// System calls by name; `all` for every one; empty if none is named (a rule about files is about all).
    pub syscalls: Vec<String>,
    /// The file or directory it watches.
    pub path: Option<Vec<u8>>,
    /// Whether [`Rule::path`] is a directory with all below: by `-F dir=`. `-w` finds out by itself.
    pub tree: bool,
    /// Accesses it watches, some of `rwxa`; all where it does not say.
    pub perm: Option<String>,
    /// Every other filter, normalised: `auid>=1000`, `auid!=unset`, `exit=-EACCES`; sorted.
    pub filters: Vec<String>,
    /// It deletes (`-W`, `-d`) the rule it describes.
    pub deletes: bool,
}

/// Every line that says something, with its number from 1.
#[must_use]
pub fn parse(content: &[u8]) -> Vec<(u32, Line)> {
    let lines = (1..).zip(content.split(|&byte| byte == b'\n'));
    lines.filter_map(|(number, text)| line(text).map(|line| (number, line))).collect()
}

fn line(text: &[u8]) -> Option<Line> {
    let text = text.trim_ascii();
    if text.is_empty() || text.starts_with(b"#") {
        return None;
    }
    let words = words(text);
    let broken = |why: &str| Some(Line::Broken(why.to_owned()));
    let first = words.first().map(Vec::as_slice).unwrap_or_default();
    match first {
        b"-D" => Some(Line::DeleteAll),
        b"-a" | b"-A" | b"-d" | b"-w" | b"-W" | b"-F" | b"-S" | b"-k" | b"-p" | b"-C" => match rule(&words) {
            Ok(rule) => Some(Line::Rule(rule)),
            Err(why) => broken(&why),
        },
        name if name.starts_with(b"-") => match control(&text_of(name), words.get(1).map(|value| text_of(value))) {
            Ok(control) => Some(control),
            Err(why) => broken(&why),
        },
        _ => broken("it does not begin with an option"),
    }
}

/// Options that stand alone in their line, and take no value (`getopt_long` in auditctl.c).
const SWITCHES: [&str; 10] =
    ["-c", "-h", "-i", "-l", "-s", "-t", "-v", "--loginuid-immutable", "--reset-lost", "--reset_backlog_wait_time_actual"];
/// Options that set a number, and how large it may be where auditctl itself says so.
const NUMBERS: [(&str, u64); 5] = [("-b", u64::MAX), ("-e", 2), ("-f", 2), ("-r", u64::MAX), ("--backlog_wait_time", u64::MAX)];
/// Options with any other value.
const VALUES: [&str; 4] = ["-m", "-q", "-R", "--signal"];

fn control(option: &str, value: Option<String>) -> Result<Line, String> {
    let (option, value) = match option.split_once('=') {
        Some((long, value)) if long.starts_with("--") => (long, Some(value.to_owned())),
        // getopt(3) takes a value without a blank before it as well: -e2.
        _ if !option.starts_with("--") && option.len() > 2 && option.is_char_boundary(2) => {
            let (short, value) = option.split_at(2);
            (short, Some(value.to_owned()))
        }
        _ => (option, value),
    };
    let name = || option.trim_start_matches('-').to_owned();
    if SWITCHES.contains(&option) {
        return Ok(Line::Control { name: name(), value: String::new() });
    }
    let number = NUMBERS.iter().find(|(known, _)| *known == option);
    if number.is_none() && !VALUES.contains(&option) {
        return Err(format!("'{option}' is no option"));
    }
    let value = value.ok_or_else(|| format!("{option} has no value"))?;
    if let Some((_, most)) = number
        && value.parse::<u64>().ok().is_none_or(|number| number > *most)
    {
        return Err(format!("'{value}' is no value of {option}"));
    }
    Ok(Line::Control { name: name(), value })
}

/// Words by blanks; `"` and `'` hold one together, as auditctl's own reader does since 2.5.
fn words(text: &[u8]) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    for &byte in text {
        match (quote, byte) {
            (Some(open), byte) if byte == open => quote = None,
            (None, b'"' | b'\'') => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (None, byte) if byte.is_ascii_whitespace() => all.extend(word.take()),
            (_, byte) => word.get_or_insert_default().push(byte),
        }
    }
    all.extend(word);
    all
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn rule(words: &[Vec<u8>]) -> Result<Rule, String> {
    let mut rule = Rule { always: true, list: "exit".into(), ..Rule::default() };
    let mut named = false;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().cloned().ok_or_else(|| format!("{} has no value", text_of(word)));
        match word.as_slice() {
            option @ (b"-a" | b"-A" | b"-d") => {
                if rule.path.is_some() && named {
                    return Err("a list cannot be given with a watch".into());
                }
                named = true;
                rule.first = option == b"-A";
                rule.deletes |= option == b"-d";
                for part in text_of(&value()?).split(',') {
                    match part.to_ascii_lowercase().as_str() {
                        "always" => rule.always = true,
                        "never" => rule.always = false,
                        list @ ("exit" | "task" | "user" | "exclude" | "filesystem" | "io_uring") => {
                            list.clone_into(&mut rule.list);
                        }
                        // The old entry list is refused since Linux 2.6.36; auditctl takes it for exit.
                        "entry" => rule.list = "exit".into(),
                        other => return Err(format!("'{other}' is neither a list nor an action")),
                    }
                }
            }
            option @ (b"-w" | b"-W") => {
                if named {
                    return Err("a watch cannot be given with a list".into());
                }
                named = true;
                rule.deletes |= option == b"-W";
                rule.path = Some(value()?);
            }
            b"-p" | b"-F" | b"-C" | b"-k" if !named => return Err(format!("{} comes before a list or a watch", text_of(word))),
            b"-p" => rule.perm = Some(perms(&text_of(&value()?))?),
            b"-k" => {
                value()?;
            }
            b"-S" => rule.syscalls.extend(text_of(&value()?).split(',').filter(|name| !name.is_empty()).map(str::to_owned)),
            b"-F" => filter(&mut rule, &value()?)?,
            b"-C" => {
                let compared = text_of(&value()?);
                let (left, right) =
                    compared.split_once("!=").or_else(|| compared.split_once('=')).ok_or("-C compares nothing")?;
                let operator = if compared.contains('!') { "!=" } else { "=" };
                // Either side may come first.
                rule.filters.push(format!("{}{operator}{}", left.min(right), left.max(right)));
            }
            other => return Err(format!("'{}' is no option of a rule", text_of(other))),
        }
    }
    if !named {
        return Err("it names no list".into());
    }
    rule.filters.sort();
    rule.filters.dedup();
    Ok(rule)
}

fn perms(text: &str) -> Result<String, String> {
    let mut perms: Vec<char> = text.to_ascii_lowercase().chars().collect();
    if !perms.iter().all(|perm| "rwxa".contains(*perm)) {
        return Err(format!("'{text}' are no permissions out of rwxa"));
    }
    perms.sort_unstable();
    perms.dedup();
    Ok(perms.into_iter().collect())
}

/// The fields of `-F` (lib/fieldtab.h of audit 4).
const FIELDS: [&str; 46] = [
    "a0",
    "a1",
    "a2",
    "a3",
    "arch",
    "auid",
    "devmajor",
    "devminor",
    "dir",
    "egid",
    "euid",
    "exe",
    "exit",
    "field_compare",
    "filetype",
    "fsgid",
    "fstype",
    "fsuid",
    "gid",
    "inode",
    "key",
    "loginuid",
    "msgtype",
    "obj_gid",
    "obj_lev_high",
    "obj_lev_low",
    "obj_role",
    "obj_type",
    "obj_uid",
    "obj_user",
    "path",
    "perm",
    "pers",
    "pid",
    "ppid",
    "saddr_fam",
    "sessionid",
    "sgid",
    "subj_clr",
    "subj_role",
    "subj_sen",
    "subj_type",
    "subj_user",
    "success",
    "suid",
    "uid",
];

/// `field op value`, with the ways to write the same thing made one.
fn filter(rule: &mut Rule, text: &[u8]) -> Result<(), String> {
    let shown = text_of(text);
    let at = shown.find(['=', '!', '<', '>', '&']).ok_or_else(|| format!("'{shown}' compares nothing"))?;
    let (field, rest) = shown.split_at(at);
    let length = rest.chars().take_while(|sign| "=!<>&".contains(*sign)).count();
    let (operator, value) = rest.split_at(length);
    if !FIELDS.contains(&field) {
        return Err(format!("'{field}' is no field"));
    }
    if value.is_empty() {
        return Err(format!("'{shown}' compares with nothing"));
    }
    if field == "arch" && !rule.syscalls.is_empty() {
        return Err("arch comes after -S".into());
    }
    match (field, operator) {
        ("arch", "=") => {
            rule.arch = Some(match value {
                "b32" | "i386" | "i686" | "arm" | "s390" | "ppc" => "b32".into(),
                "b64" | "x86_64" | "aarch64" | "s390x" | "ppc64" | "ppc64le" => "b64".into(),
                other => other.to_owned(),
            });
        }
        ("path" | "dir", "=") => {
            rule.path = Some(text.get(at + length..).unwrap_or_default().to_vec());
            rule.tree = field == "dir";
        }
        ("perm", "=") => rule.perm = Some(perms(value)?),
        ("key", "=") => {}
        _ => {
            let value = match (field, value) {
                ("auid" | "loginuid", "-1" | "unset" | "4294967295") => "unset",
                (_, value) => value,
            };
            let field = if field == "loginuid" { "auid" } else { field };
            let value = if field == "exit" { value.to_ascii_uppercase() } else { value.to_owned() };
            rule.filters.push(format!("{field}{operator}{value}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(line: &str) -> Rule {
        match parse(line.as_bytes()).remove(0).1 {
            Line::Rule(rule) => rule,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_two_ways_to_watch_a_file() {
        let watch = rule("-w /etc/passwd -p wa -k identity");
        let filter = rule("-a always,exit -F path=/etc/passwd -F perm=aw -F key=identity");
        assert_eq!((watch.path.as_deref(), watch.perm.as_deref()), (Some(&b"/etc/passwd"[..]), Some("aw")));
        assert_eq!((filter.path, filter.perm), (watch.path, watch.perm));
    }

    #[test]
    fn the_same_filter_in_other_words_is_the_same() {
        let one = rule("-a exit,always -F arch=b64 -S chmod -S fchmod -F auid>=1000 -F auid!=4294967295");
        let two = rule("-a always,exit -F auid!=unset -F auid>=1000 -F arch=b64 -S chmod,fchmod -k x");
        assert_eq!(one, two);
    }

    #[test]
    fn controls_and_what_is_refused() {
        let lines = parse(b"# x\n-D\n-e 2\n--backlog_wait_time 60000\nnonsense\n-a sometimes,exit\n");
        assert_eq!(lines[0], (2, Line::DeleteAll));
        assert_eq!(lines[1], (3, Line::Control { name: "e".into(), value: "2".into() }));
        assert!(matches!(lines[3].1, Line::Broken(_)) && matches!(lines[4].1, Line::Broken(_)));
    }

    #[test]
    fn what_auditctl_refuses() {
        for line in [
            "-e 3",
            "-b many",
            "-e",
            "--nonsense",
            "-z 1",
            "-p wa -w /etc/passwd",
            "-F auid=0 -a always,exit -S open",
            "-a always,exit -S open -F arch=b64",
            "-a always,exit -F audi=0 -S open",
            "-a always,exit -F auid= -S open",
            "-a always,exit -S open -w /etc/passwd",
        ] {
            assert!(matches!(parse(line.as_bytes()).remove(0).1, Line::Broken(_)), "{line}");
        }
    }

    #[test]
    fn a_value_may_stand_right_behind_its_option() {
        let lines = parse(b"-e2\n--backlog_wait_time=5\n-c\n");
        let control = |name: &str, value: &str| Line::Control { name: name.into(), value: value.into() };
        assert_eq!(lines, [(1, control("e", "2")), (2, control("backlog_wait_time", "5")), (3, control("c", ""))]);
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_in_it_is_read_without_panic(content: Vec<u8>) {
            let _ = parse(&content);
        }
    }
}
