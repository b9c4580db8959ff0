//! The audit rules as they are loaded at boot, and the configuration of auditd.
//!
//! `augenrules(8)` merges `/etc/audit/rules.d/*.rules` in version order into `/etc/audit/audit.rules`, with the controls moved:
//! `-D` comes first, the last `-e` comes last. Where auditd's unit runs `auditctl -R` instead, the one file counts as it stands. So a
//! stale generated file does not matter in the first case, and the folder does not in the second. Without the folder augenrules loads the
//! file that is there.

mod filters;
mod generated;
mod order;
mod refused;
mod rules;
mod taken;

pub use refused::Machine;
pub use rules::{AuditRule, AuditRules, Generated};
pub use taken::Recorded;

use super::units::Value;
use super::{Fact, Facts, Unreadable};
use crate::image::{FileKind, Rootfs};
use crate::path::ImagePath;
use crate::syntax::audit_rules::{Line, parse};
use crate::syntax::systemd_unit::words;

/// The folder that augenrules merges.
const FOLDER: &str = "/etc/audit/rules.d";
/// The file that augenrules writes and auditctl reads.
const MERGED: &str = "/etc/audit/audit.rules";

/// The kernel becomes slow long before it has this many rules; comparing them all with each other would, too.
const MAX_LINES: usize = 10_000;

pub(super) fn gather(facts: &Facts<'_>) -> Fact<AuditRules> {
    let root = facts.root();
    let one = ImagePath::new(MERGED);
    let merged = match loader(facts)? {
        Loader::Augenrules => merged_files(root)?,
        Loader::Auditctl => None,
        Loader::None(place, why) => {
            let mut none = AuditRules::load(root, Vec::new(), Generated::Unused, place.clone());
            none.broken.push(Unreadable::at(&place, why));
            return Ok(none);
        }
    };
    let place = if merged.is_some() { ImagePath::new(FOLDER) } else { one.clone() };
    let file = match root.read(&one) {
        Ok(content) => Some(content),
        Err(error) if error.is_absent() => None,
        Err(error) if merged.is_none() => return Err(Unreadable::reading(&one, &error)),
        Err(_) => None,
    };
    let generated = match (&merged, &file) {
        (None, _) => Generated::Unused,
        (Some(_), None) => Generated::Missing,
        (Some(folder), Some(file)) => generated::compare(folder, file),
    };
    let read = match (merged, file) {
        (Some(folder), _) => folder,
        (None, Some(content)) => vec![(one.clone(), content)],
        (None, None) => Vec::new(),
    };
    let (mut lines, mut texts) = (Vec::new(), Vec::new());
    for (path, content) in read {
        texts.extend(generated::lines(&content).into_iter().map(|(_, text)| text));
        lines.extend(parse(&content).into_iter().map(|(line, said)| (path.clone(), line, said)));
    }
    if lines.len() > MAX_LINES {
        return Err(Unreadable::at(&place, format!("more than {MAX_LINES} audit rules")));
    }
    let machine = Machine::of(facts.packages().ok().and_then(|packages| packages.architecture()));
    refused::sift(&mut lines, &texts, machine, generated != Generated::Unused);
    if generated == Generated::Unused && root.resolve(&one).is_ok_and(|found| found.metadata.mode & 0o002 != 0) {
        let why = "auditctl refuses a file that everybody may write".to_owned();
        lines = vec![(one, 1, Line::Broken(why))];
    }
    Ok(AuditRules::load(root, lines, generated, place))
}

/// A file with its content.
type File = (ImagePath, Vec<u8>);

/// The files that augenrules merges, in its order; nothing if there is no folder.
fn merged_files(root: Rootfs<'_>) -> Fact<Option<Vec<File>>> {
    let folder = ImagePath::new(FOLDER);
    let mut names = match root.read_dir(&folder) {
        Ok(names) => names,
        Err(error) if error.is_absent() => return Ok(None),
        Err(error) => return Err(Unreadable::reading(&folder, &error)),
    };
    names.retain(|name| name.ends_with(b".rules") && !name.starts_with(b"."));
    names.sort_by(|left, right| order::by_version(left, right));
    let mut files = Vec::new();
    for name in names {
        let path = folder.join(name);
        match root.read(&path) {
            Ok(content) => files.push((path, content)),
            Err(error) if error.is_absent() => {}
            Err(error) => return Err(Unreadable::reading(&path, &error)),
        }
    }
    Ok(Some(files))
}

/// What brings the rules into the kernel at boot.
enum Loader {
    /// augenrules, which merges the folder.
    Augenrules,
    /// `auditctl -R` with the one file.
    Auditctl,
    /// Nothing: so says this unit.
    None(ImagePath, &'static str),
}

/// So says what starts with auditd, in its own unit or in the one made for it (audit 4), with its drop-ins. A unit that is masked starts
/// nothing. Where there is no unit at all, the folder is taken: it is what every distribution's own unit merges.
fn loader(facts: &Facts<'_>) -> Fact<Loader> {
    let units = facts.units()?;
    let mut silent = None;
    for unit in ["audit-rules.service", "auditd.service"] {
        if let Some(mask) = units.mask(unit)? {
            silent = Some((mask, "the unit that loads the audit rules is masked"));
            continue;
        }
        for key in ["ExecStart", "ExecStartPost", "ExecStartPre"] {
            let commands = units.property(unit, "Service", key)?;
            let loads = |value: &&Value| value.text.contains("augenrules") || value.text.contains("auditctl");
            if let Some(last) = commands.iter().rfind(loads) {
                let loader = if last.text.contains("augenrules") { Loader::Augenrules } else { Loader::Auditctl };
                return Ok(match missing(facts.root(), &loader, last)? {
                    Some(why) => Loader::None(last.path.clone(), why),
                    None => loader,
                });
            }
        }
        if silent.is_none()
            && let Some(file) = units.file(unit)?
        {
            silent = Some((file, "no unit loads the audit rules: nothing starts augenrules or auditctl"));
        }
    }
    Ok(silent.map_or(Loader::Augenrules, |(place, why)| Loader::None(place, why)))
}

/// systemd's own program. A tree without it is no whole system (an `/etc` alone), and says nothing of the programs that are missing.
const SYSTEMD: [&str; 2] = ["/usr/lib/systemd/systemd", "/lib/systemd/systemd"];
/// Where a program is looked for that is not named by its whole path: by systemd, and by the script augenrules.
const PATH: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Why nothing is loaded though a command says so: a program that is needed is not there, or is a link to one that does nothing.
fn missing(root: Rootfs<'_>, loader: &Loader, command: &Value) -> Fact<Option<&'static str>> {
    if !SYSTEMD.iter().any(|path| root.exists(&ImagePath::new(path)).unwrap_or(false)) {
        return Ok(None);
    }
    let words = words(command.text.trim_start_matches(['@', '-', ':', '+', '!', '|']));
    let named = words.first().filter(|program| program.starts_with('/')).map(ImagePath::new);
    let mut needed = Vec::new();
    if let Loader::Augenrules = loader {
        needed.push(("augenrules", "there is no augenrules in the image to load the audit rules"));
    }
    needed.push(("auditctl", "there is no auditctl in the image to load the audit rules"));
    for (name, why) in needed {
        let candidates: Vec<ImagePath> = match named.as_ref().filter(|path| path.file_name() == name.as_bytes()) {
            Some(path) => vec![path.clone()],
            None => PATH.iter().map(|dir| ImagePath::new(dir).join(name)).collect(),
        };
        if !runs_one(root, &candidates)? {
            return Ok(Some(why));
        }
    }
    Ok(None)
}

/// Whether the first of these that can be run at all does something.
fn runs_one(root: Rootfs<'_>, candidates: &[ImagePath]) -> Fact<bool> {
    for path in candidates {
        match root.resolve(path) {
            Ok(found) if found.metadata.kind == FileKind::File && found.metadata.mode & 0o111 != 0 => {
                return Ok(!matches!(found.path.file_name(), b"true" | b"false"));
            }
            Ok(_) => {}
            Err(error) if error.is_absent() => {}
            Err(error) => return Err(Unreadable::reading(path, &error)),
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{FactId, Target};
    use crate::image::{Entry, MemoryImage, Rootfs};

    /// Where the rules are taken from.
    fn origin(image: &MemoryImage) -> Option<String> {
        let image = image.clone().file("/etc/audit/rules.d/a.rules", "-w /folder -p wa\n").file(MERGED, "-w /file -p wa\n");
        let target = Target::image(Rootfs::new(&image), jiff::civil::date(2026, 1, 1));
        let facts = Facts::gather(target, |_, needs| needs.fact(FactId::Audit));
        Some(facts.audit().unwrap().rules.first()?.path.to_string())
    }

    #[test]
    fn a_masked_unit_is_masked_and_no_character_device() {
        let unit = "[Service]\nExecStart=/sbin/auditd\nExecStartPost=-/sbin/auditctl -R /etc/audit/audit.rules\n";
        let image = MemoryImage::new().file("/usr/lib/systemd/system/auditd.service", unit);
        assert_eq!(origin(&image).as_deref(), Some("/etc/audit/audit.rules"));
        let image = image.link("/etc/systemd/system/auditd.service", "/dev/null");
        assert_eq!(origin(&image), None, "nothing loads them");
    }

    #[test]
    fn a_drop_in_says_how_rules_are_loaded() {
        let unit = "[Service]\nExecStart=/sbin/auditd\nExecStartPost=-/sbin/augenrules --load\n";
        let image = MemoryImage::new().file("/usr/lib/systemd/system/auditd.service", unit);
        assert_eq!(origin(&image).as_deref(), Some("/etc/audit/rules.d/a.rules"));
        let cleared = image.clone().file("/etc/systemd/system/auditd.service.d/x.conf", "[Service]\nExecStartPost=\n");
        assert_eq!(origin(&cleared), None, "nothing loads them");
        let drop_in = "[Service]\nExecStartPost=\nExecStartPost=/sbin/auditctl -R /etc/audit/audit.rules\n";
        let image = image.file("/etc/systemd/system/auditd.service.d/x.conf", drop_in);
        assert_eq!(origin(&image).as_deref(), Some("/etc/audit/audit.rules"));
    }

    #[test]
    fn without_its_programs_nothing_loads_them() {
        let unit = |command: &str| {
            let unit = format!("[Service]\nExecStart=/sbin/auditd\nExecStartPost=-{command}\n");
            MemoryImage::new().file("/usr/lib/systemd/system/auditd.service", unit).file("/usr/lib/systemd/systemd", "")
        };
        let mut entry = Entry::new(FileKind::File, "");
        entry.metadata.mode = 0o755;
        let with = |image: MemoryImage, programs: &[&str]| {
            programs.iter().fold(image, |image, program| image.with(program, entry.clone()))
        };
        let (folder, file) = (Some("/etc/audit/rules.d/a.rules"), Some("/etc/audit/audit.rules"));
        for (command, programs, origin_is) in [
            ("/sbin/augenrules --load", &["/sbin/augenrules", "/sbin/auditctl"][..], folder),
            ("/sbin/augenrules --load", &["/sbin/augenrules", "/usr/sbin/auditctl"], folder),
            ("/sbin/augenrules --load", &["/sbin/augenrules"], None),
            ("/sbin/augenrules --load", &["/sbin/auditctl"], None),
            ("/opt/augenrules --load", &["/sbin/augenrules", "/sbin/auditctl"], None),
            ("/sbin/auditctl -R /etc/audit/audit.rules", &["/sbin/auditctl"], file),
            ("/sbin/auditctl -R /etc/audit/audit.rules", &["/sbin/augenrules"], None),
            ("augenrules --load", &["/sbin/augenrules", "/sbin/auditctl"], folder),
        ] {
            assert_eq!(origin(&with(unit(command), programs)).as_deref(), origin_is, "{command} with {programs:?}");
        }
        let linked = with(unit("/sbin/augenrules --load"), &["/sbin/augenrules", "/bin/true"]);
        assert_eq!(origin(&linked.link("/sbin/auditctl", "../bin/true")), None);
        let closed = unit("/sbin/augenrules --load").file("/sbin/auditctl", "");
        assert_eq!(origin(&with(closed, &["/sbin/augenrules"])), None, "nobody may run it");
    }
}
