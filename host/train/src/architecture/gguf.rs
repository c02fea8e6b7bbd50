//! An architecture from the metadata of a GGUF file, as llama.cpp's converter writes it.

use anyhow::{Context, Result, bail};
use candle_core::quantized::gguf_file::{Content, Value};

use super::{Activation, Architecture, Family, Rope, Scaling};

impl Architecture {
    /// From `content`; `factors` are those of the tensor `rope_freqs.weight`, if there is one.
    pub(crate) fn from_gguf(content: &Content, factors: Option<Vec<f32>>) -> Result<Self> {
        let architecture = Metadata::new(content)?.read(factors)?;
        architecture.check()?;
        Ok(architecture)
    }
}

struct Metadata<'a> {
    content: &'a Content,
    /// `general.architecture`, with which the other keys start.
    kind: &'a str,
}

impl<'a> Metadata<'a> {
    fn new(content: &'a Content) -> Result<Self> {
        let kind = content.metadata.get("general.architecture");
        let kind = kind.and_then(|value| value.to_string().ok());
        let kind = kind.map_or("none", |kind| kind.as_str());
        Ok(Self { content, kind })
    }

    fn read(&self, factors: Option<Vec<f32>>) -> Result<Architecture> {
        let family = match self.kind {
            "llama" => Family::Llama,
            "qwen2" => Family::Qwen2,
            "qwen3" => Family::Qwen3,
            "gemma2" => Family::Gemma2,
            "gemma3" => Family::Gemma3,
            other => bail!(
                "architecture is `{other}`, supported: `llama`, `qwen2`, `qwen3`, `gemma2`, `gemma3`"
            ),
        };
        let gemma = family.norms_add_one();
        let embedding = self.content.tensor_infos.get("token_embd.weight");
        let embedding = embedding.context("tensor `token_embd.weight` is missing")?;
        let hidden = self.number("embedding_length")?;
        let query_heads = self.number("attention.head_count")?.max(1);
        let head_dim = self.optional("attention.key_length")?;
        let head_dim = head_dim.unwrap_or(hidden / query_heads);
        let layers = self.number("block_count")?;
        let local_rope = match family {
            Family::Gemma3 => Some(Rope {
                theta: self.real("rope.freq_base_swa")?.unwrap_or(1e4),
                scaling: Scaling::None,
            }),
            _ => None,
        };
        // The converter does not write `query_pre_attn_scalar`; as in llama.cpp, the 27B models are
        // known by their number of layers.
        let wide = matches!(
            (family, layers),
            (Family::Gemma2, 46) | (Family::Gemma3, 62)
        );
        let scaled = if wide { hidden / query_heads } else { head_dim };
        let has = |name: &str| self.content.tensor_infos.contains_key(name);
        Ok(Architecture {
            family,
            layers,
            hidden,
            intermediate: self.number("feed_forward_length")?,
            query_heads,
            key_heads: self
                .optional("attention.head_count_kv")?
                .unwrap_or(query_heads),
            head_dim,
            vocabulary: embedding.shape.dims()[0],
            positions: self.number("context_length")?,
            rms_eps: self
                .real("attention.layer_norm_rms_epsilon")?
                .with_context(|| self.missing("attention.layer_norm_rms_epsilon"))?,
            tied: !has("output.weight"),
            activation: if gemma {
                Activation::GeluTanh
            } else {
                Activation::Silu
            },
            input_bias: has("blk.0.attn_q.bias"),
            output_bias: has("blk.0.attn_output.bias"),
            mlp_bias: has("blk.0.ffn_gate.bias"),
            head_norms: matches!(family, Family::Qwen3 | Family::Gemma3),
            outer_norms: gemma,
            embedding_scale: if gemma { (hidden as f32).sqrt() } else { 1.0 },
            score_scale: 1.0 / (scaled as f32).sqrt(),
            score_cap: self.real("attn_logit_softcapping")?,
            logit_cap: self.real("final_logit_softcapping")?,
            rope: self.rope(family, factors)?,
            local_rope,
            windows: self.windows(family, layers)?,
        })
    }

    fn rope(&self, family: Family, factors: Option<Vec<f32>>) -> Result<Rope> {
        let usual = if family == Family::Gemma3 { 1e6 } else { 1e4 };
        let theta = self.real("rope.freq_base")?.unwrap_or(usual);
        let kind = self.get("rope.scaling.type");
        let kind = kind.and_then(|value| value.to_string().ok());
        let scaling = match (factors, kind.map(String::as_str)) {
            (Some(factors), _) => Scaling::Factors(factors),
            (None, None | Some("none")) => Scaling::None,
            (None, Some("linear")) => {
                let factor = self.real("rope.scaling.factor")?;
                Scaling::Linear(factor.with_context(|| self.missing("rope.scaling.factor"))?)
            }
            (None, Some(other)) => bail!(
                "metadata `{}`: `{other}` is not supported",
                self.key("rope.scaling.type")
            ),
        };
        Ok(Rope { theta, scaling })
    }

    fn windows(&self, family: Family, layers: usize) -> Result<Vec<Option<usize>>> {
        let window = self.optional("attention.sliding_window")?;
        let local = |layer: usize| match family {
            Family::Gemma2 => layer.is_multiple_of(2),
            Family::Gemma3 => !(layer + 1).is_multiple_of(6),
            _ => true,
        };
        let windows = (0..layers).map(|layer| window.filter(|_| local(layer)));
        Ok(windows.collect())
    }

    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.kind)
    }

    fn missing(&self, name: &str) -> String {
        format!("metadata `{}` is missing", self.key(name))
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.content.metadata.get(&self.key(name))
    }

    fn number(&self, name: &str) -> Result<usize> {
        self.optional(name)?.with_context(|| self.missing(name))
    }

    fn optional(&self, name: &str) -> Result<Option<usize>> {
        let value = self.get(name).map(whole).transpose();
        value.with_context(|| format!("metadata `{}` is no whole number", self.key(name)))
    }

    fn real(&self, name: &str) -> Result<Option<f32>> {
        let value = self.get(name).map(Value::to_f32).transpose();
        value.with_context(|| format!("metadata `{}`", self.key(name)))
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
