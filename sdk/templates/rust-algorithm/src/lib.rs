//! {{Name}}: w ← w + η Σ pᵢ Δᵢ, with pᵢ = nᵢ / Σ n and Δᵢ what client i changed.
//!
//! A place to begin: FedAvg (McMahan et al. 2017) with a learning rate η at the server.

use folkmoot_sdk::{Algorithm, Params, Result, Round, State, Updates, export_algorithm, report};
use schemars::JsonSchema;
use serde::Deserialize;

/// The mean of the clients' updates, scaled.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct {{Name}} {
    /// Learning rate η of the server.
    #[serde(default = "eta")]
    #[schemars(range(min = 0.0))]
    eta: f32,
}
export_algorithm!({{Name}});

fn eta() -> f32 {
    1.0
}

impl Algorithm for {{Name}} {
    const REFERENCES: &'static [&'static str] =
        &["McMahan et al. 2017, Communication-Efficient Learning of Deep Networks from Decentralized Data, https://arxiv.org/abs/1602.05629"];
    // Linear in the updates, so it may run under secure aggregation. Say `false` once it is not.
    const LINEAR: bool = true;

    fn aggregate(
        &self,
        _round: &Round,
        global: &Params,
        updates: &Updates,
        _state: &State,
    ) -> Result<Params> {
        let step = self.eta * updates.mean()?;
        report("step_norm", step.norm());
        Ok(global + step)
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
    fn steps_towards_the_weighted_mean() {
        let plugin = {{Name}} { eta: 0.5 };
        // Three examples moved by 4, one by 0: the mean is 3, half of it 1.5.
        let updates = updates(vec![update(0, 3, w(4.0)), update(1, 1, w(0.0))]);
        let next = plugin.aggregate(&round(1, 10), &w(1.0), &updates, &state());
        assert_eq!(next.unwrap().read(0, 1), [2.5]);
    }
}
