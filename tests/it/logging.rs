//! rsyslogd, logrotate and systemd themselves on the same configurations, where they are installed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use karat::facts::{FactId, Facts, Target};
use karat::image::{Entry, FileKind, MemoryImage, Rootfs};
use karat::path::ImagePath;

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let asked = Command::new(program).args(arguments).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output();
    if asked.is_err() {
        eprintln!("skipped: there is no {program}");
    }
    let said = asked.ok()?;
    Some(format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr)))
}

/// Pieces of configurations, right and wrong, that are put together two by two.
const PIECES: [&str; 29] = [
    "*.* /tmp/karat-none/a\n",
    "*.*;auth,authpriv.none\t-/tmp/karat-none/b\n",
    "mail.* @@localhost:514\n& stop\n",
    "& stop\n",
    "mail.*\n",
    "}\n",
    "if $msg contains 'x' then {\n stop\n}\n",
    "if $msg contains 'then' then stop else stop\n",
    "if $msg contains 'x' {\n stop\n}\n",
    "else stop\n",
    ":msg, contains, \"[UFW \" stop\n",
    ":msg, contains \"x\" stop\n",
    "# a comment \\\n",
    "/* over\nlines */\n",
    "/* open\n",
    "$FileCreateMode 0640\n",
    "action(type=\"omfile\" file=\"/tmp/karat-none/c\")\n",
    "action(type=\"omfile\" file=/tmp/karat-none/c)\n",
    "action(type=\"omfile\"\n  # why\n  file=\"/tmp/karat-none/d\")\n",
    "ruleset(name=\"r\") {\n  stop\n}\n",
    "ruleset(name=\"s\") {\n",
    "set $.a = 'x;y';\n",
    "template(name=\"t\" type=\"list\") { constant(value=\"}\") property(name=\"msg\") }\n",
    "template(name=\"t2\" type=\"list\") { stop }\n",
    "call r\n",
    "!prog\n",
    "= ; )\n",
    "-\n",
    "$ x\n",
];

#[test]
fn rsyslog_refuses_what_we_say_it_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rsyslog.conf");
    let mut wrong = Vec::new();
    for (at, first) in PIECES.iter().enumerate() {
        // Each alone, and with two of the others behind it: every pair would take half a minute.
        for second in ["", PIECES[(at + 1) % PIECES.len()], PIECES[(at * 7 + 3) % PIECES.len()]] {
            let text = format!("{first}{second}");
            fs::write(&path, &text).unwrap();
            let Some(said) = output("rsyslogd", &["-N1", "-f", path.to_str().unwrap()]) else { return };
            let refuses = said.contains("could not interpret master config file");
            let ours = karat::syntax::rsyslog::parse(text.as_bytes());
            if ours.is_err() != refuses {
                wrong.push(format!("{text:?}: we say {ours:?}, rsyslogd says {said}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Writes files below a folder and gives the image that has the same ones, at the same absolute paths.
fn tree(folder: &Path, files: &[(&str, u32, &str)]) -> MemoryImage {
    let mut image = MemoryImage::new();
    for (name, mode, content) in files {
        let path = folder.join(name);
        let content = content.replace('@', folder.to_str().unwrap());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).unwrap();
        let mut entry = Entry::new(FileKind::File, content);
        entry.metadata.mode = *mode;
        image.insert(ImagePath::new(path.to_str().unwrap()), entry);
    }
    image
}

#[test]
fn logrotate_rotates_what_we_say_it_rotates() {
    let folder = tempfile::tempdir().unwrap();
    let files = [
        ("main.conf", 0o644, "weekly\ninclude @/d\n@/log/main {\n rotate 2\n}\n"),
        ("d/.hidden", 0o644, "@/log/hidden { monthly }\n"),
        ("d/a", 0o644, "@/log/a1 { daily # every day\n}\n@/log/a2 {\n create 0640 root adm # x\n}\n@/log/a3 { daily }\n"),
        ("d/b", 0o644, "@/log/b1 \"@/log/with space\"\n{\n postrotate\n  /bin/true }\n endscript\n monthly\n}\n"),
        ("d/c", 0o644, "daily\n@/log/c1 {\n rotate 1\n}\nrotate two\n@/log/c2 { daily }\n"),
        ("d/d.dpkg-old", 0o644, "@/log/old { daily }\n"),
        ("d/e", 0o664, "@/log/writable { daily }\n"),
        ("d/f", 0o755, "@/log/executable { daily }\n"),
        ("d/g", 0o644, "@/log/g1 { rotate 2 }\n@/log/g2 {\n daily\n}\n@/log/g3 {\n daily\n"),
        ("d/h", 0o644, "nonsense here\nyearly\n= more\n@/log/h {\n weekly\n}\n"),
        ("d/j", 0o644, "nonsense here\nyearly\n@/log/j1 {\n nothing known\n weekly\n}\n@/log/j2 {\n @/x\n}\n@/log/j3 {\n ;\n}\n"),
        ("d/k", 0o644, "@/log/k1 { daily }\n}\n@/log/k2 { daily }\n"),
        ("d/i.d/inner", 0o644, "@/log/inner { daily }\n"),
    ];
    let mut image = tree(folder.path(), &files);
    let main = format!("include {}/main.conf\n", folder.path().display());
    image.insert(ImagePath::new("/etc/logrotate.conf"), Entry::new(FileKind::File, main));
    let path = folder.path().join("main.conf");
    let state = folder.path().join("state");
    let Some(said) = output("logrotate", &["-d", "-s", state.to_str().unwrap(), path.to_str().unwrap()]) else { return };
    if said.contains("Operation not permitted") || !rustix_is_root() {
        eprintln!("skipped: logrotate checks owners and modes for root only");
        return;
    }
    let theirs: Vec<String> = (said.split("rotating pattern: ").skip(1))
        .map(|rest| rest.lines().next().unwrap().replace('"', "").split("  ").next().unwrap().trim().to_owned())
        .collect();
    let target = Target::image(Rootfs::new(&image), jiff::civil::date(2026, 1, 1));
    let facts = Facts::gather(target, |_, needs| needs.fact(FactId::Logrotate));
    let ours: Vec<String> = (facts.logrotate().unwrap().stanzas.iter())
        .map(|stanza| stanza.patterns.iter().map(|pattern| String::from_utf8_lossy(pattern)).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(ours, theirs, "{}", said.lines().filter(|line| line.contains("error")).collect::<Vec<_>>().join("\n"));
}

fn rustix_is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn journald_reads_its_files_in_the_order_of_systemd() {
    let folder = tempfile::tempdir().unwrap();
    let files = [
        "etc/systemd/journald.conf",
        "etc/systemd/journald.conf.d/20-b.conf",
        "etc/systemd/journald.conf.d/60-same.conf",
        "run/systemd/journald.conf.d/10-a.conf",
        "usr/local/lib/systemd/journald.conf.d/30-c.conf",
        "usr/lib/systemd/journald.conf.d/60-same.conf",
        "usr/lib/systemd/journald.conf.d/90-z.conf",
        "usr/lib/systemd/journald.conf.d/ignored.txt",
    ];
    let mut image = MemoryImage::new();
    for (at, name) in files.iter().enumerate() {
        let content = format!("[Journal]\nRateLimitBurst={at}\n");
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &content).unwrap();
        image = image.file(&format!("/{name}"), content);
    }
    let root = format!("--root={}", folder.path().display());
    let Some(said) = output("systemd-analyze", &["cat-config", &root, "systemd/journald.conf"]) else { return };
    let prefix = folder.path().to_str().unwrap();
    let theirs: Vec<&str> = said
        .lines()
        .filter_map(|line| line.strip_prefix("# ")?.strip_prefix(prefix))
        .filter(|path| path.starts_with('/'))
        .collect();
    let target = Target::image(Rootfs::new(&image), jiff::civil::date(2026, 1, 1));
    let facts = Facts::gather(target, |_, needs| needs.fact(FactId::Journald));
    let ours: Vec<String> = facts.journald().unwrap().journal.files.iter().map(ToString::to_string).collect();
    assert_eq!(ours, theirs, "{said}");
}
