//! What a run will take, worked out before it starts.

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
        let mut lengths: Vec<usize> = setup
            .examples
            .iter()
            .map(|example| example.ids.len())
            .collect();
        lengths.sort_unstable();
        let total: usize = lengths.iter().sum();
        // Nineteen rows of twenty are not longer than this.
        let long = lengths[(lengths.len() * 19 / 20).min(lengths.len() - 1)];
        let key_width = a.key_heads * a.head_dim();
        // Kept of each layer for its backward pass: input, norm, q, k, v, attention, sum, norm, gate,
        // up and their product. What the layer at work needs beside that is one layer's worth more.
        let kept = 6 * a.hidden + 2 * key_width + 3 * a.intermediate;
        let workers = setup.workers.count(training.cohort as usize);
        let activation_bytes = 4 * kept * (a.layers + 1) * long * training.batch * workers;
        let steps = setup.experiment.rounds as usize * training.cohort as usize * training.steps;
        Self {
            trainable: setup.initial.count(),
            base_bytes: 4 * a.weights(),
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
