//! FedNova: w ← w + τₑ Σ pᵢ Δᵢ / τᵢ, with τᵢ the local steps and τₑ = Σ pᵢ τᵢ.
//!
//! Exact for local SGD; for other local optimizers the host's count of steps stands for the paper's norm.

use folkmoot_sdk::{
    Algorithm, Params, Result, Round, State, Updates, Weighting, export_algorithm, weighted_sum,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// FedAvg over updates per local step, so that clients which step more do not pull harder.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FedNova {
    /// What an update weighs in the mean: `examples` (default) or `uniform`.
    #[serde(default)]
    weighting: Weighting,
}
export_algorithm!(FedNova);

impl Algorithm for FedNova {
    const REFERENCES: &'static [&'static str] = &[
        "Wang et al. 2020, Tackling the Objective Inconsistency Problem in Heterogeneous Federated Optimization, https://arxiv.org/abs/2007.07481",
    ];
    const LINEAR: bool = true;

    fn aggregate(
        &self,
        _: &Round,
        global: &Params,
        updates: &Updates,
        _: &State,
    ) -> Result<Params> {
        let shares = updates.shares(self.weighting);
        let steps: Vec<f64> = updates.iter().map(|update| update.steps().into()).collect();
        if let Some(idle) = updates.iter().find(|update| update.steps() == 0) {
            return Err(format!("client `{}` took no step", idle.client().id()));
        }
        let effective: f64 = shares
            .iter()
            .zip(&steps)
            .map(|(share, steps)| share * steps)
            .sum();
        let deltas = updates.deltas();
        let weights = shares
            .iter()
            .zip(&steps)
            .map(|(share, steps)| effective * share / steps);
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
    fn normalises_by_steps() {
        let plugin = FedNova {
            weighting: Weighting::Uniform,
        };
        let two = |steps| {
            updates(vec![
                update(0, 3, w(2.0)),
                update(1, 1, w(2.0)).with_steps(steps),
            ])
        };
        // τₑ = 1.5, Σ pᵢ Δᵢ / τᵢ = 1 + 0.5.
        let next = plugin.aggregate(&round(1, 1), &w(1.0), &two(2), &state());
        assert_eq!(next.unwrap(), w(3.25));
        let refused = plugin.aggregate(&round(1, 1), &w(1.0), &two(0), &state());
        assert_eq!(refused.unwrap_err(), "client `1` took no step");
    }
}
