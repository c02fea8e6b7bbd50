//! Local training: some steps of AdamW on a client's examples, from the global parameters.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use folkmoot_params::{Objective, Params, Seed};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::{AdamW, Adapter, Base, clip, loss_and_gradient, objective};

/// A tokenised row: ids, and which of them are learnt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Example {
    pub ids: Vec<u32>,
    /// As long as `ids`; the first is never learnt, since nothing predicts it.
    pub trained: Vec<bool>,
}

/// How a client trains in a round. Optimizer state starts anew each time.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Training {
    pub steps: usize,
    pub batch: usize,
    pub lr: f64,
    pub weight_decay: f64,
    /// Largest L2 norm of the gradient.
    pub max_grad_norm: f64,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Trained {
    pub params: Params,
    /// Learning rate that was used, the objective's factor included.
    pub lr: f64,
    /// Mean loss of the data over the steps' trained tokens, in nats, without the objective's terms.
    pub loss: f64,
    pub steps: usize,
    /// Tokens that went through the model.
    pub tokens: usize,
    /// L2 norm of the gradient before clipping, at the last step.
    pub grad_norm: f64,
}

/// Trains from `global`. Batches are drawn without replacement from `examples`, shuffled anew
/// whenever they are used up; the order comes from `seed` alone.
pub fn train(
    base: &Arc<Base>,
    adapter: &Adapter,
    global: &Params,
    examples: &[&Example],
    training: &Training,
    objective: &Objective,
    seed: Seed,
) -> Result<Trained> {
    ensure!(!examples.is_empty(), "no example to train on");
    adapter.check(base.architecture(), global)?;
    objective::check(objective, global)?;
    let frozen = objective::frozen(objective, global);
    let lr = training.lr * objective.lr_factor;
    let mut optimizer = AdamW::new(global.count(), training.weight_decay);
    let mut params = global.clone();
    let mut order = Order::new(examples.len(), seed);
    let (mut sum, mut trained, mut tokens, mut grad_norm) = (0.0, 0, 0, 0.0);
    for step in 0..training.steps {
        let batch: Vec<&Example> = order
            .take(training.batch)
            .map(|index| examples[index])
            .collect();
        let (loss, mut gradient) = loss_and_gradient(base, adapter, &params, &batch)
            .with_context(|| format!("step {}", step + 1))?;
        ensure!(
            loss.mean.is_finite(),
            "step {}: the loss is {}",
            step + 1,
            loss.mean
        );
        sum += loss.mean * loss.trained as f64;
        trained += loss.trained;
        tokens += loss.tokens;
        let mut w = params.values().to_vec();
        objective::add_gradient(objective, &w, &mut gradient, &frozen);
        grad_norm = clip(&mut gradient, training.max_grad_norm);
        ensure!(
            grad_norm.is_finite(),
            "step {}: the gradient's norm is {grad_norm}",
            step + 1
        );
        optimizer.step(&mut w, &gradient, &frozen, lr);
        objective::correct(objective, &mut w, lr, &frozen);
        params = params.with_values(w)?;
    }
    Ok(Trained {
        params,
        lr,
        loss: sum / trained.max(1) as f64,
        steps: training.steps,
        tokens,
        grad_norm,
    })
}

/// An endless order of indices: every index once, shuffled, then again.
struct Order {
    indices: Vec<usize>,
    next: usize,
    epoch: u64,
    seed: Seed,
}

impl Order {
    fn new(count: usize, seed: Seed) -> Self {
        Self {
            indices: (0..count).collect(),
            next: count,
            epoch: 0,
            seed,
        }
    }

    fn take(&mut self, count: usize) -> impl Iterator<Item = usize> + '_ {
        (0..count).map(|_| {
            if self.next == self.indices.len() {
                let mut rng = self.seed.derive("epoch", self.epoch).rng();
                self.indices.shuffle(&mut rng);
                (self.next, self.epoch) = (0, self.epoch + 1);
            }
            self.next += 1;
            self.indices[self.next - 1]
        })
    }
}
