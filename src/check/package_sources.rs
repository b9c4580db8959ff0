//! Where packages come from, and how they are checked: DNF, APT, and the keys that rpm trusts.

use schemars::JsonSchema;
use serde::Deserialize;

use super::matcher::matched;
use super::{Kind, Observed, unknown};
use crate::facts::{FactId, Facts, Needs, Unreadable};
use crate::finding::{Evidence, Outcome};
use crate::path::ImagePath;
use crate::syntax::apt_sources::{Archive, is_true};

matched! {
    /// A setting of `dnf.conf(5)` in `[main]`, or what is built in. Booleans are `true` and `false`.
    pub struct Dnf {
        /// Its name, such as `gpgcheck`.
        pub option: String,
    }
}

matched! {
    /// A setting of every repository of DNF, switched on or off; of those that it takes over, that of `[main]`.
    pub struct DnfRepositories {
        /// Its name, such as `gpgcheck`.
        pub option: String,
    }
}

matched! {
    /// An option of `apt.conf(5)`, or what is built in. Booleans are `true` and `false`.
    pub struct Apt {
        /// Its full name, such as `APT::Install-Recommends`.
        pub option: String,
    }
}

/// The archives of APT.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AptSources {
    /// Whether each names the key that it is signed with.
    pub signed_by: Option<bool>,
    /// Whether each is used only if its signature is good: none is `trusted`, or allowed to be insecure or weak.
    pub verified: Option<bool>,
}

/// Keys that rpm trusts, by their short identity: eight digits, `fd431d51`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PackageKeys {
    /// Each of these is imported.
    pub all_of: Option<Vec<String>>,
    /// At least one of these is imported.
    pub any_of: Option<Vec<String>>,
}

impl Kind for Dnf {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Dnf);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let dnf = facts.dnf()?;
        let found = dnf.option(&self.option);
        let place = match found.as_ref().and_then(|found| found.place.as_ref()) {
            Some((path, line)) => Evidence::at(path).line(*line).because(&self.option),
            None => Evidence::at(&dnf.path).because(format!("nothing sets {}", self.option)),
        };
        Ok(self.matcher().judge(found.map(|found| Observed::new(found.value)).as_ref(), place))
    }

    fn flaw(&self) -> Option<String> {
        self.matcher().flaw()
    }
}

impl Kind for DnfRepositories {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Dnf);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let dnf = facts.dnf()?;
        let mut outcomes: Vec<Outcome> = dnf.broken.iter().map(unknown).collect();
        for repository in &dnf.repositories {
            let found = dnf.of_repository(repository, &self.option);
            let (path, line) = found.as_ref().and_then(|found| found.place.as_ref()).unwrap_or(&repository.place);
            let place = Evidence::at(path).line(*line).because(format!("[{}] {}", repository.id, self.option));
            outcomes.push(self.matcher().judge(found.as_ref().map(|found| Observed::new(&found.value)).as_ref(), place));
        }
        if outcomes.is_empty() {
            return Ok(Outcome::pass(vec![Evidence::at(&ImagePath::new("/etc/yum.repos.d")).found("no repositories")]));
        }
        Ok(Outcome::all(outcomes))
    }

    fn flaw(&self) -> Option<String> {
        self.matcher().flaw()
    }
}

impl Kind for Apt {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Apt);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let found = facts.apt().and_then(|apt| apt.option(&self.option))?;
        let place = match found.as_ref().and_then(|found| found.place.as_ref()) {
            Some((path, line)) => Evidence::at(path).line(*line).because(&self.option),
            None => Evidence::at(&ImagePath::new("/etc/apt/apt.conf.d")).because(format!("nothing sets {}", self.option)),
        };
        Ok(self.matcher().judge(found.map(|found| Observed::new(found.value)).as_ref(), place))
    }

    fn flaw(&self) -> Option<String> {
        self.matcher().flaw()
    }
}

impl Kind for AptSources {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Apt);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let apt = facts.apt()?;
        let mut outcomes: Vec<Outcome> = apt.broken.iter().map(unknown).collect();
        outcomes.extend(apt.archives.iter().map(|(path, archive)| self.judge(path, archive)));
        if outcomes.is_empty() {
            return Ok(Outcome::pass(vec![Evidence::at(&ImagePath::new("/etc/apt/sources.list")).found("no archives")]));
        }
        Ok(Outcome::all(outcomes))
    }

    fn flaw(&self) -> Option<String> {
        (self.signed_by.is_none() && self.verified.is_none()).then(|| "it asks nothing: signed-by, verified".into())
    }
}

impl AptSources {
    fn judge(&self, path: &ImagePath, archive: &Archive) -> Outcome {
        let place = Evidence::at(path).line(archive.line).because(archive.addresses.join(" "));
        let mut outcomes = Vec::new();
        if let Some(wanted) = self.signed_by {
            let found = archive.options.get("signed-by").is_some_and(|key| !key.trim().is_empty());
            let words = if found { "its key is named" } else { "no key is named" };
            outcomes.push(Outcome::decide(found == wanted, vec![place.clone().found(words).expected("Signed-By")]));
        }
        if let Some(wanted) = self.verified {
            let loose = ["trusted", "allow-insecure", "allow-weak", "allow-downgrade-to-insecure"];
            let on = |name: &&str| archive.options.get(*name).is_some_and(|value| is_true(value, false));
            let found = loose.into_iter().find(|name| on(name));
            let words = found.map_or_else(|| "its signature counts".to_owned(), |name| format!("{name}=yes"));
            outcomes.push(Outcome::decide(found.is_none() == wanted, vec![place.found(words).expected("a good signature")]));
        }
        Outcome::all(outcomes)
    }
}

impl Kind for PackageKeys {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Packages);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let packages = facts.packages()?;
        let judge = |key: &String| {
            // Newer releases of rpm write the whole fingerprint, of which this is the end.
            let there = packages.keys.iter().any(|other| other.split('-').next().is_some_and(|id| id.ends_with(key.as_str())));
            let words = if there { format!("{key} is imported") } else { format!("{key} is not imported") };
            Outcome::decide(there, vec![Evidence::at(&packages.database).found(words).expected(format!("the key {key}"))])
        };
        Ok(match (&self.all_of, &self.any_of) {
            (Some(keys), _) => Outcome::all(keys.iter().map(judge)),
            (None, Some(keys)) => Outcome::any(keys.iter().map(judge)),
            (None, None) => Outcome::unknown("no key is named", Vec::new()),
        })
    }

    fn flaw(&self) -> Option<String> {
        let lists = [&self.all_of, &self.any_of];
        let ways = lists.iter().filter(|list| list.is_some()).count();
        let mut keys = lists.into_iter().flatten().flatten();
        let good =
            |key: &String| key.len() == 8 && key.chars().all(|digit| digit.is_ascii_digit() || ('a'..='f').contains(&digit));
        if ways != 1 || keys.clone().next().is_none() {
            Some("it names its keys in one of two ways: all-of, any-of".into())
        } else {
            keys.find(|key| !good(key)).map(|key| format!("'{key}' is no short identity of a key: eight digits 0-9 and a-f"))
        }
    }
}
