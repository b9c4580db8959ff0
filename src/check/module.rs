//! Kernel modules.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Kind, unknown};
use crate::facts::modules::{Effect, Modules, Place, Presence};
use crate::facts::{FactId, Facts, Needs, Unreadable};
use crate::finding::{Evidence, Outcome};
use crate::path::ImagePath;
use crate::syntax::modprobe::underscores;

const LOADED: &str = "/proc/modules";

/// A kernel module: whether it can be loaded, and whether its aliases load it.
///
/// On a running machine a module that must not be loadable must not be loaded either.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Module {
    /// The name; `-` and `_` are the same.
    pub name: String,
    /// `false`: no installed kernel has it built in, and asking for it runs an `install` command that loads nothing, or no
    /// installed kernel has it at all. `true`: the opposite.
    pub loadable: Option<bool>,
    /// Whether a `blacklist` keeps it from being loaded by the aliases of hardware, file systems and protocols. Asking for it by name
    /// still loads it.
    pub blacklisted: Option<bool>,
    /// Whether it has to be blocked even where no installed kernel has it: the next kernel may.
    #[serde(default)]
    pub even_if_missing: bool,
}

impl Kind for Module {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Modules);
        needs.running(LOADED);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let modules = facts.modules()?;
        let name = underscores(self.name.as_bytes()).unwrap_or_default();
        let mut outcomes = Vec::new();
        if let Some(wanted) = self.loadable {
            let blocked = Outcome::all([Some(self.blocked(modules, &name)), loaded(facts, &name)].into_iter().flatten());
            outcomes.push(if wanted { blocked.negate() } else { blocked });
        }
        if let Some(wanted) = self.blacklisted {
            outcomes.push(match modules.blacklisted(&name) {
                Err(unreadable) => unknown(&unreadable),
                Ok(found) => {
                    let place = match &found {
                        Some(place) => at(place).found("blacklisted"),
                        None => Evidence::at(&ImagePath::new("/etc/modprobe.d")).found("not blacklisted"),
                    };
                    let expected = if wanted { "blacklisted" } else { "not blacklisted" };
                    Outcome::decide(found.is_some() == wanted, vec![place.expected(expected)])
                }
            });
        }
        Ok(Outcome::all(outcomes))
    }

    fn flaw(&self) -> Option<String> {
        if self.name.is_empty() || self.name.contains(['*', '?', '[', ' ', '/', '.']) {
            return Some("'name' is the name of one module, such as usb-storage".into());
        }
        (self.loadable.is_none() && self.blacklisted.is_none())
            .then(|| "it asks nothing of the module; known: loadable, blacklisted".into())
    }
}

impl Module {
    /// Met if nothing can load it.
    fn blocked(&self, modules: &Modules, name: &[u8]) -> Outcome {
        let expected = if self.loadable == Some(true) { "available" } else { "not available" };
        let mut built_in = Vec::new();
        let mut loadable = Vec::new();
        for kernel in &modules.kernels {
            match kernel.has(name) {
                Presence::BuiltIn(place) => built_in.push(
                    at(&place)
                        .found("built into the kernel")
                        .expected(expected)
                        .because("modprobe has no say over what is built in"),
                ),
                Presence::Loadable(place) => loadable.push(place),
                Presence::Missing => {}
            }
        }
        if !built_in.is_empty() {
            return Outcome::fail(built_in);
        }
        if loadable.is_empty() && !modules.kernels.is_empty() && !self.even_if_missing {
            let missing = modules.kernels.iter().map(|kernel| Evidence::at(&kernel.path).found("this kernel has no such module"));
            return Outcome::pass(missing.collect());
        }
        let install = match modules.install(name) {
            Ok(install) => install,
            Err(unreadable) => return unknown(&unreadable),
        };
        let Some(install) = install else {
            return Outcome::fail(self.unblocked(modules, name, &loadable));
        };
        let mut seen = at(&install.place).found(format!("install {} {}", self.name, install.command));
        if let Some(Place { path, line }) = &install.before {
            seen = seen.because(format!("comes before {path}:{line}, and the first command wins"));
        }
        match install.effect {
            Effect::Blocks => Outcome::pass(vec![seen]),
            Effect::Loads => Outcome::fail(vec![seen.expected("a command that loads nothing, such as /bin/false")]),
            Effect::Unclear => Outcome::unknown("what this install command does cannot be told from its words", vec![seen]),
        }
    }

    /// Evidence that nothing stands in the way.
    fn unblocked(&self, modules: &Modules, name: &[u8], loadable: &[Place]) -> Vec<Evidence> {
        let expected = format!("install {} /bin/false", self.name);
        let mut because = match modules.blacklisted(name) {
            Ok(Some(Place { path, line })) => {
                Some(format!("{path}:{line} blacklists it, which keeps its aliases from loading it and not its name"))
            }
            _ => None,
        };
        if let Some(Place { path, line }) = modules.wanted(name) {
            because = Some(format!("{path}:{line} even asks for it at every boot"));
        }
        let reasoned = |mut seen: Evidence| {
            seen.because.clone_from(&because);
            seen.expected(expected.clone())
        };
        if loadable.is_empty() {
            let found = if modules.kernels.is_empty() {
                "no such install command; the kernel comes from outside the image and may have the module"
            } else {
                "no such install command; no kernel has the module yet"
            };
            return vec![reasoned(Evidence::at(&ImagePath::new("/etc/modprobe.d")).found(found))];
        }
        loadable.iter().map(|place| reasoned(at(place).found("can be loaded"))).collect()
    }
}

/// Fails where the running kernel has it loaded.
fn loaded(facts: &Facts<'_>, name: &[u8]) -> Option<Outcome> {
    let files = match facts.running_contents(LOADED)? {
        Ok(files) => files,
        Err(unreadable) => return Some(unknown(&unreadable)),
    };
    let mut outcomes = Vec::new();
    for file in files {
        let content = match &file.content {
            Ok(content) => content,
            Err(unreadable) => return Some(unknown(unreadable)),
        };
        let line = (1..)
            .zip(content.split(|&byte| byte == b'\n'))
            .find(|(_, line)| line.split(|&byte| byte == b' ').next() == Some(name));
        let seen = Evidence::at(&file.path).because("the running kernel").expected("not loaded");
        outcomes.push(match line {
            Some((line, _)) => Outcome::fail(vec![seen.line(line).found("loaded")]),
            None => Outcome::pass(vec![seen.found("not loaded")]),
        });
    }
    // A kernel without loadable modules has no such file.
    (!outcomes.is_empty()).then(|| Outcome::all(outcomes))
}

fn at(place: &Place) -> Evidence {
    Evidence::at(&place.path).line(place.line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Target;
    use crate::finding::Status;
    use crate::image::{MemoryImage, Rootfs};

    fn judge(check: &str, image: &MemoryImage, running: Option<&MemoryImage>) -> Outcome {
        let check: Module = toml::from_str(check).unwrap();
        assert_eq!(check.flaw(), None);
        let mut target = Target::image(Rootfs::new(image), jiff::civil::date(2026, 1, 1));
        target.running = running.map(|running| Rootfs::new(running));
        check.evaluate(&Facts::gather(target, |facts, needs| check.needs(facts, needs)))
    }

    fn image(modprobe: &str) -> MemoryImage {
        MemoryImage::new()
            .file("/lib/modules/6.1/modules.dep", "kernel/drivers/usb/storage/usb-storage.ko:\n")
            .file("/lib/modules/6.1/modules.builtin", "kernel/fs/squashfs/squashfs.ko\n")
            .file("/etc/modprobe.d/a.conf", modprobe)
    }

    fn status(check: &str, modprobe: &str) -> Status {
        judge(check, &image(modprobe), None).status
    }

    const USB: &str = "name = 'usb-storage'\nloadable = false\n";

    #[test]
    fn a_blacklist_keeps_aliases_away_and_nothing_else() {
        assert_eq!(status(USB, "blacklist usb_storage\n"), Status::Fail);
        assert_eq!(status("name = 'usb_storage'\nblacklisted = true\n", "blacklist usb-storage\n"), Status::Pass);
        assert_eq!(status("name = 'usb_storage'\nblacklisted = true\n", "install usb-storage /bin/false\n"), Status::Fail);
    }

    #[test]
    fn a_command_that_loads_nothing_blocks() {
        assert_eq!(status(USB, "install usb_storage /bin/false\n"), Status::Pass);
        assert_eq!(status(USB, "install usb_storage /sbin/modprobe -i usb_storage\n"), Status::Fail);
        assert_eq!(status(USB, "install usb_storage /opt/ask\n"), Status::Unknown);
        assert_eq!(status("name = 'usb-storage'\nloadable = true\n", ""), Status::Pass);
    }

    #[test]
    fn a_module_no_kernel_has_cannot_be_loaded() {
        assert_eq!(status("name = 'cramfs'\nloadable = false\n", ""), Status::Pass);
        assert_eq!(status("name = 'cramfs'\nloadable = false\neven-if-missing = true\n", ""), Status::Fail);
    }

    #[test]
    fn without_a_kernel_in_the_image_the_configuration_decides() {
        let check = "name = 'cramfs'\nloadable = false\n";
        assert_eq!(judge(check, &MemoryImage::new(), None).status, Status::Fail);
        let image = MemoryImage::new().file("/etc/modprobe.d/a.conf", "install cramfs /bin/true\n");
        assert_eq!(judge(check, &image, None).status, Status::Pass);
    }

    #[test]
    fn what_is_built_in_cannot_be_blocked() {
        assert_eq!(status("name = 'squashfs'\nloadable = false\n", "install squashfs /bin/false\n"), Status::Fail);
    }

    #[test]
    fn a_running_machine_must_not_have_it_loaded() {
        let image = image("install usb-storage /bin/false\n");
        let running = |modules: &str| MemoryImage::new().file("/proc/modules", modules);
        assert_eq!(judge(USB, &image, Some(&running("uas 1 0 - Live 0x0\n"))).status, Status::Pass);
        let outcome = judge(USB, &image, Some(&running("uas 1 0\nusb_storage 1 0 - Live 0x0\n")));
        assert_eq!((outcome.status, outcome.evidence[0].line), (Status::Fail, Some(2)));
        assert_eq!(judge(USB, &image, Some(&MemoryImage::new())).status, Status::Pass);
    }

    #[test]
    fn being_asked_for_at_boot_is_said() {
        let outcome = judge(USB, &image("").file("/etc/modules-load.d/a.conf", "# x\nusb-storage\n"), None);
        assert!(outcome.evidence[0].because.as_ref().unwrap().contains("/etc/modules-load.d/a.conf:2"));
    }
}
