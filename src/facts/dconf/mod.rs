//! What dconf gives to the users of a desktop and to its login screen: profiles, key files, compiled databases, locks.
//!
//! Programs read the *compiled* databases alone. A key file counts once `dconf update` has run, so a setting that stands in a key file
//! and not in the database is not in force. One exception: Debian's GDM compiles its login screen's key files whenever it starts.

mod database;
mod profile;

use std::collections::{BTreeMap, BTreeSet};

use database::{KeyFiles, Place};

use super::{Fact, Facts, Unreadable};
use crate::image::{ReadError, Rootfs};
use crate::path::{ImagePath, printable};
use crate::syntax::gvdb;

/// Where administrators' databases lie: `NAME` compiled from `NAME.d`.
const DATABASES: &str = "/etc/dconf/db";
/// The database of Debian's login screen, the key files that it is compiled from, and the script that does so when GDM starts.
const GREETER: (&str, &str, &str) =
    ("/var/lib/gdm3/greeter-dconf-defaults", "/usr/share/gdm/dconf", "/usr/share/gdm/generate-config");

/// The profiles and their databases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dconf {
    /// What a profile reads, by its name; nothing where no such profile exists.
    profiles: BTreeMap<&'static str, Option<Fact<Profile>>>,
    /// The databases of administrators.
    databases: BTreeMap<String, Source>,
    /// A variable that names another profile for users' programs.
    elsewhere: Fact<Option<Place>>,
}

/// A profile: its databases in order.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Profile {
    path: ImagePath,
    /// Whether the first of its databases is one that the user writes.
    writable: bool,
    /// The others.
    sources: Vec<Source>,
}

/// A database that nobody writes while it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Source {
    /// The compiled file.
    path: ImagePath,
    compiled: Fact<Option<gvdb::Database>>,
    /// What it is compiled from.
    files: Fact<KeyFiles>,
    /// Compiled anew at every start, so that the key files count.
    fresh: bool,
}

/// What a profile gives to a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    /// The value, if any database has one; text where it is a simple one, else its type.
    pub value: Option<String>,
    /// Whether the user cannot set another.
    pub locked: bool,
    /// Where the value, or else the lock, or else the profile stands.
    pub place: Place,
    /// What is only in a key file.
    pub note: Option<String>,
}

/// How a database differs from its key files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The place in a key file, or the database.
    pub place: Place,
    /// In words.
    pub what: String,
}

pub(super) fn gather(facts: &Facts<'_>) -> Fact<Dconf> {
    let root = facts.root();
    let profiles = ["user", "gdm"].into_iter().map(|name| (name, profile(root, name))).collect();
    Ok(Dconf { profiles, databases: databases(root)?, elsewhere: elsewhere(root) })
}

/// Where variables of every session are set.
const ENVIRONMENTS: [&str; 8] = [
    "/etc/environment",
    "/etc/security/pam_env.conf",
    "/etc/environment.d/*.conf",
    "/usr/lib/environment.d/*.conf",
    "/etc/profile",
    "/etc/profile.d/*.sh",
    "/etc/X11/Xsession.d/*",
    "/etc/systemd/user.conf",
];

/// `DCONF_PROFILE` names another profile, or a file of one (`dconf(7)`): what `user` says does not count then.
fn elsewhere(root: Rootfs<'_>) -> Fact<Option<Place>> {
    for pattern in ENVIRONMENTS {
        let files = root.glob(pattern).map_err(|error| Unreadable::at(&ImagePath::new(pattern), error.to_string()))?;
        for path in files {
            let content = match root.read(&path) {
                Ok(content) => content,
                Err(ReadError::Kind { .. }) => continue,
                Err(error) if error.is_absent() => continue,
                Err(error) => return Err(Unreadable::reading(&path, &error)),
            };
            let text = String::from_utf8_lossy(&content);
            let mut lines = (1_u32..).zip(text.lines());
            let found = lines.find(|(_, line)| !line.trim_start().starts_with('#') && line.contains("DCONF_PROFILE"));
            if let Some((line, _)) = found {
                return Ok(Some((path, Some(line))));
            }
        }
    }
    Ok(None)
}

/// Every database that has key files or is compiled.
fn databases(root: Rootfs<'_>) -> Fact<BTreeMap<String, Source>> {
    let folder = ImagePath::new(DATABASES);
    let names = match root.read_dir(&folder) {
        Ok(names) => names,
        Err(error) if error.is_absent() => return Ok(BTreeMap::new()),
        Err(error) => return Err(Unreadable::reading(&folder, &error)),
    };
    let names: BTreeSet<String> = names.iter().filter_map(|name| name.strip_suffix(b".d")).map(printable).collect();
    Ok(names.into_iter().map(|name| (name.clone(), Source::system(root, &name))).collect())
}

fn profile(root: Rootfs<'_>, name: &str) -> Option<Fact<Profile>> {
    // DCONF_PROFILE and XDG_DATA_DIRS could name others; these are what is built in (dconf(7)).
    for folder in ["/etc/dconf/profile", "/usr/local/share/dconf/profile", "/usr/share/dconf/profile"] {
        let path = ImagePath::new(folder).join(name);
        let content = match root.read(&path) {
            Ok(content) => content,
            Err(error) if error.is_absent() => continue,
            Err(error) => return Some(Err(Unreadable::reading(&path, &error))),
        };
        let mut found = Profile { path, writable: false, sources: Vec::new() };
        for (index, line) in profile::parse(&content).into_iter().enumerate() {
            match line {
                profile::Line::User => found.writable |= index == 0,
                profile::Line::System(name) => found.sources.push(Source::system(root, &name)),
                profile::Line::File(path) => found.sources.push(Source::file(root, &path)),
            }
        }
        return Some(Ok(found));
    }
    None
}

impl Source {
    fn system(root: Rootfs<'_>, name: &str) -> Self {
        let path = ImagePath::new(DATABASES).join(name);
        let files = database::key_files(root, &ImagePath::new(format!("{DATABASES}/{name}.d")));
        Self { compiled: compiled(root, &path), path, files, fresh: false }
    }

    fn file(root: Rootfs<'_>, path: &str) -> Self {
        let (greeter, folder, script) = GREETER;
        let fresh = path == greeter && root.exists(&ImagePath::new(script)).unwrap_or(false);
        let files = if fresh { database::key_files(root, &ImagePath::new(folder)) } else { Ok(KeyFiles::default()) };
        let path = ImagePath::new(path);
        Self { compiled: compiled(root, &path), path, files, fresh }
    }

    /// The value of a key and where it comes from.
    fn value(&self, key: &str) -> Fact<Option<(String, Place)>> {
        if self.fresh {
            let files = self.files.as_ref().map_err(Clone::clone)?;
            return Ok(files.settings.get(key).map(|setting| (setting.shown(), setting.place.clone())));
        }
        let Some(database) = self.compiled.as_ref().map_err(Clone::clone)? else { return Ok(None) };
        let Some(value) = database.values.get(key) else { return Ok(None) };
        let shown = value.text.clone().unwrap_or_else(|| format!("a value of type {}", value.kind));
        // The key file says where to change it, if it says the same.
        let file = self.files.as_ref().ok().and_then(|files| files.settings.get(key)).filter(|setting| setting.means(value));
        let place = file.map_or_else(|| (self.path.clone(), None), |setting| setting.place.clone());
        Ok(Some((shown, place)))
    }

    fn locks(&self, key: &str) -> Fact<bool> {
        if self.fresh {
            return Ok(self.files.as_ref().map_err(Clone::clone)?.locks.contains_key(key));
        }
        Ok(self.compiled.as_ref().map_err(Clone::clone)?.as_ref().is_some_and(|database| database.locks.contains(key)))
    }

    /// A key file that has a setting or a lock of this key which is not compiled.
    fn only_in_files(&self, key: &str) -> Option<Place> {
        let files = self.files.as_ref().ok()?;
        let database = self.compiled.as_ref().ok()?.as_ref();
        if self.fresh {
            return None;
        }
        let setting = files.settings.get(key);
        let setting = setting
            .filter(|setting| !database.and_then(|database| database.values.get(key)).is_some_and(|value| setting.means(value)));
        let lock = files.locks.get(key).filter(|_| !database.is_some_and(|database| database.locks.contains(key)));
        setting.map(|setting| &setting.place).or(lock).cloned()
    }

    /// How the compiled file differs from what it would be compiled to.
    fn differences(&self) -> Fact<Vec<Difference>> {
        let files = self.files.as_ref().map_err(Clone::clone)?;
        let database = self.compiled.as_ref().map_err(Clone::clone)?;
        let mut found = Vec::new();
        let Some(database) = database else {
            let place = files.settings.values().map(|setting| &setting.place).chain(files.locks.values()).next();
            found.extend(place.map(|place| Difference { place: place.clone(), what: format!("{} does not exist", self.path) }));
            return Ok(found);
        };
        for (key, setting) in &files.settings {
            match database.values.get(key) {
                Some(value) if setting.means(value) => {}
                Some(value) => {
                    let compiled = value.text.as_ref().unwrap_or(&value.kind);
                    let what = format!("{key} is {} here and {compiled} in {}", setting.shown(), self.path);
                    found.push(Difference { place: setting.place.clone(), what });
                }
                None => {
                    found.push(Difference { place: setting.place.clone(), what: format!("{key} is not in {}", self.path) });
                }
            }
        }
        for (key, place) in files.locks.iter().filter(|(key, _)| !database.locks.contains(*key)) {
            found.push(Difference { place: place.clone(), what: format!("the lock of {key} is not in {}", self.path) });
        }
        let gone = database.values.keys().filter(|key| !files.settings.contains_key(*key));
        let gone = gone.chain(database.locks.iter().filter(|key| !files.locks.contains_key(*key)));
        found.extend(gone.map(|key| Difference { place: (self.path.clone(), None), what: format!("{key} is in no key file") }));
        Ok(found)
    }
}

fn compiled(root: Rootfs<'_>, path: &ImagePath) -> Fact<Option<gvdb::Database>> {
    match root.read(path) {
        Ok(content) => gvdb::parse(&content).map(Some).map_err(|error| Unreadable::at(path, error.to_string())),
        Err(error) if error.is_absent() => Ok(None),
        Err(error) => Err(Unreadable::reading(path, &error)),
    }
}

impl Dconf {
    /// What a profile gives to a key: of the databases from the lowest that locks it on, the first that has a value (`dconf_engine_read`).
    ///
    /// # Errors
    /// A profile, database or key file that could not be read.
    pub fn in_force(&self, profile: &str, key: &str) -> Fact<InForce> {
        let elsewhere = self.elsewhere.as_ref().map_err(Clone::clone)?.as_ref();
        if let (Some((path, line)), "user") = (elsewhere, profile) {
            let reason = "DCONF_PROFILE gives users another profile, which is not read".to_owned();
            return Err(Unreadable { path: Some(path.clone()), line: *line, reason });
        }
        let place = (ImagePath::new("/etc/dconf/profile").join(profile), None);
        let Some(Some(profile)) = self.profiles.get(profile) else {
            let note = Some("there is no such profile, so no database of an administrator is read".to_owned());
            return Ok(InForce { value: None, locked: false, place, note });
        };
        let profile = profile.as_ref().map_err(Clone::clone)?;
        let mut lock = None;
        for (index, source) in profile.sources.iter().enumerate() {
            // A lock in the first line of a profile would have nothing to lock.
            if source.locks(key)? && (profile.writable || index > 0) {
                lock = Some(index);
            }
        }
        let mut value = None;
        for source in profile.sources.iter().skip(lock.unwrap_or(0)) {
            value = source.value(key)?;
            if value.is_some() {
                break;
            }
        }
        let pending = profile.sources.iter().find_map(|source| source.only_in_files(key));
        let note = pending.as_ref().map(|_| "this is only in the key file: dconf update has not compiled it".to_owned());
        let locked_in = || lock.and_then(|index| profile.sources.get(index)).map(|source| (source.path.clone(), None));
        let (value, place) = match value {
            Some((value, place)) => (Some(value), place),
            None => (None, pending.or_else(locked_in).unwrap_or((profile.path.clone(), None))),
        };
        Ok(InForce { value, locked: lock.is_some() || !profile.writable, place, note })
    }

    /// Every database of an administrator with how it differs from its key files.
    #[must_use]
    pub fn databases(&self) -> Vec<(&ImagePath, Fact<Vec<Difference>>)> {
        self.databases.values().map(|source| (&source.path, source.differences())).collect()
    }
}

#[cfg(test)]
mod tests;
