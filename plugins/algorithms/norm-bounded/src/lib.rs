//! Norm bounding: w ← w + Σ pᵢ min(1, c / ‖Δᵢ‖) Δᵢ.

use folkmoot_sdk::{
    Algorithm, Params, Result, Round, State, Updates, Weighting, export_algorithm, weighted_sum,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// FedAvg over updates that are scaled down to a bound where their norm is above it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NormBounded {
    /// Bound c of the L2 norm, above 0; by default the median of the cohort's norms.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    bound: Option<f64>,
    /// What an update weighs in the mean: `examples` (default) or `uniform`.
    #[serde(default)]
    weighting: Weighting,
}
export_algorithm!(NormBounded);

/// The middle value, or the mean of the two middle ones.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len() - 1;
    (values[last / 2] + values[last.div_ceil(2)]) / 2.0
}

impl Algorithm for NormBounded {
    const REFERENCES: &'static [&'static str] = &[
        "Sun et al. 2019, Can You Really Backdoor Federated Learning?, https://arxiv.org/abs/1911.07963",
    ];

    fn aggregate(
        &self,
        _: &Round,
        global: &Params,
        updates: &Updates,
        _: &State,
    ) -> Result<Params> {
        let deltas = updates.deltas();
        let norms: Vec<f64> = deltas.iter().map(Params::norm).collect();
        let bound = self.bound.unwrap_or_else(|| median(norms.clone()));
        let shares = updates.shares(self.weighting);
        // A norm of 0 has no scale: NaN.min(1) is 1.
        let weights = shares
            .iter()
            .zip(norms)
            .map(|(share, norm)| share * (bound / norm).min(1.0));
        Ok(global + weighted_sum(&deltas.iter().zip(weights).collect::<Vec<_>>()))
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
    fn long_updates_are_scaled_down() {
        let next = |bound, deltas: &[f32]| {
            let deltas = (0..)
                .zip(deltas)
                .map(|(id, delta)| update(id, 1, w(*delta)));
            let plugin = NormBounded {
                bound,
                weighting: Weighting::Examples,
            };
            plugin
                .aggregate(&round(1, 1), &w(1.0), &updates(deltas.collect()), &state())
                .unwrap()
        };
        // The norms' median is 2, then 3: the last update becomes -2, then 3.
        assert_eq!(next(None, &[1.0, 4.0, -8.0, 0.0]), w(1.25));
        assert_eq!(next(None, &[2.0, 3.0, 16.0]), w(1.0 + 8.0 / 3.0));
        assert_eq!(next(Some(1.0), &[2.0, 0.0, 16.0, 3.0]), w(1.75));
        assert_eq!(next(None, &[0.0, 0.0]), w(1.0));
    }
}
