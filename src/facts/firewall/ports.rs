//! Which ports are open to the network: as the kernel lists them (`proc_net(5)`) on a running machine; otherwise those of the SSH server
//! and of sockets that systemd opens, and the names of services of which it is not known.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::facts::sshd::Keyword;
use crate::facts::units::{Init, Start, Units};
use crate::facts::{Fact, Facts, Unreadable};
use crate::path::{ImagePath, printable};

/// An open port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listener {
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    /// The port.
    pub port: u16,
    /// The version of the Internet Protocol, where it is one only: 4 or 6.
    pub version: Option<u8>,
    /// Where it is seen.
    pub path: ImagePath,
    /// The line, from 1.
    pub line: Option<u32>,
}

/// The open ports.
#[derive(Debug, Clone, Default)]
pub struct OpenPorts {
    /// Those that are known, sorted.
    pub known: Vec<Listener>,
    /// Services that start and might open others.
    pub undecided: Vec<String>,
}

/// Services that open no port to the network, or only as a client: by the beginning of their names.
const SILENT: &[&str] = &[
    "ModemManager",
    "NetworkManager",
    "accounts-daemon",
    "acpid",
    "aide",
    "alsa-",
    "amazon-ssm-agent",
    "anacron",
    "apparmor",
    "apport",
    "apt-",
    "atd",
    "auditd",
    "autovt@",
    "blk-availability",
    "bluetooth",
    "chrony-wait",
    "cloud-",
    "colord",
    "console-",
    "container-getty@",
    "cron.",
    "crond.",
    "dailyaidecheck",
    "dbus",
    "debug-shell",
    "dm-event",
    "dnf-",
    "dpkg-",
    "dracut-",
    "ec2-",
    "emergency",
    "fail2ban",
    "firewalld",
    "fwupd",
    "gdm",
    "getty@",
    "gssproxy",
    "haveged",
    "hibinit-agent",
    "hv-",
    "ifup@",
    "initrd-",
    "insights-client",
    "ip6tables",
    "iptables",
    "irqbalance",
    "iscsi",
    "kdump",
    "keyboard-setup",
    "kmod",
    "ldconfig",
    "libstoragemgmt",
    "lightdm",
    "lm-sensors",
    "logrotate",
    "low-memory-monitor",
    "lvm2-",
    "man-db",
    "mcelog",
    "mdadm",
    "mdmonitor",
    "modprobe@",
    "multipathd",
    "netfilter-persistent",
    "networking",
    "networkd-dispatcher",
    "nftables",
    "nis-domainname",
    "open-iscsi",
    "open-vm-tools",
    "packagekit",
    "plymouth",
    "polkit",
    "pollinate",
    "power-profiles-daemon",
    "procps",
    "psacct",
    "qemu-guest-agent",
    "quotaon",
    "rc-local",
    "rescue",
    "resolvconf",
    "rhsm",
    "rngd",
    "rtkit-daemon",
    "secureboot-db",
    "selinux-",
    "serial-getty@",
    "smartd",
    "smartmontools",
    "snap.",
    "snapd",
    "sshd-keygen",
    "sssd",
    "switcheroo-control",
    "sysstat",
    "system-update-cleanup",
    "systemd-",
    "thermald",
    "tuned",
    "ubuntu-",
    "udev",
    "udisks2",
    "ufw",
    "unattended-upgrades",
    "update-motd",
    "upower",
    "user-runtime-dir@",
    "user@",
    "uuidd",
    "vmtoolsd",
    "wpa_supplicant",
];

/// Of those that [`SILENT`] takes in, the ones that do open ports.
const HEARD: &[&str] = &["systemd-resolved", "systemd-journal-remote", "systemd-journal-gatewayd"];

pub(super) fn gather(facts: &Facts<'_>) -> Fact<OpenPorts> {
    let mut ports = if facts.running().is_some() { listed(facts)? } else { configured(facts)? };
    ports.known.sort();
    ports.known.dedup();
    Ok(ports)
}

/// What the kernel lists: sockets of TCP that listen (state 0A), and those of UDP that are bound and not connected (07).
fn listed(facts: &Facts<'_>) -> Fact<OpenPorts> {
    let mut ports = OpenPorts::default();
    let Some(running) = facts.running() else { return Ok(ports) };
    for (name, protocol, state) in [("tcp", "tcp", "0A"), ("tcp6", "tcp", "0A"), ("udp", "udp", "07"), ("udp6", "udp", "07")] {
        let path = ImagePath::new(format!("/proc/net/{name}"));
        let content = match running.read(&path) {
            Ok(content) => content,
            // Without version 6 there are no lists of it.
            Err(error) if error.is_absent() && name.ends_with('6') => continue,
            Err(error) => return Err(Unreadable::reading(&path, &error)),
        };
        for (line, text) in (1..).zip(String::from_utf8_lossy(&content).lines()) {
            let fields: Vec<&str> = text.split_ascii_whitespace().collect();
            let (Some(local), Some(&found)) = (fields.get(1), fields.get(3)) else { continue };
            let Some((address, port)) = local.split_once(':').filter(|_| found == state) else { continue };
            let (Some(address), Ok(port)) = (address_of(address), u16::from_str_radix(port, 16)) else { continue };
            if port != 0 && !is_loopback(address) {
                ports.known.push(Listener { protocol, port, version: version_of(address), path: path.clone(), line: Some(line) });
            }
        }
    }
    Ok(ports)
}

/// An address as the kernel writes it on the machines that karat runs on: words of 32 bits with the lowest byte first.
fn address_of(hex: &str) -> Option<IpAddr> {
    let mut bytes = Vec::new();
    for word in hex.as_bytes().chunks(8) {
        let word = std::str::from_utf8(word).ok().filter(|word| word.len() == 8)?;
        let word = u32::from_str_radix(word, 16).ok()?;
        bytes.extend(word.to_le_bytes());
    }
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes))),
        16 => <[u8; 16]>::try_from(bytes).ok().map(|bytes| IpAddr::V6(Ipv6Addr::from(bytes))),
        _ => None,
    }
}

fn is_loopback(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback(),
        IpAddr::V6(address) => address.is_loopback() || address.to_ipv4_mapped().is_some_and(|address| address.is_loopback()),
    }
}

/// A socket of `::` takes connections of version 4 too (`net.ipv6.bindv6only` is off where nobody turns it on).
fn version_of(address: IpAddr) -> Option<u8> {
    match address {
        IpAddr::V4(_) => Some(4),
        IpAddr::V6(address) if address.is_unspecified() => None,
        IpAddr::V6(address) => Some(if address.to_ipv4_mapped().is_some() { 4 } else { 6 }),
    }
}

fn configured(facts: &Facts<'_>) -> Fact<OpenPorts> {
    let mut ports = OpenPorts::default();
    let units = facts.units()?;
    if let Init::Other(what) = units.init {
        return Err(Unreadable::because(format!("the image boots with {what}, whose services are not known")));
    }
    for name in units.started_names() {
        let is_socket = name.ends_with(".socket");
        // A template is started under the name of an instance.
        if !(is_socket || name.ends_with(".service")) || name.contains("@.") {
            continue;
        }
        if !matches!(units.starts(name)?, Start::AtBoot(_)) || units.unmet_condition(name)?.is_some() {
            continue;
        }
        if is_socket {
            of_socket(units, name, &mut ports)?;
        } else if matches!(name, "ssh.service" | "sshd.service") {
            of_sshd(facts, &mut ports)?;
        } else if !is_silent(facts, units, name)? {
            ports.undecided.push(printable(name.as_bytes()));
        }
    }
    Ok(ports)
}

fn of_socket(units: &Units, name: &str, ports: &mut OpenPorts) -> Fact<()> {
    for (key, protocol) in [("ListenStream", "tcp"), ("ListenDatagram", "udp")] {
        for value in units.property(name, "Socket", key)? {
            let (address, port) = match value.text.rsplit_once(':') {
                Some((address, port)) => (Some(address.trim_matches(['[', ']'])), port),
                None => (None, value.text.as_str()),
            };
            // Paths, abstract names and other families have no number.
            let Ok(port) = port.parse() else { continue };
            let address = match address.map(str::parse::<IpAddr>) {
                Some(Ok(address)) => address,
                Some(Err(_)) => continue,
                None => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            };
            if !is_loopback(address) {
                let version = version_of(address);
                ports.known.push(Listener { protocol, port, version, path: value.path, line: Some(value.line) });
            }
        }
    }
    Ok(())
}

fn of_sshd(facts: &Facts<'_>, ports: &mut OpenPorts) -> Fact<()> {
    let sshd = facts.sshd()?;
    let setting = |name: &str| Keyword::named(name).map(|keyword| sshd.effective(keyword));
    let words = |setting: Option<&crate::facts::sshd::Setting>| -> Vec<String> {
        let text = setting.and_then(|setting| setting.value.as_ref()).map(|value| value.text.clone()).unwrap_or_default();
        text.split_ascii_whitespace().map(str::to_owned).collect()
    };
    let (port, address) = (setting("Port"), setting("ListenAddress"));
    let usual: Vec<u16> = words(port.as_ref()).iter().filter_map(|port| port.parse().ok()).collect();
    let place = port.as_ref().and_then(|setting| setting.place.clone());
    let (path, line) =
        place.map_or_else(|| (ImagePath::new("/etc/ssh/sshd_config"), None), |place| (place.path, Some(place.line)));
    let mut open = |port, version| {
        ports.known.push(Listener { protocol: "tcp", port, version, path: path.clone(), line });
    };
    let addresses = words(address.as_ref());
    for text in &addresses {
        let (address, port) = match (text.parse::<IpAddr>(), text.rsplit_once(':')) {
            (Ok(address), _) => (Some(address), None),
            (Err(_), Some((address, port))) => (address.trim_matches(['[', ']']).parse().ok(), port.parse().ok()),
            (Err(_), None) => (text.trim_matches(['[', ']']).parse().ok(), None),
        };
        if !address.is_some_and(is_loopback) {
            let version = address.and_then(version_of);
            port.map_or_else(|| usual.clone(), |port| vec![port]).into_iter().for_each(|port| open(port, version));
        }
    }
    if addresses.is_empty() {
        usual.iter().for_each(|&port| open(port, None));
    }
    Ok(())
}

/// Whether a service opens no port to the network.
fn is_silent(facts: &Facts<'_>, units: &Units, name: &str) -> Fact<bool> {
    let last = |key: &str| Ok::<_, Unreadable>(units.property(name, "Service", key)?.last().map(|value| value.text.clone()));
    // What has ended does not listen, and what has no network neither.
    if last("Type")?.as_deref() == Some("oneshot")
        || last("PrivateNetwork")?.is_some_and(|value| matches!(value.as_str(), "yes" | "true" | "1" | "on"))
    {
        return Ok(true);
    }
    let says = |patterns: &[&str], words: &[&str]| -> Fact<bool> {
        let mut found = false;
        for pattern in patterns {
            let paths = facts.root().glob(pattern).map_err(|error| Unreadable::reading(&ImagePath::new(pattern), &error))?;
            for path in paths {
                let content = super::read(facts.root(), &path)?.unwrap_or_default();
                let text = String::from_utf8_lossy(&content);
                let mut lines = text.lines().map(str::trim_start).filter(|line| !line.starts_with(['#', '!', ';', '%']));
                found |= lines.any(|line| words.iter().any(|word| line.contains(word)));
            }
        }
        Ok(found)
    };
    Ok(match name {
        // A client of time, unless it is told to serve some; its commands come over loopback.
        "chrony.service" | "chronyd.service" => !says(
            &["/etc/chrony.conf", "/etc/chrony/*.conf", "/etc/chrony/*.d/*", "/etc/chrony.d/*"],
            &["allow", "cmdallow", "bindcmdaddress"],
        )?,
        "rsyslog.service" => !says(
            &["/etc/rsyslog.conf", "/etc/rsyslog.d/*"],
            &["imtcp", "imudp", "imrelp", "imptcp", "imgssapi", "imhttp", "imdtls"],
        )?,
        // Built with LLMNR and mDNS off on Ubuntu; the stub listens on loopback.
        "systemd-resolved.service" => {
            facts.os()?.id == "ubuntu"
                && !says(
                    &["/etc/systemd/resolved.conf", "/etc/systemd/resolved.conf.d/*.conf"],
                    &["LLMNR=", "MulticastDNS=", "DNSStubListenerExtra="],
                )?
        }
        _ => {
            SILENT.iter().any(|beginning| name.starts_with(beginning))
                && !HEARD.iter().any(|beginning| name.starts_with(beginning))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_the_kernel_writes_them() {
        let parsed = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(address_of("0100007F"), Some(parsed("127.0.0.1")));
        assert_eq!(address_of("00000000000000000000000001000000"), Some(parsed("::1")));
        assert_eq!(address_of("0000000000000000FFFF00000100007F"), Some(parsed("::ffff:127.0.0.1")));
        assert_eq!(address_of("01"), None);
        assert!(
            is_loopback(parsed("::ffff:127.0.0.1"))
                && version_of(parsed("::")).is_none()
                && version_of(parsed("fe80::1")) == Some(6)
        );
    }
}
