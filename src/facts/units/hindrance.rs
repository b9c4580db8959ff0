//! What keeps a unit that something starts from running: no command, a program that is not there, a requirement that cannot be met
//! (`service_verify()` in systemd's `service.c`, `systemd.service(5)`, `systemd.unit(5)`).

use std::collections::BTreeSet;

use super::load::{Found, Placed};
use super::search::Tree;
use super::{Units, Value, activation, condition, name};
use crate::facts::Unreadable;
use crate::image::{FileKind, Rootfs};
use crate::path::{ImagePath, printable};
use crate::syntax::systemd_unit::words;

/// Programs looked for; a real system has some hundred services.
const MAX_PROGRAMS: usize = 20_000;

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

/// The programs of services that are not in the image.
#[derive(Debug, Clone, Default)]
pub(super) struct Missing(BTreeSet<String>);

impl Missing {
    /// Looks for every program that a service names outright.
    pub(super) fn read(root: Rootfs<'_>, tree: &Tree) -> Self {
        let mut missing = BTreeSet::new();
        if !SYSTEMD.iter().any(|path| root.exists(&ImagePath::new(path)).unwrap_or(false)) {
            return Self(missing);
        }
        let mut seen = BTreeSet::new();
        let settings = tree.files.values().filter_map(|file| file.as_ref().ok()).flat_map(|file| &file.settings);
        for setting in settings.filter(|setting| setting.section == "Service" && setting.key == "ExecStart") {
            let Some(program) = program(&setting.value) else { continue };
            if seen.len() >= MAX_PROGRAMS || !seen.insert(program.clone()) {
                continue;
            }
            let is_missing = match root.resolve(&ImagePath::new(&program)) {
                Ok(found) => found.metadata.kind != FileKind::File || found.metadata.mode & 0o111 == 0,
                Err(error) => error.is_absent(),
            };
            if is_missing {
                missing.insert(program);
            }
        }
        Self(missing)
    }
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
        let missing = commands.iter().find(|value| program(&value.text).is_some_and(|program| self.missing.0.contains(&program)));
        Ok(missing.map(|value| of(value, "ExecStart", "there is no such program in the image", true)))
    }
}

fn at(path: &ImagePath, line: u32, key: &str, value: &str, because: &'static str, certain: bool) -> Hindrance {
    let found = printable(format!("{key}={value}").as_bytes());
    Hindrance { path: path.clone(), line: Some(line), found, because, certain }
}
