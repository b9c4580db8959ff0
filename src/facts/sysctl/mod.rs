//! Kernel parameters: what is written to `/proc/sys` at boot, by whom, and what it overrides.
//!
//! `systemd-sysctl.service` applies the files of `sysctl.d(5)`, sorted by name over all directories; a parameter that is named
//! outright is never touched by a pattern, wherever that stands. `/etc/sysctl.conf` is none of these files: it counts only where a
//! link in one of the directories leads to it (Debian up to 12, Fedora and its descendants). An enabled ufw then applies a file of its
//! own.

mod interfaces;
mod kernel;
mod layer;

use super::drop_ins;
use super::units::{Start, Value};
use super::{Fact, Facts, Unreadable};
use crate::image::{ReadError, Rootfs};
use crate::path::{ImagePath, printable};
use crate::syntax::{os_release, sysctl};
use layer::Layer;

pub use interfaces::{OnInterface, Scoped};
pub use kernel::{Combination, combination, default_of, number_of};
pub use layer::Setting;

/// In order of precedence; `/run` comes in between where it is not empty yet at boot, which is on a running system only.
const DIRECTORIES: [&str; 5] =
    ["/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d"];
const UFW_WANTED: [&str; 2] = ["/etc/systemd/system/*.wants/ufw.service", "/usr/lib/systemd/system/*.wants/ufw.service"];
const SYSCTL_CONF: &str = "/etc/sysctl.conf";

/// Everything that sets kernel parameters at boot.
#[derive(Debug, Clone, Default)]
pub struct Sysctl {
    /// In the order in which they are applied: systemd's, then ufw's.
    layers: Vec<Layer>,
    /// What stands in `/etc/sysctl.conf`, where nothing applies that.
    unapplied: Option<Layer>,
    /// Why nothing of systemd's is applied, where that is so.
    pub stopped: Option<Unreadable>,
}

pub(super) fn gather(facts: &Facts<'_>) -> Fact<Sysctl> {
    let root = facts.root();
    let live = facts.running().is_some();
    let directories: Vec<&str> = DIRECTORIES.into_iter().filter(|path| live || !path.starts_with("/run/")).collect();
    let files = drop_ins::list(root, &directories, ".conf")?;
    let mut found = Sysctl { stopped: stopped(facts)?, ..Sysctl::default() };
    let mut systemd = Layer::new("systemd-sysctl", 0);
    if found.stopped.is_none() {
        files.iter().for_each(|file| systemd.add(&file.path, &file.content));
    }
    let conf = ImagePath::new(SYSCTL_CONF);
    let applied = files.iter().any(|file| root.resolve(&file.path).is_ok_and(|found| found.path == conf));
    if !applied && let Ok(content) = root.read(&conf) {
        let mut unapplied = Layer::new("nothing", 0);
        unapplied.add(&conf, &Ok(content));
        found.unapplied = Some(unapplied);
    }
    found.layers.push(systemd);
    found.layers.extend(ufw(root)?);
    Ok(found)
}

const SERVICE: &str = "systemd-sysctl.service";

/// Why `systemd-sysctl` does not run at boot, if it does not. A tree without systemd and without the unit (a container, an `/etc` alone) is judged
/// by its files, as whatever boots it brings the service.
fn stopped(facts: &Facts<'_>) -> Fact<Option<Unreadable>> {
    let root = facts.root();
    if let Some(mask) = mask_of(root, SERVICE)? {
        return Ok(Some(mask));
    }
    let units = facts.units()?;
    let Some(file) = units.file(SERVICE)? else {
        let systemd = ["/usr/lib/systemd/systemd", "/lib/systemd/systemd"].map(ImagePath::new);
        let is_whole = systemd.iter().any(|path| root.exists(path).unwrap_or(false));
        let missing = || Unreadable::because(format!("there is no {SERVICE}, so that no file of sysctl.d is applied"));
        return Ok(is_whole.then(missing));
    };
    if !matches!(units.starts(SERVICE)?, Start::AtBoot(_)) {
        return Ok(Some(Unreadable::at(&file, format!("nothing starts {SERVICE}, so that no file of sysctl.d is applied"))));
    }
    let says = |path: &ImagePath, line: Option<u32>, found: &str| {
        let reason = format!("{} keeps {SERVICE} from applying sysctl.d", printable(found.as_bytes()));
        match line {
            Some(line) => Unreadable::at_line(path, line, reason),
            None => Unreadable::at(path, reason),
        }
    };
    if let Some(unmet) = units.unmet_condition(SERVICE)? {
        return Ok(Some(says(&unmet.path, Some(unmet.line), &unmet.text)));
    }
    // `systemd.exec(5)`: /proc/sys is then for reading only, or belongs to somebody else.
    let is_true = |text: &str| ["1", "yes", "y", "true", "t", "on"].iter().any(|word| word.eq_ignore_ascii_case(text));
    for (key, lets) in [("ProtectKernelTunables", false), ("DynamicUser", false), ("User", true)] {
        if let Some(value) = units.property(SERVICE, "Service", key)?.pop()
            && (if lets { !matches!(value.text.as_str(), "root" | "0") } else { is_true(&value.text) })
        {
            return Ok(Some(says(&value.path, Some(value.line), &format!("{key}={}", value.text))));
        }
    }
    for key in ["ExecStartPre", "ExecStartPost"] {
        let sets = |value: &Value| value.text.contains("sysctl") || value.text.contains("/proc/sys");
        if let Some(value) = units.property(SERVICE, "Service", key)?.into_iter().find(sets) {
            let reason = format!("{key}={} may set other values, which is not followed", printable(value.text.as_bytes()));
            return Err(Unreadable::at_line(&value.path, value.line, reason));
        }
    }
    if let Some(found) = units.hindrance(SERVICE)? {
        let why = says(&found.path, found.line, &found.found);
        return if found.certain { Ok(Some(why)) } else { Err(why) };
    }
    let commands = units.property(SERVICE, "Service", "ExecStart")?;
    let is_own = |text: &str| text.trim_start_matches(['@', '-', ':', '+', '!', '|']).ends_with("/systemd-sysctl");
    if commands.iter().any(|command| is_own(&command.text)) {
        return Ok(None);
    }
    let Some(command) = commands.first() else { return Ok(None) };
    let why = says(&command.path, Some(command.line), &format!("ExecStart={}", command.text));
    // A part of the files, or procps: which is applied in which order is not followed.
    if command.text.contains("sysctl") { Err(why) } else { Ok(Some(why)) }
}

/// Where a unit is masked: a link to `/dev/null`, or an empty file, in its place (`systemctl(1)`, `mask`).
fn mask_of(root: Rootfs<'_>, unit: &str) -> Fact<Option<Unreadable>> {
    let path = ImagePath::new(format!("/etc/systemd/system/{unit}"));
    let masked = match root.read_link(&path) {
        Ok(Some(target)) => target == b"/dev/null",
        Ok(None) => matches!(root.read(&path), Ok(content) if content.is_empty()),
        Err(error) if error.is_absent() => false,
        Err(error) => return Err(Unreadable::reading(&path, &error)),
    };
    Ok(masked.then(|| Unreadable::at(&path, format!("{unit} is masked, so that no file of sysctl.d is applied"))))
}

/// What ufw applies when it starts (`ufw-framework(8)`, `/usr/lib/ufw/ufw-init-functions`): the file that `IPT_SYSCTL` names, if
/// `ENABLED=yes`, the program is installed and its unit is wanted by something.
fn ufw(root: Rootfs<'_>) -> Fact<Option<Layer>> {
    let path = ImagePath::new("/etc/ufw/ufw.conf");
    let enabled = setting(root, &path, b"ENABLED")?.is_some_and(|value| value == b"yes" || value == b"YES");
    if !enabled || mask_of(root, "ufw.service")?.is_some() {
        return Ok(None);
    }
    // The program, under either name of its directory, and anything that wants its unit.
    for patterns in [["/usr/lib/ufw/ufw-init", "/lib/ufw/ufw-init"], UFW_WANTED] {
        let mut found = false;
        for pattern in patterns {
            let paths = root.glob(pattern).map_err(|error| Unreadable::at(&ImagePath::new(pattern), error.to_string()))?;
            found |= !paths.is_empty();
        }
        if !found {
            return Ok(None);
        }
    }
    let Some(file) = setting(root, &ImagePath::new("/etc/default/ufw"), b"IPT_SYSCTL")?.filter(|file| !file.is_empty()) else {
        return Ok(None);
    };
    let file = ImagePath::new(file);
    let content = match root.read(&file) {
        Ok(content) => Ok(content),
        Err(error) if error.is_absent() => return Ok(None),
        Err(error) => Err(Unreadable::reading(&file, &error)),
    };
    let mut layer = Layer::new("ufw", 1);
    layer.add(&file, &content);
    Ok(Some(layer))
}

/// The last value of a variable in a file of shell assignments; nothing without the file.
fn setting(root: Rootfs<'_>, path: &ImagePath, name: &[u8]) -> Fact<Option<Vec<u8>>> {
    match root.read(path) {
        Ok(content) => {
            Ok(os_release::parse(&content).into_iter().rfind(|assignment| assignment.key == name).map(|found| found.value))
        }
        Err(ReadError::NotFound | ReadError::Dangling) => Ok(None),
        Err(error) => Err(Unreadable::reading(path, &error)),
    }
}

impl Sysctl {
    /// What a parameter is set to once everything has been applied; nothing if nobody sets it. `key` is a path below `/proc/sys`
    /// ([`sysctl::normalise`]). A write to another parameter counts where the kernel sets this one along with it.
    ///
    /// # Errors
    /// A file that could not be read and might have had the last word.
    pub fn configured(&self, key: &[u8]) -> Result<Option<Setting>, Unreadable> {
        let own = self.written(key)?;
        let Some(spill) = kernel::spill_onto(key) else { return Ok(own) };
        let Some(mut along) = self.along(spill, own.as_ref())? else { return Ok(own) };
        along.overrides = own.map(|own| (own.path, own.line));
        Ok(Some(along))
    }

    /// The last line that writes a parameter by its own names.
    fn written(&self, key: &[u8]) -> Result<Option<Setting>, Unreadable> {
        let mut result: Option<Setting> = None;
        for layer in &self.layers {
            let Some(mut setting) = layer.setting(key)? else { continue };
            if let Some(before) = result {
                setting.overrides = Some((before.path, before.line));
            }
            result = Some(setting);
        }
        Ok(result)
    }

    /// What the kernel makes of a parameter later than its own last line does, as another one is written.
    fn along(&self, spill: &kernel::Spill, own: Option<&Setting>) -> Result<Option<Setting>, Unreadable> {
        // What nobody sets is no better for being the opposite of something else.
        if own.is_none() && spill.inverted {
            return Ok(None);
        }
        let is_later = |write: &Setting| own.is_none_or(|own| own.order < write.order);
        let mut now = default_of(spill.from).and_then(number_of).unwrap_or_default();
        let mut last = None;
        let mut is_certain = true;
        for write in self.layers.iter().flat_map(|layer| layer.assignments(spill.from)) {
            // The kernel refuses what is no number.
            let Some(value) = number_of(&write.value) else { continue };
            let changes = value != now;
            now = value;
            if is_later(&write) {
                is_certain &= !spill.on_change;
                if changes || !spill.on_change {
                    last = Some((write, value));
                }
            }
        }
        // Whether a write changes anything hangs on all that comes before it.
        let unread = self.layers.iter().find_map(Layer::first_unread).filter(|_| !is_certain);
        if let Some(unreadable) = unread {
            return Err(unreadable.clone());
        }
        Ok(last.map(|(mut write, value)| {
            let value = if spill.inverted { i64::from(value == 0) } else { value };
            write.along_with = Some(std::mem::replace(&mut write.key, printable(spill.to)));
            Setting { value: value.to_string(), ..write }
        }))
    }

    /// The line in `/etc/sysctl.conf` that sets this to no effect, because nothing applies that file.
    #[must_use]
    pub fn unapplied(&self, key: &[u8]) -> Option<Setting> {
        self.unapplied.as_ref()?.setting(key).ok().flatten()
    }
}

/// The path of a parameter in `/proc`.
#[must_use]
pub fn proc_path(key: &[u8]) -> ImagePath {
    ImagePath::new("/proc/sys").join(sysctl::normalise(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{FactId, Target};
    use crate::image::{Entry, FileKind, MemoryImage};

    fn sysctl(image: &MemoryImage) -> Sysctl {
        let target = Target::image(Rootfs::new(image), jiff::civil::date(2026, 1, 1));
        Facts::gather(target, |_, needs| needs.fact(FactId::Sysctl)).sysctl().unwrap().clone()
    }

    fn value(image: &MemoryImage, key: &str) -> Option<(String, String)> {
        let setting = sysctl(image).configured(key.as_bytes()).unwrap()?;
        Some((setting.value.clone(), format!("{}:{}", setting.path, setting.line)))
    }

    fn is(value: &str, place: &str) -> (String, String) {
        (value.into(), place.into())
    }

    #[test]
    fn the_last_file_by_name_wins_whatever_its_directory() {
        let image =
            MemoryImage::new().file("/etc/sysctl.d/10-a.conf", "a.b=1\n").file("/usr/lib/sysctl.d/20-b.conf", "\na.b=2\n");
        assert_eq!(value(&image, "a/b"), Some(is("2", "/usr/lib/sysctl.d/20-b.conf:2")));
        let setting = sysctl(&image).configured(b"a/b").unwrap().unwrap();
        assert_eq!(setting.overrides, Some((ImagePath::new("/etc/sysctl.d/10-a.conf"), 1)));
    }

    #[test]
    fn sysctl_conf_counts_only_where_a_link_leads_to_it() {
        let image = MemoryImage::new().file("/etc/sysctl.conf", "a.b=1\n");
        assert_eq!(value(&image, "a/b"), None);
        assert_eq!(sysctl(&image).unapplied(b"a/b").unwrap().line, 1);
        let image = image.link("/etc/sysctl.d/99-sysctl.conf", "../sysctl.conf");
        assert_eq!(value(&image, "a/b"), Some(is("1", "/etc/sysctl.d/99-sysctl.conf:1")));
        assert_eq!(sysctl(&image).unapplied(b"a/b"), None);
    }

    #[test]
    fn run_is_empty_at_boot() {
        assert_eq!(value(&MemoryImage::new().file("/run/sysctl.d/a.conf", "a.b=1\n"), "a/b"), None);
    }

    #[test]
    fn a_masked_service_applies_nothing() {
        let image = MemoryImage::new().file("/etc/sysctl.d/a.conf", "a.b=1\n");
        let image = image.link("/etc/systemd/system/systemd-sysctl.service", "/dev/null");
        assert_eq!(value(&image, "a/b"), None);
        assert!(sysctl(&image).stopped.is_some());
    }

    #[test]
    fn a_service_that_nothing_starts_or_that_does_something_else_applies_nothing() {
        let unit = "/usr/lib/systemd/system/systemd-sysctl.service";
        let image = || {
            MemoryImage::new()
                .file("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")
                .file("/etc/sysctl.d/a.conf", "a.b=1\n")
                .file("/usr/lib/systemd/system/default.target", "[Unit]\nWants=sysinit.target\n")
                .file("/usr/lib/systemd/system/sysinit.target", "[Unit]\nDescription=s\n")
                .file(unit, "[Service]\nType=oneshot\nExecStart=/usr/lib/systemd/systemd-sysctl\n")
        };
        let wanted = || image().link("/usr/lib/systemd/system/sysinit.target.wants/systemd-sysctl.service", unit);
        let with = |text: &str| wanted().file("/etc/systemd/system/systemd-sysctl.service.d/x.conf", text);
        assert!(sysctl(&wanted()).stopped.is_none());
        assert!(sysctl(&image()).stopped.is_some(), "only the file is there");
        assert!(sysctl(&with("[Unit]\nConditionPathExists=/nonexist\n")).stopped.unwrap().reason.contains("/nonexist"));
        assert!(sysctl(&with("[Service]\nExecStart=\nExecStart=/bin/true\n")).stopped.is_some());
        assert_eq!(value(&with("[Service]\nExecStart=\n"), "a/b"), None);
        for (line, stops) in [
            ("ProtectKernelTunables=yes", true),
            ("ProtectKernelTunables=no", false),
            ("User=nobody", true),
            ("User=root", false),
            ("DynamicUser=on", true),
        ] {
            assert_eq!(sysctl(&with(&format!("[Service]\n{line}\n"))).stopped.is_some(), stops, "{line}");
        }
    }

    fn with_ufw(enabled: &str) -> MemoryImage {
        MemoryImage::new()
            .file("/etc/sysctl.d/a.conf", "net.ipv4.conf.all.log_martians=1\n")
            .file("/etc/ufw/ufw.conf", format!("ENABLED={enabled}\n"))
            .file("/etc/default/ufw", "IPT_SYSCTL=/etc/ufw/sysctl.conf\n")
            .file("/etc/ufw/sysctl.conf", "net/ipv4/conf/all/log_martians=0\n")
            .file("/usr/lib/ufw/ufw-init", "")
    }

    #[test]
    fn ufw_has_the_last_word_once_it_runs() {
        let (key, own) = ("net/ipv4/conf/all/log_martians", Some(is("1", "/etc/sysctl.d/a.conf:1")));
        assert_eq!(value(&with_ufw("yes"), key), own, "nothing starts it");
        let wanted = |image: MemoryImage| image.link("/etc/systemd/system/multi-user.target.wants/ufw.service", "x");
        assert_eq!(value(&wanted(with_ufw("no")), key), own);
        assert_eq!(value(&wanted(with_ufw("yes")), key), Some(is("0", "/etc/ufw/sysctl.conf:1")));
    }

    #[test]
    fn a_write_for_all_sets_what_new_interfaces_start_from() {
        let set = |text: &str, key: &str| {
            let image = MemoryImage::new().file("/etc/sysctl.d/a.conf", text);
            value(&image, key).map(|(value, place)| format!("{value} {}", place.trim_start_matches("/etc/sysctl.d/a.conf:")))
        };
        let default = "net/ipv4/conf/default/forwarding";
        let both = "net.ipv4.conf.default.forwarding=0\nnet.ipv4.ip_forward=1\n";
        assert_eq!(set(both, default).as_deref(), Some("1 2"), "the kernel starts with 0, so that this changes it");
        let both = "net.ipv4.conf.default.forwarding=1\nnet.ipv4.ip_forward=0\n";
        assert_eq!(set(both, default).as_deref(), Some("1 1"), "IPv4 passes on a change only");
        let there_and_back = "net.ipv4.conf.all.forwarding=1\nnet.ipv4.conf.default.forwarding=1\nnet.ipv4.ip_forward=0\n";
        assert_eq!(set(there_and_back, default).as_deref(), Some("0 3"));
        let default = "net/ipv6/conf/default/forwarding";
        let both = "net.ipv6.conf.default.forwarding=1\nnet.ipv6.conf.all.forwarding=0\n";
        assert_eq!(set(both, default).as_deref(), Some("0 2"), "IPv6 passes on every write");
        let pattern = "net.ipv6.conf.*.forwarding=1\nnet.ipv6.conf.all.forwarding=0\n";
        assert_eq!(set(pattern, default).as_deref(), Some("0 2"));
        assert_eq!(set("net.ipv4.ip_forward=0\n", "net/ipv4/conf/default/forwarding"), None);
    }

    #[test]
    fn switching_forwarding_off_takes_redirects_again() {
        let text = "net.ipv4.conf.all.forwarding=1\nnet.ipv4.conf.all.accept_redirects=0\nnet.ipv4.ip_forward=0\n";
        let image = MemoryImage::new().file("/etc/sysctl.d/a.conf", text);
        let key = "net/ipv4/conf/all/accept_redirects";
        assert_eq!(value(&image, key), Some(is("1", "/etc/sysctl.d/a.conf:3")));
        let image = MemoryImage::new().file("/etc/sysctl.d/a.conf", "net.ipv4.ip_forward=1\n");
        assert_eq!(value(&image, key), None, "only what somebody sets is set");
    }

    #[test]
    fn an_unreadable_file_matters_only_if_it_could_have_had_the_last_word() {
        let mut entry = Entry::new(FileKind::File, "");
        entry.unreadable = true;
        let image = MemoryImage::new().with("/etc/sysctl.d/20.conf", entry).file("/etc/sysctl.d/10.conf", "a.b=1\n");
        assert!(sysctl(&image).configured(b"a/b").is_err());
        assert!(sysctl(&image).configured(b"c/d").is_err());
        assert_eq!(value(&image.file("/etc/sysctl.d/30.conf", "a.b=2\n"), "a/b"), Some(is("2", "/etc/sysctl.d/30.conf:1")));
    }
}
