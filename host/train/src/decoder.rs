//! The decoder's forward pass with what learns, its loss, and the gradient.

use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Error, Tensor, Var};
use folkmoot_params::{Params, Seed};

use crate::base::{Base, EMBEDDING, HEAD, NORM};
use crate::dropout::Dropout;
use crate::head::{Criterion, Head, Outcome};
use crate::layer::Slots;
use crate::ops::{Pass, embed, loss as head_loss, open};
use crate::plain::{Plain, Rows};
use crate::{Adapter, Example, Pair, Preference};

/// A batch's loss.
#[derive(Clone, Debug, PartialEq)]
pub struct Loss {
    /// Mean cross-entropy over the trained tokens, in nats; or mean loss over the pairs.
    pub mean: f64,
    /// Trained tokens, or pairs.
    pub trained: usize,
    /// All tokens.
    pub tokens: usize,
    /// Σ ln p of the trained tokens of each row; of pairs, preferred and rejected in turn.
    pub sums: Vec<f64>,
}

/// What goes through the model at once.
#[derive(Clone, Copy)]
pub enum Batch<'a> {
    Examples(&'a [&'a Example]),
    Pairs(&'a [&'a Pair], Preference),
}

impl<'a> Batch<'a> {
    fn rows(self) -> Vec<&'a Example> {
        match self {
            Self::Examples(examples) => examples.to_vec(),
            Self::Pairs(pairs, _) => {
                let both = |pair: &&'a Pair| [&pair.chosen, &pair.rejected];
                pairs.iter().flat_map(both).collect()
            }
        }
    }

    /// What its loss is a mean over.
    pub fn count(self) -> usize {
        match self {
            Self::Examples(examples) => {
                let learnt = |example: &&Example| {
                    let learnt = example.trained.iter().skip(1);
                    learnt.filter(|trained| **trained).count()
                };
                examples.iter().map(learnt).sum()
            }
            Self::Pairs(pairs, _) => pairs.len(),
        }
    }
}

/// A base and what learns on it, of one structure.
pub struct Learner {
    base: Arc<Base>,
    slots: Arc<Vec<Slots>>,
    dropout: f64,
    recompute: bool,
    full: bool,
    count: usize,
}

/// How a gradient is taken.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// The sum that this batch is a part of is over so many tokens or pairs.
    pub of: usize,
    /// Where dropout's masks come from.
    pub seed: Seed,
}

impl Learner {
    /// For parameters like `params`. With `recompute`, layers run twice and only their inputs are kept.
    pub fn new(
        base: &Arc<Base>,
        adapter: &Adapter,
        params: &Params,
        recompute: bool,
    ) -> Result<Self> {
        let a = base.architecture();
        adapter.check(a, params)?;
        let modules = adapter.modules(a)?;
        Ok(Self {
            base: base.clone(),
            slots: Arc::new(Slots::of_layers(adapter, &modules, a, params.structure())),
            dropout: adapter.dropout,
            recompute,
            full: adapter.is_full(),
            count: params.count(),
        })
    }

    /// The loss of `batch` at `params`, and its gradient in the storage order of `params`.
    ///
    /// loss = -(1/n) Σ ln p(idₜ | id₍<ₜ₎) over the n trained tokens of the whole batch, or the mean loss
    /// of its pairs. Rows lie one after another, so padding does not exist; logits exist only where a
    /// trained token is predicted. Of a batch that is a part of a larger one, loss and gradient are its
    /// part of the larger one's.
    pub fn loss_and_gradient(
        &self,
        params: &Params,
        batch: Batch,
        step: Step,
    ) -> Result<(Loss, Vec<f32>)> {
        if self.base.runs_plain() {
            return self.plain(params, batch, step.of, Some(step.seed));
        }
        let forward = self.forward(params, batch, step.of, Some(step.seed))?;
        let back = || -> candle_core::Result<Vec<f32>> {
            let gradients = forward.loss.backward()?;
            let mut flat = vec![0f32; params.count()];
            for (range, var) in &forward.vars {
                let own = gradients.get(var).map(|gradient| gradient.to_vec1::<f32>());
                let own = own.ok_or_else(|| Error::Msg("a part got no gradient".into()))??;
                flat[range.clone()].copy_from_slice(&own);
            }
            Ok(flat)
        };
        let gradient = back().context("training step")?;
        Ok((forward.figures, gradient))
    }

    /// The loss of `batch` at `params`, without its gradient and without dropout.
    pub fn loss(&self, params: &Params, batch: Batch) -> Result<Loss> {
        if self.base.runs_plain() {
            return Ok(self.plain(params, batch, batch.count(), None)?.0);
        }
        Ok(self.forward(params, batch, batch.count(), None)?.figures)
    }

    /// Both by candle's own operations.
    fn plain(
        &self,
        params: &Params,
        batch: Batch,
        of: usize,
        learning: Option<Seed>,
    ) -> Result<(Loss, Vec<f32>)> {
        let (ids, rows) = self.rows(params, batch)?;
        let (positions, targets, counts) = predicted(&rows)?;
        let lengths: Vec<usize> = rows.iter().map(|row| row.ids.len()).collect();
        let plain = Plain {
            base: &self.base,
            slots: &self.slots,
            params,
            full: self.full,
            dropout: learning.and_then(|seed| Dropout::new(self.dropout, seed)),
            recompute: self.recompute,
            learning: learning.is_some(),
        };
        let asked = Rows {
            ids: &ids,
            lengths: &lengths,
            positions: &positions,
            targets: &targets,
            counts: &counts,
        };
        let criterion = self.criterion(batch, of)?;
        let (outcome, gradient) = plain.run(&asked, &criterion).context("training step")?;
        Ok((figures(batch, outcome, ids.len()), gradient))
    }

    /// All tokens of a batch one after another, and its rows.
    fn rows<'a>(&self, params: &Params, batch: Batch<'a>) -> Result<(Vec<u32>, Vec<&'a Example>)> {
        ensure!(
            params.count() == self.count,
            "parameters of another structure"
        );
        let rows = batch.rows();
        let mut ids = Vec::new();
        for row in &rows {
            self.base.check(&row.ids)?;
            ids.extend_from_slice(&row.ids);
        }
        Ok((ids, rows))
    }

    fn criterion(&self, batch: Batch, of: usize) -> Result<Criterion> {
        let weight = 1.0 / of.max(1) as f64;
        Ok(match batch {
            Batch::Examples(_) => Criterion::Tokens { weight },
            Batch::Pairs(pairs, preference) => Criterion::Pairs {
                weight,
                preference,
                reference: self.references(pairs)?,
            },
        })
    }

    fn forward(
        &self,
        params: &Params,
        batch: Batch,
        of: usize,
        learning: Option<Seed>,
    ) -> Result<Forward> {
        let (ids, rows) = self.rows(params, batch)?;
        let (positions, targets, counts) = predicted(&rows)?;
        let criterion = self.criterion(batch, of)?;
        let head = Head {
            base: self.base.clone(),
            targets,
            counts,
            criterion,
            learning: learning.is_some(),
        };
        let pass = Pass {
            base: self.base.clone(),
            slots: self.slots.clone(),
            lengths: Arc::new(rows.iter().map(|row| row.ids.len()).collect()),
            dropout: learning.and_then(|seed| Dropout::new(self.dropout, seed)),
            recompute: self.recompute,
            first_wanted: match self.full {
                true => 0,
                false => 1 + self.first_learning(),
            },
            learning: learning.is_some(),
        };
        let outcome = Arc::new(Mutex::new(None));
        let run = || self.run(params, &pass, &ids, positions, head, &outcome);
        let (loss, vars) = run().context("training step")?;
        let outcome: Option<Outcome> = open(&outcome)?.take();
        let outcome = outcome.context("the loss was not computed")?;
        Ok(Forward {
            figures: figures(batch, outcome, ids.len()),
            loss,
            vars,
        })
    }

    fn run(
        &self,
        params: &Params,
        pass: &Pass,
        ids: &[u32],
        positions: Vec<u32>,
        head: Head,
        outcome: &Arc<Mutex<Option<Outcome>>>,
    ) -> candle_core::Result<(Tensor, Vec<Learnt>)> {
        let values = params.values();
        let mut vars: Vec<Learnt> = Vec::new();
        let mut var = |range: std::ops::Range<usize>| {
            let own = &values[range.clone()];
            let var = Var::from_slice(own, own.len(), &Device::Cpu)?;
            vars.push((range, var.clone()));
            candle_core::Result::Ok(var)
        };
        let a = self.base.architecture();
        let tensor = |name: &str| {
            let tensor = params.structure().get(name);
            tensor.map(|tensor| tensor.range())
        };
        let missing = || Error::Msg("a table of the model is not among the parameters".into());
        let table = match self.full {
            true => Some(var(tensor(EMBEDDING).ok_or_else(missing)?)?),
            false => None,
        };
        let mut x = match &table {
            Some(table) => embed(table, ids, a.hidden, a.embedding_scale)?,
            None => Tensor::from_vec(self.base.embed(ids), (ids.len(), a.hidden), &Device::Cpu)?,
        };
        for (index, slots) in self.slots.iter().enumerate() {
            x = match slots.whole.is_empty() {
                true => pass.layer(&x, &Tensor::zeros(0, DType::F32, &Device::Cpu)?, index)?,
                false => pass.layer(&x, &*var(slots.whole.clone())?, index)?,
            };
        }
        let count = positions.len();
        let x = x.index_select(&Tensor::from_vec(positions, count, &Device::Cpu)?, 0)?;
        let loss = match table {
            None => head_loss(&x, None, head, outcome)?,
            Some(table) => {
                let norm = var(tensor(NORM).ok_or_else(missing)?)?;
                let table = match a.tied {
                    true => table,
                    false => var(tensor(HEAD).ok_or_else(missing)?)?,
                };
                head_loss(&x, Some((&table, &norm)), head, outcome)?
            }
        };
        Ok((loss, vars))
    }

    /// The first layer that learns anything.
    fn first_learning(&self) -> usize {
        let learns = |slots: &Slots| !slots.whole.is_empty();
        self.slots.iter().position(learns).unwrap_or(0)
    }

    /// Σ ln p of both rows of each pair under the base alone. Each pair goes through the model by itself,
    /// so that what comes of it does not depend on its company.
    fn references(&self, pairs: &[&Pair]) -> Result<Vec<f64>> {
        let mut all = Vec::with_capacity(2 * pairs.len());
        for pair in pairs {
            let own = match pair.reference.get() {
                Some(own) => *own,
                None => {
                    let rows = [&pair.chosen, &pair.rejected];
                    let sums = crate::Inference::new(&self.base, None)?.sums(&rows)?;
                    *pair.reference.get_or_init(|| [sums[0], sums[1]])
                }
            };
            all.extend(own);
        }
        Ok(all)
    }
}

type Learnt = (std::ops::Range<usize>, Var);

/// A forward pass, from which gradients can be taken.
struct Forward {
    figures: Loss,
    loss: Tensor,
    /// What learns, and where it lies in the parameters.
    vars: Vec<Learnt>,
}

fn figures(batch: Batch, outcome: Outcome, tokens: usize) -> Loss {
    Loss {
        mean: outcome.loss,
        trained: batch.count(),
        tokens,
        sums: outcome.sums,
    }
}

/// [`predictions`], of which there must be one.
fn predicted(rows: &[&Example]) -> Result<(Vec<u32>, Vec<u32>, Vec<usize>)> {
    let (positions, targets, counts) = predictions(rows);
    ensure!(
        !targets.is_empty(),
        "a batch without a trained token has no loss"
    );
    Ok((positions, targets, counts))
}

/// Where trained tokens are predicted (one before each), which they are, and how many of each row.
pub(crate) fn predictions(rows: &[&Example]) -> (Vec<u32>, Vec<u32>, Vec<usize>) {
    let (mut positions, mut targets, mut counts) = (Vec::new(), Vec::new(), Vec::new());
    let mut first = 0;
    for row in rows {
        let before = targets.len();
        for at in 1..row.ids.len() {
            if row.trained[at] {
                positions.push((first + at - 1) as u32);
                targets.push(row.ids[at]);
            }
        }
        counts.push(targets.len() - before);
        first += row.ids.len();
    }
    (positions, targets, counts)
}
