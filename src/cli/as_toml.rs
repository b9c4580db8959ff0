//! A value as the TOML one would write by hand: checks and parameters as `karat explain` shows them.

use std::fmt::Write;

use serde_json::Value;

/// Longer lists are put on several lines.
const WIDTH: usize = 100;

/// `name = value`, lists of tables on lines of their own.
pub(super) fn assignment(name: &str, value: &Value) -> String {
    let mut text = format!("{name} = ");
    write_value(&mut text, value, 0);
    text
}

/// A check as it stands in a rule: `check.KIND = …`.
pub(super) fn check(check: &Value) -> String {
    match check.as_object().and_then(|table| table.iter().next()) {
        Some((kind, body)) => assignment(&format!("check.{kind}"), body),
        None => assignment("check", check),
    }
}

/// On one line.
pub(super) fn inline(value: &Value) -> String {
    let mut text = String::new();
    write_inline(&mut text, value);
    text
}

fn write_value(text: &mut String, value: &Value, depth: usize) {
    let on_one_line = inline(value);
    match value {
        Value::Array(list) if on_one_line.len() > WIDTH => {
            text.push_str("[\n");
            for inner in list {
                let _ = write!(text, "{:indent$}", "", indent = 2 * (depth + 1));
                write_value(text, inner, depth + 1);
                text.push_str(",\n");
            }
            let _ = write!(text, "{:indent$}]", "", indent = 2 * depth);
        }
        // A table stays on one line, as TOML asks, but what a list in it holds need not.
        Value::Object(table) if on_one_line.len() > WIDTH && table.len() == 1 => {
            for (key, inner) in table {
                let _ = write!(text, "{{ {} = ", bare_or_quoted(key));
                write_value(text, inner, depth);
                text.push_str(" }");
            }
        }
        _ => text.push_str(&on_one_line),
    }
}

fn write_inline(text: &mut String, value: &Value) {
    match value {
        Value::Array(list) => {
            text.push('[');
            for (number, inner) in list.iter().enumerate() {
                text.push_str(if number == 0 { "" } else { ", " });
                write_inline(text, inner);
            }
            text.push(']');
        }
        Value::Object(table) if table.is_empty() => text.push_str("{}"),
        Value::Object(table) => {
            text.push_str("{ ");
            for (number, (key, inner)) in table.iter().enumerate() {
                let _ = write!(text, "{}{} = ", if number == 0 { "" } else { ", " }, bare_or_quoted(key));
                write_inline(text, inner);
            }
            text.push_str(" }");
        }
        // A text without a single quote or a control character reads best as it is; JSON's escapes are TOML's otherwise.
        Value::String(plain) if plain.contains(['\\', '"']) && !plain.contains('\'') && !plain.contains(char::is_control) => {
            let _ = write!(text, "'{plain}'");
        }
        other => {
            let _ = write!(text, "{other}");
        }
    }
}

fn bare_or_quoted(key: &str) -> String {
    let bare = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if bare { key.to_owned() } else { Value::from(key).to_string() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn what_is_shown_can_be_read_back() {
        for rule in crate::rule::shipped::rules().values() {
            let text = check(&rule.check);
            let read: BTreeMap<String, Value> = toml::from_str(&text).unwrap_or_else(|error| panic!("{text}\n{error}"));
            assert_eq!(read["check"], rule.check, "{text}");
        }
    }

    #[test]
    fn a_pattern_keeps_its_backslashes() {
        assert_eq!(inline(&Value::from(r"^\s*x")), r"'^\s*x'");
    }
}
