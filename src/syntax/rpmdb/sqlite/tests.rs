use super::*;
use proptest::prelude::*;
use std::path::Path;
use std::process::Command;

/// Runs Python's own `SQLite`; false (with a message) where there is none.
fn python(directory: &Path, script: &str) -> bool {
    match Command::new("python3").arg("-c").arg(script).current_dir(directory).output() {
        Ok(output) if output.status.success() => true,
        Ok(output) => panic!("{}", String::from_utf8_lossy(&output.stderr)),
        Err(_) => {
            eprintln!("skipped: no python3 on this machine");
            false
        }
    }
}

fn blobs(file: &[u8], log: Option<&[u8]>) -> Result<Vec<(u32, Vec<u8>)>, DbError> {
    let mut blobs = Vec::new();
    read(file, log, &mut |number, blob| {
        blobs.push((number, blob.to_vec()));
    })?;
    Ok(blobs)
}

/// What row `n` of the databases below holds: between nothing and several overflow pages.
fn content(n: u32) -> Vec<u8> {
    let length = usize::try_from(n * n * 7 % 20_000).unwrap();
    vec![u8::try_from(n % 251).unwrap(); length]
}

const PYTHON_CONTENT: &str = "
import sqlite3, shutil, sys
def content(n): return bytes([n % 251]) * (n * n * 7 % 20000)
def fill(c, numbers):
    c.executemany('INSERT OR REPLACE INTO Packages VALUES (?, ?)', [(n, content(n)) for n in numbers])
def create(path, page_size, extra=''):
    c = sqlite3.connect(path, isolation_level=None)
    c.execute(f'PRAGMA page_size={page_size}')
    c.execute(extra or 'SELECT 1')
    c.execute('CREATE TABLE other (a, b)')
    c.execute('CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)')
    return c
";

#[test]
fn every_page_size_and_record_length() {
    let dir = tempfile::tempdir().unwrap();
    let script = format!(
        "{PYTHON_CONTENT}
for size in (512, 1024, 4096, 65536):
    c = create(f'{{size}}.sqlite', size)
    c.execute('BEGIN'); fill(c, range(1, 400)); c.execute('DELETE FROM Packages WHERE hnum % 5 = 0'); c.execute('COMMIT')
    c.close()
"
    );
    if !python(dir.path(), &script) {
        return;
    }
    for size in [512, 1024, 4096, 65536] {
        let file = std::fs::read(dir.path().join(format!("{size}.sqlite"))).unwrap();
        let seen = blobs(&file, None).unwrap();
        let expected: Vec<_> = (1..400).filter(|n| n % 5 != 0).map(|n| (n, content(n))).collect();
        assert!(seen == expected, "page size {size}: {} rows", seen.len());
    }
}

/// Rows 1–99 are in the file; the log deletes 1–9, replaces 10, adds 100–119, all committed, and then adds 200–259 without a
/// commit (spilled there by a tiny cache).
fn make_log(dir: &Path) -> bool {
    let script = format!(
        "{PYTHON_CONTENT}
c = create('db', 1024)
c.execute('PRAGMA journal_mode=WAL')
c.execute('BEGIN'); fill(c, range(1, 100)); c.execute('COMMIT')
c.execute('PRAGMA wal_checkpoint(TRUNCATE)')
c.execute('PRAGMA wal_autocheckpoint=0')
c.execute('BEGIN'); c.execute('DELETE FROM Packages WHERE hnum < 10'); c.execute('COMMIT')
c.execute(\"INSERT OR REPLACE INTO Packages VALUES (10, x'6e6577')\")
c.execute('BEGIN'); fill(c, range(100, 120)); c.execute('COMMIT')
shutil.copy('db-wal', 'committed-wal')
c.execute('PRAGMA cache_size=2')
c.execute('BEGIN'); fill(c, range(200, 260))
shutil.copy('db', 'copy'); shutil.copy('db-wal', 'copy-wal')
c.execute('ROLLBACK')
"
    );
    python(dir, &script)
}

fn expected_with_log() -> Vec<(u32, Vec<u8>)> {
    (10..120).map(|n| (n, if n == 10 { b"new".to_vec() } else { content(n) })).collect()
}

#[test]
fn the_log_counts_up_to_its_last_commit() {
    let dir = tempfile::tempdir().unwrap();
    if !make_log(dir.path()) {
        return;
    }
    let file = std::fs::read(dir.path().join("copy")).unwrap();
    let log = std::fs::read(dir.path().join("copy-wal")).unwrap();
    let committed = std::fs::read(dir.path().join("committed-wal")).unwrap();
    assert!(log.len() > committed.len(), "the open transaction was to be in the log");
    let stale: Vec<u32> = blobs(&file, None).unwrap().iter().map(|(n, _)| *n).collect();
    assert_eq!(stale, (1..100).collect::<Vec<_>>());
    assert!(blobs(&file, Some(&log)).unwrap() == expected_with_log());
    assert!(blobs(&file, Some(&committed)).unwrap() == expected_with_log());
}

#[test]
fn a_damaged_log_ends_where_the_damage_is() {
    let dir = tempfile::tempdir().unwrap();
    if !make_log(dir.path()) {
        return;
    }
    let file = std::fs::read(dir.path().join("copy")).unwrap();
    let log = std::fs::read(dir.path().join("committed-wal")).unwrap();
    let numbers = |log: &[u8]| blobs(&file, Some(log)).unwrap().iter().map(|(n, _)| *n).collect::<Vec<_>>();
    let frames = (log.len() - 32) / (24 + 1024);
    assert!(frames > 3);
    // A wrong salt, page or checksum in the first frame: nothing is committed. In the last: the last commit is missing.
    for offset in [32 + 9, 32 + 17, 32 + 24 + 500] {
        for (frame, first, last) in [(0, 1, 99), (frames - 1, 10, 99)] {
            let mut damaged = log.clone();
            damaged[frame * (24 + 1024) + offset] ^= 1;
            let seen = numbers(&damaged);
            assert_eq!((seen.first(), seen.last()), (Some(&first), Some(&last)), "frame {frame}, offset {offset}");
        }
    }
    // No header, a damaged header and nothing at all are an empty log.
    let mut damaged = log.clone();
    damaged[20] ^= 1;
    for log in [&damaged[..], &log[..31], &[]] {
        assert_eq!(numbers(log), (1..100).collect::<Vec<_>>());
    }
}

#[test]
fn a_log_beside_a_database_not_in_that_mode_is_ignored() {
    let dir = tempfile::tempdir().unwrap();
    if !make_log(dir.path()) {
        return;
    }
    let mut file = std::fs::read(dir.path().join("copy")).unwrap();
    let log = std::fs::read(dir.path().join("copy-wal")).unwrap();
    file[18] = 1;
    assert_eq!(blobs(&file, Some(&log)).unwrap().len(), 99);
}

fn small() -> Option<Vec<u8>> {
    let dir = tempfile::tempdir().unwrap();
    let script = format!(
        "{PYTHON_CONTENT}
c = create('db', 512)
c.execute('BEGIN'); fill(c, range(1, 40)); c.execute('COMMIT'); c.close()"
    );
    python(dir.path(), &script).then(|| std::fs::read(dir.path().join("db")).unwrap())
}

#[test]
fn cut_off_anywhere_it_is_an_error() {
    let Some(file) = small() else { return };
    assert_eq!(blobs(&file, None).unwrap().len(), 39);
    for end in (0..file.len()).step_by(512) {
        assert!(blobs(&file[..end], None).is_err(), "cut at {end}");
    }
}

#[test]
fn a_page_that_is_its_own_child_ends_in_an_error() {
    let Some(file) = small() else { return };
    let mut pages = 0;
    for start in (512..file.len()).step_by(512) {
        // Interior pages: the right-most child becomes the page itself.
        if file[start] == INTERIOR {
            pages += 1;
            let mut crafted = file.clone();
            let own = u32::try_from(start / 512 + 1).unwrap();
            crafted[start + 8..start + 12].copy_from_slice(&own.to_be_bytes());
            assert_eq!(blobs(&crafted, None), Err(DbError::Twice(own)));
        }
    }
    assert!(pages > 0);
}

#[test]
fn an_overflow_chain_that_turns_back_ends_in_an_error() {
    let Some(file) = small() else { return };
    let mut caught = 0;
    for number in 2..u32::try_from(file.len() / 512).unwrap() {
        let mut crafted = file.clone();
        let start = usize::try_from(number - 1).unwrap() * 512;
        // An overflow page starts with the next one's number.
        if be_u32(&crafted, start) == Some(number + 1) {
            crafted[start..start + 4].copy_from_slice(&number.to_be_bytes());
            assert_eq!(blobs(&crafted, None), Err(DbError::Twice(number)));
            caught += 1;
        }
    }
    assert!(caught > 10, "{caught} chains");
}

#[test]
fn no_table_of_that_name() {
    let dir = tempfile::tempdir().unwrap();
    if !python(dir.path(), "import sqlite3\nc = sqlite3.connect('db')\nc.execute('CREATE TABLE Installed (a, b)')") {
        return;
    }
    let file = std::fs::read(dir.path().join("db")).unwrap();
    assert_eq!(blobs(&file, None), Err(DbError::NoTable));
    assert_eq!(blobs(b"SQLite format 2", None), Err(DbError::Magic));
    assert_eq!(blobs(b"", None), Err(DbError::Magic));
}

#[test]
fn journals_that_would_be_rolled_back() {
    assert!(is_hot_journal(&[0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7, 0, 0]));
    assert!(!is_hot_journal(&[0; 512]));
    assert!(!is_hot_journal(&[]));
}

#[test]
fn numbers_of_any_length() {
    assert_eq!(varint(&[0x7f, 1]), Some((127, [1].as_slice())));
    assert_eq!(varint(&[0x81, 0x00]), Some((128, [].as_slice())));
    assert_eq!(varint(&[0xff; 9]), Some((u64::MAX, [].as_slice())));
    assert_eq!(varint(&[0xff; 8]), None);
    assert_eq!((integer(&[0xff]), integer(&[1, 0]), integer(&[])), (-1, 256, 0));
}

proptest! {
    #[test]
    fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let mut file = MAGIC.to_vec();
        file.extend(bytes);
        let _ = blobs(&file, Some(&file));
    }
}

#[test]
fn no_change_of_a_byte_makes_it_panic_or_hang() {
    let Some(file) = small() else { return };
    // The first bytes of each page hold its header and pointers; further in, a stride finds cells and overflow data.
    for at in (0..file.len()).filter(|at| at % 512 < 32 || at % 101 == 0).step_by(9) {
        let mut crafted = file.clone();
        for value in [0, 0xff, file[at].wrapping_add(1)] {
            crafted[at] = value;
            let _ = blobs(&crafted, None);
        }
    }
}
