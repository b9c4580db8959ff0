//! Where Sendmail listens: each `O DaemonPortOptions` of `sendmail.cf` is a daemon of its own; without any it listens everywhere.

use super::Listener;
use crate::facts::{Fact, Unreadable};
use crate::image::Rootfs;
use crate::path::{ImagePath, printable};

const FILE: &str = "/etc/mail/sendmail.cf";

pub(super) fn listeners(root: Rootfs<'_>) -> (ImagePath, Fact<Vec<Listener>>) {
    let path = ImagePath::new(FILE);
    let found = match root.read(&path) {
        Ok(content) => Ok(daemons(&path, &content)),
        Err(error) if error.is_absent() => Ok(Vec::new()),
        Err(error) => Err(Unreadable::reading(&path, &error)),
    };
    (path, found)
}

fn daemons(path: &ImagePath, content: &[u8]) -> Vec<Listener> {
    let text = String::from_utf8_lossy(content);
    let listener = |address: &str, line: Option<u32>, because: &str| Listener {
        address: printable(address.as_bytes()),
        path: path.clone(),
        line,
        because: because.into(),
    };
    let mut found = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let Some(option) = text.strip_prefix('O').map(str::trim_start) else { continue };
        let Some((name, value)) = option.split_once('=') else { continue };
        if !name.trim().eq_ignore_ascii_case("DaemonPortOptions") {
            continue;
        }
        // A key counts by its first letter: A is the address.
        let mut keys = value.split(',').rev().filter_map(|part| part.split_once('='));
        let address = keys.find(|(key, _)| key.trim_start().starts_with(['A', 'a']));
        found.push(match address {
            Some((_, address)) => listener(address.trim(), Some(line), "DaemonPortOptions"),
            None => listener("all", Some(line), "DaemonPortOptions names no address"),
        });
    }
    if found.is_empty() {
        found.push(listener("all", None, "there is no DaemonPortOptions"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(content: &str) -> Vec<(String, bool)> {
        let found = daemons(&ImagePath::new(FILE), content.as_bytes());
        found.into_iter().map(|one| (one.address.clone(), one.is_loopback())).collect()
    }

    #[test]
    fn every_daemon_counts() {
        let text = "# O DaemonPortOptions=Port=smtp\nO DaemonPortOptions=Port=smtp,Addr=127.0.0.1, Name=MTA\nO DaemonPortOptions=Family=inet6, Port=587\n";
        assert_eq!(found(text), [("127.0.0.1".to_owned(), true), ("all".to_owned(), false)]);
        assert_eq!(found(""), [("all".to_owned(), false)]);
    }
}
