//! A device whose bytes are kept in pieces elsewhere: what all container formats and logical volumes are.

use std::io;
use std::sync::Arc;

use super::{BlockDevice, broken, slice::cut_off, within};

/// Where a piece of a device is kept.
pub(in crate::source) enum Place<'d> {
    /// Nowhere: it reads as zeros.
    Zero,
    /// On another device, from this byte on.
    At(&'d dyn BlockDevice, u64),
    /// In memory, from this byte on.
    Held(Arc<[u8]>, usize),
}

/// A map of a device.
pub(in crate::source) trait Mapped: Send + Sync {
    /// The size of the device in bytes.
    fn length(&self) -> u64;

    /// Where the byte at `offset` is kept, which lies within the device, and how many bytes from there on are kept beside it: at
    /// least one.
    ///
    /// # Errors
    /// `InvalidData` if the map is broken there.
    fn place(&self, offset: u64) -> io::Result<(Place<'_>, u64)>;
}

/// Reads a mapped device: [`BlockDevice::read_at`] of all of them. Pieces that lie beside each other are read at once.
pub(in crate::source) fn read(map: &dyn Mapped, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
    within(offset, buffer.len(), map.length())?;
    let mut at = offset;
    let mut rest = buffer;
    let mut ahead = None;
    while !rest.is_empty() {
        let (place, mut length) = match ahead.take() {
            Some(found) => found,
            None => map.place(at)?,
        };
        if let Place::At(device, start) = place {
            // Grown by what follows on the same device, so that a long read of a tidy image is one read of its file.
            while length < rest.len() as u64 {
                let Some(next) = at.checked_add(length).filter(|&next| next < map.length()) else { break };
                match map.place(next)? {
                    (Place::At(other, more), span)
                        if std::ptr::addr_eq(other, device) && start.checked_add(length) == Some(more) && span > 0 =>
                    {
                        length = length.saturating_add(span);
                    }
                    other => {
                        ahead = Some(other);
                        break;
                    }
                }
            }
        }
        let take = usize::try_from(length).unwrap_or(usize::MAX).min(rest.len());
        if take == 0 {
            return Err(broken(format!("nothing is kept of byte {at}")));
        }
        let (now, later) = std::mem::take(&mut rest).split_at_mut(take);
        fill(place, at, now)?;
        rest = later;
        at = at.saturating_add(take as u64);
    }
    Ok(())
}

fn fill(place: Place<'_>, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
    match place {
        Place::Zero => buffer.fill(0),
        Place::At(device, start) => device.read_at(start, buffer).map_err(|error| cut_off(error, start, device.len()))?,
        Place::Held(bytes, from) => {
            let held = bytes.get(from..).and_then(|rest| rest.get(..buffer.len()));
            buffer.copy_from_slice(held.ok_or_else(|| broken(format!("byte {offset} is not in what was unpacked for it")))?);
        }
    }
    Ok(())
}
