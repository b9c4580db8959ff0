//! What was read of a device, for `--stats`.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::{BlockDevice, Device};

/// What an EBS snapshot is fetched by: 512 KiB.
const BLOCK: u64 = 512 << 10;
/// Blocks that are told apart: 16 TiB, which is as large as most volumes get, in 4 MiB of memory. Reads beyond count as one block.
const MOST_BLOCKS: u64 = (16 << 40) / BLOCK;

/// A device that counts what is read of it.
pub struct Counted {
    device: Device,
    reads: AtomicU64,
    bytes: AtomicU64,
    /// A bit a block.
    touched: Vec<AtomicU64>,
}

/// What was read of a device so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Reads.
    pub reads: u64,
    /// Bytes that were read, again ones too.
    pub bytes: u64,
    /// Distinct blocks of 512 KiB that were touched: what would have been fetched of an EBS snapshot.
    pub blocks: u64,
}

impl Counted {
    /// Counts from now on.
    #[must_use]
    pub fn new(device: Device) -> Self {
        let words = device.len().div_ceil(BLOCK).min(MOST_BLOCKS) / 64 + 1;
        let touched = (0..words).map(|_| AtomicU64::new(0)).collect();
        Self { device, reads: AtomicU64::new(0), bytes: AtomicU64::new(0), touched }
    }

    /// What was read so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let blocks = self.touched.iter().map(|word| u64::from(word.load(Ordering::Relaxed).count_ones())).sum();
        Counts { reads: self.reads.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed), blocks }
    }

    fn touch(&self, offset: u64, length: u64) {
        let first = (offset / BLOCK).min(MOST_BLOCKS);
        let last = (offset.saturating_add(length - 1) / BLOCK).min(MOST_BLOCKS);
        for block in first..=last {
            let word = usize::try_from(block / 64).ok().and_then(|word| self.touched.get(word));
            // Looked at before it is set: most reads hit a block that was touched before, and a write would bounce between processors.
            if let Some(word) = word.filter(|word| word.load(Ordering::Relaxed) & (1 << (block % 64)) == 0) {
                word.fetch_or(1 << (block % 64), Ordering::Relaxed);
            }
        }
    }
}

impl BlockDevice for Counted {
    fn len(&self) -> u64 {
        self.device.len()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.device.read_at(offset, buffer)?;
        if !buffer.is_empty() {
            self.reads.fetch_add(1, Ordering::Relaxed);
            self.bytes.fetch_add(buffer.len() as u64, Ordering::Relaxed);
            self.touch(offset, buffer.len() as u64);
        }
        Ok(())
    }

    fn prefetch(&self, ranges: &[Range<u64>]) {
        self.device.prefetch(ranges);
    }
}

#[cfg(test)]
mod tests {
    use super::super::MemoryDevice;
    use super::*;

    #[test]
    fn a_block_counts_once_and_a_read_across_two_counts_both() {
        let device = Counted::new(MemoryDevice::shared(vec![0; 3 << 20]));
        assert_eq!(device.counts(), Counts::default());
        for offset in [0, 1, (512 << 10) - 2, 5 * (512 << 10)] {
            device.read_at(offset, &mut [0; 4]).unwrap();
        }
        assert_eq!(device.counts(), Counts { reads: 4, bytes: 16, blocks: 3 });
        assert!(device.read_at(3 << 20, &mut [0; 4]).is_err());
        assert_eq!(device.counts().reads, 4);
    }
}
