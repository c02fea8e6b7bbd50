//! q-FedAvg: w ← w + Σ Fᵢ^q L Δᵢ / Σ hᵢ, with hᵢ = q Fᵢ^(q-1) ‖L Δᵢ‖² + L Fᵢ^q and L = 1/η.
//!
//! Fᵢ is the loss of the received parameters at client i, before it trains.

use folkmoot_sdk::{
    Algorithm, Message, Objective, Params, Result, Round, State, Updates, export_algorithm,
    weighted_sum,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// FedAvg in which clients with a higher loss weigh more, so that losses become more alike.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QFedAvg {
    /// Fairness q; 1 by default, 0 is the uniform mean.
    #[serde(default = "q")]
    #[schemars(range(min = 0.0))]
    q: f64,
    /// Learning rate η that stands for 1/L, above 0; by default the one that the clients trained with.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    eta: Option<f64>,
    /// Rows over which each client measures its loss before training; 0, the default, means all.
    #[serde(default)]
    examples: u32,
}
export_algorithm!(QFedAvg);

fn q() -> f64 {
    1.0
}

impl QFedAvg {
    /// η as given, else the one learning rate of all updates.
    fn rate(&self, updates: &Updates) -> Result<f64> {
        let rates: Vec<f64> = updates.iter().map(|update| update.lr()).collect();
        match (self.eta, rates.first()) {
            (Some(eta), _) => Ok(eta),
            (None, Some(&lr)) if lr > 0.0 && rates.iter().all(|other| *other == lr) => Ok(lr),
            _ => Err(format!(
                "eta is not given, and the learning rates of the updates, {rates:?}, are not one above 0"
            )),
        }
    }
}

impl Algorithm for QFedAvg {
    const REFERENCES: &'static [&'static str] = &[
        "Li et al. 2020, Fair Resource Allocation in Federated Learning, https://arxiv.org/abs/1905.10497",
    ];

    fn begin(
        &self,
        _: &Round,
        _: &Params,
        _: &Message,
        _: &State,
        objective: &Objective,
    ) -> Result<()> {
        objective.initial_loss(self.examples);
        Ok(())
    }

    fn aggregate(
        &self,
        _: &Round,
        global: &Params,
        updates: &Updates,
        _: &State,
    ) -> Result<Params> {
        let l = 1.0 / self.rate(updates)?;
        let (mut weights, mut total) = (Vec::new(), 0.0);
        for update in updates.iter() {
            let loss = update.figure("initial-loss");
            let loss = loss.ok_or_else(|| {
                format!("client `{}` sent no `initial-loss`", update.client().id())
            })? + 1e-10;
            let square = (l * update.delta().norm()).powi(2);
            weights.push(loss.powf(self.q) * l);
            total += self.q * loss.powf(self.q - 1.0) * square + l * loss.powf(self.q);
        }
        let deltas = updates.deltas();
        let weights = weights.iter().map(|weight| weight / total);
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

    fn next(q: f64, eta: Option<f64>) -> Result<Params> {
        let lossy = |id, delta, loss, lr| {
            update(id, 1, w(delta))
                .with_figure("initial-loss", loss)
                .with_lr(lr)
        };
        let updates = updates(vec![lossy(0, 1.0, 1.0, 0.5), lossy(1, -1.0, 3.0, 0.5)]);
        QFedAvg {
            q,
            eta,
            examples: 0,
        }
        .aggregate(&round(1, 1), &w(1.0), &updates, &state())
    }

    #[test]
    fn higher_losses_weigh_more() {
        // L = 1: h = (1 + 1, 1 + 3), Σ F Δ = -2. L = 2: h = (4 + 2, 4 + 6), Σ F L Δ = -4.
        let near = |next: Result<Params>, expected: f32| {
            assert!((next.unwrap().read(0, 1)[0] - expected).abs() < 1e-6);
        };
        near(next(1.0, Some(1.0)), 1.0 - 2.0 / 6.0);
        near(next(1.0, None), 1.0 - 4.0 / 16.0);
        near(next(0.0, Some(1.0)), 1.0);
    }

    #[test]
    fn refusals_name_their_cause() {
        let plugin = QFedAvg {
            q: 1.0,
            eta: None,
            examples: 0,
        };
        let silent = updates(vec![update(4, 1, w(1.0))]);
        let refused = plugin.aggregate(&round(1, 1), &w(1.0), &silent, &state());
        assert_eq!(refused.unwrap_err(), "client `4` sent no `initial-loss`");
        let unlike = updates(vec![
            update(0, 1, w(1.0)),
            update(1, 1, w(1.0)).with_lr(0.5),
        ]);
        assert!(
            plugin
                .aggregate(&round(1, 1), &w(1.0), &unlike, &state())
                .is_err()
        );
    }
}
