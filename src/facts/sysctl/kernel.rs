//! What the kernel itself does: its defaults, how it combines `all` with the value of an interface, and what else a write changes.

/// How the kernel combines `conf/all` with the value of one interface (`include/linux/inetdevice.h`; for IPv6
/// `net/ipv6/exthdrs.c` and `include/net/ipv6.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Combination {
    /// Both have to be on.
    And,
    /// One has to be on.
    Or,
    /// The larger counts.
    Max,
    /// The smaller counts.
    Min,
    /// The interface alone counts; `all` does nothing by itself.
    Own,
}

/// How a parameter of `net/ipv4/conf` or `net/ipv6/conf` is combined. `forwarding` says whether the interface routes: redirects are
/// taken by a host if either is on, by a router only if both are.
#[must_use]
pub fn combination(key: &[u8], forwarding: bool) -> Combination {
    let name = key.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    if key.starts_with(b"net/ipv6/") {
        return match name {
            b"accept_source_route" | b"rpl_seg_enabled" | b"seg6_enabled" => Combination::Min,
            b"ndisc_notify" | b"proxy_ndp" => Combination::Or,
            b"accept_dad" => Combination::Max,
            _ => Combination::Own,
        };
    }
    match name {
        b"accept_source_route" | b"arp_evict_nocarrier" | b"bc_forwarding" | b"bootp_relay" | b"mc_forwarding" => {
            Combination::And
        }
        b"accept_redirects" if forwarding => Combination::And,
        b"accept_local"
        | b"accept_redirects"
        | b"arp_filter"
        | b"drop_gratuitous_arp"
        | b"drop_unicast_in_l2_multicast"
        | b"log_martians"
        | b"promote_secondaries"
        | b"proxy_arp"
        | b"route_localnet"
        | b"secure_redirects"
        | b"send_redirects"
        | b"shared_media"
        | b"src_valid_mark" => Combination::Or,
        b"rp_filter" | b"arp_accept" | b"arp_announce" | b"arp_ignore" | b"arp_notify" => Combination::Max,
        _ => Combination::Own,
    }
}

impl Combination {
    /// What holds for an interface with this value beside this value for all.
    #[must_use]
    pub fn of(self, all: i64, own: i64) -> i64 {
        match self {
            Self::And if all == 0 => 0,
            Self::Or if all != 0 => all,
            Self::Max => all.max(own),
            Self::Min => all.min(own),
            Self::And | Self::Or | Self::Own => own,
        }
    }

    /// Whether an interface can only be stricter than what is set for all, so that another value of its own is nothing to complain of.
    #[must_use]
    pub fn only_adds(self) -> bool {
        matches!(self, Self::Max | Self::Min)
    }
}

/// The number the kernel makes of a value: the first word, decimal, `0x` hexadecimal or `0` octal (`proc_get_long`, base 0).
#[must_use]
pub fn number_of(value: &str) -> Option<i64> {
    let word = value.split(' ').next()?;
    let (negative, digits) = word.strip_prefix('-').map_or((false, word), |rest| (true, rest));
    if !digits.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let number = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hexadecimal) => i64::from_str_radix(hexadecimal, 16).ok()?,
        None if digits.len() > 1 && digits.starts_with('0') => i64::from_str_radix(digits, 8).ok()?,
        None => digits.parse().ok()?,
    };
    Some(if negative { -number } else { number })
}

/// The two names of one parameter: the kernel keeps a single value for both (`net/ipv4/devinet.c`).
pub(super) const FORWARD: [&[u8]; 2] = [b"net/ipv4/ip_forward", b"net/ipv4/conf/all/forwarding"];

/// A parameter that the kernel sets by itself where another one is written.
#[derive(Debug)]
pub(super) struct Spill {
    pub(super) from: &'static [u8],
    pub(super) to: &'static [u8],
    /// Whether writing the value that is there already does nothing.
    pub(super) on_change: bool,
    /// Whether it becomes the opposite.
    pub(super) inverted: bool,
}

/// `devinet_sysctl_forward()` and `inet_forward_change()` in `net/ipv4/devinet.c`; `addrconf_fixup_forwarding()`,
/// `addrconf_disable_ipv6()` and `addrconf_fixup_linkdown()` in `net/ipv6/addrconf.c`. Interfaces that are there get the value as well.
const SPILLS: [Spill; 5] = [
    Spill { from: b"net/ipv4/conf/all/forwarding", to: b"net/ipv4/conf/default/forwarding", on_change: true, inverted: false },
    Spill { from: b"net/ipv4/conf/all/forwarding", to: b"net/ipv4/conf/all/accept_redirects", on_change: true, inverted: true },
    Spill { from: b"net/ipv6/conf/all/forwarding", to: b"net/ipv6/conf/default/forwarding", on_change: false, inverted: false },
    Spill {
        from: b"net/ipv6/conf/all/disable_ipv6",
        to: b"net/ipv6/conf/default/disable_ipv6",
        on_change: false,
        inverted: false,
    },
    Spill {
        from: b"net/ipv6/conf/all/ignore_routes_with_linkdown",
        to: b"net/ipv6/conf/default/ignore_routes_with_linkdown",
        on_change: false,
        inverted: false,
    },
];

/// The write that changes this parameter too, if there is one.
pub(super) fn spill_onto(key: &[u8]) -> Option<&'static Spill> {
    SPILLS.iter().find(|spill| spill.to == key)
}

/// What the kernel starts with, as upstream ships it, where the documentation or the source says so
/// (`Documentation/admin-guide/sysctl/`, `Documentation/networking/ip-sysctl.rst`, `net/ipv4/devinet.c`, `net/ipv6/addrconf.c`).
/// A distribution may build its kernel otherwise, so this explains a verdict and does not make one by itself.
const DEFAULTS: &[(&str, &str)] = &[
    ("fs/protected_fifos", "0"),
    ("fs/protected_hardlinks", "0"),
    ("fs/protected_regular", "0"),
    ("fs/protected_symlinks", "0"),
    ("fs/suid_dumpable", "0"),
    ("kernel/kptr_restrict", "0"),
    ("kernel/randomize_va_space", "2"),
    ("net/ipv4/conf/all/accept_redirects", "1"),
    ("net/ipv4/conf/all/accept_source_route", "0"),
    ("net/ipv4/conf/all/forwarding", "0"),
    ("net/ipv4/conf/all/log_martians", "0"),
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/all/secure_redirects", "1"),
    ("net/ipv4/conf/all/send_redirects", "1"),
    ("net/ipv4/conf/default/accept_redirects", "1"),
    ("net/ipv4/conf/default/accept_source_route", "1"),
    ("net/ipv4/conf/default/forwarding", "0"),
    ("net/ipv4/conf/default/log_martians", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
    ("net/ipv4/conf/default/secure_redirects", "1"),
    ("net/ipv4/conf/default/send_redirects", "1"),
    ("net/ipv4/icmp_echo_ignore_broadcasts", "1"),
    ("net/ipv4/icmp_ignore_bogus_error_responses", "1"),
    ("net/ipv4/ip_forward", "0"),
    ("net/ipv4/tcp_syncookies", "1"),
    ("net/ipv6/conf/all/accept_ra", "1"),
    ("net/ipv6/conf/all/accept_redirects", "1"),
    ("net/ipv6/conf/all/accept_source_route", "0"),
    ("net/ipv6/conf/all/forwarding", "0"),
    ("net/ipv6/conf/default/accept_ra", "1"),
    ("net/ipv6/conf/default/accept_redirects", "1"),
    ("net/ipv6/conf/default/accept_source_route", "0"),
    ("net/ipv6/conf/default/forwarding", "0"),
];

/// The kernel's own default of a parameter, where karat knows it.
#[must_use]
pub fn default_of(key: &[u8]) -> Option<&'static str> {
    DEFAULTS.iter().find(|(name, _)| name.as_bytes() == key).map(|(_, value)| *value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_takes_redirects_if_either_says_so_a_router_only_if_both() {
        let key = b"net/ipv4/conf/all/accept_redirects";
        assert_eq!(combination(key, false).of(0, 1), 1);
        assert_eq!(combination(key, true).of(0, 1), 0);
    }

    #[test]
    fn one_interface_cannot_weaken_what_all_refuses_or_demands() {
        assert_eq!(combination(b"net/ipv4/conf/all/accept_source_route", false).of(0, 1), 0);
        assert_eq!(combination(b"net/ipv4/conf/all/log_martians", false).of(1, 0), 1);
        assert_eq!(combination(b"net/ipv4/conf/all/rp_filter", false).of(1, 0), 1);
        assert_eq!(combination(b"net/ipv6/conf/all/accept_redirects", false).of(0, 1), 1);
        // `ipv6_rthdr_rcv()`: less than 0 refuses even routing header 2, and either can say so.
        assert_eq!(combination(b"net/ipv6/conf/all/accept_source_route", false).of(0, -1), -1);
        assert_eq!(combination(b"net/ipv6/conf/all/accept_source_route", false).of(0, 1), 0);
    }

    #[test]
    fn numbers_are_what_the_kernel_makes_of_them() {
        assert_eq!(
            [number_of("0x10"), number_of("010"), number_of("-1 9"), number_of("no")],
            [Some(16), Some(8), Some(-1), None]
        );
    }

    #[test]
    fn defaults_are_sorted_and_known_by_path() {
        assert!(DEFAULTS.is_sorted());
        assert_eq!(default_of(b"kernel/randomize_va_space"), Some("2"));
        assert_eq!(default_of(b"kernel/no_such"), None);
    }
}
