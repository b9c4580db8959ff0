//! The one walk over a directory tree: every entry is read and asked about once, from the directory it stands in and never by path.
//!
//! Directories are jobs of rayon's pool, so that free threads take what is waiting. A job reads one directory; a large one is handed on
//! buffer by buffer, so that several threads share it. Nothing recurses on the stack, nothing is allocated for an entry that nobody
//! wants, and what waits is bounded by depth and not by breadth: jobs are taken last in, first out.

use std::cell::OnceCell;
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rayon::Scope;
use rustix::fs::{Mode, OFlags, RawDir, openat};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::directory::{Directory, NAMES};
use super::foreign;
use super::status::Status;
use crate::image::{Coverage, FileKind, Image as _, ReadError, Visitor};
use crate::path::ImagePath;

/// A directory of which more entries than this fill one buffer is large: the rest of it is handed on.
const LARGE: usize = 100;
/// Bytes of a path beyond which a directory is not entered: 32 times what Linux takes in one call. Keeps a tree that was built to be
/// deep from making the paths of what is found in it grow without end.
const LONGEST_PATH: usize = 128 << 10;
/// Open files that are enough for any walk; a lower limit of the system is raised to this if it may be.
const FILES: u64 = 16 << 10;

const OPEN: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// Walks a directory.
pub(super) fn walk(directory: &Directory, visitor: &dyn Visitor) -> Coverage {
    let walk = Walk {
        directory,
        visitor,
        entries: AtomicU64::new(0),
        seen: Mutex::default(),
        open: AtomicUsize::new(0),
        keep: files_to_keep_open(),
    };
    rayon::scope(|scope| walk.root(scope));
    let mut coverage = walk.seen.into_inner().unwrap_or_else(PoisonError::into_inner);
    coverage.entries = walk.entries.into_inner();
    coverage.settle();
    coverage
}

/// How many directories may stay open for the sake of what waits in them: half of what the system allows.
fn files_to_keep_open() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let allowed = |limit: Option<u64>| limit.unwrap_or(FILES).min(FILES);
    let (now, highest) = (allowed(limit.current), allowed(limit.maximum));
    let raised = highest > now && setrlimit(Resource::Nofile, Rlimit { current: Some(highest), maximum: limit.maximum }).is_ok();
    usize::try_from(if raised { highest } else { now } / 2).unwrap_or(0)
}

/// A directory by its place in the tree.
struct Node {
    above: Option<Arc<Node>>,
    name: Box<[u8]>,
    /// Bytes of the whole path.
    length: usize,
}

impl Node {
    fn below(above: &Arc<Self>, name: &[u8]) -> Self {
        Self { above: Some(above.clone()), name: name.into(), length: above.length + 1 + name.len() }
    }

    fn path(&self) -> ImagePath {
        let mut names = Vec::new();
        let mut at = Some(self);
        while let Some(node) = at {
            names.push(&*node.name);
            at = node.above.as_deref();
        }
        let mut path = Vec::with_capacity(self.length);
        for name in names.iter().rev() {
            path.push(b'/');
            path.extend_from_slice(name);
        }
        ImagePath::new(path)
    }
}

/// One after another: letting go of a deep directory must not use as much stack as it is deep.
impl Drop for Node {
    fn drop(&mut self) {
        let mut above = self.above.take();
        while let Some(node) = above {
            above = Arc::into_inner(node).and_then(|mut node| node.above.take());
        }
    }
}

/// An open directory. It closes when nothing waits in it any more.
struct Opened<'w> {
    file: OwnedFd,
    node: Arc<Node>,
    mount: u64,
    open: &'w AtomicUsize,
}

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A directory that waits to be opened.
struct Waiting<'w> {
    /// The directory it stands in, if that could stay open; otherwise the way from the root is gone again.
    from: Option<Arc<Opened<'w>>>,
    node: Arc<Node>,
    mount: u64,
}

struct Walk<'w> {
    directory: &'w Directory,
    visitor: &'w dyn Visitor,
    entries: AtomicU64,
    seen: Mutex<Coverage>,
    open: AtomicUsize,
    keep: usize,
}

impl<'w> Walk<'w> {
    fn root(&'w self, scope: &Scope<'w>) {
        let root = ImagePath::root();
        let status = match self.directory.locate(&root) {
            Ok((_, status)) => status,
            Err(errno) => return self.miss(root, errno),
        };
        self.entries.fetch_add(1, Ordering::Relaxed);
        match status.metadata() {
            Ok(metadata) if self.visitor.wants(b"", &metadata, &|name| self.directory.xattr(&ImagePath::root(), name)) => {
                self.visitor.found(&root, &metadata);
            }
            Ok(_) => {}
            Err(error) => return self.note(|seen| seen.miss(root, ReadError::from(error).to_string())),
        }
        let node = Arc::new(Node { above: None, name: Box::default(), length: 0 });
        self.enter(scope, Waiting { from: None, node, mount: status.mount });
    }

    /// Opens a directory and reads it.
    fn enter(&'w self, scope: &Scope<'w>, waiting: Waiting<'w>) {
        let opened = match &waiting.from {
            Some(from) => openat(&from.file, &*waiting.node.name, OPEN, Mode::empty()),
            None if waiting.node.above.is_none() => self.directory.beneath().open(&ImagePath::root(), OPEN),
            None => self.directory.beneath().open(&waiting.node.path(), OPEN),
        };
        match opened {
            Ok(file) => {
                self.open.fetch_add(1, Ordering::Relaxed);
                let Waiting { from, node, mount } = waiting;
                // Before this one is read, so that a tree that is only deep keeps only one directory open.
                drop(from);
                self.read(scope, &Arc::new(Opened { file, node, mount, open: &self.open }), true);
            }
            // Gone since it was seen: it belongs to the image no more.
            Err(Errno::NOENT) => {}
            Err(errno) => self.miss(waiting.node.path(), errno),
        }
    }

    /// Reads a directory: to its end while it is small, otherwise one buffer of it.
    fn read(&'w self, scope: &Scope<'w>, opened: &Arc<Opened<'w>>, first: bool) {
        #[allow(clippy::large_stack_arrays, reason = "nothing recurses, and a job needs none of the heap")]
        let mut buffer = [MaybeUninit::<u8>::uninit(); NAMES];
        let mut names = RawDir::new(&opened.file, &mut buffer);
        let here = Here { opened, path: OnceCell::new() };
        let mut below = Vec::new();
        let mut entries: usize = 0;
        let mut handed_on = first;
        while let Some(name) = names.next() {
            let name = match name {
                Ok(name) => name,
                Err(errno) => {
                    self.miss(here.path().clone(), errno);
                    break;
                }
            };
            if !handed_on {
                // This buffer is filled: the next one can be read by whoever is free, while this thread looks at these.
                handed_on = true;
                self.hand_on(scope, opened);
            }
            if !matches!(name.file_name().to_bytes(), b"." | b"..") {
                entries += 1;
                self.entry(&here, name.file_name(), &mut below);
            }
            if names.is_buffer_empty() && (!first || entries > LARGE) {
                if first {
                    self.hand_on(scope, opened);
                }
                break;
            }
        }
        self.entries.fetch_add(entries as u64, Ordering::Relaxed);
        let stays = self.open.load(Ordering::Relaxed) < self.keep;
        for (node, mount) in below {
            let from = stays.then(|| opened.clone());
            scope.spawn(move |scope| self.enter(scope, Waiting { from, node, mount }));
        }
    }

    fn hand_on(&'w self, scope: &Scope<'w>, opened: &Arc<Opened<'w>>) {
        let opened = opened.clone();
        scope.spawn(move |scope| self.read(scope, &opened, false));
    }

    /// Looks at one entry; a directory is put aside for later.
    fn entry(&'w self, here: &Here<'_, 'w>, name: &CStr, below: &mut Vec<(Arc<Node>, u64)>) {
        let looked = self.directory.statuses().at(here.opened.file.as_fd(), name);
        let status = match looked {
            Ok(status) => status,
            Err(Errno::NOENT) => return,
            Err(errno) => return self.miss(here.path().join(name.to_bytes()), errno),
        };
        let metadata = match status.metadata() {
            Ok(metadata) => metadata,
            Err(error) => {
                let path = here.path().join(name.to_bytes());
                return self.note(|seen| seen.miss(path, ReadError::from(error).to_string()));
            }
        };
        let crosses = status.mount != here.opened.mount;
        if crosses && !self.belongs(here, name, &status, metadata.kind) {
            return;
        }
        let attributes =
            |attribute: &str| self.directory.attribute(&here.opened.file, name, attribute, || here.path().join(name.to_bytes()));
        if self.visitor.wants(name.to_bytes(), &metadata, &attributes) {
            self.visitor.found(&here.path().join(name.to_bytes()), &metadata);
        }
        if metadata.kind == FileKind::Directory {
            let node = Node::below(&here.opened.node, name.to_bytes());
            if node.length > LONGEST_PATH {
                let limit = ReadError::TooLarge { limit: LONGEST_PATH as u64, unit: "bytes of path" };
                return self.note(|seen| seen.miss(node.path(), limit.to_string()));
            }
            below.push((Arc::new(node), status.mount));
        }
    }

    /// Whether what is mounted here belongs to the image.
    fn belongs(&self, here: &Here<'_, 'w>, name: &CStr, status: &Status, kind: FileKind) -> bool {
        // A handle, and not as a directory: neither would an automounter notice, nor a server be asked.
        let handle = openat(&here.opened.file, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
        let number = handle.and_then(|handle| {
            // Something else may have come in its place meanwhile.
            let same = self.directory.statuses().of(handle.as_fd())?.inode == status.inode;
            if same { foreign::number(handle) } else { Err(Errno::AGAIN) }
        });
        let path = here.path().join(name.to_bytes());
        match number {
            Ok(number) if foreign::is_foreign(number) => {
                self.note(|seen| seen.foreign.push(path));
                false
            }
            Ok(_) => {
                if kind == FileKind::Directory {
                    self.note(|seen| seen.mounts.push(path));
                }
                true
            }
            Err(errno) => {
                self.miss(path, errno);
                false
            }
        }
    }

    fn miss(&self, path: ImagePath, errno: Errno) {
        let reason = match errno {
            Errno::MFILE | Errno::NFILE => "too many open files".to_owned(),
            Errno::LOOP | Errno::NOTDIR | Errno::AGAIN => "it changed while the tree was walked".to_owned(),
            other => ReadError::from(std::io::Error::from(other)).to_string(),
        };
        self.note(|seen| seen.miss(path, reason));
    }

    fn note(&self, what: impl FnOnce(&mut Coverage)) {
        what(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// The directory that is being read, with its path once somebody wants it.
struct Here<'o, 'w> {
    opened: &'o Opened<'w>,
    path: OnceCell<ImagePath>,
}

impl Here<'_, '_> {
    fn path(&self) -> &ImagePath {
        self.path.get_or_init(|| self.opened.node.path())
    }
}
