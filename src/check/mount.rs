//! Mounts.

use schemars::JsonSchema;
use serde::Deserialize;

use super::file::WhenNone;
use super::{Kind, Names, unknown};
use crate::facts::mounts::{MountEntry, Mounts};
use crate::facts::{FactId, Facts, Needs, Unreadable};
use crate::finding::{Evidence, Outcome};
use crate::path::ImagePath;

/// What is mounted at a path: after boot, and on a running machine also now.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Mount {
    /// The mount point.
    pub point: String,
    /// Whether something is mounted there of its own, at boot and without anybody asking.
    pub separate: Option<bool>,
    /// Options that have to be in force there.
    pub option: Option<Names>,
    /// The kind of file system, one of these.
    pub fstype: Option<Names>,
    /// The verdict on options and kind if nothing is mounted there: `pass`, `fail`, or `not-applicable` (the default).
    #[serde(default)]
    pub when_none: WhenNone,
}

impl Kind for Mount {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Mounts);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let mounts = facts.mounts()?;
        let point = ImagePath::new(&self.point);
        let mut outcomes = vec![self.after_boot(mounts, &point)];
        outcomes.extend(mounts.running(&point).map(|running| match running {
            Ok(entry) => {
                let none = Evidence::at(&ImagePath::new("/proc/self/mountinfo"))
                    .found("nothing is mounted there")
                    .because("the running kernel");
                self.judge(entry, &point, &none)
            }
            Err(unreadable) => unknown(&unreadable),
        }));
        Ok(Outcome::all(outcomes))
    }

    fn flaw(&self) -> Option<String> {
        if !self.point.starts_with('/') {
            return Some("'point' is an absolute path such as /tmp".into());
        }
        (self.separate.is_none() && self.option.is_none() && self.fstype.is_none())
            .then(|| "it asks nothing of the mount; known: separate, option, fstype".into())
    }
}

impl Mount {
    fn after_boot(&self, mounts: &Mounts, point: &ImagePath) -> Outcome {
        let none = |path: &ImagePath| Evidence::at(path).found(format!("nothing is mounted at {} at boot", self.point));
        match mounts.configured(point) {
            Err(unreadable) => unknown(&unreadable),
            Ok(Ok(entry)) => self.judge(Some(entry), point, &none(point)),
            Ok(Err(Some(refused))) => {
                let path = refused.path.as_ref().unwrap_or(point);
                self.judge(None, point, &none(path).line_opt(refused.line).because(&refused.reason))
            }
            Ok(Err(None)) => {
                let none = match mounts.on_demand(point) {
                    Some(entry) => none(&entry.path).line_opt(entry.line).because("noauto: it waits until somebody mounts it"),
                    None => none(&ImagePath::new("/etc/fstab")),
                };
                self.judge(None, point, &none)
            }
        }
    }

    fn judge(&self, entry: Option<&MountEntry>, point: &ImagePath, none: &Evidence) -> Outcome {
        let mut outcomes = Vec::new();
        if let Some(wanted) = self.separate {
            let seen = entry.map_or_else(|| none.clone(), |entry| place(entry).found(format!("{} is mounted", entry.source)));
            let expected = if wanted { "a file system of its own" } else { "no file system of its own" };
            let own = entry.is_some_and(|entry| !is_bound_to_itself(entry));
            outcomes.push(Outcome::decide(own == wanted, vec![seen.expected(expected)]));
        }
        if self.option.is_some() || self.fstype.is_some() {
            outcomes.push(match entry {
                Some(entry) => self.properties(entry),
                None => self.none(point, none),
            });
        }
        Outcome::all(outcomes)
    }

    fn none(&self, point: &ImagePath, none: &Evidence) -> Outcome {
        match self.when_none {
            WhenNone::Pass => Outcome::pass(vec![none.clone()]),
            WhenNone::Fail => Outcome::fail(vec![none.clone().expected("to be mounted")]),
            WhenNone::Unknown => Outcome::unknown(format!("{point} is no file system of its own"), vec![none.clone()]),
            WhenNone::NotApplicable => Outcome::not_applicable(format!("{point} is no file system of its own")),
        }
    }

    fn properties(&self, entry: &MountEntry) -> Outcome {
        let mut outcomes = Vec::new();
        for option in self.option.iter().flat_map(|options| &options.0) {
            let found = entry.options.iter().map(String::as_str).collect::<Vec<_>>().join(",");
            let seen = place(entry).found(if found.is_empty() { "defaults" } else { &found }).expected(option);
            outcomes.push(Outcome::decide(entry.options.contains(option), vec![seen]));
        }
        if let Some(kinds) = &self.fstype {
            let seen = place(entry).found(&entry.fstype).expected(kinds.0.join(" or "));
            outcomes.push(Outcome::decide(kinds.0.contains(&entry.fstype), vec![seen]));
        }
        Outcome::all(outcomes)
    }
}

/// A directory that is mounted onto itself gets options of its own and stays on the file system it was on.
fn is_bound_to_itself(entry: &MountEntry) -> bool {
    let binds = entry.options.iter().any(|option| matches!(option.as_str(), "bind" | "rbind"));
    binds && ImagePath::new(&entry.source) == entry.point
}

fn place(entry: &MountEntry) -> Evidence {
    let mut place = Evidence::at(&entry.path).line_opt(entry.line);
    place.because.clone_from(&entry.because);
    place
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Target;
    use crate::finding::Status;
    use crate::image::{MemoryImage, Rootfs};

    #[test]
    fn a_directory_mounted_onto_itself_is_no_file_system_of_its_own() {
        let separate = |fstab: &str| judge("point = '/tmp'\nseparate = true\n", fstab, None).status;
        assert_eq!(separate("/tmp /tmp none bind,noexec 0 0\n"), Status::Fail);
        assert_eq!(separate("/srv/tmp /tmp none bind 0 0\n"), Status::Pass);
    }

    fn judge(check: &str, fstab: &str, running: Option<&str>) -> Outcome {
        let check: Mount = toml::from_str(check).unwrap();
        assert_eq!(check.flaw(), None);
        let image = MemoryImage::new().file("/etc/fstab", fstab);
        let running = running.map(|mounts| MemoryImage::new().file("/proc/self/mountinfo", mounts));
        let mut target = Target::image(Rootfs::new(&image), jiff::civil::date(2026, 1, 1));
        target.running = running.as_ref().map(|running| Rootfs::new(running));
        check.evaluate(&Facts::gather(target, |facts, needs| check.needs(facts, needs)))
    }

    const NODEV: &str = "point = '/home'\noption = 'nodev'\n";

    #[test]
    fn an_option_where_nothing_is_mounted() {
        assert_eq!(judge(NODEV, "", None).status, Status::NotApplicable);
        assert_eq!(judge(&format!("{NODEV}when-none = 'fail'\n"), "", None).status, Status::Fail);
        assert_eq!(judge(&format!("{NODEV}when-none = 'pass'\n"), "", None).status, Status::Pass);
    }

    #[test]
    fn options_and_kinds() {
        assert_eq!(judge(NODEV, "x /home ext4 defaults,nodev\n", None).status, Status::Pass);
        let outcome = judge(NODEV, "\nx /home ext4 nodev,dev\n", None);
        assert_eq!((outcome.status, outcome.evidence[0].line), (Status::Fail, Some(2)));
        let both = "point = '/home'\noption = ['nodev', 'nosuid']\nfstype = ['ext4', 'xfs']\n";
        assert_eq!(judge(both, "x /home ext4 nodev,nosuid\n", None).status, Status::Pass);
        assert_eq!(judge(both, "x /home ext4 nodev\n", None).status, Status::Fail);
        assert_eq!(judge(both, "x /home btrfs nodev,nosuid\n", None).status, Status::Fail);
    }

    #[test]
    fn separate_or_not() {
        let (yes, no) = ("point = '/home'\nseparate = true\n", "point = '/home'\nseparate = false\n");
        assert_eq!(judge(yes, "x /home ext4 rw\n", None).status, Status::Pass);
        assert_eq!(judge(yes, "x /home/a ext4 rw\n", None).status, Status::Fail);
        assert_eq!(judge(yes, "x /home ext4 noauto\n", None).evidence[0].line, Some(1));
        assert_eq!(judge(no, "", None).status, Status::Pass);
    }

    #[test]
    fn now_and_after_the_next_boot() {
        let line = |options: &str| format!("1 0 8:1 / /home {options} - ext4 /dev/sda1 rw\n");
        let good = "x /home ext4 nodev\n";
        assert_eq!(judge(NODEV, good, Some(&line("rw,nodev"))).status, Status::Pass);
        let outcome = judge(NODEV, good, Some(&line("rw")));
        assert_eq!((outcome.status, outcome.evidence[0].path.as_str()), (Status::Fail, "/proc/self/mountinfo"));
        assert_eq!(judge(NODEV, "x /home ext4 rw\n", Some(&line("rw,nodev"))).status, Status::Fail);
        let covered = line("rw,nodev") + &line("rw");
        assert_eq!(judge(NODEV, good, Some(&covered)).status, Status::Fail, "the last mount covers the one before");
    }
}
