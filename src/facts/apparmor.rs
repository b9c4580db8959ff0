//! The profiles of AppArmor as they are loaded at boot.

use super::{Fact, Facts, Unreadable};
use crate::image::ReadError;
use crate::path::{ImagePath, printable};
use crate::syntax::apparmor::heads;

/// What a profile does to its program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProfileMode {
    /// What it does not allow is refused.
    Enforce,
    /// What it does not allow is logged.
    Complain,
    /// It allows everything.
    Unconfined,
    /// It is not loaded.
    Disabled,
}

impl ProfileMode {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Complain => "complain",
            Self::Unconfined => "unconfined",
            Self::Disabled => "disabled",
        }
    }
}

/// One profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The file.
    pub path: ImagePath,
    /// The line of its head, from 1.
    pub line: u32,
    /// Its name; escaped.
    pub name: String,
    /// What it does.
    pub mode: ProfileMode,
}

/// Every profile, in the order of files and lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppArmor {
    /// The profiles.
    pub profiles: Vec<Profile>,
}

/// Where profiles lie.
const FOLDER: &str = "/etc/apparmor.d";

/// Endings that the parser passes over: leftovers of package managers and editors (`aa_is_skipped_file` of libapparmor).
const PASSED_OVER: [&[u8]; 9] =
    [b".dpkg-new", b".dpkg-old", b".dpkg-dist", b".dpkg-bak", b".dpkg-remove", b".pacsave", b".rpmnew", b".rpmsave", b"~"];

pub(super) fn gather(facts: &Facts<'_>) -> Fact<AppArmor> {
    let root = facts.root();
    let folder = ImagePath::new(FOLDER);
    let names = match root.read_dir(&folder) {
        Ok(names) => names,
        Err(error) if error.is_absent() => Vec::new(),
        Err(error) => return Err(Unreadable::reading(&folder, &error)),
    };
    let mut profiles = Vec::new();
    for name in names {
        if name.starts_with(b".") || PASSED_OVER.iter().any(|ending| name.ends_with(ending)) {
            continue;
        }
        let path = folder.join(&name);
        let content = match root.read(&path) {
            Ok(content) => content,
            Err(ReadError::Kind { .. } | ReadError::NotFound | ReadError::Dangling) => continue,
            Err(error) => return Err(Unreadable::reading(&path, &error)),
        };
        // apparmor.d(5): a link of the same name in `disable` or `force-complain`, whatever it leads to.
        let linked = |kind: &str| match root.resolve_parent(&folder.join(kind).join(&name)) {
            Ok(_) => Ok(true),
            Err(error) if error.is_absent() => Ok(false),
            Err(error) => Err(Unreadable::reading(&folder.join(kind), &error)),
        };
        let (disabled, complains) = (linked("disable")?, linked("force-complain")?);
        for head in heads(&content) {
            let has = |flag: &str| head.flags.iter().any(|known| known == flag);
            let mode = if disabled {
                ProfileMode::Disabled
            } else if has("unconfined") {
                ProfileMode::Unconfined
            } else if complains || has("complain") {
                ProfileMode::Complain
            } else {
                ProfileMode::Enforce
            };
            profiles.push(Profile { path: path.clone(), line: head.line, name: printable(head.name.as_bytes()), mode });
        }
    }
    Ok(AppArmor { profiles })
}
