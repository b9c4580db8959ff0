//! The readers against databases made by the real programs: samples in the shared fixtures, and ones made on the spot by rpm
//! and Berkeley DB's own loader.

use super::*;
use crate::syntax::rpm_header::Header;
use crate::syntax::rpm_header::tests::build;
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use std::process::Command;

fn fixture(path: &str) -> Option<PathBuf> {
    let shared =
        std::env::var_os("KARAT_SHARED").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let path = shared.join("fixtures").join(path);
    let there = path.exists();
    if !there {
        eprintln!("skipped: {} is not there", path.display());
    }
    there.then_some(path)
}

/// `name-[epoch:]version-release.arch` of every package, and how many files they own.
fn list(format: Format, file: &[u8], log: Option<&[u8]>) -> Result<(Vec<String>, usize), DbError> {
    let (mut names, mut files) = (Vec::new(), 0);
    read(format, file, log, &mut |_, blob| {
        let header = Header::parse(blob).unwrap();
        let package = header.package().unwrap();
        let epoch = package.epoch.map(|e| format!("{e}:")).unwrap_or_default();
        let arch = package.arch.unwrap_or("(none)");
        names.push(format!("{}-{epoch}{}-{}.{arch}", package.name, package.version, package.release));
        header.files(|_| files += 1).unwrap();
    })?;
    Ok((names, files))
}

#[test]
fn mariner_two_in_sqlite() {
    let Some(path) = fixture("rpmdb/cbl-mariner-2.0_rpmdb.sqlite") else {
        return;
    };
    let (names, files) = list(Format::Sqlite, &std::fs::read(path).unwrap(), None).unwrap();
    assert_eq!((names.len(), files), (129, 7269));
    assert!(names.contains(&"bash-5.1.8-1.cm2.x86_64".to_owned()), "{names:?}");
}

#[test]
fn a_sqlite_database_without_packages() {
    let Some(path) = fixture("rpmdb/clair_no_packages.sqlite") else {
        return;
    };
    let file = std::fs::read(path).unwrap();
    assert_eq!(list(Format::Sqlite, &file, None), Err(DbError::NoTable));
}

#[test]
fn suse_fifteen_in_ndb() {
    let Some(path) = fixture("rpmdb/sle15-bci_Packages.db") else {
        return;
    };
    let (names, _) = list(Format::Ndb, &std::fs::read(path).unwrap(), None).unwrap();
    assert_eq!(names.len(), 35);
}

#[test]
fn single_packages_in_berkeley_db() {
    for (path, package) in
        [("rpmdb/libuuid_Packages", "libuuid"), ("rpmdb/syft_Packages", "dive"), ("rpmdb/scalibr_Packages_epoch", "hello")]
    {
        let Some(path) = fixture(path) else { return };
        let (names, _) = list(Format::BerkeleyDb, &std::fs::read(path).unwrap(), None).unwrap();
        assert!(names.len() == 1 && names[0].starts_with(package), "{names:?}");
    }
}

/// What `rpm -qa` answers for the database in `path`.
fn rpm_query(path: &Path) -> Option<Vec<String>> {
    let format = "%{NAME}-%|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}.%{ARCH}\n";
    let output = Command::new("rpm").arg("--dbpath").arg(path).args(["-qa", "--queryformat", format]).output().ok()?;
    let text = String::from_utf8(output.stdout).unwrap();
    Some(text.lines().map(str::to_owned).collect())
}

#[test]
fn every_file_of_mariner_as_rpm_lists_it() {
    let Some(path) = fixture("rpmdb/cbl-mariner-2.0_rpmdb.sqlite") else {
        return;
    };
    let file = std::fs::read(path).unwrap();
    // A copy, because rpm changes a database merely by looking at it.
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("rpmdb.sqlite"), &file).unwrap();
    let format = "[%{FILENAMES} %{FILEMODES} %{FILEUSERNAME} %{FILEGROUPNAME} %{FILEFLAGS:fflags}\n]";
    let output = Command::new("rpm").arg("--dbpath").arg(dir.path()).args(["-qa", "--queryformat", format]).output();
    let Ok(output) = output else {
        eprintln!("skipped: no rpm on this machine");
        return;
    };
    let text = String::from_utf8(output.stdout).unwrap();
    let mut theirs: Vec<String> = text
        .lines()
        .map(|line| {
            let (line, flags) = line.rsplit_once(' ').unwrap();
            format!("{line} {} {}", flags.contains('c'), flags.contains('g'))
        })
        .collect();
    let mut ours = Vec::new();
    sqlite::read(&file, None, &mut |_, blob| {
        let visit = |file: crate::syntax::rpm_header::File<'_>| {
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            let (path, user) = (text(file.directory) + &text(file.name), text(file.user.unwrap()));
            ours.push(format!("{path} {} {user} {} {} {}", file.mode, text(file.group.unwrap()), file.config, file.ghost));
        };
        Header::parse(blob).unwrap().files(visit).unwrap();
    })
    .unwrap();
    theirs.sort();
    ours.sort();
    assert_eq!(ours.len(), 7269);
    assert!(ours == theirs, "first difference: {:?}", ours.iter().zip(&theirs).find(|(a, b)| a != b));
}

#[test]
fn what_rpm_itself_has_just_installed() {
    let Some(packages) = fixture("rpm") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new("rpm");
    command.arg("--dbpath").arg(dir.path()).args(["--justdb", "--nodeps", "--nosignature", "--noscripts", "-i"]);
    for entry in std::fs::read_dir(packages).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("v6_") {
            command.arg(path);
        }
    }
    let Ok(output) = command.output() else {
        eprintln!("skipped: no rpm on this machine");
        return;
    };
    let Ok(file) = std::fs::read(dir.path().join("rpmdb.sqlite")) else {
        eprintln!("skipped: {}", String::from_utf8_lossy(&output.stderr));
        return;
    };
    let log = std::fs::read(dir.path().join("rpmdb.sqlite-wal")).ok();
    let (mut ours, files) = list(Format::Sqlite, &file, log.as_deref()).unwrap();
    let mut theirs = rpm_query(dir.path()).unwrap();
    ours.sort();
    theirs.sort();
    assert!(ours.len() >= 8 && files > 10, "{ours:?}");
    assert_eq!(ours, theirs);
}

/// A Berkeley DB of these values, by Berkeley DB's own loader in the byte order and page size asked for.
fn load(dir: &Path, values: &[Vec<u8>], big_endian: bool, page_size: usize) -> Option<Vec<u8>> {
    use std::fmt::Write;
    let order = if big_endian { 4321 } else { 1234 };
    let mut text = format!("VERSION=3\nformat=bytevalue\ntype=hash\ndb_lorder={order}\ndb_pagesize={page_size}\nHEADER=END\n");
    let hex = |bytes: &[u8]| bytes.iter().fold(String::from(" "), |text, byte| format!("{text}{byte:02x}"));
    let key = |n: u32| {
        if big_endian { n.to_be_bytes() } else { n.to_le_bytes() }
    };
    let count = u32::try_from(values.len()).unwrap();
    writeln!(text, "{}\n{}", hex(&key(0)), hex(&key(count))).unwrap();
    for (n, value) in (1..).zip(values) {
        writeln!(text, "{}\n{}", hex(&key(n)), hex(value)).unwrap();
    }
    text.push_str("DATA=END\n");
    let (dump, file) = (dir.join("dump"), dir.join("Packages"));
    let _ = std::fs::remove_file(&file);
    std::fs::write(&dump, text).unwrap();
    if let Ok(status) = Command::new("db5.3_load").arg("-f").arg(&dump).arg(&file).status() {
        assert!(status.success());
    } else {
        eprintln!("skipped: no db5.3_load on this machine");
        return None;
    }
    Some(std::fs::read(file).unwrap())
}

/// Values from a few bytes to several overflow pages.
fn values() -> Vec<Vec<u8>> {
    (1..=60_u8).map(|n| vec![n; usize::from(n) * usize::from(n) * 3]).collect()
}

#[test]
fn berkeley_db_in_both_byte_orders() {
    let dir = tempfile::tempdir().unwrap();
    for (big_endian, page_size) in [(false, 512), (false, 4096), (true, 512), (true, 8192), (true, 65536)] {
        let Some(file) = load(dir.path(), &values(), big_endian, page_size) else {
            return;
        };
        let mut seen = Vec::new();
        bdb::read(&file, &mut |number, blob| {
            seen.push((number, blob.to_vec()));
        })
        .unwrap();
        seen.sort();
        let expected: Vec<_> = (1..).zip(values()).collect();
        assert!(seen == expected, "big endian: {big_endian}, page size {page_size}: {} of {}", seen.len(), expected.len());
    }
}

#[test]
fn berkeley_db_chains_that_turn_back_end_in_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let Some(file) = load(dir.path(), &values(), false, 512) else {
        return;
    };
    let (mut overflows, mut buckets) = (0, 0);
    for start in (512..file.len()).step_by(512) {
        let own = le_u32(&file, start + 8).unwrap();
        let next = le_u32(&file, start + 16).unwrap();
        let mut crafted = file.clone();
        crafted[start + 16..start + 20].copy_from_slice(&own.to_le_bytes());
        match file[start + 25] {
            7 if next != 0 => overflows += 1,
            2 | 13 => buckets += 1,
            _ => continue,
        }
        assert_eq!(bdb::read(&crafted, &mut |_, _| ()), Err(DbError::Twice(own)));
        // The page type by which another reader is led round for ever.
        crafted[start + 25] = 9;
        assert!(bdb::read(&crafted, &mut |_, _| ()).is_err());
    }
    assert!(overflows > 10 && buckets > 3, "{overflows} and {buckets}");
}

/// An ndb of one slot page and these values.
fn build_ndb(values: &[Vec<u8>]) -> Vec<u8> {
    let mut slots = Vec::new();
    let mut blobs: Vec<u8> = Vec::new();
    for (n, value) in (1_u32..).zip(values) {
        let length = u32::try_from(value.len()).unwrap();
        let mut blob = b"BlbS".to_vec();
        for field in [n, 7, length] {
            blob.extend(field.to_le_bytes());
        }
        blob.extend(value);
        blob.resize((blob.len() + 12).next_multiple_of(16) - 12, 0);
        blob.extend(ndb::adler32(&blob).to_le_bytes());
        blob.extend(length.to_le_bytes());
        blob.extend(b"BlbE");
        let start = u32::try_from((4096 + blobs.len()) / 16).unwrap();
        slots.extend(b"Slot");
        for field in [n, start, u32::try_from(blob.len() / 16).unwrap()] {
            slots.extend(field.to_le_bytes());
        }
        blobs.extend(blob);
    }
    let mut file = b"RpmP".to_vec();
    for field in [0_u32, 3, 1, 99] {
        file.extend(field.to_le_bytes());
    }
    file.resize(32, 0);
    file.extend(slots);
    while file.len() < 4096 {
        file.extend(b"Slot\0\0\0\0\0\0\0\0\0\0\0\0");
    }
    file.extend(blobs);
    file
}

#[test]
fn ndb_slots_that_overlap_or_lie() {
    let file = build_ndb(&values());
    let numbers = |file: &[u8]| {
        let mut numbers = Vec::new();
        ndb::read(file, &mut |number, _| numbers.push(number)).map(|()| numbers)
    };
    assert_eq!(numbers(&file), Ok((1..=60).collect()));
    let changed = |at: usize, byte: u8| {
        let mut crafted = file.clone();
        crafted[at] = byte;
        numbers(&crafted)
    };
    assert_eq!(changed(0, b'x'), Err(DbError::Magic));
    assert_eq!(changed(4, 1), Err(DbError::Unsupported("another version of ndb")));
    assert_eq!(changed(32, b'x'), Err(DbError::Range("slot")));
    // The second slot starts where the first does, and ends beyond the file.
    let mut crafted = file.clone();
    crafted.copy_within(32 + 8..32 + 12, 48 + 8);
    assert!(numbers(&crafted).is_err());
    assert_eq!(changed(48 + 14, 0xff), Err(DbError::Package(2)));
    // Any byte of the first blob: magic, number, length, content, checksum, tail.
    for (at, byte) in file.iter().enumerate().skip(4096).take(32) {
        assert!(changed(at, byte.wrapping_add(1)).is_err(), "byte {at}");
    }
}

#[test]
fn cut_off_at_any_block_every_format_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let mut samples = vec![(Format::Ndb, build_ndb(&values()))];
    samples.extend(load(dir.path(), &values(), false, 512).map(|file| (Format::BerkeleyDb, file)));
    for path in ["rpmdb/cbl-mariner-2.0_rpmdb.sqlite", "rpmdb/sle15-bci_Packages.db", "rpmdb/libuuid_Packages"] {
        let format = Format::ALL.into_iter().find(|f| path.ends_with(f.file_name())).unwrap();
        samples.extend(fixture(path).map(|path| (format, std::fs::read(path).unwrap())));
    }
    for (format, file) in samples {
        for end in (0..file.len()).step_by(512) {
            assert!(read(format, &file[..end], None, &mut |_, _| ()).is_err(), "{format:?} cut at {end}");
        }
    }
}

proptest! {
    #[test]
    fn no_change_of_bytes_makes_a_reader_panic(changes in proptest::collection::vec((0_usize..9000, any::<u8>()), 1..8)) {
        let blob = build(&[(1000, 6, 1, b"a\0")]);
        let mut file = build_ndb(&[blob.clone(), blob]);
        for (at, byte) in &changes {
            if let Some(slot) = file.get_mut(*at) {
                *slot = *byte;
            }
        }
        let _ = ndb::read(&file, &mut |_, _| ());
        // The same bytes with the other formats' magic in place.
        if let Some(meta) = file.get_mut(12..32) {
            meta.copy_from_slice(&[0x61, 0x15, 6, 0, 9, 0, 0, 0, 0, 2, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0]);
            meta[8..12].copy_from_slice(&512_u32.to_le_bytes());
            meta[12..16].copy_from_slice(&[0, 8, 0, 0]);
        }
        let _ = bdb::read(&file, &mut |_, _| ());
    }
}
