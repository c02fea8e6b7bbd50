//! FedProx: clients minimise Fᵢ(v) + μ/2 ‖v - w‖², then w ← w + Σ pᵢ Δᵢ.

use folkmoot_sdk::{
    Algorithm, Message, Objective, Params, Result, Round, State, Updates, Variant, Weighting,
    export_algorithm,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// FedAvg whose clients are held near the global parameters by a proximal term.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FedProx {
    /// Strength μ of the pull towards the global parameters; 0.01 by default, 0 is FedAvg.
    #[serde(default = "mu")]
    #[schemars(range(min = 0.0))]
    mu: f64,
    /// Whose arithmetic: `paper` (default) or `openfedllm`, to repeat runs of OpenFedLLM.
    #[serde(default)]
    variant: Variant,
    /// What an update weighs in the mean: `examples` (default) or `uniform`; `openfedllm` fixes `examples`.
    weighting: Option<Weighting>,
}
export_algorithm!(FedProx);

fn mu() -> f64 {
    0.01
}

impl FedProx {
    fn weighting(&self) -> Result<Weighting> {
        self.variant.weighting(self.weighting, Weighting::Examples)
    }
}

impl Algorithm for FedProx {
    const REFERENCES: &'static [&'static str] = &[
        "Li et al. 2020, Federated Optimization in Heterogeneous Networks, https://arxiv.org/abs/1812.06127",
        "Ye et al. 2024, OpenFedLLM: Training Large Language Models on Decentralized Private Data via Federated Learning, https://arxiv.org/abs/2402.06954",
    ];
    const LINEAR: bool = true;

    fn start(&self, _: &Params, _: &State) -> Result<()> {
        self.weighting().map(drop)
    }

    fn begin(
        &self,
        _: &Round,
        global: &Params,
        _: &Message,
        _: &State,
        objective: &Objective,
    ) -> Result<()> {
        objective.proximal(self.mu, global);
        Ok(())
    }

    fn aggregate(
        &self,
        _: &Round,
        global: &Params,
        updates: &Updates,
        _: &State,
    ) -> Result<Params> {
        Ok(global + updates.mean_by(self.weighting()?)?)
    }
}

#[cfg(test)]
mod tests {
    use folkmoot_sdk::native::{message, objective, params, round, state, update, updates};

    use super::*;

    fn w(value: f32) -> Params {
        params(&[("w", &[1], &[value])])
    }

    fn fedprox(variant: Variant) -> FedProx {
        FedProx {
            mu: mu(),
            variant,
            weighting: None,
        }
    }

    #[test]
    fn clients_get_the_proximal_term() {
        let objective = objective();
        let begun =
            fedprox(Variant::Paper).begin(&round(1, 1), &w(1.0), &message(), &state(), &objective);
        begun.unwrap();
        assert_eq!(*objective.asked.borrow(), ["proximal 0.01"]);
    }

    #[test]
    fn repeats_openfedllm() {
        let plugin = fedprox(Variant::Openfedllm);
        let (state, mut global) = (state(), w(1.0));
        let rounds = [(0.2, -0.1, 1.125), (0.1, -0.2, 1.15), (-0.05, 0.3, 1.1875)];
        for (number, (first, second, expected)) in (1..).zip(rounds) {
            let updates = updates(vec![update(0, 3, w(first)), update(1, 1, w(second))]);
            let next = plugin.aggregate(&round(number, 3), &global, &updates, &state);
            global = next.unwrap();
            let found = global.read(0, 1)[0];
            assert!(
                (found / expected - 1.0).abs() < 1e-6,
                "round {number}: {found}"
            );
        }
    }
}
