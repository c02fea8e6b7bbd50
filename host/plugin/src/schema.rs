//! What a schema of settings may hold: it comes from a stranger and is evaluated by the host, so it must be small,
//! end, and name nothing outside of itself.

use jsonschema::Draft;
use serde_json::Value;

/// Parts of a schema, each counted as often as a `$ref` leads to it. Checking settings takes time by them.
const PARTS: usize = 20_000;
/// Parts within parts, `$ref`s followed.
const DEPTH: usize = 128;
/// Patterns, and the bytes of each. They are matched in linear time, but compiled first.
const PATTERNS: usize = 64;
const PATTERN: usize = 256;

/// What a schema is read as, whatever it says itself: others resolve `$ref` and names of their own differently. It is
/// what the SDKs write.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Keywords that let a schema refer to others than its own parts, or to parts by where they are evaluated.
const ELSEWHERE: [&str; 5] = [
    "$id",
    "$anchor",
    "$dynamicRef",
    "$dynamicAnchor",
    "$recursiveRef",
];

struct Walk<'a> {
    whole: &'a Value,
    parts: usize,
    patterns: usize,
}

/// Says what of `schema` goes too far.
pub(crate) fn check(schema: &Value) -> Result<(), String> {
    let mut walk = Walk {
        whole: schema,
        parts: 0,
        patterns: 0,
    };
    walk.visit(schema, 0)
}

/// The validator of a schema that [`check`] let through.
pub(crate) fn validator(schema: &Value) -> Result<jsonschema::Validator, String> {
    check(schema)?;
    // Not the default, which backtracks.
    let linear = jsonschema::PatternOptions::regex().size_limit(1 << 18);
    let options = jsonschema::options().with_pattern_options(linear);
    let options = options.with_draft(Draft::Draft202012);
    options.build(schema).map_err(|error| error.to_string())
}

impl Walk<'_> {
    fn visit(&mut self, value: &Value, depth: usize) -> Result<(), String> {
        self.count()?;
        if depth > DEPTH {
            return Err(format!(
                "it is more than {DEPTH} parts deep, or refers to itself"
            ));
        }
        match value {
            Value::Object(parts) => {
                for (key, part) in parts {
                    match part {
                        Value::String(text) => {
                            self.count()?;
                            self.word(key, text, depth)?;
                        }
                        Value::Object(own) if key == "patternProperties" => {
                            own.keys().try_for_each(|pattern| self.pattern(pattern))?;
                            self.visit(part, depth + 1)?;
                        }
                        _ => self.visit(part, depth + 1)?,
                    }
                }
                Ok(())
            }
            Value::Array(parts) => parts
                .iter()
                .try_for_each(|part| self.visit(part, depth + 1)),
            _ => Ok(()),
        }
    }

    fn count(&mut self) -> Result<(), String> {
        self.parts += 1;
        match self.parts <= PARTS {
            true => Ok(()),
            false => Err(format!("it unfolds to more than {PARTS} parts")),
        }
    }

    /// A keyword with a text.
    fn word(&mut self, key: &str, text: &str, depth: usize) -> Result<(), String> {
        match key {
            // The validator would decode it, and find another part than this.
            "$ref" if text.contains('%') => {
                Err(format!("`$ref` is `{}`, and may not hold `%`", shown(text)))
            }
            "$ref" => {
                let place = text
                    .strip_prefix('#')
                    .and_then(|own| self.whole.pointer(own));
                let place = place.ok_or_else(|| {
                    format!("`$ref` is `{}`, which is no part of it", shown(text))
                })?;
                self.visit(place, depth + 1)
            }
            "$schema" if text.trim_end_matches('#') != DIALECT => Err(format!(
                "`$schema` is `{}`, where only {DIALECT} is taken",
                shown(text)
            )),
            "pattern" => self.pattern(text),
            key if ELSEWHERE.contains(&key) => Err(format!("it uses `{key}`")),
            _ => Ok(()),
        }
    }

    fn pattern(&mut self, text: &str) -> Result<(), String> {
        self.patterns += 1;
        if self.patterns > PATTERNS || text.len() > PATTERN {
            return Err(format!(
                "it has more than {PATTERNS} patterns, or one of more than {PATTERN} bytes"
            ));
        }
        Ok(())
    }
}

fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Twice as much with every step: 2^40 parts.
    fn exponential() -> Value {
        let mut parts = serde_json::Map::new();
        for step in 0..40 {
            let next = json!({ "$ref": format!("#/$defs/{}", step + 1) });
            parts.insert(step.to_string(), json!({ "allOf": [next, next] }));
        }
        parts.insert("40".into(), json!({ "type": "object" }));
        json!({ "$ref": "#/$defs/0", "$defs": parts })
    }

    #[test]
    fn schemas_that_go_too_far_are_refused() {
        let said = |schema: Value| validator(&schema).err().unwrap_or_default();
        assert_eq!(
            said(json!({ "properties": { "a": { "type": "number", "pattern": "^a+$" } } })),
            ""
        );
        assert_eq!(said(exponential()), "it unfolds to more than 20000 parts");
        let itself = "it is more than 128 parts deep, or refers to itself";
        assert_eq!(said(json!({ "$ref": "#" })), itself);
        let around = json!({ "$ref": "#/$defs/a", "$defs": { "a": { "$ref": "#/$defs/a" } } });
        assert_eq!(said(around), itself);
        for place in ["file:///etc/passwd", "http://localhost/", "#nowhere"] {
            let expected = format!("`$ref` is `{place}`, which is no part of it");
            assert_eq!(said(json!({ "$ref": place })), expected);
        }
        assert_eq!(said(json!({ "$id": "http://localhost/" })), "it uses `$id`");
        // Counted as one place, read as another: `#/$defs/ab`.
        let decoded =
            json!({ "$ref": "#/$defs/a%62", "$defs": { "a%62": {}, "ab": { "type": "object" } } });
        assert_eq!(
            said(decoded),
            "`$ref` is `#/$defs/a%62`, and may not hold `%`"
        );
        // Where `id` renames a part, which `$ref`s elsewhere then find.
        let before = "http://json-schema.org/draft-04/schema#";
        let expected = format!("`$schema` is `{before}`, where only {DIALECT} is taken");
        for older in [
            json!({ "$schema": before }),
            json!({ "$defs": { "a": { "$schema": before, "id": "b" } } }),
        ] {
            assert_eq!(said(older), expected);
        }
        assert_eq!(said(json!({ "$schema": DIALECT, "id": "b" })), "");
        let words = (0..20_001).map(|place| (place.to_string(), json!("")));
        let words: serde_json::Map<String, Value> = words.collect();
        assert_eq!(
            said(json!({ "default": words })),
            "it unfolds to more than 20000 parts"
        );
        let many: Vec<Value> = (0..65).map(|_| json!({ "pattern": "a" })).collect();
        assert!(said(json!({ "anyOf": many })).starts_with("it has more than 64 patterns"));
        assert!(said(json!({ "pattern": "(?:a{1000}){1000}" })).contains("a{1000}"));
    }

    /// What backtracks for ages elsewhere is linear here.
    #[test]
    fn patterns_do_not_backtrack() {
        let schema = json!({ "pattern": "^(a+)+$" });
        let validator = validator(&schema).unwrap();
        assert!(!validator.is_valid(&json!(format!("{}b", "a".repeat(100_000)))));
    }
}
