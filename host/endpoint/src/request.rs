//! What is asked for.

use serde::{Deserialize, Serialize};

/// One question to the model, and how to draw its answers.
#[derive(Clone, PartialEq, Debug)]
pub struct Request {
    pub prompt: Prompt,
    /// At most this many new tokens; the server's own limit where it is not given.
    pub max_tokens: Option<u32>,
    /// 0 takes the likeliest token each time; the server's own (mostly 1) where it is not given.
    pub temperature: Option<f64>,
    /// Draws from the likeliest tokens that together have this probability.
    pub top_p: Option<f64>,
    /// An answer ends before any of these.
    pub stop: Vec<String>,
    /// How many answers.
    pub n: u32,
}

impl Request {
    /// Asks for one answer, with the server's defaults.
    pub fn new(prompt: impl Into<Prompt>) -> Self {
        Self {
            prompt: prompt.into(),
            max_tokens: None,
            temperature: None,
            top_p: None,
            stop: Vec::new(),
            n: 1,
        }
    }
}

/// What an answer follows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Prompt {
    /// A text to go on with (`completions`), or the one message of a user (`chat`).
    Text(String),
    /// A conversation, for `chat` only: a server renders it with the model's template.
    Messages(Vec<Message>),
}

impl From<&str> for Prompt {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Prompt {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<Message>> for Prompt {
    fn from(messages: Vec<Message>) -> Self {
        Self::Messages(messages)
    }
}

/// One turn of a conversation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: String,
    pub content: String,
}

impl Message {
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self {
            role: role.into(),
            content: content.into(),
        }
    }
}
