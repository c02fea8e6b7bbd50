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
    for part in &objective.freeze_during {
        ensure!(
            (0.0..=1.0).contains(&part.start) && (0.0..=1.0).contains(&part.end),
            "objective: freezing `{}` from {} to {} of the steps, which are shares from 0 to 1",
            part.glob,
            part.start,
            part.end
        );
    }
    let parts = objective.freeze_during.iter().map(|part| &part.glob);
    for glob in objective.freeze.iter().chain(parts) {
        let mut names = params.structure().tensors().iter();
        ensure!(
            names.any(|tensor| glob_match(glob, &tensor.name)),
            "objective: freezing `{glob}` selects no tensor"
        );
    }
    if let Some(envelope) = &objective.envelope {
        let numbers = [envelope.lambda, envelope.rate];
        ensure!(
            numbers
                .iter()
                .all(|number| number.is_finite() && *number >= 0.0)
                && envelope.period > 0,
            "objective: {envelope:?} needs numbers that are not negative and a period above 0"
        );
    }
    Ok(())
}

/// Adds the gradients of the loss terms at `w`.
pub(crate) fn add_gradient(objective: &Objective, w: &[f32], gradient: &mut [f32]) {
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
}

/// Frozen scalars get no gradient, so that they do not count when it is clipped.
pub(crate) fn freeze(gradient: &mut [f32], frozen: &[bool]) {
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

/// Which scalars do not train when share `done` of the steps is done.
pub(crate) fn frozen(objective: &Objective, params: &Params, done: f64) -> Vec<bool> {
    let parts = objective.freeze_during.iter();
    let now = parts.filter(|part| part.start <= done && done < part.end);
    let globs = objective.freeze.iter().chain(now.map(|part| &part.glob));
    let globs: Vec<&String> = globs.collect();
    let mut frozen = vec![false; params.count()];
    for tensor in params.structure().tensors() {
        if globs.iter().any(|glob| glob_match(glob, &tensor.name)) {
            frozen[tensor.range()].fill(true);
        }
    }
    frozen
}
