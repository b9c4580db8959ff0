//! Units of systemd as the image will boot with them, from the files alone.
//!
//! Modelled after systemd 252 to 257: which file a name loads (`systemd.unit(5)`), what `systemctl is-enabled` says, what the default
//! target pulls in, what sockets, timers, paths, the bus and devices start on demand, what System V scripts become, and what the first
//! boot enables (`systemd.preset(5)`). `docs/semantics.md` lists the traps with their sources. Out of scope: the kernel command line
//! (`systemd.unit=`, `systemd.mask=`), units of users, and what other generators than those for System V make.

mod activation;
mod condition;
mod fstab;
mod hindrance;
mod load;
mod name;
mod preset;
mod running;
mod search;
mod starts;
mod state;
mod sysv;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use super::{Fact, Facts, Unreadable};
use crate::path::{ImagePath, printable};
use load::{Found, Id};

pub use hindrance::Hindrance;

/// What `systemctl is-enabled` says.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Enablement {
    /// Links in `/etc` start it.
    Enabled,
    /// Links in `/run` do, until the next boot.
    EnabledRuntime,
    /// A link in `/etc` makes a file elsewhere known; nothing starts it.
    Linked,
    /// The same in `/run`.
    LinkedRuntime,
    /// The name is another name of a unit.
    Alias,
    /// It cannot be started at all.
    Masked,
    /// The same until the next boot.
    MaskedRuntime,
    /// It cannot be enabled; others may start it.
    Static,
    /// It is known under another name, or its `[Install]` only names others.
    Indirect,
    /// It could be enabled and is not.
    Disabled,
    /// A generator makes it at boot: a System V script.
    Generated,
    /// A program made it while the system runs.
    Transient,
    /// systemd refuses to say: an invalid link.
    Bad,
    /// There is no such unit.
    NotFound,
}

impl Enablement {
    /// The state as systemd writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::EnabledRuntime => "enabled-runtime",
            Self::Linked => "linked",
            Self::LinkedRuntime => "linked-runtime",
            Self::Alias => "alias",
            Self::Masked => "masked",
            Self::MaskedRuntime => "masked-runtime",
            Self::Static => "static",
            Self::Indirect => "indirect",
            Self::Disabled => "disabled",
            Self::Generated => "generated",
            Self::Transient => "transient",
            Self::Bad => "bad",
            Self::NotFound => "not-found",
        }
    }
}

/// The state of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// What `is-enabled` says.
    pub kind: Enablement,
    /// The link or file that decides it.
    pub path: Option<ImagePath>,
    /// The line that decides it, where one does.
    pub line: Option<u32>,
    /// Why, where the path alone does not say it. Safe to show.
    pub because: Option<String>,
}

impl State {
    fn of(kind: Enablement, path: Option<ImagePath>) -> Self {
        Self { kind, path, line: None, because: None }
    }

    fn because(mut self, because: impl Into<String>) -> Self {
        self.because = Some(printable(because.into().as_bytes()));
        self
    }
}

/// How a unit is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// At every boot, by these steps from the default target.
    AtBoot(Vec<Step>),
    /// When something asks for it, by these steps.
    OnDemand(OnDemand, Vec<Step>),
    /// Not at all.
    No,
}

/// What starts a unit on demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDemand {
    /// A connection to a socket that is there from boot on.
    Socket,
    /// A timer that runs from boot on.
    Timer,
    /// A change of a path that is watched from boot on.
    Path,
    /// A message on the system bus.
    Bus,
    /// A device that appears.
    Device,
}

impl OnDemand {
    /// Whether it is certain to be asked for: what is listening, ticking or watching from boot on.
    #[must_use]
    pub const fn is_armed(self) -> bool {
        matches!(self, Self::Socket | Self::Timer | Self::Path)
    }
}

/// One unit of a chain, and what starts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The unit.
    pub unit: String,
    /// What starts it.
    pub via: Via,
}

/// What starts a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Via {
    /// It is what the system boots into.
    Boot,
    /// Every unit of its kind depends on this.
    Default,
    /// A link in a `.wants`, `.requires` or `.upholds` directory.
    Link(ImagePath),
    /// A setting of another unit.
    Setting {
        /// The file.
        path: ImagePath,
        /// The line, from 1.
        line: u32,
        /// The name of the setting.
        key: String,
    },
    /// A generator, because of this file.
    Generator(ImagePath),
    /// A preset at the first boot: the line that says so, or nothing where no line fits.
    Preset {
        /// The file and line.
        line: Option<(ImagePath, u32)>,
        /// Why it is a first boot.
        why: &'static str,
    },
    /// A socket, timer or path.
    Trigger {
        /// Which.
        kind: String,
        /// Its file.
        path: ImagePath,
        /// The line that names the unit, where one does.
        line: Option<u32>,
    },
    /// A service file of the system bus.
    Bus {
        /// The file.
        path: ImagePath,
        /// The line.
        line: u32,
    },
    /// A rule for devices.
    Device {
        /// The file.
        path: ImagePath,
        /// The line.
        line: u32,
    },
}

impl Via {
    /// In words, with the place. Safe to show.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Boot => "being what the system boots into".into(),
            Self::Default => "the dependencies that every unit has".into(),
            Self::Link(path) => path.to_string(),
            Self::Setting { path, line, key } => format!("{} in {path}:{line}", printable(key.as_bytes())),
            Self::Generator(path) => format!("a generator, because of {path}"),
            Self::Preset { line: Some((path, line)), why } => format!("the preset {path}:{line} at first boot ({why})"),
            Self::Preset { line: None, why } => format!("presets at first boot ({why}), as no line says otherwise"),
            Self::Trigger { kind, path, line: Some(line) } => format!("the {kind} {path}:{line}"),
            Self::Trigger { kind, path, line: None } => format!("the {kind} {path}"),
            Self::Bus { path, line } => format!("the system bus, {path}:{line}"),
            Self::Device { path, line } => format!("a device, {path}:{line}"),
        }
    }

    /// The file and line, where it has them.
    #[must_use]
    pub fn place(&self) -> Option<(&ImagePath, Option<u32>)> {
        match self {
            Self::Boot | Self::Default | Self::Preset { line: None, .. } => None,
            Self::Link(path) | Self::Generator(path) => Some((path, None)),
            Self::Setting { path, line, .. } | Self::Bus { path, line } | Self::Device { path, line } => {
                Some((path, Some(*line)))
            }
            Self::Preset { line: Some((path, line)), .. } => Some((path, Some(*line))),
            Self::Trigger { path, line, .. } => Some((path, *line)),
        }
    }
}

/// One value of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// The value as written, blanks around it taken off.
    pub text: String,
    /// The file.
    pub path: ImagePath,
    /// The line, from 1.
    pub line: u32,
}

/// What the image has for an init system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Init {
    /// systemd: there are units.
    Systemd,
    /// None, as in most container images: nothing starts but what the container is told to.
    None,
    /// Another one, whose services are not modelled.
    Other(&'static str),
}

/// The units of an image.
#[derive(Debug, Clone)]
pub struct Units {
    /// What the image boots with.
    pub init: Init,
    tree: search::Tree,
    ids: BTreeMap<String, Id>,
    aliases: BTreeMap<String, BTreeSet<String>>,
    sysv: BTreeMap<String, sysv::Script>,
    /// What generators and the first boot add: units by the unit that pulls them in.
    made: BTreeMap<String, BTreeMap<String, Via>>,
    preset_aliases: Vec<(String, String, Via)>,
    /// What the first boot takes away, where it does.
    disabled: BTreeMap<String, preset::Origin>,
    first_boot: Option<&'static str>,
    /// What makes systemd give up before it has applied all presets.
    preset_doubt: Option<Unreadable>,
    conditions: condition::Answers,
    /// Programs of services that are not in the image.
    missing: hindrance::Missing,
    graph: starts::Graph,
    running: Fact<Option<BTreeSet<String>>>,
}

pub(super) fn gather(facts: &Facts<'_>) -> Fact<Units> {
    let tree = search::read(facts)?;
    let mut units = Units {
        init: init(facts, &tree)?,
        ids: load::ids(&tree),
        conditions: condition::Answers::read(facts.root(), &tree),
        missing: hindrance::Missing::read(facts.root(), &tree),
        running: running::gather(facts),
        tree,
        aliases: BTreeMap::new(),
        sysv: BTreeMap::new(),
        made: BTreeMap::new(),
        preset_aliases: Vec::new(),
        disabled: BTreeMap::new(),
        first_boot: None,
        preset_doubt: None,
        graph: starts::Graph::default(),
    };
    if units.init != Init::Systemd {
        return Ok(units);
    }
    units.add_sysv(facts)?;
    units.add_fstab(facts)?;
    units.index_aliases();
    units.first_boot = preset::first_boot(facts)?;
    if units.first_boot.is_some() {
        let presets = preset::Presets::read(facts)?;
        units.preset_all(&presets, preset::disables_too(facts.os().ok()));
        units.add_preset_aliases();
    }
    let mut activators = activation::bus(facts)?;
    activators.extend(activation::devices(facts)?);
    units.graph = units.follow(activators);
    Ok(units)
}

/// What the image boots with.
fn init(facts: &Facts<'_>, tree: &search::Tree) -> Fact<Init> {
    if tree.dirs.iter().any(|dir| !dir.entries.is_empty()) {
        return Ok(Init::Systemd);
    }
    for (path, what) in
        [("/sbin/openrc", "OpenRC"), ("/etc/inittab", "System V init"), ("/etc/runit", "runit"), ("/sbin/init", "another init")]
    {
        let path = ImagePath::new(path);
        if facts.root().exists(&path).map_err(|error| Unreadable::reading(&path, &error))? {
            return Ok(Init::Other(what));
        }
    }
    Ok(Init::None)
}

impl Units {
    fn make(&mut self, owner: &str, unit: &str, via: Via) {
        self.made.entry(owner.to_owned()).or_default().entry(unit.to_owned()).or_insert(via);
    }

    fn index_aliases(&mut self) {
        let mut aliases: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (name, id) in &self.ids {
            if matches!(id, Id::Alias(_))
                && let Found::Unit(id, _) = self.find(name)
            {
                aliases.entry(id).or_default().insert(name.clone());
            }
        }
        self.aliases = aliases;
    }

    /// The links that `Alias=` makes lie in `/etc` and win over names of packages, but replace nothing there.
    fn add_preset_aliases(&mut self) {
        for (alias, unit, _) in &self.preset_aliases {
            let taken = self.tree.first(alias).is_some_and(|(dir, _)| dir.role != search::Role::Vendor);
            if !taken {
                self.ids.insert(alias.clone(), Id::Alias(unit.clone()));
            }
        }
        self.index_aliases();
    }

    /// Every name that some directory has for a unit, sorted.
    pub fn known_names(&self) -> impl Iterator<Item = &str> {
        self.ids.keys().map(String::as_str)
    }

    /// Whether there is a unit of this name, masked or not.
    ///
    /// # Errors
    /// Why it is not known.
    pub fn exists(&self, name: &str) -> Result<bool, Unreadable> {
        match self.find(&name::written(name)) {
            Found::Missing => Ok(false),
            Found::Masked(_) | Found::Unit(..) => Ok(true),
            Found::Unknown(why) => Err(why),
        }
    }

    /// The mask of a unit, if it has one: the link to `/dev/null` or the empty file.
    ///
    /// # Errors
    /// Why it is not known.
    pub fn mask(&self, name: &str) -> Result<Option<ImagePath>, Unreadable> {
        match self.find(&name::written(name)) {
            Found::Masked(path) => Ok(Some(path)),
            Found::Missing | Found::Unit(..) => Ok(None),
            Found::Unknown(why) => Err(why),
        }
    }

    /// What `systemctl is-enabled` will say once the image has booted: the state of the files, and what the first boot changes.
    ///
    /// # Errors
    /// Why it is not known.
    pub fn state(&self, name: &str) -> Result<State, Unreadable> {
        let asked = name::written(name);
        let state = self.state_on_disk(&asked)?;
        if let Some((kind, via)) = self.made_by_preset(&asked, &state) {
            if let Some(doubt) = &self.preset_doubt {
                return Err(doubt.clone());
            }
            let place = via.place();
            return Ok(State {
                kind,
                path: place.map(|(path, _)| path.clone()).or(state.path),
                line: place.and_then(|(_, line)| line),
                because: Some(format!("will be enabled by {}", via.words())),
            });
        }
        if state.kind == Enablement::Enabled
            && self.first_boot_disables(&asked)
            && let Some(Some((path, line))) = self.disabled.get(&asked)
        {
            let because = format!("will be disabled by the preset {path}:{line} at first boot");
            return Ok(State { kind: Enablement::Disabled, path: Some(path.clone()), line: Some(*line), because: Some(because) });
        }
        Ok(state)
    }

    /// What the first boot makes of a state, where it makes something else of it.
    fn made_by_preset(&self, asked: &str, state: &State) -> Option<(Enablement, &Via)> {
        let aliases = || self.preset_aliases.iter();
        let links = || self.made.values().flatten().filter(|(_, via)| matches!(via, Via::Preset { .. }));
        match state.kind {
            Enablement::NotFound => aliases().find(|(alias, ..)| alias == asked).map(|(_, _, via)| (Enablement::Alias, via)),
            // An instance of a template that is no longer one of its own package's.
            Enablement::Static if name::form(asked) != Some(name::Form::Instance) => None,
            Enablement::Disabled | Enablement::Indirect | Enablement::Linked | Enablement::Static => {
                let own = links().find(|(unit, _)| unit.as_str() == asked).map(|(_, via)| (Enablement::Enabled, via));
                let instance = || {
                    let fits = |unit: &str| name::template(unit).is_some_and(|template| template == asked);
                    let (unit, via) = links().find(|(unit, _)| fits(unit))?;
                    // Only the instance that `DefaultInstance=` names counts as the template being enabled.
                    let is_default = self.default_instance(asked).is_some_and(|own| name::instance(unit) == Some(own.as_str()));
                    Some((if is_default { Enablement::Enabled } else { Enablement::Indirect }, via))
                };
                let alias = || aliases().find(|(_, unit, _)| unit == asked).map(|(_, _, via)| (Enablement::Enabled, via));
                own.or_else(instance).or_else(alias)
            }
            _ => None,
        }
    }

    /// The state as the files have it now, whatever the first boot changes.
    ///
    /// # Errors
    /// Why it is not known.
    pub fn state_before_boot(&self, name: &str) -> Result<State, Unreadable> {
        self.state_on_disk(&name::written(name))
    }

    /// Whether and how a unit is started.
    ///
    /// # Errors
    /// Why it is not known: for "not at all", every unit that starts must have been read.
    pub fn starts(&self, name: &str) -> Result<Start, Unreadable> {
        self.start_of(&name::written(name))
    }

    /// The condition that keeps a unit from running though it is started, where the files of the image decide it.
    ///
    /// # Errors
    /// Why it is not known.
    pub fn unmet_condition(&self, name: &str) -> Result<Option<Value>, Unreadable> {
        let Found::Unit(id, file) = self.find(&name::written(name)) else { return Ok(None) };
        Ok(self.first_unmet(&id, &self.settings(&id, &file)?))
    }

    fn first_unmet(&self, id: &str, settings: &[load::Placed<'_>]) -> Option<Value> {
        self.conditions.unmet(id, settings).map(|placed| Value {
            text: format!("{}={}", placed.setting.key, placed.setting.value),
            path: placed.path.clone(),
            line: placed.setting.line,
        })
    }

    /// What the drop-ins say of a unit whose own file a generator makes at boot: the last value of a setting (an empty one too, which
    /// takes back what the file says), and the condition in them that keeps it from being started.
    ///
    /// # Errors
    /// Why it is not known.
    pub fn dropped_into(&self, name: &str, section: &str, key: &str) -> Result<(Option<Value>, Option<Value>), Unreadable> {
        let id = name::written(name);
        let settings = self.dropped_in(&id)?;
        let of_key = |placed: &&load::Placed<'_>| placed.setting.section == section && placed.setting.key == key;
        let last = settings.iter().rfind(of_key).map(|placed| Value {
            text: placed.setting.value.clone(),
            path: placed.path.clone(),
            line: placed.setting.line,
        });
        Ok((last, self.first_unmet(&id, &settings)))
    }

    /// The values of a setting that count: of the unit's file and then its drop-ins, what comes after the last empty assignment.
    /// Nothing for a unit that is not there or masked. Dependencies (`Wants=` and the like) cannot be taken back, so an empty one does nothing.
    ///
    /// # Errors
    /// Why it is not known.
    pub fn property(&self, name: &str, section: &str, key: &str) -> Result<Vec<Value>, Unreadable> {
        let (id, file) = match self.find(&name::written(name)) {
            Found::Unit(id, file) => (id, file),
            Found::Unknown(why) => return Err(why),
            Found::Masked(_) | Found::Missing => return Ok(Vec::new()),
        };
        let is_dependency = section == "Unit"
            && matches!(
                key,
                "Wants" | "Requires" | "Requisite" | "BindsTo" | "PartOf" | "Upholds" | "Conflicts" | "Before" | "After"
            );
        let mut values = Vec::new();
        for placed in self.settings(&id, &file)? {
            if placed.setting.section != section || placed.setting.key != key {
                continue;
            }
            if placed.setting.value.is_empty() {
                if !is_dependency {
                    values.clear();
                }
                continue;
            }
            values.push(Value { text: placed.setting.value.clone(), path: placed.path.clone(), line: placed.setting.line });
        }
        Ok(values)
    }

    /// A text of a unit with the specifiers replaced that its name alone decides (`%i`, `%%`); nothing where it has others.
    #[must_use]
    pub fn specified(&self, name: &str, text: &str) -> Option<String> {
        name::expand(text, &self.own_name(name))
    }

    /// The file a unit is loaded from, if there is one.
    ///
    /// # Errors
    /// Why it is not known.
    pub fn file(&self, name: &str) -> Result<Option<ImagePath>, Unreadable> {
        match self.find(&name::written(name)) {
            Found::Unit(_, path) | Found::Masked(path) => Ok(Some(path)),
            Found::Missing => Ok(None),
            Found::Unknown(why) => Err(why),
        }
    }

    /// The one name of a unit that its other names lead to; the name itself where there is no such unit.
    #[must_use]
    pub fn own_name(&self, name: &str) -> String {
        let name = name::written(name);
        match self.find(&name) {
            Found::Unit(id, _) => id,
            _ => name,
        }
    }

    /// Whether a service has processes now; nothing where the machine is not running.
    ///
    /// # Errors
    /// Why it is not known.
    pub fn is_running(&self, name: &str) -> Result<Option<bool>, Unreadable> {
        let units = self.running.as_ref().map_err(Clone::clone)?;
        let name = self.own_name(name);
        let of_template = |unit: &String| name::template(unit).is_some_and(|template| template == name);
        Ok(units.as_ref().map(|units| units.contains(&name) || units.iter().any(of_template)))
    }
}
