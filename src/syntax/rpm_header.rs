//! The header of an installed rpm package, as every database format stores it: a count of index entries, a size of the data
//! store, the index (tag, type, offset, count; 16 bytes each) and the store, all big-endian.
//!
//! Source: rpm's `docs/manual/format_header.md`, `lib/header.c` (limits, "dribble" entries), `include/rpm/rpmtag.h` (tags).

/// Most index entries rpm accepts (`HEADER_TAGS_MAX`).
const MAX_ENTRIES: usize = 0xffff;
/// Largest data store rpm accepts (`HEADER_DATA_MAX`).
const MAX_STORE: usize = 256 << 20;
const ENTRY_SIZE: usize = 16;

const NAME: u32 = 1000;
const VERSION: u32 = 1001;
const RELEASE: u32 = 1002;
const EPOCH: u32 = 1003;
const INSTALL_TIME: u32 = 1008;
const ARCH: u32 = 1022;
const OLD_FILE_NAMES: u32 = 1027;
const FILE_STATES: u32 = 1029;
const FILE_MODES: u32 = 1030;
const FILE_FLAGS: u32 = 1037;
const FILE_USER: u32 = 1039;
const FILE_GROUP: u32 = 1040;
const SOURCE_RPM: u32 = 1044;
const DIR_INDEXES: u32 = 1116;
const BASE_NAMES: u32 = 1117;
const DIR_NAMES: u32 = 1118;

const TYPE_CHAR: u32 = 1;
const TYPE_INT16: u32 = 3;
const TYPE_INT32: u32 = 4;
const TYPE_STRING: u32 = 6;
const TYPE_STRING_ARRAY: u32 = 8;
const TYPE_I18N_STRING: u32 = 9;

const FLAG_CONFIG: u32 = 1;
const FLAG_GHOST: u32 = 1 << 6;

/// Why a blob is no header of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Counts beyond what rpm accepts, or that do not add up to the length of the blob.
    #[error("the header does not have the size it states")]
    Size,
    /// Text where a number belongs, or the like.
    #[error("tag {0} does not have the type it must have")]
    Type(u32),
    /// An offset or a count beyond the data.
    #[error("tag {0} points outside the header")]
    Range(u32),
    /// A value that has to be UTF-8.
    #[error("tag {0} is not valid UTF-8")]
    NotText(u32),
    /// A tag every package has.
    #[error("tag {0} is missing")]
    Missing(u32),
    /// Names, modes, owners and flags are lists of the same length.
    #[error("the file tags disagree on how many files there are")]
    FileCount,
    /// Whole paths in one tag, as written before the year 2000.
    #[error("the file list is of rpm 3's form, which is not read")]
    OldFileList,
}

/// A header whose size is known to be right; values are checked as they are read.
#[derive(Debug, Clone, Copy)]
pub struct Header<'a> {
    index: &'a [u8],
    store: &'a [u8],
}

/// What the header says of the package itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Package<'a> {
    /// The package's name.
    pub name: &'a str,
    /// Absent is zero.
    pub epoch: Option<u32>,
    /// The version alone.
    pub version: &'a str,
    /// The release alone.
    pub release: &'a str,
    /// Absent for `gpg-pubkey`, which is no package but a trusted key.
    pub arch: Option<&'a str>,
    /// Seconds since 1970 (UTC).
    pub install_time: Option<u32>,
    /// File name of the source package it was built from.
    pub source: Option<&'a str>,
}

/// One file of the package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct File<'a> {
    /// Absolute, with a slash at its end.
    pub directory: &'a [u8],
    /// The package's name.
    pub name: &'a [u8],
    /// File type and permissions, as in `st_mode`.
    pub mode: u16,
    /// Name of the owner.
    pub user: Option<&'a [u8]>,
    /// Name of the group.
    pub group: Option<&'a [u8]>,
    /// A configuration file, which the administrator may change.
    pub config: bool,
    /// Owned by the package without being part of it, such as a log.
    pub ghost: bool,
    /// False for a file that was left out (documentation, other languages) or that another package's has replaced.
    pub installed: bool,
}

#[derive(Clone, Copy)]
struct Entry {
    tag: u32,
    kind: u32,
    offset: usize,
    count: usize,
}

impl<'a> Header<'a> {
    /// Checks a blob's outline.
    ///
    /// # Errors
    /// [`HeaderError::Size`].
    pub fn parse(blob: &'a [u8]) -> Result<Self, HeaderError> {
        let entries = be_u32(blob, 0).and_then(|n| usize::try_from(n).ok()).filter(|n| (1..=MAX_ENTRIES).contains(n));
        let store = be_u32(blob, 4).and_then(|n| usize::try_from(n).ok()).filter(|n| *n <= MAX_STORE);
        let (Some(entries), Some(store)) = (entries, store) else {
            return Err(HeaderError::Size);
        };
        let body = blob.get(8..).unwrap_or_default();
        match body.split_at_checked(entries * ENTRY_SIZE) {
            Some((index, data)) if data.len() == store => Ok(Self { index, store: data }),
            _ => Err(HeaderError::Size),
        }
    }

    /// The package's identity.
    ///
    /// # Errors
    /// A missing name, version or release; a tag of the wrong type or out of range.
    pub fn package(&self) -> Result<Package<'a>, HeaderError> {
        let required = |tag| self.string(tag)?.ok_or(HeaderError::Missing(tag));
        Ok(Package {
            name: required(NAME)?,
            version: required(VERSION)?,
            release: required(RELEASE)?,
            epoch: self.number(EPOCH)?,
            arch: self.string(ARCH)?,
            install_time: self.number(INSTALL_TIME)?,
            source: self.string(SOURCE_RPM)?,
        })
    }

    /// Gives every file of the package to `visit`.
    ///
    /// # Errors
    /// File tags that are missing, of the wrong type, out of range, or disagree.
    pub fn files(&self, mut visit: impl FnMut(File<'a>)) -> Result<(), HeaderError> {
        let Some(names) = self.strings(BASE_NAMES)? else {
            return if self.find(OLD_FILE_NAMES).is_some() { Err(HeaderError::OldFileList) } else { Ok(()) };
        };
        let directories: Vec<&[u8]> = self.strings(DIR_NAMES)?.ok_or(HeaderError::Missing(DIR_NAMES))?.collect();
        let count = names.count;
        let indexes = self.array::<4>(DIR_INDEXES, TYPE_INT32)?.ok_or(HeaderError::Missing(DIR_INDEXES))?;
        let modes = self.array::<2>(FILE_MODES, TYPE_INT16)?.ok_or(HeaderError::Missing(FILE_MODES))?;
        let flags = self.array::<4>(FILE_FLAGS, TYPE_INT32)?;
        let states = self.array::<1>(FILE_STATES, TYPE_CHAR)?;
        let mut users = self.strings(FILE_USER)?;
        let mut groups = self.strings(FILE_GROUP)?;
        let agree = indexes.len() == count
            && modes.len() == count
            && flags.is_none_or(|f| f.len() == count)
            && states.is_none_or(|s| s.len() == count)
            && users.as_ref().is_none_or(|u| u.count == count)
            && groups.as_ref().is_none_or(|g| g.count == count);
        if !agree {
            return Err(HeaderError::FileCount);
        }
        for (at, name) in names.enumerate() {
            let directory = indexes.get(at).and_then(|i| usize::try_from(u32::from_be_bytes(*i)).ok());
            let directory = directory.and_then(|i| directories.get(i)).ok_or(HeaderError::Range(DIR_INDEXES))?;
            let flags = flags.and_then(|f| f.get(at)).map_or(0, |f| u32::from_be_bytes(*f));
            // RPMFILE_STATE_NORMAL and _NETSHARED count as installed (`RPMFILE_IS_INSTALLED`); no states at all: all are.
            let installed = states.and_then(|s| s.get(at)).is_none_or(|[state]| matches!(state, 0 | 3));
            visit(File {
                directory,
                name,
                mode: modes.get(at).map_or(0, |m| u16::from_be_bytes(*m)),
                user: users.as_mut().and_then(Iterator::next),
                group: groups.as_mut().and_then(Iterator::next),
                config: flags & FLAG_CONFIG != 0,
                ghost: flags & FLAG_GHOST != 0,
                installed,
            });
        }
        Ok(())
    }

    /// A later entry replaces an earlier one of the same tag: what rpm adds at installation follows the signed region and
    /// overrides it.
    fn find(&self, tag: u32) -> Option<Entry> {
        self.index.chunks_exact(ENTRY_SIZE).rev().find(|entry| be_u32(entry, 0) == Some(tag)).and_then(|entry| {
            Some(Entry {
                tag,
                kind: be_u32(entry, 4)?,
                offset: usize::try_from(be_u32(entry, 8)?).ok()?,
                count: usize::try_from(be_u32(entry, 12)?).ok()?,
            })
        })
    }

    fn number(&self, tag: u32) -> Result<Option<u32>, HeaderError> {
        match self.array::<4>(tag, TYPE_INT32)? {
            None => Ok(None),
            Some([number]) => Ok(Some(u32::from_be_bytes(*number))),
            Some(_) => Err(HeaderError::Type(tag)),
        }
    }

    fn string(&self, tag: u32) -> Result<Option<&'a str>, HeaderError> {
        let Some(entry) = self.find(tag) else {
            return Ok(None);
        };
        if !matches!(entry.kind, TYPE_STRING | TYPE_I18N_STRING) || entry.count == 0 {
            return Err(HeaderError::Type(tag));
        }
        let text = self.strings_of(entry)?.next().unwrap_or_default();
        std::str::from_utf8(text).map(Some).map_err(|_| HeaderError::NotText(tag))
    }

    fn array<const N: usize>(&self, tag: u32, kind: u32) -> Result<Option<&'a [[u8; N]]>, HeaderError> {
        let Some(entry) = self.find(tag) else {
            return Ok(None);
        };
        if entry.kind != kind {
            return Err(HeaderError::Type(tag));
        }
        let length = entry.count.checked_mul(N).and_then(|length| entry.offset.checked_add(length));
        let bytes = length.and_then(|end| self.store.get(entry.offset..end)).ok_or(HeaderError::Range(tag))?;
        Ok(Some(bytes.as_chunks::<N>().0))
    }

    fn strings(&self, tag: u32) -> Result<Option<Strings<'a>>, HeaderError> {
        match self.find(tag) {
            None => Ok(None),
            // A list of one may be written as a plain string.
            Some(entry) if matches!(entry.kind, TYPE_STRING_ARRAY | TYPE_STRING) => self.strings_of(entry).map(Some),
            Some(_) => Err(HeaderError::Type(tag)),
        }
    }

    fn strings_of(&self, entry: Entry) -> Result<Strings<'a>, HeaderError> {
        let out = HeaderError::Range(entry.tag);
        let rest = self.store.get(entry.offset..).ok_or(out)?;
        // Checked in advance, so that a count beyond the store is an error and not a short list.
        match memchr::memchr_iter(0, rest).nth(entry.count.checked_sub(1).ok_or(out)?) {
            Some(_) => Ok(Strings { rest, count: entry.count, left: entry.count }),
            None => Err(out),
        }
    }
}

/// Texts that each end in a zero byte.
struct Strings<'a> {
    rest: &'a [u8],
    count: usize,
    left: usize,
}

impl<'a> Iterator for Strings<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.left = self.left.checked_sub(1)?;
        let end = memchr::memchr(0, self.rest)?;
        let text = self.rest.get(..end)?;
        self.rest = self.rest.get(end + 1..)?;
        Some(text)
    }
}

fn be_u32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_be_bytes)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A header of the given entries: tag, type, count and data.
    #[must_use]
    pub(crate) fn build(entries: &[(u32, u32, u32, &[u8])]) -> Vec<u8> {
        let mut index = Vec::new();
        let mut store = Vec::new();
        for (tag, kind, count, data) in entries {
            let offset = u32::try_from(store.len()).unwrap();
            for number in [*tag, *kind, offset, *count] {
                index.extend(number.to_be_bytes());
            }
            store.extend_from_slice(data);
        }
        let mut blob = Vec::new();
        blob.extend(u32::try_from(entries.len()).unwrap().to_be_bytes());
        blob.extend(u32::try_from(store.len()).unwrap().to_be_bytes());
        blob.extend(index);
        blob.extend(store);
        blob
    }

    fn sample() -> Vec<u8> {
        build(&[
            (NAME, TYPE_STRING, 1, b"openssh-server\0"),
            (VERSION, TYPE_STRING, 1, b"8.7p1\0"),
            (RELEASE, TYPE_STRING, 1, b"29.amzn2023\0"),
            (EPOCH, TYPE_INT32, 1, &[0, 0, 0, 2]),
            (ARCH, TYPE_STRING, 1, b"x86_64\0"),
            (DIR_NAMES, TYPE_STRING_ARRAY, 2, b"/etc/ssh/\0/usr/sbin/\0"),
            (BASE_NAMES, TYPE_STRING_ARRAY, 2, b"sshd_config\0sshd\0"),
            (DIR_INDEXES, TYPE_INT32, 2, &[0, 0, 0, 0, 0, 0, 0, 1]),
            (FILE_MODES, TYPE_INT16, 2, &[0x81, 0x80, 0x81, 0xed]),
            (FILE_FLAGS, TYPE_INT32, 2, &[0, 0, 0, 17, 0, 0, 0, 0]),
            (FILE_STATES, TYPE_CHAR, 2, &[0, 1]),
            (FILE_USER, TYPE_STRING_ARRAY, 2, b"root\0root\0"),
            (INSTALL_TIME, TYPE_INT32, 1, &[0x65, 0, 0, 0]),
        ])
    }

    #[test]
    fn identity_and_files() {
        let blob = sample();
        let header = Header::parse(&blob).unwrap();
        let package = header.package().unwrap();
        assert_eq!((package.name, package.epoch, package.version), ("openssh-server", Some(2), "8.7p1"));
        assert_eq!((package.release, package.arch), ("29.amzn2023", Some("x86_64")));
        assert_eq!(package.install_time, Some(0x6500_0000));
        let mut files = Vec::new();
        header.files(|file| files.push(file)).unwrap();
        assert_eq!((files[0].directory, files[0].name), (b"/etc/ssh/".as_slice(), b"sshd_config".as_slice()));
        assert_eq!((files[0].mode, files[0].config, files[0].installed), (0o100_600, true, true));
        assert_eq!((files[1].mode, files[1].config, files[1].installed), (0o100_755, false, false));
        assert_eq!((files[1].user, files[1].group), (Some(b"root".as_slice()), None));
    }

    #[test]
    fn a_later_entry_replaces_an_earlier_one() {
        let entries: [(u32, u32, u32, &[u8]); 4] = [
            (NAME, TYPE_STRING, 1, b"a\0"),
            (VERSION, TYPE_STRING, 1, b"1\0"),
            (RELEASE, TYPE_STRING, 1, b"1\0"),
            (RELEASE, TYPE_STRING, 1, b"2\0"),
        ];
        assert_eq!(Header::parse(&build(&entries)).unwrap().package().unwrap().release, "2");
    }

    #[test]
    fn counts_and_offsets_beyond_the_store() {
        let package = |entries: &[(u32, u32, u32, &[u8])]| Header::parse(&build(entries)).unwrap().package().unwrap_err();
        assert_eq!(package(&[(NAME, TYPE_STRING, 1, b"no end")]), HeaderError::Range(NAME));
        assert_eq!(package(&[(NAME, TYPE_STRING, u32::MAX, b"a\0")]), HeaderError::Range(NAME));
        assert_eq!(package(&[(NAME, TYPE_INT32, 1, b"\0\0\0\0")]), HeaderError::Type(NAME));
        assert_eq!(package(&[(NAME, TYPE_STRING, 1, b"\xff\0")]), HeaderError::NotText(NAME));
        assert_eq!(package(&[(ARCH, TYPE_STRING, 1, b"a\0")]), HeaderError::Missing(NAME));
        let files = |entries: &[(u32, u32, u32, &[u8])]| Header::parse(&build(entries)).unwrap().files(|_| ()).unwrap_err();
        let names: (u32, u32, u32, &[u8]) = (BASE_NAMES, TYPE_STRING_ARRAY, 1, b"a\0");
        let directories: (u32, u32, u32, &[u8]) = (DIR_NAMES, TYPE_STRING_ARRAY, 1, b"/\0");
        let modes: (u32, u32, u32, &[u8]) = (FILE_MODES, TYPE_INT16, 1, &[0, 0]);
        assert_eq!(files(&[names]), HeaderError::Missing(DIR_NAMES));
        let far = [names, directories, modes, (DIR_INDEXES, TYPE_INT32, 1, &[0, 0, 0, 1])];
        assert_eq!(files(&far), HeaderError::Range(DIR_INDEXES));
        let uneven = [names, directories, modes, (DIR_INDEXES, TYPE_INT32, 2, &[0; 8])];
        assert_eq!(files(&uneven), HeaderError::FileCount);
        let huge = [names, directories, modes, (DIR_INDEXES, TYPE_INT32, u32::MAX, &[0; 8])];
        assert_eq!(files(&huge), HeaderError::Range(DIR_INDEXES));
        assert_eq!(files(&[(OLD_FILE_NAMES, TYPE_STRING_ARRAY, 1, b"/a\0")]), HeaderError::OldFileList);
    }

    #[test]
    fn any_other_length_is_refused() {
        let blob = sample();
        for end in 0..blob.len() {
            assert_eq!(Header::parse(&blob[..end]).unwrap_err(), HeaderError::Size, "cut at {end}");
        }
        let mut longer = blob;
        longer.push(0);
        assert_eq!(Header::parse(&longer).unwrap_err(), HeaderError::Size);
        assert_eq!(Header::parse(&[0; 8]).unwrap_err(), HeaderError::Size);
    }

    proptest! {
        #[test]
        fn never_panics(changes in proptest::collection::vec((0_usize..400, any::<u8>()), 1..6)) {
            let mut blob = sample();
            for (at, byte) in changes {
                if let Some(slot) = blob.get_mut(at) {
                    *slot = byte;
                }
            }
            if let Ok(header) = Header::parse(&blob) {
                let _ = header.package();
                let _ = header.files(|_| ());
            }
        }
    }
}
