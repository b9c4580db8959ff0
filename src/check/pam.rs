//! Modules in the stacks of PAM, their arguments, and the settings they read.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;

use super::matcher::matched;
use super::{Kind, Names, Observed, unknown};
use crate::facts::{FactId, Facts, Needs, Stack as StackFact, Step, Unreadable};
use crate::finding::{Evidence, Outcome};
use crate::path::ImagePath;
use crate::syntax::pam::{Action, Management};

/// A kind of stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stack {
    /// Who is it?
    Auth,
    /// May they, now?
    Account,
    /// Change the password.
    Password,
    /// Set up and tear down.
    Session,
}

impl From<Stack> for Management {
    fn from(stack: Stack) -> Self {
        match stack {
            Stack::Auth => Self::Auth,
            Stack::Account => Self::Account,
            Stack::Password => Self::Password,
            Stack::Session => Self::Session,
        }
    }
}

/// A module is (or is not) asked in the stacks of these services. Only lines that can be reached count.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Pam {
    /// Services by file name: those that exist have to fit, each. `*` adds all others, as far as they ask the module (or the one that it has
    /// to come before or after) for themselves.
    pub service: Names,
    /// The kind of stack.
    pub stack: Stack,
    /// The module's file name, such as `pam_unix.so`.
    pub module: String,
    /// It is called with all of these arguments; a name fits with any value, `name=value` with that one.
    #[serde(default)]
    pub with: Vec<String>,
    /// It comes before the first line of this module.
    pub before: Option<String>,
    /// It comes after the first line of this module.
    pub after: Option<String>,
    /// A refusal by it makes the whole stack fail, at once or in the end.
    pub enforced: Option<bool>,
    /// `false`: no line of this kind may be there.
    pub present: Option<bool>,
    /// `true`: every line of the module that can be reached has to fit, not just one.
    #[serde(default)]
    pub every: bool,
    /// `true`: of those, one that is the first of its whole stack need not: before it nobody has asked for a password.
    #[serde(default)]
    pub but_first: bool,
}

matched! {
    /// A setting of a module: its argument, else its own file, else what the module does by itself. It has to fit for every line of the module
    /// in the stacks of these services; where no stack asks the module, the setting does nothing and the check fails.
    pub struct PamOption {
        /// Services by file name: those that exist have to fit, each. `*` adds all others, as far as they ask the module for themselves.
        pub service: Names,
        /// The kind of stack.
        pub stack: Stack,
        /// The module's file name, such as `pam_pwquality.so`.
        pub module: String,
        /// The name of the setting. A word without a value has the value `set`.
        pub option: String,
    }
}

/// Stands for every service that is not named beside it.
const OTHERS: &str = "*";

/// Judges every stack there is of the named services, or says that there is none. Of the other services, where they are meant too, those
/// are judged that ask the module for themselves, in whatever way: what they ask counts for whoever comes through them.
pub(super) fn each_stack(
    facts: &Facts<'_>,
    services: &Names,
    stack: Stack,
    asks: impl Fn(&Step) -> bool,
    whole: bool,
    judge: impl Fn(&StackFact) -> Outcome,
) -> Outcome {
    let pam = match facts.pam() {
        Ok(pam) => pam,
        Err(unreadable) => return unknown(&unreadable),
    };
    let named: Vec<&str> = services.0.iter().map(String::as_str).filter(|service| *service != OTHERS).collect();
    let stacks = named.iter().filter_map(|service| pam.stack(service, stack.into()));
    let mut outcomes: Vec<Outcome> =
        stacks.map(|stack| stack.map_or_else(|error| unknown(&error), |stack| judge(&stack))).collect();
    if outcomes.is_empty() && !named.is_empty() {
        return Outcome::unknown(format!("there is no PAM service {}", named.join(" or ")), Vec::new());
    }
    if services.0.iter().any(|service| service == OTHERS) {
        let others = pam.names().filter(|name| !(named.contains(name) || whole && pam.is_included(name)));
        outcomes.extend(others.filter_map(|name| match pam.stack(name, stack.into())? {
            Ok(stack) if stack.steps.iter().any(|step| step.reachable && asks(step)) => Some(judge(&stack)),
            Ok(_) => None,
            Err(error) => Some(unknown(&error)),
        }));
    }
    let mut outcome = Outcome::all(outcomes);
    // Many services include the same lines: once is enough.
    let (before, mut seen) = (outcome.evidence.len(), BTreeSet::new());
    outcome.evidence.retain(|evidence| seen.insert(evidence.clone()));
    outcome.total -= (before - outcome.evidence.len()) as u64;
    outcome
}

impl Kind for Pam {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Pam);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        // What has a place before or after another module is judged where that one is asked; a file that others include need not have both.
        let other = self.before.as_ref().or(self.after.as_ref());
        let asks = |step: &Step| step.module.name() == *other.unwrap_or(&self.module);
        Ok(each_stack(facts, &self.service, self.stack, asks, other.is_some(), |stack| self.judge(&stack.steps, &stack.path)))
    }

    fn flaw(&self) -> Option<String> {
        if self.every && self.present == Some(false) {
            Some("every line has to fit, or none may be there: not both".into())
        } else if self.but_first && !self.every {
            Some("but-first leaves one line out of every = true".into())
        } else {
            None
        }
    }
}

impl Pam {
    fn judge(&self, steps: &[Step], path: &ImagePath) -> Outcome {
        let asked = |module: &str| steps.iter().position(|step| step.reachable && step.module.name() == module);
        let (first_before, first_after) = (self.before.as_deref().and_then(asked), self.after.as_deref().and_then(asked));
        let (mut misses, mut hits, mut wrong) = (Vec::new(), Vec::new(), false);
        for (index, step) in steps.iter().enumerate().filter(|(_, step)| step.module.name() == self.module) {
            let place = Evidence::at(&step.path).line(step.module.line).found(format!(
                "{} {}",
                self.module,
                step.module.arguments.join(" ")
            ));
            let in_place = (self.before.is_none() || first_before.is_some_and(|other| index < other))
                && (self.after.is_none() || first_after.is_some_and(|other| index > other));
            let with = self.with.iter().all(|wanted| match wanted.split_once('=') {
                Some((name, value)) => step.argument(name) == Some(value),
                None => step.argument(wanted).is_some(),
            });
            let refuses = matches!(step.module.control.action("perm_denied"), Action::Bad | Action::Die);
            let enforced = self.enforced.is_none_or(|wanted| wanted == refuses);
            if step.reachable && (self.but_first && index == 0 || in_place && with && enforced) {
                hits.push(place.expected(self.words()));
                if self.every {
                    continue;
                }
                return Outcome::decide(self.present != Some(false), hits);
            }
            // What is never asked harms nothing; it is no more than a hint where nothing else is there.
            wrong |= step.reachable;
            let why = if !step.reachable {
                "no result of the modules before it leads here".to_owned()
            } else if !in_place {
                let other = first_before.or(first_after).and_then(|other| steps.get(other));
                other.map_or_else(
                    || "it stands in the wrong place".to_owned(),
                    |other| {
                        let (name, path, line) = (other.module.name(), &other.path, other.module.line);
                        format!("it stands in the wrong place: {name} is asked at {path}:{line}")
                    },
                )
            } else if !with {
                "it lacks arguments".to_owned()
            } else {
                "its control says otherwise of a refusal".to_owned()
            };
            misses.push(place.expected(self.words()).because(why));
        }
        if self.every && !wrong && !hits.is_empty() {
            return Outcome::pass(hits);
        }
        if misses.is_empty() {
            misses.push(Evidence::at(path).found(format!("no {}", self.module)).expected(self.words()));
        }
        Outcome::decide(self.present == Some(false), misses)
    }

    fn words(&self) -> String {
        let mut words = format!("{}{}", if self.present == Some(false) { "no " } else { "" }, self.module);
        if !self.with.is_empty() {
            words.push_str(&format!(" with {}", self.with.join(" ")));
        }
        words.push_str(match self.enforced {
            Some(true) => ", required",
            Some(false) => ", not required",
            None => "",
        });
        words.push_str(&self.before.as_ref().map(|other| format!(", before {other}")).unwrap_or_default());
        words.push_str(&self.after.as_ref().map(|other| format!(", after {other}")).unwrap_or_default());
        words
    }
}

impl Kind for PamOption {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Pam);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let asks = |step: &Step| step.module.name() == self.module;
        Ok(each_stack(facts, &self.service, self.stack, asks, false, |stack| {
            let lines = stack.steps.iter().filter(|step| step.reachable && step.module.name() == self.module);
            let outcomes: Vec<Outcome> = lines.map(|step| self.judge(facts, step)).collect();
            if outcomes.is_empty() {
                let evidence = Evidence::at(&stack.path).found(format!("no {}", self.module)).expected(format!(
                    "{} {}",
                    self.option,
                    self.matcher()
                ));
                return Outcome::fail(vec![evidence.because("without the module its settings do nothing")]);
            }
            Outcome::all(outcomes)
        }))
    }

    fn flaw(&self) -> Option<String> {
        self.matcher().flaw()
    }
}

impl PamOption {
    fn judge(&self, facts: &Facts<'_>, step: &Step) -> Outcome {
        let found = match facts.pam().and_then(|pam| pam.option(step, &self.option)) {
            Ok(found) => found,
            Err(unreadable) => return unknown(&unreadable),
        };
        let here = Evidence::at(&step.path).line(step.module.line);
        let mut place = match found.as_ref().map(|found| &found.place) {
            Some(Some((path, line))) => Evidence::at(path).line(*line),
            Some(None) => here.because(format!("nothing sets {}, so the module's default counts", self.option)),
            None => here,
        };
        if let Some(because) = found.as_ref().and_then(|found| found.because.as_ref()) {
            place = place.because(because);
        }
        let observed = found.map(|found| Observed::new(if found.value.is_empty() { "set".to_owned() } else { found.value }));
        self.matcher().judge(observed.as_ref(), place)
    }
}
