//! FedPer: the personal tensors stay with each client; for the others w ← w + Σ pᵢ Δᵢ.

use folkmoot_sdk::{
    Algorithm, Message, Objective, Params, Result, Round, State, Updates, Weighting,
    export_algorithm,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// FedAvg with tensors that every client keeps to itself.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FedPer {
    /// Globs of the tensors that stay with each client (required), e.g. `["*lora_B*"]`.
    #[schemars(length(min = 1))]
    personal: Vec<String>,
    /// What an update weighs in the mean: `examples` (default) or `uniform`.
    #[serde(default)]
    weighting: Weighting,
}
export_algorithm!(FedPer);

impl FedPer {
    /// The tensors that no glob of `personal` matches.
    fn shared(&self, global: &Params) -> Result<Vec<String>> {
        let personal = self.personal.iter().map(|glob| global.select(glob).names());
        let personal: Vec<String> = personal.flatten().collect();
        let mut shared = global.names();
        shared.retain(|name| !personal.contains(name));
        match (personal.is_empty(), shared.is_empty()) {
            (true, _) => {
                Err("personal is empty: name the tensors that stay with the client".into())
            }
            (_, true) => Err(format!(
                "personal is `{}`, which leaves nothing to share",
                self.personal.join("`, `")
            )),
            _ => Ok(shared),
        }
    }
}

impl Algorithm for FedPer {
    const REFERENCES: &'static [&'static str] = &[
        "Arivazhagan et al. 2019, Federated Learning with Personalization Layers, https://arxiv.org/abs/1912.00818",
    ];
    const LINEAR: bool = true;

    fn start(&self, global: &Params, _: &State) -> Result<()> {
        self.shared(global).map(drop)
    }

    fn begin(
        &self,
        _: &Round,
        _: &Params,
        _: &Message,
        _: &State,
        objective: &Objective,
    ) -> Result<()> {
        for glob in &self.personal {
            objective.keep(glob);
        }
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
    use folkmoot_sdk::native::{message, objective, params, round, state, update, updates};

    use super::*;

    fn global() -> Params {
        params(&[
            ("body", &[1], &[1.0]),
            ("head", &[1], &[1.0]),
            ("neck", &[1], &[1.0]),
        ])
    }

    fn fedper(personal: &[&str]) -> FedPer {
        let personal = personal.iter().map(|glob| (*glob).to_owned()).collect();
        FedPer {
            personal,
            weighting: Weighting::Examples,
        }
    }

    #[test]
    fn keeps_the_personal_tensors() {
        let (plugin, objective) = (fedper(&["h*", "neck"]), objective());
        plugin
            .begin(&round(1, 1), &global(), &message(), &state(), &objective)
            .unwrap();
        assert_eq!(*objective.asked.borrow(), ["keep h*", "keep neck"]);
        let delta = params(&[
            ("body", &[1], &[2.0]),
            ("head", &[1], &[0.0]),
            ("neck", &[1], &[0.0]),
        ]);
        let updates = updates(vec![update(0, 1, delta)]);
        let next = plugin
            .aggregate(&round(1, 1), &global(), &updates, &state())
            .unwrap();
        assert_eq!(next.read(0, 3), [3.0, 1.0, 1.0]);
    }

    #[test]
    fn something_is_personal_and_something_shared() {
        let start = |personal: &[&str]| fedper(personal).start(&global(), &state());
        assert_eq!(start(&["head"]), Ok(()));
        assert_eq!(
            start(&[]).unwrap_err(),
            "personal is empty: name the tensors that stay with the client"
        );
        assert_eq!(
            start(&["h*", "*"]).unwrap_err(),
            "personal is `h*`, `*`, which leaves nothing to share"
        );
    }
}
