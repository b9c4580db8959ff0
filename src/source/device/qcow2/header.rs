//! The header of a qcow2 file and what it says of features (QEMU, `docs/interop/qcow2.txt`). All numbers are big-endian.

use std::io;

use super::super::fields::{array, be32, be64, size, slice};
use super::super::{BlockDevice, broken, unsupported};
use crate::path::printable;

/// How a qcow2 file begins.
pub(in crate::source::device) const MAGIC: [u8; 4] = *b"QFI\xfb";

/// A header with its extensions lies in the first cluster; QEMU's are shorter than this.
const LONGEST: u64 = 64 << 10;
/// What the specification allows for a name of another file.
const LONGEST_NAME: u32 = 1023;
/// QEMU's own bound of an L1 table: 32 MiB.
const MOST_L1: u32 = 4 << 20;
/// As large as a file can be.
const LARGEST: u64 = i64::MAX as u64;

const DIRTY: u64 = 1 << 0;
const CORRUPT: u64 = 1 << 1;
const DATA_FILE: u64 = 1 << 2;
const COMPRESSION: u64 = 1 << 3;
const EXTENDED_L2: u64 = 1 << 4;

/// What the header says.
#[derive(Debug)]
pub(super) struct Header {
    /// Size of the disk in bytes.
    pub(super) size: u64,
    /// A cluster is two to the power of this in bytes: 9 to 21.
    pub(super) cluster_bits: u32,
    /// Version 3, which knows clusters of zeros.
    pub(super) zeros: bool,
    /// Whether clusters are halved into 32 parts each.
    pub(super) extended: bool,
    /// Whether what is compressed is so by zstd.
    pub(super) zstd: bool,
    /// Where the L1 table is and how many entries it has.
    pub(super) l1: (u64, u32),
    /// The file below, and whether it is known to be raw.
    pub(super) backing: Option<(Vec<u8>, bool)>,
    /// The file that holds the data.
    pub(super) data_file: Option<Vec<u8>>,
    /// What its reader should know.
    pub(super) notes: Vec<String>,
}

/// What follows the header, up to the names.
#[derive(Default)]
struct Extensions {
    data_file: Option<Vec<u8>>,
    backing_format: Option<Vec<u8>>,
    /// Kind (0 incompatible), bit and name of a feature.
    names: Vec<(u8, u8, String)>,
}

impl Header {
    pub(super) fn read(file: &dyn BlockDevice) -> io::Result<Self> {
        let mut bytes = vec![0; size(file.len().min(LONGEST))?];
        file.read_at(0, &mut bytes)?;
        let version = be32(&bytes, 4)?;
        let cluster_bits = be32(&bytes, 20)?;
        if !(9..=21).contains(&cluster_bits) {
            return Err(broken(format!("qcow2: clusters of two to the power of {cluster_bits} bytes; 9 to 21 are allowed")));
        }
        let (incompatible, header_length) = match version {
            2 => (0, 72),
            3 => (be64(&bytes, 72)?, be32(&bytes, 100)?),
            other => return Err(unsupported(format!("qcow2: version {other}; 2 and 3 are read"))),
        };
        let header_length = header_length as usize;
        if header_length < if version == 2 { 72 } else { 104 } || header_length as u64 > 1 << cluster_bits {
            return Err(broken(format!("qcow2: a header of {header_length} bytes")));
        }
        let extensions = Extensions::read(&bytes, header_length)?;
        refuse_unknown(incompatible, &extensions)?;
        match be32(&bytes, 32)? {
            0 => {}
            1 => return Err(unsupported("qcow2: encrypted (AES): decrypt it first: qemu-img convert with its secret")),
            2 => return Err(unsupported("qcow2: encrypted (LUKS): decrypt it first: qemu-img convert with its secret")),
            other => return Err(unsupported(format!("qcow2: encrypted by an unknown method ({other})"))),
        }
        let compression = if header_length > 104 { array::<1>(&bytes, 104)? } else { [0] };
        let zstd = match (incompatible & COMPRESSION != 0, compression) {
            (false, [0]) => false,
            (true, [1]) => true,
            (_, [other]) => return Err(unsupported(format!("qcow2: compression type {other}; zlib and zstd are read"))),
        };
        let extended = incompatible & EXTENDED_L2 != 0;
        if extended && cluster_bits < 14 {
            return Err(broken("qcow2: extended L2 entries with clusters of less than 16 KiB"));
        }
        let mut header = Self {
            size: be64(&bytes, 24)?,
            cluster_bits,
            zeros: version == 3,
            extended,
            zstd,
            l1: (be64(&bytes, 40)?, be32(&bytes, 36)?),
            backing: backing(&bytes, &extensions)?,
            data_file: None,
            notes: Vec::new(),
        };
        if incompatible & DATA_FILE != 0 {
            let missing = || broken("qcow2: its data are in another file, which it does not name");
            header.data_file = Some(extensions.data_file.ok_or_else(missing)?);
        }
        header.check(file)?;
        header.note(&bytes, incompatible)?;
        Ok(header)
    }

    /// Bytes of an L2 entry.
    pub(super) const fn entry(&self) -> u64 {
        if self.extended { 16 } else { 8 }
    }

    /// Bytes of a cluster.
    pub(super) const fn cluster(&self) -> u64 {
        1 << self.cluster_bits
    }

    /// The tables have to lie where tables can lie, and to be as large as the disk needs.
    fn check(&self, file: &dyn BlockDevice) -> io::Result<()> {
        let (offset, entries) = self.l1;
        if self.size > LARGEST {
            return Err(broken(format!("qcow2: a disk of {} bytes", self.size)));
        }
        let covered = self.cluster() * (self.cluster() / self.entry());
        let needed = self.size.div_ceil(covered);
        if entries > MOST_L1 || needed > u64::from(entries) {
            return Err(broken(format!("qcow2: an L1 table of {entries} entries; a disk of {} bytes needs {needed}", self.size)));
        }
        if !offset.is_multiple_of(self.cluster()) {
            return Err(broken(format!("qcow2: its L1 table is at byte {offset}, not at the start of a cluster")));
        }
        let end = offset.saturating_add(u64::from(entries) * 8);
        if end > file.len() {
            let what = format!(
                "qcow2: its L1 table ends at byte {end}, the file at byte {}: cut off, and nothing of it can be read",
                file.len()
            );
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
        }
        Ok(())
    }

    fn note(&mut self, bytes: &[u8], incompatible: u64) -> io::Result<()> {
        if incompatible & DIRTY != 0 {
            self.notes.push("was not closed cleanly: its reference counts may be wrong, which reading does not need".to_owned());
        }
        if incompatible & CORRUPT != 0 {
            self.notes.push("is marked as corrupt by QEMU: what it holds may be wrong".to_owned());
        }
        let snapshots = be32(bytes, 60)?;
        if snapshots > 0 {
            self.notes.push(format!("holds {snapshots} snapshots of its own; the current state is read"));
        }
        let (offset, clusters) = (be64(bytes, 48)?, be32(bytes, 56)?);
        // QEMU's bound: 8 MiB of table.
        if !offset.is_multiple_of(self.cluster()) || u64::from(clusters) * self.cluster() > 8 << 20 {
            self.notes.push("its table of reference counts is impossible, which reading does not need".to_owned());
        }
        Ok(())
    }
}

impl Extensions {
    fn read(bytes: &[u8], mut at: usize) -> io::Result<Self> {
        let mut all = Self::default();
        while at + 8 <= bytes.len() {
            let (kind, length) = (be32(bytes, at)?, be32(bytes, at + 4)? as usize);
            if kind == 0 {
                break;
            }
            let content = slice(bytes, at + 8, length)
                .map_err(|_| broken(format!("qcow2: header extension {kind:#x} of {length} bytes")))?;
            match kind {
                0xe279_2aca => all.backing_format = Some(content.to_vec()),
                0x4441_5441 => all.data_file = Some(content.to_vec()),
                0x6803_f857 => {
                    for feature in content.chunks_exact(48) {
                        if let [kind, bit, name @ ..] = feature {
                            let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
                            all.names.push((*kind, *bit, printable(name)));
                        }
                    }
                }
                _ => {}
            }
            at += 8 + length.next_multiple_of(8);
        }
        Ok(all)
    }
}

fn refuse_unknown(incompatible: u64, extensions: &Extensions) -> io::Result<()> {
    let unknown = incompatible & !(DIRTY | CORRUPT | DATA_FILE | COMPRESSION | EXTENDED_L2);
    if unknown == 0 {
        return Ok(());
    }
    let names = (0..64_u8).filter(|bit| unknown & (1 << bit) != 0).map(|bit| {
        let name = extensions.names.iter().find(|(kind, of, _)| (*kind, *of) == (0, bit));
        name.map_or_else(|| format!("bit {bit}"), |(_, _, name)| format!("'{name}' (bit {bit})"))
    });
    Err(unsupported(format!("qcow2: needs features that are not known here: {}", names.collect::<Vec<_>>().join(", "))))
}

fn backing(bytes: &[u8], extensions: &Extensions) -> io::Result<Option<(Vec<u8>, bool)>> {
    let (offset, length) = (be64(bytes, 8)?, be32(bytes, 16)?);
    if offset == 0 {
        return Ok(None);
    }
    if length == 0 || length > LONGEST_NAME {
        return Err(broken(format!("qcow2: a backing file with a name of {length} bytes")));
    }
    let name = slice(bytes, size(offset)?, length as usize)
        .map_err(|_| broken("qcow2: the backing file's name is not in the header"))?;
    let raw = extensions.backing_format.as_deref() == Some(b"raw");
    Ok(Some((name.to_vec(), raw)))
}
