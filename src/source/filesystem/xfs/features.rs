//! Which features a file system uses. Those that change how it is read and are not known are refused by name.

use std::io;

use super::bytes::{broken, u16_at, u32_at};
use super::error::FileSystemError;

const VERSION_NAMES: [(u16, &str); 9] = [
    (0x0010, "attr"),
    (0x0020, "nlink"),
    (0x0040, "quota"),
    (0x0080, "align"),
    (0x0100, "dalign"),
    (0x0400, "logv2"),
    (0x0800, "sector"),
    (0x1000, "extflg"),
    (0x2000, "dirv2"),
];
const VERSION_DIRV2: u16 = 0x2000;
const VERSION_SHARED: u16 = 0x0200;
const VERSION_ASCII_CI: u16 = 0x4000;
const VERSION_MORE: u16 = 0x8000;
const VERSION_LOGV2: u16 = 0x0400;

const FEATURES2_NAMES: [(u32, &str); 4] = [(0x02, "lazysbcount"), (0x08, "attr2"), (0x80, "projid32"), (0x200, "ftype")];
const FEATURES2_FTYPE: u32 = 0x200;

const INCOMPAT_FTYPE: u32 = 0x1;
const INCOMPAT_SPARSE: u32 = 0x2;
pub(super) const INCOMPAT_META_UUID: u32 = 0x4;
const INCOMPAT_NEEDS_REPAIR: u32 = 0x10;
/// Features that are only named, or whose marks are read where they stand (`bigtime` and `nrext64` are flags of the inode).
const INCOMPAT_KNOWN: [(u32, &str); 8] = [
    (INCOMPAT_FTYPE, "ftype"),
    (INCOMPAT_SPARSE, "sparse inodes"),
    (INCOMPAT_META_UUID, "meta_uuid"),
    (INCOMPAT_NEEDS_REPAIR, "needs repair"),
    (0x8, "bigtime"),
    (0x20, "nrext64"),
    (0x40, "exchange-range"),
    (0x80, "parent pointers"),
];
/// Features with a name that this reader does not know how to read.
const INCOMPAT_REFUSED: [(u32, &str); 3] =
    [(0x100, "a metadata directory tree (metadir)"), (0x200, "zoned real-time storage"), (0x400, "gaps between zones")];
const RO_COMPAT_NAMES: [(u32, &str); 4] = [(0x1, "finobt"), (0x2, "rmapbt"), (0x4, "reflink"), (0x8, "inobtcount")];
/// The only log feature so far: attribute changes written as intents.
const LOG_INCOMPAT_XATTRS: u32 = 0x1;

/// The feature words of the superblock.
#[derive(Debug, Clone)]
pub(super) struct Features {
    /// 4 without checksums, 5 with.
    pub(super) version: u8,
    version_bits: u16,
    features2: u32,
    ro_compat: u32,
    incompat: u32,
    log_incompat: u32,
}

impl Features {
    /// Reads the words; v5 fields of a v4 file system are taken as zero, as they were not defined then.
    pub(super) fn parse(superblock: &[u8]) -> io::Result<Self> {
        let bits = u16_at(superblock, 100)?;
        let version = u8::try_from(bits & 0xf).unwrap_or_default();
        let word = |at| if version == 5 { u32_at(superblock, at) } else { Ok(0) };
        // An old kernel wrote the same word 4 bytes further on some machines; both count, as in the kernel.
        let features2 = if bits & VERSION_MORE == 0 { 0 } else { u32_at(superblock, 200)? | u32_at(superblock, 204)? };
        Ok(Self {
            version,
            version_bits: bits & !0xf,
            features2,
            ro_compat: word(212)?,
            incompat: word(216)?,
            log_incompat: word(220)?,
        })
    }

    /// Refuses what would be read wrongly.
    pub(super) fn refuse(&self) -> Result<(), FileSystemError> {
        let feature = |name: String| Err(FileSystemError::Feature(name));
        if self.version != 4 && self.version != 5 {
            return feature(format!("version {} of the format", self.version));
        }
        if self.version_bits & VERSION_DIRV2 == 0 {
            return feature("version 1 directories".to_owned());
        }
        if self.version_bits & VERSION_SHARED != 0 {
            return feature("a shared (cluster) version number".to_owned());
        }
        if self.has_incompat(INCOMPAT_NEEDS_REPAIR) {
            return Err(FileSystemError::NeedsRepair);
        }
        for (bit, name) in INCOMPAT_REFUSED {
            if self.has_incompat(bit) {
                return feature(name.to_owned());
            }
        }
        let unknown = INCOMPAT_KNOWN.iter().fold(self.incompat, |left, (bit, _)| left & !bit);
        if unknown != 0 {
            return feature(format!("unknown incompatible features {unknown:#x}"));
        }
        // Of these the kernel still reads when asked to read only; a reader needs no more.
        Ok(())
    }

    /// Refuses a log with changes of kinds that are not known.
    pub(super) fn can_replay(&self) -> io::Result<()> {
        let unknown = self.log_incompat & !LOG_INCOMPAT_XATTRS;
        if unknown == 0 {
            return Ok(());
        }
        Err(broken(format_args!("it has changes of unknown kinds (log features {unknown:#x})")))
    }

    pub(super) fn has_incompat(&self, bit: u32) -> bool {
        self.incompat & bit != 0
    }

    /// Whether chunks of inodes may have holes.
    pub(super) fn has_sparse_inodes(&self) -> bool {
        self.has_incompat(INCOMPAT_SPARSE)
    }

    /// Whether names in directories carry the kind of what they name.
    pub(super) fn has_ftype(&self) -> bool {
        self.has_incompat(INCOMPAT_FTYPE) || self.features2 & FEATURES2_FTYPE != 0
    }

    /// Whether names that differ only in ASCII case are the same.
    pub(super) fn ignores_case(&self) -> bool {
        self.version_bits & VERSION_ASCII_CI != 0
    }

    pub(super) fn has_log_v2(&self) -> bool {
        self.version == 5 || self.version_bits & VERSION_LOGV2 != 0
    }

    /// The names of all that is set.
    pub(super) fn names(&self) -> Vec<&'static str> {
        let mut names = vec![if self.version == 5 { "v5" } else { "v4" }];
        if self.version == 4 {
            names.extend(VERSION_NAMES.iter().filter(|(bit, _)| self.version_bits & bit != 0).map(|(_, name)| *name));
        }
        names.extend(FEATURES2_NAMES.iter().filter(|(bit, _)| self.features2 & bit != 0).map(|(_, name)| *name));
        names.extend(self.ignores_case().then_some("ascii-ci"));
        names.extend(RO_COMPAT_NAMES.iter().filter(|(bit, _)| self.ro_compat & bit != 0).map(|(_, name)| *name));
        names.extend(INCOMPAT_KNOWN.iter().filter(|(bit, _)| self.incompat & bit != 0).map(|(_, name)| *name));
        names.extend((self.log_incompat & LOG_INCOMPAT_XATTRS != 0).then_some("logged xattrs"));
        names
    }
}
