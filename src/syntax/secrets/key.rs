//! Private keys, in the forms they are kept in. A certificate or a public key is none; one that is encrypted is still a key.

use super::{Found, MAX_FOUND, line_at};

/// Characters of base64 that the smallest key has: Ed25519 in PKCS #8 takes 64. A script that only looks for the heading has none.
const LEAST_BODY: usize = 60;
/// How far behind the heading the body is looked at, in bytes.
const LOOK_AHEAD: usize = 2048;
/// How far before the words the heading begins, in bytes: `-----BEGIN OPENSSH`.
const LOOK_BACK: usize = 40;

/// Private keys in text: PEM (RFC 7468, RFC 1421), OpenSSH (`PROTOCOL.key`), OpenPGP (RFC 9580), SSH2 (RFC 4716) and `PuTTY`. They are also found
/// within other formats, where an end of line may be written `\n`.
#[must_use]
pub fn text(content: &[u8]) -> Vec<Found> {
    let mut found = Vec::new();
    if let Some(putty) = putty(content) {
        found.push(putty);
    }
    for at in memchr::memmem::find_iter(content, b"PRIVATE KEY") {
        let start = at.saturating_sub(LOOK_BACK);
        let before = content.get(start..at).unwrap_or_default();
        let Some(dashes) = memchr::memmem::rfind(before, b"BEGIN ") else { continue };
        let label = before.get(dashes + 6..).unwrap_or_default();
        let heading = before.get(..dashes).unwrap_or_default();
        let is_label = label.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b' ');
        if !heading.trim_ascii_end().ends_with(b"----") || !is_label {
            continue;
        }
        let rest = content.get(at + 11..).unwrap_or_default();
        let rest = rest.strip_prefix(b" BLOCK").unwrap_or(rest);
        let Some(rest) = rest.strip_prefix(b"-----").or_else(|| rest.strip_prefix(b" ----")) else { continue };
        let body = Body::of(rest.get(..rest.len().min(LOOK_AHEAD)).unwrap_or_default());
        if body.length < LEAST_BODY {
            continue;
        }
        let label = label.trim_ascii();
        let opaque = body.encrypted || label.split(|&byte| byte == b' ').any(|word| word == b"ENCRYPTED");
        let of = match label {
            b"OPENSSH" => " of OpenSSH",
            b"PGP" => " of OpenPGP",
            _ => " in PEM",
        };
        let opaque = opaque || (label == b"OPENSSH" && !body.first.starts_with(OPENSSH_PLAIN));
        found.push(Found::new(line_at(content, at), words(opaque, of)));
        if found.len() >= MAX_FOUND {
            break;
        }
    }
    found
}

/// `openssh-key-v1`, and `none` as the cipher, in base64.
const OPENSSH_PLAIN: &[u8] = b"b3BlbnNzaC1rZXktdjEAAAAABG5vbmU";

fn words(encrypted: bool, of: &str) -> String {
    format!("{} private key{of}", if encrypted { "an encrypted" } else { "a" })
}

/// What stands below a heading.
#[derive(Default)]
struct Body<'b> {
    length: usize,
    encrypted: bool,
    first: &'b [u8],
}

impl<'b> Body<'b> {
    fn of(text: &'b [u8]) -> Self {
        let mut body = Self::default();
        let mut rest = text;
        while !rest.is_empty() {
            let escaped = memchr::memmem::find(rest, b"\\n");
            let plain = memchr::memchr(b'\n', rest);
            let (end, skip) = match (escaped, plain) {
                (Some(escaped), Some(plain)) if escaped < plain => (escaped, 2),
                (_, Some(plain)) => (plain, 1),
                (Some(escaped), None) => (escaped, 2),
                (None, None) => (rest.len(), 0),
            };
            let quotes = |byte: &u8| byte.is_ascii_whitespace() || b"\"',|+#;\\".contains(byte);
            let line = rest.get(..end).unwrap_or_default();
            let from = line.iter().position(|byte| !quotes(byte)).unwrap_or(line.len());
            let until = line.iter().rposition(|byte| !quotes(byte)).map_or(from, |last| last + 1);
            let line = line.get(from..until).unwrap_or_default();
            rest = rest.get(end + skip..).unwrap_or_default();
            if line.starts_with(b"-----END") || line.starts_with(b"---- END") {
                break;
            }
            if line.contains(&b':') {
                body.encrypted |= line.starts_with(b"Proc-Type:") && line.ends_with(b"ENCRYPTED");
                continue;
            }
            if line.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(byte)) {
                if body.first.is_empty() {
                    body.first = line;
                }
                body.length += line.len();
            }
        }
        body
    }
}

fn putty(content: &[u8]) -> Option<Found> {
    let rest = content.strip_prefix(b"PuTTY-User-Key-File-")?;
    let plain = rest.split(|&byte| byte == b'\n').any(|line| line.trim_ascii() == b"Encryption: none");
    Some(Found::new(1, words(!plain, " of PuTTY")))
}

/// Key bags of PKCS #12 (RFC 7292, 4.2): `pkcs-12 10 1 1` and `10 1 2`. They stand outside what is encrypted as a whole; a store of certificates
/// has none.
const KEY_BAGS: [&[u8]; 2] = [
    &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x0C, 0x0A, 0x01, 0x01],
    &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x0C, 0x0A, 0x01, 0x02],
];

/// Private keys in files that are no text: DER, PKCS #12, Java's stores, `GnuPG`, keytabs.
#[must_use]
pub fn binary(content: &[u8]) -> Option<Found> {
    if content.starts_with(&[0x30]) {
        if KEY_BAGS.iter().any(|bag| memchr::memmem::find(content, bag).is_some()) {
            return Some(Found::whole("a private key in a PKCS #12 store"));
        }
        return is_der_key(content).then(|| Found::whole("a private key in DER"));
    }
    if java_store_has_key(content) {
        return Some(Found::whole("a private key in a Java key store"));
    }
    if let Some(rest) = content.strip_prefix(&[5, 2]) {
        // keytab: a version, then records with their length; a negative one is a hole.
        let length = rest.get(..4).and_then(|bytes| bytes.try_into().ok()).map(i32::from_be_bytes);
        return length.is_some_and(|length| length != 0).then(|| Found::whole("keys of Kerberos in a keytab"));
    }
    let agent: [(&[u8], bool); 3] =
        [(b"(protected-private-key", true), (b"(21:protected-private-key", true), (b"(11:private-key", false)];
    let start = content.get(..content.len().min(4096)).unwrap_or_default();
    for (mark, encrypted) in agent.into_iter().chain([(b"(private-key".as_slice(), false)]) {
        if memchr::memmem::find(start, mark).is_some() {
            return Some(Found::whole(words(encrypted, " of GnuPG")));
        }
    }
    None
}

/// A secret key packet of OpenPGP (tag 5) at the beginning: `secring.gpg` (RFC 9580, 4.2).
#[must_use]
pub fn secret_ring(content: &[u8]) -> Option<Found> {
    let first = *content.first()?;
    (matches!(first, 0x94..=0x97) || first == 0xC5).then(|| Found::whole("a private key of OpenPGP"))
}

/// PKCS #1, PKCS #8 or SEC 1: a sequence that begins with the number 0 or 1, and what only keys have behind it.
fn is_der_key(content: &[u8]) -> bool {
    let Some(inner) = der_body(content, 0x30) else { return false };
    match inner {
        // SEC 1: version 1, then the key itself.
        [2, 1, 1, 4, ..] => true,
        // PKCS #8: version 0 or 1, then the algorithm. PKCS #1: version 0 or 1, then the modulus.
        [2, 1, 0 | 1, rest @ ..] => match rest.first() {
            Some(0x30) => der_body(rest, 0x30).is_some_and(|algorithm| algorithm.first() == Some(&6)),
            Some(2) => der_body(rest, 2).is_some_and(|modulus| modulus.len() >= 32),
            _ => false,
        },
        _ => false,
    }
}

/// What is in an element of DER with this tag, as far as the file goes.
fn der_body(content: &[u8], tag: u8) -> Option<&[u8]> {
    let rest = content.strip_prefix(&[tag])?;
    let (&first, rest) = rest.split_first()?;
    if first < 0x80 {
        return rest.get(..usize::from(first));
    }
    let count = usize::from(first & 0x7F);
    if !(1..=4).contains(&count) {
        return None;
    }
    let length = rest.get(..count)?.iter().fold(0_usize, |length, &byte| length << 8 | usize::from(byte));
    let body = rest.get(count..)?;
    body.get(..length.min(body.len()))
}

/// Java's own stores, JKS and JCEKS: a mark, a version, a number of entries, and entries whose first number tells a key (1, or 3 for one of a
/// cipher) from a certificate that is trusted (2).
fn java_store_has_key(content: &[u8]) -> bool {
    let mut rest = content;
    let mut number = |bytes: usize| -> Option<usize> {
        let (taken, left) = rest.split_at_checked(bytes)?;
        rest = left;
        Some(taken.iter().fold(0, |number, &byte| number << 8 | usize::from(byte)))
    };
    let mut walk = || -> Option<bool> {
        let mark = number(4)?;
        if mark != 0xFEED_FEED && mark != 0xCECE_CECE {
            return None;
        }
        let version = number(4)?;
        let count = number(4)?;
        for _ in 0..count {
            if number(4)? != 2 {
                return Some(true);
            }
            skip(&mut number, 2)?;
            number(8)?;
            if version == 2 {
                skip(&mut number, 2)?;
            }
            skip(&mut number, 4)?;
        }
        Some(false)
    };
    walk().unwrap_or(false)
}

/// Passes over something that has its length before it.
fn skip(number: &mut impl FnMut(usize) -> Option<usize>, width: usize) -> Option<()> {
    let mut length = number(width)?;
    while length > 0 {
        let step = length.min(8);
        number(step)?;
        length -= step;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "MC4CAQAwBQYDK2VwBCIEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    fn whats(content: &str) -> Vec<(u32, String)> {
        text(content.as_bytes()).into_iter().map(|found| (found.line.unwrap(), found.what)).collect()
    }

    #[test]
    fn a_key_behind_a_certificate() {
        let content = format!(
            "-----BEGIN CERTIFICATE-----\n{BODY}\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n{BODY}\n-----END PRIVATE KEY-----\n"
        );
        assert_eq!(whats(&content), [(4, "a private key in PEM".to_owned())]);
    }

    #[test]
    fn certificates_and_public_keys_are_none() {
        for label in ["CERTIFICATE", "PUBLIC KEY", "PGP PUBLIC KEY BLOCK", "CERTIFICATE REQUEST"] {
            assert!(whats(&format!("-----BEGIN {label}-----\n{BODY}\n-----END {label}-----\n")).is_empty(), "{label}");
        }
    }

    #[test]
    fn encrypted_ones_are_keys_too() {
        let encrypted = |content: &str| assert!(whats(content)[0].1.contains("encrypted"), "{content}");
        encrypted(&format!("-----BEGIN ENCRYPTED PRIVATE KEY-----\n{BODY}\n-----END ENCRYPTED PRIVATE KEY-----\n"));
        encrypted(&format!(
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,AB\n\n{BODY}\n-----END RSA PRIVATE KEY-----\n"
        ));
        encrypted(&format!("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHI{BODY}\n"));
        let plain = format!("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmU{BODY}\n");
        assert_eq!(whats(&plain), [(1, "a private key of OpenSSH".to_owned())]);
    }

    #[test]
    fn a_heading_without_a_key_is_none() {
        assert!(whats("grep -q '-----BEGIN RSA PRIVATE KEY-----' \"$1\" || exit 1\necho no private key here\n").is_empty());
        assert!(whats("-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----\n").is_empty());
        assert!(whats(&format!("my PRIVATE KEY-----\n{BODY}\n")).is_empty());
    }

    #[test]
    fn within_json_and_indented() {
        let json = format!("{{\"private_key\": \"-----BEGIN PRIVATE KEY-----\\n{BODY}\\n-----END PRIVATE KEY-----\\n\"}}");
        assert_eq!(whats(&json).len(), 1);
        assert_eq!(
            whats(&format!("key: |\n  -----BEGIN EC PRIVATE KEY-----\n  {BODY}\n  -----END EC PRIVATE KEY-----\n"))[0].0,
            2
        );
    }

    #[test]
    fn of_putty() {
        assert_eq!(whats("PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n")[0].1, "a private key of PuTTY");
        assert!(whats("PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: aes256-cbc\n")[0].1.contains("encrypted"));
    }

    #[test]
    fn der_keys_but_no_certificates() {
        assert!(binary(&[0x30, 10, 2, 1, 0, 0x30, 5, 6, 3, 0x2B, 0x65, 0x70]).is_some());
        assert!(binary(&[0x30, 0x07, 2, 1, 1, 4, 2, 0, 0]).is_some());
        assert!(binary(&[0x30, 0x82, 1, 0, 0x30, 0x82, 0, 200, 0xA0, 3, 2, 1, 2]).is_none());
        assert!(binary(&[0x30]).is_none());
    }

    #[test]
    fn a_store_with_a_key_but_not_one_with_certificates() {
        let mut store = vec![0xFE, 0xED, 0xFE, 0xED, 0, 0, 0, 2, 0, 0, 0, 2];
        store.extend([0, 0, 0, 2, 0, 1, b'a', 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, b'X', 0, 0, 0, 1, 9]);
        assert!(binary(&store).is_none());
        store.extend([0, 0, 0, 1]);
        assert!(binary(&store).is_some());
        assert!(binary(&[&[0x30, 0x20][..], KEY_BAGS[1]].concat()).is_some());
    }

    #[test]
    fn keytabs_with_something_in_them() {
        assert!(binary(&[5, 2, 0, 0, 0, 60]).is_some());
        assert!(binary(&[5, 2]).is_none());
    }

    #[test]
    fn rings_of_gnupg() {
        assert!(secret_ring(&[0x95, 1]).is_some() && secret_ring(&[0x99, 1]).is_none());
        assert!(binary(b"Created: 2026\nKey: (private-key (ecc").is_some());
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_in_it_is_read_without_panic(content: Vec<u8>) {
            let _ = (text(&content), binary(&content), secret_ring(&content));
        }

        #[test]
        fn whatever_is_in_a_store_is_read_without_panic(content: Vec<u8>) {
            let _ = binary(&[&[0xFE, 0xED, 0xFE, 0xED, 0, 0, 0, 2][..], &content].concat());
        }
    }
}
