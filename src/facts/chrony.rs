//! chronyd as it is configured: where it takes the time from, and as which user it runs.
//!
//! `chronyd(8)`, `chrony.conf(5)` and `conf.c` of version 4: `include` takes a file in where it stands; `confdir` and `sourcedir` name up to ten
//! directories each, whose files ending in `.conf` and `.sources` are taken in by the order of their names, of several with one name the
//! one in the first directory. A file of sources may hold nothing but sources, and an unknown line in it is passed over; anywhere else
//! chronyd does not start with a line it cannot read. Directives on the command line stand for the whole file.

use std::collections::BTreeMap;

use super::{Fact, Facts, Unreadable, command};
use crate::image::Rootfs;
use crate::path::{ImagePath, printable};
use crate::syntax::chrony::{Directive, parse};

/// chronyd as it would run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chrony {
    /// Where it takes the time from over the network, in order.
    pub sources: Vec<TimeSource>,
    /// As which user it runs once it has started.
    pub user: Option<ChronyUser>,
    /// Lines with which it does not start.
    pub refused: Vec<Unreadable>,
    /// Directives that no version karat knows has: whether it starts is not known.
    pub unknown: Vec<Unreadable>,
    /// The option of the command with which it leaves the clock alone or ends at once (`chronyd(8)`), and where it stands.
    pub idle: Option<(String, ImagePath, u32)>,
    /// The main file.
    pub file: ImagePath,
}

/// A server of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeSource {
    /// Its name or address, made safe to show.
    pub address: String,
    /// The file that names it.
    pub path: ImagePath,
    /// The line, from 1.
    pub line: u32,
    /// The option that keeps the clock from being set by it, if one does: `noselect` (only watched), `offline` (not asked until somebody says
    /// so; `chrony.conf(5)`).
    pub idle: Option<&'static str>,
}

/// The user and who says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChronyUser {
    /// Its name.
    pub name: String,
    /// Where it stands, unless it is built in.
    pub place: Option<(ImagePath, u32)>,
    /// Why it is this one.
    pub because: &'static str,
}

impl TimeSource {
    /// Whether it is this machine itself.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let name = self.address.to_ascii_lowercase();
        name == "::1" || name == "localhost" || name.starts_with("localhost.") || name.starts_with("127.")
    }
}

/// Debian's unit, and Red Hat's.
const UNITS: [&str; 2] = ["chrony.service", "chronyd.service"];
/// The options that take an argument (`main.c`).
const WITH_ARGUMENT: &[u8] = b"fFlLPtuw";
/// `MAX_INCLUDE_LEVEL` of `conf.c`.
const MAX_DEPTH: usize = 10;
/// `MAX_CONF_DIRS` of `conf.c`.
const MAX_DIRECTORIES: usize = 10;
/// Files that are taken in; chronyd itself has no limit, and an image with more is none that somebody keeps in order.
const MAX_FILES: usize = 1_000;

/// All directives of versions 3 and 4 (`conf.c`), sorted.
const KNOWN: &[&str] = &[
    "acquisitionport",
    "allow",
    "bindacqaddress",
    "bindacqdevice",
    "bindaddress",
    "bindcmdaddress",
    "bindcmddevice",
    "binddevice",
    "broadcast",
    "clientloglimit",
    "clockprecision",
    "cmdallow",
    "cmddeny",
    "cmdport",
    "cmdratelimit",
    "combinelimit",
    "commandkey",
    "confdir",
    "corrtimeratio",
    "deny",
    "driftfile",
    "dscp",
    "dumpdir",
    "dumponexit",
    "fallbackdrift",
    "generatecommandkey",
    "hwclockfile",
    "hwtimestamp",
    "hwtstimeout",
    "include",
    "initstepslew",
    "keyfile",
    "leapseclist",
    "leapsecmode",
    "leapsectz",
    "linux_freq_scale",
    "linux_hz",
    "local",
    "lock_all",
    "log",
    "logbanner",
    "logchange",
    "logdir",
    "mailonchange",
    "makestep",
    "manual",
    "maxchange",
    "maxclockerror",
    "maxdistance",
    "maxdrift",
    "maxjitter",
    "maxntsconnections",
    "maxsamples",
    "maxslewrate",
    "maxtxbuffers",
    "maxupdateskew",
    "minsamples",
    "minsources",
    "nocerttimecheck",
    "noclientlog",
    "nosystemcert",
    "ntpsigndsocket",
    "ntsaeads",
    "ntscachedir",
    "ntsdumpdir",
    "ntsntpserver",
    "ntsport",
    "ntsprocesses",
    "ntsratelimit",
    "ntsrefresh",
    "ntsrotate",
    "ntsservercert",
    "ntsserverkey",
    "ntstrustedcerts",
    "opencommands",
    "peer",
    "pidfile",
    "pool",
    "port",
    "ptpdomain",
    "ptpport",
    "ratelimit",
    "refclock",
    "refresh",
    "reselectdist",
    "rtcautotrim",
    "rtcdevice",
    "rtcfile",
    "rtconutc",
    "rtcsync",
    "sched_priority",
    "server",
    "smoothtime",
    "sourcedir",
    "stratumweight",
    "tempcomp",
    "user",
];

pub(super) fn gather(facts: &Facts<'_>) -> Fact<Chrony> {
    let root = facts.root();
    let debian = facts.os().is_ok_and(|os| os.id == "debian" || os.like.iter().any(|like| like == "debian"));
    let command = command::gather(facts, &UNITS, WITH_ARGUMENT)?;
    let flags = command.as_ref().map(|command| command.flags.as_slice()).unwrap_or_default();
    let given = |letter: u8| flags.iter().rev().find(|flag| flag.letter == letter);
    let file = given(b'f').map_or_else(|| usual_file(root, debian), |flag| ImagePath::new(&flag.argument));
    let found = Chrony { sources: Vec::new(), user: None, refused: Vec::new(), unknown: Vec::new(), idle: None, file };
    // -x: does not touch the clock; -Q: prints the offset and ends, -q: sets it once and ends, -p: prints the configuration, -U: may start
    // without root (and needs -x then).
    let idle = flags.iter().find(|flag| matches!(flag.letter, b'x' | b'Q' | b'q' | b'p'));
    let idle = idle.map(|flag| (format!("-{}", char::from(flag.letter)), flag.path.clone(), flag.line));
    let found = Chrony { idle, ..found };
    let mut reader = Reader { root, live: facts.running().is_some(), files: 0, found };
    let operands = command.as_ref().map(|command| command.operands.as_slice()).unwrap_or_default();
    if operands.is_empty() {
        reader.main(&reader.found.file.clone())?;
    }
    for word in operands {
        for directive in parse(&word.text) {
            reader.take(Directive { line: word.line, ..directive }, &word.path, 0)?;
        }
    }
    let mut found = reader.found;
    if let Some(flag) = given(b'u') {
        let name = printable(&flag.argument);
        let because = "an option of the command, which wins over the file";
        found.user = Some(ChronyUser { name, place: Some((flag.path.clone(), flag.line)), because });
    }
    // Without `!` or `+` before the program the unit's own user holds from the start, and chronyd cannot become another.
    if let Some(command) = command.filter(|command| !command.prefix.contains(['!', '+']))
        && let Some(user) = facts.units()?.property(command.unit, "Service", "User")?.pop()
    {
        found.user = Some(ChronyUser { name: user.text, place: Some((user.path, user.line)), because: "the user of the unit" });
    }
    let built_in = if debian { "_chrony" } else { "chrony" };
    let default = || ChronyUser { name: built_in.into(), place: None, because: "the user it was built with" };
    found.user.get_or_insert_with(default);
    Ok(found)
}

/// Debian and Ubuntu keep it in a directory of its own.
fn usual_file(root: Rootfs<'_>, debian: bool) -> ImagePath {
    let [own, plain] = ["/etc/chrony/chrony.conf", "/etc/chrony.conf"].map(ImagePath::new);
    let other = !debian && (root.exists(&plain) == Ok(true) || root.exists(&own) != Ok(true));
    if other { plain } else { own }
}

struct Reader<'i> {
    root: Rootfs<'i>,
    live: bool,
    files: usize,
    found: Chrony,
}

impl Reader<'_> {
    /// The main file; without one nothing is configured.
    fn main(&mut self, path: &ImagePath) -> Fact<()> {
        if let Some(content) = self.content(path)? {
            return self.directives(path, &content, 0);
        }
        self.found.refused.push(Unreadable::at(path, "it is not there, and chronyd does not start without it"));
        Ok(())
    }

    fn content(&mut self, path: &ImagePath) -> Fact<Option<Vec<u8>>> {
        self.files += 1;
        if self.files > MAX_FILES {
            return Err(Unreadable::at(path, format!("chronyd's configuration takes in more than {MAX_FILES} files")));
        }
        match self.root.read(path) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(Unreadable::reading(path, &error)),
        }
    }

    fn directives(&mut self, path: &ImagePath, content: &[u8], depth: usize) -> Fact<()> {
        parse(content).into_iter().try_for_each(|directive| self.take(directive, path, depth))
    }

    fn take(&mut self, directive: Directive, path: &ImagePath, depth: usize) -> Fact<()> {
        let Directive { line, name, arguments, .. } = directive;
        let refuse = |reason: &str| Unreadable::at_line(path, line, format!("{} {reason}", printable(name.as_bytes())));
        if KNOWN.binary_search(&name.as_str()).is_err() {
            self.found
                .unknown
                .push(refuse("is no directive that karat knows, and chronyd does not start with one it does not know"));
            return Ok(());
        }
        match (name.as_str(), arguments.as_slice()) {
            ("server" | "pool", [address, options @ ..]) => self.source(address, options, path, line),
            ("user", [user]) => {
                let because = "the last line that sets it";
                self.found.user =
                    Some(ChronyUser { name: printable(user.as_bytes()), place: Some((path.clone(), line)), because });
            }
            ("server" | "pool" | "user", _) => {
                self.found.refused.push(refuse("needs one name, and chronyd does not start without it"));
            }
            ("include", [pattern]) => self.include(pattern, path, line, depth)?,
            ("confdir", [_, ..]) => {
                for file in self.directory_files(&arguments, ".conf")? {
                    self.deeper(&file, path, line, depth)?;
                }
            }
            ("sourcedir", [_, ..]) => {
                for file in self.directory_files(&arguments, ".sources")? {
                    let Some(content) = self.content(&file)? else { continue };
                    for one in parse(&content).into_iter().filter(|one| one.terminated) {
                        if let ("server" | "pool", [address, options @ ..]) = (one.name.as_str(), one.arguments.as_slice()) {
                            self.source(address, options, &file, one.line);
                        }
                    }
                }
            }
            ("include" | "confdir" | "sourcedir", _) => {
                self.found.refused.push(refuse("says not what to take in, and chronyd does not start with it"));
            }
            _ => {}
        }
        Ok(())
    }

    fn source(&mut self, address: &str, options: &[String], path: &ImagePath, line: u32) {
        // `CPS_ParseNTPSourceAdd` takes options in any case of letters.
        let has = |name: &&str| options.iter().any(|option| option.eq_ignore_ascii_case(name));
        let idle = ["noselect", "offline"].into_iter().find(has);
        self.found.sources.push(TimeSource { address: printable(address.as_bytes()), path: path.clone(), line, idle });
    }

    /// A pattern that fits nothing takes nothing in; a plain path has to be there.
    fn include(&mut self, pattern: &str, path: &ImagePath, line: u32, depth: usize) -> Fact<()> {
        if !self.lasts(pattern) {
            return Ok(());
        }
        let plain = !pattern.contains(['*', '?', '[']);
        let files = self.root.glob(pattern).map_err(|error| Unreadable::at_line(path, line, error.to_string()))?;
        if files.is_empty() && plain {
            let reason = "takes in a file that is not there, and chronyd does not start without it";
            self.found.refused.push(Unreadable::at_line(path, line, reason));
        }
        files.iter().try_for_each(|file| self.deeper(file, path, line, depth))
    }

    fn deeper(&mut self, file: &ImagePath, path: &ImagePath, line: u32, depth: usize) -> Fact<()> {
        if depth >= MAX_DEPTH {
            let reason = format!("files that take in files, more than {MAX_DEPTH} deep: chronyd does not start with them");
            self.found.refused.push(Unreadable::at_line(path, line, reason));
            return Ok(());
        }
        match self.content(file)? {
            Some(content) => self.directives(file, &content, depth + 1),
            None => Ok(()),
        }
    }

    /// What lies in `/run` of an image is gone when it boots.
    fn lasts(&self, path: &str) -> bool {
        self.live || !(path.starts_with("/run/") || path.starts_with("/var/run/"))
    }

    fn directory_files(&self, directories: &[String], ending: &str) -> Fact<Vec<ImagePath>> {
        let mut named: BTreeMap<Vec<u8>, ImagePath> = BTreeMap::new();
        for directory in directories.iter().take(MAX_DIRECTORIES).filter(|directory| self.lasts(&format!("{directory}/"))) {
            let directory = ImagePath::new(directory);
            let names = match self.root.read_dir(&directory) {
                Ok(names) => names,
                Err(error) if error.is_absent() => continue,
                Err(error) => return Err(Unreadable::reading(&directory, &error)),
            };
            for name in names.into_iter().filter(|name| name.ends_with(ending.as_bytes())) {
                let path = directory.join(&name);
                named.entry(name).or_insert(path);
            }
        }
        Ok(named.into_values().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{FactId, Needs, Target};
    use super::*;
    use crate::image::MemoryImage;

    const MAIN: &str = "/etc/chrony/chrony.conf";
    const UNIT: &str = "/usr/lib/systemd/system/chrony.service";

    fn image() -> MemoryImage {
        MemoryImage::new().file("/etc/os-release", "ID=debian\n").file("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")
    }

    fn chrony(image: &MemoryImage) -> Chrony {
        let target = Target::image(Rootfs::new(image), jiff::civil::date(2026, 1, 1));
        Facts::gather(target, |_, needs: &mut Needs| needs.fact(FactId::Chrony)).chrony().unwrap().clone()
    }

    fn addresses(image: &MemoryImage) -> Vec<String> {
        chrony(image).sources.into_iter().map(|source| source.address).collect()
    }

    fn user(image: &MemoryImage) -> String {
        chrony(image).user.unwrap().name
    }

    #[test]
    fn directories_are_taken_in_by_the_names_of_their_files() {
        let image = image()
            .file(MAIN, "confdir /etc/chrony/conf.d /usr/share/chrony\nsourcedir /run/chrony-dhcp /etc/chrony/sources.d\n")
            .file("/usr/share/chrony/a.conf", "server hidden\n")
            .file("/usr/share/chrony/b.conf", "server b\n")
            .file("/etc/chrony/conf.d/a.conf", "server a\n")
            .file("/etc/chrony/conf.d/c.txt", "server c\n")
            .file("/run/chrony-dhcp/d.sources", "server d\n")
            .file("/etc/chrony/sources.d/e.sources", "rubbish\npool e iburst\nserver half");
        assert_eq!(addresses(&image), ["a", "b", "e"]);
        assert!(chrony(&image).unknown.is_empty());
    }

    #[test]
    fn a_line_that_stops_it_from_starting() {
        assert_eq!(chrony(&image().file(MAIN, "server a\nserver\n")).refused[0].line, Some(2));
        assert_eq!(chrony(&image().file(MAIN, "user\n")).refused.len(), 1);
        assert_eq!(chrony(&image().file(MAIN, "serverpool a\n")).unknown.len(), 1);
        assert_eq!(chrony(&image().file(MAIN, "include /gone\ninclude /gone/*\n")).refused.len(), 1);
        assert_eq!(chrony(&image()).refused.len(), 1);
        assert!(!chrony(&image().file(MAIN, "include /etc/chrony/chrony.conf\n")).refused.is_empty());
    }

    #[test]
    fn the_option_wins_over_the_file_and_the_file_over_what_is_built_in() {
        assert_eq!(user(&image().file(MAIN, "")), "_chrony");
        assert_eq!(user(&MemoryImage::new()), "chrony");
        let image = image().file(MAIN, "user root\nuser ntp\n");
        assert_eq!(user(&image), "ntp");
        let image =
            image.file(UNIT, "[Service]\nEnvironmentFile=-/etc/default/chrony\nUser=_chrony\nExecStart=!/usr/sbin/chronyd $O\n");
        assert_eq!(user(&image), "ntp");
        assert_eq!(user(&image.clone().file("/etc/default/chrony", "O=\"-F 1 -uroot\"\n")), "root");
        let own = image.file(UNIT, "[Service]\nUser=time\nExecStart=/usr/sbin/chronyd -U\n");
        assert_eq!(user(&own), "time");
    }

    #[test]
    fn another_file_or_none_at_all() {
        let unit = |command: &str| image().file(MAIN, "server a\n").file(UNIT, format!("[Service]\nExecStart={command}\n"));
        assert_eq!(addresses(&unit("/usr/sbin/chronyd -f /x").file("/x", "server x\n")), ["x"]);
        assert_eq!(addresses(&unit("/usr/sbin/chronyd -d 'server y iburst' 'pool z'")), ["y", "z"]);
    }

    #[test]
    fn directives_are_sorted() {
        assert!(KNOWN.is_sorted());
    }
}
