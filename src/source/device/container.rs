//! What format a disk file is in, told by its content, and the disk in it.

use std::io;
use std::sync::Arc;

use serde::Serialize;

use super::fields::size;
use super::qcow2::{self, Qcow2};
use super::siblings::Siblings;
use super::vhd::{self, Vhd};
use super::vhdx::{self, Vhdx};
use super::vmdk::{self, Vmdk};
use super::{BlockDevice as _, Device, broken, unsupported};
use crate::path::printable;

/// Images below images: more than any tool makes in a row by itself, and few enough that a file which is its own backing file is
/// found out at once.
const DEEPEST: usize = 16;
/// What has to be read to know a format.
const HEAD: u64 = 4 << 10;

/// The format of a disk file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// The disk's own bytes.
    Raw,
    /// QEMU.
    Qcow2,
    /// VMware.
    Vmdk,
    /// Virtual PC, Azure.
    Vhd,
    /// Hyper-V.
    Vhdx,
}

impl Format {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
            Self::Vmdk => "VMDK",
            Self::Vhd => "VHD",
            Self::Vhdx => "VHDX",
        }
    }
}

/// One file that was opened on the way to the disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Layer {
    /// Its format.
    pub format: Format,
    /// The name by which the image above calls it; none for the image itself.
    pub name: Option<String>,
    /// Size of the disk it holds, in bytes.
    pub size: u64,
    /// What its reader should know: snapshots in it, marks of damage.
    pub notes: Vec<String>,
}

/// A disk, read through whatever format it is kept in.
pub struct Disk {
    /// The disk.
    pub device: Device,
    /// The files it is read from, the image itself first and then what is below it.
    pub layers: Vec<Layer>,
}

impl Disk {
    /// Opens the disk in a file of any format. What is no known container is the disk itself.
    ///
    /// # Errors
    /// `Unsupported` for what is recognised and not read, with its name and advice; `InvalidData` for what is broken.
    pub fn open(file: Device, siblings: &dyn Siblings) -> io::Result<Self> {
        let mut layers = Vec::new();
        let device = open(file, siblings, None, &mut layers)?;
        Ok(Self { device, layers })
    }
}

/// Opens a file and what is below it.
fn open(file: Device, siblings: &dyn Siblings, name: Option<&[u8]>, layers: &mut Vec<Layer>) -> io::Result<Device> {
    if layers.len() >= DEEPEST {
        return Err(broken(format!("more than {DEEPEST} images below each other: does one lead back to itself?")));
    }
    let format = recognise(&file)?;
    let name = name.map(printable);
    let above = layers.len();
    let mut layer = |size, notes: &[String]| layers.push(Layer { format, name: name.clone(), size, notes: notes.to_vec() });
    let device: Device = match format {
        Format::Raw => {
            layer(file.len(), &[]);
            file
        }
        Format::Qcow2 => {
            let mut image = Qcow2::open(file, above)?;
            layer(image.len(), image.notes());
            if let Some(data) = image.data_file().map(<[u8]>::to_vec) {
                image = image.with_data(siblings.open(&data)?);
            }
            if let Some((below, raw)) = image.backing_file().map(|(below, raw)| (below.to_vec(), raw)) {
                let below_file = siblings.open(&below)?;
                // A raw disk whose owner writes a header of qcow2 into it stays what it was said to be.
                let below = if raw {
                    layers.push(Layer {
                        format: Format::Raw,
                        name: Some(printable(&below)),
                        size: below_file.len(),
                        notes: Vec::new(),
                    });
                    below_file
                } else {
                    open(below_file, siblings, Some(&below), layers)?
                };
                image = image.with_backing(below);
            }
            Arc::new(image)
        }
        Format::Vmdk => {
            let image = Vmdk::open(&file, siblings)?;
            layer(image.len(), image.notes());
            Arc::new(image)
        }
        Format::Vhd => {
            let image = Vhd::open(file)?;
            layer(image.len(), image.notes());
            Arc::new(image)
        }
        Format::Vhdx => {
            let image = Vhdx::open(file)?;
            layer(image.len(), &[]);
            Arc::new(image)
        }
    };
    Ok(device)
}

fn recognise(file: &Device) -> io::Result<Format> {
    let mut head = vec![0; size(file.len().min(HEAD))?];
    file.read_at(0, &mut head)?;
    let refused = |name: &str| {
        let what = format!("a disk image in the format {name}, which is not read: convert it first (qemu-img convert -O raw)");
        Err(unsupported(what))
    };
    if head.starts_with(&qcow2::MAGIC) {
        return match head.get(4..8) {
            Some([0, 0, 0, 1]) => refused("qcow (version 1)"),
            _ => Ok(Format::Qcow2),
        };
    }
    if vmdk::is(&head) {
        return Ok(Format::Vmdk);
    }
    if head.starts_with(vhdx::MAGIC) {
        return Ok(Format::Vhdx);
    }
    if head.starts_with(b"QED\0") {
        return refused("QED");
    }
    if head.get(64..68) == Some(&[0x7f, 0x10, 0xda, 0xbe]) {
        return refused("VDI (VirtualBox)");
    }
    if head.starts_with(b"WithoutFreeSpace") || head.starts_with(b"WithouFreSpacExt") {
        return refused("Parallels");
    }
    if head.starts_with(b"EVF\t\r\n\xff\0") {
        return refused("EnCase (EWF)");
    }
    if vhd::is(&head, file)? {
        return Ok(Format::Vhd);
    }
    Ok(Format::Raw)
}
