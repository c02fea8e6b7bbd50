//! What an algorithm adds to plain local training.

use anyhow::{Context, Result, ensure};
use folkmoot_params::Params;
use glob_match::glob_match;

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
    /// Factor of the learning rate.
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

impl Objective {
    /// Refuses terms that do not fit `params`.
    pub(crate) fn check(&self, params: &Params) -> Result<()> {
        let proximal = self.proximal.iter().map(|(_, reference)| reference);
        for term in proximal.chain(&self.linear).chain(&self.correct) {
            params.check_same_structure(term).context("objective")?;
        }
        for (mu, _) in &self.proximal {
            ensure!(
                mu.is_finite() && *mu >= 0.0,
                "objective: proximal weight is {mu}"
            );
        }
        ensure!(
            self.lr_factor.is_finite() && self.lr_factor >= 0.0,
            "objective: factor of the learning rate is {}",
            self.lr_factor
        );
        for glob in &self.freeze {
            let mut names = params.structure().tensors().iter();
            ensure!(
                names.any(|tensor| glob_match(glob, &tensor.name)),
                "objective: freezing `{glob}` selects no tensor"
            );
        }
        Ok(())
    }

    /// Adds the gradients of the loss terms at `w`; frozen tensors get none.
    pub(crate) fn add_gradient(&self, w: &[f32], gradient: &mut [f32], frozen: &[bool]) {
        for (mu, reference) in &self.proximal {
            let mu = *mu as f32;
            for ((g, w), r) in gradient.iter_mut().zip(w).zip(reference.values()) {
                *g += mu * (w - r);
            }
        }
        for term in &self.linear {
            for (g, l) in gradient.iter_mut().zip(term.values()) {
                *g += l;
            }
        }
        for (g, frozen) in gradient.iter_mut().zip(frozen) {
            if *frozen {
                *g = 0.0;
            }
        }
    }

    /// w ← w - lr · direction.
    pub(crate) fn correct(&self, w: &mut [f32], lr: f64, frozen: &[bool]) {
        for direction in &self.correct {
            let lr = lr as f32;
            for ((w, d), frozen) in w.iter_mut().zip(direction.values()).zip(frozen) {
                if !frozen {
                    *w -= lr * d;
                }
            }
        }
    }

    /// Which scalars do not train.
    pub(crate) fn frozen(&self, params: &Params) -> Vec<bool> {
        let mut frozen = vec![false; params.count()];
        for tensor in params.structure().tensors() {
            if self
                .freeze
                .iter()
                .any(|glob| glob_match(glob, &tensor.name))
            {
                frozen[tensor.range()].fill(true);
            }
        }
        frozen
    }
}
