//! A rendered text with what is trained of it, and the tags by which some templates mark that.

use std::ops::Range;

use super::{CLOSE, OPEN};
use crate::tokenizer::{Offsets, Tokenizer};

/// A text and the bytes of it that the model learns to produce.
pub(super) struct Rendered {
    pub(super) text: String,
    /// One range for each of the assistant's turns.
    pub(super) trained: Vec<Range<usize>>,
    /// Whether training goes on to the end of the first special token after each range.
    pub(super) and_end_of_turn: bool,
}

/// The tags `generation` and `endgeneration` of transformers, which minijinja does not know, as blocks that print a
/// mark: they trim what is around them like the tags do.
pub(super) fn mark_generation(source: &str) -> String {
    let mut marked = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find("{%") {
        let Some(length) = rest[at + 2..].find("%}").map(|end| end + 4) else {
            break;
        };
        let tag = &rest[at..at + length];
        let inner = tag[2..length - 2].trim_matches(['-', '+']).trim();
        let mark = match inner {
            "generation" => Some(OPEN),
            "endgeneration" => Some(CLOSE),
            _ => None,
        };
        marked.push_str(&rest[..at]);
        match mark {
            None => marked.push_str(tag),
            Some(mark) => {
                let trims = |side: bool| if side { "-" } else { "" };
                let (before, after) = (tag.starts_with("{%-"), tag.ends_with("-%}"));
                marked.push_str(&format!(
                    "{{%{} if true %}}{mark}{{% endif {}%}}",
                    trims(before),
                    trims(after)
                ));
            }
        }
        rest = &rest[at + length..];
    }
    marked.push_str(rest);
    marked
}

impl Rendered {
    /// The last of the assistant's turns.
    pub(super) fn last(&self) -> Range<usize> {
        self.trained
            .last()
            .cloned()
            .unwrap_or(self.text.len()..self.text.len())
    }

    /// The bytes that the model learns to produce, with those of the tokens that end turns.
    pub(super) fn trained_bytes(
        &self,
        tokenizer: &Tokenizer,
        ids: &[u32],
        offsets: &Offsets,
    ) -> Vec<Range<usize>> {
        if !self.and_end_of_turn {
            return self.trained.clone();
        }
        let after = |end: usize| {
            let mut tokens = ids.iter().zip(offsets);
            tokens.find(|(id, range)| range.0 >= end && tokenizer.is_special(**id))
        };
        // Earlier turns end as the last one does; another special token after them opens the next turn.
        let last = after(self.last().end).map(|(id, _)| *id);
        let extended = self.trained.iter().enumerate().map(|(at, range)| {
            let next = self
                .trained
                .get(at + 1)
                .map_or(usize::MAX, |next| next.start);
            let found = after(range.end).filter(|(id, own)| Some(**id) == last && own.1 <= next);
            range.start..found.map_or(range.end, |(_, own)| own.1)
        });
        extended.collect()
    }
}
