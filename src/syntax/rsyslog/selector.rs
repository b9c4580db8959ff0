//! Selectors: `facility[,facility].[!][=]priority[;…]` (`DecodePRIFilter` in rsyslog's `runtime/conf.c`).

/// The facilities, in the order of their numbers (RFC 5424); 12 to 15 have no names in a selector.
pub const FACILITIES: [&str; 20] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "local0", "local1",
    "local2", "local3", "local4", "local5", "local6", "local7",
];

/// The priorities, the most urgent first.
const PRIORITIES: [(&str, u8); 12] = [
    ("emerg", 0),
    ("panic", 0),
    ("alert", 1),
    ("crit", 2),
    ("err", 3),
    ("error", 3),
    ("warning", 4),
    ("warn", 4),
    ("notice", 5),
    ("info", 6),
    ("debug", 7),
    ("*", 7),
];

/// Which priorities of which facility are selected: a bit for each priority, by facility in the order of [`FACILITIES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PriorityMask(pub [u8; FACILITIES.len()]);

impl PriorityMask {
    /// Nothing.
    pub const NONE: Self = Self([0; FACILITIES.len()]);
    /// Everything.
    pub const ALL: Self = Self([0xff; FACILITIES.len()]);

    /// What is in either.
    #[must_use]
    pub fn or(mut self, other: Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(mine, theirs)| *mine |= theirs);
        self
    }

    /// What is in this one and not in the other.
    #[must_use]
    pub fn without(mut self, other: Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(mine, theirs)| *mine &= !theirs);
        self
    }

    /// Whether everything of the other is in this one.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.0.iter().zip(other.0).all(|(mine, theirs)| mine & theirs == theirs)
    }
}

/// Reads a selector; nothing if a facility or priority is not known.
#[must_use]
pub fn selector(text: &[u8]) -> Option<PriorityMask> {
    let text = std::str::from_utf8(text).ok()?.to_ascii_lowercase();
    let mut mask = PriorityMask::NONE;
    for part in text.split(';').filter(|part| !part.is_empty()) {
        let (facilities, priority) = part.split_once('.')?;
        let (negated, priority) = priority.strip_prefix('!').map_or((false, priority), |rest| (true, rest));
        let (exactly, priority) = priority.strip_prefix('=').map_or((false, priority), |rest| (true, rest));
        let bits: u8 = match priority {
            "none" => 0,
            name => {
                let level = PRIORITIES.iter().find(|(known, _)| *known == name)?.1;
                let up_to = u8::MAX >> (7 - level);
                if exactly && name != "*" { 1 << level } else { up_to }
            }
        };
        for facility in facilities.split(',').filter(|facility| !facility.is_empty()) {
            let chosen: Vec<usize> = match facility {
                "*" => (0..FACILITIES.len()).collect(),
                "security" => vec![4],
                name => vec![FACILITIES.iter().position(|known| *known == name)?],
            };
            for at in chosen {
                let slot = mask.0.get_mut(at)?;
                *slot = match (priority, negated) {
                    ("none", _) => 0,
                    (_, true) => *slot & !bits,
                    _ => *slot | bits,
                };
            }
        }
    }
    Some(mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(text: &str, facility: &str) -> u8 {
        let at = FACILITIES.iter().position(|known| *known == facility).unwrap();
        selector(text.as_bytes()).unwrap().0[at]
    }

    #[test]
    fn from_a_priority_upwards() {
        assert_eq!(bits("mail.warning", "mail"), 0b1_1111);
        assert_eq!(bits("mail.warning", "cron"), 0);
        assert_eq!(bits("*.*", "local7"), 0xff);
        assert_eq!(bits("mail,cron.=info", "cron"), 1 << 6);
    }

    #[test]
    fn later_parts_take_away() {
        assert_eq!(bits("*.*;auth,authpriv.none", "authpriv"), 0);
        assert_eq!(bits("*.*;auth,authpriv.none", "kern"), 0xff);
        assert_eq!(bits("kern.info;kern.!err", "kern"), 0b111_0000);
    }

    #[test]
    fn names_that_nobody_knows() {
        assert_eq!(selector(b"mail.foo"), None);
        assert_eq!(selector(b"male.info"), None);
        assert_eq!(selector(b"mail"), None);
    }
}
