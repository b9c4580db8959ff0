//! What a login may use: `limits.conf(5)` and `limits.d`, as `pam_limits(8)` applies them.
//!
//! The main file comes first, then the files of the folder in the order of the C locale. Who is named by himself is ruled by that, then
//! groups count, then everybody (`*`); of two lines of the same kind the last (`setup_limits`).

use std::collections::BTreeMap;

use super::{Fact, Facts, Unreadable};
use crate::image::ReadError;
use crate::path::{ImagePath, printable};
use crate::syntax::limits::{Limit, parse};

/// The main file.
pub const PATH: &str = "/etc/security/limits.conf";

/// Every line, in the order in which it is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    lines: Vec<(ImagePath, Limit)>,
}

/// The limit of everybody, or of some for whom another one counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitInForce {
    /// Whom it is for, made safe to show: `*` for everybody.
    pub domain: String,
    /// The value as written; `unlimited` for those whom no limit binds.
    pub text: String,
    /// As a number, where it is one; -1 where there is no limit.
    pub number: Option<i64>,
    /// The file.
    pub path: ImagePath,
    /// The line in it.
    pub line: u32,
}

pub(super) fn gather(facts: &Facts<'_>) -> Fact<Limits> {
    let root = facts.root();
    let folder = ImagePath::new("/etc/security/limits.d");
    let names = match root.read_dir(&folder) {
        Ok(names) => names,
        Err(error) if error.is_absent() || matches!(error, ReadError::Kind { .. }) => Vec::new(),
        Err(error) => return Err(Unreadable::reading(&folder, &error)),
    };
    let named = names.iter().filter(|name| name.ends_with(b".conf") && !name.starts_with(b".")).map(|name| folder.join(name));
    let mut limits = Limits::default();
    for path in std::iter::once(ImagePath::new(PATH)).chain(named) {
        match root.read(&path) {
            Ok(content) => limits.lines.extend(parse(&content).into_iter().map(|limit| (path.clone(), limit))),
            Err(error) if error.is_absent() || matches!(error, ReadError::Kind { .. }) => {}
            Err(error) => return Err(Unreadable::reading(&path, &error)),
        }
    }
    Ok(limits)
}

impl Limits {
    /// The hard limit of an item for everybody, if any, and for all whom a line of their own rules.
    #[must_use]
    pub fn hard(&self, item: &str) -> Vec<LimitInForce> {
        let counts = |limit: &Limit| limit.hard && limit.item.as_deref().is_none_or(|named| named == item);
        // What counts of a domain is its last line; the domains come in the order of those.
        let mut last: BTreeMap<String, (usize, LimitInForce)> = BTreeMap::new();
        for (at, (path, limit)) in self.lines.iter().filter(|(_, limit)| counts(limit)).enumerate() {
            let free = limit.item.is_none() || ["-1", "unlimited", "infinity"].contains(&limit.value.as_str());
            let found = LimitInForce {
                domain: printable(limit.domain.as_bytes()),
                text: if free { "unlimited".into() } else { printable(limit.value.as_bytes()) },
                number: if free { Some(-1) } else { limit.value.parse().ok() },
                path: path.clone(),
                line: limit.line,
            };
            // What is no number is passed over (`process_limit`).
            if found.number.is_some() {
                last.insert(found.domain.clone(), (at, found));
            }
        }
        let mut all: Vec<(usize, LimitInForce)> = last.into_values().collect();
        all.sort_by_key(|(at, found)| (found.domain != "*", *at));
        all.into_iter().map(|(_, found)| found).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Target;
    use crate::image::{MemoryImage, Rootfs};

    fn hard(image: &MemoryImage) -> Vec<(String, String)> {
        let facts = Facts::none(Target::image(Rootfs::new(image), jiff::civil::date(2026, 1, 1)));
        gather(&facts).unwrap().hard("core").into_iter().map(|found| (found.domain, found.text)).collect()
    }

    #[test]
    fn the_folder_comes_after_the_file_and_the_last_line_counts() {
        let image = MemoryImage::new().file(PATH, "* hard core 1\n* soft core 9\n* hard nofile 5\n* hard core much\n");
        assert_eq!(hard(&image), [("*".into(), "1".into())]);
        let image =
            image.file("/etc/security/limits.d/b.conf", "* - core 0\n").file("/etc/security/limits.d/c", "* hard core 7\n");
        assert_eq!(hard(&image), [("*".into(), "0".into())]);
    }

    #[test]
    fn some_are_bound_by_lines_of_their_own_or_by_none() {
        let image = MemoryImage::new().file(PATH, "@dev hard core 100\njoe -\n* hard core 0\n");
        let wanted = [("*", "0"), ("@dev", "100"), ("joe", "unlimited")].map(|(who, what)| (who.to_owned(), what.to_owned()));
        assert_eq!(hard(&image), wanted);
    }
}
