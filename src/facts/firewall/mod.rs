//! Packet filters: what is loaded into the kernel at boot, by ufw, nftables, iptables or firewalld.
//!
//! Neither `/proc` nor `/sys` shows which rules a running kernel has: on a live machine too it is the configuration that is judged.

mod firewalld;
mod iptables;
mod nftables;
mod opened;
mod ports;
#[cfg(test)]
mod tests;
mod ufw;
mod walk;

use super::units::{Init, Start};
use super::{Fact, Facts, Unreadable, boot_argument};
use crate::image::{ReadError, Rootfs};
use crate::path::ImagePath;

pub use firewalld::{Firewalld, PlacedZone};
pub use iptables::Saved;
pub use nftables::{Nftables, Refusal};
pub use ports::{Listener, OpenPorts};
pub use ufw::{Ufw, UfwSetting};
pub use walk::{Chains, Fate, Packets, Way};

/// A program that loads rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Tool {
    /// `ufw(8)`.
    Ufw,
    /// `nft(8)`, by `nftables.service`.
    Nftables,
    /// `iptables-restore(8)`, by `netfilter-persistent.service`, `iptables.service` or `ip6tables.service`.
    Iptables,
    /// `firewalld(1)`.
    Firewalld,
}

impl Tool {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Ufw, Self::Nftables, Self::Iptables, Self::Firewalld];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ufw => "ufw",
            Self::Nftables => "nftables",
            Self::Iptables => "iptables",
            Self::Firewalld => "firewalld",
        }
    }
}

/// A unit that loads rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loader {
    /// Its name.
    pub unit: &'static str,
    /// Whether it starts at boot, and no condition keeps it from running.
    pub starts: bool,
    /// What decides it: a link, a file, or where one would be.
    pub path: ImagePath,
    /// The line, where one does.
    pub line: Option<u32>,
}

/// What filters packets.
#[derive(Debug, Clone)]
pub struct Firewall {
    /// ufw.
    pub ufw: Fact<Ufw>,
    /// nftables.
    pub nftables: Fact<Nftables>,
    /// iptables.
    pub iptables: Fact<Saved>,
    /// ip6tables.
    pub ip6tables: Fact<Saved>,
    /// firewalld.
    pub firewalld: Fact<Firewalld>,
    /// Where version 6 of the Internet Protocol is switched off, if it is.
    pub ipv6_off: Fact<Option<(ImagePath, Option<u32>)>>,
    /// The ports that are open to the network.
    pub ports: Fact<OpenPorts>,
}

pub(super) fn gather(facts: &Facts<'_>) -> Fact<Firewall> {
    // Without them nothing is known of what is loaded.
    facts.units()?;
    Ok(Firewall {
        ufw: ufw::gather(facts),
        nftables: nftables::gather(facts),
        iptables: iptables::gather(facts, 4),
        ip6tables: iptables::gather(facts, 6),
        firewalld: firewalld::gather(facts),
        ipv6_off: ipv6_off(facts),
        ports: ports::gather(facts),
    })
}

impl Firewall {
    /// Whether a tool loads its rules at boot.
    ///
    /// # Errors
    /// Why it is not known.
    pub fn uses(&self, tool: Tool) -> Result<bool, Unreadable> {
        Ok(match tool {
            Tool::Ufw => self.ufw.as_ref().map_err(Clone::clone)?.is_active(),
            Tool::Nftables => self.nftables.as_ref().map_err(Clone::clone)?.loader.starts,
            Tool::Iptables => {
                let starts = |saved: &Fact<Saved>| saved.as_ref().map(|saved| saved.loader.starts).map_err(Clone::clone);
                starts(&self.iptables)? || starts(&self.ip6tables)?
            }
            Tool::Firewalld => self.firewalld.as_ref().map_err(Clone::clone)?.loader.starts,
        })
    }
}

impl Firewall {
    /// The units that load the rules of a tool, as far as they are known.
    #[must_use]
    pub fn loaders(&self, tool: Tool) -> Vec<&Loader> {
        match tool {
            Tool::Ufw => self.ufw.iter().map(|ufw| &ufw.loader).collect(),
            Tool::Nftables => self.nftables.iter().map(|nftables| &nftables.loader).collect(),
            Tool::Iptables => self.iptables.iter().chain(&self.ip6tables).map(|saved| &saved.loader).collect(),
            Tool::Firewalld => self.firewalld.iter().map(|firewalld| &firewalld.loader).collect(),
        }
    }
}

fn loader(facts: &Facts<'_>, unit: &'static str) -> Fact<Loader> {
    let units = facts.units()?;
    if let Init::Other(what) = units.init {
        return Err(Unreadable::because(format!("the image boots with {what}, whose services are not known")));
    }
    let file = units.file(unit)?.unwrap_or_else(|| ImagePath::new("/etc/systemd/system").join(unit));
    let mut loader = Loader { unit, starts: false, path: file, line: None };
    match units.starts(unit)? {
        Start::AtBoot(steps) => {
            loader.starts = true;
            if let Some((path, line)) = steps.iter().rev().find_map(|step| step.via.place()) {
                (loader.path, loader.line) = (path.clone(), line);
            }
        }
        Start::OnDemand(..) | Start::No => return Ok(loader),
    }
    if let Some(condition) = units.unmet_condition(unit)? {
        loader = Loader { starts: false, path: condition.path, line: Some(condition.line), ..loader };
    } else if let Some(found) = units.hindrance(unit)? {
        if !found.certain {
            let reason = format!("{}: {}", found.found, found.because);
            return Err(found.line.map_or_else(
                || Unreadable::at(&found.path, reason.clone()),
                |line| Unreadable::at_line(&found.path, line, reason.clone()),
            ));
        }
        loader = Loader { starts: false, path: found.path, line: found.line, ..loader };
    }
    if loader.starts
        && let Some(undone) = undone(units, unit)?
    {
        return Err(undone);
    }
    Ok(loader)
}

/// A command that runs once the rules are loaded, and may take them away again: `ExecStartPost=`; `ExecStop=` of a service that ends as soon as it
/// has started (`Type=oneshot` without `RemainAfterExit=`, `systemd.service(5)`); and `ExecReload=` that loads something else.
fn undone(units: &super::units::Units, unit: &str) -> Fact<Option<Unreadable>> {
    let values = |key: &str| units.property(unit, "Service", key);
    let words = |text: &str| -> Vec<String> { text.split_ascii_whitespace().map(str::to_owned).collect() };
    let is_harmless = |text: &str| {
        let words = words(text.trim_start_matches(['-', '@', ':', '+', '!', '|']));
        let program = words.first().and_then(|word| word.rsplit('/').next()).unwrap_or_default();
        matches!(program, "true" | "echo" | "logger" | "sleep" | "touch" | "systemd-notify")
    };
    let doubt = |value: &super::units::Value, words: &str| Unreadable::at_line(&value.path, value.line, words.to_owned());
    if let Some(value) = values("ExecStartPost")?.iter().find(|value| !is_harmless(&value.text)) {
        return Ok(Some(doubt(value, "a command that runs after the rules were loaded, and may change them")));
    }
    let last = |key: &str| Ok::<_, Unreadable>(values(key)?.pop().map(|value| value.text));
    let is_on = |value: &str| matches!(value.to_ascii_lowercase().as_str(), "1" | "yes" | "y" | "true" | "t" | "on");
    if last("Type")?.as_deref() == Some("oneshot")
        && !last("RemainAfterExit")?.is_some_and(|value| is_on(&value))
        && let Some(value) = values("ExecStop")?.iter().find(|value| !is_harmless(&value.text))
    {
        return Ok(Some(doubt(value, "without RemainAfterExit=yes this runs as soon as the rules were loaded")));
    }
    let loads =
        |text: &str| !text.contains("nft") || text.contains(" -f") || text.contains(" --file") || text.contains("include");
    let reload = values("ExecReload")?;
    Ok(reload.iter().find(|value| !loads(&value.text)).map(|value| doubt(value, "what is left after a reload is not known")))
}

/// The content of a file; nothing where there is none.
fn read(root: Rootfs<'_>, path: &ImagePath) -> Fact<Option<Vec<u8>>> {
    match root.read(path) {
        Ok(content) => Ok(Some(content)),
        Err(ReadError::NotFound | ReadError::Dangling) => Ok(None),
        Err(error) => Err(Unreadable::reading(path, &error)),
    }
}

/// Version 6 is off where the kernel is told so by every entry of the boot loader (`ipv6.disable=1`), or for all interfaces by a parameter
/// that nothing takes back for some (`Documentation/networking/ip-sysctl.rst`). On a live machine it has to be so now as well.
fn ipv6_off(facts: &Facts<'_>) -> Fact<Option<(ImagePath, Option<u32>)>> {
    const ALL: &[u8] = b"net/ipv6/conf/all/disable_ipv6";
    if let Some(running) = facts.running() {
        let whole = ImagePath::new("/proc/sys/net/ipv6");
        let is_there = running.exists(&whole).map_err(|error| Unreadable::reading(&whole, &error))?;
        let value = read(running, &ImagePath::new("/proc/sys/net/ipv6/conf/all/disable_ipv6"))?;
        if is_there && value.as_deref().map(<[u8]>::trim_ascii) != Some(b"1") {
            return Ok(None);
        }
        let pattern = "/proc/sys/net/ipv6/conf/*/disable_ipv6";
        let interfaces = running.glob(pattern).map_err(|error| Unreadable::at(&ImagePath::new(pattern), error.to_string()))?;
        for path in interfaces.iter().filter(|path| path.components().nth(5) != Some(b"lo")) {
            if read(running, path)?.as_deref().map(<[u8]>::trim_ascii) == Some(b"0") {
                return Ok(None);
            }
        }
    }
    if let Ok(boot) = facts.boot()
        && let Some(entry) = boot.entries.first()
        && boot.entries.iter().all(|entry| boot_argument(&entry.arguments, "ipv6.disable") == Some("1"))
    {
        return Ok(Some((entry.path.clone(), Some(entry.line))));
    }
    let sysctl = facts.sysctl()?;
    let is_off = |value: &str| value == "1";
    let taken_back = sysctl.interfaces(ALL).iter().any(|found| found.value != 1);
    let setting = sysctl.configured(ALL)?.filter(|setting| is_off(&setting.value) && !taken_back);
    Ok(setting.map(|setting| (setting.path, Some(setting.line))))
}
