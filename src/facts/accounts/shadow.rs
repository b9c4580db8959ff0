//! Passwords and their ageing: `shadow(5)`, `gshadow(5)`.

use std::collections::BTreeMap;

use super::{Account, Field, Password, read_if_any};
use crate::facts::{Fact, Facts, Unreadable};
use crate::path::{ImagePath, printable};
use crate::syntax::shadow;

/// What `shadow` and `gshadow` say; a fact of its own, because only root may read them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shadow {
    /// Where the passwords are.
    pub path: ImagePath,
    /// Every line that the system reads; the first of a name counts.
    pub lines: Vec<ShadowLine>,
    /// Lines that it passes over.
    pub malformed: Vec<Unreadable>,
    /// Lines for NIS.
    pub nis: Vec<Unreadable>,
    /// The lines of `gshadow`.
    pub groups: Vec<GroupShadow>,
    by_name: BTreeMap<String, usize>,
}

/// The password of an account and its ageing. Days as numbers; nothing where the field is empty or -1, which mean the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShadowLine {
    /// The login name, made safe to show.
    pub name: String,
    /// What the password field says.
    pub password: Password,
    /// Day of the last change since 1970; 0: it must be changed at the next login. Without one there is no ageing at all.
    pub changed: Option<i64>,
    /// Days before it may be changed again.
    pub min: Option<i64>,
    /// Days after which it has to be changed; 99999, some 270 years, stands for never.
    pub max: Option<i64>,
    /// Days of warning before that.
    pub warn: Option<i64>,
    /// Days after that until it is no longer accepted; without any it stays good for being changed.
    pub inactive: Option<i64>,
    /// Day on which the account ends, since 1970.
    pub expires: Option<i64>,
    /// Its line, from 1.
    pub line: u32,
}

/// A line of `gshadow`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupShadow {
    /// The group, made safe to show.
    pub name: String,
    /// What the password field says.
    pub password: Password,
    /// Its line, from 1.
    pub line: u32,
}

impl Shadow {
    /// The line the system finds for this name.
    #[must_use]
    pub fn line(&self, name: &str) -> Option<&ShadowLine> {
        self.lines.get(*self.by_name.get(name)?)
    }

    /// The password the system asks an account for, with its place. What `passwd` holds itself comes before `shadow`.
    #[must_use]
    pub fn password<'s>(&'s self, user: &'s Account) -> (Password, &'s ImagePath, Option<u32>) {
        match (user.field, self.line(&user.name)) {
            (Field::Own(own) | Field::Closed(own), _) => (own, &user.path, user.line),
            (Field::Shadowed, Some(line)) => (line.password, &self.path, Some(line.line)),
            (Field::Shadowed, None) => (Password::Missing, &user.path, user.line),
        }
    }
}

/// Reads `/etc/shadow` and `/etc/gshadow`. A missing `shadow` is one without lines: no password that `passwd` points to is there.
///
/// # Errors
/// Where one is there and cannot be read.
pub fn gather(facts: &Facts<'_>) -> Fact<Shadow> {
    let path = ImagePath::new("/etc/shadow");
    let content = read_if_any(facts.root(), &path)?.unwrap_or_default();
    let mut found =
        Shadow { path, lines: Vec::new(), malformed: Vec::new(), nis: Vec::new(), groups: Vec::new(), by_name: BTreeMap::new() };
    for line in shadow::parse(&content) {
        match line.entry {
            shadow::Entry::Password(password) => found.lines.push(ShadowLine::of(&password, line.line)),
            shadow::Entry::Malformed(_, why) => found.malformed.push(Unreadable::at_line(&found.path, line.line, why)),
            shadow::Entry::Nis(_) => found.nis.push(Unreadable::at_line(&found.path, line.line, "a line for NIS")),
        }
    }
    for (at, line) in found.lines.iter().enumerate() {
        found.by_name.entry(line.name.clone()).or_insert(at);
    }
    let path = ImagePath::new("/etc/gshadow");
    let content = read_if_any(facts.root(), &path)?.unwrap_or_default();
    found.groups = shadow::parse_groups(&content).iter().map(GroupShadow::of).collect();
    Ok(found)
}

impl ShadowLine {
    fn of(line: &shadow::Password<'_>, number: u32) -> Self {
        let days = |days: Option<i32>| days.map(i64::from).filter(|&days| days != -1);
        Self {
            name: printable(line.name),
            password: Password::of(line.password),
            changed: days(line.changed),
            min: days(line.min),
            max: days(line.max),
            warn: days(line.warn),
            inactive: days(line.inactive),
            expires: days(line.expires),
            line: number,
        }
    }
}

impl GroupShadow {
    fn of(line: &shadow::GroupLine<'_>) -> Self {
        Self { name: printable(line.name), password: Password::of(line.password), line: line.line }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::{FactId, Needs, Target};
    use super::*;
    use crate::image::{Entry, FileKind, MemoryImage, Rootfs};

    fn facts(image: &MemoryImage) -> Facts<'_> {
        let target = Target::image(Rootfs::new(image), jiff::civil::date(2026, 1, 1));
        Facts::gather(target, |_, needs: &mut Needs| {
            needs.fact(FactId::Accounts);
            needs.fact(FactId::Shadow);
        })
    }

    fn password(passwd: &str, shadow: &str) -> Password {
        let image = MemoryImage::new().file("/etc/passwd", passwd).file("/etc/shadow", shadow);
        let facts = facts(&image);
        let accounts = facts.accounts().unwrap();
        facts.shadow().unwrap().password(&accounts.users[0]).0
    }

    #[test]
    fn what_passwd_holds_itself_comes_first() {
        assert_eq!(password("a::1000:1::/:\n", "a:*:1:0:9:7:::\n"), Password::Empty);
        assert_eq!(password("a:x:1000:1::/:\n", "a:*:1:0:9:7:::\n"), Password::None);
    }

    #[test]
    fn an_account_whose_line_is_missing_or_spoilt_has_no_password() {
        assert_eq!(password("a:x:1000:1::/:\n", "b:*:1:0:9:7:::\n"), Password::Missing);
        assert_eq!(password("a:x:1000:1::/:\n", "a::soon:0:9:7:::\n"), Password::Missing);
    }

    #[test]
    fn the_first_line_of_a_name_counts() {
        assert_eq!(password("a:x:1000:1::/:\n", "a:!:1:0:9:7:::\na::1:0:9:7:::\n"), Password::Locked);
    }

    #[test]
    fn an_unreadable_shadow_leaves_the_accounts_known() {
        let mut closed = Entry::new(FileKind::File, "");
        closed.unreadable = true;
        let image = MemoryImage::new().file("/etc/passwd", "a:x:1:1::/:\n").with("/etc/shadow", closed);
        let facts = facts(&image);
        assert!(facts.accounts().is_ok() && facts.shadow().is_err());
    }

    #[test]
    fn minus_one_is_the_same_as_empty() {
        let image = MemoryImage::new().file("/etc/passwd", "").file("/etc/shadow", "a:!:0:0:-1:7:-1::\n");
        let facts = facts(&image);
        let line = facts.shadow().unwrap().line("a").unwrap();
        assert_eq!((line.changed, line.max, line.inactive), (Some(0), None, None));
    }
}
