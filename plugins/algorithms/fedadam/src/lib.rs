//! FedAdam: m ← β₁ m + (1 - β₁) Δ, v ← β₂ v + (1 - β₂) Δ², w ← w + η m / (√v + τ).
//!
//! Δ = Σ pᵢ Δᵢ; before round 1, m = 0 and v = τ²; no bias correction. OpenFedLLM: pᵢ uniform, m = Δ in
//! round 1, and m² in place of Δ².

use folkmoot_sdk::{
    Algorithm, Params, Result, Round, State, Updates, Variant, Weighting, export_algorithm,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// Adam on the server.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FedAdam {
    /// Learning rate η of the server; 0.001 by default.
    #[serde(default = "eta")]
    #[schemars(range(min = 0.0))]
    eta: f32,
    /// Adaptivity τ, above 0: the smaller, the more each coordinate has its own rate; 0.001 by default.
    #[serde(default = "tau")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    tau: f32,
    /// Decay β₁ of the momentum; 0.9 by default.
    #[serde(default = "beta1")]
    #[schemars(range(min = 0.0, max = 1.0))]
    beta1: f32,
    /// Decay β₂ of the second moment; 0.99 by default.
    #[serde(default = "beta2")]
    #[schemars(range(min = 0.0, max = 1.0))]
    beta2: f32,
    /// Whose arithmetic: `paper` (default) or `openfedllm`, to repeat runs of OpenFedLLM.
    #[serde(default)]
    variant: Variant,
    /// What an update weighs in the mean: `examples` (default) or `uniform`; `openfedllm` fixes `uniform`.
    weighting: Option<Weighting>,
}
export_algorithm!(FedAdam);

fn eta() -> f32 {
    1e-3
}

fn tau() -> f32 {
    1e-3
}

fn beta1() -> f32 {
    0.9
}

fn beta2() -> f32 {
    0.99
}

impl FedAdam {
    fn weighting(&self) -> Result<Weighting> {
        self.variant.weighting(self.weighting, Weighting::Uniform)
    }
}

impl Algorithm for FedAdam {
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
        let m = match (state.params("momentum"), self.variant) {
            (Some(m), _) => self.beta1 * m + (1.0 - self.beta1) * &delta,
            (None, Variant::Paper) => (1.0 - self.beta1) * &delta,
            (None, Variant::Openfedllm) => 1.0 * &delta,
        };
        let square = match self.variant {
            Variant::Paper => delta.square(),
            Variant::Openfedllm => m.square(),
        };
        state.put_params("momentum", &m);
        let v = state
            .params("variance")
            .unwrap_or_else(|| global.filled(self.tau * self.tau));
        let v = self.beta2 * v + (1.0 - self.beta2) * square;
        state.put_params("variance", &v);
        Ok(global + self.eta * (m / (v.sqrt() + self.tau)))
    }
}

#[cfg(test)]
mod tests {
    use folkmoot_sdk::native::{params, round, state, update, updates};

    use super::*;

    fn w(value: f32) -> Params {
        params(&[("w", &[1], &[value])])
    }

    fn plugin(eta: f32, tau: f32, beta1: f32, beta2: f32, variant: Variant) -> FedAdam {
        FedAdam {
            eta,
            tau,
            beta1,
            beta2,
            variant,
            weighting: None,
        }
    }

    #[test]
    fn one_round_of_the_paper() {
        let plugin = plugin(1.0, 1.0, 0.5, 0.5, Variant::Paper);
        let updates = updates(vec![update(0, 1, w(2.0))]);
        let next = plugin.aggregate(&round(1, 1), &w(1.0), &updates, &state());
        let found = next.unwrap().read(0, 1)[0];
        // m = 1, v = 0.5 + 0.5 · 4, so 1 + 1 / (√2.5 + 1).
        assert!((found / 1.3874259 - 1.0).abs() < 1e-6, "{found}");
    }

    #[test]
    fn repeats_openfedllm() {
        let plugin = plugin(eta(), tau(), beta1(), beta2(), Variant::Openfedllm);
        let (state, mut global) = (state(), w(1.0));
        let rounds = [
            (0.2, -0.1, 1.0081994),
            (0.1, -0.2, 1.0135614),
            (-0.05, 0.3, 1.0189193),
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
