//! Which of the file systems of a disk is the root: told by what is in it, never by a partition's name.

use serde::Serialize;

use crate::image::{FileKind, Image, Rootfs};
use crate::path::{ImagePath, printable};

/// An `os-release` is a few hundred bytes.
const LONGEST: u64 = 64 << 10;

/// A file system that could be a root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Root {
    /// Its number among those that were looked at.
    pub index: usize,
    /// What its `os-release` calls itself (`PRETTY_NAME`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// What speaks for it: `os-release`, `fstab`, `usr`, `passwd`.
    pub signs: Vec<&'static str>,
}

/// The file systems that are roots, in the order given. One is the answer; with several somebody has to choose; with none there is
/// nothing to judge.
///
/// A root has `/etc` or `/usr` as a directory, and two of: an `os-release` (or the link to one that is in a `/usr` of its own), an
/// `fstab`, a `/usr`, a `passwd`.
#[must_use]
pub fn roots(candidates: &[&dyn Image]) -> Vec<Root> {
    candidates.iter().enumerate().filter_map(|(index, image)| root(index, *image)).collect()
}

fn root(index: usize, image: &dyn Image) -> Option<Root> {
    let tree = Rootfs::new(image);
    let kind = |path: &str| tree.resolve_parent(&ImagePath::new(path)).ok().map(|found| found.metadata.kind);
    let file = |path: &str| matches!(kind(path), Some(FileKind::File | FileKind::Link));
    let mut signs = Vec::new();
    if file("/etc/os-release") || file("/usr/lib/os-release") {
        signs.push("os-release");
    }
    if file("/etc/fstab") {
        signs.push("fstab");
    }
    // A /usr of its own leaves an empty directory behind, which still is the place for it.
    if kind("/usr") == Some(FileKind::Directory) {
        signs.push("usr");
    }
    if file("/etc/passwd") {
        signs.push("passwd");
    }
    let directory = |path| tree.resolve(&ImagePath::new(path)).is_ok_and(|found| found.metadata.kind == FileKind::Directory);
    if signs.len() < 2 || !(directory("/etc") || directory("/usr")) {
        return None;
    }
    Some(Root { index, system: system(tree), signs })
}

fn system(tree: Rootfs<'_>) -> Option<String> {
    let read = |path: &str| tree.read_start(&ImagePath::new(path), LONGEST).ok();
    let text = read("/etc/os-release").or_else(|| read("/usr/lib/os-release"))?;
    // The last one counts, as in the shell that the file is written for.
    let line = text.split(|&byte| byte == b'\n').rev().find_map(|line| line.strip_prefix(b"PRETTY_NAME="))?;
    let line = line.trim_ascii();
    let quoted = [b'"', b'\''].iter().find_map(|quote| line.strip_prefix(&[*quote])?.strip_suffix(&[*quote]));
    Some(printable(quoted.unwrap_or(line)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::MemoryImage;

    #[test]
    fn the_root_is_told_by_what_is_in_it() {
        let boot = MemoryImage::new().file("/vmlinuz-6.1", "").file("/grub/grub.cfg", "");
        let root = MemoryImage::new()
            .file("/etc/fstab", "")
            .file("/etc/passwd", "")
            .file("/usr/lib/os-release", "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n")
            .link("/etc/os-release", "../usr/lib/os-release");
        let home = MemoryImage::new().file("/somebody/etc/fstab", "").directory("/usr");
        let split = MemoryImage::new().file("/etc/fstab", "").link("/etc/os-release", "../usr/lib/os-release").directory("/usr");
        let usr = MemoryImage::new().file("/lib/os-release", "").directory("/bin");
        let found = roots(&[&boot, &root, &home, &split, &usr]);
        assert_eq!(found.iter().map(|root| root.index).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(found[0].system.as_deref(), Some("Debian GNU/Linux 12 (bookworm)"));
        assert_eq!(found[0].signs, ["os-release", "fstab", "usr", "passwd"]);
        assert_eq!((found[1].system.as_deref(), &*found[1].signs), (None, &["os-release", "fstab", "usr"][..]));
    }

    #[test]
    fn an_image_without_a_fstab_is_a_root_all_the_same() {
        let root = MemoryImage::new().file("/etc/os-release", "PRETTY_NAME='Amazon Linux 2023'").file("/usr/bin/x", "");
        assert_eq!(roots(&[&root])[0].system.as_deref(), Some("Amazon Linux 2023"));
        assert_eq!(roots(&[&MemoryImage::new()]), []);
    }
}
