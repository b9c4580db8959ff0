//! What one fact may read, look at and compile in all.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::ReadError;

/// What one fact may read of configuration in all, however many files there are and however often they include one another.
#[derive(Debug, Default)]
pub struct Budget {
    bytes: AtomicU64,
    lines: AtomicU64,
    files: AtomicU64,
    names: AtomicU64,
    patterns: AtomicU64,
}

impl Budget {
    /// Bytes of all files. The unit files of a full desktop have some 2 MiB.
    pub const BYTES: u64 = 8 << 20;
    /// Lines of all files.
    pub const LINES: u64 = 100_000;
    /// Files.
    pub const FILES: u64 = 10_000;
    /// Names in directories, however often they are looked at, and links that are followed: the largest directory that is read has some ten
    /// thousand names, and no pattern of a configuration names a tenth of it.
    pub const NAMES: u64 = 100_000;
    /// Bytes of patterns: each is compiled, whatever it matches. Those of all rules together have some kilobytes.
    pub const PATTERNS: u64 = 256 << 10;

    /// Takes names that are looked at into account. Beyond the limit nothing is looked at any more.
    pub(super) fn look(&self, names: u64) -> Result<(), ReadError> {
        let spent = self.names.fetch_add(names, Relaxed);
        if spent.saturating_add(names) > Self::NAMES { Err(ReadError::TooManyNames { limit: Self::NAMES }) } else { Ok(()) }
    }

    /// Takes a pattern into account.
    pub(super) fn pattern(&self, bytes: u64) -> Result<(), ReadError> {
        let spent = self.patterns.fetch_add(bytes, Relaxed);
        let (limit, unit) = (Self::PATTERNS, "bytes of patterns");
        if spent.saturating_add(bytes) > limit { Err(ReadError::TooMuch { limit, unit }) } else { Ok(()) }
    }

    /// Whether there is room for a file of this many bytes, asked before it is read.
    pub(super) fn room(&self, bytes: u64) -> Result<(), ReadError> {
        self.within(bytes, 0, 1)
    }

    /// Takes a file into account. What does not fit is counted all the same, so that nothing is read any more after it.
    pub(super) fn spend(&self, bytes: u64, lines: u64) -> Result<(), ReadError> {
        let fits = self.within(bytes, lines, 1);
        for (spent, more) in [(&self.bytes, bytes), (&self.lines, lines), (&self.files, 1)] {
            spent.fetch_add(more, Relaxed);
        }
        fits
    }

    fn within(&self, bytes: u64, lines: u64, files: u64) -> Result<(), ReadError> {
        for (spent, more, limit, unit) in [
            (&self.bytes, bytes, Self::BYTES, "bytes"),
            (&self.lines, lines, Self::LINES, "lines"),
            (&self.files, files, Self::FILES, "files"),
        ] {
            if spent.load(Relaxed).saturating_add(more) > limit {
                return Err(ReadError::TooMuch { limit, unit });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Entry, FileKind, MemoryImage, Rootfs};
    use super::*;
    use crate::path::ImagePath;

    #[test]
    fn what_is_read_within_one_budget_is_bounded_however_it_is_cut_up() {
        let image = MemoryImage::new().file("/big", "x".repeat(1 << 20)).file("/lines", "\n".repeat(50_000)).file("/small", "x");
        let reads = |path: &str| {
            let budget = Budget::default();
            let root = Rootfs::new(&image).within(&budget);
            let path = ImagePath::new(path);
            let read = (0..100_000).map(|_| root.read(&path)).take_while(Result::is_ok).count();
            (read, root.read(&path).unwrap_err())
        };
        assert_eq!(reads("/big"), (8, ReadError::TooMuch { limit: 8 << 20, unit: "bytes" }));
        assert_eq!(reads("/lines"), (2, ReadError::TooMuch { limit: 100_000, unit: "lines" }));
        assert_eq!(reads("/small"), (10_000, ReadError::TooMuch { limit: 10_000, unit: "files" }));
    }

    #[test]
    fn what_is_looked_at_within_one_budget_is_bounded_however_it_is_asked_for() {
        let mut image = MemoryImage::new().link("/round", &"d/../".repeat(800)).link("/link", "d");
        for number in 0..100 {
            image.insert(ImagePath::new(format!("/d/{number}/x")), Entry::new(FileKind::File, ""));
        }
        let asks = |ask: &dyn Fn(Rootfs<'_>) -> Result<(), ReadError>| {
            let budget = Budget::default();
            let root = Rootfs::new(&image).within(&budget);
            let asked = (0..200_000).map(|_| ask(root)).take_while(Result::is_ok).count();
            (asked, ask(root).unwrap_err())
        };
        let too_many = ReadError::TooManyNames { limit: 100_000 };
        assert_eq!(asks(&|root| root.read_dir(&ImagePath::new("/d")).map(drop)), (1_000, too_many.clone()));
        // The directory "d", its hundred names, and "x" or "" in each.
        assert_eq!(asks(&|root| root.glob("/d/*/x").map(drop)), (497, too_many.clone()));
        assert_eq!(
            asks(&|root| root.glob("/none").map(drop)).1,
            ReadError::TooMuch { limit: 256 << 10, unit: "bytes of patterns" }
        );
        assert_eq!(asks(&|root| root.glob("/d").map(drop)), (100_000, too_many.clone()));
        assert_eq!(asks(&|root| root.resolve(&ImagePath::new("/round/d/0")).map(drop)).1, too_many.clone());
        assert_eq!(asks(&|root| root.resolve(&ImagePath::new("/link")).map(drop)), (100_000, too_many));
    }
}
