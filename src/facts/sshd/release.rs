//! Which OpenSSH it is: what a keyword means, which it knows and what is built in depends on that.

use std::fmt;

use crate::facts::{Facts, Os, packages};

/// Whose patches it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vendor {
    /// Debian and what is made from it: GSSAPI key exchange, `DebianBanner`.
    Debian,
    /// Fedora, Red Hat, Amazon Linux: GSSAPI key exchange, more of Kerberos, `RSAMinSize`.
    RedHat,
    /// Not known; keywords of all patches are taken.
    Other,
}

/// An OpenSSH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Version in hundreds: 902 is 9.2.
    pub number: u16,
    /// Whose patches it carries.
    pub vendor: Vendor,
    /// The version of its package; nothing where none was found, and the newest known behaviour is assumed.
    pub package: Option<String>,
}

/// The packages that bring `/usr/sbin/sshd`.
const PACKAGES: [&str; 4] = ["openssh-server", "openssh-server-pam", "openssh-server-krb5", "openssh"];

impl Release {
    /// The newest release whose behaviour is modelled.
    pub const NEWEST: u16 = 1005;

    /// The installed one.
    pub(super) fn of(facts: &Facts<'_>) -> Self {
        let packages = facts.packages().ok();
        let installed = packages.and_then(|packages| PACKAGES.iter().find_map(|name| packages.named(name).next()));
        let number = installed.and_then(|package| number(&package.version));
        let family = packages.map(|packages| packages.family);
        let vendor = match (facts.os(), family) {
            (Ok(os), _) if is(os, &["debian", "ubuntu"]) => Vendor::Debian,
            (Ok(os), _) if is(os, &["rhel", "fedora", "centos", "amzn", "ol", "rocky", "almalinux"]) => Vendor::RedHat,
            (Err(_), Some(packages::Family::Dpkg)) => Vendor::Debian,
            _ => Vendor::Other,
        };
        Self {
            number: number.unwrap_or(Self::NEWEST),
            vendor,
            package: installed.filter(|_| number.is_some()).map(|package| package.version.clone()),
        }
    }

    /// Whether the package is Debian 12's with at least this update (`deb12u4`).
    pub(super) fn debian_12_update(&self, least: u32) -> bool {
        let update = self.package.as_deref().and_then(|version| version.split_once("+deb12u"));
        self.number == 902 && update.and_then(|(_, number)| number.parse::<u32>().ok()).is_some_and(|number| number >= least)
    }
}

impl fmt::Display for Release {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor) = (self.number / 100, self.number % 100);
        match &self.package {
            Some(package) => write!(out, "OpenSSH {major}.{minor} ({package})"),
            None => write!(out, "OpenSSH {major}.{minor} (assumed: the installed version is not known)"),
        }
    }
}

fn is(os: &Os, names: &[&str]) -> bool {
    names.iter().any(|name| os.id == *name || os.like.iter().any(|like| like == name))
}

/// `1:9.2p1-2+deb12u3`, `8.7p1-38.amzn2023`, `10.0_p1-r3`.
fn number(version: &str) -> Option<u16> {
    let version = version.split_once(':').map_or(version, |(_, version)| version);
    let (major, rest) = version.split_once('.')?;
    let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let (major, minor): (u16, u16) = (major.parse().ok()?, minor.parse().ok()?);
    (minor < 100).then_some(major.checked_mul(100)? + minor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_each_family() {
        assert_eq!(number("1:9.2p1-2+deb12u3"), Some(902));
        assert_eq!(number("8.7p1-38.amzn2023"), Some(807));
        assert_eq!(number("10.0_p1-r3"), Some(1000));
        assert_eq!([number(""), number("x.y"), number("99999.1"), number("9.")], [None; 4]);
    }

    #[test]
    fn updates_of_debian_12() {
        let release = |version: &str| Release { number: 902, vendor: Vendor::Debian, package: Some(version.into()) };
        assert!(release("1:9.2p1-2+deb12u10").debian_12_update(4));
        assert!(!release("1:9.2p1-2+deb12u3").debian_12_update(4));
        assert!(!release("1:9.2p1-2").debian_12_update(4));
    }
}
