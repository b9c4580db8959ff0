//! Mail servers: which of them start, and at which addresses they wait for letters.
//!
//! A program that nothing starts listens nowhere, whatever its configuration says. Each server is asked in its own language: Postfix by
//! `main.cf` and `master.cf`, Exim by what Debian's scripts or the administrator made its configuration, Sendmail by `sendmail.cf`. Of servers
//! that are not read here only the start is known.

mod exim;
mod postfix;
mod sendmail;

use schemars::JsonSchema;
use serde::Deserialize;

use super::units::{Start, Units};
use super::{Fact, Facts, Unreadable};
use crate::path::ImagePath;

/// All mail servers that karat knows, whether they are installed or not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mail {
    /// In the order of [`MailProgram`].
    pub servers: Vec<MailServer>,
}

/// A mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailServer {
    /// Which.
    pub program: MailProgram,
    /// The unit that starts; nothing where none does.
    pub started: Fact<Option<&'static str>>,
    /// Where it listens once it has started.
    pub listeners: Fact<Vec<Listener>>,
    /// The main file of its configuration.
    pub file: ImagePath,
}

/// A program that takes mail over the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MailProgram {
    /// Postfix.
    Postfix,
    /// Exim.
    Exim,
    /// Sendmail.
    Sendmail,
    /// Any of those whose configuration karat does not read.
    Other,
}

/// An address that a server listens at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// The address or name, made safe to show; `all` for every one of the machine.
    pub address: String,
    /// The file that says so.
    pub path: ImagePath,
    /// The line, from 1; nothing where what is built in counts.
    pub line: Option<u32>,
    /// Why.
    pub because: String,
}

impl Listener {
    /// Whether only this machine itself can reach it.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let name = self.address.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let name = name.strip_prefix("ipv6:").unwrap_or(&name);
        if let Ok(address) = name.parse::<std::net::IpAddr>() {
            address.to_canonical().is_loopback()
        } else {
            // A longer name may lead anywhere.
            let name = name.trim_end_matches('.');
            matches!(name, "localhost" | "localhost.localdomain" | "loopback-only" | "ip6-localhost" | "ip6-loopback")
        }
    }
}

impl MailProgram {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Postfix => "Postfix",
            Self::Exim => "Exim",
            Self::Sendmail => "Sendmail",
            Self::Other => "another mail server",
        }
    }

    /// The units that start it. Debian's `postfix.service` starts the real one, an instance, by a generator.
    const fn units(self) -> &'static [&'static str] {
        match self {
            Self::Postfix => &["postfix.service", "postfix@-.service"],
            Self::Exim => &["exim4.service", "exim.service"],
            Self::Sendmail => &["sendmail.service"],
            Self::Other => &[
                "opensmtpd.service",
                "smtpd.service",
                "courier-mta.service",
                "citadel.service",
                "qmail.service",
                "stalwart-mail.service",
            ],
        }
    }

    /// The first of its units that starts.
    fn started(self, units: &Units) -> Fact<Option<&'static str>> {
        for &unit in self.units() {
            if !matches!(units.starts(unit)?, Start::No) {
                return Ok(Some(unit));
            }
        }
        Ok(None)
    }
}

pub(super) fn gather(facts: &Facts<'_>) -> Fact<Mail> {
    let units = facts.units()?;
    let programs = [MailProgram::Postfix, MailProgram::Exim, MailProgram::Sendmail, MailProgram::Other];
    let server = |program: MailProgram| {
        let (file, listeners) = match program {
            MailProgram::Postfix => postfix::listeners(facts.root()),
            MailProgram::Exim => exim::listeners(facts.root()),
            MailProgram::Sendmail => sendmail::listeners(facts.root()),
            MailProgram::Other => {
                (ImagePath::new("/etc"), Err(Unreadable::because("karat does not read the configuration of this mail server")))
            }
        };
        let listeners = listeners.and_then(|found| match told_otherwise(units, program)? {
            Some(doubt) => Err(doubt),
            None => Ok(found),
        });
        MailServer { program, started: program.started(units), listeners, file }
    };
    Ok(Mail { servers: programs.map(server).into() })
}

/// A command or variable of a unit that names another configuration, or addresses of its own: `postfix -c`, `MAIL_CONFIG` (`postfix(1)`);
/// `exim -oX`, `-C`, `-D` (its `spec.txt`, chapter 5); `sendmail -C`, `-O`.
fn told_otherwise(units: &Units, program: MailProgram) -> Fact<Option<Unreadable>> {
    let options: &[&str] = match program {
        MailProgram::Postfix => &["-c"],
        MailProgram::Exim => &["-oX", "-C", "-D"],
        MailProgram::Sendmail => &["-C", "-O"],
        MailProgram::Other => &[],
    };
    for unit in program.units() {
        for command in units.property(unit, "Service", "ExecStart")? {
            if command.text.split_ascii_whitespace().any(|word| options.iter().any(|option| word.starts_with(option))) {
                let reason = "the command names another configuration or addresses of its own, which are not read";
                return Ok(Some(Unreadable::at_line(&command.path, command.line, reason)));
            }
        }
        for variable in units.property(unit, "Service", "Environment")? {
            if variable.text.contains("MAIL_CONFIG=") {
                return Ok(Some(Unreadable::at_line(&variable.path, variable.line, "MAIL_CONFIG names another configuration")));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_the_machine_itself_can_reach() {
        let listener =
            |address: &str| Listener { address: address.into(), path: ImagePath::root(), line: None, because: String::new() };
        for address in
            ["127.0.0.1", "127.3.2.1", "::1", "[::1]", "IPv6:::1", "localhost", "LOCALHOST.localdomain", "::ffff:127.0.0.1"]
        {
            assert!(listener(address).is_loopback(), "{address}");
        }
        for address in ["all", "0.0.0.0", "::", "10.0.0.1", "localhostess", "127.0.0.1.example", "localhost.example.com", ""] {
            assert!(!listener(address).is_loopback(), "{address}");
        }
    }
}
