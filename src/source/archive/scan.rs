//! One archive read from its first to its last byte: compression undone, digests taken, entries written down.

use std::io::{self, Cursor, Read};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

use super::Keep;
use super::bytes::{Bytes, Stream, fill, invalid};
use super::compression::{Again, Bounds, Compression, Marks, decoder};
use super::content::Budget;
use super::layer::{Layer, Log};
use super::tar::{self, BLOCK, End, Sink};

/// A SHA-256.
pub(super) type Sum = [u8; 32];

/// What a pass over an archive needs to know.
#[derive(Clone, Copy)]
pub(super) struct Means<'k> {
    pub(super) keep: Keep<'k>,
    pub(super) bounds: Bounds,
    pub(super) budget: &'k Budget,
}

/// An archive that was read.
pub(super) struct Scanned {
    pub(super) layer: Layer,
    pub(super) compression: Option<Compression>,
    /// Of the bytes as they are stored, and of what they are uncompressed.
    pub(super) digest: Sum,
    pub(super) diff_id: Sum,
    /// Bytes as they are stored, and uncompressed.
    pub(super) stored: u64,
    pub(super) content: u64,
}

/// A stream that is read once.
pub(super) type Input<'r> = Box<dyn Read + Send + 'r>;

/// A digest that is being taken, and of how many bytes.
type Taking = Arc<Mutex<(Sha256, u64)>>;

/// Reads and takes a digest on the way.
struct Hashed<'r> {
    input: Box<dyn Read + Send + 'r>,
    sum: Taking,
}

impl Read for Hashed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        let mut sum = self.sum.lock().unwrap_or_else(PoisonError::into_inner);
        sum.0.update(buffer.get(..count).unwrap_or_default());
        sum.1 += count as u64;
        Ok(count)
    }
}

/// Takes a digest of everything that is read from now on.
fn hashed(input: Input<'_>) -> (Input<'_>, Taking) {
    let sum = Arc::new(Mutex::new((Sha256::new(), 0)));
    (Box::new(Hashed { input, sum: Arc::clone(&sum) }), sum)
}

fn settled(sum: &Mutex<(Sha256, u64)>) -> (Sum, u64) {
    let sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
    (sum.0.clone().finalize().into(), sum.1)
}

/// Looks at the first bytes of a stream and gives them back with it.
pub(super) fn start<'r>(mut input: Box<dyn Read + Send + 'r>) -> io::Result<(Vec<u8>, Box<dyn Read + Send + 'r>)> {
    let mut start = vec![0; BLOCK];
    let filled = fill(&mut input, &mut start)?;
    start.truncate(filled);
    Ok((start.clone(), Box::new(Cursor::new(start).chain(input))))
}

/// How the content of a stream is found again: by decompressing, or where it is.
pub(super) fn second<'r>(
    compression: Option<Compression>,
    input: Box<dyn Read + Send + 'r>,
    below: Arc<dyn Bytes>,
    bounds: Bounds,
) -> (Input<'r>, Arc<dyn Bytes>, Option<Arc<Again>>) {
    let Some(compression) = compression else { return (input, below, None) };
    let marks = Arc::new(Mutex::new(Marks::new()));
    // A stream that is over is never read again.
    let set = (!below.is_gone()).then(|| Arc::clone(&marks));
    let again = Arc::new(Again::new(below, compression, bounds, marks));
    (decoder(compression, input, bounds, set), Arc::clone(&again) as Arc<dyn Bytes>, Some(again))
}

/// Reads a layer of a container image from a stream whose bytes can be found again as `below`.
///
/// # Errors
/// For anything that keeps it from being read to its end: a layer is whole or nothing.
pub(super) fn layer(input: Box<dyn Read + Send + '_>, below: Arc<dyn Bytes>, means: Means<'_>) -> io::Result<Scanned> {
    let never: Keep<'_> = &|_, _| false;
    let (input, digest) = hashed(input);
    let (head, input) = start(input)?;
    let compression = Compression::of(&head);
    // What lies uncompressed in a file is read where it is.
    let keep = if compression.is_none() && below.is_direct() { never } else { means.keep };
    let (input, bytes, again) = second(compression, input, below, means.bounds);
    let (input, diff_id) = if compression.is_some() { hashed(input) } else { (input, Arc::clone(&digest)) };
    let (head, mut input) = start(input)?;
    if !tar::begins(&head) && head.iter().any(|&byte| byte != 0) {
        return Err(no_archive(compression, &head));
    }
    let mut log = Log::new(bytes, keep, means.budget);
    tar::scan(&mut Stream(&mut input), &mut log)?;
    io::copy(&mut input, &mut io::sink())?;
    drop(input);
    let ((digest, stored), (diff_id, content)) = (settled(&digest), settled(&diff_id));
    if let Some(again) = again {
        again.holds(content);
    }
    Ok(Scanned { layer: log.done(None), compression, digest, diff_id, stored, content })
}

/// Reads an archive as far as it goes. What is wrong with it is said by the layer.
pub(super) fn archive(
    input: &mut (dyn super::bytes::Forward + Send),
    is_verified: bool,
    sink: &mut dyn Sink,
) -> io::Result<Option<String>> {
    match tar::scan(input, sink) {
        Ok(End::Marked) => {
            // The checksum of a compressed stream comes last.
            let rest = if is_verified { io::copy(input, &mut io::sink()).map(drop) } else { Ok(()) };
            Ok(rest.err().map(|error| error.to_string()))
        }
        // A compressed stream that ended as it should was written to its end.
        Ok(End::Bare(_)) if is_verified => Ok(None),
        Ok(End::Bare(at)) => {
            Ok(Some(format!("the archive ends at byte {at} without the mark of its end: entries may be missing")))
        }
        Err(error) => match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput | io::ErrorKind::Other => {
                Ok(Some(format!("{error}; entries before it are as they are told, entries behind it are missing")))
            }
            _ => Err(error),
        },
    }
}

/// Says that no archive begins here.
pub(super) fn no_archive(outer: Option<Compression>, head: &[u8]) -> io::Error {
    let what = match Compression::of(head) {
        Some(inner) => format!("{} again; compression is undone once", inner.name()),
        None if head.is_empty() => "nothing".to_owned(),
        None => "no tar archive".to_owned(),
    };
    invalid(match outer {
        Some(outer) => format!("inside the {} stream is {what}", outer.name()),
        None => format!("it is {what}"),
    })
}
