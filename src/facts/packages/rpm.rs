//! rpm's database, in the place and format that the image's rpm uses.

use super::{Family, Found, Package, Packages, State, Unreadable};
use crate::image::{ReadError, Rootfs};
use crate::path::{ImagePath, printable};
use crate::syntax::rpm_header::{File, Header};
use crate::syntax::rpmdb::{self, Format};

/// Where distributions keep it; the second is often a link to the first, the third is of images under rpm-ostree.
const DIRECTORIES: [&str; 3] = ["/usr/lib/sysimage/rpm", "/var/lib/rpm", "/usr/share/rpm"];

/// Where the administrator and packages set macros; the value of this one is the directory of the database (`rpm(8)`, "MACRO FILES").
const MACROS: [&str; 3] = ["/usr/lib/rpm/macros.d/macros.*", "/etc/rpm/macros.*", "/etc/rpm/macros"];
const DBPATH: &[u8] = b"%_dbpath";

/// A trusted key, which rpm stores as if it were a package.
pub(super) const KEY: &str = "gpg-pubkey";

/// Most packages one database may hold: more than any distribution offers.
const MAX_PACKAGES: usize = 250_000;

/// Reads the database.
pub(super) fn read(root: Rootfs<'_>) -> Found {
    match locate(root) {
        Err(why) => Found::Damaged(why),
        Ok(Place::Nowhere) => Found::Nothing,
        Ok(Place::Empty(directory)) => Found::Hollow(Unreadable::at(&directory, "there is no package database in it")),
        Ok(Place::Database(format, path)) => {
            moved(root).and_then(|()| packages(root, format, &path)).map_or_else(Found::Damaged, Found::list)
        }
    }
}

/// A macro may keep the database elsewhere; then what lies in the usual places is an old one. Macros are not expanded here.
fn moved(root: Rootfs<'_>) -> Result<(), Unreadable> {
    for pattern in MACROS {
        let paths = root.glob(pattern).map_err(|error| Unreadable::reading(&ImagePath::new(pattern), &error))?;
        for path in paths {
            let content = match root.read(&path) {
                Ok(content) => content,
                Err(error) if error.is_absent() => continue,
                Err(ReadError::Kind { .. }) => continue,
                Err(error) => return Err(Unreadable::reading(&path, &error)),
            };
            for (line, text) in (1..).zip(content.split(|&byte| byte == b'\n')) {
                let Some(value) =
                    text.trim_ascii().strip_prefix(DBPATH).filter(|value| value.starts_with(b" ") || value.starts_with(b"\t"))
                else {
                    continue;
                };
                let value = value.trim_ascii().trim_ascii_end();
                let value = value.strip_prefix(b"%{_var}/").map_or(value.to_vec(), |rest| [b"/var/", rest].concat());
                if !DIRECTORIES.iter().any(|directory| directory.as_bytes() == value) {
                    let reason = format!("rpm keeps its database in {}, which is not read", printable(&value));
                    return Err(Unreadable::at_line(&path, line, reason));
                }
            }
        }
    }
    Ok(())
}

enum Place {
    Nowhere,
    Empty(ImagePath),
    Database(Format, ImagePath),
}

/// Finds the one database. Two different ones in two places leave open which is in use.
fn locate(root: Rootfs<'_>) -> Result<Place, Unreadable> {
    let mut place = Place::Nowhere;
    let mut seen: Vec<(ImagePath, ImagePath)> = Vec::new();
    for directory in DIRECTORIES.map(ImagePath::new) {
        let real = match root.resolve(&directory) {
            Ok(found) => found.path,
            Err(error) if error.is_absent() => continue,
            Err(error) => return Err(Unreadable::reading(&directory, &error)),
        };
        if matches!(place, Place::Nowhere) {
            place = Place::Empty(directory.clone());
        }
        for format in Format::ALL {
            let path = directory.join(format.file_name());
            match root.resolve(&path) {
                Err(error) if error.is_absent() => continue,
                Err(error) => return Err(Unreadable::reading(&path, &error)),
                Ok(_) if seen.iter().any(|(known, _)| *known == real) => {}
                Ok(_) => {
                    if let Some((_, other)) = seen.first() {
                        let reason = format!("there is another database of rpm at {other}, and no telling which one counts");
                        return Err(Unreadable::at(&path, reason));
                    }
                    place = Place::Database(format, path.clone());
                    seen.push((real.clone(), path));
                }
            }
            // rpm, too, takes the first of the formats that it finds.
            break;
        }
    }
    Ok(place)
}

fn packages(root: Rootfs<'_>, format: Format, database: &ImagePath) -> Result<Packages, Unreadable> {
    let mut packages = Packages::new(Family::Rpm, database.clone());
    headers(root, format, database, &mut |header| {
        let package = header.package().map_err(|error| error.to_string())?;
        if packages.installed.len() == MAX_PACKAGES {
            return Err(format!("it is beyond the limit of {MAX_PACKAGES} packages"));
        }
        if package.name == KEY {
            packages.keys.push(format!("{}-{}", package.version, package.release));
        } else {
            let epoch = package.epoch.map(|epoch| format!("{epoch}:")).unwrap_or_default();
            packages.installed.push(Package {
                name: package.name.to_owned(),
                version: format!("{epoch}{}-{}", package.version, package.release),
                architecture: package.arch.unwrap_or_default().to_owned(),
                state: State::Installed,
                installed_at: package.install_time.map(i64::from),
                file: None,
                line: None,
            });
        }
        Ok(())
    })?;
    Ok(packages)
}

/// Gives every path that a package owns to `visit`, with the package's name. Files that were left out of an installation do not count,
/// those that a package owns without bringing them do, as for `rpm -qf`.
pub(super) fn files(root: Rootfs<'_>, visit: &mut dyn FnMut(&str, &[u8])) -> Result<(), Unreadable> {
    let Place::Database(format, database) = locate(root)? else {
        return Err(Unreadable::because("there is no database of rpm"));
    };
    let mut path = Vec::new();
    headers(root, format, &database, &mut |header| {
        let package = header.package().map_err(|error| error.to_string())?;
        let each = |file: File<'_>| {
            if file.installed {
                path.clear();
                path.extend_from_slice(file.directory);
                path.extend_from_slice(file.name);
                visit(package.name, &path);
            }
        };
        header.files(each).map_err(|error| error.to_string())
    })
}

/// Gives every header of the database to `visit`.
fn headers(
    root: Rootfs<'_>,
    format: Format,
    database: &ImagePath,
    visit: &mut dyn FnMut(Header<'_>) -> Result<(), String>,
) -> Result<(), Unreadable> {
    let read =
        |path: &ImagePath| root.read_database(path).map_err(|error| (error.is_absent(), Unreadable::reading(path, &error)));
    let beside = |suffix: &str| {
        let path = ImagePath::new([database.as_bytes(), suffix.as_bytes()].concat());
        match read(&path) {
            Ok(content) => Ok(Some(content)),
            Err((true, _)) => Ok(None),
            Err((false, why)) => Err(why),
        }
    };
    let file = read(database).map_err(|(_, why)| why)?;
    let mut log = None;
    if format == Format::Sqlite {
        log = beside("-wal")?;
        if beside("-journal")?.is_some_and(|journal| rpmdb::sqlite::is_hot_journal(&journal)) {
            let reason =
                "a transaction was cut short and waits to be rolled back; run rpm once on the instance before taking the image";
            return Err(Unreadable::at(database, reason));
        }
    }
    let mut flawed = None;
    let outcome = rpmdb::read(format, &file, log.as_deref(), &mut |number, blob| {
        // After the first flaw the rest is only read to the end, not kept.
        if flawed.is_none()
            && let Err(error) = Header::parse(blob).map_err(|error| error.to_string()).and_then(&mut *visit)
        {
            flawed = Some(Unreadable::at(database, format!("package {number}: {error}")));
        }
    });
    outcome.map_err(|error| Unreadable::at(database, error.to_string()))?;
    flawed.map_or(Ok(()), Err)
}
