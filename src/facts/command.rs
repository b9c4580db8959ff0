//! What a daemon is started with: the command of its unit, and the variables in it.
//!
//! Debian's unit of sshd runs `sshd -D $SSHD_OPTS` with `/etc/default/ssh`, Red Hat's `sshd -D $OPTIONS` (before version 9 with
//! `$CRYPTO_POLICY`) with `/etc/sysconfig/sshd`; chronyd has `$DAEMON_OPTS` and `$OPTIONS`.

use std::collections::BTreeMap;

use super::drop_ins;
use super::units::Value;
use super::{Fact, Facts, Unreadable};
use crate::image::Rootfs;
use crate::path::{ImagePath, printable};
use crate::syntax::environment_file::{self, Comment};
use crate::syntax::{sshd_config, systemd_unit};

/// Words of a command; more are no command that a unit has.
const MAX_WORDS: usize = 1_000;

/// A daemon that a unit starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    /// The unit.
    pub(super) unit: &'static str,
    /// The characters before the program that change with whose rights it starts (`systemd.service(5)`).
    pub(super) prefix: String,
    /// Its options, in order.
    pub(super) flags: Vec<Flag>,
    /// The words behind the options.
    pub(super) operands: Vec<Word>,
}

/// An option of the command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flag {
    /// Its letter.
    pub(super) letter: u8,
    /// Its argument; empty where it takes none.
    pub(super) argument: Vec<u8>,
    /// The file that it stands in: a unit, or one with variables.
    pub(super) path: ImagePath,
    /// The line, from 1.
    pub(super) line: u32,
}

/// A word and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// The word without its quotes.
    pub(super) text: Vec<u8>,
    /// The file that it stands in.
    pub(super) path: ImagePath,
    /// The line, from 1.
    pub(super) line: u32,
}

/// Bytes of a command with what its variables stand for; the kernel takes no more for one program (`execve(2)`, two megabytes with a stack of the
/// usual size). A variable may stand in a word very many times.
const MAX_COMMAND: usize = 1 << 20;

/// The manager's own file, the first that is there, and what is laid over it.
const MANAGER: [&str; 3] = ["/etc/systemd/system.conf", "/usr/local/lib/systemd/system.conf", "/usr/lib/systemd/system.conf"];
const MANAGER_DROP_INS: [&str; 3] =
    ["/etc/systemd/system.conf.d", "/usr/local/lib/systemd/system.conf.d", "/usr/lib/systemd/system.conf.d"];

type Variables = BTreeMap<String, Word>;

/// What the first of these units that is there starts; nothing where there is none. Options that take an argument are those of
/// `with_argument`.
pub(super) fn gather(facts: &Facts<'_>, names: &[&'static str], with_argument: &[u8]) -> Fact<Option<Command>> {
    let units = facts.units()?;
    for &unit in names {
        let commands = units.property(unit, "Service", "ExecStart")?;
        let Some(command) = commands.first() else { continue };
        let (prefix, words) = program(&words(facts, unit, command)?);
        let (flags, operands) = options(&words, with_argument);
        return Ok(Some(Command { unit, prefix, flags, operands }));
    }
    Ok(None)
}

/// The words of a unit's line, with its specifiers and variables put in; the first still has the characters before the program.
pub(super) fn words(facts: &Facts<'_>, unit: &str, line: &Value) -> Fact<Vec<Word>> {
    let units = facts.units()?;
    let mut variables = Variables::new();
    for (path, line, text) in of_all_services(facts)? {
        split(text.as_bytes()).iter().for_each(|word| set(&mut variables, word, &path, line));
    }
    for value in units.property(unit, "Service", "Environment")? {
        for word in split(value.text.as_bytes()) {
            set(&mut variables, &word, &value.path, value.line);
        }
    }
    for value in units.property(unit, "Service", "EnvironmentFile")? {
        read(facts.root(), value.text.trim_start_matches('-'), &mut variables)?;
    }
    for value in units.property(unit, "Service", "UnsetEnvironment")? {
        for word in split(value.text.as_bytes()) {
            let (name, text) = match word.iter().position(|&byte| byte == b'=') {
                Some(cut) => (word.get(..cut).unwrap_or_default(), word.get(cut + 1..)),
                None => (&word[..], None),
            };
            let name = printable(name);
            if variables.get(&name).is_some_and(|set| text.is_none_or(|text| set.text == text)) {
                variables.remove(&name);
            }
        }
    }
    let text = units.specified(unit, &line.text).unwrap_or_else(|| line.text.clone());
    let too_long = || Unreadable::at_line(&line.path, line.line, format!("the command has more than {MAX_COMMAND} bytes"));
    expand(text.as_bytes(), &line.path, line.line, &variables).ok_or_else(too_long)
}

/// What the manager gives to every service: `DefaultEnvironment=` (`systemd-system.conf(5)`).
fn of_all_services(facts: &Facts<'_>) -> Fact<Vec<(ImagePath, u32, String)>> {
    let root = facts.root();
    let mut files = Vec::new();
    for path in MANAGER.map(ImagePath::new) {
        match root.read(&path) {
            Ok(content) => {
                files.push((path, content));
                break;
            }
            Err(error) if error.is_absent() => {}
            Err(error) => return Err(Unreadable::reading(&path, &error)),
        }
    }
    for file in drop_ins::list(root, &MANAGER_DROP_INS, ".conf")? {
        files.push((file.path, file.content?));
    }
    let mut found = Vec::new();
    for (path, content) in files {
        let settings = systemd_unit::parse(&content).settings;
        for setting in settings.into_iter().filter(|setting| setting.section == "Manager" && setting.key == "DefaultEnvironment")
        {
            if setting.value.is_empty() {
                found.clear();
            } else {
                found.push((path.clone(), setting.line, setting.value));
            }
        }
    }
    Ok(found)
}

/// The characters before the program (`systemd.service(5)`), and the program with its arguments. Behind `@` the second word is only
/// the name that the program is told it has.
pub(super) fn program(words: &[Word]) -> (String, Vec<Word>) {
    let mut words = words.to_vec();
    let mut prefix = String::new();
    if let Some(first) = words.first_mut() {
        let end = first.text.iter().take_while(|byte| b"@-:+!|".contains(byte)).count();
        prefix = first.text.drain(..end).map(char::from).collect();
        if prefix.contains('@') && words.len() > 1 {
            words.remove(1);
        }
    }
    (prefix, words)
}

fn set(variables: &mut Variables, assignment: &[u8], path: &ImagePath, line: u32) {
    let Some(cut) = assignment.iter().position(|&byte| byte == b'=') else { return };
    let (name, value) = (assignment.get(..cut).unwrap_or_default(), assignment.get(cut + 1..).unwrap_or_default());
    variables.insert(printable(name), Word { text: value.to_vec(), path: path.clone(), line });
}

/// A file of variables; one that is not there, or that systemd refuses, is an empty one, since whether its unit then fails is not what is
/// asked here.
fn read(root: Rootfs<'_>, pattern: &str, variables: &mut Variables) -> Fact<()> {
    let paths = root.glob(pattern).map_err(|error| Unreadable::reading(&ImagePath::new(pattern), &error))?;
    for path in paths {
        match root.read(&path) {
            Ok(content) => {
                for assignment in assignments(root, &path, &content)?.into_iter().flatten() {
                    let word = Word { text: assignment.value, path: path.clone(), line: assignment.line };
                    variables.insert(printable(&assignment.name), word);
                }
            }
            Err(error) if error.is_absent() => {}
            Err(error) => return Err(Unreadable::reading(&path, &error)),
        }
    }
    Ok(())
}

/// The variables of a file as the systemd of the image reads it; which one that is only matters where the two readings differ.
fn assignments(root: Rootfs<'_>, path: &ImagePath, content: &[u8]) -> Fact<Option<Vec<environment_file::Assignment>>> {
    let [old, new] = [Comment::GoesOn, Comment::Ends].map(|comment| environment_file::parse(content, comment));
    if old == new {
        return Ok(new);
    }
    if let Some(version) = systemd_version(root) {
        Ok(if version < COMMENTS_END { old } else { new })
    } else {
        let reason = "a comment ends in a backslash, and whether the next line counts depends on the version of systemd";
        Err(Unreadable::at(path, reason.to_owned()))
    }
}

/// The first version of systemd in which a comment ends with its line whatever it ends in.
const COMMENTS_END: u32 = 254;
/// systemd's own library has the version in its name; where distributions have it.
const OWN_LIBRARY: [&str; 5] = [
    "/usr/lib/systemd/libsystemd-shared-*.so",
    "/usr/lib64/systemd/libsystemd-shared-*.so",
    "/usr/lib/*/systemd/libsystemd-shared-*.so",
    "/lib/systemd/libsystemd-shared-*.so",
    "/lib/*/systemd/libsystemd-shared-*.so",
];

/// The version of systemd; nothing where there is none or more than one.
fn systemd_version(root: Rootfs<'_>) -> Option<u32> {
    let paths = OWN_LIBRARY.iter().filter_map(|pattern| root.glob(pattern).ok()).flatten();
    let version = |path: ImagePath| -> Option<u32> {
        let name = String::from_utf8(path.file_name().to_vec()).ok()?;
        let rest = name.strip_prefix("libsystemd-shared-")?;
        rest.split(|one: char| !one.is_ascii_digit()).next()?.parse().ok()
    };
    let versions: Option<std::collections::BTreeSet<u32>> = paths.map(version).collect();
    versions.filter(|versions| versions.len() == 1)?.pop_first()
}

/// Words as systemd splits them: at blanks, quoted by `'` or `"`. What is not closed is taken as it stands.
fn split(text: &[u8]) -> Vec<Vec<u8>> {
    match sshd_config::split(text) {
        Ok(words) => words.into_iter().map(|word| word.text).collect(),
        Err(_) => text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).map(<[u8]>::to_vec).collect(),
    }
}

/// `systemd.service(5)`: `$NAME` as a word of its own becomes as many words as it has, `${NAME}` stays part of its word. Nothing
/// if it is too long.
fn expand(command: &[u8], path: &ImagePath, line: u32, variables: &Variables) -> Option<Vec<Word>> {
    let mut words: Vec<Word> = Vec::new();
    let (mut bytes, mut counted) = (0, 0);
    for text in split(command).into_iter().take(MAX_WORDS) {
        let whole = text.strip_prefix(b"$").filter(|name| !name.starts_with(b"{") && !name.starts_with(b"$")).map(printable);
        match whole {
            Some(name) => {
                if let Some(value) = variables.get(&name) {
                    let more = environment_file::words(&value.text).into_iter().take(MAX_WORDS);
                    words.extend(more.map(|text| Word { text, path: value.path.clone(), line: value.line }));
                }
            }
            None => words.push(Word { text: braces(&text, variables)?, path: path.clone(), line }),
        }
        let more = words.iter().skip(counted).map(|word| word.text.len());
        bytes += more.sum::<usize>();
        counted = words.len();
        if bytes > MAX_COMMAND {
            return None;
        }
    }
    Some(words)
}

fn braces(text: &[u8], variables: &Variables) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.windows(2).position(|pair| pair == b"${") {
        let (before, behind) = rest.split_at(start);
        out.extend_from_slice(before);
        let behind = behind.get(2..).unwrap_or_default();
        let Some(end) = behind.iter().position(|&byte| byte == b'}') else { break };
        let name = printable(behind.get(..end).unwrap_or_default());
        out.extend_from_slice(variables.get(&name).map_or(&b""[..], |value| &value.text));
        rest = behind.get(end + 1..).unwrap_or_default();
        if out.len() > MAX_COMMAND {
            return None;
        }
    }
    out.extend_from_slice(rest);
    Some(out)
}

/// `getopt(3)` over the words behind the program, and what is left behind the options.
pub(super) fn options(words: &[Word], with_argument: &[u8]) -> (Vec<Flag>, Vec<Word>) {
    let mut flags = Vec::new();
    let mut words = words.iter().skip(1).peekable();
    while let Some(word) = words.peek() {
        let Some(letters) = word.text.strip_prefix(b"-").filter(|letters| !letters.is_empty()) else { break };
        let (word, mut letters) = ((*word).clone(), letters);
        words.next();
        if letters == b"-" {
            break;
        }
        while let Some((&letter, rest)) = letters.split_first() {
            let place = |argument: Vec<u8>| Flag { letter, argument, path: word.path.clone(), line: word.line };
            if !with_argument.contains(&letter) {
                flags.push(place(Vec::new()));
                letters = rest;
                continue;
            }
            let argument = if rest.is_empty() { words.next().map(|next| next.text.clone()) } else { Some(rest.to_vec()) };
            flags.extend(argument.map(place));
            break;
        }
    }
    (flags, words.cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(command: &str, variable: &str) -> Vec<(char, String)> {
        let path = ImagePath::new("/etc/default/ssh");
        let variables = [("OPTS".to_owned(), Word { text: variable.as_bytes().to_vec(), path: path.clone(), line: 1 })].into();
        let (found, _) = options(&expand(command.as_bytes(), &path, 2, &variables).unwrap(), b"op");
        found.into_iter().map(|flag| (char::from(flag.letter), String::from_utf8(flag.argument).unwrap())).collect()
    }

    #[test]
    fn a_variable_alone_becomes_several_words() {
        let found = said("/usr/sbin/sshd -D $OPTS", "-o PermitRootLogin=yes -p2222 -4D -o 'Banner none'");
        let text = |text: &str| text.to_owned();
        let wanted = [('D', ""), ('o', "PermitRootLogin=yes"), ('p', "2222"), ('4', ""), ('D', ""), ('o', "Banner none")];
        assert_eq!(found, wanted.map(|(letter, argument)| (letter, text(argument))));
    }

    #[test]
    fn a_variable_in_braces_stays_one_word() {
        assert_eq!(said("/usr/sbin/sshd -o${OPTS} ${NONE}", "Port 22"), [('o', "Port 22".to_owned())]);
        assert_eq!(said("/usr/sbin/sshd $NONE -D -- -p 1", ""), [('D', String::new())]);
    }

    #[test]
    fn behind_an_at_sign_stands_a_name_and_no_argument() {
        let words = |text: &str| expand(text.as_bytes(), &ImagePath::root(), 1, &Variables::new()).unwrap();
        let text = |text: &str| -> (String, Vec<Vec<u8>>) {
            let (prefix, words) = program(&words(text));
            (prefix, words.into_iter().map(|word| word.text).collect())
        };
        assert_eq!(text("-@/usr/sbin/sshd sshd -D"), ("-@".into(), vec![b"/usr/sbin/sshd".to_vec(), b"-D".to_vec()]));
        assert_eq!(text("!/usr/sbin/sshd sshd"), ("!".into(), vec![b"/usr/sbin/sshd".to_vec(), b"sshd".to_vec()]));
        assert_eq!(text("@"), ("@".into(), vec![Vec::new()]));
    }

    #[test]
    fn variables_that_make_a_command_very_long_end_it() {
        let path = ImagePath::root();
        let variables = [("A".to_owned(), Word { text: vec![b'a'; 100_000], path: path.clone(), line: 1 })].into();
        assert!(expand("${A}".repeat(10).as_bytes(), &path, 1, &variables).is_some());
        assert!(expand("${A}".repeat(100_000).as_bytes(), &path, 1, &variables).is_none());
        assert!(expand("${A} ".repeat(20).as_bytes(), &path, 1, &variables).is_none());
    }

    #[test]
    fn what_stands_behind_the_options() {
        let word = |text: &str| Word { text: text.into(), path: ImagePath::root(), line: 1 };
        let operands = |words: &[&str]| -> Vec<Vec<u8>> {
            let words: Vec<Word> = words.iter().map(|text| word(text)).collect();
            options(&words, b"f").1.into_iter().map(|word| word.text).collect()
        };
        assert_eq!(operands(&["chronyd", "-f", "/x", "server a"]), [b"server a"]);
        assert_eq!(operands(&["chronyd", "--", "-x"]), [b"-x"]);
        assert!(operands(&["chronyd", "-f"]).is_empty());
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(command in "[-$a{}OPTS'\" o]{0,40}", options: String) {
            let _ = said(&command, &options);
        }
    }
}
