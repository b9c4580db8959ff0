//! What `sudo` allows, and how.

use schemars::JsonSchema;
use serde::Deserialize;

use super::matcher::matched;
use super::{Kind, Observed, unknown};
use crate::facts::sudo::{self, InForce, Sudo};
use crate::facts::{FactId, Facts, Needs, Unreadable};
use crate::finding::{Evidence, Outcome};
use crate::path::ImagePath;
use crate::syntax::sudoers::Tag;

matched! {
    /// An option of `Defaults` in `sudoers(5)`, as it is in force: for everybody, and for each account, host or command for which
    /// something else is set. Flags have the values `on` and `off`.
    pub struct SudoDefault {
        /// Its name, such as `use_pty`.
        pub option: String,
    }
}

/// Whether some command in `sudoers(5)` has a tag.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SudoTag {
    /// The tag, such as `NOPASSWD`.
    pub tag: String,
    /// Whether it may be there.
    pub present: bool,
    /// Users and groups that do not count, written as in sudoers: `ec2-user`, `%wheel`.
    #[serde(default)]
    pub except: Vec<String>,
}

/// Users of one line that are shown.
const MAX_USERS: usize = 20;

impl Kind for SudoDefault {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Sudo);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let all = facts.sudo().and_then(|sudo| sudo.effective(&self.option))?;
        Ok(Outcome::all(all.into_iter().map(|found| self.judge(found))))
    }

    fn flaw(&self) -> Option<String> {
        let unheard_of = || (!sudo::is_option(&self.option)).then(|| format!("sudo has no option '{}'", self.option));
        self.matcher().flaw().or_else(unheard_of)
    }
}

impl SudoDefault {
    fn judge(&self, found: InForce) -> Outcome {
        let mut place = match &found.place {
            Some((path, line)) => Evidence::at(path).line(*line),
            None => Evidence::at(&ImagePath::new(Sudo::PATH)),
        };
        place = place.because(match &found.because {
            Some(because) => format!("{}: {because}", self.option),
            None => self.option.clone(),
        });
        let observed = found.text.map(|text| {
            let observed = Observed::new(text).with_number(found.number);
            found.list.into_iter().fold(observed, Observed::with_list)
        });
        self.matcher().judge(observed.as_ref(), place)
    }
}

impl Kind for SudoTag {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Sudo);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let (Some(tag), Ok(sudo)) = (Tag::named(&self.tag), facts.sudo()) else {
            return Ok(facts.sudo().map_or_else(|error| unknown(&error), |_| Outcome::unknown("no such tag", Vec::new())));
        };
        let mut hits = Vec::new();
        let mut total = 0;
        for permission in &sudo.grants {
            let Some(line) = permission.tag(tag) else { continue };
            if permission.users().all(|user| self.except.contains(&user)) {
                continue;
            }
            total += 1;
            if hits.len() >= Outcome::MAX_EVIDENCE {
                continue;
            }
            let more = permission.grant.users.len() > MAX_USERS;
            let users: Vec<String> = permission.users().take(MAX_USERS).chain(more.then(|| "…".to_owned())).collect();
            let place = Evidence::at(&permission.path).line(line);
            // Arguments of a command may hold a password.
            let command = permission.grant.command.to_string();
            let (program, more) = command.split_once(' ').map_or((command.as_str(), ""), |(program, _)| (program, " …"));
            let found = format!("{}: {}: {program}{more}", users.join(", "), self.tag);
            hits.push(place.found(found).expected(if self.present { String::new() } else { format!("no {}", self.tag) }));
        }
        if hits.is_empty() {
            let none = format!("{} commands, none with {}", sudo.grants.len(), self.tag);
            hits.push(Evidence::at(&ImagePath::new(Sudo::PATH)).found(none));
            return Ok(Outcome::decide(!self.present, hits));
        }
        Ok(Outcome::decide(self.present, hits).of_total(total))
    }

    fn flaw(&self) -> Option<String> {
        Tag::named(&self.tag).is_none().then(|| format!("sudoers has no tag '{}'", self.tag))
    }
}
