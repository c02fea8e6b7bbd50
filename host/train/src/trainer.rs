//! Local training: some steps of AdamW on a client's examples, from the global parameters.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use folkmoot_params::{Envelope, Objective, Params, Seed};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::{AdamW, Adapter, Base, clip, loss, loss_and_gradient, objective};

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
    /// Mean loss of the received parameters before training, if the objective asked for it.
    pub initial_loss: Option<f64>,
    /// The personal parameters, if the objective asked for some.
    pub personal: Option<Params>,
}

/// Trains from `start`. Batches are drawn without replacement from `examples`, shuffled anew
/// whenever they are used up; the order comes from `seed` alone.
pub fn train(
    base: &Arc<Base>,
    adapter: &Adapter,
    start: &Params,
    examples: &[&Example],
    training: &Training,
    objective: &Objective,
    seed: Seed,
) -> Result<Trained> {
    ensure!(!examples.is_empty(), "no example to train on");
    adapter.check(base.architecture(), start)?;
    let local = Local {
        base,
        adapter,
        examples,
        training,
    };
    let initial_loss = objective.initial_loss;
    let initial_loss = initial_loss.map(|rows| local.mean_loss(start, rows as usize));
    let initial_loss = initial_loss.transpose().context("loss before training")?;
    let mut trained = local.descend(start, objective, seed)?;
    trained.initial_loss = initial_loss;
    if let Some((from, own)) = objective.personal.as_deref() {
        let seed = seed.derive("personal", 0);
        adapter
            .check(base.architecture(), from)
            .context("personal parameters")?;
        let personal = local.descend(from, own, seed);
        trained.personal = Some(personal.context("personal parameters")?.params);
    }
    Ok(trained)
}

/// What every descent of a client works with.
struct Local<'a> {
    base: &'a Arc<Base>,
    adapter: &'a Adapter,
    examples: &'a [&'a Example],
    training: &'a Training,
}

impl Local<'_> {
    /// Mean loss over the first `rows` examples (0: all), per trained token.
    fn mean_loss(&self, params: &Params, rows: usize) -> Result<f64> {
        let rows = match rows {
            0 => self.examples,
            some => &self.examples[..some.min(self.examples.len())],
        };
        let (mut sum, mut trained) = (0.0, 0);
        for batch in rows.chunks(self.training.batch) {
            let own = loss(self.base, self.adapter, params, batch)?;
            sum += own.mean * own.trained as f64;
            trained += own.trained;
        }
        Ok(sum / trained.max(1) as f64)
    }

    fn descend(&self, start: &Params, objective: &Objective, seed: Seed) -> Result<Trained> {
        objective::check(objective, start)?;
        let training = self.training;
        let lr = training.lr * objective.lr_factor;
        let mut optimizer = AdamW::new(start.count(), training.weight_decay);
        let mut params = start.clone();
        let mut anchor = objective.envelope.map(|envelope| Anchor {
            envelope,
            values: start.values().to_vec(),
        });
        let mut order = Order::new(self.examples.len(), seed);
        let (mut sum, mut trained, mut tokens, mut grad_norm) = (0.0, 0, 0, 0.0);
        let mut frozen = objective::frozen(objective, start, 0.0);
        let mut batch: Vec<&Example> = Vec::new();
        for step in 0..training.steps {
            let at = || format!("step {}", step + 1);
            // On an envelope several steps look at one batch.
            if anchor.as_ref().is_none_or(|anchor| anchor.begins(step)) {
                let drawn = order.take(training.batch);
                batch = drawn.map(|index| self.examples[index]).collect();
            }
            if !objective.freeze_during.is_empty() {
                let share = step as f64 / training.steps as f64;
                frozen = objective::frozen(objective, start, share);
            }
            let (loss, mut gradient) =
                loss_and_gradient(self.base, self.adapter, &params, &batch).with_context(at)?;
            ensure!(loss.mean.is_finite(), "{}: the loss is {}", at(), loss.mean);
            sum += loss.mean * loss.trained as f64;
            trained += loss.trained;
            tokens += loss.tokens;
            let mut w = params.values().to_vec();
            objective::add_gradient(objective, &w, &mut gradient);
            if let Some(anchor) = &anchor {
                anchor.add_gradient(&w, &mut gradient);
            }
            objective::freeze(&mut gradient, &frozen);
            grad_norm = clip(&mut gradient, training.max_grad_norm);
            ensure!(
                grad_norm.is_finite(),
                "{}: the gradient's norm is {grad_norm}",
                at()
            );
            optimizer.step(&mut w, &gradient, &frozen, lr);
            objective::correct(objective, &mut w, lr, &frozen);
            if let Some(anchor) = &mut anchor
                && anchor.ends(step, training.steps)
            {
                anchor.advance(&w);
            }
            params = params.with_values(w)?;
        }
        let (params, personal) = match anchor {
            None => (params, None),
            Some(anchor) => (params.with_values(anchor.values)?, Some(params)),
        };
        Ok(Trained {
            params,
            lr,
            loss: sum / trained.max(1) as f64,
            steps: training.steps,
            tokens,
            grad_norm,
            initial_loss: None,
            personal,
        })
    }
}

/// The anchor of a Moreau envelope.
struct Anchor {
    envelope: Envelope,
    values: Vec<f32>,
}

impl Anchor {
    fn begins(&self, step: usize) -> bool {
        step.is_multiple_of(self.envelope.period as usize)
    }

    /// Whether the anchor moves after this step; the last period may be shorter.
    fn ends(&self, step: usize, steps: usize) -> bool {
        self.begins(step + 1) || step + 1 == steps
    }

    /// g ← g + λ (w - a).
    fn add_gradient(&self, w: &[f32], gradient: &mut [f32]) {
        let lambda = self.envelope.lambda as f32;
        for ((g, w), a) in gradient.iter_mut().zip(w).zip(&self.values) {
            *g += lambda * (w - a);
        }
    }

    /// a ← a - rate · λ · (a - w).
    fn advance(&mut self, w: &[f32]) {
        let rate = (self.envelope.rate * self.envelope.lambda) as f32;
        for (a, w) in self.values.iter_mut().zip(w) {
            *a -= rate * (*a - w);
        }
    }
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
