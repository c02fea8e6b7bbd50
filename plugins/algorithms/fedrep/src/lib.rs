//! FedRep: client i first trains its personal tensors on the shared ones, then the shared ones alone; w ← w + Σ pᵢ Δᵢ.

use folkmoot_sdk::{
    Algorithm, Message, Objective, Params, Result, Round, State, Updates, Weighting,
    export_algorithm,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// A shared representation under tensors that every client keeps, trained in turn.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FedRep {
    /// Globs of the tensors that stay with each client (required), e.g. `["*lora_B*"]`.
    #[schemars(length(min = 1))]
    personal: Vec<String>,
    /// Share of the local steps that train the personal tensors alone, the rest train the others; 0.5 by default.
    #[serde(default = "head")]
    #[schemars(range(min = 0.0, max = 1.0))]
    head: f64,
    /// What an update weighs in the mean: `examples` (default) or `uniform`.
    #[serde(default)]
    weighting: Weighting,
}
export_algorithm!(FedRep);

fn head() -> f64 {
    0.5
}

impl FedRep {
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

impl Algorithm for FedRep {
    const REFERENCES: &'static [&'static str] = &[
        "Collins et al. 2021, Exploiting Shared Representations for Personalized Federated Learning, https://arxiv.org/abs/2102.07078",
    ];
    const LINEAR: bool = true;

    fn start(&self, global: &Params, _: &State) -> Result<()> {
        self.shared(global).map(drop)
    }

    fn begin(
        &self,
        _: &Round,
        global: &Params,
        _: &Message,
        _: &State,
        objective: &Objective,
    ) -> Result<()> {
        for name in self.shared(global)? {
            objective.freeze_during(&name, 0.0, self.head);
        }
        for glob in &self.personal {
            objective.keep(glob);
            objective.freeze_during(glob, self.head, 1.0);
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

    fn fedrep(glob: &str) -> FedRep {
        FedRep {
            personal: vec![glob.into()],
            head: 0.25,
            weighting: Weighting::Examples,
        }
    }

    #[test]
    fn head_and_body_train_in_turn() {
        let (plugin, objective) = (fedrep("h*"), objective());
        plugin
            .begin(&round(1, 1), &global(), &message(), &state(), &objective)
            .unwrap();
        let expected = [
            "freeze-during body 0 0.25",
            "freeze-during neck 0 0.25",
            "keep h*",
            "freeze-during h* 0.25 1",
        ];
        assert_eq!(*objective.asked.borrow(), expected);
        let updates = updates(vec![update(0, 1, global())]);
        let next = plugin
            .aggregate(&round(1, 1), &global(), &updates, &state())
            .unwrap();
        assert_eq!(next.read(0, 3), [2.0; 3]);
    }

    #[test]
    fn something_is_shared() {
        let refused = fedrep("*").start(&global(), &state()).unwrap_err();
        assert_eq!(refused, "personal is `*`, which leaves nothing to share");
    }
}
