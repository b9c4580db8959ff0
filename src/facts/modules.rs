//! Kernel modules: which kernels have them, and what modprobe does when one is asked for.

use std::collections::BTreeMap;

use super::drop_ins;
use super::{Fact, Facts, Unreadable};
use crate::image::{ReadError, Rootfs};
use crate::path::{ImagePath, printable};
use crate::syntax::modprobe::{Command, listed, module_of, parse};
use crate::syntax::wildcard;

/// In order of precedence (`modprobe.d(5)`). `/etc/modprobe.conf` is no longer read by anything.
const DIRECTORIES: [&str; 5] =
    ["/etc/modprobe.d", "/run/modprobe.d", "/usr/local/lib/modprobe.d", "/usr/lib/modprobe.d", "/lib/modprobe.d"];
/// The man page names the first; `conf_files_filter_out()` of kmod's `libkmod-config.c` lets both through.
const ENDINGS: [&str; 2] = [".conf", ".alias"];
/// `modules-load.d(5)`.
const LOADED_AT_BOOT: [&str; 5] = [
    "/etc/modules-load.d",
    "/run/modules-load.d",
    "/usr/local/lib/modules-load.d",
    "/usr/lib/modules-load.d",
    "/lib/modules-load.d",
];
/// What Debian's initial RAM disk loads (`initramfs-tools(7)`).
const IN_INITRAMFS: &str = "/etc/initramfs-tools/modules";
/// Modules of one index. The kernel of a distribution has some four thousand.
const MAX_MODULES: usize = 50_000;

/// An image with more kernels than this is none that somebody keeps in order; each costs a megabyte or two.
const MAX_KERNELS: usize = 32;

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file.
    pub path: ImagePath,
    /// The line, from 1.
    pub line: u32,
}

/// A kernel and its modules, by name with `_` for `-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// Its directory.
    pub path: ImagePath,
    /// What can be loaded, with the line of `modules.dep`.
    loadable: BTreeMap<Vec<u8>, u32>,
    /// What is part of the kernel itself, with the line of `modules.builtin`.
    builtin: BTreeMap<Vec<u8>, u32>,
}

/// What a kernel has of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// Nothing.
    Missing,
    /// A module that can be loaded.
    Loadable(Place),
    /// It is part of the kernel and always there; modprobe has no say.
    BuiltIn(Place),
}

/// What an `install` command does instead of loading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing that could load a module.
    Blocks,
    /// It calls a program that loads modules.
    Loads,
    /// That cannot be told from the command.
    Unclear,
}

/// The `install` command that modprobe runs for a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Install {
    /// Where it stands.
    pub place: Place,
    /// The command as written, escaped.
    pub command: String,
    /// What it does.
    pub effect: Effect,
    /// Another one for the same module, which comes too late.
    pub before: Option<Place>,
}

/// The modules of an image.
#[derive(Debug, Clone, Default)]
pub struct Modules {
    /// The installed kernels, by release. None in an image that is given its kernel from outside.
    pub kernels: Vec<Kernel>,
    /// In the order in which kmod reads them.
    lines: Vec<(Place, Command)>,
    /// Files that could not be read, with the number of lines before them.
    unread: Vec<(usize, Unreadable)>,
    /// What is loaded at every boot, whoever asks for it later.
    wanted: Vec<(Place, Vec<u8>)>,
}

pub(super) fn gather(facts: &Facts<'_>) -> Fact<Modules> {
    let root = facts.root();
    let live = facts.running().is_some();
    let lasting = |directories: [&'static str; 5]| -> Vec<&'static str> {
        directories.into_iter().filter(|path| live || !path.starts_with("/run/")).collect()
    };
    let mut modules = Modules { kernels: kernels(root)?, ..Modules::default() };
    for file in drop_ins::list_ending_in(root, &lasting(DIRECTORIES), &ENDINGS)? {
        match file.content {
            Ok(content) => modules.lines.extend(parse(&content).into_iter().map(|line| {
                let place = Place { path: file.path.clone(), line: line.line };
                (place, line.command)
            })),
            Err(unreadable) => modules.unread.push((modules.lines.len(), unreadable)),
        }
    }
    let mut lists = drop_ins::list(root, &lasting(LOADED_AT_BOOT), ".conf")?;
    let initramfs = ImagePath::new(IN_INITRAMFS);
    if let Ok(content) = root.read(&initramfs) {
        lists.push(drop_ins::DropIn { path: initramfs, content: Ok(content) });
    }
    for file in lists {
        // A list that cannot be read only leaves an explanation out: being listed decides nothing by itself.
        let names = listed(file.content.as_deref().unwrap_or_default());
        modules.wanted.extend(names.into_iter().map(|(line, name)| (Place { path: file.path.clone(), line }, name)));
    }
    Ok(modules)
}

fn kernels(root: Rootfs<'_>) -> Fact<Vec<Kernel>> {
    let mut found = Vec::new();
    for base in ["/lib/modules", "/usr/lib/modules"].map(ImagePath::new) {
        let names = match root.read_dir(&base) {
            Ok(names) => names,
            Err(ReadError::NotFound | ReadError::Dangling | ReadError::Kind { .. }) => continue,
            Err(error) => return Err(Unreadable::reading(&base, &error)),
        };
        for name in names {
            found.extend(kernel(root, base.join(name))?);
            if found.len() > MAX_KERNELS {
                return Err(Unreadable::at(&base, format!("more than {MAX_KERNELS} kernels")));
            }
        }
        // The other name is a link to this directory, or nobody looks there.
        break;
    }
    Ok(found)
}

/// A kernel by its index; nothing where a directory is only left over from one.
fn kernel(root: Rootfs<'_>, path: ImagePath) -> Fact<Option<Kernel>> {
    let index = |name: &str| match root.read_list(&path.join(name)) {
        Ok(content) => match by_name(&content) {
            Some(modules) => Ok(Some(modules)),
            None => Err(Unreadable::at(&path.join(name), format!("it lists more than {MAX_MODULES} modules"))),
        },
        Err(error) if error.is_absent() => Ok(None),
        Err(error) => Err(Unreadable::reading(&path.join(name), &error)),
    };
    let (loadable, builtin) = (index("modules.dep")?, index("modules.builtin")?);
    if loadable.is_none() && root.exists(&path.join("modules.dep.bin")).unwrap_or(true) {
        return Err(Unreadable::at(&path.join("modules.dep"), "it is missing beside modules.dep.bin, which is not read"));
    }
    if loadable.is_none() && builtin.is_none() {
        return Ok(None);
    }
    Ok(Some(Kernel { path, loadable: loadable.unwrap_or_default(), builtin: builtin.unwrap_or_default() }))
}

/// The modules of an index with their lines; nothing if there are too many.
fn by_name(content: &[u8]) -> Option<BTreeMap<Vec<u8>, u32>> {
    let mut modules = BTreeMap::new();
    for (line, text) in (1..).zip(content.split(|&byte| byte == b'\n')) {
        let path = text.split(|&byte| byte == b':').next().unwrap_or_default();
        if let Some(module) = module_of(path.trim_ascii()) {
            modules.insert(module, line);
        }
        if modules.len() > MAX_MODULES {
            return None;
        }
    }
    Some(modules)
}

impl Kernel {
    /// What it has of a module.
    #[must_use]
    pub fn has(&self, module: &[u8]) -> Presence {
        let place = |file: &str, line: u32| Place { path: self.path.join(file), line };
        match (self.builtin.get(module), self.loadable.get(module)) {
            (Some(&line), _) => Presence::BuiltIn(place("modules.builtin", line)),
            (None, Some(&line)) => Presence::Loadable(place("modules.dep", line)),
            (None, None) => Presence::Missing,
        }
    }
}

impl Modules {
    /// The command that runs instead of loading a module: the *first* one whose name or pattern fits
    /// (`kmod_module_get_install_commands`).
    ///
    /// # Errors
    /// A file that could not be read and might hold an earlier one.
    pub fn install(&self, module: &[u8]) -> Result<Option<Install>, Unreadable> {
        let mut fitting = self.lines.iter().enumerate().filter_map(|(index, (place, command))| match command {
            Command::Install { module: pattern, command } if wildcard::matches(pattern, module) => Some((index, place, command)),
            _ => None,
        });
        let first = fitting.next();
        if let Some((_, unreadable)) = self.unread.iter().find(|(before, _)| first.is_none_or(|(index, ..)| *before <= index)) {
            return Err(unreadable.clone());
        }
        Ok(first.map(|(_, place, command)| Install {
            place: place.clone(),
            command: printable(command.trim_ascii()),
            effect: effect(command),
            before: fitting.next().map(|(_, place, _)| place.clone()),
        }))
    }

    /// Where a module is blacklisted, so that its own aliases do not load it.
    ///
    /// # Errors
    /// A file that could not be read and might blacklist it.
    pub fn blacklisted(&self, module: &[u8]) -> Result<Option<Place>, Unreadable> {
        let found =
            self.lines.iter().find(|(_, command)| matches!(command, Command::Blacklist { module: name } if name == module));
        match (found, self.unread.first()) {
            (None, Some((_, unreadable))) => Err(unreadable.clone()),
            (found, _) => Ok(found.map(|(place, _)| place.clone())),
        }
    }

    /// What asks for a module at every boot.
    #[must_use]
    pub fn wanted(&self, module: &[u8]) -> Option<&Place> {
        self.wanted.iter().find(|(_, name)| name == module).map(|(place, _)| place)
    }
}

/// What a command of the shell does, as far as its words tell.
fn effect(command: &[u8]) -> Effect {
    let breaks = |byte: &u8| byte.is_ascii_whitespace() || b";&|()<>`$'\"\\{}".contains(byte);
    let programs: Vec<&[u8]> = command.split(breaks).filter(|word| !word.is_empty()).collect();
    let names: Vec<&[u8]> = programs.iter().map(|word| word.rsplit(|&byte| byte == b'/').next().unwrap_or(word)).collect();
    if names.iter().any(|name| matches!(*name, b"modprobe" | b"insmod" | b"kmod")) {
        return Effect::Loads;
    }
    let plain = !command.trim_ascii().iter().any(|byte| b";&|()<>`$".contains(byte));
    let harmless = matches!(names.first(), Some(&(b"true" | b"false" | b":" | b"exit" | b"echo" | b"logger" | b"nologin")));
    // A program of that name elsewhere is somebody's own.
    let systems = programs.first().zip(names.first()).is_some_and(|(word, name)| {
        let directory = word.strip_suffix(*name).unwrap_or_default();
        [&b""[..], b"/bin/", b"/sbin/", b"/usr/bin/", b"/usr/sbin/"].contains(&directory)
    });
    if plain && harmless && systems { Effect::Blocks } else { Effect::Unclear }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Target;
    use crate::image::{Entry, FileKind, MemoryImage};

    fn modules(image: &MemoryImage) -> Modules {
        gather(&Facts::none(Target::image(Rootfs::new(image), jiff::civil::date(2026, 1, 1)))).unwrap()
    }

    fn install(image: &MemoryImage, module: &str) -> Option<(Effect, String)> {
        let found = modules(image).install(module.as_bytes()).unwrap()?;
        Some((found.effect, format!("{}:{}", found.place.path, found.place.line)))
    }

    #[test]
    fn the_first_command_wins() {
        let image = MemoryImage::new().file("/etc/modprobe.d/b.conf", "install x /bin/false\n");
        assert_eq!(install(&image, "x"), Some((Effect::Blocks, "/etc/modprobe.d/b.conf:1".into())));
        let image = image.file("/usr/lib/modprobe.d/a.conf", "install x /sbin/modprobe --ignore-install x\n");
        assert_eq!(install(&image, "x"), Some((Effect::Loads, "/usr/lib/modprobe.d/a.conf:1".into())));
        let image = image.link("/etc/modprobe.d/a.conf", "/dev/null");
        assert_eq!(install(&image, "x"), Some((Effect::Blocks, "/etc/modprobe.d/b.conf:1".into())));
    }

    #[test]
    fn other_files_do_not_count() {
        let line = "install x /bin/false\n";
        let image = MemoryImage::new().file("/etc/modprobe.conf", line).file("/etc/modprobe.d/x", line);
        assert_eq!(install(&image.file("/run/modprobe.d/x.conf", line), "x"), None);
    }

    #[test]
    fn lists_of_aliases_are_read_among_the_others() {
        let image = MemoryImage::new().file("/etc/modprobe.d/b.conf", "install x /bin/false\n");
        let image = image.file("/etc/modprobe.d/a.alias", "install x /sbin/modprobe -i x\n");
        assert_eq!(install(&image, "x"), Some((Effect::Loads, "/etc/modprobe.d/a.alias:1".into())));
    }

    #[test]
    fn patterns_name_modules_too() {
        let image = MemoryImage::new().file("/etc/modprobe.d/a.conf", "install usb-* /bin/true\n");
        assert!(install(&image, "usb_storage").is_some());
        assert!(install(&image, "uas").is_none());
    }

    #[test]
    fn what_a_command_does() {
        for blocks in ["/bin/false", "/usr/bin/true", "/bin/false x", "/bin/false\r", "/bin/echo 'no modules here'"] {
            assert_eq!(effect(blocks.as_bytes()), Effect::Blocks, "{blocks}");
        }
        for loads in ["/sbin/modprobe --ignore-install x", "/bin/true; /sbin/insmod x.ko", "sh -c 'modprobe -i x'"] {
            assert_eq!(effect(loads.as_bytes()), Effect::Loads, "{loads}");
        }
        for unclear in ["/usr/local/sbin/load-it", "/opt/true", "/bin/false || /usr/local/sbin/load-it", "/bin/true `x`", ""] {
            assert_eq!(effect(unclear.as_bytes()), Effect::Unclear, "{unclear}");
        }
    }

    #[test]
    fn every_kernel_is_asked() {
        let image = MemoryImage::new()
            .file("/usr/lib/modules/5.1/modules.dep", "kernel/fs/x.ko.xz: kernel/fs/y.ko\nkernel/fs/y.ko:\n")
            .file("/usr/lib/modules/6.1/modules.dep", "")
            .file("/usr/lib/modules/6.1/modules.builtin", "kernel/fs/x.ko\n")
            .directory("/usr/lib/modules/left-over/kernel")
            .link("/lib", "usr/lib");
        let found = modules(&image);
        let has: Vec<Presence> = found.kernels.iter().map(|kernel| kernel.has(b"x")).collect();
        assert!(matches!(has.as_slice(), [Presence::Loadable(Place { line: 1, .. }), Presence::BuiltIn(_)]), "{has:?}");
        assert_eq!(found.kernels[1].has(b"y"), Presence::Missing);
    }

    #[test]
    fn an_unreadable_file_before_the_first_command_leaves_it_open() {
        let mut entry = Entry::new(FileKind::File, "");
        entry.unreadable = true;
        let image =
            MemoryImage::new().with("/etc/modprobe.d/b.conf", entry).file("/etc/modprobe.d/c.conf", "install x /bin/false\n");
        assert!(modules(&image).install(b"x").is_err());
        assert!(modules(&image).blacklisted(b"x").is_err());
        assert!(install(&image.file("/etc/modprobe.d/a.conf", "install x /bin/false\n"), "x").is_some());
    }

    #[test]
    fn a_kernel_whose_index_cannot_be_read_is_not_known() {
        let image = MemoryImage::new().file("/lib/modules/6.1/modules.dep.bin", "x");
        assert!(gather(&Facts::none(Target::image(Rootfs::new(&image), jiff::civil::date(2026, 1, 1)))).is_err());
    }
}
