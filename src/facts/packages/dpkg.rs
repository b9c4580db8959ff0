//! dpkg's database below `/var/lib/dpkg`: `status`, `updates` of an interrupted run, `status.d` of images made without dpkg.

use rayon::prelude::*;

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
    let mut packages = Packages::new(Family::Dpkg, status.clone());
    if let Some(content) = content(root, &status)? {
        add(&mut packages, &content, None, syntax::parse_status).map_err(|error| unreadable(&status, &error))?;
    }
    // What an interrupted dpkg had not yet written into `status`, in the order it happened (`dpkg --audit`, lib/dpkg/dbmodify.c).
    for (file, content) in directory_of(root, &directory.join("updates"), |name| name.iter().all(u8::is_ascii_digit))? {
        add(&mut packages, &content, Some(&file), syntax::parse_status).map_err(|error| unreadable(&file, &error))?;
    }
    for (file, content) in directory_of(root, &directory.join("status.d"), |name| !name.ends_with(b".md5sums"))? {
        add(&mut packages, &content, Some(&file), syntax::parse_status_d).map_err(|error| unreadable(&file, &error))?;
    }
    (packages.installed.par_iter_mut()).for_each(|package| package.installed_at = list_of(root, package).map(|(_, mtime)| mtime));
    Ok(packages)
}

/// A file that need not exist.
fn content(root: Rootfs<'_>, path: &ImagePath) -> Result<Option<Vec<u8>>, Unreadable> {
    match root.read_database(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.is_absent() => Ok(None),
        Err(error) => Err(Unreadable::reading(path, &error)),
    }
}

/// The wanted files of a directory that need not exist, in the order of their names.
fn directory_of(
    root: Rootfs<'_>,
    path: &ImagePath,
    wanted: impl Fn(&[u8]) -> bool,
) -> Result<Vec<(ImagePath, Vec<u8>)>, Unreadable> {
    let names = match root.read_dir(path) {
        Ok(names) => names,
        Err(error) if error.is_absent() => return Ok(Vec::new()),
        Err(error) => return Err(Unreadable::reading(path, &error)),
    };
    let mut files = Vec::new();
    for file in names.iter().filter(|name| wanted(name)).map(|name| path.join(name)) {
        match root.read(&file) {
            Ok(content) => files.push((file, content)),
            Err(ReadError::Kind { found: FileKind::Directory, .. }) => {}
            Err(error) => return Err(Unreadable::reading(&file, &error)),
        }
    }
    Ok(files)
}

type Parser = for<'a> fn(&'a [u8]) -> Result<Vec<syntax::Package<'a>>, DpkgError>;

/// Adds the packages of one file; a later file's word on a package replaces an earlier one's.
fn add(packages: &mut Packages, content: &[u8], file: Option<&ImagePath>, parse: Parser) -> Result<(), DpkgError> {
    for stanza in parse(content)? {
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
            name: stanza.name.to_owned(),
            version: stanza.version.unwrap_or_default().to_owned(),
            architecture: stanza.architecture.unwrap_or_default().to_owned(),
            state: state.unwrap_or(State::Installed),
            installed_at: None,
            file: file.cloned(),
            line: Some(stanza.line),
        };
        if file.is_some() {
            let other = |known: &Package| (&known.name, &known.architecture) != (&package.name, &package.architecture);
            packages.installed.retain(other);
            packages.removed.retain(other);
        }
        let left = stanza.status.is_some_and(|status| status.state == syntax::State::ConfigFiles);
        match state {
            Some(_) => packages.installed.push(package),
            None if left => packages.removed.push(package),
            None => {}
        }
    }
    Ok(())
}

/// The list of a package's files and its age. Packages that may be installed for several architectures have theirs in its name
/// (`info/format` 1); which ones do is not in the list of installed packages, so that both names are tried.
pub(super) fn list_of(root: Rootfs<'_>, package: &Package) -> Option<(ImagePath, i64)> {
    let info = ImagePath::new("/var/lib/dpkg/info");
    let plain = info.join(format!("{}.list", package.name));
    let qualified = info.join(format!("{}:{}.list", package.name, package.architecture));
    [plain, qualified].into_iter().find_map(|path| root.resolve(&path).ok().map(|found| (path, found.metadata.mtime)))
}

fn unreadable(path: &ImagePath, error: &DpkgError) -> Unreadable {
    Unreadable::at_line(path, error.line, error.trouble.to_string())
}
