//! The numbers of an architecture, from `config.json` or GGUF metadata.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use candle_core::quantized::gguf_file::{Content, Value};
use candle_transformers::models::llama::LlamaConfig;

/// The shape of a Llama-family decoder: RMSNorm, rotary positions, grouped queries, SwiGLU, no biases.
#[derive(Clone, Debug, PartialEq)]
pub struct Architecture {
    pub layers: usize,
    pub hidden: usize,
    pub intermediate: usize,
    pub query_heads: usize,
    pub key_heads: usize,
    pub vocabulary: usize,
    pub positions: usize,
    pub rope_theta: f32,
    pub rms_eps: f32,
    /// Whether the output projection is the embedding.
    pub tied: bool,
}

impl Architecture {
    /// Size of one head.
    pub fn head_dim(&self) -> usize {
        self.hidden / self.query_heads
    }

    /// Number of weights of the base model.
    pub fn weights(&self) -> usize {
        let key_width = self.key_heads * self.head_dim();
        let attention = 2 * self.hidden * (self.hidden + key_width);
        let layer = attention + 3 * self.hidden * self.intermediate + 2 * self.hidden;
        let embeddings = if self.tied { 1 } else { 2 } * self.vocabulary * self.hidden;
        self.layers * layer + embeddings + self.hidden
    }

    /// From the `config.json` of a Hugging Face folder.
    pub(crate) fn from_json(path: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(path).with_context(|| format!("reading `{}`", path.display()))?;
        let read = || -> Result<Self> {
            let raw: serde_json::Value = serde_json::from_str(&text)?;
            let kind = raw["model_type"].as_str().unwrap_or("none");
            ensure!(
                kind == "llama",
                "model_type is `{kind}`, supported: `llama`"
            );
            ensure!(
                raw["rope_scaling"].is_null(),
                "rope_scaling is not supported: {}",
                raw["rope_scaling"]
            );
            for bias in ["attention_bias", "mlp_bias"] {
                ensure!(
                    raw[bias].as_bool() != Some(true),
                    "`{bias}` is not supported"
                );
            }
            let file: LlamaConfig = serde_json::from_value(raw.clone())?;
            let head_dim = raw["head_dim"].as_u64().map(|dim| dim as usize);
            let config = file.into_config(false);
            ensure!(
                head_dim.is_none_or(|dim| dim * config.num_attention_heads == config.hidden_size),
                "head_dim × num_attention_heads differs from hidden_size"
            );
            // transformers 5 keeps theta in `rope_parameters`.
            let theta = raw["rope_parameters"]["rope_theta"].as_f64();
            Ok(Self {
                layers: config.num_hidden_layers,
                hidden: config.hidden_size,
                intermediate: config.intermediate_size,
                query_heads: config.num_attention_heads,
                key_heads: config.num_key_value_heads,
                vocabulary: config.vocab_size,
                positions: config.max_position_embeddings,
                rope_theta: theta.map_or(config.rope_theta, |theta| theta as f32),
                rms_eps: config.rms_norm_eps as f32,
                tied: config.tie_word_embeddings,
            })
        };
        let architecture =
            read().with_context(|| format!("model configuration `{}`", path.display()))?;
        architecture
            .check()
            .with_context(|| format!("model configuration `{}`", path.display()))?;
        Ok(architecture)
    }

    /// From the metadata of a GGUF file.
    pub(crate) fn from_gguf(content: &Content) -> Result<Self> {
        let get = |key: &str| content.metadata.get(key);
        let kind = get("general.architecture").and_then(|value| value.to_string().ok());
        let kind = kind.map_or("none", |kind| kind.as_str());
        if kind != "llama" {
            bail!("architecture is `{kind}`, supported: `llama`");
        }
        let number = |key: &str| -> Result<usize> {
            let value = get(key).with_context(|| format!("metadata `{key}` is missing"))?;
            whole(value).with_context(|| format!("metadata `{key}` is no whole number"))
        };
        let real = |key: &str| -> Result<Option<f32>> {
            let value =
                get(key).map(|value| value.to_f32().with_context(|| format!("metadata `{key}`")));
            value.transpose()
        };
        if get("llama.rope.scaling.type").is_some() {
            bail!("metadata `llama.rope.scaling.type`: rope scaling is not supported");
        }
        let embedding = content.tensor_infos.get("token_embd.weight");
        let embedding = embedding.context("tensor `token_embd.weight` is missing")?;
        let query_heads = number("llama.attention.head_count")?;
        let architecture = Self {
            layers: number("llama.block_count")?,
            hidden: number("llama.embedding_length")?,
            intermediate: number("llama.feed_forward_length")?,
            query_heads,
            key_heads: match get("llama.attention.head_count_kv") {
                Some(_) => number("llama.attention.head_count_kv")?,
                None => query_heads,
            },
            vocabulary: embedding.shape.dims()[0],
            positions: number("llama.context_length")?,
            rope_theta: real("llama.rope.freq_base")?.unwrap_or(10_000.0),
            rms_eps: real("llama.attention.layer_norm_rms_epsilon")?
                .context("metadata `llama.attention.layer_norm_rms_epsilon` is missing")?,
            tied: !content.tensor_infos.contains_key("output.weight"),
        };
        architecture.check()?;
        Ok(architecture)
    }

    fn check(&self) -> Result<()> {
        ensure!(
            self.query_heads > 0 && self.hidden.is_multiple_of(self.query_heads),
            "hidden size {} is not divisible by {} heads",
            self.hidden,
            self.query_heads
        );
        ensure!(
            self.key_heads > 0 && self.query_heads.is_multiple_of(self.key_heads),
            "{} query heads cannot share {} key heads",
            self.query_heads,
            self.key_heads
        );
        ensure!(
            self.head_dim().is_multiple_of(2),
            "head size {} is odd",
            self.head_dim()
        );
        Ok(())
    }
}

fn whole(value: &Value) -> Result<usize> {
    Ok(match value {
        Value::U8(n) => usize::from(*n),
        Value::U16(n) => usize::from(*n),
        Value::U32(n) => *n as usize,
        Value::U64(n) => usize::try_from(*n)?,
        Value::I32(n) => usize::try_from(*n)?,
        Value::I64(n) => usize::try_from(*n)?,
        other => bail!("{other:?}"),
    })
}
