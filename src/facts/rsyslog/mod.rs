//! What rsyslog does with messages: which it takes from the network, where it writes them, with which mode, and whom it sends them.
//!
//! Statements count in the order in which rsyslog reads them, included files in the place of their include. The two syntaxes keep their
//! settings apart: `$FileCreateMode` is for the actions of old that follow it, `module(load="builtin:omfile" fileCreateMode=…)` for
//! `action()`; 0644 where neither says anything (`plugins/omfile`, in rsyslog 8 below `tools/omfile.c`).

mod action;
mod reader;

use super::{Fact, Facts, Unreadable};
use crate::path::ImagePath;
use crate::syntax::rsyslog::PriorityMask;

/// rsyslog as it is configured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rsyslog {
    /// Whether there is a configuration at all.
    pub present: bool,
    /// The files that were read, in order.
    pub files: Vec<ImagePath>,
    /// The modules that are loaded.
    pub modules: Vec<Module>,
    /// What it takes messages from, where that is the network.
    pub inputs: Vec<Input>,
    /// What it does with messages.
    pub outputs: Vec<Output>,
    /// What every new file's mode is stripped of, where it is set.
    pub umask: Option<u32>,
    /// The driver of connections whose action names none.
    pub driver: Option<String>,
    /// Where the certificates of those are that others' are trusted by.
    pub trusted: Option<String>,
    /// Where rsyslog refuses its configuration: it does not start with it.
    pub refused: Vec<Unreadable>,
    /// What could not be read or is not looked at.
    pub doubts: Vec<Unreadable>,
    /// Whether messages are handed to rule sets in ways that leave open which of them an output gets.
    pub branches: bool,
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: ImagePath,
    /// The line, from 1.
    pub line: u32,
}

/// A module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Its name in lower case, without directory and ending.
    pub name: String,
    /// Where it is loaded.
    pub place: Place,
}

/// A network input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Its module: `imtcp`, `imudp`.
    pub module: String,
    /// The port, as it is written.
    pub port: String,
    /// Whether it listens to the machine itself only.
    pub local: bool,
    /// Where it is set up.
    pub place: Place,
}

/// An output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Where messages go.
    pub target: OutputTarget,
    /// Which messages it gets for sure; nothing where the filter is more than facilities and priorities.
    pub messages: Option<PriorityMask>,
    /// Where it is set up.
    pub place: Place,
}

/// Where messages go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputTarget {
    /// To a file.
    File {
        /// The file as it is written; `?name` where a template makes the name.
        path: Vec<u8>,
        /// The mode it is created with, before any umask.
        mode: u32,
        /// Where the mode was set; nothing where the default counts.
        set: Option<Place>,
    },
    /// To another machine.
    Forward {
        /// The machine as it is written, with its port.
        host: String,
        /// `tcp`, `udp` or `relp`.
        protocol: &'static str,
        /// How it is encrypted, as far as the action says.
        stream: Stream,
    },
    /// Elsewhere: users, programs, databases, the console.
    Other,
}

/// How messages are sent: the `StreamDriver` settings of an action (`omfwd`), or `tls` of `omrelp`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stream {
    /// The driver; where the action names none, the default of the whole configuration counts.
    pub driver: Option<String>,
    /// Whether it encrypts: `StreamDriverMode="1"`.
    pub encrypts: bool,
    /// How the other machine has to prove who it is.
    pub authentication: Option<String>,
    /// Whether its certificate has to be one for servers.
    pub checks_purpose: bool,
}

/// Modules that take messages from the network.
pub const NETWORK_INPUTS: [&str; 8] = ["imtcp", "imudp", "imptcp", "imrelp", "imgssapi", "im3195", "imhttp", "imdtls"];

/// The configuration file.
pub const PATH: &str = "/etc/rsyslog.conf";

/// The mode of new files where nothing is set.
pub const DEFAULT_MODE: u32 = 0o644;

impl Rsyslog {
    /// The mode a file is created with.
    #[must_use]
    pub fn mode(&self, mode: u32) -> u32 {
        mode & !self.umask.unwrap_or(0)
    }

    /// The messages that surely reach a file or another machine.
    #[must_use]
    pub fn kept(&self) -> PriorityMask {
        let keeps = |output: &&Output| !matches!(output.target, OutputTarget::Other);
        self.outputs.iter().filter(keeps).filter_map(|output| output.messages).fold(PriorityMask::NONE, PriorityMask::or)
    }
}

pub(super) fn gather(facts: &Facts<'_>) -> Fact<Rsyslog> {
    reader::read(facts.root())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Target;
    use crate::image::{MemoryImage, Rootfs};

    fn rsyslog(image: &MemoryImage) -> Rsyslog {
        gather(&Facts::none(Target::image(Rootfs::new(image), jiff::civil::date(2026, 1, 1)))).unwrap()
    }

    fn of(text: &str) -> Rsyslog {
        rsyslog(&MemoryImage::new().file(PATH, text))
    }

    fn modes(found: &Rsyslog) -> Vec<(String, u32)> {
        let file = |output: &Output| match &output.target {
            OutputTarget::File { path, mode, .. } => Some((String::from_utf8_lossy(path).into_owned(), found.mode(*mode))),
            _ => None,
        };
        found.outputs.iter().filter_map(file).collect()
    }

    #[test]
    fn the_mode_in_force_when_an_action_is_read_counts() {
        let found = of(
            "*.* /a\n$FileCreateMode 0600\n*.* -/b;RSYSLOG_FileFormat\n$FileCreateMode 640\n*.* /c # kept\n$ResetConfigVariables\n*.* /d\n",
        );
        assert_eq!(
            modes(&found),
            [("/a".into(), 0o644), ("/b".into(), 0o600), ("/c".into(), 0o600), ("/d".into(), 0o644)],
            "a mode that does not begin with 0 is refused"
        );
    }

    #[test]
    fn the_two_syntaxes_have_their_own_modes() {
        let found = of(
            "$FileCreateMode 0600\n*.* action(type=\"omfile\" file=\"/a\")\n*.* action(type=\"omfile\" file=\"/b\" FileCreateMode=\"0640\")\n",
        );
        assert_eq!(modes(&found), [("/a".into(), 0o644), ("/b".into(), 0o640)]);
        let found =
            of("module(load=\"builtin:omfile\" fileCreateMode=\"0600\")\n*.* action(type=\"omfile\" file=\"/a\")\n*.* /b\n");
        assert_eq!(modes(&found), [("/a".into(), 0o600), ("/b".into(), 0o644)]);
    }

    #[test]
    fn the_umask_counts_for_all() {
        assert_eq!(modes(&of("*.* /a\n$Umask 0027\n")), [("/a".into(), 0o640)]);
        assert_eq!(modes(&of("global(umask=\"0077\")\n*.* /a\n")), [("/a".into(), 0o600)]);
    }

    #[test]
    fn includes_are_read_in_their_place_and_in_order() {
        let image = MemoryImage::new()
            .file(PATH, "$IncludeConfig /etc/rsyslog.d/*.conf\n*.* /main\n")
            .file("/etc/rsyslog.d/20-b.conf", "$FileCreateMode 0600\n")
            .file("/etc/rsyslog.d/10-a.conf", "$FileCreateMode 0666\n*.* /a\n")
            .file("/etc/rsyslog.d/30-c.con", "*.* /never\n");
        let found = rsyslog(&image);
        assert_eq!(modes(&found), [("/a".into(), 0o666), ("/main".into(), 0o600)]);
        assert_eq!(found.files.len(), 3);
    }

    #[test]
    fn a_directory_and_a_circle_of_includes() {
        let image = MemoryImage::new()
            .file(PATH, "include(file=\"/etc/rsyslog.d/\")\n*.* /main\n")
            .file("/etc/rsyslog.d/a", "include(file=\"/etc/rsyslog.conf\")\n*.* /a\n")
            .file("/etc/rsyslog.d/.hidden", "*.* /never\n");
        assert_eq!(modes(&rsyslog(&image)), [("/a".into(), 0o644), ("/main".into(), 0o644)]);
    }

    #[test]
    fn inputs_of_both_syntaxes() {
        let found = of(
            "$ModLoad imudp.so\n$UDPServerRun 514\nmodule(load=\"imtcp\")\ninput(type=\"imtcp\" port=\"601\" address=\"127.0.0.1\")\n",
        );
        assert_eq!(found.modules.iter().map(|module| module.name.as_str()).collect::<Vec<_>>(), ["imudp", "imtcp"]);
        let seen: Vec<_> = found.inputs.iter().map(|input| (input.module.as_str(), input.port.as_str(), input.local)).collect();
        assert_eq!(seen, [("imudp", "514", false), ("imtcp", "601", true)]);
    }

    #[test]
    fn other_machines_in_both_syntaxes() {
        let found = of(
            "*.* @@(o)loghost:6514;fmt\nauth.* @10.0.0.1\naction(type=\"omfwd\" target=\"x\" protocol=\"tcp\" port=\"1\")\n*.* :omrelp:y:20514\n",
        );
        let hosts: Vec<_> = (found.outputs.iter())
            .filter_map(|output| match &output.target {
                OutputTarget::Forward { host, protocol, .. } => Some((host.as_str(), *protocol)),
                _ => None,
            })
            .collect();
        assert_eq!(hosts, [("loghost:6514", "tcp"), ("10.0.0.1", "udp"), ("x:1", "tcp"), ("y:20514", "relp")]);
    }

    #[test]
    fn how_connections_are_encrypted() {
        let found = of(
            "global(DefaultNetstreamDriver=\"ossl\")\naction(type=\"omfwd\" target=\"x\" protocol=\"tcp\" StreamDriverMode=\"1\" StreamDriverAuthMode=\"x509/name\" streamdriver.CheckExtendedKeyPurpose=\"on\")\n$ActionSendStreamDriverMode 1\n*.* @@y\n$ResetConfigVariables\n*.* @@z\n",
        );
        let streams: Vec<_> = (found.outputs.iter())
            .filter_map(|output| match &output.target {
                OutputTarget::Forward { stream, .. } => {
                    Some((stream.encrypts, stream.authentication.as_deref(), stream.checks_purpose))
                }
                _ => None,
            })
            .collect();
        assert_eq!(streams, [(true, Some("x509/name"), true), (true, None, false), (false, None, false)]);
        assert_eq!(found.driver.as_deref(), Some("ossl"));
    }

    #[test]
    fn which_messages_are_kept() {
        let all = |text: &str| crate::syntax::rsyslog::selector(text.as_bytes()).unwrap();
        let found = of("auth.* stop\n*.info;mail.none /a\nif prifilt(\"mail.err\") then /b\n:msg, contains, \"x\" /c\n");
        assert!(found.kept().covers(&all("kern.info")) && found.kept().covers(&all("mail.err")));
        assert!(!found.kept().covers(&all("mail.info")) && !found.kept().covers(&all("auth.err")), "thrown away before");
    }

    #[test]
    fn what_it_refuses_is_known_with_its_line() {
        let found = of("*.* /a\n}\n");
        assert_eq!(found.refused[0].line, Some(2));
    }

    #[test]
    fn no_configuration() {
        assert!(!rsyslog(&MemoryImage::new()).present);
    }
}
