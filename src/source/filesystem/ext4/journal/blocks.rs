//! Where the blocks of the journal are: it is a file, and read in one go.

use std::io;

use super::super::Disk;
use super::super::bytes::broken;
use super::super::inode::Inode;

/// Runs of a journal. It is made in one piece, or in a few; the largest of 2^32 blocks takes at least this many extents.
const RUNS: usize = 1 << 17;

/// The blocks of the journal, as runs on the device.
pub(super) struct Blocks {
    /// The first block within the journal, the first on the device, and how many.
    runs: Vec<(u64, u64, u64)>,
    count: u64,
}

impl Blocks {
    pub(super) fn new(disk: &Disk, inode: &Inode<'_>) -> io::Result<Self> {
        let count = inode.size() / disk.block_size();
        let mut runs = Vec::new();
        let mut at = 0;
        while at < count {
            let run = disk.run(inode, at)?;
            let Some(start) = run.start else { return Err(broken(format!("block {at} of the journal is missing"))) };
            if runs.len() >= RUNS {
                return Err(broken(format!("the journal is in more than {RUNS} pieces")));
            }
            let blocks = run.blocks.min(count.saturating_sub(at));
            runs.push((at, start, blocks));
            at = at.saturating_add(blocks);
        }
        Ok(Self { runs, count })
    }

    /// How many there are.
    pub(super) fn len(&self) -> u64 {
        self.count
    }

    /// Where a block of the journal is on the device.
    pub(super) fn place(&self, number: u64) -> io::Result<u64> {
        let after = self.runs.partition_point(|&(first, ..)| first <= number);
        let run = after.checked_sub(1).and_then(|at| self.runs.get(at));
        let place = run.and_then(|&(first, start, blocks)| {
            let within = number.saturating_sub(first);
            (within < blocks).then(|| start.saturating_add(within))
        });
        place.ok_or_else(|| broken(format!("the journal has no block {number}")))
    }

    /// One block.
    pub(super) fn read(&self, disk: &Disk, number: u64) -> io::Result<Vec<u8>> {
        disk.block(self.place(number)?, || format!("block {number} of the journal"))
    }
}
