//! LoRA: which projections are adapted, how a fresh adapter starts, and PEFT's files.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use folkmoot_params::{Params, Seed};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Architecture;

/// A linear layer that can be adapted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Projection {
    QProj,
    KProj,
    VProj,
    OProj,
    GateProj,
    UpProj,
    DownProj,
}

impl Projection {
    /// All of them, in the order of the forward pass.
    pub const ALL: [Self; 7] = [
        Self::QProj,
        Self::KProj,
        Self::VProj,
        Self::OProj,
        Self::GateProj,
        Self::UpProj,
        Self::DownProj,
    ];

    /// The module's name as PEFT spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::QProj => "q_proj",
            Self::KProj => "k_proj",
            Self::VProj => "v_proj",
            Self::OProj => "o_proj",
            Self::GateProj => "gate_proj",
            Self::UpProj => "up_proj",
            Self::DownProj => "down_proj",
        }
    }

    fn block(self) -> &'static str {
        match self {
            Self::QProj | Self::KProj | Self::VProj | Self::OProj => "self_attn",
            Self::GateProj | Self::UpProj | Self::DownProj => "mlp",
        }
    }

    /// (in, out) of the layer.
    fn sizes(self, a: &Architecture) -> (usize, usize) {
        let key_width = a.key_heads * a.head_dim();
        match self {
            Self::QProj | Self::OProj => (a.hidden, a.hidden),
            Self::KProj | Self::VProj => (a.hidden, key_width),
            Self::GateProj | Self::UpProj => (a.hidden, a.intermediate),
            Self::DownProj => (a.intermediate, a.hidden),
        }
    }
}

/// y = W x + (α / r) · B A x on the chosen projections (Hu et al. 2021); A: (r, in), B: (out, r).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adapter {
    /// r, the rank.
    pub rank: usize,
    /// α; the update is scaled by α / r.
    pub alpha: f64,
    /// Layers that are adapted.
    #[serde(default = "default_projections")]
    pub projections: Vec<Projection>,
}

fn default_projections() -> Vec<Projection> {
    vec![Projection::QProj, Projection::VProj]
}

const PREFIX: &str = "base_model.model.model.layers";

impl Adapter {
    /// α / r.
    pub fn scale(&self) -> f32 {
        (self.alpha / self.rank as f64) as f32
    }

    /// PEFT's name of `lora_A` or `lora_B` of one projection.
    pub(crate) fn tensor_name(layer: usize, projection: Projection, matrix: char) -> String {
        let (block, name) = (projection.block(), projection.name());
        format!("{PREFIX}.{layer}.{block}.{name}.lora_{matrix}.weight")
    }

    /// A fresh adapter: A uniform in ±1/√in (Kaiming-uniform with a = √5, as PEFT), B zero.
    pub fn init(&self, architecture: &Architecture, seed: Seed) -> Result<Params> {
        ensure!(self.rank > 0, "adapter rank is 0");
        ensure!(!self.projections.is_empty(), "adapter has no projection");
        let mut tensors = Vec::new();
        for layer in 0..architecture.layers {
            for &projection in &self.projections {
                let (input, output) = projection.sizes(architecture);
                let name = Self::tensor_name(layer, projection, 'A');
                // gain √(2/(1+5)) · √(3/in) = 1/√in
                let bound = 1.0 / (input as f32).sqrt();
                let mut rng = seed.derive(&name, 0).rng();
                let draw = || rng.random_range(-bound..bound);
                let a = std::iter::repeat_with(draw)
                    .take(self.rank * input)
                    .collect();
                tensors.push((name, vec![self.rank, input], a));
                let b = Self::tensor_name(layer, projection, 'B');
                tensors.push((b, vec![output, self.rank], vec![0.0; output * self.rank]));
            }
        }
        Params::from_tensors(tensors).context("adapter")
    }

    /// Checks that `params` is an adapter of this form for `architecture`.
    pub fn check(&self, architecture: &Architecture, params: &Params) -> Result<()> {
        let expected = self.init(architecture, Seed(0))?;
        expected.check_same_structure(params).context("adapter")
    }

    /// Writes `adapter_model.safetensors` and `adapter_config.json` into `folder`, as PEFT does.
    pub fn save(&self, params: &Params, base: &str, folder: &Path) -> Result<()> {
        let at = || format!("saving adapter `{}`", folder.display());
        fs::create_dir_all(folder).with_context(at)?;
        let config = json!({
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": base,
            "r": self.rank,
            "lora_alpha": self.alpha,
            "lora_dropout": 0.0,
            "target_modules": self.projections.iter().map(|p| p.name()).collect::<Vec<_>>(),
            "bias": "none",
            "fan_in_fan_out": false,
            "inference_mode": true,
            "init_lora_weights": true,
            "use_rslora": false,
            "use_dora": false,
        });
        let config = serde_json::to_vec_pretty(&config).with_context(at)?;
        write_whole(&folder.join("adapter_config.json"), &config).with_context(at)?;
        let tensors = params.to_safetensors().with_context(at)?;
        write_whole(&folder.join("adapter_model.safetensors"), &tensors).with_context(at)
    }

    /// Reads a folder that PEFT or [`Adapter::save`] wrote.
    pub fn load(folder: &Path) -> Result<(Self, Params)> {
        let read = || -> Result<(Self, Params)> {
            let text = fs::read_to_string(folder.join("adapter_config.json"))?;
            let config: serde_json::Value =
                serde_json::from_str(&text).context("adapter_config.json")?;
            for unsupported in ["use_dora", "use_rslora", "fan_in_fan_out"] {
                ensure!(
                    config[unsupported].as_bool() != Some(true),
                    "`{unsupported}` is not supported"
                );
            }
            let modules = config["target_modules"].as_array();
            let modules = modules.context("adapter_config.json has no list `target_modules`")?;
            let projections = modules.iter().map(|module| {
                let known = Projection::ALL
                    .into_iter()
                    .find(|p| module.as_str() == Some(p.name()));
                known.with_context(|| format!("target module {module} is not supported"))
            });
            let mut projections = projections.collect::<Result<Vec<_>>>()?;
            projections.sort();
            let adapter = Self {
                rank: config["r"]
                    .as_u64()
                    .context("adapter_config.json has no `r`")? as usize,
                alpha: config["lora_alpha"]
                    .as_f64()
                    .context("adapter_config.json has no `lora_alpha`")?,
                projections,
            };
            let file = folder.join("adapter_model.safetensors");
            let bytes = fs::read(&file).with_context(|| format!("reading `{}`", file.display()))?;
            Ok((adapter, Params::from_safetensors(&bytes)?))
        };
        let (adapter, params) =
            read().with_context(|| format!("adapter `{}`", folder.display()))?;
        match params.first_non_finite() {
            None => Ok((adapter, params)),
            Some((tensor, index, value)) => {
                bail!(
                    "adapter `{}`: tensor `{tensor}` holds {value} at {index}",
                    folder.display()
                )
            }
        }
    }
}

/// A file appears whole or not at all.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let part = path.with_extension("part");
    fs::write(&part, bytes)?;
    fs::File::open(&part)?.sync_all()?;
    Ok(fs::rename(&part, path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiny() -> Architecture {
        Architecture {
            layers: 2,
            hidden: 8,
            intermediate: 12,
            query_heads: 4,
            key_heads: 2,
            vocabulary: 16,
            positions: 32,
            rope_theta: 10_000.0,
            rms_eps: 1e-5,
            tied: true,
        }
    }

    #[test]
    fn a_fresh_adapter_is_bounded_and_changes_nothing() {
        let adapter = Adapter {
            rank: 3,
            alpha: 6.0,
            projections: Projection::ALL.to_vec(),
        };
        let params = adapter.init(&tiny(), Seed(1)).unwrap();
        for tensor in params.structure().tensors() {
            let values = params.tensor(&tensor.name).unwrap();
            let input = tensor.shape[1] as f32;
            match tensor.name.contains("lora_A") {
                true => assert!(
                    values
                        .iter()
                        .all(|v| v.abs() <= 1.0 / input.sqrt() && *v != 0.0)
                ),
                false => assert!(values.iter().all(|v| *v == 0.0)),
            }
        }
        let again = adapter.init(&tiny(), Seed(1)).unwrap();
        assert_eq!(params.values(), again.values());
        assert_ne!(
            params.values(),
            adapter.init(&tiny(), Seed(2)).unwrap().values()
        );
    }

    #[test]
    fn a_saved_adapter_loads_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let adapter = Adapter {
            rank: 2,
            alpha: 4.0,
            projections: vec![Projection::QProj, Projection::DownProj],
        };
        let params = adapter.init(&tiny(), Seed(1)).unwrap();
        adapter.save(&params, "tiny", folder.path()).unwrap();
        let (loaded, values) = Adapter::load(folder.path()).unwrap();
        assert_eq!(loaded, adapter);
        assert_eq!(values.values(), params.values());
    }
}
