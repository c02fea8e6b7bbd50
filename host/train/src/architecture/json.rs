//! An architecture from the `config.json` of a Hugging Face folder, in the form of transformers 4 or 5.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::{Activation, Architecture, Family, Rope, Scaling};

impl Architecture {
    /// From the file at `path`.
    pub(crate) fn from_json(path: &Path) -> Result<Self> {
        let at = || format!("model configuration `{}`", path.display());
        let text =
            fs::read_to_string(path).with_context(|| format!("reading `{}`", path.display()))?;
        let json: Value = serde_json::from_str(&text).with_context(at)?;
        let architecture = Config(&json).read().with_context(at)?;
        architecture.check().with_context(at)?;
        Ok(architecture)
    }
}

impl Architecture {
    /// As a `config.json` in the form of transformers 4, which 5 reads, too.
    pub(crate) fn to_json(&self) -> Value {
        let (kind, class) = match self.family {
            Family::Llama => ("llama", "LlamaForCausalLM"),
            Family::Mistral => ("mistral", "MistralForCausalLM"),
            Family::Qwen2 => ("qwen2", "Qwen2ForCausalLM"),
            Family::Qwen3 => ("qwen3", "Qwen3ForCausalLM"),
            Family::Gemma2 => ("gemma2", "Gemma2ForCausalLM"),
            Family::Gemma3 => ("gemma3_text", "Gemma3ForCausalLM"),
        };
        let activation = match self.activation {
            Activation::Silu => "silu",
            Activation::GeluTanh => "gelu_pytorch_tanh",
        };
        let mut json = json!({
            "architectures": [class],
            "model_type": kind,
            "hidden_size": self.hidden,
            "intermediate_size": self.intermediate,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.query_heads,
            "num_key_value_heads": self.key_heads,
            "head_dim": self.head_dim,
            "vocab_size": self.vocabulary,
            "max_position_embeddings": self.positions,
            "rms_norm_eps": exact(self.rms_eps),
            "tie_word_embeddings": self.tied,
            "hidden_act": activation,
            "hidden_activation": activation,
            "attention_bias": self.output_bias,
            "mlp_bias": self.mlp_bias,
            "rope_theta": exact(self.rope.theta),
            "rope_scaling": scaling(&self.rope),
        });
        if let Some(window) = self.windows.iter().flatten().next() {
            json["sliding_window"] = json!(window);
            json["use_sliding_window"] = json!(true);
            let kinds = self.windows.iter().map(|window| match window {
                Some(_) => "sliding_attention",
                None => "full_attention",
            });
            if self.family != Family::Mistral {
                json["layer_types"] = json!(kinds.collect::<Vec<_>>());
            }
        }
        if self.family.norms_add_one() {
            let scalar = 1.0 / (f64::from(self.score_scale) * f64::from(self.score_scale));
            json["query_pre_attn_scalar"] = json!(scalar.round());
            json["attn_logit_softcapping"] = json!(self.score_cap.map(exact));
            json["final_logit_softcapping"] = json!(self.logit_cap.map(exact));
        }
        if let Some(local) = &self.local_rope {
            json["rope_local_base_freq"] = json!(exact(local.theta));
        }
        json
    }
}

/// The shortest decimal that means the same f32: 1e-5, not 9.99999974e-6.
fn exact(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

/// GGUF's factors of Llama 3 are turned back into the three numbers that they come from.
fn scaling(rope: &Rope) -> Value {
    match &rope.scaling {
        Scaling::None => Value::Null,
        Scaling::Linear(factor) => json!({ "rope_type": "linear", "factor": exact(*factor) }),
        Scaling::Llama3 {
            factor,
            low,
            high,
            original,
        } => json!({
            "rope_type": "llama3",
            "factor": exact(*factor),
            "low_freq_factor": exact(*low),
            "high_freq_factor": exact(*high),
            "original_max_position_embeddings": *original as u64,
        }),
        Scaling::Factors(factors) => {
            let most = factors.iter().copied().fold(1.0, f32::max);
            // All checkpoints of Llama 3 have low 1, high 4 and an original length of 8192.
            let llama3 = Scaling::Llama3 {
                factor: most,
                low: 1.0,
                high: 4.0,
                original: 8192.0,
            };
            let rope = Rope {
                theta: rope.theta,
                scaling: llama3,
            };
            scaling(&rope)
        }
    }
}

struct Config<'a>(&'a Value);

impl Config<'_> {
    fn read(&self) -> Result<Architecture> {
        let family = self.family()?;
        let gemma = family.norms_add_one();
        self.refuse_what_is_not_known(family)?;
        let hidden = self.number("hidden_size")?;
        let query_heads = self.number("num_attention_heads")?;
        ensure!(query_heads > 0, "num_attention_heads is 0");
        let key_heads = self.optional("num_key_value_heads")?;
        let head_dim = self.optional("head_dim")?;
        ensure!(
            head_dim.is_some() || hidden.is_multiple_of(query_heads),
            "hidden_size {hidden} is not divisible by {query_heads} heads, and head_dim is not given"
        );
        let head_dim = head_dim.unwrap_or(hidden / query_heads);
        let layers = self.number("num_hidden_layers")?;
        let attention_bias = self.0["attention_bias"].as_bool().unwrap_or(false);
        let scalar = self.real("query_pre_attn_scalar")?.filter(|_| gemma);
        let (rope, local_rope) = self.ropes(family)?;
        Ok(Architecture {
            family,
            layers,
            hidden,
            intermediate: self.number("intermediate_size")?,
            query_heads,
            key_heads: key_heads.unwrap_or(query_heads),
            head_dim,
            vocabulary: self.number("vocab_size")?,
            positions: self.number("max_position_embeddings")?,
            rms_eps: self.real("rms_norm_eps")?.unwrap_or(1e-6),
            tied: self.0["tie_word_embeddings"].as_bool().unwrap_or(gemma),
            activation: self.activation(gemma)?,
            input_bias: attention_bias || family == Family::Qwen2,
            output_bias: attention_bias && family != Family::Qwen2,
            mlp_bias: self.0["mlp_bias"].as_bool().unwrap_or(false),
            head_norms: matches!(family, Family::Qwen3 | Family::Gemma3),
            outer_norms: gemma,
            embedding_scale: if gemma { (hidden as f32).sqrt() } else { 1.0 },
            score_scale: 1.0 / scalar.unwrap_or(head_dim as f32).sqrt(),
            score_cap: self.real("attn_logit_softcapping")?.filter(|_| gemma),
            logit_cap: self.real("final_logit_softcapping")?.filter(|_| gemma),
            rope,
            local_rope,
            windows: self.windows(family, layers)?,
        })
    }

    fn family(&self) -> Result<Family> {
        let kind = self.0["model_type"].as_str().unwrap_or("none");
        Ok(match kind {
            "llama" => Family::Llama,
            "mistral" => Family::Mistral,
            "qwen2" => Family::Qwen2,
            "qwen3" => Family::Qwen3,
            "gemma2" => Family::Gemma2,
            "gemma3_text" => Family::Gemma3,
            "gemma3" => bail!(
                "model_type is `gemma3`, a model of texts and images; of Gemma 3 the text models (`gemma3_text`) are supported"
            ),
            other => bail!(
                "model_type is `{other}`, supported: `llama`, `mistral`, `qwen2`, `qwen3`, `gemma2`, `gemma3_text`"
            ),
        })
    }

    /// Settings that change the arithmetic, and are not implemented.
    fn refuse_what_is_not_known(&self, family: Family) -> Result<()> {
        for key in ["use_bidirectional_attention", "pretraining_tp"] {
            let value = &self.0[key];
            let harmless =
                value.is_null() || value.as_bool() == Some(false) || value.as_u64() == Some(1);
            ensure!(harmless, "`{key}` is {value}, which is not supported");
        }
        let partial = self.real("partial_rotary_factor")?;
        ensure!(
            partial.is_none_or(|share| share == 1.0),
            "`partial_rotary_factor` is not supported"
        );
        let biased = self.0["mlp_bias"].as_bool() == Some(true);
        ensure!(
            !biased || family == Family::Llama,
            "`mlp_bias` is not known of this family"
        );
        Ok(())
    }

    fn activation(&self, gemma: bool) -> Result<Activation> {
        let name = ["hidden_activation", "hidden_act"]
            .iter()
            .find_map(|key| self.0[key].as_str());
        match name {
            None if gemma => Ok(Activation::GeluTanh),
            Some("silu") | None => Ok(Activation::Silu),
            Some("gelu_pytorch_tanh") => Ok(Activation::GeluTanh),
            Some(other) => {
                bail!("activation `{other}` is not supported: `silu`, `gelu_pytorch_tanh`")
            }
        }
    }

    /// Of all layers, and of those with a window where they differ.
    fn ropes(&self, family: Family) -> Result<(Rope, Option<Rope>)> {
        // transformers 5 has `rope_parameters`, for Gemma 3 one of each kind of layer; 4 has
        // `rope_theta`, `rope_scaling` and `rope_local_base_freq`.
        let new = &self.0["rope_parameters"];
        let usual = match family {
            Family::Gemma3 => 1e6,
            _ => 1e4,
        };
        let old_theta = self.real("rope_theta")?;
        if new["full_attention"].is_object() {
            let full = rope(&new["full_attention"], old_theta, usual)?;
            let local = rope(&new["sliding_attention"], None, 1e4)?;
            return Ok((full, Some(local)));
        }
        let scaling = match new.is_object() {
            true => new,
            false => &self.0["rope_scaling"],
        };
        let full = rope(scaling, old_theta, usual)?;
        let local = (family == Family::Gemma3).then_some(self.real("rope_local_base_freq")?);
        let local = local.map(|theta| Rope {
            theta: theta.unwrap_or(1e4),
            scaling: Scaling::None,
        });
        Ok((full, local))
    }

    fn windows(&self, family: Family, layers: usize) -> Result<Vec<Option<usize>>> {
        let qwen = matches!(family, Family::Qwen2 | Family::Qwen3);
        let used = !qwen || self.0["use_sliding_window"].as_bool() == Some(true);
        let window = self.optional("sliding_window")?.filter(|_| used);
        if let Some(kinds) = self.0["layer_types"].as_array() {
            return kinds
                .iter()
                .map(|kind| match kind.as_str() {
                    Some("full_attention") => Ok(None),
                    Some("sliding_attention") => {
                        let window = window.context("`sliding_window` is missing")?;
                        Ok(Some(window))
                    }
                    _ => bail!("layer type {kind} is not supported"),
                })
                .collect();
        }
        let pattern = self.optional("sliding_window_pattern")?.unwrap_or(6).max(1);
        let first_local = self.optional("max_window_layers")?.unwrap_or(28);
        let local = |layer: usize| match family {
            Family::Llama => false,
            Family::Mistral => true,
            Family::Qwen2 | Family::Qwen3 => layer >= first_local,
            Family::Gemma2 => layer.is_multiple_of(2),
            Family::Gemma3 => !(layer + 1).is_multiple_of(pattern),
        };
        Ok((0..layers)
            .map(|layer| window.filter(|_| local(layer)))
            .collect())
    }

    fn number(&self, key: &str) -> Result<usize> {
        self.optional(key)?
            .with_context(|| format!("`{key}` is missing"))
    }

    fn optional(&self, key: &str) -> Result<Option<usize>> {
        let value = &self.0[key];
        if value.is_null() {
            return Ok(None);
        }
        let number = value.as_u64();
        let number = number.with_context(|| format!("`{key}` is {value}, not a whole number"))?;
        Ok(Some(usize::try_from(number)?))
    }

    fn real(&self, key: &str) -> Result<Option<f32>> {
        real(self.0, key)
    }
}

fn real(json: &Value, key: &str) -> Result<Option<f32>> {
    let value = &json[key];
    if value.is_null() {
        return Ok(None);
    }
    let number = value.as_f64();
    let number = number.with_context(|| format!("`{key}` is {value}, not a number"))?;
    Ok(Some(number as f32))
}

fn rope(json: &Value, outer_theta: Option<f32>, usual: f32) -> Result<Rope> {
    let theta = real(json, "rope_theta")?.or(outer_theta).unwrap_or(usual);
    let kind = ["rope_type", "type"]
        .iter()
        .find_map(|key| json[key].as_str());
    let needed =
        |key: &str| real(json, key)?.with_context(|| format!("rope scaling has no `{key}`"));
    let scaling = match kind {
        None | Some("default") => Scaling::None,
        Some("linear") => Scaling::Linear(needed("factor")?),
        Some("llama3") => Scaling::Llama3 {
            factor: needed("factor")?,
            low: needed("low_freq_factor")?,
            high: needed("high_freq_factor")?,
            original: needed("original_max_position_embeddings")?,
        },
        Some(other) => {
            bail!("rope scaling `{other}` is not supported: `default`, `linear`, `llama3`")
        }
    };
    Ok(Rope { theta, scaling })
}
