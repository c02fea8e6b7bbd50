//! FedAvgM: m ← β m + Σ pᵢ Δᵢ, w ← w + m, with m = 0 before round 1.

use folkmoot_sdk::{Algorithm, Params, Result, Round, State, Updates, export_algorithm};
use schemars::JsonSchema;
use serde::Deserialize;

/// FedAvg with server momentum.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FedAvgM {
    /// Momentum of the server.
    #[serde(default = "beta")]
    #[schemars(range(min = 0.0, max = 1.0))]
    beta: f32,
}
export_algorithm!(FedAvgM);

fn beta() -> f32 {
    0.9
}

impl Algorithm for FedAvgM {
    const REFERENCES: &'static [&'static str] = &[
        "Hsu et al. 2019, Measuring the Effects of Non-Identical Data Distribution for Federated Visual Classification, https://arxiv.org/abs/1909.06335",
    ];
    const LINEAR: bool = true;

    fn aggregate(
        &self,
        _: &Round,
        global: &Params,
        updates: &Updates,
        state: &State,
    ) -> Result<Params> {
        let mean = updates.mean()?;
        let momentum = match state.params("momentum") {
            Some(momentum) => mean.add_scaled(self.beta, &momentum),
            None => mean,
        };
        state.put_params("momentum", &momentum);
        Ok(global + &momentum)
    }
}

#[cfg(test)]
mod tests {
    use folkmoot_sdk::native::{params, round, state, update, updates};

    use super::*;

    #[test]
    fn momentum_accumulates() {
        let w = |value| params(&[("w", &[1], &[value])]);
        let (plugin, state) = (FedAvgM { beta: 0.5 }, state());
        let step = |number, global: &Params, delta| {
            let updates = updates(vec![update(0, 1, w(delta))]);
            plugin.aggregate(&round(number, 2), global, &updates, &state)
        };
        let first = step(1, &w(1.0), 2.0).unwrap();
        assert_eq!(first, w(3.0));
        assert_eq!(step(2, &first, 4.0).unwrap(), w(8.0));
    }
}
