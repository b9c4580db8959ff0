//! What the first boot enables: `systemd.preset(5)`, "First Boot Semantics" in `machine-id(5)`, `manager_preset_all()` in systemd's
//! `manager.c`.

use std::collections::BTreeSet;

use super::name::{self, Form};
use super::search::{self, Role};
use super::state::{self, Discovered, Install};
use super::{Units, Via};
use crate::facts::{Fact, Facts, Os, Unreadable};
use crate::path::ImagePath;
use crate::syntax::preset::{self, Action};
use crate::syntax::wildcard;

const DIRS: [&str; 5] = [
    "/etc/systemd/system-preset",
    "/run/systemd/system-preset",
    "/usr/local/lib/systemd/system-preset",
    "/usr/lib/systemd/system-preset",
    "/lib/systemd/system-preset",
];

/// Lines of all preset files together; distributions have some hundreds. Each unit is compared with each.
const MAX_RULES: usize = 2_000;

/// The presets of an image.
#[derive(Debug, Clone, Default)]
pub(super) struct Presets {
    rules: Vec<(ImagePath, preset::Rule)>,
}

/// Where a decision comes from: a line, or nothing where no line fits and the answer is to enable.
pub(super) type Origin = Option<(ImagePath, u32)>;

/// Whether the next boot is the first one: `/etc/machine-id` is absent or says `uninitialized`. An *empty* file gets an id too, but is no
/// first boot.
pub(super) fn first_boot(facts: &Facts<'_>) -> Fact<Option<&'static str>> {
    if facts.running().is_some() {
        return Ok(None);
    }
    let path = ImagePath::new("/etc/machine-id");
    match facts.root().read(&path) {
        Ok(content) if content.split(|&byte| byte == b'\n').next().is_some_and(|line| line.trim_ascii() == b"uninitialized") => {
            Ok(Some("/etc/machine-id is uninitialized"))
        }
        Ok(_) => Ok(None),
        Err(error) if error.is_absent() => Ok(Some("there is no /etc/machine-id")),
        Err(error) => Err(Unreadable::reading(&path, &error)),
    }
}

/// Whether the first boot also disables: a choice made when systemd is built (`-Dfirst-boot-full-preset`, since version 252, off by
/// default). Fedora turned it on with release 37, and with it what is made from later releases: Enterprise Linux 10.
pub(super) fn disables_too(os: Option<&Os>) -> bool {
    let Some(os) = os else { return false };
    let major: u32 = os.version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
    match os.id.as_str() {
        "fedora" => major >= 37,
        "rhel" | "centos" | "almalinux" | "rocky" | "ol" => major >= 10,
        _ => false,
    }
}

impl Presets {
    pub(super) fn read(facts: &Facts<'_>) -> Fact<Self> {
        let root = facts.root();
        let dirs: Vec<&str> = DIRS.into_iter().filter(|dir| facts.running().is_some() || !dir.starts_with("/run/")).collect();
        let mut rules = Vec::new();
        for path in search::layered(root, &dirs, ".preset")? {
            let content = match root.read(&path) {
                Ok(content) => content,
                Err(error) if error.is_absent() => continue,
                Err(error) => return Err(Unreadable::reading(&path, &error)),
            };
            for rule in preset::parse(&content) {
                rules.push((path.clone(), rule));
            }
            if rules.len() > MAX_RULES {
                return Err(Unreadable::at(&path, format!("the presets have more than {MAX_RULES} lines")));
            }
        }
        Ok(Self { rules })
    }

    /// What the presets say of a unit: the first line that fits, or to enable it.
    fn query(&self, unit: &str) -> (Action, Vec<String>, Origin) {
        for (path, rule) in &self.rules {
            let template = name::template(unit);
            let of_rule = template.as_deref() == Some(rule.pattern.as_str()) && !rule.instances.is_empty();
            let listed =
                of_rule && name::instance(unit).is_some_and(|own| own.is_empty() || rule.instances.iter().any(|one| one == own));
            // fnmatch(FNM_NOESCAPE): a backslash is a plain character, which names of units do contain.
            let fits = listed || rule.pattern == unit || wildcard::matches(rule.pattern.as_bytes(), unit.as_bytes());
            if fits {
                let instances =
                    if of_rule && name::form(unit) == Some(Form::Template) { rule.instances.clone() } else { Vec::new() };
                return (rule.action, instances, Some((path.clone(), rule.line)));
            }
        }
        (Action::Enable, Vec::new(), None)
    }
}

impl Units {
    /// Applies what `preset-all` would do.
    pub(super) fn preset_all(&mut self, presets: &Presets, disables_too: bool) {
        let names: BTreeSet<String> = self.tree.dirs.iter().flat_map(|dir| dir.entries.keys().cloned()).collect();
        let mut enabled = BTreeSet::new();
        for unit in names {
            let (name, role, install) = match self.discover(&unit) {
                Discovered::Regular { name, role, install, .. } => (name, role, install),
                Discovered::Bad(path, state::NOWHERE) => {
                    let reason =
                        "systemd stops applying presets at this link to a unit that is not there, before or after others";
                    self.preset_doubt = Some(Unreadable::at(&path, reason));
                    continue;
                }
                _ => continue,
            };
            if name != unit || matches!(role, Some(Role::Generated | Role::Transient)) {
                continue;
            }
            match presets.query(&unit) {
                (Action::Enable, instances, origin) => self.enable(&unit, &install, &instances, &origin, &mut enabled),
                (Action::Disable, _, origin) if disables_too => {
                    self.disabled.insert(unit, origin);
                }
                _ => {}
            }
        }
    }

    /// Makes the links that `enable` would make, for the unit and for those it names in `Also=`.
    fn enable(&mut self, unit: &str, install: &Install, instances: &[String], origin: &Origin, done: &mut BTreeSet<String>) {
        let mut waiting = vec![(unit.to_owned(), install.clone(), instances.to_vec())];
        while let Some((unit, install, instances)) = waiting.pop() {
            if !done.insert(unit.clone()) {
                continue;
            }
            let made: Vec<String> = match name::form(&unit) {
                Some(Form::Template) if instances.is_empty() => {
                    install.default_instance.iter().map(|own| name::with_instance(&unit, own)).collect()
                }
                Some(Form::Template) => instances.iter().map(|own| name::with_instance(&unit, own)).collect(),
                _ => vec![unit.clone()],
            };
            let via = Via::Preset { line: origin.clone(), why: self.first_boot.unwrap_or_default() };
            for owner in install.wanted_by.iter().chain(&install.required_by).chain(&install.upheld_by) {
                for unit in &made {
                    self.make(owner, unit, via.clone());
                }
            }
            for alias in &install.alias {
                if name::may_alias(alias, &unit).is_ok() {
                    self.preset_aliases.push((alias.clone(), unit.clone(), via.clone()));
                }
            }
            for also in &install.also {
                if let Discovered::Regular { name, install, .. } = self.discover(also) {
                    waiting.push((name, install, Vec::new()));
                }
            }
        }
    }

    /// Whether the first boot takes a unit's links away.
    pub(super) fn first_boot_disables(&self, name: &str) -> bool {
        self.disabled.contains_key(name) || name::template(name).is_some_and(|template| self.disabled.contains_key(&template))
    }
}
