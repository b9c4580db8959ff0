//! Options in force.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::options::{Type, type_of};
use super::{Setting, Sudo};
use crate::facts::{Fact, Unreadable};
use crate::path::{ImagePath, printable};
use crate::syntax::sudoers::Operation;

/// What an option comes to, for everybody or for some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    /// For whom, in words; nothing where it is for everybody.
    pub scope: Option<String>,
    /// The value, made safe to show: `on` and `off` for flags. Nothing where there is none.
    pub text: Option<String>,
    /// As a whole number, where it is one; minutes are rounded away from zero.
    pub number: Option<i64>,
    /// As a list, where it is one.
    pub list: Option<Vec<String>>,
    /// What set it; nothing where it is built in.
    pub place: Option<(ImagePath, u32)>,
    /// Why it is this one.
    pub because: Option<String>,
}

impl Sudo {
    /// What an option comes to: first for everybody, then for those for whom something else is set after that.
    ///
    /// # Errors
    /// That sudo has no such option, or that nothing sets it and its default is not known.
    pub fn effective(&self, name: &str) -> Fact<Vec<InForce>> {
        let kind = type_of(name).ok_or_else(|| Unreadable::because(format!("sudo has no option {name}")))?;
        let set: Vec<(&Setting, Value)> = self
            .settings
            .iter()
            .filter(|setting| setting.name == name)
            .filter_map(|setting| Some((setting, value(kind, &setting.operation)?)))
            .collect();
        let everybody = set.iter().rposition(|(setting, _)| setting.scope.is_none());
        let mut all = match everybody {
            Some(at) => {
                let global = set.iter().take(at + 1).filter(|(setting, _)| setting.scope.is_none());
                vec![in_force(global, kind)].into_iter().flatten().collect()
            }
            None => vec![self.built_in(name, kind)?],
        };
        // What is for some is undone by what is for everybody later in the files, unless it is for commands.
        let later: Vec<&(&Setting, Value)> = set
            .iter()
            .enumerate()
            .filter(|(at, (setting, _))| {
                setting.scope.is_some() && (setting.of_command || everybody.is_none_or(|last| *at > last))
            })
            .map(|(_, one)| one)
            .collect();
        // By scope, in the order in which each is met first.
        let mut numbers: BTreeMap<&Option<Arc<str>>, usize> = BTreeMap::new();
        let mut scopes: Vec<Vec<&(&Setting, Value)>> = Vec::new();
        for one in later {
            let number = *numbers.entry(&one.0.scope).or_insert(scopes.len());
            match scopes.get_mut(number) {
                Some(known) => known.push(one),
                None => scopes.push(vec![one]),
            }
        }
        all.extend(scopes.into_iter().filter_map(|lines| in_force(lines.into_iter(), kind)));
        Ok(all)
    }

    fn built_in(&self, name: &str, kind: Type) -> Fact<InForce> {
        let (text, because) = self.built_in.value(name)?;
        let number = text.and_then(|text| number(kind, text));
        Ok(InForce {
            scope: None,
            text: text.map(str::to_owned),
            number,
            list: (kind == Type::List).then(Vec::new),
            place: None,
            because: Some(because.into()),
        })
    }
}

/// What one line does.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Is(Option<String>),
    Adds(String),
    Removes(String),
}

/// Nothing for a line that sudo passes over because its value does not fit (`parse_default_entry`).
fn value(kind: Type, operation: &Operation) -> Option<Value> {
    let is = |text: &str| Some(Value::Is(Some(text.to_owned())));
    match (kind, operation) {
        (Type::Flag | Type::Word, Operation::On) => is("on"),
        (Type::Flag | Type::Word, Operation::Off) => is("off"),
        (Type::Minutes | Type::Number, Operation::Off) => is("0"),
        (Type::Path | Type::Text | Type::List, Operation::Off) => Some(Value::Is(None)),
        (Type::Path, Operation::Is(path)) => {
            if path.starts_with('/') {
                is(path)
            } else {
                None
            }
        }
        (Type::Minutes | Type::Number, Operation::Is(text)) => number(kind, text).and_then(|_| is(text)),
        (Type::Text | Type::Word | Type::List, Operation::Is(text)) => is(text),
        (Type::List, Operation::Adds(text)) => Some(Value::Adds(text.clone())),
        (Type::List, Operation::Removes(text)) => Some(Value::Removes(text.clone())),
        (Type::Flag, _) | (_, Operation::On | Operation::Adds(_) | Operation::Removes(_)) => None,
    }
}

/// The last of some lines, or for a list all of them together.
fn in_force<'s>(lines: impl Iterator<Item = &'s (&'s Setting, Value)>, kind: Type) -> Option<InForce> {
    let mut list: Vec<String> = Vec::new();
    let mut last = None;
    for (setting, value) in lines {
        let words = |text: &str| text.split_ascii_whitespace().map(|word| printable(word.as_bytes())).collect::<Vec<_>>();
        match value {
            Value::Is(text) => list = words(text.as_deref().unwrap_or_default()),
            Value::Adds(text) => list.extend(words(text)),
            Value::Removes(text) => {
                let taken: BTreeSet<String> = words(text).into_iter().collect();
                list.retain(|word| !taken.contains(word));
            }
        }
        last = Some((setting, value));
    }
    let (setting, value) = last?;
    let text = match value {
        Value::Is(text) => text.clone(),
        Value::Adds(_) | Value::Removes(_) => Some(list.join(" ")),
    };
    let scope = setting.scope.as_deref().map(str::to_owned);
    Some(InForce {
        number: text.as_deref().and_then(|text| number(kind, text)),
        text: text.map(|text| printable(text.as_bytes())),
        list: (kind == Type::List).then_some(list),
        place: Some((setting.path.clone(), setting.line)),
        because: scope.clone(),
        scope,
    })
}

/// A value as a number, if sudo takes it as one: minutes may have a sign and a fraction (`store_timespec`), modes are octal.
fn number(kind: Type, text: &str) -> Option<i64> {
    if kind != Type::Minutes {
        return text.parse().ok();
    }
    let (negative, digits) = match text.strip_prefix(['+', '-']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let minutes: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let up = minutes.checked_add(i64::from(fraction.bytes().any(|digit| digit != b'0')))?;
    Some(if negative { -up } else { up })
}
