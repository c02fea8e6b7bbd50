//! What a plugin says of itself, read off its settings struct.

use schemars::{JsonSchema, schema_for};
use serde_json::{Value, json};

#[cfg(any(target_family = "wasm", feature = "native"))]
pub(crate) mod kinds;

/// The JSON of `describe`: summary (the struct's doc comment), references, traits and the settings
/// as a JSON Schema.
pub fn describe<T: JsonSchema>(references: &[&str], traits: &Value) -> Value {
    let mut schema = schema_for!(T).to_value();
    let properties = schema.get_mut("properties");
    let properties = properties.and_then(Value::as_object_mut);
    for (_, setting) in properties.into_iter().flatten() {
        if let Some(default) = setting.get_mut("default") {
            shorten(default);
        }
    }
    let summary = schema.get("description").cloned().unwrap_or_default();
    json!({ "summary": summary, "references": references, "traits": traits, "settings": schema })
}

/// A default that is an f32 is written as one: 0.9, where its f64 is 0.8999999761581421.
fn shorten(default: &mut Value) {
    let Some(long) = default.as_f64().filter(|_| default.is_f64()) else {
        return;
    };
    let single = long as f32;
    let short: Option<f64> = single.to_string().parse().ok();
    if let Some(short) = short.filter(|_| f64::from(single) == long) {
        *default = json!(short);
    }
}
