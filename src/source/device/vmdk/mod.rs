//! VMDK, the format of VMware: flat, sparse, stream-optimised, in one file or split (VMware, "Virtual Disk Format 5.0").
//!
//! An own reader: `vmdk-core` has one cursor for all threads, opens the files that a descriptor names by itself, and has 6,000 lines.

mod descriptor;
mod sparse;
#[cfg(test)]
mod tests;

use std::io;

use super::cache::Cache;
use super::fields::size;
use super::mapped::{self, Mapped, Place};
use super::siblings::Siblings;
use super::{BlockDevice, Device, broken, unsupported};
use descriptor::{Kind, SECTOR};
use sparse::{LONGEST_DESCRIPTOR, MOST_TABLES, Sparse};

/// Grain tables held in memory, for all files of the disk: those of 16 GiB.
const TABLES: usize = 1 << 20;
/// Unpacked grains held in memory: 128 of the usual size.
const GRAINS: usize = 8 << 20;
/// How a descriptor begins that is a file of its own. The line is a comment, but every tool writes it.
const DESCRIPTOR: &[u8] = b"# disk descriptorfile";
/// How a file of ESX's own sparse format begins.
const ESX: &[u8] = b"COWD";

/// An opened VMDK.
pub(super) struct Vmdk {
    /// Where each piece ends in the disk, in bytes, and what keeps it.
    extents: Vec<(u64, Kept)>,
    size: u64,
    tables: Cache,
    grains: Cache,
    notes: Vec<String>,
}

enum Kept {
    Flat(Device, u64),
    Sparse(Box<Sparse>),
    Zero,
}

/// Whether a file begins as a VMDK does.
pub(super) fn is(head: &[u8]) -> bool {
    let start = head.get(..DESCRIPTOR.len()).unwrap_or_default();
    head.starts_with(sparse::MAGIC) || head.starts_with(ESX) || start.eq_ignore_ascii_case(DESCRIPTOR)
}

impl Vmdk {
    pub(super) fn open(file: &Device, siblings: &dyn Siblings) -> io::Result<Self> {
        let mut start = [0; 4];
        file.read_at(0, &mut start)?;
        if start == ESX {
            return Err(unsupported(
                "VMDK: the sparse format of ESX (COWD), which is not read: export it as OVA, or clone it flat",
            ));
        }
        let mut vmdk =
            Self { extents: Vec::new(), size: 0, tables: Cache::new(TABLES), grains: Cache::new(GRAINS), notes: Vec::new() };
        let mut left = MOST_TABLES;
        if start == sparse::MAGIC {
            let sparse = Sparse::open(Device::clone(file), 0, u64::MAX, &mut left)?;
            // Read for what it forbids; its one extent is this file, whatever it is called now.
            let text = sparse::descriptor(file)?;
            if !text.is_empty() && descriptor::read(&text)?.len() > 1 {
                return Err(broken("VMDK: a descriptor of several files inside one of them"));
            }
            let sectors = sparse.sectors;
            vmdk.add(sectors, Kept::Sparse(Box::new(sparse)))?;
            return Ok(vmdk);
        }
        if file.len() > LONGEST_DESCRIPTOR {
            return Err(broken(format!("VMDK: a descriptor of {} bytes", file.len())));
        }
        let mut text = vec![0; size(file.len())?];
        file.read_at(0, &mut text)?;
        for (number, extent) in descriptor::read(&text)?.into_iter().enumerate() {
            let kept = match extent.kind {
                Kind::Zero => Kept::Zero,
                Kind::Flat(name, sector) => {
                    let device = siblings.open(&name)?;
                    if (sector + extent.sectors).saturating_mul(SECTOR) > device.len() {
                        let name = crate::path::printable(&name);
                        vmdk.notes.push(format!(
                            "'{name}' is cut off at byte {}: what it should hold beyond cannot be read",
                            device.len()
                        ));
                    }
                    Kept::Flat(device, sector * SECTOR)
                }
                Kind::Sparse(name) => {
                    let sparse = Sparse::open(siblings.open(&name)?, number as u64, extent.sectors, &mut left)?;
                    Kept::Sparse(Box::new(sparse))
                }
            };
            vmdk.add(extent.sectors, kept)?;
        }
        Ok(vmdk)
    }

    fn add(&mut self, sectors: u64, kept: Kept) -> io::Result<()> {
        if let Kept::Sparse(sparse) = &kept {
            if sparse.sectors < sectors {
                return Err(broken(format!("VMDK: an extent of {sectors} sectors in a file that has {}", sparse.sectors)));
            }
            if sparse.unclean {
                self.notes.push("was not closed cleanly: what was written last may be missing".to_owned());
            }
        }
        let end = sectors.checked_mul(SECTOR).and_then(|bytes| self.size.checked_add(bytes));
        self.size = end.ok_or_else(|| broken(format!("VMDK: a disk of more than {sectors} sectors")))?;
        self.extents.push((self.size, kept));
        Ok(())
    }

    pub(super) fn notes(&self) -> &[String] {
        &self.notes
    }
}

impl Mapped for Vmdk {
    fn length(&self) -> u64 {
        self.size
    }

    fn place(&self, offset: u64) -> io::Result<(Place<'_>, u64)> {
        let index = self.extents.partition_point(|(end, _)| *end <= offset);
        let start = index.checked_sub(1).and_then(|before| self.extents.get(before)).map_or(0, |(end, _)| *end);
        let Some((end, kept)) = self.extents.get(index) else {
            return Err(broken(format!("VMDK: byte {offset} is in no extent")));
        };
        let (inside, rest) = (offset - start, end - offset);
        match kept {
            Kept::Zero => Ok((Place::Zero, rest)),
            Kept::Flat(device, from) => Ok((Place::At(&**device, from + inside), rest)),
            Kept::Sparse(sparse) => {
                let (place, length) = sparse.place(inside, &self.tables, &self.grains)?;
                Ok((place, length.min(rest)))
            }
        }
    }
}

impl BlockDevice for Vmdk {
    fn len(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        mapped::read(self, offset, buffer)
    }
}
