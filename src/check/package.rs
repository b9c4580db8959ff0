//! Packages: there or not, and how new.

use std::cmp::Ordering;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Kind;
use crate::facts::packages::{self, Packages, State};
use crate::facts::{FactId, Facts, Needs, Unreadable};
use crate::finding::{Evidence, Outcome};

/// A package, or each of several, or one of several, is installed or is not.
///
/// Names are those of the image's own package manager; list what different distributions call the same thing side by side. A name may
/// say its architecture (`libc6:i386`).
///
/// What dpkg only half installed is not installed where that is asked for, and not gone where *that* is asked for. Configuration that
/// a removed package left behind does not count as the package.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Package {
    /// The one package this is about.
    pub name: Option<String>,
    /// Each of these is as it should be: with `installed = false`, none of them is there.
    pub all_of: Option<Vec<String>>,
    /// At least one of these is as it should be.
    pub any_of: Option<Vec<String>>,
    /// Whether it has to be installed (`true`, the default) or must not be (`false`).
    #[serde(default = "yes")]
    pub installed: bool,
    /// Every installed version of it is at least this, in the order of the image's package manager.
    pub at_least: Option<String>,
    /// Every installed version of it is at most this, in the order of the image's package manager.
    pub at_most: Option<String>,
}

fn yes() -> bool {
    true
}

impl Kind for Package {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Packages);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let packages = facts.packages()?;
        let judge = |name: &String| self.judge(name, packages);
        Ok(match (&self.any_of, &self.all_of, &self.name) {
            (Some(names), _, _) => Outcome::any(names.iter().map(judge)),
            (_, Some(names), _) => Outcome::all(names.iter().map(judge)),
            (_, _, Some(name)) => self.judge(name, packages),
            (None, None, None) => Outcome::unknown("no package is named", Vec::new()),
        })
    }

    fn flaw(&self) -> Option<String> {
        let lists = [&self.all_of, &self.any_of];
        let ways = usize::from(self.name.is_some()) + lists.iter().filter(|list| list.is_some()).count();
        let mut names = self.name.iter().chain(lists.into_iter().flatten().flatten());
        let version = self.at_least.is_some() || self.at_most.is_some();
        if ways != 1 || names.clone().next().is_none() {
            Some("it names its packages in one of three ways: name, all-of, any-of".into())
        } else if names.any(|name| name.is_empty() || name.contains(char::is_whitespace)) {
            Some("a name of a package has no blanks".into())
        } else if version && !self.installed {
            Some("a package that must not be installed has no version".into())
        } else {
            None
        }
    }
}

impl Package {
    fn judge(&self, name: &str, packages: &Packages) -> Outcome {
        let present: Vec<&packages::Package> = packages.named(name).collect();
        if present.is_empty() {
            let mut evidence =
                Evidence::at(&packages.database).found(format!("{name} is not installed")).expected(self.expected(name));
            if let Some(left) = packages.leftovers(name).next() {
                evidence = evidence.line_opt(left.line).because("only the configuration of a removed package is left");
            }
            return Outcome::decide(!self.installed, vec![evidence]);
        }
        Outcome::all(present.into_iter().map(|package| self.judge_present(name, package, packages)))
    }

    fn judge_present(&self, name: &str, package: &packages::Package, packages: &Packages) -> Outcome {
        let state = match package.state {
            State::Installed => "installed",
            State::Partly(word) => word,
        };
        let place = Evidence::at(package.file.as_ref().unwrap_or(&packages.database)).line_opt(package.line);
        let evidence = place.found(format!("{name} {} is {state}", package.version)).expected(self.expected(name));
        if !self.installed || package.state != State::Installed {
            return Outcome::fail(vec![evidence]);
        }
        for (limit, refused) in [(&self.at_least, Ordering::Less), (&self.at_most, Ordering::Greater)] {
            let Some(limit) = limit else { continue };
            match packages.family.compare(&package.version, limit) {
                Ok(order) if order == refused => return Outcome::fail(vec![evidence]),
                Ok(_) => {}
                Err(why) => return Outcome::unknown(why.escape_debug().to_string(), vec![evidence]),
            }
        }
        Outcome::pass(vec![evidence])
    }

    fn expected(&self, name: &str) -> String {
        let range = match (&self.at_least, &self.at_most) {
            (Some(least), Some(most)) => format!(" at {least} to {most}"),
            (Some(least), None) => format!(" at {least} or newer"),
            (None, Some(most)) => format!(" at {most} or older"),
            (None, None) => String::new(),
        };
        if self.installed { format!("{name}{range} installed") } else { format!("{name} not installed") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Target;
    use crate::finding::Status;
    use crate::image::{MemoryImage, Rootfs};

    fn check(toml: &str) -> Package {
        toml::from_str(toml).unwrap()
    }

    fn judged(toml: &str, image: &MemoryImage) -> Outcome {
        let check = check(toml);
        assert_eq!(check.flaw(), None);
        let facts = Facts::gather(Target::image(Rootfs::new(image), jiff::civil::date(2026, 1, 1)), |facts, needs| {
            check.needs(facts, needs);
        });
        check.evaluate(&facts)
    }

    fn image() -> MemoryImage {
        let stanza = |name: &str, status: &str, architecture: &str, version: &str| {
            format!("Package: {name}\nStatus: {status}\nArchitecture: {architecture}\nVersion: {version}\n\n")
        };
        let status = stanza("a", "install ok installed", "amd64", "1.0~rc1-1")
            + &stanza("b", "install ok unpacked", "amd64", "2")
            + &stanza("c", "deinstall ok config-files", "amd64", "3")
            + &stanza("m", "install ok installed", "amd64", "5")
            + &stanza("m", "install ok installed", "i386", "4");
        MemoryImage::new().file("/var/lib/dpkg/status", status)
    }

    fn status(toml: &str) -> Status {
        judged(toml, &image()).status
    }

    #[test]
    fn there_or_not() {
        assert_eq!(status("name = 'a'"), Status::Pass);
        assert_eq!(status("name = 'x'"), Status::Fail);
        assert_eq!(status("name = 'a'\ninstalled = false"), Status::Fail);
        assert_eq!(status("name = 'x'\ninstalled = false"), Status::Pass);
    }

    #[test]
    fn half_installed_is_neither_installed_nor_gone() {
        assert_eq!(status("name = 'b'"), Status::Fail);
        assert_eq!(status("name = 'b'\ninstalled = false"), Status::Fail);
    }

    #[test]
    fn left_over_configuration_is_no_package_and_is_pointed_at() {
        let outcome = judged("name = 'c'\ninstalled = false", &image());
        assert_eq!((outcome.status, outcome.evidence[0].line), (Status::Pass, Some(11)));
        assert!(outcome.evidence[0].because.is_some());
        assert_eq!(status("name = 'c'"), Status::Fail);
    }

    #[test]
    fn lists() {
        assert_eq!(status("all-of = ['a', 'm']"), Status::Pass);
        assert_eq!(status("all-of = ['a', 'x']"), Status::Fail);
        assert_eq!(status("any-of = ['x', 'a']"), Status::Pass);
        assert_eq!(status("any-of = ['x', 'b']"), Status::Fail);
        assert_eq!(status("all-of = ['x', 'y']\ninstalled = false"), Status::Pass);
        assert_eq!(status("all-of = ['x', 'a']\ninstalled = false"), Status::Fail);
        assert_eq!(status("any-of = ['x', 'a']\ninstalled = false"), Status::Pass);
    }

    #[test]
    fn versions_in_the_familys_order_for_every_architecture() {
        assert_eq!(status("name = 'a'\nat-least = '1.0'"), Status::Fail);
        assert_eq!(status("name = 'a'\nat-most = '1.0'"), Status::Pass);
        assert_eq!(status("name = 'm'\nat-least = '4'\nat-most = '5'"), Status::Pass);
        assert_eq!(status("name = 'm'\nat-least = '5'"), Status::Fail);
        assert_eq!(status("name = 'm:amd64'\nat-least = '5'"), Status::Pass);
        assert_eq!(status("name = 'm'\nat-most = '4'"), Status::Fail);
        assert_eq!(status("name = 'x'\nat-least = '4'"), Status::Fail);
        assert_eq!(status("name = 'a'\nat-least = '1:'"), Status::Unknown);
    }

    #[test]
    fn the_evidence_is_the_stanza() {
        let evidence = judged("name = 'm'\ninstalled = false", &image()).evidence;
        let places: Vec<String> = evidence.iter().map(Evidence::place).collect();
        assert_eq!(places, ["/var/lib/dpkg/status:16", "/var/lib/dpkg/status:21"]);
        assert_eq!((&*evidence[0].found, &*evidence[0].expected), ("m 5 is installed", "m not installed"));
    }

    #[test]
    fn without_a_database_nothing_is_known() {
        assert_eq!(judged("name = 'x'\ninstalled = false", &MemoryImage::new()).status, Status::Unknown);
        let damaged = MemoryImage::new().file("/var/lib/rpm/Packages", "rubbish");
        let outcome = judged("name = 'x'\ninstalled = false", &damaged);
        assert_eq!((outcome.status, outcome.evidence[0].path.as_str()), (Status::Unknown, "/var/lib/rpm/Packages"));
    }

    #[test]
    fn mistakes_of_an_author() {
        for toml in [
            "",
            "name = 'a'\nany-of = ['b']",
            "all-of = []",
            "name = ''",
            "name = 'a b'",
            "name = 'a'\ninstalled = false\nat-least = '1'",
        ] {
            assert!(check(toml).flaw().is_some(), "{toml}");
        }
    }
}
