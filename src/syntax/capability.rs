//! File capabilities as they are stored: `security.capability` (`linux/capability.h`, `capabilities(7)`).

use std::fmt;

/// What a program gets when it is run, beyond what its user has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Those it may use, a bit each.
    pub permitted: u64,
    /// Those it may use if its caller passes them on.
    pub inheritable: u64,
    /// Whether they are in force at once.
    pub effective: bool,
    /// The user namespace they count in, by the id of its root; 0 for the system's own (revision 3).
    pub root: u32,
}

/// The names of the capabilities by their numbers, as of Linux 5.9; there are no later ones.
const NAMES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// Reads stored capabilities: a word with revision and flag, then permitted and inheritable by words of 32 (revision 1 has one pair,
/// the others two), and in revision 3 the root id; all little-endian.
///
/// # Errors
/// What is wrong with it: the kernel runs no program with such an attribute.
pub fn parse(stored: &[u8]) -> Result<Capabilities, &'static str> {
    let (words, rest) = stored.as_chunks::<4>();
    if !rest.is_empty() {
        return Err("the file capabilities are cut off");
    }
    let words: Vec<u32> = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
    let (&head, words) = words.split_first().ok_or("the file capabilities are empty")?;
    let (low, high, root) = match (head >> 24, words) {
        (1, &[permitted, inheritable]) => ((permitted, inheritable), (0, 0), 0),
        (2, &[permitted, inheritable, high_permitted, high_inheritable]) => {
            ((permitted, inheritable), (high_permitted, high_inheritable), 0)
        }
        (3, &[permitted, inheritable, high_permitted, high_inheritable, root]) => {
            ((permitted, inheritable), (high_permitted, high_inheritable), root)
        }
        (1..=3, _) => return Err("the file capabilities are of the wrong length"),
        _ => return Err("the file capabilities are of an unknown revision"),
    };
    let join = |low: u32, high: u32| u64::from(high) << 32 | u64::from(low);
    Ok(Capabilities { permitted: join(low.0, high.0), inheritable: join(low.1, high.1), effective: head & 1 != 0, root })
}

impl Capabilities {
    /// Whether they give nothing at all.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.permitted == 0 && self.inheritable == 0
    }
}

/// As `getcap` shows them, roughly: `cap_net_raw,cap_net_admin=ep`.
impl fmt::Display for Capabilities {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.permitted | self.inheritable;
        let set = (0..64_usize).filter(|bit| all >> bit & 1 != 0);
        for (index, bit) in set.enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match NAMES.get(bit) {
                Some(name) => write!(out, "{comma}cap_{name}")?,
                None => write!(out, "{comma}cap_{bit}")?,
            }
        }
        let flag = |set: bool, letter| if set { letter } else { "" };
        let (permitted, inheritable) = (flag(self.permitted != 0, "p"), flag(self.inheritable != 0, "i"));
        write!(out, "={}{inheritable}{permitted}", flag(self.effective, "e"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[u32]) -> Result<Capabilities, &'static str> {
        parse(&words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>())
    }

    #[test]
    fn what_setcap_stores() {
        // `setcap cap_net_raw+ep ping`, as getfattr shows it.
        let stored = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(parse(&stored).unwrap().to_string(), "cap_net_raw=ep");
    }

    #[test]
    fn every_revision_has_its_length() {
        assert_eq!(read(&[0x0100_0000, 0x80, 1]).unwrap().to_string(), "cap_chown,cap_setuid=ip");
        assert_eq!(
            read(&[0x0300_0001, 0, 0, 1 << 7, 0, 1000]).unwrap(),
            Capabilities { permitted: 1 << 39, inheritable: 0, effective: true, root: 1000 }
        );
        assert!(read(&[0x0200_0000, 1, 2]).is_err());
        assert!(read(&[0x0400_0000, 1, 2, 3, 4]).is_err());
        assert!(read(&[]).is_err());
        assert!(parse(&[0, 0, 0, 2, 1]).is_err());
        assert!(read(&[0x0200_0000, 0, 0, 0, 0]).unwrap().is_empty());
    }
}
