//! What an algorithm's objective does to a local training.

use anyhow::{Context, Result, ensure};
use folkmoot_params::{Objective, Params};
use glob_match::glob_match;

/// Refuses terms that do not fit `params`.
pub(crate) fn check(objective: &Objective, params: &Params) -> Result<()> {
    let proximal = objective.proximal.iter().map(|(_, reference)| reference);
    for term in proximal.chain(&objective.linear).chain(&objective.correct) {
        params.check_same_structure(term).context("objective")?;
    }
    for (mu, _) in &objective.proximal {
        ensure!(
            mu.is_finite() && *mu >= 0.0,
            "objective: proximal weight is {mu}"
        );
    }
    ensure!(
        objective.lr_factor.is_finite() && objective.lr_factor >= 0.0,
        "objective: factor of the learning rate is {}",
        objective.lr_factor
    );
    for glob in &objective.freeze {
        let mut names = params.structure().tensors().iter();
        ensure!(
            names.any(|tensor| glob_match(glob, &tensor.name)),
            "objective: freezing `{glob}` selects no tensor"
        );
    }
    Ok(())
}

/// Adds the gradients of the loss terms at `w`; frozen tensors get none.
pub(crate) fn add_gradient(
    objective: &Objective,
    w: &[f32],
    gradient: &mut [f32],
    frozen: &[bool],
) {
    for (mu, reference) in &objective.proximal {
        let mu = *mu as f32;
        for ((g, w), r) in gradient.iter_mut().zip(w).zip(reference.values()) {
            *g += mu * (w - r);
        }
    }
    for term in &objective.linear {
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
pub(crate) fn correct(objective: &Objective, w: &mut [f32], lr: f64, frozen: &[bool]) {
    for direction in &objective.correct {
        let lr = lr as f32;
        for ((w, d), frozen) in w.iter_mut().zip(direction.values()).zip(frozen) {
            if !frozen {
                *w -= lr * d;
            }
        }
    }
}

/// Which scalars do not train.
pub(crate) fn frozen(objective: &Objective, params: &Params) -> Vec<bool> {
    let mut frozen = vec![false; params.count()];
    for tensor in params.structure().tensors() {
        if objective
            .freeze
            .iter()
            .any(|glob| glob_match(glob, &tensor.name))
        {
            frozen[tensor.range()].fill(true);
        }
    }
    frozen
}
