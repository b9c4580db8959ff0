//! Groups.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::accounts::OneOrMore;
use super::file::WhenNone;
use super::{Kind, Names, unknown};
use crate::facts::accounts::{Accounts, Group};
use crate::facts::{FactId, Facts, Needs, Unreadable};
use crate::finding::{Evidence, Outcome};
use crate::path::ImagePath;

/// Every group that is chosen has to fit.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Groups {
    /// Kinds of groups, one word or several.
    pub which: Option<OneOrMore<Which>>,
    /// Groups by name, beside those that `which` chooses.
    pub named: Option<Names>,
    /// Its name is one of these.
    pub is: Option<Names>,
    /// Whether nobody is in it, neither as a member nor because it is their primary group.
    pub empty: Option<bool>,
    /// No other group has the same.
    pub unique: Option<Unique>,
    /// The verdict if no group is chosen: `pass`, `fail`, or `not-applicable` (the default).
    #[serde(default)]
    pub when_none: WhenNone,
}

/// A kind of group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Which {
    /// Every group.
    All,
    /// Groups with gid 0.
    GidZero,
}

/// What no two groups share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Unique {
    /// The group id.
    Gid,
    /// The name.
    Name,
}

impl Kind for Groups {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Accounts);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let accounts = facts.accounts()?;
        // Not the same as a file without groups: no system is without.
        if let Some(unreadable) = &accounts.no_groups {
            return Ok(unknown(unreadable));
        }
        let chosen: Vec<&Group> = accounts.groups.iter().filter(|group| self.counts(group)).collect();
        let file = ImagePath::new("/etc/group");
        if chosen.is_empty() {
            return Ok(self.when_none.outcome(&file, "no such group"));
        }
        let one_by_one = chosen.iter().flat_map(|group| self.judge(group, accounts));
        let mut wrong = one_by_one.chain(self.twins(&chosen)).peekable();
        if wrong.peek().is_none() {
            let found = format!("{} groups, all of them as they should be", chosen.len());
            return Ok(Outcome::pass(vec![Evidence::at(&file).found(found)]));
        }
        Ok(Outcome::all(wrong))
    }

    fn flaw(&self) -> Option<String> {
        if self.which.is_none() && self.named.is_none() {
            return Some("it says nothing of which groups it is about; known: which, named".into());
        }
        let asks = self.is.is_some() || self.empty.is_some() || self.unique.is_some();
        (!asks).then(|| "it asks nothing of the groups; known: is, empty, unique".into())
    }
}

fn place(group: &Group) -> Evidence {
    Evidence::at(&group.path).line_opt(group.line)
}

impl Groups {
    fn counts(&self, group: &Group) -> bool {
        let kind = self.which.iter().flat_map(|which| &which.0).any(|which| match which {
            Which::All => true,
            Which::GidZero => group.gid == 0,
        });
        kind || self.named.as_ref().is_some_and(|named| named.0.contains(&group.name))
    }

    fn judge(&self, group: &Group, accounts: &Accounts) -> Vec<Outcome> {
        let mut wrong = Vec::new();
        if let Some(names) = &self.is
            && !names.0.contains(&group.name)
        {
            let expected = format!("only {}", names.0.join(", "));
            wrong.push(Outcome::fail(vec![place(group).found(format!("{}: gid {}", group.name, group.gid)).expected(expected)]));
        }
        match self.empty {
            // Those whose primary group it is stand in passwd. Of several groups with the same number they are told for the first.
            Some(true) => {
                let first = accounts.group_of(group.gid).is_none_or(|first| first == group);
                let primary = if first { accounts.primary_of(group.gid).collect() } else { Vec::new() };
                let mut evidence: Vec<Evidence> = (primary.into_iter())
                    .map(|user| super::accounts::place(user).found(format!("{}: gid {}", user.name, user.gid)))
                    .map(|evidence| evidence.expected(format!("nobody in the group {}", group.name)))
                    .collect();
                if !group.members.is_empty() {
                    let found = format!("{}: {}", group.name, group.members);
                    evidence.insert(0, place(group).found(found).expected("no members"));
                }
                if !evidence.is_empty() {
                    wrong.push(Outcome::fail(evidence));
                }
            }
            Some(false) if group.members.is_empty() && accounts.primary_of(group.gid).next().is_none() => {
                wrong.push(Outcome::fail(vec![place(group).found(format!("{}: nobody", group.name)).expected("members")]));
            }
            _ => {}
        }
        wrong
    }

    /// Groups that share what has to be unique.
    fn twins(&self, chosen: &[&Group]) -> impl Iterator<Item = Outcome> {
        let mut seen: BTreeMap<String, Vec<&Group>> = BTreeMap::new();
        for (unique, group) in self.unique.into_iter().flat_map(|unique| chosen.iter().map(move |group| (unique, *group))) {
            let key = match unique {
                Unique::Gid => format!("gid {}", group.gid),
                Unique::Name => format!("the name {}", group.name),
            };
            seen.entry(key).or_default().push(group);
        }
        let shared = seen.into_iter().filter(|(_, groups)| groups.len() > 1);
        shared.map(|(key, groups)| {
            let expected = format!("{key} only once");
            Outcome::all(groups.into_iter().map(|group| Outcome::fail(vec![place(group).found(&group.name).expected(&expected)])))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Target;
    use crate::finding::Status;
    use crate::image::{MemoryImage, Rootfs};

    fn judged(check: &str, image: &MemoryImage) -> Status {
        let check: Groups = toml::from_str(check).unwrap();
        let target = Target::image(Rootfs::new(image), jiff::civil::date(2026, 1, 1));
        check.evaluate(&Facts::gather(target, |facts, needs| check.needs(facts, needs))).status
    }

    #[test]
    fn groups_are_unknown_where_there_is_no_file_of_them() {
        let image = MemoryImage::new().file("/etc/passwd", "root:x:0:0::/:/bin/sh\n");
        let checks = ["which = 'all'\nunique = 'gid'", "named = 'shadow'\nempty = true\nwhen-none = 'pass'"];
        for check in checks {
            assert_eq!(judged(check, &image), Status::Unknown);
            assert_eq!(judged(check, &image.clone().link("/etc/group", "gone")), Status::Unknown);
        }
        assert_eq!(judged(checks[1], &image.file("/etc/group", "root:x:0:\n")), Status::Pass);
    }

    #[test]
    fn nobody_is_in_an_empty_group_by_name_or_by_number() {
        let image = MemoryImage::new().file("/etc/passwd", "a:x:1:42::/:/bin/sh\n");
        let empty = "named = 'shadow'\nempty = true";
        assert_eq!(judged(empty, &image.clone().file("/etc/group", "shadow:x:42:\n")), Status::Fail);
        assert_eq!(judged(empty, &image.clone().file("/etc/group", "shadow:x:43:a\n")), Status::Fail);
        assert_eq!(judged(empty, &image.file("/etc/group", "shadow:x:43:\n")), Status::Pass);
    }
}
