//! A tokenizer from the metadata of a GGUF file: byte-level BPE in the variants that are listed here.
//! SentencePiece vocabularies are refused, since their merges are not in the file.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::{Context, Error, Result, anyhow, bail, ensure};
use candle_core::quantized::gguf_file::{Content, Value};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as UnknownName, StrDeserializer};
use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::normalizers::NFC;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, PreTokenizerWrapper, SplitDelimiterBehavior};

use super::{Special, Token};

/// As published in the models' own `tokenizer.json`.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

const CONTROL: u32 = 3;
const USER_DEFINED: u32 = 4;

/// `tokenizer.ggml.pre`: how text is cut before the merges.
#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Pre {
    Smollm,
    #[serde(rename = "gpt-2")]
    Gpt2,
    LlamaBpe,
    Qwen2,
}

impl Pre {
    fn pre_tokenizer(self) -> Result<PreTokenizerWrapper> {
        let byte_level = |use_regex| ByteLevel::new(false, false, use_regex).into();
        let split = |regex: &str| {
            Split::new(
                SplitPattern::Regex(regex.into()),
                SplitDelimiterBehavior::Isolated,
                false,
            )
            .map_err(Error::from_boxed)
        };
        Ok(match self {
            Self::Gpt2 => byte_level(true),
            Self::Smollm => Sequence::new(vec![Digits::new(true).into(), byte_level(true)]).into(),
            Self::LlamaBpe => Sequence::new(vec![split(LLAMA3)?.into(), byte_level(false)]).into(),
            Self::Qwen2 => Sequence::new(vec![split(QWEN2)?.into(), byte_level(false)]).into(),
        })
    }
}

pub(super) fn read(path: &Path) -> Result<(tokenizers::Tokenizer, Special)> {
    let mut file = BufReader::new(File::open(path)?);
    let metadata = Metadata(
        Content::read(&mut file)
            .context("not a GGUF file")?
            .metadata,
    );
    let (model, pre) = (
        metadata.text("model")?,
        metadata.text("pre").unwrap_or("none"),
    );
    let name: StrDeserializer<'_, UnknownName> = pre.into_deserializer();
    let (true, Ok(pre)) = (model == "gpt2", Pre::deserialize(name)) else {
        bail!(
            "vocabulary `{model}` with pre-tokenizer `{pre}` is not supported, only `gpt2` with `smollm`, `gpt-2`, \
             `llama-bpe` or `qwen2`\nhint: give the model's tokenizer.json"
        );
    };

    let tokens = metadata.list("tokens", |v| v.to_string().cloned())?;
    let vocabulary: Vocab = tokens.iter().cloned().zip(0..).collect();
    let merges: Merges = metadata
        .list("merges", |v| v.to_string().cloned())?
        .iter()
        .map(|merge| {
            merge
                .split_once(' ')
                .map(|(a, b)| (a.to_owned(), b.to_owned()))
        })
        .collect::<Option<_>>()
        .ok_or_else(|| anyhow!("a merge without a space"))?;
    let bpe = BPE::builder()
        .vocab_and_merges(vocabulary, merges)
        .ignore_merges(pre == Pre::LlamaBpe)
        .build()
        .map_err(Error::from_boxed)?;
    let mut inner = tokenizers::Tokenizer::new(bpe);
    inner.with_pre_tokenizer(Some(pre.pre_tokenizer()?));
    inner.with_decoder(Some(ByteLevel::new(false, false, false)));
    if pre == Pre::Qwen2 {
        inner
            .with_normalizer(Some(NFC))
            .map_err(Error::from_boxed)?;
    }
    let types = metadata.list("token_type", whole)?;
    ensure!(
        types.len() == tokens.len(),
        "{} token types for {} tokens",
        types.len(),
        tokens.len()
    );
    let added = tokens
        .iter()
        .zip(types)
        .filter(|(_, kind)| [CONTROL, USER_DEFINED].contains(kind));
    let added =
        added.map(|(text, kind)| AddedToken::from(text.clone(), kind == CONTROL).normalized(false));
    inner.add_tokens(added).map_err(Error::from_boxed)?;

    let token = |key: &str| -> Result<Option<Token>> {
        let Some(id) = metadata.optional(key, whole)? else {
            return Ok(None);
        };
        let text = tokens
            .get(id as usize)
            .ok_or_else(|| anyhow!("`tokenizer.ggml.{key}` is {id}, past the end"))?;
        Ok(Some(Token {
            id,
            text: text.clone(),
        }))
    };
    let bos = token("bos_token_id")?;
    let eos = token("eos_token_id")?.ok_or_else(|| anyhow!("no `tokenizer.ggml.eos_token_id`"))?;
    // Files of the first Llama 3 conversions lack the key, and those models want the token.
    let adds_bos = metadata
        .optional("add_bos_token", Value::to_bool)?
        .unwrap_or(pre == Pre::LlamaBpe);
    let chat_template = metadata
        .0
        .get("tokenizer.chat_template")
        .map(Value::to_string)
        .transpose()?
        .cloned();
    Ok((
        inner,
        Special {
            bos,
            adds_bos,
            eos,
            chat_template,
        },
    ))
}

/// The keys under `tokenizer.ggml.`.
struct Metadata(HashMap<String, Value>);

impl Metadata {
    fn optional<T>(
        &self,
        key: &str,
        convert: impl Fn(&Value) -> candle_core::Result<T>,
    ) -> Result<Option<T>> {
        let key = format!("tokenizer.ggml.{key}");
        self.0
            .get(&key)
            .map(convert)
            .transpose()
            .with_context(|| format!("`{key}`"))
    }

    fn text(&self, key: &str) -> Result<&str> {
        let key = format!("tokenizer.ggml.{key}");
        let value = self
            .0
            .get(&key)
            .ok_or_else(|| anyhow!("no `{key}`\nhint: give the model's tokenizer.json"))?;
        Ok(value.to_string().with_context(|| format!("`{key}`"))?)
    }

    fn list<T>(
        &self,
        key: &str,
        convert: impl Fn(&Value) -> candle_core::Result<T>,
    ) -> Result<Vec<T>> {
        let list = self.optional(key, |value| value.to_vec()?.iter().map(&convert).collect())?;
        list.ok_or_else(|| anyhow!("no `tokenizer.ggml.{key}`"))
    }
}

/// Writers differ in whether they sign small numbers.
fn whole(value: &Value) -> candle_core::Result<u32> {
    match value {
        Value::I32(n) => u32::try_from(*n).map_err(candle_core::Error::wrap),
        other => other.to_u32(),
    }
}
