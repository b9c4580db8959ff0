//! Units that a line of fstab asks for: `x-systemd.requires=` and its like (`systemd.mount(5)`, `systemd-fstab-generator(8)`).

use super::{Units, Via, name};
use crate::facts::{Fact, Facts, Unreadable};
use crate::path::ImagePath;
use crate::syntax::fstab::{self, Entry};

const FSTAB: &str = "/etc/fstab";

/// Options that pull in a unit when the file system is mounted, and those that mount it when a unit is started.
const PULLS: [&str; 2] = ["x-systemd.requires=", "x-systemd.wants="];
const PULLED: [&str; 2] = ["x-systemd.required-by=", "x-systemd.wanted-by="];

impl Units {
    /// Adds what the lines pull in. A source that cannot be read is the mounts' to tell: nothing else is known of them then either.
    pub(super) fn add_fstab(&mut self, facts: &Facts<'_>) -> Fact<()> {
        let path = ImagePath::new(FSTAB);
        let content = match facts.root().read(&path) {
            Ok(content) => content,
            Err(error) if error.is_absent() => return Ok(()),
            Err(error) => return Err(Unreadable::reading(&path, &error)),
        };
        for line in fstab::parse(&content).iter().filter(|line| line.point.starts_with(b"/") && line.fstype != b"swap") {
            let mut owners = values(line, &PULLED);
            let has = |option: &[u8]| line.options.iter().any(|own| own == option);
            if owners.is_empty() && (!has(b"noauto") || has(b"x-systemd.automount")) {
                owners.push("local-fs.target".to_owned());
            }
            for unit in values(line, &PULLS) {
                for owner in &owners {
                    let via = Via::Setting { path: path.clone(), line: line.line, key: "x-systemd.requires".to_owned() };
                    self.make(owner, &unit, via);
                }
            }
        }
        Ok(())
    }
}

/// The units that options with these beginnings name.
fn values(line: &Entry, options: &[&str]) -> Vec<String> {
    let of = |own: &Vec<u8>| {
        let value = options.iter().find_map(|option| own.strip_prefix(option.as_bytes()))?;
        std::str::from_utf8(value).ok().filter(|unit| name::form(unit).is_some()).map(str::to_owned)
    };
    line.options.iter().filter_map(of).collect()
}
