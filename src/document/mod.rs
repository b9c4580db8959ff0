//! The TOML files people write: rules, benchmarks, policies, waivers. Every mistake in one points at file, line and column.
#![allow(clippy::indexing_slicing, reason = "every index is a boundary found in the same text")]

mod reader;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use self::reader::{Misfit, Reader};

/// A mistake in a file somebody wrote: where, what, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The file, as its user named it.
    pub file: String,
    /// Line, from 1; 0 if the file as a whole is meant.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What would be right, if that can be said.
    pub help: Option<String>,
    /// The line's text and how many characters of it are meant.
    pub excerpt: Option<(String, usize)>,
}

impl fmt::Display for Mistake {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.message)?;
        if self.line == 0 {
            write!(out, "\n  ┌ {}", self.file)?;
        } else {
            write!(out, "\n  ┌ {}:{}:{}", self.file, self.line, self.column)?;
        }
        if let Some((text, width)) = &self.excerpt {
            let (shown, indent, width) = window(text, self.column.saturating_sub(1), *width);
            let marks = "^".repeat(width.max(1));
            write!(out, "\n  │ {shown}\n  │ {:indent$}{marks}", "")?;
        }
        if let Some(help) = &self.help {
            write!(out, "\n  = help: {help}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistake {}

/// One step to a value in a document.
#[derive(Debug, Clone, Copy)]
pub enum Step<'s> {
    /// Into a table.
    Key(&'s str),
    /// Into an array.
    Index(usize),
}

impl<'s> From<&'s str> for Step<'s> {
    fn from(key: &'s str) -> Self {
        Self::Key(key)
    }
}

impl From<usize> for Step<'_> {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// A parsed file that still knows where everything stood.
pub struct Document<'t> {
    name: String,
    text: &'t str,
    /// A table.
    tree: Spanned<DeValue<'t>>,
    /// Where lines end, so that each of very many entries is found without going through the text again.
    ends: Vec<usize>,
}

impl<'t> Document<'t> {
    /// Parses the text of a file.
    ///
    /// # Errors
    /// The first place where it is not TOML.
    pub fn parse(name: &str, text: &'t str) -> Result<Self, Mistake> {
        let tree = DeTable::parse(text).map_err(|error| mistake_of(name, text, error.message(), error.span()))?;
        let tree = Spanned::new(tree.span(), DeValue::Table(tree.into_inner()));
        let ends = memchr::memchr_iter(b'\n', text.as_bytes()).collect();
        Ok(Self { name: name.to_owned(), text, tree, ends })
    }

    /// The file's name, as its user gave it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads the whole file as a type.
    ///
    /// # Errors
    /// The first value that does not fit.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Mistake> {
        self.read_value(&self.tree)
    }

    /// Reads the value at a path as a type, every `{ param = "x" }` in it replaced by the value of that parameter.
    ///
    /// # Errors
    /// The first value that does not fit, at the place of the `param` if it came from one; a parameter without a value.
    pub fn read_at<T: DeserializeOwned>(
        &self,
        path: &[Step<'_>],
        params: &BTreeMap<String, Spanned<DeValue<'t>>>,
    ) -> Result<T, Mistake> {
        let Some(value) = self.value(path) else {
            return Err(self.mistake(path, "nothing is here", None));
        };
        let mut value = value.clone();
        let mut missing = None;
        substitute(&mut value, params, &mut missing);
        if let Some((name, span)) = missing {
            let known = params.keys().map(String::as_str);
            let help = nearest(&name, known).map(|near| format!("you may have meant '{near}'"));
            return Err(self.mistake_in(span, format!("'{name}' is no parameter of this rule"), help));
        }
        if let Some((span, digits)) = decimal_mode(&value) {
            return Err(self.refuse_decimal(span, &digits));
        }
        self.read_value(&value)
    }

    fn read_value<T: DeserializeOwned>(&self, value: &Spanned<DeValue<'t>>) -> Result<T, Mistake> {
        T::deserialize(Reader(value)).map_err(|Misfit { message, span }| {
            mistake_of(&self.name, self.text, &message, Some(span.unwrap_or_else(|| value.span())))
        })
    }

    fn root(&self) -> Option<&DeTable<'t>> {
        self.tree.get_ref().as_table()
    }

    /// The first mode at or below a path that is a decimal number: 644 has the bits of 0o1204.
    #[must_use]
    pub fn decimal_mode(&self, path: &[Step<'_>]) -> Option<Mistake> {
        self.value(path).and_then(decimal_mode).map(|(span, digits)| self.refuse_decimal(span, &digits))
    }

    fn refuse_decimal(&self, span: Range<usize>, digits: &str) -> Mistake {
        let help =
            digits.bytes().all(|digit| matches!(digit, b'0'..=b'7')).then(|| format!("write 0o{digits}, or \"0{digits}\""));
        self.mistake_in(span, format!("a mode is octal, and {digits} is a decimal number"), help)
    }

    /// The entries of the table at a path, with their places.
    #[must_use]
    pub fn table(&self, path: &[Step<'_>]) -> BTreeMap<String, Spanned<DeValue<'t>>> {
        let table = if path.is_empty() { self.root() } else { self.value(path).and_then(|value| value.get_ref().as_table()) };
        table.into_iter().flatten().map(|(key, value)| (key.get_ref().to_string(), value.clone())).collect()
    }

    /// A mistake at the value a path leads to, or as near to it as the file goes.
    #[must_use]
    pub fn mistake(&self, path: &[Step<'_>], message: impl Into<String>, help: Option<String>) -> Mistake {
        self.mistake_in(self.place_of(path), message, help)
    }

    /// The bytes a path leads to, or what is as near to it as the file goes.
    fn place_of(&self, path: &[Step<'_>]) -> Range<usize> {
        (0..=path.len()).rev().find_map(|end| self.span(&path[..end])).unwrap_or(0..0)
    }

    /// The line a path stands on, from 1.
    #[must_use]
    pub fn line(&self, path: &[Step<'_>]) -> usize {
        self.ends.partition_point(|&end| end < self.place_of(path).start) + 1
    }

    /// A mistake in these bytes of the file.
    #[must_use]
    pub fn mistake_in(&self, span: Range<usize>, message: impl Into<String>, help: Option<String>) -> Mistake {
        let mut mistake = place(&self.name, self.text, span);
        mistake.message = message.into();
        mistake.help = help;
        mistake
    }

    fn span(&self, path: &[Step<'_>]) -> Option<Range<usize>> {
        // The key reads better than the value: `[[rule]]` has its whole body as its value.
        if let [above @ .., Step::Key(last)] = path {
            let table = if above.is_empty() { self.root() } else { self.value(above)?.get_ref().as_table() };
            return table?.iter().find(|(key, _)| key.get_ref() == last).map(|(key, _)| key.span());
        }
        self.value(path).map(Spanned::span)
    }

    fn value(&self, path: &[Step<'_>]) -> Option<&Spanned<DeValue<'t>>> {
        let (first, rest) = path.split_first()?;
        let Step::Key(first) = first else { return None };
        let mut value = self.root()?.get(*first)?;
        for step in rest {
            value = match step {
                Step::Key(key) => value.get_ref().as_table()?.get(*key)?,
                Step::Index(index) => value.get_ref().as_array()?.get(*index)?,
            };
        }
        Some(value)
    }
}

/// Replaces every table `{ param = "x" }` below `value`.
fn substitute<'t>(
    value: &mut Spanned<DeValue<'t>>,
    params: &BTreeMap<String, Spanned<DeValue<'t>>>,
    missing: &mut Option<(String, Range<usize>)>,
) {
    let span = value.span();
    if let DeValue::Table(table) = value.get_ref()
        && table.len() == 1
        && let Some(name) = table.get("param").and_then(|name| name.get_ref().as_str())
    {
        match params.get(name) {
            Some(replacement) => *value = Spanned::new(span, replacement.get_ref().clone()),
            None => *missing = Some((name.to_owned(), span)),
        }
        return;
    }
    match value.get_mut() {
        DeValue::Table(table) => {
            let keys: Vec<_> = table.keys().cloned().collect();
            for key in keys {
                if let Some(inner) = table.get_mut(&key) {
                    substitute(inner, params, missing);
                }
            }
        }
        DeValue::Array(array) => array.iter_mut().for_each(|inner| substitute(inner, params, missing)),
        _ => {}
    }
}

/// Characters of a line that are shown before the place that is meant, and from it on.
const SHOWN: (usize, usize) = (80, 120);

/// What is shown of a line, where in that the place begins, and how much of it is there.
fn window(line: &str, start: usize, width: usize) -> (String, usize, usize) {
    let from = start.saturating_sub(SHOWN.0);
    let mut shown: String = line.chars().skip(from).take(start - from + SHOWN.1).collect();
    let mut indent = start - from;
    if from > 0 {
        shown.insert(0, '…');
        indent += 1;
    }
    if line.chars().count() > start + SHOWN.1 {
        shown.push('…');
    }
    (shown, indent, width.min(SHOWN.1))
}

/// A mode that is written as a decimal number, which has other bits than its digits seem to say.
fn decimal_mode(value: &Spanned<DeValue<'_>>) -> Option<(Range<usize>, String)> {
    match value.get_ref() {
        DeValue::Table(table) => table.iter().find_map(|(key, inner)| {
            let is_mode = ["mode", "mode-within", "mode-has", "masks"].iter().any(|name| {
                let before = key.get_ref().strip_suffix(name);
                before.is_some_and(|before| before.is_empty() || before.ends_with('-'))
            });
            match inner.get_ref() {
                DeValue::Integer(number) if is_mode && number.radix() == 10 && number.as_str().len() > 1 => {
                    Some((inner.span(), number.as_str().to_owned()))
                }
                _ => decimal_mode(inner),
            }
        }),
        DeValue::Array(array) => array.iter().find_map(decimal_mode),
        _ => None,
    }
}

fn mistake_of(name: &str, text: &str, message: &str, span: Option<Range<usize>>) -> Mistake {
    let mut mistake = match span {
        Some(span) => place(name, text, span),
        None => Mistake { file: name.to_owned(), line: 0, column: 0, message: String::new(), help: None, excerpt: None },
    };
    (mistake.message, mistake.help) = reword(message);
    mistake
}

/// Serde's words for an unknown key or variant, made into a sentence with a suggestion.
#[must_use]
pub fn reword(message: &str) -> (String, Option<String>) {
    for kind in ["field", "variant"] {
        let Some(rest) = message.strip_prefix(&format!("unknown {kind} `")) else { continue };
        let Some((wrong, rest)) = rest.split_once('`') else { continue };
        let known: Vec<&str> = rest.split('`').skip(1).step_by(2).collect();
        let near = nearest(wrong, known.iter().copied()).map(|near| format!("you may have meant '{near}'"));
        let what = if kind == "field" { "key" } else { "choice" };
        let known = if known.is_empty() { "nothing is".to_owned() } else { known.join(", ") };
        return (format!("'{wrong}' is not a known {what} here; known: {known}"), near);
    }
    if let Some(field) = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        return (format!("the key '{field}' is missing"), None);
    }
    (plain(message.lines().next().unwrap_or_default()), None)
}

/// The types of the language in words of a person: `expected i64` is a whole number.
fn plain(message: &str) -> String {
    let Some((found, expected)) = message.rsplit_once("expected ") else { return message.to_owned() };
    let expected = match expected {
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => "a whole number",
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" => "a whole number that is not negative",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a string" | "string" => "a text",
        "a sequence" => "a list",
        "a map" => "a table",
        other if other.starts_with("struct ") => "a table",
        other => other,
    };
    format!("{found}expected {expected}")
}

fn place(name: &str, text: &str, span: Range<usize>) -> Mistake {
    let start = floor(text, span.start);
    let before = &text[..start];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line_text = text[line_start..].lines().next().unwrap_or_default();
    let line_end = line_start + line_text.len();
    let end = floor(text, span.end.clamp(start, line_end.max(start)));
    Mistake {
        file: name.to_owned(),
        line: before.matches('\n').count() + 1,
        column: text[line_start..start].chars().count() + 1,
        message: String::new(),
        help: None,
        // Tabs would move the caret; control characters of a hostile file must not reach the terminal.
        excerpt: Some((
            line_text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect(),
            text[start..end].chars().count(),
        )),
    }
}

/// The nearest character boundary at or before an offset.
fn floor(text: &str, mut offset: usize) -> usize {
    offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

/// Bytes beyond which nothing is compared with the names there are: none is as long, and comparing takes the product of the lengths.
const LONGEST_NAME: usize = 200;

/// The known name most like a wrong one, if one is like it at all: a letter or two apart, or one the beginning of the other.
#[must_use]
pub fn nearest<'k>(wrong: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    if wrong.len() > LONGEST_NAME {
        return None;
    }
    let apart = |name: &str| {
        let begins = !wrong.is_empty() && (name.starts_with(wrong) || wrong.starts_with(name));
        if begins { 1 } else { strsim::damerau_levenshtein(wrong, name) }
    };
    let nearest = known.into_iter().map(|name| (apart(name), name)).min()?;
    (nearest.0 <= (wrong.chars().count() / 3).max(1)).then_some(nearest.1)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    #[expect(dead_code, reason = "only the errors are looked at")]
    struct Sample {
        at_most: Option<i64>,
        name: Option<String>,
    }

    #[test]
    fn an_unknown_key_is_pointed_at_with_what_would_be_right() {
        let text = "name = 'x'\nat_most = 4\n";
        let mistake = Document::parse("ours.toml", text).unwrap().read::<Sample>().unwrap_err();
        assert_eq!((mistake.line, mistake.column), (2, 1));
        assert_eq!(mistake.help.as_deref(), Some("you may have meant 'at-most'"));
        assert!(mistake.to_string().contains("ours.toml:2:1"), "{mistake}");
    }

    #[test]
    fn the_line_of_a_path() {
        let document = Document::parse("x", "a = 1\n\n[b]\nc = 2\n").unwrap();
        let lines = [vec!["a".into()], vec!["b".into()], vec!["b".into(), "c".into()], vec!["b".into(), "none".into()]];
        assert_eq!(lines.map(|path: Vec<Step<'_>>| document.line(&path)), [1, 3, 4, 3]);
    }

    #[test]
    fn a_value_of_the_wrong_type_is_pointed_at() {
        let mistake = Document::parse("x", "at-most = 'four'").unwrap().read::<Sample>().unwrap_err();
        assert_eq!((mistake.line, mistake.column), (1, 11));
    }

    #[test]
    fn a_type_is_named_in_words() {
        let mistake = Document::parse("x", "at-most = 'four'").unwrap().read::<Sample>().unwrap_err();
        assert_eq!(mistake.message, "invalid type: string \"four\", expected a whole number");
        assert_eq!(
            Document::parse("x", "name = 4").unwrap().read::<Sample>().unwrap_err().message.rsplit(", ").next(),
            Some("expected a text")
        );
    }

    #[test]
    fn of_a_long_line_only_the_place_is_shown() {
        let text = format!("name = '{}'\nat_most = [{}]\n", "x".repeat(10), "1,".repeat(100_000));
        let mistake = Document::parse("x", &text).unwrap().read::<Sample>().unwrap_err();
        assert!(mistake.to_string().len() < 1_000, "{}", mistake.to_string().len());
        let text = format!("a = [{} nonsense {}]", "1,".repeat(100_000), "1,".repeat(100_000));
        let mistake = Document::parse("x", &text).err().unwrap();
        let shown = mistake.to_string();
        assert!(shown.len() < 1_000 && shown.contains("nonsense"), "{} {}", shown.len(), mistake.column);
        let lines: Vec<&str> = shown.lines().collect();
        let (line, marks) = (lines[2], lines[3]);
        let at = marks.chars().position(|mark| mark == '^').unwrap();
        assert_eq!(line.chars().skip(at).take(8).collect::<String>(), "nonsense", "{shown}");
    }

    #[test]
    fn broken_toml_is_pointed_at() {
        let mistake = Document::parse("x", "a = 1\nb = [1,\n").err().unwrap();
        assert!(mistake.line >= 2, "{mistake}");
    }

    #[test]
    fn a_wrong_value_of_a_parameter_is_pointed_at_where_it_is_used() {
        let text = "params.max = 'many'\n[check]\nat-most = { param = 'max' }\n";
        let document = Document::parse("x", text).unwrap();
        let params = document.table(&["params".into()]);
        let mistake = document.read_at::<Sample>(&["check".into()], &params).unwrap_err();
        assert_eq!((mistake.line, mistake.column), (3, 11));
    }

    #[test]
    fn a_parameter_that_is_not_declared_is_named() {
        let text = "params.max = 4\n[check]\nat-most = { param = 'mx' }\n";
        let document = Document::parse("x", text).unwrap();
        let params = document.table(&["params".into()]);
        let mistake = document.read_at::<Sample>(&["check".into()], &params).unwrap_err();
        assert_eq!(mistake.help.as_deref(), Some("you may have meant 'max'"), "{mistake}");
    }
}
