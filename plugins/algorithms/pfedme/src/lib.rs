//! pFedMe: client i minimises Fᵢ(v) + λ/2 ‖v - a‖² in v; every K steps a ← a - η λ (a - v); then w ← w + β Σ pᵢ Δᵢ.
//!
//! a begins at w and is what a client sends; v is its personal model. The local learning rate is that of v.

use folkmoot_sdk::{
    Algorithm, Message, Objective, Params, Result, Round, State, Training, Updates, Weighting,
    export_algorithm,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// Personal models on Moreau envelopes around a global one.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PFedMe {
    /// Strength λ of the pull of the personal parameters towards the anchor, above 0; 15 by default.
    #[serde(default = "lambda")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    lambda: f64,
    /// Learning rate η of the anchor, above 0; 0.005 by default.
    #[serde(default = "eta")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    eta: f64,
    /// Steps K on one batch before the anchor moves; 5 by default.
    #[serde(default = "period")]
    #[schemars(range(min = 1))]
    period: u32,
    /// Share β of the clients' mean update that the server takes; 1 by default.
    #[serde(default = "beta")]
    #[schemars(range(min = 0.0))]
    beta: f32,
    /// What an update weighs in the mean: `examples` (default) or `uniform`.
    #[serde(default)]
    weighting: Weighting,
}
export_algorithm!(PFedMe);

fn lambda() -> f64 {
    15.0
}

fn eta() -> f64 {
    0.005
}

fn period() -> u32 {
    5
}

fn beta() -> f32 {
    1.0
}

impl Algorithm for PFedMe {
    const REFERENCES: &'static [&'static str] = &[
        "Dinh et al. 2020, Personalized Federated Learning with Moreau Envelopes, https://arxiv.org/abs/2006.08848",
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
        objective.envelope(self.lambda, self.eta, self.period);
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
        Ok(global + self.beta * updates.mean_by(self.weighting)?)
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
    fn trains_on_an_envelope() {
        let plugin = PFedMe {
            lambda: lambda(),
            eta: eta(),
            period: period(),
            beta: 0.5,
            weighting: Weighting::Examples,
        };
        let (round, state, message, objective) = (round(1, 1), state(), message(), objective());
        plugin
            .begin(&round, &w(1.0), &message, &state, &objective)
            .unwrap();
        assert_eq!(*objective.asked.borrow(), ["envelope 15 0.005 5"]);
        let trained = training(1, 0.1, w(1.0), w(2.0)).with_personal(w(5.0));
        plugin
            .finish(&round, &trained, &message, &state, &message)
            .unwrap();
        assert_eq!(state.params("personal"), Some(w(5.0)));
        let updates = updates(vec![update(0, 3, w(4.0)), update(1, 1, w(0.0))]);
        assert_eq!(
            plugin.aggregate(&round, &w(1.0), &updates, &state).unwrap(),
            w(2.5)
        );
    }
}
