//! The installed packages, whatever family the image belongs to.

use super::{Fact, Facts, Unreadable};
use crate::path::ImagePath;

/// A family of package managers: they differ in how versions are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// dpkg: Debian, Ubuntu.
    Dpkg,
    /// rpm: Amazon Linux, Red Hat and kin, SUSE.
    Rpm,
    /// apk: Alpine.
    Apk,
}

/// One installed package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version, with epoch and release, as its family writes it.
    pub version: String,
    /// Its architecture, as its family writes it.
    pub architecture: String,
    /// The line in the database that says so, where it is text.
    pub line: Option<u32>,
}

/// The installed packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packages {
    /// The family.
    pub family: Family,
    /// The database.
    pub database: ImagePath,
    /// What is installed, sorted by name.
    pub installed: Vec<Package>,
}

impl Packages {
    /// The installed packages of this name (several architectures, or versions of a kernel).
    pub fn named(&self, name: &str) -> impl Iterator<Item = &Package> {
        self.installed.iter().filter(move |package| package.name == name)
    }

    /// A list in words, `name version` or `name version architecture`, for a system of this `ID`: the packages of an example.
    ///
    /// # Errors
    /// A word that is no package.
    pub fn listed(os: &str, list: &[String]) -> Result<Self, String> {
        let (family, database) = match os {
            "alpine" => (Family::Apk, "/lib/apk/db/installed"),
            "debian" | "ubuntu" => (Family::Dpkg, "/var/lib/dpkg/status"),
            _ => (Family::Rpm, "/var/lib/rpm/rpmdb.sqlite"),
        };
        let package = |words: &String| match words.split(' ').collect::<Vec<_>>()[..] {
            [name, version] => {
                Ok(Package { name: name.into(), version: version.into(), architecture: String::new(), line: None })
            }
            [name, version, architecture] => {
                Ok(Package { name: name.into(), version: version.into(), architecture: architecture.into(), line: None })
            }
            _ => Err(format!("'{words}' is no package: write its name and its version")),
        };
        let mut installed = list.iter().map(package).collect::<Result<Vec<_>, _>>()?;
        installed.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(Self { family, database: ImagePath::new(database), installed })
    }
}

/// Takes the list of an example.
pub(super) fn gather(facts: &Facts<'_>) -> Fact<Packages> {
    match &facts.target().packages {
        Some(given) => Ok(given.clone()),
        None => Err(Unreadable::because("there is no package database")),
    }
}
