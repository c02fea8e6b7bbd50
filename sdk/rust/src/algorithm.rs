//! The trait of an algorithm.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{
    Client, ClientId, Message, Objective, Params, Result, Round, State, Training, Updates,
};

/// A federated algorithm: its server half and its client half. The struct is its settings.
///
/// In a round the host calls, in this order: `sample`, `configure` for each client of the cohort,
/// `begin` and `finish` around each local training (where the data is), then `aggregate`.
pub trait Algorithm: DeserializeOwned + JsonSchema {
    /// Papers and other sources, as `Authors year, title, address`.
    const REFERENCES: &'static [&'static str] = &[];
    /// Whether `aggregate` is linear in the updates, so that it may run under secure aggregation.
    const LINEAR: bool = false;

    /// Once, before round 1: a place to refuse settings that do not fit together.
    fn start(&self, _global: &Params, _state: &State) -> Result<()> {
        Ok(())
    }

    /// Server: which clients take part; `None` leaves it to the host's seeded uniform choice of `count`.
    fn sample(
        &self,
        _round: &Round,
        _clients: &[Client],
        _count: u32,
        _state: &State,
    ) -> Result<Option<Vec<ClientId>>> {
        Ok(None)
    }

    /// Server: what one client gets beside the global parameters.
    fn configure(
        &self,
        _round: &Round,
        _client: &Client,
        _state: &State,
        _to: &Message,
    ) -> Result<()> {
        Ok(())
    }

    /// Client, before local training: what is added to it.
    fn begin(
        &self,
        _round: &Round,
        _global: &Params,
        _received: &Message,
        _state: &State,
        _objective: &Objective,
    ) -> Result<()> {
        Ok(())
    }

    /// Client, after local training: what it sends beside its delta.
    fn finish(
        &self,
        _round: &Round,
        _training: &Training,
        _received: &Message,
        _state: &State,
        _to: &Message,
    ) -> Result<()> {
        Ok(())
    }

    /// Server: the next global parameters.
    fn aggregate(
        &self,
        round: &Round,
        global: &Params,
        updates: &Updates,
        state: &State,
    ) -> Result<Params>;
}

/// Makes `$plugin` the algorithm of this component.
#[macro_export]
macro_rules! export_algorithm {
    ($plugin:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            type Exported = $crate::wasm::AlgorithmExport<$plugin>;
            $crate::wasm::algorithm::export_algorithm_world!(Exported with_types_in $crate::wasm::algorithm);
        };
        $crate::export_native!(AlgorithmExport, $plugin);
    };
}
