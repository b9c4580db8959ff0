//! Which units start a server, and with which options.
//!
//! A server counts by what runs and not by the name of its unit: every service that starts is asked for the program `sshd`. What a shell or a
//! wrapper makes of its arguments is not followed; a unit that names the server so leaves all of it unknown. So do two servers with
//! different options, and whatever puts other files in the place of those that are read here.

use crate::facts::command::{self, Flag, Word};
use crate::facts::units::{Units, Value};
use crate::facts::{Fact, Facts, Unreadable};
use crate::image::{FileKind, Rootfs};
use crate::path::{ImagePath, printable};

/// The names of the package's unit. Where no unit starts a server, that of the first one that is there is judged.
const UNITS: [&str; 2] = ["ssh.service", "sshd.service"];
/// The options that take an argument (`sshd.c`).
const WITH_ARGUMENT: &[u8] = b"CEbcfghkopu";
/// Those with which it only checks or shows its configuration.
const ONLY_ASKS: &[u8] = b"tTGV";
/// Those that change its configuration.
const CONFIGURES: &[u8] = b"46cfghopu";
/// Where distributions have it; systemd looks up a name alone in these directories.
const PROGRAMS: [&str; 5] = ["/usr/sbin/sshd", "/sbin/sshd", "/usr/bin/sshd", "/bin/sshd", "sshd"];
/// Settings of a service with a command.
const COMMANDS: [&str; 5] = ["ExecCondition", "ExecStartPre", "ExecStart", "ExecStartPost", "ExecReload"];
/// Settings of a service that show it other files than the image has (`systemd.exec(5)`).
const MOVES: [&str; 8] = [
    "RootDirectory",
    "RootImage",
    "BindPaths",
    "BindReadOnlyPaths",
    "MountImages",
    "ExtensionImages",
    "ExtensionDirectories",
    "TemporaryFileSystem",
];
/// What packages run before the server: they make its keys and its directory.
const PREPARES: [&str; 5] = ["sshd-keygen", "sshd-gen-keys-start", "ssh-keygen", "mkdir", "true"];
/// Programs for which the name alone is that of a unit, a process or a log.
const SPEAKS_OF_UNITS: [&str; 9] =
    ["systemctl", "service", "journalctl", "logger", "pkill", "killall", "pgrep", "fail2ban-client", "fail2ban-server"];
/// Directories in which a file of this name is no program.
const NO_PROGRAMS: [&str; 6] = ["/run", "/var/run", "/etc/pam.d", "/etc/default", "/etc/sysconfig", "/etc/logrotate.d"];
/// What is made anew at every boot: an image does not say what will be in it.
const VOLATILE: [&str; 4] = ["/run", "/var/run", "/tmp", "/dev"];

/// The server that starts.
#[derive(Debug, Default)]
pub(super) struct Start {
    /// The unit; nothing where none starts one.
    pub(super) unit: Option<String>,
    /// Its options, in order.
    pub(super) flags: Vec<Flag>,
}

pub(super) fn gather(facts: &Facts<'_>) -> Fact<Start> {
    let units = facts.units()?;
    let mut start = Start::default();
    for name in units.started_names().filter(|name| name.ends_with(".service")) {
        let Some((flags, place)) = server(facts, units, name)? else { continue };
        match &start.unit {
            Some(first) if !same(&start.flags, &flags) => {
                let [name, first] = [name, first].map(|name| printable(name.as_bytes()));
                let reason =
                    format!("{name} starts another server than {first}, with other options: which one counts is not known");
                return Err(Unreadable::at_line(&place.path, place.line, reason));
            }
            Some(_) => {}
            None => start = Start { unit: Some(name.to_owned()), flags },
        }
    }
    if start.unit.is_none() {
        for name in UNITS {
            if let Some((flags, _)) = server(facts, units, name)? {
                start.flags = flags;
                break;
            }
        }
    }
    if let Some(mount) = mounted_over(facts)? {
        return Err(mount);
    }
    Ok(start)
}

fn same(one: &[Flag], other: &[Flag]) -> bool {
    let told = |flags: &[Flag]| -> Vec<(u8, Vec<u8>)> {
        let flags = flags.iter().filter(|flag| CONFIGURES.contains(&flag.letter));
        flags.map(|flag| (flag.letter, flag.argument.clone())).collect()
    };
    told(one) == told(other)
}

/// The options of the server that a unit starts, and the line with its command; nothing where it starts none.
fn server(facts: &Facts<'_>, units: &Units, name: &str) -> Fact<Option<(Vec<Flag>, Value)>> {
    let packaged = UNITS.iter().any(|unit| *unit == name || units.own_name(unit) == units.own_name(name))
        || name.starts_with("ssh@")
        || name.starts_with("sshd@");
    let mut found = None;
    for key in COMMANDS {
        for line in units.property(name, "Service", key)? {
            let unclear = |why: &str| {
                let unit = printable(name.as_bytes());
                Unreadable::at_line(&line.path, line.line, format!("with what {unit} starts sshd is not known: {why}"))
            };
            let words = match command::words(facts, name, &line) {
                Ok(words) => words,
                Err(why) if packaged || line.text.contains("sshd") => return Err(why),
                // Of a service that has nothing to do with it, variables are not worth a verdict.
                Err(_) => continue,
            };
            for piece in words.split(|word| word.text == b";") {
                let (_, words) = command::program(piece);
                match role(facts.root(), &words) {
                    Role::Server => {}
                    Role::Mentions(why) => return Err(unclear(why)),
                    Role::Other if packaged && is_hidden(key, &words) => {
                        return Err(unclear(
                            "another program starts before it or in its place, and what that does is not followed",
                        ));
                    }
                    Role::Other => continue,
                }
                let (flags, operands) = command::options(&words, WITH_ARGUMENT);
                if flags.iter().any(|flag| ONLY_ASKS.contains(&flag.letter)) {
                    continue;
                }
                if key != "ExecStart" || found.is_some() {
                    return Err(unclear("it starts a second server"));
                }
                if !operands.is_empty() {
                    return Err(unclear("there is more behind its options, which it does not take"));
                }
                if units.specified(name, &line.text).is_none() {
                    return Err(unclear("it has specifiers that only the running system replaces"));
                }
                found = Some((flags, line.clone()));
            }
        }
    }
    if found.is_some() {
        sees_the_same_files(units, name)?;
    }
    Ok(found)
}

/// Whether a command that is not the server may change what the server is.
fn is_hidden(key: &str, words: &[Word]) -> bool {
    let prepares = || {
        let Some(program) = words.first().map(|word| ImagePath::new(&word.text)) else { return false };
        PREPARES.iter().any(|name| program.file_name() == name.as_bytes())
            && !words.iter().any(|word| word.text.windows(4).any(|part| part == b"/etc"))
    };
    match key {
        "ExecStart" => true,
        "ExecStartPre" | "ExecCondition" => !prepares(),
        _ => false,
    }
}

/// What a command has to do with the server.
enum Role {
    /// It is the server.
    Server,
    /// It names the server, and why that says nothing of its options.
    Mentions(&'static str),
    /// Nothing.
    Other,
}

fn role(root: Rootfs<'_>, words: &[Word]) -> Role {
    let Some((first, arguments)) = words.split_first() else { return Role::Other };
    let path = ImagePath::new(&first.text);
    if path.file_name() == b"sshd" {
        return if PROGRAMS.iter().any(|usual| usual.as_bytes() == first.text) {
            Role::Server
        } else {
            Role::Mentions("it is not the sshd of the package, and what is built into it is not known")
        };
    }
    if first.text.starts_with(b"/") && root.resolve(&path).is_ok_and(|found| found.path.file_name() == b"sshd") {
        return Role::Mentions("a link to it has another name");
    }
    let speaks_of_units = SPEAKS_OF_UNITS.iter().any(|name| path.file_name() == name.as_bytes());
    let part = |byte: &u8| !(byte.is_ascii_alphanumeric() || b"/._-+@".contains(byte));
    let names = |text: &[u8]| match text {
        b"sshd" => !speaks_of_units,
        text if text.ends_with(b"/sshd") => {
            let path = ImagePath::new(text);
            !NO_PROGRAMS.iter().any(|dir| path.is_within(&ImagePath::new(dir)))
                && !root.resolve(&path).is_ok_and(|found| found.metadata.kind == FileKind::Directory)
        }
        _ => false,
    };
    if arguments.iter().any(|word| word.text.split(part).any(names)) {
        return Role::Mentions("another program is given it as an argument, and what that makes of it is not followed");
    }
    Role::Other
}

/// Nothing in the unit may give the server other files than those of the image.
fn sees_the_same_files(units: &Units, name: &str) -> Fact<()> {
    for key in MOVES {
        if let Some(value) = units.property(name, "Service", key)?.into_iter().find(|value| value.text != "/") {
            let unit = printable(name.as_bytes());
            let reason = format!("{key} gives {unit} other files than the image has, and what it reads then is not known");
            return Err(Unreadable::at_line(&value.path, value.line, reason));
        }
    }
    for value in units.property(name, "Service", "EnvironmentFile")? {
        let path = ImagePath::new(value.text.trim_start_matches('-'));
        if VOLATILE.iter().any(|dir| path.is_within(&ImagePath::new(dir))) {
            let reason = format!("the options of sshd may stand in {path}, which is made anew at every boot");
            return Err(Unreadable::at_line(&value.path, value.line, reason));
        }
    }
    Ok(())
}

/// A mount that hides the files of the image from the server once it has booted.
fn mounted_over(facts: &Facts<'_>) -> Fact<Option<Unreadable>> {
    let mounts = facts.mounts()?;
    let own = ["/etc/ssh", "/usr/etc/ssh"].map(ImagePath::new);
    let above = ["/etc", "/usr/sbin/sshd"].map(ImagePath::new);
    for entry in mounts.separate().filter(|entry| !entry.noauto) {
        let hides = own.iter().any(|dir| entry.point.is_within(dir)) || above.contains(&entry.point);
        // What is mounted already is what was read.
        let is_mounted = matches!(mounts.running(&entry.point), Some(Ok(Some(_))));
        if hides && !is_mounted {
            let reason =
                format!("{} is mounted over {} at boot, and what sshd reads then is not known", entry.source, entry.point);
            return Ok(Some(Unreadable { path: Some(entry.path.clone()), line: entry.line, reason }));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{FactId, Target};
    use crate::image::MemoryImage;

    /// A Debian whose own unit is enabled, with one more file.
    fn debian() -> MemoryImage {
        MemoryImage::new()
            .file("/etc/ssh/sshd_config", "PermitRootLogin no\n")
            .file("/usr/sbin/sshd", "")
            .file("/usr/lib/systemd/system/default.target", "[Unit]\nWants=multi-user.target\n")
            .file("/usr/lib/systemd/system/multi-user.target", "[Unit]\n")
            .file(
                "/usr/lib/systemd/system/ssh.service",
                "[Service]\nEnvironmentFile=-/etc/default/ssh\nExecStartPre=/usr/sbin/sshd -t\nExecStart=/usr/sbin/sshd -D $SSHD_OPTS\n\
                 ExecReload=/usr/sbin/sshd -t\nExecReload=/bin/kill -HUP $MAINPID\n",
            )
    }

    fn enabled(image: MemoryImage, unit: &str) -> MemoryImage {
        let template = unit.split_once('@').map_or(unit.to_owned(), |(prefix, _)| format!("{prefix}@.service"));
        let file = if unit.contains('@') { template } else { unit.to_owned() };
        image.link(&format!("/etc/systemd/system/multi-user.target.wants/{unit}"), &format!("/etc/systemd/system/{file}"))
    }

    fn with_ssh() -> MemoryImage {
        let wants = "/etc/systemd/system/multi-user.target.wants/ssh.service";
        debian().link(wants, "/usr/lib/systemd/system/ssh.service")
    }

    fn started(image: &MemoryImage) -> Fact<Start> {
        let target = Target::image(Rootfs::new(image), jiff::civil::date(2026, 1, 1));
        let facts = Facts::gather(target, |_, needs| {
            needs.fact(FactId::Units);
            needs.fact(FactId::Mounts);
        });
        gather(&facts)
    }

    /// The unit and the arguments of its `-o`, or the reason with its place.
    fn shown(image: &MemoryImage) -> String {
        match started(image) {
            Ok(start) => {
                let options = start.flags.iter().filter(|flag| flag.letter == b'o');
                let options: Vec<String> = options.map(|flag| printable(&flag.argument)).collect();
                format!("{} {}", start.unit.unwrap_or_default(), options.join(","))
            }
            Err(why) => {
                format!("{}:{}: {}", why.path.map(|path| path.to_string()).unwrap_or_default(), why.line.unwrap_or(0), why.reason)
            }
        }
    }

    fn with_drop_in(lines: &str) -> String {
        shown(&with_ssh().file("/etc/systemd/system/ssh.service.d/x.conf", format!("[Service]\n{lines}\n")))
    }

    #[test]
    fn the_unit_of_the_package() {
        assert_eq!(shown(&with_ssh()), "ssh.service ");
        assert_eq!(shown(&debian()), " ");
        assert_eq!(shown(&debian().file("/etc/default/ssh", "SSHD_OPTS=-oPort=2\n")), " Port=2");
        assert_eq!(shown(&MemoryImage::new()), " ");
    }

    #[test]
    fn its_file_of_variables_is_read_as_systemd_reads_it() {
        for content in [
            "SSHD_OPTS=-4 \\\n-oPermitRootLogin=yes\n",
            "SSHD_OPTS=\"-4 \\\n-oPermitRootLogin=yes\"\n",
            "SSHD_OPTS=\"-4\n-oPermitRootLogin=yes\"\n",
            "SSHD_OPTS='-4\n-oPermitRootLogin=yes'\n",
            "SSHD_OPTS =-oPermitRootLogin=yes\n",
            "X=1\rSSHD_OPTS=-oPermitRootLogin=yes\r",
            "SSHD_OPTS=\"-D\n-oPermitRootLogin=yes\"\n",
            "SSHD_OPTS=-oPermit\\\nRootLogin=yes\n",
        ] {
            assert_eq!(shown(&with_ssh().file("/etc/default/ssh", content)), "ssh.service PermitRootLogin=yes", "{content:?}");
        }
        for content in ["SSHD_OPTS=-oX=1\0\n", "export SSHD_OPTS=-oX=1\n"] {
            assert_eq!(shown(&with_ssh().file("/etc/default/ssh", content)), "ssh.service ", "{content:?}");
        }
    }

    #[test]
    fn a_comment_with_a_backslash_at_its_end() {
        let image = with_ssh().file("/etc/default/ssh", "# x \\\nSSHD_OPTS=-oX=1\n");
        assert!(shown(&image).starts_with("/etc/default/ssh:0: a comment ends in a backslash"), "{}", shown(&image));
        let with = |library: &str| shown(&image.clone().file(library, ""));
        assert_eq!(with("/usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-252.so"), "ssh.service ");
        assert_eq!(with("/usr/lib64/systemd/libsystemd-shared-252.23-2.amzn2023.so"), "ssh.service ");
        assert_eq!(with("/usr/lib/systemd/libsystemd-shared-254.so"), "ssh.service X=1");
        let both = image.clone().file("/usr/lib/systemd/libsystemd-shared-254.so", "");
        assert!(shown(&both.file("/usr/lib/systemd/libsystemd-shared-252.so", "")).contains("depends on the version"));
    }

    #[test]
    fn variables_of_the_manager_and_those_that_are_taken_away() {
        let manager = |text: &str| with_ssh().file("/etc/systemd/system.conf", text);
        let image = manager("[Manager]\nDefaultEnvironment=A=1 \"SSHD_OPTS=-oX=1\"\n");
        assert_eq!(shown(&image), "ssh.service X=1");
        assert_eq!(shown(&image.clone().file("/etc/default/ssh", "SSHD_OPTS=\n")), "ssh.service ");
        let cleared = image.clone().file("/usr/lib/systemd/system.conf.d/x.conf", "[Manager]\nDefaultEnvironment=\n");
        assert_eq!(shown(&cleared), "ssh.service ");
        assert_eq!(shown(&manager("DefaultEnvironment=SSHD_OPTS=-oX=1\n")), "ssh.service ", "in no section");
        let drop_in =
            |text: &str| shown(&image.clone().file("/etc/systemd/system/ssh.service.d/x.conf", format!("[Service]\n{text}\n")));
        assert_eq!(drop_in("UnsetEnvironment=SSHD_OPTS"), "ssh.service ");
        assert_eq!(drop_in("UnsetEnvironment=SSHD_OPTS=-oX=1"), "ssh.service ");
        assert_eq!(drop_in("UnsetEnvironment=SSHD_OPTS=-oX=2 B"), "ssh.service X=1");
    }

    #[test]
    fn a_name_for_the_program_is_no_operand() {
        let shown = with_drop_in("ExecStart=\nExecStart=@/usr/sbin/sshd sshd -D -oPermitRootLogin=yes");
        assert_eq!(shown, "ssh.service PermitRootLogin=yes");
        assert!(with_drop_in("ExecStart=\nExecStart=/usr/sbin/sshd sshd -D -oPermitRootLogin=yes").contains("does not take"));
    }

    #[test]
    fn what_stands_between_is_not_followed() {
        for (command, why) in [
            ("/bin/sh -c 'exec /usr/sbin/sshd -D -oPermitRootLogin=yes'", "given it as an argument"),
            ("/usr/bin/env X=1 /usr/sbin/sshd -D -oPermitRootLogin=yes", "given it as an argument"),
            ("/bin/sh -c 'exec sshd -oPermitRootLogin=yes'", "given it as an argument"),
            ("/usr/local/bin/start-ssh", "in its place"),
            ("/opt/sshd -D", "not the sshd of the package"),
            ("/usr/sbin/sshd -f %h/x", "specifiers"),
            ("/usr/sbin/sshd -D ; /usr/sbin/sshd -D -p 2", "second server"),
        ] {
            let shown = with_drop_in(&format!("ExecStart=\nExecStart={command}"));
            assert!(
                shown.starts_with("/etc/systemd/system/ssh.service.d/x.conf:3: ") && shown.contains(why),
                "{command}: {shown}"
            );
        }
    }

    #[test]
    fn what_runs_before_it_may_change_everything() {
        for command in ["/usr/local/bin/prepare", "/bin/mkdir -p /etc/ssh/sshd_config.d", "/usr/sbin/sshd -D"] {
            let shown = with_drop_in(&format!("ExecStartPre={command}"));
            assert!(shown.starts_with("/etc/systemd/system/ssh.service.d/x.conf:2: "), "{command}: {shown}");
        }
        for command in ["/bin/mkdir -p /run/sshd", "/usr/bin/ssh-keygen -A", "/usr/sbin/sshd-gen-keys-start"] {
            assert_eq!(with_drop_in(&format!("ExecStartPre=-{command}")), "ssh.service ");
        }
    }

    #[test]
    fn other_files_in_the_place_of_those_of_the_image() {
        for line in ["RootDirectory=/srv", "RootImage=/x.raw", "BindPaths=/opt/evil:/etc/ssh", "EnvironmentFile=/run/x"] {
            let shown = with_drop_in(line);
            assert!(shown.starts_with("/etc/systemd/system/ssh.service.d/x.conf:2: "), "{line}: {shown}");
        }
        assert_eq!(with_drop_in("RootDirectory=/"), "ssh.service ");
        for point in ["/etc/ssh", "/etc/ssh/sshd_config.d", "/etc"] {
            let shown = shown(&with_ssh().file("/etc/fstab", format!("# x\n/opt/evil {point} none bind 0 0\n")));
            assert!(shown.starts_with("/etc/fstab:2: /opt/evil is mounted over"), "{shown}");
        }
        let elsewhere = "/opt/x /srv none bind 0 0\n/opt/x /etc/ssh none bind,noauto 0 0\n";
        assert_eq!(shown(&with_ssh().file("/etc/fstab", elsewhere)), "ssh.service ");
    }

    #[test]
    fn a_second_server_under_any_name() {
        let file = "/etc/systemd/system/ssh2.service";
        let second = |command: &str| {
            let image = with_ssh().file(file, format!("[Service]\nExecStart={command}\n"));
            (shown(&image), shown(&enabled(image, "ssh2.service")))
        };
        let (idle, started) = second("/usr/sbin/sshd -D -f /etc/ssh/other");
        assert_eq!(idle, "ssh.service ");
        assert_eq!(
            started.split(", ").next(),
            Some("/etc/systemd/system/ssh2.service:2: ssh2.service starts another server than ssh.service")
        );
        assert!(second("/bin/bash -c \"/usr/sbin/sshd -p 2\"").1.starts_with("/etc/systemd/system/ssh2.service:2"));
        for harmless in ["/usr/sbin/sshd -D -e", "/bin/systemctl restart sshd", "/bin/ls /etc/pam.d/sshd /run/sshd", "/bin/start"]
        {
            assert_eq!(second(harmless).1, "ssh.service ", "{harmless}");
        }
        let linked = with_ssh().file(file, "[Service]\nExecStart=/opt/d\n").link("/opt/d", "/usr/sbin/sshd");
        assert!(shown(&enabled(linked, "ssh2.service")).contains("a link to it"));
    }

    #[test]
    fn the_units_own_name_does_not_matter_where_the_package_s_is_idle() {
        let own =
            debian().file("/etc/systemd/system/sshd.service", "[Service]\nExecStart=/usr/sbin/sshd -D -oPermitRootLogin=yes\n");
        assert_eq!(shown(&own), " ");
        assert_eq!(shown(&enabled(own, "sshd.service")), "sshd.service PermitRootLogin=yes");
    }

    #[test]
    fn an_instance_and_what_a_socket_starts() {
        let template = "[Service]\nExecStart=/usr/sbin/sshd -D -oX=%i\n";
        let instance = enabled(debian().file("/etc/systemd/system/sshd@.service", template), "sshd@weak.service");
        assert_eq!(shown(&instance), "sshd@weak.service X=weak");
        let socket = debian()
            .file("/etc/systemd/system/adm.socket", "[Socket]\nListenStream=99\nAccept=yes\n")
            .file("/etc/systemd/system/adm@.service", "[Service]\nExecStart=-/usr/sbin/sshd -i -oPermitRootLogin=yes\n");
        assert_eq!(shown(&socket), " ");
        let wants = "/etc/systemd/system/multi-user.target.wants/adm.socket";
        assert_eq!(shown(&socket.link(wants, "/etc/systemd/system/adm.socket")), "adm@.service PermitRootLogin=yes");
    }
}
