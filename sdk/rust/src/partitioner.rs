//! The trait of a partitioner.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{Dataset, Result};

/// Splits a data set over simulated clients. The struct is its settings.
pub trait Partitioner: DeserializeOwned + JsonSchema {
    /// Papers and other sources.
    const REFERENCES: &'static [&'static str] = &[];
    /// The number of clients comes from the data or the settings. The host then allows leaving it out,
    /// and passes `clients = 0` where it is.
    const CLIENTS_FROM_DATA: bool = false;

    /// For each client the examples it holds, as row numbers. `clients` is never 0 unless
    /// `CLIENTS_FROM_DATA`.
    fn partition(&self, data: &Dataset, clients: u32) -> Result<Vec<Vec<u32>>>;
}

impl Dataset {
    /// A generator seeded from the experiment and this plugin: the same in every run.
    pub fn rng(&self) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(self.random())
    }
}

/// Makes `$plugin` the partitioner of this component.
#[macro_export]
macro_rules! export_partitioner {
    ($plugin:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            type Exported = $crate::wasm::PartitionerExport<$plugin>;
            $crate::wasm::partitioner::export_partitioner_world!(Exported with_types_in $crate::wasm::partitioner);
        };
        $crate::export_native!(PartitionerExport, $plugin);
    };
}
