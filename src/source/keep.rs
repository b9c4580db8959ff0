//! Which files of an archive are kept in memory while it is read, because rules ask for them.
//!
//! Only a guess about cost: from a file, what is not kept is read again; from standard input it is gone, and a rule that asks for it is
//! unknown.

use crate::image::Metadata;
use crate::path::ImagePath;

/// Files of configuration, and those in which secrets lie.
const SMALL: u64 = 256 << 10;
/// Lists that tools make: of modules, of the files of a package.
const LIST: u64 = 16 << 20;
/// Package databases.
const DATABASE: u64 = 128 << 20;
/// Programs whose text says which configuration they read.
const PROGRAM: u64 = 4 << 20;

/// Places of databases.
const DATABASES: [&str; 6] =
    ["/var/lib/dpkg", "/var/lib/rpm", "/usr/lib/sysimage/rpm", "/usr/share/rpm", "/lib/apk/db", "/usr/lib/apk/db"];
/// What packages bring along, of which rules read little.
const PACKAGED: [&str; 8] = ["/usr", "/lib", "/lib64", "/bin", "/sbin", "/boot", "/var/cache", "/var/lib/apt"];
/// That little.
const READ: [&str; 24] = [
    "/boot/efi",
    "/boot/grub",
    "/boot/grub2",
    "/boot/loader",
    "/lib/systemd",
    "/lib/udev",
    "/usr/etc",
    "/usr/lib/environment.d",
    "/usr/lib/firewalld",
    "/usr/lib/modprobe.d",
    "/usr/lib/pam.d",
    "/usr/lib/sysctl.d",
    "/usr/lib/systemd",
    "/usr/lib/tmpfiles.d",
    "/usr/lib/udev",
    "/usr/lib/ufw",
    "/usr/lib/userdb",
    "/usr/local",
    "/usr/share/authselect",
    "/usr/share/crypto-policies",
    "/usr/share/dbus-1",
    "/usr/share/dconf",
    "/usr/share/gdm",
    "/usr/share/netfilter-persistent",
];

/// Whether a regular file is kept.
pub(super) fn keep(path: &ImagePath, metadata: &Metadata) -> bool {
    let below = |places: &[&str]| places.iter().any(|place| path.is_within(&ImagePath::new(place)));
    let (name, size) = (path.file_name(), metadata.size);
    if below(&DATABASES) {
        return size <= DATABASE;
    }
    // The lists of modules, not the modules.
    if name.starts_with(b"modules.") {
        return size <= LIST;
    }
    if matches!(name, b"pam_pwhistory.so" | b"aide") {
        return size <= PROGRAM;
    }
    // Such as `/usr/lib/os-release`, `/usr/lib/passwd`, `/boot/config-6.1`.
    let is_near = path.components().count() <= 3 && !name.starts_with(b"lib");
    let is_read = !below(&PACKAGED) || below(&READ) || (is_near && !below(&["/usr/bin", "/usr/sbin", "/bin", "/sbin"]));
    is_read && size <= SMALL
}
