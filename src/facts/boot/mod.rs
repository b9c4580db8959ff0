//! What the boot loader hands to the kernel, entry by entry, and what it will hand over once its files are made anew.
//!
//! An entry is a `linux` command of `grub.cfg`, or a file of the Boot Loader Specification with the variables of GRUB's environment block.
//! Every entry counts: whoever boots the machine chooses. `/etc/default/grub` is a shell script; what it computes is not known.

mod defaults;

use std::collections::BTreeMap;

pub use defaults::Defaults;

use super::{Fact, Facts, Unreadable};
use crate::image::Rootfs;
use crate::path::ImagePath;
use crate::syntax::grub::{self, Config, Kernel};
use crate::syntax::zipl;

/// The boot loader's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boot {
    /// Every entry.
    pub entries: Vec<BootEntry>,
    /// What `/etc/default/grub` says the next `grub.cfg` will have; nothing where there is no such file.
    pub defaults: Option<Defaults>,
    /// Where a password of the boot loader is set, and for whom: never the password or its hash.
    pub passwords: Vec<BootPassword>,
    /// Names of superusers: without one, a password keeps nobody out.
    pub superusers: Option<(ImagePath, u32, String)>,
    /// The configuration files that were read.
    pub files: Vec<ImagePath>,
    /// Why there is nothing to configure, where it is certain that the image has no boot loader.
    pub absent: Option<&'static str>,
    /// Why no entry is known, where the image has a boot loader whose configuration is not here.
    pub missing: Option<Unreadable>,
    /// A script that a configuration runs and whose place is not known: it may have the last word.
    pub doubt: Option<(ImagePath, u32, String)>,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootEntry {
    /// The file.
    pub path: ImagePath,
    /// The line, from 1.
    pub line: u32,
    /// The arguments of the kernel.
    pub arguments: Vec<String>,
}

/// A password of the boot loader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootPassword {
    /// The file.
    pub path: ImagePath,
    /// The line, from 1.
    pub line: u32,
    /// Whether it is kept as a hash.
    pub hashed: bool,
}

/// The value of an argument in a list, the last of its name; empty for a word alone. What follows `--` is for init, not for the kernel
/// (`parse_args()`).
#[must_use]
pub fn argument<'a>(arguments: &'a [String], name: &str) -> Option<&'a str> {
    let kernels = arguments.iter().position(|argument| argument == "--").unwrap_or(arguments.len());
    arguments.iter().take(kernels).rev().find_map(|argument| match argument.split_once('=') {
        Some((key, value)) => (key == name).then_some(value),
        None => (argument == name).then_some(""),
    })
}

/// Where `grub.cfg` lies: Debian, Red Hat, and the EFI partitions of both.
const CONFIGS: [&str; 3] = ["/boot/grub/grub.cfg", "/boot/grub2/grub.cfg", "/boot/efi/EFI/*/grub.cfg"];

pub(super) fn gather(facts: &Facts<'_>) -> Fact<Boot> {
    let root = facts.root();
    let mut boot = Boot {
        entries: Vec::new(),
        defaults: None,
        passwords: Vec::new(),
        superusers: None,
        files: Vec::new(),
        absent: None,
        missing: None,
        doubt: None,
    };
    for pattern in CONFIGS {
        for path in glob(root, pattern)? {
            let Some(content) = read(root, &path)? else { continue };
            boot.take(root, &path, &grub::parse(&content), 0)?;
        }
    }
    // user.cfg holds `GRUB2_PASSWORD=hash`, which Red Hat's grub.cfg reads.
    for path in [glob(root, "/boot/grub2/user.cfg")?, glob(root, "/boot/efi/EFI/*/user.cfg")?].concat() {
        let Some(content) = read(root, &path)? else { continue };
        for (line, text) in (1..).zip(content.split(|&byte| byte == b'\n')) {
            if text.trim_ascii().starts_with(b"GRUB2_PASSWORD=grub.pbkdf2.") {
                boot.passwords.push(BootPassword { path: path.clone(), line, hashed: true });
            }
        }
    }
    boot.defaults = Defaults::gather(root)?;
    if boot.files.is_empty() {
        boot.take_entries(root)?;
    }
    if boot.files.is_empty() && boot.entries.is_empty() {
        if has_no_loader(facts)? {
            boot.absent =
                Some("the image has no boot loader: no package of one, nothing in /boot, and no volume that it could be on");
            return Ok(boot);
        }
        boot.missing = Some(Unreadable::at(
            &ImagePath::new("/boot"),
            "there is no boot loader configuration: it may lie on a volume that is not part of the source, or be made later",
        ));
    }
    Ok(boot)
}

/// Where boot loaders and what they start lie.
const BOOT: [&str; 3] = ["/boot", "/efi", "/boot/efi"];

/// How the packages of boot loaders are named.
const LOADERS: [&str; 12] = [
    "grub",
    "shim",
    "systemd-boot",
    "sd-boot",
    "lilo",
    "syslinux",
    "extlinux",
    "isolinux",
    "refind",
    "zipl",
    "s390utils",
    "u-boot",
];

/// A container, or a tree that something else boots (a hypervisor with a kernel of its own). Where anything speaks of another volume, the boot
/// loader may be there.
fn has_no_loader(facts: &Facts<'_>) -> Fact<bool> {
    let root = facts.root();
    let Ok(packages) = facts.packages() else { return Ok(false) };
    let is_loader = |name: &str| LOADERS.iter().any(|loader| name.starts_with(loader));
    if facts.running().is_some() || packages.installed.iter().any(|package| is_loader(&package.name)) {
        return Ok(false);
    }
    for file in ["/etc/default/grub", "/etc/kernel/cmdline", "/etc/zipl.conf", "/etc/lilo.conf"].map(ImagePath::new) {
        if root.exists(&file).map_err(|error| Unreadable::reading(&file, &error))? {
            return Ok(false);
        }
    }
    for folder in BOOT.map(ImagePath::new) {
        match root.read_dir(&folder) {
            Ok(names) if names.iter().all(|name| name == b"efi" && folder.as_bytes() == b"/boot") => {}
            Ok(_) => return Ok(false),
            Err(error) if error.is_absent() => {}
            Err(error) => return Err(Unreadable::reading(&folder, &error)),
        }
    }
    let fstab = read(root, &ImagePath::new("/etc/fstab"))?.unwrap_or_default();
    let on_it = |entry: &crate::syntax::fstab::Entry| BOOT.iter().any(|folder| entry.point == folder.as_bytes());
    let units = glob(root, "/etc/systemd/system/{boot,boot-efi,efi}.{mount,automount}")?;
    Ok(units.is_empty() && !crate::syntax::fstab::parse(&fstab).iter().any(on_it))
}

/// Scripts within scripts.
const MAX_DEPTH: usize = 8;
/// Scripts in all; a real configuration has two or three.
const MAX_FILES: usize = 100;

/// Where a script lies that another one runs. The device before a path is not known: a path on it may be one of a volume of its own that is mounted
/// at `/boot`.
fn sourced(root: Rootfs<'_>, config: &ImagePath, written: &str, prefix: Option<&str>) -> Fact<Option<Vec<ImagePath>>> {
    let folder = config.parent().unwrap_or_else(ImagePath::root).to_string();
    let without_device = |text: &str| match text.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
        Some((_, path)) => path.to_owned(),
        None => text.to_owned(),
    };
    let prefix = prefix.map(without_device).filter(|prefix| !prefix.contains('$')).unwrap_or_else(|| folder.clone());
    let mut path = without_device(written);
    for (name, value) in [("$config_directory", &folder), ("$prefix", &prefix), ("$root", &String::new())] {
        path = path.replacen(name, value, 1);
    }
    if path.contains('$') || !path.starts_with('/') {
        return Ok(None);
    }
    let places = [ImagePath::new(&path), ImagePath::new(format!("/boot{path}"))];
    let mut found = Vec::new();
    for place in places {
        if root.exists(&place).map_err(|error| Unreadable::reading(&place, &error))? {
            found.push(place);
        }
    }
    Ok(Some(found))
}

impl Boot {
    /// What boots without GRUB: the entries of the Boot Loader Specification, which zipl and systemd-boot take as they are, and the
    /// sections of `zipl.conf`.
    fn take_entries(&mut self, root: Rootfs<'_>) -> Fact<()> {
        for path in glob(root, "/boot/loader/entries/*.conf")? {
            let Some(content) = read(root, &path)? else { continue };
            self.entries.extend(grub::entry_options(&content).iter().map(|kernel| entry(&path, kernel, &BTreeMap::new())));
        }
        let path = ImagePath::new("/etc/zipl.conf");
        if let Some(content) = read(root, &path)? {
            self.entries.extend(zipl::parse(&content).iter().map(|kernel| entry(&path, kernel, &BTreeMap::new())));
        }
        Ok(())
    }

    fn take(&mut self, root: Rootfs<'_>, path: &ImagePath, config: &Config, depth: usize) -> Fact<()> {
        if self.files.contains(path) {
            return Ok(());
        }
        self.files.push(path.clone());
        let password = |hashed| move |(line, _): &(u32, String)| BootPassword { path: path.clone(), line: *line, hashed };
        self.passwords.extend(config.passwords.iter().map(password(true)));
        self.passwords.extend(config.plain_passwords.iter().map(password(false)));
        // The last word counts, in the order in which the scripts run.
        let own = config.superusers.as_ref();
        let (before, after): (Vec<_>, Vec<_>) =
            config.sources.iter().partition(|(line, _)| own.is_some_and(|(own, _)| line < own));
        self.sources(root, path, config, before, depth)?;
        if let Some((line, names)) = own {
            self.superusers = Some((path.clone(), *line, names.clone()));
        }
        self.sources(root, path, config, after, depth)?;
        let variables: BTreeMap<String, String> = config.variables.iter().cloned().collect();
        self.entries.extend(config.kernels.iter().map(|kernel| entry(path, kernel, &variables)));
        if config.loads_entries.is_some() {
            let mut variables = variables;
            let folder = path.parent().unwrap_or_else(ImagePath::root);
            if let Some(content) = read(root, &folder.join("grubenv"))? {
                variables.extend(grub::environment(&content));
            }
            for path in glob(root, "/boot/loader/entries/*.conf")? {
                let Some(content) = read(root, &path)? else { continue };
                self.entries.extend(grub::entry_options(&content).iter().map(|kernel| entry(&path, kernel, &variables)));
            }
        }
        Ok(())
    }
}

impl Boot {
    fn sources(
        &mut self,
        root: Rootfs<'_>,
        path: &ImagePath,
        config: &Config,
        sources: Vec<&(u32, String)>,
        depth: usize,
    ) -> Fact<()> {
        let prefix = config.variables.iter().find(|(name, _)| name == "prefix").map(|(_, value)| value.as_str());
        for (line, written) in sources {
            let found = sourced(root, path, written, prefix)?;
            if found.is_none() || depth >= MAX_DEPTH || self.files.len() >= MAX_FILES {
                self.doubt.get_or_insert_with(|| (path.clone(), *line, written.clone()));
                continue;
            }
            for file in found.unwrap_or_default() {
                // It only gives a variable its value, and is read for that.
                if file.file_name() == b"user.cfg" {
                    continue;
                }
                let Some(content) = read(root, &file)? else { continue };
                self.take(root, &file, &grub::parse(&content), depth + 1)?;
            }
        }
        Ok(())
    }
}

/// An entry with its variables put in; one that has no value stands for nothing, as in GRUB.
fn entry(path: &ImagePath, kernel: &Kernel, variables: &BTreeMap<String, String>) -> BootEntry {
    let arguments = kernel.arguments.iter().flat_map(|argument| match argument.strip_prefix('$') {
        Some(name) => {
            let name = name.trim_start_matches('{').trim_end_matches('}');
            let value = variables.get(name).map(String::as_str).unwrap_or_default();
            value.split_ascii_whitespace().map(str::to_owned).collect()
        }
        None => vec![argument.clone()],
    });
    BootEntry { path: path.clone(), line: kernel.line, arguments: arguments.collect() }
}

fn glob(root: Rootfs<'_>, pattern: &str) -> Fact<Vec<ImagePath>> {
    root.glob(pattern).map_err(|error| Unreadable::at(&ImagePath::new(pattern), error.to_string()))
}

fn read(root: Rootfs<'_>, path: &ImagePath) -> Fact<Option<Vec<u8>>> {
    match root.read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.is_absent() => Ok(None),
        Err(error) => Err(Unreadable::reading(path, &error)),
    }
}
