//! Packet filters: what ufw, nftables, iptables and firewalld load at boot.
//!
//! Rules count where something loads them: what lies in a file that nothing reads lets every packet through. Neither `/proc` nor `/sys` shows the
//! rules of a running kernel, so that on a live machine too the configuration is judged.

mod firewalld;
mod in_use;
mod iptables;
mod loopback;
mod nftables;
mod open_ports;
mod ufw;

pub(super) use firewalld::{FirewalldSetting, FirewalldZones};
pub(super) use in_use::FirewallsInUse;
pub(super) use iptables::{IptablesPolicy, IptablesRules};
pub(super) use loopback::LoopbackTraffic;
pub(super) use nftables::{NftablesChains, NftablesTable};
pub(super) use open_ports::OpenPorts;
pub(super) use ufw::Ufw;

use crate::check::unknown;
use crate::facts::firewall::{Chains, Fate, Loader, Packets, Refusal, Saved, Way};
use crate::facts::{Firewall, Unreadable};
use crate::finding::{Evidence, Outcome};
use crate::path::ImagePath;

const TOO_MUCH: &str = "the chains lead to each other too deep or too often to be followed";
const ALL_PASS: &str = "let through with everything else, so that nothing is left to the policy";

/// A fact of the firewall, or the verdict where it is not known.
fn known<T>(fact: &Result<T, Unreadable>) -> Result<&T, Outcome> {
    fact.as_ref().map_err(unknown)
}

/// That a unit loads its rules at boot; otherwise the failure.
fn started(loader: &Loader) -> Result<(), Outcome> {
    if loader.starts {
        return Ok(());
    }
    let place = Evidence::at(&loader.path).line_opt(loader.line).found("not started at boot");
    Err(Outcome::fail(vec![place.expected(format!("{} started, which loads the rules", loader.unit))]))
}

/// The verdict where a script of nft loads nothing.
fn refusal(refusal: &Refusal) -> Outcome {
    let place = Evidence::at(&refusal.path).line_opt(refusal.line).found(&refusal.reason);
    if refusal.refused {
        Outcome::fail(vec![place.expected("a script that nft loads").because("nft loads nothing of a script that it refuses")])
    } else {
        Outcome::unknown(format!("{}: {}", refusal.path, refusal.reason), vec![place])
    }
}

/// The saved rules of a version of the Internet Protocol: 4 or 6.
fn saved(firewall: &Firewall, version: u8) -> Result<&Saved, Outcome> {
    known(if version == 6 { &firewall.ip6tables } else { &firewall.iptables })
}

/// That version 6 is off, so that nothing has to be filtered.
fn ipv6_is_off(firewall: &Firewall) -> Result<Option<Outcome>, Outcome> {
    let off = known(&firewall.ipv6_off)?.as_ref();
    Ok(off.map(|(path, line)| {
        Outcome::pass(vec![Evidence::at(path).line_opt(*line).found("version 6 of the Internet Protocol is off")])
    }))
}

/// The table `filter` of saved rules that are loaded; otherwise the failure.
fn loaded(saved: &Saved) -> Result<&crate::syntax::iptables::Table, Outcome> {
    let place = || Evidence::at(&saved.path);
    if let Some(flaw) = saved.flaw.as_ref().filter(|flaw| !flaw.refused) {
        let evidence = place().line(flaw.line).found(flaw.reason);
        return Err(Outcome::unknown(format!("{}:{}: {}", saved.path, flaw.line, flaw.reason), vec![evidence]));
    }
    if !saved.there {
        return Err(Outcome::fail(vec![place().found("does not exist").expected("saved rules of the table filter")]));
    }
    started(&saved.loader)?;
    match (&saved.filter, &saved.flaw) {
        (Some(filter), _) => Ok(filter),
        (None, Some(flaw)) => {
            Err(Outcome::fail(vec![place().line(flaw.line).found(flaw.reason).expected("rules that iptables-restore loads")]))
        }
        (None, None) => Err(Outcome::fail(vec![place().found("no table filter").expected("rules of the table filter")])),
    }
}

/// What becomes, in a chain at a hook, of new connections that no narrower rule meets: a rule that lets them all through leaves nothing to the policy.
fn of_others<'r>(chains: &Chains<'r>, chain: &str, hook: &str, version: u8) -> Fate<'r> {
    let way = match hook.to_ascii_lowercase().as_str() {
        "forward" => Way::Through,
        "output" | "postrouting" => Way::ToOutside,
        _ => Way::FromOutside,
    };
    Packets { version, way, from_loopback: false, others: true }.through(chains, chain)
}

/// The verdict of either end.
fn either(result: Result<Outcome, Outcome>) -> Outcome {
    result.unwrap_or_else(|outcome| outcome)
}

/// Where the settings of ufw lie.
fn ufw_place(name: &str) -> ImagePath {
    ImagePath::new(if name == "ENABLED" { "/etc/ufw/ufw.conf" } else { "/etc/default/ufw" })
}
