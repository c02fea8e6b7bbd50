//! What rows can be, and which columns they have then.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a row is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// `instruction` and `response`. The instruction is a text or a list of messages.
    Instruction,
    /// `messages`, of which the assistant's are learnt.
    Chat,
    /// `instruction`, `chosen` and `rejected`. The instruction is a text or a list of messages.
    Preference,
    /// `instruction` and `label`, which is learnt as a text.
    Classification,
    /// `text`, all of which is learnt.
    Text,
    /// Whatever they are: rows that are only dealt out.
    #[serde(skip)]
    Rows,
}

impl Shape {
    pub(super) const ALL: [Self; 5] = [
        Self::Instruction,
        Self::Chat,
        Self::Preference,
        Self::Classification,
        Self::Text,
    ];

    /// The columns that a row of this shape has.
    pub fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Instruction => &["instruction", "response"],
            Self::Chat => &["messages"],
            Self::Preference => &["instruction", "chosen", "rejected"],
            Self::Classification => &["instruction", "label"],
            Self::Text => &["text"],
            Self::Rows => &[],
        }
    }

    /// The columns of an [`Example`] that hold answers.
    pub fn answers(self) -> &'static [&'static str] {
        match self {
            Self::Preference => &["chosen", "rejected"],
            _ => &["response"],
        }
    }

    /// The first shape whose columns are all there.
    pub fn of(has: impl Fn(&str) -> bool) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|own| own.columns().iter().all(|column| has(column)))
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Instruction => "instruction",
            Self::Chat => "chat",
            Self::Preference => "preference",
            Self::Classification => "classification",
            Self::Text => "text",
            Self::Rows => "rows",
        })
    }
}
