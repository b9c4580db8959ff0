//! A device as it would be after the journal was replayed.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use crate::source::device::BlockDevice;

use super::MAGIC;

/// A block as the journal has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Replayed {
    /// The block it replaces.
    pub(super) block: u64,
    /// The block of the device, inside the journal, that it is read from.
    pub(super) from: u64,
    /// Whether its first four bytes are those that mark blocks of the journal, and were left out there.
    pub(super) escaped: bool,
}

/// A device with blocks replaced by what the journal has for them. What is kept in memory is where they are, not what is in them.
pub(in super::super) struct Overlay {
    device: Arc<dyn BlockDevice>,
    block_size: u64,
    /// By block, each once.
    blocks: Vec<Replayed>,
}

impl Overlay {
    pub(super) fn new(device: Arc<dyn BlockDevice>, block_size: u64, blocks: Vec<Replayed>) -> Self {
        Self { device, block_size: block_size.max(1), blocks }
    }

    /// The replaced blocks that these bytes touch.
    fn touched(&self, range: &Range<u64>) -> &[Replayed] {
        let from = self.blocks.partition_point(|replayed| replayed.block < range.start / self.block_size);
        let rest = self.blocks.get(from..).unwrap_or_default();
        let count = rest.partition_point(|replayed| replayed.block < range.end.div_ceil(self.block_size));
        rest.get(..count).unwrap_or_default()
    }
}

impl BlockDevice for Overlay {
    fn len(&self) -> u64 {
        self.device.len()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let range = offset..offset.saturating_add(buffer.len() as u64);
        let touched = self.touched(&range);
        // All of it from the device first, unless it is one replaced block or a part of one.
        let whole = touched.first().is_some_and(|only| {
            only.block == offset / self.block_size && range.end <= (only.block.saturating_add(1)).saturating_mul(self.block_size)
        });
        if !whole {
            self.device.read_at(offset, buffer)?;
        }
        for replayed in touched {
            let start = replayed.block.saturating_mul(self.block_size);
            let from = start.max(range.start);
            let to = start.saturating_add(self.block_size).min(range.end);
            let within = |at: u64| usize::try_from(at.saturating_sub(range.start)).unwrap_or(usize::MAX);
            let Some(part) = buffer.get_mut(within(from)..within(to)) else { continue };
            let skipped = from.saturating_sub(start);
            self.device.read_at(replayed.from.saturating_mul(self.block_size).saturating_add(skipped), part)?;
            if replayed.escaped {
                let marked = MAGIC.to_be_bytes().into_iter().skip(usize::try_from(skipped).unwrap_or(usize::MAX));
                part.iter_mut().zip(marked).for_each(|(byte, marked)| *byte = marked);
            }
        }
        Ok(())
    }

    fn prefetch(&self, ranges: &[Range<u64>]) {
        let mut all = ranges.to_vec();
        for range in ranges {
            let places = self.touched(range).iter().map(|replayed| replayed.from.saturating_mul(self.block_size));
            all.extend(places.map(|at| at..at.saturating_add(self.block_size)));
        }
        self.device.prefetch(&all);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bytes(Vec<u8>);

    impl BlockDevice for Bytes {
        fn len(&self) -> u64 {
            self.0.len() as u64
        }

        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
            let at = usize::try_from(offset).unwrap();
            buffer.copy_from_slice(&self.0[at..at + buffer.len()]);
            Ok(())
        }
    }

    #[test]
    fn any_part_of_it_reads_as_if_the_blocks_had_been_written() {
        let device: Vec<u8> = (0..80).collect();
        let mut expected = device.clone();
        expected.copy_within(48..56, 8);
        expected.copy_within(64..72, 16);
        expected[16..20].copy_from_slice(&MAGIC.to_be_bytes());
        expected.copy_within(56..64, 32);
        let replayed = |block, from, escaped| Replayed { block, from, escaped };
        let blocks = vec![replayed(1, 6, false), replayed(2, 8, true), replayed(4, 7, false)];
        let overlay = Overlay::new(Arc::new(Bytes(device)), 8, blocks);
        for from in 0..80_usize {
            for to in from..=80 {
                let mut buffer = vec![0; to - from];
                overlay.read_at(from as u64, &mut buffer).unwrap();
                assert_eq!(buffer, expected[from..to], "{from}..{to}");
            }
        }
    }
}
