//! The frozen base model: f32 matrices read from a GGUF file or a Hugging Face folder.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use candle_core::quantized::gguf_file::Content;
use candle_core::safetensors::MmapedSafetensors;
use candle_core::{DType, Device, Tensor};

use crate::Architecture;
use crate::kernels::Lay;
use crate::kernels::attention::{Heads, Rotary};

/// Longest row that positions are prepared for; longer ones are refused when they come.
const POSITIONS: usize = 4096;

/// A row-major matrix; a vector has one row. Cloning shares the values.
#[derive(Clone, Debug)]
pub(crate) struct Matrix {
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) values: Arc<Vec<f32>>,
}

impl Matrix {
    pub(crate) fn lay(&self) -> Lay {
        Lay::rows(self.rows, self.cols)
    }
}

/// One decoder layer; projections are (out, in).
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) attention_norm: Matrix,
    pub(crate) mlp_norm: Matrix,
    pub(crate) q: Matrix,
    pub(crate) k: Matrix,
    pub(crate) v: Matrix,
    pub(crate) o: Matrix,
    pub(crate) gate: Matrix,
    pub(crate) up: Matrix,
    pub(crate) down: Matrix,
}

/// Weights that never change, shared by all clients.
pub struct Base {
    architecture: Architecture,
    pub(crate) embedding: Matrix,
    /// None: the embedding.
    head: Option<Matrix>,
    pub(crate) norm: Matrix,
    pub(crate) layers: Vec<Layer>,
    pub(crate) rotary: Arc<Rotary>,
}

impl Base {
    /// Reads `path`: a `.gguf` file (dequantised) or a folder with `config.json` and safetensors files.
    pub fn read(path: &Path) -> Result<Self> {
        let at = || format!("model `{}`", path.display());
        if path.is_dir() {
            let (architecture, mut source) = Source::folder(path).with_context(at)?;
            return Self::new(architecture, &mut source).with_context(at);
        }
        let (architecture, mut source) = Source::gguf(path).with_context(at)?;
        Self::new(architecture, &mut source).with_context(at)
    }

    /// The shape of the model at `path`, read without its weights.
    pub fn peek(path: &Path) -> Result<Architecture> {
        let at = || format!("model `{}`", path.display());
        match path.is_dir() {
            true => Source::folder(path).map(|(architecture, _)| architecture),
            false => Source::gguf(path).map(|(architecture, _)| architecture),
        }
        .with_context(at)
    }

    /// The shape of the model.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    pub(crate) fn heads(&self) -> Heads {
        Heads {
            query: self.architecture.query_heads,
            key: self.architecture.key_heads,
            dim: self.architecture.head_dim(),
        }
    }

    /// The output projection, (vocabulary, hidden).
    pub(crate) fn head(&self) -> &Matrix {
        self.head.as_ref().unwrap_or(&self.embedding)
    }

    /// Refuses token ids and lengths that this model has no place for.
    pub(crate) fn check(&self, ids: &[u32]) -> Result<()> {
        let longest = self.architecture.positions.min(POSITIONS);
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

    fn new(architecture: Architecture, source: &mut Source) -> Result<Self> {
        let a = &architecture;
        let (key_width, inner) = (a.key_heads * a.head_dim(), a.intermediate);
        let mut layers = Vec::with_capacity(a.layers);
        for layer in 0..a.layers {
            let mut get = |part: &str, shape: (usize, usize)| {
                source.get(&format!("model.layers.{layer}.{part}.weight"), shape)
            };
            layers.push(Layer {
                attention_norm: get("input_layernorm", (1, a.hidden))?,
                mlp_norm: get("post_attention_layernorm", (1, a.hidden))?,
                q: get("self_attn.q_proj", (a.hidden, a.hidden))?,
                k: get("self_attn.k_proj", (key_width, a.hidden))?,
                v: get("self_attn.v_proj", (key_width, a.hidden))?,
                o: get("self_attn.o_proj", (a.hidden, a.hidden))?,
                gate: get("mlp.gate_proj", (inner, a.hidden))?,
                up: get("mlp.up_proj", (inner, a.hidden))?,
                down: get("mlp.down_proj", (a.hidden, inner))?,
            });
        }
        let table = (a.vocabulary, a.hidden);
        Ok(Self {
            embedding: source.get("model.embed_tokens.weight", table)?,
            head: match a.tied {
                true => None,
                false => Some(source.get("lm_head.weight", table)?),
            },
            norm: source.get("model.norm.weight", (1, a.hidden))?,
            layers,
            rotary: Arc::new(Rotary::new(
                a.positions.min(POSITIONS),
                a.head_dim(),
                a.rope_theta,
            )),
            architecture,
        })
    }
}

/// Where tensors are read from, by their Hugging Face names.
enum Source {
    Folder(MmapedSafetensors),
    Gguf {
        file: File,
        content: Box<Content>,
        query_heads: usize,
        key_heads: usize,
    },
}

impl Source {
    fn folder(path: &Path) -> Result<(Architecture, Self)> {
        let architecture = Architecture::from_json(&path.join("config.json"))?;
        let files = safetensors_files(path)?;
        // SAFETY: the files are mapped read-only; a user who rewrites a model while it is read gets
        // wrong numbers, as with any mapping, but the values are only ever read as plain data.
        #[allow(unsafe_code, reason = "memory-mapping")]
        let mapped = unsafe { MmapedSafetensors::multi(&files) };
        Ok((architecture, Self::Folder(mapped?)))
    }

    fn gguf(path: &Path) -> Result<(Architecture, Self)> {
        let mut file = File::open(path)?;
        let content = Content::read(&mut file).context("not a readable GGUF file")?;
        let length = file.metadata()?.len();
        let ends = content.tensor_infos.iter().map(|(name, info)| {
            let blocks = info.shape.elem_count() / info.ggml_dtype.block_size();
            let size = (blocks * info.ggml_dtype.type_size()) as u64;
            let start = content.tensor_data_offset.saturating_add(info.offset);
            (start.saturating_add(size), name)
        });
        // The first in the file: the table's own order is a hash map's, another in every process.
        if let Some((end, name)) = ends.filter(|(end, _)| *end > length).min() {
            bail!(
                "the file is truncated: tensor `{name}` ends at byte {end}, the file has {length}"
            );
        }
        let architecture = Architecture::from_gguf(&content)?;
        let source = Self::Gguf {
            file,
            content: Box::new(content),
            query_heads: architecture.query_heads,
            key_heads: architecture.key_heads,
        };
        Ok((architecture, source))
    }

    fn get(&mut self, name: &str, (rows, cols): (usize, usize)) -> Result<Matrix> {
        let device = Device::Cpu;
        let tensor: Tensor = match self {
            Self::Folder(files) => files.load(name, &device)?.to_dtype(DType::F32)?,
            Self::Gguf { file, content, .. } => {
                let own =
                    gguf_name(name).with_context(|| format!("tensor `{name}` has no GGUF name"))?;
                ensure!(
                    content.tensor_infos.contains_key(&own),
                    "tensor `{own}` is missing"
                );
                let tensor = content.tensor(file, &own, &device)?;
                tensor
                    .dequantize(&device)
                    .with_context(|| format!("tensor `{own}`"))?
            }
        };
        let found = match tensor.dims() {
            [n] => (1, *n),
            [rows, cols] => (*rows, *cols),
            other => bail!("tensor `{name}` has shape {other:?}"),
        };
        ensure!(
            found == (rows, cols),
            "tensor `{name}` has shape {found:?} where {:?} is expected",
            (rows, cols)
        );
        let mut values: Vec<f32> = tensor.flatten_all()?.to_vec1()?;
        let finite = values.iter().all(|value| value.is_finite());
        ensure!(finite, "tensor `{name}` holds a value that is not finite");
        if let Self::Gguf {
            query_heads,
            key_heads,
            ..
        } = self
        {
            if name.ends_with("q_proj.weight") {
                values = half_split(&values, *query_heads, rows, cols);
            } else if name.ends_with("k_proj.weight") {
                values = half_split(&values, *key_heads, rows, cols);
            }
        }
        let values = Arc::new(values);
        Ok(Matrix { rows, cols, values })
    }
}

/// GGUF stores the rows of a head as pairs (2i, 2i+1) for interleaved rotary positions; Hugging Face,
/// and therefore PEFT's adapters, as halves (i, i + dim/2).
fn half_split(values: &[f32], heads: usize, rows: usize, cols: usize) -> Vec<f32> {
    let dim = rows / heads;
    let mut out = Vec::with_capacity(values.len());
    for head in 0..heads {
        for part in 0..2 {
            for pair in 0..dim / 2 {
                let row = head * dim + 2 * pair + part;
                out.extend_from_slice(&values[row * cols..(row + 1) * cols]);
            }
        }
    }
    out
}

fn gguf_name(name: &str) -> Option<String> {
    match name {
        "model.embed_tokens.weight" => return Some("token_embd.weight".into()),
        "model.norm.weight" => return Some("output_norm.weight".into()),
        "lm_head.weight" => return Some("output.weight".into()),
        _ => {}
    }
    let rest = name.strip_prefix("model.layers.")?;
    let (layer, part) = rest.split_once('.')?;
    let own = match part.strip_suffix(".weight")? {
        "input_layernorm" => "attn_norm",
        "post_attention_layernorm" => "ffn_norm",
        "self_attn.q_proj" => "attn_q",
        "self_attn.k_proj" => "attn_k",
        "self_attn.v_proj" => "attn_v",
        "self_attn.o_proj" => "attn_output",
        "mlp.gate_proj" => "ffn_gate",
        "mlp.up_proj" => "ffn_up",
        "mlp.down_proj" => "ffn_down",
        _ => return None,
    };
    Some(format!("blk.{layer}.{own}.weight"))
}

/// `model.safetensors`, or the shards that `model.safetensors.index.json` names.
fn safetensors_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let single = folder.join("model.safetensors");
    if single.is_file() {
        return Ok(vec![single]);
    }
    let index = folder.join("model.safetensors.index.json");
    ensure!(
        index.is_file(),
        "neither model.safetensors nor model.safetensors.index.json is there"
    );
    let text = std::fs::read_to_string(&index)?;
    let index: serde_json::Value =
        serde_json::from_str(&text).context("model.safetensors.index.json")?;
    let map = index["weight_map"].as_object();
    let map = map.context("model.safetensors.index.json has no `weight_map`")?;
    let files: BTreeMap<&str, ()> = map
        .values()
        .filter_map(|file| Some((file.as_str()?, ())))
        .collect();
    let files = files.into_keys().map(|file| {
        // An index is data: it must not name files elsewhere.
        ensure!(
            !file.contains(['/', '\\']),
            "model.safetensors.index.json names `{file}`"
        );
        let path = folder.join(file);
        ensure!(path.is_file(), "shard `{file}` is missing");
        Ok(path)
    });
    files.collect()
}
