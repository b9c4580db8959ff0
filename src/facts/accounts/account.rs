//! One account, one group.

use super::Password;
use crate::path::{ImagePath, printable};
use crate::syntax::{group, passwd};

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The login name, made safe to show.
    pub name: String,
    /// The user id.
    pub uid: u32,
    /// The id of its primary group.
    pub gid: u32,
    /// The home directory, as it is written.
    pub home: Vec<u8>,
    /// The login program, as it is written; empty stands for `/bin/sh`.
    pub shell: Vec<u8>,
    /// Whether the login program only has the name of a refusal: `nologin` or `false`, which are a link to a shell.
    pub disguised: bool,
    /// `umask=` in the comment, which `pam_umask(8)` sets last.
    pub umask: Option<u32>,
    /// What the password field of `passwd` holds.
    pub field: Field,
    /// Where it was found.
    pub path: ImagePath,
    /// Its line there, from 1.
    pub line: Option<u32>,
}

/// What the password field of `passwd` holds; never the value itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// `x` (or `##name`): the password is in `shadow`.
    Shadowed,
    /// `*` or `!` alone: nobody logs in with a password, and what `shadow` says is not looked at. There is nothing to hide.
    Closed(Password),
    /// A password in the file that everybody may read; what `shadow` says is then not looked at (`pam_unix(8)`).
    Own(Password),
}

impl Account {
    pub(super) fn of(account: &passwd::Account<'_>, path: &ImagePath, line: u32) -> Self {
        let field = match account.password {
            b"x" => Field::Shadowed,
            other if other.starts_with(b"##") => Field::Shadowed,
            closed if !closed.is_empty() && closed.iter().all(|byte| b"*!".contains(byte)) => Field::Closed(Password::of(closed)),
            own => Field::Own(Password::of(own)),
        };
        Self {
            name: printable(account.name),
            uid: account.uid,
            gid: account.gid,
            home: account.home.to_vec(),
            shell: account.shell.to_vec(),
            disguised: false,
            umask: umask(account.gecos),
            field,
            path: path.clone(),
            line: Some(line),
        }
    }

    /// Whether its login program is more than a refusal: anything but `nologin` and `false`. A program that `/etc/shells` does not
    /// list still lets somebody in over ssh.
    #[must_use]
    pub fn has_login_shell(&self) -> bool {
        self.disguised || !is_refusal(&self.shell)
    }

    /// The home directory as a path; nothing where none is set or it is relative.
    #[must_use]
    pub fn home_path(&self) -> Option<ImagePath> {
        self.home.starts_with(b"/").then(|| ImagePath::new(&self.home))
    }
}

/// Whether a program has the name of one that lets nobody in.
pub(super) fn is_refusal(program: &[u8]) -> bool {
    matches!(program.rsplit(|&byte| byte == b'/').next().unwrap_or_default(), b"nologin" | b"false")
}

/// The last `umask=` at the beginning of a part of the comment, in any case, as `strtol` reads an octal number (`setup_limits_from_gecos`).
fn umask(gecos: &[u8]) -> Option<u32> {
    let mut parts = gecos.rsplit(|&byte| byte == b',');
    let value = parts.find(|part| part.get(..6).is_some_and(|name| name.eq_ignore_ascii_case(b"umask=")))?.get(6..)?;
    let digits = value.iter().take_while(|byte| (b'0'..=b'7').contains(byte));
    Some(digits.fold(0_u32, |mask, digit| (mask << 3 | u32::from(digit - b'0')) & 0o777))
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The name, made safe to show.
    pub name: String,
    /// The group id.
    pub gid: u32,
    /// The members named in it, made safe to show, with commas between them: one text, as a hostile group names half a million.
    pub members: String,
    /// Where it was found.
    pub path: ImagePath,
    /// Its line there, from 1.
    pub line: Option<u32>,
}

impl Group {
    pub(super) fn of(group: &group::Group<'_>, path: &ImagePath, line: u32) -> Self {
        Self {
            name: printable(group.name),
            gid: group.gid,
            members: printable(&group.members.join(&b',')),
            path: path.clone(),
            line: Some(line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(line: &str) -> Account {
        match &passwd::parse(line.as_bytes())[0].entry {
            passwd::Entry::Account(account) => Account::of(account, &ImagePath::new("/etc/passwd"), 1),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_mask_in_the_comment() {
        let umask = |gecos: &str| account(&format!("a:x:1:1:{gecos}:/:/bin/sh")).umask;
        assert_eq!(umask("Ann,Room 1,UMASK=0022"), Some(0o22));
        assert_eq!(umask("umask=77,umask=7x"), Some(7));
        assert_eq!((umask("Ann umask=0"), umask("umask"), umask("umask=")), (None, None, Some(0)));
    }

    #[test]
    fn no_shell_is_the_standard_shell() {
        assert!(account("a:x:1:1::/:").has_login_shell());
        assert!(!account("a:x:1:1::/:/usr/sbin/nologin").has_login_shell());
        assert!(!account("a:x:1:1::/:/bin/false").has_login_shell());
        assert!(account("a:x:1:1::/:/bin/falsehood").has_login_shell());
    }

    #[test]
    fn a_password_in_passwd_itself_is_told_from_a_shadowed_one() {
        assert_eq!(account("a:x:1:1::/:").field, Field::Shadowed);
        assert_eq!(account("a::1:1::/:").field, Field::Own(Password::Empty));
        assert_eq!(account("a:*:1:1::/:").field, Field::Closed(Password::None));
        assert_eq!(account("a:!!:1:1::/:").field, Field::Closed(Password::Locked));
        assert_eq!(account("a:!x:1:1::/:").field, Field::Own(Password::Locked));
    }
}
