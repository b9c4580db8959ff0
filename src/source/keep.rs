//! Which files of an archive are kept in memory while it is read, because rules ask for them.
//!
//! Only a guess about cost: from a file, what is not kept is read again; from standard input it is gone, and a rule that asks for it is
//! unknown.

use crate::image::Metadata;
use crate::path::ImagePath;

/// Files of configuration, and places in which secrets lie.
const SMALL: u64 = 256 << 10;
/// Lists that tools make: of modules, of the files of a package.
const LIST: u64 = 16 << 20;
/// Package databases.
const DATABASE: u64 = 128 << 20;

/// Places of databases.
const DATABASES: &[&str] =
    &["/var/lib/dpkg", "/var/lib/rpm", "/usr/lib/sysimage/rpm", "/usr/share/rpm", "/lib/apk/db", "/usr/lib/apk/db"];
/// Places of large lists.
const LISTS: &[&str] = &["/usr/lib/modules", "/lib/modules", "/boot", "/etc"];
/// What is large in number, and that no rule reads.
const NEVER: &[&str] = &[
    "/usr/share/doc",
    "/usr/share/man",
    "/usr/share/info",
    "/usr/share/locale",
    "/usr/share/i18n",
    "/usr/share/zoneinfo",
    "/usr/share/perl",
    "/usr/share/perl5",
    "/usr/share/icons",
    "/usr/share/fonts",
    "/usr/include",
    "/usr/src",
    "/usr/bin",
    "/usr/sbin",
    "/usr/lib64",
    "/usr/lib/python3",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
];

/// Whether a regular file is kept.
pub(super) fn keep(path: &ImagePath, metadata: &Metadata) -> bool {
    let below = |places: &[&str]| places.iter().any(|place| path.is_within(&ImagePath::new(place)));
    // Modules are many and none is read; their lists are.
    let is_module = [&b".ko"[..], b".ko.xz", b".ko.zst", b".ko.gz"].iter().any(|ending| path.file_name().ends_with(ending));
    match metadata.size {
        _ if is_module => false,
        size if below(DATABASES) => size <= DATABASE,
        size if below(LISTS) => size <= LIST,
        size => size <= SMALL && !below(NEVER),
    }
}
