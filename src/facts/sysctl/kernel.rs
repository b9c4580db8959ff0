//! What the kernel itself does: its defaults, and how it combines `all` with the value of an interface.

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
    /// The interface alone counts; `all` does nothing by itself.
    Own,
}

/// How a parameter of `net/ipv4/conf` or `net/ipv6/conf` is combined. `forwarding` says whether the system routes: redirects are
/// taken by a host if either is on, by a router only if both are.
#[must_use]
pub fn combination(key: &[u8], forwarding: bool) -> Combination {
    let name = key.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    match name {
        b"accept_source_route" => Combination::And,
        _ if key.starts_with(b"net/ipv6/") => Combination::Own,
        b"accept_redirects" if forwarding => Combination::And,
        b"accept_redirects" | b"secure_redirects" | b"send_redirects" | b"log_martians" | b"shared_media" | b"proxy_arp" => {
            Combination::Or
        }
        b"rp_filter" | b"arp_ignore" | b"arp_announce" => Combination::Max,
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
            Self::And | Self::Or | Self::Own => own,
        }
    }
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
    }

    #[test]
    fn defaults_are_sorted_and_known_by_path() {
        assert!(DEFAULTS.is_sorted());
        assert_eq!(default_of(b"kernel/randomize_va_space"), Some("2"));
        assert_eq!(default_of(b"kernel/no_such"), None);
    }
}
