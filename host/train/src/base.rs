//! The frozen base model, read from a GGUF file or a Hugging Face folder.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Device};
use folkmoot_params::Params;
use serde::{Deserialize, Serialize};

use crate::kernels::attention::{Attention, Heads, Rotary};
use crate::kernels::bf16;
use crate::plain::{Angles, elsewhere};
use crate::weight::{Quantize, Weight};
use crate::{Architecture, Projection};

mod named;
mod source;

pub use named::hashed_ids;
pub(crate) use source::Source;

/// Longest row that positions are prepared for; longer ones are refused when they come.
const POSITIONS: usize = 32_768;

/// In which precision products with frozen weights are computed. Everything else is f32: activations,
/// norms, softmax, loss, adapters, optimizer.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compute {
    #[default]
    F32,
    /// Factors rounded to bf16, sums in f32.
    Bf16,
}

/// Where a base lies and training runs.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Place {
    /// In memory, by our own operations on slices.
    #[default]
    Cpu,
    /// On the CUDA device of this number, by candle's operations.
    Cuda(usize),
    /// In memory, by the operations that a device runs: slower, to check them where there is no device.
    Candle,
}

/// How a base is held and computed with.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Form {
    pub place: Place,
    /// None: as the file has it, whose blocks stay quantised and whose bf16 stays bf16.
    pub quantize: Option<Quantize>,
    pub compute: Compute,
}

/// The norms of a layer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Norm {
    Attention,
    AfterAttention,
    Mlp,
    AfterMlp,
    Query,
    Key,
}

impl Norm {
    pub(crate) const ALL: [Self; 6] = [
        Self::Attention,
        Self::AfterAttention,
        Self::Mlp,
        Self::AfterMlp,
        Self::Query,
        Self::Key,
    ];

    /// Whether a layer of `a` has it.
    pub(crate) fn exists(self, a: &Architecture) -> bool {
        match self {
            Self::Attention | Self::Mlp => true,
            Self::AfterAttention | Self::AfterMlp => a.outer_norms,
            Self::Query | Self::Key => a.head_norms,
        }
    }

    pub(crate) fn width(self, a: &Architecture) -> usize {
        match self {
            Self::Query | Self::Key => a.head_dim,
            _ => a.hidden,
        }
    }

    /// Its tensor in Hugging Face checkpoints.
    pub(crate) fn tensor_name(self, a: &Architecture, layer: usize) -> String {
        let name = match self {
            Self::Attention => "input_layernorm",
            Self::Mlp if a.outer_norms => "pre_feedforward_layernorm",
            Self::Mlp | Self::AfterAttention => "post_attention_layernorm",
            Self::AfterMlp => "post_feedforward_layernorm",
            Self::Query => "self_attn.q_norm",
            Self::Key => "self_attn.k_norm",
        };
        format!("model.layers.{layer}.{name}.weight")
    }
}

pub(crate) const EMBEDDING: &str = "model.embed_tokens.weight";
pub(crate) const NORM: &str = "model.norm.weight";
pub(crate) const HEAD: &str = "lm_head.weight";

/// y = x·Wᵀ + b.
#[derive(Debug)]
pub(crate) struct Linear {
    pub(crate) weight: Weight,
    pub(crate) bias: Option<Vec<f32>>,
}

/// One decoder layer.
#[derive(Debug)]
pub(crate) struct Layer {
    /// In the order of [`Projection::ALL`].
    linears: Vec<Linear>,
    /// In the order of [`Norm::ALL`], as they multiply; empty where there is none.
    norms: Vec<Vec<f32>>,
}

impl Layer {
    pub(crate) fn linear(&self, projection: Projection) -> &Linear {
        &self.linears[projection as usize]
    }

    pub(crate) fn norm(&self, norm: Norm) -> &[f32] {
        &self.norms[norm as usize]
    }
}

/// Weights that never change, shared by all clients.
pub struct Base {
    architecture: Architecture,
    compute: Compute,
    pub(crate) embedding: Weight,
    /// None: the embedding.
    head: Option<Weight>,
    pub(crate) norm: Vec<f32>,
    pub(crate) layers: Vec<Layer>,
    /// Of layers that see everything, and of those with a window.
    rotary: [Arc<Rotary>; 2],
    notes: Vec<String>,
    device: Device,
    /// Where candle's operations run.
    angles: Option<Angles>,
}

impl Base {
    /// Reads `path`, a `.gguf` file or a folder with `config.json` and safetensors files, in this form.
    pub fn read(path: &Path, form: Form) -> Result<Self> {
        let at = || format!("model `{}`", path.display());
        let (architecture, mut source) = Source::open(path).with_context(at)?;
        Self::new(architecture, &mut source, form).with_context(at)
    }

    /// The shape of the model at `path`, read without its weights.
    pub fn peek(path: &Path) -> Result<Architecture> {
        let at = || format!("model `{}`", path.display());
        Ok(Source::open(path).with_context(at)?.0)
    }

    /// All weights as parameters, under their Hugging Face names.
    pub fn parameters(path: &Path) -> Result<Params> {
        let at = || format!("model `{}`", path.display());
        let (architecture, mut source) = Source::open(path).with_context(at)?;
        let tensors = architecture.tensors();
        let tensors = tensors.into_iter().map(|(name, shape)| {
            let values = source.values(&name, &shape)?;
            Ok((name, shape, values))
        });
        let tensors = tensors.collect::<Result<Vec<_>>>().with_context(at)?;
        Ok(Params::from_tensors(tensors)?)
    }

    /// The shape of the model.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// Bytes that the weights take.
    pub fn bytes(&self) -> usize {
        let linears = self.layers.iter().flat_map(|layer| &layer.linears);
        let layers: usize = linears.map(|linear| linear.weight.bytes()).sum();
        layers + self.embedding.bytes() + self.head.as_ref().map_or(0, Weight::bytes)
    }

    /// What a user should know of how the weights were read: forms that rows did not allow.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Where candle's operations run, if they do.
    pub(crate) fn runs_plain(&self) -> bool {
        self.angles.is_some()
    }

    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    pub(crate) fn angles(&self) -> candle_core::Result<&Angles> {
        self.angles.as_ref().ok_or_else(elsewhere)
    }

    /// The type in which products with frozen weights run on a device.
    pub(crate) fn dtype(&self) -> DType {
        match self.compute {
            Compute::F32 => DType::F32,
            Compute::Bf16 => DType::BF16,
        }
    }

    /// How layer `index` attends.
    pub(crate) fn attention(&self, index: usize) -> Attention<'_> {
        let a = &self.architecture;
        let window = a.windows[index];
        let local = window.is_some() && a.local_rope.is_some();
        Attention {
            heads: Heads {
                query: a.query_heads,
                key: a.key_heads,
                dim: a.head_dim,
            },
            rotary: &self.rotary[usize::from(local)],
            scale: a.score_scale,
            cap: a.score_cap,
            window,
        }
    }

    /// The output projection, (vocabulary, hidden).
    pub(crate) fn head(&self) -> &Weight {
        self.head.as_ref().unwrap_or(&self.embedding)
    }

    /// y = x·Wᵀ for a frozen matrix and `n` rows.
    pub(crate) fn forward(&self, weight: &Weight, y: &mut [f32], x: &[f32], n: usize) {
        match self.compute {
            // A device's weights are of the type already.
            _ if self.runs_plain() => weight.forward(y, x, n),
            Compute::F32 => weight.forward(y, x, n),
            Compute::Bf16 => weight.forward_rounded(y, x, n),
        }
    }

    /// dx (+)= g·W for a frozen matrix and `n` rows.
    pub(crate) fn backward(
        &self,
        weight: &Weight,
        dx: &mut [f32],
        accumulate: bool,
        g: &[f32],
        n: usize,
    ) {
        match self.compute {
            Compute::F32 => weight.backward(dx, accumulate, g, n),
            Compute::Bf16 => weight.backward_rounded(dx, accumulate, g, n),
        }
    }

    /// Embeddings of `ids`, scaled: (ids, hidden).
    pub(crate) fn embed(&self, ids: &[u32]) -> Vec<f32> {
        let width = self.architecture.hidden;
        let mut x = vec![0f32; ids.len() * width];
        self.embedding.write_picked(ids, &mut x);
        let scale = self.architecture.embedding_scale;
        if scale != 1.0 {
            x.iter_mut().for_each(|x| *x *= scale);
        }
        x
    }

    /// Tokens that a text may have.
    pub fn positions(&self) -> usize {
        self.architecture.positions.min(POSITIONS)
    }

    /// Refuses token ids and lengths that this model has no place for.
    pub(crate) fn check(&self, ids: &[u32]) -> Result<()> {
        let longest = self.positions();
        ensure!(
            ids.len() <= longest,
            "{} tokens, the model takes {longest}",
            ids.len()
        );
        let strange = ids
            .iter()
            .find(|id| **id as usize >= self.architecture.vocabulary);
        match strange {
            None => Ok(()),
            Some(id) => bail!(
                "token {id} is outside of the vocabulary of {}",
                self.architecture.vocabulary
            ),
        }
    }

    fn new(architecture: Architecture, source: &mut Source, form: Form) -> Result<Self> {
        let a = &architecture;
        let mut notes = Vec::new();
        let mut form = form;
        let device = match form.place {
            Place::Cpu | Place::Candle => Device::Cpu,
            Place::Cuda(number) => {
                Device::new_cuda(number).with_context(|| format!("CUDA device {number}"))?
            }
        };
        let plain = form.place != Place::Cpu;
        let dense = form.quantize.is_none_or(|own| own == Quantize::None);
        ensure!(
            !plain || dense,
            "quantised bases run on the CPU: on a device weights are f32 or bf16"
        );
        let dtype = match form.compute {
            Compute::F32 => DType::F32,
            Compute::Bf16 => DType::BF16,
        };
        let moved = |weight: Weight| match plain {
            true => weight.moved(&device, dtype),
            false => Ok(weight),
        };
        if form.compute == Compute::Bf16 && !plain && !bf16::available() {
            notes.push("this processor has no AVX512-BF16: products are computed in f32".into());
            form.compute = Compute::F32;
        }
        let mut layers = Vec::with_capacity(a.layers);
        for layer in 0..a.layers {
            let linears = Projection::ALL.map(|projection| {
                let (cols, rows) = projection.sizes(a);
                let path = projection.path(layer);
                let weight = source.weight(&format!("{path}.weight"), (rows, cols), form, false)?;
                let bias = projection.has_bias(a);
                let bias = bias.then(|| source.values(&format!("{path}.bias"), &[rows]));
                Ok(Linear {
                    weight: moved(weight)?,
                    bias: bias.transpose()?,
                })
            });
            let norms = Norm::ALL.map(|norm| match norm.exists(a) {
                true => source.norm(&norm.tensor_name(a, layer), norm.width(a)),
                false => Ok(Vec::new()),
            });
            layers.push(Layer {
                linears: linears.into_iter().collect::<Result<_>>()?,
                norms: norms.into_iter().collect::<Result<_>>()?,
            });
        }
        if form.quantize == Some(Quantize::Q4K) {
            let narrow = Projection::ALL
                .into_iter()
                .filter(|projection| !projection.sizes(a).0.is_multiple_of(256));
            let narrow: Vec<&str> = narrow.map(Projection::name).collect();
            if !narrow.is_empty() {
                notes.push(format!(
                    "q4_k needs rows of a multiple of 256: {} are held in q5_0",
                    narrow.join(", ")
                ));
            }
        }
        let table = (a.vocabulary, a.hidden);
        let positions = a.positions.min(POSITIONS);
        let local = a.local_rope.as_ref().unwrap_or(&a.rope);
        let rotary = [&a.rope, local].map(|rope| Rotary::new(positions, a.head_dim, rope));
        let [global, local] = rotary;
        Ok(Self {
            embedding: moved(source.weight(EMBEDDING, table, form, true)?)?,
            head: match a.tied {
                true => None,
                false => Some(moved(source.weight(HEAD, table, form, true)?)?),
            },
            norm: source.norm(NORM, a.hidden)?,
            layers,
            rotary: [Arc::new(global?), Arc::new(local?)],
            compute: form.compute,
            angles: match plain {
                true => Some(Angles::new(a, positions, &device)?),
                false => None,
            },
            device,
            notes,
            architecture,
        })
    }
}

impl Architecture {
    /// Names and shapes of all tensors of a Hugging Face checkpoint.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let table = vec![self.vocabulary, self.hidden];
        let mut tensors = vec![
            (EMBEDDING.to_owned(), table.clone()),
            (NORM.to_owned(), vec![self.hidden]),
        ];
        if !self.tied {
            tensors.push((HEAD.to_owned(), table));
        }
        for layer in 0..self.layers {
            for projection in Projection::ALL {
                let (cols, rows) = projection.sizes(self);
                let path = projection.path(layer);
                tensors.push((format!("{path}.weight"), vec![rows, cols]));
                if projection.has_bias(self) {
                    tensors.push((format!("{path}.bias"), vec![rows]));
                }
            }
            for norm in Norm::ALL.into_iter().filter(|norm| norm.exists(self)) {
                let shape = vec![norm.width(self)];
                tensors.push((norm.tensor_name(self, layer), shape));
            }
        }
        tensors
    }
}
