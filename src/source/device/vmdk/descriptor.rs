//! The text that describes a VMDK (VMware, "Virtual Disk Format 5.0", "The Descriptor").

use std::io;

use super::super::{broken, unsupported};
use crate::path::printable;

/// A sector, in which all its sizes are.
pub(super) const SECTOR: u64 = 512;
/// Each is an open file, of which a process may have 1,024 by default: a disk of 2 TB in pieces of 2 GB.
const MOST_EXTENTS: usize = 1000;
/// As large as a disk may be: 64 TiB, in sectors.
const LARGEST: u64 = (64 << 40) / SECTOR;

/// What keeps a piece of the disk.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A file that holds its bytes, from this sector on.
    Flat(Vec<u8>, u64),
    /// A file of the sparse format.
    Sparse(Vec<u8>),
    /// Nothing: it reads as zeros.
    Zero,
}

/// A piece of the disk.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// Its size in sectors.
    pub(super) sectors: u64,
    /// What keeps it.
    pub(super) kind: Kind,
}

/// Reads a descriptor: its pieces, in the disk's order. In one that is embedded in a sparse file the only name is that file's own.
pub(super) fn read(text: &[u8]) -> io::Result<Vec<Extent>> {
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    let mut extents = Vec::new();
    let mut total = 0_u64;
    for line in text.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii) {
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        if let Some((key, value)) = setting(line) {
            match &*key {
                b"parentcid" if !value.eq_ignore_ascii_case(b"ffffffff") => {
                    return Err(unsupported(
                        "VMDK: a snapshot, which holds only what changed since its parent: consolidate them first",
                    ));
                }
                b"encryption.keysafe" | b"encryption.data" => {
                    return Err(unsupported("VMDK: encrypted: remove the encryption in VMware first"));
                }
                _ => {}
            }
            continue;
        }
        if let Some(extent) = extent(line)? {
            total = total.saturating_add(extent.sectors);
            extents.push(extent);
            if extents.len() > MOST_EXTENTS || total > LARGEST {
                return Err(broken(format!("VMDK: {} pieces, {total} sectors: more than a disk has", extents.len())));
            }
        }
    }
    if extents.is_empty() {
        return Err(broken("VMDK: its descriptor names no extent"));
    }
    Ok(extents)
}

/// `key = "value"`, the key in lower case.
fn setting(line: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let split = line.iter().position(|&byte| byte == b'=')?;
    let (key, value) = line.split_at(split);
    // A name of an extent may hold an equals sign.
    if key.contains(&b'"') {
        return None;
    }
    let value = value.get(1..).unwrap_or_default().trim_ascii();
    let value = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
    Some((key.trim_ascii().to_ascii_lowercase(), value))
}

/// `RW 4192256 SPARSE "disk-s001.vmdk" 0`: access, sectors, kind, name, first sector in that file.
fn extent(line: &[u8]) -> io::Result<Option<Extent>> {
    let shown = || printable(line.get(..line.len().min(120)).unwrap_or_default());
    let (before, rest) = line.split_at(line.iter().position(|&byte| byte == b'"').unwrap_or(line.len()));
    let mut words = before.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let access = words.next().unwrap_or_default();
    if !matches!(access, b"RW" | b"RDONLY" | b"NOACCESS") {
        return Err(broken(format!("VMDK: a line of the descriptor that is not understood: {}", shown())));
    }
    let number = |word: Option<&[u8]>| word.and_then(|word| str::from_utf8(word).ok()?.parse::<u64>().ok());
    let sectors = number(words.next()).ok_or_else(|| broken(format!("VMDK: an extent without a size: {}", shown())))?;
    let kind = words.next().unwrap_or_default();
    let mut quoted = rest.splitn(3, |&byte| byte == b'"').skip(1);
    let name = quoted.next().unwrap_or_default().to_vec();
    let offset = quoted.next().unwrap_or_default().trim_ascii();
    let offset = if offset.is_empty() { Some(0) } else { number(offset.split(u8::is_ascii_whitespace).next()) };
    let offset =
        offset.filter(|&offset| offset <= LARGEST).ok_or_else(|| broken(format!("VMDK: an impossible offset: {}", shown())))?;
    let kind = match kind {
        b"ZERO" => Kind::Zero,
        b"FLAT" | b"VMFS" => Kind::Flat(name, offset),
        b"SPARSE" => Kind::Sparse(name),
        b"VMFSSPARSE" | b"SESPARSE" | b"VMFSRDM" | b"VMFSRAW" => {
            let kind = printable(kind);
            return Err(unsupported(format!(
                "VMDK: an extent of kind {kind}, which is not read: export it as OVA, or clone it flat"
            )));
        }
        _ => return Err(broken(format!("VMDK: an extent of an unknown kind: {}", shown()))),
    };
    if access == b"NOACCESS" && kind != Kind::Zero {
        return Err(unsupported(format!("VMDK: an extent that may not be read: {}", shown())));
    }
    Ok((sectors > 0).then_some(Extent { sectors, kind }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents_come_in_the_disks_order_with_names_that_hold_blanks_and_equals_signs() {
        let text = b"# Disk DescriptorFile\nversion=1\nparentCID=ffffffff\nRW 100 FLAT \"a b=c-flat.vmdk\" 7\nRDONLY 5 ZERO\nRW 9 SPARSE \"s\"\n";
        let extents = read(text).unwrap();
        assert_eq!(extents[0], Extent { sectors: 100, kind: Kind::Flat(b"a b=c-flat.vmdk".to_vec(), 7) });
        assert_eq!(extents[1], Extent { sectors: 5, kind: Kind::Zero });
        assert_eq!(extents[2], Extent { sectors: 9, kind: Kind::Sparse(b"s".to_vec()) });
    }

    #[test]
    fn what_is_not_read_is_named() {
        let error = |text: &str| read(text.as_bytes()).unwrap_err().to_string();
        assert!(error("parentCID=12345678\nRW 1 FLAT \"x\" 0").contains("snapshot"));
        assert!(error("RW 1 SESPARSE \"x\"").contains("SESPARSE"));
        assert!(error("RW 1 BOGUS \"x\"").contains("unknown kind"));
        assert!(error("RW 99999999999999999999 FLAT \"x\"").contains("without a size"));
        assert!(error("RW 18446744073709551615 FLAT \"x\"").contains("more than a disk has"));
        assert!(error("version=1").contains("names no extent"));
        assert!(error("hello there").contains("not understood: hello there"));
    }
}
