//! File systems made by the real tools, told by another reader as well, and ones that no tool would make.
#![allow(clippy::disallowed_methods, reason = "a test makes and reads files of the host")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Read as _};
use std::path::Path;
use std::sync::Mutex;

use super::{Fat, Options};
use crate::image::{Attributes, Image, Metadata, Rootfs, Visitor, walk_by_directories};
use crate::path::ImagePath;
use crate::source::device::MemoryDevice;
use crate::source::device::fixtures::{Dice, in_memory, run, telling};

#[derive(Default)]
struct All(Mutex<BTreeMap<String, Metadata>>);

impl Visitor for All {
    fn wants(&self, _: &[u8], _: &Metadata, _: Attributes<'_>) -> bool {
        true
    }

    fn found(&self, path: &ImagePath, metadata: &Metadata) {
        self.0.lock().unwrap().insert(path.to_string(), *metadata);
    }
}

/// An EFI partition of this type, with a file of several clusters, long names and a directory of many.
fn partition(folder: &Path, width: &str, size: u64) -> Option<Vec<u8>> {
    let image = folder.join("fat");
    fs::File::create(&image).unwrap().set_len(size).unwrap();
    run(folder, &["mkfs.vfat", "-F", width, "-n", "EFI", "fat"])?;
    let mut bytes = Vec::new();
    let mut dice = Dice(1);
    bytes.resize_with(300_000, || u8::try_from(dice.below(256)).unwrap());
    fs::write(folder.join("big.efi"), &bytes).unwrap();
    fs::write(folder.join("small.cfg"), "search --fs-uuid\n").unwrap();
    run(folder, &["mmd", "-i", "fat", "::EFI", "::EFI/BOOT", "::EFI/debian", "::many"])?;
    run(folder, &["mcopy", "-i", "fat", "big.efi", "::EFI/BOOT/BOOTX64.EFI"])?;
    run(folder, &["mcopy", "-m", "-i", "fat", "small.cfg", "::EFI/debian/grub größe and a long name.cfg"])?;
    fs::create_dir(folder.join("many")).unwrap();
    for number in 0..200 {
        fs::write(folder.join(format!("many/a rather long name number {number}")), format!("{number}")).unwrap();
    }
    run(folder, &["sh", "-c", "mcopy -i fat many/* ::many"])?;
    run(folder, &["mattrib", "-i", "fat", "+r", "::EFI/BOOT/BOOTX64.EFI"])?;
    run(folder, &["mdel", "-i", "fat", "::many/a rather long name number 7"])?;
    Some(in_memory(&image))
}

fn open(bytes: Vec<u8>) -> Fat {
    Fat::open(MemoryDevice::shared(bytes), Options::default()).unwrap()
}

#[test]
fn what_mtools_put_there_is_found_in_each_width() {
    for (width, size) in [("12", 2 << 20), ("16", 32 << 20), ("32", 64 << 20)] {
        let folder = tempfile::tempdir().unwrap();
        let Some(bytes) = partition(folder.path(), width, size) else { return };
        let fat = open(bytes);
        let root = Rootfs::new(&fat);
        let read = |path: &str| root.read(&path.into()).unwrap();
        assert_eq!(read("/EFI/BOOT/BOOTX64.EFI"), in_memory(&folder.path().join("big.efi")), "{width}");
        assert_eq!(read("/efi/boot/bootx64.efi").len(), 300_000, "without case");
        assert_eq!(read("/EFI/debian/grub größe and a long name.cfg"), b"search --fs-uuid\n");
        assert_eq!(read("/many/a rather long name number 199"), b"199");
        assert!(root.read(&"/many/a rather long name number 7".into()).is_err());
        assert_eq!(root.read_dir(&"/many".into()).unwrap().len(), 199);
        let file = fat.metadata(&"/EFI/BOOT/BOOTX64.EFI".into()).unwrap();
        assert_eq!((file.mode, file.uid, file.size, file.nlink), (0o555, 0, 300_000, 1));
        let now = fs::metadata(folder.path().join("small.cfg")).unwrap();
        let kept = fat.metadata(&"/EFI/debian/grub größe and a long name.cfg".into()).unwrap().mtime;
        assert!((kept - std::os::unix::fs::MetadataExt::mtime(&now)).abs() <= 2 || std::env::var_os("TZ").is_some());
        let directory = fat.metadata(&"/EFI".into()).unwrap();
        assert_eq!((directory.mode, directory.nlink), (0o755, 4));
        let all = All::default();
        let coverage = fat.walk(&all);
        let plain = All::default();
        assert_eq!(coverage, walk_by_directories(&fat, &plain));
        assert_eq!(coverage.entries, 1 + 4 + 2 + 199);
        assert_eq!(*all.0.lock().unwrap(), *plain.0.lock().unwrap());
        assert!(fat.open(&"/EFI".into()).is_err() && fat.read_link(&"/EFI".into()).is_err());
    }
}

/// Names and contents, by `fatfs`.
fn told_by_fatfs(directory: &fatfs::Dir<'_, Cursor<Vec<u8>>>, at: &str, out: &mut BTreeMap<String, Vec<u8>>) {
    for entry in directory.iter().map(Result::unwrap) {
        let path = format!("{at}/{}", entry.file_name());
        match entry.file_name().as_str() {
            "." | ".." => {}
            _ if entry.is_dir() => told_by_fatfs(&entry.to_dir(), &path, out),
            _ => {
                let mut content = Vec::new();
                entry.to_file().read_to_end(&mut content).unwrap();
                out.insert(path, content);
            }
        }
    }
}

#[test]
fn fatfs_finds_the_same_files_with_the_same_content() {
    let folder = tempfile::tempdir().unwrap();
    let Some(bytes) = partition(folder.path(), "32", 64 << 20) else { return };
    let theirs = fatfs::FileSystem::new(Cursor::new(bytes.clone()), fatfs::FsOptions::new()).unwrap();
    let mut expected = BTreeMap::new();
    told_by_fatfs(&theirs.root_dir(), "", &mut expected);
    let fat = open(bytes);
    let all = All::default();
    fat.walk(&all);
    let files = all.0.into_inner().unwrap().into_iter().filter(|(_, metadata)| metadata.kind == crate::image::FileKind::File);
    let own: BTreeMap<_, _> = files
        .map(|(path, _)| {
            let content = Rootfs::new(&fat).read(&ImagePath::new(&path)).unwrap();
            (path, content)
        })
        .collect();
    assert_eq!(own.len(), 201);
    assert_eq!(own, expected);
}

#[test]
fn owner_and_modes_are_those_that_it_is_mounted_with() {
    let folder = tempfile::tempdir().unwrap();
    let Some(bytes) = partition(folder.path(), "16", 32 << 20) else { return };
    let options = Options::read(["umask=0077", "shortname=winnt", "uid=7", "gid=root", "fmask=0117"]).unwrap();
    let fat = Fat::open(MemoryDevice::shared(bytes), options).unwrap();
    let file = fat.metadata(&"/EFI/debian/grub größe and a long name.cfg".into()).unwrap();
    assert_eq!((file.mode, file.uid, file.gid), (0o660, 7, 0));
    assert_eq!(fat.metadata(&"/".into()).unwrap().mode, 0o700);
    assert!(Options::read(["uid=somebody"]).unwrap_err().contains("uid=somebody"));
    assert!(Options::read(["umask=999"]).is_err());
}

/// FAT32 whose cluster 2 is the root: changes it and says what listing it says.
fn hostile(change: impl Fn(&mut Vec<u8>, usize, usize)) -> Option<Fat> {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = partition(folder.path(), "32", 64 << 20)?;
    let number = |at: usize| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
    let (sector, reserved) = (number(11), number(14));
    let table = reserved * sector;
    let data = (reserved + usize::from(bytes[16]) * number(36)) * sector;
    change(&mut bytes, table, data);
    Some(open(bytes))
}

#[test]
fn chains_and_directories_that_lead_back_end() {
    // The root's chain is a circle.
    let Some(fat) = hostile(|bytes, table, _| bytes[table + 8..table + 12].copy_from_slice(&2_u32.to_le_bytes())) else { return };
    let error = fat.read_dir(&ImagePath::root()).unwrap_err().to_string();
    assert!(error.contains("more than 2 MiB"), "{error}");
    assert_eq!(fat.walk(&All::default()).gaps_total, 1);
    // Every directory in the root is the root itself.
    let fat = hostile(|bytes, _, data| {
        for entry in bytes[data..data + 512].chunks_exact_mut(32).filter(|entry| entry[11] == 0x10) {
            entry[20..22].fill(0);
            entry[26..28].copy_from_slice(&2_u16.to_le_bytes());
        }
    });
    let fat = fat.unwrap();
    let coverage = fat.walk(&All::default());
    assert_eq!((coverage.entries, coverage.gaps_total), (1, 2));
    let error = fat.metadata(&"/EFI/EFI/EFI".into()).unwrap_err().to_string();
    assert!(error.contains("was met before"), "{error}");
    // A file's chain leads nowhere, or ends too early.
    let fat = hostile(|bytes, table, _| bytes[table + 24..table + 4000].fill(0xff)).unwrap();
    let mut file = fat.open(&"/EFI/BOOT/BOOTX64.EFI".into()).unwrap();
    let error = file.read_to_end(&mut Vec::new()).unwrap_err().to_string();
    assert!(error.contains("bytes too early"), "{error}");
}

#[test]
fn a_full_directory_whose_chain_is_a_circle_ends_here_and_not_in_fatfs() {
    let kept = Mutex::new(Vec::new());
    let made = hostile(|bytes, table, data| {
        let cluster = usize::from(bytes[13]) * 512;
        let entry = bytes[data + 32..data + 64].to_vec();
        bytes[data..data + cluster].chunks_exact_mut(32).for_each(|place| place.copy_from_slice(&entry));
        bytes[table + 8..table + 12].copy_from_slice(&2_u32.to_le_bytes());
        kept.lock().unwrap().clone_from(bytes);
    });
    let Some(fat) = made else { return };
    assert!(fat.read_dir(&ImagePath::root()).unwrap_err().to_string().contains("more than 2 MiB"));
    let theirs = fatfs::FileSystem::new(Cursor::new(kept.into_inner().unwrap()), fatfs::FsOptions::new()).unwrap();
    assert_eq!(theirs.root_dir().iter().take(100_000).count(), 100_000);
}

#[test]
fn impossible_layouts_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let Some(bytes) = partition(folder.path(), "16", 32 << 20) else { return };
    let refused = |at: usize, value: &[u8]| {
        let mut bytes = bytes.clone();
        bytes[at..at + value.len()].copy_from_slice(value);
        Fat::open(MemoryDevice::shared(bytes), Options::default()).err().unwrap().to_string()
    };
    assert!(refused(11, &[0, 0]).contains("sectors of 0 bytes"));
    assert!(refused(11, &[0, 0x80]).contains("sectors of 32768 bytes"));
    assert!(refused(13, &[0]).contains("clusters of 0"));
    assert!(refused(16, &[0]).contains("0 tables"));
    assert!(refused(22, &[0, 0]).contains("FAT: "));
    assert!(refused(32, &[0; 4]).contains("before the data") || refused(19, &[1, 0]).contains("before the data"));
    assert!(Fat::open(MemoryDevice::shared([0; 100]), Options::default()).is_err());
}

fn mutate(rounds: usize) {
    for (width, size) in [("12", 2 << 20), ("16", 16 << 20)] {
        let folder = tempfile::tempdir().unwrap();
        let Some(bytes) = partition(folder.path(), width, size) else { return };
        let mut places = telling(&bytes[..bytes.len().min(256 << 10)]);
        places.truncate(40_000);
        let mut dice = Dice(5);
        for _ in 0..rounds {
            let Ok(fat) = Fat::open(MemoryDevice::shared(dice.damage(&bytes, &places)), Options::default()) else { continue };
            let all = All::default();
            let coverage = fat.walk(&all);
            assert!(coverage.entries < 1 << 20);
            for path in all.0.into_inner().unwrap().keys().take(5) {
                if let Ok(content) = fat.open(&ImagePath::new(crate::path::unprintable(path))) {
                    let _ = content.take(1 << 20).read_to_end(&mut Vec::new());
                }
            }
        }
    }
}

#[test]
fn damage_is_told_and_nothing_worse() {
    mutate(100);
}

#[test]
#[ignore = "takes minutes"]
fn much_damage_is_told_and_nothing_worse() {
    mutate(3000);
}
