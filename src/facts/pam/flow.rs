//! What a stack comes to, given what its modules answer: `_pam_dispatch_aux` of libpam's `pam_dispatch.c`.

use std::collections::BTreeSet;

use super::{Stack, Step};
use crate::syntax::pam::Action;

/// States looked at. A stack of a hundred modules that can each answer in two ways stays far below.
const MAX_STATES: usize = 50_000;

/// A line as libpam keeps it: a module, or the place where a substack begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Handler {
    /// How many substacks it is in.
    pub level: usize,
    /// Which step it is; nothing for the beginning of a substack.
    pub step: Option<usize>,
}

/// How a stack ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Way {
    /// Whether the program is told that it may go on.
    pub success: bool,
    /// The step that said so, by number.
    pub by: Option<usize>,
    /// What the caller noted on the way.
    pub notes: u8,
}

/// What was collected so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Verdict {
    /// Nothing was said yet, or it was good, or bad.
    said: Option<bool>,
    /// Whether the status is `PAM_SUCCESS`.
    success: bool,
    by: Option<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct State {
    at: usize,
    before: usize,
    verdict: Verdict,
    /// What had been collected where each level of substacks was entered: `reset` goes back to it.
    entered: Vec<Verdict>,
    notes: u8,
}

impl Stack {
    /// Every way through the stack. `answers` gives all that a module may return in the situation; `note` is called for each module with
    /// one of these and the notes so far. Nothing, if there are more ways than can be followed.
    pub fn ways<'a>(
        &self,
        answers: impl Fn(&Step) -> &'a [&'a str],
        note: impl Fn(&Step, &str, u8) -> u8,
    ) -> Option<BTreeSet<Way>> {
        let undefined = Verdict { said: None, success: false, by: None };
        let mut waiting = vec![State { at: 0, before: 0, verdict: undefined, entered: vec![undefined], notes: 0 }];
        let (mut seen, mut ends) = (BTreeSet::new(), BTreeSet::new());
        while let Some(mut state) = waiting.pop() {
            if !seen.insert(state.clone()) {
                continue;
            }
            if seen.len() > MAX_STATES {
                return None;
            }
            let Some(handler) = self.handlers.get(state.at) else {
                let success = state.verdict.success && state.verdict.said == Some(true);
                ends.insert(Way { success, by: state.verdict.by, notes: state.notes });
                continue;
            };
            state.entered.truncate(handler.level + 1);
            if state.before < handler.level {
                state.entered.truncate(handler.level);
                state.entered.resize(handler.level + 1, state.verdict);
            }
            state.before = handler.level;
            let Some((index, step)) = handler.step.and_then(|index| Some((index, self.steps.get(index)?))) else {
                state.at += 1;
                waiting.push(state);
                continue;
            };
            for answer in answers(step) {
                let mut next = state.clone();
                next.notes = note(step, answer, state.notes);
                next.at = self.after(&mut next.verdict, &state, index, step, answer);
                waiting.push(next);
            }
        }
        Some(ends)
    }

    /// Lets one answer act, and gives the place of the next handler.
    fn after(&self, verdict: &mut Verdict, state: &State, index: usize, step: &Step, answer: &str) -> usize {
        let level = state.before;
        let inside = |at: usize| self.handlers.get(at).is_some_and(|next| next.level >= level);
        let end = |from: usize| (from..self.handlers.len()).find(|&at| !inside(at)).unwrap_or(self.handlers.len());
        let next = state.at + 1;
        let action = step.module.control.action(answer);
        match action {
            Action::Ignore => next,
            Action::Reset => {
                *verdict = state.entered.get(level).copied().unwrap_or(*verdict);
                next
            }
            Action::Ok | Action::Done => {
                if verdict.said.is_none() || verdict.said == Some(true) && verdict.success {
                    *verdict = Verdict { said: Some(true), success: answer == "success", by: Some(index) };
                }
                if action == Action::Done && verdict.said == Some(true) { end(next) } else { next }
            }
            Action::Bad | Action::Die => {
                *verdict = Verdict { said: Some(false), success: false, by: None };
                if action == Action::Die { end(next) } else { next }
            }
            Action::Jump(over) => {
                let mut at = state.at;
                for _ in 0..over {
                    if !inside(at + 1) {
                        // More than there are: "bad jump in stack".
                        *verdict = Verdict { said: Some(false), success: false, by: None };
                        break;
                    }
                    at += 1;
                    while self.handlers.get(at + 1).is_some_and(|next| next.level > level) {
                        at += 1;
                    }
                }
                at + 1
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{MemoryImage, Rootfs};
    use crate::syntax::pam::Management;

    /// Whether the stack of `s` succeeds, where modules are named by what they answer.
    fn succeeds(files: &[(&str, &str)]) -> bool {
        let image =
            files.iter().fold(MemoryImage::new(), |image, (name, content)| image.file(&format!("/etc/pam.d/{name}"), *content));
        let pam = super::super::tests::pam(Rootfs::new(&image));
        let stack = pam.stack("s", Management::Auth).unwrap().unwrap();
        let answers = |step: &Step| -> &[&str] {
            match step.module.module.as_str() {
                "yes" => &["success"],
                "no" => &["auth_err"],
                "nil" => &["ignore"],
                _ => &["maxtries"],
            }
        };
        let ways = stack.ways(answers, |_, _, notes| notes).unwrap();
        assert_eq!(ways.len(), 1);
        ways.first().unwrap().success
    }

    #[test]
    fn words() {
        let one = |content: &str| succeeds(&[("s", content)]);
        assert!(one("auth required yes\n") && !one("auth required no\n") && !one("auth required nil\n"));
        assert!(!one("auth required no\nauth sufficient yes\n"), "what failed before stays failed");
        assert!(one("auth sufficient yes\nauth required no\n") && !one("auth sufficient no\nauth required no\n"));
        assert!(!one("auth requisite no\nauth required yes\n") && one("auth optional no\nauth required yes\n"));
        assert!(!one("auth optional no\n"), "nothing was said");
        assert!(one("auth optional yes\n"));
    }

    #[test]
    fn jumps_pass_over_lines_and_say_nothing() {
        let one = |content: &str| succeeds(&[("s", content)]);
        assert!(one("auth [success=1 default=ignore] yes\nauth requisite no\nauth required yes\n"));
        assert!(!one("auth [success=1 default=ignore] yes\nauth requisite no\nauth optional nil\n"));
        assert!(!one("auth [success=3 default=ignore] yes\nauth required yes\n"), "more than there are");
        assert!(!one("auth required yes\nauth [success=1] yes\n"), "there is none");
    }

    #[test]
    fn a_substack_ends_by_itself_and_counts_as_one() {
        let two = |outer: &str, inner: &str| succeeds(&[("s", outer), ("t", inner)]);
        assert!(!two("auth substack t\nauth required no\n", "auth sufficient yes\n"));
        assert!(two("auth include t\nauth required no\n", "auth sufficient yes\n"));
        assert!(two("auth [success=1] yes\nauth substack t\nauth required yes\n", "auth required no\nauth required no\n"));
        assert!(!two("auth [success=1] yes\nauth include t\nauth required yes\n", "auth required no\nauth required no\n"));
        assert!(!two("auth substack t\nauth required yes\n", "auth requisite no\nauth required yes\n"));
        assert!(!two("auth substack t\n", "auth [success=1] yes\n"), "a jump out of it");
    }

    #[test]
    fn reset_goes_back_to_where_the_substack_was_entered() {
        let two = |outer: &str, inner: &str| succeeds(&[("s", outer), ("t", inner)]);
        assert!(two("auth required yes\nauth substack t\n", "auth required no\nauth [success=reset] yes\n"));
        assert!(!two("auth required no\nauth substack t\nauth required yes\n", "auth required yes\nauth [success=reset] yes\n"));
        assert!(succeeds(&[("s", "auth required no\nauth [success=reset] yes\nauth required yes\n")]));
    }

    #[test]
    fn every_answer_is_followed() {
        let image = MemoryImage::new().file("/etc/pam.d/s", "auth sufficient x\n".repeat(60) + "auth required y\n");
        let pam = super::super::tests::pam(Rootfs::new(&image));
        let stack = pam.stack("s", Management::Auth).unwrap().unwrap();
        let ways = stack.ways(|_| &["success", "auth_err"], |_, answer, notes| notes | u8::from(answer == "auth_err")).unwrap();
        assert!(ways.iter().any(|way| !way.success) && ways.iter().any(|way| way.success && way.notes == 0));
    }
}
