//! Where tensors are read from, by their Hugging Face names.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use candle_core::quantized::gguf_file::Content;
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::safetensors::MmapedSafetensors;
use candle_core::{DType, Device, Tensor};

use super::named::{WIDTH, hashed};
use super::{Compute, Form};
use crate::Architecture;
use crate::architecture::Family;
use crate::weight::{Quantize, Weight};

/// An opened model.
pub(crate) struct Source {
    architecture: Architecture,
    files: Files,
}

enum Files {
    Folder(MmapedSafetensors),
    Gguf {
        file: File,
        content: Box<Content>,
    },
    /// No file: see [`super::named`].
    Hashed,
}

impl Source {
    /// Opens a `.gguf` file or a folder, and reads the architecture.
    pub(crate) fn open(path: &Path) -> Result<(Architecture, Self)> {
        let (architecture, files) = match path.is_dir() {
            true => folder(path)?,
            false => gguf(path)?,
        };
        let source = Self {
            architecture: architecture.clone(),
            files,
        };
        Ok((architecture, source))
    }

    /// Weights of a shape, from the hash.
    pub(super) fn hashed(architecture: Architecture) -> Self {
        Self {
            architecture,
            files: Files::Hashed,
        }
    }

    /// A matrix in the wanted form. Tables of tokens are not quantised below 8 bits.
    pub(crate) fn weight(
        &mut self,
        name: &str,
        (rows, cols): (usize, usize),
        form: Form,
        table: bool,
    ) -> Result<Weight> {
        let at = || format!("tensor `{name}`");
        let quantize = match (form.quantize, table) {
            (Some(Quantize::Q4K | Quantize::Nf4), true) => Some(Quantize::Q8_0),
            (other, _) => other,
        };
        let found = self.find(name, &[rows, cols])?;
        let weight = match (found, quantize) {
            (Found::Blocks(tensor), None) => {
                check_shape(name, tensor.shape().dims(), &[rows, cols])?;
                let data = tensor.data().with_context(at)?;
                let data = self.half_split(name, &data, rows);
                Weight::blocks(rows, cols, tensor.dtype(), &data).with_context(at)?
            }
            (Found::Blocks(tensor), Some(Quantize::None)) => {
                let values = tensor.dequantize(&Device::Cpu)?;
                Weight::new(rows, cols, self.flat(name, &values, &[rows, cols])?)
            }
            (Found::Blocks(tensor), Some(_)) => bail!(
                "the file is quantised already (`{name}` is {:?}); it is read as it is without `quantize`, or as f32 with `quantize = \"none\"`",
                tensor.dtype()
            ),
            (
                Found::Plain(tensor),
                Some(quantize @ (Quantize::Q8_0 | Quantize::Q4K | Quantize::Nf4)),
            ) => {
                let values = self.flat(name, &tensor, &[rows, cols])?;
                Weight::quantised(rows, cols, values, quantize).with_context(at)?
            }
            (Found::Plain(tensor), quantize) => {
                let half = form.compute == Compute::Bf16
                    || (tensor.dtype() == DType::BF16 && quantize.is_none());
                let values = self.flat(name, &tensor, &[rows, cols])?;
                match half {
                    true => Weight::new_bf16(rows, cols, &values),
                    false => Weight::new(rows, cols, values),
                }
            }
        };
        let mut finite = true;
        weight.for_blocks(|_, values| finite &= values.iter().all(|value| value.is_finite()));
        ensure!(finite, "tensor `{name}` holds a value that is not finite");
        Ok(weight)
    }

    /// A tensor's scalars as f32, as a Hugging Face checkpoint of this family holds them.
    pub(crate) fn values(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let mut values = self.raw(name, shape)?;
        let gguf = matches!(self.files, Files::Gguf { .. });
        if gguf && name.ends_with("norm.weight") && self.architecture.family.norms_add_one() {
            values.iter_mut().for_each(|value| *value -= 1.0);
        }
        Ok(values)
    }

    /// A norm's scalars as they multiply. GGUF files of Gemma hold 1 + w already.
    pub(crate) fn norm(&mut self, name: &str, width: usize) -> Result<Vec<f32>> {
        let mut values = self.raw(name, &[width])?;
        let folder = matches!(self.files, Files::Folder(_));
        if folder && self.architecture.family.norms_add_one() {
            values.iter_mut().for_each(|value| *value += 1.0);
        }
        Ok(values)
    }

    fn raw(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let tensor = match self.find(name, shape)? {
            Found::Plain(tensor) => tensor,
            Found::Blocks(tensor) => tensor.dequantize(&Device::Cpu)?,
        };
        let values = self.flat(name, &tensor, shape)?;
        let finite = values.iter().all(|value| value.is_finite());
        ensure!(finite, "tensor `{name}` holds a value that is not finite");
        Ok(values)
    }

    fn flat(&self, name: &str, tensor: &Tensor, shape: &[usize]) -> Result<Vec<f32>> {
        check_shape(name, tensor.dims(), shape)?;
        let values: Vec<f32> = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
        Ok(self.half_split(name, &values, shape[0]))
    }

    /// `shape` is what a tensor without a file has.
    fn find(&mut self, name: &str, shape: &[usize]) -> Result<Found> {
        match &mut self.files {
            Files::Hashed => {
                let count = shape.iter().product();
                let values = match shape.len() {
                    1 => vec![1.0; count],
                    _ => hashed(name, count, WIDTH),
                };
                Ok(Found::Plain(Tensor::from_vec(values, shape, &Device::Cpu)?))
            }
            Files::Folder(files) => {
                let tensor = files.load(name, &Device::Cpu);
                let tensor = tensor.with_context(|| format!("tensor `{name}`"))?;
                let plain = [DType::F32, DType::F16, DType::BF16].contains(&tensor.dtype());
                ensure!(
                    plain,
                    "tensor `{name}` is {:?}; supported are f32, f16 and bf16",
                    tensor.dtype()
                );
                Ok(Found::Plain(tensor))
            }
            Files::Gguf { file, content } => {
                let own = gguf_name(name, self.architecture.outer_norms)
                    .with_context(|| format!("tensor `{name}` has no GGUF name"))?;
                ensure!(
                    content.tensor_infos.contains_key(&own),
                    "tensor `{own}` is missing"
                );
                let tensor = content
                    .tensor(file, &own, &Device::Cpu)
                    .with_context(|| format!("tensor `{own}`"))?;
                Ok(match tensor.dtype() {
                    GgmlDType::F32 | GgmlDType::F16 | GgmlDType::BF16 => {
                        let dtype = match tensor.dtype() {
                            GgmlDType::BF16 => DType::BF16,
                            _ => DType::F32,
                        };
                        Found::Plain(tensor.dequantize(&Device::Cpu)?.to_dtype(dtype)?)
                    }
                    _ => Found::Blocks(tensor),
                })
            }
        }
    }

    /// GGUF stores the rows of a head of q and k of Llama as pairs (2i, 2i+1) for interleaved rotary
    /// positions; Hugging Face, and therefore PEFT's adapters, as halves (i, i + dim/2). `data` has one
    /// run of equal length for each of `rows`.
    fn half_split<T: Copy>(&self, name: &str, data: &[T], rows: usize) -> Vec<T> {
        let a = &self.architecture;
        let gguf = matches!(self.files, Files::Gguf { .. });
        let turned = ["q_proj.", "k_proj."]
            .iter()
            .any(|part| name.contains(part));
        if !(gguf && a.family == Family::Llama && turned) {
            return data.to_vec();
        }
        let run = data.len() / rows.max(1);
        let mut out = Vec::with_capacity(data.len());
        for head in 0..rows / a.head_dim {
            for part in 0..2 {
                for pair in 0..a.head_dim / 2 {
                    let row = head * a.head_dim + 2 * pair + part;
                    out.extend_from_slice(&data[row * run..(row + 1) * run]);
                }
            }
        }
        out
    }
}

enum Found {
    Plain(Tensor),
    Blocks(QTensor),
}

fn check_shape(name: &str, found: &[usize], expected: &[usize]) -> Result<()> {
    ensure!(
        found == expected,
        "tensor `{name}` has shape {found:?} where {expected:?} is expected"
    );
    Ok(())
}

fn folder(path: &Path) -> Result<(Architecture, Files)> {
    let architecture = Architecture::from_json(&path.join("config.json"))?;
    let files = safetensors_files(path)?;
    // SAFETY: the files are mapped read-only; a user who rewrites a model while it is read gets
    // wrong numbers, as with any mapping, but the values are only ever read as plain data.
    #[allow(unsafe_code, reason = "memory-mapping")]
    let mapped = unsafe { MmapedSafetensors::multi(&files) };
    Ok((architecture, Files::Folder(mapped?)))
}

fn gguf(path: &Path) -> Result<(Architecture, Files)> {
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
        bail!("the file is truncated: tensor `{name}` ends at byte {end}, the file has {length}");
    }
    const FACTORS: &str = "rope_freqs.weight";
    let factors = match content.tensor_infos.contains_key(FACTORS) {
        true => {
            let tensor = content.tensor(&mut file, FACTORS, &Device::Cpu)?;
            Some(tensor.dequantize(&Device::Cpu)?.flatten_all()?.to_vec1()?)
        }
        false => None,
    };
    let architecture = Architecture::from_gguf(&content, factors)?;
    let content = Box::new(content);
    Ok((architecture, Files::Gguf { file, content }))
}

fn gguf_name(name: &str, outer_norms: bool) -> Option<String> {
    match name {
        super::EMBEDDING => return Some("token_embd.weight".into()),
        super::NORM => return Some("output_norm.weight".into()),
        super::HEAD => return Some("output.weight".into()),
        _ => {}
    }
    let rest = name.strip_prefix("model.layers.")?;
    let (layer, part) = rest.split_once('.')?;
    let (part, kind) = part.rsplit_once('.')?;
    let own = match part {
        "input_layernorm" => "attn_norm",
        "post_attention_layernorm" if outer_norms => "post_attention_norm",
        "post_attention_layernorm" | "pre_feedforward_layernorm" => "ffn_norm",
        "post_feedforward_layernorm" => "post_ffw_norm",
        "self_attn.q_norm" => "attn_q_norm",
        "self_attn.k_norm" => "attn_k_norm",
        "self_attn.q_proj" => "attn_q",
        "self_attn.k_proj" => "attn_k",
        "self_attn.v_proj" => "attn_v",
        "self_attn.o_proj" => "attn_output",
        "mlp.gate_proj" => "ffn_gate",
        "mlp.up_proj" => "ffn_up",
        "mlp.down_proj" => "ffn_down",
        _ => return None,
    };
    Some(format!("blk.{layer}.{own}.{kind}"))
}

/// `model.safetensors`, or the shards that `model.safetensors.index.json` names.
pub(crate) fn safetensors_files(folder: &Path) -> Result<Vec<PathBuf>> {
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
