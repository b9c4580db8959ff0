//! The audit rules as they are loaded at boot, and the configuration of auditd.
//!
//! `augenrules(8)` merges `/etc/audit/rules.d/*.rules` in version order into `/etc/audit/audit.rules`, with the controls moved:
//! `-D` comes first, the last `-e` comes last. Where auditd's unit runs `auditctl -R` instead, the one file counts as it stands. So a
//! stale generated file does not matter in the first case, and the folder does not in the second.

mod order;
mod rules;

pub use rules::{AuditRule, AuditRules};

use super::{Fact, Facts, Unreadable};
use crate::path::ImagePath;
use crate::syntax::audit_rules::parse;
use crate::syntax::systemd_unit;

/// The folder that augenrules merges.
const FOLDER: &str = "/etc/audit/rules.d";
/// The file that augenrules writes and auditctl reads.
const MERGED: &str = "/etc/audit/audit.rules";

/// The kernel becomes slow long before it has this many rules; comparing them all with each other would, too.
const MAX_LINES: usize = 10_000;

pub(super) fn gather(facts: &Facts<'_>) -> Fact<AuditRules> {
    let root = facts.root();
    let mut files = Vec::new();
    let merges = loader(facts)?;
    if merges {
        let folder = ImagePath::new(FOLDER);
        match root.read_dir(&folder) {
            Ok(mut names) => {
                names.retain(|name| name.ends_with(b".rules"));
                names.sort_by(|left, right| order::by_version(left, right));
                files.extend(names.iter().map(|name| folder.join(name)));
            }
            Err(error) if error.is_absent() => {}
            Err(error) => return Err(Unreadable::reading(&folder, &error)),
        }
    } else {
        files.push(ImagePath::new(MERGED));
    }
    let mut lines = Vec::new();
    for path in files {
        match root.read(&path) {
            Ok(content) => lines.extend(parse(&content).into_iter().map(|(line, said)| (path.clone(), line, said))),
            Err(error) if error.is_absent() => {}
            Err(error) => return Err(Unreadable::reading(&path, &error)),
        }
    }
    if lines.len() > MAX_LINES {
        return Err(Unreadable::at(&ImagePath::new(FOLDER), format!("more than {MAX_LINES} audit rules")));
    }
    let place = ImagePath::new(if merges { FOLDER } else { MERGED });
    Ok(AuditRules::load(root, lines, merges, place))
}

/// Whether augenrules merges the folder: so says what starts with auditd, in its own unit or in the one made for it (audit 4).
fn loader(facts: &Facts<'_>) -> Fact<bool> {
    for (unit, key) in [("audit-rules.service", "ExecStart"), ("auditd.service", "ExecStartPost")] {
        for folder in ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"] {
            let path = ImagePath::new(folder).join(unit);
            let content = match facts.root().read(&path) {
                Ok(content) => content,
                Err(error) if error.is_absent() => continue,
                Err(error) => return Err(Unreadable::reading(&path, &error)),
            };
            let settings = systemd_unit::parse(&content).settings;
            let commands = settings.iter().filter(|setting| setting.section == "Service" && setting.key == key);
            let loads = |value: &String| value.contains("augenrules") || value.contains("auditctl");
            if let Some(last) = commands.map(|setting| &setting.value).rfind(|value| loads(value)) {
                return Ok(last.contains("augenrules"));
            }
        }
    }
    // Nothing says: the folder is what every distribution's own unit merges.
    Ok(true)
}
