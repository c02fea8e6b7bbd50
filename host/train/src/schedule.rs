//! The learning rate over rounds, and over the steps of a round.

use serde::{Deserialize, Serialize};

/// How a rate falls.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decay {
    Constant,
    Linear,
    /// Cosine annealing without restarts (Loshchilov & Hutter 2017).
    Cosine,
}

/// A warm-up, then a decay.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Schedule {
    pub decay: Decay,
    /// Times at which the rate rises first: (t+1)/(warm_up+1) of the peak at t = 0 … warm_up-1.
    pub warm_up: usize,
    /// T: where the decay would reach the floor, counted from the end of the warm-up on.
    pub total: usize,
}

impl Schedule {
    /// η(t), t = 0, 1, …; with p = (t - warm_up)/(T - warm_up):
    /// floor + (peak - floor) · (1, or 1 - p, or ½(1 + cos π p)).
    pub fn at(&self, peak: f64, floor: f64, t: usize) -> f64 {
        if t < self.warm_up {
            return peak * (t + 1) as f64 / (self.warm_up + 1) as f64;
        }
        let rest = self.total.saturating_sub(self.warm_up).max(1);
        let p = ((t - self.warm_up) as f64 / rest as f64).min(1.0);
        let share = match self.decay {
            Decay::Constant => return peak,
            Decay::Linear => 1.0 - p,
            Decay::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * p).cos()),
        };
        floor + (peak - floor) * share
    }
}

#[cfg(test)]
mod tests {
    use super::{Decay, Schedule};

    fn close(found: f64, expected: f64) {
        assert!((found / expected - 1.0).abs() < 1e-5, "{found}");
    }

    /// OpenFedLLM's own schedule: η₀ = 5e-5, η_min = 1e-6, T = 200.
    #[test]
    fn matches_the_reference_schedule() {
        let schedule = Schedule {
            decay: Decay::Cosine,
            warm_up: 0,
            total: 200,
        };
        for (t, expected) in [
            (0, 5e-5),
            (1, 4.99970e-5),
            (100, 2.55e-5),
            (199, 1.00302e-6),
        ] {
            close(schedule.at(5e-5, 1e-6, t), expected);
        }
    }

    #[test]
    fn warms_up_and_falls() {
        let linear = Schedule {
            decay: Decay::Linear,
            warm_up: 3,
            total: 13,
        };
        for (t, expected) in [(0, 0.25), (2, 0.75), (3, 1.0), (8, 0.5), (12, 0.1)] {
            close(linear.at(1.0, 0.0, t), expected);
        }
        let constant = Schedule {
            decay: Decay::Constant,
            ..linear
        };
        close(constant.at(2.0, 0.0, 1), 1.0);
        close(constant.at(2.0, 0.0, 99), 2.0);
    }
}
