//! What keeps a unit that something starts from running: no command, a program that is not there, a requirement that cannot be met
//! (`service_verify()` in systemd's `service.c`, `systemd.service(5)`, `systemd.unit(5)`).

use std::collections::BTreeSet;

use super::condition::VOLATILE;
use super::load::{Found, Placed};
use super::search::Tree;
use super::{Units, Value, activation, condition, name};
use crate::facts::Unreadable;
use crate::image::{FileKind, Rootfs};
use crate::path::{ImagePath, printable};
use crate::syntax::systemd_unit::words;

/// Programs looked for; a real system has some hundred services.
const MAX_PROGRAMS: usize = 20_000;

const PASSWD: &str = "/etc/passwd";

/// Settings whose path has to be there when the service starts, or it does not (`systemd.exec(5)`).
const PATHS: [&str; 3] = ["EnvironmentFile", "RootDirectory", "WorkingDirectory"];

/// Settings that make directories before the service starts (`systemd.exec(5)`).
const MAKES: [&str; 5] = ["RuntimeDirectory", "StateDirectory", "CacheDirectory", "LogsDirectory", "ConfigurationDirectory"];

/// systemd's own program. A tree without it is no whole system (an `/etc` alone), and says nothing of the programs that are missing.
const SYSTEMD: [&str; 2] = ["/usr/lib/systemd/systemd", "/lib/systemd/systemd"];

/// What keeps a unit from running though it is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hindrance {
    /// The file that decides it.
    pub path: ImagePath,
    /// The line, where one does.
    pub line: Option<u32>,
    /// What stands there. Safe to show.
    pub found: String,
    /// Why it does not start.
    pub because: &'static str,
    /// Whether it certainly does not start; otherwise it depends on the machine or on a command.
    pub certain: bool,
}

/// What services name and the image does not have.
#[derive(Debug, Clone, Default)]
pub(super) struct Missing {
    /// Programs that are not there.
    programs: BTreeSet<String>,
    /// Programs that are links to one that does nothing.
    idle: BTreeSet<String>,
    /// Files and directories that are not there.
    paths: BTreeSet<String>,
    /// Accounts that are not in `/etc/passwd`.
    users: BTreeSet<String>,
}

impl Missing {
    /// Looks for every program, file and account that a service names outright.
    pub(super) fn read(root: Rootfs<'_>, tree: &Tree) -> Self {
        let mut missing = Self::default();
        if !SYSTEMD.iter().any(|path| root.exists(&ImagePath::new(path)).unwrap_or(false)) {
            return missing;
        }
        // Where the accounts are not known, no name is missing.
        let passwd = root.read_list(&ImagePath::new(PASSWD)).ok();
        let mut seen = BTreeSet::new();
        let settings = tree.files.values().filter_map(|file| file.as_ref().ok()).flat_map(|file| &file.settings);
        for setting in settings.filter(|setting| setting.section == "Service") {
            let key = setting.key.as_str();
            let named = match key {
                "ExecStart" | "ExecStartPre" => program(&setting.value),
                "User" => account(&setting.value),
                key if PATHS.contains(&key) => lasting(&setting.value),
                _ => None,
            };
            let Some(named) = named else { continue };
            let kind = if key == "ExecStartPre" { "ExecStart" } else { key };
            if seen.len() >= MAX_PROGRAMS || !seen.insert((kind, named.clone())) {
                continue;
            }
            match kind {
                "ExecStart" => missing.add_program(root, named),
                "User" => {
                    let is = |line: &[u8]| line.strip_prefix(named.as_bytes()).is_some_and(|rest| rest.starts_with(b":"));
                    if passwd.as_ref().is_some_and(|passwd| !passwd.split(|&byte| byte == b'\n').any(is)) {
                        missing.users.insert(named);
                    }
                }
                _ => {
                    if root.resolve(&ImagePath::new(&named)).is_err_and(|error| error.is_absent()) {
                        missing.paths.insert(named);
                    }
                }
            }
        }
        missing
    }

    fn add_program(&mut self, root: Rootfs<'_>, program: String) {
        match root.resolve(&ImagePath::new(&program)) {
            Ok(found) if found.metadata.kind != FileKind::File || found.metadata.mode & 0o111 == 0 => {
                self.programs.insert(program);
            }
            Ok(found) => {
                let is_idle = |path: &ImagePath| matches!(path.file_name(), b"true" | b"false");
                if is_idle(&found.path) && !is_idle(&ImagePath::new(&program)) {
                    self.idle.insert(program);
                }
            }
            Err(error) if error.is_absent() => {
                self.programs.insert(program);
            }
            Err(_) => {}
        }
    }
}

/// The name of an account: neither a number nor a specifier.
fn account(value: &str) -> Option<String> {
    let is_name = !value.is_empty() && !value.contains('%') && !value.bytes().all(|byte| byte.is_ascii_digit());
    is_name.then(|| value.to_owned())
}

/// A path that has to be there, unless it begins with `-`, holds a pattern, or is made anew at every boot.
fn lasting(value: &str) -> Option<String> {
    let value = words(value).into_iter().next()?;
    let path = ImagePath::new(&value);
    let volatile = VOLATILE.iter().any(|tree| path.is_within(&ImagePath::new(tree)));
    (value.starts_with('/') && !volatile && !value.contains(['%', '*', '?', '['])).then_some(value)
}

/// The program of a command whose failure counts, where it is named by its whole path.
fn program(command: &str) -> Option<String> {
    let rest = command.trim_start_matches(['@', ':', '+', '!', '|']);
    let program = words(rest).into_iter().next()?;
    // What begins with `-` may fail; specifiers are not followed.
    (program.starts_with('/') && !program.contains('%')).then_some(program)
}

fn is_program(command: &str, names: [&str; 2]) -> bool {
    let rest = command.trim_start_matches(['@', ':', '+', '!', '|']);
    words(rest).first().is_some_and(|program| names.contains(&program.as_str()))
}

impl Units {
    /// What keeps a unit from running though it is started; the condition that the image decides is [`Units::unmet_condition`].
    ///
    /// # Errors
    /// Why it is not known.
    pub fn hindrance(&self, asked: &str) -> Result<Option<Hindrance>, Unreadable> {
        let Found::Unit(id, file) = self.find(&name::written(asked)) else { return Ok(None) };
        // What generators make has no file of its own.
        if !self.tree.files.contains_key(&file) {
            return Ok(None);
        }
        let settings = self.settings(&id, &file)?;
        if let Some(found) = self.requirement(&id, &settings) {
            return Ok(Some(found));
        }
        if name::kind(&id) == "service"
            && let Some(found) = self.command(&id, &file)?
        {
            return Ok(Some(found));
        }
        let doubt = condition::undecided(&self.conditions, &id, &settings);
        Ok(doubt.map(|placed| {
            let because = "whether this holds depends on the machine, not on the image";
            at(placed.path, placed.setting.line, &placed.setting.key, &placed.setting.value, because, false)
        }))
    }

    /// A unit that has to be there and is not, or is masked.
    fn requirement(&self, id: &str, settings: &[Placed<'_>]) -> Option<Hindrance> {
        for placed in settings.iter().filter(|placed| placed.setting.section == "Unit") {
            if !matches!(placed.setting.key.as_str(), "Requires" | "BindsTo" | "Requisite") {
                continue;
            }
            for word in words(&placed.setting.value) {
                let Some(name) = name::expand(&word, id).filter(|name| name::form(name).is_some()) else { continue };
                // Devices, mounts and slices are there without a file.
                if !matches!(name::kind(&name), "service" | "socket" | "target" | "timer" | "path") {
                    continue;
                }
                let because = match self.find(&name) {
                    Found::Missing => "a unit that it requires is not there",
                    Found::Masked(_) => "a unit that it requires is masked",
                    Found::Unit(..) | Found::Unknown(_) => continue,
                };
                return Some(at(placed.path, placed.setting.line, &placed.setting.key, &name, because, true));
            }
        }
        None
    }

    /// What is wrong with the commands of a service.
    fn command(&self, id: &str, file: &ImagePath) -> Result<Option<Hindrance>, Unreadable> {
        let values = |key: &str| self.property(id, "Service", key);
        let of = |value: &Value, key: &str, because, certain| at(&value.path, value.line, key, &value.text, because, certain);
        for value in values("ExecCondition")? {
            if !is_program(&value.text, ["/bin/true", "/usr/bin/true"]) {
                let certain = is_program(&value.text, ["/bin/false", "/usr/bin/false"]);
                return Ok(Some(of(&value, "ExecCondition", "a command decides whether it starts", certain)));
            }
        }
        for value in values("ExecStartPre")? {
            if is_program(&value.text, ["/bin/false", "/usr/bin/false"]) {
                return Ok(Some(of(&value, "ExecStartPre", "the command before it fails", true)));
            }
            if program(&value.text).is_some_and(|program| self.missing.programs.contains(&program)) {
                return Ok(Some(of(&value, "ExecStartPre", "there is no such program in the image", true)));
            }
        }
        let commands = values("ExecStart")?;
        let kind = values("Type")?.pop();
        let is_oneshot = kind.as_ref().map_or(commands.is_empty(), |kind| kind.text == "oneshot");
        let is = |key: &str| Ok::<_, Unreadable>(values(key)?.last().is_some_and(|value| activation::is_true(&value.text)));
        let stops = !values("ExecStop")?.is_empty() || !self.property(id, "Unit", "SuccessAction")?.is_empty();
        if commands.is_empty() && !(is_oneshot && stops && is("RemainAfterExit")?) {
            let because = "systemd refuses a service without a command";
            let found = "no ExecStart=".to_owned();
            return Ok(Some(Hindrance { path: file.clone(), line: None, found, because, certain: true }));
        }
        if let [_, second, ..] = commands.as_slice()
            && !is_oneshot
        {
            let because = "systemd refuses a second command, unless the service is of Type=oneshot";
            return Ok(Some(of(second, "ExecStart", because, true)));
        }
        for value in &commands {
            let Some(program) = program(&value.text) else { continue };
            if self.missing.programs.contains(&program) {
                return Ok(Some(of(value, "ExecStart", "there is no such program in the image", true)));
            }
            if self.missing.idle.contains(&program) {
                return Ok(Some(of(value, "ExecStart", "the program is a link to one that does nothing", true)));
            }
        }
        self.surroundings(id)
    }

    /// What a service needs besides its program: an account, files, directories.
    fn surroundings(&self, id: &str) -> Result<Option<Hindrance>, Unreadable> {
        let values = |key: &str| self.property(id, "Service", key);
        let is_dynamic = values("DynamicUser")?.last().is_some_and(|value| activation::is_true(&value.text));
        if let Some(user) = values("User")?.last()
            && self.missing.users.contains(&user.text)
            && !is_dynamic
        {
            // systemd-sysusers may make it at boot, and another source of names may know it.
            let because = "there is no such account in the image, unless something makes it at boot";
            return Ok(Some(at(&user.path, user.line, "User", &user.text, because, false)));
        }
        let mut makes = false;
        for key in MAKES {
            makes |= !values(key)?.is_empty();
        }
        let is_within_another = !values("RootDirectory")?.is_empty() || !values("RootImage")?.is_empty();
        for key in PATHS {
            let all = values(key)?;
            // Of these two the last one counts; of files with variables, each.
            let from = if key == "EnvironmentFile" { 0 } else { all.len().saturating_sub(1) };
            for value in all.get(from..).unwrap_or_default() {
                let skipped = key == "WorkingDirectory" && (makes || is_within_another);
                let Some(path) = lasting(&value.text).filter(|path| !skipped && self.missing.paths.contains(path)) else {
                    continue;
                };
                // tmpfiles.d may make directories at boot; what belongs to the image lies in these.
                let certain = ["/etc/", "/usr/"].iter().any(|tree| path.starts_with(tree));
                let because = "it is not in the image, and the service does not start without it";
                return Ok(Some(at(&value.path, value.line, key, &value.text, because, certain)));
            }
        }
        Ok(None)
    }
}

fn at(path: &ImagePath, line: u32, key: &str, value: &str, because: &'static str, certain: bool) -> Hindrance {
    let found = printable(format!("{key}={value}").as_bytes());
    Hindrance { path: path.clone(), line: Some(line), found, because, certain }
}
