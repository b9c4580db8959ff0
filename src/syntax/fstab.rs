//! `fstab(5)` as glibc's `getmntent(3)` reads it, which is what systemd uses; and the kernel's list of mounts, written the same way.

/// A line that names a file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Line, from 1.
    pub line: u32,
    /// The device, image, label or the like.
    pub source: Vec<u8>,
    /// Where it is mounted.
    pub point: Vec<u8>,
    /// The kind of file system.
    pub fstype: Vec<u8>,
    /// The options, in order. Empty where the line ends before them.
    pub options: Vec<Vec<u8>>,
}

/// All entries, in order. Fields that are missing at the end are empty.
#[must_use]
pub fn parse(content: &[u8]) -> Vec<Entry> {
    let lines = (1..).zip(content.split(|&byte| byte == b'\n'));
    let entries = lines.filter_map(|(line, text)| {
        let mut fields = fields(text);
        let source = fields.next()?;
        if source.starts_with(b"#") {
            return None;
        }
        let mut next = || fields.next().unwrap_or_default();
        Some(Entry { line, source: decode(source), point: decode(next()), fstype: decode(next()), options: options(next()) })
    });
    entries.collect()
}

/// The entries of `/proc/self/mountinfo` (`proc_pid_mountinfo(5)`), in the order in which they were mounted. Their options are those of the
/// mount and then those of its file system.
#[must_use]
pub fn parse_mountinfo(content: &[u8]) -> Vec<Entry> {
    let lines = (1..).zip(content.split(|&byte| byte == b'\n'));
    let entries = lines.filter_map(|(line, text)| {
        let mut fields = fields(text).skip(4);
        let (point, own) = (fields.next()?, fields.next()?);
        // Any number of optional fields, and a dash that ends them.
        let mut fields = fields.skip_while(|field| *field != b"-").skip(1);
        let (fstype, source) = (fields.next()?, fields.next()?);
        let mut all = options(fields.next().unwrap_or_default());
        all.extend(options(own));
        Some(Entry { line, source: decode(source), point: decode(point), fstype: decode(fstype), options: all })
    });
    entries.collect()
}

/// Blanks and tabs part fields and nothing else: a carriage return is part of the last one.
fn fields(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| matches!(byte, b' ' | b'\t')).filter(|field| !field.is_empty())
}

/// Commas part options, except within double quotes (an SELinux context has commas).
fn options(text: &[u8]) -> Vec<Vec<u8>> {
    let mut quoted = false;
    let parts = text.split(|&byte| {
        quoted ^= byte == b'"';
        byte == b',' && !quoted
    });
    parts.filter(|part| !part.is_empty()).map(decode).collect()
}

/// A field with its escapes resolved: `\040` is a blank, `\011` a tab, `\012` a newline, `\134` a backslash.
fn decode(field: &[u8]) -> Vec<u8> {
    let mut found = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if let (b'\\', Some(&[a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7'])) = (byte, after.first_chunk::<3>()) {
            found.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
            rest = after.get(3..).unwrap_or_default();
        } else {
            found.push(byte);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(line: &str) -> Entry {
        parse(line.as_bytes()).remove(0)
    }

    fn texts(options: &[Vec<u8>]) -> Vec<String> {
        options.iter().map(|option| String::from_utf8_lossy(option).into_owned()).collect()
    }

    #[test]
    fn escapes_stand_for_blanks() {
        let entry = one("/dev/a\\134b /srv/my\\040data ext4 defaults 0 2");
        assert_eq!((entry.source.as_slice(), entry.point.as_slice()), (&b"/dev/a\\b"[..], &b"/srv/my data"[..]));
        assert_eq!(one("x /a\\09 t").point, b"/a\\09");
    }

    #[test]
    fn comments_blanks_and_short_lines() {
        let found = parse(b"# a b c\n\n \t# d\n  tmpfs\t/tmp   tmpfs\nx\n");
        assert_eq!(found.iter().map(|entry| entry.line).collect::<Vec<_>>(), [4, 5]);
        assert!(found[0].options.is_empty() && found[1].point.is_empty());
    }

    #[test]
    fn options_are_kept_in_order_and_a_carriage_return_is_not_cut_off() {
        assert_eq!(texts(&one("x /a t rw,,noexec,exec\r").options), ["rw", "noexec", "exec\r"]);
        assert_eq!(texts(&one("x /a t context=\"s0:c1,c2\",nodev 0 0").options), ["context=\"s0:c1,c2\"", "nodev"]);
    }

    #[test]
    fn the_kernels_list() {
        let text = b"36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue\nx\n";
        let found = parse_mountinfo(text);
        assert_eq!(found.len(), 1);
        assert_eq!((&*found[0].point, &*found[0].fstype), (&b"/mnt 2"[..], &b"ext3"[..]));
        assert_eq!(texts(&found[0].options), ["rw", "errors=continue", "rw", "noatime"]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed(content in prop::collection::vec(any::<u8>(), 0..400), text in "[/a,\"\\\\0-9 \\n#-]{0,80}") {
            for content in [&content, text.as_bytes()] {
                let _ = (parse(content), parse_mountinfo(content));
            }
        }
    }
}
