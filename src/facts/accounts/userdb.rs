//! JSON user and group records in files (`systemd-userdbd(8)`, `nss-systemd(8)`), where `nsswitch.conf` names `systemd`.

use serde::Deserialize;

use super::{Account, Accounts, Field, Group, Password};
use crate::facts::{Fact, Unreadable};
use crate::image::Rootfs;
use crate::path::{ImagePath, printable};

/// Where records are looked for; the first of a file name wins.
const FOLDERS: [&str; 5] = ["/etc/userdb", "/run/userdb", "/run/host/userdb", "/usr/local/lib/userdb", "/usr/lib/userdb"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UserRecord {
    user_name: String,
    uid: Option<u32>,
    gid: Option<u32>,
    home_directory: Option<String>,
    shell: Option<String>,
    locked: Option<bool>,
    privileged: Option<Privileged>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Privileged {
    #[serde(default)]
    hashed_password: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GroupRecord {
    group_name: String,
    gid: Option<u32>,
    #[serde(default)]
    members: Vec<String>,
}

/// Adds the accounts and groups of records. One that cannot be read is noted as malformed.
pub(super) fn add(root: Rootfs<'_>, accounts: &mut Accounts) -> Fact<()> {
    let mut seen = std::collections::BTreeSet::new();
    for folder in FOLDERS {
        for path in
            root.glob(&format!("{folder}/*.{{user,group}}")).map_err(|error| Unreadable::at(&folder.into(), error.to_string()))?
        {
            // The links named by number lead to the same records.
            let numbered =
                path.file_name().split(|&byte| byte == b'.').next().is_some_and(|stem| stem.iter().all(u8::is_ascii_digit));
            if numbered || !seen.insert(path.file_name().to_vec()) {
                continue;
            }
            let added = if path.file_name().ends_with(b".user") {
                add_user(root, &path, accounts)
            } else {
                add_group(root, &path, accounts)
            };
            accounts.malformed.extend(added.err());
        }
    }
    Ok(())
}

fn record<T: for<'de> Deserialize<'de>>(root: Rootfs<'_>, path: &ImagePath) -> Fact<T> {
    let content = root.read(path).map_err(|error| Unreadable::reading(path, &error))?;
    serde_json::from_slice(&content).map_err(|error| {
        let line = u32::try_from(error.line()).unwrap_or(u32::MAX);
        Unreadable::at_line(path, line, "this is no record of systemd-userdbd")
    })
}

fn add_user(root: Rootfs<'_>, path: &ImagePath, accounts: &mut Accounts) -> Fact<()> {
    let user: UserRecord = record(root, path)?;
    let Some(uid) = user.uid else { return Err(Unreadable::at(path, "a user record without uid")) };
    let mut privileged = user.privileged;
    let secret = ImagePath::new([path.as_bytes(), b"-privileged"].concat());
    if privileged.is_none() && root.exists(&secret).map_err(|error| Unreadable::reading(&secret, &error))? {
        privileged = Some(record(root, &secret)?);
    }
    let password = privileged.and_then(|privileged| privileged.hashed_password.first().map(|hash| Password::of(hash.as_bytes())));
    let password = if user.locked == Some(true) { Password::Locked } else { password.unwrap_or(Password::None) };
    accounts.users.push(Account {
        name: printable(user.user_name.as_bytes()),
        uid,
        gid: user.gid.unwrap_or(uid),
        home: user.home_directory.unwrap_or_default().into_bytes(),
        shell: user.shell.unwrap_or_default().into_bytes(),
        disguised: false,
        umask: None,
        field: Field::Own(password),
        path: path.clone(),
        line: None,
    });
    Ok(())
}

fn add_group(root: Rootfs<'_>, path: &ImagePath, accounts: &mut Accounts) -> Fact<()> {
    let group: GroupRecord = record(root, path)?;
    let Some(gid) = group.gid else { return Err(Unreadable::at(path, "a group record without gid")) };
    let members = printable(group.members.join(",").as_bytes());
    accounts.groups.push(Group { name: printable(group.group_name.as_bytes()), gid, members, path: path.clone(), line: None });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::MemoryImage;

    #[test]
    fn records_in_files_are_accounts() {
        let record = r#"{"userName":"ci","uid":4242,"privileged":{"hashedPassword":["$6$a$b"]}}"#;
        let image = MemoryImage::new().file("/etc/userdb/ci.user", record).link("/etc/userdb/4242.user", "ci.user");
        let image = image.file("/usr/lib/userdb/ci.group", r#"{"groupName":"ci","gid":4242}"#).file("/etc/userdb/b.user", "{");
        let mut accounts = Accounts::default();
        add(Rootfs::new(&image), &mut accounts).unwrap();
        assert_eq!((accounts.users.len(), accounts.users[0].uid, accounts.groups[0].gid), (1, 4242, 4242));
        assert!(matches!(accounts.users[0].field, Field::Own(Password::Set(_))));
        assert_eq!(accounts.malformed.len(), 1);
    }
}
