//! Archives made header by header, and the same with what no program writes.

use std::io::Write as _;

/// A tar archive that is being made.
#[derive(Default, Clone)]
pub(super) struct Made(pub(super) Vec<u8>);

/// A header with the usual owner and time. The checksum is put in last.
pub(super) struct Header(pub(super) [u8; 512]);

impl Header {
    pub(super) fn new(name: &[u8], kind: u8, size: u64) -> Self {
        let mut header = Self([0; 512]);
        header.set(0, name);
        let mode: &[u8] = if kind == b'5' { b"0000755\0" } else { b"0000644\0" };
        header.set(100, mode).set(108, b"0000000\0").set(116, b"0000000\0");
        header.set(124, format!("{size:011o}\0").as_bytes()).set(136, b"00000000012\0");
        header.set(156, &[kind]).set(257, b"ustar\x0000");
        header
    }

    pub(super) fn set(&mut self, at: usize, bytes: &[u8]) -> &mut Self {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    pub(super) fn sealed(&mut self) -> [u8; 512] {
        self.set(148, b"        ");
        let sum: u32 = self.0.iter().map(|&byte| u32::from(byte)).sum();
        self.set(148, format!("{sum:06o}\0 ").as_bytes());
        self.0
    }
}

impl Made {
    pub(super) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn entry(mut self, header: &mut Header, content: &[u8]) -> Self {
        self.0.extend_from_slice(&header.sealed());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(super) fn file(self, name: &str, content: &str) -> Self {
        self.entry(&mut Header::new(name.as_bytes(), b'0', content.len() as u64), content.as_bytes())
    }

    pub(super) fn directory(self, name: &str) -> Self {
        self.entry(&mut Header::new(name.as_bytes(), b'5', 0), b"")
    }

    pub(super) fn link(self, name: &str, target: &str) -> Self {
        self.entry(Header::new(name.as_bytes(), b'2', 0).set(157, target.as_bytes()), b"")
    }

    pub(super) fn hard(self, name: &str, target: &str) -> Self {
        self.entry(Header::new(name.as_bytes(), b'1', 0).set(157, target.as_bytes()), b"")
    }

    pub(super) fn pax(self, records: &[(&str, &[u8])]) -> Self {
        self.extended(b'x', records)
    }

    pub(super) fn extended(self, kind: u8, records: &[(&str, &[u8])]) -> Self {
        let mut content = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let length = (1..20).map(|digits| rest + digits).find(|length| length.to_string().len() + rest == *length).unwrap();
            write!(content, "{length} {key}=").unwrap();
            content.extend_from_slice(value);
            content.push(b'\n');
        }
        self.entry(&mut Header::new(b"pax", kind, content.len() as u64), &content)
    }

    pub(super) fn end(self) -> Vec<u8> {
        self.raw(&[0; 1024]).0
    }
}
