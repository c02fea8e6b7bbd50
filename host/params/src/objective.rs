//! What an algorithm adds to plain local training: declared by its client half, applied by the trainer.

use crate::Params;

/// Terms of the loss and of the step, beside the data's; and what becomes of the parameters.
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
    /// Globs of tensors that do not train in a part of the steps.
    pub freeze_during: Vec<FrozenPart>,
    /// Globs of tensors that stay with the client: neither sent nor replaced.
    pub keep: Vec<String>,
    /// Factor of the round's learning rate.
    pub lr_factor: f64,
    /// Trains on a Moreau envelope of the loss.
    pub envelope: Option<Envelope>,
    /// A second model that is trained beside and never sent: where it starts, and its own objective.
    pub personal: Option<Box<(Params, Objective)>>,
    /// Measure the loss before training on so many rows, 0: all.
    pub initial_loss: Option<u32>,
}

/// Tensors that do not train from share `start` to share `end` of the local steps.
#[derive(Clone, PartialEq, Debug)]
pub struct FrozenPart {
    pub glob: String,
    pub start: f64,
    pub end: f64,
}

/// The bi-level training of pFedMe (Dinh et al. 2020): the loss gets λ/2 · |w - a|² with an anchor a that
/// starts at the global parameters; after every `period` steps on one batch a ← a - rate · λ · (a - w).
/// What is sent is a, and w is the personal model.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Envelope {
    pub lambda: f64,
    pub rate: f64,
    pub period: u32,
}

impl Default for Objective {
    fn default() -> Self {
        Self {
            proximal: Vec::new(),
            linear: Vec::new(),
            correct: Vec::new(),
            freeze: Vec::new(),
            freeze_during: Vec::new(),
            keep: Vec::new(),
            lr_factor: 1.0,
            envelope: None,
            personal: None,
            initial_loss: None,
        }
    }
}
