//! What learns: LoRA on some projections, in PEFT's files, or all weights.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use folkmoot_params::{Params, Seed, Structure};
use glob_match::glob_match;
use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::{Architecture, Base};

mod peft;

/// A linear layer that can be adapted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
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

    /// The module in layer `layer`, as Hugging Face checkpoints name it.
    pub(crate) fn path(self, layer: usize) -> String {
        format!("model.layers.{layer}.{}.{}", self.block(), self.name())
    }

    /// (in, out) of the layer.
    pub(crate) fn sizes(self, a: &Architecture) -> (usize, usize) {
        match self {
            Self::QProj => (a.hidden, a.query_width()),
            Self::OProj => (a.query_width(), a.hidden),
            Self::KProj | Self::VProj => (a.hidden, a.key_width()),
            Self::GateProj | Self::UpProj => (a.hidden, a.intermediate),
            Self::DownProj => (a.intermediate, a.hidden),
        }
    }

    pub(crate) fn has_bias(self, a: &Architecture) -> bool {
        match self {
            Self::QProj | Self::KProj | Self::VProj => a.input_bias,
            Self::OProj => a.output_bias,
            Self::GateProj | Self::UpProj | Self::DownProj => a.mlp_bias,
        }
    }
}

/// What learns.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Learning {
    /// y = W x + s · B A x on the chosen projections (Hu et al. 2021); A: (r, in), B: (out, r).
    #[default]
    Lora,
    /// All weights of the base: for small models, since they travel every round.
    Full,
}

/// `[adapter]`: what learns, and how it starts.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adapter {
    #[serde(default)]
    pub kind: Learning,
    /// r, the rank.
    #[serde(default = "default_rank")]
    pub rank: usize,
    /// α; s = α / r.
    #[serde(default = "default_alpha")]
    pub alpha: f64,
    /// Projections that are adapted: a name such as `q_proj`, `all` for all seven, or a glob over paths
    /// such as `model.layers.2?.mlp.*`.
    #[serde(default = "default_projections")]
    pub projections: Vec<String>,
    /// Probability with which a scalar that goes into A is dropped in training.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropout: f64,
    /// s = α / √r instead (Kalajdzievski 2023).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rslora: bool,
    /// Other ranks, by name or glob; of several that fit, the last in alphabetical order counts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ranks: BTreeMap<String, usize>,
    /// Other alphas, likewise.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub alphas: BTreeMap<String, f64>,
}

fn default_rank() -> usize {
    8
}

fn default_alpha() -> f64 {
    16.0
}

fn default_projections() -> Vec<String> {
    vec!["q_proj".into(), "v_proj".into()]
}

fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

impl Default for Adapter {
    fn default() -> Self {
        Self {
            kind: Learning::Lora,
            rank: default_rank(),
            alpha: default_alpha(),
            projections: default_projections(),
            dropout: 0.0,
            rslora: false,
            ranks: BTreeMap::new(),
            alphas: BTreeMap::new(),
        }
    }
}

/// An adapted projection of one layer.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Module {
    pub(crate) layer: usize,
    pub(crate) projection: Projection,
    pub(crate) rank: usize,
    pub(crate) scale: f32,
}

/// What PEFT puts before the paths of a causal language model's modules.
const PREFIX: &str = "base_model.model.";

impl Module {
    /// PEFT's name of its `lora_A` or `lora_B`.
    pub(crate) fn tensor_name(&self, matrix: char) -> String {
        let path = self.projection.path(self.layer);
        format!("{PREFIX}{path}.lora_{matrix}.weight")
    }
}

/// Whether a name, `all` or a glob means the module at `path`.
fn selects(pattern: &str, path: &str) -> bool {
    let name = path.rsplit('.').next().unwrap_or(path);
    pattern == "all" || pattern == name || glob_match(pattern, path)
}

impl Adapter {
    /// All weights learn.
    pub fn full() -> Self {
        Self {
            kind: Learning::Full,
            ..Self::default()
        }
    }

    /// Whether all weights learn.
    pub fn is_full(&self) -> bool {
        self.kind == Learning::Full
    }

    /// What is adapted in a model of this shape; nothing where all weights learn.
    pub(crate) fn modules(&self, a: &Architecture) -> Result<Vec<Module>> {
        if self.is_full() {
            ensure!(
                *self == Self::full(),
                "`kind = \"full\"` trains all weights: the settings of LoRA do not go with it"
            );
            return Ok(Vec::new());
        }
        ensure!(self.rank > 0, "rank is 0");
        ensure!(!self.projections.is_empty(), "no projection is adapted");
        ensure!(
            (0.0..1.0).contains(&self.dropout),
            "dropout is {}, which is no probability below 1",
            self.dropout
        );
        let all = (0..a.layers).flat_map(|layer| Projection::ALL.map(|own| (layer, own)));
        let all: Vec<(usize, Projection, String)> = all
            .map(|(layer, projection)| (layer, projection, projection.path(layer)))
            .collect();
        let patterns = self.projections.iter();
        for pattern in patterns.chain(self.ranks.keys()).chain(self.alphas.keys()) {
            ensure!(
                all.iter().any(|(_, _, path)| selects(pattern, path)),
                "`{pattern}` selects no projection; there are {}, `all`, and globs over paths such as `{}`",
                Projection::ALL
                    .map(|p| format!("`{}`", p.name()))
                    .join(", "),
                all[0].2
            );
        }
        let mut modules = Vec::new();
        for (layer, projection, path) in all {
            if !self.projections.iter().any(|own| selects(own, &path)) {
                continue;
            }
            let rank = self.ranks.iter().rfind(|(own, _)| selects(own, &path));
            let rank = rank.map_or(self.rank, |(_, rank)| *rank);
            let alpha = self.alpha_of(&path);
            ensure!(rank > 0, "the rank of `{path}` is 0");
            ensure!(
                alpha.is_finite() && alpha > 0.0,
                "alpha of `{path}` is {alpha}, it must be above 0"
            );
            let divisor = match self.rslora {
                true => (rank as f64).sqrt(),
                false => rank as f64,
            };
            modules.push(Module {
                layer,
                projection,
                rank,
                scale: (alpha / divisor) as f32,
            });
        }
        Ok(modules)
    }

    fn alpha_of(&self, path: &str) -> f64 {
        let other = self.alphas.iter().rfind(|(own, _)| selects(own, path));
        other.map_or(self.alpha, |(_, alpha)| *alpha)
    }

    /// Names and shapes of what learns.
    fn tensors(&self, a: &Architecture) -> Result<Vec<(String, Vec<usize>)>> {
        let modules = self.modules(a)?;
        if self.is_full() {
            return Ok(a.tensors());
        }
        let mut tensors = Vec::new();
        for module in modules {
            let (input, output) = module.projection.sizes(a);
            tensors.push((module.tensor_name('A'), vec![module.rank, input]));
            tensors.push((module.tensor_name('B'), vec![output, module.rank]));
        }
        Ok(tensors)
    }

    /// Where round 1 starts for the model at `base`: a fresh adapter, with A uniform in ±1/√in
    /// (Kaiming-uniform with a = √5, as PEFT) and B zero; or the base's own weights.
    pub fn init(&self, base: &Path, a: &Architecture, seed: Seed) -> Result<Params> {
        match self.kind {
            Learning::Full => {
                self.modules(a)?;
                Base::parameters(base)
            }
            Learning::Lora => self.fresh(a, seed),
        }
    }

    /// A fresh LoRA adapter.
    pub fn fresh(&self, a: &Architecture, seed: Seed) -> Result<Params> {
        ensure!(!self.is_full(), "a model that trains whole has no adapter");
        let tensors = self.tensors(a)?.into_iter().map(|(name, shape)| {
            let count = shape[0] * shape[1];
            let values = match name.ends_with("lora_A.weight") {
                true => {
                    // gain √(2/(1+5)) · √(3/in) = 1/√in
                    let bound = 1.0 / (shape[1] as f32).sqrt();
                    let mut rng = seed.derive(&name, 0).rng();
                    let draw = || rng.random_range(-bound..bound);
                    std::iter::repeat_with(draw).take(count).collect()
                }
                false => vec![0.0; count],
            };
            (name, shape, values)
        });
        Params::from_tensors(tensors.collect::<Vec<_>>()).context("adapter")
    }

    /// Checks that `params` is what learns in a model of this shape.
    pub fn check(&self, a: &Architecture, params: &Params) -> Result<()> {
        let expected: BTreeMap<String, Vec<usize>> = self.tensors(a)?.into_iter().collect();
        let found = params.structure();
        for tensor in found.tensors() {
            match expected.get(&tensor.name) {
                None => bail!("adapter: tensor `{}` is not expected", tensor.name),
                Some(shape) if *shape != tensor.shape => bail!(
                    "adapter: tensor `{}` has shape {:?} where {shape:?} is expected",
                    tensor.name,
                    tensor.shape
                ),
                Some(_) => {}
            }
        }
        let missing = expected.keys().find(|name| found.get(name).is_none());
        match missing {
            Some(name) => bail!("adapter: tensor `{name}` is missing"),
            None => Ok(()),
        }
    }

    /// Writes `adapter_model.safetensors` and `adapter_config.json` into `folder`, as PEFT does; or
    /// `model.safetensors` where all weights learn.
    pub fn save(&self, params: &Params, base: &str, folder: &Path) -> Result<()> {
        let at = || format!("saving adapter `{}`", folder.display());
        fs::create_dir_all(folder).with_context(at)?;
        let tensors = params.to_safetensors().with_context(at)?;
        if self.is_full() {
            return write_whole(&folder.join("model.safetensors"), &tensors).with_context(at);
        }
        let config = self.to_peft(&places(params.structure()), base);
        let config = serde_json::to_vec_pretty(&config).with_context(at)?;
        write_whole(&folder.join("adapter_config.json"), &config).with_context(at)?;
        write_whole(&folder.join("adapter_model.safetensors"), &tensors).with_context(at)
    }

    /// Reads a folder that PEFT or [`Adapter::save`] wrote.
    pub fn load(folder: &Path) -> Result<(Self, Params)> {
        let at = || format!("adapter `{}`", folder.display());
        let full = folder.join("model.safetensors");
        let read = || -> Result<(Self, Params)> {
            Ok(match full.is_file() {
                true => (Self::full(), read_tensors(&full)?),
                false => {
                    let params = read_tensors(&folder.join("adapter_model.safetensors"))?;
                    let adapter = Self::from_peft(folder, &places(params.structure()))?;
                    (adapter, params)
                }
            })
        };
        let (adapter, params) = read().with_context(at)?;
        match params.first_non_finite() {
            None => Ok((adapter, params)),
            Some((tensor, index, value)) => {
                bail!("{}: tensor `{tensor}` holds {value} at {index}", at())
            }
        }
    }
}

/// Paths of adapted modules and their ranks, from the tensors' names.
fn places(structure: &Structure) -> BTreeMap<String, usize> {
    let tensors = structure.tensors().iter();
    let places = tensors.filter_map(|tensor| {
        let path = tensor.name.strip_prefix(PREFIX)?;
        let path = path.strip_suffix(".lora_A.weight")?;
        let name = path.rsplit('.').next()?;
        let known = Projection::ALL.iter().any(|own| own.name() == name);
        // Of any other shape it is no A, which is said where it meets its model.
        let [rank, _] = tensor.shape[..] else {
            return None;
        };
        known.then(|| (path.to_owned(), rank))
    });
    places.collect()
}

/// Names, where every layer has all of them, else paths. Whether the last layer that has adapters is the
/// model's is checked with the model.
fn shortest(places: &BTreeMap<String, usize>) -> Vec<String> {
    let layers = places.keys().filter_map(|path| path.split('.').nth(2));
    let layers: BTreeSet<&str> = layers.collect();
    let names = Projection::ALL.map(Projection::name).into_iter();
    let names: Vec<&str> = names
        .filter(|name| places.keys().any(|path| selects(name, path)))
        .collect();
    let everywhere = names.len() * layers.len() == places.len();
    let whole = (0..layers.len()).all(|layer| layers.contains(layer.to_string().as_str()));
    match everywhere && whole {
        true => names.into_iter().map(str::to_owned).collect(),
        false => places.keys().cloned().collect(),
    }
}

fn read_tensors(file: &Path) -> Result<Params> {
    let bytes = fs::read(file).with_context(|| format!("reading `{}`", file.display()))?;
    Ok(Params::from_safetensors(&bytes)?)
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
            family: crate::Family::Llama,
            layers: 2,
            hidden: 8,
            intermediate: 12,
            query_heads: 4,
            key_heads: 2,
            head_dim: 2,
            vocabulary: 16,
            positions: 32,
            rms_eps: 1e-5,
            tied: true,
            activation: crate::Activation::Silu,
            input_bias: false,
            output_bias: false,
            mlp_bias: false,
            head_norms: false,
            outer_norms: false,
            embedding_scale: 1.0,
            score_scale: 0.5,
            score_cap: None,
            logit_cap: None,
            rope: crate::Rope {
                theta: 10_000.0,
                scaling: crate::Scaling::None,
            },
            local_rope: None,
            windows: vec![None; 2],
        }
    }

    #[test]
    fn a_fresh_adapter_is_bounded_and_changes_nothing() {
        let adapter = Adapter {
            rank: 3,
            alpha: 6.0,
            projections: vec!["all".into()],
            ..Adapter::default()
        };
        let params = adapter.fresh(&tiny(), Seed(1)).unwrap();
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
        let again = adapter.fresh(&tiny(), Seed(1)).unwrap();
        assert_eq!(params.values(), again.values());
        assert_ne!(
            params.values(),
            adapter.fresh(&tiny(), Seed(2)).unwrap().values()
        );
    }

    #[test]
    fn a_saved_adapter_loads_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let adapter = Adapter {
            rank: 2,
            alpha: 4.0,
            projections: vec!["q_proj".into(), "down_proj".into()],
            ..Adapter::default()
        };
        let params = adapter.fresh(&tiny(), Seed(1)).unwrap();
        adapter.save(&params, "tiny", folder.path()).unwrap();
        let (loaded, values) = Adapter::load(folder.path()).unwrap();
        assert_eq!(loaded, adapter);
        assert_eq!(values.values(), params.values());
    }
}
