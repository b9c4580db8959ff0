//! A tar archive, entry after entry, in one pass over a stream.
//!
//! V7, ustar, pax and GNU archives. Where programs differ in what a header means, the entry is shown as trouble: what one of them would unpack
//! must not be judged by what another would. What cannot be read on from (a checksum, a size, the end) ends the pass with an error
//! that says at which byte.

mod header;
mod pax;
mod sparse;

use std::io::{self, Read};

pub(super) use header::BLOCK;
pub(super) use sparse::Map;

use self::header::{Header, segments, text};
use self::pax::Extended;
use super::bytes::{Forward, fill, invalid};
use crate::image::FileKind;

/// Bytes of one extended header or long name; Linux allows 64 KiB of attributes for a file, and 4 KiB for a path.
const EXTENDED: u64 = 1 << 20;

/// One entry of an archive.
pub(super) struct Item {
    /// As written, with slashes and dots wherever they are.
    pub(super) path: Vec<u8>,
    pub(super) what: What,
    /// Twelve bits.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: i64,
    /// Bytes of a file, holes included.
    pub(super) size: u64,
    /// Where its content begins in the archive.
    pub(super) offset: u64,
    /// Bytes of it that are stored.
    pub(super) stored: u64,
    pub(super) sparse: Option<Map>,
    pub(super) xattrs: Vec<(Box<str>, Box<[u8]>)>,
}

/// What an entry makes.
pub(super) enum What {
    /// Anything but a link.
    Kind(FileKind),
    /// A symbolic link and its target.
    Link(Vec<u8>),
    /// One more name for a file.
    Hard(Vec<u8>),
    /// It cannot be told, or programs differ.
    Doubtful(String),
}

/// Takes the entries of an archive.
pub(super) trait Sink {
    /// An entry with a reader of what is stored of its content; what is left of that is passed over.
    ///
    /// # Errors
    /// Ends the pass.
    fn item(&mut self, item: Item, content: &mut (dyn Read + Send)) -> io::Result<()>;
}

/// How a pass ended that met no error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// With the two blocks of zeros that belong there.
    Marked,
    /// Without them, after whole entries; at which byte.
    Bare(u64),
}

/// Whether this block can begin a tar archive.
pub(super) fn begins(start: &[u8]) -> bool {
    start.first_chunk().is_some_and(|block| block.iter().any(|&byte| byte != 0) && Header::new(block).is_some())
}

/// Shows every entry.
///
/// # Errors
/// Of the stream or the sink; `UnexpectedEof` where the archive ends inside an entry, `InvalidData` for what cannot be read on from.
/// What was shown before stands.
pub(super) fn scan(input: &mut (dyn Forward + Send), sink: &mut dyn Sink) -> io::Result<End> {
    Scan { input, offset: 0, global: Extended::default() }.run(sink)
}

struct Scan<'r> {
    input: &'r mut (dyn Forward + Send),
    offset: u64,
    global: Extended,
}

impl Scan<'_> {
    fn cut(&self, inside: &str) -> io::Error {
        let reason = format!("the archive ends at byte {}, inside {inside}", self.offset);
        io::Error::new(io::ErrorKind::UnexpectedEof, reason)
    }

    fn at(start: u64, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("the header at byte {start}: {error}"))
    }

    fn block(&mut self) -> io::Result<Option<[u8; BLOCK]>> {
        let mut block = [0; BLOCK];
        let filled = fill(&mut self.input, &mut block)?;
        self.offset += filled as u64;
        match filled {
            0 => Ok(None),
            BLOCK => Ok(Some(block)),
            _ => Err(self.cut("a header")),
        }
    }

    fn run(&mut self, sink: &mut dyn Sink) -> io::Result<End> {
        let mut own = Extended { ..self.global.clone() };
        let (mut long_name, mut long_link) = (None, None);
        let mut zeros = false;
        loop {
            let start = self.offset;
            let Some(block) = self.block()? else { return Ok(End::Bare(start)) };
            if block == [0; BLOCK] {
                if zeros {
                    return Ok(End::Marked);
                }
                zeros = true;
                continue;
            }
            if zeros {
                // GNU tar reads on here, others stop: what follows is part of the image or not.
                return Err(invalid(format!("at byte {start} an entry follows the mark of the end")));
            }
            let header =
                Header::new(&block).ok_or_else(|| invalid(format!("no header at byte {start}: its checksum does not hold")))?;
            let size = header.size().map_err(|error| Self::at(start, &error))?;
            match header.kind() {
                b'x' | b'X' => {
                    let records = self.small(start, size)?;
                    own.read(&records).map_err(|error| Self::at(start, &error))?;
                }
                b'g' => {
                    let records = self.small(start, size)?;
                    self.global.read(&records).map_err(|error| Self::at(start, &error))?;
                    own.read(&records).map_err(|error| Self::at(start, &error))?;
                }
                b'L' => long_name = Some(text(&self.small(start, size)?).to_vec()),
                b'K' => long_link = Some(text(&self.small(start, size)?).to_vec()),
                // The name of a volume, and access control lists of Solaris: nothing of the tree.
                b'V' | b'A' => self.pass(size)?,
                _ => {
                    let mut extended = std::mem::replace(&mut own, self.global.clone());
                    extended.path = extended.path.take().or(long_name.take());
                    extended.link = extended.link.take().or(long_link.take());
                    (long_name, long_link) = (None, None);
                    self.entry(&header, start, extended, sink)?;
                }
            }
        }
    }

    /// The content of an extended header.
    fn small(&mut self, start: u64, size: u64) -> io::Result<Vec<u8>> {
        if size > EXTENDED {
            return Err(invalid(format!(
                "the header at byte {start}: an extended header larger than the limit of {EXTENDED} bytes"
            )));
        }
        let mut content = vec![0; usize::try_from(size).unwrap_or(0)];
        let filled = fill(&mut self.input, &mut content)?;
        self.offset += filled as u64;
        if filled < content.len() {
            return Err(self.cut("an extended header"));
        }
        self.pass(padding(size))?;
        Ok(content)
    }

    fn pass(&mut self, bytes: u64) -> io::Result<()> {
        let passed = self.input.pass(bytes)?;
        self.offset += passed;
        if passed < bytes { Err(self.cut("an entry's content")) } else { Ok(()) }
    }

    fn entry(&mut self, header: &Header<'_>, start: u64, extended: Extended, sink: &mut dyn Sink) -> io::Result<()> {
        let told = extended.size.map_or_else(|| header.size(), Ok)?;
        let mut doubt: Option<String> = None;
        let name = extended.path.clone().unwrap_or_else(|| header.name());
        let link = extended.link.unwrap_or_else(|| header.link().to_vec());
        let mut what = match header.kind() {
            // Before POSIX a directory was a file with a slash at its end.
            0 | b'0' | b'7' if name.ends_with(b"/") && !extended.sparse.is_one => What::Kind(FileKind::Directory),
            0 | b'0' | b'7' | b'S' => What::Kind(FileKind::File),
            b'1' => What::Hard(link),
            b'2' => What::Link(link),
            b'3' => What::Kind(FileKind::CharDevice),
            b'4' => What::Kind(FileKind::BlockDevice),
            b'5' | b'D' => What::Kind(FileKind::Directory),
            b'6' => What::Kind(FileKind::Fifo),
            b'M' => What::Doubtful("the rest of a file that begins in another volume of the archive".into()),
            other => What::Doubtful(format!("an entry of the unknown kind '{}'", crate::path::printable(&[other]))),
        };
        // What has no content takes no blocks, whatever its size says; GNU's list of a directory, and unknown kinds, do.
        let has_content = matches!(header.kind(), 0 | b'0' | b'7' | b'S' | b'D') || matches!(what, What::Doubtful(_));
        let mut stored = if has_content { told } else { 0 };
        let is_plain = matches!(what, What::Kind(FileKind::File) | What::Hard(_) | What::Doubtful(_)) || header.kind() == b'D';
        if told != 0 && !is_plain {
            doubt = Some(format!("its header claims {told} bytes, which it cannot have: programs differ in what follows"));
        }
        let mut size = if matches!(what, What::Kind(FileKind::File)) { stored } else { 0 };
        let mut path = name;
        let mut map = None;
        let mut taken = 0;
        if header.kind() == b'S' {
            let (read, real) = self.old_sparse(header, &mut taken).map_err(|error| Self::at(start, &error))?;
            (map, size) = (Some(read), real);
        } else if extended.sparse.is_one && matches!(what, What::Kind(FileKind::File)) {
            let sparse = extended.sparse;
            size = sparse.size.ok_or_else(|| invalid(format!("the header at byte {start}: a sparse file without its size")))?;
            path = sparse.name.unwrap_or(path);
            map = Some(if sparse.major == 0 { sparse.map } else { self.new_sparse(stored, &mut taken)? });
            stored = stored
                .checked_sub(taken)
                .ok_or_else(|| invalid(format!("the header at byte {start}: a sparse file smaller than its map")))?;
        }
        if let Some(map) = &map {
            map.check(stored, size).map_err(|error| Self::at(start, &error))?;
        }
        if i64::try_from(size).is_err() || i64::try_from(stored).is_err() {
            return Err(invalid(format!("the header at byte {start}: a file of {size} bytes")));
        }
        let mut known = |value: io::Result<u32>| {
            value.unwrap_or_else(|error| {
                doubt = Some(error.to_string());
                0
            })
        };
        let (mode, uid) = (known(header.mode()), known(extended.uid.map_or_else(|| header.uid(), Ok)));
        let gid = known(extended.gid.map_or_else(|| header.gid(), Ok));
        // A time that makes no sense changes nothing else.
        let mtime = extended.mtime.or_else(|| header.mtime().ok()).unwrap_or(0);
        if let Some(doubt) = doubt {
            what = What::Doubtful(doubt);
        }
        let xattrs = extended.xattrs;
        let item = Item { path, what, mode, uid, gid, mtime, size, offset: self.offset, stored, sparse: map, xattrs };
        let mut content = (&mut *self.input as &mut (dyn Read + Send)).take(stored);
        let shown = sink.item(item, &mut content);
        let read = stored - content.limit();
        self.offset += read;
        shown?;
        let padding = padding(stored.saturating_add(if header.kind() == b'S' { 0 } else { taken }));
        self.pass(stored - read)?;
        // The content is whole. That the last block is not filled up (umoci leaves it so) is told as an archive without its end.
        self.offset += self.input.pass(padding)?;
        Ok(())
    }

    /// The map of an old GNU sparse file, which goes on in blocks behind the header.
    fn old_sparse(&mut self, header: &Header<'_>, taken: &mut u64) -> io::Result<(Map, u64)> {
        let (first, mut more, size) = header.sparse()?;
        let mut map = Map::default();
        first.iter().try_for_each(|(offset, length)| map.push(*offset, *length))?;
        while more {
            let block = self.block()?.ok_or_else(|| self.cut("the map of a sparse file"))?;
            *taken += BLOCK as u64;
            let found = segments(block.get(..504).unwrap_or_default())?;
            more = !found.is_empty() && block.get(504).is_some_and(|&byte| byte != 0);
            found.iter().try_for_each(|(offset, length)| map.push(*offset, *length))?;
        }
        Ok((map, size))
    }

    /// The map of a sparse file of version 1.0: decimal numbers a line each, before the content, filled up to a whole block.
    fn new_sparse(&mut self, stored: u64, taken: &mut u64) -> io::Result<Map> {
        let mut map = Map::default();
        let mut numbers: Vec<u64> = Vec::new();
        let mut digits = Vec::new();
        let mut left: Option<u64> = None;
        while left != Some(0) {
            if *taken >= stored {
                return Err(self.cut("the map of a sparse file"));
            }
            let block = self.block()?.ok_or_else(|| self.cut("the map of a sparse file"))?;
            *taken += BLOCK as u64;
            for &byte in &block {
                if left == Some(0) {
                    break;
                }
                if byte != b'\n' {
                    digits.push(byte);
                    continue;
                }
                let number = sparse::decimal(&digits).map_err(|error| Self::at(self.offset, &error))?;
                digits.clear();
                match left {
                    None => left = Some(number),
                    Some(_) => numbers.push(number),
                }
                if let [offset, length] = *numbers.as_slice() {
                    map.push(offset, length).map_err(|error| Self::at(self.offset, &error))?;
                    numbers.clear();
                    left = left.map(|left| left.saturating_sub(1));
                }
            }
            if digits.len() > 20 {
                return Err(invalid(format!("the map of the sparse file before byte {} makes no sense", self.offset)));
            }
        }
        Ok(map)
    }
}

/// The bytes that fill up the last block.
fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}
