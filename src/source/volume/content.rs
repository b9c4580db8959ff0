//! What a volume holds, told by its first bytes as `blkid(8)` does, with label and UUID.

use std::io;

use serde::Serialize;

use crate::path::printable;
use crate::source::device::fields::{array, be16, le32, le64, size, slice, uuid};
use crate::source::device::{BlockDevice, Device};

/// What a volume can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// ext2, ext3 or ext4.
    Ext,
    /// XFS.
    Xfs,
    /// FAT12, FAT16 or FAT32.
    Fat,
    /// Swap space.
    Swap,
    /// A physical volume of LVM.
    LvmMember,
    /// A partition table.
    Partitions,
    /// LUKS, version 1 or 2.
    Luks,
    /// BitLocker.
    Bitlocker,
    /// A member of a Linux software RAID.
    RaidMember,
    /// Squashfs.
    Squashfs,
    /// btrfs.
    Btrfs,
    /// EROFS.
    Erofs,
    /// F2FS.
    F2fs,
    /// NTFS.
    Ntfs,
    /// exFAT.
    Exfat,
    /// ZFS.
    Zfs,
    /// ISO 9660.
    Iso9660,
    /// Something compressed: gzip, bzip2, xz, zstd.
    Packed,
    /// Nothing where any of them has its mark.
    #[default]
    Unknown,
}

impl Kind {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ext => "ext2/3/4",
            Self::Xfs => "XFS",
            Self::Fat => "FAT",
            Self::Swap => "swap",
            Self::LvmMember => "LVM physical volume",
            Self::Partitions => "partition table",
            Self::Luks => "LUKS",
            Self::Bitlocker => "BitLocker",
            Self::RaidMember => "Linux software RAID member",
            Self::Squashfs => "squashfs",
            Self::Btrfs => "btrfs",
            Self::Erofs => "EROFS",
            Self::F2fs => "F2FS",
            Self::Ntfs => "NTFS",
            Self::Exfat => "exFAT",
            Self::Zfs => "ZFS",
            Self::Iso9660 => "ISO 9660",
            Self::Packed => "compressed data",
            Self::Unknown => "nothing that is known",
        }
    }

    /// Why it is not read and what to do, for all but the file systems that are.
    #[must_use]
    pub const fn refusal(self) -> Option<&'static str> {
        Some(match self {
            Self::Ext | Self::Xfs | Self::Fat | Self::Swap | Self::LvmMember | Self::Partitions => return None,
            Self::Luks => "encrypted with LUKS: open it (cryptsetup open) and scan what that gives",
            Self::Bitlocker => "encrypted with BitLocker: unlock it (cryptsetup bitlkOpen) and scan what that gives",
            Self::RaidMember => {
                "a member of a Linux software RAID, which is not put together: assemble it (mdadm) and scan what that gives"
            }
            Self::Squashfs => "squashfs is not read: unpack it (unsquashfs) and scan the directory",
            Self::Btrfs => "btrfs is not read: mount it and scan the directory",
            Self::Erofs => "EROFS is not read: unpack it (fsck.erofs --extract) and scan the directory",
            Self::F2fs => "F2FS is not read: mount it and scan the directory",
            Self::Ntfs => "NTFS is not read",
            Self::Exfat => "exFAT is not read: mount it and scan the directory",
            Self::Zfs => "ZFS is not read: mount it and scan the directory",
            Self::Iso9660 => "ISO 9660 is not read: mount it and scan the directory",
            Self::Packed => "compressed: unpack it first",
            Self::Unknown => "holds nothing that is known",
        })
    }

    /// Whether its mark is in the very first sector, where a partition table would have to be.
    const fn owns_first_sector(self) -> bool {
        !matches!(
            self,
            Self::Ext
                | Self::Swap
                | Self::LvmMember
                | Self::RaidMember
                | Self::Btrfs
                | Self::Erofs
                | Self::F2fs
                | Self::Zfs
                | Self::Iso9660
                | Self::Partitions
                | Self::Unknown
        )
    }
}

/// What a volume holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Content {
    /// What it is.
    pub kind: Kind,
    /// Its version or variant, where there are several: `FAT32`, `LUKS2`, `ext4`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<&'static str>,
    /// Its label, as stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Its UUID, as `blkid(8)` writes it for this kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
}

impl Content {
    pub(super) const fn of(kind: Kind) -> Self {
        Self { kind, variant: None, label: None, uuid: None }
    }

    /// Whether a partition table in the first sector cannot be meant.
    pub(super) const fn owns_first_sector(&self) -> bool {
        self.kind.owns_first_sector()
    }
}

/// The first bytes of a volume, and further ones where some kinds have their mark.
struct Looked<'d> {
    device: &'d dyn BlockDevice,
    head: Vec<u8>,
}

/// Looks for one kind, or a few.
type Look = fn(&Looked<'_>) -> io::Result<Option<Content>>;

/// All marks but those of btrfs, ISO 9660 and the end are in here.
const HEAD: u64 = 8 << 10;

/// Tells what a volume holds.
///
/// # Errors
/// What the device said.
pub fn recognise(device: &Device) -> io::Result<Content> {
    let mut head = vec![0; size(device.len().min(HEAD))?];
    device.read_at(0, &mut head)?;
    // Marks are looked for beyond a small volume's end, where there are none.
    head.resize(size(HEAD)?, 0);
    let looked = Looked { device: &**device, head };
    // A RAID comes first: its members hold a file system's mark as well. Then what is encrypted or put together from several.
    let order: [Look; 10] = [raid, luks, lvm, windows, xfs, ext, fat, small, far, swap];
    for look in order {
        if let Some(content) = look(&looked)? {
            return Ok(content);
        }
    }
    zfs(&looked).map(Option::unwrap_or_default)
}

impl Looked<'_> {
    fn has(&self, at: usize, mark: &[u8]) -> bool {
        slice(&self.head, at, mark.len()).is_ok_and(|found| found == mark)
    }

    /// Bytes further on; zeros where the volume ends before.
    fn far(&self, at: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        if at.checked_add(length as u64).is_some_and(|end| end <= self.device.len()) {
            match self.device.read_at(at, &mut bytes) {
                // A disk that was cut off has nothing there.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => bytes.fill(0),
                other => other?,
            }
        }
        Ok(bytes)
    }

    fn uuid(&self, at: usize) -> io::Result<Option<String>> {
        Ok(Some(array(&self.head, at)?).filter(|bytes| *bytes != [0; 16]).map(uuid))
    }

    fn label(&self, at: usize, length: usize) -> io::Result<Option<String>> {
        Ok(label(slice(&self.head, at, length)?))
    }
}

/// Text up to its padding; none if nothing is left.
fn label(bytes: &[u8]) -> Option<String> {
    let text = bytes.split(|&byte| byte == 0).next().unwrap_or_default().trim_ascii_end();
    (!text.is_empty()).then(|| printable(text))
}

/// md superblocks (`md(4)`): 1.1 at the start, 1.2 at 4 KiB, 1.0 and 0.90 near the end.
fn raid(looked: &Looked<'_>) -> io::Result<Option<Content>> {
    const MARK: u32 = 0xa92b_4efc;
    let length = looked.device.len();
    let places = [
        (0, "1.1"),
        (4096, "1.2"),
        (length.saturating_sub(8 << 10) & !0xfff, "1.0"),
        ((length & !0xffff).saturating_sub(64 << 10), "0.90"),
    ];
    for (at, variant) in places {
        let block = looked.far(at, 64)?;
        if le32(&block, 0)? == MARK {
            let modern = le32(&block, 4)? == 1;
            let (uuid, label) =
                if modern { (Some(uuid(array(&block, 16)?)), label(slice(&block, 32, 32)?)) } else { (None, None) };
            return Ok(Some(Content { kind: Kind::RaidMember, variant: Some(variant), label, uuid }));
        }
    }
    Ok(None)
}

fn luks(looked: &Looked<'_>) -> io::Result<Option<Content>> {
    if !looked.has(0, b"LUKS\xba\xbe") {
        return Ok(None);
    }
    let second = be16(&looked.head, 6)? == 2;
    let label = if second { looked.label(24, 48)? } else { None };
    let variant = Some(if second { "LUKS2" } else { "LUKS1" });
    Ok(Some(Content { kind: Kind::Luks, variant, label, uuid: looked.label(168, 40)? }))
}

fn lvm(looked: &Looked<'_>) -> io::Result<Option<Content>> {
    let at = (0..4).map(|sector| sector * 512).find(|at| looked.has(*at, b"LABELONE") && looked.has(at + 24, b"LVM2 001"));
    let Some(at) = at else { return Ok(None) };
    let start = le32(&looked.head, at + 20)? as usize;
    let uuid = slice(&looked.head, at.saturating_add(start), 32).ok().map(super::lvm::dashed);
    Ok(Some(Content { kind: Kind::LvmMember, variant: None, label: None, uuid }))
}

fn windows(looked: &Looked<'_>) -> io::Result<Option<Content>> {
    let number = |at| le64(&looked.head, at).map(|number| format!("{number:016X}"));
    Ok(if looked.has(3, b"NTFS    ") {
        Some(Content { uuid: Some(number(72)?), ..Content::of(Kind::Ntfs) })
    } else if looked.has(3, b"-FVE-FS-") || looked.has(3, b"MSWIN4.1") && looked.has(424, b"\x3b\xd6\x67\x49\x29\x2e\xd8\x4a") {
        Some(Content::of(Kind::Bitlocker))
    } else if looked.has(3, b"EXFAT   ") {
        let number = le32(&looked.head, 100)?;
        Some(Content { uuid: Some(format!("{:04X}-{:04X}", number >> 16, number & 0xffff)), ..Content::of(Kind::Exfat) })
    } else {
        None
    })
}

fn xfs(looked: &Looked<'_>) -> io::Result<Option<Content>> {
    if !looked.has(0, b"XFSB") {
        return Ok(None);
    }
    Ok(Some(Content { kind: Kind::Xfs, variant: None, label: looked.label(108, 12)?, uuid: looked.uuid(32)? }))
}

/// Kernel documentation, ext4 "The Super Block". What tells the three apart is what each brought.
fn ext(looked: &Looked<'_>) -> io::Result<Option<Content>> {
    if !looked.has(1080, &[0x53, 0xef]) {
        return Ok(None);
    }
    let (compatible, incompatible, read_only) = (le32(&looked.head, 1116)?, le32(&looked.head, 1120)?, le32(&looked.head, 1124)?);
    // Beyond sparse_super, large_file (and b-tree directories); beyond filetype, needs_recovery, journal device and meta_bg.
    let variant = if read_only & !0x7 != 0 || incompatible & !0x1e != 0 {
        "ext4"
    } else if compatible & 4 != 0 {
        "ext3"
    } else {
        "ext2"
    };
    let (label, uuid) = (looked.label(1144, 16)?, looked.uuid(1128)?);
    Ok(Some(Content { kind: Kind::Ext, variant: Some(variant), label, uuid }))
}

/// Microsoft's FAT specification, section 3. The type is told by the number of clusters; its name in the sector is only a mark.
fn fat(looked: &Looked<'_>) -> io::Result<Option<Content>> {
    if !looked.has(510, &[0x55, 0xaa]) {
        return Ok(None);
    }
    let (at, variant) = if looked.has(82, b"FAT32   ") {
        (67, "FAT32")
    } else if looked.has(54, b"FAT16   ") {
        (39, "FAT16")
    } else if looked.has(54, b"FAT12   ") {
        (39, "FAT12")
    } else {
        return Ok(None);
    };
    let number = le32(&looked.head, at)?;
    let label = looked.label(at + 4, 11)?.filter(|label| label != "NO NAME");
    let uuid = Some(format!("{:04X}-{:04X}", number >> 16, number & 0xffff));
    Ok(Some(Content { kind: Kind::Fat, variant: Some(variant), label, uuid }))
}

fn small(looked: &Looked<'_>) -> io::Result<Option<Content>> {
    if looked.has(0, b"hsqs") {
        return Ok(Some(Content::of(Kind::Squashfs)));
    }
    if looked.has(1024, &[0xe2, 0xe1, 0xf5, 0xe0]) {
        return Ok(Some(Content { uuid: looked.uuid(1072)?, label: looked.label(1088, 16)?, ..Content::of(Kind::Erofs) }));
    }
    if looked.has(1024, &[0x10, 0x20, 0xf5, 0xf2]) {
        return Ok(Some(Content { uuid: looked.uuid(1132)?, ..Content::of(Kind::F2fs) }));
    }
    for (mark, variant) in
        [(&b"\x1f\x8b\x08"[..], "gzip"), (b"BZh", "bzip2"), (b"\xfd7zXZ\0", "xz"), (b"\x28\xb5\x2f\xfd", "zstd")]
    {
        if looked.has(0, mark) {
            return Ok(Some(Content { variant: Some(variant), ..Content::of(Kind::Packed) }));
        }
    }
    Ok(None)
}

fn far(looked: &Looked<'_>) -> io::Result<Option<Content>> {
    let block = looked.far(64 << 10, 1024)?;
    if slice(&block, 64, 8)? == b"_BHRfS_M" {
        let uuid = Some(uuid(array(&block, 32)?));
        return Ok(Some(Content { uuid, label: label(slice(&block, 299, 256)?), ..Content::of(Kind::Btrfs) }));
    }
    let block = looked.far(32 << 10, 128)?;
    if slice(&block, 1, 5)? == b"CD001" {
        return Ok(Some(Content { label: label(slice(&block, 40, 32)?), ..Content::of(Kind::Iso9660) }));
    }
    Ok(None)
}

/// The mark ends the first page, whose size is that of the machine that made it.
fn swap(looked: &Looked<'_>) -> io::Result<Option<Content>> {
    for page in [4_u64 << 10, 8 << 10, 16 << 10, 64 << 10] {
        let mark = looked.far(page - 10, 10)?;
        if mark == b"SWAPSPACE2" || mark == b"SWAP-SPACE" {
            return Ok(Some(Content { uuid: looked.uuid(1036)?, label: looked.label(1052, 16)?, ..Content::of(Kind::Swap) }));
        }
    }
    Ok(None)
}

/// One of 128 uberblocks of the first label is in use.
fn zfs(looked: &Looked<'_>) -> io::Result<Option<Content>> {
    const MARK: u64 = 0x00ba_b10c;
    let blocks = looked.far(128 << 10, 128 << 10)?;
    let marked = blocks.chunks_exact(1024).any(|block| {
        let first = block.first_chunk().copied().unwrap_or_default();
        u64::from_le_bytes(first) == MARK || u64::from_be_bytes(first) == MARK
    });
    Ok(marked.then(|| Content::of(Kind::Zfs)))
}
