//! A rule with values for its parameters, ready to judge.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde_json::Value;

use super::Rule;
use crate::check::Check;
use crate::document::{nearest, reword};
use crate::facts::{Facts, Needs};
use crate::finding::{Outcome, ValueInfo};

/// A rule whose parameters have their values.
#[derive(Debug, Clone)]
pub struct Instance {
    /// The rule.
    pub rule: Arc<Rule>,
    /// Its condition.
    pub check: Check,
    /// The values used, and where each came from.
    pub values: BTreeMap<String, ValueInfo>,
}

/// Why a rule cannot be given these values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InstanceError {
    /// There is no such parameter.
    #[error("rule '{rule}' has no parameter '{name}'{}", .near.as_ref().map(|near| format!("; you may have meant '{near}'")).unwrap_or_default())]
    NoSuchParameter {
        /// The rule.
        rule: String,
        /// The name that was given.
        name: String,
        /// The nearest name there is.
        near: Option<String>,
    },
    /// The check does not take these values.
    #[error("rule '{rule}': {message}")]
    Check {
        /// The rule.
        rule: String,
        /// What is wrong.
        message: String,
    },
}

impl Instance {
    /// Gives the parameters their values: the defaults, then each layer in turn (name of the layer, its values).
    ///
    /// # Errors
    /// A value for a parameter that is not there, or one the check does not take.
    pub fn new(rule: Arc<Rule>, layers: &[(&str, &BTreeMap<String, Value>)]) -> Result<Self, InstanceError> {
        let default = |value: &Value| ValueInfo { value: value.clone(), from: "default".into() };
        let mut values: BTreeMap<String, ValueInfo> =
            rule.params.iter().map(|(name, value)| (name.clone(), default(value))).collect();
        for (from, layer) in layers {
            for (name, value) in *layer {
                let Some(slot) = values.get_mut(name) else {
                    let near = nearest(name, rule.params.keys().map(String::as_str)).map(str::to_owned);
                    return Err(InstanceError::NoSuchParameter { rule: rule.id.clone(), name: name.clone(), near });
                };
                *slot = ValueInfo { value: value.clone(), from: (*from).to_owned() };
            }
        }
        let wrong = |message: String| InstanceError::Check { rule: rule.id.clone(), message };
        let mut written = rule.check.clone();
        substitute(&mut written, &values).map_err(|name| wrong(format!("'{name}' is no parameter of this rule")))?;
        let check: Check = serde_json::from_value(written).map_err(|error| wrong(reword(&error.to_string()).0))?;
        match check.flaw() {
            Some(flaw) => Err(wrong(flaw)),
            None => Ok(Self { check, values, rule }),
        }
    }

    /// Adds what has to be known to judge.
    pub fn needs(&self, facts: &Facts<'_>, needs: &mut Needs) {
        if let Some(applies) = &self.rule.applies {
            applies.needs(needs);
        }
        self.check.needs(facts, needs);
    }

    /// Judges. A panic is a defect of karat and leaves this one verdict unknown, with the panic as its reason.
    #[must_use]
    pub fn evaluate(&self, facts: &Facts<'_>) -> Outcome {
        let judge = || match self.rule.applies.as_ref().and_then(|applies| applies.excuse(facts)) {
            Some(excuse) => excuse,
            None => self.check.evaluate(facts),
        };
        catch_unwind(AssertUnwindSafe(judge)).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
            Outcome::unknown(format!("karat itself failed here: {}", text.unwrap_or("no message")), Vec::new())
        })
    }
}

/// Replaces every `{ "param": "x" }`; gives the name of one that has no value.
fn substitute(value: &mut Value, values: &BTreeMap<String, ValueInfo>) -> Result<(), String> {
    if let Value::Object(table) = value
        && table.len() == 1
        && let Some(Value::String(name)) = table.get("param")
    {
        let replacement = values.get(name).ok_or_else(|| name.clone())?.value.clone();
        *value = replacement;
        return Ok(());
    }
    match value {
        Value::Object(table) => table.values_mut().try_for_each(|inner| substitute(inner, values)),
        Value::Array(array) => array.iter_mut().try_for_each(|inner| substitute(inner, values)),
        _ => Ok(()),
    }
}
