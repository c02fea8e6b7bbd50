//! FedDyn: clients minimise Fᵢ(v) - ⟨hᵢ, v⟩ + α/2 ‖v - w‖²; then hᵢ ← hᵢ - α Δᵢ, h ← h - α/N Σ Δᵢ and w ← w + Σ pᵢ Δᵢ - h/α.

use folkmoot_sdk::{
    Algorithm, Message, Objective, Params, Result, Round, State, Training, Updates, Weighting,
    export_algorithm, weighted_sum,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// FedAvg with a linear and a proximal term that bend every client towards the common optimum.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FedDyn {
    /// Strength α of the regularisation, above 0; 0.01 by default.
    #[serde(default = "alpha")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    alpha: f64,
    /// What an update weighs in the mean: `examples` (default) or `uniform`.
    #[serde(default)]
    weighting: Weighting,
}
export_algorithm!(FedDyn);

fn alpha() -> f64 {
    0.01
}

impl Algorithm for FedDyn {
    const REFERENCES: &'static [&'static str] = &[
        "Acar et al. 2021, Federated Learning Based on Dynamic Regularization, https://arxiv.org/abs/2111.04263",
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
        let h = state.params("gradient").unwrap_or_else(|| global.zeros());
        objective.linear(&-h);
        objective.proximal(self.alpha, global);
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
        let (before, after) = (training.before(), training.after());
        let h = state.params("gradient").unwrap_or_else(|| before.zeros());
        state.put_params("gradient", &(h - self.alpha as f32 * (after - before)));
        Ok(())
    }

    fn aggregate(
        &self,
        round: &Round,
        global: &Params,
        updates: &Updates,
        state: &State,
    ) -> Result<Params> {
        let deltas = updates.deltas();
        let share = self.alpha / f64::from(round.clients());
        let items: Vec<_> = deltas.iter().map(|delta| (delta, share)).collect();
        let h = state.params("h").unwrap_or_else(|| global.zeros()) - weighted_sum(&items);
        state.put_params("h", &h);
        let mean = updates.mean_by(self.weighting)?;
        Ok(global + mean - (1.0 / self.alpha) as f32 * h)
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

    fn feddyn() -> FedDyn {
        FedDyn {
            alpha: 0.5,
            weighting: Weighting::Uniform,
        }
    }

    #[test]
    fn the_server_keeps_the_clients_mean_gradient() {
        let (state, round) = (state(), round(1, 2).with_clients(2));
        let updates = updates(vec![update(0, 3, w(1.0)), update(1, 1, w(3.0))]);
        // h = -0.25 · 4 = -1, then -2: w = 1 + 2 + 2 = 5, then 5 + 2 + 4.
        let first = feddyn()
            .aggregate(&round, &w(1.0), &updates, &state)
            .unwrap();
        assert_eq!(first, w(5.0));
        let second = feddyn()
            .aggregate(&round, &first, &updates, &state)
            .unwrap();
        assert_eq!(second, w(11.0));
    }

    #[test]
    fn a_client_keeps_its_gradient() {
        let (state, round, message, objective) = (state(), round(1, 2), message(), objective());
        let plugin = feddyn();
        plugin
            .begin(&round, &w(1.0), &message, &state, &objective)
            .unwrap();
        assert_eq!(*objective.asked.borrow(), ["linear", "proximal 0.5"]);
        for expected in [-1.0, -2.0] {
            let training = training(2, 0.1, w(1.0), w(3.0));
            plugin
                .finish(&round, &training, &message, &state, &message)
                .unwrap();
            assert_eq!(state.params("gradient"), Some(w(expected)));
        }
    }
}
