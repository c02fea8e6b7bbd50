//! FedSA-LoRA: B stays with each client; for A, w ← w + Σ pᵢ Δᵢ.

use folkmoot_sdk::{
    Algorithm, Message, Objective, Params, Result, Round, State, Updates, export_algorithm,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// The A of every adapter is shared, its B stays with the client.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FedSaLora {}
export_algorithm!(FedSaLora);

impl Algorithm for FedSaLora {
    const REFERENCES: &'static [&'static str] = &[
        "Guo et al. 2024, Selective Aggregation for Low-Rank Adaptation in Federated Learning, https://arxiv.org/abs/2410.01463",
    ];
    const LINEAR: bool = true;

    fn begin(
        &self,
        _: &Round,
        _: &Params,
        _: &Message,
        _: &State,
        objective: &Objective,
    ) -> Result<()> {
        objective.keep("*lora_B*");
        Ok(())
    }

    fn aggregate(
        &self,
        _: &Round,
        global: &Params,
        updates: &Updates,
        _: &State,
    ) -> Result<Params> {
        Ok(global + updates.mean()?)
    }
}

#[cfg(test)]
mod tests {
    use folkmoot_sdk::native::{message, objective, params, round, state, update, updates};

    use super::*;

    fn w(value: f32) -> Params {
        params(&[("w", &[1], &[value])])
    }

    #[test]
    fn b_is_kept() {
        let objective = objective();
        let begun = FedSaLora {}.begin(&round(1, 1), &w(1.0), &message(), &state(), &objective);
        begun.unwrap();
        assert_eq!(*objective.asked.borrow(), ["keep *lora_B*"]);
    }

    #[test]
    fn the_server_averages() {
        let updates = updates(vec![update(0, 3, w(4.0)), update(1, 1, w(0.0))]);
        let next = FedSaLora {}.aggregate(&round(1, 1), &w(1.0), &updates, &state());
        assert_eq!(next.unwrap(), w(4.0));
    }
}
