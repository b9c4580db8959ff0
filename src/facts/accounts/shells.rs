//! `shells(5)`, as `getusershell(3)` reads it.

use super::read_if_any;
use crate::facts::Fact;
use crate::image::Rootfs;
use crate::path::ImagePath;

/// The login programs that count as shells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shells {
    /// Each with its line in `/etc/shells`; without one where the built-in list counts.
    pub listed: Vec<(Vec<u8>, Option<u32>)>,
}

impl Shells {
    /// Where they are listed.
    pub const PATH: &'static str = "/etc/shells";

    /// Whether a login program is listed; an empty one stands for `/bin/sh`.
    #[must_use]
    pub fn lists(&self, shell: &[u8]) -> bool {
        let shell = if shell.is_empty() { b"/bin/sh" } else { shell };
        self.listed.iter().any(|(listed, _)| listed == shell)
    }
}

/// Reads `/etc/shells`; without it glibc knows `/bin/sh` and `/bin/csh` (`okshells` in `misc/getusershell.c`).
pub(super) fn read(root: Rootfs<'_>) -> Fact<Shells> {
    let Some(content) = read_if_any(root, &ImagePath::new(Shells::PATH))? else {
        return Ok(Shells { listed: vec![(b"/bin/sh".to_vec(), None), (b"/bin/csh".to_vec(), None)] });
    };
    let lines = (1..).zip(content.split(|&byte| byte == b'\n'));
    let listed = lines.filter_map(|(line, text)| {
        // What stands before the first slash is passed over, unless a comment begins there.
        let start = text.iter().position(|byte| matches!(byte, b'#' | b'/')).filter(|&at| text.get(at) == Some(&b'/'))?;
        let path = text.get(start..)?;
        let end = path.iter().position(|byte| byte.is_ascii_whitespace() || *byte == b'#').unwrap_or(path.len());
        path.get(..end).filter(|path| path.len() > 1).map(|path| (path.to_vec(), Some(line)))
    });
    Ok(Shells { listed: listed.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::MemoryImage;

    fn shells(image: &MemoryImage) -> Shells {
        read(Rootfs::new(image)).unwrap()
    }

    #[test]
    fn comments_blanks_and_what_follows_a_path() {
        let image = MemoryImage::new().file("/etc/shells", "# /bin/no\n\n  /bin/sh\n/bin/zsh # mine\n/bin/csh\r\n/\n");
        let found = shells(&image);
        assert_eq!(found.listed.len(), 3);
        assert_eq!(found.listed[1], (b"/bin/zsh".to_vec(), Some(4)));
        assert!(found.lists(b"/bin/csh") && found.lists(b"") && !found.lists(b"/bin/no"));
    }

    #[test]
    fn without_the_file_two_shells_count() {
        assert!(shells(&MemoryImage::new()).lists(b"/bin/csh"));
        assert!(!shells(&MemoryImage::new()).lists(b"/bin/bash"));
    }
}
