//! A file system in the form of the manifests that the kernel wrote of the fixtures: `find -printf '%y %m %U %G %s %n %i %P -> %l\n'`.

use std::ops::ControlFlow;

use super::FileSystem;
use crate::image::{FileKind, Metadata};

/// Every entry but the root, in sorted lines.
pub(super) fn manifest(system: &dyn FileSystem) -> Vec<Vec<u8>> {
    let mut text = Vec::new();
    let mut waiting = vec![(Vec::new(), system.root())];
    while let Some((above, directory)) = waiting.pop() {
        let shown = system.entries(directory, &mut |name, inode| {
            let path = if above.is_empty() { name.to_vec() } else { [&above, name].join(&b'/') };
            let metadata = system.metadata(inode).unwrap();
            line(system, inode, &path, &metadata, &mut text);
            if metadata.kind == FileKind::Directory {
                waiting.push((path, inode));
            }
            ControlFlow::Continue(())
        });
        shown.unwrap();
    }
    lines(&text)
}

fn line(system: &dyn FileSystem, inode: u64, path: &[u8], metadata: &Metadata, text: &mut Vec<u8>) {
    let kind = match metadata.kind {
        FileKind::File => 'f',
        FileKind::Directory => 'd',
        FileKind::Link => 'l',
        FileKind::Fifo => 'p',
        FileKind::Socket => 's',
        FileKind::CharDevice => 'c',
        FileKind::BlockDevice => 'b',
    };
    let Metadata { mode, uid, gid, size, nlink, .. } = metadata;
    text.extend(format!("{kind} {mode:o} {uid} {gid} {size} {nlink} {inode} ").into_bytes());
    text.extend(path);
    text.extend(b" -> ");
    if kind == 'l' {
        text.extend(system.link(inode).unwrap());
    }
    text.push(b'\n');
}

/// One name has a line break, so these are not entries; but they are the same whoever wrote them.
pub(super) fn lines(text: &[u8]) -> Vec<Vec<u8>> {
    let mut lines: Vec<_> = text.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).filter(|line| !line.is_empty()).collect();
    lines.sort();
    lines
}
