//! The commands of a job that start AIDE, also through `nice`, `timeout` or `sh -c`.

use std::collections::BTreeMap;

use crate::syntax::shell::commands;

/// A start of AIDE or of a wrapper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Started {
    /// The program as it is written.
    pub(super) program: String,
    arguments: Vec<String>,
}

/// Shells within shells, and programs that start others.
const MAX_DEPTH: usize = 8;

/// Variables are put into words up to this many bytes.
const MAX_WORD: usize = 1 << 12;

/// The program, and Debian's wrappers.
const NAMES: [&str; 3] = ["aide", "aide.wrapper", "dailyaidecheck"];

/// Programs that start the one behind their options.
const STARTERS: [&str; 17] = [
    "chronic",
    "chrt",
    "command",
    "env",
    "exec",
    "flock",
    "ionice",
    "nice",
    "nohup",
    "runuser",
    "setpriv",
    "setsid",
    "stdbuf",
    "sudo",
    "systemd-cat",
    "taskset",
    "timeout",
];

/// Programs that give what stands behind `-c` to a shell.
const SHELLS: [&str; 8] = ["bash", "capsh", "dash", "flock", "ksh", "runuser", "sh", "su"];

/// What AIDE does in place of a comparison (`aide(1)`).
const OTHER_COMMANDS: [&str; 17] = [
    "--init",
    "-i",
    "--update",
    "-u",
    "--compare",
    "-E",
    "--dry-init",
    "-n",
    "--config-check",
    "-D",
    "--path-check",
    "-p",
    "--list",
    "--version",
    "-v",
    "--help",
    "-h",
];

/// Options of AIDE with an argument in the next word.
const WITH_ARGUMENT: [&str; 14] = [
    "--config",
    "-c",
    "--before",
    "-B",
    "--after",
    "-A",
    "--limit",
    "-l",
    "--log-level",
    "-L",
    "--report",
    "-r",
    "--workers",
    "-W",
];

/// Every start in a script.
pub(super) fn started(script: &[u8]) -> Vec<Started> {
    let mut found = Vec::new();
    in_script(script, 0, &mut found);
    found
}

/// The start by one command.
pub(super) fn of_words(words: &[String]) -> Vec<Started> {
    let mut found = Vec::new();
    in_words(words, 0, &mut found);
    found
}

fn in_script(script: &[u8], depth: usize, found: &mut Vec<Started>) {
    // Most scripts have nothing to do with it.
    if depth > MAX_DEPTH || memchr::memmem::find(script, b"aide").is_none() {
        return;
    }
    let mut variables = BTreeMap::new();
    for words in commands(script) {
        let words: Vec<String> = words.iter().map(|word| filled(word, &variables)).collect();
        let own = words.iter().take_while(|word| assignment(word).is_some()).count();
        let (set, command) = words.split_at_checked(own).unwrap_or_default();
        if command.is_empty() {
            variables
                .extend(set.iter().filter_map(|word| assignment(word)).map(|(name, value)| (name.to_owned(), value.to_owned())));
        }
        in_words(command, depth, found);
    }
}

fn in_words(words: &[String], depth: usize, found: &mut Vec<Started>) {
    let Some((first, rest)) = words.split_first().filter(|_| depth <= MAX_DEPTH) else { return };
    let name = first.rsplit('/').next().unwrap_or_default();
    if NAMES.contains(&name) {
        found.push(Started { program: first.clone(), arguments: rest.to_vec() });
        return;
    }
    if SHELLS.contains(&name) {
        let at = rest.iter().position(|word| word.starts_with('-') && !word.starts_with("--") && word.ends_with('c'));
        if let Some(script) = at.and_then(|at| rest.get(at + 1)) {
            return in_script(script.as_bytes(), depth + 1, found);
        }
    }
    if !STARTERS.contains(&name) {
        return;
    }
    // `command -v` only says where a program is.
    if name == "command" && rest.first().is_some_and(|word| word.eq_ignore_ascii_case("-v")) {
        return;
    }
    let mut files = usize::from(name == "flock");
    let mut words = rest;
    while let Some((word, behind)) = words.split_first() {
        words = if ["-u", "-g", "-t"].contains(&word.as_str()) {
            behind.get(1..).unwrap_or_default()
        } else if word.starts_with('-') || word.starts_with(|sign: char| sign.is_ascii_digit()) || assignment(word).is_some() {
            behind
        } else if files > 0 {
            files -= 1;
            behind
        } else {
            return in_words(words, depth + 1, found);
        };
    }
}

fn assignment(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once('=')?;
    let fits = !name.is_empty() && name.chars().all(|sign| sign.is_ascii_alphanumeric() || sign == '_');
    (fits && !name.starts_with(|sign: char| sign.is_ascii_digit())).then_some((name, value))
}

/// A word with the variables that the script itself set to something plain.
fn filled(word: &str, variables: &BTreeMap<String, String>) -> String {
    let (mut filled, mut rest) = (String::new(), word);
    while let Some((before, behind)) = rest.split_once('$') {
        filled.push_str(before);
        let (name, after) = if let Some(parts) = behind.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            parts
        } else {
            let end = behind.find(|sign: char| !(sign.is_ascii_alphanumeric() || sign == '_')).unwrap_or(behind.len());
            behind.split_at_checked(end).unwrap_or_default()
        };
        if let Some(value) = variables.get(name) {
            filled.push_str(value);
            rest = after;
        } else {
            filled.push('$');
            rest = behind;
        }
        if filled.len() > MAX_WORD {
            return filled;
        }
    }
    filled.push_str(rest);
    filled
}

impl Started {
    /// Whether it is a wrapper, which names the configuration itself.
    pub(super) fn is_wrapper(&self) -> bool {
        !self.program.ends_with("aide")
    }

    /// Whether AIDE compares: it does where no other command is given.
    pub(super) fn compares(&self) -> bool {
        let mut arguments = self.arguments.iter();
        while let Some(argument) = arguments.next() {
            if WITH_ARGUMENT.contains(&argument.as_str()) {
                arguments.next();
            } else if OTHER_COMMANDS.contains(&argument.as_str()) {
                return false;
            }
        }
        true
    }

    /// The configuration that is named; the last one counts.
    pub(super) fn config(&self) -> Option<&str> {
        let mut named = None;
        let mut arguments = self.arguments.iter().map(String::as_str);
        while let Some(argument) = arguments.next() {
            if ["-c", "--config"].contains(&argument) {
                named = arguments.next().or(named);
            } else if WITH_ARGUMENT.contains(&argument) {
                arguments.next();
            } else if let Some(path) = argument.strip_prefix("--config=") {
                named = Some(path);
            } else if let Some(path) = argument.strip_prefix("-c") {
                named = Some(path);
            }
        }
        named
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(script: &str) -> Vec<(String, bool, Option<String>)> {
        let starts = started(script.as_bytes());
        starts.iter().map(|start| (start.program.clone(), start.compares(), start.config().map(str::to_owned))).collect()
    }

    fn only(script: &str) -> (String, bool, Option<String>) {
        let mut found = said(script);
        assert_eq!(found.len(), 1, "{script}");
        found.remove(0)
    }

    #[test]
    fn only_what_is_started_counts() {
        for nothing in
            ["/bin/true # aide --check", "echo aide --check", "command -v aide", "/opt/aide/run --check", "test -x /usr/bin/aide"]
        {
            assert_eq!(said(nothing), [], "{nothing}");
        }
        for start in [
            "/usr/bin/aide --check | mail root",
            "test -x /usr/bin/aide && nice -n 19 ionice -c3 /usr/bin/aide -C",
            "timeout 5h sudo -u root /usr/bin/aide",
            "sh -c '/usr/bin/aide --check > /dev/null'",
            "flock -n /run/aide /usr/bin/aide --check",
            "A=/usr/bin/aide\nif [ -x $A ]; then \"${A}\" --check; fi",
        ] {
            assert_eq!(only(start), ("/usr/bin/aide".into(), true, None), "{start}");
        }
        assert_eq!(
            only("capsh --caps=x+eip --user=_aide -- -c \"/usr/share/aide/bin/dailyaidecheck --x\"").0,
            "/usr/share/aide/bin/dailyaidecheck"
        );
    }

    #[test]
    fn what_aide_is_told() {
        for told in ["aide --config=/c --check", "aide -C -c /c", "aide -c/c", "aide -c /x --config /c"] {
            assert_eq!(only(told), ("aide".into(), true, Some("/c".into())), "{told}");
        }
        assert!(!only("aide --init").1 && !only("aide -c /c -i").1);
        assert!(only("aide --after --init").1, "an argument is no command");
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(script in "[-$a{}ide='\" c&|;()\n]{0,60}") {
            let _ = said(&script);
        }
    }
}
