//! Mail servers.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Kind, unknown};
use crate::facts::mail::{MailProgram, MailServer};
use crate::facts::{FactId, Facts, Needs, Unreadable};
use crate::finding::{Evidence, Outcome};
use crate::syntax::proc_net;

/// Sockets of the running system.
const SOCKETS: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];
/// SMTP, SMTP within TLS, and submission.
const PORTS: [u16; 3] = [25, 465, 587];

/// Where mail servers take letters. One that nothing starts takes none.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MailListener {
    /// `true`: every one that starts listens at addresses of this machine alone (127.0.0.0/8, `::1`). On a running machine nothing listens
    /// at the ports 25, 465 and 587 but there, either, unless `of` names a program.
    pub loopback_only: super::tree::Yes,
    /// Only this program counts.
    pub of: Option<MailProgram>,
}

impl Kind for MailListener {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Mail);
        if self.of.is_none() {
            SOCKETS.into_iter().for_each(|path| needs.running(path));
        }
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let mail = facts.mail()?;
        let counted = mail.servers.iter().filter(|server| self.of.is_none_or(|program| program == server.program));
        let mut outcomes: Vec<Outcome> = counted.map(configured).collect();
        if self.of.is_none() {
            outcomes.extend(SOCKETS.into_iter().filter_map(|path| running(facts, path)));
        }
        Ok(Outcome::all(outcomes))
    }
}

/// As the server would listen once it has started.
fn configured(server: &MailServer) -> Outcome {
    let name = server.program.name();
    let unit = match &server.started {
        Ok(Some(unit)) => *unit,
        Ok(None) => return Outcome::pass(vec![Evidence::at(&server.file).found(format!("{name} is not started"))]),
        Err(unreadable) => return unknown(unreadable),
    };
    let listeners = match &server.listeners {
        Ok(listeners) => listeners,
        Err(unreadable) => return unknown(unreadable),
    };
    if listeners.is_empty() {
        return Outcome::pass(vec![Evidence::at(&server.file).found(format!("{name} listens nowhere"))]);
    }
    let judge = |listener: &crate::facts::mail::Listener| {
        let seen = Evidence::at(&listener.path).line_opt(listener.line).found(format!("{name} listens at {}", listener.address));
        let seen = seen.expected("loopback addresses only").because(format!("{}; {unit} is started", listener.because));
        Outcome::decide(listener.is_loopback(), vec![seen])
    };
    Outcome::all(listeners.iter().map(judge))
}

/// What listens now; nothing where the machine does not run.
fn running(facts: &Facts<'_>, path: &str) -> Option<Outcome> {
    let files = match facts.running_contents(path)? {
        Ok(files) => files,
        Err(unreadable) => return Some(unknown(&unreadable)),
    };
    let mut outcomes = Vec::new();
    for file in files {
        let content = match &file.content {
            Ok(content) => content,
            Err(unreadable) => return Some(unknown(unreadable)),
        };
        for socket in proc_net::listening(content).into_iter().filter(|socket| PORTS.contains(&socket.port)) {
            let found = format!("something listens at {} port {}", socket.address, socket.port);
            let seen = Evidence::at(&file.path).line(socket.line).found(found).expected("loopback addresses only");
            outcomes.push(Outcome::decide(socket.address.is_loopback(), vec![seen.because("the running system")]));
        }
    }
    Some(if outcomes.is_empty() { Outcome::pass(Vec::new()) } else { Outcome::all(outcomes) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Target;
    use crate::finding::Status;
    use crate::image::{MemoryImage, Rootfs};

    #[test]
    fn what_listens_now_counts_too() {
        let image = MemoryImage::new();
        for (address, status) in
            [("0100007F:0019", Status::Pass), ("00000000:024B", Status::Fail), ("00000000:0016", Status::Pass)]
        {
            let running = MemoryImage::new().file("/proc/net/tcp", format!("  sl\n   0: {address} 00000000:0000 0A\n"));
            let mut target = Target::image(Rootfs::new(&image), jiff::civil::date(2026, 1, 1));
            target.running = Some(Rootfs::new(&running));
            let check: MailListener = toml::from_str("loopback-only = true").unwrap();
            let facts = Facts::gather(target, |facts, needs| check.needs(facts, needs));
            let listening = running_outcome(&facts);
            assert_eq!(listening, status, "{address}");
        }
    }

    fn running_outcome(facts: &Facts<'_>) -> Status {
        running(facts, "/proc/net/tcp").unwrap().status
    }
}
