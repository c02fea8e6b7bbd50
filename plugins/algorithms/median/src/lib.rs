//! Median: w ← w + median(Δ₁, …, Δₙ), coordinate by coordinate.

use folkmoot_sdk::{Algorithm, Params, Result, Round, State, Updates, export_algorithm, median};
use schemars::JsonSchema;
use serde::Deserialize;

/// The coordinate-wise median of the clients' updates, which fewer than half of them cannot move far.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Median {}
export_algorithm!(Median);

impl Algorithm for Median {
    const REFERENCES: &'static [&'static str] = &[
        "Yin et al. 2018, Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates, https://arxiv.org/abs/1803.01498",
    ];

    fn aggregate(
        &self,
        _: &Round,
        global: &Params,
        updates: &Updates,
        _: &State,
    ) -> Result<Params> {
        let deltas = updates.deltas();
        Ok(global + median(&deltas.iter().collect::<Vec<_>>()))
    }
}

#[cfg(test)]
mod tests {
    use folkmoot_sdk::native::{params, round, state, update, updates};

    use super::*;

    fn w(value: f32) -> Params {
        params(&[("w", &[1], &[value])])
    }

    #[test]
    fn outliers_do_not_count() {
        let next = |deltas: &[f32]| {
            let deltas = (0..)
                .zip(deltas)
                .map(|(id, delta)| update(id, 1, w(*delta)));
            Median {}.aggregate(&round(1, 1), &w(1.0), &updates(deltas.collect()), &state())
        };
        assert_eq!(next(&[1.0, -9.0, 100.0]).unwrap(), w(2.0));
        assert_eq!(next(&[1.0, -9.0, 100.0, 2.0]).unwrap(), w(2.5));
    }
}
