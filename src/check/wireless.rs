//! Wireless network interfaces.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Kind;
use crate::facts::{Facts, Needs, Unreadable};
use crate::finding::{Evidence, Outcome};
use crate::path::ImagePath;

/// Every interface of a wireless device has this file (`net/wireless/sysfs.c`).
const NAMES: &str = "/sys/class/net/*/phy80211/name";

/// Wireless interfaces of the running machine. Which hardware an image will run on is not in the image, so there it is not applicable.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct WirelessInterface {
    /// Whether there may be any: only `false` can be asked.
    pub exists: bool,
}

impl Kind for WirelessInterface {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.running(NAMES);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        Ok(match facts.running_contents(NAMES) {
            None => Outcome::not_applicable("which network interfaces there will be is not in an image"),
            Some(Err(unreadable)) => return Err(unreadable),
            Some(Ok([])) => Outcome::decide(
                !self.exists,
                vec![Evidence::at(&ImagePath::new("/sys/class/net")).found("no wireless interface")],
            ),
            Some(Ok(files)) => {
                let seen =
                    |file: &crate::facts::FileFact| Evidence::at(&file.path).found("a wireless interface").expected("none");
                Outcome::decide(self.exists, files.iter().map(seen).collect())
            }
        })
    }

    fn flaw(&self) -> Option<String> {
        self.exists.then(|| "only 'exists = false' makes sense here".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Target;
    use crate::finding::Status;
    use crate::image::{MemoryImage, Rootfs};

    #[test]
    fn a_running_machine_is_looked_at_and_an_image_is_not() {
        let check: WirelessInterface = toml::from_str("exists = false").unwrap();
        let image = MemoryImage::new();
        let wired = MemoryImage::new().file("/sys/class/net/eth0/address", "x");
        let wireless = wired.clone().file("/sys/class/net/wlan0/phy80211/name", "phy0\n");
        for (running, status) in [(None, Status::NotApplicable), (Some(&wired), Status::Pass), (Some(&wireless), Status::Fail)] {
            let mut target = Target::image(Rootfs::new(&image), jiff::civil::date(2026, 1, 1));
            target.running = running.map(|running| Rootfs::new(running));
            let facts = Facts::gather(target, |facts, needs| check.needs(facts, needs));
            assert_eq!(check.evaluate(&facts).status, status);
        }
    }
}
