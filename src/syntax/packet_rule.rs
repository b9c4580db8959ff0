//! What a rule of a packet filter asks of a packet and does with it, in whatever language it is written.
//!
//! Only what is asked of interfaces, source addresses, protocols, ports and new connections is kept apart; everything else makes a rule [narrower](PacketRule::narrowed).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PacketRule {
    /// The file, by its number in the order of reading, from 0.
    pub file: usize,
    /// The line, from 1.
    pub line: u32,
    /// The interfaces through which a packet comes in.
    pub input: Option<Interfaces>,
    /// Those through which it goes out.
    pub output: Option<Interfaces>,
    /// Where it comes from.
    pub source: Option<Addresses>,
    /// The ports it goes to.
    pub ports: Option<Ports>,
    /// Which protocols and ports are meant, where any are asked for.
    pub traffic: Option<Traffic>,
    /// Whether something else than interfaces, source and states is asked as well: protocols and ports, or [beyond](Self::beyond) them.
    pub narrowed: bool,
    /// Whether something is asked that [`traffic`](Self::traffic) does not tell either.
    pub beyond: bool,
    /// Whether new connections are among the states of connections that are asked for, where states are.
    pub new_connections: Option<bool>,
    /// The version of the Internet Protocol, where only one is meant: 4 or 6.
    pub version: Option<u8>,
    /// What is done with it.
    pub action: Action,
}

impl PacketRule {
    /// Asks for protocols and ports on top of what is asked already.
    pub fn meet(&mut self, traffic: Traffic) {
        self.narrowed = true;
        let before = self.traffic.take().unwrap_or_else(Traffic::all);
        let ranges = if traffic.is_whole() {
            before.ranges
        } else if before.is_whole() {
            traffic.ranges
        } else {
            self.beyond = true;
            Vec::new()
        };
        self.traffic = Some(Traffic { tcp: before.tcp && traffic.tcp, udp: before.udp && traffic.udp, ranges });
    }
}

/// What a rule asks of the protocol and the port that a packet goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traffic {
    /// Whether TCP is meant.
    pub tcp: bool,
    /// Whether UDP is.
    pub udp: bool,
    /// First and last of each range of ports.
    pub ranges: Vec<(u16, u16)>,
}

impl Traffic {
    const WHOLE: (u16, u16) = (0, u16::MAX);

    /// All of both.
    #[must_use]
    pub fn all() -> Self {
        Self { tcp: true, udp: true, ranges: vec![Self::WHOLE] }
    }

    /// These ports, or all others, of a protocol by its name or number: `tcp`, `udp`, `th` (either), `all`.
    #[must_use]
    pub fn of(protocol: &str, except: bool, ranges: &[(u16, u16)]) -> Self {
        let either = matches!(protocol, "" | "th" | "all" | "0");
        let ranges = if except { others(ranges) } else { ranges.to_vec() };
        Self { tcp: either || matches!(protocol, "tcp" | "6"), udp: either || matches!(protocol, "udp" | "17"), ranges }
    }

    /// All ports of these protocols, or of all others: names, numbers, ranges of numbers.
    #[must_use]
    pub fn protocols<'p>(names: &(impl Iterator<Item = &'p str> + Clone), except: bool) -> Self {
        let meant = |own: &str, number: u16| {
            let mut names = names.clone();
            let is_own = |name: &str| {
                name.eq_ignore_ascii_case(own) || Ports::range(name).is_some_and(|(first, last)| (first..=last).contains(&number))
            };
            names.any(is_own) != except
        };
        Self { tcp: meant("tcp", 6), udp: meant("udp", 17), ranges: vec![Self::WHOLE] }
    }

    /// Whether every port but 0 is meant, which nothing listens at.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        others(&self.ranges).iter().all(|&(_, last)| last == 0)
    }
}

/// The ports in none of these ranges.
fn others(ranges: &[(u16, u16)]) -> Vec<(u16, u16)> {
    let mut sorted: Vec<_> = ranges.iter().copied().filter(|(first, last)| first <= last).collect();
    sorted.sort_unstable();
    let mut left = Vec::new();
    let mut next: u32 = 0;
    for (first, last) in sorted.into_iter().map(|(first, last)| (u32::from(first), u32::from(last))) {
        if first > next {
            left.push((next, first - 1));
        }
        next = next.max(last + 1);
    }
    if u16::try_from(next).is_ok() {
        left.push((next, u32::from(u16::MAX)));
    }
    let port = |port: u32| u16::try_from(port).unwrap_or(u16::MAX);
    left.into_iter().map(|(first, last)| (port(first), port(last))).collect()
}

/// What is done with a packet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Action {
    /// The next rule looks at it (a rule that counts or writes to the log).
    #[default]
    Continue,
    /// Let through.
    Accept,
    /// Thrown away, with or without an answer.
    Drop,
    /// The rules of another chain, and then those after this one.
    Jump(String),
    /// The rules of another chain, and then those after the one that came here.
    Goto(String),
    /// Back to the chain that came here.
    Return,
}

/// Names of interfaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interfaces {
    /// Whether these are the ones that are *not* meant.
    pub except: bool,
    /// The names.
    pub names: Vec<InterfaceName>,
}

/// A name of an interface, or what names begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceName {
    /// The name, or its beginning.
    pub text: String,
    /// Whether it is the beginning of names.
    pub prefix: bool,
}

impl InterfaceName {
    /// A name whose last character may stand for any further ones: `+` in iptables, `*` in nftables.
    #[must_use]
    pub fn new(text: &str, any: char) -> Self {
        match text.strip_suffix(any) {
            Some(text) => Self { text: text.to_owned(), prefix: true },
            None => Self { text: text.to_owned(), prefix: false },
        }
    }

    /// Whether a name fits.
    #[must_use]
    pub fn fits(&self, name: &str) -> bool {
        if self.prefix { name.starts_with(&self.text) } else { name == self.text }
    }
}

/// Networks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// Whether these are the ones that are *not* meant.
    pub except: bool,
    /// The networks.
    pub networks: Vec<Network>,
}

/// A network: an address and how many of its bits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// The address; its bits beyond the length do not count.
    pub address: IpAddr,
    /// The length.
    pub length: u8,
}

impl Network {
    /// The addresses of the machine itself, of version 4 (`127.0.0.0/8`) or 6 (`::1`).
    pub const LOOPBACK: [Self; 2] = [
        Self { address: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), length: 8 },
        Self { address: IpAddr::V6(Ipv6Addr::LOCALHOST), length: 128 },
    ];

    /// `127.0.0.0/8`, `10.0.0.0/255.0.0.0`, `::1`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            None => most,
            Some(length) => length.parse().ok().or_else(|| mask(length))?,
        };
        (length <= most).then_some(Self { address, length })
    }

    /// Whether every address of the other one is in this one.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.length <= other.length && self.same_beginning(other)
    }

    /// Whether some address is in both.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        self.same_beginning(other)
    }

    fn same_beginning(&self, other: &Self) -> bool {
        let (width, own, others) = match (self.address, other.address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => (32, u128::from(u32::from(own)), u128::from(u32::from(other))),
            (IpAddr::V6(own), IpAddr::V6(other)) => (128, u128::from(own), u128::from(other)),
            _ => return false,
        };
        let bits = u32::from(self.length.min(other.length));
        bits == 0 || (own ^ others) >> (width - bits) == 0
    }
}

/// The length of a mask such as `255.255.0.0`; nothing where it has holes.
fn mask(text: &str) -> Option<u8> {
    let bits = u32::from(text.parse::<Ipv4Addr>().ok()?);
    let length = bits.leading_ones();
    (bits.count_ones() == length).then(|| u8::try_from(length).ok()).flatten()
}

/// Ports, of one protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ports {
    /// `tcp`, `udp` or another; empty for any.
    pub protocol: String,
    /// First and last of each range.
    pub ranges: Vec<(u16, u16)>,
}

impl Ports {
    /// `22`, `6000:6007` (iptables), `6000-6007` (nftables).
    #[must_use]
    pub fn range(text: &str) -> Option<(u16, u16)> {
        let (first, last) = text.split_once([':', '-']).unwrap_or((text, text));
        let end = |text: &str, default| if text.is_empty() { Some(default) } else { text.parse().ok() };
        Some((end(first, 0)?, end(last, u16::MAX)?))
    }

    /// Whether a port is one of them.
    #[must_use]
    pub fn include(&self, protocol: &str, port: u16) -> bool {
        (self.protocol.is_empty() || self.protocol == protocol)
            && self.ranges.iter().any(|&(first, last)| (first..=last).contains(&port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        Network::parse(text).unwrap()
    }

    #[test]
    fn networks_cover_and_meet_whatever_their_host_bits_are() {
        let [own, own6] = Network::LOOPBACK;
        assert!(
            network("127.0.0.1/8").covers(&own) && network("0.0.0.0/0").covers(&own) && network("127.0.0.0/255.0.0.0") == own
        );
        assert!(!network("127.0.0.1").covers(&own) && network("127.0.0.1").meets(&own));
        assert!(!network("10.0.0.0/8").meets(&own) && network("::/0").covers(&own6) && !network("::/0").covers(&own));
        assert!(Network::parse("1.2.3.4/33").is_none() && Network::parse("1.2.3.4/255.0.255.0").is_none());
    }

    #[test]
    fn all_ports_but_zero_are_all_of_them() {
        assert!(Traffic::of("tcp", false, &[(1, 1000), (900, 65_535)]).is_whole());
        assert!(Traffic::of("tcp", true, &[]).is_whole() && !Traffic::of("tcp", true, &[(22, 22)]).is_whole());
        assert!(!Traffic::of("tcp", false, &[(1, 65_534)]).is_whole());
        let found = Traffic::protocols(&["icmp", "0-10"].into_iter(), false);
        assert!(found.tcp && !found.udp);
        let found = Traffic::protocols(&["icmp"].into_iter(), true);
        assert!(found.tcp && found.udp);
    }

    #[test]
    fn ports_and_names() {
        let ports = Ports { protocol: "tcp".into(), ranges: vec![Ports::range("22").unwrap(), Ports::range("6000:").unwrap()] };
        assert!(
            ports.include("tcp", 22) && ports.include("tcp", 65535) && !ports.include("udp", 22) && !ports.include("tcp", 23)
        );
        assert!(InterfaceName::new("l+", '+').fits("lo") && !InterfaceName::new("l", '+').fits("lo"));
    }
}
