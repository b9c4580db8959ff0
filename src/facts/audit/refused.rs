//! What auditctl refuses though it can read it: a system call that the machine does not have (`audit_name_to_syscall`), and a rule that
//! stands twice, to which the kernel answers `EEXIST` (`audit_add_rule`).

use std::collections::BTreeMap;

use crate::path::ImagePath;
use crate::syntax::audit_rules::{Line, Rule};

/// The names that libaudit knows, by machine.
const CALLS: &str = include_str!("syscalls.txt");

/// The processor of an image, as far as its system calls are known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    /// `x86_64`, which also takes the calls of i386.
    Intel,
    /// aarch64, which also takes the calls of arm.
    Arm,
    /// No package says.
    Unknown,
    /// Another one, whose system calls are not known here.
    Other,
}

impl Machine {
    /// By the name that dpkg and rpm have for it.
    #[must_use]
    pub fn of(architecture: Option<&str>) -> Self {
        match architecture {
            Some("amd64" | "x86_64") => Self::Intel,
            Some("arm64" | "aarch64") => Self::Arm,
            None => Self::Unknown,
            Some(_) => Self::Other,
        }
    }

    /// Whether it has a system call, by name, for programs of `b32` or `b64`.
    #[must_use]
    pub fn has(self, call: &str, arch: &str) -> bool {
        let tables = match (self, arch) {
            (Self::Intel, "b32") => "i",
            (Self::Intel, "b64") => "x",
            (Self::Arm, "b32") => "r",
            (Self::Arm, "b64") => "a",
            (Self::Unknown, "b32") => "ir",
            (Self::Unknown, "b64") => "xa",
            (Self::Unknown, _) => "xiar",
            _ => return true,
        };
        let mut known = CALLS.lines().filter_map(|line| line.split_once(' '));
        known.any(|(name, has)| name == call && has.contains(|table| tables.contains(table)))
    }
}

/// Makes a broken line of every one that does not get into the kernel. `merged`: augenrules put the `-D` first.
pub(super) fn sift(lines: &mut [(ImagePath, u32, Line)], texts: &[Vec<u8>], machine: Machine, merged: bool) {
    let mut known: BTreeMap<&[u8], (ImagePath, u32)> = BTreeMap::new();
    let mut answers: BTreeMap<(String, String), bool> = BTreeMap::new();
    for ((path, line, said), text) in lines.iter_mut().zip(texts) {
        let refused = match said {
            Line::DeleteAll => {
                if !merged {
                    known.clear();
                }
                None
            }
            Line::Rule(rule) if rule.deletes => {
                known.clear();
                None
            }
            Line::Rule(rule) => match unknown(rule, machine, &mut answers) {
                Some(call) => Some(format!("the machine has no system call {call}")),
                None => known
                    .insert(text, (path.clone(), *line))
                    .map(|(path, line)| format!("the rule exists: it stands in {path}:{line}")),
            },
            _ => None,
        };
        if let Some(why) = refused {
            *said = Line::Broken(why);
        }
    }
}

/// The first system call of a rule that the machine does not have.
fn unknown(rule: &Rule, machine: Machine, answers: &mut BTreeMap<(String, String), bool>) -> Option<String> {
    let arch = rule.arch.as_deref().unwrap_or("b64");
    let mut calls = rule.syscalls.iter().filter(|call| *call != "all" && call.parse::<u32>().is_err());
    calls.find(|call| !*answers.entry(((*call).clone(), arch.to_owned())).or_insert_with(|| machine.has(call, arch))).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::audit_rules::parse;

    fn broken(text: &str, machine: Machine) -> Vec<u32> {
        let path = ImagePath::new("/r");
        let mut lines: Vec<_> = parse(text.as_bytes()).into_iter().map(|(line, said)| (path.clone(), line, said)).collect();
        let texts: Vec<Vec<u8>> = text.lines().map(|line| line.as_bytes().to_vec()).collect();
        sift(&mut lines, &texts, machine, false);
        lines.iter().filter(|(.., said)| matches!(said, Line::Broken(_))).map(|(_, line, _)| *line).collect()
    }

    #[test]
    fn calls_that_the_machine_does_not_have() {
        let text = "-a always,exit -F arch=b64 -S chmod\n-a always,exit -F arch=b32 -S chmod\n-a always,exit -S nosuchcall\n\
                    -a always,exit -F arch=b64 -S fchmodat,renameat2\n-a always,exit -F arch=b64 -S stime\n-a always,exit -S 90\n";
        assert_eq!(broken(text, Machine::Intel), [3, 5]);
        assert_eq!(broken(text, Machine::Arm), [1, 3, 5]);
        assert_eq!(broken(text, Machine::Unknown), [3, 5]);
        assert!(broken(text, Machine::Other).is_empty());
    }

    #[test]
    fn a_rule_that_stands_twice_is_refused_until_all_are_deleted() {
        assert_eq!(broken("-w /a -p wa\n-w /a -p wa\n", Machine::Intel), [2]);
        assert!(broken("-w /a -p wa -k a\n-w /a -p wa -k b\n", Machine::Intel).is_empty(), "keys are compared as well");
        assert!(broken("-w /a -p wa\n-D\n-w /a -p wa\n", Machine::Intel).is_empty());
    }
}
