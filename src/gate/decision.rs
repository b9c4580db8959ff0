//! The verdict, as plain data and as a sentence.

use std::fmt::Write as _;

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Policy;

/// May the image ship?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Yes.
    Ship,
    /// No.
    Shut,
    /// Nothing was judged, so nothing can be said.
    None,
}

/// What a scan's process ends with. Nothing else is ever used: Image Builder's agent takes 194 and 3010 for a wish to restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// The image may ship, or the policy is not enforced.
    Open,
    /// The gate is shut.
    Shut,
    /// There is no verdict.
    NoVerdict,
}

impl Exit {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Open => 0,
            Self::Shut => 1,
            Self::NoVerdict => 2,
        }
    }
}

/// What the policy makes of a scan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Decision {
    /// The verdict.
    pub verdict: Verdict,
    /// Whether the exit code follows the verdict.
    pub enforced: bool,
    /// Why: what shuts the gate, or why there is no verdict, or on what it stands open.
    pub reasons: Vec<String>,
    /// The controls that shut the gate, the most severe first.
    pub shut_by: Vec<String>,
    /// What does not shut the gate and should be known: waivers without effect, a baseline from another benchmark.
    pub notes: Vec<String>,
    /// By which policy.
    pub policy: Policy,
    /// The day of the decision.
    #[schemars(with = "String", extend("format" = "date"))]
    pub date: Date,
    /// Every waiver, in the order of the files.
    pub waivers: Vec<WaiverUse>,
    /// The earlier scan it was compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<BaselineUse>,
}

/// What became of a waiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WaiverUse {
    /// Where it stands, as `file:line`.
    pub place: String,
    /// The control it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<String>,
    /// The rule it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The only benchmark it holds for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub benchmark: Option<String>,
    /// The only paths it holds for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<String>>,
    /// Why it may be so.
    pub reason: String,
    /// Who answers for it.
    pub owner: String,
    /// The last day it holds, in UTC.
    #[schemars(with = "String", extend("format" = "date"))]
    pub expires: Date,
    /// What became of it.
    pub state: WaiverState,
    /// The controls whose findings it clears, alone or with others.
    pub clears: Vec<String>,
}

/// What became of a waiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaiverState {
    /// It clears a finding.
    Used,
    /// What it is about fails or is unknown, and it does not clear it: there is evidence outside its paths, or cut, or another rule.
    Ineffective,
    /// What it is about neither fails nor is unknown, or is not in this scan.
    Unmatched,
    /// It has run out, and shuts the gate.
    Expired,
    /// It has run out, and what it is about is not in this scan.
    ExpiredElsewhere,
}

/// The earlier scan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BaselineUse {
    /// The benchmark it was judged by.
    pub benchmark: String,
    /// The day it was made.
    pub date: String,
    /// The controls that fail or are unknown as they did and were then.
    pub known: Vec<String>,
}

impl Decision {
    /// The last lines of a report are never longer than this, in bytes: Image Builder's API carries 1,024 characters of what a failed
    /// step said.
    pub const SENTENCE: usize = 900;

    /// The longest part of the sentence that one reason may take.
    const REASON: usize = 300;

    /// The exit code.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self.verdict {
            Verdict::Ship => Exit::Open,
            Verdict::Shut if !self.enforced => Exit::Open,
            Verdict::Shut => Exit::Shut,
            Verdict::None => Exit::NoVerdict,
        }
    }

    /// The verdict in one line, at most [`Decision::SENTENCE`] bytes long; reasons that do not fit are counted.
    #[must_use]
    pub fn sentence(&self) -> String {
        let mut sentence = String::from(match self.verdict {
            Verdict::Ship => "FIT TO SHIP",
            Verdict::Shut => "NOT FIT TO SHIP",
            Verdict::None => "NO VERDICT",
        });
        // Room for the count of reasons left out and for the last words.
        let room = Self::SENTENCE - 100;
        for (at, reason) in self.reasons.iter().enumerate() {
            let reason = shorten(reason, Self::REASON);
            if sentence.len() + 2 + reason.len() > room {
                let left = self.reasons.len() - at;
                let _ = write!(sentence, "; and {left} more {}", if left == 1 { "reason" } else { "reasons" });
                break;
            }
            sentence.push_str(if at == 0 { ": " } else { "; " });
            sentence.push_str(&reason);
        }
        sentence.push('.');
        if self.verdict == Verdict::Shut && !self.enforced {
            sentence.push_str(" NOT ENFORCED: report only, exit code 0.");
        }
        sentence
    }
}

/// The beginning of a text, at most so many bytes long.
fn shorten(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let mut short = String::new();
    for character in text.chars() {
        if short.len() + character.len_utf8() + '…'.len_utf8() > most {
            break;
        }
        short.push(character);
    }
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(verdict: Verdict, enforced: bool, reasons: Vec<String>) -> Decision {
        Decision {
            verdict,
            enforced,
            reasons,
            shut_by: Vec::new(),
            notes: Vec::new(),
            policy: Policy::default(),
            date: Date::constant(2026, 1, 1),
            waivers: Vec::new(),
            baseline: None,
        }
    }

    #[test]
    fn only_three_exit_codes_and_report_only_opens_a_shut_gate_alone() {
        let code = |verdict, enforced| decision(verdict, enforced, Vec::new()).exit().code();
        assert_eq!([code(Verdict::Ship, true), code(Verdict::Shut, true), code(Verdict::None, true)], [0, 1, 2]);
        assert_eq!([code(Verdict::Ship, false), code(Verdict::Shut, false), code(Verdict::None, false)], [0, 0, 2]);
    }

    #[test]
    fn the_sentence_fits_however_much_there_is_to_say() {
        for length in [0, 10, 299, 300, 301, 5_000] {
            for count in [0, 1, 2, 3, 4, 5, 100] {
                let decision = decision(Verdict::Shut, false, vec!["é".repeat(length); count]);
                let sentence = decision.sentence();
                assert!(sentence.len() <= Decision::SENTENCE, "{length} × {count}: {}", sentence.len());
                assert!(sentence.contains("NOT ENFORCED"));
                assert!(count < 5 || length < 200 || sentence.contains("more reason"), "{sentence}");
            }
        }
    }
}
