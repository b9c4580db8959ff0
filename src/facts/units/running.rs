//! Which units have processes on the running machine, by their control groups.

use std::collections::BTreeSet;

use super::name;
use crate::facts::{Fact, Facts, Unreadable};
use crate::image::ReadError;
use crate::path::ImagePath;

/// Where the tree of units lies: alone (version 2), beside version 1, or in version 1's own hierarchy for names.
const ROOTS: [&str; 3] = ["/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"];

/// Groups looked at. A host with a thousand containers has some ten thousand.
const MAX_GROUPS: usize = 100_000;

/// Levels of groups; units of the system lie within three.
const MAX_DEPTH: usize = 12;

/// The services and scopes that have processes; nothing where the machine is not running.
pub(super) fn gather(facts: &Facts<'_>) -> Fact<Option<BTreeSet<String>>> {
    let Some(running) = facts.running() else { return Ok(None) };
    let trees = ["system.slice", "init.scope"];
    let base = ROOTS.iter().map(ImagePath::new).find(|root| trees.iter().any(|tree| running.resolve(&root.join(tree)).is_ok()));
    let Some(base) = base else {
        // How programs find out whether systemd is in charge: sd_booted(3). Where it is not, none of its services runs.
        let booted = ImagePath::new("/run/systemd/system");
        return match facts.root().exists(&booted) {
            Ok(false) => Ok(Some(BTreeSet::new())),
            Ok(true) => {
                let reason = "there are no control groups of systemd: what runs is not known";
                Err(Unreadable::at(&ImagePath::new("/sys/fs/cgroup"), reason))
            }
            Err(error) => Err(Unreadable::reading(&booted, &error)),
        };
    };
    let mut units = BTreeSet::new();
    let mut waiting = vec![(base, 0)];
    let mut seen = 0;
    while let Some((group, depth)) = waiting.pop() {
        seen += 1;
        if seen > MAX_GROUPS {
            return Err(Unreadable::at(&group, format!("there are more than {MAX_GROUPS} control groups")));
        }
        let names = match running.read_dir(&group) {
            Ok(names) => names,
            // Groups come and go.
            Err(error) if error.is_absent() => continue,
            Err(error) => return Err(Unreadable::reading(&group, &error)),
        };
        let unit = name::valid(group.file_name()).filter(|unit| matches!(name::kind(unit), "service" | "scope"));
        if let Some(unit) = unit
            && is_populated(facts, &group)?
        {
            units.insert(unit.to_owned());
        }
        if depth < MAX_DEPTH {
            let inner = names.iter().map(|name| group.join(name)).filter(|path| is_group(facts, path));
            waiting.extend(inner.map(|path| (path, depth + 1)));
        }
    }
    Ok(Some(units))
}

fn is_group(facts: &Facts<'_>, path: &ImagePath) -> bool {
    let found = facts.running().map(|running| running.resolve_parent(path));
    matches!(found, Some(Ok(found)) if found.metadata.kind == crate::image::FileKind::Directory)
}

/// Version 2 says of a group whether anything below has processes; version 1 lists those of the group itself.
fn is_populated(facts: &Facts<'_>, group: &ImagePath) -> Fact<bool> {
    let Some(running) = facts.running() else { return Ok(false) };
    let read = |file: &str| match running.read(&group.join(file)) {
        Ok(content) => Ok(Some(content)),
        Err(ReadError::NotFound | ReadError::Dangling) => Ok(None),
        Err(error) => Err(Unreadable::reading(&group.join(file), &error)),
    };
    if let Some(events) = read("cgroup.events")? {
        return Ok(events.split(|&byte| byte == b'\n').any(|line| line == b"populated 1"));
    }
    Ok(read("cgroup.procs")?.is_some_and(|processes| !processes.trim_ascii().is_empty()))
}
