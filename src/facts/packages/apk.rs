//! apk's database, `lib/apk/db/installed`, or below `/usr` where that is merged (apk-tools 3).

use super::{Family, Found, Package, Packages, State, Unreadable};
use crate::image::Rootfs;
use crate::path::ImagePath;
use crate::syntax::apk as syntax;

const DIRECTORIES: [&str; 2] = ["/lib/apk/db", "/usr/lib/apk/db"];

/// Reads the database.
pub(super) fn read(root: Rootfs<'_>) -> Found {
    let mut hollow = None;
    for directory in DIRECTORIES.map(ImagePath::new) {
        let database = directory.join("installed");
        match root.read_list(&database) {
            Ok(content) => return packages(&database, &content).map_or_else(Found::Damaged, Found::list),
            Err(error) if !error.is_absent() => return Found::Damaged(Unreadable::reading(&database, &error)),
            Err(_) if root.exists(&directory) == Ok(false) => {}
            Err(error) => hollow = hollow.or_else(|| Some(Unreadable::reading(&database, &error))),
        }
    }
    hollow.map_or(Found::Nothing, Found::Hollow)
}

fn packages(database: &ImagePath, content: &[u8]) -> Result<Packages, Unreadable> {
    let mut packages = Packages::new(Family::Apk, database.clone());
    let found = syntax::parse_installed(content).map_err(|error| unreadable(database, error))?;
    packages.installed = (found.iter())
        .map(|package| Package {
            name: package.name.to_owned(),
            version: package.version.to_owned(),
            architecture: package.architecture.unwrap_or_default().to_owned(),
            state: if package.broken { State::Partly("broken") } else { State::Installed },
            installed_at: None,
            file: None,
            line: Some(package.line),
        })
        .collect();
    Ok(packages)
}

/// Gives every path that a package owns to `visit`, with the package's name.
pub(super) fn files(root: Rootfs<'_>, database: &ImagePath, visit: &mut dyn FnMut(&str, &[u8])) -> Result<(), Unreadable> {
    let content = root.read_list(database).map_err(|error| Unreadable::reading(database, &error))?;
    for package in syntax::parse_installed(&content).map_err(|error| unreadable(database, error))? {
        let mut path = Vec::new();
        let each = |entry: syntax::Entry<'_>| {
            path.clear();
            for part in std::iter::once(entry.directory).chain(entry.name).filter(|part| !part.is_empty()) {
                path.push(b'/');
                path.extend_from_slice(part);
            }
            visit(package.name, &path);
        };
        package.files(each).map_err(|error| unreadable(database, error))?;
    }
    Ok(())
}

fn unreadable(path: &ImagePath, error: syntax::ApkError) -> Unreadable {
    Unreadable::at_line(path, error.line, error.trouble.to_string())
}
