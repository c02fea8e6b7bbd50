//! Losses on pairs of answers, one preferred to the other.

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::Example;

/// A prompt with a preferred and a rejected answer. What is trained in both are the answers' tokens.
#[derive(Clone, Debug)]
pub struct Pair {
    pub chosen: Example,
    pub rejected: Example,
    /// Σ ln p of both answers under the base without an adapter, once it is known.
    pub(crate) reference: OnceLock<[f64; 2]>,
}

impl Pair {
    /// The reference is computed when it is first needed.
    pub fn new(chosen: Example, rejected: Example) -> Self {
        Self {
            chosen,
            rejected,
            reference: OnceLock::new(),
        }
    }
}

/// Which loss of a pair.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PairLoss {
    /// DPO: -(1 - ε) ln σ(βΔ) - ε ln σ(-βΔ) (Rafailov et al. 2023; ε: Mitchell 2023).
    #[default]
    Sigmoid,
    /// The first divided so that flipped pairs do not bias it:
    /// (-(1 - ε) ln σ(βΔ) + ε ln σ(-βΔ)) / (1 - 2ε) (Chowdhury et al. 2024).
    Robust,
    /// (Δ̄ - 1/(2β))² with log-probabilities averaged over an answer's tokens (Azar et al. 2023).
    Ipo,
}

/// How pairs are learnt from. Δ = (ln π(c) - ln π(r)) - (ln π₀(c) - ln π₀(r)), where ln π sums over an
/// answer's tokens and π₀ is the base without an adapter.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preference {
    /// β
    #[serde(default = "default_beta")]
    pub beta: f64,
    #[serde(default)]
    pub loss: PairLoss,
    /// ε: the share of preferences that are taken to be the wrong way round.
    #[serde(default)]
    pub label_smoothing: f64,
}

fn default_beta() -> f64 {
    0.1
}

impl Default for Preference {
    fn default() -> Self {
        Self {
            beta: default_beta(),
            loss: PairLoss::Sigmoid,
            label_smoothing: 0.0,
        }
    }
}

impl Preference {
    /// What is wrong with the numbers, if anything is.
    pub fn fault(&self) -> Option<String> {
        let most = match self.loss {
            PairLoss::Ipo => 0.0,
            _ => 0.5,
        };
        let smoothing = self.label_smoothing;
        let shares = smoothing == 0.0 || (0.0..most).contains(&smoothing);
        if !(self.beta.is_finite() && self.beta > 0.0) {
            Some(format!("beta is {}, it must be above 0", self.beta))
        } else if !shares && most == 0.0 {
            Some("IPO has no label smoothing".into())
        } else if !shares {
            Some(format!(
                "label_smoothing is {smoothing}, it must be from 0 to below 0.5"
            ))
        } else {
            None
        }
    }

    /// The loss of one pair, and its slope in each Σ ln p. Both slices: preferred, rejected.
    pub(crate) fn loss(
        &self,
        sums: &[f64],
        reference: &[f64],
        counts: &[usize],
    ) -> (f64, [f64; 2]) {
        let lengths = match self.loss {
            PairLoss::Sigmoid | PairLoss::Robust => [1.0, 1.0],
            PairLoss::Ipo => [counts[0].max(1) as f64, counts[1].max(1) as f64],
        };
        let ratio = |row: usize| (sums[row] - reference[row]) / lengths[row];
        let delta = ratio(0) - ratio(1);
        let (loss, slope) = match self.loss {
            PairLoss::Sigmoid => {
                let (beta, epsilon) = (self.beta, self.label_smoothing);
                let z = beta * delta;
                let loss = (1.0 - epsilon) * softplus(-z) + epsilon * softplus(z);
                let slope = beta * (epsilon * sigmoid(z) - (1.0 - epsilon) * sigmoid(-z));
                (loss, slope)
            }
            PairLoss::Robust => {
                let (beta, epsilon) = (self.beta, self.label_smoothing);
                let (z, whole) = (beta * delta, 1.0 - 2.0 * epsilon);
                let loss = (1.0 - epsilon) * softplus(-z) - epsilon * softplus(z);
                let slope = -beta * (epsilon * sigmoid(z) + (1.0 - epsilon) * sigmoid(-z));
                (loss / whole, slope / whole)
            }
            PairLoss::Ipo => {
                let off = delta - 1.0 / (2.0 * self.beta);
                (off * off, 2.0 * off)
            }
        };
        (loss, [slope / lengths[0], -slope / lengths[1]])
    }
}

/// ln(1 + eˣ)
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_are_those_of_the_loss() {
        let settings = [
            Preference::default(),
            Preference {
                beta: 0.5,
                label_smoothing: 0.2,
                ..Preference::default()
            },
            Preference {
                loss: PairLoss::Robust,
                label_smoothing: 0.2,
                ..Preference::default()
            },
            Preference {
                loss: PairLoss::Ipo,
                ..Preference::default()
            },
        ];
        for preference in settings {
            let (sums, reference, counts) = ([-12.0, -9.5], [-11.0, -10.0], [7, 4]);
            let (_, slopes) = preference.loss(&sums, &reference, &counts);
            for row in 0..2 {
                let at = |shift: f64| {
                    let mut sums = sums;
                    sums[row] += shift;
                    preference.loss(&sums, &reference, &counts).0
                };
                let found = (at(1e-5) - at(-1e-5)) / 2e-5;
                assert!(
                    (found - slopes[row]).abs() < 1e-6,
                    "{found} {}",
                    slopes[row]
                );
            }
        }
    }

    #[test]
    fn extreme_differences_give_finite_losses() {
        let preference = Preference {
            beta: 1.0,
            ..Preference::default()
        };
        let (loss, slopes) = preference.loss(&[-5000.0, 0.0], &[0.0, 0.0], &[1, 1]);
        assert!((loss - 5000.0).abs() < 1e-9 && slopes == [-1.0, 1.0]);
        let (loss, slopes) = preference.loss(&[0.0, -5000.0], &[0.0, 0.0], &[1, 1]);
        assert!(loss == 0.0 && slopes.iter().all(|slope| slope.abs() == 0.0));
    }
}
