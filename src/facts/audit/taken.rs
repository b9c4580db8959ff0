//! What keeps events from being recorded that a rule asks for: `audit_filter_task`, `audit_filter_rules` and the lists `exclude` and
//! `filesystem` in the kernel's `auditsc.c` and `audit.c`; `auditctl(8)`.
//!
//! * `exit`: the first rule that fits decides, so that an earlier `never` takes events away from what comes after it.
//! * `task`: asked once, when a process is made; `never` lets nothing that this process does be recorded.
//! * `exclude`: drops every record that fits, whatever the action is called.
//! * `filesystem`: takes away the names of files on a file system, and with them what is watched there.
//!
//! A rule takes something away unless it is certain that it has no event in common with what is asked for.

use super::filters::disjoint;
use super::rules::{AuditRule, AuditRules};
use crate::path::ImagePath;

/// Events that have to be recorded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Events<'a> {
    /// The architecture: `b32` or `b64`; nothing where it does not matter.
    pub arch: Option<&'a str>,
    /// The system call, where it is about one.
    pub syscall: Option<&'a str>,
    /// The file, where it is about one.
    pub path: Option<&'a ImagePath>,
    /// The accesses to it, some of `rwxa`.
    pub perms: &'a str,
    /// Under these filters alone.
    pub filters: &'a [String],
}

/// Whether events are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded<'r> {
    /// By this rule.
    By(&'r AuditRule),
    /// They would be, but this rule takes some of them away.
    Taken(&'r AuditRule, &'static str),
    /// They would be, but it is not known whether this rule takes some of them away.
    Doubted(&'r AuditRule, &'static str),
    /// No rule asks for them.
    Not,
}

impl AuditRules {
    /// Whether one of these rules records all of the events.
    pub(super) fn recorded<'r>(&'r self, by: impl Iterator<Item = &'r AuditRule>, events: Events<'_>) -> Recorded<'r> {
        let mut best = Recorded::Not;
        for rule in by {
            let found = self.kept(rule, events);
            match (best, found) {
                (_, Recorded::By(_)) => return found,
                (Recorded::Not, _) | (Recorded::Taken(..), Recorded::Doubted(..)) => best = found,
                _ => {}
            }
        }
        best
    }

    fn kept<'r>(&'r self, rule: &'r AuditRule, events: Events<'_>) -> Recorded<'r> {
        let mut best = Recorded::By(rule);
        let mut before = true;
        for (at, other) in self.rules.iter().enumerate() {
            before &= !std::ptr::eq(other, rule);
            let found = match other.rule.list.as_str() {
                "exit" if before && !other.rule.always && meets(other, events) => {
                    Recorded::Taken(other, "it comes first and says never")
                }
                "task" if !other.rule.always && !disjoint(&other.rule.filters, events.filters) && !self.task_before(at) => {
                    Recorded::Taken(other, "nothing is recorded of the processes that it fits")
                }
                "exclude" => excluded(other, events),
                "filesystem" if !other.rule.always && events.path.is_some() => unnamed(other),
                _ => continue,
            };
            match found {
                Recorded::Taken(..) => return found,
                Recorded::Doubted(..) => best = found,
                Recorded::By(_) | Recorded::Not => {}
            }
        }
        best
    }

    /// Whether an earlier rule of the list decides for every process that this one fits.
    fn task_before(&self, at: usize) -> bool {
        let Some(never) = self.rules.get(at) else { return false };
        let mut before = self.rules.iter().take(at).filter(|rule| rule.rule.list == "task" && rule.rule.always);
        before.any(|rule| rule.rule.filters.iter().all(|filter| never.rule.filters.contains(filter)))
    }
}

/// Whether a rule of the list `exit` may have an event in common.
fn meets(never: &AuditRule, events: Events<'_>) -> bool {
    let rule = &never.rule;
    let any_call = rule.syscalls.is_empty() || rule.syscalls.iter().any(|name| name == "all");
    let arch = rule.arch.as_deref().is_none_or(|has| events.arch.is_none_or(|arch| has == arch));
    let calls = any_call
        || match events.syscall {
            Some(wanted) => rule.syscalls.iter().any(|name| name == wanted || name.parse::<u32>().is_ok()),
            None => rule.syscalls.iter().any(|name| accesses(name, events.perms)),
        };
    let path = match (&never.watched, events.path) {
        (None, _) => true,
        (Some((watched, directory)), Some(path)) => {
            watched == path || *directory && path.is_within(watched) || watched.is_within(path)
        }
        (Some(_), None) => events.syscall.is_none_or(names_files),
    };
    // Opening a file to read and write is both.
    let perms = match (&rule.perm, events.path) {
        (Some(has), Some(_)) => {
            let both = |text: &str| text.contains(['r', 'w']);
            events.perms.chars().any(|perm| has.contains(perm)) || both(has) && both(events.perms)
        }
        _ => true,
    };
    // What is executed is the program itself by the time the call returns.
    let executing = events.path.filter(|_| events.perms == "x");
    let another = executing.is_some_and(|program| {
        rule.filters.iter().any(|filter| filter.strip_prefix("exe=").is_some_and(|exe| ImagePath::new(exe) != *program))
    });
    arch && calls && path && perms && !another && !disjoint(&rule.filters, events.filters)
}

/// What a rule of the list `exclude` drops of the records of system calls.
fn excluded<'r>(rule: &'r AuditRule, events: Events<'_>) -> Recorded<'r> {
    const SYSCALL: (&str, u32) = ("SYSCALL", 1300);
    const PATH: (&str, u32) = ("PATH", 1302);
    let (kinds, rest): (Vec<&String>, Vec<&String>) = rule.rule.filters.iter().partition(|filter| filter.starts_with("msgtype"));
    let rest: Vec<String> = rest.into_iter().cloned().collect();
    if disjoint(&rest, events.filters) {
        return Recorded::Not;
    }
    let drops =
        |kind: (&str, u32)| kinds.iter().map(|filter| is_kind(filter, kind)).try_fold(true, |all, one| one.map(|one| all && one));
    match (drops(SYSCALL), drops(PATH)) {
        (Some(true), _) => Recorded::Taken(rule, "it drops the records of system calls"),
        (_, Some(true)) if events.path.is_some() => Recorded::Taken(rule, "it drops the records that name the file"),
        (None, _) | (_, None) => Recorded::Doubted(rule, "which records it drops is not known"),
        _ => Recorded::Not,
    }
}

/// Whether a kind of record fits a filter; nothing where the filter compares with the number of a kind that is not known here.
fn is_kind(filter: &str, (name, number): (&str, u32)) -> Option<bool> {
    let text = filter.strip_prefix("msgtype")?;
    let value = text.trim_start_matches(['=', '!', '<', '>']);
    let operator = text.strip_suffix(value)?;
    let other = if value == name { Some(number) } else { value.parse().ok() };
    match (operator, other) {
        ("=", other) => Some(other == Some(number)),
        ("!=", other) => Some(other != Some(number)),
        ("<", Some(other)) => Some(number < other),
        ("<=", Some(other)) => Some(number <= other),
        (">", Some(other)) => Some(number > other),
        (">=", Some(other)) => Some(number >= other),
        _ => None,
    }
}

/// What a rule of the list `filesystem` takes away: nothing where it is about the kernel's own `debugfs` and `tracefs`
/// (`include/uapi/linux/magic.h`).
fn unnamed(rule: &AuditRule) -> Recorded<'_> {
    const OWN: [&str; 4] = ["debugfs", "tracefs", "0x64626720", "0x74726163"];
    let own = |filter: &String| {
        filter.strip_prefix("fstype=").is_some_and(|value| OWN.iter().any(|own| value.eq_ignore_ascii_case(own)))
    };
    if !rule.rule.filters.is_empty() && rule.rule.filters.iter().all(own) {
        return Recorded::Not;
    }
    Recorded::Doubted(rule, "it takes away the names of files on a file system, and this one may lie on it")
}

/// Whether a system call can be one of these accesses: the classes of `include/asm-generic/audit_*.h` and `audit_match_perm`.
fn accesses(call: &str, perms: &str) -> bool {
    const OPEN: [&str; 4] = ["open", "openat", "openat2", "creat"];
    const EXECUTE: [&str; 2] = ["execve", "execveat"];
    const READ: [&str; 9] =
        ["readlink", "readlinkat", "quotactl", "listxattr", "llistxattr", "flistxattr", "getxattr", "lgetxattr", "fgetxattr"];
    const WRITE: [&str; 27] = [
        "acct",
        "swapon",
        "truncate",
        "truncate64",
        "ftruncate",
        "ftruncate64",
        "fallocate",
        "bind",
        "quotactl",
        "rename",
        "renameat",
        "renameat2",
        "mkdir",
        "mkdirat",
        "rmdir",
        "link",
        "linkat",
        "unlink",
        "unlinkat",
        "symlink",
        "symlinkat",
        "mknod",
        "mknodat",
        "mount",
        "umount",
        "umount2",
        "socketcall",
    ];
    const CHANGE: [&str; 17] = [
        "chmod",
        "fchmod",
        "fchmodat",
        "fchmodat2",
        "chown",
        "chown32",
        "fchown",
        "fchown32",
        "lchown",
        "lchown32",
        "fchownat",
        "setxattr",
        "lsetxattr",
        "fsetxattr",
        "removexattr",
        "lremovexattr",
        "fremovexattr",
    ];
    // A number may be any of them. Links count twice, as giving a name and as changing the file.
    call.parse::<u32>().is_ok()
        || perms.contains(['r', 'w']) && OPEN.contains(&call)
        || perms.contains('x') && EXECUTE.contains(&call)
        || perms.contains('r') && READ.contains(&call)
        || perms.contains('w') && WRITE.contains(&call)
        || perms.contains('a') && (CHANGE.contains(&call) || matches!(call, "link" | "linkat"))
}

/// Whether a system call has to do with files that have names: all but those of which it is certain that they have not.
fn names_files(call: &str) -> bool {
    const NONE: [&str; 19] = [
        "adjtimex",
        "settimeofday",
        "clock_settime",
        "clock_adjtime",
        "clock_settime64",
        "clock_adjtime64",
        "stime",
        "sethostname",
        "setdomainname",
        "init_module",
        "delete_module",
        "query_module",
        "create_module",
        "kill",
        "ptrace",
        "setuid",
        "setgid",
        "setreuid",
        "setresuid",
    ];
    !NONE.contains(&call)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::audit::rules::Generated;
    use crate::image::{MemoryImage, Rootfs};
    use crate::syntax::audit_rules::parse;

    fn loaded(text: &str) -> AuditRules {
        let image = MemoryImage::new().file("/etc/passwd", "").file("/etc/shadow", "");
        let path = ImagePath::new("/etc/audit/audit.rules");
        let lines = parse(text.as_bytes()).into_iter().map(|(line, said)| (path.clone(), line, said)).collect();
        AuditRules::load(Rootfs::new(&image), lines, Generated::Unused, path)
    }

    fn watch(before: &str) -> &'static str {
        let rules = loaded(&format!("{before}\n-w /etc/passwd -p wa\n"));
        said(rules.watching(&ImagePath::new("/etc/passwd"), "wa", "b64"))
    }

    fn chmod(before: &str) -> &'static str {
        let rules = loaded(&format!("{before}\n-a always,exit -F arch=b64 -S chmod -F auid>=1000 -F auid!=unset\n"));
        said(rules.calling("chmod", "b64", &["auid!=unset".into(), "auid>=1000".into()]))
    }

    fn said(recorded: Recorded<'_>) -> &'static str {
        match recorded {
            Recorded::By(_) => "by",
            Recorded::Taken(..) => "taken",
            Recorded::Doubted(..) => "doubted",
            Recorded::Not => "not",
        }
    }

    #[test]
    fn an_earlier_rule_that_says_never() {
        for taken in [
            "-a never,exit -F uid=0",
            "-a never,exit -F arch=b64 -S openat",
            "-a never,exit -F exe=/usr/bin/x",
            "-a never,exit -F dir=/etc",
            "-a never,exit -F path=/etc/passwd -F perm=r",
            "-a never,exit -F success=0",
        ] {
            assert_eq!(watch(taken), "taken", "{taken}");
        }
        for kept in [
            "-a never,exit -F arch=b32 -S openat",
            "-a never,exit -F arch=b64 -S adjtimex -F auid=unset",
            "-a never,exit -F path=/etc/shadow -F perm=wa",
            "-a never,exit -F path=/etc/passwd -F perm=x",
            "-a never,user -F uid=0",
        ] {
            assert_eq!(watch(kept), "by", "{kept}");
        }
    }

    #[test]
    fn filters_that_have_nothing_in_common() {
        for kept in ["-a never,exit -S chmod -F auid=unset", "-a never,exit -F auid<1000", "-a never,task -F auid=-1"] {
            assert_eq!(chmod(kept), "by", "{kept}");
        }
        for taken in ["-a never,exit -S chmod -F auid=1001", "-a never,exit -F auid<=1000", "-a never,task -F uid=0"] {
            assert_eq!(chmod(taken), "taken", "{taken}");
        }
    }

    #[test]
    fn processes_that_are_never_looked_at_unless_an_earlier_rule_says_so() {
        assert_eq!(watch("-a never,task"), "taken");
        assert_eq!(watch("-a always,task\n-a never,task -F uid=0"), "by");
        assert_eq!(watch("-a always,task -F uid=0\n-a never,task"), "taken");
    }

    #[test]
    fn records_that_are_dropped() {
        for taken in [
            "-a always,exclude -F msgtype=SYSCALL",
            "-a never,exclude -F msgtype=1300",
            "-a always,exclude -F uid=0",
            "-a always,exclude -F msgtype=PATH",
            "-a always,exclude -F msgtype!=CWD",
            "-a always,exclude -F msgtype>=1300 -F msgtype<=1399",
        ] {
            assert_eq!(watch(taken), "taken", "{taken}");
        }
        assert_eq!(watch("-a always,exclude -F msgtype=CWD"), "by");
        assert_eq!(watch("-a always,exclude -F msgtype>=EOE"), "doubted");
        assert_eq!(chmod("-a always,exclude -F msgtype=PATH"), "by");
        assert_eq!(chmod("-a always,exclude -F auid=unset"), "by");
    }

    #[test]
    fn file_systems_without_names() {
        assert_eq!(watch("-a never,filesystem -F fstype=tracefs"), "by");
        assert_eq!(watch("-a never,filesystem -F fstype=0xEF53"), "doubted");
        assert_eq!(watch("-a never,filesystem -F fstype!=tracefs"), "doubted");
        assert_eq!(chmod("-a never,filesystem -F fstype=0xEF53"), "by");
    }

    #[test]
    fn another_program_is_not_the_one_that_is_executed() {
        let executed = |before: &str| {
            let rules = loaded(&format!("{before}\n-a always,exit -F path=/usr/bin/su -F perm=x -F auid>=1000\n"));
            said(rules.executing(&ImagePath::new("/usr/bin/su"), &["auid>=1000".into()]))
        };
        assert_eq!(executed("-a never,exit -F exe=/usr/bin/vmtoolsd"), "by");
        assert_eq!(executed("-a never,exit -F exe=/usr/bin/su"), "taken");
        assert_eq!(executed("-a never,exit -F arch=b64 -S execve"), "taken");
    }
}
