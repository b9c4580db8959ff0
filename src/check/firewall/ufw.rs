//! The settings of ufw.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{ALL_PASS, TOO_MUCH, ipv6_is_off, known, of_others, started, ufw_place};
use crate::check::matcher::matched;
use crate::check::{Kind, Observed, unknown};
use crate::facts::firewall::{Fate, Ufw as State};
use crate::facts::{FactId, Facts, Firewall, Needs, Unreadable};
use crate::finding::{Evidence, Outcome};

matched! {
    /// A setting of ufw, as it is in force once the machine has booted.
    pub struct Ufw {
        /// Which: `active` (`yes` where its service starts and it is enabled, otherwise `no`), or what happens to packets that no rule decides
        /// on, `incoming`, `outgoing` or `routed` (`accept`, `drop`, `reject`; not set where ufw is not active).
        pub setting: UfwSetting,
    }
}

/// A setting of ufw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UfwSetting {
    /// Whether it loads its rules at boot.
    Active,
    /// What arrives here.
    Incoming,
    /// What leaves from here.
    Outgoing,
    /// What only passes through.
    Routed,
}

impl Kind for Ufw {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Firewall);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let ufw = match known(&facts.firewall()?.ufw) {
            Ok(ufw) => ufw,
            Err(outcome) => return Ok(outcome),
        };
        let name = match self.setting {
            UfwSetting::Active => return Ok(self.judge_active(ufw)),
            UfwSetting::Incoming => "DEFAULT_INPUT_POLICY",
            UfwSetting::Outgoing => "DEFAULT_OUTPUT_POLICY",
            UfwSetting::Routed => "DEFAULT_FORWARD_POLICY",
        };
        if !ufw.is_active() {
            return Ok(self.matcher().judge(None, inactive(ufw).because("ufw is not active: it filters nothing")));
        }
        let Some(setting) = ufw.settings.get(name) else {
            return Ok(self.matcher().judge(None, Evidence::at(&ufw_place(name)).because(name)));
        };
        let place = Evidence::at(&setting.path).line(setting.line);
        let drops = setting.value.as_ref().is_some_and(|value| matches!(value.to_ascii_lowercase().as_str(), "drop" | "reject"));
        let chain = match self.setting {
            UfwSetting::Incoming => Some("INPUT"),
            UfwSetting::Routed => Some("FORWARD"),
            UfwSetting::Active | UfwSetting::Outgoing => None,
        };
        if let (true, Some(chain)) = (drops, chain)
            && let Some(outcome) = self.judge_rules(facts.firewall()?, ufw, chain)
        {
            return Ok(outcome);
        }
        Ok(match &setting.value {
            Some(value) => self.matcher().judge(Some(&Observed::new(value.to_ascii_lowercase())), place.because(name)),
            None => Outcome::unknown(format!("{name} is computed by a script"), vec![place.found("a computed value")]),
        })
    }

    fn flaw(&self) -> Option<String> {
        self.matcher().flaw()
    }
}

impl Ufw {
    /// A policy that nothing reaches, as a rule lets everything through before, is none.
    fn judge_rules(&self, firewall: &Firewall, ufw: &State, chain: &str) -> Option<Outcome> {
        let off = match ipv6_is_off(firewall) {
            Ok(off) => off.is_some(),
            Err(outcome) => return Some(outcome),
        };
        for (version, rules) in [(4, &ufw.v4), (6, &ufw.v6)] {
            if version == 6 && off {
                continue;
            }
            let rules = match known(rules) {
                Ok(rules) => rules,
                Err(outcome) => return Some(outcome),
            };
            if let Some(doubt) = rules.doubt() {
                return Some(unknown(&doubt));
            }
            match of_others(&rules.chains(), chain, chain, version) {
                Fate::Accepted(rule) => {
                    let place = Evidence::at(&rules.path(rule)).line(rule.line).because(ALL_PASS);
                    return Some(self.matcher().judge(Some(&Observed::new("accept")), place));
                }
                Fate::TooMuch => return Some(Outcome::unknown(TOO_MUCH, Vec::new())),
                Fate::Dropped(_) | Fate::Undecided => {}
            }
        }
        None
    }

    fn judge_active(&self, ufw: &State) -> Outcome {
        if let Some(setting) = ufw.settings.get("ENABLED").filter(|setting| setting.value.is_none()) {
            let place = Evidence::at(&setting.path).line(setting.line).found("a computed value");
            return Outcome::unknown("whether ufw is enabled is computed by a script", vec![place]);
        }
        let (text, place) = if ufw.is_active() { ("yes", enabled(ufw)) } else { ("no", inactive(ufw)) };
        self.matcher().judge(Some(&Observed::new(text)), place)
    }
}

/// Where it is said that ufw is enabled.
fn enabled(ufw: &State) -> Evidence {
    match ufw.settings.get("ENABLED") {
        Some(setting) => Evidence::at(&setting.path).line(setting.line),
        None => Evidence::at(&ufw_place("ENABLED")),
    }
}

/// What keeps ufw from being active.
fn inactive(ufw: &State) -> Evidence {
    if let Some(missing) = &ufw.missing {
        return Evidence::at(missing).because("there is nothing in it, and ufw gives up");
    }
    if !ufw.is_enabled() {
        return enabled(ufw).because("ENABLED is not yes");
    }
    let evidence = started(&ufw.loader).err().and_then(|outcome| outcome.evidence.into_iter().next());
    evidence.unwrap_or_else(|| enabled(ufw)).because("its service does not start at boot")
}

/// The failure where ufw is not active.
pub(super) fn off(ufw: &State) -> Outcome {
    Outcome::fail(vec![inactive(ufw).found("ufw is not active").expected("an active ufw")])
}
