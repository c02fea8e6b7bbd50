//! What an algorithm adds to plain local training: declared by its client half, applied by the trainer.

use crate::Params;

/// Terms of the loss and of the step, beside the data's.
#[derive(Clone, Debug)]
pub struct Objective {
    /// Σ μ/2 · |w - reference|², inside the loss: its gradient is clipped with the rest.
    pub proximal: Vec<(f64, Params)>,
    /// Σ ⟨gradient, w⟩, inside the loss.
    pub linear: Vec<Params>,
    /// After every optimizer step: w ← w - lr · direction.
    pub correct: Vec<Params>,
    /// Globs of tensors that do not train.
    pub freeze: Vec<String>,
    /// Factor of the round's learning rate.
    pub lr_factor: f64,
}

impl Default for Objective {
    fn default() -> Self {
        Self {
            proximal: Vec::new(),
            linear: Vec::new(),
            correct: Vec::new(),
            freeze: Vec::new(),
            lr_factor: 1.0,
        }
    }
}
