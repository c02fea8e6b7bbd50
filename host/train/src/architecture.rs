//! The numbers of an architecture, from `config.json` or GGUF metadata.

use anyhow::{Result, ensure};

mod gguf;
mod json;

/// The families whose checkpoints are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// Llama 1 to 3 and what shares its form: SmolLM2, TinyLlama, Vicuna.
    Llama,
    /// Llama with attention in a sliding window.
    Mistral,
    /// Qwen2 and Qwen2.5: biases on q, k and v.
    Qwen2,
    /// Queries and keys are normed head by head.
    Qwen3,
    /// Norms around each block, soft caps, every other layer local.
    Gemma2,
    /// Norms of heads, and local layers with rotary positions of their own.
    Gemma3,
}

impl Family {
    /// Whether checkpoints of this family hold w of a norm that multiplies by 1 + w.
    pub(crate) fn norms_add_one(self) -> bool {
        matches!(self, Self::Gemma2 | Self::Gemma3)
    }
}

/// The function inside of the gated MLP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Activation {
    /// x·σ(x)
    Silu,
    /// ½x(1 + tanh(√(2/π)(x + 0.044715x³)))
    GeluTanh,
}

/// Rotary positions: position · θ^(-2j/dim), j < dim/2, changed by a scaling.
#[derive(Clone, PartialEq, Debug)]
pub struct Rope {
    pub theta: f32,
    pub scaling: Scaling,
}

/// How frequencies are stretched for longer contexts.
#[derive(Clone, PartialEq, Debug)]
pub enum Scaling {
    None,
    /// All divided by this.
    Linear(f32),
    /// Long wavelengths divided, short ones kept, those between blended (Llama 3.1).
    Llama3 {
        factor: f32,
        low: f32,
        high: f32,
        original: f32,
    },
    /// Each divided by its own factor, as GGUF stores Llama 3's scaling.
    Factors(Vec<f32>),
}

/// The shape of a decoder with RMSNorm, rotary positions, grouped queries and a gated MLP.
#[derive(Clone, PartialEq, Debug)]
pub struct Architecture {
    pub family: Family,
    pub layers: usize,
    pub hidden: usize,
    pub intermediate: usize,
    pub query_heads: usize,
    pub key_heads: usize,
    pub head_dim: usize,
    pub vocabulary: usize,
    pub positions: usize,
    pub rms_eps: f32,
    /// Whether the output projection is the embedding.
    pub tied: bool,
    pub activation: Activation,
    /// Biases of q, k and v.
    pub input_bias: bool,
    /// Bias of the attention's output projection.
    pub output_bias: bool,
    /// Biases of the MLP.
    pub mlp_bias: bool,
    /// Whether each head of queries and keys is normed.
    pub head_norms: bool,
    /// Whether the outputs of attention and MLP are normed, too.
    pub outer_norms: bool,
    /// Embeddings are multiplied by it.
    pub embedding_scale: f32,
    /// Scores are multiplied by it.
    pub score_scale: f32,
    /// c: scores become c·tanh(score/c).
    pub score_cap: Option<f32>,
    /// c: logits become c·tanh(logit/c).
    pub logit_cap: Option<f32>,
    pub rope: Rope,
    /// Rotary positions of layers with a window, where they have their own.
    pub local_rope: Option<Rope>,
    /// Per layer: positions that a query sees, itself included; none: all before it.
    pub windows: Vec<Option<usize>>,
}

impl Architecture {
    /// Width of all query heads.
    pub fn query_width(&self) -> usize {
        self.query_heads * self.head_dim
    }

    /// Width of all key heads, and of all value heads.
    pub fn key_width(&self) -> usize {
        self.key_heads * self.head_dim
    }

    /// Number of weights of the base model.
    pub fn weights(&self) -> usize {
        let (queries, keys) = (self.query_width(), self.key_width());
        let attention = 2 * self.hidden * (queries + keys);
        let norms = 2 + if self.outer_norms { 2 } else { 0 };
        let mut layer = attention + 3 * self.hidden * self.intermediate + norms * self.hidden;
        if self.head_norms {
            layer += 2 * self.head_dim;
        }
        if self.input_bias {
            layer += queries + 2 * keys;
        }
        if self.output_bias {
            layer += self.hidden;
        }
        if self.mlp_bias {
            layer += 2 * self.intermediate + self.hidden;
        }
        let embeddings = if self.tied { 1 } else { 2 } * self.vocabulary * self.hidden;
        self.layers * layer + embeddings + self.hidden
    }

    fn check(&self) -> Result<()> {
        ensure!(self.layers > 0, "the model has no layer");
        ensure!(
            self.key_heads > 0 && self.query_heads.is_multiple_of(self.key_heads),
            "{} query heads cannot share {} key heads",
            self.query_heads,
            self.key_heads
        );
        ensure!(
            self.head_dim > 0 && self.head_dim.is_multiple_of(2),
            "head size {} is not even",
            self.head_dim
        );
        ensure!(
            self.windows.len() == self.layers,
            "kinds are given for {} of {} layers",
            self.windows.len(),
            self.layers
        );
        ensure!(
            self.windows.iter().all(|window| *window != Some(0)),
            "a sliding window of 0"
        );
        let numbers = [self.rms_eps, self.embedding_scale, self.score_scale];
        let caps = self.score_cap.iter().chain(&self.logit_cap);
        ensure!(
            numbers
                .iter()
                .chain(caps)
                .all(|x| x.is_finite() && *x > 0.0),
            "an epsilon, a scale or a cap is not above 0"
        );
        Ok(())
    }
}
