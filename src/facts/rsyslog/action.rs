//! What an action does with a message.

use super::{OutputTarget, Place, Stream};
use crate::path::printable;
use crate::syntax::rsyslog::Param;

/// Where an `action()` puts messages; `mode` is what new files get unless it says so itself.
pub(super) fn target_of(params: &[Param], mode: &(u32, Option<Place>), place: &Place) -> OutputTarget {
    let get = |wanted: &str| params.iter().find(|param| param.name == wanted).map(|param| param.value.text());
    let kind = printable(get("type").unwrap_or_default()).to_ascii_lowercase();
    let host = || {
        let host = printable(get("target").unwrap_or_default());
        get("port").map_or(host.clone(), |port| format!("{host}:{}", printable(port)))
    };
    match kind.trim_start_matches("builtin:") {
        "omfile" => {
            let own = get("filecreatemode").and_then(create_mode).map(|mode| (mode, Some(place.clone())));
            let (mode, set) = own.unwrap_or_else(|| mode.clone());
            let dynamic = || [b"?", get("dynafile").unwrap_or_default()].concat();
            let path = get("file").map_or_else(dynamic, <[u8]>::to_vec);
            OutputTarget::File { path, mode, set }
        }
        "omfwd" => {
            let tcp = get("protocol").is_some_and(|protocol| protocol.eq_ignore_ascii_case(b"tcp"));
            let text = |names: [&str; 2]| names.iter().find_map(|name| get(name)).map(printable);
            let stream = Stream {
                driver: text(["streamdriver", "streamdriver.name"]).map(|name| name.to_ascii_lowercase()),
                encrypts: text(["streamdrivermode", "streamdriver.mode"]).is_some_and(|mode| mode.trim() == "1"),
                authentication: text(["streamdriverauthmode", "streamdriver.authmode"]).map(|mode| mode.to_ascii_lowercase()),
                checks_purpose: get("streamdriver.checkextendedkeypurpose")
                    .is_some_and(|value| value.eq_ignore_ascii_case(b"on")),
            };
            OutputTarget::Forward { host: host(), protocol: if tcp { "tcp" } else { "udp" }, stream }
        }
        "omrelp" => {
            let on = get("tls").is_some_and(|value| value.eq_ignore_ascii_case(b"on"));
            let authentication = get("tls.authmode").map(|mode| format!("x509/{}", printable(mode).to_ascii_lowercase()));
            // RELP asks for a certificate of a server by itself.
            let stream = Stream { driver: on.then(|| "gtls".to_owned()), encrypts: on, authentication, checks_purpose: on };
            OutputTarget::Forward { host: host(), protocol: "relp", stream }
        }
        _ => OutputTarget::Other,
    }
}

/// Where an action of old puts messages.
pub(super) fn target_of_old(text: &[u8], mode: &(u32, Option<Place>), stream: &Stream) -> OutputTarget {
    let file = |path: &[u8]| OutputTarget::File { path: path.to_vec(), mode: mode.0, set: mode.1.clone() };
    let name = |text: &[u8]| {
        let end = text.iter().position(|byte| *byte == b';' || byte.is_ascii_whitespace()).unwrap_or(text.len());
        text.get(..end).unwrap_or_default().to_vec()
    };
    match text {
        [b'-', b'/', ..] => file(&name(text.get(1..).unwrap_or_default())),
        [b'/' | b'.' | b'?', ..] => file(&name(text)),
        [b'@', rest @ ..] => {
            let (protocol, rest) = rest.strip_prefix(b"@").map_or(("udp", rest), |rest| ("tcp", rest));
            // Options such as (z9,o) stand before the host.
            let options = rest.strip_prefix(b"(").and_then(|rest| rest.iter().position(|&byte| byte == b')'));
            let host = options.map_or(rest, |end| rest.get(end + 2..).unwrap_or_default());
            OutputTarget::Forward { host: printable(&name(host)), protocol, stream: stream.clone() }
        }
        _ => match text.strip_prefix(b":omrelp:") {
            Some(host) => OutputTarget::Forward { host: printable(&name(host)), protocol: "relp", stream: Stream::default() },
            None => OutputTarget::Other,
        },
    }
}

/// A file mode as rsyslog takes it: four or five octal digits of which the first is 0 (`doFileCreateMode`); anything else is refused
/// with a message, and what was in force before stays so.
pub(super) fn create_mode(text: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(text).ok()?;
    let is_mode =
        matches!(digits.len(), 4 | 5) && digits.starts_with('0') && digits.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
    is_mode.then(|| u32::from_str_radix(digits, 8).ok()).flatten()
}
