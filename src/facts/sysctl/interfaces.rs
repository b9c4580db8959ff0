//! Parameters that every network interface has of its own: `net/ipv4/conf` and `net/ipv6/conf`.
//!
//! An interface starts from `default` and then gets its own lines and those of patterns that fit: at boot if it is there by then, and from
//! udev when it appears (`99-systemd.rules` runs `systemd-sysctl --prefix=/net/ipv4/conf/NAME`). So a line for an interface holds, even where a
//! later one for all sets all interfaces that are there.

use super::kernel::{Combination, FORWARD, combination, default_of, number_of};
use super::{Setting, Sysctl};
use crate::syntax::{sysctl::matches, wildcard};

/// A parameter of `net/ipv?/conf`, by the parts of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scoped<'a> {
    net: &'a [u8],
    conf: &'a [u8],
    /// `ipv4` or `ipv6`.
    pub family: &'a [u8],
    /// `all`, `default` or an interface.
    pub scope: &'a [u8],
    /// What is set.
    pub parameter: &'a [u8],
}

impl<'a> Scoped<'a> {
    /// The parts of a parameter's path below `/proc/sys`, or of a pattern; nothing if it has others. `net/ipv4/ip_forward` is
    /// `net/ipv4/conf/all/forwarding`.
    #[must_use]
    pub fn of(key: &'a [u8]) -> Option<Self> {
        let key = if FORWARD.contains(&key) { FORWARD[1] } else { key };
        let mut parts = key.split(|&byte| byte == b'/');
        let [net, family, conf, scope, parameter] = [parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?];
        let found = Self { net, conf, family, scope, parameter };
        (parts.next().is_none() && found.is_of_conf()).then_some(found)
    }

    /// Whether this is, or as a pattern could be, below `net/ipv4/conf` or `net/ipv6/conf`.
    pub(super) fn is_of_conf(&self) -> bool {
        matches(self.net, b"net")
            && matches(self.conf, b"conf")
            && [b"ipv4", b"ipv6"].iter().any(|name| matches(self.family, *name))
    }

    /// The same parameter in another scope.
    #[must_use]
    pub fn in_scope(&self, scope: &[u8]) -> Vec<u8> {
        [self.net, self.family, self.conf, scope, self.parameter].join(&b'/')
    }

    /// The parameter that has its say in what this one comes to on an interface: whether it routes decides which redirects are taken
    /// (`IN_DEV_RX_REDIRECTS`), and `force_forwarding` lets an IPv6 interface forward whatever holds for all (`ip6_forward()`, from Linux 6.17).
    #[must_use]
    pub fn companion(&self) -> Option<Scoped<'static>> {
        match (self.family, self.parameter) {
            (b"ipv4", b"accept_redirects") => Scoped::of(b"net/ipv4/conf/all/forwarding"),
            (b"ipv6", b"forwarding") => Scoped::of(b"net/ipv6/conf/all/force_forwarding"),
            _ => None,
        }
    }
}

/// What an interface, or all that a pattern fits, comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnInterface {
    /// The line that makes it so.
    pub setting: Setting,
    /// What holds for the interface, once combined with what is set for all.
    pub value: i64,
    /// Whether this can only be stricter than what is set for all, and so undoes nothing.
    pub only_adds: bool,
}

impl Sysctl {
    /// What single interfaces come to where they do not just follow `key`, which is a parameter for `all` or `default`: by their name, by a
    /// pattern that fits names still to come, or (beside `all`) because new ones start from `default`.
    #[must_use]
    pub fn interfaces(&self, key: &[u8]) -> Vec<OnInterface> {
        let Some(parameter) = Scoped::of(key).filter(|found| matches!(found.scope, b"all" | b"default")) else {
            return Vec::new();
        };
        let all = self.number(&parameter.in_scope(b"all")).unwrap_or_default();
        let mut found = Vec::new();
        for setting in self.own_lines(&parameter) {
            let Some(own) = number_of(&setting.value) else { continue };
            let routes = parameter.companion().is_some_and(|beside| beside.family == b"ipv4" && self.routes(&setting));
            let combination = combination(key, routes);
            found.push(OnInterface { setting, value: combination.of(all, own), only_adds: combination.only_adds() });
        }
        if parameter.scope == b"all"
            && let Some(forced) = parameter.companion().filter(|beside| beside.family == b"ipv6")
        {
            found.extend(self.forced(&parameter, &forced, all));
        }
        found
    }

    /// Lines for interfaces, and what new ones start from if no pattern gives any name something else.
    fn own_lines(&self, parameter: &Scoped<'_>) -> Vec<Setting> {
        let mut lines: Vec<Setting> = self.layers.iter().flat_map(|layer| layer.of_interfaces(parameter)).collect();
        let is_any = |line: &Setting| Scoped::of(line.key.as_bytes()).is_some_and(|line| line.scope == b"*");
        if parameter.scope == b"all" && !lines.iter().any(is_any) {
            // One that only follows what is set for all says nothing of its own.
            let default = self.configured(&parameter.in_scope(b"default")).ok().flatten();
            lines.extend(default.filter(|line| line.along_with.is_none()));
        }
        lines
    }

    /// Lines that let interfaces forward IPv6 whatever holds for all. `conf/all/forwarding = 0` takes them back from `all` and from interfaces
    /// that are there, not from `default` (`addrconf_fixup_forwarding()`).
    fn forced(&self, parameter: &Scoped<'_>, forced: &Scoped<'_>, all: i64) -> Vec<OnInterface> {
        let stop = self.written(&parameter.in_scope(b"all")).ok().flatten();
        let for_all = self.written(&forced.in_scope(b"all")).ok().flatten();
        let is_later = |line: &Setting| stop.as_ref().is_none_or(|stop| stop.order < line.order);
        let mut lines = self.own_lines(forced);
        lines.extend(for_all.filter(is_later));
        let value = |line: &Setting| number_of(&line.value).map(|own| Combination::Or.of(all, own));
        lines.into_iter().filter_map(|setting| Some(OnInterface { value: value(&setting)?, setting, only_adds: false })).collect()
    }

    fn number(&self, key: &[u8]) -> Option<i64> {
        let setting = self.configured(key).ok().flatten();
        number_of(setting.as_ref().map(|setting| setting.value.as_str()).or(default_of(key))?)
    }

    /// Whether what a line is for routes IPv4 for certain.
    fn routes(&self, line: &Setting) -> bool {
        let Some((forwarding, own)) = Scoped::of(FORWARD[1]).zip(Scoped::of(line.key.as_bytes())) else { return false };
        let overlaps = |other: &[u8]| wildcard::matches(other, own.scope) || wildcard::matches(own.scope, other);
        let mut is_named = false;
        for line in self.layers.iter().flat_map(|layer| layer.of_interfaces(&forwarding)) {
            let Some(other) = Scoped::of(line.key.as_bytes()).filter(|other| overlaps(other.scope)) else { continue };
            if number_of(&line.value).unwrap_or_default() == 0 {
                return false;
            }
            is_named |= other.scope == own.scope;
        }
        let is_on = |scope: &[u8]| self.number(&forwarding.in_scope(scope)).is_some_and(|value| value != 0);
        is_named || (is_on(b"all") && is_on(b"default"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Layer;
    use super::*;
    use crate::path::ImagePath;

    fn found(text: &str, key: &str) -> Vec<(String, u32, i64)> {
        let mut layer = Layer::new("systemd-sysctl", 0);
        layer.add(&ImagePath::new("/f"), &Ok(text.as_bytes().to_vec()));
        let sysctl = Sysctl { layers: vec![layer], ..Sysctl::default() };
        let show = |found: OnInterface| (found.setting.key, found.setting.line, found.value);
        sysctl.interfaces(key.as_bytes()).into_iter().filter(|found| !found.only_adds).map(show).collect()
    }

    fn at(key: &str, line: u32, value: i64) -> (String, u32, i64) {
        (key.into(), line, value)
    }

    #[test]
    fn writing_what_is_there_already_sets_no_interface_back() {
        let text = "net.ipv4.conf.default.forwarding=1\nnet.ipv4.ip_forward=0\n";
        assert_eq!(found(text, "net/ipv4/ip_forward"), [at("net/ipv4/conf/default/forwarding", 1, 1)]);
    }

    #[test]
    fn an_interface_forwards_whenever_its_line_is_written() {
        let line = at("net/ipv4/conf/eth0/forwarding", 1, 1);
        assert_eq!(found("net.ipv4.conf.eth0.forwarding=1\nnet.ipv4.ip_forward=0\n", "net/ipv4/ip_forward"), [line]);
        let line = at("net/ipv6/conf/eth0/forwarding", 1, 1);
        let text = "net.ipv6.conf.eth0.forwarding=1\nnet.ipv6.conf.all.forwarding=0\n";
        assert_eq!(found(text, "net/ipv6/conf/all/forwarding"), [line]);
    }

    #[test]
    fn a_pattern_for_any_name_leaves_nothing_of_the_default() {
        let text = "net.ipv4.conf.default.forwarding=1\nnet.ipv4.conf.*.forwarding=0\n";
        assert_eq!(found(text, "net/ipv4/ip_forward"), [at("net/ipv4/conf/*/forwarding", 2, 0)]);
    }

    #[test]
    fn what_new_interfaces_start_from_undoes_what_is_set_for_all() {
        let text = "net.ipv4.conf.all.send_redirects=0\nnet.ipv4.conf.default.send_redirects=1\n";
        assert_eq!(found(text, "net/ipv4/conf/all/send_redirects"), [at("net/ipv4/conf/default/send_redirects", 2, 1)]);
        let text = "net.ipv4.conf.all.accept_source_route=0\nnet.ipv4.conf.default.accept_source_route=1\n";
        assert_eq!(found(text, "net/ipv4/conf/all/accept_source_route"), [at("net/ipv4/conf/default/accept_source_route", 2, 0)]);
        assert_eq!(
            found("net.ipv4.conf.all.rp_filter=1\nnet.ipv4.conf.default.rp_filter=0\n", "net/ipv4/conf/all/rp_filter"),
            []
        );
    }

    #[test]
    fn on_a_router_an_interface_that_does_not_forward_takes_redirects_like_a_host() {
        let router = "net.ipv4.ip_forward=1\nnet.ipv4.conf.all.accept_redirects=0\nnet.ipv4.conf.eth0.accept_redirects=1\n";
        let key = "net/ipv4/conf/all/accept_redirects";
        assert_eq!(found(router, key), [at("net/ipv4/conf/eth0/accept_redirects", 3, 0)]);
        let host = format!("{router}net.ipv4.conf.eth*.forwarding=0\n");
        assert_eq!(found(&host, key), [at("net/ipv4/conf/eth0/accept_redirects", 3, 1)]);
    }

    #[test]
    fn ipv6_can_be_forced_to_forward_on_an_interface() {
        let key = "net/ipv6/conf/all/forwarding";
        let forced = |text: &str| -> Vec<u32> {
            found(text, key).into_iter().filter(|(key, ..)| key.ends_with("force_forwarding")).map(|(_, line, _)| line).collect()
        };
        assert_eq!(forced("net.ipv6.conf.all.forwarding=0\nnet.ipv6.conf.all.force_forwarding=1\n"), [2]);
        assert_eq!(forced("net.ipv6.conf.all.force_forwarding=1\nnet.ipv6.conf.all.forwarding=0\n"), [0; 0]);
        assert_eq!(forced("net.ipv6.conf.default.force_forwarding=1\nnet.ipv6.conf.all.forwarding=0\n"), [1]);
    }
}
