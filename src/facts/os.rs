//! What the image calls itself: `os-release(5)`.

use super::{Fact, Facts, Unreadable};
use crate::path::{ImagePath, printable};
use crate::syntax::os_release;

/// The operating system of the image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Os {
    /// `ID`, such as `debian` or `amzn`.
    pub id: String,
    /// `ID_LIKE`, split.
    pub like: Vec<String>,
    /// `VERSION_ID`; empty where there is none (Debian sid).
    pub version: String,
    /// `PRETTY_NAME`.
    pub name: String,
    /// `VARIANT_ID`.
    pub variant: String,
    /// The file it was read from.
    pub path: Option<ImagePath>,
}

/// Reads `/etc/os-release`, or `/usr/lib/os-release` where that does not exist (`os-release(5)`).
pub(super) fn gather(facts: &Facts<'_>) -> Fact<Os> {
    let mut reason = Unreadable::because("there is no os-release: this is no root file system of a Linux distribution");
    for path in ["/etc/os-release", "/usr/lib/os-release"].map(ImagePath::new) {
        match facts.root().read(&path) {
            Ok(content) => return Ok(parse(&path, &content)),
            Err(error) if error.is_absent() => {}
            Err(error) => {
                reason = Unreadable::reading(&path, &error);
                break;
            }
        }
    }
    Err(reason)
}

fn parse(path: &ImagePath, content: &[u8]) -> Os {
    let mut os = Os { path: Some(path.clone()), ..Os::default() };
    for assignment in os_release::parse(content) {
        let value = printable(&assignment.value);
        match assignment.key {
            b"ID" => os.id = value,
            b"ID_LIKE" => os.like = value.split_ascii_whitespace().map(str::to_owned).collect(),
            b"VERSION_ID" => os.version = value,
            b"PRETTY_NAME" => os.name = value,
            b"VARIANT_ID" => os.variant = value,
            _ => {}
        }
    }
    os
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Target;
    use crate::image::{MemoryImage, Rootfs};

    fn os(image: &MemoryImage) -> Fact<Os> {
        let today = jiff::civil::date(2026, 1, 1);
        gather(&Facts::none(Target::image(Rootfs::new(image), today)))
    }

    #[test]
    fn the_vendor_file_counts_where_etc_has_none() {
        let image = MemoryImage::new().file("/usr/lib/os-release", "ID=debian\nVERSION_ID=\"12\"\n");
        assert_eq!(os(&image).unwrap().version, "12");
    }

    #[test]
    fn the_file_in_etc_wins() {
        let image = MemoryImage::new().file("/usr/lib/os-release", "ID=a\n").file("/etc/os-release", "ID=b\n");
        assert_eq!(os(&image).unwrap().id, "b");
    }

    #[test]
    fn a_root_without_one_is_unreadable() {
        assert!(os(&MemoryImage::new()).is_err());
    }
}
