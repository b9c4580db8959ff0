//! Mandatory access control: the profiles of AppArmor, and what SELinux is told to do.

use schemars::JsonSchema;
use serde::Deserialize;

use super::matcher::matched;
use super::{Kind, Observed};
use crate::facts::units::{Init, Start};
use crate::facts::{FactId, Facts, Needs, SELINUX_CONFIG, Unreadable};
use crate::finding::{Evidence, Outcome, Status};
use crate::path::ImagePath;

/// Every profile of AppArmor is in one of these modes: `enforce`, `complain`, `unconfined`, `disabled`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AppArmor {
    /// The modes.
    pub modes: Vec<String>,
}

matched! {
    /// A setting of `/etc/selinux/config`.
    pub struct SeLinux {
        /// Which: `mode` (enforcing, permissive, disabled) or `policy`.
        pub setting: SeLinuxSetting,
    }
}

/// A setting of SELinux.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SeLinuxSetting {
    /// `SELINUX=`.
    Mode,
    /// `SELINUXTYPE=`.
    Policy,
}

/// No process runs in a domain of SELinux. Only a running machine can tell; of an image it is for a person to find out.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SeLinuxDomain {
    /// The domain, such as `unconfined_service_t`.
    pub domain: String,
    /// Whether a process may run in it.
    pub present: bool,
}

/// What every process runs as (`proc_pid_attr(5)`).
const CONTEXTS: &str = "/proc/[0-9]*/attr/current";

impl Kind for AppArmor {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::AppArmor);
        needs.fact(FactId::Units);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        if let Some(outcome) = not_loaded(facts)? {
            return Ok(outcome);
        }
        let profiles = &facts.apparmor()?.profiles;
        if profiles.is_empty() {
            let evidence = Evidence::at(&ImagePath::new("/etc/apparmor.d")).found("no profile").expected("profiles");
            return Ok(Outcome::fail(vec![evidence]));
        }
        let expected = self.modes.join(" or ");
        let judge = |profile: &crate::facts::Profile| {
            let found = format!("{} in mode {}", profile.name, profile.mode.name());
            let met = self.modes.iter().any(|mode| mode == profile.mode.name());
            Outcome::decide(met, vec![Evidence::at(&profile.path).line(profile.line).found(found).expected(&expected)])
        };
        Ok(Outcome::all(profiles.iter().map(judge)))
    }

    fn flaw(&self) -> Option<String> {
        let known = ["enforce", "complain", "unconfined", "disabled"];
        let wrong = self.modes.iter().find(|mode| !known.contains(&mode.as_str()));
        wrong.map(|mode| format!("'{mode}' is no mode; known: {}", known.join(", ")))
    }
}

/// That nothing loads the profiles at boot, where it is so: `apparmor.service` is what does. A tree without the unit is no whole system, and says
/// nothing of it.
fn not_loaded(facts: &Facts<'_>) -> Result<Option<Outcome>, Unreadable> {
    const UNIT: &str = "apparmor.service";
    let units = facts.units()?;
    let fail = |place: Evidence| Some(Outcome::fail(vec![place.expected("apparmor.service started, which loads the profiles")]));
    let (Some(path), Init::Systemd) = (units.file(UNIT)?, &units.init) else { return Ok(None) };
    if !matches!(units.starts(UNIT)?, Start::AtBoot(_)) {
        let name = units.state(UNIT)?.kind.name();
        return Ok(fail(Evidence::at(&path).found(format!("apparmor.service is {name}: no profile is loaded at boot"))));
    }
    if let Some(condition) = units.unmet_condition(UNIT)? {
        return Ok(fail(Evidence::at(&condition.path).line(condition.line).found(condition.text)));
    }
    if let Some(found) = units.hindrance(UNIT)? {
        let place = Evidence::at(&found.path).line_opt(found.line).found(found.found).because(found.because);
        return Ok(if found.certain { fail(place) } else { None });
    }
    let replaced = units.property(UNIT, "Service", "ExecStart")?;
    let loads = |text: &str| text.contains("apparmor");
    Ok(match replaced.last() {
        Some(value) if !replaced.iter().any(|value| loads(&value.text)) => {
            let place = Evidence::at(&value.path).line(value.line).found(&value.text);
            Some(Outcome::unknown("whether this command loads the profiles is not known", vec![place]))
        }
        _ => None,
    })
}

impl Kind for SeLinuxDomain {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.running(CONTEXTS);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let files = match facts.running_contents(CONTEXTS) {
            Some(Ok(files)) => files,
            Some(Err(unreadable)) => return Err(unreadable),
            None => {
                let reason =
                    format!("boot the image and look for processes in {} (ps -eZ): only a running machine has any", self.domain);
                return Ok(Outcome { status: Status::Manual, reason: Some(reason), evidence: Vec::new(), total: 0 });
            }
        };
        // A process that ended meanwhile, or that another security module answers for, has no context of SELinux.
        let domain = |content: &[u8]| {
            let context = String::from_utf8_lossy(content);
            context.trim_end_matches(['\0', '\n']).split(':').nth(2).map(str::to_owned)
        };
        let inside: Vec<Evidence> = (files.iter())
            .filter(|file| file.content.as_ref().ok().and_then(|content| domain(content)).as_ref() == Some(&self.domain))
            .map(|file| {
                Evidence::at(&file.path).found(&self.domain).expected(if self.present { "" } else { "a domain of its own" })
            })
            .collect();
        if inside.is_empty() {
            let none =
                Evidence::at(&ImagePath::new("/proc")).found(format!("{} processes, none in {}", files.len(), self.domain));
            return Ok(Outcome::decide(!self.present, vec![none]));
        }
        Ok(Outcome::decide(self.present, inside))
    }

    fn flaw(&self) -> Option<String> {
        (!self.domain.ends_with("_t")).then(|| format!("'{}' is no domain: they end in _t", self.domain))
    }
}

impl Kind for SeLinux {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::SeLinux);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let config = facts.selinux()?;
        let found = match self.setting {
            SeLinuxSetting::Mode => &config.mode,
            SeLinuxSetting::Policy => &config.policy,
        };
        let place = Evidence::at(&ImagePath::new(SELINUX_CONFIG)).line_opt(found.as_ref().map(|(_, line)| *line));
        Ok(self.matcher().judge(found.as_ref().map(|(value, _)| Observed::new(value)).as_ref(), place))
    }

    fn flaw(&self) -> Option<String> {
        self.matcher().flaw()
    }
}
