//! A base with an adapter merged into it, as a folder in Hugging Face's layout.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};
use folkmoot_params::Params;
use serde_json::json;

use crate::base::Source;
use crate::kernels::{Lay, matmul};
use crate::{Adapter, Projection};

/// Bytes of one file at most, a larger tensor alone in its file.
const SHARD: usize = 4 << 30;

/// Writes W + s·B·A of every adapted projection, and all other weights, to the folder `out`: safetensors files of
/// `dtype`, and `config.json`. Where all weights learn they are the weights. Gives the files' names.
pub fn merge(
    base: &Path,
    adapter: Option<(&Adapter, &Params)>,
    out: &Path,
    dtype: DType,
) -> Result<Vec<PathBuf>> {
    let at = || format!("model `{}`", base.display());
    let (a, mut source) = Source::open(base).with_context(at)?;
    if let Some((adapter, params)) = adapter {
        adapter.check(&a, params)?;
    }
    let modules = match adapter {
        Some((adapter, _)) => adapter.modules(&a)?,
        None => Vec::new(),
    };
    fs::create_dir_all(out).with_context(|| format!("creating `{}`", out.display()))?;
    let mut tensors = a.tensors();
    tensors.sort();
    let size = |shape: &[usize]| shape.iter().product::<usize>() * dtype.size_in_bytes();
    // Which shard each tensor is in: they are filled in order.
    let (mut shards, mut held) = (vec![Vec::new()], 0);
    for (name, shape) in tensors {
        if held > 0 && held + size(&shape) > SHARD {
            shards.push(Vec::new());
            held = 0;
        }
        held += size(&shape);
        let last = shards.len() - 1;
        shards[last].push((name, shape));
    }
    let count = shards.len();
    let (mut map, mut total, mut files) = (BTreeMap::new(), 0, Vec::new());
    for (index, shard) in shards.into_iter().enumerate() {
        let file = match count {
            1 => "model.safetensors".to_owned(),
            _ => format!("model-{:05}-of-{count:05}.safetensors", index + 1),
        };
        let mut own = std::collections::HashMap::new();
        for (name, shape) in shard {
            let mut values = match adapter {
                Some((adapter, params)) if adapter.is_full() => {
                    let learnt = params.tensor(&name);
                    learnt.context("a tensor is missing")?.to_vec()
                }
                _ => source.values(&name, &shape).with_context(at)?,
            };
            let adapted = modules.iter().find(|module| {
                let path = Projection::path(module.projection, module.layer);
                name.strip_suffix(".weight") == Some(&path)
            });
            if let (Some(module), Some((_, params))) = (adapted, adapter) {
                let matrix = |which| {
                    let tensor = params.tensor(&module.tensor_name(which));
                    tensor.context("a tensor of the adapter is missing")
                };
                let (rows, cols, rank) = (shape[0], shape[1], module.rank);
                let b = (matrix('B')?, Lay::rows(rows, rank));
                let a = (matrix('A')?, Lay::rows(rank, cols));
                matmul(
                    (&mut values, Lay::rows(rows, cols)),
                    true,
                    module.scale,
                    b,
                    a,
                );
            }
            let tensor = Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(dtype)?;
            total += tensor.elem_count() * dtype.size_in_bytes();
            map.insert(name.clone(), file.clone());
            own.insert(name, tensor);
        }
        let path = out.join(&file);
        candle_core::safetensors::save(&own, &path)
            .with_context(|| format!("writing `{}`", path.display()))?;
        files.push(path);
    }
    if count > 1 {
        let index = json!({ "metadata": { "total_size": total }, "weight_map": map });
        let path = out.join("model.safetensors.index.json");
        fs::write(&path, serde_json::to_vec_pretty(&index)?)?;
        files.push(path);
    }
    let path = out.join("config.json");
    let mut config = match base.is_dir() {
        true => serde_json::from_slice(&fs::read(base.join("config.json"))?)?,
        false => a.to_json(),
    };
    let name = match dtype {
        DType::BF16 => "bfloat16",
        DType::F16 => "float16",
        _ => "float32",
    };
    ensure!(config.is_object(), "config.json is no object");
    config["torch_dtype"] = json!(name);
    if config.get("dtype").is_some() {
        config["dtype"] = json!(name);
    }
    fs::write(&path, serde_json::to_vec_pretty(&config)?)?;
    files.push(path);
    Ok(files)
}
