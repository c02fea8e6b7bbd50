//! RoLoRA: B trains in odd rounds and A in even ones; the other one is frozen, so that averaging is exact.

use folkmoot_sdk::{
    Algorithm, Message, Objective, Params, Result, Round, State, Updates, export_algorithm,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// The B and the A of every adapter train in turn, round by round.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoLora {}
export_algorithm!(RoLora);

impl Algorithm for RoLora {
    const REFERENCES: &'static [&'static str] = &[
        "Chen et al. 2024, Robust Federated Finetuning of Foundation Models via Alternating Minimization of LoRA, https://arxiv.org/abs/2409.02346",
    ];
    const LINEAR: bool = true;

    fn begin(
        &self,
        round: &Round,
        _: &Params,
        _: &Message,
        _: &State,
        objective: &Objective,
    ) -> Result<()> {
        objective.freeze(match round.number() % 2 {
            1 => "*lora_A*",
            _ => "*lora_B*",
        });
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
    fn the_factors_take_turns() {
        let objective = objective();
        for number in 1..=3 {
            let begun =
                RoLora {}.begin(&round(number, 3), &w(1.0), &message(), &state(), &objective);
            begun.unwrap();
        }
        let expected = ["freeze *lora_A*", "freeze *lora_B*", "freeze *lora_A*"];
        assert_eq!(*objective.asked.borrow(), expected);
    }

    #[test]
    fn the_server_averages() {
        let updates = updates(vec![update(0, 3, w(4.0)), update(1, 1, w(0.0))]);
        let next = RoLora {}.aggregate(&round(1, 1), &w(1.0), &updates, &state());
        assert_eq!(next.unwrap(), w(4.0));
    }
}
