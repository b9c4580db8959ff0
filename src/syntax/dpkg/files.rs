//! The small files beside `status`: what each package brought (`info/NAME.list`), which paths were moved out of the way
//! (`diversions`) and which were given other owners (`statoverride`).

use super::{DpkgError, Trouble, number};

/// A path that dpkg installs elsewhere (dpkg-divert(1)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diversion<'a> {
    /// Line of the record's first line, from 1.
    pub line: u32,
    /// The path in the package.
    pub from: &'a [u8],
    /// Where its file is put instead.
    pub to: &'a [u8],
    /// The package whose own file stays at `from`; `None` for a diversion made by the administrator, that holds for all.
    pub except: Option<&'a [u8]>,
}

/// An owner and mode that dpkg puts on a path in place of the package's (dpkg-statoverride(1)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override<'a> {
    /// Line, from 1.
    pub line: u32,
    /// A name, or `#` and a number.
    pub user: &'a str,
    /// A name, or `#` and a number.
    pub group: &'a str,
    /// Twelve bits.
    pub mode: u16,
    /// Absolute.
    pub path: &'a [u8],
}

/// Reads a package's file list: one path a line, `/.` for the root. Each path is given to `visit`.
///
/// # Errors
/// An empty line, or a last line without its newline.
pub fn parse_list<'a>(bytes: &'a [u8], mut visit: impl FnMut(&'a [u8])) -> Result<(), DpkgError> {
    whole_lines(bytes, |line, path| {
        if path.is_empty() {
            return Err(DpkgError { line, trouble: Trouble::EmptyName });
        }
        visit(path);
        Ok(())
    })
}

/// Reads a `NAME.md5sums` file, the only file list of images made without dpkg: `digest  path`, relative to the root.
///
/// # Errors
/// A line without a path.
pub fn parse_md5sums<'a>(bytes: &'a [u8], mut visit: impl FnMut(&'a [u8])) -> Result<(), DpkgError> {
    let mut line = 0_u32;
    for text in bytes.split(|b| *b == b'\n') {
        line = line.saturating_add(1);
        if text.is_empty() {
            continue;
        }
        let path = text.iter().position(|b| *b == b' ').and_then(|end| text.get(end..)).unwrap_or_default().trim_ascii_start();
        if path.is_empty() {
            return Err(DpkgError { line, trouble: Trouble::EmptyName });
        }
        visit(path);
    }
    Ok(())
}

/// Reads `diversions`: records of three lines, the third a package or `:`.
///
/// # Errors
/// A record of fewer lines, an empty line, or a last line without its newline.
pub fn parse_diversions(bytes: &[u8]) -> Result<Vec<Diversion<'_>>, DpkgError> {
    let mut lines = Vec::new();
    whole_lines(bytes, |line, text| {
        lines.push((line, text));
        Ok(())
    })?;
    lines
        .chunks(3)
        .map(|record| match record {
            [(line, from), (_, to), (_, owner)] if !from.is_empty() && !to.is_empty() && !owner.is_empty() => {
                let except = Some(*owner).filter(|owner| *owner != b":");
                Ok(Diversion { line: *line, from, to, except })
            }
            _ => {
                let line = record.first().map_or(1, |(line, _)| *line);
                Err(DpkgError { line, trouble: Trouble::Diversion })
            }
        })
        .collect()
}

/// Reads `statoverride`: `user group mode path`, one blank between them.
///
/// # Errors
/// A line of another form, or a last line without its newline.
pub fn parse_overrides(bytes: &[u8]) -> Result<Vec<Override<'_>>, DpkgError> {
    let mut overrides = Vec::new();
    whole_lines(bytes, |line, text| {
        if text.is_empty() {
            return Ok(());
        }
        let entry = override_entry(line, text);
        overrides.push(entry.ok_or_else(|| {
            let text = String::from_utf8_lossy(text).into_owned();
            DpkgError { line, trouble: Trouble::Override(text) }
        })?);
        Ok(())
    })?;
    Ok(overrides)
}

fn override_entry(line: u32, text: &[u8]) -> Option<Override<'_>> {
    let mut words = text.splitn(4, |b| *b == b' ');
    let user = std::str::from_utf8(words.next()?).ok().filter(|u| !u.is_empty())?;
    let group = std::str::from_utf8(words.next()?).ok().filter(|g| !g.is_empty())?;
    let mode = u16::from_str_radix(std::str::from_utf8(words.next()?).ok()?, 8).ok().filter(|m| *m <= 0o7777)?;
    let path = words.next().filter(|path| !path.is_empty())?;
    Some(Override { line, user, group, mode, path })
}

/// Every line with its number; a last line without its newline means that the file was cut off.
fn whole_lines<'a>(bytes: &'a [u8], mut each: impl FnMut(u32, &'a [u8]) -> Result<(), DpkgError>) -> Result<(), DpkgError> {
    let (mut rest, mut taken) = (bytes, 0_usize);
    while !rest.is_empty() {
        let Some(end) = memchr::memchr(b'\n', rest) else {
            return Err(DpkgError { line: number(taken), trouble: Trouble::CutOff });
        };
        each(number(taken), rest.get(..end).unwrap_or_default())?;
        rest = rest.get(end + 1..).unwrap_or_default();
        taken += 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn trouble<T: std::fmt::Debug>(result: Result<T, DpkgError>) -> (u32, Trouble) {
        let error = result.unwrap_err();
        (error.line, error.trouble)
    }

    #[test]
    fn a_file_list_with_odd_names() {
        let mut paths = Vec::new();
        parse_list(b"/.\n/usr/share/doc/a b\n/caf\xe9\n", |path| {
            paths.push(path);
        })
        .unwrap();
        assert_eq!(paths, [b"/.".as_slice(), b"/usr/share/doc/a b", b"/caf\xe9"]);
        assert_eq!(trouble(parse_list(b"/a\n/b", |_| ())), (2, Trouble::CutOff));
        assert_eq!(trouble(parse_list(b"/a\n\n", |_| ())), (2, Trouble::EmptyName));
    }

    #[test]
    fn digests_with_paths() {
        let mut paths = Vec::new();
        parse_md5sums(b"d41d8cd9  usr/bin/a b\n0cc175b9  etc/x", |path| {
            paths.push(path);
        })
        .unwrap();
        assert_eq!(paths, [b"usr/bin/a b".as_slice(), b"etc/x"]);
        assert_eq!(trouble(parse_md5sums(b"d41d8cd9\n", |_| ())), (1, Trouble::EmptyName));
    }

    #[test]
    fn diversions_by_a_package_and_by_the_administrator() {
        let text = b"/bin/sh\n/bin/sh.distrib\ndash\n/etc/x\n/etc/x.orig\n:\n";
        let diversions = parse_diversions(text).unwrap();
        assert_eq!(diversions[0].except, Some(b"dash".as_slice()));
        assert_eq!(diversions[1], Diversion { line: 4, from: b"/etc/x", to: b"/etc/x.orig", except: None });
        assert_eq!(trouble(parse_diversions(b"/a\n/b\n")), (1, Trouble::Diversion));
        assert_eq!(trouble(parse_diversions(b"/a\n/b\n:\n/c\n\n:\n")), (4, Trouble::Diversion));
    }

    #[test]
    fn overridden_owners_and_modes() {
        let overrides = parse_overrides(b"root #0 4750 /usr/bin/a b\n").unwrap();
        assert_eq!(overrides, [Override { line: 1, user: "root", group: "#0", mode: 0o4750, path: b"/usr/bin/a b" }]);
        for broken in ["root root 0899 /x\n", "root root 755\n", "root root 17777 /x\n", "root  755 /x\n"] {
            assert!(matches!(trouble(parse_overrides(broken.as_bytes())), (1, Trouble::Override(_))), "{broken}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_list(&bytes, |_| ());
            let _ = parse_md5sums(&bytes, |_| ());
            let _ = parse_diversions(&bytes);
            let _ = parse_overrides(&bytes);
        }
    }
}
