//! A volume group, from the text that describes it.

use std::collections::{BTreeMap, BTreeSet};

use super::text::{self, Section, Value};
use crate::path::printable;

/// A sector, in which all sizes but those in extents are.
const SECTOR: u64 = 512;
/// As large as a volume can be, in bytes.
const LARGEST: u64 = 1 << 62;
/// Volumes that are looked at: more than any system has.
const MOST_VOLUMES: usize = 1000;
/// Segments of one volume: each is a piece of what was free once.
const MOST_SEGMENTS: usize = 100_000;

/// A volume group as its text has it.
#[derive(Debug)]
pub(in crate::source::volume) struct Group {
    pub(in crate::source::volume) name: String,
    pub(in crate::source::volume) id: String,
    /// How often it was changed: of two texts the later counts.
    pub(in crate::source::volume) sequence: u64,
    /// The identifiers of its physical volumes, and what the system called each when this was written.
    pub(in crate::source::volume) physical: Vec<(String, String)>,
    pub(in crate::source::volume) logical: Vec<Logical>,
    pub(in crate::source::volume) notes: Vec<String>,
}

/// A logical volume that users see.
#[derive(Debug)]
pub(in crate::source::volume) struct Logical {
    pub(in crate::source::volume) name: String,
    pub(in crate::source::volume) size: u64,
    /// Its pieces in order, or why it cannot be read.
    pub(in crate::source::volume) segments: Result<Vec<Segment>, String>,
}

/// A piece of a logical volume, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::source::volume) struct Segment {
    pub(in crate::source::volume) start: u64,
    pub(in crate::source::volume) len: u64,
    /// How much lies on one stripe before the next goes on; the whole piece if there is one.
    pub(in crate::source::volume) stripe: u64,
    /// The identifier of a physical volume, and where on it this stripe starts.
    pub(in crate::source::volume) stripes: Vec<(String, u64)>,
}

/// A physical volume in the text: identifier, first byte of its extents, their number.
struct Place {
    id: String,
    start: u64,
    extents: u64,
}

struct Reader<'t> {
    places: BTreeMap<&'t [u8], Place>,
    extent: u64,
    /// Volumes that keep what a snapshot changed.
    stores: BTreeSet<Vec<u8>>,
}

impl Group {
    /// Reads the text.
    ///
    /// # Errors
    /// What is not understood or impossible in it.
    pub(in crate::source::volume) fn read(text: &[u8]) -> Result<Self, String> {
        let all = text::read(text)?;
        let (name, group) = all.sections().next().ok_or("it describes no group")?;
        let extent = group.number("extent_size").and_then(|sectors| sectors.checked_mul(SECTOR));
        let extent = extent.filter(|&extent| (SECTOR..=LARGEST).contains(&extent)).ok_or("an impossible extent size")?;
        let mut places = BTreeMap::new();
        let mut physical = Vec::new();
        for (name, volume) in group.section("physical_volumes").into_iter().flat_map(Section::sections) {
            let start = volume.number("pe_start").and_then(|sectors| sectors.checked_mul(SECTOR));
            let (Some(start), Some(extents)) = (start, volume.number("pe_count")) else {
                return Err(format!("the physical volume {} has no place", printable(name)));
            };
            let id = shown(volume.text("id"));
            physical.push((id.clone(), shown(volume.text("device"))));
            places.insert(name, Place { id, start, extents });
        }
        let volumes: Vec<_> = group.section("logical_volumes").into_iter().flat_map(Section::sections).collect();
        let stores =
            volumes.iter().flat_map(|(_, volume)| volume.sections()).filter_map(|(_, segment)| segment.text("cow_store"));
        let reader = Reader { places, extent, stores: stores.map(<[u8]>::to_vec).collect() };
        let mut notes = Vec::new();
        let mut logical = Vec::new();
        for (name, volume) in volumes {
            // What other volumes are made of is hidden.
            if !volume.list("status").contains(&Value::Text(b"VISIBLE".to_vec())) {
                continue;
            }
            if logical.len() >= MOST_VOLUMES {
                notes.push(format!("more than {MOST_VOLUMES} logical volumes: the others are not looked at"));
                break;
            }
            logical.push(reader.logical(name, volume));
        }
        notes.extend(shared(&logical));
        let sequence = group.number("seqno").unwrap_or_default();
        Ok(Self { name: printable(name), id: shown(group.text("id")), sequence, physical, logical, notes })
    }
}

fn shown(text: Option<&[u8]>) -> String {
    printable(text.unwrap_or_default())
}

impl Reader<'_> {
    fn logical(&self, name: &[u8], volume: &Section) -> Logical {
        let segments = if self.stores.contains(name) {
            Err("an LVM snapshot, which holds only what changed: it is not read".to_owned())
        } else {
            self.segments(volume)
        };
        let extents: u64 =
            volume.sections().filter_map(|(_, segment)| segment.number("extent_count")).fold(0, u64::saturating_add);
        let size = extents.saturating_mul(self.extent);
        Logical { name: printable(name), size, segments }
    }

    fn segments(&self, volume: &Section) -> Result<Vec<Segment>, String> {
        let mut segments = Vec::new();
        for (name, segment) in volume.sections().filter(|(name, _)| name.starts_with(b"segment")) {
            if segments.len() >= MOST_SEGMENTS {
                return Err(format!("more than {MOST_SEGMENTS} segments"));
            }
            segments.push(self.segment(segment).map_err(|error| format!("{}: {error}", printable(name)))?);
        }
        segments.sort_by_key(|segment| segment.start);
        let mut end = 0;
        for segment in &segments {
            if segment.start != end {
                let what = if segment.start < end { "overlap" } else { "leave a gap" };
                return Err(format!("its segments {what} at byte {}", segment.start.min(end)));
            }
            end = segment.start.saturating_add(segment.len);
        }
        if segments.is_empty() { Err("it has no segments".to_owned()) } else { Ok(segments) }
    }

    fn segment(&self, segment: &Section) -> Result<Segment, String> {
        let kind = segment.text("type").unwrap_or_default();
        if kind != b"striped" {
            return Err(format!(
                "of type '{}', which is not read: activate the volume (vgchange -ay) and scan its device",
                printable(kind)
            ));
        }
        let number = |name: &str| segment.number(name).ok_or_else(|| format!("has no {name}"));
        let bytes = |extents: u64| extents.checked_mul(self.extent).filter(|&bytes| bytes <= LARGEST).ok_or("beyond every disk");
        let (start, len) = (bytes(number("start_extent")?)?, bytes(number("extent_count")?)?);
        let list = segment.list("stripes");
        let count = list.len() as u64 / 2;
        if count == 0
            || !list.len().is_multiple_of(2)
            || count != number("stripe_count")?
            || len == 0
            || !number("extent_count")?.is_multiple_of(count)
        {
            return Err(format!("{} extents on {count} stripes", number("extent_count")?));
        }
        let stripe = if count == 1 { len } else { number("stripe_size")?.checked_mul(SECTOR).ok_or("beyond every disk")? };
        // LVM has only powers of two, up to an extent.
        if count > 1 && (!stripe.is_power_of_two() || !self.extent.is_multiple_of(stripe)) {
            return Err(format!("stripes of {stripe} bytes"));
        }
        let mut stripes = Vec::with_capacity(list.len() / 2);
        for pair in list.chunks_exact(2) {
            let [Value::Text(name), Value::Number(first)] = pair else {
                return Err("a stripe is no volume with an extent".to_owned());
            };
            let place = self.places.get(&**name);
            let place = place.ok_or_else(|| format!("is kept on '{}', which is no physical volume", printable(name)))?;
            let first = u64::try_from(*first).map_err(|_| "a negative extent")?;
            let used = number("extent_count")? / count;
            if first.checked_add(used).is_none_or(|end| end > place.extents) {
                return Err(format!("extents {first} and {used} on are beyond the {} of '{}'", place.extents, printable(name)));
            }
            let at = bytes(first)?.checked_add(place.start).ok_or("beyond every disk")?;
            stripes.push((place.id.clone(), at));
        }
        Ok(Segment { start, len, stripe, stripes })
    }
}

/// Places that two volumes claim: one of them is wrong, and nobody knows which.
fn shared(volumes: &[Logical]) -> Vec<String> {
    let mut claims: Vec<(&str, u64, u64, &str)> = Vec::new();
    for volume in volumes {
        for segment in volume.segments.iter().flatten() {
            let used = segment.len / (segment.stripes.len() as u64).max(1);
            claims.extend(segment.stripes.iter().map(|(id, at)| (&**id, *at, at.saturating_add(used), &*volume.name)));
        }
    }
    claims.sort_unstable();
    let mut notes = BTreeSet::new();
    for (one, two) in claims.iter().zip(claims.iter().skip(1)) {
        if one.0 == two.0 && two.1 < one.2 {
            notes.insert(format!("'{}' and '{}' are kept at the same place", one.3, two.3));
        }
    }
    notes.into_iter().take(10).collect()
}
