//! What a plugin says of itself, read off its settings struct.

use schemars::{JsonSchema, schema_for};
use serde_json::{Value, json};

/// The JSON of `describe`: summary (the struct's doc comment), references, traits and the settings
/// as a JSON Schema.
pub fn describe<T: JsonSchema>(references: &[&str], traits: &Value) -> Value {
    let schema = schema_for!(T).to_value();
    let summary = schema.get("description").cloned().unwrap_or_default();
    json!({ "summary": summary, "references": references, "traits": traits, "settings": schema })
}
