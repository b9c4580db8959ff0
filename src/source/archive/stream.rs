//! An archive that can be read only once and may hold a container image: layers are read as they go by, before anything says
//! which of them belong together.

use std::io::{self, Cursor, Read};
use std::sync::Arc;

use super::blobs::Passed;
use super::bytes::{Bytes, Window, fill};
use super::compression::Compression;
use super::layer::{Layer, Log};
use super::oci::{DOCUMENT, Digest};
use super::scan::{Means, layer};
use super::tar::{self, BLOCK, Item, Sink, What};
use crate::image::FileKind;
use crate::path::ImagePath;

/// Writes down the archive, and the layers in it.
pub(super) struct Passing<'k> {
    log: Log<'k>,
    bytes: Arc<dyn Bytes>,
    means: Means<'k>,
    passed: Passed,
}

impl<'k> Passing<'k> {
    pub(super) fn new(bytes: Arc<dyn Bytes>, means: Means<'k>) -> Self {
        Self { log: Log::new(Arc::clone(&bytes), means.keep, means.budget), bytes, means, passed: Passed::new() }
    }

    pub(super) fn done(self, incomplete: Option<String>) -> (Layer, Passed) {
        (self.log.done(incomplete), self.passed)
    }
}

/// Whether a path is one where a layer or a document of a container image lies: `blobs/sha256/DIGEST`, `DIGEST/layer.tar`, `DIGEST.tar`,
/// and the documents at the top.
fn may_be_part(path: &ImagePath) -> bool {
    let parts: Vec<&str> = path.components().filter_map(|part| std::str::from_utf8(part).ok()).collect();
    let is_digest = |text: &str| Digest::of_digits(text).is_some();
    match parts.as_slice() {
        ["blobs", "sha256", digest] | [digest, "layer.tar"] => is_digest(digest),
        ["index.json" | "manifest.json" | "oci-layout"] => true,
        [name] => name.split_once('.').is_some_and(|(digest, ending)| is_digest(digest) && matches!(ending, "tar" | "json")),
        _ => false,
    }
}

impl Sink for Passing<'_> {
    fn item(&mut self, item: Item, content: &mut (dyn Read + Send)) -> io::Result<()> {
        let path = ImagePath::new(&item.path);
        if !matches!(item.what, What::Kind(FileKind::File)) || item.sparse.is_some() || !may_be_part(&path) {
            return self.log.item(item, content);
        }
        let mut head = vec![0; BLOCK];
        let filled = fill(content, &mut head)?;
        head.truncate(filled);
        let is_layer =
            tar::begins(&head) || Compression::of(&head).is_some() || (filled == BLOCK && head.iter().all(|&byte| byte == 0));
        let mut whole = Cursor::new(head).chain(content);
        if !is_layer {
            let keep = item.size <= DOCUMENT;
            return self.log.add(item, &mut whole, keep);
        }
        let window = Arc::new(Window { below: Arc::clone(&self.bytes), start: item.offset, len: item.stored });
        let stored = item.stored;
        self.log.item(item, &mut io::empty())?;
        let read = layer(Box::new((&mut whole as &mut (dyn Read + Send)).take(stored)), window, self.means);
        self.passed.insert(path, read.map(Arc::new));
        Ok(())
    }
}
