//! The JSON Schema of rule files, for editors.

use schemars::Schema;
use serde_json::{Value, json};

use super::Rule;
use crate::check::Check;

#[derive(schemars::JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
#[schemars(deny_unknown_fields)]
struct RuleFile {
    /// The rules of this file.
    rule: Vec<Rule>,
}

/// The schema of a rule file.
#[must_use]
pub fn rules_schema() -> Schema {
    with_params(schemars::schema_for!(RuleFile))
}

/// Lets every value of a check be `{ param = "name" }` as well.
#[must_use]
pub fn with_params(mut schema: Schema) -> Schema {
    if let Some(definitions) = schema.get_mut("$defs").and_then(Value::as_object_mut) {
        for &name in Check::KINDS {
            let Some(properties) =
                definitions.get_mut(name).and_then(|check| check.get_mut("properties")).and_then(Value::as_object_mut)
            else {
                continue;
            };
            for (_, property) in properties.iter_mut() {
                let description = property.get("description").cloned().unwrap_or(Value::Null);
                let plain = property.take();
                *property = json!({ "description": description, "anyOf": [plain, { "$ref": "#/$defs/Param" }] });
            }
        }
        let param = json!({
            "description": "The value of a parameter of this rule.",
            "type": "object", "properties": { "param": { "type": "string" } }, "required": ["param"], "additionalProperties": false
        });
        definitions.insert("Param".into(), param);
    }
    schema
}
