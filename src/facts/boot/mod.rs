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

/// The value of an argument in a list, the last of its name; empty for a word alone.
#[must_use]
pub fn argument<'a>(arguments: &'a [String], name: &str) -> Option<&'a str> {
    arguments.iter().rev().find_map(|argument| match argument.split_once('=') {
        Some((key, value)) => (key == name).then_some(value),
        None => (argument == name).then_some(""),
    })
}

/// Where `grub.cfg` lies: Debian, Red Hat, and the EFI partitions of both.
const CONFIGS: [&str; 3] = ["/boot/grub/grub.cfg", "/boot/grub2/grub.cfg", "/boot/efi/EFI/*/grub.cfg"];

pub(super) fn gather(facts: &Facts<'_>) -> Fact<Boot> {
    let root = facts.root();
    let mut boot = Boot { entries: Vec::new(), defaults: None, passwords: Vec::new(), superusers: None, files: Vec::new() };
    for pattern in CONFIGS {
        for path in glob(root, pattern)? {
            let Some(content) = read(root, &path)? else { continue };
            boot.take(root, &path, &grub::parse(&content))?;
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
        return Err(Unreadable::at(
            &ImagePath::new("/boot"),
            "there is no boot loader configuration: it may lie on a volume that is not part of the source",
        ));
    }
    Ok(boot)
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

    fn take(&mut self, root: Rootfs<'_>, path: &ImagePath, config: &Config) -> Fact<()> {
        self.files.push(path.clone());
        let password = |hashed| move |(line, _): &(u32, String)| BootPassword { path: path.clone(), line: *line, hashed };
        self.passwords.extend(config.passwords.iter().map(password(true)));
        self.passwords.extend(config.plain_passwords.iter().map(password(false)));
        if let Some((line, names)) = &config.superusers {
            self.superusers = Some((path.clone(), *line, names.clone()));
        }
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
