//! Lines of text: the escape hatch.

use schemars::JsonSchema;
use serde::Deserialize;

use super::file::WhenNone;
use super::{Kind, Names, Pattern, unknown};
use crate::facts::{Facts, FileFact, Needs, Unreadable};
use crate::finding::{Evidence, Outcome};
use crate::path::ImagePath;

/// A line of a text file. Knows nothing of the file's format: a typed check is better wherever there is one, and a rule that uses
/// this says why in its `line-check-because`.
///
/// Comments (after white space, what starts with the `comment` characters) are passed over, and so are trailing blanks and a
/// carriage return.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Line {
    /// Paths or patterns of the files.
    pub path: Names,
    /// Some line in some of the files matches this.
    pub has: Option<Pattern>,
    /// No line in any of the files matches this.
    pub lacks: Option<Pattern>,
    /// Characters that start a comment; `#` if not given, none if empty.
    pub comment: Option<String>,
    /// The verdict if no file matches the patterns: `pass`, `fail`, or `not-applicable` (the default).
    #[serde(default)]
    pub when_none: WhenNone,
}

impl Kind for Line {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        self.path.0.iter().for_each(|pattern| needs.contents(pattern));
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let mut files: Vec<&FileFact> = Vec::new();
        let mut doubts = Vec::new();
        for pattern in &self.path.0 {
            match facts.contents(pattern) {
                Ok(found) => files.extend(found),
                Err(unreadable) => doubts.push(unknown(&unreadable)),
            }
        }
        if files.is_empty() && doubts.is_empty() {
            let first = ImagePath::new(self.path.0.first().map_or("/", String::as_str));
            return Ok(self.when_none.outcome(&first, "does not exist"));
        }
        doubts.extend(files.iter().filter_map(|file| file.content.as_ref().err()).map(unknown));
        let mut outcomes = Vec::new();
        if let Some(pattern) = &self.has {
            let seen: Vec<Evidence> = self.hits(&files, pattern).collect();
            let expected =
                || files.iter().map(|file| Evidence::at(&file.path).found("no such line").expected(format!("/{}/", pattern.0)));
            outcomes.push(match seen.is_empty() {
                false => Outcome::pass(seen),
                true if doubts.is_empty() => Outcome::fail(expected().collect()),
                true => Outcome::all(doubts.clone()),
            });
        }
        if let Some(pattern) = &self.lacks {
            let seen: Vec<Evidence> = self.hits(&files, pattern).map(|hit| hit.expected("no such line")).collect();
            outcomes.push(match seen.is_empty() {
                false => Outcome::fail(seen),
                true if doubts.is_empty() => {
                    Outcome::pass(files.iter().map(|file| Evidence::at(&file.path).found("no such line")).collect())
                }
                true => Outcome::all(doubts),
            });
        }
        Ok(Outcome::all(outcomes))
    }

    fn flaw(&self) -> Option<String> {
        let asks_nothing = self.has.is_none() && self.lacks.is_none();
        asks_nothing.then(|| "it asks nothing of the lines; known: has, lacks".into()).or_else(|| self.path.not_whole())
    }
}

impl Line {
    fn hits<'h>(&'h self, files: &'h [&FileFact], pattern: &'h Pattern) -> impl Iterator<Item = Evidence> + 'h {
        let comment = self.comment.as_deref().unwrap_or("#").as_bytes();
        files.iter().flat_map(move |file| {
            let content = file.content.as_deref().unwrap_or_default();
            (1..).zip(content.split(|&byte| byte == b'\n')).filter_map(move |(number, line)| {
                let line = line.trim_ascii_end();
                let is_comment = line.trim_ascii_start().first().is_some_and(|first| comment.contains(first));
                let text = String::from_utf8_lossy(line);
                // What the pattern does not ask about may be anything, a secret too, and is not shown.
                let hit = pattern.0.find(&text).filter(|_| !is_comment)?;
                Some(Evidence::at(&file.path).line(number).found(hit.as_str()))
            })
        })
    }
}
