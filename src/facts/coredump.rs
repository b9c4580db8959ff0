//! What systemd does with core dumps: `coredump.conf(5)` with its drop-ins.

use super::journald::{Settings, read_size, read_systemd};
use super::{Fact, Facts};

/// `systemd-coredump` as it is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coredump(pub Settings);

pub(super) fn gather(facts: &Facts<'_>) -> Fact<Coredump> {
    let reading = |key: &str, value: &str| match key {
        "Storage" => ["none", "external", "journal"].contains(&value).then(|| (value.to_owned(), None)),
        "ProcessSizeMax" | "ExternalSizeMax" | "JournalSizeMax" if value == "infinity" => {
            Some((value.to_owned(), Some(i64::MAX)))
        }
        "ProcessSizeMax" | "ExternalSizeMax" | "JournalSizeMax" | "MaxUse" | "KeepFree" => {
            read_size(value).map(|bytes| (value.to_owned(), Some(bytes)))
        }
        _ => Some((value.to_owned(), None)),
    };
    read_systemd(facts.root(), "coredump.conf", "Coredump", &reading).map(Coredump)
}
