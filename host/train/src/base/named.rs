//! Models of published shapes with made-up weights, for benchmarks and checks on machines that have no
//! model: every scalar comes from its tensor's name and its index by an integer hash, so that another
//! program makes the same ones (`tests/golden/bench_train.py` does in PyTorch).

use std::sync::Arc;

use anyhow::{Result, bail};
use folkmoot_params::Params;
use rayon::prelude::*;

use crate::{Activation, Adapter, Architecture, Family, Rope, Scaling};

/// Half of the width of matrices' and tables' scalars, which lie evenly around 0.
pub(super) const WIDTH: f32 = 0.04;

/// The names that are known.
const NAMES: [&str; 4] = ["smollm2-135m", "llama-3.2-1b", "llama-2-7b", "tiny"];

impl Architecture {
    /// The published shape `name`: `smollm2-135m`, `llama-3.2-1b`, `llama-2-7b`, or `tiny`, which is nobody's.
    pub fn named(name: &str) -> Result<Self> {
        let plain = |theta| Rope {
            theta,
            scaling: Scaling::None,
        };
        let llama3 = Rope {
            theta: 500_000.0,
            scaling: Scaling::Llama3 {
                factor: 32.0,
                low: 1.0,
                high: 4.0,
                original: 8192.0,
            },
        };
        // layers, hidden, inner, query and key heads, vocabulary, positions, tied
        let (sizes, rope) = match name {
            "smollm2-135m" => ((30, 576, 1536, 9, 3, 49_152, 8192, true), plain(1e5)),
            "llama-3.2-1b" => ((16, 2048, 8192, 32, 8, 128_256, 131_072, true), llama3),
            "llama-2-7b" => ((32, 4096, 11_008, 32, 32, 32_000, 4096, false), plain(1e4)),
            "tiny" => ((2, 64, 128, 4, 2, 256, 2048, true), plain(1e4)),
            other => bail!("no shape `{other}`, known are {}", NAMES.join(", ")),
        };
        let (layers, hidden, intermediate, query_heads, key_heads, vocabulary, positions, tied) =
            sizes;
        let head_dim = hidden / query_heads;
        Ok(Self {
            family: Family::Llama,
            layers,
            hidden,
            intermediate,
            query_heads,
            key_heads,
            head_dim,
            vocabulary,
            positions,
            rms_eps: 1e-5,
            tied,
            activation: Activation::Silu,
            input_bias: false,
            output_bias: false,
            mlp_bias: false,
            head_norms: false,
            outer_norms: false,
            embedding_scale: 1.0,
            score_scale: 1.0 / (head_dim as f32).sqrt(),
            score_cap: None,
            logit_cap: None,
            rope,
            local_rope: None,
            windows: vec![None; layers],
        })
    }
}

impl Adapter {
    /// A LoRA adapter with A from the hash, in ±1/√in, and B zero.
    pub fn hashed(&self, architecture: &Architecture) -> Result<Params> {
        let fresh = self.fresh(architecture, folkmoot_params::Seed(0))?;
        let tensors = fresh.structure().tensors().iter().map(|tensor| {
            let values = match tensor.name.ends_with("lora_A.weight") {
                true => {
                    let width = (1.0 / (tensor.shape[1] as f64).sqrt()) as f32;
                    hashed(&tensor.name, tensor.count(), width)
                }
                false => vec![0.0; tensor.count()],
            };
            (tensor.name.clone(), tensor.shape.clone(), values)
        });
        Ok(Params::from_tensors(tensors.collect::<Vec<_>>())?)
    }
}

/// `count` token ids below `vocabulary`.
pub fn hashed_ids(count: usize, vocabulary: usize) -> Vec<u32> {
    let state = fnv1a("ids");
    let id = |index: usize| ((bits(state, index) >> 33) % vocabulary as u64) as u32;
    (0..count).map(id).collect()
}

/// Scalars evenly in ±`width`.
pub(super) fn hashed(name: &str, count: usize, width: f32) -> Vec<f32> {
    let state = fnv1a(name);
    let value = |index: usize| {
        let share = (bits(state, index) >> 40) as f32 / 8_388_608.0 - 1.0;
        share * width
    };
    (0..count).into_par_iter().map(value).collect()
}

/// Fowler, Noll & Vo's hash of a name.
fn fnv1a(name: &str) -> u64 {
    name.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

/// SplitMix64's output (Steele, Lea & Flood 2014) number `index` from `state` on.
fn bits(state: u64, index: usize) -> u64 {
    let step = (index as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut z = state.wrapping_add(step);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl super::Base {
    /// The shape `name` with weights from the hash; norms are 1.
    pub fn hashed(name: &str, form: super::Form) -> Result<Arc<Self>> {
        let architecture = Architecture::named(name)?;
        let mut source = super::Source::hashed(architecture.clone());
        Ok(Arc::new(Self::new(architecture, &mut source, form)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers that the PyTorch side makes.
    #[test]
    fn the_hash_is_the_other_sides() {
        let found = hashed("model.embed_tokens.weight", 5, WIDTH);
        let expected = [
            0xBC28_B3C2,
            0xBC6B_E7E1,
            0x3A8B_4E3D,
            0xBCA4_DC6E,
            0x3C34_C6CDu32,
        ];
        assert_eq!(found, expected.map(f32::from_bits));
        let name = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";
        let found = hashed(name, 5, (1.0 / 576f64.sqrt()) as f32);
        let expected = [
            0xBCA0_A0B3,
            0x3D24_4E04,
            0x3CAD_3170,
            0xBC9D_0533,
            0x3CBB_B150u32,
        ];
        assert_eq!(found, expected.map(f32::from_bits));
        let expected = [21850, 7830, 26592, 3182, 28156, 42869, 26104, 11964];
        assert_eq!(hashed_ids(8, 49_152), expected);
    }
}
