//! What a rule is about: selection, never the condition itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Names;
use crate::facts::firewall::Tool;
use crate::facts::modules::{Modules, Presence};
use crate::facts::{FactId, Facts, Firewall, Needs, Unreadable};
use crate::finding::{Outcome, Status};
use crate::path::ImagePath;
use crate::syntax::modprobe::underscores;

/// Which images a rule is about. Where this does not hold the rule is not applicable; where it cannot be told it is unknown.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Applies {
    /// One of these packages is installed.
    Package(Names),
    /// The image is of this operating system.
    Os(OsSelector),
    /// One of these paths or patterns exists.
    File(Names),
    /// One of these firewalls is in use, or none of all is: only another one in their place makes a rule not apply.
    Firewall(Vec<Tool>),
    /// This firewall is the one that the image goes by: it is in use; or none is, and its package is the first there is of ufw, saved rules
    /// of iptables and firewalld, with nftables for an image that has none of them.
    ChosenFirewall(Tool),
    /// An installed kernel has one of these modules as a part of itself, and none has one of them to be loaded: no configuration
    /// has a say over it.
    BuiltIn(Names),
    /// There is (`true`) or is not (`false`) an SSH server of OpenSSH: its package, its program, or a unit that starts it.
    Sshd(bool),
    /// The image is (`true`) or is not (`false`) the running machine.
    Running(bool),
    /// Every one of these holds.
    All(Vec<Applies>),
    /// At least one of these holds.
    Any(Vec<Applies>),
    /// This does not hold.
    Not(Box<Applies>),
}

/// An operating system by the words of `os-release(5)`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OsSelector {
    /// `ID`, exactly one of these.
    pub id: Names,
    /// `VERSION_ID` is one of these, or begins with one and a dot: `9` fits `9.4`.
    pub version: Option<Names>,
}

impl OsSelector {
    /// Whether an `ID` and a `VERSION_ID` fit.
    #[must_use]
    pub fn fits(&self, id: &str, version: &str) -> bool {
        let version_fits =
            |wanted: &String| version.strip_prefix(wanted.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        self.id.0.iter().any(|wanted| wanted == id)
            && self.version.as_ref().is_none_or(|versions| versions.0.iter().any(version_fits))
    }
}

/// Where the program lies: its package's place, and that of one built by hand.
const SSHD: [&str; 2] = ["/usr/sbin/sshd", "/usr/local/sbin/sshd"];

/// The firewall that is in use in the place of these, if one is.
fn instead(firewall: &Firewall, tools: &[Tool]) -> Result<Option<Tool>, Unreadable> {
    let mut other = None;
    for tool in Tool::ALL {
        if firewall.uses(tool)? {
            if tools.contains(&tool) {
                return Ok(None);
            }
            other.get_or_insert(tool);
        }
    }
    Ok(other)
}

/// Whether a firewall is the one that the image goes by, and why.
fn is_chosen(facts: &Facts<'_>, tool: Tool) -> Result<(bool, String), Unreadable> {
    let firewall = facts.firewall()?;
    let mut others = Vec::new();
    for other in Tool::ALL {
        if firewall.uses(other)? {
            if other == tool {
                return Ok((true, format!("{} is in use", tool.name())));
            }
            others.push(other.name());
        }
    }
    if !others.is_empty() {
        return Ok((false, format!("{} is in use", others.join(" and "))));
    }
    let packages = facts.packages()?;
    let there = |names: &[&str]| names.iter().any(|name| packages.named(name).next().is_some());
    let first = PACKAGES.iter().find(|(_, names)| there(names)).map_or(Tool::Nftables, |(tool, _)| *tool);
    Ok((first == tool, format!("no firewall is in use, and {} is what there is", first.name())))
}

/// Whose being installed says which firewall is meant where none is in use, in this order. nftables is not among them: other firewalls
/// bring it along.
const PACKAGES: [(Tool, &[&str]); 3] =
    [(Tool::Ufw, &["ufw"]), (Tool::Iptables, &["iptables-persistent", "iptables-services"]), (Tool::Firewalld, &["firewalld"])];

/// Whether kernels have one of these only as a part of themselves.
fn built_in(modules: &Modules, names: &[String]) -> bool {
    let names: Vec<Vec<u8>> = names.iter().filter_map(|name| underscores(name.as_bytes())).collect();
    let has: Vec<Presence> = modules.kernels.iter().flat_map(|kernel| names.iter().map(|name| kernel.has(name))).collect();
    has.iter().any(|one| matches!(one, Presence::BuiltIn(_))) && !has.iter().any(|one| matches!(one, Presence::Loadable(_)))
}

impl Applies {
    /// Adds what has to be known.
    pub fn needs(&self, needs: &mut Needs) {
        match self {
            Self::Package(_) => needs.fact(FactId::Packages),
            Self::Os(_) => needs.fact(FactId::Os),
            Self::File(patterns) => patterns.0.iter().for_each(|pattern| needs.files(pattern)),
            Self::Firewall(_) => needs.fact(FactId::Firewall),
            Self::ChosenFirewall(_) => {
                needs.fact(FactId::Firewall);
                needs.fact(FactId::Packages);
            }
            Self::BuiltIn(_) => needs.fact(FactId::Modules),
            Self::Sshd(_) => {
                needs.fact(FactId::Packages);
                needs.fact(FactId::Sshd);
                SSHD.iter().for_each(|path| needs.files(*path));
            }
            Self::Running(_) => {}
            Self::All(inner) | Self::Any(inner) => inner.iter().for_each(|applies| applies.needs(needs)),
            Self::Not(inner) => inner.needs(needs),
        }
    }

    /// [`Status::Pass`] where it applies, [`Status::Fail`] where it does not, [`Status::Unknown`] where that cannot be told; the
    /// reason says why.
    #[must_use]
    pub fn evaluate(&self, facts: &Facts<'_>) -> Outcome {
        let decide = |met: bool, reason: String| Outcome::decide(met, Vec::new()).because(reason);
        let unknown =
            |unreadable: &Unreadable| Outcome::unknown(format!("whether it applies is not known: {unreadable}"), Vec::new());
        match self {
            Self::Package(names) => match facts.packages() {
                Ok(packages) => {
                    let met = names.0.iter().any(|name| packages.named(name).next().is_some());
                    decide(met, format!("{} is {}installed", names.0.join(" or "), if met { "" } else { "not " }))
                }
                Err(unreadable) => unknown(&unreadable),
            },
            Self::Os(selector) => match facts.os() {
                Ok(os) => decide(selector.fits(&os.id, &os.version), format!("the system is {} {}", os.id, os.version)),
                Err(unreadable) => unknown(&unreadable),
            },
            Self::File(patterns) => Outcome::any(patterns.0.iter().map(|pattern| match facts.files(pattern) {
                Ok(found) => {
                    let met = found.iter().any(|state| !state.dangling);
                    let path = ImagePath::new(pattern);
                    decide(met, format!("{path} {}", if met { "exists" } else { "does not exist" }))
                }
                Err(unreadable) => unknown(&unreadable),
            })),
            Self::Firewall(tools) => match facts.firewall().and_then(|firewall| instead(firewall, tools)) {
                Ok(None) => decide(true, String::new()),
                Ok(Some(other)) => decide(false, format!("{} is in use", other.name())),
                Err(unreadable) => unknown(&unreadable),
            },
            Self::ChosenFirewall(tool) => match is_chosen(facts, *tool) {
                Ok((chosen, why)) => decide(chosen, why),
                Err(unreadable) => unknown(&unreadable),
            },
            Self::BuiltIn(names) => match facts.modules() {
                Ok(modules) => {
                    let met = built_in(modules, &names.0);
                    decide(met, format!("{} is {}built into the kernel", names.0.join(" or "), if met { "" } else { "not " }))
                }
                Err(unreadable) => unknown(&unreadable),
            },
            Self::Sshd(wanted) => {
                let names = |names: &[&str]| Names(names.iter().map(|&name| name.to_owned()).collect());
                let unit = match facts.sshd() {
                    Ok(sshd) => decide(sshd.unit.is_some(), "no unit starts sshd".into()),
                    Err(unreadable) => unknown(&unreadable),
                };
                let traces = [Self::Package(names(&["openssh-server"])), Self::File(names(&SSHD))];
                let mut outcomes: Vec<Outcome> = traces.iter().map(|trace| trace.evaluate(facts)).collect();
                outcomes.push(unit);
                let there = Outcome::any(outcomes);
                if *wanted { there } else { there.negate() }
            }
            Self::Running(wanted) => {
                let running = facts.running().is_some();
                decide(
                    running == *wanted,
                    if running { "the machine is running: judge the snapshot" } else { "the image is not running" }.into(),
                )
            }
            Self::All(inner) => Outcome::all(inner.iter().map(|applies| applies.evaluate(facts))),
            Self::Any(inner) => Outcome::any(inner.iter().map(|applies| applies.evaluate(facts))),
            Self::Not(inner) => inner.evaluate(facts).negate(),
        }
    }

    /// The verdict where the rule is not to be judged; nothing where it is.
    #[must_use]
    pub fn excuse(&self, facts: &Facts<'_>) -> Option<Outcome> {
        let outcome = self.evaluate(facts);
        let reason = outcome.reason.clone().unwrap_or_default();
        match outcome.status {
            Status::Pass => None,
            Status::Fail => Some(Outcome::not_applicable(reason)),
            _ => Some(outcome),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Target;
    use crate::image::{MemoryImage, Rootfs};

    fn status(applies: &str, image: &MemoryImage) -> Status {
        let applies: Applies = toml::from_str(applies).unwrap();
        let target = Target::image(Rootfs::new(image), jiff::civil::date(2026, 1, 1));
        applies.evaluate(&Facts::gather(target, |_, needs| applies.needs(needs))).status
    }

    #[test]
    fn a_module_is_built_in_where_no_kernel_has_it_to_be_loaded() {
        const USB: &str = "built-in = 'usb-storage'\n";
        let built_in = MemoryImage::new().file("/lib/modules/6.1/modules.builtin", "kernel/drivers/usb/storage/usb-storage.ko\n");
        assert_eq!(status(USB, &built_in), Status::Pass);
        assert_eq!(status("built-in = ['cramfs', 'usb_storage']\n", &built_in), Status::Pass);
        assert_eq!(status("built-in = 'cramfs'\n", &built_in), Status::Fail);
        let other = built_in.file("/lib/modules/6.2/modules.dep", "kernel/drivers/usb/storage/usb-storage.ko:\n");
        assert_eq!(status(USB, &other), Status::Fail);
        assert_eq!(status(USB, &MemoryImage::new()), Status::Fail);
    }

    #[test]
    fn the_firewall_in_use_is_the_chosen_one_whatever_is_installed() {
        const STATUS: &str = "Package: ufw\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n\n";
        let unit = "[Service]\nExecStart=/usr/sbin/nft -f /etc/nftables.conf\n[Install]\nWantedBy=multi-user.target\n";
        let image = MemoryImage::new()
            .file("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")
            .link("/usr/lib/systemd/system/default.target", "multi-user.target")
            .file("/usr/lib/systemd/system/multi-user.target", "[Unit]\n")
            .file("/usr/lib/systemd/system/nftables.service", unit)
            .file("/var/lib/dpkg/status", STATUS);
        let chosen = |tool: &str, image: &MemoryImage| status(&format!("chosen-firewall = '{tool}'\n"), image);
        assert_eq!((chosen("ufw", &image), chosen("nftables", &image)), (Status::Pass, Status::Fail));
        let link = "/usr/lib/systemd/system/nftables.service";
        let image = image.link("/etc/systemd/system/multi-user.target.wants/nftables.service", link);
        assert_eq!((chosen("ufw", &image), chosen("nftables", &image)), (Status::Fail, Status::Pass));
    }
}
