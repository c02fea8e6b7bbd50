//! Text to token ids and back, with what the model's own files say about its special tokens.
//! It adds no token that the text does not spell.

use std::path::Path;

use anyhow::{Context, Error, Result, ensure};
use sha2::{Digest, Sha256};
use tokenizers::PreTokenizerWrapper;

use crate::digest::hexadecimal;

mod gguf;
mod json;

/// For each token the first byte of the text that it stands for, and the one after the last.
pub type Offsets = Vec<(usize, usize)>;

/// A model's vocabulary, special tokens and chat template.
#[derive(Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    special: Special,
    /// Of a vocabulary of bytes: how many each token stands for.
    widths: Option<Vec<u32>>,
}

/// What the tokenizer's surroundings say, each as the text of a token.
#[derive(Debug)]
struct Special {
    bos: Option<Token>,
    adds_bos: bool,
    eos: Token,
    chat_template: Option<String>,
}

#[derive(Debug)]
struct Token {
    id: u32,
    text: String,
}

impl Tokenizer {
    /// Reads a `tokenizer.json`, and for the special tokens and the chat template the
    /// `tokenizer_config.json` and `chat_template.jinja` beside it.
    pub fn from_json(path: &Path) -> Result<Self> {
        let (inner, special) =
            json::read(path).with_context(|| format!("tokenizer `{}`", path.display()))?;
        Self::new(inner, special).with_context(|| format!("tokenizer `{}`", path.display()))
    }

    /// Rebuilds the tokenizer that a GGUF file describes in its metadata.
    pub fn from_gguf(path: &Path) -> Result<Self> {
        let (inner, special) =
            gguf::read(path).with_context(|| format!("tokenizer of `{}`", path.display()))?;
        Self::new(inner, special).with_context(|| format!("tokenizer of `{}`", path.display()))
    }

    /// Of all that decides on the ids of a text, and of the chat template.
    pub(crate) fn digest(&self) -> Result<String> {
        let inner = self.inner.to_string(false).map_err(Error::from_boxed)?;
        let special = format!("{:?}", self.special);
        Ok(hexadecimal(&Sha256::digest(format!("{inner}\0{special}"))))
    }

    fn new(inner: tokenizers::Tokenizer, special: Special) -> Result<Self> {
        let widths = widths(&inner);
        let tokenizer = Self {
            inner,
            special,
            widths,
        };
        let Token { id, text } = &tokenizer.special.eos;
        let ids = tokenizer.encode(text)?;
        ensure!(
            ids == [*id],
            "end-of-text token {id}, `{text}`, is read back as {ids:?}"
        );
        Ok(tokenizer)
    }

    /// Writes `tokenizer.json` and `tokenizer_config.json`, with the special tokens and the chat template,
    /// into `folder`.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let at = || format!("writing the tokenizer to `{}`", folder.display());
        let saved = self.inner.save(folder.join("tokenizer.json"), true);
        saved.map_err(Error::from_boxed).with_context(at)?;
        let text = |token: &Option<Token>| token.as_ref().map(|token| token.text.clone());
        let config = serde_json::json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": text(&self.special.bos),
            "add_bos_token": self.special.adds_bos,
            "eos_token": self.special.eos.text,
            "chat_template": self.special.chat_template,
            "clean_up_tokenization_spaces": false,
        });
        let config = serde_json::to_vec_pretty(&config).with_context(at)?;
        std::fs::write(folder.join("tokenizer_config.json"), config).with_context(at)
    }

    /// The ids of `text`, without a beginning-of-text token.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        Ok(self
            .inner
            .encode_fast(text, false)
            .map_err(Error::from_boxed)?
            .get_ids()
            .to_vec())
    }

    /// The ids of `text`, and for each the range of bytes of `text` that it stands for.
    ///
    /// Where a character of several bytes is cut into several tokens, each of them may have the range of the whole
    /// character. Some tokenizers leave spaces before a word out of its range.
    pub fn encode_with_offsets(&self, text: &str) -> Result<(Vec<u32>, Offsets)> {
        if let Some(known) = self.offsets_by_width(text)? {
            return Ok(known);
        }
        let encoding = self.inner.encode(text, false).map_err(Error::from_boxed)?;
        Ok((encoding.get_ids().to_vec(), encoding.get_offsets().to_vec()))
    }

    /// Where every token stands for a fixed number of bytes, they add up to the ranges, and finding those is most
    /// of the work otherwise. None where they do not add up to the text.
    fn offsets_by_width(&self, text: &str) -> Result<Option<(Vec<u32>, Offsets)>> {
        let Some(widths) = &self.widths else {
            return Ok(None);
        };
        let ids = self.encode(text)?;
        let (mut end, mut offsets) = (0, Vec::with_capacity(ids.len()));
        for id in &ids {
            let start = end;
            end += widths.get(*id as usize).copied().unwrap_or(0) as usize;
            offsets.push((start, end));
        }
        Ok((end == text.len()).then_some((ids, offsets)))
    }

    /// The text of `ids`, without that of special tokens. Incomplete characters become `U+FFFD`.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.inner.decode(ids, true).map_err(Error::from_boxed)
    }

    /// A token as the vocabulary spells it.
    pub fn piece(&self, id: u32) -> String {
        self.inner.id_to_token(id).unwrap_or_default()
    }

    /// The beginning-of-text token, if this model wants one before every text.
    pub fn bos(&self) -> Option<u32> {
        self.special
            .bos
            .as_ref()
            .filter(|_| self.special.adds_bos)
            .map(|token| token.id)
    }

    /// What stands before a text of which every token is to be predicted: the beginning-of-text token, whether or
    /// not the model wants it before every text, else the end-of-text token (lm-evaluation-harness's rule).
    pub fn prefix(&self) -> u32 {
        let bos = self.special.bos.as_ref();
        bos.map_or(self.special.eos.id, |bos| bos.id)
    }

    /// The text of the beginning-of-text token, whether or not the model wants it before every text.
    pub fn bos_text(&self) -> Option<&str> {
        self.special.bos.as_ref().map(|token| token.text.as_str())
    }

    /// The end-of-text token.
    pub fn eos(&self) -> u32 {
        self.special.eos.id
    }

    /// The text of the end-of-text token.
    pub fn eos_text(&self) -> &str {
        &self.special.eos.text
    }

    /// The source of the model's chat template.
    pub fn chat_template(&self) -> Option<&str> {
        self.special.chat_template.as_deref()
    }

    /// How many tokens there are, the special ones included.
    pub fn vocabulary_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// Whether the token is one that ordinary text is not made of.
    pub(crate) fn is_special(&self, id: u32) -> bool {
        self.inner
            .get_added_vocabulary()
            .get_added_tokens_decoder()
            .contains_key(&id)
    }
}

/// How many bytes each token stands for, if the vocabulary is one of bytes and text is not changed before.
fn widths(inner: &tokenizers::Tokenizer) -> Option<Vec<u32>> {
    let bytes = |pre: &PreTokenizerWrapper| matches!(pre, PreTokenizerWrapper::ByteLevel(_));
    let of_bytes = match inner.get_pre_tokenizer()? {
        PreTokenizerWrapper::Sequence(parts) => parts.as_ref().iter().any(bytes),
        one => bytes(one),
    };
    if !of_bytes || inner.get_normalizer().is_some() {
        return None;
    }
    let added = inner.get_added_vocabulary().get_added_tokens_decoder();
    let mut widths = vec![0; inner.get_vocab_size(true)];
    for (token, id) in inner.get_vocab(true) {
        // Every byte is a character in the spelling of the vocabulary; added tokens are spelt as they are.
        let width = match added.get(&id) {
            Some(added) => added.content.len(),
            None => token.chars().count(),
        };
        if let Some(own) = widths.get_mut(id as usize) {
            *own = width as u32;
        }
    }
    Some(widths)
}

#[cfg(test)]
pub(crate) mod tests;
