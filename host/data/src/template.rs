//! How an instruction and its response become one text, and which of its tokens are trained.
//! Which tokens those are is decided by position in the text, never by looking for ids.

use std::ops::Range;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use crate::tokenizer::{Offsets, Tokenizer};

mod chat;

/// The form of the text around an instruction and its response.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Template {
    /// Instruction, space, response, end of text.
    Plain,
    /// The `alpaca` template of OpenFedLLM.
    Alpaca,
    /// The `vicuna` template of OpenFedLLM, which is FastChat's v1.1.
    Vicuna,
    /// The model's own chat template, one user's turn and one assistant's.
    Model,
}

/// The tokens of one example.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tokenized {
    /// The token ids.
    pub ids: Vec<u32>,
    /// For each, whether the model learns to produce it.
    pub trained: Vec<bool>,
    /// Whether the end was cut off.
    pub truncated: bool,
}

/// A text and the bytes of it that the model learns to produce.
struct Rendered {
    text: String,
    trained: Range<usize>,
    /// Whether training goes on to the end of the first special token after the range.
    and_end_of_turn: bool,
}

impl Template {
    /// The text up to where the response starts, without spaces at its end: most vocabularies have the space
    /// before a word in the word's token, so that only then its tokens are the first ones of the whole text's.
    pub fn prompt(self, tokenizer: &Tokenizer, instruction: &str) -> Result<String> {
        let mut prompt = match self {
            Self::Plain => instruction.to_owned(),
            Self::Alpaca => format!(
                "Below is an instruction that describes a task. Write a response that appropriately completes the \
                 request.\n\n### Instruction:\n{instruction} \n\n### Response:"
            ),
            Self::Vicuna => format!(
                "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, \
                 detailed, and polite answers to the user's questions. USER: {instruction} ASSISTANT:"
            ),
            Self::Model => chat::around_response(tokenizer, instruction)?.0,
        };
        prompt.truncate(prompt.trim_end_matches(' ').len());
        Ok(prompt)
    }

    /// The ids of the prompt, after the beginning-of-text token where the model wants one.
    pub fn prompt_ids(self, tokenizer: &Tokenizer, instruction: &str) -> Result<Vec<u32>> {
        let prompt = self.prompt(tokenizer, instruction)?;
        let mut ids = tokenizer.encode(&prompt)?;
        if let Some(bos) = missing_bos(tokenizer, &ids) {
            ids.insert(0, bos);
        }
        Ok(ids)
    }

    /// The token that ends a response under this template.
    pub fn end_of_response(self, tokenizer: &Tokenizer) -> Result<u32> {
        let tokenized = self.tokenize(tokenizer, "a", "b", usize::MAX)?;
        let last = tokenized.trained.iter().rposition(|trained| *trained);
        Ok(tokenized.ids[last.expect("some token is trained, or tokenize would have failed")])
    }

    /// The tokens of the whole text, cut after `max_length`. Trained are those that overlap what follows the
    /// prompt, up to and with the token that ends the response; what a chat template puts after that is not.
    pub fn tokenize(
        self,
        tokenizer: &Tokenizer,
        instruction: &str,
        response: &str,
        max_length: usize,
    ) -> Result<Tokenized> {
        let rendered = self.render(tokenizer, instruction, response)?;
        let (mut ids, offsets) = tokenizer.encode_with_offsets(&rendered.text)?;
        let Range { start, end } = rendered.trained_bytes(tokenizer, &ids, &offsets);
        // Where spaces are left out of the ranges, the range of a lone space is empty: it counts as one byte.
        let overlaps = |&(from, to): &(usize, usize)| from < end && to.max(from + 1) > start;
        let mut trained: Vec<bool> = offsets.iter().map(overlaps).collect();
        if let Some(bos) = missing_bos(tokenizer, &ids) {
            ids.insert(0, bos);
            trained.insert(0, false);
        }
        let length = ids.len();
        ids.truncate(max_length);
        trained.truncate(max_length);
        if !trained.contains(&true) {
            bail!("no token of the response is among the first {max_length} of {length}");
        }
        Ok(Tokenized {
            ids,
            trained,
            truncated: length > max_length,
        })
    }

    /// The text that follows the prompt, up to and with what ends the response: the tokens of the prompt with it
    /// are those of the whole text up to the last one that is trained.
    pub fn continuation(
        self,
        tokenizer: &Tokenizer,
        instruction: &str,
        response: &str,
    ) -> Result<String> {
        let rendered = self.render(tokenizer, instruction, response)?;
        let (ids, offsets) = tokenizer.encode_with_offsets(&rendered.text)?;
        let trained = rendered.trained_bytes(tokenizer, &ids, &offsets);
        Ok(rendered.text[trained].to_owned())
    }

    fn render(self, tokenizer: &Tokenizer, instruction: &str, response: &str) -> Result<Rendered> {
        if self == Self::Model {
            return chat::render(tokenizer, instruction, response);
        }
        let prompt = self.prompt(tokenizer, instruction)?;
        let eos = tokenizer.eos_text();
        // Some data sets end their responses with the token; it is to be there once.
        let response = response.strip_suffix(eos).unwrap_or(response);
        let text = format!("{prompt} {response}{eos}");
        Ok(Rendered {
            trained: prompt.len()..text.len(),
            text,
            and_end_of_turn: false,
        })
    }
}

impl Rendered {
    /// The bytes that the model learns to produce, with those of the token that ends the turn.
    fn trained_bytes(&self, tokenizer: &Tokenizer, ids: &[u32], offsets: &Offsets) -> Range<usize> {
        let Range { start, end } = self.trained;
        if !self.and_end_of_turn {
            return start..end;
        }
        let after = ids
            .iter()
            .zip(offsets)
            .find(|(id, range)| range.0 >= end && tokenizer.is_special(**id));
        start..after.map_or(end, |(_, range)| range.1)
    }
}

/// The beginning-of-text token, unless the text spelt it.
fn missing_bos(tokenizer: &Tokenizer, ids: &[u32]) -> Option<u32> {
    tokenizer.bos().filter(|bos| ids.first() != Some(bos))
}

#[cfg(test)]
mod tests;
