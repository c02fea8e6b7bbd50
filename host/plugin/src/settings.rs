//! A plugin's settings: read off its JSON Schema for people, checked against it for runs.

use serde_json::{Map, Value};

use crate::schema::validator;
use crate::{Plugin, PluginError};

/// One setting as `plugin info` shows it.
#[derive(Clone, PartialEq, Debug)]
pub struct Setting {
    pub name: String,
    /// `number`, `integer`, `text`, `list of text`, …
    pub kind: String,
    pub default: Option<Value>,
    /// `0 to 1`, `at least 1`, or the allowed values.
    pub range: Option<String>,
    pub required: bool,
    pub help: String,
}

/// The settings of a schema in the order of the author's struct.
pub(crate) fn settings(schema: &Value) -> Vec<Setting> {
    let empty = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&empty);
    let required: Vec<&str> = match schema["required"].as_array() {
        Some(names) => names.iter().filter_map(Value::as_str).collect(),
        None => Vec::new(),
    };
    let setting = |(name, own): (&String, &Value)| Setting {
        name: name.clone(),
        kind: kind(own),
        default: own.get("default").filter(|value| !value.is_null()).cloned(),
        range: range(own),
        required: required.contains(&name.as_str()),
        help: own["description"].as_str().unwrap_or_default().to_owned(),
    };
    properties.iter().map(setting).collect()
}

/// Refuses settings that the schema refuses: unknown names, wrong types, values out of range.
pub(crate) fn check_settings(plugin: &Plugin, given: &Value) -> Result<(), PluginError> {
    let schema = &plugin.description.settings;
    let validator = validator(schema).map_err(|cause| PluginError::BadDescription {
        plugin: plugin.name.clone(),
        cause: format!("settings are no JSON Schema that is taken: {cause}"),
    })?;
    let known = settings(schema);
    let mut problems = unknown(&known, given);
    // What is unknown was said above, with the nearest name.
    let others = validator.iter_errors(given).filter(|error| {
        !error
            .to_string()
            .contains("dditional properties are not allowed")
    });
    problems.extend(others.map(|error| {
        let path = error.instance_path().to_string();
        let name = path.trim_start_matches('/').to_owned();
        let help = known.iter().find(|setting| setting.name == name);
        let range = help.and_then(|setting| setting.range.clone());
        let given = error.instance();
        let expected = help
            .map(|setting| setting.kind.as_str())
            .unwrap_or_default();
        let is_text = given.is_string() && !["text", "choice", "any"].contains(&expected);
        match (name.is_empty(), range) {
            (false, _) if is_text => {
                let hint = match expected.starts_with("list") {
                    true => ", written [1, 2]",
                    false => "",
                };
                format!("`{name}` is {given}, a text where {expected} is expected{hint}")
            }
            (true, _) => error.to_string(),
            (false, Some(range)) => format!("`{name}` is {}, it must be {range}", error.instance()),
            (false, None) => format!("`{name}`: {error}"),
        }
    }));
    match problems.is_empty() {
        true => Ok(()),
        false => Err(PluginError::Settings {
            plugin: plugin.name.clone(),
            problems,
        }),
    }
}

fn unknown(known: &[Setting], given: &Value) -> Vec<String> {
    let names: Vec<&str> = known.iter().map(|setting| setting.name.as_str()).collect();
    let given = given.as_object().into_iter().flat_map(Map::keys);
    let strange = given.filter(|name| !names.contains(&name.as_str()));
    let describe = |name: &String| match (names.is_empty(), crate::library::nearest(name, &names)) {
        (true, _) => format!("`{name}` is unknown: there are no settings"),
        (false, Some(nearest)) => format!("`{name}` is unknown, did you mean `{nearest}`?"),
        (false, None) => format!("`{name}` is unknown; known: {}", names.join(", ")),
    };
    strange.map(describe).collect()
}

/// The schema without the `or null` of an optional setting.
fn present(schema: &Value) -> &Value {
    let either = schema["anyOf"].as_array();
    let some = either.and_then(|any| any.iter().find(|one| one["type"] != "null"));
    some.unwrap_or(schema)
}

/// The values of a closed choice.
fn choices(schema: &Value) -> Option<Vec<String>> {
    let schema = present(schema);
    if let Some(values) = schema["enum"].as_array() {
        let values = values.iter().filter(|value| !value.is_null());
        return Some(values.map(Value::to_string).collect());
    }
    let one_of = schema["oneOf"].as_array()?;
    let values = one_of
        .iter()
        .map(|one| one.get("const").map(Value::to_string));
    values.collect()
}

fn kind(schema: &Value) -> String {
    if choices(schema).is_some() {
        return "choice".into();
    }
    let schema = present(schema);
    let own = match &schema["type"] {
        Value::String(kind) => kind.as_str(),
        // `Option<T>` is a type or null.
        Value::Array(kinds) => kinds
            .iter()
            .filter_map(Value::as_str)
            .find(|kind| *kind != "null")
            .unwrap_or("any"),
        _ => "any",
    };
    match own {
        "string" => "text".into(),
        "boolean" => "true or false".into(),
        "array" => format!("list of {}", kind(&schema["items"])),
        other => other.to_owned(),
    }
}

fn range(schema: &Value) -> Option<String> {
    if let Some(values) = choices(schema) {
        return Some(values.join(" or "));
    }
    let number = |key: &str| schema.get(key).and_then(Value::as_f64);
    let low = number("minimum").map(|low| format!("at least {low}"));
    let low = low.or_else(|| number("exclusiveMinimum").map(|low| format!("above {low}")));
    let high = number("maximum").map(|high| format!("at most {high}"));
    let high = high.or_else(|| number("exclusiveMaximum").map(|high| format!("below {high}")));
    match (number("minimum"), number("maximum"), low, high) {
        (Some(low), Some(high), _, _) => Some(format!("{low} to {high}")),
        (_, _, Some(low), Some(high)) => Some(format!("{low}, {high}")),
        (_, _, low, high) => low.or(high),
    }
}
