//! What is on a disk: partitions, logical volumes, and what each of them holds.

mod content;
mod gpt;
mod lvm;
mod mbr;
mod survey;
#[cfg(test)]
mod tests;

pub use content::{Content, Kind, recognise};
pub use survey::{Group, Survey, survey};

use serde::Serialize;

use super::device::Device;

/// The names of a logical volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Logical {
    /// Its volume group.
    pub group: String,
    /// Its own name.
    pub name: String,
    /// Its name below `/dev/mapper`, in which dashes of both are doubled (`lvm(8)`).
    pub mapper: String,
}

impl Logical {
    /// The logical volume of this name in this group.
    #[must_use]
    pub fn new(group: &str, name: &str) -> Self {
        let mapper = format!("{}-{}", group.replace('-', "--"), name.replace('-', "--"));
        Self { group: group.to_owned(), name: name.to_owned(), mapper }
    }
}

/// A disk, a partition or a logical volume.
#[derive(Clone, Serialize)]
pub struct Volume {
    /// What it is called where karat tells of it: `disk`, `partition 2`, `rhel/root`; before it the number of the disk, if there
    /// are several.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// What it holds.
    pub content: Content,
    /// The partition's number, as the kernel counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u32>,
    /// The partition's own UUID, as the kernel writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partuuid: Option<String>,
    /// The partition's name, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partlabel: Option<String>,
    /// Where it starts on its disk, in bytes: partitions alone know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<u64>,
    /// What LVM calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lvm: Option<Logical>,
    /// Why it cannot be read, if that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// What is odd about it and does not keep it from being read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Its partitions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub below: Vec<Volume>,
    /// Its bytes, if they can be read.
    #[serde(skip)]
    pub device: Option<Device>,
}

impl Volume {
    /// A volume of this name and size of which nothing more is known.
    #[must_use]
    pub fn new(name: impl Into<String>, size: u64) -> Self {
        Self {
            name: name.into(),
            size,
            content: Content::default(),
            number: None,
            partuuid: None,
            partlabel: None,
            start: None,
            lvm: None,
            trouble: None,
            notes: Vec::new(),
            below: Vec::new(),
            device: None,
        }
    }
}
