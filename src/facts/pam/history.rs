//! Whether `pam_pwhistory` has a configuration file.
//!
//! Linux-PAM has it since 1.5.3 (`pwhistory_config.c`); Fedora and Red Hat took it into 1.5.2, 1.5.1 and 1.3.1 before. The module of the
//! image says it best: the file's name is in it.

use crate::facts::packages::Family;
use crate::facts::{Fact, Unreadable};
use crate::image::{ReadError, Rootfs};
use crate::path::ImagePath;

/// Where modules lie, with and without the name of an architecture.
const MODULES: [&str; 4] = [
    "/usr/lib*/security/pam_pwhistory.so",
    "/usr/lib/*/security/pam_pwhistory.so",
    "/lib*/security/pam_pwhistory.so",
    "/lib/*/security/pam_pwhistory.so",
];
/// The module has some 20 kB.
const MAX_MODULE: u64 = 1 << 20;
/// The first release with the file.
const SINCE: &str = "1.5.3";

/// Where no module is at hand, the version of Debian's package tells; where that is not known either, it is taken to have the file, as
/// every supported release of Red Hat has.
pub(super) fn has_files(root: Rootfs<'_>, version: Option<&str>) -> Fact<bool> {
    let mut found = false;
    for pattern in MODULES {
        let paths = root.glob(pattern).map_err(|error| Unreadable::at(&ImagePath::new(pattern), error.to_string()))?;
        for path in paths {
            match root.read_start(&path, MAX_MODULE) {
                // No module can be empty: this is a model of a tree.
                Ok(module) if module.is_empty() => {}
                // Of two architectures the one that cannot decides: nobody knows through which a password comes.
                Ok(module) if memchr::memmem::find(&module, b"/pwhistory.conf").is_none() => return Ok(false),
                Ok(_) => found = true,
                Err(error) if error.is_absent() => {}
                Err(ReadError::Kind { .. }) => {}
                Err(error) => return Err(Unreadable::reading(&path, &error)),
            }
        }
    }
    if found {
        return Ok(true);
    }
    Ok(version.is_none_or(|version| Family::Dpkg.compare(version, SINCE).is_ok_and(std::cmp::Ordering::is_ge)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::MemoryImage;

    #[test]
    fn the_module_knows_and_else_its_package() {
        let path = "/usr/lib/x86_64-linux-gnu/security/pam_pwhistory.so";
        let with = MemoryImage::new().file(path, "\0/etc/security/pwhistory.conf\0");
        let without = MemoryImage::new().file(path, "\0/etc/security/opasswd\0");
        let none = MemoryImage::new().file(path, "");
        let ask = |image, version| has_files(Rootfs::new(image), version).unwrap();
        assert!(ask(&with, Some("1.5.2-6")) && !ask(&without, Some("1.7.0-5")));
        assert!(!ask(&none, Some("1.5.2-6")) && ask(&none, Some("1.5.3-5ubuntu5")) && ask(&none, None));
    }
}
