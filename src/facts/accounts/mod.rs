//! Accounts and groups, as the C library finds them: `passwd(5)`, `group(5)`, `nsswitch.conf(5)`, `shells(5)`.
//!
//! Names are kept [`printable`], which tells any two apart. Where a source is named that is no file of the image (a directory service),
//! an id that is not found here may be known there: see [`Known`].

mod account;
mod password;
mod shadow;
mod shells;
mod userdb;

pub use account::{Account, Field, Group};
pub use password::{Password, Scheme};
pub use shadow::{GroupShadow, Shadow, ShadowLine, gather as gather_shadow};
pub use shells::Shells;

use std::collections::{BTreeMap, BTreeSet};

use super::{Fact, Facts, Unreadable};
use crate::image::{ReadError, Rootfs};
use crate::path::{ImagePath, printable};
use crate::syntax::{group, nsswitch, passwd};

/// Where the groups are.
const GROUP: &str = "/etc/group";

/// The accounts and groups of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accounts {
    /// Every account, in the order in which the system looks: the first of a name or id is the one it finds.
    pub users: Vec<Account>,
    /// Every group, in the same order.
    pub groups: Vec<Group>,
    /// Lines of `passwd` and `group` that the system passes over.
    pub malformed: Vec<Unreadable>,
    /// Lines that begin with `+` or `-`: they take accounts from NIS where `nsswitch.conf` says `compat`.
    pub nis: Vec<Unreadable>,
    /// Which login programs count as shells.
    pub shells: Shells,
    /// The ids of regular accounts.
    pub ids: IdRanges,
    /// Where the system looks accounts up: the sources of `passwd` in `nsswitch.conf`.
    pub user_sources: Vec<String>,
    /// Where it looks groups up.
    pub group_sources: Vec<String>,
    /// That there is no `/etc/group`, or only a link to nothing.
    pub no_groups: Option<Unreadable>,
    uids: BTreeSet<u32>,
    gids: BTreeSet<u32>,
    index: Index,
}

/// Positions in the lists: the first of each name and id, and the accounts of each primary group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Index {
    users: BTreeMap<String, usize>,
    user_ids: BTreeMap<u32, usize>,
    groups: BTreeMap<String, usize>,
    group_ids: BTreeMap<u32, usize>,
    primary: BTreeMap<u32, Vec<usize>>,
}

/// Which ids `useradd` gives to whom (`login.defs(5)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdRanges {
    /// The first id of a regular account: `UID_MIN`, 1000 where nothing is set.
    pub uid_min: u32,
    /// The last one: `UID_MAX`, 60000.
    pub uid_max: u32,
    /// The last id of a system account: `SYS_UID_MAX`, one less than `UID_MIN`.
    pub system_uid_max: u32,
}

impl Default for IdRanges {
    fn default() -> Self {
        Self { uid_min: 1000, uid_max: 60_000, system_uid_max: 999 }
    }
}

/// Whether an id belongs to somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// The image cannot say: a source that is not in the image may know it, or the id is one that is given out at run time.
    Perhaps(String),
}

/// The account of the overflow id: files of ids that cannot be shown seem to be its own.
pub const NOBODY: u32 = 65534;

/// Sources that are files of the image, and those that never know more accounts than these.
const LOCAL_SOURCES: [&str; 5] = ["files", "altfiles", "systemd", "mymachines", "extrausers"];

impl Accounts {
    /// The account the system finds by this name.
    #[must_use]
    pub fn user(&self, name: &str) -> Option<&Account> {
        self.users.get(*self.index.users.get(name)?)
    }

    /// The account the system finds by this id.
    #[must_use]
    pub fn user_of(&self, uid: u32) -> Option<&Account> {
        self.users.get(*self.index.user_ids.get(&uid)?)
    }

    /// The group the system finds by this name.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.groups.get(*self.index.groups.get(name)?)
    }

    /// The group the system finds by this id.
    #[must_use]
    pub fn group_of(&self, gid: u32) -> Option<&Group> {
        self.groups.get(*self.index.group_ids.get(&gid)?)
    }

    /// The ids of all accounts.
    #[must_use]
    pub fn uids(&self) -> &BTreeSet<u32> {
        &self.uids
    }

    /// The ids of all groups.
    #[must_use]
    pub fn gids(&self) -> &BTreeSet<u32> {
        &self.gids
    }

    /// Whether some account has this id.
    #[must_use]
    pub fn knows_uid(&self, uid: u32) -> Known {
        known(uid, &self.uids, &self.user_sources, &self.nis)
    }

    /// Whether some group has this id.
    #[must_use]
    pub fn knows_gid(&self, gid: u32) -> Known {
        known(gid, &self.gids, &self.group_sources, &self.nis)
    }

    /// Whether an account is one of the system: an id below `UID_MIN`, or nobody's.
    #[must_use]
    pub fn is_system(&self, user: &Account) -> bool {
        user.uid < self.ids.uid_min || user.uid == NOBODY
    }

    /// Whether somebody is meant to log in with it: no account of the system, and a login program that is more than a refusal.
    #[must_use]
    pub fn is_interactive(&self, user: &Account) -> bool {
        !self.is_system(user) && user.has_login_shell()
    }

    /// The home directories of interactive accounts and root, each with its account, in the order of the accounts.
    pub fn homes(&self) -> impl Iterator<Item = (&Account, ImagePath)> {
        let counted = self.users.iter().filter(|user| user.uid == 0 || self.is_interactive(user));
        counted.filter_map(|user| Some((user, user.home_path()?)))
    }

    /// The accounts whose primary group has this id, in the order of the accounts.
    pub fn primary_of(&self, gid: u32) -> impl Iterator<Item = &Account> {
        self.index.primary.get(&gid).into_iter().flatten().filter_map(|&at| self.users.get(at))
    }
}

fn known(id: u32, ids: &BTreeSet<u32>, sources: &[String], nis: &[Unreadable]) -> Known {
    if ids.contains(&id) {
        return Known::Yes;
    }
    let source = |name: &str| sources.iter().any(|source| source == name);
    if source("systemd") {
        // nss-systemd(8): root and nobody always exist; homed and DynamicUser= give ids out of these ranges (systemd's
        // UIDS-GIDS document).
        match id {
            0 | NOBODY => return Known::Yes,
            60_001..=60_513 => return Known::Perhaps("an id of systemd-homed".into()),
            61_184..=65_519 => return Known::Perhaps("an id that systemd gives to services while they run".into()),
            _ => {}
        }
    }
    if source("compat") && !nis.is_empty() {
        return Known::Perhaps("NIS may know it".into());
    }
    match sources.iter().find(|source| !LOCAL_SOURCES.contains(&source.as_str()) && source.as_str() != "compat") {
        Some(other) => Known::Perhaps(format!("the source '{other}' of nsswitch.conf may know it")),
        None => Known::No,
    }
}

pub(super) fn gather(facts: &Facts<'_>) -> Fact<Accounts> {
    let root = facts.root();
    let mut accounts = Accounts { shells: shells::read(root)?, ids: id_ranges(facts), ..Accounts::default() };
    accounts.user_sources = sources(root, b"passwd")?;
    accounts.group_sources = sources(root, b"group")?;
    let passwd = ImagePath::new("/etc/passwd");
    let content = root.read(&passwd).map_err(|error| Unreadable::reading(&passwd, &error))?;
    accounts.add_users(&passwd, &content);
    accounts.add_groups(root, GROUP)?;
    for (source, folder) in [("altfiles", "/usr/lib"), ("extrausers", "/var/lib/extrausers")] {
        if accounts.user_sources.iter().any(|named| named == source) {
            let path = ImagePath::new(folder).join("passwd");
            if let Some(content) = read_if_any(root, &path)? {
                accounts.add_users(&path, &content);
            }
        }
        if accounts.group_sources.iter().any(|named| named == source) {
            accounts.add_groups(root, &format!("{folder}/group"))?;
        }
    }
    if accounts.user_sources.iter().chain(&accounts.group_sources).any(|named| named == "systemd") {
        userdb::add(root, &mut accounts)?;
    }
    accounts.see_through(root)?;
    accounts.number();
    Ok(accounts)
}

/// The content of a file that may be missing.
pub(super) fn read_if_any(root: Rootfs<'_>, path: &ImagePath) -> Fact<Option<Vec<u8>>> {
    match root.read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.is_absent() => Ok(None),
        Err(error) => Err(Unreadable::reading(path, &error)),
    }
}

/// Shells by name, for where `/etc/shells` does not list one.
const SHELLS: [&[u8]; 14] =
    [b"ash", b"bash", b"csh", b"dash", b"fish", b"ksh", b"ksh93", b"lksh", b"mksh", b"rbash", b"sh", b"tcsh", b"yash", b"zsh"];

impl Accounts {
    /// Finds those login programs that are called `nologin` or `false` and are a link to a shell.
    fn see_through(&mut self, root: Rootfs<'_>) -> Fact<()> {
        let mut seen: BTreeMap<Vec<u8>, bool> = BTreeMap::new();
        for user in self.users.iter_mut().filter(|user| user.shell.starts_with(b"/") && account::is_refusal(&user.shell)) {
            if let Some(&disguised) = seen.get(&user.shell) {
                user.disguised = disguised;
                continue;
            }
            let path = ImagePath::new(&user.shell);
            root.look(1).map_err(|error| Unreadable::reading(&path, &error))?;
            let target = match root.resolve(&path) {
                Ok(found) => found.path,
                Err(error @ ReadError::Io(_)) => return Err(Unreadable::reading(&path, &error)),
                // What leads nowhere lets nobody in.
                Err(_) => continue,
            };
            let name = target.as_bytes().rsplit(|&byte| byte == b'/').next().unwrap_or_default();
            user.disguised = SHELLS.contains(&name) || self.shells.lists(target.as_bytes()) && !account::is_refusal(name);
            seen.insert(user.shell.clone(), user.disguised);
        }
        Ok(())
    }

    /// Makes the index.
    fn number(&mut self) {
        for (at, user) in self.users.iter().enumerate() {
            self.index.users.entry(user.name.clone()).or_insert(at);
            self.index.user_ids.entry(user.uid).or_insert(at);
            self.index.primary.entry(user.gid).or_default().push(at);
            self.uids.insert(user.uid);
        }
        for (at, group) in self.groups.iter().enumerate() {
            self.index.groups.entry(group.name.clone()).or_insert(at);
            self.index.group_ids.entry(group.gid).or_insert(at);
            self.gids.insert(group.gid);
        }
    }

    fn add_users(&mut self, path: &ImagePath, content: &[u8]) {
        for line in passwd::parse(content) {
            match line.entry {
                passwd::Entry::Account(account) => self.users.push(Account::of(&account, path, line.line)),
                passwd::Entry::Nis(_) => self.nis.push(Unreadable::at_line(path, line.line, "a line for NIS")),
                passwd::Entry::Malformed(why) => self.malformed.push(Unreadable::at_line(path, line.line, why)),
            }
        }
    }

    fn add_groups(&mut self, root: Rootfs<'_>, path: &str) -> Fact<()> {
        let path = ImagePath::new(path);
        let content = read_if_any(root, &path)?;
        if content.is_none() && path == ImagePath::new(GROUP) {
            self.no_groups = Some(Unreadable::at(&path, "no such file, so that nothing is known of the groups"));
        }
        for line in group::parse(content.as_deref().unwrap_or_default()) {
            match line.entry {
                group::Entry::Group(found) => self.groups.push(Group::of(&found, &path, line.line)),
                group::Entry::Nis(_) => self.nis.push(Unreadable::at_line(&path, line.line, "a line for NIS")),
                group::Entry::Malformed(why) => self.malformed.push(Unreadable::at_line(&path, line.line, why)),
            }
        }
        Ok(())
    }
}

/// The sources of a database; `files` where nothing is said (glibc's own default).
fn sources(root: Rootfs<'_>, database: &[u8]) -> Fact<Vec<String>> {
    let mut content = None;
    for path in ["/etc/nsswitch.conf", "/usr/etc/nsswitch.conf"].map(ImagePath::new) {
        content = read_if_any(root, &path)?;
        if content.is_some() {
            break;
        }
    }
    let content = content.unwrap_or_default();
    let databases: BTreeMap<&[u8], Vec<&[u8]>> =
        nsswitch::parse(&content).into_iter().map(|database| (database.name, database.sources)).collect();
    Ok(match databases.get(database) {
        Some(sources) => sources.iter().map(|source| printable(source)).collect(),
        None => vec!["files".to_owned()],
    })
}

/// The id ranges of `login.defs`; where it cannot be read, the defaults.
fn id_ranges(facts: &Facts<'_>) -> IdRanges {
    let Ok(settings) = facts.login_defs() else { return IdRanges::default() };
    let number = |key: &str, default: u32| settings.number(key).and_then(|value| u32::try_from(value).ok()).unwrap_or(default);
    let uid_min = number("UID_MIN", 1000);
    IdRanges { uid_min, uid_max: number("UID_MAX", 60_000), system_uid_max: number("SYS_UID_MAX", uid_min.saturating_sub(1)) }
}

#[cfg(test)]
mod tests {
    use super::super::{FactId, Needs, Target};
    use super::*;
    use crate::image::MemoryImage;

    fn accounts(image: &MemoryImage) -> Fact<Accounts> {
        let target = Target::image(Rootfs::new(image), jiff::civil::date(2026, 1, 1));
        Facts::gather(target, |_, needs: &mut Needs| needs.fact(FactId::Accounts)).accounts().cloned()
    }

    const PASSWD: &str = "root:x:0:0::/root:/bin/bash\nbin:x:2:2::/bin:/usr/sbin/nologin\nann:x:1000:100::/home/ann:/bin/bash\n";

    #[test]
    fn the_first_of_an_id_is_the_one_the_system_finds() {
        let image = MemoryImage::new().file("/etc/passwd", format!("{PASSWD}toor:x:0:0::/:\n"));
        let accounts = accounts(&image).unwrap();
        assert_eq!(accounts.user_of(0).unwrap().name, "root");
        assert_eq!(accounts.users.iter().filter(|user| user.uid == 0).count(), 2);
        let interactive: Vec<_> = accounts.users.iter().filter(|user| accounts.is_interactive(user)).collect();
        assert_eq!(interactive.len(), 1);
        assert_eq!((interactive[0].name.as_str(), interactive[0].line), ("ann", Some(3)));
    }

    #[test]
    fn no_passwd_is_no_root_file_system() {
        assert!(accounts(&MemoryImage::new()).is_err());
    }

    #[test]
    fn where_regular_accounts_begin_is_said_in_login_defs() {
        let image = MemoryImage::new().file("/etc/passwd", "a:x:600:6::/:/bin/sh\n").file("/etc/login.defs", "UID_MIN 500\n");
        let accounts = accounts(&image).unwrap();
        assert!(accounts.is_interactive(&accounts.users[0]));
        assert_eq!(accounts.ids.system_uid_max, 499);
    }

    #[test]
    fn an_id_that_a_directory_service_may_know_is_not_unknown_for_sure() {
        let image = MemoryImage::new().file("/etc/passwd", PASSWD);
        assert_eq!(accounts(&image).unwrap().knows_uid(7000), Known::No);
        assert_eq!(accounts(&image).unwrap().knows_uid(1000), Known::Yes);
        let image = image.file("/etc/nsswitch.conf", "passwd: files systemd\ngroup: files sss\n");
        let found = accounts(&image).unwrap();
        assert_eq!(found.knows_uid(7000), Known::No);
        assert!(matches!(found.knows_uid(62_000), Known::Perhaps(_)));
        assert!(matches!(found.knows_gid(7000), Known::Perhaps(_)));
    }

    #[test]
    fn accounts_of_the_vendors_files_where_nsswitch_names_them() {
        let image = MemoryImage::new().file("/etc/passwd", PASSWD).file("/usr/lib/passwd", "core:x:500:500::/:/bin/sh\n");
        assert!(accounts(&image).unwrap().user("core").is_none());
        let image = image.file("/etc/nsswitch.conf", "passwd: files altfiles\n");
        assert_eq!(accounts(&image).unwrap().user("core").unwrap().path, ImagePath::new("/usr/lib/passwd"));
    }

    #[test]
    fn members_are_also_those_whose_primary_group_it_is() {
        let image = MemoryImage::new().file("/etc/passwd", PASSWD).file("/etc/group", "users:x:100:bob\n");
        let found = accounts(&image).unwrap();
        assert_eq!(
            found.primary_of(found.group("users").unwrap().gid).map(|user| user.name.as_str()).collect::<Vec<_>>(),
            ["ann"]
        );
    }

    #[test]
    fn malformed_and_nis_lines_are_data_with_their_line() {
        let image = MemoryImage::new().file("/etc/passwd", "root:x:0:0::/:\nbroken\n+::::::\n");
        let found = accounts(&image).unwrap();
        assert_eq!((found.malformed[0].line, found.nis[0].line), (Some(2), Some(3)));
    }
}
