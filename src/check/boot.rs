//! The kernel's command line, and the boot loader's password.

use schemars::JsonSchema;
use serde::Deserialize;

use super::matcher::matched;
use super::{Kind, Observed, unknown};
use crate::facts::{FactId, Facts, Needs, Unreadable, boot_argument};
use crate::finding::{Evidence, Outcome};
use crate::path::ImagePath;

matched! {
    /// An argument of the kernel, in every entry of the boot loader, and in what `/etc/default/grub` makes the next entries from. On a live host
    /// the running kernel has to have it as well.
    pub struct BootArgument {
        /// The name. A word without a value has the value `set`.
        pub argument: String,
    }
}

/// The boot loader asks for a password, kept as a hash, before anybody but those it is told may change what is booted.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BootPassword {
    /// Whether it has to.
    pub set: bool,
}

impl Kind for BootArgument {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Boot);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let boot = facts.boot()?;
        if let Some(reason) = boot.absent {
            return Ok(Outcome::not_applicable(reason));
        }
        let mut outcomes: Vec<Outcome> = Vec::new();
        for entry in &boot.entries {
            outcomes.push(self.judge(&entry.arguments, Evidence::at(&entry.path).line(entry.line)));
        }
        if let Some(missing) = &boot.missing {
            // What the next configuration is made from can still tell that it will not do.
            outcomes.push(unknown(missing));
        } else if outcomes.is_empty() {
            let place = boot.files.first().map(Evidence::at);
            outcomes.push(Outcome::unknown("the boot loader has no entry with a kernel", place.into_iter().collect()));
        }
        if let Some(defaults) = &boot.defaults {
            if let Some((path, line)) = &defaults.computed {
                let evidence = Evidence::at(path).line(*line).found("a computed value");
                outcomes.push(Outcome::unknown("what the next grub.cfg will have is computed by a script", vec![evidence]));
            } else {
                let place =
                    || Evidence::at(&defaults.place.0).line(defaults.place.1).because("the next grub.cfg is made from this");
                outcomes.extend(defaults.lists().iter().map(|arguments| self.judge(arguments, place())));
            }
        }
        if let Some(running) = facts.running() {
            let path = ImagePath::new("/proc/cmdline");
            outcomes.push(match running.read(&path) {
                Ok(content) => {
                    let arguments: Vec<String> =
                        String::from_utf8_lossy(&content).split_ascii_whitespace().map(str::to_owned).collect();
                    self.judge(&arguments, Evidence::at(&path).line(1).because("the running kernel"))
                }
                Err(error) => Outcome::unknown(format!("{path}: {error}"), vec![Evidence::at(&path)]),
            });
        }
        Ok(Outcome::all(outcomes))
    }

    fn flaw(&self) -> Option<String> {
        self.matcher().flaw()
    }
}

impl BootArgument {
    fn judge(&self, arguments: &[String], place: Evidence) -> Outcome {
        let found = boot_argument(arguments, &self.argument);
        let observed = found.map(|value| Observed::new(if value.is_empty() { "set" } else { value }));
        self.matcher().judge(observed.as_ref(), place)
    }
}

impl Kind for BootPassword {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Boot);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let boot = facts.boot()?;
        if let Some(reason) = boot.absent {
            return Ok(Outcome::not_applicable(reason));
        }
        if let Some(missing) = &boot.missing {
            return Err(missing.clone());
        }
        let first = boot.files.first().map_or_else(|| Evidence::at(&ImagePath::new("/boot")), Evidence::at);
        if let Some(plain) = boot.passwords.iter().find(|password| !password.hashed) {
            let evidence = Evidence::at(&plain.path).line(plain.line).found("a password in plain text").expected("a hash");
            return Ok(Outcome::decide(!self.set, vec![evidence]));
        }
        let evidence = match (&boot.superusers, boot.passwords.first()) {
            (Some((_, _, names)), Some(_)) if !names.is_empty() && boot.doubt.is_some() => {
                let place = boot.doubt.iter().map(|(path, line, text)| Evidence::at(path).line(*line).found(text));
                return Ok(Outcome::unknown("a script that is not found may say something else of superusers", place.collect()));
            }
            (Some((_, _, names)), Some(password)) if !names.is_empty() => {
                return Ok(Outcome::decide(
                    self.set,
                    vec![Evidence::at(&password.path).line(password.line).found("a password, kept as a hash")],
                ));
            }
            (Some((path, line, _)), None) => Evidence::at(path).line(*line).found("superusers without a password"),
            (Some((path, line, _)), Some(_)) => {
                Evidence::at(path).line(*line).found("a password, but the superusers are taken away")
            }
            (_, Some(password)) => Evidence::at(&password.path).line(password.line).found("a password, but no superusers"),
            (None, None) => first.found("no password"),
        };
        Ok(Outcome::decide(!self.set, vec![evidence.expected("superusers with a hashed password")]))
    }
}
