//! `firewalld.conf(5)`, and zones of firewalld: `firewalld.zone(5)`, after `firewall/core/io/zone.py` and `policy.py` of firewalld 1.3.
//!
//! The XML reader knows the five entities of XML and no others: a document type that declares some is refused, so that none can grow.

use std::borrow::Cow;

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

/// A setting of `firewalld.conf`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The line, from 1.
    pub line: u32,
    /// The name.
    pub key: String,
    /// The value, as written: quotes are part of it.
    pub value: String,
}

/// The settings that count: of two of one name the first; none where the line has more than one `=`, or no value.
#[must_use]
pub fn parse_conf(content: &[u8]) -> Vec<Setting> {
    let text = String::from_utf8_lossy(content);
    let mut found: Vec<Setting> = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let text = text.trim();
        if text.starts_with(['#', ';']) {
            continue;
        }
        let parts: Vec<&str> = text.split('=').map(str::trim).collect();
        if let [key, value] = parts.as_slice()
            && !value.is_empty()
            && !found.iter().any(|setting| setting.key == *key)
        {
            found.push(Setting { line, key: (*key).to_owned(), value: (*value).to_owned() });
        }
    }
    found
}

/// A zone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Zone {
    /// The line of its beginning, from 1.
    pub line: u32,
    /// What happens to packets that no rule decides on: `ACCEPT`, `DROP`, `%%REJECT%%`; nothing for the default, which refuses them.
    pub target: Option<String>,
    /// Interfaces that are in it.
    pub interfaces: Vec<(String, u32)>,
    /// Source addresses that are in it.
    pub sources: Vec<(String, u32)>,
    /// Its rich rules.
    pub rules: Vec<RichRule>,
}

/// A rich rule: `firewalld.richlanguage(5)`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RichRule {
    /// The line, from 1.
    pub line: u32,
    /// `ipv4` or `ipv6`, where it names one.
    pub family: Option<String>,
    /// The address that packets come from, and whether all others are meant.
    pub source: Option<(String, bool)>,
    /// The address that they go to, and whether all others are meant.
    pub destination: Option<(String, bool)>,
    /// `accept`, `drop`, `reject` or `mark`.
    pub action: Option<String>,
    /// Whether it is about one service, port or protocol only, or limited in its rate.
    pub narrowed: bool,
}

/// What firewalld refuses: it then has no such zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Flaw {
    /// The line, from 1.
    pub line: u32,
    /// Why.
    pub reason: &'static str,
}

/// Reads a zone.
///
/// # Errors
/// What is no XML, or no zone.
pub fn parse_zone(content: &[u8]) -> Result<Zone, Flaw> {
    let text = String::from_utf8_lossy(content);
    let mut reader = Reader::from_str(&text);
    let mut zone: Option<Zone> = None;
    let mut rule: Option<RichRule> = None;
    let mut open = 0_usize;
    let mut places = Lines { text: &text, at: 0, line: 1 };
    loop {
        let event = reader.read_event();
        let line = places.line_at(usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX));
        let flaw = |reason| Flaw { line, reason };
        match event.map_err(|_| flaw("it is no XML"))? {
            Event::Eof => break,
            Event::DocType(_) => return Err(flaw("a zone has no document type")),
            Event::Start(element) => {
                open += 1;
                take(&element, line, &mut zone, &mut rule)?;
            }
            Event::Empty(element) => {
                take(&element, line, &mut zone, &mut rule)?;
                if element.name().as_ref() == "rule" {
                    end_rule(&mut zone, &mut rule);
                }
            }
            Event::End(element) => {
                open = open.saturating_sub(1);
                if element.name().as_ref() == "rule" {
                    end_rule(&mut zone, &mut rule);
                }
            }
            _ => {}
        }
    }
    let end = Flaw { line: places.line, reason: "it ends before it is complete" };
    if open > 0 { Err(end) } else { zone.ok_or(end) }
}

fn end_rule(zone: &mut Option<Zone>, rule: &mut Option<RichRule>) {
    if let (Some(zone), Some(rule)) = (zone, rule.take()) {
        zone.rules.push(rule);
    }
}

fn take(element: &BytesStart<'_>, line: u32, zone: &mut Option<Zone>, rule: &mut Option<RichRule>) -> Result<(), Flaw> {
    let flaw = |reason| Flaw { line, reason };
    let value = |name: &str| -> Result<Option<String>, Flaw> {
        let found = element.try_get_attribute(name).map_err(|_| flaw("it is no XML"))?;
        let text = found.map(|found| found.normalized_value(XmlVersion::Implicit1_0).map(Cow::into_owned));
        text.transpose().map_err(|_| flaw("an entity that XML does not have"))
    };
    let name = element.name();
    let Some(zone) = zone else {
        if name.as_ref() != "zone" {
            return Err(flaw("it is no zone"));
        }
        let target = value("target")?.filter(|target| !matches!(target.as_str(), "" | "default" | "{chain}_{zone}"));
        if target.as_deref().is_some_and(|target| !matches!(target, "ACCEPT" | "DROP" | "%%REJECT%%")) {
            return Err(flaw("there is no such target"));
        }
        *zone = Some(Zone { line, target, ..Zone::default() });
        return Ok(());
    };
    let inverted = || Ok(value("invert")?.is_some_and(|value| matches!(value.to_ascii_lowercase().as_str(), "yes" | "true")));
    match (name.as_ref(), rule) {
        ("rule", rule) => *rule = Some(RichRule { line, family: value("family")?, ..RichRule::default() }),
        ("interface", _) => zone.interfaces.extend(value("name")?.map(|name| (name, line))),
        ("source", None) => {
            let sources = [value("address")?, value("mac")?, value("ipset")?];
            zone.sources.extend(sources.into_iter().flatten().map(|source| (source, line)));
        }
        ("source", Some(rule)) => {
            let address = value("address")?;
            rule.narrowed |= address.is_none();
            rule.source = address.map(|address| Ok((address, inverted()?))).transpose()?;
        }
        ("destination", Some(rule)) => {
            let address = value("address")?;
            rule.narrowed |= address.is_none();
            rule.destination = address.map(|address| Ok((address, inverted()?))).transpose()?;
        }
        (action @ ("accept" | "drop" | "reject" | "mark"), Some(rule)) => {
            rule.action = Some(action.to_owned());
        }
        ("log" | "nflog" | "audit", Some(_)) => {}
        (_, Some(rule)) => rule.narrowed = true,
        _ => {}
    }
    Ok(())
}

/// Lines by their place, asked for in order.
struct Lines<'t> {
    text: &'t str,
    at: usize,
    line: u32,
}

impl Lines<'_> {
    fn line_at(&mut self, place: usize) -> u32 {
        let place = place.min(self.text.len());
        let passed = self.text.as_bytes().get(self.at..place).unwrap_or_default();
        self.line += u32::try_from(memchr::memchr_iter(b'\n', passed).count()).unwrap_or(u32::MAX - self.line);
        self.at = place;
        self.line
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_of_two_settings_counts_and_quotes_are_part_of_a_value() {
        let found = parse_conf(b"# x\n;y=1\nDefaultZone = drop\nDefaultZone=public\nA=b=c\nFirewallBackend='nftables'\nEmpty=\n");
        let found: Vec<_> = found.iter().map(|one| (one.line, one.key.as_str(), one.value.as_str())).collect();
        assert_eq!(found, [(3, "DefaultZone", "drop"), (6, "FirewallBackend", "'nftables'")]);
    }

    #[test]
    fn a_zone_with_rules() {
        let text = b"<?xml version=\"1.0\"?>\n<zone target=\"ACCEPT\">\n <short>T</short>\n <interface name=\"lo\"/>\n <rule family=\"ipv4\">\n  <source address=\"127.0.0.1\"/>\n  <destination address=\"127.0.0.1\" invert=\"True\"/>\n  <drop/>\n </rule>\n <rule><port port=\"22\" protocol=\"tcp\"/><accept/></rule>\n <source address=\"10.0.0.0/8\"/>\n</zone>\n";
        let zone = parse_zone(text).unwrap();
        assert_eq!((zone.line, zone.target.as_deref()), (2, Some("ACCEPT")));
        assert_eq!((zone.interfaces, zone.sources), (vec![("lo".into(), 4)], vec![("10.0.0.0/8".into(), 11)]));
        let rule = &zone.rules[0];
        assert_eq!(
            (rule.line, rule.family.as_deref(), rule.action.as_deref(), rule.narrowed),
            (5, Some("ipv4"), Some("drop"), false)
        );
        assert_eq!(rule.destination, Some(("127.0.0.1".into(), true)));
        assert!(zone.rules[1].narrowed);
    }

    #[test]
    fn what_firewalld_refuses() {
        for text in [
            "",
            "<zone>",
            "<zone target='x'/>",
            "<service/>",
            "<zone><a></zone>",
            "<zone a='1' a='2'/>x<",
            "<!DOCTYPE z [<!ENTITY a 'aaaa'>]><zone/>",
            "<zone target='&a;'/>",
        ] {
            assert!(parse_zone(text.as_bytes()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed(content in prop::collection::vec(any::<u8>(), 0..300), text in "(<zone|<rule|/>|>|</zone>|</rule>| target='ACCEPT'|<drop| address='1'|&lt;|&#x;|<!--|-->|<!DOCTYPE |\n){0,20}") {
            for content in [&content, text.as_bytes()] {
                let _ = (parse_zone(content), parse_conf(content));
            }
        }
    }
}
