//! Places and words as SARIF wants them.

use std::fmt::Write as _;

use serde_sarif::sarif::{ArtifactLocation, Location, Message, MultiformatMessageString, PhysicalLocation, Region};
use sha2::{Digest, Sha256};

use crate::path::{ImagePath, shown, unprintable};

/// What locations are relative to: the root of the image. It has no address of its own, least of all one of the scanning machine.
pub(super) const IMAGE_ROOT: &str = "IMAGE_ROOT";

/// A longer piece of text of an image is cut in a message; the JSON report has it whole.
const TEXT: usize = 500;

/// A place in the image, from a path as karat writes it.
pub(super) fn location(path: &str, line: Option<u32>, column: Option<u32>, message: Option<String>) -> Location {
    let region = line.filter(|&line| line > 0).map(|line| Region {
        start_line: Some(line.into()),
        start_column: column.filter(|&column| column > 0).map(Into::into),
        ..Region::default()
    });
    let artifact = ArtifactLocation { uri: Some(uri(path)), uri_base_id: Some(IMAGE_ROOT.into()), ..ArtifactLocation::default() };
    Location {
        physical_location: Some(PhysicalLocation { artifact_location: Some(artifact), region, ..PhysicalLocation::default() }),
        message: message.map(self::message),
        ..Location::default()
    }
}

/// A relative reference (RFC 3986) of the path's true bytes; for the root itself `./`.
fn uri(path: &str) -> String {
    let path = ImagePath::new(unprintable(path));
    if path.is_root() {
        return "./".into();
    }
    let mut uri = String::new();
    for &byte in path.as_bytes().iter().skip(1) {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

/// A message in plain text.
pub(super) fn message(text: impl AsRef<str>) -> Message {
    Message { text: Some(plain(text.as_ref())), ..Message::default() }
}

/// A text that may have a form in Markdown beside.
pub(super) fn multiformat(text: &str) -> MultiformatMessageString {
    MultiformatMessageString::builder().text(plain(text)).build()
}

/// Plain text is never quite plain: `[x](y)` in it is a link (SARIF 2.1.0, 3.11.6). One that an image smuggles in is broken.
pub(super) fn plain(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(shown).collect();
    lines.join("\n").replace("](", "]\\(")
}

/// A piece of text, cut if it is long.
pub(super) fn piece(text: &str) -> String {
    let more = text.chars().count().saturating_sub(TEXT);
    if more == 0 {
        return text.to_owned();
    }
    let start: String = text.chars().take(TEXT).collect();
    format!("{start}… ({more} more characters)")
}

/// A stable name for something that these parts identify.
pub(super) fn fingerprint(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let mut hex = String::new();
    for byte in hash.finalize().iter().take(16) {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::printable;

    #[test]
    fn a_place_is_relative_and_of_the_true_bytes() {
        assert_eq!(uri("/etc/ssh/sshd_config"), "etc/ssh/sshd_config");
        assert_eq!(uri(&printable(b"/srv/a b\n\xff%:?#\\[1]")), "srv/a%20b%0A%FF%25%3A%3F%23%5C%5B1%5D");
        assert_eq!([uri("/"), uri("/../../etc"), uri("")], ["./", "etc", "./"]);
    }

    #[test]
    fn a_fingerprint_does_not_mix_its_parts_up() {
        assert_ne!(fingerprint(&["ab", "c"]), fingerprint(&["a", "bc"]));
        assert_eq!(fingerprint(&["4.2.7", "ssh-root-login"]), fingerprint(&["4.2.7", "ssh-root-login"]));
    }

    #[test]
    fn an_image_smuggles_no_link_into_a_message() {
        assert_eq!(plain("[free](http://x)\u{1b}"), "[free]\\(http://x)\\u{1b}");
    }
}
