//! FedAvg: w ← w + Σ pᵢ Δᵢ, with pᵢ = nᵢ / Σ n.

use folkmoot_sdk::{Algorithm, Params, Result, Round, State, Updates, export_algorithm};
use schemars::JsonSchema;
use serde::Deserialize;

/// The mean of the clients' updates, weighted by their numbers of examples.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FedAvg {}
export_algorithm!(FedAvg);

impl Algorithm for FedAvg {
    const REFERENCES: &'static [&'static str] = &[
        "McMahan et al. 2017, Communication-Efficient Learning of Deep Networks from Decentralized Data, https://arxiv.org/abs/1602.05629",
    ];
    const LINEAR: bool = true;

    fn aggregate(
        &self,
        _: &Round,
        global: &Params,
        updates: &Updates,
        _: &State,
    ) -> Result<Params> {
        Ok(global + &updates.mean()?)
    }
}

#[cfg(test)]
mod tests {
    use folkmoot_sdk::native::{params, round, state, update, updates};

    use super::*;

    #[test]
    fn weighs_by_examples() {
        let w = |value| params(&[("w", &[1], &[value])]);
        let updates = updates(vec![update(1, 3, w(4.0)), update(0, 1, w(0.0))]);
        let next = FedAvg {}.aggregate(&round(1, 1), &w(1.0), &updates, &state());
        assert_eq!(next.unwrap(), w(4.0));
    }
}
