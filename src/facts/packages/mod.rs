//! The installed packages, whatever family the image belongs to.
//!
//! Each family has a file that reads its database; this one decides which of them owns the image. A database that is damaged, cut off
//! or without any package leaves the fact unknown: it is never an empty list.

mod apk;
mod dpkg;
mod owners;
mod rpm;

use std::cmp::Ordering;
use std::collections::BTreeMap;

pub use owners::Owners;
pub(super) use owners::gather as gather_owners;

use super::{Fact, Facts, Os, Unreadable};
use crate::image::Rootfs;
use crate::path::ImagePath;
use crate::syntax::version;

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

impl Family {
    /// The name of its package manager.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dpkg => "dpkg",
            Self::Rpm => "rpm",
            Self::Apk => "apk",
        }
    }

    /// The family of a system by its os-release, where that is beyond doubt. `ID_LIKE` speaks for derivatives.
    #[must_use]
    pub fn of(os: &Os) -> Option<Self> {
        let known = |id: &str| match id {
            "debian" | "ubuntu" => Some(Self::Dpkg),
            "amzn" | "fedora" | "rhel" | "centos" | "suse" | "sles" | "opensuse" | "photon" | "mariner" | "azurelinux" => {
                Some(Self::Rpm)
            }
            "alpine" | "wolfi" | "chainguard" => Some(Self::Apk),
            _ => None,
        };
        std::iter::once(&os.id).chain(&os.like).find_map(|id| known(id))
    }

    /// How an installed version stands to one that a rule names, in the family's own order. For rpm a release that the rule leaves out
    /// does not count, as in a dependency.
    ///
    /// # Errors
    /// Which of the two is no version in this family.
    pub fn compare(self, installed: &str, named: &str) -> Result<Ordering, String> {
        let bad = |text: &str, why: &str| format!("'{text}' is no version for {}: {why}", self.name());
        match self {
            Self::Dpkg => {
                let parse = |text| version::dpkg::Version::parse(text).map_err(|error| bad(text, &error.to_string()));
                Ok(parse(installed)?.compare(&parse(named)?))
            }
            Self::Rpm => {
                let parse = |text| version::rpm::Evr::parse(text).ok_or_else(|| bad(text, "the epoch is too large"));
                Ok(parse(installed)?.compare_to_requirement(&parse(named)?))
            }
            Self::Apk => match [installed, named].into_iter().find(|text| !version::apk::is_valid(text)) {
                Some(text) => Err(bad(text, "it is not made of numbers, suffixes and a revision")),
                None => Ok(version::apk::compare(installed, named)),
            },
        }
    }
}

/// How much of a package is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// All of it, configured.
    Installed,
    /// Some of it; the word is its package manager's (`half-installed`, `unpacked`).
    Partly(&'static str),
}

/// One package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version, with epoch and release, as its family writes it.
    pub version: String,
    /// Its architecture, as its family writes it; empty where it is not known.
    pub architecture: String,
    /// Whether all of it is there.
    pub state: State,
    /// When it was installed, in seconds since 1970. Only rpm keeps a record of it.
    pub installed_at: Option<i64>,
    /// The file that says so, where that is not the [database](Packages::database) itself.
    pub file: Option<ImagePath>,
    /// The line that says so, where it is text.
    pub line: Option<u32>,
}

/// The installed packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packages {
    /// The family.
    pub family: Family,
    /// The database.
    pub database: ImagePath,
    /// What is there, wholly or partly, sorted by name and architecture.
    pub installed: Vec<Package>,
    /// What was removed but for its configuration (dpkg's `config-files`), sorted likewise. Not installed.
    pub removed: Vec<Package>,
    /// Keys that the package manager keeps among the packages and trusts: what rpm calls version and release of `gpg-pubkey`. Sorted.
    pub keys: Vec<String>,
    /// Databases of other families that hold packages too: such as rpm's on a Debian with `rpm` in it.
    pub others: Vec<(Family, ImagePath)>,
}

impl Packages {
    fn new(family: Family, database: ImagePath) -> Self {
        Self { family, database, installed: Vec::new(), removed: Vec::new(), keys: Vec::new(), others: Vec::new() }
    }

    /// The architecture most packages have, leaving out those for any.
    #[must_use]
    pub fn architecture(&self) -> Option<&str> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for package in &self.installed {
            if !matches!(package.architecture.as_str(), "" | "all" | "noarch" | "(none)") {
                *counts.entry(&package.architecture).or_default() += 1;
            }
        }
        counts.into_iter().max_by_key(|&(_, count)| count).map(|(name, _)| name)
    }

    /// The packages of this name, or `name:architecture`: several where there are several architectures, or versions of a kernel.
    pub fn named(&self, name: &str) -> impl Iterator<Item = &Package> {
        Self::select(&self.installed, name)
    }

    /// Those of which only the configuration is left.
    pub fn leftovers(&self, name: &str) -> impl Iterator<Item = &Package> {
        Self::select(&self.removed, name)
    }

    fn select<'p>(sorted: &'p [Package], name: &str) -> impl Iterator<Item = &'p Package> {
        let (name, architecture) = name.split_once(':').map_or((name, None), |(name, architecture)| (name, Some(architecture)));
        let (name, architecture) = (name.to_owned(), architecture.map(str::to_owned));
        let first = sorted.partition_point(|package| package.name < name);
        let same = sorted.get(first..).unwrap_or_default().iter().take_while(move |package| package.name == name);
        same.filter(move |package| architecture.as_ref().is_none_or(|wanted| *wanted == package.architecture))
    }

    fn sort(&mut self) {
        let key = |package: &Package| (package.name.clone(), package.architecture.clone(), package.version.clone());
        self.installed.sort_by_cached_key(key);
        self.removed.sort_by_cached_key(key);
        self.keys.sort_unstable();
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
        let package = |name: &str, version: &str, architecture: &str| Package {
            name: name.into(),
            version: version.into(),
            architecture: architecture.into(),
            state: State::Installed,
            installed_at: None,
            file: None,
            line: None,
        };
        let parse = |words: &String| match words.split(' ').collect::<Vec<_>>()[..] {
            [name, version] => Ok(package(name, version, "")),
            [name, version, architecture] => Ok(package(name, version, architecture)),
            _ => Err(format!("'{words}' is no package: write its name and its version")),
        };
        let mut packages = Self::new(family, ImagePath::new(database));
        let all = list.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        let (keys, installed) = all.into_iter().partition(|package| package.name == rpm::KEY);
        packages.installed = installed;
        packages.keys = keys.into_iter().map(|key: Package| key.version).collect();
        packages.sort();
        Ok(packages)
    }
}

/// What there is of one family's database.
enum Found {
    /// No trace of it.
    Nothing,
    /// A place for it without a package in it. No evidence of damage where another family's database is in order: `rpm-common` leaves
    /// an empty `/var/lib/rpm` on a Debian.
    Hollow(Unreadable),
    /// A database that cannot be read.
    Damaged(Unreadable),
    /// Its packages, at least one.
    List(Packages),
}

impl Found {
    fn list(mut packages: Packages) -> Self {
        if packages.installed.is_empty() {
            return Self::Hollow(Unreadable::at(&packages.database, "the package database has no packages in it"));
        }
        packages.sort();
        Self::List(packages)
    }
}

/// Reads the databases of all families and decides which one owns the image.
pub(super) fn gather(facts: &Facts<'_>) -> Fact<Packages> {
    match &facts.target().packages {
        Some(given) => Ok(given.clone()),
        None => choose(read_all(facts.root()), facts.os().ok().and_then(Family::of)),
    }
}

fn read_all(root: Rootfs<'_>) -> [(Family, Found); 3] {
    [(Family::Dpkg, dpkg::read(root)), (Family::Rpm, rpm::read(root)), (Family::Apk, apk::read(root))]
}

/// The system's own family decides, if os-release names it. Otherwise the only database with packages in it does, as long as none is
/// damaged: the damaged one might be the image's.
fn choose(found: [(Family, Found); 3], system: Option<Family>) -> Fact<Packages> {
    let (mut lists, mut damaged, mut hollow) = (Vec::new(), Vec::new(), Vec::new());
    let mut nothing_of_its_own = false;
    for (family, found) in found {
        let own = system == Some(family);
        match found {
            Found::Damaged(why) | Found::Hollow(why) if own => return Err(why),
            Found::Damaged(why) => damaged.push(why),
            Found::Hollow(why) => hollow.push(why),
            Found::List(packages) => lists.push(packages),
            Found::Nothing => nothing_of_its_own |= own,
        }
    }
    if nothing_of_its_own {
        let name = system.map_or("", Family::name);
        return Err(Unreadable::because(format!("there is no package database of {name}, the system's package manager")));
    }
    let own = match system {
        Some(family) => lists.iter().position(|list| list.family == family),
        None => match (damaged.into_iter().next(), lists.len()) {
            (Some(why), _) => return Err(why),
            (None, 0) => None,
            (None, 1) => Some(0),
            (None, _) => {
                let places: Vec<String> = lists.iter().map(|list| list.database.to_string()).collect();
                let places = places.join(" and ");
                return Err(Unreadable::because(format!("os-release does not tell which package database counts: {places}")));
            }
        },
    };
    let nothing = || hollow.into_iter().next().unwrap_or_else(|| Unreadable::because("there is no package database"));
    let mut packages = own.map(|index| lists.remove(index)).ok_or_else(nothing)?;
    packages.others = lists.into_iter().map(|list| (list.family, list.database)).collect();
    Ok(packages)
}

#[cfg(test)]
mod tests;
