//! Reads the configuration in AIDE's order.

use std::collections::BTreeMap;

use regex::RegexBuilder;

use super::attributes::Groups;
use super::{Aide, AideRule, MAX_REGEX};
use crate::facts::{Fact, Unreadable};
use crate::image::{FileKind, Rootfs};
use crate::path::{ImagePath, printable};
use crate::syntax::aide::{Line, Selects, Test, parse};

/// Includes within includes; AIDE itself refuses more than 16.
const MAX_DEPTH: usize = 16;

/// Files read in all: Debian's own folder has some 150.
const MAX_FILES: usize = 2_000;

/// Rules kept: Debian's own files make some hundred. Their expressions are compiled for each file that is asked about.
const MAX_RULES: usize = 1_000;

/// Texts that variables are put into stay shorter than this.
const MAX_TEXT: usize = 1 << 16;

struct Reader<'i> {
    root: Rootfs<'i>,
    aide: Aide,
    groups: Groups,
    variables: BTreeMap<String, String>,
    files: usize,
    /// Whether there were more rules than are kept.
    is_full: bool,
}

pub(super) fn read(root: Rootfs<'_>, path: &ImagePath) -> Fact<Aide> {
    let (rules, doubts, options) = (Vec::new(), Vec::new(), BTreeMap::new());
    let (jobs, job_doubts) = (Vec::new(), Vec::new());
    let aide = Aide { jobs, job_doubts, path: path.clone(), present: true, rules, refused: None, doubts, options };
    let mut reader = Reader { root, aide, groups: Groups::built_in(), variables: BTreeMap::new(), files: 0, is_full: false };
    let content = root.read(path).map_err(|error| Unreadable::reading(path, &error))?;
    reader.content(path, &content, 0);
    Ok(reader.aide)
}

impl Reader<'_> {
    fn refuse(&mut self, path: &ImagePath, line: u32, why: impl Into<String>) {
        self.aide.refused.get_or_insert_with(|| Unreadable::at_line(path, line, why));
    }

    fn file(&mut self, path: &ImagePath, from: (&ImagePath, u32), depth: usize) {
        self.files += 1;
        if depth > MAX_DEPTH || self.files > MAX_FILES {
            return self.refuse(from.0, from.1, "includes are nested too deeply");
        }
        match self.root.read(path) {
            Ok(content) => self.content(path, &content, depth),
            Err(error) if error.is_absent() => self.refuse(from.0, from.1, format!("{path} does not exist")),
            Err(error) => self.aide.doubts.push(Unreadable::reading(path, &error)),
        }
    }

    fn content(&mut self, path: &ImagePath, content: &[u8], depth: usize) {
        // Whether each condition that is open holds.
        let mut open: Vec<bool> = Vec::new();
        for (line, said) in parse(content) {
            if self.aide.refused.is_some() {
                return;
            }
            let counts = open.iter().all(|&holds| holds);
            match said {
                Line::If { not, test } => {
                    let holds = counts && self.holds(path, line, &test) != not;
                    open.push(holds);
                }
                Line::Else => match open.pop() {
                    Some(held) => open.push(!held),
                    None => self.refuse(path, line, "@@else without @@if"),
                },
                Line::EndIf => {
                    if open.pop().is_none() {
                        self.refuse(path, line, "@@endif without @@if");
                    }
                }
                _ if !counts => {}
                other => self.line(path, line, other, depth),
            }
        }
    }

    fn line(&mut self, path: &ImagePath, line: u32, said: Line, depth: usize) {
        match said {
            Line::Define(name, value) => {
                let value = self.filled(&value);
                self.variables.insert(name, value);
            }
            Line::Undefine(name) => {
                self.variables.remove(&name);
            }
            Line::Include { path: target, pattern, executes, prefixed } => {
                if prefixed {
                    self.aide.doubts.push(Unreadable::at_line(path, line, "an include with a prefix is not looked at"));
                } else {
                    self.include(&target, pattern.as_deref(), executes, (path, line), depth + 1);
                }
            }
            Line::Option(name, value) => {
                let value = self.filled(&value);
                self.aide.options.entry(name).or_insert_with(|| (value, path.clone(), line));
            }
            Line::Group(name, terms) => match self.groups.expand(&terms) {
                Ok(attributes) => self.groups.set(name, attributes),
                Err(why) => self.refuse(path, line, why),
            },
            Line::Rule(rule) => match self.groups.expand(&rule.terms) {
                Ok(_) if self.aide.rules.len() >= MAX_RULES => {
                    if !self.is_full {
                        self.is_full = true;
                        let reason = format!("there are more than {MAX_RULES} rules");
                        self.aide.doubts.push(Unreadable::at_line(path, line, reason));
                    }
                }
                Ok(attributes) => {
                    let pattern = self.filled(&rule.pattern);
                    let (selects, restriction) = (rule.selects, rule.restriction);
                    let attributes = if selects == Selects::Not { attributes.into_iter().take(0).collect() } else { attributes };
                    self.aide.rules.push(AideRule { path: path.clone(), line, selects, pattern, restriction, attributes });
                }
                Err(why) => self.refuse(path, line, why),
            },
            Line::Broken(why) => self.refuse(path, line, printable(why.as_bytes())),
            Line::If { .. } | Line::Else | Line::EndIf => {}
        }
    }

    fn holds(&mut self, path: &ImagePath, line: u32, test: &Test) -> bool {
        match test {
            Test::Defined(name) => self.variables.contains_key(name),
            Test::Exists(target) => self.root.exists(&ImagePath::new(self.filled(target))).unwrap_or(false),
            Test::Elsewhere(_) => {
                self.aide.doubts.push(Unreadable::at_line(path, line, "a condition on the running machine"));
                false
            }
        }
    }

    fn include(&mut self, target: &str, pattern: Option<&str>, executes: bool, from: (&ImagePath, u32), depth: usize) {
        let target = ImagePath::new(self.filled(target));
        let Some(pattern) = pattern else {
            return if executes && self.runs(&target) { self.program(&target) } else { self.file(&target, from, depth) };
        };
        let Ok(regex) = RegexBuilder::new(pattern).size_limit(MAX_REGEX).build() else {
            return self.aide.doubts.push(Unreadable::at_line(from.0, from.1, "its regular expression cannot be tried"));
        };
        let names = match self.root.read_dir(&target) {
            Ok(names) => names,
            Err(error) if error.is_absent() => return self.refuse(from.0, from.1, format!("{target} does not exist")),
            Err(error) => return self.aide.doubts.push(Unreadable::reading(&target, &error)),
        };
        // In order of bytes, as alphasort(3) does in the C locale.
        let mut names: Vec<_> = names.into_iter().filter(|name| regex.is_match(&String::from_utf8_lossy(name))).collect();
        names.sort();
        for path in names.iter().map(|name| target.join(name)) {
            match self.root.resolve(&path).map(|found| found.metadata.kind) {
                Ok(FileKind::File) if executes && self.runs(&path) => self.program(&path),
                Ok(FileKind::File) => self.file(&path, from, depth),
                _ => {}
            }
        }
    }

    fn runs(&self, path: &ImagePath) -> bool {
        self.root.resolve(path).is_ok_and(|found| found.metadata.mode & 0o100 != 0)
    }

    /// A program whose output would be read. One that nowhere names a folder of system programs makes no rule about them.
    fn program(&mut self, path: &ImagePath) {
        let names = |content: Vec<u8>| content.windows(4).any(|word| word == b"sbin") || !content.starts_with(b"#!");
        if self.root.read(path).map_or(true, names) {
            self.aide
                .doubts
                .push(Unreadable::at(path, "its output is part of AIDE's configuration, and nothing of an image is run"));
        }
    }

    /// A text with the values of its variables; one that is not defined stands for nothing.
    fn filled(&self, text: &str) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once("@@{") {
            filled.push_str(before);
            let Some((name, after)) = behind.split_once('}') else { return filled + "@@{" + behind };
            filled.push_str(self.variables.get(name).map(String::as_str).unwrap_or_default());
            rest = after;
            if filled.len() > MAX_TEXT {
                return filled;
            }
        }
        filled.push_str(rest);
        filled
    }
}
