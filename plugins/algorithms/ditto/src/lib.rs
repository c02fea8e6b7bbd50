//! Ditto: beside FedAvg, client i minimises Fᵢ(v) + λ/2 ‖v - w‖² in v, its personal parameters.

use folkmoot_sdk::{
    Algorithm, Message, Objective, Params, Result, Round, State, Training, Updates, Weighting,
    export_algorithm,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// FedAvg with a personal model at every client that is held near the global one.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ditto {
    /// Strength λ of the pull of the personal parameters towards the global ones; 0.1 by default.
    #[serde(default = "lambda")]
    #[schemars(range(min = 0.0))]
    lambda: f64,
    /// What an update weighs in the mean: `examples` (default) or `uniform`.
    #[serde(default)]
    weighting: Weighting,
}
export_algorithm!(Ditto);

fn lambda() -> f64 {
    0.1
}

impl Algorithm for Ditto {
    const REFERENCES: &'static [&'static str] = &[
        "Li et al. 2021, Ditto: Fair and Robust Federated Learning Through Personalization, https://arxiv.org/abs/2012.04221",
    ];
    const LINEAR: bool = true;

    fn begin(
        &self,
        _: &Round,
        global: &Params,
        _: &Message,
        state: &State,
        objective: &Objective,
    ) -> Result<()> {
        let kept = state.params("personal");
        let own = objective.personal(kept.as_ref().unwrap_or(global));
        own.proximal(self.lambda, global);
        Ok(())
    }

    fn finish(
        &self,
        _: &Round,
        training: &Training,
        _: &Message,
        state: &State,
        _: &Message,
    ) -> Result<()> {
        let personal = training.personal();
        let personal = personal.ok_or("the training gave no personal parameters")?;
        state.put_params("personal", &personal);
        Ok(())
    }

    fn aggregate(
        &self,
        _: &Round,
        global: &Params,
        updates: &Updates,
        _: &State,
    ) -> Result<Params> {
        Ok(global + updates.mean_by(self.weighting)?)
    }
}

#[cfg(test)]
mod tests {
    use folkmoot_sdk::native::{
        message, objective, params, round, state, training, update, updates,
    };

    use super::*;

    fn w(value: f32) -> Params {
        params(&[("w", &[1], &[value])])
    }

    #[test]
    fn the_personal_model_trains_beside() {
        let plugin = Ditto {
            lambda: lambda(),
            weighting: Weighting::Uniform,
        };
        let (round, state, message, objective) = (round(1, 1), state(), message(), objective());
        plugin
            .begin(&round, &w(1.0), &message, &state, &objective)
            .unwrap();
        assert_eq!(
            *objective.asked.borrow(),
            ["personal", "personal: proximal 0.1"]
        );
        let plain = || training(1, 0.1, w(1.0), w(2.0));
        assert!(
            plugin
                .finish(&round, &plain(), &message, &state, &message)
                .is_err()
        );
        let both = plain().with_personal(w(5.0));
        plugin
            .finish(&round, &both, &message, &state, &message)
            .unwrap();
        assert_eq!(state.params("personal"), Some(w(5.0)));
        let updates = updates(vec![update(0, 3, w(1.0)), update(1, 1, w(3.0))]);
        assert_eq!(
            plugin.aggregate(&round, &w(1.0), &updates, &state).unwrap(),
            w(3.0)
        );
    }
}
