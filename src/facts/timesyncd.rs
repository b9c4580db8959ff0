//! systemd-timesyncd as it is configured: `timesyncd.conf(5)` with its drop-ins.

use super::chrony::TimeSource;
use super::journald::{Settings, read_systemd};
use super::{Fact, Facts};

/// `systemd-timesyncd` as it is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timesyncd(pub Settings);

/// The settings that name servers. What is built in is not looked at: nobody has chosen it.
const SERVERS: [&str; 2] = ["NTP", "FallbackNTP"];

impl Timesyncd {
    /// The servers that files name: lines add up, and an empty one takes back what came before it.
    #[must_use]
    pub fn sources(&self) -> Vec<TimeSource> {
        let mut all = Vec::new();
        for option in SERVERS {
            let lines: Vec<_> = self.0.every(option).collect();
            let start = lines.iter().rposition(|assigned| assigned.text.is_empty()).map_or(0, |at| at + 1);
            for assigned in lines.into_iter().skip(start) {
                let Some((path, line)) = &assigned.place else { continue };
                let words = assigned.text.split_whitespace();
                all.extend(words.map(|word| TimeSource {
                    address: word.to_owned(),
                    path: path.clone(),
                    line: *line,
                    idle: None,
                }));
            }
        }
        all
    }
}

pub(super) fn gather(facts: &Facts<'_>) -> Fact<Timesyncd> {
    read_systemd(facts.root(), "timesyncd.conf", "Time", &|_, value| Some((value.to_owned(), None))).map(Timesyncd)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Target;
    use crate::image::{MemoryImage, Rootfs};

    fn addresses(image: &MemoryImage) -> Vec<String> {
        let facts = Facts::none(Target::image(Rootfs::new(image), jiff::civil::date(2026, 1, 1)));
        gather(&facts).unwrap().sources().into_iter().map(|source| source.address).collect()
    }

    #[test]
    fn lines_add_up_and_an_empty_one_takes_back() {
        let image = MemoryImage::new()
            .file("/etc/systemd/timesyncd.conf", "NTP=outside\n[Time]\nNTP=a b\nFallbackNTP=x\n")
            .file("/etc/systemd/timesyncd.conf.d/10.conf", "[Time]\nNTP=c\nFallbackNTP=\n");
        assert_eq!(addresses(&image), ["a", "b", "c"]);
        assert!(addresses(&MemoryImage::new()).is_empty());
    }
}
