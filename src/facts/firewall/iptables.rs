//! What `netfilter-persistent.service` (Debian) or `iptables.service` and `ip6tables.service` (Red Hat) load.

use super::{Loader, loader, read};
use crate::facts::{Fact, Facts, Unreadable};
use crate::path::ImagePath;
use crate::syntax::iptables::{Flaw, Table, parse};

/// A unit, the file it loads, and what it needs for that.
struct Way {
    unit: &'static str,
    file: &'static str,
    plugin: Option<&'static str>,
}

const PLUGINS: &str = "/usr/share/netfilter-persistent/plugins.d";

const fn ways(version: u8) -> [Way; 2] {
    match version {
        6 => [
            Way { unit: "netfilter-persistent.service", file: "/etc/iptables/rules.v6", plugin: Some("25-ip6tables") },
            Way { unit: "ip6tables.service", file: "/etc/sysconfig/ip6tables", plugin: None },
        ],
        _ => [
            Way { unit: "netfilter-persistent.service", file: "/etc/iptables/rules.v4", plugin: Some("15-ip4tables") },
            Way { unit: "iptables.service", file: "/etc/sysconfig/iptables", plugin: None },
        ],
    }
}

/// Saved rules, of one version of the Internet Protocol.
#[derive(Debug, Clone)]
pub struct Saved {
    /// The unit that loads them.
    pub loader: Loader,
    /// The file.
    pub path: ImagePath,
    /// The table `filter`, if it is there as a whole: of several the last, as each takes the place of the one before.
    pub filter: Option<Table>,
    /// Tables in all.
    pub tables: usize,
    /// Whether there is such a file.
    pub there: bool,
    /// The first line that is refused or not followed.
    pub flaw: Option<Flaw>,
}

pub(super) fn gather(facts: &Facts<'_>, version: u8) -> Fact<Saved> {
    let mut first: Option<Saved> = None;
    for way in ways(version) {
        let mut loader = loader(facts, way.unit)?;
        if let Some(plugin) = way.plugin.filter(|_| loader.starts) {
            let plugin = ImagePath::new(PLUGINS).join(plugin);
            // netfilter-persistent loads nothing by itself: iptables-persistent brings what does.
            if !facts.root().exists(&plugin).map_err(|error| Unreadable::reading(&plugin, &error))? {
                loader = Loader { starts: false, path: plugin, line: None, ..loader };
            }
        }
        let path = ImagePath::new(way.file);
        let content = read(facts.root(), &path)?;
        let there = content.is_some();
        let (tables, flaw) = content.map(|content| parse(&content)).unwrap_or_default();
        let count = tables.len();
        let filter = tables.into_iter().rfind(|table| table.name == "filter");
        let saved = Saved { loader, path, filter, tables: count, there, flaw };
        if saved.loader.starts {
            return Ok(saved);
        }
        if first.as_ref().is_none_or(|first| !first.there && saved.there) {
            first = Some(saved);
        }
    }
    first.ok_or_else(|| Unreadable::because("no way to load rules of iptables is known"))
}
