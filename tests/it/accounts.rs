//! The account files as the C library itself reads them, where Python is there to ask it.

use std::process::Command;

use karat::syntax::{group, passwd, shadow};

/// What `fgetpwent`, `fgetspent` and `fgetgrent` give for a file, a line an entry.
const ASK: &str = r#"
import ctypes, sys
c = ctypes.CDLL(None)
C, I, L = ctypes.c_char_p, ctypes.c_uint, ctypes.c_long
class Passwd(ctypes.Structure):
    _fields_ = [("name", C), ("password", C), ("uid", I), ("gid", I), ("gecos", C), ("home", C), ("shell", C)]
class Shadow(ctypes.Structure):
    _fields_ = [("name", C), ("password", C)] + [(n, L) for n in ("changed", "min", "max", "warn", "inactive", "expires")] + [("flag", ctypes.c_ulong)]
class Group(ctypes.Structure):
    _fields_ = [("name", C), ("password", C), ("gid", I), ("members", ctypes.POINTER(C))]
c.fopen.restype = ctypes.c_void_p
kind, path = sys.argv[1:]
f = ctypes.c_void_p(c.fopen(path.encode(), b"r"))
t = {"passwd": (c.fgetpwent, Passwd), "shadow": (c.fgetspent, Shadow), "group": (c.fgetgrent, Group)}[kind]
t[0].restype = ctypes.POINTER(t[1])
while (e := t[0](f)):
    e = e.contents
    s = lambda b: (b or b"").hex()
    if e.name[:1] in (b"+", b"-"):
        continue
    if kind == "passwd":
        print(s(e.name), s(e.password), e.uid, e.gid, s(e.gecos), s(e.home), s(e.shell))
    elif kind == "shadow":
        print(s(e.name), s(e.password), e.changed, e.min, e.max, e.warn, e.inactive, e.expires)
    else:
        m, i = [], 0
        while e.members[i] is not None:
            m.append(s(e.members[i])); i += 1
        print(s(e.name), s(e.password), e.gid, ",".join(m))
"#;

fn library(kind: &str, content: &[u8]) -> Option<Vec<String>> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), content).unwrap();
    let Ok(output) = Command::new("python3").args(["-c", ASK, kind]).arg(file.path()).output() else {
        eprintln!("skipped: there is no python3");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect())
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Every field of a line in every odd form, one at a time, and short lines; `@` in a name is the number of the line, so that no two are
/// alike.
fn variants(plain: &[&str]) -> Vec<u8> {
    let mut lines = vec![plain.join(":")];
    for at in 0..plain.len() {
        lines.push(plain[..=at].join(":"));
        lines.push(format!("{}:", plain[..=at].join(":")));
        for form in ODD {
            let mut fields = plain.to_vec();
            fields[at] = form;
            lines.push(fields.join(":"));
            lines.push(format!("\t {}\r", fields.join(":")));
        }
    }
    let numbered = lines.iter().enumerate().map(|(at, line)| format!("{}\n", line.replace('@', &at.to_string())));
    numbered.collect::<String>().into_bytes()
}

/// Fails with the lines that differ, and not with all of them.
fn same(ours: &[String], expected: &[String]) {
    let only =
        |these: &[String], those: &[String]| these.iter().filter(|line| !those.contains(line)).cloned().collect::<Vec<_>>();
    let (more, fewer) = (only(ours, expected), only(expected, ours));
    assert!(more.is_empty() && fewer.is_empty(), "only ours: {more:#?}\nonly the C library's: {fewer:#?}");
    assert_eq!(ours.len(), expected.len());
}

const ODD: [&str; 22] = [
    "",
    " ",
    "x",
    "0",
    "00",
    "-0",
    "-1",
    "+1",
    " 7",
    "7 ",
    "\t7",
    "7x",
    "0x7",
    "4294967295",
    "4294967296",
    "99999999999999999999999",
    "-18446744073709551615",
    "-18446744073709551616",
    "a,b",
    ", a,,b ,",
    "#",
    "+",
];

const FITS_NOT: [&[u8]; 4] = [b"-1", b"4294967296", b"99999999999999999999999", b"-18446744073709551616"];

#[test]
fn passwd_is_read_as_the_c_library_reads_it() {
    let content = variants(&["ann@", "x", "1000", "100", "Ann", "/home/ann", "/bin/sh"]);
    let Some(expected) = library("passwd", &content) else { return };
    let ours: Vec<String> = (passwd::parse(&content).into_iter())
        .filter_map(|line| match line.entry {
            passwd::Entry::Account(account) => Some(format!(
                "{} {} {} {} {} {} {}",
                hex(account.name),
                hex(account.password),
                account.uid,
                account.gid,
                hex(account.gecos),
                hex(account.home),
                hex(account.shell)
            )),
            _ => None,
        })
        .collect();
    same(&ours, &expected);
}

#[test]
fn shadow_is_read_as_the_c_library_reads_it() {
    let content = variants(&["ann@", "!", "20000", "1", "365", "7", "30", "21000", ""]);
    // What does not fit into 32 bits is read as -1 by some versions, and costs the line in others: see `syntax::shadow`.
    let fits = |line: &&[u8]| !line.split(|&byte| byte == b':').any(|field| FITS_NOT.contains(&field.trim_ascii()));
    let content: Vec<u8> = content.split_inclusive(|&byte| byte == b'\n').filter(fits).flatten().copied().collect();
    let Some(expected) = library("shadow", &content) else { return };
    let ours: Vec<String> = (shadow::parse(&content).into_iter())
        .filter_map(|line| match line.entry {
            shadow::Entry::Password(line) => {
                let days = [line.changed, line.min, line.max, line.warn, line.inactive, line.expires];
                let days = days.map(|days| days.unwrap_or(-1).to_string()).join(" ");
                Some(format!("{} {} {days}", hex(line.name), hex(line.password)))
            }
            _ => None,
        })
        .collect();
    same(&ours, &expected);
}

#[test]
fn group_is_read_as_the_c_library_reads_it() {
    let content = variants(&["adm@", "x", "4", "ann,bob"]);
    let Some(expected) = library("group", &content) else { return };
    let ours: Vec<String> = (group::parse(&content).into_iter())
        .filter_map(|line| match line.entry {
            group::Entry::Group(group) => {
                let members: Vec<String> = group.members.iter().map(|member| hex(member)).collect();
                Some(format!("{} {} {} {}", hex(group.name), hex(group.password), group.gid, members.join(",")))
            }
            _ => None,
        })
        .collect();
    same(&ours, &expected);
}
