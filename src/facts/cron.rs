//! What cron runs as root: `/etc/crontab`, `/etc/cron.d`, root's own table, and the scripts of `/etc/cron.daily` and its like.
//!
//! Debian's cron and run-parts(8) pass over names with anything but letters, digits, `_` and `-`; cronie over what editors and packages leave.
//! cron.d is refused if somebody but root may write it. A script that may not be executed is not run.

use super::{Fact, Facts, Unreadable};
use crate::image::{FileKind, ReadError};
use crate::path::ImagePath;
use crate::syntax::crontab::parse;

/// What cron runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cron {
    /// The jobs, in the order of their files.
    pub jobs: Vec<Job>,
    /// What could not be read.
    pub doubts: Vec<Unreadable>,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The table, or the script.
    pub path: ImagePath,
    /// The line of the table, from 1; nothing for a script.
    pub line: Option<u32>,
    /// The most days between two runs; nothing where it runs at boot alone.
    pub days: Option<u32>,
    /// The command, or what the script says without its comments.
    pub runs: String,
    /// Whether it is a script that looks whether systemd runs: those leave the work to a timer then.
    pub yields_to_systemd: bool,
    /// The folders in which its programs are looked for, with `:` between.
    pub search: String,
}

/// `PATH` where nothing sets it: what cronie gives (`_PATH_DEFPATH`), and what Debian's cron has from systemd, as scripts have.
const SEARCHED: [&str; 2] = ["/usr/bin:/bin", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"];

/// Folders of scripts and the most days between two runs.
const FOLDERS: [(&str, u32); 4] =
    [("/etc/cron.hourly", 1), ("/etc/cron.daily", 1), ("/etc/cron.weekly", 7), ("/etc/cron.monthly", 31)];

/// Root's own table: Debian, cronie.
const OWN: [&str; 2] = ["/var/spool/cron/crontabs/root", "/var/spool/cron/root"];

/// Files read in all; no real system comes near.
const MAX_FILES: usize = 2_000;

#[allow(clippy::unnecessary_wraps, reason = "the shape of every gatherer; what cannot be read is a doubt here")]
pub(super) fn gather(facts: &Facts<'_>) -> Fact<Cron> {
    let cronie = facts.packages().is_ok_and(|packages| packages.named("cronie").next().is_some());
    let mut cron = Cron::default();
    let [of_cronie, of_debian] = SEARCHED;
    let search = if cronie { of_cronie } else { of_debian };
    cron.table(facts, &ImagePath::new("/etc/crontab"), true, search);
    for path in cron.names(facts, "/etc/cron.d", cronie) {
        match facts.root().resolve(&path).map(|found| found.metadata) {
            Ok(metadata) if metadata.kind == FileKind::File && metadata.mode & 0o022 == 0 => {
                cron.table(facts, &path, true, search);
            }
            _ => {}
        }
    }
    OWN.iter().for_each(|path| cron.table(facts, &ImagePath::new(path), false, search));
    for (folder, days) in FOLDERS {
        for path in cron.names(facts, folder, cronie) {
            let runs = facts
                .root()
                .resolve(&path)
                .is_ok_and(|found| found.metadata.kind == FileKind::File && found.metadata.mode & 0o111 != 0);
            if let (true, Some(content)) = (runs, cron.content(facts, &path)) {
                let text = String::from_utf8_lossy(&content);
                let said: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
                let said = said.join("\n");
                let yields_to_systemd = said.contains("/run/systemd/system");
                let search = of_debian.to_owned();
                cron.jobs.push(Job { path, line: None, days: Some(days), runs: said, yields_to_systemd, search });
            }
        }
    }
    Ok(cron)
}

impl Cron {
    fn content(&mut self, facts: &Facts<'_>, path: &ImagePath) -> Option<Vec<u8>> {
        match facts.root().read(path) {
            Ok(content) => Some(content),
            Err(error) if error.is_absent() => None,
            Err(error) => {
                self.doubts.push(Unreadable::reading(path, &error));
                None
            }
        }
    }

    fn table(&mut self, facts: &Facts<'_>, path: &ImagePath, with_user: bool, search: &str) {
        let Some(content) = self.content(facts, path) else { return };
        let entries = parse(&content, with_user).into_iter();
        self.jobs.extend(entries.filter(|entry| entry.user.as_deref().is_none_or(|user| user == "root")).map(|entry| Job {
            path: path.clone(),
            line: Some(entry.line),
            days: entry.days,
            runs: entry.command,
            yields_to_systemd: false,
            search: entry.search.unwrap_or_else(|| search.to_owned()),
        }));
    }

    /// The files of a folder that count by their names, sorted.
    fn names(&mut self, facts: &Facts<'_>, folder: &str, cronie: bool) -> Vec<ImagePath> {
        let folder = ImagePath::new(folder);
        let counts = |name: &[u8]| {
            if cronie {
                let left_over: [&[u8]; 6] = [b"~", b".rpmsave", b".rpmorig", b".rpmnew", b".swp", b",v"];
                !name.starts_with(b".") && !name.starts_with(b"#") && !left_over.iter().any(|end| name.ends_with(end))
            } else {
                name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
            }
        };
        match facts.root().read_dir(&folder) {
            Ok(names) if names.len() > MAX_FILES => {
                self.doubts.push(Unreadable::at(&folder, format!("more than {MAX_FILES} files")));
                Vec::new()
            }
            Ok(mut names) => {
                names.retain(|name| counts(name));
                names.sort();
                names.iter().map(|name| folder.join(name)).collect()
            }
            Err(ReadError::NotFound | ReadError::Dangling) => Vec::new(),
            Err(error) => {
                self.doubts.push(Unreadable::reading(&folder, &error));
                Vec::new()
            }
        }
    }
}
