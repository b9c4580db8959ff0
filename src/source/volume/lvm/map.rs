//! A logical volume as a device.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

use super::group::Segment;
use crate::source::device::mapped::{self, Mapped, Place};
use crate::source::device::{BlockDevice, Device, broken};

/// Ranges that are passed on as hints at once: a hint need not be complete.
const MOST_HINTS: usize = 4096;

/// A logical volume of linear and striped pieces.
pub(in crate::source::volume) struct Linear {
    size: u64,
    segments: Vec<(Segment, Vec<Device>)>,
}

impl Linear {
    /// Finds the physical volumes of the pieces.
    ///
    /// # Errors
    /// The identifiers of those that are missing.
    pub(in crate::source::volume) fn new(segments: &[Segment], physical: &BTreeMap<String, Device>) -> Result<Self, Vec<String>> {
        let mut missing = Vec::new();
        let mut found = Vec::with_capacity(segments.len());
        for segment in segments {
            let mut devices = Vec::with_capacity(segment.stripes.len());
            for (id, _) in &segment.stripes {
                match physical.get(id) {
                    Some(device) => devices.push(Device::clone(device)),
                    None if missing.contains(id) => {}
                    None => missing.push(id.clone()),
                }
            }
            found.push((segment.clone(), devices));
        }
        let size = segments.last().map_or(0, |last| last.start.saturating_add(last.len));
        if missing.is_empty() { Ok(Self { size, segments: found }) } else { Err(missing) }
    }
}

impl Mapped for Linear {
    fn length(&self) -> u64 {
        self.size
    }

    fn place(&self, offset: u64) -> io::Result<(Place<'_>, u64)> {
        let nowhere = || broken(format!("LVM: byte {offset} is in no segment"));
        let index = self.segments.partition_point(|(segment, _)| segment.start <= offset);
        let (segment, devices) = index.checked_sub(1).and_then(|index| self.segments.get(index)).ok_or_else(nowhere)?;
        let inside = offset - segment.start;
        let count = segment.stripes.len() as u64;
        let (row, within) = (inside / segment.stripe, inside % segment.stripe);
        let column = usize::try_from(row % count).map_err(|_| nowhere())?;
        let (Some((_, start)), Some(device)) = (segment.stripes.get(column), devices.get(column)) else { return Err(nowhere()) };
        let at = (row / count).checked_mul(segment.stripe).and_then(|bytes| bytes.checked_add(within)?.checked_add(*start));
        let length = (segment.stripe - within).min(segment.len.saturating_sub(inside));
        Ok((Place::At(&**device, at.ok_or_else(nowhere)?), length))
    }
}

impl BlockDevice for Linear {
    fn len(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        mapped::read(self, offset, buffer)
    }

    fn prefetch(&self, ranges: &[Range<u64>]) {
        // A wave for each device, in the order in which they come.
        let mut waves: Vec<(&dyn BlockDevice, Vec<Range<u64>>)> = Vec::new();
        let mut left = MOST_HINTS;
        for range in ranges {
            let mut at = range.start;
            while at < range.end.min(self.size) && left > 0 {
                left -= 1;
                let Ok((Place::At(device, start), length)) = self.place(at) else { break };
                let length = length.min(range.end - at);
                let hint = start..start.saturating_add(length);
                match waves.iter_mut().find(|(other, _)| std::ptr::addr_eq(*other, device)) {
                    Some((_, hints)) => hints.push(hint),
                    None => waves.push((device, vec![hint])),
                }
                at = at.saturating_add(length.max(1));
            }
        }
        waves.iter().for_each(|(device, hints)| device.prefetch(hints));
    }
}
