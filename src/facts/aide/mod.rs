//! What AIDE compares: its configuration with all it includes, groups of attributes expanded, and the database it compares with.
//!
//! Of several rules for one path the one with the longest plain folder in front counts, and there the first; what is excluded anywhere is not
//! looked at (`check_node_for_match` in seltree.c). Links are not followed: a rule about `/sbin/x` sees nothing where `/sbin` is one.

mod attributes;
mod command_line;
mod jobs;
mod read;

use std::collections::{BTreeMap, BTreeSet};

use regex::bytes::{Regex, RegexBuilder};

pub use self::jobs::{AideJob, Often};
use super::{Fact, Facts, Unreadable};
use crate::path::ImagePath;
use crate::syntax::aide::Selects;

/// Where distributions put the file: Debian, Red Hat.
const CONFIGS: [&str; 2] = ["/etc/aide/aide.conf", "/etc/aide.conf"];

/// A regular expression that needs more than this is none of a real configuration.
const MAX_REGEX: usize = 128 << 10;

/// AIDE's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aide {
    /// What has AIDE compare from time to time.
    pub jobs: Vec<AideJob>,
    /// What could not be found out about such jobs.
    pub job_doubts: Vec<Unreadable>,
    /// The file that AIDE reads: what the jobs name, else what is built into the program or the distribution has.
    pub path: ImagePath,
    /// Whether it is there.
    pub present: bool,
    /// Its rules in order.
    pub rules: Vec<AideRule>,
    /// The first line that AIDE refuses: it does not run then.
    pub refused: Option<Unreadable>,
    /// What is not known: programs whose output is read, conditions on the running machine, files that cannot be read.
    pub doubts: Vec<Unreadable>,
    options: BTreeMap<String, (String, ImagePath, u32)>,
}

/// A rule with its variables put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AideRule {
    /// The file.
    pub path: ImagePath,
    /// The line, from 1.
    pub line: u32,
    /// How it selects.
    pub selects: Selects,
    /// The regular expression.
    pub pattern: String,
    /// Kinds of files it is limited to.
    pub restriction: Option<String>,
    /// What is recorded, groups expanded.
    pub attributes: BTreeSet<String>,
}

pub(super) fn gather(facts: &Facts<'_>) -> Fact<Aide> {
    let root = facts.root();
    let (jobs, job_doubts) = jobs::gather(facts);
    let path = jobs::configuration(facts, &jobs)?;
    let aide = if root.exists(&path).map_err(|error| Unreadable::reading(&path, &error))? {
        read::read(root, &path)?
    } else {
        let (rules, doubts, options) = (Vec::new(), Vec::new(), BTreeMap::new());
        let (jobs, job_doubts) = (Vec::new(), Vec::new());
        Aide { jobs, job_doubts, path, present: false, rules, refused: None, doubts, options }
    };
    Ok(Aide { jobs, job_doubts, ..aide })
}

impl Aide {
    /// The database that is compared with, as it is written, and where; the first of its lines counts.
    #[must_use]
    pub fn database(&self) -> Option<(&str, &ImagePath, u32)> {
        let found = self.options.get("database_in").or_else(|| self.options.get("database"));
        found.map(|(value, path, line)| (value.as_str(), path, *line))
    }

    /// The rule that counts for a file.
    ///
    /// # Errors
    /// A regular expression that would have to be tried and cannot be.
    pub fn rule_for(&self, file: &ImagePath) -> Result<Option<&AideRule>, Unreadable> {
        let mut best: Option<(bool, usize, &AideRule)> = None;
        for rule in &self.rules {
            let node = rule.folder();
            if !(node == b"/" || file.as_bytes().strip_prefix(node).is_some_and(|rest| rest.starts_with(b"/"))) {
                continue;
            }
            if rule.selects == Selects::Not {
                if rule.takes_files() && rule.fits_above(file)? {
                    return Ok(None);
                }
                continue;
            }
            let alone = rule.selects == Selects::Alone;
            if alone && file.parent().is_none_or(|parent| parent.as_bytes() != node) {
                continue;
            }
            let better = best.is_none_or(|(known_alone, length, _)| (alone, node.len()) > (known_alone, length));
            if better && rule.takes_files() && rule.regex()?.is_match(file.as_bytes()) {
                best = Some((alone, node.len(), rule));
            }
        }
        Ok(best.map(|(.., rule)| rule))
    }
}

impl AideRule {
    /// The hash sums it records, sorted.
    pub fn hashes(&self) -> impl Iterator<Item = &str> {
        self.attributes.iter().map(String::as_str).filter(|name| attributes::is_hash(name))
    }

    /// The plain folder in front of the pattern, under which AIDE keeps the rule (`strrxtok`).
    fn folder(&self) -> &[u8] {
        let plain = self.pattern.find(['\\', '.', '*', '+', '?', '[', '(', '{', '|', '^', '$']).unwrap_or(self.pattern.len());
        let plain = self.pattern.get(..plain).unwrap_or_default();
        match plain.rfind('/') {
            Some(0) | None => b"/",
            Some(at) => plain.get(..at).unwrap_or("/").as_bytes(),
        }
    }

    /// Whether it is about ordinary files. A kind of file system is not known here, and taken for another one.
    fn takes_files(&self) -> bool {
        self.restriction.as_ref().is_none_or(|kinds| kinds == "0" || kinds.split(',').any(|kind| kind == "f"))
    }

    fn regex(&self) -> Result<Regex, Unreadable> {
        let end = if self.selects == Selects::Alone { "$" } else { "" };
        let built = RegexBuilder::new(&format!("^(?:{}){end}", self.pattern)).size_limit(MAX_REGEX).build();
        built.map_err(|_| Unreadable::at_line(&self.path, self.line, "its regular expression cannot be tried"))
    }

    /// Whether it fits a path or a folder above it.
    fn fits_above(&self, file: &ImagePath) -> Result<bool, Unreadable> {
        let regex = self.regex()?;
        let mut path = Some(file.clone());
        while let Some(one) = path {
            if regex.is_match(one.as_bytes()) {
                return Ok(true);
            }
            path = one.parent();
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{FactId, Target};
    use crate::image::{Entry, FileKind, MemoryImage, Rootfs};

    fn aide(image: &MemoryImage) -> Aide {
        gather(&Facts::none(Target::image(Rootfs::new(image), jiff::civil::date(2026, 1, 1)))).unwrap()
    }

    fn of(text: &str) -> Aide {
        aide(&MemoryImage::new().file("/etc/aide.conf", text))
    }

    fn line_for(aide: &Aide, path: &str) -> Option<u32> {
        aide.rule_for(&ImagePath::new(path)).unwrap().map(|rule| rule.line)
    }

    #[test]
    fn the_longest_folder_wins_and_there_the_first() {
        let found = of("/ p\n/usr/sbin/.* u\n/usr/sbin/auditctl$ p+sha512\n/usr i\n=/usr/sbin/aide$ m\n");
        assert_eq!(line_for(&found, "/usr/sbin/auditctl"), Some(2), "both lie in /usr/sbin, and this stands first");
        assert_eq!(line_for(&found, "/usr/sbin/aide"), Some(5), "what is meant alone comes before");
        assert_eq!(line_for(&found, "/usr/bin/x"), Some(1), "/usr is kept under /");
        assert_eq!(line_for(&of("/usr/s p\n"), "/usr/sbin/x"), Some(1), "patterns are open at their end");
    }

    #[test]
    fn what_is_excluded_anywhere_is_not_looked_at() {
        assert_eq!(line_for(&of("/usr/sbin/auditctl p\n!/usr/sbin$\n"), "/usr/sbin/auditctl"), None);
        assert_eq!(line_for(&of("/usr/sbin/auditctl p\n!/usr/sbin d\n"), "/usr/sbin/auditctl"), Some(1));
        assert_eq!(line_for(&of("/usr/sbin/auditctl d p\n"), "/usr/sbin/auditctl"), None);
    }

    #[test]
    fn groups_are_expanded_in_their_order() {
        let found = of("A = p+u\nB = A-u+H\n/x B\n");
        let names: Vec<&str> = found.rules[0].attributes.iter().map(String::as_str).collect();
        assert!(names.contains(&"sha512") && names.contains(&"p") && !names.contains(&"u"), "{names:?}");
        assert!(of("/x p+sha5122\n").refused.is_some());
    }

    #[test]
    fn includes_variables_and_conditions() {
        let image = MemoryImage::new()
            .file("/etc/aide/aide.conf", "@@define DBDIR /var/lib/aide\n@@ifdef DBDIR\ndatabase_in=file:@@{DBDIR}/a\n@@else\ndatabase_in=file:/b\n@@endif\n@@include /etc/aide/conf.d ^[a-z]+$\n")
            .file("/etc/aide/conf.d/ours", "database_in=file:/late\n/x p\n")
            .file("/etc/aide/conf.d/ours.bak", "/y p\n");
        let found = aide(&image);
        assert_eq!(found.database().map(|(value, _, line)| (value, line)), Some(("file:/var/lib/aide/a", 3)));
        assert_eq!(found.rules.len(), 1);
        assert_eq!(found.refused, None);
    }

    /// As large as no model is, with the name of a configuration in it or none.
    fn program(built_in: &str) -> Entry {
        let mut entry = Entry::new(FileKind::File, format!("{}\0{built_in}\0", "x".repeat(100)));
        entry.metadata.mode = 0o755;
        entry
    }

    /// The only job: its configuration, or why it compares nothing.
    fn job(image: &MemoryImage) -> Result<Option<String>, String> {
        let target = Target::image(Rootfs::new(image), jiff::civil::date(2026, 1, 1));
        let facts = Facts::gather(target, |_, needs| needs.fact(FactId::Aide));
        let aide = facts.aide().unwrap();
        assert_eq!(aide.jobs.len(), 1, "{:?}", aide.job_doubts);
        let job = &aide.jobs[0];
        if job.idle { Err(job.found.clone()) } else { Ok(job.config.as_ref().map(ToString::to_string)) }
    }

    fn debian(command: &str) -> MemoryImage {
        let image = MemoryImage::new().file("/etc/os-release", "ID=debian\n").file("/var/lib/dpkg/status", "");
        image.file("/etc/crontab", format!("1 1 * * * root {command}\n")).link("/bin", "usr/bin")
    }

    #[test]
    fn a_program_that_is_not_there_is_not_started() {
        let image = debian("/usr/sbin/aide -c /etc/aide.conf").file("/etc/aide.conf", "");
        let image = image.with("/usr/bin/aide", program(""));
        assert_eq!(job(&image), Err("there is no program /usr/sbin/aide".into()));
        assert_eq!(job(&image.clone().link("/usr/sbin/aide", "../bin/aide")), Ok(Some("/etc/aide.conf".into())));
        let other = image.with("/usr/bin/true", program("")).link("/usr/sbin/aide", "/bin/true");
        assert_eq!(job(&other), Err("there is no program /usr/sbin/aide".into()));
    }

    #[test]
    fn the_path_of_cron_finds_names_without_folders() {
        let with = |set: &str| {
            let table = format!("{set}\n1 1 * * * root aide --check\n");
            let image = debian("").file("/etc/crontab", table).file("/etc/aide.conf", "");
            image.with("/usr/sbin/aide", program("/etc/aide.conf"))
        };
        assert_eq!(job(&with("")), Ok(Some("/etc/aide.conf".into())));
        assert_eq!(job(&with("PATH=/bin:/usr/bin")), Err("there is no program aide".into()));
    }

    #[test]
    fn without_a_configuration_debians_program_stops() {
        let image = debian("/bin/aide --check").with("/usr/bin/aide", program("")).file("/etc/aide/aide.conf", "");
        assert_eq!(job(&image), Err("no configuration is named (--config), and none is built in".into()));
        let missing = debian("/bin/aide -c /etc/x.conf --check").with("/usr/bin/aide", program(""));
        assert_eq!(job(&missing), Err("its configuration /etc/x.conf does not exist".into()));
        let initial = debian("/bin/aide -c /etc/aide/aide.conf -i").with("/usr/bin/aide", program(""));
        assert_eq!(job(&initial), Err("AIDE is started, and not to compare".into()));
    }

    #[test]
    fn a_wrapper_names_its_own_and_needs_the_program() {
        let image = debian("/usr/share/aide/bin/dailyaidecheck --crondaily").file("/etc/aide/aide.conf", "");
        let image = image.with("/usr/share/aide/bin/dailyaidecheck", program(""));
        assert_eq!(job(&image), Err("there is no program aide".into()));
        let image = image.with("/usr/bin/aide", program(""));
        assert_eq!(job(&image), Ok(Some("/etc/aide/aide.conf".into())));
        let other = image.file("/etc/default/aide", "CONFIG=\"/etc/other.conf\"\n");
        assert_eq!(job(&other), Err("its configuration /etc/other.conf does not exist".into()));
    }

    #[test]
    fn the_configuration_that_the_job_reads_is_the_one_that_counts() {
        let image = debian("/usr/bin/aide --config=/etc/b.conf").with("/usr/bin/aide", program("/etc/aide.conf"));
        let image = image.file("/etc/b.conf", "/x p\n").file("/etc/aide.conf", "/x u\n").file("/etc/aide/aide.conf", "/x g\n");
        let counts = |image: &MemoryImage| {
            let target = Target::image(Rootfs::new(image), jiff::civil::date(2026, 1, 1));
            Facts::gather(target, |_, needs| needs.fact(FactId::Aide)).aide().unwrap().path.to_string()
        };
        assert_eq!(counts(&image), "/etc/b.conf");
        let bare = image.file("/etc/crontab", "");
        assert_eq!(counts(&bare), "/etc/aide.conf", "that is built in");
        let debian = bare.with("/usr/bin/aide", program(""));
        assert_eq!(counts(&debian), "/etc/aide/aide.conf", "that of the distribution");
    }

    #[test]
    fn what_stands_behind_a_percent_sign_is_input() {
        let image = debian("/bin/true % ; aide --check").with("/usr/bin/aide", program("/etc/aide.conf"));
        let target = Target::image(Rootfs::new(&image), jiff::civil::date(2026, 1, 1));
        let facts = Facts::gather(target, |_, needs| needs.fact(FactId::Aide));
        assert!(facts.aide().unwrap().jobs.is_empty());
    }

    #[test]
    fn a_circle_ends() {
        let image = MemoryImage::new().file("/etc/aide.conf", "@@include /etc/aide.conf\n/x p\n");
        assert!(aide(&image).refused.is_some());
    }
}
