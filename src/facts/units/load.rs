//! Which file a name loads, and what the settings are once drop-ins are applied: systemd's `unit-file.c` and `load-dropin.c`.

use std::collections::{BTreeMap, BTreeSet};

use super::name::{self, Form};
use super::search::{Entry, Role};
use super::{Units, Via};
use crate::facts::Unreadable;
use crate::path::ImagePath;
use crate::syntax::systemd_unit::Setting;

/// Names followed from one to the next, `FOLLOW_MAX`.
const MAX_ALIASES: usize = 8;

/// What a name leads to: the first entry of that name along the search path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Id {
    /// Another name.
    Alias(String),
    /// A file.
    File(ImagePath),
    /// A mask.
    Mask(ImagePath),
    /// Not known.
    Unknown(Unreadable),
}

/// What systemd loads for a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing of that name.
    Missing,
    /// It is masked, by this.
    Masked(ImagePath),
    /// A unit, under its own name, and its file.
    Unit(String, ImagePath),
    /// It cannot be told, or systemd does not load it.
    Unknown(Unreadable),
}

/// A setting and the file it stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Placed<'u> {
    pub(super) path: &'u ImagePath,
    pub(super) setting: &'u Setting,
}

/// The map from names to what they lead to, over all directories.
pub(super) fn ids(units: &super::search::Tree) -> BTreeMap<String, Id> {
    let mut ids = BTreeMap::new();
    for dir in &units.dirs {
        for (name, entry) in &dir.entries {
            let path = || dir.path.join(name);
            let id = match entry {
                Entry::File | Entry::Linked(_) => Id::File(path()),
                Entry::Mask => Id::Mask(path()),
                Entry::Alias(target) => Id::Alias(target.clone()),
                Entry::Unknown(why) => Id::Unknown(why.clone()),
                Entry::Refused(_) => continue,
            };
            ids.entry(name.clone()).or_insert(id);
        }
    }
    ids
}

impl Units {
    /// What systemd loads under this name.
    pub(super) fn find(&self, name: &str) -> Found {
        let mut at = name.to_owned();
        for _ in 0..MAX_ALIASES {
            let template = || name::template(&at).and_then(|template| self.ids.get(&template));
            let Some(id) = self.ids.get(&at).or_else(template) else {
                return Found::Missing;
            };
            match id {
                Id::Alias(target) => {
                    // An instance of an alias of a template is an instance of that template.
                    at = match name::instance(&at) {
                        Some(instance) if name::form(target) == Some(Form::Template) && !instance.is_empty() => {
                            name::with_instance(target, instance)
                        }
                        _ => target.clone(),
                    };
                }
                Id::Mask(path) => return Found::Masked(path.clone()),
                Id::Unknown(why) => return Found::Unknown(why.clone()),
                Id::File(path) => {
                    if let Some(Err(why)) = self.tree.files.get(path) {
                        return Found::Unknown(why.clone());
                    }
                    return Found::Unit(at, path.clone());
                }
            }
        }
        // Names that lead to each other: systemd loads nothing for any of them.
        Found::Missing
    }

    /// Every name of a unit, its own among them.
    pub(super) fn names(&self, id: &str) -> BTreeSet<String> {
        let mut names = BTreeSet::from([id.to_owned()]);
        let template = name::template(id);
        for alias in self.aliases.get(id).into_iter().flatten() {
            names.insert(alias.clone());
        }
        if let (Some(template), Some(instance)) = (template.filter(|template| template != id), name::instance(id)) {
            let others = self.aliases.get(&template).into_iter().flatten();
            names.extend(others.map(|alias| name::with_instance(alias, instance)));
        }
        names
    }

    /// The folders of a unit with this suffix, in order of precedence.
    fn folders(&self, id: &str, suffix: &str) -> Vec<(ImagePath, &BTreeMap<String, super::search::Part>)> {
        let mut found: Vec<(ImagePath, _)> = Vec::new();
        let mut take = |dir: &'_ super::search::Dir, owner: &str| {
            let folder = format!("{owner}{suffix}");
            // The parts live in the tree: looked up again below, so that the borrow is the tree's.
            dir.folders.contains_key(&folder).then(|| found.push((dir.path.join(&folder), folder)));
        };
        for name in self.names(id) {
            let owners = name::with_prefixes(&name);
            for dir in &self.tree.dirs {
                owners.iter().for_each(|owner| take(dir, owner));
            }
        }
        for dir in &self.tree.dirs {
            take(dir, name::kind(id));
        }
        let mut seen = BTreeSet::new();
        (found.into_iter())
            .filter(|(path, _)| seen.insert(path.clone()))
            .filter_map(|(path, folder)| {
                let dir = self.tree.dirs.iter().find(|dir| path.parent().as_ref() == Some(&dir.path))?;
                Some((path, dir.folders.get(&folder)?))
            })
            .collect()
    }

    /// What is in the folders of a unit: of each file name the one that comes first; those that are masked left out.
    fn parts(&self, id: &str, suffix: &str) -> BTreeMap<String, (ImagePath, bool)> {
        let mut first: BTreeMap<String, (ImagePath, super::search::Part)> = BTreeMap::new();
        for (folder, parts) in self.folders(id, suffix) {
            for (name, part) in parts {
                first.entry(name.clone()).or_insert_with(|| (folder.join(name), *part));
            }
        }
        (first.into_iter())
            .filter(|(_, (_, part))| !part.is_mask)
            .map(|(name, (path, part))| (name, (path, part.is_link)))
            .collect()
    }

    /// The settings of a unit: its file, then its drop-ins by file name.
    pub(super) fn settings(&self, id: &str, file: &ImagePath) -> Result<Vec<Placed<'_>>, Unreadable> {
        self.settings_of(id, std::iter::once(file.clone()).chain(self.drop_ins(id)))
    }

    /// The settings of a unit's drop-ins alone, by file name: all that the files of an image say of a unit that a generator makes.
    pub(super) fn dropped_in(&self, id: &str) -> Result<Vec<Placed<'_>>, Unreadable> {
        self.settings_of(id, self.drop_ins(id))
    }

    fn drop_ins(&self, id: &str) -> impl Iterator<Item = ImagePath> + use<> {
        self.parts(id, ".d").into_values().map(|(path, _)| path)
    }

    fn settings_of(&self, id: &str, files: impl Iterator<Item = ImagePath>) -> Result<Vec<Placed<'_>>, Unreadable> {
        // What could not be read might replace anything.
        if !self.tree.unread.is_empty() {
            let owners = self.names(id).into_iter().flat_map(|name| name::with_prefixes(&name));
            let mut owners = owners.chain(std::iter::once(name::kind(id).to_owned()));
            if let Some(why) = owners.find_map(|owner| self.tree.unread.get(&owner)) {
                return Err(why.clone());
            }
        }
        let mut found = Vec::new();
        for path in files {
            // What dangles is passed over, as it is by systemd.
            let Some((path, file)) = self.tree.files.get_key_value(&path) else { continue };
            let file = file.as_ref().map_err(Clone::clone)?;
            found.extend(file.settings.iter().map(|setting| Placed { path, setting }));
        }
        Ok(found)
    }

    /// The units that a unit pulls in when it is started, and by what.
    pub(super) fn pulled_in(&self, id: &str, settings: &[Placed<'_>]) -> Vec<(String, Via)> {
        let mut found = Vec::new();
        for suffix in [".wants", ".requires", ".upholds"] {
            for (name, (path, is_link)) in self.parts(id, suffix) {
                let in_config = self.tree.dirs.iter().any(|dir| dir.role == Role::Config && path.is_within(&dir.path));
                if !is_link || name::form(&name).is_none() || (in_config && self.first_boot_disables(&name)) {
                    continue;
                }
                found.extend(propagated(&name, id).map(|name| (name, Via::Link(path))));
            }
        }
        for own in self.names(id) {
            let made = self.made.get(&own).into_iter().flatten();
            found.extend(made.map(|(unit, via)| (unit.clone(), via.clone())));
        }
        for placed in settings {
            let Setting { section, key, value, line } = placed.setting;
            let pulls = match (section.as_str(), key.as_str()) {
                ("Unit", "Wants" | "Requires" | "BindsTo" | "Upholds") => true,
                ("Service", "Sockets") => name::kind(id) == "service",
                _ => false,
            };
            // Dependencies cannot be taken back: `Wants=` alone does nothing (systemd.unit(5), example 2).
            for word in crate::syntax::systemd_unit::words(value).iter().filter(|_| pulls) {
                let Some(name) = name::expand(word, id).filter(|name| name::form(name).is_some()) else { continue };
                let via = Via::Setting { path: placed.path.clone(), line: *line, key: key.clone() };
                found.extend(propagated(&name, id).map(|name| (name, via)));
            }
        }
        found
    }
}

/// A template pulled in by an instance means the same instance of it; by anything else it means nothing.
fn propagated(name: &str, by: &str) -> Option<String> {
    match name::form(name)? {
        Form::Template => name::instance(by).filter(|instance| !instance.is_empty()).map(|own| name::with_instance(name, own)),
        _ => Some(name.to_owned()),
    }
}
