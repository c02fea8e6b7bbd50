//! RFA: w ← w + v, v the geometric median: repeat v ← Σ βᵢ Δᵢ / Σ βᵢ with βᵢ = pᵢ / max(ν, ‖v - Δᵢ‖).
//!
//! The smoothed Weiszfeld algorithm, from v = Σ pᵢ Δᵢ.

use folkmoot_sdk::{
    Algorithm, Params, Result, Round, State, Updates, Weighting, distances, export_algorithm,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// The geometric median of the clients' updates, which fewer than half of the weight cannot move far.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rfa {
    /// Passes of the Weiszfeld algorithm; 4 by default.
    #[serde(default = "iterations")]
    #[schemars(range(min = 1))]
    iterations: u32,
    /// Smoothing ν, above 0: the least distance an update is taken to have; 0.000001 by default.
    #[serde(default = "nu")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    nu: f64,
    /// What an update weighs in the mean: `examples` (default) or `uniform`.
    #[serde(default)]
    weighting: Weighting,
}
export_algorithm!(Rfa);

fn iterations() -> u32 {
    4
}

fn nu() -> f64 {
    1e-6
}

impl Algorithm for Rfa {
    const REFERENCES: &'static [&'static str] = &[
        "Pillutla et al. 2022, Robust Aggregation for Federated Learning, https://arxiv.org/abs/1912.13445",
    ];

    fn aggregate(
        &self,
        _: &Round,
        global: &Params,
        updates: &Updates,
        _: &State,
    ) -> Result<Params> {
        let deltas = updates.deltas();
        let items: Vec<&Params> = deltas.iter().collect();
        let shares = updates.shares(self.weighting);
        let mut v = updates.weighted_mean(&shares)?;
        for _ in 0..self.iterations {
            let squares = distances(&items, &v).into_iter();
            let weights = squares
                .zip(&shares)
                .map(|(square, share)| share / square.sqrt().max(self.nu));
            v = updates.weighted_mean(&weights.collect::<Vec<_>>())?;
        }
        Ok(global + v)
    }
}

#[cfg(test)]
mod tests {
    use folkmoot_sdk::native::{params, round, state, update, updates};

    use super::*;

    fn w(value: f32) -> Params {
        params(&[("w", &[1], &[value])])
    }

    fn next(iterations: u32) -> f32 {
        let updates = updates(vec![
            update(0, 1, w(0.0)),
            update(1, 1, w(0.0)),
            update(2, 1, w(3.0)),
        ]);
        let plugin = Rfa {
            iterations,
            nu: nu(),
            weighting: Weighting::Examples,
        };
        let next = plugin.aggregate(&round(1, 1), &w(1.0), &updates, &state());
        next.unwrap().read(0, 1)[0]
    }

    #[test]
    fn approaches_the_majority() {
        // v = 1, β ∝ 1, 1, 1/2: v = 0.6; then β ∝ 1/0.6, 1/0.6, 1/2.4: v = 1/3.
        assert!((next(1) - 1.6).abs() < 1e-6);
        assert!((next(2) - 4.0 / 3.0).abs() < 1e-6);
        assert!((next(30) - 1.0).abs() < 1e-5);
    }
}
