//! Images made by `mkfs.xfs` and changed by `xfs_db`, which say themselves what they put in.

use std::path::Path;
use std::process::Command;

use super::*;

/// Runs a tool; nothing, with a message, where it is not installed.
pub(super) fn run(tool: &str, arguments: &[&str]) -> Option<String> {
    match Command::new(tool).args(arguments).env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin").output() {
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said).into_owned();
            assert!(output.status.success(), "{tool} ({}): {said}", output.status);
            Some(said)
        }
        Err(error) => {
            assert!(std::env::var_os("KARAT_PEERS").is_none_or(|peers| peers != "required"), "{tool}: {error}");
            eprintln!("skipped: {tool}: {error}");
            None
        }
    }
}

/// What the image holds: a prototype for mkfs, and the same as the lines of a manifest, but for sizes of directories and inodes.
struct Content {
    prototype: String,
    expected: Vec<String>,
}

/// How long the targets of links are. The mkfs of the day writes those that need blocks of their own without the header of version 5;
/// the shared fixtures have such links from the kernel.
fn targets(options: &[&str]) -> &'static [usize] {
    if options.contains(&"crc=0") { &[1, 59, 60, 155, 156, 157, 330, 400, 1000] } else { &[1, 59, 60, 155, 156, 330] }
}

fn described(folder: &Path, options: &[&str]) -> Content {
    let small = folder.join("small");
    let large = folder.join("large");
    let empty = folder.join("empty");
    std::fs::write(&empty, b"").unwrap();
    let empty = empty.display();
    std::fs::write(&small, b"hello\n").unwrap();
    std::fs::write(&large, (0..300_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>()).unwrap();
    let (small, large) = (small.display(), large.display());
    let mut prototype = String::from("boot\n0 0\nd--755 0 0\n");
    let mut expected = Vec::new();
    prototype.push_str(&format!(
        "passwd ---644 0 0 {small}\nsudo -u-755 0 42 {small}\nwall --g755 7 5 {small}\nlarge ---600 70000 3 {large}\n"
    ));
    for line in ["f 644 0 0 6 passwd", "f 4755 0 42 6 sudo", "f 2755 7 5 6 wall", "f 600 70000 3 1200000 large"] {
        expected.push(line.to_owned());
    }
    prototype.push_str("null c--666 0 0 1 3\ndisk b--660 0 6 8 0\npipe p--600 1 1\n");
    expected.extend(["c 666 0 0 0 null", "b 660 0 6 0 disk", "p 600 1 1 0 pipe"].map(str::to_owned));
    for length in targets(options) {
        let length = *length;
        prototype.push_str(&format!("link{length} l--777 0 0 {}\n", "t".repeat(length)));
        expected.push(format!("l 777 0 0 {length} link{length}"));
    }
    // In the inode, in one block, in a few, and in many with nodes over the leaves.
    for count in [0, 3, 60, 400, 6000] {
        prototype.push_str(&format!("dir{count} d--755 0 0\n"));
        for number in 0..count {
            prototype.push_str(&format!("an_entry_with_a_name_{number:05} ---640 1 {number} {empty}\n"));
            expected.push(format!("f 640 1 {number} 0 dir{count}/an_entry_with_a_name_{number:05}"));
        }
        prototype.push_str("$\n");
    }
    prototype.push_str("$\n");
    expected.sort();
    Content { prototype, expected }
}

/// A new image; nothing where there is no mkfs.
fn made(folder: &Path, options: &[&str]) -> Option<(PathBuf, Content)> {
    let (image, prototype) = (folder.join("image"), folder.join("prototype"));
    let content = described(folder, options);
    std::fs::write(&prototype, &content.prototype).unwrap();
    std::fs::File::create(&image).unwrap().set_len(320 << 20).unwrap();
    let mut arguments = vec!["-q", "-f", "-p", prototype.to_str().unwrap()];
    arguments.extend_from_slice(options);
    arguments.push(image.to_str().unwrap());
    run("mkfs.xfs", &arguments)?;
    Some((image, content))
}

fn load(image: &Path) -> Sparse {
    Sparse::from_reader(std::fs::File::open(image).unwrap())
}

/// An image made with these options has what was put in, and attributes that `xfs_db` set.
fn holds_what_was_put_in(options: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let Some((image, content)) = made(folder.path(), options) else { return };
    let xfs = load(&image).open();
    let found: Vec<String> = {
        let entries = tree(&xfs).into_iter().map(|(path, inode)| (path, xfs.metadata(inode).unwrap()));
        let shown = entries.filter(|(_, found)| found.kind != FileKind::Directory).map(|(path, found)| {
            let kind = match found.kind {
                FileKind::Link => 'l',
                FileKind::Fifo => 'p',
                FileKind::CharDevice => 'c',
                FileKind::BlockDevice => 'b',
                _ => 'f',
            };
            let Metadata { mode, uid, gid, size, .. } = found;
            format!("{kind} {mode:o} {uid} {gid} {size} {}", String::from_utf8_lossy(&path))
        });
        let mut shown: Vec<String> = shown.collect();
        shown.sort();
        shown
    };
    assert!(found == content.expected, "{options:?}");
    assert_consistent(&xfs);
    for length in targets(options) {
        assert_eq!(xfs.link(find(&xfs, &format!("link{length}"))).unwrap(), vec![b't'; *length]);
    }
    assert_eq!(super::content(&xfs, find(&xfs, "large")), std::fs::read(folder.path().join("large")).unwrap());
    // Version 6.1 of xfs_db falls over old attributes.
    if !options.iter().any(|option| option.contains("attr=1")) {
        attributes(&image, &xfs);
    }
}

/// Short ones, long ones, and so many that they need nodes.
fn attributes(image: &Path, xfs: &Xfs) {
    let few = find(xfs, "passwd");
    let many = find(xfs, "sudo");
    let mut commands = vec![format!("inode {few}")];
    let wanted = [
        ("-u", "user", "short", 5),
        ("-r", "trusted", "short", 6),
        ("-s", "security", "short", 7),
        ("-u", "user", "long", 60_000),
    ];
    commands.extend(wanted.iter().map(|(flag, _, name, length)| format!("attr_set {flag} -v {length} {name}")));
    commands.push(format!("inode {many}"));
    commands.extend((0..700).map(|number| format!("attr_set -u -v 40 attribute_number_{number}")));
    let mut arguments = vec!["-x"];
    commands.iter().for_each(|command| arguments.extend(["-c", command]));
    arguments.push(image.to_str().unwrap());
    if run("xfs_db", &arguments).is_none() {
        return;
    }
    let changed = load(image);
    let xfs = changed.open();
    for (_, space, name, length) in wanted {
        let value = xfs.xattr(few, &format!("{space}.{name}")).unwrap();
        assert_eq!(value.as_deref().map(<[u8]>::len), Some(length), "{space}.{name}");
        assert!(value.unwrap().iter().all(|&byte| byte == b'v'));
    }
    assert_eq!(xfs.xattr(few, "user.absent").unwrap(), None);
    for number in 0..700 {
        assert_eq!(xfs.xattr(many, &format!("user.attribute_number_{number}")).unwrap(), Some(vec![b'v'; 40]));
        assert_eq!(xfs.xattr(many, &format!("trusted.attribute_number_{number}")).unwrap(), None);
    }
    assert_consistent(&xfs);
}

#[test]
fn todays_defaults() {
    holds_what_was_put_in(&[]);
}

#[test]
fn version_4() {
    holds_what_was_put_in(&["-m", "crc=0"]);
}

#[test]
fn version_4_without_kinds_in_directories_and_with_old_attributes() {
    holds_what_was_put_in(&["-m", "crc=0", "-n", "ftype=0", "-i", "attr=1,size=256"]);
}

#[test]
fn version_4_with_blocks_of_512_bytes_and_the_first_log() {
    holds_what_was_put_in(&["-m", "crc=0", "-b", "size=512", "-l", "version=1"]);
}

#[test]
fn blocks_of_1k_with_directory_blocks_of_4k() {
    holds_what_was_put_in(&["-b", "size=1024", "-n", "size=4096"]);
}

#[test]
fn blocks_of_64k() {
    holds_what_was_put_in(&["-b", "size=65536"]);
}

#[test]
fn blocks_of_2k_with_inodes_of_1k_and_directory_blocks_of_64k() {
    holds_what_was_put_in(&["-b", "size=2048", "-i", "size=1024", "-n", "size=65536"]);
}

#[test]
fn everything_new_at_once() {
    holds_what_was_put_in(&["-m", "rmapbt=1,reflink=1,bigtime=1,inobtcount=1", "-i", "nrext64=1,sparse=1", "-s", "size=4096"]);
}

#[test]
fn names_whose_case_does_not_matter() {
    let folder = tempfile::tempdir().unwrap();
    let Some((image, _)) = made(folder.path(), &["-n", "version=ci"]) else { return };
    let xfs = load(&image).open();
    assert!(xfs.features().contains(&"ascii-ci"));
    assert_consistent(&xfs);
    let directory = find(&xfs, "dir6000");
    let exact = xfs.lookup(directory, b"an_entry_with_a_name_00017").unwrap();
    assert!(exact.is_some());
    assert_eq!(xfs.lookup(directory, b"AN_entry_With_a_NAME_00017").unwrap(), exact);
    assert_eq!(xfs.lookup(xfs.root(), b"PASSWD").unwrap(), Some(find(&xfs, "passwd")));
}

#[test]
fn a_new_uuid_keeps_the_old_one_in_its_metadata() {
    let folder = tempfile::tempdir().unwrap();
    let Some((image, _)) = made(folder.path(), &["-L", "karat"]) else { return };
    let wanted = "3c1f7b3e-8e0d-4f0a-9a1b-0123456789ab";
    if run("xfs_db", &["-x", "-c", &format!("uuid {wanted}"), image.to_str().unwrap()]).is_none() {
        return;
    }
    let xfs = load(&image).open();
    assert_eq!(xfs.uuid(), wanted);
    assert_eq!(xfs.label(), b"karat");
    assert!(xfs.features().contains(&"meta_uuid"), "{:?}", xfs.features());
    assert_eq!(xfs.log(), &crate::source::filesystem::xfs::LogState::Clean);
    assert_consistent(&xfs);
}

#[test]
fn features_that_are_not_known_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let Some((image, _)) = made(folder.path(), &[]) else { return };
    let image = load(&image);
    for (bits, words) in [
        (0x100_u32, "a metadata directory tree (metadir)"),
        (0x200, "zoned real-time storage"),
        (0x10, "needs repair"),
        (0x8000_0000, "unknown incompatible features 0x80000000"),
    ] {
        let mut changed = image.clone();
        let known = u32::from_be_bytes(image.bytes(216, 4).try_into().unwrap());
        changed.write_at(216, &(known | bits).to_be_bytes());
        let refused = Xfs::open(Arc::new(changed.clone())).err().unwrap().to_string();
        assert!(refused.contains("checksum"), "{refused}");
        damage::seal(&mut changed, 0, 512, 224);
        let refused = Xfs::open(Arc::new(changed)).err().unwrap().to_string();
        assert!(refused.contains(words), "{refused}");
    }
}
