//! What the stacks of PAM come to as a whole.

use schemars::JsonSchema;
use serde::Deserialize;

use super::pam::{Stack as StackKind, each_stack};
use super::{Kind, Names};
use crate::facts::{FactId, Facts, Needs, Situation, Stack, Step, Unreadable};
use crate::finding::{Evidence, Outcome};

/// Something that no stack may let pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Refused {
    /// A login without the right password. Of the other services each is judged that authenticates at all.
    WrongPassword,
    /// A login with the right password to an account that `pam_faillock` has locked.
    LockedAccount,
    /// A wrong password that `pam_faillock` does not count.
    UncountedFailure,
    /// A new password that `pam_pwquality` finds too weak, or that is set before it is asked.
    WeakPassword,
    /// A new password that `pam_pwhistory` remembers, or that is set before it is asked.
    UsedPassword,
}

/// The stacks of these services refuse something, by the way in which libpam walks through them and whatever modules in between answer.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PamFlow {
    /// Services by file name: those that exist have to fit, each. `*` adds all others that ask `pam_unix`.
    pub service: Names,
    /// What they refuse.
    pub refuses: Refused,
}

/// Display managers ask for these where they log in by themselves or show who may log in: nobody has a password there. Whether they may
/// log in by themselves is another question.
const WITHOUT_PASSWORD: [&str; 6] =
    ["gdm-autologin", "gdm-launch-environment", "lightdm-autologin", "lightdm-greeter", "sddm-autologin", "sddm-greeter"];

/// Notes on the way: `pam_unix` was asked, before anything else was.
const UNIX: u8 = 1;
/// The module that counts or checks was asked.
const CHECKED: u8 = 2;
/// `pam_unix` was asked before it.
const TOO_EARLY: u8 = 4;

impl Kind for PamFlow {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Pam);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let any = self.refuses == Refused::WrongPassword;
        let asks = |step: &Step| any || step.module.name() == "pam_unix.so";
        let included = |name: &str| facts.pam().is_ok_and(|pam| pam.is_included(name));
        Ok(each_stack(facts, &self.service, self.stack(), asks, !any, |stack| {
            let name = stack.path.as_bytes().rsplit(|&byte| byte == b'/').next().map(String::from_utf8_lossy).unwrap_or_default();
            // A part need not be complete: what includes it is judged.
            let part = || included(&name) && !stack.steps.iter().any(decides);
            if any && (WITHOUT_PASSWORD.contains(&&*name) || part()) {
                return Outcome::pass(Vec::new());
            }
            self.judge(stack)
        }))
    }

    fn flaw(&self) -> Option<String> {
        None
    }
}

/// Whether a module says by itself who may come in.
fn decides(step: &Step) -> bool {
    let name = step.module.name();
    name.contains('/') || matches!(name, "pam_permit.so" | "pam_debug.so" | "pam_unix.so" | "pam_exec.so")
}

impl PamFlow {
    fn stack(&self) -> StackKind {
        match self.refuses {
            Refused::WrongPassword | Refused::LockedAccount | Refused::UncountedFailure => StackKind::Auth,
            Refused::WeakPassword | Refused::UsedPassword => StackKind::Password,
        }
    }

    fn judge(&self, stack: &Stack) -> Outcome {
        let (situation, checker, expected) = match self.refuses {
            Refused::WrongPassword => (Situation::WrongPassword, "", "a refusal without the right password"),
            Refused::LockedAccount => (Situation::LockedAccount, "", "a refusal while pam_faillock has locked the account"),
            Refused::UncountedFailure => (Situation::WrongPassword, "pam_faillock.so", "pam_faillock counts a wrong password"),
            Refused::WeakPassword => {
                (Situation::WeakPassword, "pam_pwquality.so", "a refusal of what pam_pwquality finds too weak")
            }
            Refused::UsedPassword => (Situation::UsedPassword, "pam_pwhistory.so", "a refusal of what pam_pwhistory remembers"),
        };
        let counts = self.refuses == Refused::UncountedFailure;
        let checks = |step: &Step| step.module.name() == checker && (!counts || step.argument("authfail").is_some());
        let note = |step: &Step, _: &str, notes: u8| match step.module.name() {
            "pam_unix.so" if notes & CHECKED == 0 => notes | UNIX | TOO_EARLY,
            "pam_unix.so" => notes | UNIX,
            _ if checks(step) => notes | CHECKED,
            _ => notes,
        };
        let Some(ways) = stack.ways(|step| situation.answers(step), note) else {
            return Outcome::unknown("the stack has more ways than can be followed", vec![Evidence::at(&stack.path)]);
        };
        let unix = || stack.steps.iter().position(|step| step.reachable && step.module.name() == "pam_unix.so");
        let (mut wrong, mut doubts) = (Vec::new(), Vec::new());
        for way in &ways {
            let at = if counts {
                (way.notes & UNIX != 0 && way.notes & CHECKED == 0).then(unix)
            } else if way.success {
                Some(way.by)
            } else {
                let early = self.stack() == StackKind::Password && way.notes & TOO_EARLY != 0;
                early.then(unix)
            };
            let Some(step) = at.map(|index| index.and_then(|index| stack.steps.get(index))) else { continue };
            let evidence = match step {
                Some(step) => Evidence::at(&step.path).line(step.module.line).found(words(self.refuses, way.success, step)),
                None => Evidence::at(&stack.path),
            }
            .expected(expected);
            if step.is_some_and(|step| step.module.name() == "pam_exec.so") { &mut doubts } else { &mut wrong }.push(evidence);
        }
        if !wrong.is_empty() {
            wrong.sort();
            wrong.dedup();
            Outcome::fail(wrong)
        } else if !doubts.is_empty() {
            doubts.dedup();
            Outcome::unknown("a program of its own decides who may come in", doubts)
        } else {
            Outcome::pass(vec![Evidence::at(&stack.path).found(expected)])
        }
    }
}

fn words(refuses: Refused, success: bool, step: &Step) -> String {
    let name = step.module.name();
    match refuses {
        Refused::UncountedFailure => format!("{name} says no, and pam_faillock authfail is not asked"),
        Refused::WeakPassword | Refused::UsedPassword if !success => format!("{name} sets the password before that"),
        _ => format!("{name} lets it pass"),
    }
}
