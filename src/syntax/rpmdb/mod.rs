//! rpm's database of installed packages in the three formats rpm has used. Each reader takes whole files as bytes, gives every
//! package header it holds to a visitor, and never writes: opening such a database through `SQLite` or Berkeley DB would change it.
//!
//! An honest database stores every byte of a header once. Each reader holds its file to that (no page, no block twice), so
//! that crafted chains end in an error, and the work never exceeds the size of the file.
//!
//! The caller bounds the files, see [`MAX_SIZE`].

pub mod bdb;
pub mod ndb;
pub mod sqlite;

#[cfg(test)]
#[allow(clippy::disallowed_methods, clippy::print_stderr, reason = "a test asks the real program")]
mod tests;

/// Largest database file worth reading: several thousand packages with long file lists take about 200 MiB.
pub const MAX_SIZE: u64 = 512 << 20;

/// The three formats, and the file each is found in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `rpmdb.sqlite` (since rpm 4.16; Fedora, RHEL 9, Amazon Linux 2023).
    Sqlite,
    /// `Packages.db` (SUSE).
    Ndb,
    /// `Packages` (before; RHEL 8, Amazon Linux 2).
    BerkeleyDb,
}

impl Format {
    /// All formats, in the order in which rpm looks for a database (`lib/rpmdb.c`, the list of backends).
    pub const ALL: [Self; 3] = [Self::Sqlite, Self::Ndb, Self::BerkeleyDb];

    /// Name of the file that holds the packages.
    #[must_use]
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Sqlite => "rpmdb.sqlite",
            Self::Ndb => "Packages.db",
            Self::BerkeleyDb => "Packages",
        }
    }
}

/// Why a database cannot be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DbError {
    /// The file starts otherwise.
    #[error("not a database of this format")]
    Magic,
    /// A feature rpm never uses.
    #[error("the database uses {0}, which is not read")]
    Unsupported(&'static str),
    /// Something is said to be where the file has ended.
    #[error("the database is cut off or a {0} points outside of it")]
    Range(&'static str),
    /// A circle, or two owners of one page.
    #[error("page {0} is used twice")]
    Twice(u32),
    /// A page of one kind where another belongs.
    #[error("page {0} is not of the kind it should be")]
    PageKind(u32),
    /// Numbers on the page do not fit it.
    #[error("page {0} is damaged")]
    Page(u32),
    /// The schema knows no `Packages`.
    #[error("the table of packages is missing")]
    NoTable,
    /// A record does not fit its own numbers or checksum.
    #[error("package {0} is damaged")]
    Package(u32),
}

/// Gives each package's number and header blob to `visit`. `log` is `SQLite`'s write-ahead log, `rpmdb.sqlite-wal`.
///
/// # Errors
/// Another format, or damage; `visit` may have been given some packages by then.
pub fn read(format: Format, file: &[u8], log: Option<&[u8]>, visit: &mut dyn FnMut(u32, &[u8])) -> Result<(), DbError> {
    match format {
        Format::Sqlite => sqlite::read(file, log, visit),
        Format::Ndb => ndb::read(file, visit),
        Format::BerkeleyDb => bdb::read(file, visit),
    }
}

/// Remembers which pages were used. One bit a page.
struct Used {
    bits: Vec<u64>,
}

impl Used {
    fn new(pages: u32) -> Self {
        let words = usize::try_from(pages / 64 + 1).unwrap_or(0);
        Self { bits: vec![0; words] }
    }

    /// Notes a page; an error if it was noted before or does not exist.
    fn note(&mut self, page: u32) -> Result<(), DbError> {
        let word = usize::try_from(page / 64).ok().and_then(|i| self.bits.get_mut(i)).ok_or(DbError::Range("page"))?;
        let bit = 1_u64 << (page % 64);
        if *word & bit != 0 {
            return Err(DbError::Twice(page));
        }
        *word |= bit;
        Ok(())
    }
}

fn be_u32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_be_bytes)
}

fn be_u16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_be_bytes)
}

fn le_u32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_le_bytes)
}

fn le_u16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_le_bytes)
}
