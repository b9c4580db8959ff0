//! What firewalld starts with: its settings, and its zones.

use std::collections::{BTreeMap, BTreeSet};

use super::{Loader, loader, read};
use crate::facts::{Fact, Facts, Unreadable};
use crate::path::ImagePath;
use crate::syntax::firewalld::{Setting, Zone, parse_conf, parse_zone};
use crate::syntax::key_value;

/// firewalld as it starts.
#[derive(Debug, Clone)]
pub struct Firewalld {
    /// Its unit.
    pub loader: Loader,
    /// The settings that are written down.
    pub settings: Vec<Setting>,
    /// The zones by name: of two of one name the one in `/etc`, unless it is refused.
    pub zones: BTreeMap<String, PlacedZone>,
    /// Zones that network profiles put their interfaces in, and where they say so.
    pub profiles: Vec<(String, ImagePath, u32)>,
}

/// A zone in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedZone {
    /// The file.
    pub path: ImagePath,
    /// The zone.
    pub zone: Zone,
    /// A file of the same name in `/etc` that firewalld refuses, with the line and why.
    pub refused: Option<(ImagePath, u32, &'static str)>,
}

impl Firewalld {
    /// The settings.
    pub const CONF: &'static str = "/etc/firewalld/firewalld.conf";

    /// What is in force where nothing is written, or nothing valid (`firewall/config/__init__.py`).
    #[must_use]
    pub fn default_of(key: &str) -> Option<&'static str> {
        Some(match key {
            "DefaultZone" => "public",
            "FirewallBackend" => "nftables",
            "LogDenied" => "off",
            "CleanupOnExit" | "IPv6_rpfilter" | "FlushAllOnReload" | "RFC3964_IPv4" => "yes",
            "CleanupModulesOnExit" | "Lockdown" | "IndividualCalls" | "AllowZoneDrifting" | "AutomaticHelpers" => "no",
            _ => return None,
        })
    }

    /// A setting as it is written.
    #[must_use]
    pub fn setting(&self, key: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.key == key)
    }

    /// The value of a setting, written or not.
    #[must_use]
    pub fn value(&self, key: &str) -> &str {
        self.setting(key).map_or_else(|| Self::default_of(key).unwrap_or_default(), |setting| &setting.value)
    }

    /// The zones that packets go through: the default one, those of interfaces and sources, those that network profiles name.
    #[must_use]
    pub fn active(&self) -> BTreeSet<&str> {
        let mut names = BTreeSet::from([self.value("DefaultZone")]);
        names.extend(self.profiles.iter().map(|(zone, ..)| zone.as_str()));
        // Loopback is let through before any zone is asked.
        let has_members = |zone: &Zone| zone.interfaces.iter().any(|(name, _)| name != "lo") || !zone.sources.is_empty();
        names.extend(self.zones.iter().filter(|(_, placed)| has_members(&placed.zone)).map(|(name, _)| name.as_str()));
        names
    }
}

pub(super) fn gather(facts: &Facts<'_>) -> Fact<Firewalld> {
    let loader = loader(facts, "firewalld.service")?;
    let root = facts.root();
    let conf = read(root, &ImagePath::new(Firewalld::CONF))?;
    let settings = conf.map(|content| parse_conf(&content)).unwrap_or_default();
    let mut zones: BTreeMap<String, PlacedZone> = BTreeMap::new();
    let glob = |pattern: &str| root.glob(pattern).map_err(|error| Unreadable::reading(&ImagePath::new(pattern), &error));
    for folder in ["/usr/lib/firewalld/zones", "/etc/firewalld/zones"] {
        for path in glob(&format!("{folder}/*.xml"))? {
            let name = String::from_utf8_lossy(path.file_name()).trim_end_matches(".xml").to_owned();
            let Some(content) = read(root, &path)? else { continue };
            match parse_zone(&content) {
                Ok(zone) => {
                    zones.insert(name, PlacedZone { path, zone, refused: None });
                }
                Err(flaw) => {
                    if let Some(placed) = zones.get_mut(&name) {
                        placed.refused = Some((path, flaw.line, flaw.reason));
                    }
                }
            }
        }
    }
    let mut profiles = Vec::new();
    let patterns = [
        "/etc/NetworkManager/system-connections/*.nmconnection",
        "/usr/lib/NetworkManager/system-connections/*.nmconnection",
        "/etc/sysconfig/network-scripts/ifcfg-*",
    ];
    for pattern in patterns {
        for path in glob(pattern)? {
            let content = read(root, &path)?.unwrap_or_default();
            let zone = key_value::parse(&content).into_iter().find(|setting| setting.key.eq_ignore_ascii_case("zone"));
            let zone = zone.map(|setting| (setting.value.trim_matches(['"', '\'']).to_owned(), path, setting.line));
            profiles.extend(zone.filter(|(name, ..)| !name.is_empty()));
        }
    }
    Ok(Firewalld { loader, settings, zones, profiles })
}
