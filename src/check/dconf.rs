//! The desktop: what dconf gives to its users and its login screen, and the display manager.

use schemars::JsonSchema;
use serde::Deserialize;

use super::matcher::matched;
use super::{Kind, Observed, unknown};
use crate::facts::{FactId, Facts, Needs, Unreadable};
use crate::finding::{Evidence, Outcome};

matched! {
    /// A setting as the compiled databases of a profile give it. Numbers are written with their type where it is not a plain integer:
    /// `uint32 900`.
    pub struct Dconf {
        /// Whose: `user` for users' sessions, `gdm` for the login screen.
        pub profile: ProfileName,
        /// The full key, such as `/org/gnome/desktop/session/idle-delay`.
        pub key: String,
        /// Whether users are kept from setting another value.
        pub locked: Option<bool>,
    }
}

/// A profile of dconf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProfileName {
    /// Users' sessions.
    User,
    /// The login screen.
    Gdm,
}

/// The compiled databases in `/etc/dconf/db` say (`current = true`) what their key files say.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DconfDatabases {
    /// Whether they do.
    pub current: bool,
}

matched! {
    /// A setting of GDM's `daemon.conf` or `custom.conf`, where it is set.
    pub struct Gdm {
        /// The group, such as `daemon`.
        pub section: String,
        /// The name.
        pub key: String,
    }
}

impl ProfileName {
    const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Gdm => "gdm",
        }
    }
}

impl Kind for Dconf {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Dconf);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let found = facts.dconf().and_then(|dconf| dconf.in_force(self.profile.name(), &self.key))?;
        let (path, line) = &found.place;
        let mut place = Evidence::at(path).line_opt(*line);
        place = place.because(match &found.note {
            Some(note) => format!("{}: {note}", self.key),
            None => self.key.clone(),
        });
        let mut outcomes = Vec::new();
        if !self.matcher().is_empty() {
            let observed = found.value.as_ref().map(|value| {
                let number = value.rsplit(' ').next().and_then(|last| last.parse().ok());
                Observed::new(value).with_number(number)
            });
            outcomes.push(self.matcher().judge(observed.as_ref(), place.clone()));
        }
        if let Some(locked) = self.locked {
            let word = |locked: bool| if locked { "locked" } else { "not locked" };
            outcomes.push(Outcome::decide(found.locked == locked, vec![place.found(word(found.locked)).expected(word(locked))]));
        }
        Ok(Outcome::all(outcomes))
    }

    fn flaw(&self) -> Option<String> {
        let path = (!self.key.starts_with('/')).then(|| format!("'{}' is no key: it begins with no '/'", self.key));
        path.or_else(|| self.locked.is_none().then(|| self.matcher().flaw()).flatten())
    }
}

impl Kind for DconfDatabases {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Dconf);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let dconf = facts.dconf()?;
        let judge = |path, differences: Result<Vec<crate::facts::DconfDifference>, _>| match differences {
            Err(unreadable) => unknown(&unreadable),
            Ok(differences) if differences.is_empty() => Outcome::pass(vec![Evidence::at(path).found("as its key files say")]),
            Ok(differences) => Outcome::fail(
                (differences.into_iter())
                    .map(|difference| {
                        let (path, line) = &difference.place;
                        Evidence::at(path).line_opt(*line).found(difference.what).expected("dconf update has compiled it")
                    })
                    .collect(),
            ),
        };
        let outcomes: Vec<Outcome> = dconf.databases().into_iter().map(|(path, found)| judge(path, found)).collect();
        let all = if outcomes.is_empty() { Outcome::pass(Vec::new()) } else { Outcome::all(outcomes) };
        Ok(if self.current { all } else { all.negate() })
    }
}

impl Kind for Gdm {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Gdm);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let gdm = facts.gdm()?;
        let found = gdm.setting(&self.section, &self.key);
        let place = Evidence::at(&gdm.path).line_opt(found.map(|(_, line)| line));
        let observed = found.map(|(value, _)| Observed::new(value));
        Ok(self.matcher().judge(observed.as_ref(), place.because(format!("[{}] {}", self.section, self.key))))
    }

    fn flaw(&self) -> Option<String> {
        self.matcher().flaw()
    }
}
