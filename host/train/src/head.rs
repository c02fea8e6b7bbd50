//! The end of the decoder: final norm, output projection and loss, a block of rows at a time, with the
//! gradient of all three. Logits exist only where something is predicted, and never all at once.

use std::sync::Arc;

use rayon::prelude::*;

use crate::base::Base;
use crate::kernels::{
    Lay, capped_cross_entropy_row, cross_entropy_row, matmul, rms_norm, rms_norm_backward,
    rms_norm_weight,
};
use crate::preference::Preference;

/// Scalars of the logits that exist at once.
const LOGITS: usize = 1 << 24;

/// What the loss is.
#[derive(Clone, Debug)]
pub(crate) enum Criterion {
    /// weight · Σ -ln p over the targets.
    Tokens { weight: f64 },
    /// weight · Σ over pairs of rows, the preferred one first.
    Pairs {
        weight: f64,
        preference: Preference,
        /// Σ ln p of each row without the adapter.
        reference: Vec<f64>,
    },
}

impl Criterion {
    /// The loss, given Σ ln p of each row, and for each target by how much -ln p of it counts.
    pub(crate) fn weigh(&self, counts: &[usize], sums: &[f64]) -> (f64, Vec<f32>) {
        let (weight, preference, reference) = match self {
            Self::Tokens { weight } => {
                let targets = counts.iter().sum();
                let loss = -weight * sums.iter().sum::<f64>();
                return (loss, vec![*weight as f32; targets]);
            }
            Self::Pairs {
                weight,
                preference,
                reference,
            } => (weight, preference, reference),
        };
        let (mut losses, mut weights) = (0.0, Vec::new());
        let pairs = sums.chunks_exact(2).zip(reference.chunks_exact(2));
        for ((sums, reference), counts) in pairs.zip(counts.chunks_exact(2)) {
            let (loss, slopes) = preference.loss(sums, reference, counts);
            losses += weight * loss;
            for (slope, count) in slopes.iter().zip(counts) {
                weights.extend(std::iter::repeat_n((-weight * slope) as f32, *count));
            }
        }
        (losses, weights)
    }
}

/// Where the loss is taken.
#[derive(Clone)]
pub(crate) struct Head {
    pub(crate) base: Arc<Base>,
    pub(crate) targets: Vec<u32>,
    /// Targets of each row, one row after another.
    pub(crate) counts: Vec<usize>,
    pub(crate) criterion: Criterion,
    /// Whether gradients are wanted.
    pub(crate) learning: bool,
}

/// What came of it.
#[derive(Clone, Default)]
pub(crate) struct Outcome {
    pub(crate) loss: f64,
    /// Σ ln p of each row's targets.
    pub(crate) sums: Vec<f64>,
    /// dloss/dx
    pub(crate) gradient: Vec<f32>,
}

/// Gradients of the output table and of the norm before it.
pub(crate) type Tables = (Vec<f32>, Vec<f32>);

impl Head {
    /// At x, (targets, hidden). `learnt`: the output table and the norm before it, which then get
    /// gradients, too.
    pub(crate) fn run(
        &self,
        x: &[f32],
        learnt: Option<(&[f32], &[f32])>,
    ) -> (Outcome, Option<Tables>) {
        let a = self.base.architecture();
        let (hidden, rows) = (a.hidden, self.targets.len());
        let norm: Vec<f32> = match learnt {
            Some((_, norm)) if a.family.norms_add_one() => norm.iter().map(|w| 1.0 + w).collect(),
            Some((_, norm)) => norm.to_vec(),
            None => self.base.norm.clone(),
        };
        let table = learnt.map(|(table, _)| table);
        let mut h = vec![0f32; x.len()];
        rms_norm(&mut h, x, &norm, a.rms_eps);
        // Only a pair's sums say how much its tokens weigh. Of a frozen table the gradient can be
        // weighed in the end; a table that learns needs the weights before.
        let (loss, dh, dtable, sums) = match (&self.criterion, table) {
            (Criterion::Tokens { weight }, _) => {
                let weights = vec![*weight as f32; rows];
                let (dh, dtable, sums) = self.pass(&h, table, &weights, self.learning);
                let (loss, _) = self.criterion.weigh(&self.counts, &sums);
                (loss, dh, dtable, sums)
            }
            (Criterion::Pairs { .. }, None) => {
                let ones = vec![1.0; rows];
                let (mut dh, dtable, sums) = self.pass(&h, None, &ones, self.learning);
                let (loss, weights) = self.criterion.weigh(&self.counts, &sums);
                for (dh, weight) in dh.chunks_exact_mut(hidden).zip(&weights) {
                    dh.iter_mut().for_each(|x| *x *= weight);
                }
                (loss, dh, dtable, sums)
            }
            (Criterion::Pairs { .. }, Some(_)) => {
                let sums = self.pass(&h, table, &vec![1.0; rows], false).2;
                let (loss, weights) = self.criterion.weigh(&self.counts, &sums);
                let (dh, dtable, _) = self.pass(&h, table, &weights, self.learning);
                (loss, dh, dtable, sums)
            }
        };
        let mut outcome = Outcome {
            loss,
            sums,
            gradient: Vec::new(),
        };
        if !self.learning {
            return (outcome, None);
        }
        let mut dx = vec![0f32; x.len()];
        rms_norm_backward(&mut dx, &dh, x, &norm, a.rms_eps);
        outcome.gradient = dx;
        let own = table.map(|_| {
            let mut dnorm = vec![0f32; hidden];
            rms_norm_weight(&mut dnorm, &dh, x, a.rms_eps);
            (dtable, dnorm)
        });
        (outcome, own)
    }

    /// For targets that weigh `weights`: the gradient of h, that of the table if it learns, and Σ ln p of
    /// each row.
    fn pass(
        &self,
        h: &[f32],
        table: Option<&[f32]>,
        weights: &[f32],
        learning: bool,
    ) -> (Vec<f32>, Vec<f32>, Vec<f64>) {
        let a = self.base.architecture();
        let (vocabulary, hidden) = (a.vocabulary, a.hidden);
        let rows = self.targets.len();
        let most = (LOGITS / vocabulary).clamp(16, 512);
        let mut dh = vec![0f32; if learning { h.len() } else { 0 }];
        let learnt = table.filter(|_| learning).map_or(0, <[f32]>::len);
        let mut dtable = vec![0f32; learnt];
        let mut logits = vec![0f32; most.min(rows) * vocabulary];
        let mut each = Vec::with_capacity(rows);
        for first in (0..rows).step_by(most) {
            let block = most.min(rows - first);
            let own = first * hidden..(first + block) * hidden;
            let logits = &mut logits[..block * vocabulary];
            let (narrow, wide) = (Lay::rows(block, hidden), Lay::rows(block, vocabulary));
            let whole = Lay::rows(vocabulary, hidden);
            let h = &h[own.clone()];
            match table {
                None => self.base.forward(self.base.head(), logits, h, block),
                Some(table) => {
                    let table = (table, whole.transposed());
                    matmul((logits, wide), false, 1.0, (h, narrow), table);
                }
            }
            let targets = &self.targets[first..first + block];
            let rows = logits.par_chunks_exact_mut(vocabulary).zip(targets);
            let rows = rows.zip(&weights[first..first + block]);
            let losses = rows.map(|((row, target), weight)| match a.logit_cap {
                None => cross_entropy_row(row, *target as usize, *weight),
                Some(cap) => capped_cross_entropy_row(row, *target as usize, *weight, cap),
            });
            each.extend(losses.collect::<Vec<f64>>());
            if !learning {
                continue;
            }
            let dh = &mut dh[own];
            match table {
                None => self
                    .base
                    .backward(self.base.head(), dh, false, logits, block),
                Some(table) => {
                    matmul((dh, narrow), false, 1.0, (logits, wide), (table, whole));
                    let turned = (&logits[..], wide.transposed());
                    matmul((&mut dtable, whole), true, 1.0, turned, (h, narrow));
                }
            }
        }
        let mut first = 0;
        let sums = self.counts.iter().map(|count| {
            let own = &each[first..first + count];
            first += count;
            -own.iter().sum::<f64>()
        });
        let sums = sums.collect();
        (dh, dtable, sums)
    }
}
