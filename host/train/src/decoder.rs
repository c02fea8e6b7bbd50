//! The decoder forward pass with an adapter, its loss, and the gradient of the adapter.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use candle_core::{Device, Error, Tensor, Var};
use folkmoot_params::Params;

use crate::Adapter;
use crate::base::{Base, Matrix};
use crate::layer::Slots;
use crate::ops::{layer, mean_cross_entropy};
use crate::trainer::Example;

/// A batch's loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Loss {
    /// Mean cross-entropy over the trained tokens, in nats.
    pub mean: f64,
    /// Trained tokens.
    pub trained: usize,
    /// All tokens.
    pub tokens: usize,
}

/// The loss of `batch` at `params`, and its gradient in the storage order of `params`.
///
/// loss = -(1/n) Σ ln p(idₜ | id₍<ₜ₎) over the n trained tokens of the whole batch. Rows lie one after
/// another, so padding does not exist; logits exist only where a trained token is predicted.
pub fn loss_and_gradient(
    base: &Arc<Base>,
    adapter: &Adapter,
    params: &Params,
    batch: &[&Example],
) -> Result<(Loss, Vec<f32>)> {
    let forward = Forward::new(base, adapter, params, batch)?;
    let back = || -> candle_core::Result<Vec<f32>> {
        let gradients = forward.mean.backward()?;
        let mut flat = vec![0f32; params.count()];
        for (slots, var) in &forward.vars {
            let own = gradients.get(var).map(|gradient| gradient.to_vec1::<f32>());
            let own =
                own.ok_or_else(|| Error::Msg("a layer's adapter got no gradient".into()))??;
            flat[slots.whole.clone()].copy_from_slice(&own);
        }
        Ok(flat)
    };
    let gradient = back().context("training step")?;
    Ok((forward.loss, gradient))
}

/// The loss of `batch` at `params`, without its gradient.
pub fn loss(
    base: &Arc<Base>,
    adapter: &Adapter,
    params: &Params,
    batch: &[&Example],
) -> Result<Loss> {
    Ok(Forward::new(base, adapter, params, batch)?.loss)
}

/// A forward pass, from which gradients can be taken.
struct Forward {
    loss: Loss,
    mean: Tensor,
    /// The adapter of each layer, and where it lies in the parameters.
    vars: Vec<(Slots, Var)>,
}

impl Forward {
    fn new(
        base: &Arc<Base>,
        adapter: &Adapter,
        params: &Params,
        batch: &[&Example],
    ) -> Result<Self> {
        let (ids, lengths) = rows(base, batch)?;
        let (positions, targets) = predictions(batch);
        ensure!(
            !targets.is_empty(),
            "a batch without a trained token has no loss"
        );
        let forward = || -> candle_core::Result<(Tensor, Vec<(Slots, Var)>)> {
            let mut x = embed(&base.embedding, &ids)?;
            let mut vars = Vec::with_capacity(base.layers.len());
            for index in 0..base.layers.len() {
                let slots = Slots::new(adapter, params.structure(), index);
                let own = &params.values()[slots.whole.clone()];
                let var = Var::from_slice(own, own.len(), &Device::Cpu)?;
                x = layer(&x, &var, base, index, slots.clone(), &lengths)?;
                vars.push((slots, var));
            }
            let positions = Tensor::from_vec(positions, targets.len(), &Device::Cpu)?;
            let mean = mean_cross_entropy(&x.index_select(&positions, 0)?, base, &targets)?;
            Ok((mean, vars))
        };
        let (mean, vars) = forward().context("training step")?;
        let loss = Loss {
            mean: f64::from(mean.to_scalar::<f32>().context("training step")?),
            trained: targets.len(),
            tokens: ids.len(),
        };
        Ok(Self { loss, mean, vars })
    }
}

/// All ids one after another, and the length of each row.
fn rows(base: &Base, batch: &[&Example]) -> Result<(Vec<u32>, Arc<Vec<usize>>)> {
    let mut ids = Vec::new();
    for example in batch {
        base.check(&example.ids)?;
        ids.extend_from_slice(&example.ids);
    }
    let lengths = batch.iter().map(|example| example.ids.len()).collect();
    Ok((ids, Arc::new(lengths)))
}

/// Where trained tokens are predicted (one before each), and which they are.
fn predictions(batch: &[&Example]) -> (Vec<u32>, Vec<u32>) {
    let (mut positions, mut targets) = (Vec::new(), Vec::new());
    let mut first = 0;
    for example in batch {
        for at in 1..example.ids.len() {
            if example.trained[at] {
                positions.push((first + at - 1) as u32);
                targets.push(example.ids[at]);
            }
        }
        first += example.ids.len();
    }
    (positions, targets)
}

fn embed(embedding: &Matrix, ids: &[u32]) -> candle_core::Result<Tensor> {
    let width = embedding.cols;
    let mut x = Vec::with_capacity(ids.len() * width);
    for id in ids {
        let at = *id as usize * width;
        x.extend_from_slice(&embedding.values[at..at + width]);
    }
    Tensor::from_vec(x, (ids.len(), width), &Device::Cpu)
}
