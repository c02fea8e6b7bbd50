//! FedAdagrad: v ← v + Δ², w ← w + η Δ / (√v + τ), with Δ = Σ pᵢ Δᵢ and v = τ² before round 1.
//!
//! OpenFedLLM: the same with pᵢ uniform.

use folkmoot_sdk::{
    Algorithm, Params, Result, Round, State, Updates, Variant, Weighting, export_algorithm,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// Adagrad on the server: coordinates that moved much move less.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FedAdagrad {
    /// Learning rate η of the server; 0.001 by default.
    #[serde(default = "eta")]
    #[schemars(range(min = 0.0))]
    eta: f32,
    /// Adaptivity τ, above 0: the smaller, the more each coordinate has its own rate; 0.001 by default.
    #[serde(default = "tau")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    tau: f32,
    /// Whose arithmetic: `paper` (default) or `openfedllm`, to repeat runs of OpenFedLLM.
    #[serde(default)]
    variant: Variant,
    /// What an update weighs in the mean: `examples` (default) or `uniform`; `openfedllm` fixes `uniform`.
    weighting: Option<Weighting>,
}
export_algorithm!(FedAdagrad);

fn eta() -> f32 {
    1e-3
}

fn tau() -> f32 {
    1e-3
}

impl FedAdagrad {
    fn weighting(&self) -> Result<Weighting> {
        self.variant.weighting(self.weighting, Weighting::Uniform)
    }
}

impl Algorithm for FedAdagrad {
    const REFERENCES: &'static [&'static str] = &[
        "Reddi et al. 2020, Adaptive Federated Optimization, https://arxiv.org/abs/2003.00295",
        "Ye et al. 2024, OpenFedLLM: Training Large Language Models on Decentralized Private Data via Federated Learning, https://arxiv.org/abs/2402.06954",
    ];
    const LINEAR: bool = true;

    fn start(&self, _: &Params, _: &State) -> Result<()> {
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
        let v = state
            .params("variance")
            .unwrap_or_else(|| global.filled(self.tau * self.tau));
        let v = v + delta.square();
        state.put_params("variance", &v);
        Ok(global + self.eta * (delta / (v.sqrt() + self.tau)))
    }
}

#[cfg(test)]
mod tests {
    use folkmoot_sdk::native::{params, round, state, update, updates};

    use super::*;

    fn w(value: f32) -> Params {
        params(&[("w", &[1], &[value])])
    }

    fn plugin(eta: f32, tau: f32, variant: Variant) -> FedAdagrad {
        FedAdagrad {
            eta,
            tau,
            variant,
            weighting: None,
        }
    }

    #[test]
    fn one_round_of_the_paper() {
        let plugin = plugin(1.0, 1.0, Variant::Paper);
        let updates = updates(vec![update(0, 1, w(2.0))]);
        let next = plugin.aggregate(&round(1, 1), &w(1.0), &updates, &state());
        let found = next.unwrap().read(0, 1)[0];
        // v = 1 + 4, so 1 + 2 / (√5 + 1).
        assert!((found / 1.618034 - 1.0).abs() < 1e-6, "{found}");
    }

    #[test]
    fn repeats_openfedllm() {
        let plugin = plugin(eta(), tau(), Variant::Openfedllm);
        let (state, mut global) = (state(), w(1.0));
        let rounds = [
            (0.2, -0.1, 1.0009802),
            (0.1, -0.2, 1.000283),
            (-0.05, 0.3, 1.0011474),
        ];
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
