//! What starts a unit that nothing pulls in: sockets, timers and paths, messages on the system bus, and devices.

use super::Via;
use super::load::Placed;
use super::name::{self, Form};
use super::search;
use crate::facts::{Fact, Facts, Unreadable};
use crate::path::ImagePath;
use crate::syntax::systemd_unit;

/// Where the system bus looks for services it may start (`dbus-daemon(1)`, `<standard_system_servicedirs/>`).
const BUS_DIRS: [&str; 6] = [
    "/etc/dbus-1/system-services",
    "/run/dbus-1/system-services",
    "/usr/local/share/dbus-1/system-services",
    "/usr/share/dbus-1/system-services",
    "/usr/lib/dbus-1/system-services",
    "/lib/dbus-1/system-services",
];

/// Where rules for devices lie (`udev(7)`).
const RULE_DIRS: [&str; 5] =
    ["/etc/udev/rules.d", "/run/udev/rules.d", "/usr/local/lib/udev/rules.d", "/usr/lib/udev/rules.d", "/lib/udev/rules.d"];

/// Rules and services looked at; real systems have some hundreds of each.
const MAX_FILES: usize = 20_000;

/// Something outside the units that may start one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Activator {
    pub(super) unit: String,
    pub(super) via: Via,
}

fn files(facts: &Facts<'_>, dirs: &[&str], suffix: &str) -> Fact<Vec<(ImagePath, Vec<u8>)>> {
    let root = facts.root();
    let dirs: Vec<&str> = dirs.iter().copied().filter(|dir| facts.running().is_some() || !dir.starts_with("/run/")).collect();
    let paths = search::layered(root, &dirs, suffix)?;
    if let Some(path) = paths.get(MAX_FILES) {
        return Err(Unreadable::at(path, format!("there are more than {MAX_FILES} such files")));
    }
    let mut found = Vec::new();
    for path in paths {
        match root.read(&path) {
            Ok(content) => found.push((path, content)),
            Err(error) if error.is_absent() => {}
            Err(error) => return Err(Unreadable::reading(&path, &error)),
        }
    }
    Ok(found)
}

/// Services that a message on the system bus starts. Only through systemd: a service file without `SystemdService=` starts a program
/// and no unit.
pub(super) fn bus(facts: &Facts<'_>) -> Fact<Vec<Activator>> {
    let mut found = Vec::new();
    for (path, content) in files(facts, &BUS_DIRS, ".service")? {
        for setting in systemd_unit::parse(&content).settings {
            if setting.section == "D-BUS Service" && setting.key == "SystemdService" && name::form(&setting.value).is_some() {
                found.push(Activator { unit: setting.value, via: Via::Bus { path: path.clone(), line: setting.line } });
            }
        }
    }
    Ok(found)
}

/// Units that a device wants when it appears: `ENV{SYSTEMD_WANTS}` in rules (`systemd.device(5)`).
pub(super) fn devices(facts: &Facts<'_>) -> Fact<Vec<Activator>> {
    let mut found = Vec::new();
    for (path, content) in files(facts, &RULE_DIRS, ".rules")? {
        for (line, text) in (1..).zip(content.split(|&byte| byte == b'\n')) {
            let text = String::from_utf8_lossy(text);
            if text.trim_start().starts_with('#') {
                continue;
            }
            for rest in text.split("ENV{SYSTEMD_WANTS}").skip(1) {
                let rest = rest.trim_start();
                let Some(value) = rest.strip_prefix("+=").or_else(|| rest.strip_prefix(":=")).or_else(|| rest.strip_prefix('='))
                else {
                    continue;
                };
                let value = value.trim_start().strip_prefix('"').and_then(|value| value.split('"').next()).unwrap_or_default();
                for unit in value.split_ascii_whitespace().filter(|unit| name::form(unit).is_some()) {
                    found.push(Activator { unit: unit.to_owned(), via: Via::Device { path: path.clone(), line } });
                }
            }
        }
    }
    Ok(found)
}

/// What a socket, timer or path starts once it is there itself.
pub(super) fn triggered(id: &str, file: &ImagePath, settings: &[Placed<'_>]) -> Option<(String, Via)> {
    let last = |section: &str, key: &str| {
        settings.iter().rev().find(|placed| placed.setting.section == section && placed.setting.key == key)
    };
    let stem = id.rsplit_once('.').map_or(id, |(stem, _)| stem);
    let (section, key) = match name::kind(id) {
        "socket" => ("Socket", "Service"),
        "timer" => ("Timer", "Unit"),
        "path" => ("Path", "Unit"),
        _ => return None,
    };
    let kind = name::kind(id).to_owned();
    if let Some(placed) = last(section, key)
        && let Some(unit) = name::expand(&placed.setting.value, id).filter(|unit| name::form(unit).is_some())
    {
        return Some((unit, Via::Trigger { kind, path: placed.path.clone(), line: Some(placed.setting.line) }));
    }
    let accepts = section == "Socket" && last("Socket", "Accept").is_some_and(|placed| is_true(&placed.setting.value));
    let unit = match name::form(id) {
        // Each connection gets an instance of its own.
        Some(Form::Plain) if accepts => format!("{stem}@.service"),
        _ if accepts => format!("{}@.service", name::prefix(id)),
        _ => format!("{stem}.service"),
    };
    Some((unit, Via::Trigger { kind, path: file.clone(), line: None }))
}

/// Whether a boolean is true (`parse_boolean()`).
pub(super) fn is_true(value: &str) -> bool {
    ["1", "yes", "y", "true", "t", "on"].iter().any(|word| word.eq_ignore_ascii_case(value))
}
