//! Encrypted names, as Linux shows them to who has no key.
//!
//! Source: kernel documentation, `filesystems/fscrypt` ("access semantics, without the key"), and what `fs/crypto/fname.c` has
//! computed since Linux 5.9.

use sha2::{Digest as _, Sha256};

use super::hash::Hasher;

/// Bytes of an encrypted name that are shown; of a longer one the hash of the rest is.
const SHOWN: usize = 149;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The name of an encrypted name: its hash in the directory's index (zero without one) and its bytes, as base64 for URLs.
pub(super) fn shown(name: &[u8], hasher: Option<&Hasher>) -> Vec<u8> {
    let (hash, minor) = hasher.map_or((0, 0), |hasher| hasher.hash(name));
    let mut bytes = [hash.to_le_bytes(), minor.to_le_bytes()].concat();
    match name.split_at_checked(SHOWN) {
        Some((start, rest)) if !rest.is_empty() => {
            bytes.extend_from_slice(start);
            bytes.extend_from_slice(&Sha256::digest(rest));
        }
        _ => bytes.extend_from_slice(name),
    }
    base64(&bytes)
}

fn base64(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len().div_ceil(3).saturating_mul(4));
    for chunk in bytes.chunks(3) {
        let bits = (0..3).fold(0_u32, |bits, at| bits << 8 | chunk.get(at).map_or(0, |&byte| byte.into()));
        for at in 0..=chunk.len() {
            let six = bits >> (18_usize.saturating_sub(at.saturating_mul(6))) & 63;
            out.extend(ALPHABET.get(six as usize));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_rfc_4648_without_padding() {
        for (bytes, text) in [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg"), ("fooba", "Zm9vYmE")] {
            assert_eq!(base64(bytes.as_bytes()), text.as_bytes());
        }
        assert_eq!(base64(&[0xfb, 0xff]), b"-_8");
    }

    #[test]
    fn a_name_however_long_stays_a_name() {
        assert_eq!(shown(&[0; 16], None), "A".repeat(32).as_bytes());
        let (one, other) = (shown(&[7; 255], None), shown(&[[7; 254].as_slice(), &[8]].concat(), None));
        assert_eq!((one.len(), other.len()), (252, 252));
        assert_ne!(one, other);
    }
}
