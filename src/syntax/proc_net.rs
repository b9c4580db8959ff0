//! `/proc/net/tcp` and `/proc/net/tcp6` (`proc(5)`): sockets of the running system.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The state of a socket that listens (`TCP_LISTEN`).
const LISTEN: &str = "0A";

/// A socket that waits for connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listening {
    /// Line, from 1.
    pub line: u32,
    /// The address; all zeroes for any.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
}

/// Every listening socket. Addresses are words in the order of the machine, of which those that karat runs on have the last byte first.
#[must_use]
pub fn listening(content: &[u8]) -> Vec<Listening> {
    let text = String::from_utf8_lossy(content);
    (1..).zip(text.lines()).filter_map(|(line, text)| socket(line, text)).collect()
}

fn socket(line: u32, text: &str) -> Option<Listening> {
    let mut fields = text.split_whitespace().skip(1);
    let (local, state) = (fields.next()?, fields.nth(1)?);
    if state != LISTEN {
        return None;
    }
    let (address, port) = local.split_once(':')?;
    let words: Vec<u32> =
        (0..address.len() / 8).filter_map(|at| u32::from_str_radix(address.get(at * 8..at * 8 + 8)?, 16).ok()).collect();
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let address = match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(bytes) => IpAddr::V4(Ipv4Addr::from(bytes)),
        Err(_) => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes.as_slice()).ok()?)).to_canonical(),
    };
    Some(Listening { line, address, port: u16::from_str_radix(port, 16).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_both_families() {
        let text = "  sl  local_address rem_address   st\n   0: 0100007F:0019 00000000:0000 0A 0\n   1: 00000000:0016 00000000:0000 01 0\n   2: 00000000000000000000000001000000:0019 00000000000000000000000000000000:0000 0A\n   3: 0000000000000000FFFF00000100007F:01D1 00000000000000000000000000000000:0000 0A\n   4: xyz:0019 0 0A\n";
        let found: Vec<_> =
            listening(text.as_bytes()).into_iter().map(|one| (one.line, one.address.to_string(), one.port)).collect();
        let local = |line, address: &str, port| (line, address.to_owned(), port);
        assert_eq!(found, [local(2, "127.0.0.1", 25), local(4, "::1", 25), local(5, "127.0.0.1", 465)]);
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(content: Vec<u8>) {
            let _ = listening(&content);
        }
    }
}
