//! The volume over a file system made of memory: shapes that no tool makes.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::*;
use crate::image::{Attributes, walk_by_directories};

type Names = Vec<(Vec<u8>, u64)>;

/// Inodes by number: metadata, the names in it, its content.
#[derive(Default)]
struct Made {
    inodes: BTreeMap<u64, (Metadata, Names, Vec<u8>)>,
    /// Inodes of which the checksum is wrong.
    broken: Vec<u64>,
    /// Directories that end in an error after their names.
    torn: Vec<u64>,
}

impl Made {
    fn add(mut self, inode: u64, kind: FileKind, names: &[(&str, u64)], content: &[u8]) -> Self {
        let metadata = Metadata { kind, mode: 0o640, uid: 7, gid: 8, size: content.len() as u64, nlink: 1, mtime: -5 };
        let names = names.iter().map(|(name, inode)| (name.as_bytes().to_vec(), *inode)).collect();
        self.inodes.insert(inode, (metadata, names, content.to_vec()));
        self
    }

    fn directory(self, inode: u64, names: &[(&str, u64)]) -> Self {
        self.add(inode, FileKind::Directory, names, b"")
    }

    fn file(self, inode: u64, content: &[u8]) -> Self {
        self.add(inode, FileKind::File, &[], content)
    }

    fn get(&self, inode: u64) -> io::Result<&(Metadata, Names, Vec<u8>)> {
        if self.broken.contains(&inode) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("inode {inode}: wrong checksum")));
        }
        self.inodes.get(&inode).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl FileSystem for Made {
    fn root(&self) -> u64 {
        2
    }

    fn metadata(&self, inode: u64) -> io::Result<Metadata> {
        Ok(self.get(inode)?.0)
    }

    fn lookup(&self, directory: u64, name: &[u8]) -> io::Result<Option<u64>> {
        let mut found = None;
        self.entries(directory, &mut |other, inode| {
            if other == name {
                found = Some(inode);
            }
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    fn entries(&self, directory: u64, each: &mut dyn FnMut(&[u8], u64) -> ControlFlow<()>) -> io::Result<()> {
        let (metadata, names, _) = self.get(directory)?;
        if metadata.kind != FileKind::Directory {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        for (name, inode) in names {
            if each(name, *inode).is_break() {
                return Ok(());
            }
        }
        if self.torn.contains(&directory) { Err(io::Error::new(io::ErrorKind::InvalidData, "torn")) } else { Ok(()) }
    }

    fn link(&self, inode: u64) -> io::Result<Vec<u8>> {
        Ok(self.get(inode)?.2.clone())
    }

    fn read(&self, inode: u64, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let content = &self.get(inode)?.2;
        let rest = content.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
        // Less than asked for, as a reader with odd blocks might.
        let count = rest.len().min(buffer.len()).min(1000);
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn xattr(&self, inode: u64, name: &str) -> io::Result<Option<Vec<u8>>> {
        self.get(inode).map(|_| (name == "user.inode").then(|| inode.to_string().into_bytes()))
    }

    fn inodes(&self, each: &(dyn Fn(u64, io::Result<Metadata>) + Sync)) {
        for &inode in self.inodes.keys() {
            each(inode, self.metadata(inode));
        }
    }
}

/// Keeps every path with its metadata and an attribute.
#[derive(Default)]
struct All(Mutex<Vec<(ImagePath, Metadata)>>, Mutex<Vec<(Vec<u8>, Vec<u8>)>>);

impl Visitor for All {
    fn wants(&self, name: &[u8], _: &Metadata, attributes: Attributes<'_>) -> bool {
        self.1.lock().unwrap().push((name.to_vec(), attributes("user.inode").unwrap().unwrap()));
        true
    }

    fn found(&self, path: &ImagePath, metadata: &Metadata) {
        self.0.lock().unwrap().push((path.clone(), *metadata));
    }
}

type Seen = (Coverage, Vec<(String, u64)>, Vec<(Vec<u8>, Vec<u8>)>);

fn seen(walk: impl FnOnce(&All) -> Coverage) -> Seen {
    let all = All::default();
    let coverage = walk(&all);
    let mut found: Vec<_> = all.0.into_inner().unwrap().into_iter().map(|(path, at)| (path.to_string(), at.size)).collect();
    found.sort_unstable();
    let mut asked = all.1.into_inner().unwrap();
    asked.sort_unstable();
    (coverage, found, asked)
}

fn gaps(coverage: &Coverage) -> Vec<String> {
    coverage.gaps.iter().map(|gap| format!("{}: {}", gap.path, gap.reason)).collect()
}

#[test]
fn the_bulk_walk_sees_what_the_plain_walk_sees() {
    let mut made = Made::default()
        .directory(2, &[("etc", 11), ("hard", 13), ("usr", 12), ("gone", 99), ("sick", 15)])
        .directory(11, &[("passwd", 13), ("sealed", 16)])
        .directory(12, &[("lib", 14)])
        .file(13, b"hello")
        .directory(14, &[("far", 13)])
        .file(15, b"")
        .directory(16, &[])
        // No name leads there.
        .file(17, b"orphan");
    made.broken = vec![15];
    made.torn = vec![16];
    let volume = Volume::new(Box::new(made));
    let bulk = seen(|all| volume.walk(all));
    assert_eq!(bulk, seen(|all| walk_by_directories(&volume, all)));
    assert_eq!(bulk.0.entries, 8);
    assert_eq!(
        gaps(&bulk.0),
        ["/etc/sealed: torn", "/gone: the name leads to inode 99, which is not in use", "/sick: inode 15: wrong checksum"]
    );
}

#[test]
fn a_circle_of_directories_and_one_with_two_parents_are_gaps() {
    let made = Made::default()
        .directory(2, &[("a", 30), ("b", 20), ("self", 2)])
        .directory(20, &[("up", 2), ("shared", 40), ("again", 40)])
        .directory(30, &[("shared", 40)])
        .directory(40, &[("back", 20), ("file", 50)])
        .file(50, b"");
    let volume = Volume::new(Box::new(made));
    let (coverage, found, _) = seen(|all| volume.walk(all));
    // Inode 20 comes before 30, so the directory is its.
    let expected = ["/a/shared", "/b/again", "/b/shared/back", "/b/up", "/self"];
    assert_eq!(
        gaps(&coverage),
        expected.map(|path| format!("{path}: {}", "another path leads to the same directory, which is read only there"))
    );
    assert_eq!(coverage.entries, 10);
    assert_eq!(found.iter().filter(|(path, _)| path.ends_with("file")).count(), 1);
}

#[test]
fn a_name_that_means_another_place_is_never_part_of_a_path() {
    let made = Made::default().directory(2, &[("ok", 3), ("../etc", 3), ("..", 3), ("", 3), ("a\0b", 3)]).file(3, b"");
    let volume = Volume::new(Box::new(made));
    let (coverage, found, _) = seen(|all| volume.walk(all));
    assert_eq!(found.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), ["/", "/ok"]);
    assert_eq!((coverage.entries, coverage.gaps_total), (2, 4));
    assert_eq!(gaps(&coverage)[2], "/: the directory holds the impossible name '../etc'");
    assert_eq!(volume.read_dir(&ImagePath::root()).unwrap_err().kind(), io::ErrorKind::InvalidData);
}

#[test]
fn a_very_deep_tree_ends_with_a_gap() {
    let name = "x".repeat(255);
    let mut made = Made::default();
    for inode in 2..1000 {
        made = made.directory(inode, &[(&name, inode + 1)]);
    }
    let (coverage, ..) = seen(|all| Volume::new(Box::new(made.directory(1000, &[]))).walk(all));
    assert_eq!((coverage.entries, coverage.gaps_total), (514, 1));
    assert_eq!(coverage.gaps[0].reason, "the path is longer than 128 KiB");
}

#[test]
fn a_directory_of_very_many_names_is_walked_but_not_listed() {
    let names: Vec<_> = (0..100_001).map(|number| number.to_string()).collect();
    let names: Vec<_> = names.iter().map(|name| (name.as_str(), 3)).collect();
    let volume = Volume::new(Box::new(Made::default().directory(2, &names).file(3, b"")));
    assert_eq!(volume.read_dir(&ImagePath::root()).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    assert_eq!(seen(|all| volume.walk(all)).0.entries, 100_002);
}

#[test]
fn content_is_read_to_its_size_however_small_the_steps() {
    let content: Vec<u8> = (0..200_000_u32).map(|at| (at % 251) as u8).collect();
    let mut made = Made::default().directory(2, &[("d", 4)]).directory(4, &[("f", 3)]).file(3, &content);
    made.inodes.get_mut(&3).unwrap().0.size = 150_001;
    let volume = Volume::new(Box::new(made));
    let path = ImagePath::new("/d/f");
    let mut all = Vec::new();
    volume.open(&path).unwrap().read_to_end(&mut all).unwrap();
    assert!(all == content[..150_001]);
    let mut file = volume.open(&path).unwrap();
    let mut small = [0; 7];
    for chunk in content[..150_001].chunks(7).take(9000) {
        file.read_exact(&mut small[..chunk.len()]).unwrap();
        assert_eq!(&small[..chunk.len()], chunk);
    }
    assert_eq!(volume.metadata(&ImagePath::new("/d/f/g")).unwrap_err().kind(), io::ErrorKind::NotADirectory);
    assert_eq!(volume.open(&ImagePath::new("/d")).err().unwrap().kind(), io::ErrorKind::InvalidInput);
    assert_eq!(volume.xattr(&path, "user.inode").unwrap().unwrap(), b"3");
}

#[test]
fn content_that_ends_before_its_size_is_an_error() {
    let mut made = Made::default().directory(2, &[("f", 3)]).file(3, b"abc");
    made.inodes.get_mut(&3).unwrap().0.size = 5;
    let volume = Volume::new(Box::new(made));
    let error = volume.open(&ImagePath::new("/f")).unwrap().read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "the content ends after 3 of 5 bytes");
}
