//! One row, and what is made of its columns; or what is wrong with it.

use std::borrow::Cow;
use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use serde_json::{Map, Value};

use super::{Broken, Fault, Labels, Meaning, Role, Shape, Source, Turn, category, conversation};
use crate::nearest::{listed, nearest};

/// One row: its columns, and what is made of them.
#[derive(Clone, Debug)]
pub struct Example {
    /// The fields by column name. The answers are strings, whatever the shape.
    pub fields: Map<String, Value>,
    /// What goes before the answer; of a text nothing.
    pub prompt: Vec<Turn>,
    pub(super) source: Arc<Source>,
    pub(super) row: usize,
}

impl Example {
    /// File and line, or file and row.
    pub fn place(&self) -> String {
        self.source.table.place(self.row)
    }

    /// The string in `column`.
    pub fn text(&self, column: &str) -> Result<&str> {
        match self.field(column)? {
            Value::String(text) => Ok(text),
            other => bail!(
                "{}: column `{column}` has `{other}` where a string was expected",
                self.place()
            ),
        }
    }

    /// Its number in the table.
    pub(crate) fn row(&self) -> usize {
        self.row
    }

    /// The prompt with one of the answers.
    pub fn turns(&self, answer: &str) -> Result<Vec<Turn>> {
        let mut turns = self.prompt.clone();
        turns.push(Turn::new(Role::Assistant, self.text(answer)?));
        Ok(turns)
    }

    pub(super) fn said(&self) -> Result<String> {
        let answer = self.text("response").or_else(|_| self.text("chosen"))?;
        let mut said = String::new();
        for turn in &self.prompt {
            said.push_str(&turn.content);
            said.push('\n');
        }
        said.push_str(answer);
        Ok(said)
    }

    fn field(&self, column: &str) -> Result<&Value> {
        self.fields.get(column).ok_or_else(|| {
            let present = || self.fields.keys().map(String::as_str);
            anyhow!(
                "{}: no column `{column}`, present are {}{}",
                self.place(),
                listed(present()),
                nearest(column, present())
            )
        })
    }
}

impl Source {
    /// The fields with their answers as strings, and what goes before them.
    pub(super) fn example(
        &self,
        mut fields: Map<String, Value>,
    ) -> Result<(Map<String, Value>, Vec<Turn>), Broken> {
        let mut prompt = Vec::new();
        if let Some(instruction) = fields
            .get("instruction")
            .filter(|_| self.shape.columns().contains(&"instruction"))
        {
            match instruction {
                Value::String(text) => {
                    filled("instruction", text)?;
                    let mut turn = Turn::new(Role::User, text.as_str());
                    match fields.get("input").filter(|_| self.input) {
                        None | Some(Value::Null) => {}
                        Some(Value::String(input)) if input.trim().is_empty() => {}
                        Some(Value::String(input)) => turn.input = Some(input.clone()),
                        Some(other) => return Err(wrong_type("input", other, "a string")),
                    }
                    prompt.push(turn);
                }
                messages => prompt = Turn::list("instruction", messages)?,
            }
            if prompt.iter().all(|turn| turn.content.trim().is_empty()) {
                return Err(Fault::Empty.because("empty `instruction`"));
            }
        }
        if self.shape.columns().contains(&"instruction") {
            required(&fields, "instruction")?;
        }
        match self.shape {
            Shape::Instruction => filled(
                "response",
                string("response", required(&fields, "response")?)?,
            )?,
            Shape::Preference => {
                for answer in ["chosen", "rejected"] {
                    // A list of messages ends with the answer; what goes before it is the instruction.
                    let own = required(&fields, answer)?;
                    let text = match own {
                        Value::Array(_) => Turn::list(answer, own)?.pop().map(|turn| turn.content),
                        own => Some(string(answer, own)?.to_owned()),
                    };
                    let text = text.unwrap_or_default();
                    filled(answer, &text)?;
                    fields.insert(answer.to_owned(), Value::from(text));
                }
            }
            Shape::Classification => {
                let label = required(&fields, "label")?;
                let name = category(label).map(Cow::into_owned);
                let name = name.ok_or_else(|| wrong_type("label", label, "a category"))?;
                filled("label", &name)?;
                fields.insert("response".into(), Value::from(name));
            }
            Shape::Text => {
                let text = string("text", required(&fields, "text")?)?.to_owned();
                filled("text", &text)?;
                fields.insert("response".into(), Value::from(text));
            }
            Shape::Rows => {}
            Shape::Chat => {
                prompt = Turn::list("messages", required(&fields, "messages")?)?;
                // What is said after the last answer is nothing to learn.
                while prompt
                    .last()
                    .is_some_and(|turn| turn.role != Role::Assistant)
                {
                    prompt.pop();
                }
                let Some(last) = prompt.pop() else {
                    return Err(Fault::Empty.because("`messages` has none of an assistant"));
                };
                filled("messages", &last.content)?;
                fields.insert("response".into(), Value::from(last.content));
            }
        }
        Ok((fields, prompt))
    }

    /// Whether a row can be used; where values have to be distinct, what they are.
    pub(super) fn sound(
        &self,
        fields: Map<String, Value>,
        meaning: &Meaning,
    ) -> Result<Option<u128>, Broken> {
        let (fields, _) = self.example(fields)?;
        if let Some(Labels { column, set }) = &meaning.labels {
            let value = fields.get(column);
            let value =
                value.ok_or_else(|| Fault::Missing.because(format!("no field `{column}`")))?;
            let label = category(value).ok_or_else(|| wrong_type(column, value, "a category"))?;
            if !set.iter().any(|known| *known == label) {
                return Err(Fault::Label.because(format!(
                    "`{column}` is `{label}`, which is not one of {}{}",
                    listed(set.iter().map(String::as_str)),
                    nearest(&label, set.iter().map(String::as_str))
                )));
            }
        }
        if meaning.distinct.is_empty() {
            return Ok(None);
        }
        let values = meaning.distinct.iter().map(|column| fields.get(column));
        let values: Vec<_> = values.collect();
        let text =
            serde_json::to_vec(&values).map_err(|error| Fault::Type.because(error.to_string()))?;
        Ok(Some(digest(&text)))
    }
}

/// The first half of a SHA-256: equal for equal values, and for others in no data set that there is.
fn digest(bytes: &[u8]) -> u128 {
    use sha2::Digest;
    let whole = sha2::Sha256::digest(bytes);
    let mut half = [0; 16];
    half.copy_from_slice(&whole[..16]);
    u128::from_le_bytes(half)
}

fn required<'a>(fields: &'a Map<String, Value>, column: &str) -> Result<&'a Value, Broken> {
    let value = fields.get(column);
    value.ok_or_else(|| Fault::Missing.because(format!("no field `{column}`")))
}

fn string<'a>(column: &str, value: &'a Value) -> Result<&'a str, Broken> {
    value
        .as_str()
        .ok_or_else(|| wrong_type(column, value, "a string"))
}

fn wrong_type(column: &str, value: &Value, expected: &str) -> Broken {
    let kind = conversation::kind(value);
    Fault::Type.because(format!(
        "`{column}` is {kind} where {expected} was expected"
    ))
}

fn filled(column: &str, text: &str) -> Result<(), Broken> {
    match text.trim().is_empty() {
        true => Err(Fault::Empty.because(format!("empty `{column}`"))),
        false => Ok(()),
    }
}
