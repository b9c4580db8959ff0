//! The files sudo reads, and those it refuses.

use super::Sudo;
use crate::facts::{Fact, Unreadable};
use crate::image::{FileKind, Metadata, ReadError, Rootfs};
use crate::path::ImagePath;
use crate::syntax::sudoers::{Entry, parse};

/// Files within files; sudo's own limit (`MAX_SUDOERS_DEPTH` in `toke.l`).
const MAX_DEPTH: usize = 128;

/// Files read in all. sudo has no such limit, but two files that include each other twice would keep it busy for ever.
const MAX_FILES: usize = 4096;

/// Everything in the files, in the order in which sudo meets it.
#[derive(Default)]
pub(super) struct Read {
    pub entries: Vec<(ImagePath, Entry)>,
    pub ignored: Vec<Unreadable>,
    files: usize,
}

/// Reads the main file and all it includes.
///
/// # Errors
/// Where sudo does not work at all, or what it would do cannot be known.
pub(super) fn read(root: Rootfs<'_>) -> Fact<Read> {
    let path = ImagePath::new(Sudo::PATH);
    let mut read = Read::default();
    match why_not(root, &path, FileKind::File)? {
        None => read.file(root, &path, 0)?,
        Some(reason) => return Err(Unreadable::at(&path, format!("sudo does not work: {reason}"))),
    }
    Ok(read)
}

/// Why sudo would not read a file or folder: it has to be root's, and nobody else's to write (`sudo_secure_fd`). The mode may give
/// more to read than sudo's own 0440.
fn why_not(root: Rootfs<'_>, path: &ImagePath, kind: FileKind) -> Fact<Option<String>> {
    let metadata = match root.resolve(path) {
        Ok(found) => found.metadata,
        Err(error) if error.is_absent() || error == ReadError::LinkLoop => return Ok(Some(error.to_string())),
        Err(error) => return Err(Unreadable::reading(path, &error)),
    };
    Ok(insecure(&metadata, kind, root.keeps_ownership()))
}

fn insecure(found: &Metadata, kind: FileKind, keeps_ownership: bool) -> Option<String> {
    if found.kind != kind {
        Some(format!("it is a {}, not a {}", found.kind.name(), kind.name()))
    } else if keeps_ownership && found.uid != 0 {
        Some(format!("it belongs to uid {}, not to root", found.uid))
    } else if found.mode & 0o002 != 0 {
        Some("everybody may write to it".into())
    } else if keeps_ownership && found.mode & 0o020 != 0 && found.gid != 0 {
        Some(format!("its group {} may write to it", found.gid))
    } else {
        None
    }
}

impl Read {
    fn file(&mut self, root: Rootfs<'_>, path: &ImagePath, depth: usize) -> Fact<()> {
        self.files += 1;
        if self.files > MAX_FILES {
            return Err(Unreadable::at(path, format!("more than {MAX_FILES} files are included")));
        }
        let content = root.read(path).map_err(|error| Unreadable::reading(path, &error))?;
        for entry in parse(&content) {
            match entry {
                Entry::Include { line, path: named, folder } => self.include(root, path, line, &named, folder, depth)?,
                Entry::Broken { line, column } => {
                    let reason = format!("sudo does not understand it at column {column} and passes over it");
                    self.ignored.push(Unreadable::at_line(path, line, reason));
                }
                other => self.entries.push((path.clone(), other)),
            }
        }
        Ok(())
    }

    fn include(&mut self, root: Rootfs<'_>, from: &ImagePath, line: u32, named: &str, folder: bool, depth: usize) -> Fact<()> {
        if named.contains("%h") {
            return Err(Unreadable::at_line(from, line, "which file is read depends on the name of the host"));
        }
        if depth >= MAX_DEPTH {
            self.ignored.push(Unreadable::at_line(from, line, "too many files within files"));
            return Ok(());
        }
        // What is relative begins in the folder of the main file (`expand_include`).
        let path = if named.starts_with('/') { ImagePath::new(named) } else { ImagePath::new(format!("/etc/{named}")) };
        if folder {
            return self.folder(root, &path, depth);
        }
        match why_not(root, &path, FileKind::File)? {
            None => self.file(root, &path, depth + 1),
            Some(reason) => {
                self.ignored.push(Unreadable::at_line(from, line, format!("{path} is not read: {reason}")));
                Ok(())
            }
        }
    }

    /// The regular files of a folder by name, without those with a dot in their name or a `~` at its end (`read_dir_files`).
    fn folder(&mut self, root: Rootfs<'_>, folder: &ImagePath, depth: usize) -> Fact<()> {
        if let Some(reason) = why_not(root, folder, FileKind::Directory)? {
            // Neither this nor a file in the folder that cannot be read is a mistake to sudo.
            self.ignored.push(Unreadable::at(folder, format!("sudo does not read the folder: {reason}")));
            return Ok(());
        }
        let names = root.read_dir(folder).map_err(|error| Unreadable::reading(folder, &error))?;
        for name in names.iter().filter(|name| !name.contains(&b'.') && !name.ends_with(b"~")) {
            let path = folder.join(name);
            match why_not(root, &path, FileKind::File)? {
                None => self.file(root, &path, depth + 1)?,
                Some(reason) => self.ignored.push(Unreadable::at(&path, format!("sudo does not read it: {reason}"))),
            }
        }
        Ok(())
    }
}
