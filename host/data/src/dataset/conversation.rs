//! Who said what.

use serde::Serialize;
use serde_json::Value;

use super::{Broken, Fault};

/// Who speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// What the model is told about its part.
    System,
    /// Who asks.
    User,
    /// The model.
    Assistant,
}

impl Role {
    /// By the names that data sets use.
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "system" => Self::System,
            "user" | "human" | "prompter" => Self::User,
            "assistant" | "gpt" | "model" | "bot" | "chatgpt" | "bard" => Self::Assistant,
            _ => return None,
        })
    }
}

/// One message of a conversation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Turn {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
    /// What an instruction is about, where the data keeps it apart; templates that have no place for it get it
    /// after the content, on a line of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
}

impl Turn {
    /// A message without an input.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self {
            role,
            content: content.into(),
            input: None,
        }
    }

    /// The messages of a list of objects with `role` and `content`, or `from` and `value`.
    pub(super) fn list(column: &str, value: &Value) -> Result<Vec<Self>, Broken> {
        let wrong = |why: String| Fault::Type.because(format!("`{column}` {why}"));
        let Value::Array(messages) = value else {
            return Err(wrong(format!(
                "is {} where a list of messages was expected",
                kind(value)
            )));
        };
        let turn = |(at, message): (usize, &Value)| {
            let field = |names: [&str; 2]| {
                let found = names.iter().find_map(|name| message.get(name)?.as_str());
                let [name, other] = names;
                found.ok_or_else(|| {
                    wrong(format!(
                        "has no text `{name}` or `{other}` in message {}",
                        at + 1
                    ))
                })
            };
            let (role, content) = (field(["role", "from"])?, field(["content", "value"])?);
            let known = Role::named(role);
            let known = known.ok_or_else(|| {
                wrong(format!(
                    "has the role `{role}` in message {}, which is not known",
                    at + 1
                ))
            })?;
            Ok(Self::new(known, content))
        };
        messages.iter().enumerate().map(turn).collect()
    }
}

/// What a value is, in words.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
