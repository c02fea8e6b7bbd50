//! Local training: some optimizer steps on a client's examples or pairs, from the global parameters.

use std::borrow::Cow;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use folkmoot_params::{Envelope, Objective, Params, Seed};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::{
    Adapter, Base, Batch, Decay, Learner, Optimizer, OptimizerKind, Pair, Preference, Schedule,
    Step, clip, objective,
};

/// A tokenised row: ids, and which of them are learnt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Example {
    pub ids: Vec<u32>,
    /// As long as `ids`; the first is never learnt, since nothing predicts it.
    pub trained: Vec<bool>,
}

/// What a client has: rows or pairs by number, made when a step draws them.
pub trait Shard {
    /// Rows or pairs.
    fn len(&self) -> usize;

    /// Whether there is nothing.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Some of it, in this order.
    fn draw(&self, rows: &mut dyn Iterator<Item = usize>) -> Drawn<'_>;
}

/// Rows or pairs in memory.
#[derive(Clone)]
pub enum Drawn<'a> {
    Examples(Vec<Cow<'a, Example>>),
    Pairs(Vec<&'a Pair>, Preference),
}

impl Shard for Drawn<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Examples(examples) => examples.len(),
            Self::Pairs(pairs, _) => pairs.len(),
        }
    }

    fn draw(&self, rows: &mut dyn Iterator<Item = usize>) -> Drawn<'_> {
        match self {
            Self::Examples(all) => {
                Drawn::Examples(rows.map(|row| Cow::Borrowed(all[row].as_ref())).collect())
            }
            Self::Pairs(all, preference) => {
                Drawn::Pairs(rows.map(|row| all[row]).collect(), *preference)
            }
        }
    }
}

impl Drawn<'_> {
    fn refs(&self) -> Refs<'_> {
        match self {
            Self::Examples(all) => Refs::Examples(all.iter().map(AsRef::as_ref).collect()),
            Self::Pairs(all, preference) => Refs::Pairs(all, *preference),
        }
    }
}

/// What was drawn, as the model takes it.
enum Refs<'a> {
    Examples(Vec<&'a Example>),
    Pairs(&'a [&'a Pair], Preference),
}

impl Refs<'_> {
    /// In parts of at most `size`.
    fn parts(&self, size: usize) -> Vec<Batch<'_>> {
        let size = size.max(1);
        match self {
            Self::Examples(all) => all.chunks(size).map(Batch::Examples).collect(),
            Self::Pairs(all, preference) => all
                .chunks(size)
                .map(|own| Batch::Pairs(own, *preference))
                .collect(),
        }
    }
}

/// What the loss of a batch is that goes through the model in parts.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accumulation {
    /// The mean over all its tokens: the parts make no difference.
    #[default]
    Tokens,
    /// The mean of the parts' means, as OpenFedLLM's trainer has it: parts with fewer trained tokens
    /// count for more.
    Parts,
}

/// How a client trains in a round. Optimizer state starts anew each time.
#[derive(Clone, PartialEq, Debug)]
pub struct Training {
    pub steps: usize,
    /// Rows, or pairs, of a step.
    pub batch: usize,
    /// Rows, or pairs, that go through the model at once; 0: all of a step.
    pub micro_batch: usize,
    pub accumulation: Accumulation,
    pub lr: f64,
    /// The rate over the steps, of `lr` and down to 0.
    pub decay: Decay,
    pub warm_up: usize,
    pub optimizer: OptimizerKind,
    pub weight_decay: f64,
    /// Largest L2 norm of the gradient.
    pub max_grad_norm: f64,
    /// Whether layers run again in the backward pass instead of keeping what they computed.
    pub recompute: bool,
}

impl Default for Training {
    /// One step of AdamW on one row at a rate of 0.
    fn default() -> Self {
        Self {
            steps: 1,
            batch: 1,
            micro_batch: 0,
            accumulation: Accumulation::Tokens,
            lr: 0.0,
            decay: Decay::Constant,
            warm_up: 0,
            optimizer: OptimizerKind::default(),
            weight_decay: 0.0,
            max_grad_norm: 1.0,
            recompute: false,
        }
    }
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Trained {
    pub params: Params,
    /// Mean learning rate of the steps, the objective's factor included.
    pub lr: f64,
    /// Mean loss of the data over the steps' trained tokens, in nats, or over their pairs, without the
    /// objective's terms.
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
    /// Of pairs, over all steps.
    pub rewards: Option<Rewards>,
}

/// Means over pairs of β(ln π - ln π₀), the implicit reward of DPO.
#[derive(Clone, Copy, PartialEq, Default, Debug, Serialize, Deserialize)]
pub struct Rewards {
    pub chosen: f64,
    pub rejected: f64,
    /// Share of pairs whose preferred answer has the higher reward.
    pub accuracy: f64,
    pairs: usize,
}

impl Rewards {
    fn add(&mut self, pairs: &[&Pair], beta: f64, sums: &[f64]) {
        for (pair, sums) in pairs.iter().zip(sums.chunks_exact(2)) {
            let reference = pair.reference.get().copied().unwrap_or_default();
            let [chosen, rejected] = [0, 1].map(|row| beta * (sums[row] - reference[row]));
            let right = f64::from(u8::from(chosen > rejected));
            self.pairs += 1;
            let share = 1.0 / self.pairs as f64;
            self.chosen += (chosen - self.chosen) * share;
            self.rejected += (rejected - self.rejected) * share;
            self.accuracy += (right - self.accuracy) * share;
        }
    }
}

/// Trains from `start`. Batches are drawn without replacement from `data`, shuffled anew whenever they
/// are used up; the order comes from `seed` alone.
pub fn train(
    base: &Arc<Base>,
    adapter: &Adapter,
    start: &Params,
    data: &dyn Shard,
    training: &Training,
    objective: &Objective,
    seed: Seed,
) -> Result<Trained> {
    ensure!(!data.is_empty(), "no example to train on");
    let local = Local {
        learner: Learner::new(base, adapter, start, training.recompute)?,
        data,
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

/// The rewards of `data` at `params`, a part of `batch` pairs at a time.
pub fn rewards(
    base: &Arc<Base>,
    adapter: &Adapter,
    params: &Params,
    pairs: &[&Pair],
    preference: Preference,
    batch: usize,
) -> Result<Rewards> {
    let learner = Learner::new(base, adapter, params, false)?;
    let mut rewards = Rewards::default();
    for pairs in pairs.chunks(batch.max(1)) {
        let loss = learner.loss(params, Batch::Pairs(pairs, preference))?;
        rewards.add(pairs, preference.beta, &loss.sums);
    }
    Ok(rewards)
}

/// What every descent of a client works with.
struct Local<'a> {
    learner: Learner,
    data: &'a dyn Shard,
    training: &'a Training,
}

impl Local<'_> {
    fn micro_batch(&self) -> usize {
        match self.training.micro_batch {
            0 => self.training.batch,
            rows => rows,
        }
    }

    /// Mean loss over the first `rows` examples (0: all), per trained token or pair.
    fn mean_loss(&self, params: &Params, rows: usize) -> Result<f64> {
        let rows = match rows {
            0 => self.data.len(),
            some => some.min(self.data.len()),
        };
        let (mut sum, mut trained) = (0.0, 0);
        let size = self.micro_batch();
        for first in (0..rows).step_by(size.max(1)) {
            let drawn = self.data.draw(&mut (first..(first + size).min(rows)));
            let refs = drawn.refs();
            let Some(batch) = refs.parts(size).pop() else {
                continue;
            };
            let own = self.learner.loss(params, batch)?;
            sum += own.mean * own.trained as f64;
            trained += own.trained;
        }
        Ok(sum / trained.max(1) as f64)
    }

    fn descend(&self, start: &Params, objective: &Objective, seed: Seed) -> Result<Trained> {
        objective::check(objective, start)?;
        let training = self.training;
        let peak = training.lr * objective.lr_factor;
        let schedule = Schedule {
            decay: training.decay,
            warm_up: training.warm_up,
            total: training.steps,
        };
        let mut optimizer =
            Optimizer::new(training.optimizer, start.count(), training.weight_decay);
        let mut params = start.clone();
        let mut anchor = objective.envelope.map(|envelope| Anchor {
            envelope,
            values: start.values().to_vec(),
        });
        let mut order = Order::new(self.data.len(), seed);
        let mut sums = Sums::default();
        let (mut rates, mut grad_norm) = (0.0, 0.0);
        let mut frozen = objective::frozen(objective, start, 0.0);
        let mut batch = self.data.draw(&mut std::iter::empty());
        for step in 0..training.steps {
            let at = || format!("step {}", step + 1);
            // On an envelope several steps look at one batch.
            if anchor.as_ref().is_none_or(|anchor| anchor.begins(step)) {
                batch = self.data.draw(&mut order.take(training.batch));
            }
            if !objective.freeze_during.is_empty() {
                let share = step as f64 / training.steps as f64;
                frozen = objective::frozen(objective, start, share);
            }
            let masks = seed.derive("dropout", step as u64);
            let mut gradient = self
                .gradient(&params, &batch, masks, &mut sums)
                .with_context(at)?;
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
            let lr = schedule.at(peak, 0.0, step);
            rates += lr;
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
            // Exactly the peak where every step has it.
            lr: match (training.decay, training.warm_up) {
                (Decay::Constant, 0) => peak,
                _ => rates / training.steps.max(1) as f64,
            },
            loss: sums.loss / sums.trained.max(1) as f64,
            steps: training.steps,
            tokens: sums.tokens,
            grad_norm,
            initial_loss: None,
            personal,
            rewards: sums.rewards,
        })
    }

    /// The gradient of a step's batch.
    fn gradient(
        &self,
        params: &Params,
        batch: &Drawn,
        masks: Seed,
        sums: &mut Sums,
    ) -> Result<Vec<f32>> {
        let refs = batch.refs();
        let parts = refs.parts(self.micro_batch());
        let whole: usize = parts.iter().map(|part| part.count()).sum();
        ensure!(whole > 0, "a batch without a trained token has no loss");
        let mut gradient: Vec<f32> = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            if part.count() == 0 {
                continue;
            }
            let step = Step {
                of: match self.training.accumulation {
                    Accumulation::Tokens => whole,
                    Accumulation::Parts => part.count() * parts.len(),
                },
                seed: masks.derive("part", index as u64),
            };
            let (loss, own) = self.learner.loss_and_gradient(params, *part, step)?;
            ensure!(loss.mean.is_finite(), "the loss is {}", loss.mean);
            sums.loss += loss.mean * step.of as f64;
            sums.trained += loss.trained;
            sums.tokens += loss.tokens;
            if let Batch::Pairs(pairs, preference) = part {
                let rewards = sums.rewards.get_or_insert_default();
                rewards.add(pairs, preference.beta, &loss.sums);
            }
            match gradient.is_empty() {
                true => gradient = own,
                false => gradient.iter_mut().zip(&own).for_each(|(g, own)| *g += own),
            }
        }
        Ok(gradient)
    }
}

/// Over the steps of a descent.
#[derive(Default)]
struct Sums {
    loss: f64,
    trained: usize,
    tokens: usize,
    rewards: Option<Rewards>,
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
