//! A look over all disks of an image: partitions, groups that several of them make up, and what is in each.
//!
//! The depth is fixed: disk, partition, logical volume. What is inside a logical volume again is a disk of somebody else's.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use serde::Serialize;

use super::content::{Content, Kind, recognise};
use super::lvm::{self, Linear, Physical};
use super::mbr::{self, First, Table};
use super::{Logical, Volume, gpt};
use crate::source::device::{Device, Slice};

/// All that is on the disks of an image.
#[derive(Clone, Default, Serialize)]
pub struct Survey {
    /// The disks, with their partitions.
    pub disks: Vec<Volume>,
    /// The volume groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Group>,
}

/// A volume group of LVM.
#[derive(Clone, Serialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its identifier.
    pub uuid: String,
    /// The identifiers of physical volumes that it needs and that are not here, with the name the system had for each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// Its logical volumes.
    pub volumes: Vec<Volume>,
    /// What is odd about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl Survey {
    /// All that could hold a file system: disks without a table, partitions, logical volumes.
    #[must_use]
    pub fn volumes(&self) -> Vec<&Volume> {
        let disks =
            self.disks.iter().flat_map(|disk| if disk.below.is_empty() { std::slice::from_ref(disk) } else { &disk.below });
        disks.chain(self.groups.iter().flat_map(|group| &group.volumes)).collect()
    }
}

/// Looks at the disks of an image. What cannot be read is told where it is found, and keeps nothing else from being looked at.
#[must_use]
pub fn survey(disks: &[Device]) -> Survey {
    let mut survey = Survey::default();
    for (number, device) in disks.iter().enumerate() {
        let name = if disks.len() == 1 { "disk".to_owned() } else { format!("disk {}", number + 1) };
        survey.disks.push(disk(name, device));
    }
    groups(&mut survey);
    survey
}

/// What a device holds; why it cannot be told becomes its trouble.
fn look(volume: &mut Volume, device: &Device) {
    volume.device = Some(Device::clone(device));
    match recognise(device) {
        Ok(content) => {
            volume.trouble = content.kind.refusal().map(ToOwned::to_owned);
            volume.content = content;
        }
        Err(error) => volume.trouble = Some(error.to_string()),
    }
}

fn disk(name: String, device: &Device) -> Volume {
    let mut disk = Volume::new(name, device.len());
    look(&mut disk, device);
    match table(&disk.content, device) {
        Ok(None) => {}
        Ok(Some(table)) => {
            if !matches!(disk.content.kind, Kind::Unknown) {
                let name = disk.content.kind.name();
                disk.notes.push(format!("the mark of {name} outside all partitions is left over from before"));
            }
            disk.content = Content::of(Kind::Partitions);
            disk.trouble = None;
            disk.notes.extend(overlaps(&table));
            disk.notes.extend(table.notes);
            for found in table.partitions {
                let mut partition = Volume::new(format!("partition {}", found.number), found.len);
                if disk.name != "disk" {
                    partition.name = format!("{} {}", disk.name, partition.name);
                }
                partition.number = Some(found.number);
                partition.start = Some(found.start);
                partition.partuuid = found.uuid;
                partition.partlabel = found.name;
                if found.start.saturating_add(found.len) > device.len() {
                    let end = found.start.saturating_add(found.len);
                    partition.notes.push(format!("ends at byte {end}, the disk at byte {}: cut off there", device.len()));
                }
                match Slice::new(Device::clone(device), found.start, found.len) {
                    Ok(slice) => look(&mut partition, &(Arc::new(slice) as Device)),
                    Err(error) => partition.trouble = Some(error.to_string()),
                }
                disk.below.push(partition);
            }
            if disk.below.is_empty() {
                disk.trouble = Some("its partition table is empty".to_owned());
            }
        }
        Err(error) => disk.trouble = Some(error.to_string()),
    }
    disk
}

/// The table of a disk, if it has one that is meant.
fn table(content: &Content, device: &Device) -> io::Result<Option<Table>> {
    if content.owns_first_sector() {
        return Ok(None);
    }
    match mbr::first(device)? {
        First::Protective => match gpt::read(device)? {
            Some((table, _)) => Ok(Some(table)),
            None => Err(crate::source::device::broken("a GPT is announced, and there is none")),
        },
        First::Table => {
            let small = mbr::read(device, 512)?;
            // Nothing in an MBR tells the size of its sectors; what is where partitions start does.
            let large = mbr::read(device, 4096)?;
            Ok(Some(if known(&large, device) > known(&small, device) { large } else { small }))
        }
        // Somebody wiped the first sector of a disk that has a GPT.
        First::None if content.kind == Kind::Unknown => Ok(gpt::read(device)?.map(|(mut table, _)| {
            table.notes.push("the first sector does not announce a GPT, but there is one".to_owned());
            table
        })),
        First::None => Ok(None),
    }
}

/// How many partitions hold something that is known.
fn known(table: &Table, device: &Device) -> usize {
    let holds = |start: u64, len: u64| {
        let slice: Device = Arc::new(Slice::new(Device::clone(device), start, len).ok()?);
        recognise(&slice).ok().filter(|content| content.kind != Kind::Unknown)
    };
    table.partitions.iter().filter(|partition| holds(partition.start, partition.len).is_some()).count()
}

/// Partitions that claim the same place.
fn overlaps(table: &Table) -> Vec<String> {
    let mut order: Vec<_> = table.partitions.iter().collect();
    order.sort_by_key(|partition| partition.start);
    let pairs = order.iter().zip(order.iter().skip(1));
    let overlapping = pairs.filter(|(one, two)| two.start < one.start.saturating_add(one.len));
    overlapping.map(|(one, two)| format!("partitions {} and {} overlap", one.number, two.number)).collect()
}

/// Physical volumes of no group that is described anywhere: what is on them cannot be read.
fn unclaimed(survey: &mut Survey, groups: &BTreeMap<String, lvm::Group>) {
    let volumes = survey.disks.iter_mut().flat_map(leaves);
    for volume in volumes.filter(|volume| volume.content.kind == Kind::LvmMember && volume.trouble.is_none()) {
        let mut ids = groups.values().flat_map(|group| &group.physical).map(|(id, _)| id);
        if !ids.any(|id| Some(id) == volume.content.uuid.as_ref()) {
            volume.trouble = Some("LVM: no volume group that is described here has it".to_owned());
        }
    }
}

/// The partitions of a disk; the disk itself if it has none.
fn leaves(disk: &mut Volume) -> &mut [Volume] {
    if disk.below.is_empty() { std::slice::from_mut(disk) } else { &mut disk.below }
}

/// Puts groups together from the physical volumes of all disks.
fn groups(survey: &mut Survey) {
    let mut devices: BTreeMap<String, Device> = BTreeMap::new();
    let mut twice = Vec::new();
    let mut found: BTreeMap<String, lvm::Group> = BTreeMap::new();
    let volumes = survey.disks.iter_mut().flat_map(leaves);
    for volume in volumes.filter(|volume| volume.content.kind == Kind::LvmMember) {
        let Some(device) = &volume.device else { continue };
        let physical = match Physical::read(device) {
            Ok(physical) => physical,
            Err(error) => {
                volume.trouble = Some(error.to_string());
                continue;
            }
        };
        volume.notes.extend(physical.notes);
        match physical.text.as_deref().map(lvm::Group::read) {
            Some(Ok(group)) => {
                let later = found.get(&group.id).is_none_or(|other| other.sequence < group.sequence);
                if later {
                    found.insert(group.id.clone(), group);
                }
            }
            Some(Err(error)) => volume.trouble = Some(format!("LVM: its metadata: {error}")),
            None => {}
        }
        if devices.insert(physical.id.clone(), physical.device).is_some() {
            volume.notes.push(format!("another physical volume has the same identifier {}", physical.id));
            twice.push(physical.id);
        }
    }
    unclaimed(survey, &found);
    // Of two that claim to be the same nobody knows which is meant.
    for id in &twice {
        devices.remove(id);
    }
    for group in found.into_values() {
        let described = |id: &String| {
            let hint = group.physical.iter().find(|(other, _)| other == id).map_or("", |(_, hint)| hint);
            let why = if twice.contains(id) { "two volumes have this identifier" } else { "missing" };
            if hint.is_empty() { format!("{id} ({why})") } else { format!("{id} (was {hint}; {why})") }
        };
        let missing = group.physical.iter().filter(|(id, _)| !devices.contains_key(id)).map(|(id, _)| described(id)).collect();
        let volumes = group.logical.iter().map(|logical| {
            let mut volume = Volume::new(format!("{}/{}", group.name, logical.name), logical.size);
            volume.lvm = Some(Logical::new(&group.name, &logical.name));
            match logical.segments.as_ref().map(|segments| Linear::new(segments, &devices)) {
                Ok(Ok(map)) => look(&mut volume, &(Arc::new(map) as Device)),
                Ok(Err(missing)) => {
                    let missing: Vec<_> = missing.iter().map(described).collect();
                    volume.trouble = Some(format!("needs physical volumes that are not here: {}", missing.join(", ")));
                }
                Err(error) => volume.trouble = Some(format!("LVM: {error}")),
            }
            volume
        });
        let volumes = volumes.collect();
        survey.groups.push(Group { name: group.name, uuid: group.id, missing, volumes, notes: group.notes });
    }
}
