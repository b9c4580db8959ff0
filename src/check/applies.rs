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
}
