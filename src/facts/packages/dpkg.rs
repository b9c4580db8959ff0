//! dpkg's database below `/var/lib/dpkg`: `status`, `updates` of an interrupted run, `status.d` of images made without dpkg.

use std::collections::{BTreeMap, BTreeSet};

use super::{Family, Found, Package, Packages, State, Unreadable};
use crate::image::{FileKind, ReadError, Rootfs};
use crate::path::ImagePath;
use crate::syntax::dpkg::{self as syntax, DpkgError};

const DIRECTORY: &str = "/var/lib/dpkg";

/// Reads the database.
pub(super) fn read(root: Rootfs<'_>) -> Found {
    let directory = ImagePath::new(DIRECTORY);
    match root.exists(&directory) {
        Ok(true) => packages(root, &directory).map_or_else(Found::Damaged, Found::list),
        Ok(false) => Found::Nothing,
        Err(error) => Found::Damaged(Unreadable::reading(&directory, &error)),
    }
}

fn packages(root: Rootfs<'_>, directory: &ImagePath) -> Result<Packages, Unreadable> {
    let status = directory.join("status");
    let mut known = Known::default();
    if let Some(content) = content(root, &status)? {
        known.add(&content, None, syntax::parse_status).map_err(|error| unreadable(&status, &error))?;
    }
    // What an interrupted dpkg had not yet written into `status`, in the order it happened (lib/dpkg/dbmodify.c).
    let updates = directory.join("updates");
    known.add_directory(root, &updates, |name| name.iter().all(u8::is_ascii_digit), syntax::parse_status)?;
    let without_dpkg = directory.join("status.d");
    known.add_directory(root, &without_dpkg, |name| !name.ends_with(b".md5sums"), syntax::parse_status_d)?;

    known.lists_are_known(root, directory)?;

    let mut packages = Packages::new(Family::Dpkg, status);
    let (removed, installed) = known.packages.into_values().partition::<Vec<_>, _>(|(_, left_over)| *left_over);
    packages.installed = installed.into_iter().map(|(package, _)| package).collect();
    packages.removed = removed.into_iter().map(|(package, _)| package).collect();
    Ok(packages)
}

/// A file that need not exist.
fn content(root: Rootfs<'_>, path: &ImagePath) -> Result<Option<Vec<u8>>, Unreadable> {
    match root.read_list(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.is_absent() => Ok(None),
        Err(error) => Err(Unreadable::reading(path, &error)),
    }
}

type Parser = for<'a> fn(&'a [u8]) -> Result<Vec<syntax::Package<'a>>, DpkgError>;

/// Packages by name and architecture, each with whether only its configuration is left. A later file's word on a package replaces an
/// earlier one's.
#[derive(Default)]
struct Known {
    packages: BTreeMap<(String, String), (Package, bool)>,
    /// Every name with a stanza, whatever that says.
    names: BTreeSet<String>,
}

impl Known {
    /// Adds the wanted files of a directory that need not exist, in the order of their names.
    fn add_directory(
        &mut self,
        root: Rootfs<'_>,
        path: &ImagePath,
        wanted: impl Fn(&[u8]) -> bool,
        parse: Parser,
    ) -> Result<(), Unreadable> {
        let names = match root.read_dir(path) {
            Ok(names) => names,
            Err(error) if error.is_absent() => return Ok(()),
            Err(error) => return Err(Unreadable::reading(path, &error)),
        };
        let mut bytes = 0;
        for file in names.iter().filter(|name| wanted(name)).map(|name| path.join(name)) {
            let content = match root.read(&file) {
                Ok(content) => content,
                Err(ReadError::Kind { found: FileKind::Directory, .. }) => continue,
                Err(error) => return Err(Unreadable::reading(&file, &error)),
            };
            bytes += content.len() as u64;
            if bytes > root.limits().database {
                return Err(Unreadable::at(
                    path,
                    format!("all its files are larger than the limit of {} bytes", root.limits().database),
                ));
            }
            self.add(&content, Some(&file), parse).map_err(|error| unreadable(&file, &error))?;
        }
        Ok(())
    }

    /// dpkg takes the list of a package's files away before its stanza: a list without one shows that stanzas are missing, as where
    /// the file was cut off between two.
    fn lists_are_known(&self, root: Rootfs<'_>, directory: &ImagePath) -> Result<(), Unreadable> {
        let info = directory.join("info");
        let files = match root.read_dir(&info) {
            Ok(files) => files,
            Err(error) if error.is_absent() => return Ok(()),
            Err(error) => return Err(Unreadable::reading(&info, &error)),
        };
        let without = |file: &&Vec<u8>| {
            let stem = file.strip_suffix(b".list").filter(|stem| !stem.is_empty());
            let name = stem.and_then(|stem| stem.split(|&byte| byte == b':').next());
            name.is_some_and(|name| std::str::from_utf8(name).map_or(true, |name| !self.names.contains(name)))
        };
        let count = files.iter().filter(without).count();
        let Some(first) = files.iter().find(without) else { return Ok(()) };
        let more = if count > 1 { format!(", as {} more do", count - 1) } else { String::new() };
        let reason = format!("it lists the files of a package that {} does not know{more}", directory.join("status"));
        Err(Unreadable::at(&info.join(first), reason))
    }

    fn add(&mut self, content: &[u8], file: Option<&ImagePath>, parse: Parser) -> Result<(), DpkgError> {
        for stanza in parse(content)? {
            // `pkg_hash_find_set()` of dpkg's `pkg-hash.c`: to dpkg a name is the same in capitals.
            let name = stanza.name.to_ascii_lowercase();
            self.names.insert(name.clone());
            let state = match stanza.status {
                None => Some(State::Installed),
                Some(status) if status.reinstall_required => Some(State::Partly("in need of reinstallation")),
                Some(status) => match status.state {
                    syntax::State::NotInstalled | syntax::State::ConfigFiles => None,
                    syntax::State::Installed | syntax::State::TriggersPending | syntax::State::TriggersAwaited => {
                        Some(State::Installed)
                    }
                    partly => Some(State::Partly(partly.word())),
                },
            };
            let package = Package {
                name,
                version: stanza.version.unwrap_or_default().to_owned(),
                architecture: stanza.architecture.unwrap_or_default().to_owned(),
                state: state.unwrap_or(State::Installed),
                installed_at: None,
                file: file.cloned(),
                line: Some(stanza.line),
            };
            let key = (package.name.clone(), package.architecture.clone());
            let left_over = stanza.status.is_some_and(|status| status.state == syntax::State::ConfigFiles);
            if state.is_some() || left_over {
                self.packages.insert(key, (package, state.is_none()));
            } else {
                self.packages.remove(&key);
            }
            if self.packages.len() > syntax::MAX_PACKAGES {
                return Err(DpkgError { line: stanza.line, trouble: syntax::Trouble::TooMany });
            }
        }
        Ok(())
    }
}

fn unreadable(path: &ImagePath, error: &DpkgError) -> Unreadable {
    Unreadable::at_line(path, error.line, error.trouble.to_string())
}
