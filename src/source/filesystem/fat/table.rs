//! The layout of a FAT file system, and the chains of its clusters (Microsoft, "FAT32 File System Specification"; the kernel's
//! `fs/fat/inode.c` for what it accepts). Numbers are little-endian.

use std::io;

use crate::source::device::cache::{Cache, Table};
use crate::source::device::fields::{array, le16, le32, size};
use crate::source::device::{Device, broken};

/// Pages of the table held in memory: a quarter of a million clusters.
const PAGES: usize = 1 << 20;
/// The kernel's bound of a directory: 65,536 entries of 32 bytes.
pub(super) const LONGEST_DIRECTORY: u64 = 2 << 20;
/// More clusters than this are numbered with 16 bits (`MAX_FAT12`).
const MOST_SHORT: u32 = 0xff4;

/// How wide a number of the table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    Twelve,
    Sixteen,
    ThirtyTwo,
}

/// Where the root directory is.
#[derive(Debug, Clone, Copy)]
enum RootPlace {
    /// In a place of its own, first byte and length.
    Own(u64, u64),
    /// In a chain, as other directories.
    Chain(u32),
}

/// An opened file system's layout.
pub(super) struct Layout {
    device: Device,
    pub(super) width: Width,
    /// Bytes of a cluster.
    pub(super) cluster: u64,
    /// First byte and length of the table.
    table: (u64, u64),
    root: RootPlace,
    /// First byte of cluster 2.
    data: u64,
    /// The first number that is no cluster's.
    end: u32,
    pages: Cache,
}

impl Layout {
    pub(super) fn read(device: Device) -> io::Result<Self> {
        let mut boot = [0; 512];
        device.read_at(0, &mut boot)?;
        let sector = u64::from(le16(&boot, 11)?);
        let [per_cluster] = array::<1>(&boot, 13)?;
        let reserved = u64::from(le16(&boot, 14)?);
        let [tables] = array::<1>(&boot, 16)?;
        let (root_entries, short_sectors, short_table) = (u64::from(le16(&boot, 17)?), le16(&boot, 19)?, le16(&boot, 22)?);
        if !sector.is_power_of_two()
            || !(512..=4096).contains(&sector)
            || !per_cluster.is_power_of_two()
            || reserved == 0
            || tables == 0
        {
            return Err(broken(format!(
                "FAT: sectors of {sector} bytes, clusters of {per_cluster}, {reserved} reserved, {tables} tables"
            )));
        }
        let long = short_table == 0;
        let sectors = if short_sectors == 0 { u64::from(le32(&boot, 32)?) } else { u64::from(short_sectors) };
        let table_sectors = if long { u64::from(le32(&boot, 36)?) } else { u64::from(short_table) };
        // One table is in use where they are not kept the same (bit 7), else the first.
        let flags = if long { le16(&boot, 40)? } else { 0 };
        let active = if flags & 0x80 == 0 { 0 } else { u64::from(flags & 0xf) };
        if active >= u64::from(tables) || table_sectors == 0 {
            return Err(broken(format!("FAT: table {active} of {tables}, {table_sectors} sectors each")));
        }
        let root_start = reserved + u64::from(tables) * table_sectors;
        let data = root_start + (root_entries * 32).div_ceil(sector);
        let clusters = sectors.checked_sub(data).map(|sectors| sectors / u64::from(per_cluster)).filter(|&clusters| clusters > 0);
        let clusters = clusters.and_then(|clusters| u32::try_from(clusters).ok()).filter(|&clusters| clusters < 0x0fff_fff5);
        let clusters = clusters.ok_or_else(|| broken(format!("FAT: {sectors} sectors, of which {data} are before the data")))?;
        let (width, bits) = match (long, clusters > MOST_SHORT) {
            (true, _) => (Width::ThirtyTwo, 32),
            (false, true) => (Width::Sixteen, 16),
            (false, false) => (Width::Twelve, 12),
        };
        // What the table has no entry for does not exist.
        let entries = u32::try_from(table_sectors * sector * 8 / bits).unwrap_or(u32::MAX);
        let root = if long { RootPlace::Chain(le32(&boot, 44)?) } else { RootPlace::Own(root_start * sector, root_entries * 32) };
        Ok(Self {
            device,
            width,
            cluster: sector * u64::from(per_cluster),
            table: ((reserved + active * table_sectors) * sector, table_sectors * sector),
            root,
            data: data * sector,
            end: (clusters + 2).min(entries),
            pages: Cache::new(PAGES),
        })
    }

    /// The cluster after this one; none at the end of a chain.
    fn next(&self, cluster: u32) -> io::Result<Option<u32>> {
        let number = u64::from(cluster);
        let (value, last) = match self.width {
            Width::Twelve => {
                let pair = u32::from(self.byte(number * 3 / 2)?) | u32::from(self.byte(number * 3 / 2 + 1)?) << 8;
                (if cluster.is_multiple_of(2) { pair & 0xfff } else { pair >> 4 }, 0xff8)
            }
            Width::Sixteen => (u32::from(self.byte(number * 2)?) | u32::from(self.byte(number * 2 + 1)?) << 8, 0xfff8),
            Width::ThirtyTwo => {
                let (page, at) = self.page(number * 4)?;
                (le32(&page, at)? & 0x0fff_ffff, 0x0fff_fff8)
            }
        };
        if value >= last {
            return Ok(None);
        }
        self.check(value).map_err(|error| broken(format!("FAT: after cluster {cluster}: {error}")))?;
        Ok(Some(value))
    }

    fn page(&self, at: u64) -> io::Result<(std::sync::Arc<[u8]>, usize)> {
        let table = Table { device: &*self.device, file: 0, start: self.table.0, length: self.table.1 };
        self.pages.page(table, at)
    }

    fn byte(&self, at: u64) -> io::Result<u8> {
        let (page, at) = self.page(at)?;
        array::<1>(&page, at).map(|[byte]| byte)
    }

    fn check(&self, cluster: u32) -> io::Result<()> {
        if (2..self.end).contains(&cluster) { Ok(()) } else { Err(broken(format!("cluster {cluster} of {}", self.end))) }
    }

    /// All bytes of the root directory, or of the directory that starts at a cluster, and the clusters that hold them.
    pub(super) fn directory(&self, first: Option<u32>) -> io::Result<(Vec<u8>, Vec<u32>)> {
        let first = match (first, self.root) {
            (Some(first), _) | (None, RootPlace::Chain(first)) => first,
            (None, RootPlace::Own(start, length)) => {
                // 65,535 entries at most, by the width of their number.
                let mut bytes = vec![0; size(length)?];
                self.device.read_at(start, &mut bytes)?;
                return Ok((bytes, Vec::new()));
            }
        };
        let mut bytes = Vec::new();
        let mut clusters = Vec::new();
        let mut at = Some(first);
        while let Some(cluster) = at {
            if bytes.len() as u64 + self.cluster > LONGEST_DIRECTORY {
                return Err(broken(format!(
                    "FAT: a directory from cluster {first} on of more than 2 MiB: its chain may lead back to itself"
                )));
            }
            clusters.push(cluster);
            let from = bytes.len();
            bytes.resize(from + size(self.cluster)?, 0);
            self.read_cluster(cluster, 0, bytes.get_mut(from..).unwrap_or_default())?;
            at = self.next(cluster)?;
        }
        Ok((bytes, clusters))
    }

    fn read_cluster(&self, cluster: u32, inside: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.check(cluster).map_err(|error| broken(format!("FAT: {error}")))?;
        self.device.read_at(self.data + u64::from(cluster - 2) * self.cluster + inside, buffer)
    }
}

/// The content of a file, read from its start.
pub(super) struct Content<'f> {
    layout: &'f Layout,
    /// The cluster to read from, and what was read of it.
    cluster: u32,
    inside: u64,
    left: u64,
}

impl<'f> Content<'f> {
    pub(super) const fn new(layout: &'f Layout, first: u32, length: u64) -> Self {
        Self { layout, cluster: first, inside: 0, left: length }
    }
}

impl io::Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 || buffer.is_empty() {
            return Ok(0);
        }
        if self.inside == self.layout.cluster {
            // A chain that leads round ends with the file's length.
            let next = self.layout.next(self.cluster)?;
            let cluster = self.cluster;
            self.cluster =
                next.ok_or_else(|| broken(format!("FAT: the chain ends with cluster {cluster}, {} bytes too early", self.left)))?;
            self.inside = 0;
        }
        let take = self.left.min(self.layout.cluster - self.inside).min(buffer.len() as u64);
        let buffer = buffer.get_mut(..size(take)?).unwrap_or_default();
        self.layout.read_cluster(self.cluster, self.inside, buffer)?;
        self.inside += take;
        self.left -= take;
        Ok(buffer.len())
    }
}
