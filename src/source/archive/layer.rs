//! One archive as the list of its entries, in their order, small enough to wait for the others.

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::Arc;

use super::Keep;
use super::bytes::{Bytes, invalid};
use super::content::{Budget, Content};
use super::tar::{Item, Map, Sink, What};
use crate::image::{FileKind, Metadata};
use crate::path::ImagePath;

/// The longest path of Linux (`PATH_MAX`): nothing can be unpacked to a longer one by its path.
const PATH: usize = 4096;
/// Larger files are never kept: an rpm database of a thousand packages has 60 MiB.
const KEEP: u64 = 128 << 20;
/// Reasons that are kept word by word; after them all say that there were too many.
const REASONS: usize = 1_000;

/// Marks an index that leads nowhere.
pub(super) const NONE: u32 = u32::MAX;

/// What an entry or a file of the tree is: 48 bytes.
#[derive(Clone, Copy)]
pub(super) struct Inode {
    /// Bytes of a file, or of a link's target.
    pub(super) size: u64,
    pub(super) mtime: i64,
    /// Where the content is in the archive, or the target among [`Store::links`].
    pub(super) offset: u64,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) nlink: u32,
    /// Index of [`Store::extras`], or, where nothing is known, of [`Store::reasons`].
    pub(super) extra: u32,
    /// Index of [`Store::kept`].
    pub(super) kept: u32,
    /// As `st_mode`; no kind at all where nothing is known.
    pub(super) mode: u16,
    pub(super) layer: u16,
}

impl Inode {
    pub(super) fn kind(&self) -> Option<FileKind> {
        FileKind::from_mode(u32::from(self.mode))
    }

    /// A directory that nobody described: what `mkdir -p` of root makes.
    pub(super) const IMPLIED: Self =
        Self { size: 0, mtime: 0, offset: 0, uid: 0, gid: 0, nlink: 0, extra: NONE, kept: NONE, mode: 0o040_755, layer: 0 };
}

/// The bits of a kind in `st_mode`.
const fn bits(kind: FileKind) -> u16 {
    match kind {
        FileKind::File => 0o100_000,
        FileKind::Directory => 0o040_000,
        FileKind::Link => 0o120_000,
        FileKind::Fifo => 0o010_000,
        FileKind::Socket => 0o140_000,
        FileKind::CharDevice => 0o020_000,
        FileKind::BlockDevice => 0o060_000,
    }
}

/// One entry, with its path as what differs from the one before.
pub(super) struct Record {
    pub(super) inode: Inode,
    /// Bytes that are the same as in the path before.
    shared: u16,
    /// Bytes that follow.
    own: u16,
    /// The target of a hard link among [`Store::links`]: length, and its offset in the inode.
    pub(super) hard: Option<std::num::NonZeroU16>,
}

/// What few files have.
#[derive(PartialEq, Eq, Hash, Clone)]
pub(super) struct Extra {
    pub(super) xattrs: Vec<(Box<str>, Box<[u8]>)>,
    pub(super) sparse: Option<Map>,
}

/// What the inodes of a layer refer to.
pub(super) struct Store {
    pub(super) links: Vec<u8>,
    pub(super) extras: Vec<Extra>,
    pub(super) kept: Vec<Content>,
    pub(super) reasons: Vec<String>,
    pub(super) bytes: Arc<dyn Bytes>,
}

impl Store {
    pub(super) fn link(&self, offset: u64, length: u64) -> &[u8] {
        let range = || Some(usize::try_from(offset).ok()?..usize::try_from(offset.checked_add(length)?).ok()?);
        range().and_then(|range| self.links.get(range)).unwrap_or_default()
    }
}

/// The entries of one archive.
pub(super) struct Layer {
    pub(super) records: Vec<Record>,
    paths: Vec<u8>,
    pub(super) store: Arc<Store>,
    /// Places of which not even the path can be used.
    pub(super) gaps: Vec<String>,
    /// Why entries may be missing.
    pub(super) incomplete: Option<String>,
}

impl Layer {
    /// Shows every entry with its path, which is normalised.
    pub(super) fn each(&self, mut show: impl FnMut(&[u8], &Record)) {
        let mut path = Vec::new();
        let mut at = 0;
        for record in &self.records {
            path.truncate(usize::from(record.shared));
            let end = at + usize::from(record.own);
            path.extend_from_slice(self.paths.get(at..end).unwrap_or_default());
            at = end;
            show(&path, record);
        }
    }
}

/// Writes down the entries of an archive, and keeps the content that is going to be asked for.
pub(super) struct Log<'k> {
    records: Vec<Record>,
    paths: Vec<u8>,
    store: Store,
    gaps: Vec<String>,
    keep: Keep<'k>,
    budget: &'k Budget,
    last: Vec<u8>,
    known: HashMap<Extra, u32>,
}

impl<'k> Log<'k> {
    pub(super) fn new(bytes: Arc<dyn Bytes>, keep: Keep<'k>, budget: &'k Budget) -> Self {
        let store = Store { links: Vec::new(), extras: Vec::new(), kept: Vec::new(), reasons: Vec::new(), bytes };
        let (records, paths, gaps, last) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { records, paths, store, gaps, keep, budget, last, known: HashMap::new() }
    }

    /// The layer, with the reason why its archive could not be read to its end.
    pub(super) fn done(mut self, incomplete: Option<String>) -> Layer {
        self.records.shrink_to_fit();
        self.paths.shrink_to_fit();
        Layer { records: self.records, paths: self.paths, store: Arc::new(self.store), gaps: self.gaps, incomplete }
    }

    fn reason(&mut self, reason: String) -> u32 {
        let reasons = &mut self.store.reasons;
        if reasons.len() < REASONS {
            reasons.push(reason);
        } else if reasons.len() == REASONS {
            reasons.push("the archive has very many entries that cannot be read".into());
        }
        index(reasons.len() - 1)
    }

    /// Puts a target among the links and says where.
    fn target(&mut self, target: &[u8]) -> io::Result<u64> {
        self.budget.text(target.len())?;
        let offset = self.store.links.len() as u64;
        self.store.links.extend_from_slice(target);
        Ok(offset)
    }

    fn extra(&mut self, xattrs: Vec<(Box<str>, Box<[u8]>)>, sparse: Option<Map>) -> io::Result<u32> {
        if xattrs.is_empty() && sparse.is_none() {
            return Ok(NONE);
        }
        let extra = Extra { xattrs, sparse };
        if let Some(known) = self.known.get(&extra) {
            return Ok(*known);
        }
        let attributes: usize = extra.xattrs.iter().map(|(name, value)| name.len() + value.len() + 32).sum();
        // Twice: once to find it again.
        self.budget.extra(2 * (attributes as u64 + extra.sparse.as_ref().map_or(0, Map::cost)))?;
        let number = index(self.store.extras.len());
        self.store.extras.push(extra.clone());
        self.known.insert(extra, number);
        Ok(number)
    }

    /// Adds the path and says how much of it is the same as in the one before.
    fn path(&mut self, path: &[u8]) -> io::Result<(u16, u16)> {
        let shared = path.iter().zip(&self.last).take_while(|(one, other)| one == other).count();
        let own = path.get(shared..).unwrap_or_default();
        self.budget.text(own.len())?;
        self.paths.extend_from_slice(own);
        self.last.clear();
        self.last.extend_from_slice(path);
        let short = |length: usize| u16::try_from(length).map_err(|_| invalid("a path that is too long"));
        Ok((short(shared)?, short(own.len())?))
    }
}

/// An index of 32 bits. There are never more of anything: entries are counted.
pub(super) fn index(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(NONE)
}

impl Sink for Log<'_> {
    fn item(&mut self, item: Item, content: &mut (dyn Read + Send)) -> io::Result<()> {
        self.add(item, content, false)
    }
}

impl Log<'_> {
    /// Writes down an entry; its content is kept where the caller of this room wants it, or where this one does.
    pub(super) fn add(&mut self, item: Item, content: &mut (dyn Read + Send), keep: bool) -> io::Result<()> {
        self.budget.entry()?;
        let path = ImagePath::new(&item.path);
        if path.as_bytes().len() > PATH {
            let start = crate::path::printable(path.as_bytes().get(..80).unwrap_or_default());
            if self.gaps.len() < REASONS {
                self.gaps.push(format!("a path longer than the limit of {PATH} bytes, which begins with {start}"));
            }
            return Ok(());
        }
        let mut what = item.what;
        if item.path.split(|&byte| byte == b'/').any(|part| part == b"..") {
            what = What::Doubtful("an entry with '..' in its path, which some programs unpack here and others do not".into());
        }
        let mut inode = Inode {
            size: item.size,
            mtime: item.mtime,
            offset: item.offset,
            uid: item.uid,
            gid: item.gid,
            nlink: 0,
            extra: NONE,
            kept: NONE,
            mode: u16::try_from(item.mode & 0o7777).unwrap_or(0),
            layer: 0,
        };
        let mut hard = None;
        let mut kind = None;
        match what {
            What::Kind(found) => kind = Some(found),
            What::Link(target) if target.len() < PATH => {
                kind = Some(FileKind::Link);
                inode.size = target.len() as u64;
                inode.offset = self.target(&target)?;
            }
            What::Hard(target) => {
                let target = ImagePath::new(&target);
                let length = u16::try_from(target.as_bytes().len()).ok().filter(|length| usize::from(*length) <= PATH);
                hard = length.and_then(std::num::NonZeroU16::new);
                inode.offset = self.target(target.as_bytes())?;
                if hard.is_none() {
                    inode.extra = self.reason("a hard link to a path that is too long".into());
                }
            }
            What::Link(_) => inode.extra = self.reason("a link to a path that is too long".into()),
            What::Doubtful(reason) => inode.extra = self.reason(reason),
        }
        if let Some(kind) = kind {
            inode.mode |= bits(kind);
            inode.extra = self.extra(item.xattrs, item.sparse)?;
        } else {
            inode.mode = 0;
        }
        let (shared, own) = self.path(path.as_bytes())?;
        self.records.push(Record { inode, shared, own, hard });
        if kind == Some(FileKind::File) && item.stored <= KEEP {
            let metadata = Metadata {
                kind: FileKind::File,
                mode: item.mode,
                uid: item.uid,
                gid: item.gid,
                size: item.size,
                nlink: 1,
                mtime: item.mtime,
            };
            if (keep || (self.keep)(&path, &metadata))
                && let Some(kept) = Content::keep(content, item.stored, self.budget)?
            {
                let number = index(self.store.kept.len());
                self.store.kept.push(kept);
                if let Some(record) = self.records.last_mut() {
                    record.inode.kept = number;
                }
            }
        }
        Ok(())
    }
}
