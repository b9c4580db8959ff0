//! What becomes of a kind of packet on its way through a chain.
//!
//! A rule fits every packet of a kind, some of them, or none. What only some of them meet (established connections, one port, a limited
//! rate) is passed over: the question is what becomes of the others.

use std::collections::BTreeMap;

use crate::syntax::packet_rule::{Action, Addresses, Interfaces, Network, PacketRule};

/// Chains that lead to chains that lead to chains: the kernel allows 16 (`NFT_JUMP_STACK_SIZE`).
const MAX_DEPTH: usize = 16;

/// Rules looked at for one question: a chain may be led to from many places.
const MAX_STEPS: usize = 1_000_000;

/// The chains by name.
pub type Chains<'c> = BTreeMap<&'c str, &'c [PacketRule]>;

/// Packets that a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packets {
    /// The version of the Internet Protocol: 4 or 6.
    pub version: u8,
    /// The way they go, and through which interface.
    pub way: Way,
    /// Whether their source is an address of the machine itself (`127.0.0.0/8`, `::1`); otherwise any address.
    pub from_loopback: bool,
    /// Whether it is about those of new connections that no narrower rule meets, wherever such a rule leads the ones it meets; otherwise
    /// about all of them.
    pub others: bool,
}

/// The way of packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Arriving through the loopback interface.
    FromLoopback,
    /// Arriving through any other one.
    FromOutside,
    /// Leaving through the loopback interface.
    ToLoopback,
    /// Leaving through any other one.
    ToOutside,
    /// Passing through, neither from nor to the loopback interface.
    Through,
}

/// What became of all of them, and by which rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate<'r> {
    /// Let through by a rule.
    Accepted(&'r PacketRule),
    /// Thrown away by a rule.
    Dropped(&'r PacketRule),
    /// No rule decides.
    Undecided,
    /// The chains are too deep or too many to be followed.
    TooMuch,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    None,
    Some,
    All,
}

impl Packets {
    fn fit(self, rule: &PacketRule) -> Fit {
        if rule.version.is_some_and(|version| version != self.version) {
            return Fit::None;
        }
        let narrowed = if rule.narrowed { Fit::Some } else { Fit::All };
        let states = match rule.new_connections {
            None => Fit::All,
            Some(new) if self.others => {
                if new {
                    Fit::All
                } else {
                    Fit::None
                }
            }
            Some(_) => Fit::Some,
        };
        let fit = narrowed.min(states).min(self.fit_interfaces(rule)).min(self.fit_source(rule.source.as_ref()));
        if self.others && fit == Fit::Some { Fit::None } else { fit }
    }

    fn fit_interfaces(self, rule: &PacketRule) -> Fit {
        let (own, other) = match self.way {
            Way::FromLoopback | Way::FromOutside => (&rule.input, &rule.output),
            Way::ToLoopback | Way::ToOutside => (&rule.output, &rule.input),
            Way::Through => {
                let fit = |asked: &Option<Interfaces>| asked.as_ref().map_or(Fit::All, |asked| self.fit_own(asked));
                return fit(&rule.input).min(fit(&rule.output));
            }
        };
        // A packet that arrives has no interface to leave by yet, and the other way round: no name fits, and any exception does.
        let other = other.as_ref().map_or(Fit::All, |asked| if asked.except { Fit::All } else { Fit::None });
        let own = own.as_ref().map_or(Fit::All, |asked| self.fit_own(asked));
        own.min(other)
    }

    fn fit_own(self, asked: &Interfaces) -> Fit {
        let names_loopback = asked.names.iter().any(|name| name.fits("lo"));
        if matches!(self.way, Way::FromLoopback | Way::ToLoopback) {
            return if names_loopback == asked.except { Fit::None } else { Fit::All };
        }
        let any = asked.names.iter().any(|name| name.prefix && name.text.is_empty());
        let only_loopback = asked.names.iter().all(|name| !name.prefix && name.text == "lo");
        match (any, only_loopback, asked.except) {
            (true, _, false) | (_, true, true) => Fit::All,
            (true, _, true) | (_, true, false) => Fit::None,
            _ => Fit::Some,
        }
    }

    fn fit_source(self, asked: Option<&Addresses>) -> Fit {
        let Some(asked) = asked else { return Fit::All };
        let whole = |network: &Network| network.length == 0 && network.address.is_ipv4() == (self.version == 4);
        let (covered, met) = if self.from_loopback {
            let [own4, own6] = Network::LOOPBACK;
            let own = if self.version == 4 { own4 } else { own6 };
            (asked.networks.iter().any(|one| one.covers(&own)), asked.networks.iter().any(|one| one.meets(&own)))
        } else {
            (asked.networks.iter().any(whole), true)
        };
        match (covered, met, asked.except) {
            (true, _, false) | (_, false, true) => Fit::All,
            (true, _, true) | (_, false, false) => Fit::None,
            _ => Fit::Some,
        }
    }

    /// Follows these packets through a chain. Of those that come from outside and that no narrower rule meets it is also asked whether rules
    /// for protocols and ports let most of them in: they are accepted then.
    #[must_use]
    pub fn through<'r>(self, chains: &Chains<'r>, chain: &str) -> Fate<'r> {
        let mut steps = 0;
        let fate = match self.walk(chains, chain, true, MAX_DEPTH, &mut steps) {
            Step::Decided(fate) => fate,
            Step::Returned => Fate::Undecided,
        };
        if !self.others
            || !matches!(self.way, Way::FromOutside | Way::Through)
            || matches!(fate, Fate::Accepted(_) | Fate::TooMuch)
        {
            return fate;
        }
        match super::opened::opened(self, chains, chain) {
            Ok(Some(rule)) => Fate::Accepted(rule),
            Ok(None) => fate,
            Err(()) => Fate::TooMuch,
        }
    }

    /// Whether a rule meets all of these packets but for what it asks of protocols and ports.
    pub(super) fn meets(self, rule: &PacketRule) -> bool {
        rule.version.is_none_or(|version| version == self.version)
            && rule.new_connections != Some(false)
            && self.fit_interfaces(rule) == Fit::All
            && self.fit_source(rule.source.as_ref()) == Fit::All
    }

    /// `certain`: whether all of the packets come here.
    fn walk<'r>(self, chains: &Chains<'r>, chain: &str, certain: bool, depth: usize, steps: &mut usize) -> Step<'r> {
        let mut certain = certain;
        for rule in chains.get(chain).copied().unwrap_or_default() {
            *steps += 1;
            if *steps > MAX_STEPS {
                return Step::Decided(Fate::TooMuch);
            }
            let fit = self.fit(rule);
            if fit == Fit::None {
                continue;
            }
            let all = certain && fit == Fit::All;
            match &rule.action {
                Action::Accept if all => return Step::Decided(Fate::Accepted(rule)),
                Action::Drop if all => return Step::Decided(Fate::Dropped(rule)),
                Action::Accept | Action::Drop | Action::Continue => {}
                Action::Return if fit == Fit::All => return Step::Returned,
                // Some are gone from here; for those that are left nothing is certain any more.
                Action::Return => certain = false,
                Action::Jump(next) | Action::Goto(next) => {
                    let Some(depth) = depth.checked_sub(1) else { return Step::Decided(Fate::TooMuch) };
                    match self.walk(chains, next, all, depth, steps) {
                        decided @ Step::Decided(_) => return decided,
                        Step::Returned => {}
                    }
                    if matches!(rule.action, Action::Goto(_)) {
                        if fit == Fit::All {
                            return Step::Returned;
                        }
                        certain = false;
                    }
                }
            }
        }
        Step::Returned
    }
}

/// Where a chain leads.
enum Step<'r> {
    Decided(Fate<'r>),
    Returned,
}
