//! What a run will take, worked out before it starts.

use folkmoot_train::Quantize;

use crate::resolve::Setup;

/// Sizes of a run.
#[derive(Clone, Copy, Debug)]
pub struct Estimate {
    /// Trainable scalars.
    pub trainable: usize,
    /// Bytes of the base in memory.
    pub base_bytes: usize,
    /// Bytes of activations, over all workers, for the largest likely batch.
    pub activation_bytes: usize,
    /// Optimizer steps of all clients over all rounds.
    pub steps: usize,
    /// Tokens that go through the model in those steps, on average.
    pub tokens: usize,
}

impl Estimate {
    /// From the sizes of `setup`.
    pub fn new(setup: &Setup) -> Self {
        let (a, training) = (&setup.architecture, &setup.experiment.training);
        let lengths = setup.rows.lengths();
        let mut lengths: Vec<usize> = lengths.into_iter().map(|own| own as usize).collect();
        lengths.sort_unstable();
        let total: usize = lengths.iter().sum();
        // Nineteen rows of twenty are not longer than this.
        let long = lengths[(lengths.len() * 19 / 20).min(lengths.len() - 1)];
        // Kept of each layer for its backward pass: input, q, k, v, attention, sum, gate, up, and what goes
        // into outer norms. What the layer at work needs beside that is about one layer's worth more.
        let (queries, keys) = (a.query_width(), a.key_width());
        let outer = if a.outer_norms { 2 } else { 0 };
        let layer = (2 + outer) * a.hidden + 2 * (queries + keys) + 2 * a.intermediate;
        let kept = match training.recompute {
            true => a.layers * a.hidden + 2 * layer,
            false => (a.layers + 2) * layer,
        };
        let rows = match training.micro_batch {
            0 => training.batch,
            rows => rows,
        };
        let workers = setup.workers.count(training.cohort as usize);
        let activation_bytes = 4 * kept * long * rows * workers;
        let steps = setup.experiment.rounds as usize * training.cohort as usize * training.steps;
        Self {
            trainable: setup.initial.count(),
            base_bytes: base_bytes(setup),
            activation_bytes,
            steps,
            tokens: steps * training.batch * total / lengths.len(),
        }
    }

    /// Bytes in all.
    pub fn bytes(&self) -> usize {
        // The adapter: global, local, gradient, two moments, update, for a few clients at once.
        self.base_bytes + self.activation_bytes + 64 * self.trainable
    }
}

/// Quantised files stay as large as they are; the rest is f32, or what the experiment asks for.
fn base_bytes(setup: &Setup) -> usize {
    let (a, model) = (&setup.architecture, &setup.experiment.model);
    let tables = a.vocabulary * a.hidden * if a.tied { 1 } else { 2 };
    let linears = a.weights() - tables;
    let eighths = |bits: usize| (linears * bits + tables * 68) / 64;
    match model.quantize {
        Some(Quantize::Q8_0) => eighths(68),
        Some(Quantize::Q4K | Quantize::Nf4) => eighths(36),
        Some(Quantize::None) => 4 * a.weights(),
        None => match std::fs::metadata(&setup.base_path) {
            Ok(file) if file.is_file() => file.len() as usize,
            _ => 4 * a.weights(),
        },
    }
}
