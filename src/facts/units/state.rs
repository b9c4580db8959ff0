//! What `systemctl is-enabled` says: `unit_file_lookup_state()` and `find_symlinks_in_scope()` in systemd's `install.c`.

use std::collections::BTreeSet;

use super::name::{self, Form};
use super::search::{Dir, Entry, Role, TO_ITSELF};
use super::{Enablement, State, Units};
use crate::facts::Unreadable;
use crate::path::ImagePath;
use crate::syntax::systemd_unit::words;

/// Links followed from one to the next, `UNIT_FILE_FOLLOW_SYMLINK_MAX`.
const MAX_LINKS: usize = 64;

/// Why a name is refused whose link leads to no unit (`ENOLINK`).
pub(super) const NOWHERE: &str = "a link to a unit that is not there";

/// What `[Install]` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Install {
    pub(super) alias: Vec<String>,
    pub(super) wanted_by: Vec<String>,
    pub(super) required_by: Vec<String>,
    pub(super) upheld_by: Vec<String>,
    pub(super) also: Vec<String>,
    pub(super) default_instance: Option<String>,
}

impl Install {
    fn has_rules(&self) -> bool {
        [&self.alias, &self.wanted_by, &self.required_by, &self.upheld_by].iter().any(|list| !list.is_empty())
    }

    fn take(&mut self, key: &str, value: &str, unit: &str) {
        let list = match key {
            "Alias" => &mut self.alias,
            "WantedBy" => &mut self.wanted_by,
            "RequiredBy" => &mut self.required_by,
            "UpheldBy" => &mut self.upheld_by,
            "Also" => &mut self.also,
            "DefaultInstance" => {
                self.default_instance = (!value.is_empty()).then(|| name::expand(value, unit)).flatten();
                return;
            }
            _ => return,
        };
        if value.is_empty() {
            list.clear();
        }
        list.extend(words(value).iter().filter_map(|word| name::expand(word, unit)));
    }
}

/// A unit as `is-enabled` finds it.
#[derive(Debug, Clone)]
pub(super) enum Discovered {
    /// No such unit.
    Missing,
    /// Masked by this, for good or until the next boot.
    Masked(ImagePath, bool),
    /// A unit under its own name, the file it was found in, and what `[Install]` says.
    Regular { name: String, path: ImagePath, role: Option<Role>, install: Install },
    /// What systemd refuses to answer.
    Bad(ImagePath, &'static str),
    /// It cannot be told.
    Unknown(Unreadable),
}

impl Units {
    pub(super) fn discover(&self, asked: &str) -> Discovered {
        let mut name = asked.to_owned();
        let mut followed = None;
        for _ in 0..MAX_LINKS {
            let missing = || match &followed {
                None => Discovered::Missing,
                Some(link) => Discovered::Bad(ImagePath::clone(link), NOWHERE),
            };
            let here = |name: &str| {
                self.tree.dirs.iter().find_map(|dir| dir.entries.get(name).map(|entry| (dir, entry, dir.path.join(name))))
            };
            let template = name::template(&name).filter(|template| *template != name);
            let Some((dir, entry, path)) = here(&name).or_else(|| here(&template?)) else {
                return match self.sysv.get(&name) {
                    Some(script) => Discovered::Regular {
                        name,
                        path: script.path.clone(),
                        role: Some(Role::Generated),
                        install: Install::default(),
                    },
                    None => missing(),
                };
            };
            match entry {
                Entry::Unknown(why) => return Discovered::Unknown(why.clone()),
                Entry::Refused(why) => return Discovered::Bad(path, why),
                Entry::Mask => return Discovered::Masked(path, dir.is_runtime()),
                Entry::Alias(target) => {
                    followed = Some(path.clone());
                    name = match name::instance(&name) {
                        Some(own) if name::form(&name) == Some(Form::Instance) && name::form(target) == Some(Form::Template) => {
                            let filled = name::with_instance(target, own);
                            if filled == name {
                                // `foo@a.service`, a link to its own template: the link is taken as it is.
                                return self.regular(name, target_path(self, target).unwrap_or(path), dir);
                            }
                            filled
                        }
                        _ => target.clone(),
                    };
                }
                Entry::Linked(target) => return self.regular(name, target.clone(), dir),
                Entry::File => return self.regular(name, path, dir),
            }
        }
        followed.map_or(Discovered::Missing, |link| Discovered::Bad(link, "links that lead to each other"))
    }

    /// The instance that a template is enabled as.
    pub(super) fn default_instance(&self, template: &str) -> Option<String> {
        match self.discover(template) {
            Discovered::Regular { install, .. } => install.default_instance,
            _ => None,
        }
    }

    fn regular(&self, name: String, path: ImagePath, dir: &Dir) -> Discovered {
        let mut install = Install::default();
        // The settings are kept under the path in the search path, also where that is a link to elsewhere.
        let stored = [Some(name.clone()), name::template(&name)].into_iter().flatten().map(|name| dir.path.join(name));
        let file = std::iter::once(path.clone()).chain(stored).find(|path| self.tree.files.contains_key(path));
        let settings = file.map_or(Ok(Vec::new()), |file| self.settings(&name, &file));
        match settings {
            Ok(settings) => {
                for placed in settings.iter().filter(|placed| placed.setting.section == "Install") {
                    install.take(&placed.setting.key, &placed.setting.value, &name);
                }
                Discovered::Regular { name, path, role: Some(dir.role), install }
            }
            Err(why) => Discovered::Unknown(why),
        }
    }

    /// The state of a unit file as it lies in the image, before anything that the first boot changes.
    pub(super) fn state_on_disk(&self, asked: &str) -> Result<State, Unreadable> {
        let (name, path, role, install) = match self.discover(asked) {
            Discovered::Missing => return Ok(State::of(Enablement::NotFound, None)),
            Discovered::Bad(path, why) => return Ok(State::of(Enablement::Bad, Some(path)).because(why)),
            Discovered::Unknown(why) => return Err(why),
            Discovered::Masked(path, runtime) => {
                let kind = if runtime { Enablement::MaskedRuntime } else { Enablement::Masked };
                return Ok(State::of(kind, Some(path)));
            }
            Discovered::Regular { name, path, role, install } => (name, path, role, install),
        };
        let file_name = String::from_utf8_lossy(path.file_name()).into_owned();
        let known_as = if self.sysv.contains_key(asked) { asked } else { file_name.as_str() };
        if asked != known_as && name::form(&name) != Some(Form::Instance) {
            return Ok(State::of(Enablement::Alias, Some(path)).because(format!("another name of {known_as}")));
        }
        match role {
            Some(Role::Generated) => return Ok(State::of(Enablement::Generated, Some(path))),
            Some(Role::Transient) => return Ok(State::of(Enablement::Transient, Some(path))),
            _ => {}
        }
        let mut known: BTreeSet<String> = install.alias.iter().cloned().collect();
        known.insert(name.clone());
        if let (Some(default), Some(Form::Template)) = (&install.default_instance, name::form(&name)) {
            known.insert(name::with_instance(&name, default));
        }
        if let Some(state) = self.linked_in(&name, &path, Some(&known)) {
            return Ok(state);
        }
        if let Some(state) = self.linked_in(&name, &path, None) {
            return Ok(State { kind: Enablement::Indirect, ..state });
        }
        let kind = match () {
            () if install.has_rules() => Enablement::Disabled,
            () if !install.also.is_empty() => Enablement::Indirect,
            () => Enablement::Static,
        };
        Ok(State::of(kind, Some(path)))
    }

    /// The state that links to a unit give it: all links, or those under names that `enable` would make.
    fn linked_in(&self, name: &str, file: &ImagePath, known: Option<&BTreeSet<String>>) -> Option<State> {
        let mut below = false;
        let (mut runtime, mut vendor, mut linked, mut linked_runtime) = (None, None, None, None);
        for dir in &self.tree.dirs {
            let mut same_name = None;
            if let Some(link) = link_in_dir(dir, name, known, below, &mut same_name) {
                match dir.role {
                    Role::Config => return Some(State::of(Enablement::Enabled, Some(link))),
                    _ if dir.is_runtime() => runtime = runtime.or(Some(link)),
                    _ => vendor = vendor.or(Some(link)),
                }
            } else if same_name.is_some() && dir.role == Role::Config {
                linked = same_name;
            } else if same_name.is_some() && dir.is_runtime() {
                linked_runtime = same_name;
            }
            // Links of the same name below the unit's own file are hidden by it.
            below |= file.is_within(&dir.path);
        }
        let vendor = vendor.filter(|_| name::form(name) == Some(Form::Instance));
        let ways = [
            (Enablement::EnabledRuntime, runtime),
            (Enablement::Static, vendor),
            (Enablement::Linked, linked),
            (Enablement::LinkedRuntime, linked_runtime),
        ];
        ways.into_iter().find_map(|(kind, link)| link.map(|link| State::of(kind, Some(link))))
    }
}

/// A link in one directory that enables a unit; one of the unit's own name is told apart.
fn link_in_dir(
    dir: &Dir,
    name: &str,
    known: Option<&BTreeSet<String>>,
    below: bool,
    same_name: &mut Option<ImagePath>,
) -> Option<ImagePath> {
    let wanted = |link: &str| known.is_none_or(|known| known.contains(link));
    for (folder, parts) in &dir.folders {
        if name::kind(folder) == "d" || dir.linked_folders.contains(folder) {
            continue;
        }
        for (link, part) in parts {
            let fits = link == name || name::template(link).is_some_and(|template| template == name);
            if part.is_link && fits && wanted(link) {
                return Some(dir.path.join(folder).join(link));
            }
        }
    }
    for (link, entry) in &dir.entries {
        let target = match entry {
            Entry::Alias(target) => target.clone(),
            Entry::Linked(target) => String::from_utf8_lossy(target.file_name()).into_owned(),
            Entry::Refused(TO_ITSELF) => link.clone(),
            _ => continue,
        };
        let from = !below && link == name;
        let to = target == name;
        if from && to {
            *same_name = Some(dir.path.join(link));
        } else if (from || to) && wanted(link) {
            return Some(dir.path.join(link));
        }
    }
    None
}

/// The file of a name, for a link that is taken as it is.
fn target_path(units: &Units, name: &str) -> Option<ImagePath> {
    units.tree.first(name).map(|(dir, _)| dir.path.join(name))
}
