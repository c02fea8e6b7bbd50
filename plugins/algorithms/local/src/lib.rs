//! Local: w ← w + Δᵢ for one client i, which alone takes part.

use folkmoot_sdk::{
    Algorithm, Client, ClientId, Params, Result, Round, State, Updates, Variant, export_algorithm,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// One client trains alone on its own examples: the baseline that federation has to beat.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Local {
    /// The client that trains; 0 by default.
    #[serde(default)]
    client: ClientId,
    /// Whose arithmetic: `paper` (default) or `openfedllm`; both are the same here.
    #[serde(default)]
    #[allow(dead_code, reason = "both variants compute the same")]
    variant: Variant,
}
export_algorithm!(Local);

impl Algorithm for Local {
    const REFERENCES: &'static [&'static str] = &[
        "Ye et al. 2024, OpenFedLLM: Training Large Language Models on Decentralized Private Data via Federated Learning, https://arxiv.org/abs/2402.06954",
    ];

    fn sample(
        &self,
        _: &Round,
        clients: &[Client],
        _: u32,
        _: &State,
    ) -> Result<Option<Vec<ClientId>>> {
        match clients.iter().any(|client| client.id() == self.client) {
            true => Ok(Some(vec![self.client])),
            false => Err(format!(
                "client is `{}`, but it is none of the `{}` clients",
                self.client,
                clients.len()
            )),
        }
    }

    fn aggregate(
        &self,
        _: &Round,
        global: &Params,
        updates: &Updates,
        _: &State,
    ) -> Result<Params> {
        let own = updates
            .iter()
            .find(|update| update.client().id() == self.client);
        let own = own.ok_or_else(|| format!("client `{}` sent no update", self.client))?;
        Ok(global + own.delta())
    }
}

#[cfg(test)]
mod tests {
    use folkmoot_sdk::native::{client, params, round, state, update, updates};

    use super::*;

    fn w(value: f32) -> Params {
        params(&[("w", &[1], &[value])])
    }

    #[test]
    fn one_client_takes_part() {
        let clients = [client(0, 3), client(1, 1)];
        let sample = |client| {
            let plugin = Local {
                client,
                variant: Variant::Openfedllm,
            };
            plugin.sample(&round(1, 1), &clients, 2, &state())
        };
        assert_eq!(sample(1), Ok(Some(vec![1])));
        assert_eq!(
            sample(2).unwrap_err(),
            "client is `2`, but it is none of the `2` clients"
        );
    }

    #[test]
    fn its_update_is_taken_whole() {
        let plugin = Local {
            client: 1,
            variant: Variant::Paper,
        };
        let updates = updates(vec![update(0, 3, w(4.0)), update(1, 1, w(2.0))]);
        let next = plugin.aggregate(&round(1, 1), &w(1.0), &updates, &state());
        assert_eq!(next.unwrap(), w(3.0));
    }
}
