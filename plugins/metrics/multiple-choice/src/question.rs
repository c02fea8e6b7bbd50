//! The choices of an example, and which of them is right.

use folkmoot_sdk::{Example, Result};
use serde_json::Value;

/// A question's choices, their letters, and the places of the right ones.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) choices: Vec<String>,
    pub(crate) letters: Vec<String>,
    pub(crate) right: Vec<usize>,
}

impl Question {
    pub(crate) fn read(
        example: &Example,
        choices: &str,
        answer: &str,
        first_index: u64,
    ) -> Result<Self> {
        let (choices, letters) = read_choices(example, choices)?;
        let Some(value) = example.get(answer) else {
            return Err(format!("column `{answer}` is missing"));
        };
        let mut question = Self {
            choices,
            letters,
            right: Vec::new(),
        };
        let right = match value {
            Value::Array(values) => values.iter().collect(),
            value => vec![value],
        };
        for value in right {
            let place = question.place(value, first_index).ok_or_else(|| {
                let n = question.choices.len();
                format!("column `{answer}` holds {value}, which is none of the {n} choices")
            })?;
            question.right.push(place);
        }
        match question.right.is_empty() {
            true => Err(format!("column `{answer}` is an empty list")),
            false => Ok(question),
        }
    }

    /// A number is a place; a text is a choice, else a letter, else a place.
    fn place(&self, value: &Value, first_index: u64) -> Option<usize> {
        let place = |number: u64| {
            let place = usize::try_from(number.checked_sub(first_index)?).ok()?;
            (place < self.choices.len()).then_some(place)
        };
        match value {
            Value::Number(number) => place(number.as_u64()?),
            Value::String(text) => {
                let choice = self.choices.iter().position(|choice| choice == text);
                let letter = |letter: &String| letter.eq_ignore_ascii_case(text);
                choice
                    .or_else(|| self.letters.iter().position(letter))
                    .or_else(|| place(text.parse().ok()?))
            }
            _ => None,
        }
    }
}

/// Texts and letters.
fn read_choices(example: &Example, column: &str) -> Result<(Vec<String>, Vec<String>)> {
    let refuse = |value: &Value| format!("column `{column}` holds {value}, not choices");
    let texts = |value: &Value| -> Option<Vec<String>> {
        let texts = value.as_array()?.iter();
        texts.map(|text| text.as_str().map(str::to_owned)).collect()
    };
    let (choices, letters) = match example.get(column) {
        Some(Value::Object(fields)) => match (fields.get("text"), fields.get("label")) {
            (Some(text), Some(label)) if text.is_array() => {
                let read = |value: &Value| texts(value).ok_or_else(|| refuse(value));
                (read(text)?, read(label)?)
            }
            _ => {
                let text = |value: &Value| value.as_str().map(str::to_owned);
                let choices = fields
                    .values()
                    .map(|value| text(value).ok_or_else(|| refuse(value)));
                (
                    choices.collect::<Result<_>>()?,
                    fields.keys().cloned().collect(),
                )
            }
        },
        _ => {
            let choices: Vec<String> = example
                .texts(column)?
                .into_iter()
                .map(str::to_owned)
                .collect();
            let letters = ('A'..).take(choices.len()).map(String::from).collect();
            (choices, letters)
        }
    };
    match choices.len() {
        0 | 1 => Err(format!("column `{column}` holds {} choices", choices.len())),
        n if n != letters.len() => Err(format!(
            "column `{column}` holds {n} choices, but {} letters",
            letters.len()
        )),
        _ => Ok((choices, letters)),
    }
}
