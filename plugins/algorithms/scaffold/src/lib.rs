//! SCAFFOLD: after each step of client i, v ← v - lr (c - cᵢ); then w ← w + η Σ pᵢ Δᵢ and c ← c + 1/N Σ δᵢ.
//!
//! Option II of the paper: cᵢ⁺ = cᵢ - c - Δᵢ / (K lr) after K local steps, and δᵢ = cᵢ⁺ - cᵢ; N counts all
//! clients. For SGD the correction after the step is the paper's corrected gradient; for AdamW it keeps c
//! out of the moments.

use folkmoot_sdk::{
    Algorithm, Client, Message, Objective, Params, Result, Round, State, Training, Updates,
    Variant, Weighting, export_algorithm, weighted_sum,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// FedAvg with control variates that take the drift of each client out of its steps.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scaffold {
    /// Learning rate η of the server; 1 by default, and fixed by `openfedllm`.
    #[serde(default = "eta")]
    #[schemars(range(min = 0.0))]
    eta: f32,
    /// Whose arithmetic: `paper` (default) or `openfedllm`, to repeat runs of OpenFedLLM.
    #[serde(default)]
    variant: Variant,
    /// What an update weighs in the mean: `examples` (default) or `uniform`; `openfedllm` fixes `examples`.
    weighting: Option<Weighting>,
}
export_algorithm!(Scaffold);

fn eta() -> f32 {
    1.0
}

impl Scaffold {
    fn weighting(&self) -> Result<Weighting> {
        self.variant.weighting(self.weighting, Weighting::Examples)
    }
}

/// `control` of a parcel, zeros where it has none yet.
fn or_zeros(control: Option<Params>, like: &Params) -> Params {
    control.unwrap_or_else(|| like.zeros())
}

impl Algorithm for Scaffold {
    const REFERENCES: &'static [&'static str] = &[
        "Karimireddy et al. 2020, SCAFFOLD: Stochastic Controlled Averaging for Federated Learning, https://arxiv.org/abs/1910.06378",
        "Ye et al. 2024, OpenFedLLM: Training Large Language Models on Decentralized Private Data via Federated Learning, https://arxiv.org/abs/2402.06954",
    ];
    const LINEAR: bool = true;

    fn start(&self, _: &Params, _: &State) -> Result<()> {
        if self.variant == Variant::Openfedllm && self.eta != 1.0 {
            return Err(format!(
                "eta is `{}`, but variant `openfedllm` fixes `1`",
                self.eta
            ));
        }
        self.weighting().map(drop)
    }

    fn configure(&self, _: &Round, _: &Client, state: &State, to: &Message) -> Result<()> {
        if let Some(c) = state.params("control") {
            to.put_params("control", &c);
        }
        Ok(())
    }

    fn begin(
        &self,
        _: &Round,
        global: &Params,
        received: &Message,
        state: &State,
        objective: &Objective,
    ) -> Result<()> {
        let c = or_zeros(received.params("control"), global);
        let own = or_zeros(state.params("control"), global);
        objective.correct(&(c - own));
        Ok(())
    }

    fn finish(
        &self,
        _: &Round,
        training: &Training,
        received: &Message,
        state: &State,
        to: &Message,
    ) -> Result<()> {
        let way = f64::from(training.steps()) * training.lr();
        if way <= 0.0 {
            return Err(format!(
                "no way in `{}` steps at learning rate `{}`: a control needs some",
                training.steps(),
                training.lr()
            ));
        }
        let (before, after) = (training.before(), training.after());
        let c = or_zeros(received.params("control"), &before);
        let own = or_zeros(state.params("control"), &before);
        let next = &own - c + (1.0 / way) as f32 * (before - after);
        state.put_params("control", &next);
        to.put_params("control-change", &(next - own));
        Ok(())
    }

    fn aggregate(
        &self,
        round: &Round,
        global: &Params,
        updates: &Updates,
        state: &State,
    ) -> Result<Params> {
        let changes = updates.iter().map(|update| {
            let change = update.message().params("control-change");
            change.ok_or_else(|| {
                format!("client `{}` sent no `control-change`", update.client().id())
            })
        });
        let changes = changes.collect::<Result<Vec<_>>>()?;
        let share = 1.0 / f64::from(round.clients());
        let items: Vec<_> = changes.iter().map(|change| (change, share)).collect();
        let c = or_zeros(state.params("control"), global);
        state.put_params("control", &(c + weighted_sum(&items)));
        Ok(global + self.eta * updates.mean_by(self.weighting()?)?)
    }
}

#[cfg(test)]
mod tests {
    use folkmoot_sdk::native::{
        client, message, objective, params, round, state, training, update, updates,
    };

    use super::*;

    fn w(value: f32) -> Params {
        params(&[("w", &[1], &[value])])
    }

    fn scaffold(eta: f32, variant: Variant) -> Scaffold {
        Scaffold {
            eta,
            variant,
            weighting: None,
        }
    }

    /// Four clients of which two take part, two steps at learning rate 0.1.
    #[test]
    fn repeats_openfedllm() {
        let plugin = scaffold(1.0, Variant::Openfedllm);
        let (server, clients, mut global) = (state(), [state(), state()], w(1.0));
        let near = |found: Params, expected: f32, tolerance: f32| {
            let found = found.read(0, 1)[0];
            assert!(
                (found - expected).abs() < tolerance,
                "{found}, not {expected}"
            );
        };
        // A control is a difference of parameters of order 1, so its error in f32 is absolute.
        let control_near =
            |state: &State, expected| near(state.params("control").unwrap(), expected, 1e-6);
        let rounds = [
            ([0.2, -0.1], 1.125, [-1.0, 0.5], -0.125),
            ([0.1, -0.2], 1.15, [-1.375, 1.625], 0.0625),
            ([-0.05, 0.3], 1.1875, [-1.1875, 0.0625], -0.28125),
        ];
        for (number, (offsets, expected, own, control)) in (1..).zip(rounds) {
            let round = round(number, 3).with_clients(4);
            let answers = (0..2).map(|id| {
                let (received, sent, objective) = (message(), message(), objective());
                let examples = [3, 1][id];
                plugin
                    .configure(&round, &client(id as u32, examples), &server, &received)
                    .unwrap();
                plugin
                    .begin(&round, &global, &received, &clients[id], &objective)
                    .unwrap();
                assert_eq!(*objective.asked.borrow(), ["correct"]);
                // f32 as the host has it: what was trained, less what it began with.
                let after = &global + offsets[id];
                let delta = &after - &global;
                let trained = training(2, 0.1, &global + 0.0, after);
                plugin
                    .finish(&round, &trained, &received, &clients[id], &sent)
                    .unwrap();
                control_near(&clients[id], own[id]);
                update(id as u32, examples, delta).with_message(sent)
            });
            let updates = updates(answers.collect());
            global = plugin
                .aggregate(&round, &global, &updates, &server)
                .unwrap();
            near(&global + 0.0, expected, 1e-6 * expected);
            control_near(&server, control);
        }
    }

    #[test]
    fn refusals_name_their_cause() {
        let refused = scaffold(0.5, Variant::Openfedllm).start(&w(1.0), &state());
        assert_eq!(
            refused.unwrap_err(),
            "eta is `0.5`, but variant `openfedllm` fixes `1`"
        );
        let updates = updates(vec![update(7, 1, w(1.0))]);
        let refused =
            scaffold(1.0, Variant::Paper).aggregate(&round(1, 1), &w(1.0), &updates, &state());
        assert_eq!(refused.unwrap_err(), "client `7` sent no `control-change`");
    }
}
