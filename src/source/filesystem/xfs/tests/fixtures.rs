//! The images that the kernel itself described.

use super::*;
use crate::source::filesystem::xfs::{FileSystemError, LogState};

/// An image gives the kernel's own list.
fn agrees(name: &str) {
    let (Some(image), Some(mut kernels)) =
        (image(&format!("made/xfs/{name}.img.zst")), fixture(&format!("made/xfs/{name}.manifest.zst")))
    else {
        return;
    };
    let mut expected = Vec::new();
    kernels.read_to_end(&mut expected).unwrap();
    let xfs = image.open();
    assert_same(&manifest(&xfs), &lines(&expected));
    assert_consistent(&xfs);
    edges(&xfs);
    contents_agree(&xfs, &image);
}

/// What the images hold on purpose, with the values that `getfattr` showed on the mounted image.
fn edges(xfs: &Xfs) {
    let xattr = |path: &str, name: &str| xfs.xattr(find(xfs, path), name).unwrap();
    let acl = [
        &[2, 0, 0, 0][..],
        &[1, 0, 6, 0, 255, 255, 255, 255],
        &[2, 0, 6, 0, 0xd2, 4, 0, 0],
        &[4, 0, 6, 0, 255, 255, 255, 255],
        &[16, 0, 6, 0, 255, 255, 255, 255],
        &[32, 0, 6, 0, 255, 255, 255, 255],
    ]
    .concat();
    assert_eq!(xattr("edge/ww", "system.posix_acl_access"), Some(acl));
    assert_eq!(xattr("edge/ww", "trusted.SGI_ACL_FILE").map(|value| value.len()), Some(64));
    assert_eq!(xattr("edge/ww", "system.posix_acl_default"), None);
    assert_eq!(xattr("edge/ww", "user.SGI_ACL_FILE"), None);
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(xattr("edge/caps", "security.capability").as_deref(), Some(&capability[..]));
    assert_eq!(xattr("edge/caps", "user.capability"), None);
    assert_eq!(xattr("edge/selx", "security.selinux").as_deref(), Some(&b"system_u:object_r:etc_t:s0\0"[..]));
    assert_eq!(xattr("edge/bigx", "user.big"), Some(vec![b'z'; 3000]));
    for number in 0..40 {
        assert_eq!(xattr("edge/manyx", &format!("user.attr{number:03}")), Some(vec![b'v'; 60]));
    }
    assert_eq!(xattr("edge/manyx", "user.attr040"), None);
    assert_eq!(xattr("etc/passwd", "user.attr000"), None);
    assert_eq!(xfs.read(find(xfs, "edge/abs"), 0, &mut [0; 4]).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    assert_eq!(xfs.link(find(xfs, "etc/passwd")).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    assert_eq!(xfs.lookup(find(xfs, "etc/passwd"), b"x").unwrap_err().kind(), io::ErrorKind::NotADirectory);
}

/// Contents are those that another reader finds.
fn contents_agree(xfs: &Xfs, image: &Sparse) {
    let mut other = lamxfs::Xfs::open(Peer(image), image.length).unwrap();
    for (path, inode) in tree(xfs) {
        let found = xfs.metadata(inode).unwrap();
        if found.kind != FileKind::File {
            continue;
        }
        // One is a terabyte of holes.
        let mut expected = vec![0; usize::try_from(found.size.min(4 << 20)).unwrap()];
        let read = other.read_file_at(&lamxfs::Inode { ino: inode }, 0, &mut expected).unwrap();
        assert_eq!(read, expected.len());
        let mut own = vec![0xaa; expected.len()];
        assert_eq!(xfs.read(inode, 0, &mut own).unwrap(), own.len());
        assert!(own == expected, "{}", String::from_utf8_lossy(&path));
        // In pieces that fit no block.
        let mut pieces = Vec::new();
        let mut piece = [0; 1777];
        while pieces.len() < expected.len() {
            match xfs.read(inode, pieces.len() as u64, &mut piece).unwrap() {
                0 => break,
                read => pieces.extend_from_slice(&piece[..read]),
            }
        }
        assert!(pieces.starts_with(&expected), "{} in pieces", String::from_utf8_lossy(&path));
    }
}

struct Peer<'a>(&'a Sparse);

impl lamxfs::BlockRead for Peer<'_> {
    type Error = io::Error;

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, buffer)
    }
}

#[test]
fn an_image_of_todays_defaults() {
    agrees("default");
}

#[test]
fn an_image_with_4096_byte_sectors_and_two_groups() {
    agrees("s4k-al2023like");
}

#[test]
fn directories_in_blocks_of_8k() {
    agrees("dir8k");
}

#[test]
fn directories_in_blocks_of_64k() {
    agrees("dir64k");
}

#[test]
fn blocks_of_1k() {
    agrees("b1k");
}

#[test]
fn inodes_of_2k() {
    agrees("ino2k");
}

#[test]
fn inodes_without_sparse_chunks() {
    agrees("nosparse");
}

#[test]
fn an_image_with_a_reverse_map() {
    agrees("rmap");
}

#[test]
fn an_image_without_bigtime() {
    agrees("nobigtime");
}

#[test]
fn extent_counters_of_64_bits() {
    agrees("nrext64");
}

#[test]
fn images_of_version_4_and_others_of_xfuse_are_consistent() {
    for name in ["xfs4096", "xfs_4kn", "xfs_noftype", "xfs_preallocated", "xfs_xattr_v1", "xfsv4"] {
        let Some(image) = image(&format!("xfs/xfuse/{name}.img.zst")) else { return };
        let xfs = image.open();
        assert_consistent(&xfs);
        contents_agree(&xfs, &image);
    }
}

#[test]
fn a_real_time_subvolume_is_refused_by_name() {
    let Some(image) = image("xfs/xfuse/xfs_rt1.img.zst") else { return };
    let refused = Xfs::open(Arc::new(image)).err().unwrap();
    assert!(matches!(&refused, FileSystemError::Feature(name) if name == "a real-time subvolume"), "{refused}");
}

#[test]
fn a_log_that_was_not_replayed_gives_what_the_kernel_gave_after_its_own_replay() {
    let (Some(image), Some(mut kernels)) =
        (image("made/xfs/dirty.xfs.zst"), fixture("made/xfs/dirty.xfs.recovered-manifest.zst"))
    else {
        return;
    };
    let mut expected = Vec::new();
    kernels.read_to_end(&mut expected).unwrap();
    let xfs = image.open();
    assert!(matches!(xfs.log(), LogState::Replayed { transactions: 1.., .. }), "{}", xfs.log());
    assert_same(&manifest(&xfs), &lines(&expected));
    assert_consistent(&xfs);
    contents_agree(&xfs, &image);
}
