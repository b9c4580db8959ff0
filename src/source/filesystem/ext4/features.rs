//! Feature words: which are understood, and what all of them are called.
//!
//! Source: kernel documentation, `ext4/super`, and the names of `ext4(5)`.

use super::error::FileSystemError;

/// The three feature words of a superblock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Features {
    /// Features that need not be understood.
    pub compatible: u32,
    /// Features that have to be understood to read.
    pub incompatible: u32,
    /// Features that have to be understood to write.
    pub read_only: u32,
}

/// A feature by its bit.
type Named = (u32, &'static str);

const COMPATIBLE: &[Named] = &[
    (0x1, "dir_prealloc"),
    (0x2, "imagic_inodes"),
    (0x4, "has_journal"),
    (0x8, "ext_attr"),
    (0x10, "resize_inode"),
    (0x20, "dir_index"),
    (0x40, "lazy_bg"),
    (0x80, "exclude_inode"),
    (0x100, "snapshot_bitmap"),
    (0x200, "sparse_super2"),
    (0x400, "fast_commit"),
    (0x800, "stable_inodes"),
    (0x1000, "orphan_file"),
];

const INCOMPATIBLE: &[Named] = &[
    (0x1, "compression"),
    (0x2, "filetype"),
    (0x4, "needs_recovery"),
    (0x8, "journal_dev"),
    (0x10, "meta_bg"),
    (0x40, "extent"),
    (0x80, "64bit"),
    (0x100, "mmp"),
    (0x200, "flex_bg"),
    (0x400, "ea_inode"),
    (0x1000, "dirdata"),
    (0x2000, "metadata_csum_seed"),
    (0x4000, "large_dir"),
    (0x8000, "inline_data"),
    (0x1_0000, "encrypt"),
    (0x2_0000, "casefold"),
];

const READ_ONLY: &[Named] = &[
    (0x1, "sparse_super"),
    (0x2, "large_file"),
    (0x4, "btree_dir"),
    (0x8, "huge_file"),
    (0x10, "uninit_bg"),
    (0x20, "dir_nlink"),
    (0x40, "extra_isize"),
    (0x80, "has_snapshot"),
    (0x100, "quota"),
    (0x200, "bigalloc"),
    (0x400, "metadata_csum"),
    (0x800, "replica"),
    (0x1000, "read-only"),
    (0x2000, "project"),
    (0x4000, "shared_blocks"),
    (0x8000, "verity"),
    (0x1_0000, "orphan_present"),
];

impl Features {
    /// Incompatible features that this reader knows: all but compression, external journals as such, and Lustre's data in
    /// directories.
    const READ: u32 = 0x2 | 0x4 | 0x10 | 0x40 | 0x80 | 0x100 | 0x200 | 0x400 | 0x2000 | 0x4000 | 0x8000 | 0x1_0000 | 0x2_0000;

    /// Refuses what would be read wrongly.
    pub(super) fn refuse(&self) -> Result<(), FileSystemError> {
        let unknown = self.incompatible & !Self::READ;
        if unknown == 0 {
            return Ok(());
        }
        let what = match unknown {
            0x8 => "journal_dev: it is the journal of another file system, and holds no files".to_owned(),
            _ => names(unknown, INCOMPATIBLE, "incompatible").join(", "),
        };
        Err(FileSystemError::Feature(what))
    }

    /// The names of all features, in the order of their bits.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let mut all = names(self.compatible, COMPATIBLE, "compatible");
        all.extend(names(self.incompatible, INCOMPATIBLE, "incompatible"));
        all.extend(names(self.read_only, READ_ONLY, "read-only-compatible"));
        all
    }

    pub(super) fn journal(&self) -> bool {
        self.compatible & 0x4 != 0
    }

    pub(super) fn dir_index(&self) -> bool {
        self.compatible & 0x20 != 0
    }

    pub(super) fn sparse_super2(&self) -> bool {
        self.compatible & 0x200 != 0
    }

    pub(super) fn needs_recovery(&self) -> bool {
        self.incompatible & 0x4 != 0
    }

    pub(super) fn meta_bg(&self) -> bool {
        self.incompatible & 0x10 != 0
    }

    pub(super) fn wide(&self) -> bool {
        self.incompatible & 0x80 != 0
    }

    pub(super) fn ea_inode(&self) -> bool {
        self.incompatible & 0x400 != 0
    }

    pub(super) fn csum_seed(&self) -> bool {
        self.incompatible & 0x2000 != 0
    }

    pub(super) fn large_dir(&self) -> bool {
        self.incompatible & 0x4000 != 0
    }

    pub(super) fn sparse_super(&self) -> bool {
        self.read_only & 0x1 != 0
    }

    pub(super) fn huge_file(&self) -> bool {
        self.read_only & 0x8 != 0
    }

    pub(super) fn uninit_bg(&self) -> bool {
        self.read_only & 0x10 != 0
    }

    pub(super) fn bigalloc(&self) -> bool {
        self.read_only & 0x200 != 0
    }

    pub(super) fn metadata_csum(&self) -> bool {
        self.read_only & 0x400 != 0
    }
}

fn names(word: u32, known: &[Named], kind: &str) -> Vec<String> {
    let bits = (0..32).map(|bit| 1 << bit).filter(|bit| word & bit != 0);
    bits.map(|bit| {
        let name = known.iter().find(|(known, _)| *known == bit).map(|(_, name)| (*name).to_owned());
        name.unwrap_or_else(|| format!("the unknown {kind} feature {bit:#x}"))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_feature_is_refused_by_its_name() {
        let features = |incompatible| Features { compatible: 0x4, incompatible, read_only: 0x400 };
        assert!(features(0x2c2).refuse().is_ok());
        let refused = |incompatible| features(incompatible).refuse().unwrap_err().to_string();
        assert_eq!(refused(0x1001), "this file system uses compression, dirdata, which is not supported");
        let unknown = "this file system uses the unknown incompatible feature 0x40000, which is not supported";
        assert_eq!(refused(0x4_0002), unknown);
        assert!(refused(0x8).contains("journal of another file system"));
        assert_eq!(features(0x42).names(), ["has_journal", "filetype", "extent", "metadata_csum"]);
    }
}
