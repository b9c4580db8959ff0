//! Texts that are shown before and after a login.

use schemars::JsonSchema;
use serde::Deserialize;

use super::file::WhenNone;
use super::{Kind, Names, unknown};
use crate::facts::{FactId, Facts, FileFact, Needs, Os, Unreadable};
use crate::finding::{Evidence, Outcome};
use crate::path::ImagePath;

/// A text that is shown to people says something, and does not say what the system is: neither the name of its os-release nor one of
/// the escapes that `agetty(8)` fills in with it (`\m` machine, `\r` and `\v` kernel, `\s` system, `\S` os-release).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Banner {
    /// Paths or patterns of the files that are shown, together.
    pub path: Names,
    /// Shown where none of those exists, in the place of them.
    pub fallback: Option<Names>,
    /// Whether it may be empty; missing is what `when-none` says.
    #[serde(default)]
    pub empty: bool,
    /// The verdict if there is no such file: `pass`, `fail`, or `not-applicable` (the default).
    #[serde(default)]
    pub when_none: WhenNone,
}

/// Escapes that tell what the system is.
const ESCAPES: [char; 4] = ['m', 'r', 's', 'v'];

impl Kind for Banner {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Os);
        self.path.0.iter().chain(self.fallback.iter().flat_map(|names| &names.0)).for_each(|pattern| needs.contents(pattern));
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let shown = |patterns: &[String]| -> Result<Vec<FileFact>, Outcome> {
            let found: Result<Vec<_>, _> = patterns.iter().map(|pattern| facts.contents(pattern)).collect();
            found.map(|lists| lists.into_iter().flatten().cloned().collect()).map_err(|error| unknown(&error))
        };
        let files = shown(&self.path.0).and_then(|files| match &self.fallback {
            Some(fallback) if files.is_empty() => shown(&fallback.0),
            _ => Ok(files),
        });
        let files = match files {
            Ok(files) => files,
            Err(outcome) => return Ok(outcome),
        };
        let first = ImagePath::new(self.path.0.first().map_or("/", String::as_str));
        if files.is_empty() {
            return Ok(self.when_none.outcome(&first, "does not exist"));
        }
        let names = names(facts.os()?);
        let mut outcomes = Vec::new();
        let mut says_something = self.empty;
        for file in &files {
            match &file.content {
                Ok(content) => {
                    says_something |= !content.trim_ascii().is_empty();
                    outcomes.extend(judge(file, content, &names));
                }
                Err(unreadable) => outcomes.push(unknown(unreadable)),
            }
        }
        if !says_something && outcomes.is_empty() {
            return Ok(Outcome::fail(vec![Evidence::at(&first).found("nothing").expected("a text")]));
        }
        if outcomes.is_empty() {
            return Ok(Outcome::pass(
                files.iter().map(|file| Evidence::at(&file.path).found("a text that tells nothing of the system")).collect(),
            ));
        }
        Ok(Outcome::all(outcomes))
    }
}

/// What the system calls itself, in lower case.
fn names(os: &Os) -> Vec<String> {
    // `Amazon Linux 2023` is told by its first two words as well.
    let plain = os.name.split(|digit: char| digit.is_ascii_digit()).next().unwrap_or_default().trim();
    let mut names: Vec<String> = [os.id.as_str(), os.name.as_str(), plain].iter().map(|name| name.to_lowercase()).collect();
    names.retain(|name| !name.is_empty());
    names.sort_unstable();
    names.dedup();
    names
}

/// What a file tells of the system, line by line.
fn judge(file: &FileFact, content: &[u8], names: &[String]) -> Vec<Outcome> {
    let lines = (1..).zip(content.split(|&byte| byte == b'\n'));
    let told = lines.filter_map(|(number, line)| {
        let text = String::from_utf8_lossy(line).to_lowercase();
        // The line itself is somebody's text, and may hold anything.
        let what =
            escape(&text).or_else(|| names.iter().find(|name| has_word(&text, name)).map(|name| format!("the name '{name}'")))?;
        let place = Evidence::at(&file.path).line(number).found(what.as_bytes());
        Some(Outcome::fail(vec![place.expected("nothing of the system")]))
    });
    told.collect()
}

fn escape(text: &str) -> Option<String> {
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter == '\\'
            && let Some(what) = letters.next().filter(|what| ESCAPES.contains(what))
        {
            return Some(format!("the escape \\{what}"));
        }
    }
    None
}

/// Whether a word is in a text and not just part of a longer one.
fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let after = text.get(at + word.len()..).and_then(|after| after.chars().next());
        !before.is_some_and(char::is_alphabetic) && !after.is_some_and(char::is_alphabetic)
    })
}
