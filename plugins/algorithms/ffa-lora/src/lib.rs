//! FFA-LoRA: A stays as it was drawn and B trains, so that the mean of the products is the product of the means.

use folkmoot_sdk::{
    Algorithm, Message, Objective, Params, Result, Round, State, Updates, export_algorithm,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// Only the B of every adapter trains: averaging is exact.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FfaLora {}
export_algorithm!(FfaLora);

impl Algorithm for FfaLora {
    const REFERENCES: &'static [&'static str] = &[
        "Sun et al. 2024, Improving LoRA in Privacy-preserving Federated Learning, https://arxiv.org/abs/2403.12313",
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
        objective.freeze("*lora_A*");
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
    fn a_is_frozen() {
        let objective = objective();
        let begun = FfaLora {}.begin(&round(1, 1), &w(1.0), &message(), &state(), &objective);
        begun.unwrap();
        assert_eq!(*objective.asked.borrow(), ["freeze *lora_A*"]);
    }

    #[test]
    fn the_server_averages() {
        let updates = updates(vec![update(0, 3, w(4.0)), update(1, 1, w(0.0))]);
        let next = FfaLora {}.aggregate(&round(1, 1), &w(1.0), &updates, &state());
        assert_eq!(next.unwrap(), w(4.0));
    }
}
