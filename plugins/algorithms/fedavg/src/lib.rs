//! FedAvg: w ← w + Σ pᵢ Δᵢ, with pᵢ = nᵢ / Σ n.

use folkmoot_sdk::{
    Algorithm, Params, Result, Round, State, Updates, Variant, Weighting, export_algorithm,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// The weighted mean of the clients' updates.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FedAvg {
    /// Whose arithmetic: `paper` (default) or `openfedllm`, to repeat runs of OpenFedLLM.
    #[serde(default)]
    variant: Variant,
    /// What an update weighs in the mean: `examples` (default) or `uniform`; `openfedllm` fixes `examples`.
    weighting: Option<Weighting>,
}
export_algorithm!(FedAvg);

impl FedAvg {
    fn weighting(&self) -> Result<Weighting> {
        self.variant.weighting(self.weighting, Weighting::Examples)
    }
}

impl Algorithm for FedAvg {
    const REFERENCES: &'static [&'static str] = &[
        "McMahan et al. 2017, Communication-Efficient Learning of Deep Networks from Decentralized Data, https://arxiv.org/abs/1602.05629",
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
        _: &State,
    ) -> Result<Params> {
        Ok(global + updates.mean_by(self.weighting()?)?)
    }
}

#[cfg(test)]
mod tests {
    use folkmoot_sdk::native::{params, round, state, update, updates};

    use super::*;

    fn w(value: f32) -> Params {
        params(&[("w", &[1], &[value])])
    }

    fn fedavg(variant: Variant, weighting: Option<Weighting>) -> FedAvg {
        FedAvg { variant, weighting }
    }

    #[test]
    fn weighs_as_asked() {
        let updates = updates(vec![update(1, 3, w(4.0)), update(0, 1, w(0.0))]);
        let check = |weighting, expected| {
            let plugin = fedavg(Variant::Paper, weighting);
            let next = plugin.aggregate(&round(1, 1), &w(1.0), &updates, &state());
            assert_eq!(next.unwrap(), w(expected));
        };
        check(None, 4.0);
        check(Some(Weighting::Uniform), 3.0);
    }

    #[test]
    fn openfedllm_weighs_by_examples() {
        let plugin = fedavg(Variant::Openfedllm, Some(Weighting::Uniform));
        assert!(plugin.start(&w(1.0), &state()).is_err());
    }

    #[test]
    fn repeats_openfedllm() {
        let plugin = fedavg(Variant::Openfedllm, None);
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
