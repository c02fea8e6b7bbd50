//! Choosing a token at random.

use anyhow::{Result, ensure};
use candle_core::{Device, Tensor};
use candle_transformers::generation::{LogitsProcessor, Sampling as Kind};
use candle_transformers::utils::apply_repeat_penalty;
use folkmoot_params::Seed;

/// How a token is drawn: logits of tokens that the text has already are divided by the repetition penalty
/// (multiplied where negative; Keskar et al. 2019), all are divided by the temperature, only the `top_k`
/// likeliest and then only the fewest that make up `top_p` stay (Holtzman et al. 2020).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Sampling {
    /// 0: the likeliest token.
    pub temperature: f64,
    pub top_p: Option<f64>,
    pub top_k: Option<usize>,
    /// 1: none.
    pub repetition_penalty: f32,
    pub seed: Seed,
}

impl Sampling {
    /// Refuses numbers that mean nothing.
    pub fn check(&self) -> Result<()> {
        ensure!(
            self.temperature.is_finite() && self.temperature >= 0.0,
            "temperature is {}, it must not be below 0",
            self.temperature
        );
        ensure!(
            self.top_p.is_none_or(|p| p > 0.0 && p <= 1.0),
            "top-p is {}, it must be above 0 and not above 1",
            self.top_p.unwrap_or_default()
        );
        ensure!(self.top_k != Some(0), "top-k is 0");
        ensure!(
            self.repetition_penalty.is_finite() && self.repetition_penalty > 0.0,
            "repetition penalty is {}, it must be above 0",
            self.repetition_penalty
        );
        Ok(())
    }
}

/// Draws one prompt's tokens.
pub(crate) struct Sampler {
    processor: LogitsProcessor,
    penalty: f32,
}

impl Sampler {
    /// With the random numbers of `stream`.
    pub(crate) fn new(sampling: &Sampling, stream: u64) -> Self {
        let temperature = sampling.temperature;
        let kind = match (sampling.top_k, sampling.top_p) {
            _ if temperature == 0.0 => Kind::ArgMax,
            (None, None) => Kind::All { temperature },
            (Some(k), None) => Kind::TopK { k, temperature },
            (None, Some(p)) => Kind::TopP { p, temperature },
            (Some(k), Some(p)) => Kind::TopKThenTopP { k, p, temperature },
        };
        let seed = sampling.seed.derive("prompt", stream);
        Self {
            processor: LogitsProcessor::from_sampling(seed.0, kind),
            penalty: sampling.repetition_penalty,
        }
    }

    /// The token after `prompt` and `answer`.
    pub(crate) fn choose(&mut self, logits: &[f32], prompt: &[u32], answer: &[u32]) -> Result<u32> {
        let mut logits = Tensor::from_slice(logits, logits.len(), &Device::Cpu)?;
        if self.penalty != 1.0 {
            let seen = [prompt, answer].concat();
            logits = apply_repeat_penalty(&logits, self.penalty, &seen)?;
        }
        Ok(self.processor.sample(&logits)?)
    }
}
