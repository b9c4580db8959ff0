//! The criteria of a `Match` line (`match_cfg_line` of `servconf.c`).

use std::net::IpAddr;

use super::release::Release;
use crate::path::printable;
use crate::syntax::sshd_config::{self, Argument};

/// When a `Match` block applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Criteria {
    /// To every connection.
    All,
    /// To some; the criteria as they are written.
    Some(String),
}

const WITH_ARGUMENT: [&str; 7] = ["user", "group", "host", "address", "localaddress", "localport", "rdomain"];

/// Reads the criteria behind `Match`.
///
/// # Errors
/// Why sshd refuses to start.
pub(super) fn read(rest: &[u8], release: &Release) -> Result<Criteria, String> {
    let words = if release.number >= 909 {
        sshd_config::split(rest).map_err(|_| "a quote is never closed".to_owned())?
    } else {
        sshd_config::split_old(rest)
    };
    let words: Vec<Argument> = words.into_iter().take_while(|word| !word.text.starts_with(b"#")).collect();
    let written = words.iter().map(|word| printable(&word.text)).collect::<Vec<_>>().join(" ");
    let mut rest = words.iter().map(|word| word.text.as_slice());
    let mut some = false;
    while let Some(word) = rest.next() {
        let name = String::from_utf8_lossy(word).to_lowercase();
        if name == "all" {
            return if some || rest.next().is_some() { Err("'all' has to stand alone".into()) } else { Ok(Criteria::All) };
        }
        some = true;
        if name == "invalid-user" && release.number >= 909 {
            continue;
        }
        let joined = name.split_once('=').map(|(name, _)| name.to_owned()).filter(|_| release.number >= 1000);
        let attribute = joined.clone().unwrap_or(name);
        let argument = match joined {
            Some(_) => word.split_at_checked(attribute.len() + 1).map(|(_, argument)| argument),
            None => rest.next(),
        };
        let known = WITH_ARGUMENT.contains(&attribute.as_str()) || (attribute == "version" && release.number >= 1000);
        let Some(argument) = argument.filter(|argument| !argument.is_empty()) else {
            return Err(format!("the argument of '{}' is missing", printable(attribute.as_bytes())));
        };
        if !known {
            return Err(format!("'{}' is no criterion", printable(attribute.as_bytes())));
        }
        if attribute.ends_with("address") {
            addresses(argument)?;
        }
        let is_port = |text: &str| text.parse::<u16>().is_ok();
        if attribute == "localport" && !std::str::from_utf8(argument).is_ok_and(is_port) {
            return Err(format!("'{}' is no port", printable(argument)));
        }
    }
    if some { Ok(Criteria::Some(written)) } else { Err("it has no criteria".into()) }
}

/// `addr_match_list` without an address: every network has to have a mask that fits it.
fn addresses(list: &[u8]) -> Result<(), String> {
    for entry in list.split(|&byte| byte == b',') {
        let entry = entry.strip_prefix(b"!").unwrap_or(entry);
        if entry.is_empty() {
            return Err("an address of the list is empty".into());
        }
        let Ok(text) = std::str::from_utf8(entry) else { continue };
        let Some((address, length)) = text.split_once('/') else { continue };
        // What is no address with a mask is a pattern, and may be anything.
        let (Ok(address), Ok(length)) = (address.parse::<IpAddr>(), length.parse::<u32>()) else { continue };
        let (bits, width) = match address {
            IpAddr::V4(address) => (u128::from(u32::from(address)) << 96, 32),
            IpAddr::V6(address) => (u128::from(address), 128),
        };
        if length > 128 {
            continue;
        }
        let host = bits.checked_shl(length).unwrap_or(0);
        if length > width || host != 0 {
            return Err(format!("the mask of '{text}' does not fit its address"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::release::Vendor;
    use super::*;

    fn criteria(rest: &str, number: u16) -> Result<Criteria, String> {
        read(rest.as_bytes(), &Release { number, vendor: Vendor::Other, package: None })
    }

    #[test]
    fn all_stands_alone() {
        assert_eq!(criteria("ALL # everybody", 902), Ok(Criteria::All));
        assert!(criteria("all user x", 902).is_err() && criteria("user x all", 902).is_err());
    }

    #[test]
    fn criteria_with_arguments() {
        assert_eq!(criteria("user=!root,* Group \"a b\"", 902), Ok(Criteria::Some("user !root,* Group a b".into())));
        for wrong in ["", "user", "nobody x", "localport x", "invalid-user"] {
            assert!(criteria(wrong, 902).is_err(), "{wrong}");
        }
        assert!(criteria("invalid-user", 909).is_ok() && criteria("User=bob", 1000).is_ok());
    }

    #[test]
    fn the_mask_of_a_network_fits_its_address() {
        assert!(criteria("address 192.168.1.0/24,10.*,!::1", 902).is_ok());
        assert!(criteria("address 192.168.1.1/24", 902).is_err());
        assert!(criteria("address 10.0.0.0/33", 902).is_err());
        assert!(criteria("address 0.0.0.0/0,::/0", 902).is_ok());
    }
}
