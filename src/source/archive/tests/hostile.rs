//! Archives that mean harm, and archives that came to harm.

use super::layers::{Layout, gzip};
use super::made::{Header, Made};
use super::*;

/// Numbers that look like chance and are the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }
}

/// Asks an image for everything, whatever it answers.
fn exercise(archive: &Archive) {
    let all = All(Mutex::default());
    archive.image.walk(&all);
    for (path, metadata) in all.0.into_inner().unwrap() {
        let _ = archive.image.xattr(&path, "security.capability");
        let _ = archive.image.read_dir(&path);
        if metadata.kind == FileKind::File {
            let _ = archive.image.open(&path).map(|file| std::io::copy(&mut file.take(1 << 20), &mut std::io::sink()));
        }
    }
}

fn broken(path: &str, bytes: &[u8]) -> String {
    let read = read(device(bytes)).unwrap();
    read.image.metadata(&ImagePath::new(path)).unwrap_err().to_string()
}

#[test]
fn a_name_with_dots_makes_what_it_may_have_touched_unknown() {
    let bytes = Made::default().file("etc/passwd", "good").file("etc/../etc/passwd", "evil").file("../../x", "y").end();
    assert!(broken("/etc/passwd", &bytes).contains("'..'"));
    assert!(broken("/x", &bytes).contains("'..'"));
    assert_eq!(gaps(&*read(device(&bytes)).unwrap().image).len(), 2);
    // A directory is not taken away by it.
    let bytes = Made::default().file("etc/passwd", "good").directory("etc/a/..").directory("..").end();
    let read = read(device(&bytes)).unwrap();
    assert_eq!(text(&*read.image, "/etc/passwd"), "good");
    assert_eq!(gaps(&*read.image).len(), 2);
}

#[test]
fn what_is_below_a_link_that_leads_far_is_unknown_where_it_leads() {
    for target in ["/etc", "../../etc"] {
        let bytes = Made::default().file("etc/passwd", "good").link("a", target).file("a/passwd", "evil").end();
        assert!(broken("/etc/passwd", &bytes).contains("programs differ"), "{target}");
    }
}

#[test]
fn hard_links_to_nothing_to_directories_and_to_themselves() {
    let bytes =
        Made::default().directory("d").hard("a", "d").hard("b", "none").hard("c", "c").hard("e", "../../etc/shadow").end();
    let gaps = gaps(&*read(device(&bytes)).unwrap().image);
    assert_eq!(gaps.len(), 4, "{gaps:?}");
    assert!(gaps[0].contains("it is a directory"));
    let bytes = Made::default().file("a", "1").hard("a", "./a").hard("a", "/a").end();
    assert_eq!(text(&*read(device(&bytes)).unwrap().image, "/a"), "1");
}

#[test]
fn a_directory_with_content_that_a_file_replaces_makes_a_gap() {
    let bytes = Made::default().file("d/x", "1").file("d", "2").end();
    assert_eq!(gaps(&*read(device(&bytes)).unwrap().image).len(), 1);
}

#[test]
fn a_file_over_a_directory_that_holds_something_leaves_it_and_a_gap() {
    // GNU tar and bsdtar keep the directory.
    let bytes = Made::default().file("etc/shadow", "x").file("etc", "y").end();
    let image = read(device(&bytes)).unwrap().image;
    assert_eq!(text(&*image, "/etc/shadow"), "x");
    assert!(gaps(&*image).iter().any(|gap| gap.contains("programs differ")), "{:?}", gaps(&*image));
    let bytes = Made::default().entry(&mut Header::new(b"etc/", b'5', 0), b"").file("etc", "y").end();
    assert_eq!(text(&*read(device(&bytes)).unwrap().image, "/etc"), "y");
}

#[test]
fn sizes_that_lie() {
    // A directory that claims content: some programs would take what follows for it.
    let bytes = Made::default().entry(&mut Header::new(b"d/", b'5', 512), b"").file("x", "1").end();
    assert!(broken("/d", &bytes).contains("claims 512 bytes"));
    let bytes = Made::default().file("d/", "abc").file("x", "1").end();
    assert!(broken("/d", &bytes).contains("claims 3 bytes"));
    assert_eq!(text(&*read(device(&bytes)).unwrap().image, "/x"), "1");
    // The size in an extended header counts, as for GNU tar and everybody who reads pax: smaller and larger.
    let bytes = Made::default().pax(&[("size", b"1")]).file("x", "123").end();
    assert_eq!(text(&*read(device(&bytes)).unwrap().image, "/x"), "1");
    let bytes = Made::default().pax(&[("size", b"9223372036854775807")]).file("x", "123").end();
    assert!(read(device(&bytes)).unwrap().about.incomplete.unwrap().contains("inside an entry's content"));
    let bytes = Made::default().pax(&[("size", b"99999999999999999999")]).file("x", "123").end();
    assert!(read(device(&bytes)).unwrap().about.incomplete.unwrap().contains("where a number belongs"));
    // Negative, in base 256.
    let mut header = Header::new(b"x", b'0', 0);
    header.set(124, &[0xff; 12]);
    assert!(read(device(&Made::default().entry(&mut header, b"").end())).unwrap().about.incomplete.unwrap().contains("-1"));
}

#[test]
fn sparse_files_that_lie() {
    let sparse = |map: &[u8], size: &[u8], content: &str| {
        Made::default().pax(&[("GNU.sparse.map", map), ("GNU.sparse.size", size)]).file("x", content).end()
    };
    // Eight exbibytes less one are a legal size: nothing is allocated for them.
    let read_one = read(device(&sparse(b"0,3", b"9223372036854775807", "abc"))).unwrap();
    assert_eq!(read_one.image.metadata(&ImagePath::new("/x")).unwrap().size, i64::MAX as u64);
    let mut start = [1; 8];
    read_one.image.open(&ImagePath::new("/x")).unwrap().read_exact(&mut start).unwrap();
    assert_eq!(&start, b"abc\0\0\0\0\0");
    for (map, size, content) in [
        (&b"0,3"[..], &b"9223372036854775808"[..], "abc"),
        (b"18446744073709551615,3", b"10", "abc"),
        (b"5,3,0,3", b"10", "abcdef"),
        (b"0,3,1,3", b"10", "abcdef"),
        (b"0,3", b"2", "abc"),
        (b"0,4", b"10", "abc"),
    ] {
        let incomplete = read(device(&sparse(map, size, content))).unwrap().about.incomplete;
        assert!(incomplete.is_some(), "{map:?}");
    }
    let many = (0..100_001).map(|number| format!("{},1", number * 2)).collect::<Vec<_>>().join(",");
    let incomplete = read(device(&sparse(many.as_bytes(), b"9999999", "abc"))).unwrap().about.incomplete.unwrap();
    assert!(incomplete.contains("limit"), "{incomplete}");
    // Version 1.0, whose map is in the content, with a count that is beyond it.
    let records: &[(&str, &[u8])] = &[("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0"), ("GNU.sparse.realsize", b"10")];
    let bytes = Made::default().pax(records).file("x", &format!("99999999999\n{}", "0\n0\n".repeat(126))).end();
    assert!(read(device(&bytes)).unwrap().about.incomplete.is_some());
}

#[test]
fn an_archive_that_is_cut_says_where_and_nothing_is_absent_in_it() {
    let bytes = Made::default().file("a", "1").directory("etc").file("etc/passwd", "root").file("z", &"z".repeat(5_000)).end();
    for (input, is_stream) in [(device(&bytes[..4_000]), false), (stream(&bytes[..4_000]), true)] {
        let read = read(input).unwrap();
        let reason = read.about.incomplete.clone().unwrap();
        assert!(reason.contains("ends at byte 4000, inside an entry's content"), "{reason}");
        assert_eq!(gaps(&*read.image).len(), 1);
        assert_eq!(text(&*read.image, "/etc/passwd"), "root");
        let absent = read.image.metadata(&ImagePath::new("/etc/shadow")).unwrap_err();
        assert_eq!(absent.kind(), std::io::ErrorKind::InvalidData);
        assert_eq!(read.image.read_dir(&ImagePath::new("/etc")).unwrap_err().kind(), std::io::ErrorKind::InvalidData);
        let content = read.image.open(&ImagePath::new("/z")).and_then(|mut file| file.read_to_end(&mut Vec::new()));
        let kind = if is_stream { std::io::ErrorKind::Unsupported } else { std::io::ErrorKind::UnexpectedEof };
        assert_eq!(content.unwrap_err().kind(), kind);
    }
    // Also between two entries; and there no program would notice.
    let cut = read(device(&bytes[..1024])).unwrap().about.incomplete.unwrap();
    assert!(cut.contains("byte 1024 without the mark of its end"), "{cut}");
}

#[test]
fn a_compressed_archive_that_is_cut_says_where() {
    let mut chance = Chance(7);
    let noise: Vec<u8> = (0..100_000).map(|_| u8::try_from(chance.below(256)).unwrap()).collect();
    let plain = Made::default().file("a", "1").entry(&mut Header::new(b"noise", b'0', 100_000), &noise).file("b", "2").end();
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("t"), &plain).unwrap();
    for (program, arguments) in [("gzip", "-c"), ("zstd", "-qc"), ("xz", "-c"), ("bzip2", "-c")] {
        if !has(program) {
            continue;
        }
        let whole = Command::new(program).arg(arguments).arg(place.path().join("t")).output().unwrap().stdout;
        for cut in [50_000, whole.len() - 20, whole.len() - 1] {
            let reason = read(device(&whole[..cut])).map(|read| read.about.incomplete);
            match reason {
                Ok(reason) => assert!(reason.is_some(), "{program} cut at {cut}"),
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
    }
}

#[test]
fn a_header_whose_checksum_does_not_hold_ends_what_is_known() {
    let mut bytes = Made::default().file("a", "1").file("b", "2").end();
    bytes[1024] = b'x';
    let read = read(device(&bytes)).unwrap();
    assert!(read.about.incomplete.clone().unwrap().contains("no header at byte 1024"));
    assert_eq!(text(&*read.image, "/a"), "1");
    assert!(read.image.metadata(&ImagePath::new("/b")).is_err());
}

#[test]
fn bombs_are_named_with_their_limit() {
    // A gibibyte of zeros in one file, 1000:1.
    struct Zeros(u64);
    impl Read for Zeros {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let count = usize::try_from(self.0).unwrap().min(buffer.len());
            buffer[..count].fill(0);
            self.0 -= count as u64;
            Ok(count)
        }
    }
    let head = Header::new(b"zeros", b'0', 1 << 30).sealed();
    let mut bomb = flate2::read::GzEncoder::new(Cursor::new(head).chain(Zeros(1 << 30)), flate2::Compression::fast());
    let mut bytes = Vec::new();
    bomb.read_to_end(&mut bytes).unwrap();
    let reason = read_bare(stream(&bytes)).unwrap().about.incomplete.unwrap();
    assert!(reason.contains("beyond the limit of 200 times"), "{reason}");
    let small = Bounds { total: 100_000, ..Bounds::USUAL };
    let options = Options { keep: &|_, _| false, choice: &Choice::default(), bounds: small };
    let reason = open(stream(&bytes), &options).unwrap().about.incomplete.unwrap();
    assert!(reason.contains("more than the limit of 100000 bytes"), "{reason}");
    // The same as a layer is an error that names it.
    let layer = Layout::default().image("amd64", &[(bytes.clone(), vec![0; 1024])]).tar();
    let error = read_bare(device(&layer)).err().unwrap().to_string();
    assert!(error.contains("layer 1 of 1") && error.contains("200 times"), "{error}");
    // Compression inside compression is not undone.
    let nested = gzip(&bytes);
    assert_eq!(
        read(stream(&nested)).err().unwrap().to_string(),
        "inside the gzip stream is gzip again; compression is undone once"
    );
}

#[test]
fn bombs_of_other_compressions_and_windows_without_end() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("bomb");
    let file = std::fs::File::create(&path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &Header::new(b"zeros", b'0', 600 << 20).sealed(), 0).unwrap();
    file.set_len(601 << 20).unwrap();
    for (program, arguments) in [("zstd", &["-q1c"][..]), ("xz", &["-0c"]), ("bzip2", &["-1c"])] {
        if !has(program) {
            continue;
        }
        let bytes = Command::new(program).args(arguments).arg(&path).output().unwrap().stdout;
        let reason = read_bare(stream(&bytes)).unwrap().about.incomplete.unwrap();
        assert!(reason.contains("beyond the limit of 200 times"), "{reason}");
    }
    // Single segment with a window of 128 GiB.
    let far = b"\x28\xb5\x2f\xfd\x00\xd8\x01\x00\x00";
    let error = read_bare(stream(far)).err().unwrap().to_string();
    assert!(error.contains("limit"), "{error}");
}

#[test]
fn names_and_entries_have_limits() {
    let long = format!("{}x", "x/".repeat(2_100));
    let bytes = Made::default().pax(&[("path", long.as_bytes())]).file("a", "1").file("b", "2").end();
    let read_one = read(device(&bytes)).unwrap();
    assert!(gaps(&*read_one.image)[0].contains("longer than the limit of 4096 bytes"));
    assert_eq!(text(&*read_one.image, "/b"), "2");
    // A name of megabytes.
    let bytes = Made::default().entry(&mut Header::new(b"x", b'L', 2 << 20), &vec![b'x'; 2 << 20]).file("a", "1").end();
    assert!(read(device(&bytes)).unwrap().about.incomplete.unwrap().contains("larger than the limit of 1048576 bytes"));
}

#[test]
fn ten_million_entries_end_at_the_limit() {
    // The same header again and again, out of a reader that makes it: nothing of it is in memory.
    struct Many(Cursor<[u8; 512]>, u64);
    impl Read for Many {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            if self.0.position() == 512 {
                self.1 += 1;
                assert!(self.1 < 10_000_000);
                let name = format!("f{:07}", self.1 % 1_000);
                self.0 = Cursor::new(Header::new(name.as_bytes(), b'0', 0).sealed());
            }
            self.0.read(buffer)
        }
    }
    let first = Cursor::new(Header::new(b"first", b'0', 0).sealed());
    let read = read(Input::Stream(Box::new(Many(first, 0)))).unwrap();
    let reason = read.about.incomplete.unwrap();
    assert!(reason.contains("more than the limit of 2000000 entries"), "{reason}");
}

#[test]
fn kinds_nobody_knows_are_not_passed_over_in_silence() {
    let bytes = Made::default().entry(&mut Header::new(b"odd", b'Q', 3), b"abc").file("a", "1").end();
    assert_eq!(broken("/odd", &bytes), "an entry of the unknown kind 'Q'");
    assert_eq!(text(&*read(device(&bytes)).unwrap().image, "/a"), "1");
}

#[test]
fn whiteouts_of_no_name() {
    let lower = Made::default().file("a/b", "1").end();
    let upper = Made::default().file("a/.wh.", "").file("a/.wh..", "").file("a/.wh...", "").file("a/.wh..wh.plnk", "").end();
    let bytes = Layout::default().image("amd64", &[(lower.clone(), lower), (upper.clone(), upper)]).tar();
    let read = read(device(&bytes)).unwrap();
    assert_eq!(gaps(&*read.image).len(), 3);
    assert_eq!(text(&*read.image, "/a/b"), "1");
}

#[test]
fn many_whiteouts_above_many_files_end_at_the_limit() {
    let mut lower = Made::default();
    let mut upper = Made::default();
    for number in 0..20_000 {
        upper = upper.file(&format!("d/{number}"), "");
    }
    for _ in 0..4_000 {
        upper = upper.file("d/.wh..wh..opq", "");
    }
    lower = lower.file("d/x", "1");
    let (lower, upper) = (lower.end(), upper.end());
    let bytes = Layout::default().image("amd64", &[(lower.clone(), lower), (gzip(&upper), upper)]).tar();
    assert!(read(device(&bytes)).err().unwrap().to_string().contains("steps behind links and below whiteouts"));
}

/// A small image with something of everything.
fn seeds() -> Vec<Vec<u8>> {
    let mut sparse = Header::new(b"sparse", b'S', 6);
    sparse.set(386, b"00000000000\x0000000000003\0").set(410, b"00000000012\x0000000000003\0").set(483, b"00000000024\0");
    let plain = Made::default()
        .directory("etc")
        .file("etc/passwd", "root:x:0:0")
        .pax(&[("path", b"etc/long"), ("SCHILY.xattr.security.capability", b"\x01\0\0\x02"), ("mtime", b"1.5")])
        .file("x", "content")
        .entry(&mut sparse, b"abcdef")
        .link("l", "etc")
        .hard("h", "etc/passwd")
        .file("l/y", "1")
        .pax(&[
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.realsize", b"20"),
            ("GNU.sparse.name", b"s1"),
        ])
        .file("GNUSparse", &format!("1\n5\n3\n{}abc", "\0".repeat(506)))
        .end();
    let upper = Made::default().file("etc/.wh.passwd", "").file("etc/.wh..wh..opq", "").hard("k", "h").end();
    let layout = Layout::default().image("amd64", &[(plain.clone(), plain.clone()), (gzip(&upper), upper)]).tar();
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("t"), &plain).unwrap();
    let mut all = vec![gzip(&layout), layout, gzip(&plain)];
    for (program, arguments) in [("zstd", "-qc"), ("xz", "-c"), ("bzip2", "-c")] {
        if has(program) {
            all.push(Command::new(program).arg(arguments).arg(place.path().join("t")).output().unwrap().stdout);
        }
    }
    all.push(plain);
    all
}

#[test]
fn bytes_turned_round_and_cut_off_do_no_harm() {
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let rounds = std::env::var("KARAT_MUTATIONS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(150);
    for seed in seeds() {
        for round in 0..rounds {
            let mut bytes = seed.clone();
            for _ in 0..=chance.below(4) {
                let place = chance.below(bytes.len());
                bytes[place] = match chance.below(4) {
                    0 => 0,
                    1 => 0xff,
                    2 => bytes[place] ^ (1 << chance.below(8)),
                    _ => u8::try_from(chance.below(256)).unwrap(),
                };
                // A header that is wrong elsewhere would otherwise be found out by its checksum.
                let start = place / 512 * 512;
                if chance.below(2) == 0 && bytes.get(start + 257..start + 262) == Some(b"ustar") {
                    let mut header = Header(bytes[start..start + 512].try_into().unwrap());
                    bytes[start..start + 512].copy_from_slice(&header.sealed());
                }
            }
            if round % 3 == 0 {
                bytes.truncate(chance.below(bytes.len()));
            }
            for input in [device(&bytes), stream(&bytes)] {
                if let Ok(archive) = read(input) {
                    exercise(&archive);
                }
            }
            if let Ok(archive) = read_bare(device(&bytes)) {
                exercise(&archive);
            }
        }
    }
}
