//! Whether the rules of a chain let in so much that its policy is left with little: all protocols and ports, by one rule or by many.
//!
//! `tcp dport 1-65535 accept`, `meta l4proto { tcp, udp } accept` or two halves of the ports do what a plain `accept` does. What is counted is
//! which ports of TCP and UDP are let through for everybody, by rules that ask for nothing but protocols, ports and new connections; a port
//! that an earlier rule throws away stays closed.

use super::walk::{Chains, Packets};
use crate::syntax::packet_rule::{Action, PacketRule, Traffic};

/// Ports of a protocol that may be let through for everybody: beyond a half of them the rules are a list of what is kept out, and the policy is none.
const MOST: u32 = 32_768;

/// As in the walk for plain verdicts.
const MAX_DEPTH: usize = 16;

/// Rules and ranges looked at; each costs some microseconds at most.
const MAX_STEPS: usize = 100_000;

const WORDS: usize = 1024;

/// Ports of TCP and of UDP, a bit each.
#[derive(Clone)]
struct Ports([Vec<u64>; 2]);

impl Ports {
    fn none() -> Self {
        Self([vec![0; WORDS], vec![0; WORDS]])
    }

    fn of(traffic: &Traffic) -> Self {
        let mut ports = Self::none();
        for (own, words) in [traffic.tcp, traffic.udp].into_iter().zip(&mut ports.0) {
            for &(first, last) in traffic.ranges.iter().filter(|_| own) {
                let (first, last) = (usize::from(first), usize::from(last));
                for (at, word) in words.iter_mut().enumerate().take(last / 64 + 1).skip(first / 64) {
                    let from = if at == first / 64 { u64::MAX << (first % 64) } else { u64::MAX };
                    let to = if at == last / 64 { u64::MAX >> (63 - last % 64) } else { u64::MAX };
                    *word |= from & to;
                }
            }
        }
        ports
    }

    fn change(&mut self, other: &Self, how: impl Fn(u64, u64) -> u64) {
        for (own, other) in self.0.iter_mut().zip(&other.0) {
            own.iter_mut().zip(other).for_each(|(own, other)| *own = how(*own, *other));
        }
    }

    fn add(&mut self, other: &Self) {
        self.change(other, |own, other| own | other);
    }

    fn only(&mut self, other: &Self) {
        self.change(other, |own, other| own & other);
    }

    fn without(&mut self, other: &Self) {
        self.change(other, |own, other| own & !other);
    }

    fn most(&self) -> bool {
        self.0.iter().any(|words| words.iter().map(|word| word.count_ones()).sum::<u32>() > MOST)
    }
}

struct Walk<'a, 'r> {
    packets: Packets,
    chains: &'a Chains<'r>,
    opened: Ports,
    decided: Ports,
    steps: usize,
}

/// The rule with which most ports are open; nothing where they stay closed.
///
/// # Errors
/// The chains are too deep or too many to be followed.
pub(super) fn opened<'r>(packets: Packets, chains: &Chains<'r>, chain: &str) -> Result<Option<&'r PacketRule>, ()> {
    let mut walk = Walk { packets, chains, opened: Ports::none(), decided: Ports::none(), steps: 0 };
    walk.chain(chain, Ports::of(&Traffic::all()), MAX_DEPTH)
}

impl<'r> Walk<'_, 'r> {
    /// `coming`: what gets here.
    fn chain(&mut self, chain: &str, mut coming: Ports, depth: usize) -> Result<Option<&'r PacketRule>, ()> {
        for rule in self.chains.get(chain).copied().unwrap_or_default() {
            self.steps += 1 + rule.traffic.as_ref().map_or(0, |traffic| traffic.ranges.len());
            if self.steps > MAX_STEPS {
                return Err(());
            }
            if rule.beyond || rule.action == Action::Continue || !self.packets.meets(rule) {
                continue;
            }
            let mut met = rule.traffic.as_ref().map_or_else(|| coming.clone(), Ports::of);
            met.only(&coming);
            met.without(&self.decided);
            match &rule.action {
                Action::Accept => {
                    self.opened.add(&met);
                    self.decided.add(&met);
                    if self.opened.most() {
                        return Ok(Some(rule));
                    }
                }
                Action::Drop => self.decided.add(&met),
                Action::Return => coming.without(&met),
                Action::Jump(next) | Action::Goto(next) => {
                    let found = self.chain(next, met.clone(), depth.checked_sub(1).ok_or(())?)?;
                    if found.is_some() {
                        return Ok(found);
                    }
                    if matches!(rule.action, Action::Goto(_)) {
                        coming.without(&met);
                    }
                }
                Action::Continue => {}
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::super::walk::{Fate, Way};
    use super::*;
    use crate::syntax::nftables::{Ruleset, tokens};

    fn line(rules: &str) -> Option<u32> {
        let text = format!("table inet f {{\n chain c {{\n{rules}\n }}\n chain d {{\n accept\n }}\n}}\n");
        let ruleset = Ruleset::run(tokens(text.as_bytes(), 0).unwrap()).unwrap();
        let table = ruleset.tables.values().next().unwrap();
        let chains: Chains<'_> = table.chains.iter().map(|(name, chain)| (name.as_str(), chain.rules.as_slice())).collect();
        let packets = Packets { version: 4, way: Way::FromOutside, from_loopback: false, others: true };
        match packets.through(&chains, "c") {
            Fate::Accepted(rule) => Some(rule.line.saturating_sub(2)),
            _ => None,
        }
    }

    #[test]
    fn what_lets_all_of_a_protocol_in() {
        for rules in [
            "meta l4proto { tcp, udp, icmp } accept",
            "meta l4proto != icmp accept",
            "ip protocol tcp accept",
            "tcp dport 0-65535 accept",
            "tcp dport 1-65535 ct state new accept",
            "tcp dport != 22 accept",
            "tcp dport { 22, 1024-65535 } accept",
            "udp dport > 0 accept",
            "th dport 1-65535 counter accept",
            "meta l4proto tcp jump d",
            "meta l4proto vmap { icmp : drop, tcp : goto d }",
            "tcp dport vmap { 22 : drop, * : accept }",
        ] {
            assert!(line(rules).is_some(), "{rules}");
        }
        assert_eq!(line("tcp dport 1-30000 accept\ntcp dport 30001-65535 accept"), Some(2));
    }

    #[test]
    fn what_lets_some_in() {
        for rules in [
            "tcp dport { 22, 80, 443, 8000-9000 } accept",
            "ct state established,related accept",
            "meta l4proto tcp ct state established accept",
            "ip saddr 10.0.0.0/8 tcp dport 1-65535 accept",
            "iifname \"eth1\" meta l4proto tcp accept",
            "icmp type echo-request accept",
            "meta l4proto icmp accept",
            "tcp dport 1-65535 drop\ntcp dport 1-65535 accept",
            "tcp dport 1-65535 limit rate 3/second accept",
            "tcp dport vmap { 22 : jump d, 80 : accept }",
            "udp dport 33434-33523 accept",
        ] {
            assert_eq!(line(rules), None, "{rules}");
        }
    }
}
