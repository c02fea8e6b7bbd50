//! FedAvgM: m ← β₁ m + Δ, w ← w + η m, with Δ = Σ pᵢ Δᵢ and m = 0 before round 1.
//!
//! OpenFedLLM: m ← β₁ m + (1 - β₁) Δ with m = Δ in round 1, and no η.

use folkmoot_sdk::{
    Algorithm, Params, Result, Round, State, Updates, Variant, Weighting, export_algorithm,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// FedAvg with server momentum.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FedAvgM {
    /// Learning rate η of the server; 1 by default, and fixed by `openfedllm`.
    #[serde(default = "eta")]
    #[schemars(range(min = 0.0))]
    eta: f32,
    /// Momentum β₁ of the server; 0.9 by default.
    #[serde(default = "beta1")]
    #[schemars(range(min = 0.0, max = 1.0))]
    beta1: f32,
    /// Whose arithmetic: `paper` (default) or `openfedllm`, to repeat runs of OpenFedLLM.
    #[serde(default)]
    variant: Variant,
    /// What an update weighs in the mean: `examples` (default) or `uniform`; `openfedllm` fixes `examples`.
    weighting: Option<Weighting>,
}
export_algorithm!(FedAvgM);

fn eta() -> f32 {
    1.0
}

fn beta1() -> f32 {
    0.9
}

impl FedAvgM {
    fn weighting(&self) -> Result<Weighting> {
        self.variant.weighting(self.weighting, Weighting::Examples)
    }
}

impl Algorithm for FedAvgM {
    const REFERENCES: &'static [&'static str] = &[
        "Hsu et al. 2019, Measuring the Effects of Non-Identical Data Distribution for Federated Visual Classification, https://arxiv.org/abs/1909.06335",
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

    fn aggregate(
        &self,
        _: &Round,
        global: &Params,
        updates: &Updates,
        state: &State,
    ) -> Result<Params> {
        let delta = updates.mean_by(self.weighting()?)?;
        let m = match (state.params("momentum"), self.variant) {
            (None, _) => delta,
            (Some(m), Variant::Paper) => self.beta1 * m + delta,
            (Some(m), Variant::Openfedllm) => self.beta1 * m + (1.0 - self.beta1) * delta,
        };
        state.put_params("momentum", &m);
        Ok(global + self.eta * m)
    }
}

#[cfg(test)]
mod tests {
    use folkmoot_sdk::native::{params, round, state, update, updates};

    use super::*;

    fn w(value: f32) -> Params {
        params(&[("w", &[1], &[value])])
    }

    #[test]
    fn momentum_accumulates() {
        let plugin = FedAvgM {
            eta: 2.0,
            beta1: 0.5,
            variant: Variant::Paper,
            weighting: None,
        };
        let state = state();
        let step = |number, global: &Params, delta| {
            let updates = updates(vec![update(0, 1, w(delta))]);
            plugin.aggregate(&round(number, 2), global, &updates, &state)
        };
        let first = step(1, &w(1.0), 2.0).unwrap();
        assert_eq!(first, w(5.0));
        assert_eq!(step(2, &first, 4.0).unwrap(), w(15.0));
    }

    #[test]
    fn openfedllm_has_no_server_rate() {
        let plugin = FedAvgM {
            eta: 0.5,
            beta1: beta1(),
            variant: Variant::Openfedllm,
            weighting: None,
        };
        let refused = plugin.start(&w(1.0), &state()).unwrap_err();
        assert_eq!(refused, "eta is `0.5`, but variant `openfedllm` fixes `1`");
    }

    #[test]
    fn repeats_openfedllm() {
        let plugin = FedAvgM {
            eta: eta(),
            beta1: beta1(),
            variant: Variant::Openfedllm,
            weighting: None,
        };
        let (state, mut global) = (state(), w(1.0));
        let rounds = [(0.2, -0.1, 1.125), (0.1, -0.2, 1.24), (-0.05, 0.3, 1.34725)];
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
