//! Every inode in use, in one pass over the tables.

use std::io;
use std::ops::Range;

use rayon::prelude::*;

use super::Xfs;
use super::bytes::{Within, broken};
use super::directory;
use super::disk::Disk;
use super::group::{self, CHUNK, Chunk};
use super::inode::{self, Format};
use crate::image::{FileKind, Metadata};

/// Chunks are handled so many at a time: 4 million inodes, and 1.5 MiB of memory.
const BATCH: usize = 1 << 16;
/// Neighbouring chunks are read together up to this size.
const MAX_RUN: u64 = 256 * 1024;
/// Directory blocks are asked for up to so many extents of a directory: a larger one asks for more when it is read.
const EARLY_EXTENTS: usize = 16;

/// Is shown an inode by its number.
type Each<'a> = &'a (dyn Fn(u64, io::Result<Metadata>) + Sync);

/// Chunks that lie together.
struct Run<'a> {
    chunks: &'a [Chunk],
    bytes: Range<u64>,
}

/// Shows every inode in use. What cannot be read of the tables themselves is shown as an error of inode 0, which is none.
pub(super) fn inodes(xfs: &Xfs, each: Each<'_>) {
    let disk = &xfs.disk;
    let superblock = &disk.superblock;
    let sector = u64::from(superblock.sector_size);
    // What lies beyond the end of the image is one error, not one a group.
    let groups =
        (0..superblock.groups).find(|&group| superblock.group_offset(group) >= disk.device.len()).unwrap_or(superblock.groups);
    if groups < superblock.groups {
        let what = format!("allocation groups {groups} to {} lie beyond the end of the image", superblock.groups - 1);
        each(0, Err(io::Error::new(io::ErrorKind::UnexpectedEof, what)));
    }
    let headers = (0..groups).map(|group| {
        let begin = superblock.group_offset(group);
        begin..begin + 4 * sector
    });
    disk.prefetch(&headers.collect::<Vec<_>>());
    (0..groups).into_par_iter().for_each(|group| {
        let mut batch = Vec::new();
        let walked = group::chunks(disk, group, &mut |chunk| {
            batch.push(chunk);
            if batch.len() >= BATCH {
                show(disk, group, &batch, each);
                batch.clear();
            }
        });
        show(disk, group, &batch, each);
        if let Err(error) = walked.within(|| format!("allocation group {group}")) {
            each(0, Err(error));
        }
    });
}

/// Shows the inodes of chunks.
fn show(disk: &Disk, group: u32, chunks: &[Chunk], each: Each<'_>) {
    let runs = runs(disk, group, chunks);
    disk.prefetch(&runs.iter().map(|run| run.bytes.clone()).collect::<Vec<_>>());
    // One buffer a thread: asking the system for fresh memory costs more than reading into it.
    let ranges: Vec<Range<u64>> =
        runs.par_iter().map_init(Vec::new, |buffer, run| read(disk, group, run, buffer, each)).flatten_iter().collect();
    disk.prefetch(&ranges);
}

/// Puts neighbours together. Chunks with holes are read as they lie, for the hole may belong to somebody else and beyond the end.
fn runs<'a>(disk: &Disk, group: u32, chunks: &'a [Chunk]) -> Vec<Run<'a>> {
    let superblock = &disk.superblock;
    let start = superblock.group_offset(group);
    let joined = chunks.chunk_by(|one, next| one.first + CHUNK == next.first);
    let most = usize::try_from((MAX_RUN >> superblock.inode_log) / CHUNK).unwrap_or(1).max(1);
    let end = superblock.blocks_of_group(group) << superblock.block_log;
    joined
        .flat_map(|together| together.chunks(most))
        .filter_map(|chunks| {
            let (first, last) = (chunks.first()?, chunks.last()?);
            let begin = first.first << superblock.inode_log;
            let end = ((last.first + CHUNK) << superblock.inode_log).min(end);
            Some(Run { chunks, bytes: start + begin..start + end })
        })
        .collect()
}

/// Shows the inodes of a run, and says where the directories among them have their blocks.
fn read(disk: &Disk, group: u32, run: &Run<'_>, buffer: &mut Vec<u8>, each: Each<'_>) -> Vec<Range<u64>> {
    let superblock = &disk.superblock;
    let mut places = Vec::new();
    let length = usize::try_from(run.bytes.end - run.bytes.start).unwrap_or_default();
    // If a run cannot be read whole, each of its inodes is read alone: what is cut off or broken takes nothing else with it.
    buffer.resize(length, 0);
    let bytes = disk.read_into(run.bytes.start, buffer).ok().map(|()| &**buffer);
    let size = usize::from(superblock.inode_size);
    for (chunk, index) in run.chunks.iter().zip((0_usize..).step_by(64)) {
        for bit in (0..64_usize).filter(|bit| chunk.used >> bit & 1 != 0) {
            let number = superblock.inode_number(group, chunk.first + bit as u64);
            let at = (index + bit) * size;
            let found = match bytes.map(|bytes| bytes.get(at..at + size)) {
                Some(Some(bytes)) => {
                    let offset = run.bytes.start + at as u64;
                    inode::parse(disk, number, offset, bytes)
                        .and_then(|found| found.ok_or_else(|| broken("its table says it is in use, it says it is free")))
                        .inspect(|found| note(disk, number, bytes, found, &mut places))
                        .within(|| format!("inode {number}"))
                }
                _ => inode::Inode::read(disk, number).map(|inode| inode.metadata),
            };
            each(number, found);
        }
    }
    places
}

/// Notes where a directory has its blocks.
fn note(disk: &Disk, number: u64, bytes: &[u8], found: &Metadata, places: &mut Vec<Range<u64>>) {
    if found.kind == FileKind::Directory
        && let Ok(fork) = inode::data(number, bytes)
        && fork.format == Format::Extents
        && let Ok(found) = directory::places(disk, &fork, EARLY_EXTENTS)
    {
        places.extend(found);
    }
}
